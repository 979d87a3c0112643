--- Image archives in the manner of each program that writes them, made from nothing but strings.
--
-- An archive is a list of members that a spec may change before it is written, so that every kind of
-- damage can be done to it. Digests come from sha256sum and compressed layers from gzip.

local shell = require "spec.support.shell"

local docker_archive = {}

-- ---- tar ------------------------------------------------------------------------------------------

local BLOCK = 512

local function octal(number, width)
	return ("%0" .. (width - 1) .. "o"):format(number) .. "\0"
end

-- 8 GiB and more do not fit into eleven octal digits.
local function size_field(size)
	if size < 8 ^ 11 then
		return octal(size, 12)
	end
	local bytes = {}
	for i = 11, 1, -1 do
		bytes[i] = string.char(size % 256)
		size = math.floor(size / 256)
	end
	return "\128" .. table.concat(bytes)
end

local function field(text, width)
	assert(#text <= width, "too long for the header: " .. text)
	return text .. ("\0"):rep(width - #text)
end

---@class spec.Member
---@field name string
---@field data? string
---@field size? number when it is not that of the data
---@field type? string "file", "dir", "symlink", "hardlink", "fifo" or a letter
---@field linkpath? string
---@field mode? integer
---@field mtime? integer

local LETTERS = { file = "0", hardlink = "1", symlink = "2", dir = "5", fifo = "6" }

--- The header of a member, without its data.
---@param member spec.Member
---@return string
function docker_archive.header(member)
	local kind = member.type or "file"
	local before = field(member.name, 100)
		.. octal(member.mode or (kind == "dir" and 493 or 420), 8)
		.. octal(0, 8)
		.. octal(0, 8)
		.. size_field(member.size or #(member.data or ""))
		.. octal(member.mtime or 0, 12)
	local after = (LETTERS[kind] or kind)
		.. field(member.linkpath or "", 100)
		.. "ustar\00000"
		.. field("", 32)
		.. field("", 32)
		.. octal(0, 8)
		.. octal(0, 8)
		.. field("", 155 + 12)
	local sum = 8 * 32
	for _, part in ipairs({ before, after }) do
		for i = 1, #part do
			sum = sum + part:byte(i)
		end
	end
	return before .. ("%06o\0 "):format(sum) .. after
end

function docker_archive.padding(size)
	return ("\0"):rep((BLOCK - size % BLOCK) % BLOCK)
end

--- A tar of these members, end blocks included.
---@param members spec.Member[]
---@return string
function docker_archive.tar(members)
	local parts = {}
	for _, member in ipairs(members) do
		local data = member.data or ""
		parts[#parts + 1] = docker_archive.header(member)
		parts[#parts + 1] = data
		parts[#parts + 1] = docker_archive.padding(#data)
	end
	parts[#parts + 1] = ("\0"):rep(2 * BLOCK)
	return table.concat(parts)
end

-- ---- digests and layers -----------------------------------------------------------------------------

local function filter(bytes, command)
	local path = os.tmpname()
	shell.write(path, bytes)
	local pipe = assert(io.popen(command .. " <" .. shell.quote(path), "r"))
	local output = pipe:read("*a")
	pipe:close()
	os.remove(path)
	return output
end

local hashes = {}

--- The SHA-256 of bytes, in hexadecimal.
function docker_archive.sha256(bytes)
	hashes[bytes] = hashes[bytes] or filter(bytes, "sha256sum"):match("^%x+")
	return hashes[bytes]
end

local sha256 = docker_archive.sha256

function docker_archive.gzip(bytes)
	return filter(bytes, "gzip -nc")
end

---@class spec.Layer
---@field tar string
---@field diff_id string hex
---@field gz string
---@field gz_id string hex
---@field entries spec.Member[]

--- A layer of these entries. Its compressed form is made when somebody asks.
---@param entries spec.Member[]
---@return spec.Layer
function docker_archive.layer(entries)
	local tar = docker_archive.tar(entries)
	return setmetatable({ entries = entries, tar = tar, diff_id = sha256(tar) }, {
		__index = function(self, key)
			if key == "gz" then
				self.gz = docker_archive.gzip(tar)
			elseif key == "gz_id" then
				self.gz_id = sha256(self.gz)
			end
			return rawget(self, key)
		end,
	})
end

-- ---- images -----------------------------------------------------------------------------------------

local function quoted(text)
	return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

--- A JSON array of strings.
function docker_archive.list(strings)
	local parts = {}
	for i, text in ipairs(strings) do
		parts[i] = quoted(text)
	end
	return "[" .. table.concat(parts, ",") .. "]"
end

local list = docker_archive.list

---@class spec.Image
---@field config string
---@field id string hex
---@field layers spec.Layer[]
---@field tags string[]
---@field inner string the text of the config's "config"

local INNER = '{"Env":["PATH=/bin"],"Cmd":["/bin/sh"],"Labels":{"name":"%s"}}'

--- An image of layers, with a config as Docker writes it.
---@param options { tags?: string[], name?: string, layers: spec.Layer[] }
---@return spec.Image
function docker_archive.image(options)
	local rows, ids = {}, {}
	for i, layer in ipairs(options.layers) do
		rows[2 * i - 1] = ('{"created":"2020-01-01T00:00:00Z","created_by":"COPY layer %d"}'):format(i)
		rows[2 * i] = '{"created":"2020-01-01T00:00:00Z","created_by":"ENV X","empty_layer":true}'
		ids[i] = "sha256:" .. layer.diff_id
	end
	local inner = INNER:format(options.name or "app")
	local config = ('{"architecture":"amd64","config":%s,"created":"2020-01-01T00:00:00Z",'):format(inner)
		.. ('"history":[%s],"os":"linux","rootfs":{"type":"layers","diff_ids":%s}}'):format(
			table.concat(rows, ","),
			list(ids)
		)
	return {
		tags = options.tags or { "app:1" },
		layers = options.layers,
		config = config,
		inner = inner,
		id = sha256(config),
	}
end

--- Layers of a few entries that differ by their number.
---@param count integer
---@return spec.Layer[]
function docker_archive.layers(count)
	local layers = {}
	for i = 1, count do
		layers[i] = docker_archive.layer({
			{ name = "etc/", type = "dir" },
			{ name = "etc/layer" .. i, data = ("this is layer %d\n"):format(i):rep(40 * i) },
			{ name = "etc/link" .. i, type = "hardlink", linkpath = "etc/layer" .. i },
			{ name = "etc/current", type = "symlink", linkpath = "layer" .. i },
		})
	end
	return layers
end

-- ---- archives ---------------------------------------------------------------------------------------

---@class spec.Archive
---@field members spec.Member[]
local Archive = {}
Archive.__index = Archive

---@param members? spec.Member[]
---@return spec.Archive
function docker_archive.new(members)
	return setmetatable({ members = members or {} }, Archive)
end

--- Adds a member; one of that name that is there already stays.
function Archive:add(name, data, more)
	if not self:position(name) then
		local member = { name = name, data = data }
		for key, value in pairs(more or {}) do
			member[key] = value
		end
		self.members[#self.members + 1] = member
	end
	return self
end

function Archive:position(name)
	for i, member in ipairs(self.members) do
		if member.name == name then
			return i
		end
	end
	return nil
end

--- The member of a name, which must be there.
---@param name string
---@return spec.Member
function Archive:member(name)
	return self.members[assert(self:position(name), "no member " .. name)]
end

function Archive:remove(name)
	return table.remove(self.members, assert(self:position(name), "no member " .. name))
end

--- Moves a member to the front.
function Archive:first(name)
	table.insert(self.members, 1, self:remove(name))
	return self
end

function Archive:bytes()
	return docker_archive.tar(self.members)
end

function Archive:write(path)
	shell.write(path, self:bytes())
	return path
end

return docker_archive
