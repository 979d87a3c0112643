-- Artifacts beside images: made of files, in layouts, archives and registries, listed by what they are about.

local cjson = require "cjson"
local docker_archive = require "spec.support.docker_archive"
local docker_dialects = require "spec.support.docker_dialects"
local oci_layout = require "spec.support.oci_layout"
local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local SPDX, SIGNATURE = "application/spdx+json", "application/vnd.example.signature"
local EMPTY = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

local dir = tmp.dir()
local count = 0

local function fresh(name)
	count = count + 1
	return dir:file(count .. "-" .. name)
end

local function layout()
	local made = oci_layout.new()
	local image = made:image({ layers = { made:file_layer("a") }, platform = "linux/amd64" })
	return made:list(image.descriptor, "app:1"), image.descriptor
end

local function sbom(subject)
	return assert(strata.artifact({
		type = SPDX,
		files = { ["sbom.json"] = { content = '{"spdxVersion":"SPDX-2.3"}', media_type = SPDX }, readme = "text\n" },
		annotations = { ["org.example.by"] = "strata" },
		subject = subject,
	}))
end

local function digests_of(rows)
	local list = {}
	for i, row in ipairs(assert(rows)) do
		list[i] = row.digest
	end
	return list
end

--- The file of a blob in a layout.
local function blob(path, digest)
	return shell.read(path .. "/" .. oci_layout.blob_name(digest))
end

