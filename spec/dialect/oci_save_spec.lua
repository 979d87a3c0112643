-- Takes seconds: not for make check.
-- Saving an edited image back into the layout that it came from: what is concerned follows, everything
-- else keeps its bytes.

local archive = require "spec.support.docker_archive"
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
				img.layers[2]:remove("etc/link2")
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
					"io.containers.zstd-chunked.manifest-position", "1:2:3:1",
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

		it("leaves what something that is no image needs, and treats a signature as an attestation", function()
			layout = blobs.new()
			a = layout:image({ layers = { layers[1], layers[2] } })
			local stranger = layout:put(('{"blobs":[{"digest":"sha256:%s"}]}'):format(layers[1].gz_id),
				"application/vnd.oci.artifact.manifest.v1+json")
			local empty = layout:put("{}", "application/vnd.oci.empty.v1+json")
			local signature = layout:put(('{"schemaVersion":2,"artifactType":"a/b","config":%s,"layers":[%s],"subject":%s}')
				:format(descriptor(empty), descriptor(empty), descriptor(a)), blobs.TYPES.oci.manifest)
			layout:set_root({ descriptor(a, named("a")), descriptor(stranger), descriptor(signature) })
			local source = write(layout)
			for _, how in ipairs({ "keep", "drop", "refuse" }) do
				local img = assert(strata.open(source))
				img.layers[1]:remove("etc/link1")
				img.layers[2]:remove("etc/link2")
				local target = fresh("target")
				local result, lost, code = img:save(target, { attestations = how })
				if how == "refuse" then
					assert.equal("EINVAL", code)
					assert.truthy(lost:find(signature.digest, 1, true), lost)
				else
					assert(result, lost)
					local names = {}
					if way == "archive" then
						shell.sh('mkdir "$2"; tar -xf "$1" -C "$2"', target, target .. ".d")
						target = target .. ".d"
					end
					for name in shell.sh('ls "$1/blobs/sha256"', target):gmatch("%x+") do
						names["sha256:" .. name] = true
					end
					assert.truthy(names["sha256:" .. layers[1].gz_id])
					assert.is_nil(names["sha256:" .. layers[2].gz_id])
					assert.is_nil(names[a.digest])
					assert.equal(how == "keep" or nil, names[signature.digest])
					assert.equal(how == "keep" or nil, names[empty.digest])
					assert.equal(how == "keep", lost ~= nil)
				end
			end
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

		it("has two names where umoci has tagged what containerd named, each of which can go", function()
			layout:set_root({
				descriptor(a, annotations("io.containerd.image.name", "docker.io/library/app:1",
					"org.opencontainers.image.ref.name", "third")),
			})
			local source = write(layout)
			for kept, expected in pairs({
				third = { ["org.opencontainers.image.ref.name"] = "third" },
				["app:1"] = {
					["io.containerd.image.name"] = "docker.io/library/app:1",
					["org.opencontainers.image.ref.name"] = "1",
				},
			}) do
				local img = assert(strata.open(source, { ref = kept }))
				assert.same({ "app:1", "third" }, img.tags)
				img.tags = { kept }
				local target = fresh("target")
				assert(img:save(target))
				local index = look(target).index
				assert.equal(1, #index.manifests)
				assert.same(expected, index.manifests[1].annotations)
			end
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
			assert.is_false(img.edited)
			assert(img:save(fresh("target")))
			for _, format in ipairs({ "docker", "docker-legacy" }) do
				local target = fresh("target")
				local result
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
end
