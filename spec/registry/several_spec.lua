-- Images for several platforms that are saved as one name of a registry.

local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local strata = require "strata"

describe("several images at once", function()
	local fake, hub

	before_each(function()
		fake = registry.start({})
		local image = remote.image({ count = 2 })
		remote.put(fake, "app", image.layout, image.digest, "1")
		hub = remote.client()
	end)

	after_each(function()
		fake:stop()
	end)

	local function ref(name)
		return "docker://" .. fake.host .. "/" .. name
	end

	local function open()
		return assert(strata.open(ref("app:1"), { registry = hub }))
	end

	local function of(platform, with)
		local img = strata.new({ platform = platform })
		assert(img:append({ files = { [with or platform:gsub("/", "_")] = "1" } }))
		return img
	end

	it("are an index for their platforms, of which each gets its own", function()
		local made = assert(strata.save({ of("linux/amd64"), of("linux/arm64/v8") }, ref("multi:1"), {
			registry = hub, tags = { "2" },
		}))
		assert.equal(4, made.uploaded)
		assert.equal(2, #made.images)
		assert.matches("registry, 4 uploaded", tostring(made))
		for _, platform in ipairs({ "linux/amd64", "linux/arm64/v8" }) do
			local img = assert(strata.open(ref("multi:2"), { registry = hub, platform = platform }))
			assert(img:verify())
			assert.equal(platform, tostring(img.platform))
		end
		local index = assert(strata.open_index(ref("multi:1"), { registry = hub }))
		assert.equal(made.digest, hub:digest(ref("multi:1")))
		assert.same({ made.images[1].digest, made.images[2].digest },
			{ index.manifests[1].digest, index.manifests[2].digest })
	end)

	it("are told one by one as what was written", function()
		local list, path = { of("linux/amd64"), of("linux/arm64") }, os.tmpname()
		for _, made in ipairs({
			assert(strata.save(list, ref("multi:1"), { registry = hub })),
			assert(strata.save(list, path, { format = "oci-archive" })),
		}) do
			for i, one in ipairs(made.images) do
				local first, second = tostring(one):match("^([^\n]*)\n([^\n]*)$")
				assert.equal(("image %s, manifest %s"):format(list[i].id:sub(1, 19), one.digest:sub(1, 19)), first)
				assert.matches("^  layer 1: added", second)
			end
		end
		os.remove(path)
	end)

	it("take along from other repositories what they can mount, and keep their manifests", function()
		local img, other = open(), of("linux/arm64")
		local made = assert(strata.save({ img, other }, ref("multi:1"), { registry = hub }))
		assert.is_true(made.mounted > 0)
		assert.equal(img.digest, made.images[1].digest)
	end)

	it("are asked for by expect, and nothing moves twice", function()
		local list = { of("linux/amd64"), of("linux/arm64") }
		local made = assert(strata.save(list, ref("multi:1"), { registry = hub, expect = false }))
		local ok, _, code = strata.save({ list[1] }, ref("multi:1"), { registry = hub, expect = false })
		assert.is_nil(ok)
		assert.equal("ESTALE", code)
		assert.equal(made.digest, assert(strata.save(list, ref("multi:1"), { registry = hub, expect = false })).digest)
		fake:forget()
		assert(strata.save(list, ref("multi:1"), { registry = hub, expect = made.digest }))
		for _, request in ipairs(fake:log()) do
			assert.equal("GET", request.method)
		end
		list[1].config.Labels = { a = "b" }
		local again = assert(strata.save(list, ref("multi:1"), { registry = hub, expect = made.digest }))
		assert.equal(1, again.uploaded)
	end)

	it("throw when two are for one platform", function()
		assert.error_matches(function()
			strata.save({ of("linux/amd64", "a"), of("linux/amd64", "b") }, ref("multi:1"), { registry = hub })
		end, "save: images 1 and 2 are both for linux/amd64, and a name of a registry has one image for each platform")
	end)

	it("have to have the digest that the name says", function()
		local ok, message, code = strata.save({ of("linux/amd64"), of("linux/arm64") },
			ref("multi@sha256:" .. ("0"):rep(64)), { registry = hub })
		assert.is_nil(ok)
		assert.equal("EINVAL", code)
		assert.matches("the index has the digest sha256:", message)
	end)
end)
