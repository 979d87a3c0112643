--- Takes a tar apart into its members, byte for byte, for comparing what was written before and after.

local tarball = {}

-- The header block, field by field: first byte and length.
local FIELDS = {
	{ "name", 0, 100 },
	{ "mode", 100, 8 },
	{ "uid", 108, 8 },
	{ "gid", 116, 8 },
	{ "size", 124, 12 },
	{ "mtime", 136, 12 },
	{ "checksum", 148, 8 },
	{ "typeflag", 156, 1 },
	{ "linkname", 157, 100 },
	{ "magic", 257, 8 },
	{ "uname", 265, 32 },
	{ "gname", 297, 32 },
	{ "devmajor", 329, 8 },
	{ "devminor", 337, 8 },
	{ "prefix", 345, 155 },
	{ "rest", 500, 12 },
}

local EXTENSIONS = { x = true, L = true, K = true }
local NO_PAYLOAD = { ["1"] = true, ["2"] = true, ["3"] = true, ["4"] = true, ["5"] = true, ["6"] = true }
local ZEROS = ("\0"):rep(512)

--- The number in a field: octal, or base-256 of a positive number.
---@param raw string
---@return integer
function tarball.number(raw)
	if raw:byte() ~= 128 then
		return tonumber(raw:match("[0-7]+") or "0", 8)
	end
	local number = 0
	for i = 2, #raw do
		number = number * 256 + raw:byte(i)
	end
	return number
end

--- The text in a field, up to a NUL.
---@param raw string
---@return string
function tarball.text(raw)
	local nul = raw:find("\0", 1, true)
	return nul and raw:sub(1, nul - 1) or raw
end

local function fields_of(block)
	local fields = {}
	for _, field in ipairs(FIELDS) do
		fields[field[1]] = block:sub(field[2] + 1, field[2] + field[3])
	end
	return fields
end

local function records_of(body)
	local records, at = {}, 1
	while at <= #body do
		local length, start = body:match("^(%d+) ()", at)
		local record = body:sub(start, at + tonumber(length) - 2)
		local equals = record:find("=", 1, true)
		records[record:sub(1, equals - 1)] = record:sub(equals + 1)
		at = at + tonumber(length)
	end
	return records
end

local function padded(size)
	return math.ceil(size / 512) * 512
end

--- Splits a tar. Each member has `span` (all of its header blocks), `block` (the last of them), `fields` (raw),
--- `pax` (records), `long` and `longlink` (of GNU extension headers) and `data` with its padding. `tail` is what
--- follows the last member.
---@param bytes string
---@return table members
function tarball.split(bytes)
	local members, at, member = {}, 1, nil
	while at + 511 <= #bytes and bytes:sub(at, at + 511) ~= ZEROS do
		member = member or { pax = {}, span = "" }
		local block = bytes:sub(at, at + 511)
		local fields = fields_of(block)
		local size, typeflag = tarball.number(fields.size), fields.typeflag
		member.span = member.span .. block
		at = at + 512
		if EXTENSIONS[typeflag] then
			local body = bytes:sub(at, at + size - 1)
			member.span = member.span .. bytes:sub(at, at + padded(size) - 1)
			at = at + padded(size)
			if typeflag == "x" then
				member.pax = records_of(body)
			else
				member[typeflag == "L" and "long" or "longlink"] = tarball.text(body)
			end
		else
			size = NO_PAYLOAD[typeflag] and 0 or tonumber(member.pax.size or size)
			member.block, member.fields = block, fields
			member.data = bytes:sub(at, at + padded(size) - 1)
			at = at + padded(size)
			members[#members + 1], member = member, nil
		end
	end
	members.tail = bytes:sub(at)
	return members
end

--- The checksum that a header block should have.
---@param block string
---@return integer
function tarball.checksum(block)
	local sum = 8 * 32
	for _, byte in ipairs({ (block:sub(1, 148) .. block:sub(157)):byte(1, -1) }) do
		sum = sum + byte
	end
	return sum
end

--- The names of the fields and PAX records ("pax:key") that differ, sorted; the checksum is left out.
---@param one table member
---@param other table member
---@return string[]
function tarball.differences(one, other)
	local list = {}
	for _, field in ipairs(FIELDS) do
		local name = field[1]
		if name ~= "checksum" and one.fields[name] ~= other.fields[name] then
			list[#list + 1] = name
		end
	end
	for key, value in pairs(one.pax) do
		if other.pax[key] ~= value then
			list[#list + 1] = "pax:" .. key
		end
	end
	for key in pairs(other.pax) do
		if one.pax[key] == nil then
			list[#list + 1] = "pax:" .. key
		end
	end
	for _, key in ipairs({ "long", "longlink" }) do
		if one[key] ~= other[key] then
			list[#list + 1] = key
		end
	end
	table.sort(list)
	return list
end

return tarball
