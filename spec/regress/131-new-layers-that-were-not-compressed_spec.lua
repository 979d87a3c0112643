-- A layer that was appended to an image whose layers are compressed was stored plain where the image has a manifest: in
-- registries and layouts.

local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("a new layer without a stated compression", function()
	local fake, hub, dir

	before_each(function()
		fake, hub, dir = registry.start({}), remote.client(), tmp.dir()
	end)

	after_each(function()
		fake:stop()
		dir:remove()
	end)

	-- The image as it was saved to a registry, a layout, an archive of one, and one for docker.
	local function saved(compression, edit)
		local image = remote.image({ count = 2, compression = compression })
		remote.put(fake, "app", image.layout, image.digest, "1")
		local ref = "docker://" .. fake.host .. "/app:"
		local img = assert(strata.open(ref .. "1", { registry = hub }))
		edit(img)
		local planned = assert(img:plan({ to = ref .. "2", registry = hub })).layers
		local results = {
			assert(img:save(ref .. "2", { registry = hub })).layers,
			assert(img:save(dir:file("layout"), { format = "oci" })).layers,
			assert(img:save(dir:file("app.tar"), { format = "oci-archive" })).layers,
			assert(img:save(dir:file("docker.tar"), { format = "docker" })).layers,
		}
		assert.equal(planned[#planned].compression, results[1][#results[1]].compression)
		local list = {}
		for i, layers in ipairs(results) do
			local parts = {}
			for k, layer in ipairs(layers) do
				parts[k] = layer.compression
			end
			list[i] = table.concat(parts, " ")
		end
		for i = 2, #list do
			assert.equal(list[1], list[i])
		end
		return list[1]
	end

	local function append(more)
		return function(img)
			local options = { files = { a = ("a"):rep(10000) } }
			for name, value in pairs(more or {}) do
				options[name] = value
			end
			assert(img:append(options))
		end
	end

	it("takes that of the layer below, in all places", function()
		assert.equal("gzip gzip gzip", saved("gzip", append()))
		assert.equal("zstd zstd zstd", saved("zstd", append()))
		assert.equal("none none none", saved("none", append()))
	end)

	it("takes it from another new layer, and at the bottom from the layer that was lowest", function()
		assert.equal("gzip gzip zstd zstd", saved("gzip", function(img)
			append({ compression = "zstd" })(img)
			append()(img)
		end))
		assert.equal("gzip gzip gzip", saved("gzip", append({ at = 1 })))
	end)

	it("takes it as well when it was made by strata.layer", function()
		assert.equal("gzip gzip gzip", saved("gzip", function(img)
			assert(img:append({ layer = assert(strata.layer({ files = { a = "1" } })) }))
		end))
	end)

	it("is not it when a compression is stated, or when it is that of another image", function()
		assert.equal("gzip gzip none", saved("gzip", append({ compression = "none" })))
		assert.equal("gzip gzip none", saved("gzip", function(img)
			local plain = remote.image({ count = 1, compression = "none" })
			remote.put(fake, "plain", plain.layout, plain.digest, "1")
			local other = assert(strata.open("docker://" .. fake.host .. "/plain:1", { registry = hub }))
			assert(img:append({ layer = other.layers[1] }))
		end))
	end)

	it("stays as it is with compression = 'keep'", function()
		local image = remote.image({ count = 1 })
		remote.put(fake, "app", image.layout, image.digest, "1")
		local img = assert(strata.open("docker://" .. fake.host .. "/app:1", { registry = hub }))
		append()(img)
		assert.equal("none", assert(img:save(dir:file("x.tar"), { format = "oci-archive", compression = "keep" }))
			.layers[2].compression)
	end)
end)
