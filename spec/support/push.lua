--- Pushing bytes through streams, and what comes out beside what a save writes.

local assert = require "luassert"
local shell = require "spec.support.shell"
local strata = require "strata"
local tarball = require "spec.support.tarball"

local push = {}

--- Numbers that are the same on every Lua.
---@param seed integer
---@return fun(n: integer): integer random from 1 to n
function push.generator(seed)
	local state = seed * 7919 + 1
	return function(n)
		state = (state * 16807) % 2147483647
		return state % n + 1
	end
end

--- The pieces of some bytes: of a size, or as a function says.
---@param bytes string
---@param size integer|fun(): integer
---@return fun(): string|nil
function push.pieces(bytes, size)
	local at = 1
	return function()
		if at > #bytes then
			return nil
		end
		local n = type(size) == "function" and size() or size
		local piece = bytes:sub(at, at + n - 1)
		at = at + n
		return piece
	end
end

--- Pushes bytes through a transform and gives all that comes out.
---@param t function
---@param bytes string
---@param size? integer|fun(): integer
---@param lazy? boolean what waits is left to the next calls
---@return string? out
---@return string? message
---@return string? code
function push.through(t, bytes, size, lazy)
	local parts = {}
	local function take(chunk)
		local out, more, code = t(chunk)
		while out do
			parts[#parts + 1] = out
			if not more or lazy then
				return true
			end
			out, more, code = t("")
		end
		return nil, more, code
	end
	for piece in push.pieces(bytes, size or 65536) do
		local ok, message, code = take(piece)
		if not ok then
			return nil, message, code
		end
	end
	local ok, message, code = take(nil)
	if not ok then
		return nil, message, code
	end
	return table.concat(parts)
end

--- The members of an archive with every byte of them, sorted; and what is behind them.
---@param bytes string
---@return string[]
---@return string tail
function push.members(bytes)
	local list = {}
	local members = tarball.split(bytes)
	for i, member in ipairs(members) do
		list[i] = member.span .. member.data
	end
	table.sort(list)
	return list, members.tail
end

---@class spec.Edits
---@field filter? function
---@field rewrite? function
---@field config? function
---@field tags? string[]
---@field attestations? string

--- Edits that reach every layer and the config.
---@type spec.Edits
push.EDITS = {
	filter = function(entry)
		return entry.path ~= "etc/layer2"
	end,
	rewrite = function(entry)
		entry.uid = 7
	end,
	config = function(config)
		config:set_env("STREAM", "yes"):set_label("z", "1")
	end,
}

--- What the transform of an image archive gives.
---@param bytes string
---@param options table of strata.stream.image
---@param size? integer|fun(): integer
---@return string? out
---@return string? message
---@return string? code
function push.edited(bytes, options, size)
	local t, message, code = strata.stream.image(options)
	if not t then
		return nil, message, code
	end
	return push.through(t, bytes, size)
end

--- The transform must refuse these bytes, with this code and all these words.
---@param code string
---@param words string[]
---@param bytes string
---@param options? table push.EDITS unless given
function push.refuse(code, words, bytes, options)
	local out, message, got = push.edited(bytes, options or push.EDITS)
	assert.is_true(out == nil, "it is not refused")
	assert.equal(code, got, message)
	for _, word in ipairs(words) do
		assert.is_truthy(message:find(word, 1, true), message)
	end
	assert.is_nil(message:find("\n", 1, true))
end

-- The level that layers get without one. A save with a level compresses edited gzip layers as a stream does; without
-- one it leaves what it can of their blocks.
local function default_level(img)
	for _, layer in img:layers() do
		if layer.compression == "zstd" then
			return nil
		end
	end
	return strata.versions().gzip:find("isa-l", 1, true) and 2 or 6
end

--- What opening, editing and saving gives, in the archive's own way.
---@param path string
---@param edits spec.Edits
---@param options? table of strata.open
---@return string? bytes
---@return string? message
---@return string? code
function push.saved(path, edits, options)
	local img, message, code = strata.open(path, options)
	if not img then
		return nil, message, code
	end
	local ok = true
	if edits.filter then
		ok, message, code = img:filter(edits.filter)
	end
	if ok and edits.rewrite then
		ok, message, code = img:rewrite(edits.rewrite)
	end
	if ok and edits.tags then
		img.tags = edits.tags
	end
	if ok and edits.config then
		edits.config(img.config)
	end
	if ok then
		ok, message, code = img:save(path .. ".saved", { attestations = edits.attestations, level = default_level(img) })
	end
	img:close()
	if not ok then
		return nil, message, code
	end
	return shell.read(path .. ".saved")
end

return push
