-- Takes seconds: not for make check.
-- A whole layout that was saved in the other way to store layouts lost its indexes, attestations and artifacts: the
-- images of an index became as many descriptors of its name. `lost` named indexes again and again, and images that had
-- been written, and not what was left out.

local archive = require "spec.support.docker_archive"
local archive_check = require "spec.support.archive_check"
local blobs = require "spec.support.blobs"
local child = require "spec.support.child"
local cjson = require "cjson"
local collect = require "spec.support.collect"
local dialects = require "spec.support.docker_dialects"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local LAYERS = archive.layers(4)
local annotations, descriptor, named = blobs.annotations, blobs.descriptor, blobs.named

local function platform(name)
	local os, architecture = name:match("^(%w+)/(%w+)$")
	return (',"platform":{"os":"%s","architecture":"%s"}'):format(os, architecture)
end

local function config(layers, architecture)
	return (archive.image({ layers = layers }).config:gsub("amd64", architecture))
end

-- An index below an index, an attestation, an artifact, a stranger, an image that is not all here, and a blob that
-- nothing leads to.
local function everything()
	local made = blobs.new()
	local base, top = { LAYERS[1], LAYERS[2] }, { LAYERS[1], LAYERS[3] }
	local amd = made:image({ layers = base })
	local arm = made:image({ layers = top, config = config(top, "arm64"), compression = { "zstd", "none" } })
	local partial = made:image({ layers = { LAYERS[4] }, config = config({ LAYERS[4] }, "s390x"), without = { true } })
	local proof, of_proof = made:attestation(amd)
	local inner = made:index({ descriptor(amd, platform("linux/amd64")), descriptor(arm, platform("linux/arm64")),
		descriptor(partial, platform("linux/s390x")), of_proof }, annotations("org.example.inner", "in"))
	local outer = made:index({ descriptor(inner) }, ',"x-outer": true', "docker")
	local empty = made:put("{}", "application/vnd.oci.empty.v1+json")
	local artifact = made:put(('{"schemaVersion":2,"artifactType":"a/b","config":%s,"layers":[%s],"subject":%s}'):format(
		descriptor(empty), descriptor(empty), descriptor(amd)), blobs.TYPES.oci.manifest)
	local stranger = made:put('{"x":1}', "application/vnd.example.thing+json")
	local alone = made:image({ layers = { LAYERS[2] }, name = "alone", family = "docker" })
	made:put("nothing leads to this")
	made:set_root({
		descriptor(outer, named("multi")),
		descriptor(alone, named("alone:1", "org.example.of", "alone")),
		descriptor(outer, named("multi:2")),
		descriptor(artifact),
		descriptor(stranger),
	}, annotations("org.example.root", "root"))
	return { made = made, amd = amd, arm = arm, partial = partial, proof = proof, inner = inner, outer = outer,
		artifact = artifact, stranger = stranger, alone = alone, empty = empty }
end

local WAYS = {
	oci = function(made, path)
		return made:write_dir(path)
	end,
	["oci-archive"] = function(made, path)
		return made:write_archive(path)
	end,
}
local OTHER = { oci = "oci-archive", ["oci-archive"] = "oci" }

