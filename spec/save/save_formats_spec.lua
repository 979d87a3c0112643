-- Takes seconds: not for make check.
-- Every image in every format: what each output holds, and that nothing gets lost on the way.

local archive = require "spec.support.docker_archive"
local archive_check = require "spec.support.archive_check"
local blobs = require "spec.support.blobs"
local dialects = require "spec.support.docker_dialects"
local peers = require "spec.support.peers"
local shell = require "spec.support.shell"
local skopeo = require "spec.support.skopeo"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local dir = tmp.dir(tmp.for_peers())
local layers = archive.layers(3)
local made = archive.image({ layers = layers })
local TYPES = blobs.TYPES

local FORMATS = { "docker", "docker-legacy", "oci", "oci-archive" }
local COMPRESSIONS = { "keep", "none", "gzip", "zstd" }

-- Layers of docker-legacy are plain.
local function compressions_of(format)
	return format == "docker-legacy" and { "keep", "none" } or COMPRESSIONS
end

local function number()
	dir.count = (dir.count or 0) + 1
	return dir.count
end

local function fresh(name)
	return dir:file(number() .. "-" .. name)
end

--- A layout of the image in one or the other family of media types, with annotations everywhere.
local function layout(given)
	given = given or {}
	local made_layout = blobs.new()
	local image = made_layout:image({
		layers = layers,
		family = given.family,
		compression = given.compression or { "gzip", "none", "zstd" },
		more = blobs.annotations("org.example.manifest", "kept"),
		more_of_layers = { [2] = blobs.annotations("org.example.layer", "two") .. ',"x-layer":[ 1 ]' },
	})
	local more = blobs.named("app:1", "org.example.descriptor", "kept too")
		.. ',"platform":{"os":"linux","architecture":"amd64","os.version":"10.1"}'
	made_layout:set_root({ blobs.descriptor(image, more) }, blobs.annotations("org.example.root", "root"))
	return made_layout, image
end

--- A path to the same image, however it came to be stored.
local SOURCES = {
	["docker 1.10"] = function()
		return dialects.of.docker_1_10(made):write(fresh("source"))
	end,
	["docker 25"] = function()
		return dialects.of.docker_25(made):write(fresh("source"))
	end,
	["containerd"] = function()
		return dialects.of.docker_29(made):write(fresh("source"))
	end,
	["kaniko"] = function()
		return dialects.of.kaniko(made):write(fresh("source"))
	end,
	["podman"] = function()
		return dialects.of.podman(made):write(fresh("source"))
	end,
	["an OCI directory"] = function()
		return layout():write_dir(fresh("source"))
	end,
	["an OCI archive"] = function()
		return layout():write_archive(fresh("source"))
	end,
	["Docker's types in a directory"] = function()
		return layout({ family = "docker" }):write_dir(fresh("source"))
	end,
	["skopeo dir:"] = function()
		peers.need("skopeo")
		local path = fresh("source")
		skopeo.copy("oci:" .. layout():write_dir(fresh("layout")) .. ":app:1", "dir:" .. path)
		return path
	end,
}

