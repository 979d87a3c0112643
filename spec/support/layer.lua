--- Single layers for specs of the core: a tar made of a list of entries, its index, and what a job writes.

local core = require("strata.core")

local layer = {}

---@class spec.LayerEntry: table  the fields of core.write_header, and
---@field data? string

--- A tar of these entries.
---@param entries spec.LayerEntry[]
---@return string
function layer.tar(entries)
	local parts = {}
	for i, entry in ipairs(entries) do
		local header, data = {}, entry.data or ""
		for key, value in pairs(entry) do
			header[key] = value
		end
		header.data, header.size = nil, #data
		parts[i] = assert(core.write_header(header)) .. data .. ("\0"):rep(-#data % 512)
	end
	return table.concat(parts) .. ("\0"):rep(1024)
end

--- A file without a name that holds these bytes.
---@param bytes string
---@return userdata
function layer.file(bytes)
	local file = assert(core.temp_file())
	assert(file:write(0, bytes))
	return file
end

--- An index of the entries, or of the bytes of a tar.
---@param entries spec.LayerEntry[]|string
---@return userdata
function layer.index(entries)
	local bytes = type(entries) == "string" and entries or layer.tar(entries)
	local index = core.entry_index(layer.file(bytes), 0, #bytes, "none")
	assert(index:scan())
	return index
end

--- Starts a job and waits for its end.
---@return boolean? ok
---@return string? message
---@return string? code
function layer.run(job)
	assert(job:start())
	while not job:wait(1) do
	end
	return job:result()
end

--- Carries the edits out and returns the bytes of the new tar.
---@return string? bytes
---@return string? message
---@return string? code
function layer.write(index)
	local job, to = core.job(), assert(core.temp_file())
	job:write({ index = index, to = to })
	local ok, message, code = layer.run(job)
	job:close()
	if not ok then
		return nil, message, code
	end
	return assert(to:read(0, to:size()))
end

--- The same, read again.
---@return userdata index
function layer.rewritten(index)
	return layer.index(assert(layer.write(index)))
end

return layer
