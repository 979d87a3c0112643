--- The modules that strata exports, and one object of each class, for specs that look into all of them.

local docker_archive = require "spec.support.docker_archive"
local exports = require "spec.support.exports"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local specimens = {}

-- strata.resty only loads in nginx.
local function load_resty()
	local before = package.loaded["ngx.semaphore"]
	package.loaded["ngx.semaphore"] = {}
	local resty = require("strata.resty")
	package.loaded["ngx.semaphore"], package.loaded["strata.resty"] = before, nil
	return resty
end

specimens.MODULES = {
	strata = strata,
	["strata.archive"] = require("strata.archive"),
	["strata.assert"] = require("strata.assert"),
	["strata.jobs"] = require("strata.jobs"),
	["strata.policy"] = require("strata.policy"),
	["strata.resty"] = load_resty(),
	["strata.stream"] = strata.stream,
	["strata.waste"] = require("strata.waste"),
}

local function member(name, kind, more)
	local made = { name = name, type = kind }
	for key, value in pairs(more or {}) do
		made[key] = value
	end
	return made
end

local function build_layers()
	return {
		docker_archive.layer({
			member("etc/", "dir"),
			member("etc/passwd", "file", { data = ("root:x:0:0\n"):rep(400) }),
			member("etc/removed", "file", { data = "removed" }),
			member("etc/link", "hardlink", { linkpath = "etc/passwd" }),
			member("etc/current", "symlink", { linkpath = "passwd" }),
			member("dev/null", "3"),
			member("opt/setuid", "file", { mode = 2541, data = "#!" }),
		}),
		docker_archive.layer({
			member("etc/passwd", "file", { data = ("root:x:0:0\n"):rep(400), mode = 384 }),
			member("etc/.wh.removed", "file", { data = "" }),
			member("etc/new", "file", { data = "new\n" }),
		}),
	}
end

---@class spec.Specimens
---@field dir spec.Dir
---@field app string path of the archive
---@field objects table<string, userdata> by class
local Specimens = {}
Specimens.__index = Specimens

--- One object of each class: of an image in an archive of two layers; "layout" beside it is the same as a layout.
---@return spec.Specimens
function specimens.new()
	local dir = tmp.dir()
	local app = dir:file("app.tar")
	local built = docker_archive.new()
	local image = docker_archive.image({ layers = build_layers() })
	built:add("config.json", image.config)
	for i, layer in ipairs(image.layers) do
		built:add(i .. ".tar", layer.tar)
	end
	built:add(
		"manifest.json",
		('[{"Config":"config.json","RepoTags":["app:1"],"Layers":%s}]'):format(docker_archive.list({ "1.tar", "2.tar" }))
	)
	built:write(app)
	local img = assert(strata.open(app))
	assert(img:save(dir:file("layout"), { format = "oci" }))
	local root = assert(img:rootfs())
	local parser = strata.stream.tar()
	assert(parser:feed(built:bytes()))
	assert(parser:next())
	local objects = {
		["strata.Image"] = img,
		["strata.Layer"] = img.layers[1],
		["strata.Entry"] = img.layers[1]:entry("etc/passwd"),
		["strata.Config"] = img.config,
		["strata.HistoryRow"] = img:history()[1],
		["strata.Platform"] = img.platform,
		["strata.Rootfs"] = root,
		["strata.RootEntry"] = assert(root:stat("etc/passwd")),
		["strata.RootFile"] = assert(root:open("etc/passwd")),
		["strata.Artifact"] = assert(strata.artifact({ type = "text/plain", files = { a = "b" } })),
		["strata.Index"] = assert(strata.open_index(dir:file("layout"))),
		["strata.TarStream"] = parser,
		["strata.Registry"] = assert(strata.registry()),
		["strata.Transform"] = assert(strata.stream.image({ tags = { "app:2" } })),
	}
	return setmetatable({ dir = dir, app = app, objects = objects }, Specimens)
end

--- The methods of a class, also of strata.Resty, which wants nginx to be made.
---@param name string
---@return table<string, function>
function Specimens:methods(name)
	if name == "strata.Resty" then
		local methods = {}
		for key, value in pairs(exports.upvalue(specimens.MODULES["strata.resty"].new, "methods")) do
			methods[key] = key ~= "__index" and value or nil
		end
		return methods
	end
	return exports.methods(self.objects[name])
end

function Specimens:close()
	self.objects["strata.Index"]:close()
	self.objects["strata.Image"]:close()
	self.dir:remove()
end

return specimens
