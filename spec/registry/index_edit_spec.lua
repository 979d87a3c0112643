-- Indexes of a registry that are edited, and images with what is attested about them in an index that is made of them.

local blobs = require "spec.support.blobs"
local archive = require "spec.support.docker_archive"
local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local layers = archive.layers(3)

describe("an index of a registry", function()
	local fake, hub, dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
		fake = registry.start({})
		hub = remote.client()
	end)

	after_each(function()
		fake:stop()
		dir:remove()
	end)

	local function ref(name)
		return "docker://" .. fake.host .. "/" .. name
	end

	local function of(platform, more)
		local img = strata.new({ platform = platform })
		assert(img:append({ files = { ["etc/name"] = platform .. (more or "") } }))
		return img
	end

	local function put(name, ...)
		local list = {}
		for i, platform in ipairs({ ... }) do
			list[i] = of(platform, name)
		end
		return assert(strata.save(list, ref(name), { registry = hub }))
	end

	local function open(name)
		return assert(strata.open_index(ref(name), { registry = hub }))
	end

	local function platforms(index)
		local list = {}
		for i, one in ipairs(index.manifests) do
			list[i] = one.kind == "image" and tostring(one.platform) or one.kind
		end
		return table.concat(list, " ")
	end

	-- A layout with an index of one image, what is attested about it, and a platform.
	local function attested(machine)
		local layout = blobs.new()
		local image = layout:image({ layers = { layers[1] },
			config = archive.image({ layers = { layers[1] } }).config:gsub("amd64", machine) })
		local proof, text = layout:attestation(image)
		local platform = (',"platform":{"architecture":"%s","os":"linux"}'):format(machine)
		layout:set_root({ blobs.descriptor(layout:index({ blobs.descriptor(image, platform), text }), blobs.named("a")) })
		return layout, image, proof, text
	end

	it("loses a platform, and nothing but its text is sent", function()
		put("app:1", "linux/amd64", "linux/arm64", "linux/riscv64")
		local index = open("app:1")
		local digest = index.manifests[1].digest
		assert(index:remove({ platform = "linux/arm64" }))
		assert.is_true(index.edited)
		fake:forget()
		local made = assert(index:save(ref("app:2"), { registry = hub }))
		assert.same({ 0, 0 }, { made.uploaded, made.mounted })
		for _, request in ipairs(fake:log()) do
			assert.is_truthy(request.method ~= "GET" or not request.path:find("/blobs/", 1, true), request.path)
		end
		assert.equal("linux/amd64 linux/riscv64", platforms(open("app:2")))
		assert.equal(digest, open("app:2").manifests[1].digest)
		assert.equal("linux/amd64 linux/arm64 linux/riscv64", platforms(open("app:1")))
		assert.equal(made.digest, hub:digest(ref("app:2")))
	end)

	it("gets a new image, one of another repository, and one of a layout with what is attested about it", function()
		put("app:1", "linux/amd64", "linux/386")
		put("other:1", "linux/arm64")
		local index = open("app:1")
		assert(index:add(assert(strata.open(ref("other:1"), { registry = hub }))))
		assert(index:add(of("linux/s390x")))
		local layout, image, proof, text = attested("riscv64")
		assert(index:add(assert(strata.open(layout:write_dir(dir:file("layout"))))))
		local ok, message, code = index:add(of("linux/arm64"))
		assert.is_nil(ok)
		assert.equal("EEXIST", code)
		assert.matches("there is an image for linux/arm64 %(which was added%)", message)
		local made = assert(index:save(ref("app:1"), { registry = hub }))
		assert.equal(2, made.mounted)
		local again = open("app:1")
		assert.equal("linux/amd64 linux/386 linux/arm64 linux/s390x linux/riscv64 attestation", platforms(again))
		assert.equal(image.digest, again.manifests[5].digest)
		assert.equal(proof.digest, again.manifests[6].digest)
		for img in assert(again:images()) do
			assert(img:verify())
		end
		local manifest = assert(hub:manifest(ref("app:1"))).text
		assert.is_truthy(manifest:find(text, 1, true))
		assert(strata.copy(ref("app:1"), dir:file("all.tar"), { registry = hub }))
		assert.equal("linux/amd64 linux/386 linux/arm64 linux/s390x linux/riscv64 attestation",
			platforms(assert(strata.open_index(dir:file("all.tar")))))
	end)

	it("tells what a save would move, and moves nothing for that", function()
		put("app:1", "linux/amd64", "linux/arm64")
		local index = open("app:1")
		assert(index:remove({ platform = "linux/arm64" }))
		assert(index:add(of("linux/riscv64")))
		fake:forget()
		local plan = assert(index:plan({ to = ref("app:2"), registry = hub }))
		for _, request in ipairs(fake:log()) do
			assert.is_truthy(request.method == "GET" or request.method == "HEAD", request.method)
		end
		assert.is_nil((hub:digest(ref("app:2"))))
		local made = assert(index:save(ref("app:2"), { registry = hub }))
		assert.same({ made.digest, made.uploaded, made.skipped, made.size },
			{ plan.digest, plan.uploaded, plan.skipped, plan.size })
		assert.equal(0, assert(open("app:2"):plan({ to = ref("app:2"), registry = hub })).uploaded)
	end)

	it("goes edited to an archive and to a layout, and what was removed is not fetched", function()
		put("app:1", "linux/amd64", "linux/arm64")
		put("other:1", "linux/s390x")
		local gone = assert(strata.open(ref("app:1"), { registry = hub, platform = "linux/arm64" }))
		local layer = gone.layers[1].digest
		for format, path in pairs({ oci = dir:file("layout"), ["oci-archive"] = dir:file("app.tar") }) do
			local index = open("app:1")
			assert(index:remove({ platform = "linux/arm64" }))
			assert(index:add(assert(strata.open(ref("other:1"), { registry = hub }))))
			fake:forget()
			assert(index:save(path, { format = format }))
			for _, request in ipairs(fake:log()) do
				assert.is_nil(request.path:find(layer, 1, true))
			end
			local found = blobs.look(path)
			assert.same({}, found.problems)
			assert.is_nil(found.blobs[layer])
			assert.equal("linux/amd64 linux/s390x", platforms(assert(strata.open_index(path))))
		end
	end)

	it("of Docker's kind stays one, and its new image gets a manifest of that kind", function()
		local list = {}
		for i, machine in ipairs({ "amd64", "arm64" }) do
			local image = remote.image({ family = "docker", name = machine, platform = "linux/" .. machine })
			remote.put(fake, "app", image.layout, image.digest, machine)
			list[i] = assert(strata.open(ref("app:" .. machine), { registry = hub }))
			if list[i].platform.architecture ~= machine then
				list[i].config.architecture = machine
			end
		end
		assert(strata.save(list, ref("app:1"), { registry = hub }))
		local index = open("app:1")
		assert(index:add(of("linux/s390x")))
		assert(index:save(ref("app:1"), { registry = hub }))
		local manifest = assert(hub:manifest(ref("app:1"))).text
		assert.matches('"mediaType":"application/vnd.docker.distribution.manifest.list.v2%+json"', manifest)
		assert.is_nil(manifest:find("oci", 1, true))
		assert.is_nil(hub:manifest(ref("app@" .. open("app:1").manifests[3].digest)).text:find("oci", 1, true))
	end)

	it("keeps one image at least, has no names to take, and is no image alone", function()
		put("app:1", "linux/amd64", "linux/arm64")
		local index = open("app:1")
		local function fails(code, pattern, ok, message, found)
			assert.is_nil(ok)
			assert.matches(pattern, message)
			assert.equal(code, found)
			assert.is_false(index.edited)
		end
		fails("EINVAL", "nothing would be left of the index", index:remove({ kind = "image" }))
		fails("EUNSUPPORTED", "registry:delete takes a tag from a registry", index:untag("app:1"))
		fails("ENOENT", "nothing is {platform=linux/s390x}", index:remove({ platform = "linux/s390x" }))
		assert(of("linux/amd64"):save(ref("single:1"), { registry = hub }))
		index = open("single:1")
		fails("EUNSUPPORTED", "is one image and no index; strata.save", index:remove({ kind = "image" }))
		fails("EUNSUPPORTED", "is one image and no index; strata.save", index:add(of("linux/arm64")))
	end)

	it("that is made of several images has what is attested about each that is not edited", function()
		local layout, image, proof = attested("riscv64")
		local from_layout = assert(strata.open(layout:write_dir(dir:file("layout"))))
		local made, lost = assert(strata.save({ of("linux/amd64"), from_layout }, ref("app:1"), { registry = hub }))
		assert.is_nil(lost)
		assert.equal("linux/amd64 linux/riscv64 attestation", platforms(open("app:1")))
		assert.equal(image.digest, made.images[2].digest)
		local from_registry = assert(strata.open(ref("app:1"), { registry = hub, platform = "linux/riscv64" }))
		assert(strata.save({ from_registry, of("linux/arm64") }, ref("other:1"), { registry = hub }))
		local other = open("other:1")
		assert.equal("linux/riscv64 attestation linux/arm64", platforms(other))
		assert.equal(proof.digest, other.manifests[2].digest)
		assert(strata.save({ from_registry, of("linux/arm64") }, dir:file("a.tar"), { index = "app:1" }))
		assert.same({}, blobs.look(dir:file("a.tar")).problems)
		assert.equal("linux/riscv64 attestation linux/arm64", platforms(assert(strata.open_index(dir:file("a.tar")))))

		from_layout.config:set_env("A", "1")
		made, lost = assert(strata.save({ from_layout, of("linux/arm64") }, ref("app:2"), { registry = hub }))
		assert.equal(2, #made.images)
		assert.matches("attestation " .. proof.digest, lost[1])
		local ok, message, code = strata.save({ from_layout, of("linux/arm64") }, ref("app:3"),
			{ registry = hub, attestations = "refuse" })
		assert.is_nil(ok)
		assert.equal("EINVAL", code)
		assert.matches(proof.digest, message)
		assert.is_nil((hub:digest(ref("app:3"))))
	end)
end)
