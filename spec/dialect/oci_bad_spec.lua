-- Takes seconds: not for make check.
-- Layouts that contradict themselves, or that somebody made to harm: each is refused with a reason, and
-- nothing of it is left behind.

local oci_layout = require "spec.support.oci_layout"
local refusal = require "spec.support.refusal"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local raw, null, types = oci_layout.raw, oci_layout.null, oci_layout.types
local written = 0 -- layouts
local dir, place, before

-- The files that are open, without what is garbage.
local function descriptors()
	local found
	-- What garbage holds is garbage only when that is gone.
	repeat
		local last = found
		collectgarbage()
		collectgarbage()
		found = refusal.descriptors()
	until found == last
	return found
end

before_each(function()
	dir, place = tmp.dir(tmp.for_peers()), tmp.dir()
	before = descriptors()
end)

after_each(function()
	assert.equal(before, descriptors())
	assert.same({}, place:names())
	dir:remove()
	place:remove()
end)

-- root -> index -> manifest -> config and two layers; every part can be changed.
local function build(changes)
	local made = oci_layout.new()
	local layers = { made:file_layer("a", { descriptor = changes.layer }), made:file_layer("b") }
	local image = made:image({
		layers = layers,
		platform = "linux/amd64",
		config = changes.config,
		config_descriptor = changes.config_descriptor,
		manifest = changes.manifest,
		descriptor = changes.descriptor,
	})
	local index = made:index({ image.descriptor }, { index = changes.index, descriptor = changes.index_descriptor })
	made:list(index, "1")
	for key, value in pairs(changes.root or {}) do
		made.root[key] = value or nil
	end
	made.text, made.layout = changes.text, changes.layout or made.layout
	return made, image, layers, index
end

-- As a directory and as an archive.
local function each_way(made, check)
	written = written + 1
	check(made:directory(dir:file("layout" .. written)))
	check(made:archive(dir:file("layout" .. written .. ".tar")))
end

local function refuse_open(path, code, parts, opts)
	local with_place = oci_layout.with(opts or {}, { temp_dir = place.path })
	refusal.of_open(path, code, parts, with_place)
	collectgarbage()
end

local function refuse(made, code, parts, opts)
	each_way(made, function(path)
		refuse_open(path, code, parts, opts)
	end)
end

it("without a change, all this is fine", function()
	each_way(build({}), function(path)
		local img = assert(strata.open(path))
		assert.is_true(assert(img:verify()))
		img:close()
	end)
end)

-- Where descriptors are: what is changed, and what the message says of the place.
local PLACES = {
	{ "index_descriptor", "manifests[0]" },
	{ "descriptor", "manifests[0]" },
	{ "config_descriptor", "config" },
	{ "layer", "layer 1" },
}

