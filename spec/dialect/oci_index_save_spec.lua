-- Takes seconds: not for make check.
-- Saving images that belong to an index, and whole indexes: every index follows up to the root, and
-- attestations of an image that is another now are kept, dropped or refused.

local archive = require "spec.support.docker_archive"
local archive_check = require "spec.support.archive_check"
local blobs = require "spec.support.blobs"
local collect = require "spec.support.collect"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local dir = tmp.dir(tmp.for_peers())
local layers = archive.layers(4)
local named, annotations, descriptor = blobs.named, blobs.annotations, blobs.descriptor

local count = 0

local function fresh(name)
	count = count + 1
	return dir:file(count .. "-" .. name)
end

local function hash(text)
	return "sha256:" .. archive.sha256(text)
end

--- Both ways to store a layout: write, and where a save goes that nothing is there yet for.
local WAYS = {
	directory = function(layout)
		return layout:write_dir(fresh("layout"))
	end,
	archive = function(layout)
		return layout:write_archive(fresh("layout.tar"))
	end,
}

local function look(path)
	local found = blobs.look(path)
	assert.same({}, found.problems)
	return found
end

--- The root, or an index, with digests and sizes replaced.
local function replaced(text, ...)
	for _, pair in ipairs({ ... }) do
		local old, new = pair[1], pair[2]
		local pattern = ('"size":%d,"digest":"%s"'):format(old.size, old.digest)
		local from, to = text:find(pattern, 1, true)
		assert(from, "not in the index: " .. pattern)
		text = text:sub(1, from - 1) .. ('"size":%d,"digest":"%s"'):format(#new.text, hash(new.text)) .. text:sub(to + 1)
	end
	return text
end

local function drop_link1(entry)
	return entry.path ~= "etc/link1"
end

for way, write in pairs(WAYS) do
	describe("an index below the root of a layout as " .. way, function()
		local layout, amd, arm, inner, outer, proof, proof_descriptor

		before_each(function()
			layout = blobs.new()
			amd = layout:image({ layers = { layers[1], layers[2] }, name = "amd" })
			arm = layout:image({
				layers = { layers[1], layers[3] },
				config = archive.image({ layers = { layers[1], layers[3] } }).config:gsub("amd64", "arm64"),
			})
			proof, proof_descriptor = layout:attestation(amd)
			inner = layout:index({
				descriptor(amd, ',"platform":{"architecture":"amd64","os":"linux"}'),
				descriptor(arm, ',"platform":{"architecture":"arm64","os":"linux"}'),
				proof_descriptor,
			}, annotations("org.example.inner", "inner"))
			outer = layout:index({ descriptor(inner) }, ',"x-outer": true')
			layout:set_root({ descriptor(outer, named("app:1")) })
		end)

		local function edited(opts, edit)
			local img = assert(strata.open(write(layout), { platform = "linux/amd64" }))
			assert.equal(inner.digest, img.index.digest);
			(edit or function(one)
				one.config:set_env("A", "1")
			end)(img)
			local target = fresh("target")
			local result, lost, code = img:save(target, opts)
			if not result then
				return nil, lost, code, target
			end
			return look(target), lost, result, target
		end

		it("follows up to the root, and the other platforms stay", function()
			local found, _, result = edited()
			assert.equal(3, #found.images)
			assert.equal(result.digest, found.images[1].digest)
			assert.equal(arm.text, found.images[2].text)
			local new_inner = replaced(inner.text, { amd, found.images[1] })
			local new_outer = replaced(outer.text, { inner, { text = new_inner } })
			assert.same({ [hash(new_inner)] = new_inner, [hash(new_outer)] = new_outer }, found.nested)
			assert.equal(replaced(layout.root, { outer, { text = new_outer } }), found.root)
			for _, old in ipairs({ amd, inner, outer }) do
				assert.is_nil(found.blobs[old.digest])
			end
			for digest in pairs(found.blobs) do
				assert.is_true(found.reached[digest], digest)
			end
		end)

		it("keeps attestations of what was, and says so", function()
			for _, opts in ipairs({ {}, { attestations = "keep" } }) do
				local found, lost = edited(opts)
				assert.truthy(found.blobs[proof.digest])
				assert.equal(1, #lost)
				assert.truthy(lost[1]:find(proof.digest, 1, true) and lost[1]:find(amd.digest, 1, true), lost[1])
			end
		end)

		it("drops attestations of what was, with their blobs", function()
			local found, lost = edited({ attestations = "drop" })
			assert.is_nil(lost)
			assert.equal(2, #found.images)
			assert.is_nil(found.blobs[proof.digest])
			assert.is_nil(found.root:find("attestation", 1, true))
			for digest in pairs(found.blobs) do
				assert.is_true(found.reached[digest], digest)
			end
		end)

		it("is refused with attestations of what was", function()
			local found, message, code, target = edited({ attestations = "refuse" })
			assert.is_nil(found)
			assert.equal("EINVAL", code)
			assert.truthy(message:find(proof.digest, 1, true), message)
			assert.equal(2, shell.run({ "ls", "-d", target }).status)
		end)

		it("leaves attestations alone when the image stays what it was", function()
			local found, lost = edited({ attestations = "refuse" }, function(img)
				img.tags = { "app:2" }
			end)
			assert.is_nil(lost)
			assert.equal(3, #found.images)
			assert.equal(outer.digest, found.by_name["app:2"].digest)
			assert.is_nil(found.by_name["app:1"])
		end)

		it("throws for what is no way to treat attestations", function()
			assert.error_matches(function()
				edited({ attestations = "maybe" })
			end, "attestations")
		end)

		it("is opened as a whole, edited as a whole and saved as a whole", function()
			local index = assert(strata.open_index(write(layout)))
			assert.equal(2, #collect(index:images()))
			assert.equal(3, #index.manifests)
			local kinds = {}
			for i, entry in ipairs(index.manifests) do
				kinds[i] = entry.kind
				assert.is_false(entry.missing)
			end
			assert.same({ "image", "image", "attestation" }, kinds)
			assert.equal("linux/arm64", tostring(index.manifests[2].platform))
			for img in assert(index:images()) do
				assert(img:filter(drop_link1))
				img.config:set_env("A", "1")
			end
			local target = fresh("target")
			local result, lost = index:save(target, { attestations = "drop" })
			assert(result, lost)
			assert.is_nil(lost)
			local found = look(target)
			assert.equal(2, #found.images)
			assert.equal(found.images[1].layers[1].digest, found.images[2].layers[1].digest)
			assert.is_nil(found.blobs["sha256:" .. layers[1].gz_id])
			for i, one in ipairs(result.images) do
				assert.equal(found.images[i].digest, one.digest)
				assert.equal(found.images[i].id, one.id)
			end
			for digest in pairs(found.blobs) do
				assert.is_true(found.reached[digest], digest)
			end
			index:close()
		end)

		it("is edited for one platform only, if asked", function()
			local index, calls = assert(strata.open_index(write(layout))), 0
			for img in assert(index:images({ platform = "linux/arm64/v8" })) do
				calls = calls + 1
				assert.equal("arm64", img.platform.architecture)
				img.config:set_env("A", "1")
			end
			assert.equal(1, calls)
			local target = fresh("target")
			local result, lost = index:save(target)
			assert(result, lost)
			assert.is_nil(lost)
			local found = look(target)
			assert.equal(amd.digest, found.images[1].digest)
			assert.not_equal(arm.digest, found.images[2].digest)
			assert.truthy(found.blobs[proof.digest])
			local none, _, code = index:images({ platform = "linux/s390x" })
			assert.is_nil(none)
			assert.equal("ENOENT", code)
			assert.error_matches(function()
				index:images({ platform = "nonsense" })
			end, "platform")
		end)

		it("is the same when it is saved without an edit", function()
			local source, target = write(layout), fresh("target")
			local index = assert(strata.open_index(source))
			for img in assert(index:images()) do
				assert.is_string(img.id)
			end
			assert(index:save(target))
			shell.check({ "diff", "-r", source, target })
		end)

		it("is refused when any of its images is not what its digest says, also without an edit", function()
			layout.blobs["sha256:" .. layers[3].gz_id] = layout.blobs["sha256:" .. layers[3].gz_id]:gsub(".$", "\1")
			local index = assert(strata.open_index(write(layout)))
			local target = fresh("target")
			local result, message, code = index:save(target)
			assert.is_nil(result)
			assert.equal("EDIGEST", code, message)
			assert.equal(2, shell.run({ "ls", "-d", target }).status)
		end)

		it("loses nothing on the way to the other way to store a layout", function()
			local index = assert(strata.open_index(write(layout)))
			local target = fresh("target")
			local result, lost = index:save(target, { format = way == "archive" and "oci" or "oci-archive" })
			assert(result, lost)
			local found = look(target)
			assert.equal(amd.digest, found.images[1].digest)
			assert.equal(arm.digest, found.images[2].digest)
			assert.truthy(found.blobs[proof.digest] or table.concat(lost or {}, "\n"):find("manifests", 1, true))
		end)
	end)
end

describe("an archive with a manifest.json beside the index of an image and its attestation", function()
	local layout, image, proof, config

	before_each(function()
		layout = blobs.new()
		config = archive.image({ layers = layers }).config
		image = layout:image({ layers = layers })
		local of_proof
		proof, of_proof = layout:attestation(image)
		local index = layout:index({
			descriptor(image, ',"platform":{"architecture":"amd64","os":"linux","os.version":"1"}'),
			of_proof,
		})
		layout:set_root({
			descriptor(index, annotations("io.containerd.image.name", "docker.io/library/app:1",
				"org.opencontainers.image.ref.name", "1")),
		})
	end)

	local function edited(attestations, edit)
		local names = {}
		for i, layer in ipairs(layers) do
			names[i] = "blobs/sha256/" .. layer.gz_id
		end
		local text = ('[{"Config":"blobs/sha256/%s","RepoTags":["app:1"],"Layers":%s}]'):format(
			archive.sha256(config),
			archive.list(names)
		)
		local source = layout:write_archive(fresh("hybrid.tar"), { { name = "manifest.json", data = text } })
		local img = assert(strata.open(source))
		assert.equal(image.digest, img.digest)
		edit(img)
		local target = fresh("target.tar")
		local result, lost, code = img:save(target, { attestations = attestations })
		if not result then
			return nil, lost, code, target
		end
		local checked = archive_check.read(target)
		assert.same({}, checked.problems)
		local found = look(target)
		assert.equal(result.digest, found.images[1].digest)
		assert.equal(result.id, checked.images[1].id)
		return found, lost
	end

	local function change(img)
		img.config:set_env("A", "1")
		img.layers[2]:remove("etc/link2")
	end

	it("keeps it and says so, or drops it with its blobs, or is refused", function()
		for _, how in ipairs({ false, "keep" }) do
			local found, lost = edited(how or nil, change)
			assert.equal(2, #found.images)
			assert.truthy(lost[1]:find(proof.digest, 1, true), lost[1])
		end
		local found, lost = edited("drop", change)
		assert.is_nil(lost)
		assert.equal(1, #found.images)
		for digest in pairs(found.blobs) do
			assert.is_true(found.reached[digest], digest)
		end
		local _, message, code, target = edited("refuse", change)
		assert.equal("EINVAL", code)
		assert.truthy(message:find(proof.digest, 1, true), message)
		assert.is_nil(io.open(target))
	end)

	it("keeps it in peace when the image stays what it was", function()
		local found, lost = edited("refuse", function(img)
			img:tag("app:2")
		end)
		assert.is_nil(lost)
		assert.equal(2, #found.images)
		assert.equal(2, #found.index.manifests)
	end)
end)
