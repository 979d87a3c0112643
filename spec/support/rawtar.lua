--- Tars put together from header fields as they are, so that anything can be wrong with them.

local rawtar = {}

local function field(value, width)
	assert(#value <= width, "too long for its field")
	return value .. ("\0"):rep(width - #value)
end

local function number(value, width)
	if type(value) == "string" then
		return field(value, width)
	end
	return ("%0" .. (width - 1) .. "o"):format(value) .. "\0"
end

rawtar.GNU, rawtar.USTAR, rawtar.V7 = "ustar  \0", "ustar\00000", ("\0"):rep(8)

local function pad(bytes)
	return bytes .. ("\0"):rep(-#bytes % 512)
end

---@class spec.Header
---@field name? string
---@field type? string a letter, "0" unless given
---@field size? integer|string numbers are written in octal, strings stand as they are
---@field mode? integer|string
---@field uid? integer|string
---@field gid? integer|string
---@field mtime? integer|string
---@field major? integer|string
---@field minor? integer|string
---@field linkname? string
---@field magic? string
---@field prefix? string
---@field rest? string the last 12 bytes
---@field checksum? string

--- One header block.
---@param h spec.Header
---@return string
function rawtar.header(h)
	local before = field(h.name or "file", 100)
		.. number(h.mode or 420, 8)
		.. number(h.uid or 0, 8)
		.. number(h.gid or 0, 8)
		.. number(h.size or 0, 12)
		.. number(h.mtime or 0, 12)
	local after = (h.type or "0")
		.. field(h.linkname or "", 100)
		.. (h.magic or rawtar.USTAR)
		.. field("", 64)
		.. number(h.major or 0, 8)
		.. number(h.minor or 0, 8)
		.. field(h.prefix or "", 155)
		.. field(h.rest or "", 12)
	local sum = 8 * 32
	for _, part in ipairs({ before, after }) do
		for i = 1, #part do
			sum = sum + part:byte(i)
		end
	end
	return before .. (h.checksum or ("%06o\0 "):format(sum)) .. after
end

--- An entry with its data; the size is that of the data unless the header says another one.
---@param h spec.Header
---@param data? string
function rawtar.entry(h, data)
	data = data or ""
	local copy = {}
	for key, value in pairs(h) do
		copy[key] = value
	end
	copy.size = h.size or #data
	return rawtar.header(copy) .. pad(data)
end

--- A PAX record.
function rawtar.record(key, value)
	local length = #key + #value + 3
	local total = length + #tostring(length)
	total = length + #tostring(total)
	return ("%d "):format(total) .. key .. "=" .. value .. "\n" -- "%s" of Lua 5.1 ends at a NUL
end

--- An extended header of records, each "key", "value"; or of one text as it is.
---@param records string[]|string
---@param letter? string "x" unless given
function rawtar.pax(records, letter)
	local body = records
	if type(records) == "table" then
		body = ""
		for i = 1, #records, 2 do
			body = body .. rawtar.record(records[i], records[i + 1])
		end
	end
	return rawtar.entry({ name = "PaxHeaders/x", type = letter or "x" }, body)
end

--- A GNU header for a long name ("L") or a long target ("K").
function rawtar.long(letter, text)
	return rawtar.entry({ name = "././@LongLink", type = letter, magic = rawtar.GNU }, text .. "\0")
end

rawtar.END = ("\0"):rep(1024)

--- Parts, and the end blocks.
---@param ... string
function rawtar.tar(...)
	return table.concat({ ... }) .. rawtar.END
end

--- A number in base-256.
---@param value integer
---@param width integer
function rawtar.base256(value, width)
	local bytes = {}
	for i = width, 1, -1 do
		bytes[i] = string.char(value % 256)
		value = math.floor(value / 256)
	end
	bytes[1] = string.char(bytes[1]:byte() % 128 + 128)
	return table.concat(bytes)
end

return rawtar