describe("a whole layout", function()
	local dir, number

	before_each(function()
		dir, number = tmp.dir(tmp.for_peers()), 0
	end)

	after_each(function()
		dir:remove()
	end)

	local function fresh(name)
		number = number + 1
		return dir:file(number .. name)
	end

	local function save(path, target, opts, edit)
		local index = assert(strata.open_index(path))
		if edit then
			for _, img in ipairs(collect(index:images())) do
				edit(img)
			end
		end
		local saved, lost, code = index:save(target, opts)
		index:close()
		return saved, lost, code
	end

	for way, write in pairs(WAYS) do
		it("has the same blobs and the same index.json in the other way to store it: " .. way, function()
			local given = everything()
			local source, target, back = write(given.made, fresh("in")), fresh("out"), fresh("back")
			local saved, lost = save(source, target, { format = OTHER[way] })
			assert(saved, lost)
			assert.is_nil(lost)
			assert.equal(OTHER[way], saved.format)
			local found = blobs.look(target)
			assert.same({}, found.problems)
			assert.equal(given.made.root, found.root)
			for digest in pairs(given.made.blobs) do
				assert.is_true(found.blobs[digest], digest)
			end
			assert(save(target, back, { format = way }))
			local again = blobs.look(back)
			assert.equal(given.made.root, again.root)
			assert.same(found.blobs, again.blobs)
			local files = {}
			for i, name in ipairs(again.files) do
				files[i] = name
			end
			assert.same(blobs.look(source).files, files)
			for _, path in ipairs({ source, target, back }) do
				local index = assert(strata.open_index(path))
				assert.equal(6, #index.manifests)
				assert.equal(3, #collect(index:images()))
				index:close()
			end
		end)

		it("is the same archive or directory in every run: " .. way, function()
			local source, one, two = write(everything().made, fresh("in")), fresh("one"), fresh("two")
			assert(save(source, one, { format = OTHER[way], threads = 1 }))
			assert(save(source, two, { format = OTHER[way], threads = 3 }))
			shell.check({ "diff", "-r", one, two })
		end)

		it("keeps all that is not edited when one image is, and is converted: " .. way, function()
			local given = everything()
			local saved, lost = save(write(given.made, fresh("in")), dir:file("out"), { format = OTHER[way] }, function(img)
				if img.platform.architecture == "arm64" then
					img.layers[1]:remove("etc/link1")
				end
			end)
			assert(saved, lost)
			assert.is_nil(lost)
			local found = blobs.look(dir:file("out"))
			assert.same({}, found.problems)
			for _, one in ipairs({ given.amd, given.proof, given.artifact, given.stranger, given.alone, given.partial }) do
				assert.is_true(found.blobs[one.digest])
			end
			for _, one in ipairs({ given.arm, given.inner, given.outer }) do
				assert.is_nil(found.blobs[one.digest])
			end
			local names = {}
			for i, one in ipairs(found.index.manifests) do
				names[i] = (one.annotations or {})["org.opencontainers.image.ref.name"] or "none"
			end
			assert.same({ "multi", "alone:1", "multi:2", "none", "none" }, names)
			assert.equal(found.index.manifests[1].digest, found.index.manifests[3].digest)
			assert.equal("root", found.index.annotations["org.example.root"])
			local arm = assert(strata.open(dir:file("out"), { ref = "multi:2", platform = "linux/arm64" }))
			assert.equal(saved.id, arm.id)
			assert.equal(saved.digest, arm.digest)
		end)

		it("gets another compression as a whole: " .. way, function()
			local given = everything()
			local saved, lost = save(write(given.made, fresh("in")), dir:file("out"),
				{ format = OTHER[way], compression = "zstd" })
			assert(saved, lost)
			assert.equal(3, #saved.images)
			assert.equal(2, #lost) -- the attestation and the artifact are about the image as it was
			for i, one in ipairs({ given.proof, given.artifact }) do
				assert.truthy(table.concat(lost, "\n"):find(one.digest, 1, true), lost[i])
			end
			local found = blobs.look(dir:file("out"))
			assert.same({}, found.problems)
			for _, image in ipairs(found.images) do
				for _, layer in ipairs(image.digest ~= given.partial.digest and not image.layers[1].type:find("toto")
					and image.manifest.artifactType == nil and image.layers or {}) do
					assert.truthy(layer.type:find("zstd"), layer.type)
				end
			end
		end)

		it("goes into a layout that exists, with all that it has: " .. way, function()
			local given, other = everything(), blobs.new()
			local there = other:image({ layers = { LAYERS[3] }, name = "there" })
			other:set_root({ descriptor(there, named("there")), descriptor(there, named("multi")) })
			for _, opts in ipairs({ { format = "oci" }, {} }) do
				if opts.format or way == "oci" then
					local target = other:write_dir(fresh("target"))
					local saved, lost = save(write(given.made, fresh("in")), target, opts)
					assert(saved, lost)
					assert.same({ "the annotations of index.json" }, lost)
					local found = blobs.look(target)
					assert.same({}, found.problems)
					local names = {}
					for i, one in ipairs(found.index.manifests) do
						names[i] = ((one.annotations or {})["org.opencontainers.image.ref.name"] or "none") .. " " .. one.digest
					end
					assert.same({
						"there " .. there.digest, "multi " .. given.outer.digest, "alone:1 " .. given.alone.digest,
						"multi:2 " .. given.outer.digest, "none " .. given.artifact.digest, "none " .. given.stranger.digest,
					}, names)
					for digest in pairs(given.made.blobs) do
						assert.is_true(found.blobs[digest], digest)
					end
				end
			end
		end)

		it("is refused when a blob of it is not what its name says: " .. way, function()
			for _, which in ipairs({ "proof", "artifact", "amd", "empty" }) do
				local given = everything()
				given.made.blobs[given[which].digest] = given[which].text:gsub("^.", "[")
				local saved, _, code = save(write(given.made, fresh("in")), dir:file("out"), { format = OTHER[way] })
				assert.is_nil(saved)
				assert.equal("EDIGEST", code)
				assert.equal(2, shell.run({ "ls", dir:file("out/index.json") }).status)
			end
		end)

		it("leaves behind in an archive for docker what is named, once, and nothing else: " .. way, function()
			local given = everything()
			for _, format in ipairs({ "docker", "docker-legacy" }) do
				local target = fresh(format)
				local saved, lost = save(write(given.made, fresh("in")), target, { format = format })
				assert(saved, lost)
				local checked = archive_check.read(target)
				if format == "docker" then
					assert.equal(3, #blobs.look(target).images)
				else
					assert.same({}, checked.problems)
				end
				assert.equal(3, #checked.images)
				assert.equal(3, #saved.images)
				local expected = { given.inner, given.outer, given.proof, given.artifact, given.stranger, given.partial }
				local all = table.concat(lost, "\n") .. "\n"
				for _, one in ipairs(expected) do
					local _, count = all:gsub(one.digest:gsub("%p", "%%%0"), "")
					assert.equal(1, count, one.digest .. " in " .. all)
				end
				for _, one in ipairs({ given.amd, given.arm, given.alone }) do
					assert.is_nil(all:find(one.digest, 1, true), all)
				end
				assert.truthy(all:find("the annotations of index.json\n", 1, true))
				-- The names of the index go to the first of its images.
				assert.same({ "multi:latest", "multi:2" }, checked.images[1].tags)
				assert.same({}, checked.images[2].tags)
				local names = 0
				for _, line in ipairs(lost) do
					names = names + (line:find("^the name multi") and 1 or 0)
				end
				assert.equal(2, names)
				assert.equal(#expected + 1 + names + (format == "docker" and 0 or 1), #lost, all)
			end
		end)
	end

	it("of Docker's archive keeps what index.json has, and leaves what only manifest.json has", function()
		local one = archive.image({ layers = { LAYERS[1], LAYERS[2] } })
		local two = archive.image({ layers = { LAYERS[1], LAYERS[3] }, tags = { "two:1" }, name = "two" })
		for _, dialect in ipairs({ "docker_25", "docker_29", "regctl" }) do
			local path = dialects.of[dialect](one, two):write(fresh("in"))
			for _, format in ipairs({ "oci", "oci-archive" }) do
				local target = fresh(format)
				local saved, lost = save(path, target, { format = format })
				assert(saved, lost)
				assert.is_nil(lost)
				local found = blobs.look(target)
				assert.same({}, found.problems)
				assert.equal((shell.check({ "tar", "-xOf", path, "index.json" })), found.root)
				for digest in pairs(found.blobs) do
					assert.is_true(found.reached[digest], digest)
				end
				for _, ref in ipairs({ "app:1", "two:1" }) do
					local img = assert(strata.open(target, { ref = ref }))
					assert.equal(assert(strata.open(path, { ref = ref })).digest, img.digest)
					assert.is_true(img:verify())
				end
			end
		end
	end)

	it("of an archive without index.json is an index of its images", function()
		local one = archive.image({ layers = { LAYERS[1], LAYERS[2] } })
		local two = archive.image({ layers = { LAYERS[1], LAYERS[3] }, tags = { "two:1", "three:1" }, name = "two" })
		for _, dialect in ipairs({ "docker_1_10", "kaniko", "podman" }) do
			local path = dialects.of[dialect](one, two):write(fresh("in"))
			local target = fresh("out")
			local saved, lost = save(path, target, { format = "oci" })
			assert(saved, lost)
			assert.is_nil(lost)
			for ref, made in pairs({ ["app:1"] = one, ["two:1"] = two, ["three:1"] = two }) do
				assert.equal("sha256:" .. made.id, assert(strata.open(target, { ref = ref })).id)
			end
		end
	end)

	it("without an image is one, too", function()
		local made = blobs.new()
		local empty = made:put("{}", "application/vnd.oci.empty.v1+json")
		local artifact = made:put(('{"schemaVersion":2,"artifactType":"a/b","config":%s,"layers":[%s]}'):format(
			descriptor(empty), descriptor(empty)), blobs.TYPES.oci.manifest)
		made:set_root({ descriptor(artifact, named("sbom")) })
		for way, write in pairs(WAYS) do
			local source = write(made, fresh("in"))
			for _, opts in ipairs({ { format = OTHER[way] }, {}, { attestations = "drop" } }) do
				local target = fresh("out")
				local saved, lost = save(source, target, opts)
				assert(saved, lost)
				assert.is_nil(lost)
				assert.is_nil(saved.id)
				assert.same({}, saved.layers)
				local found = blobs.look(target)
				assert.equal(made.root, found.root)
				assert.is_true(found.blobs[artifact.digest])
			end
			local saved, message, code = save(source, fresh("out"), { format = "docker" })
			assert.is_nil(saved)
			assert.equal("ENOENT", code)
			assert.truthy(message:find("no image is all here", 1, true))
		end
	end)

	it("of skopeo's directory becomes a layout and an archive", function()
		local made = blobs.new()
		local one = made:image({ layers = { LAYERS[1] }, family = "docker" })
		local two = made:image({ layers = { LAYERS[2] }, family = "docker", config = config({ LAYERS[2] }, "arm64") })
		local list = made:index({ descriptor(one, platform("linux/amd64")), descriptor(two, platform("linux/arm64")) },
			annotations("a", "b"), "docker")
		for top, count in pairs({ [one] = 1, [list] = 2 }) do
			local flat = fresh("flat")
			shell.check({ "mkdir", flat })
			shell.write(flat .. "/version", "Directory Transport Version: 1.1\n")
			shell.write(flat .. "/manifest.json", top.text)
			for digest, text in pairs(made.blobs) do
				local is_manifest = digest == one.digest or digest == two.digest
				shell.write(flat .. "/" .. digest:sub(8) .. (is_manifest and ".manifest.json" or ""), text)
			end
			for _, format in ipairs({ "oci", "oci-archive" }) do
				local target = fresh(format)
				local saved, lost = save(flat, target, { format = format })
				assert(saved, lost)
				assert.is_nil(lost)
				local found = blobs.look(target)
				assert.same({}, found.problems)
				assert.equal(1, #found.index.manifests)
				assert.equal(top.digest, found.index.manifests[1].digest)
				assert.equal(top.type, found.index.manifests[1].mediaType)
				assert.equal(count, #found.images)
				assert.equal(one.digest, assert(strata.open(target, { platform = "linux/amd64" })).digest)
			end
		end
	end)

	it("of a real registry client comes back as it was", function()
		local corpus = os.getenv("STRATA_CORPUS")
		if not corpus then
			pending("STRATA_CORPUS is not set")
		end
		local source = corpus .. "/images/regclient-testrepo"
		local saved, lost = save(source, dir:file("out.tar"), { format = "oci-archive" })
		assert(saved, lost)
		assert.is_nil(lost)
		saved, lost = save(dir:file("out.tar"), dir:file("back"), { format = "oci" })
		assert(saved, lost)
		assert.is_nil(lost)
		shell.check({ "diff", "-r", source, dir:file("back") })
	end)

	it("names the files that are no part of a layout", function()
		local path = everything().made:write_dir(fresh("in"))
		shell.write(path .. "/README", "read me")
		shell.write(path .. "/manifest.json", "[]")
		local target = fresh("out")
		local saved, lost = save(path, target, { format = "oci-archive" })
		assert(saved, lost)
		assert.same({ "the file README, which is no part of a layout" }, lost)
		assert.is_nil(shell.check({ "tar", "-tf", target }):find("README", 1, true))
	end)

	it("may have more blobs than files that can be open", function()
		local made, descriptors = blobs.new(), {}
		for i = 1, 300 do
			descriptors[i] = descriptor(made:put(('{"schemaVersion":2,"artifactType":"a/%d","config":%s,"layers":[]}'):format(i,
				descriptor(made:put("{}", "application/vnd.oci.empty.v1+json"))), blobs.TYPES.oci.manifest))
		end
		made:set_root(descriptors)
		made:write_dir(dir:file("in"))
		local finished = child.run({
			wrapper = { "sh", "-c", 'ulimit -n 200; exec "$@"', "sh" },
			arguments = { dir.path },
			script = [[
				local strata = require "strata"
				local function save(from, to, format)
					local index = assert(strata.open_index(arg[1] .. from))
					assert(index:save(arg[1] .. to, { format = format }))
				end
				save("/in", "/out.tar", "oci-archive")
				save("/out.tar", "/back", "oci")
				save("/out.tar", "/back", "oci")
			]],
		})
		assert.equal("", finished.stderr)
		assert.equal(made.root, blobs.look(dir:file("back")).root)
	end)
end)

describe("one image of an index that is saved without it", function()
	it("names what is left of the index once, and not what is written beside it", function()
		local dir, given = tmp.dir(tmp.for_peers()), everything()
		local path, images = given.made:write_dir(dir:file("in")), {}
		for _, name in ipairs({ "amd64", "arm64" }) do
			images[#images + 1] = assert(strata.open(path, { ref = "multi", platform = "linux/" .. name }))
		end
		local function lost_of(...)
			local saved, lost = ...
			assert(saved, lost)
			return lost
		end
		local target = dir:file("out.tar")
		assert.same({
			"the annotations of the index " .. given.inner.digest,
			"the other 3 manifests of the index " .. given.inner.digest,
			"the annotations of index.json",
		}, lost_of(images[1]:save(target, { format = "oci-archive" })))
		assert.same({
			"the annotations of the index " .. given.inner.digest,
			"the other 2 manifests of the index " .. given.inner.digest,
			"the annotations of index.json",
		}, lost_of(strata.save(images, target, { format = "oci-archive" })))
		assert.same({
			"the annotations of the index " .. given.inner.digest,
			"another manifest of the index " .. given.inner.digest,
			"the annotations of index.json",
		}, lost_of(strata.save(images, target, { format = "oci-archive", attestations = "drop" })))
		assert.equal(2, #cjson.decode(blobs.look(target).nested[next(blobs.look(target).nested)]).manifests)
		dir:remove()
	end)
end)
