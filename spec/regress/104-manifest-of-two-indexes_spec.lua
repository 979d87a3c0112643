-- A manifest that was in two nested indexes was said to be in one or the other, by the order of a hash table.

local archive = require "spec.support.docker_archive"
local blobs = require "spec.support.blobs"
local child = require "spec.support.child"
local cjson = require "cjson"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local LAYERS = archive.layers(2)
local descriptor, named = blobs.descriptor, blobs.named

describe("a manifest that several indexes lead to", function()
	local dir, made, image, other, indexes

	before_each(function()
		dir, made, indexes = tmp.dir(tmp.for_peers()), blobs.new(), {}
		image = made:image({ layers = { LAYERS[1] } })
		other = made:image({ layers = { LAYERS[2] }, name = "other" })
		local root = {}
		for i = 1, 6 do
			local children = { descriptor(image, ',"platform":{"os":"linux","architecture":"amd64"}') }
			if i > 3 then
				table.insert(children, 1, descriptor(other))
			end
			indexes[i] = made:index(children, blobs.annotations("org.example.number", tostring(i)))
			root[i] = descriptor(indexes[i], named("app:" .. i))
		end
		made:set_root(root)
	end)

	after_each(function()
		dir:remove()
	end)

	it("is in the first of them, in every run", function()
		local path = made:write_dir(dir:file("layout"))
		for _ = 1, 5 do
			local finished = child.run({
				arguments = { path, image.digest },
				script = [[
					local img = assert(require "strata".open(arg[1], { digest = arg[2] }))
					io.write(img.index.digest, " ", img.index.annotations["org.example.number"], " ", img.index.count)
				]],
			})
			assert.equal("", finished.stderr)
			assert.equal(indexes[1].digest .. " 1 1", finished.stdout)
		end
	end)

	it("is told with each of them when it leaves them behind", function()
		local img = assert(strata.open(made:write_dir(dir:file("layout")), { digest = image.digest }))
		local saved, lost = assert(img:save(dir:file("out.tar"), { format = "oci-archive" }))
		assert.equal(image.digest, saved.digest)
		local expected = {}
		for i, index in ipairs(indexes) do
			expected[#expected + 1] = "the annotations of the index " .. index.digest
			if i > 3 then
				expected[#expected + 1] = "another manifest of the index " .. index.digest
			end
		end
		assert.same(expected, lost)
	end)

	for way, write in pairs({ write_dir = "layout", write_archive = "layout.tar" }) do
		it("is changed in all of them, and so are they: " .. way, function()
			local path = made[way](made, dir:file(write))
			local img = assert(strata.open(path, { ref = "app:4", digest = image.digest }))
			assert.equal(6, #img.tags)
			img.config:set_env("A", "b")
			local saved, lost = img:save(dir:file("out"))
			assert(saved, lost)
			assert.is_nil(lost)
			local found = blobs.look(dir:file("out"))
			assert.same({}, found.problems)
			assert.equal(6, #found.index.manifests)
			for i, one in ipairs(found.index.manifests) do
				assert.equal("app:" .. i, one.annotations["org.opencontainers.image.ref.name"])
				local index = cjson.decode(found.nested[one.digest])
				assert.equal(tostring(i), index.annotations["org.example.number"])
				assert.equal(saved.digest, index.manifests[#index.manifests].digest)
				assert.equal(i > 3 and other.digest or saved.digest, index.manifests[1].digest)
			end
			for digest in pairs(found.blobs) do
				assert.is_true(found.reached[digest], digest)
			end
		end)
	end

	it("is in the index, also when index.json leads to it besides", function()
		made:set_root({ descriptor(image, named("alone")), descriptor(indexes[2], named("app:2")) })
		local img = assert(strata.open(made:write_dir(dir:file("layout")), { digest = image.digest }))
		assert.equal(indexes[2].digest, img.index.digest)
		assert.same({ "alone", "app:2" }, img.tags)
	end)
end)
