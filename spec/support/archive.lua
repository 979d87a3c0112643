--- Images for the specs that no code of this project had a hand in: written and read by Python's tarfile.

local cjson = require "cjson"
local python = require "spec.support.python"
local shell = require "spec.support.shell"
local strata = require "strata"
local tarball = require "spec.support.tarball"
local tmp = require "spec.support.tmp"

local archive = {}


--- `it`, or where Python is missing a function that makes the spec pending and says so.
---@param it function
---@param pending function
---@return fun(name: string, body: function)
function archive.specify(it, pending)
	if shell.which(python.PATH) then
		return it
	end
	return function(name)
		it(name, function()
			pending(python.PATH .. " is not installed")
		end)
	end
end

local function ask(command, request)
	return cjson.decode(python.script("archive.py", { command }, cjson.encode(request)))
end

---@class spec.LayerRequest
---@field entries? table[] name, type, data, mode, uid, gid, uname, gname, mtime, linkname, major, minor, pax
---@field format? "pax"|"gnu"|"ustar"
---@field file? string path of a tar to take instead of entries
---@field raw? string bytes of a tar to take instead of entries
---@field gzip? boolean

--- Writes an archive.
---@param path string
---@param request { layers: spec.LayerRequest[], tags?: string[], config?: table }
---@return { id: string, diff_ids: string[] }
function archive.build(path, request)
	request.out = path
	return ask("build", request)
end

--- What an archive of one image holds: id, config, tags, history, diff_ids (as the config says), layers (name,
--- digest, diff_id as hashed, entries), and in `merged` what a container sees of it.
---@param path string
---@param data? integer the most bytes of a content to tell, 4096 unless given
---@param plain? boolean put the plain tar of each layer beside the archive
---@return table
function archive.look(path, data, plain)
	return ask("look", { path = path, data = data, plain = plain })
end

--- The entries of a plain tar.
---@param path string
---@param data? integer
---@return table[]
function archive.list(path, data)
	return ask("list", { path = path, data = data }).entries
end

--- The first of some entries with that name.
---@param entries table[]
---@param name string
---@return table|nil
function archive.find(entries, name)
	for _, entry in ipairs(entries) do
		if entry.name == name then
			return entry
		end
	end
	return nil
end

--- The names of some entries, in order.
---@param entries table[]
---@return string[]
function archive.names(entries)
	local names = {}
	for i, entry in ipairs(entries) do
		names[i] = entry.name
	end
	return names
end

---@class spec.Bench
---@field dir spec.Dir
---@field images strata.Image[]
local Bench = {}
Bench.__index = Bench

--- A directory for a spec's images.
---@return spec.Bench
function archive.bench()
	return setmetatable({ dir = tmp.dir(tmp.for_peers()), images = {}, saved = 0 }, Bench)
end

--- Opens an image that goes with the bench.
---@param path string
---@param options? table
---@return strata.Image
function Bench:load(path, options)
	local img = assert(strata.open(path, options))
	self.images[#self.images + 1] = img
	return img
end

--- Builds an archive of these layers and opens it.
---@param layers spec.LayerRequest[]
---@param request? table tags, config
---@return strata.Image
---@return { id: string, diff_ids: string[] } made
---@return string path
function Bench:open(layers, request)
	request = request or {}
	request.layers = layers
	local path = self.dir:file(("image%d.tar"):format(#self.images + 1))
	local made = archive.build(path, request)
	return self:load(path), made, path
end

--- Saves an image, and checks that the result is one whole: with the ID that was told before and digests that
--- are right, seen by strata and by Python.
---@param img strata.Image
---@param data? integer the most bytes of a content to tell
---@return table look what archive.look() tells
---@return string path
function Bench:save(img, data)
	self.saved = self.saved + 1
	local path = self.dir:file(("saved%d.tar"):format(self.saved))
	local result = assert(img:save(path))
	local look = archive.look(path, data, true)
	assert(look.id == result.id, "the ID is not the hash of the config")
	assert(look.id == img.id, "the image tells another ID than the result has")
	assert(#look.layers == #look.diff_ids, "layers and diff_ids differ in number")
	for i, layer in ipairs(look.layers) do
		assert(layer.diff_id == look.diff_ids[i], ("diff_id %d is not that of the layer"):format(i))
		assert(layer.diff_id == result.layers[i].diff_id, ("the result tells another diff_id %d"):format(i))
		assert(layer.digest == img.layers[i].digest, ("layer %d tells another digest"):format(i))
		assert(layer.size == img.layers[i].size, ("layer %d tells another size"):format(i))
	end
	assert(self:load(path):verify())
	return look, path
end

--- The file with the plain tar of a layer of an archive that open() or save() has written.
---@param path string
---@param number? integer 1 unless given
---@return string path
function Bench.layer(_, path, number)
	return ("%s.layer%d"):format(path, number or 1)
end

--- The members of a layer, as tarball.split() gives them.
---@param path string of the archive
---@param number? integer
---@return table[]
function Bench:split(path, number)
	return tarball.split(shell.read(self:layer(path, number)))
end

function Bench:close()
	for _, img in ipairs(self.images) do
		img:close()
	end
	self.dir:remove()
end

return archive