local function at_each_place(change, code, parts)
	for _, at in ipairs(PLACES) do
		local expected = { at[2] }
		for _, part in ipairs(parts) do
			expected[#expected + 1] = part
		end
		refuse(build({ [at[1]] = change }), code, expected)
	end
end

describe("a descriptor is refused", function()
	it("when its size is no size", function()
		local sizes = { raw("-1"), raw("-9223372036854775808"), raw("1.5"), raw("9223372036854775807"), raw("1e300") }
		for _, size in ipairs(sizes) do
			at_each_place({ size = size }, "EFORMAT", { "bad size" })
		end
		for _, size in ipairs({ null, "12", true, raw("[]"), raw("{}") }) do
			refuse(build({ descriptor = { size = size } }), "EFORMAT", { "manifests[0]", "bad size" })
		end
		at_each_place({ size = false }, "EFORMAT", { "bad size" })
	end)

	it("when its size is another one than the blob's", function()
		for _, size in ipairs({ 0, 1, 1024, 9007199254740991 }) do
			for _, at in ipairs(PLACES) do
				local made = build({ [at[1]] = { size = size } })
				refuse(made, "EDIGEST", { "bytes", "descriptor says " .. ("%d"):format(size) })
			end
		end
	end)

	it("when its digest is none", function()
		local hex = ("0123456789abcdef"):rep(4)
		for _, digest in ipairs({ "", "sha256", "sha256:", ":" .. hex, "sha256:" .. hex:sub(2), "sha256:" .. hex .. "0" }) do
			at_each_place({ digest = digest }, "EFORMAT", { "bad digest" })
		end
		for _, digest in ipairs({
			"sha256:" .. hex:upper(),
			"SHA256:" .. hex,
			"sha256:" .. hex .. "\n",
			"sha256:" .. hex:sub(1, 63) .. "g",
			"sha256:../../../../etc/passwd",
			"../x:" .. hex,
			"..:" .. hex,
			"a..b:" .. hex,
			"-sha256:" .. hex,
			"sha256+:" .. hex,
			"a/b:c",
			"sha512:" .. hex,
			"sha512:" .. hex:rep(2):sub(2),
			"sha512:" .. hex:rep(2) .. "0",
			"sha512:" .. hex:rep(2):upper(),
			"sha256:" .. hex:rep(2),
			raw("5"),
			null,
			raw("{}"),
		}) do
			refuse(build({ descriptor = { digest = digest } }), "EFORMAT", { "manifests[0]", "bad digest" })
			refuse(build({ layer = { digest = digest } }), "EFORMAT", { "layer 1", "bad digest" })
		end
		at_each_place({ digest = false }, "EFORMAT", { "bad digest" })
	end)

	it("when it is something else", function()
		for _, text in ipairs({ "null", "5", '"x"', "true" }) do
			local manifests = raw("[" .. text .. "]")
			refuse(build({ root = { manifests = manifests } }), "EFORMAT", { "index.json: manifests[0]", "descriptor" })
			refuse(build({ index = { manifests = manifests } }), "EFORMAT", { "manifests[0]", "descriptor" })
			refuse(build({ manifest = { layers = manifests } }), "EFORMAT", { "layer 1", "descriptor" })
		end
		refuse(build({ root = { manifests = raw("[[]]") } }), "EFORMAT", { "index.json: manifests[0]", "bad digest" })
	end)

	it("when its keys differ in their case only", function()
		for _, at in ipairs(PLACES) do
			local other = "sha256:" .. ("0"):rep(64)
			refuse(build({ [at[1]] = { Digest = other } }), "EFORMAT", { at[2], "case", "Digest" })
		end
	end)
end)

describe("a document is refused", function()
	it("when it is an index and a manifest at once", function()
		local list = raw('[{"digest":"sha256:' .. ("0"):rep(64) .. '","size":1}]')
		for _, key in ipairs({ "layers", "config", "fsLayers" }) do
			refuse(build({ root = { [key] = list } }), "EFORMAT", { "index.json", "an index and a manifest at once" })
			refuse(build({ index = { [key] = list } }), "EFORMAT", { "sha256:", "an index and a manifest at once" })
		end
		refuse(build({ root = { layers = null, config = list } }), "EFORMAT", { "at once" })
		refuse(build({ manifest = { manifests = list } }), "EFORMAT", { "at once" })
		refuse(build({ manifest = { manifests = null } }), "EFORMAT", { "at once" })
	end)

	it("when its bytes are not those of its digest", function()
		local made, image, _, index = build({})
		for _, digest in ipairs({ index.digest, image.descriptor.digest, image.id }) do
			local bytes = made.blobs[digest]
			for _, other in ipairs({ bytes:gsub("%w", "x", 1), ("\0"):rep(#bytes) }) do
				made.blobs[digest] = other
				refuse(made, "EDIGEST", { digest, "hashes to " .. oci_layout.sha256(other) })
			end
			for _, other in ipairs({ bytes .. "\n", bytes:sub(2), "" }) do
				made.blobs[digest] = other
				refuse(made, "EDIGEST", { digest, ("has %d bytes"):format(#other) })
			end
			made.blobs[digest] = bytes
		end
	end)

	it("when it is no JSON object", function()
		for _, text in ipairs({ "", " ", "{", "null", "5", '"x"', "{}}", "\0", '{"manifests":[}', "\255\254{}" }) do
			refuse(build({ text = text }), "EFORMAT", { "index.json" })
			local made = oci_layout.new()
			made:list(made:document(text, types.oci.manifest), "1")
			refuse(made, "EFORMAT", { oci_layout.sha256(text) })
		end
		refuse(build({ text = "[]" }), "EFORMAT", { "index.json", "no manifests" })
		refuse(build({ text = "{}" }), "EFORMAT", { "index.json", "no manifests" })
	end)

	it("when it has a key twice, or in two spellings", function()
		for _, text in ipairs({
			'{"schemaVersion":2,"manifests":[],"manifests":[]}',
			'{"schemaVersion":2,"manifests":[],"Manifests":[]}',
			'{"schemaVersion":2,"manifests":[],"\\u006danifests":[]}',
		}) do
			refuse(build({ text = text }), "EFORMAT", { "index.json" })
		end
		local made, image = build({})
		local config, manifest = made.blobs[image.id], made.blobs[image.descriptor.digest]
		local function again(new_manifest)
			local other = oci_layout.new()
			other.blobs = oci_layout.with(made.blobs)
			return other:list(other:document(new_manifest, types.oci.manifest), "1"), other
		end
		for _, key in ipairs({ '"layers":', '"Layers":', '"LAYERS":' }) do
			refuse((again((manifest:gsub('"layers":', key .. '[],"layers":', 1)))), "EFORMAT", { "sha256:" })
		end
		refuse((again((manifest:gsub('"config":{', '"config":{"size":1,', 1)))), "EFORMAT", { "sha256:" })
		for _, key in ipairs({ '"rootfs":', '"RootFS":' }) do
			local other = made:document((config:gsub('"rootfs":', key .. '{"type":"layers"},"rootfs":', 1)), types.oci.config)
			local text = manifest:gsub(image.id, other.digest):gsub('"size":' .. #config, '"size":' .. other.size)
			refuse((again(text)), "EFORMAT", { "config" })
		end
	end)

	it("when it is too long", function()
		local filler = raw('"' .. ("x"):rep(4 * 1024 * 1024) .. '"')
		for name, changes in pairs({
			["index.json"] = { root = { annotations = { x = filler } } },
			["sha256:"] = { index = { annotations = { x = filler } } },
			sha256 = { manifest = { annotations = { x = filler } } },
			blob = { config = { author = filler } },
		}) do
			local made, image = build(changes)
			refuse(made, "ELIMIT", { name, "4194304" })
			each_way(made, function(path)
				local img = assert(strata.open(path, { limits = { json = { max_bytes = 8 * 1024 * 1024 } } }))
				assert.equal(image.id, img.id)
				img:close()
			end)
		end
		refuse(build({}), "ELIMIT", { "index.json", "100" }, { limits = { json = { max_bytes = 100 } } })
		local made = build({})
		made.layout = '{"imageLayoutVersion":"1.0.0"}' .. (" "):rep(4 * 1024 * 1024)
		refuse(made, "ELIMIT", { "oci-layout", "4194304" })
	end)

	it("when lists in it are none", function()
		for _, text in ipairs({ "5", '"x"', "true", '{"0":{}}', '{"digest":"x"}' }) do
			refuse(build({ root = { manifests = raw(text) } }), "EFORMAT", { "index.json", "manifests is not an array" })
			refuse(build({ index = { manifests = raw(text) } }), "EFORMAT", { "sha256:", "manifests is not an array" })
			refuse(build({ manifest = { layers = raw(text) } }), "EFORMAT", { "sha256:", "layers is not an array" })
		end
		for _, layers in ipairs({ false, null, oci_layout.list() }) do
			refuse(build({ manifest = { layers = layers } }), "EFORMAT", { "0 layers", "2 diff_ids" })
		end
		refuse(build({ config = { rootfs = { type = "layers", diff_ids = raw("[]") } } }), "EFORMAT", { "2 layers" })
	end)

	it("when it is a layout of another version, or none", function()
		refuse(build({ layout = '{"imageLayoutVersion":"2.0.0"}' }), "EUNSUPPORTED", { "oci-layout", "2.0.0" })
		for _, text in ipairs({ "", "{", "[]", "{}", '{"imageLayoutVersion":1}', '{"imageLayoutVersion":null}' }) do
			refuse(build({ layout = text }), "EFORMAT", { "oci-layout" })
		end
	end)

	it("when it has no config; then it is no image", function()
		for _, config in ipairs({ false, null, raw("5"), raw('"x"') }) do
			refuse(build({ manifest = { config = config } }), "ENOENT", { "no image" })
		end
		local made, image = build({})
		made.blobs[image.id] = nil
		refuse(made, "ENOENT", { "config", image.id, "not there" })
	end)
end)

describe("limits", function()
	local function nested(depth)
		local made = oci_layout.new()
		local inner = made:image({ layers = {} }).descriptor
		for _ = 1, depth do
			inner = made:index({ inner })
		end
		return made:list(inner, "1")
	end

	it("are for indexes in indexes", function()
		local function opens(made, opts)
			each_way(made, function(path)
				assert(strata.open(path, opts)):close()
			end)
		end
		opens(nested(8))
		refuse(nested(9), "ELIMIT", { "limits.index_depth", "8 deep" })
		opens(nested(12), { limits = { index_depth = 12 } })
		opens(nested(0), { limits = { index_depth = 0 } })
		refuse(nested(1), "ELIMIT", { "limits.index_depth", "0 deep" }, { limits = { index_depth = 0 } })
	end)

	it("are for the number of manifests, each time that one is named", function()
		local function many(count)
			local made = oci_layout.new()
			local one = made:image({ layers = {} }).descriptor
			for i = 1, count do
				made:list(one, tostring(i))
			end
			return made
		end
		refuse(many(4), "ELIMIT", { "limits.manifests", "more than 3" }, { limits = { manifests = 3 } })
		each_way(many(3), function(path)
			assert(strata.open(path, { limits = { manifests = 3 } })):close()
		end)
		refuse_open(many(10001):archive(dir:file("many.tar")), "ELIMIT", { "limits.manifests", "10000" })
		-- 20 times 20 times 20 times ...
		local bomb = oci_layout.new()
		local inner = bomb:image({ layers = {} }).descriptor
		for _ = 1, 8 do
			local list = {}
			for i = 1, 20 do
				list[i] = inner
			end
			inner = bomb:index(list)
		end
		refuse_open(bomb:list(inner):archive(dir:file("bomb.tar")), "ELIMIT", { "limits.manifests" })
	end)

	it("are for the number of layers", function()
		refuse(build({}), "ELIMIT", { "2 layers", "limits.layers is 1" }, { limits = { layers = 1 } })
	end)
end)

describe("media types that lie", function()
	it("are refused where they say what a document is", function()
		for name, changes in pairs({
			["manifest.v1"] = { index_descriptor = { mediaType = types.oci.manifest } },
			["manifest.list.v2"] = { descriptor = { mediaType = types.docker.index } },
			["manifest.v2"] = { descriptor = { mediaType = types.docker.manifest } },
			["index.v1"] = { index = { mediaType = types.docker.index } },
			["application/x"] = { manifest = { mediaType = "application/x" } },
		}) do
			refuse(build(changes), "EFORMAT", { "manifests[0]", "is said to be", name })
		end
		for _, kind in ipairs({ "config", "gzip" }) do
			refuse(build({ descriptor = { mediaType = types.oci[kind] } }), "EFORMAT", { "manifests[0]", "should be" })
		end
	end)

	it("do not matter for layers: their first bytes tell", function()
		for _, lie in ipairs({ types.oci.none, types.oci.zstd, types.docker.gzip, "application/x", false }) do
			each_way(build({ layer = { mediaType = lie } }), function(path)
				local img = assert(strata.open(path))
				assert.equal("gzip", img.layers[1].compression)
				assert.equal("this is a\n", img.layers[1]:read("a"))
				assert.is_true(assert(img:verify()))
				img:close()
			end)
		end
	end)

	it("of somebody else's are left alone", function()
		local made, image = build({})
		made:list(made:document("no JSON", "application/vnd.example.thing"), "other")
		each_way(made, function(path)
			local img = assert(strata.open(path))
			assert.equal(image.id, img.id)
			img:close()
		end)
	end)
end)

describe("a digest of an algorithm that is not known", function()
	local function other_digest()
		return "blake3:" .. ("0123456789abcdef"):rep(4)
	end

	it("of a manifest: it is listed, and not opened", function()
		local made, image = build({})
		local other = made:blob(made.blobs[image.descriptor.digest], other_digest())
		other.mediaType = types.oci.manifest
		made:list(other, "other")
		refuse(made, "EUNSUPPORTED", { other.digest, "SHA-256 and SHA-512" }, { ref = "other" })
		each_way(made, function(path)
			local img = assert(strata.open(path, { ref = "1" }))
			assert.equal(image.id, img.id)
			img:close()
			local index = assert(strata.open_index(path))
			assert.equal(other.digest, index.manifests[2].digest)
			assert.is_true(index.manifests[2].missing)
			index:close()
		end)
	end)

	it("of a config or a layer: the image is not opened", function()
		local made, image, layers = build({})
		for _, digest in ipairs({ image.id, layers[1].descriptor.digest }) do
			local other = made:blob(made.blobs[digest], other_digest())
			local text = oci_layout.encode(image.manifest):gsub(digest, other.digest)
			local again = oci_layout.new()
			again.blobs = made.blobs
			again:list(again:document(text, types.oci.manifest))
			refuse(again, "EUNSUPPORTED", { other.digest, "SHA-256 and SHA-512" })
		end
	end)
end)

describe("a layer's blob", function()
	-- An image whose only layer has these bytes.
	local function with_layer(entries, bytes)
		local made = oci_layout.new()
		local layer = made:layer(entries, { bytes = bytes })
		made:list(made:image({ layers = { layer } }).descriptor)
		return made, layer
	end

	local ENTRIES = { { name = "a", data = ("this is a\n"):rep(1000) } }

	local function expect_bad(made, code, parts)
		each_way(made, function(path)
			local function check(value, message, got)
				refusal.expect(value, message, got)
				assert.equal(code, got, message)
				for _, part in ipairs(parts) do
					assert.truthy(message:find(part, 1, true), message)
				end
			end
			local img = assert(strata.open(path))
			check(img:verify())
			check(img.layers[1]:read("b"))
			check(img:filter(function() return true end))
			img:close()
			img = assert(strata.open(path))
			assert.is_false(pcall(function() return img.layers[1].empty end))
			for _, format in ipairs({ "docker", "docker-legacy", "oci", "oci-archive" }) do
				check(img:save(place:file("target"), { format = format, compression = "none" }))
				assert.same({}, place:names())
			end
			img:close()
		end)
	end

	it("is refused when it is used and other bytes are there", function()
		local made, layer = with_layer(ENTRIES)
		local digest = layer.descriptor.digest
		made.blobs[digest] = layer.bytes:sub(1, 4) .. "\1" .. layer.bytes:sub(6) -- the time in gzip's header
		each_way(made, function(path)
			local img = assert(strata.open(path))
			for _, format in ipairs({ false, "docker", "oci-archive", "oci" }) do
				local result, message, code = img:save(place:file("target"), { format = format or nil })
				refusal.expect(result, message, code)
				assert.equal("EDIGEST", code)
				assert.truthy(message:find(digest:sub(1, 19), 1, true), message)
				assert.same({}, place:names())
			end
			assert.equal("EDIGEST", select(3, img:verify()))
			img:close()
		end)
	end)

	it("is refused when its digest is right and its diff_id is not", function()
		local made, layer = with_layer(ENTRIES, oci_layout.filter("x" .. ("\0"):rep(10239), "gzip -nc"))
		assert.not_equal(layer.diff_id, layer.descriptor.digest)
		each_way(made, function(path)
			local img = assert(strata.open(path))
			assert.equal("EDIGEST", select(3, img:verify()))
			assert.is_nil((img.layers[1]:read("a")))
			img:close()
		end)
	end)

	it("is refused when it is cut off", function()
		for _, command in ipairs({ "gzip -nc", "zstd -qc" }) do
			local whole = oci_layout.filter(oci_layout.new():layer(ENTRIES).tar, command)
			for _, length in ipairs({ #whole - 1, #whole - 9, math.floor(#whole / 2) }) do
				expect_bad(with_layer(ENTRIES, whole:sub(1, length)), "EFORMAT", { "layer 1/1" })
			end
		end
	end)

	it("is refused when garbage follows", function()
		local tar = oci_layout.new():layer(ENTRIES).tar
		for _, command in ipairs({ "gzip -nc", "zstd -qc" }) do
			local bytes = oci_layout.filter(tar, command) .. "garbage, more than a header of it"
			expect_bad(with_layer(ENTRIES, bytes), "EFORMAT", { "layer 1/1" })
		end
	end)

	it("is refused when it inflates beyond a limit, which is named", function()
		local entries = { { name = "zeros", data = ("\0"):rep(4 * 1024 * 1024) } }
		for _, compression in ipairs({ "gzip", "zstd" }) do
			local made = oci_layout.new()
			made:list(made:image({ layers = { made:layer(entries, { compression = compression }) } }).descriptor)
			each_way(made, function(path)
				local img = assert(strata.open(path, { limits = { bytes = 1024 * 1024 } }))
				local content, message, code = img.layers[1]:read("zeros", 10)
				refusal.expect(content, message, code)
				assert.equal("ELIMIT", code)
				assert.truthy(message:find("limits.bytes", 1, true), message)
				assert.truthy(message:find("layer 1/1", 1, true), message)
				assert.equal("ELIMIT", select(3, img:verify()))
				assert.equal("ELIMIT", select(3, img:save(place:file("x"), { format = "docker", compression = "none" })))
				img:close()
			end)
		end
	end)
end)

describe("an archive as a whole", function()
	local COMMANDS = { xz = "xz -c", bzip2 = "bzip2 -c", lz4 = "lz4 -qc", gzip = "gzip -nc", zstd = "zstd -qc" }

	it("is refused when its compression is cut off or damaged", function()
		local plain = shell.read(build({}):archive(dir:file("plain.tar")))
		for name, command in pairs(COMMANDS) do
			local whole = oci_layout.filter(plain, command)
			for _, length in ipairs({ 7, 12, math.floor(#whole / 3), #whole - 5, #whole - 1 }) do
				refuse_open(dir:write("bad." .. name, whole:sub(1, length)), "EFORMAT", {})
			end
			local middle = math.floor(#whole / 2)
			local bad = whole:sub(1, middle) .. ("\170"):rep(64) .. whole:sub(middle + 65)
			refuse_open(dir:write("bad." .. name, bad), "EFORMAT", {})
		end
	end)

	it("is refused when it inflates beyond a limit, which is named", function()
		local plain = build({})
		plain.extra.zeros = ("\0"):rep(4 * 1024 * 1024)
		local bytes = shell.read(plain:archive(dir:file("plain.tar")))
		for name, command in pairs(COMMANDS) do
			local path = dir:write("bomb." .. name, oci_layout.filter(bytes, command))
			refuse_open(path, "ELIMIT", { "limits.bytes" }, { limits = { bytes = 1024 * 1024 } })
		end
	end)

	it("is refused when the tar is cut off", function()
		local plain = shell.read(build({}):archive(dir:file("plain.tar")))
		for _, length in ipairs({ 100, 512 * 3, #plain - 9000, math.floor(#plain / 2) + 7 }) do
			local path = dir:write("cut.tar", plain:sub(1, length))
			local img, message, code = strata.open(path)
			refusal.expect(img, message, code)
			assert.equal("EFORMAT", code)
		end
	end)

	it("is refused when a member is there twice, and differs", function()
		local made, image = build({})
		made:directory(dir:file("layout"))
		local name = oci_layout.blob_name(image.id)
		for _, member in ipairs({ "index.json", "oci-layout", name }) do
			shell.sh(
				[[cd "$1"; tar -cf ../twice.tar .; printf ' ' >>"$2"; tar -rf ../twice.tar "$2"; truncate -s -1 "$2"]],
				dir:file("layout"),
				member
			)
			refuse_open(dir:file("twice.tar"), "EFORMAT", { member, "several times" })
		end
	end)

	it("is refused when a blob is no file", function()
		local made, image = build({})
		for _, change in ipairs({ 'rm "$2"; mkdir "$2"', 'rm "$2"; mkfifo "$2"', 'rm "$2"; ln -s "${2##*/}" "$2"' }) do
			local path = made:directory(dir:file("layout"))
			shell.sh('cd "$1"; ' .. change .. "; tar -cf ../x.tar .", path, oci_layout.blob_name(image.id))
			refuse_open(dir:file("x.tar"), "EFORMAT", { image.id:sub(8) })
			shell.check({ "rm", "-rf", path })
		end
	end)

	it("is refused when a blob's link leaves it", function()
		local made, image = build({})
		for _, target in ipairs({ "../../../outside", "/etc/passwd", "../../../../../../../../etc/passwd" }) do
			local path = made:directory(dir:file("layout"))
			shell.sh('cd "$1"; ln -sf "$3" "$2"; tar -cf ../x.tar .', path, oci_layout.blob_name(image.id), target)
			refuse_open(dir:file("x.tar"), "EFORMAT", { image.id:sub(8) })
			shell.check({ "rm", "-rf", path })
		end
	end)
end)

describe("a directory", function()
	it("is refused when it is no layout", function()
		refuse_open(dir.path, "EFORMAT", { "index.json" })
		dir:write("version", "1.0\n")
		refuse_open(dir.path, "EFORMAT", { "index.json" })
		dir:write("manifest.json", "[]")
		refuse_open(dir.path, "EFORMAT", { "index.json" })
	end)

	it("is refused when it says that it is skopeo's and is damaged", function()
		dir:write("version", "Directory Transport Version: 1.1\n")
		refuse_open(dir.path, "ENOENT", { "manifest.json" })
		for _, text in ipairs({ "", "[]", "{", "null", '{"manifests":5}', '{"manifests":[],"layers":[]}' }) do
			dir:write("manifest.json", text)
			local img, message, code = strata.open(dir.path)
			refusal.expect(img, message, code)
			assert.equal(text == "[]" and "ENOENT" or "EFORMAT", code, message)
		end
		local made, image = build({})
		made.root.manifests = { image.descriptor }
		made:flat(dir:file("flat"))
		os.remove(dir:file("flat/" .. image.id:sub(8)))
		refuse_open(dir:file("flat"), "ENOENT", { "config", image.id })
	end)

	it("is refused when its documents are no files", function()
		for code, change in pairs({
			EISDIR = "mkdir index.json",
			EUNSUPPORTED = "mkfifo index.json",
			ELOOP = "ln -s index.json index.json",
		}) do
			local path = build({}):directory(dir:file("layout"))
			shell.sh('cd "$1"; rm index.json; ' .. change, path)
			refuse_open(path, code, { "index.json" })
			shell.check({ "rm", "-rf", path })
		end
	end)
end)
