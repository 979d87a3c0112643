--- img:rootfs(), img:export() and img:flatten() beside what containers and unpackers make of the same images.

local archive = require "spec.support.archive"
local docker = require "spec.support.docker"
local peers = require "spec.support.peers"
local sample = require "spec.support.sample"
local rights = require "spec.support.rights"
local shell = require "spec.support.shell"
local skip = require "spec.support.skip"
local skopeo = require "spec.support.skopeo"
local stacks = require "spec.support.stacks"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local RUNS = 12

local TYPE_BITS = { file = 0x8000, dir = 0x4000, symlink = 0xa000, char = 0x2000, block = 0x6000, fifo = 0x1000 }

local need = peers.need

-- The root file system as sample.listing() tells it.
local function listing(root)
	local files = {}
	for entry in root:walk() do
		local kind = entry.type
		local mode = TYPE_BITS[kind] + (kind == "symlink" and 511 or entry.mode)
		local row = { stat = ("%x %d:%d"):format(mode, entry.uid, entry.gid), target = entry.linkpath }
		if kind ~= "dir" then
			row.stat = row.stat .. " " .. entry.links
		end
		if kind == "file" then
			row.mtime = ("%d"):format(entry.mtime)
			row.sha256 = require("strata.core").sha256(assert(entry:read())):sub(8)
		end
		files[entry.path] = row
	end
	return files
end

-- The same of a directory on disk.
local FIND = [[
cd "$1"
find . -mindepth 1 -printf '%P\t%y\t%m\t%U:%G\t%n\t%T@\t%l\n' | LC_ALL=C sort
]]

local LETTERS = { f = "file", d = "dir", l = "symlink", p = "fifo", c = "char", b = "block" }

local function listing_of_directory(path)
	local files = {}
	for line in shell.sh(FIND, path):gmatch("[^\n]+") do
		local name, letter, mode, owner, links, time, target =
			line:match("^(.-)\t(.)\t(%d+)\t(%S+)\t(%d+)\t(%S+)\t(.*)$")
		local kind = LETTERS[letter]
		local row = { stat = ("%x %s"):format(TYPE_BITS[kind] + tonumber(mode, 8), owner) }
		if kind ~= "dir" then
			row.stat = row.stat .. " " .. links
		end
		if kind == "symlink" then
			row.target = target
		elseif kind == "file" then
			row.mtime = time:match("^%d+")
			row.sha256 = shell.sha256(path .. "/" .. name)
		end
		files[name] = row
	end
	return files
end

local HERE = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")

-- Mounts layers over each other and tells what the kernel makes of them; nil and why where it cannot.
local function overlay(bench, path, count, dir)
	local tars = {}
	for i = 1, count do
		tars[i] = bench:layer(path, i)
	end
	local command = { "/usr/bin/python3", "-I", HERE .. "/../support/overlay.py", dir.path }
	for _, tar in ipairs(tars) do
		command[#command + 1] = tar
	end
	local lower = shell.check(command):match("[^\n]+")
	shell.check({ "mkdir", dir:file("merged") })
	local options = "lowerdir=" .. lower
	local done = shell.run({ "mount", "-t", "overlay", "overlay", "-o", options, dir:file("merged") })
	if done.status ~= 0 then
		return nil, done.stderr
	end
	local ok, files = pcall(listing_of_directory, dir:file("merged"))
	shell.check({ "umount", dir:file("merged") })
	assert(ok, files)
	return files
end

-- The kernel counts names that upper layers hide as well.
local function without_counts(files)
	for _, row in pairs(files) do
		row.stat = row.stat:match("^%x+ %d+:%d+")
	end
	return files
end

-- The engine mounts things over these, and makes them where they are not.
local function without_mounts(files)
	for path in pairs(files) do
		if path == "" or path:find("^proc") or path:find("^sys") or path:find("^dev") or path:find("^run") then
			files[path] = nil
		end
	end
	return files
end

describe("what a container of the Docker Engine sees", function()
	local dir
	before_each(function() dir = tmp.dir(tmp.for_peers()) end)
	after_each(function() dir:remove() end)

	it("is what rootfs() tells, path by path", function()
		if need("docker") then
			local app = sample.app()
			local img = assert(strata.open(app.archive))
			local expected = without_mounts(app.listing)
			assert.same({}, sample.differences(expected, without_mounts(listing(img:rootfs()))))
		end
	end)

	it("stays the same when layers are squashed or all are flattened", function()
		if need("docker") then
			local app = sample.app()
			for name, operate in pairs({
				squash = function(img) return img:squash(2, #img.layers - 1) end,
				above = function(img) return img:squash({ above = 3 }) end,
				flatten = function(img) return img:flatten() end,
			}) do
				local img = assert(strata.open(app.archive))
				assert(operate(img))
				img.tags = { name .. ":1" }
				local path = dir:file(name .. ".tar")
				local result = assert(img:save(path))
				docker.load(path)
				assert.equal(result.id, docker.id(name .. ":1"))
				local seen = without_mounts(sample.listing(name .. ":1"))
				assert.same({}, sample.differences(without_mounts(app.listing), seen))
				assert.same(app.inspect.Config, docker.inspect(name .. ":1").Config)
			end
		end
	end)

	it("is what GNU tar makes of an export", function()
		if need("docker") then
			local app = sample.app()
			local img = assert(strata.open(app.archive))
			local path = dir:file("export.tar")
			assert(img:export(path))
			shell.sh('mkdir "$1/root" && tar -xpf "$2" --numeric-owner -C "$1/root"', dir.path, path)
			local seen = without_mounts(listing_of_directory(dir:file("root")))
			assert.same({}, sample.differences(without_mounts(app.listing), seen))
		end
	end)
end)

describe("what umoci unpacks", function()
	for seed = 1001, 1000 + RUNS do
		it("of a random image is what rootfs() tells, and what it unpacks of the squashed one, number " .. seed, function()
			if need("umoci", "skopeo") then
				local bench = archive.bench()
				local dir = tmp.dir(tmp.for_peers())
				local img, _, path = bench:open(stacks.layers(seed, true))
				local expected = listing(assert(img:rootfs({ view = "spec" }))) -- it unpacks one layer over the other
				local unpacked = listing_of_directory(skopeo.unpack(path, dir))
				assert.same({}, sample.differences(unpacked, expected))
				dir:remove()
				dir = tmp.dir(tmp.for_peers())
				local random = stacks.generator(seed)
				assert(img:squash(random(2), #img.layers, { view = "spec" }))
				local _, saved = bench:save(img)
				assert.same({}, sample.differences(expected, listing_of_directory(skopeo.unpack(saved, dir))))
				dir:remove()
				bench:close()
			end
		end)
	end
end)

describe("what the kernel's overlayfs shows", function()
	for seed = 2001, 2000 + RUNS do
		it("of a random image is what rootfs() tells, number " .. seed, function()
			if rights.xattrs ~= "trusted" then
				skip("overlayfs cannot be mounted here")
			end
			if need("umoci") then
				local bench = archive.bench()
				local dir = tmp.dir(tmp.for_peers())
				local layers = stacks.layers(seed, true)
				local img, _, path = bench:open(layers)
				-- overlay.py makes an opaque directory of a directory and its whiteout in one layer.
				local expected = without_counts(listing(assert(img:rootfs({ view = "spec" }))))
				local seen, why = overlay(bench, path, #layers, dir)
				if seen then
					assert.same({}, sample.differences(without_counts(seen), expected))
				end
				dir:remove()
				bench:close()
				if not seen then
					pending(why)
				end
			end
		end)
	end
end)
