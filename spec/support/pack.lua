--- Tars and docker-save archives written without a line of the library's own, fast enough for thousands of them.

local cjson = require "cjson"
local core = require "strata.core" -- for SHA-256 alone
local rawtar = require "spec.support.rawtar"
local shell = require "spec.support.shell"

local pack = {}

local TYPEFLAGS = {
	file = "0", hardlink = "1", symlink = "2", char = "3", block = "4", dir = "5", fifo = "6",
}

local function padded(bytes)
	return bytes .. ("\0"):rep(-#bytes % 512)
end

-- An owner: in octal as far as that goes, and then as GNU tar writes it.
local function owner(id)
	if id < 0 then
		return ("\255"):rep(8)
	end
	return id < 2097152 and ("%07o\0"):format(id) or rawtar.base256(id, 8)
end

local function block(name, typeflag, size, entry)
	local link = entry.linkname or ""
	local front = name .. ("\0"):rep(100 - #name)
		.. ("%07o\0"):format(entry.mode or 420) .. owner(entry.uid or 0) .. owner(entry.gid or 0)
		.. ("%011o\0%011o\0"):format(size, entry.mtime or 1e9)
	local rest = typeflag .. link .. ("\0"):rep(100 - #link) .. "ustar\00000" .. ("\0"):rep(64)
		.. ("%07o\0%07o\0"):format(entry.major or 0, entry.minor or 0)
	local sum = 8 * 32
	for _, part in ipairs({ front, rest }) do
		for i = 1, #part do
			sum = sum + part:byte(i)
		end
	end
	return padded(front .. ("%06o\0 "):format(sum) .. rest)
end

-- "<length> <key>=<value>\n", where the length counts its own digits.
local function record(key, value)
	local body = " " .. key .. "=" .. value .. "\n"
	local length = #body + 1
	while #tostring(length) + #body ~= length do
		length = #tostring(length) + #body
	end
	return ("%d"):format(length) .. body
end

-- Attributes of an entry as PAX records, sorted by name, behind those that it has itself.
local function extension(entry)
	local names, records, own = {}, {}, entry.pax or {}
	for i = 1, #own, 2 do
		records[#records + 1] = record(own[i], own[i + 1])
	end
	for name in pairs(entry.xattrs or {}) do
		names[#names + 1] = name
	end
	table.sort(names)
	for _, name in ipairs(names) do
		records[#records + 1] = record("SCHILY.xattr." .. name, entry.xattrs[name])
	end
	local body = table.concat(records)
	return body == "" and "" or block("PaxHeaders/x", "x", #body, {}) .. padded(body)
end

--- A tar of these entries: name, type ("file" unless told, or a typeflag), data, mode, uid, gid, mtime, linkname,
--- major, minor, xattrs, pax (key, value, key ...). Names and targets have to be short ones. An owner can be -1.
---@param entries table[]
---@return string bytes
function pack.tar(entries)
	local parts = {}
	for _, entry in ipairs(entries) do
		local data = entry.data or ""
		parts[#parts + 1] = extension(entry)
		parts[#parts + 1] = block(entry.name, TYPEFLAGS[entry.type or "file"] or entry.type, #data, entry)
		parts[#parts + 1] = padded(data)
	end
	return table.concat(parts) .. ("\0"):rep(1024)
end

--- Writes an archive of these layers.
---@param path string
---@param layers table[][] entries of each, the base first
---@param rows? integer of the history; one for each layer unless given
---@param options? { change: fun(config: table, row: table)?, stored: (fun(tar: string): string)? } what is done to the
--- documents, and to each layer, before they are written
function pack.image(path, layers, rows, options)
	local change, stored = (options or {}).change, (options or {}).stored
	local members, names, diff_ids, history = {}, {}, {}, {}
	local function add(name, data)
		members[#members + 1] = { name = name, data = data }
	end
	for i, entries in ipairs(layers) do
		local tar = pack.tar(entries)
		names[i], diff_ids[i] = ("%d/layer.tar"):format(i), core.sha256(tar)
		history[i] = i <= (rows or i) and { created_by = "step " .. i } or nil
		add(names[i], stored and stored(tar) or tar)
	end
	local document, row = {
		architecture = "amd64", os = "linux", config = { Cmd = { "/bin/sh" } }, history = #history > 0 and history or nil,
		rootfs = { type = "layers", diff_ids = diff_ids },
	}, { Layers = names, RepoTags = { "stack:1" } }
	if change then
		change(document, row)
	end
	local config = cjson.encode(document)
	local name = core.sha256(config):match("%x+$") .. ".json"
	add(name, config)
	row.Config = name
	add("manifest.json", cjson.encode({ row }))
	shell.write(path, pack.tar(members))
end

return pack
