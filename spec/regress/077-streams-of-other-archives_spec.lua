local docker_archive = require "spec.support.docker_archive"
local docker_dialects = require "spec.support.docker_dialects"
local oci_layout = require "spec.support.oci_layout"
local push = require "spec.support.push"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

-- strata.stream.image called a sound archive of Docker before 1.10 corrupt when its layers were compressed.
describe("a stream of an archive that cannot be edited in one pass", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	local KINDS = {
		{},
		{ config = function() end },
		{ filter = function() return true end },
		{ rewrite = function() end, config = function() end },
	}

	-- Content that no compression makes smaller than the first block.
	local function noise(size)
		local bytes, value = {}, 1
		for i = 1, size do
			value = (value * 16807) % 2147483647
			bytes[i] = string.char(value % 256)
		end
		return table.concat(bytes)
	end

	local function refuse(bytes, size)
		for _, edits in ipairs(KINDS) do
			local out, message, code = push.edited(bytes, edits, size)
			assert.is_nil(out)
			assert.equal("EUNSUPPORTED", code, message)
			assert.truthy(message:find("use strata.open", 1, true), message)
		end
	end

	local COMMANDS = { gzip = "gzip -nc", zstd = "zstd -qc", bzip2 = "bzip2 -c", none = "cat" }

	for name, command in pairs(COMMANDS) do
		for _, size in ipairs({ 10, 5000 }) do
			it(("is refused as such: Docker before 1.10, %s, %d bytes"):format(name, size), function()
				local tar = docker_archive.tar({ { name = "a", data = noise(size) } })
				local archive = docker_archive.new()
				archive:add("repositories", '{"app":{"1":"aa"}}')
				archive:add("aa/VERSION", "1.0")
				archive:add("aa/json", '{"id":"aa","created":"2015-01-01T00:00:00Z","config":{},"os":"linux"}')
				archive:add("aa/layer.tar", oci_layout.filter(tar, command))
				local path = archive:write(dir:file("in.tar"))
				if name ~= "bzip2" then
					assert.is_true(assert(strata.open(path)):verify())
				end
				refuse(shell.read(path))
				refuse(shell.read(path), 700)
				refuse(oci_layout.filter(shell.read(path), "gzip -nc"))
			end)
		end
	end

	it("is refused as such: a layout", function()
		local made = oci_layout.new()
		local layer = made:layer({ { name = "a", data = noise(5000) } })
		made:list(made:image({ layers = { layer } }).descriptor, "1")
		local path = made:archive(dir:file("in.tar"))
		assert.is_true(assert(strata.open(path)):verify())
		refuse(shell.read(path))
	end)

	it("is not one with blanks before its config, however many bytes come at once", function()
		local made = docker_archive.image({ layers = docker_archive.layers(1) })
		made.config = (" "):rep(600) .. made.config
		made.id = docker_archive.sha256(made.config)
		local path = docker_dialects.of.kaniko(made):write(dir:file("in.tar"))
		local saved = push.saved(path, push.EDITS)
		local expected = assert(strata.open(dir:write("saved.tar", saved))).id
		for _, size in ipairs({ 100, 512, 700, 100000 }) do
			local out = assert(push.edited(shell.read(path), push.EDITS, size))
			assert.equal(expected, assert(strata.open(dir:write("out.tar", out))).id)
		end
	end)

	it("is one whose config is where a layer is", function()
		local tar = docker_archive.tar({ { name = "a", data = noise(5000) } })
		local archive = docker_archive.new()
		archive:add("l.tar", tar):add("manifest.json", '[{"Config":"l.tar","Layers":["l.tar"]}]')
		refuse(archive:bytes())
	end)

	it("is no archive of images", function()
		local bytes = docker_archive.tar({ { name = "a", data = "b" } })
		local out, _, code = push.edited(bytes, KINDS[2])
		assert.is_nil(out)
		assert.equal("EFORMAT", code)
	end)
end)
