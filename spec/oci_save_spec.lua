-- Saving an edited image back into the layout that it came from: what is concerned follows, everything
-- else keeps its bytes.

local archive = require "spec.support.docker_archive"
local archive_check = require "spec.support.archive_check"
local blobs = require "spec.support.blobs"
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
	describe("an edited image of a layout as " .. way, function()
		local layout, a, b

		before_each(function()
			layout = blobs.new()
			a = layout:image({
				layers = { layers[1], layers[2], layers[3] },
				more = annotations("org.example.a", "\195\169/1"),
				more_of_layers = {
					annotations("org.example.layer", "one") .. ',"x-layer":[1.0]',
					annotations("org.example.layer", "two"),
				},
			})
			b = layout:image({ layers = { layers[1], layers[4] }, name = "b" })
			layout:put("nothing leads here")
			layout:set_root({
				descriptor(a, named("a", "org.example.note", "of a") .. ',"x-descriptor":[1e2]'),
				descriptor(b, named("b")),
			}, annotations("org.example.root", "root"))
		end)

		local function edited(edit, opts, source, open)
			source = source or write(layout)
			local img = assert(strata.open(source, open or { ref = "a" }))
			edit(img)
			local target = fresh("target")
			local result, lost = img:save(target, opts)
			assert(result, lost)
			local found = look(target)
			assert.equal(img.id, result.id)
			assert.equal(found.by_name[img.tags[1]].id, result.id)
			assert.equal(found.by_name[img.tags[1]].digest, result.digest)
			if not opts then
				assert.equal(img.digest, result.digest)
			end
			return found, result, lost, target, img
		end

		it("changes its config, its manifest and its descriptor, and nothing else", function()
			local config = archive.image({ layers = { layers[1], layers[2], layers[3] } }).config
			local found, _, lost = edited(function(img)
				img.config:set_label("name", "other")
			end)
			assert.is_nil(lost)
			local new_config = config:gsub('"name":"app"', '"name":"other"')
			assert.equal(new_config, found.by_name.a.config_text)
			local expected = a.text:gsub(('"size":%d,"digest":"%s"'):format(#config, hash(config):gsub("%p", "%%%0")),
				('"size":%d,"digest":"%s"'):format(#new_config, hash(new_config)))
			assert.equal(expected, found.by_name.a.text)
			assert.equal(replaced(layout.root, { a, found.by_name.a }), found.root)
			assert.equal(b.text, found.by_name.b.text)
			local there = {}
			for digest in pairs(layout.blobs) do
				there[digest] = true
			end
			there[hash(config)], there[a.digest] = nil, nil
			there[hash(new_config)], there[found.by_name.a.digest] = true, true
			assert.same(there, found.blobs)
		end)

		it("has a new blob for a layer that was rewritten, and the old one goes", function()
			local found, result = edited(function(img)
				img.layers[2]:drop("etc/link2")
			end)
			local now = found.by_name.a.layers
			assert.equal("rewritten", result.layers[2].action)
			assert.equal(result.layers[2].digest, now[2].digest)
			assert.equal("sha256:" .. layers[1].gz_id, now[1].digest)
			assert.equal("sha256:" .. layers[3].gz_id, now[3].digest)
			assert.is_nil(found.blobs["sha256:" .. layers[2].gz_id])
			assert.same({ ["org.example.layer"] = "two" }, now[2].annotations)
			assert.truthy(found.by_name.a.text:find('"x-layer":[1.0]', 1, true))
			assert.truthy(found.root:find('"x-descriptor":[1e2]', 1, true))
			assert.truthy(found.blobs[hash("nothing leads here")])
		end)

		it("leaves a blob that another image needs", function()
			local found = edited(function(img)
				assert(img:filter(drop_link1))
			end)
			assert.truthy(found.blobs["sha256:" .. layers[1].gz_id])
			assert.equal("sha256:" .. layers[1].gz_id, found.by_name.b.layers[1].digest)
			assert.not_equal("sha256:" .. layers[1].gz_id, found.by_name.a.layers[1].digest)
		end)

		it("gets the layer that is appended, and loses the one that is pruned", function()
			local found, result = edited(function(img)
				assert(img.layers[2]:filter(function()
					return false
				end))
				assert(img:prune())
				assert(img:append({ files = { ["/new"] = "new" } }))
			end)
			assert.equal(3, #found.by_name.a.layers)
			assert.equal("added", result.layers[3].action)
			assert.is_nil(found.blobs["sha256:" .. layers[2].gz_id])
			assert.equal("sha256:" .. layers[3].gz_id, found.by_name.a.layers[2].digest)
		end)

		it("is compressed in another way, and its media types say so", function()
			for how, media_type in pairs(blobs.TYPES.oci) do
				if how == "zstd" or how == "none" then
					local found, result = edited(function() end, { compression = how })
					for i, layer in ipairs(found.by_name.a.layers) do
						assert.equal(media_type, layer.type)
						assert.equal("recompressed", result.layers[i].action)
						assert.equal("sha256:" .. layers[i].diff_id, layer.diff_id)
						assert.is_true(layer.annotations["org.example.layer"] ~= nil or i == 3)
					end
					assert.equal("sha256:" .. layers[1].gz_id, found.by_name.b.layers[1].digest)
				end
			end
		end)

		it("keeps the kind of compression that each layer had", function()
			layout = blobs.new()
			a = layout:image({ layers = { layers[1], layers[2], layers[3] }, compression = { "zstd", "none", "gzip" } })
			layout:set_root({ descriptor(a, named("a")) })
			local found = edited(function(img)
				assert(img:filter(function(entry)
					return not entry.path:find("^etc/link%d")
				end))
			end)
			for i, how in ipairs({ "zstd", "none", "gzip" }) do
				assert.equal(blobs.TYPES.oci[how], found.by_name.a.layers[i].type)
				assert.not_equal("sha256:" .. layers[i].diff_id, found.by_name.a.layers[i].diff_id)
			end
		end)

		it("keeps it also after it was saved in another way", function()
			local img = assert(strata.open(write(layout), { ref = "a" }))
			assert(img:filter(drop_link1))
			local first, second = fresh("first"), fresh("second")
			assert(img:save(fresh("zstd"), { compression = "zstd" }))
			assert(img:save(fresh("legacy"), { format = "docker-legacy" }))
			assert(img:save(fresh("level"), { compression = "gzip", level = 9 }))
			assert(img:save(second))
			local other = assert(strata.open(write(layout), { ref = "a" }))
			assert(other:filter(drop_link1))
			assert(other:save(first))
			shell.check({ "diff", "-r", first, second })
		end)

		it("keeps annotations of the compressed bytes only on layers that keep these", function()
			local function describing()
				return annotations("io.github.containers.zstd-chunked.manifest-checksum", "sha256:1",
					"io.github.containers.zstd-chunked.manifest-position", "1:2:3:1",
					"containerd.io/snapshot/stargz/toc.digest", "sha256:2",
					"io.containers.estargz.uncompressed-size", "3", "org.example.mine", "kept")
			end
			layout = blobs.new()
			a = layout:image({
				layers = { layers[1], layers[2] },
				more_of_layers = { describing() .. ',"data":"aGVsbG8="', describing() .. ',"data":"aGVsbG8="' },
			})
			layout:set_root({ descriptor(a, named("a") .. ',"data":"aGVsbG8="') })
			local found = edited(function(img)
				assert(img:filter(drop_link1))
			end)
			local now = found.by_name.a.layers
			assert.same({ ["org.example.mine"] = "kept" }, now[1].annotations)
			assert.is_nil(now[1].descriptor.data)
			assert.equal("3", now[2].annotations["io.containers.estargz.uncompressed-size"])
			assert.equal("aGVsbG8=", now[2].descriptor.data)
			assert.is_nil(found.index.manifests[1].data)
			local tagged = edited(function(img)
				img:tag("c:1")
			end)
			assert.equal("aGVsbG8=", tagged.index.manifests[1].data)
		end)

		it("may become what another image is already", function()
			local found = edited(function(img)
				img.tags = { "x:1", "b" }
				img.config:set_label("name", "b")
				img.config:set_label("name", "app")
			end, nil, nil, { ref = "a" })
			assert.equal(a.digest, found.by_name["x:1"].digest)

			layout:set_root({ descriptor(a, named("a")), descriptor(b, named("b")) })
			local img = assert(strata.open(write(layout), { ref = "b" }))
			img.config:set_label("name", "c")
			local target = fresh("c")
			assert(img:save(target))
			local again = assert(strata.open(target, { ref = "b" }))
			again.config:set_label("name", "b")
			local last = fresh("last")
			assert(again:save(last))
			assert.equal(b.digest, look(last).by_name.b.digest)
		end)

		it("gets and loses names in index.json", function()
			local found = edited(function(img)
				img:tag("new:1")
			end)
			assert.equal(3, #found.index.manifests)
			assert.equal(a.digest, found.by_name["new:1"].digest)
			assert.equal(a.digest, found.by_name.a.digest)
			assert.equal("of a", found.index.manifests[3].annotations["org.example.note"])

			found = edited(function(img)
				img.tags = { "new:1", "new:2" }
				img.config:set_env("A", "1")
			end)
			assert.equal(3, #found.index.manifests)
			assert.is_nil(found.by_name.a)
			assert.equal(found.by_name["new:1"].digest, found.by_name["new:2"].digest)
			assert.equal(b.digest, found.by_name.b.digest)
			local img = assert(strata.open(write(layout), { ref = "a" }))
			img.tags = {}
			local target = fresh("untagged")
			assert(img:save(target))
			found = look(target)
			assert.equal(2, #found.index.manifests)
			assert.is_nil(found.by_name.a)
			assert.equal(a.digest, found.index.manifests[1].digest)
			assert.same({ ["org.example.note"] = "of a" }, found.index.manifests[1].annotations)
		end)

		it("has the names of containerd beside those of others where they are", function()
			layout:set_root({
				descriptor(a, annotations("io.containerd.image.name", "docker.io/library/app:1",
					"org.opencontainers.image.ref.name", "1")),
			})
			local img = assert(strata.open(write(layout)))
			assert.same({ "app:1" }, img.tags)
			img.tags = { "example.org/app:2" }
			local target = fresh("target")
			assert(img:save(target))
			assert.same({
				["io.containerd.image.name"] = "example.org/app:2",
				["org.opencontainers.image.ref.name"] = "2",
			}, look(target).index.manifests[1].annotations)
		end)

		it("has a platform in its descriptor that follows its config", function()
			layout:set_root({
				descriptor(a, named("a") .. ',"platform":{"os.version":"1.2","architecture":"amd64","os":"linux"}'),
				descriptor(b, named("b")),
			})
			local found = edited(function(img)
				img.config:set_env("A", "1")
			end)
			assert.truthy(found.root:find('"platform":{"os.version":"1.2","architecture":"amd64","os":"linux"}', 1, true))
			found = edited(function(img)
				img.config.architecture = "arm64"
				img.config:set("/variant", "v8")
			end)
			assert.same({ ["os.version"] = "1.2", os = "linux", architecture = "arm64", variant = "v8" },
				found.index.manifests[1].platform)
		end)

		it("leaves layers that are not here alone", function()
			layout = blobs.new()
			a = layout:image({ layers = { layers[1], layers[2] }, without = { true } })
			layout:set_root({ descriptor(a, named("a")) })
			local source = write(layout)
			local found = edited(function(img)
				img.config:set_env("A", "1")
				img.layers[2]:read("etc/layer2")
			end, nil, source)
			assert.equal("sha256:" .. layers[1].gz_id, found.by_name.a.layers[1].digest)
			assert.is_nil(found.by_name.a.layers[1].plain)

			local img = assert(strata.open(source))
			local kept, message, code = img:filter(drop_link1)
			assert.is_nil(kept)
			assert.equal("ENOENT", code)
			assert.truthy(message:find("layer 1/2", 1, true), message)
			local result
			result, message, code = img:save(fresh("target"))
			assert.is_nil(result)
			assert.equal("ENOENT", code, message)
			for _, format in ipairs({ "docker", "docker-legacy" }) do
				local target = fresh("target")
				result, message, code = assert(strata.open(source)):save(target, { format = format })
				assert.is_nil(result)
				assert.equal("ENOENT", code, message)
				assert.is_nil(io.open(target))
			end
		end)

		it("is refused when a layer that stays is not what its digest says", function()
			layout.blobs["sha256:" .. layers[3].gz_id] = layout.blobs["sha256:" .. layers[3].gz_id]:gsub(".$", "\1")
			local img = assert(strata.open(write(layout), { ref = "a" }))
			img.config:set_env("A", "1")
			local target = fresh("target")
			local result, message, code = img:save(target)
			assert.is_nil(result)
			assert.equal("EDIGEST", code, message)
			assert.equal(2, shell.run({ "ls", "-d", target }).status)
		end)
	end)

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
			assert.equal(2, #index.images)
			assert.equal(3, #index.entries)
			local kinds = {}
			for i, entry in ipairs(index.entries) do
				kinds[i] = entry.kind
				assert.is_false(entry.missing)
			end
			assert.same({ "image", "image", "attestation" }, kinds)
			assert.equal("linux/arm64", tostring(index.entries[2].platform))
			assert.equal(index, index:each(function(img)
				assert(img:filter(drop_link1))
				img.config:set_env("A", "1")
			end))
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
			assert(index:each(function(img)
				calls = calls + 1
				assert.equal("arm64", img.platform.architecture)
				img.config:set_env("A", "1")
			end, { platform = "linux/arm64/v8" }))
			assert.equal(1, calls)
			local target = fresh("target")
			local result, lost = index:save(target)
			assert(result, lost)
			assert.is_nil(lost)
			local found = look(target)
			assert.equal(amd.digest, found.images[1].digest)
			assert.not_equal(arm.digest, found.images[2].digest)
			assert.truthy(found.blobs[proof.digest])
			assert(index:each(function()
				calls = calls + 1
			end, { platform = "linux/s390x" }))
			assert.equal(1, calls)
			assert.error_matches(function()
				index:each(print, { platform = "nonsense" })
			end, "platform")
		end)

		it("is the same when it is saved without an edit", function()
			local source, target = write(layout), fresh("target")
			local index = assert(strata.open_index(source))
			assert(index:each(function(img)
				assert.is_string(img.id)
			end))
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
		img.layers[2]:drop("etc/link2")
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
