-- Takes seconds: not for make check.
-- strata.copy, and indexes in registries.

local cjson = require "cjson"
local registry = require "spec.support.registry"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("strata.copy", function()
	local from, to, dir, layout

	local function image(platform)
		local img = strata.new({ platform = platform })
		assert(img:append({ files = { [platform:gsub("/", "_")] = platform } }))
		assert(img:append({ files = { common = ("x"):rep(1000) } }))
		img:tag("multi:1")
		return img
	end

	setup(function()
		dir = tmp.dir()
		layout = dir:file("layout")
		assert(strata.save({ image("linux/amd64"), image("linux/arm64") }, layout, { format = "oci", compression = "gzip" }))
	end)

	teardown(function()
		dir:remove()
	end)

	before_each(function()
		from, to = registry.start(), registry.start()
		assert(strata.copy(layout, "docker://" .. from.host .. "/m/app:1"))
		from:forget()
	end)

	after_each(function()
		from:stop()
		to:stop()
	end)

	local function source(tag)
		return ("docker://%s/m/app:%s"):format(from.host, tag or "1")
	end

	local function target(tag)
		return ("docker://%s/n/app:%s"):format(to.host, tag or "1")
	end

	-- How many requests there were: manifests that were asked for and put, blobs that were asked for and put.
	local function counts(server)
		local found = { get = 0, put = 0, blob = 0, upload = 0 }
		for _, line in ipairs(server:lines()) do
			local kind = line:find("^GET /v2/.*/manifests/") and "get" or line:find("^PUT /v2/.*/manifests/") and "put"
				or line:find("^GET /v2/.*/blobs/") and "blob" or line:find("^PUT /v2/.*/uploads/") and "upload"
			if kind then
				found[kind] = found[kind] + 1
			end
		end
		server:forget()
		return found
	end

	it("gets an index from one registry to another, each blob once, children before the index", function()
		local saved = assert(strata.copy(source(), target()))
		assert.same({ get = 3, put = 0, blob = 5, upload = 0 }, counts(from))
		local puts = {}
		for _, line in ipairs(to:lines()) do
			if line:find("^PUT /v2/n/app/manifests/") then
				puts[#puts + 1] = line:find("sha256:") and "child" or "tag"
			end
		end
		assert.same({ "child", "child", "tag" }, puts)
		assert.same({ get = 1, put = 3, blob = 0, upload = 5 }, counts(to))
		assert.same({ from:get_manifest("m/app", "1") }, { to:get_manifest("n/app", "1") })
		assert.equal(5, saved.uploaded)
		assert.equal(saved.digest, strata.registry():digest(target()))
	end)

	it("that has nothing to do asks each registry once", function()
		assert(strata.copy(source(), target()))
		from:forget()
		to:forget()
		assert(strata.copy(source(), target()))
		assert.same({ "GET /v2/m/app/manifests/1" }, from:lines())
		assert.same({ "GET /v2/n/app/manifests/1" }, to:lines())
	end)

	it("gives another tag in two requests", function()
		assert(strata.copy(source(), source("2")))
		assert.same({ "GET /v2/m/app/manifests/1", "PUT /v2/m/app/manifests/2" }, from:lines())
	end)

	it("mounts what another repository of the registry has", function()
		local saved = assert(strata.copy(source(), ("docker://%s/other:1"):format(from.host)))
		assert.same({ 0, 5 }, { saved.uploaded, saved.mounted })
	end)

	it("gets an index into a file and back, with the same digest", function()
		local path = dir:file("index.tar")
		assert(strata.copy(source(), path))
		local index = assert(strata.open_index(path))
		assert.equal(2, #index.manifests)
		for img in index:images() do
			assert(img:verify())
		end
		index:close()
		local saved = assert(strata.copy(path, target()))
		assert.equal(strata.registry():digest(source()), saved.digest)
		shell.check({ "rm", path })
	end)

	it("of an index into a file tells the digest of the index, and no image that stands for it", function()
		for format, name in pairs({ ["oci-archive"] = "told.tar", oci = "told" }) do
			local path = dir:file(name)
			local saved = assert(strata.copy(source(), path, { format = format }))
			assert.equal(strata.registry():digest(source()), saved.digest)
			assert.same({ nil, {}, nil }, { saved.id, saved.layers, saved.images })
			assert.matches(", manifest " .. saved.digest:sub(1, 19), tostring(saved), 1, true)
			shell.check({ "rm", "-r", path })
		end
		local index = assert(strata.open_index(source()))
		for img in index:images({ platform = "linux/arm64" }) do
			img.config:set_label("a", "b")
		end
		local saved = assert(index:save(dir:file("told.tar")))
		assert.equal(1, #saved.images)
		assert(strata.copy(dir:file("told.tar"), target("told")))
		assert.equal(strata.registry():digest(target("told")), saved.digest)
		shell.check({ "rm", dir:file("told.tar") })
	end)

	it("of an index with annotations into a layout that is there loses nothing", function()
		local text, media_type = from:get_manifest("m/app", "1")
		text = text:gsub("}$", ',"annotations":{"a":"b"}}')
		local digest = from:put_manifest("m/app", "noted", text, media_type)
		local path = dir:file("there")
		assert(strata.save({ image("linux/s390x") }, path, { format = "oci" }))
		local saved, lost = strata.copy(source("noted"), path, { format = "oci" })
		assert.equal(digest, assert(saved, lost).digest)
		assert.is_nil(lost)
		assert.equal(text, shell.read(path .. "/blobs/" .. digest:gsub(":", "/")))
		shell.check({ "rm", "-r", path })
	end)

	it("of one image into a file tells all of it", function()
		local saved = assert(strata.copy(source(), dir:file("one.tar"), { platform = "linux/arm64" }))
		assert.equal(assert(strata.open(source(), { platform = "linux/arm64" })).digest, saved.digest)
		assert.is_string(saved.id)
		assert.is_true(#saved.layers > 0)
	end)

	it("takes one image of an index by its platform", function()
		local saved = assert(strata.copy(source(), target(), { platform = "linux/arm64" }))
		local img = assert(strata.open(target()))
		assert.equal("linux/arm64", tostring(img.platform))
		assert.equal(saved.digest, img.digest)
		assert(img:verify())
	end)

	it("of an image that is edited leaves the rest of the index as it was", function()
		local index = assert(strata.open_index(source()))
		for img in index:images({ platform = "linux/arm64" }) do
			img.config:set_label("a", "b")
		end
		assert(index:save(source("2")))
		local before, after = cjson.decode((from:get_manifest("m/app", "1"))), cjson.decode((from:get_manifest("m/app", "2")))
		assert.same(before.manifests[1], after.manifests[1])
		assert.are_not.equal(before.manifests[2].digest, after.manifests[2].digest)
		local img = assert(strata.open(source("2"), { platform = "linux/arm64" }))
		assert.equal("b", img.config:get_label("a"))
	end)

	describe("of one image that goes back to its tag", function()
		local function relabelled(ref)
			local img = assert(strata.open(ref or source(), { platform = "linux/arm64" }))
			img.config:set_label("a", "b")
			return img
		end

		it("leaves the rest of the index as it was", function()
			local before = cjson.decode((from:get_manifest("m/app", "1")))
			local img = relabelled()
			from:forget()
			local plan = assert(img:plan({ to = source() }))
			from:forget()
			local saved = assert(img:save(source()))
			local found = counts(from)
			assert.same({ 0, 2, 0, 1 }, { found.get, found.put, found.blob, found.upload })
			local after = cjson.decode((from:get_manifest("m/app", "1")))
			assert.same(before.manifests[1], after.manifests[1])
			assert.equal(plan.digest, saved.digest)
			assert.equal(strata.registry():digest(source()), saved.digest)
			img = assert(strata.open(source(), { platform = "linux/arm64" }))
			assert.equal("b", img.config:get_label("a"))
			assert(img:verify())
			assert(assert(strata.open(source(), { platform = "linux/amd64" })):verify())
		end)

		it("leaves it be when nothing was edited", function()
			local img = assert(strata.open(source(), { platform = "linux/arm64" }))
			local before = strata.registry():digest(source())
			assert.equal(before, assert(img:save(source())).digest)
			assert.equal(before, strata.registry():digest(source()))
		end)

		it("goes by the index's digest for expect", function()
			local before = strata.registry():digest(source())
			local img = relabelled()
			local saved, _, code = img:save(source(), { expect = img.digest })
			assert.same({ nil, "ESTALE" }, { saved, code })
			assert(img:save(source(), { expect = before }))
		end)

		it("is alone under another tag", function()
			assert(relabelled():save(source("3")))
			local img = assert(strata.open(source("3")))
			assert.equal("linux/arm64", tostring(img.platform))
			assert.equal(2, #cjson.decode((from:get_manifest("m/app", "1"))).manifests)
		end)

		it("is alone where it was opened by its digest", function()
			local digest = cjson.decode((from:get_manifest("m/app", "1"))).manifests[2].digest
			local img = relabelled(("docker://%s/m/app@%s"):format(from.host, digest))
			assert(img:save(source("3")))
			assert.equal("linux/arm64", tostring(assert(strata.open(source("3"))).platform))
		end)
	end)

	it("refuses an archive with two images for one platform", function()
		local path = dir:file("two.tar")
		local a, b = image("linux/amd64"), image("linux/amd64")
		a.tags, b.tags = { "a:1" }, { "b:1" }
		b.config:set_label("x", "y")
		assert(strata.save({ a, b }, path, { format = "docker" }))
		shell.sh('tar --delete -f "$1" index.json oci-layout', path)
		local done, message, code = strata.copy(path, target())
		assert.same({ nil, "EAMBIGUOUS" }, { done, code })
		assert.matches("images 1 and 2 are both for linux/amd64", message, 1, true)
		assert.is_nil(to:tags("n/app")["1"])
		assert(strata.copy(path, target(), { ref = "b:1" }))
	end)

	it("takes one index of a layout by its name or digest", function()
		local path = dir:file("indexes")
		local one, two = image("linux/amd64"), image("linux/arm64")
		for i, name in ipairs({ "team/app:v1", "team/app:v2" }) do
			one.config:set_label("n", tostring(i))
			assert(strata.save({ one, two }, path, { index = name, format = "oci", compression = "gzip" }))
		end
		local digests = {}
		for _, kind in ipairs({ "v1", "v2" }) do
			local saved, lost = assert(strata.copy(path, target(kind), { ref = "team/app:" .. kind }))
			assert.is_nil(lost)
			digests[kind] = strata.registry():digest(target(kind))
			assert.equal(saved.digest, digests[kind])
			assert(assert(strata.open(target(kind), { platform = "linux/arm64" })):verify())
		end
		assert.are_not.equal(digests.v1, digests.v2)
		assert(strata.copy(path, target("d"), { digest = digests.v2 }))
		assert.equal(digests.v2, strata.registry():digest(target("d")))
		local out = dir:file("one.tar")
		assert(strata.copy(path, out, { ref = "team/app:v1", format = "oci-archive" }))
		assert(strata.copy(out, target("back")))
		assert.equal(digests.v1, strata.registry():digest(target("back")))
		local saved = assert(strata.copy(path, target("p"), { ref = "team/app:v1", platform = "linux/arm64" }))
		assert.equal(saved.digest, assert(strata.open(target("p"))).digest)
		local done, _, code = strata.copy(path, target("x"), { ref = "team/app:v3" })
		assert.same({ nil, "ENOENT" }, { done, code })
	end)

	it("refuses a layout of several entries, which are no one tag", function()
		local path = dir:file("several")
		local a, b = image("linux/amd64"), image("linux/amd64")
		a.tags, b.tags = { "a:1" }, { "b:1" }
		b.config:set_label("x", "y")
		assert(strata.save({ a, b }, path, { format = "oci" }))
		local done, message, code = strata.copy(path, target())
		assert.is_nil(done)
		assert.equal("EAMBIGUOUS", code)
		assert.matches("index.json has 2 entries", message, 1, true)
		assert(strata.copy(path, target(), { ref = "b:1" }))
	end)

	describe("with referrers", function()
		-- A manifest that is about the image of a tag.
		local function attach(server, repository, ref)
			local got = assert(strata.registry():manifest(ref))
			local empty, content = server:put_blob(repository, "{}"), server:put_blob(repository, "a list")
			local text = cjson.encode({
				schemaVersion = 2, mediaType = "application/vnd.oci.image.manifest.v1+json",
				artifactType = "application/vnd.example.list",
				config = { mediaType = "application/vnd.oci.empty.v1+json", digest = empty, size = 2 },
				layers = { { mediaType = "text/plain", digest = content, size = 6 } },
				subject = { mediaType = got.media_type, digest = got.digest, size = #got.text },
			})
			return server:put_manifest(repository, nil, text, "application/vnd.oci.image.manifest.v1+json"), got.digest
		end

		for _, case in ipairs({ { "that list them", true }, { "that do not", false } }) do
			it("RFR1 RFR6: takes along what is about it, between registries " .. case[1], function()
				to:set({ referrers = case[2] })
				local digest = attach(from, "m/app", source())
				assert(strata.copy(source(), target(), { referrers = true }))
				local found = assert(strata.registry():referrers(target()))
				assert.equal(1, #found)
				assert.same({ digest, "application/vnd.example.list" }, { found[1].digest, found[1].artifactType })
				assert.same({}, strata.registry():referrers(target(), "another/type"))
				to:forget()
				assert(strata.copy(source(), target(), { referrers = true })) -- again, and nothing is listed twice
				assert.equal(1, #assert(strata.registry():referrers(target())))
				assert.equal(0, counts(to).put)
			end)

			it("RFR6: and later, when the tag is there already, between registries " .. case[1], function()
				to:set({ referrers = case[2] })
				assert(strata.copy(source(), target()))
				local digest = attach(from, "m/app", source())
				local saved = assert(strata.copy(source(), target(), { referrers = true }))
				assert.equal(2, saved.uploaded)
				local found = assert(strata.registry():referrers(target()))
				assert.equal(1, #found)
				assert.equal(digest, found[1].digest)
				assert.is_string(to:get_manifest("n/app", digest))
			end)
		end

		it("RFR4: has none where there are none", function()
			assert.same({}, strata.registry():referrers(source()))
			from:set({ referrers = false })
			assert.same({}, strata.registry():referrers(source()))
		end)

		it("throws for a place that cannot hold them, and for one image", function()
			assert.error_matches(function()
				strata.copy(source(), dir:file("x.tar"), { referrers = true })
			end, "copy has no option 'referrers'")
		end)
	end)
end)
