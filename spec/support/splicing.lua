--- Images of compressed layers, what is saved of them, and whether others read it: for specs of splicing.

local assert = require "luassert"
local corpus = require "spec.support.corpus"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local splicing = {}

splicing.GZIP = 'gzip -6 -n <"$1" >"$2"'

local WORDS = { "the ", "layer ", "of ", "usr/share/doc/", "\n", "copyright ", "0", "lib", ".so.6", "== " }

--- So many words, or bytes of noise, which make blocks short.
---@param number fun(n: integer): integer
---@param count integer
---@param noise boolean
---@return string
function splicing.text(number, count, noise)
	local parts = {}
	for k = 1, count do
		parts[k] = noise and string.char(number(256) - 1) or WORDS[number(#WORDS)] .. number(50)
	end
	return table.concat(parts)
end

--- A directory with images in it.
---@class spec.Splicing
---@field dir spec.Dir
local Splicing = {}
Splicing.__index = Splicing

---@return spec.Splicing
function splicing.new()
	return setmetatable({ dir = tmp.dir(tmp.for_peers()) }, Splicing)
end

--- A path in the directory, where nothing is.
function Splicing:fresh(name)
	local path = self.dir:file(name)
	shell.check({ "rm", "-rf", "--", path })
	return path
end

--- An image of tars that scripts compress, as those of gzips.encoders; "" leaves one plain.
---@param name string
---@param tars string[] their bytes
---@param scripts string[]
---@param opts? strata.SaveOptions instead of those for a layout
---@return string path
---@return string[] packed the paths of the layers by themselves
function Splicing:image(name, tars, scripts, opts)
	local img, packed = strata.new(), {}
	for i, tar in ipairs(tars) do
		packed[i] = self.dir:write(i .. ".tar", tar)
		if scripts[i] ~= "" then
			local plain = packed[i]
			packed[i] = self.dir:file(i .. ".tar.z")
			shell.sh(scripts[i], plain, packed[i])
		end
		assert(img:append({ tar = packed[i] }))
	end
	local path = self:fresh(name)
	assert(img:save(path, opts or { format = "oci", compression = "keep" }))
	img:close()
	return path, packed
end

--- Saves an image as a layout.
function Splicing:saved(img, name, opts)
	local all = { format = "oci" }
	for key, value in pairs(opts or {}) do
		all[key] = value
	end
	return assert(img:save(self:fresh(name), all))
end

--- The path of a layer of such a layout.
function Splicing:blob(name, layer)
	return self.dir:file(name) .. "/blobs/sha256/" .. layer.digest:match("%x+$")
end

--- gzip or zstd reads what was stored, and it is the layer.
function Splicing:expect_readable(name, result)
	for _, layer in ipairs(result.layers) do
		local reader = ({ gzip = "gzip", zstd = "zstd" })[layer.compression]
		if reader and shell.which(reader) then
			local sum = shell.sh('"$2" -dc <"$1" | sha256sum', self:blob(name, layer), reader)
			assert.equal(layer.diff_id, "sha256:" .. sum:match("^%x+"))
		end
	end
end

--- Calls a function with every image of the corpus.
---@param fn fun(img: strata.Image, place: integer)  place: in its file
function Splicing:each_of_corpus(fn)
	for _, kind in ipairs({ "f", "d" }) do
		for _, file in ipairs(corpus.files("images", kind)) do
			local path = kind == "d" and corpus.with_links(file.path, self.dir:file("links")) or file.path
			local place = 0
			for img in assert(strata.images(path)) do
				place = place + 1
				fn(img, place)
				img:close()
			end
		end
	end
end

return splicing
