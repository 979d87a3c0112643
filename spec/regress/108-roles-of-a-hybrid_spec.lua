-- img:files() of an archive with both manifest.json and index.json had no role for the manifest. A time that is none
-- was taken by strata.new, and blamed on the append that came next. The entries of a layer, after its image had been
-- closed, were said to be a closed strata.Index.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local LAYERS = archive.layers(2)

describe("the files of an archive with both lists", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	-- How many files have each role.
	local function roles_of(path, opts)
		local img = assert(strata.open(path, opts))
		local roles = {}
		for _, file in ipairs(assert(img:files())) do
			local role = file.role and file.role:gsub("%d.*", "n")
			if role then
				roles[role] = (roles[role] or 0) + 1
			end
			if role == "manifest" and file.name ~= "manifest.json" then
				assert.equal(img.digest or file.digest, file.digest)
			end
		end
		img:close()
		return roles
	end

	local EXPECTED = { manifest = 2, config = 1, ["layer n"] = 2, index = 1, layout = 1 }

	for dialect, more in pairs({ docker_25 = { repositories = 1 }, docker_29 = { index = 2 }, regctl = {} }) do
		it("have the roles that they have in a layout: " .. dialect, function()
			local one = archive.image({ layers = LAYERS })
			local two = archive.image({ layers = { LAYERS[2] }, tags = { "two:1" }, name = "two" })
			local path = dialects.of[dialect](one, two):write(dir:file("app.tar"))
			local expected = {}
			for role, count in pairs(EXPECTED) do
				expected[role] = more[role] or count
			end
			expected.repositories = more.repositories
			local found = roles_of(path, { ref = "app:1" })
			if dialect == "docker_29" then -- each image has an index
				assert.equal(3, found.index)
				found.index = 2
			end
			assert.same(expected, found)
			found = roles_of(path, { ref = "app:1", prefer = "docker" })
			assert.equal(2, found.manifest)
			assert.equal(2, found["layer n"])
		end)
	end

	it("have them, too, where no descriptor leads to the manifest", function()
		local made = dialects.of.docker_25(archive.image({ layers = LAYERS, tags = {} }))
		made:member("index.json").data = '{"schemaVersion":2,"manifests":null}'
		assert.same(EXPECTED, roles_of(made:write(dir:file("app.tar"))))
	end)
end)

describe("a mistake", function()
	it("in a time is told where it is made", function()
		for _, wrong in ipairs({ "yesterday", "2006-13-02T15:04:05Z", "", 5 }) do
			local ok, message = pcall(function()
				local _ = strata.new({ created = wrong })
			end)
			assert.is_false(ok)
			assert.matches("108%-roles.*:%d+: new: created should be ", message)
		end
	end)

	it("of using a layer of a closed image does not speak of an index of images", function()
		local dir = tmp.dir()
		local path = dialects.of.docker_25(archive.image({ layers = LAYERS })):write(dir:file("app.tar"))
		for _, read in ipairs({ false, true }) do
			local img = assert(strata.open(path))
			local layer = img.layers[1]
			if read then
				assert.truthy(layer:entry("etc"))
			end
			img:close()
			local ok, message = pcall(function()
				local _ = layer:entries()
			end)
			assert.is_false(ok)
			assert.is_nil(message:find("strata.Index", 1, true), message)
		end
		dir:remove()
	end)
end)
