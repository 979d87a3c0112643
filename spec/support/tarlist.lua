--- What GNU tar sees in a tar file: the oracle for entries.

local shell = require "spec.support.shell"

local tarlist = {}

local TYPES = {
	["-"] = "file",
	d = "dir",
	l = "symlink",
	h = "hardlink",
	c = "char",
	b = "block",
	p = "fifo",
}

-- tar prints names with backslash escapes when asked to, so that every name is one line of ASCII.
local ESCAPES = { n = "\n", t = "\t", r = "\r", a = "\a", b = "\b", f = "\f", v = "\v", ["\\"] = "\\" }

local function unescape(text)
	return (
		text:gsub("\\(%d%d%d)", function(octal)
			return "\0" .. octal -- marked first, so that an escaped backslash does not eat a digit
		end):gsub("\\(.)", function(letter)
			return ESCAPES[letter] or letter
		end):gsub("%z(%d%d%d)", function(octal)
			return string.char(tonumber(octal, 8))
		end)
	)
end

local function permissions(text)
	local mode = 0
	local weights = { 256, 128, 64, 32, 16, 8, 4, 2, 1 }
	for i = 1, 9 do
		local letter = text:sub(i, i)
		if letter:find("[rwxst]") then
			mode = mode + weights[i]
		end
		if letter:find("[sStT]") then
			mode = mode + ({ [3] = 2048, [6] = 1024, [9] = 512 })[i]
		end
	end
	return mode
end

--- Seconds since 1970 of a civil time in UTC.
local function seconds(year, month, day, hour, minute, second)
	year, month = tonumber(year), tonumber(month)
	if month <= 2 then
		year, month = year - 1, month + 12
	end
	local days = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
	days = days + math.floor((153 * (month - 3) + 2) / 5) + tonumber(day) - 1 - 719468
	return days * 86400 + tonumber(hour) * 3600 + tonumber(minute) * 60 + tonumber(second)
end

local LINE = "^(.)(%S%S%S%S%S%S%S%S%S)%S*%s+(%d+)/(%d+)%s+(%S+) (%d+)-(%d+)-(%d+) (%d+):(%d+):([%d.]+) (.*)$"

local function parse(line)
	local letter, mode, uid, gid, size, year, month, day, hour, minute, second, name = line:match(LINE)
	assert(letter, "tar printed a line that is not understood: " .. line)
	local entry = {
		type = assert(TYPES[letter], line),
		mode = permissions(mode),
		uid = tonumber(uid),
		gid = tonumber(gid),
		mtime = seconds(year, month, day, hour, minute, second),
		xattrs = {},
	}
	local target
	if letter == "l" then
		name, target = name:match("^(.*) %-> (.*)$")
	elseif letter == "h" then
		name, target = name:match("^(.*) link to (.*)$")
	end
	if letter == "c" or letter == "b" then
		entry.major, entry.minor = size:match("^(%d+),(%d+)$")
		entry.major, entry.minor = tonumber(entry.major), tonumber(entry.minor)
		entry.size = 0
	else
		entry.size = tonumber(size)
	end
	entry.name = unescape(name)
	entry.path = entry.name:gsub("^%./", ""):gsub("/+$", "")
	entry.linkpath = target and unescape(target)
	return entry
end

--- Lists a tar file. Every entry has name, path, type, mode, uid, gid, size, mtime, linkpath, major,
--- minor, and in `xattrs` the size of each extended attribute.
---@param path string
---@return table[]
function tarlist.entries(path)
	local output = shell.check({
		"tar",
		"--list",
		"-vv",
		"--file=" .. path,
		"--absolute-names",
		"--numeric-owner",
		"--full-time",
		"--quoting-style=escape",
		"--xattrs",
		"--xattrs-include=*",
		env = { LC_ALL = "C", TZ = "UTC" },
	})
	local entries = {}
	for line in output:gmatch("[^\n]+") do
		local size, xattr = line:match("^  x: *(%d+) (.*)$")
		if xattr then
			entries[#entries].xattrs[xattr] = tonumber(size)
		else
			entries[#entries + 1] = parse(line)
		end
	end
	return entries
end

--- The names of the members, in order.
---@param path string
---@return string[]
function tarlist.names(path)
	local names = {}
	for i, entry in ipairs(tarlist.entries(path)) do
		names[i] = entry.name
	end
	return names
end

--- The content of a member.
---@param path string
---@param name string
---@return string
function tarlist.read(path, name)
	return (shell.check({ "tar", "--extract", "--to-stdout", "--absolute-names", "--file=" .. path, "--", name }))
end

--- Unpacks an archive below a directory, and returns for the one image in it what its manifest.json says:
--- the path of the config, and the paths of the layers, symlinks followed.
---@param path string
---@param dir spec.Dir
---@return { config: string, layers: string[], tags: string[] }
function tarlist.unpack_image(path, dir)
	shell.check({ "tar", "--extract", "--file=" .. path, "--directory=" .. dir.path })
	local manifest = require("cjson").decode(shell.read(dir:file("manifest.json")))
	local layers = {}
	for i, name in ipairs(manifest[1].Layers) do
		layers[i] = dir:file(name)
	end
	return { config = dir:file(manifest[1].Config), layers = layers, tags = manifest[1].RepoTags }
end

return tarlist
