local cjson = require "cjson"
local oci_layout = require "spec.support.oci_layout"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local types, with = oci_layout.types, oci_layout.with

-- A manifest whose config or layers had types of the other family got them replaced whenever it was saved, edited
-- or not, and the digest of the image was that of a manifest which was nowhere.
describe("a manifest with media types of two families", function()
	local dir

	setup(function()
		dir = tmp.dir()
	end)

	teardown(function()
		dir:remove()
	end)

	local OTHER = { oci = "docker", docker = "oci" }
	local KINDS = {
		{ "the config", { config = true } },
		{ "the first layer", { true } },
		{ "every layer and the config", { true, true, config = true } },
		{ "the config and no type of its own", { config = true, untyped = true } },
		{ "a layer of a wrong compression", { compression = "zstd" } },
	}

	local function build(family, kind)
		local made = oci_layout.new()
		local layers = {}
		for i, name in ipairs({ "a", "b" }) do
			layers[i] = made:file_layer(name, {
				family = kind[i] and OTHER[family] or family,
				descriptor = kind.compression and { mediaType = types[family][kind.compression] } or nil,
			})
		end
		local image = made:image({
			family = family,
			layers = layers,
			config_descriptor = kind.config and { mediaType = types[OTHER[family]].config } or nil,
			manifest = kind.untyped and { mediaType = false } or nil,
		})
		made:list(image.descriptor, "app:1")
		return made, image.descriptor.digest
	end

	local function manifest_of(path, digest)
		local text = shell.check({ "tar", "-xOf", path, "--wildcards", "*" .. oci_layout.blob_name(digest) })
		return cjson.decode(text)
	end

	local function types_in(manifest)
		local list = { tostring(manifest.mediaType), manifest.config.mediaType }
		for _, layer in ipairs(manifest.layers) do
			list[#list + 1] = layer.mediaType
		end
		return list
	end

	for _, family in ipairs({ "oci", "docker" }) do
		for _, case in ipairs(KINDS) do
			local name, kind = case[1], case[2]

			it(("of %s is saved as it came: %s"):format(family, name), function()
				local made, digest = build(family, kind)
				local path = made:archive(dir:file("in.tar"))
				local img = assert(strata.open(path))
				assert.equal(digest, img.digest)
				assert.is_false(img.edited)
				local result, lost = img:save(dir:file("out.tar"))
				assert.equal(digest, result.digest)
				assert.is_nil(lost)
				assert.equal(shell.read(path), shell.read(dir:file("out.tar")))

				for way, target in pairs({ directory = "oci", flat = "dir" }) do
					local source = made[way](made, dir:file(way .. family .. name:gsub(" ", "")))
					local other = assert(strata.open(source))
					assert.equal(digest, other.digest)
					assert.equal(digest, assert(other:save(source .. ".out")).digest)
					assert.equal(digest, assert(strata.open(source .. ".out")).digest, target)
				end
			end)

			it(("of %s keeps its types in an edit: %s"):format(family, name), function()
				local made, digest = build(family, kind)
				local path = made:archive(dir:file("in.tar"))
				local before = types_in(manifest_of(path, digest))

				local img = assert(strata.open(path))
				img.config:set_env("A", "b")
				local saved = assert(img:save(dir:file("label.tar")))
				assert.same(before, types_in(manifest_of(dir:file("label.tar"), saved.digest)))

				img = assert(strata.open(path))
				assert(img.layers[1]:rewrite(function(entry) entry.mtime = 5 end))
				saved = assert(img:save(dir:file("layer.tar")))
				local after = types_in(manifest_of(dir:file("layer.tar"), saved.digest))
				-- New bytes get a type that says how they are compressed, of the family that the layer had.
				local expected = with(before)
				if kind.compression then
					expected[3] = types[family].gzip
				end
				assert.same(expected, after)
			end)
		end
	end

	it("is converted when another family is asked for", function()
		local made = build("docker", { true })
		local img = assert(strata.open(made:archive(dir:file("in.tar"))))
		local saved = assert(img:save(dir:file("out.tar"), { format = "oci-archive" }))
		assert.same(
			{ types.oci.manifest, types.oci.config, types.oci.gzip, types.oci.gzip },
			types_in(manifest_of(dir:file("out.tar"), saved.digest))
		)
	end)

	it("is not converted to the family that it has", function()
		local made, digest = build("oci", { true, config = true })
		local img = assert(strata.open(made:archive(dir:file("in.tar"))))
		assert.equal(digest, assert(img:save(dir:file("out.tar"), { format = "oci-archive" })).digest)
	end)

	it("is an image of open_index under the same digest", function()
		local made, digest = build("docker", { true, config = true })
		local path = made:archive(dir:file("in.tar"))
		local list = assert(strata.open_index(path))
		assert.equal(digest, list.manifests[1].digest)
		assert.equal(digest, list:images()().digest)
		assert.equal(digest, assert(strata.open(path, { digest = digest })).digest)
	end)
end)
