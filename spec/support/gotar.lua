--- What Go's archive/tar would see in tars, by a reader that gotar.py has of its own; and mutated tars.

local cjson = require "cjson"
local python = require "spec.support.python"

local gotar = {}

-- Types as strata names them, by Go's typeflag.
local TYPES = {
	["0"] = "file",
	["7"] = "file",
	S = "file",
	["1"] = "hardlink",
	["2"] = "symlink",
	["3"] = "char",
	["4"] = "block",
	["5"] = "dir",
	["6"] = "fifo",
}

local function unhex(text)
	return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function ask(...)
	return cjson.decode(python.script("gotar.py", { ... }))
end

-- Global headers are entries to Go, and none that strata lists.
local function decoded(seen)
	for _, one in ipairs(seen) do
		local entries = {}
		for _, row in ipairs(one.entries) do
			if row.type ~= "g" then
				entries[#entries + 1] = {
					name = unhex(row.name),
					linkpath = unhex(row.link),
					type = TYPES[row.type] or "other",
					size = row.size,
				}
			end
		end
		one.entries = entries
	end
	return seen
end

---@class spec.Seen
---@field entries { name: string, type: string, size: integer, linkpath: string }[]
---@field error? string why Go stops
---@field path string
---@field how? string what was done to it

--- What Go sees in tars, plain or gzip.
---@param paths string[]
---@return spec.Seen[]
function gotar.list(paths)
	local seen = decoded(ask("list", (table.unpack or unpack)(paths)))
	for i, path in ipairs(paths) do
		seen[i].path = path
	end
	return seen
end

--- Tars that Python writes, in each format.
---@param dir string
---@return string[] paths
function gotar.seeds(dir)
	return ask("seeds", dir)
end

--- Writes mutants of tars; the same seed gives the same ones.
---@param dir string
---@param seed string
---@param count integer of each
---@param paths string[]
---@return spec.Seen[]
function gotar.mutants(dir, seed, count, paths)
	return decoded(ask("mutate", dir, seed, count, (table.unpack or unpack)(paths)))
end

return gotar
