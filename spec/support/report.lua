-- Output handler for busted: prints what failed as busted does. What spec/run sums up goes to the file named by
-- -Xoutput, if there is one: "passed failed", then a line for each spec that failed ("failed: name: message") or
-- was skipped ("skipped: name TAB reason"), and for each file ("took: seconds seconds-of-processors name").

local busted = require("busted")

local function one_line(text)
	return (tostring(text):gsub("%s+", " "):sub(1, 500))
end

local function reason(result)
	return one_line((type(result.message) == "string" and result.message or result.element.name):gsub("^%S+:%d+: ", ""))
end

-- What this process and those that it has waited for have computed, in seconds: utime, stime, cutime and cstime of
-- proc(5), in hundredths of a second.
local function processor_time()
	local file = assert(io.open("/proc/self/stat"))
	local ticks = file:read("*a"):match("^.*%) " .. ("%S+ "):rep(11) .. "(%d+ %d+ %d+ %d+) ")
	file:close()
	local sum = 0
	for count in ticks:gmatch("%d+") do
		sum = sum + tonumber(count)
	end
	return sum / 100
end

-- The seconds that each file takes, in the order in which they end.
local function time_files()
	local files, began, computed = {}, nil, nil
	busted.subscribe({ "file", "start" }, function()
		began, computed = os.time(), processor_time()
		return nil, true
	end)
	busted.subscribe({ "file", "end" }, function(file)
		files[#files + 1] = ("%d %.1f %s"):format(os.time() - began, processor_time() - computed, file.name)
		return nil, true
	end)
	return files
end

local function write_report(path, handler, files)
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
	for _, line in ipairs(files) do
		file:write("took: ", line, "\n")
	end
	file:close()
end

-- What spec/support/skip.lua skips in front of specs has no spec that begins or ends. What clears away afterwards
-- may fail then, as not all was made.
local function take_skips(handler)
	local of_a_spec, of_something = handler.basePending, handler.baseError
	local skipped = {}
	function handler.basePending(element, parent, message, trace)
		if handler.inProgress[tostring(element)] then
			return of_a_spec(element, parent, message, trace)
		end
		skipped[parent] = true
		handler.pendingsCount = handler.pendingsCount + 1
		table.insert(handler.pendings, handler.format(element, parent, message, trace))
		return nil, true
	end
	function handler.baseError(element, parent, ...)
		local clears = element.descriptor:find("teardown$") or element.descriptor == "after_each"
		if clears and skipped[parent] then
			return nil, false -- nobody else is told
		end
		return of_something(element, parent, ...)
	end
end

return function(options)
	local handler
	local path = options.arguments[1]
	if path then
		options.deferPrint = true -- no dots
		local files = time_files()
		-- Before the handler's own end of the suite, which prints all that is skipped one by one.
		busted.subscribe({ "suite", "end" }, function()
			write_report(path, handler, files)
			handler.pendings = {}
			return nil, true
		end)
	end
	handler = require("busted.outputHandlers.plainTerminal")(options)
	take_skips(handler)
	return handler
end
