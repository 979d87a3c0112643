--- The tasks that strata gives to the core's jobs, for specs about what is read and hashed, and how often.

local core = require("strata.core")

local tasks = {}

---@class spec.Task
---@field kind string "copy", "recode", "hash" ...
---@field fields table as the core gets them

--- Notes the tasks of all jobs that are made while a function runs.
---@param fn fun()
---@return spec.Task[]
function tasks.of(fn)
	local list, real = {}, core.job
	function core.job()
		local job = real()
		return setmetatable({}, {
			__index = function(_, kind)
				return function(_, ...)
					local fields = ...
					if type(fields) == "table" then
						list[#list + 1] = { kind = kind, fields = fields }
					end
					return job[kind](job, ...)
				end
			end,
		})
	end
	local ok, thrown = pcall(fn)
	core.job = real
	if not ok then
		error(thrown, 0)
	end
	return list
end

--- Those of one kind.
---@param list spec.Task[]
---@param kind string
---@return table[] fields
function tasks.only(list, kind)
	local found = {}
	for _, task in ipairs(list) do
		if task.kind == kind then
			found[#found + 1] = task.fields
		end
	end
	return found
end

return tasks