--- The one image that an output holds, as sha256sum, gzip, tar and cjson see it: config_text, diff_ids, stored.
local function look(path, format)
	local found = { diff_ids = {}, stored = {} }
	if format:find("^docker") then
		local checked = archive_check.read(path)
		-- Python has no zstd; blobs.look looks into such layers.
		if not shell.read(path):find("\40\181\47\253", 1, true) then
			assert.same({}, checked.problems)
		end
		assert.equal(1, #checked.images)
		found.config_text = checked.images[1].config_text
		for i, layer in ipairs(checked.images[1].layers) do
			found.diff_ids[i], found.stored[i] = layer.diff_id, "sha256:" .. layer.stored
		end
	end
	if format ~= "docker-legacy" then
		local layout_found = blobs.look(path)
		assert.same({}, layout_found.problems)
		assert.equal(1, #layout_found.images)
		local image = layout_found.images[1]
		assert.equal(found.config_text or image.config_text, image.config_text)
		found.config_text, found.digest, found.image = image.config_text, image.digest, image
		found.layout = layout_found
		for i, layer in ipairs(image.layers) do
			assert.equal(found.stored[i] or layer.digest, layer.digest)
			found.diff_ids[i], found.stored[i] = layer.diff_id, layer.digest
		end
	end
	return found
end

local function diff_ids()
	local list = {}
	for i, layer in ipairs(layers) do
		list[i] = "sha256:" .. layer.diff_id
	end
	return list
end

local function expect_result(result, path, format, img)
	assert.equal(format, result.format)
	assert.equal(path, result.path)
	assert.equal(img.id, result.id)
	local found = look(path, format)
	assert.equal(result.id, "sha256:" .. archive.sha256(found.config_text))
	assert.equal(found.digest, result.digest)
	for i, layer in ipairs(result.layers) do
		assert.equal(found.diff_ids[i], layer.diff_id)
		if layer.digest or format ~= "docker-legacy" then
			assert.equal(found.stored[i], layer.digest)
		end
		if found.image then
			assert.equal(found.image.layers[i].size, layer.size)
			local types = TYPES.oci
			assert.equal(types[layer.compression], found.image.layers[i].type)
		end
	end
	if not format:find("^oci$") then
		assert.equal(#shell.read(path), result.size)
	end
	return found
end

for source_name, source in pairs(SOURCES) do
	describe("an image from " .. source_name, function()
		it("is the same, byte for byte, when nothing was edited", function()
			local path, target = source(), fresh("target")
			local img = assert(strata.open(path))
			local result = assert(img:save(target))
			shell.check({ "diff", "-r", path, target })
			assert.equal(made.id, result.id:sub(8))
			assert.equal(img.digest, result.digest)
			for _, layer in ipairs(result.layers) do
				assert.equal("copied", layer.action)
			end
		end)

		it("is the same, byte for byte, saved over itself", function()
			local path, copy = source(), fresh("copy")
			shell.check({ "cp", "-r", path, copy })
			assert(assert(strata.open(path)):save(path))
			shell.check({ "diff", "-r", path, copy })
		end)

		it("takes no compression for docker-legacy, whose layers are plain", function()
			local img = assert(strata.open(source()))
			for _, compression in ipairs({ "gzip", "zstd" }) do
				for _, call in ipairs({ "plan", "save" }) do
					local opts = { format = "docker-legacy", compression = compression }
					local ok, message = pcall(function()
						return call == "plan" and img:plan(opts) or img:save(fresh("target"), opts)
					end)
					assert.is_false(ok)
					assert.matches("layers of the format docker-legacy are plain", message, 1, true)
				end
			end
		end)

		for _, format in ipairs(FORMATS) do
			for _, compression in ipairs(compressions_of(format)) do
				local name = ("becomes %s with the compression %s, and the result says so"):format(format, compression)

				it(name, function()
					local img = assert(strata.open(source()))
					local target = fresh("target")
					local plan = assert(img:plan({ format = format, compression = compression }))
					local result = assert(img:save(target, { format = format, compression = compression }))
					local found = expect_result(result, target, format, img)
					assert.equal(made.config, found.config_text)
					assert.same(diff_ids(), found.diff_ids)
					for i, layer in ipairs(result.layers) do
						local before = img.layers[i]
						assert.equal(before.diff_id, layer.old_diff_id)
						assert.equal(before.size, layer.old_size)
						assert.equal(layer.old_digest or before.digest, before.digest)
						local wanted = format == "docker-legacy" and "none" or compression
						if wanted == "keep" then
							wanted = before.compression
						end
						assert.equal(wanted, layer.compression)
						local action = wanted == before.compression and "copied" or "recompressed"
						assert.equal(action, layer.action)
						if action == "copied" then
							assert.equal(before.digest, found.stored[i])
						end
						for key, value in pairs(plan.layers[i]) do
							assert.equal(layer[key], value, key)
						end
						assert.equal(layer.compression, plan.layers[i].compression)
						assert.equal(layer.action, plan.layers[i].action)
					end
					assert.equal(result.id, plan.id)
					assert.equal(result.format, plan.format)
					assert.equal(plan.digest or result.digest, result.digest)
					local again = assert(strata.open(target))
					assert.is_true(again:verify())
					assert.equal(img.id, again.id)
					assert.same(img.tags, again.tags)
				end)
			end

			it(("becomes the same %s in every run and with any number of threads"):format(format), function()
				local path, first, second = source(), fresh("first"), fresh("second")
				for i, target in ipairs({ first, second }) do
					local img = assert(strata.open(path))
					img:filter(function(entry)
						return entry.path ~= "etc/link2"
					end)
					if i == 2 then
						assert.is_string(img.id)
					end
					local packed = format ~= "docker-legacy"
					assert(img:save(target, {
						format = format,
						compression = packed and "gzip" or nil,
						level = packed and 9 or nil,
						threads = i,
					}))
				end
				shell.check({ "diff", "-r", first, second })
			end)
		end
	end)
end

describe("a new image", function()
	local function new()
		local img = strata.new({ platform = "linux/arm64/v8" })
		assert(img:append({ files = { ["/a"] = ("a"):rep(5000) } }))
		img:tag("new:1")
		return img
	end

	for _, format in ipairs(FORMATS) do
		it("becomes " .. format, function()
			for _, compression in ipairs(compressions_of(format)) do
				local img, target = new(), fresh("new")
				local result = assert(img:save(target, { format = format, compression = compression }))
				local found = expect_result(result, target, format, img)
				assert.equal("added", result.layers[1].action)
				assert.is_nil(result.layers[1].old_digest)
				assert.equal(result.layers[1].diff_id, found.diff_ids[1])
				if found.image then
					local platform = { os = "linux", architecture = "arm64", variant = "v8" }
					assert.same(platform, found.layout.index.manifests[1].platform)
				end
				assert.same({ "new:1" }, assert(strata.open(target)).tags)
			end
		end)
	end

	it("is in docker's format unless told otherwise", function()
		local target = fresh("new")
		assert.equal("docker", assert(new():save(target)).format)
		look(target, "docker")
	end)

	it("may have no layers and no tags", function()
		for _, format in ipairs({ "docker", "oci", "oci-archive" }) do
			local img, target = strata.new({ platform = "linux/amd64" }), fresh("new")
			local result = assert(img:save(target, { format = format }))
			assert.same({}, result.layers)
			look(target, format)
			assert.same({}, assert(strata.open(target)).tags)
		end
	end)
end)

describe("from one family of media types to the other", function()
	local function open_found(img, format)
		local target = fresh("target")
		local result, lost = img:save(target, { format = format })
		assert(result, lost)
		return look(target, format), target, lost
	end

	it("Docker's types become OCI's, and everything else in the manifest stays as it was", function()
		local given, image = layout({ family = "docker" })
		for _, format in ipairs({ "docker", "oci", "oci-archive" }) do
			local found = open_found(assert(strata.open(given:write_dir(fresh("source")))), format)
			local expected = image.text
			for kind, name in pairs(TYPES.docker) do
				local pattern = '"' .. name:gsub("%p", "%%%0") .. '"'
				expected = expected:gsub(pattern, '"' .. TYPES.oci[kind] .. '"')
			end
			assert.equal(expected, found.image.text)
			assert.equal(TYPES.oci.manifest, found.image.descriptor.mediaType)
		end
	end)

	it("an OCI manifest is the same manifest in every format, and the digest of the image stays", function()
		local given, image = layout()
		for _, format in ipairs({ "docker", "oci", "oci-archive" }) do
			local found = open_found(assert(strata.open(given:write_dir(fresh("source")))), format)
			assert.equal(image.text, found.image.text)
			assert.equal(image.digest, found.digest)
		end
	end)

	it("OCI to Docker and back loses nothing of config, layers, annotations and unknown keys", function()
		local given, image = layout()
		local _, docker_path = open_found(assert(strata.open(given:write_archive(fresh("source")))), "docker")
		local found = open_found(assert(strata.open(docker_path)), "oci")
		assert.equal(image.text, found.image.text)
		local _, edited_path = open_found(assert(strata.open(docker_path)), "docker")
		assert.equal(image.text, look(edited_path, "docker").image.text)
	end)

	it("annotations and the platform of the descriptor stay", function()
		local given = layout()
		for _, format in ipairs({ "docker", "oci", "oci-archive" }) do
			local found = open_found(assert(strata.open(given:write_dir(fresh("source")))), format)
			local descriptor = found.layout.index.manifests[1]
			assert.equal("kept too", descriptor.annotations["org.example.descriptor"])
			assert.same({ os = "linux", architecture = "amd64", ["os.version"] = "10.1" }, descriptor.platform)
		end
	end)

	it("what docker-legacy cannot hold is listed", function()
		local _, _, lost = open_found(assert(strata.open(layout():write_dir(fresh("source")))), "docker-legacy")
		assert.equal("table", type(lost))
		assert.truthy(table.concat(lost, "\n"):find("annotations", 1, true))
		local plain = dialects.of.docker_1_10(made):write(fresh("source"))
		local _, _, none = open_found(assert(strata.open(plain)), "docker-legacy")
		assert.is_nil(none)
	end)

	it("an index around the image, and its annotations, are listed when they are left behind", function()
		local given = blobs.new()
		local a = given:image({ layers = layers })
		local b = given:image({ layers = layers, name = "b" })
		local index = given:index({ blobs.descriptor(a), blobs.descriptor(b) }, blobs.annotations("org.example.index", "x"))
		given:set_root({ blobs.descriptor(index, blobs.named("multi")) })
		local img = assert(strata.open(given:write_dir(fresh("source")), { digest = a.digest }))
		assert.equal(index.digest, img.index.digest)
		assert.equal(2, img.index.count)
		local target = fresh("target")
		local result, lost = img:save(target, { format = "oci-archive" })
		assert(result, lost)
		assert.equal(a.digest, result.digest)
		assert.equal(2, #lost)
		for _, line in ipairs(lost) do
			assert.truthy(line:find(index.digest, 1, true), line)
		end
	end)
end)

describe("several images saved together", function()
	local function both()
		local a = assert(strata.open(dialects.of.docker_1_10(made):write(fresh("a"))))
		local other = archive.image({ layers = { layers[1], layers[2] }, name = "b", tags = { "b:2" } })
		local b = assert(strata.open(dialects.of.docker_25(other):write(fresh("b"))))
		return a, b
	end

	for _, format in ipairs({ "docker", "oci", "oci-archive" }) do
		it("become one " .. format .. ", and what they share is there once", function()
			local a, b = both()
			local target = fresh("both")
			local result = assert(strata.save({ a, b }, target, { format = format, compression = "none" }))
			assert.equal(2, #result.images)
			local found = blobs.look(target)
			assert.same({}, found.problems)
			assert.equal(2, #found.images)
			for i, img in ipairs({ a, b }) do
				assert.equal(img.id, found.images[i].id)
				assert.equal(img.id, result.images[i].id)
				assert.equal(found.images[i].digest, result.images[i].digest)
				assert.same(img.tags, assert(strata.open(target, { ref = img.tags[1] })).tags)
			end
			local count = 0
			for digest in pairs(found.blobs) do
				assert.is_true(found.reached[digest], digest)
				count = count + 1
			end
			assert.equal(3 + 2 + 2, count) -- layers, configs, manifests
			if format == "docker" then
				local checked = archive_check.read(target)
				assert.same({}, checked.problems)
				assert.same({ "b:2" }, checked.images[2].tags)
			end
		end)
	end

	it("become one docker-legacy archive", function()
		local a, b = both()
		local target = fresh("both")
		local result = assert(strata.save({ a, b }, target, { format = "docker-legacy" }))
		local checked = archive_check.read(target)
		assert.same({}, checked.problems)
		for i, img in ipairs({ a, b }) do
			assert.equal(img.id, checked.images[i].id)
			assert.equal(img.id, result.images[i].id)
			assert.is_nil(result.images[i].digest)
		end
	end)

	it("become an archive for docker when they come from different files and no format is given", function()
		local a, b = both()
		local target = fresh("both")
		local result = assert(strata.save({ a, b }, target))
		assert.equal(2, #archive_check.read(target).images)
		assert.equal("docker", result.format)
		assert.same({}, blobs.look(target).problems)
	end)

	it("may be one and the same image twice, under the tags of both", function()
		local path = dialects.of.docker_1_10(made):write(fresh("a"))
		local a, b = assert(strata.open(path)), assert(strata.open(path))
		b.tags = { "b:1" }
		for _, format in ipairs({ "docker", "oci" }) do
			local target = fresh("twice")
			assert(strata.save({ a, b }, target, { format = format }))
			assert.same({}, blobs.look(target).problems)
			for _, ref in ipairs({ "app:1", "b:1" }) do
				assert.equal(a.id, assert(strata.open(target, { ref = ref })).id)
			end
		end
	end)

	it("may be edited alike, and what the edits make alike is there once", function()
		local a, b = both()
		for _, img in ipairs({ a, b }) do
			img:filter(function(entry)
				return entry.path ~= "etc/link1"
			end)
		end
		local target = fresh("edited")
		local result = assert(strata.save({ a, b }, target, { format = "oci", compression = "gzip" }))
		assert.equal(result.images[1].layers[1].digest, result.images[2].layers[1].digest)
		assert.equal("rewritten", result.images[2].layers[1].action)
		local found = blobs.look(target)
		assert.same({}, found.problems)
		assert.equal("rewritten", result.layers[1].action)
	end)
end)

describe("foreign layers", function()
	local FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	local URLS = ',"urls":["https://example.org/layer"]'

	local function foreign(without)
		local given = blobs.new()
		local image = given:image({
			layers = layers,
			family = "docker",
			types = { FOREIGN },
			more_of_layers = { URLS },
			without = without and { true },
		})
		return given:set_root({ blobs.descriptor(image, blobs.named("app:1")) }), image
	end

	for _, without in ipairs({ false, true }) do
		local state = without and "that are not here" or "that are here"

		it(state .. " stay foreign in a layout, with their URLs and bytes, in whatever compression the others are", function()
			for _, format in ipairs({ "oci", "oci-archive" }) do
				for _, compression in ipairs({ "keep", "none", "zstd" }) do
					local img = assert(strata.open(foreign(without):write_dir(fresh("source"))))
					assert.is_true(img.layers[1].foreign)
					img.config:set_env("X", "1")
					local target = fresh("target")
					local result = assert(img:save(target, { format = format, compression = compression }))
					assert.equal("copied", result.layers[1].action)
					local found = blobs.look(target)
					assert.same({}, found.problems)
					local layer = found.images[1].layers[1]
					assert.equal("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", layer.type)
					assert.same({ "https://example.org/layer" }, layer.descriptor.urls)
					assert.equal("sha256:" .. layers[1].gz_id, layer.digest)
					assert.equal(not without, layer.plain ~= nil)
				end
			end
		end)
	end

	it("that are not here are refused where docker has to load them", function()
		for _, format in ipairs({ "docker", "docker-legacy" }) do
			local img = assert(strata.open(foreign(true):write_dir(fresh("source"))))
			local target = fresh("target")
			local result, message, code = img:save(target, { format = format })
			assert.is_nil(result)
			assert.equal("ENOENT", code)
			assert.truthy(message:find("layer 1", 1, true), message)
			assert.is_nil(io.open(target))
		end
	end)

	it("that are here become plain ones in a docker-legacy archive, and that is said", function()
		local img = assert(strata.open(foreign():write_dir(fresh("source"))))
		local target = fresh("target")
		local result, lost = img:save(target, { format = "docker-legacy" })
		assert(result, lost)
		assert.same(diff_ids(), look(target, "docker-legacy").diff_ids)
		assert.truthy(table.concat(lost, "\n"):find("foreign", 1, true))
	end)

	it("that are rewritten are foreign no more: their URLs go, and that is said", function()
		for _, format in ipairs({ "oci", false }) do
			local img = assert(strata.open(foreign():write_dir(fresh("source"))))
			img.layers[1]:remove("etc/link1")
			local target = fresh("target")
			local result, lost = img:save(target, { format = format or nil })
			assert(result, lost)
			assert.equal("rewritten", result.layers[1].action)
			local layer = blobs.look(target).images[1].layers[1]
			assert.is_nil(layer.descriptor.urls)
			assert.is_nil(layer.type:find("foreign", 1, true) or layer.type:find("nondistributable", 1, true))
			assert.truthy(table.concat(lost or {}, "\n"):find("foreign", 1, true))
		end
	end)
end)
