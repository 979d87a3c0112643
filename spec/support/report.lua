-- Output handler for busted: prints what failed as busted does, and writes what spec/run sums up to the file
-- named by -Xoutput: "passed failed", then a line for each spec that failed ("failed: name: message") or
-- was skipped ("skipped: name TAB reason"). Whoever waits for many files in one process gives STRATA_FILE_ENDS,
-- a file that has a line added for each of them as it ends.

local busted = require("busted")

local function one_line(text)
	return (tostring(text):gsub("%s+", " "):sub(1, 500))
end

local function reason(result)
	return one_line((type(result.message) == "string" and result.message or result.name):gsub("^%S+:%d+: ", ""))
end

local function write_report(path, handler)
	local file = assert(io.open(path, "w"))
	file:write(("%d %d\n"):format(handler.successesCount, handler.failuresCount + handler.errorsCount))
	for _, results in ipairs({ handler.failures, handler.errors }) do
		for _, result in ipairs(results) do
			local message = type(result.message) == "string" and ": " .. result.message or ""
			file:write("failed: ", one_line(result.name .. message), "\n")
		end
	end
	for _, result in ipairs(handler.pendings) do
		file:write("skipped: ", one_line(result.name), "\t", reason(result), "\n")
	end
	file:close()
end

-- Adds a line for each file of specs to `path` as it ends.
local function tell_of_files(path, handler)
	local passed, failed, skipped, started = 0, 0, 0, os.time()
	busted.subscribe({ "file", "start" }, function()
		passed, failed = handler.successesCount, handler.failuresCount + handler.errorsCount
		skipped, started = handler.pendingsCount, os.time()
		return nil, true
	end)
	busted.subscribe({ "file", "end" }, function(element)
		local file = io.open(path, "a")
		if file then
			file:write(
				("           %s: %d passed, %d failed, %d skipped, %d s\n"):format(
					element.name:gsub("^spec/", ""):gsub("_spec%.lua$", ""),
					handler.successesCount - passed,
					handler.failuresCount + handler.errorsCount - failed,
					handler.pendingsCount - skipped,
					os.time() - started
				)
			)
			file:close()
		end
		return nil, true
	end)
end

return function(options)
	local handler
	-- Before the handler's own end of the suite, which prints all that is skipped one by one.
	busted.subscribe({ "suite", "end" }, function()
		write_report(assert(options.arguments[1], "the report needs -Xoutput FILE"), handler)
		handler.pendings = {}
		return nil, true
	end)
	options.deferPrint = true -- no dots
	handler = require("busted.outputHandlers.plainTerminal")(options)
	local ends = os.getenv("STRATA_FILE_ENDS")
	if ends then
		tell_of_files(ends, handler)
	end
	return handler
end
