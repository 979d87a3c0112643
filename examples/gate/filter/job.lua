--- A job of strata in a thread of the filter, with the priority that the threads of the judges have.

local jobs = require "strata.jobs"
local priority = require "gate.priority"

---@param args {name: string, args: table}
---@return table?
---@return string? message
---@return string? code
return function(args)
  priority.lower()
  return jobs.run(args.name, args.args)
end
