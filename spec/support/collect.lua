--- What an iterator gives, as an array.
---@param next_one (fun(): any)?  as assert takes it
---@return any[]
return function(next_one, message)
	local list = {}
	for one in assert(next_one, message) do
		list[#list + 1] = one
	end
	return list
end
