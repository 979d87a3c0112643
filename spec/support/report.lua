-- Output handler for busted: prints as busted does, and writes what spec/run
-- sums up to the file named by -Xoutput: "passed failed", then one line for each
-- skipped spec.

local busted = require("busted")

return function(options)
	local handler = require("busted.outputHandlers.plainTerminal")(options)
	local path = assert(options.arguments[1], "the report needs -Xoutput FILE")

	busted.subscribe({ "suite", "end" }, function()
		local file = assert(io.open(path, "w"))
		local failed = handler.failuresCount + handler.errorsCount
		file:write(("%d %d\n"):format(handler.successesCount, failed))
		for _, pending in ipairs(handler.pendings) do
			local why = type(pending.message) == "string" and ": " .. pending.message or ""
			file:write(((pending.name .. why):gsub("%s+", " ")), "\n")
		end
		file:close()
		return nil, true
	end)

	return handler
end
