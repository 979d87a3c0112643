--- Sets of names, to be compared.

local names = {}

--- The keys of a table, sorted.
---@param set table?
---@return string[]
function names.sorted(set)
	local list = {}
	for name in pairs(set or {}) do
		list[#list + 1] = name
	end
	table.sort(list)
	return list
end

--- The keys of several tables.
---@param ... table
---@return table<string, boolean>
function names.union(...)
	local set = {}
	for _, one in ipairs({ ... }) do
		for name in pairs(one) do
			set[name] = true
		end
	end
	return set
end

return names
