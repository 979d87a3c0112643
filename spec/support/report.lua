-- Output handler for busted: prints as busted does, and writes what spec/run
-- sums up to the file named by -Xoutput: "passed failed", then one line for each
-- spec that failed ("failed: ") or was skipped ("skipped: ").

local busted = require("busted")

return function(options)
	local handler = require("busted.outputHandlers.plainTerminal")(options)
	local path = assert(options.arguments[1], "the report needs -Xoutput FILE")

	busted.subscribe({ "suite", "end" }, function()
		local file = assert(io.open(path, "w"))
		local failed = handler.failuresCount + handler.errorsCount
		file:write(("%d %d\n"):format(handler.successesCount, failed))
		local function list(word, results)
			for _, result in ipairs(results) do
				local why = type(result.message) == "string" and ": " .. result.message or ""
				local line = (result.name .. why):gsub("%s+", " ")
				file:write(word, ": ", line:sub(1, 500), "\n")
			end
		end
		list("failed", handler.failures)
		list("failed", handler.errors)
		list("skipped", handler.pendings)
		file:close()
		return nil, true
	end)

	return handler
end
