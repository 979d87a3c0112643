local docker_archive = require "spec.support.docker_archive"
local docker_dialects = require "spec.support.docker_dialects"
local push = require "spec.support.push"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

-- The members of an archive cost four times as much as entries of layers, and had no limit of their own.
describe("the members of an archive", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function build(more)
		local archive = docker_dialects.of.kaniko(docker_archive.image({ layers = docker_archive.layers(2) }))
		for i = 1, more do
			archive:add("more/" .. i, "")
		end
		return archive:write(dir:file("in.tar")), #archive.members
	end

	it("are refused beyond a limit of their own, in a file and in a stream", function()
		local path, count = build(50)
		for _, open in ipairs({ strata.open, strata.images, strata.open_index }) do
			local img, message, code = open(path, { limits = { archive_members = count - 1 } })
			assert.is_nil(img)
			assert.equal("ELIMIT", code)
			assert.truthy(message:find("limits.archive_members (" .. count - 1 .. ") members", 1, true), message)
			assert(open(path, { limits = { archive_members = count } }))
		end
		local edits = { config = function() end, limits = { archive_members = count - 1 } }
		local out, message, code = push.edited(shell.read(path), edits)
		assert.is_nil(out)
		assert.equal("ELIMIT", code)
		assert.truthy(message:find("limits.archive_members", 1, true), message)
	end)

	it("do not count as entries of a layer", function()
		local img = assert(strata.open((build(50)), { limits = { entries = 10 } }))
		assert(img:rootfs())
		img = assert(strata.open((build(0)), { limits = { entries = 3 } }))
		local root, message, code = img:rootfs()
		assert.is_nil(root)
		assert.equal("ELIMIT", code)
		assert.truthy(message:find("limits.entries (3) entries", 1, true), message)
	end)
end)