describe("an artifact", function()
	local server

	after_each(function()
		if server then
			server:stop()
			server = nil
		end
	end)

	teardown(function()
		dir:remove()
	end)

	it("is the manifest that the specification describes, always the same one", function()
		local made, descriptor = layout()
		local img = assert(strata.open(made:directory(fresh("layout"))))
		local one, to = sbom(img), fresh("new")
		local saved = assert(one:save(to, { format = "oci" }))
		local text = blob(to, saved.digest)
		assert.equal(saved.digest, one.digest)
		assert.equal(saved.digest, oci_layout.sha256(text))
		assert.equal(sbom(img).digest, one.digest)
		local document = cjson.decode(text)
		assert.same({
			schemaVersion = 2,
			mediaType = oci_layout.types.oci.manifest,
			artifactType = SPDX,
			annotations = { ["org.example.by"] = "strata" },
			config = { mediaType = "application/vnd.oci.empty.v1+json", digest = EMPTY, size = 2, data = "e30=" },
			layers = {
				{ mediaType = "application/octet-stream", digest = oci_layout.sha256("text\n"), size = 5,
					annotations = { ["org.opencontainers.image.title"] = "readme" } },
				{ mediaType = SPDX, digest = oci_layout.sha256('{"spdxVersion":"SPDX-2.3"}'), size = 26,
					annotations = { ["org.opencontainers.image.title"] = "sbom.json" } },
			},
			subject = { mediaType = descriptor.mediaType, digest = descriptor.digest, size = descriptor.size },
		}, document)
		assert.equal("{}", blob(to, EMPTY))
		assert.same({ { mediaType = document.mediaType, digest = saved.digest, size = #text, artifactType = SPDX } },
			cjson.decode(shell.read(to .. "/index.json")).manifests)
		assert.equal('{"imageLayoutVersion":"1.0.0"}', shell.read(to .. "/oci-layout"))
		assert.equal(("strata.Artifact(%s, 2 files, 31 B, %s)"):format(SPDX, saved.digest:sub(1, 19)), tostring(one))
	end)

	it("goes beside an image, which keeps its bytes, and is listed and opened there", function()
		local made, descriptor = layout()
		for _, path in ipairs({ made:directory(fresh("layout")), made:archive(fresh("layout.tar")) }) do
			local img = assert(strata.open(path))
			assert.same({}, img:referrers())
			local one = sbom(img)
			assert.equal(one.digest, assert(one:save(path)).digest)
			local signature = assert(strata.artifact({ type = SIGNATURE, annotations = { sig = "MEQ" }, subject = one }))
			assert(signature:save(path))
			assert(signature:save(path)) -- once more is no second one

			img = assert(strata.open(path))
			assert.equal(descriptor.digest, img.digest)
			assert.is_true(img:verify())
			local rows = assert(img:referrers())
			assert.same({ { digest = one.digest, media_type = oci_layout.types.oci.manifest, artifact_type = SPDX,
				size = rows[1].size, annotations = { ["org.example.by"] = "strata" } } }, rows)
			assert.equal(SPDX .. ", " .. one.digest:sub(1, 19), tostring(rows))
			assert.same({ one.digest }, digests_of(img:referrers({ type = SPDX })))
			assert.same({}, img:referrers({ type = SIGNATURE }))

			local opened = assert(strata.open_artifact(path, { digest = one.digest }))
			assert.equal(SPDX, opened.type)
			assert.equal(path, opened.path)
			assert.same({ ["org.example.by"] = "strata" }, opened.annotations)
			assert.equal(descriptor.digest, opened.subject.digest)
			assert.same({ "readme", "sbom.json" }, { opened.files[1].name, opened.files[2].name })
			assert.equal('{"spdxVersion":"SPDX-2.3"}', opened:read("sbom.json"))
			assert.equal("text\n", opened:read(1))
			assert.equal("{}", opened:read_config())
			assert.equal(EMPTY, opened.config.digest)
			assert.same({ signature.digest }, digests_of(opened:referrers()))
			opened:close()
			assert.is_false(pcall(opened.read, opened, 1))

			local _, message, code = strata.open_artifact(path)
			assert.equal("EAMBIGUOUS", code)
			assert.matches("holds 2 artifacts", message)
			_, message, code = strata.open_artifact(path, { digest = img.digest })
			assert.equal("EUNSUPPORTED", code)
			assert.matches("strata.open opens", message)
			_, message, code = strata.open(path, { digest = one.digest })
			assert.equal("EUNSUPPORTED", code)
			assert.matches("strata.open_artifact", message)
			assert.equal("ENOENT", select(3, strata.open_artifact(path, { ref = "none" })))
		end
	end)

	it("beside an image does not keep a layout from a registry", function()
		local path = layout():directory(fresh("layout"))
		local one = sbom(assert(strata.open(path)))
		assert(one:save(path))
		local hub = remote.client()
		server = registry.start()
		local ref = ("docker://%s/app:1"):format(server.host)
		local _, lost = assert(strata.copy(path, ref, { registry = hub }))
		assert.same({ ("the artifact %s, which is about %s: referrers = true takes it along"):format(one.digest,
			one.subject.digest) }, lost)
		assert.same({}, assert(strata.open(ref, { registry = hub })):referrers())
		_, lost = assert(strata.copy(path, ref, { registry = hub, referrers = true }))
		assert.is_nil(lost)
		assert.same({ one.digest }, digests_of(assert(strata.open(ref, { registry = hub })):referrers()))
	end)

	it("is about the image as it was opened: an edit leaves it behind", function()
		local path = layout():directory(fresh("layout"))
		local img = assert(strata.open(path))
		assert(sbom(img):save(path))
		img.config:set_label("a", "b")
		assert.equal(1, #img:referrers())
		assert(img:save(path))
		assert.same({}, assert(strata.open(path)):referrers())
	end)

	it("is about an index, or what a table says, as well", function()
		local made = oci_layout.new()
		local image = made:image({ layers = { made:file_layer("a") }, platform = "linux/amd64" })
		local index = made:index({ image.descriptor })
		local path = made:list(index, "app:1"):directory(fresh("layout"))
		local img = assert(strata.open(path))
		local one = sbom(img.index)
		assert.same({ media_type = index.mediaType, digest = index.digest, size = index.size }, one.subject)
		assert(one:save(path))
		assert.same({}, assert(strata.open(path)):referrers())
		local all = assert(strata.open_index(path))
		assert.same({ one.digest }, digests_of(all:referrers({ digest = index.digest })))
		assert.same({}, all:referrers({ digest = index.digest, type = SIGNATURE }))
		for _, options in ipairs({ {}, { digest = image.descriptor.digest } }) do
			local _, message, code = all:referrers(options)
			assert.equal("ENOENT", code)
			assert.is_string(message)
		end
		local hub = remote.client()
		server = registry.start()
		local ref = ("docker://%s/app:1"):format(server.host)
		assert(strata.copy(path, ref, { registry = hub, referrers = true }))
		assert.same({ one.digest }, digests_of(assert(strata.open_index(ref, { registry = hub })):referrers()))
	end)

	it("goes to a registry, which lists it itself or leaves that to its clients", function()
		local made, descriptor = layout()
		for _, options in ipairs({ {}, { referrers = false } }) do
			local hub = remote.client()
			server = registry.start(options)
			remote.put(server, "app", made, descriptor.digest, "1")
			local place = ("docker://%s/app"):format(server.host)
			local img = assert(strata.open(place .. ":1", { registry = hub }))
			assert.same({}, img:referrers())
			local one = sbom(img)
			local saved = assert(one:save(place, { registry = hub }))
			assert.equal(one.digest, saved.digest)
			assert.equal(place .. "@" .. one.digest, saved.path)
			assert.equal(3, saved.uploaded)
			local signature = assert(strata.artifact({ type = SIGNATURE, annotations = { sig = "MEQ" }, subject = img }))
			assert(signature:save(place .. ":sig", { registry = hub }))
			local tags = server:tags("app")
			assert.equal(signature.digest, tags.sig)
			assert.is_nil(tags.latest)

			local rows = assert(img:referrers())
			table.sort(rows, function(a, b) return a.artifact_type < b.artifact_type end)
			assert.same({ one.digest, signature.digest }, digests_of(rows))
			assert.same({ SPDX, SIGNATURE }, { rows[1].artifact_type, rows[2].artifact_type })
			assert.same({ sig = "MEQ" }, rows[2].annotations)
			assert.same({ signature.digest }, digests_of(img:referrers({ type = SIGNATURE })))

			local opened = assert(strata.open_artifact(place .. "@" .. one.digest, { registry = hub }))
			assert.equal("text\n", opened:read("readme"))
			assert.equal("{}", opened:read_config())
			-- Into an archive and into another repository, as it is.
			local to = fresh("from-registry.tar")
			assert.equal(one.digest, assert(opened:save(to)).digest)
			assert.equal("text\n", assert(strata.open_artifact(to)):read("readme"))
			local other = assert(opened:save(("docker://%s/other"):format(server.host), { registry = hub }))
			assert.same({ 2, 1 }, { other.mounted, other.uploaded }) -- the empty config is inside the manifest
			assert.equal(one.digest, select(3, server:get_manifest("other", one.digest)))
			-- Signatures go with what they are about.
			local copy = ("docker://%s/copy:1"):format(server.host)
			assert(strata.copy(place .. ":1", copy, { referrers = true, registry = hub }))
			assert.equal(2, #assert(strata.open(copy, { registry = hub })):referrers())
			assert.equal("EUNSUPPORTED", select(3, strata.open_artifact(place .. ":1", { registry = hub })))
			server:stop()
			server = nil
		end
	end)

	it("is made of files of the host, which have to stay as they are", function()
		local file = fresh("big.bin")
		shell.write(file, ("0123456789abcdef"):rep(65536))
		local told = {}
		local one = assert(strata.artifact({
			type = "application/vnd.example.model", files = { ["model.bin"] = { path = file } }, threads = 1,
			progress = function(_, _, what) told[what] = true end,
		}))
		assert.equal(1048576, one.files[1].size)
		assert.equal(oci_layout.sha256(shell.read(file)), one.files[1].digest)
		assert.is_true(told.hashing)
		assert.equal(shell.read(file), one:read(1))
		assert.equal("ELIMIT", select(3, one:read(1, 100)))
		local to = fresh("layout")
		assert(one:save(to, { format = "oci" }))
		assert.equal(shell.read(file), blob(to, one.files[1].digest))
		local handle = assert(io.open(file, "r+b"))
		handle:write("changed")
		handle:close()
		assert.equal("ESTALE", select(3, one:read(1)))
		for _, format in ipairs({ "oci", "oci-archive" }) do
			to = fresh("changed")
			local saved, message = one:save(to, { format = format })
			assert.is_nil(saved)
			assert.is_string(message)
			assert.is_nil(io.open(format == "oci" and to .. "/index.json" or to))
		end
		local _, message, code = strata.artifact({ type = "a/b", files = { a = { path = fresh("none") } } })
		assert.equal("ENOENT", code)
		assert.is_string(message)
	end)

	it("can have a config of its own, and files from a stream go to a stream", function()
		local one = assert(strata.artifact({ type = "a/b", files = { a = "a" },
			config = { content = '{"a":1}', media_type = "application/vnd.example.config+json" } }))
		local to = fresh("stream.tar")
		local handle = assert(io.open(to, "w+b"))
		assert(one:save(handle))
		handle:close()
		local opened = assert(strata.open_artifact(to))
		assert.equal('{"a":1}', opened:read_config())
		assert.equal("application/vnd.example.config+json", opened.config.media_type)
	end)

	it("reads what its descriptors promise and nothing else", function()
		local one = sbom()
		local path = fresh("layout")
		assert(one:save(path, { format = "oci" }))
		local name = path .. "/" .. oci_layout.blob_name(one.files[1].digest)
		shell.write(name, "TEXT\n")
		local opened = assert(strata.open_artifact(path))
		assert.equal("EDIGEST", select(3, opened:read("readme")))
		assert.is_nil((opened:save(fresh("copy"), { format = "oci" })))
		shell.write(name, "text")
		assert.equal("EDIGEST", select(3, opened:read("readme")))
		os.remove(name)
		assert.equal("ENOENT", select(3, opened:read("readme")))
		assert.equal("ENOENT", select(3, opened:save(fresh("copy"), { format = "oci" })))
		assert.equal("ENOENT", select(3, opened:read("reedme")))
		assert.equal("{}", opened:read_config())
	end)

	it("that is not what it should be is EFORMAT, and what it says of itself is taken for what it is", function()
		local made = oci_layout.new()
		local types = oci_layout.types.oci
		local function add(document)
			document.schemaVersion, document.mediaType = 2, types.manifest
			local descriptor = made:document(document, types.manifest)
			made:list(descriptor)
			return descriptor.digest
		end
		local config = oci_layout.with(made:blob("{}"), { mediaType = "application/vnd.oci.empty.v1+json" })
		local bad = {
			add({ artifactType = "a/b", config = config, layers = "none" }),
			add({ artifactType = "a/b", layers = oci_layout.list() }),
			add({ artifactType = "a/b", config = config, layers = { { digest = "sha256:1", size = 1 } } }),
			add({ artifactType = "a/b", config = config, layers = { { digest = EMPTY, size = -1 } } }),
		}
		local odd = add({
			artifactType = 5, config = config, subject = { digest = 7 }, annotations = { a = 1, b = "c" },
			layers = { oci_layout.with(config, { mediaType = "a/b", data = "AAAA", annotations = "none" }) },
		})
		local path = made:directory(fresh("odd"))
		for _, digest in ipairs(bad) do
			local opened, message, code = strata.open_artifact(path, { digest = digest })
			assert.is_nil(opened)
			assert.is_string(message)
			assert.equal("EFORMAT", code)
		end
		local opened = assert(strata.open_artifact(path, { digest = odd }))
		assert.equal("application/vnd.oci.empty.v1+json", opened.type)
		assert.is_nil(opened.subject)
		assert.same({ b = "c" }, opened.annotations)
		assert.is_nil(opened.files[1].name)
		assert.equal("{}", opened:read(1)) -- the data inside the descriptor is something else
		assert.is_string(tostring(opened))
	end)

	it("has no place in an archive without an index.json, and does not take that of another file", function()
		local image = docker_archive.image({ tags = { "app:1" }, layers = docker_archive.layers(1) })
		local old = docker_dialects.of.docker_1_10(image):write(fresh("old.tar"))
		local before = shell.read(old)
		local one = sbom()
		assert.equal("EUNSUPPORTED", select(3, one:save(old)))
		assert.equal(before, shell.read(old))
		local made = layout()
		made.text = '{"schemaVersion":2,"manifests":null}' -- as Docker Engine 25.0 writes it
		local none = made:archive(fresh("none.tar"))
		assert(one:save(none))
		assert.equal(one.digest, assert(strata.open_artifact(none)).digest)
		local text = fresh("text")
		shell.write(text, "text")
		assert.is_nil((one:save(text)))
		assert.equal("text", shell.read(text))
		local img = assert(strata.open(old))
		assert.same({}, img:referrers())
		assert.equal("EUNSUPPORTED", select(3, strata.artifact({ type = "a/b", files = { a = "b" }, subject = img })))
		img.config:set_label("a", "b")
		assert.equal("EINVAL", select(3, strata.artifact({ type = "a/b", files = { a = "b" }, subject = img })))

		local both = docker_dialects.of.docker_25(image):write(fresh("both.tar"))
		assert(one:save(both))
		assert.equal(one.digest, assert(strata.open_artifact(both)).digest)
		assert.same({ "app:1" }, assert(strata.open(both)).tags)
		shell.check({ "gzip", both })
		local two = assert(strata.artifact({ type = "a/b", files = { a = "b" } }))
		assert(two:save(both .. ".gz"))
		assert.equal(two.digest, assert(strata.open_artifact(both .. ".gz", { digest = two.digest })).digest)
		assert.equal("\31\139", shell.read(both .. ".gz"):sub(1, 2))
	end)

	it("of nothing, or of what makes no sense, is misuse at the caller's line", function()
		local one = sbom()
		for pattern, call in pairs({
			["type is missing"] = function() strata.artifact({ files = { a = "b" } }) end,
			['type should be a media type such as "application/spdx%+json", not \'sbom\''] = function()
				strata.artifact({ type = "sbom", files = { a = "b" } })
			end,
			["files is missing, or annotations, when they say it all"] = function() strata.artifact({ type = "a/b" }) end,
			["files is missing,"] = function() strata.artifact({ type = "a/b", files = {}, annotations = {} }) end,
			["files%['a'%] should have either content or path"] = function()
				strata.artifact({ type = "a/b", files = { a = {} } })
			end,
			["files%['c'%] should have either"] = function()
				strata.artifact({ type = "a/b", files = { c = { content = "a", path = "b" } } })
			end,
			["has no field 'contents'; did you mean 'content'%?"] = function()
				strata.artifact({ type = "a/b", files = { a = { contents = "a" } } })
			end,
			["should be .*, without 1"] = function() strata.artifact({ type = "a/b", files = { "sbom.json" } }) end,
			["subject should be an image, an artifact, or have media_type, digest and size"] = function()
				strata.artifact({ type = "a/b", files = { a = "b" }, subject = { digest = "sha256:1" } })
			end,
			["subject should be .*, not 'app:1'"] = function()
				strata.artifact({ type = "a/b", files = { a = "b" }, subject = "app:1" })
			end,
			["a config of the type .* is that of an image"] = function()
				strata.artifact({ type = "a/b", files = { a = "b" },
					config = { content = "{}", media_type = oci_layout.types.oci.config } })
			end,
			["read: the artifact has 2 files, and no file 3"] = function() one:read(3) end,
			["read: the name or the number of a file is wanted, not nil"] = function() one:read() end,
			["a registry has no format"] = function() one:save("docker://127.0.0.1:1/app", { format = "oci" }) end,
			["cannot be written to a stream"] = function() one:save("-", { format = "oci" }) end,
			["artifact.annotations cannot be changed in place: make another one"] = function()
				one.annotations.a = "b"
			end,
			["cannot assign to field 'annotations'"] = function() one.annotations = { a = "b" } end,
			["referrers has no option 'typ'; did you mean 'type'%?"] = function() one:referrers({ typ = "a" }) end,
		}) do
			local ok, message = pcall(call)
			assert.is_false(ok, pattern)
			assert.matches(pattern, message)
			assert.matches("artifact_spec.lua:%d+: ", message)
		end
	end)
end)
