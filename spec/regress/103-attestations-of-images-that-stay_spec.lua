-- Takes seconds: not for make check.
-- attestations = "drop" of an image without an edit did nothing, and nothing was said.

local archive = require "spec.support.docker_archive"
local archive_check = require "spec.support.archive_check"
local blobs = require "spec.support.blobs"
local collect = require "spec.support.collect"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local LAYERS = archive.layers(3)
local descriptor, named = blobs.descriptor, blobs.named

local function platform(architecture)
	return (',"platform":{"os":"linux","architecture":"%s"}'):format(architecture)
end

-- Images for two platforms, an attestation of each, and a signature of the first by `subject`.
local function attested(without)
	local made = blobs.new()
	local amd = made:image({ layers = { LAYERS[1], LAYERS[2] } })
	local config = archive.image({ layers = { LAYERS[3] } }).config:gsub("amd64", "arm64")
	local arm = made:image({ layers = { LAYERS[3] }, config = config, without = without and { true } })
	local of_amd, amd_descriptor = made:attestation(amd)
	local of_arm, arm_descriptor = made:attestation(arm)
	local empty = made:put("{}", "application/vnd.oci.empty.v1+json")
	local signature = made:put(('{"schemaVersion":2,"artifactType":"a/b","config":%s,"layers":[%s],"subject":%s}'):format(
		descriptor(empty), descriptor(empty), descriptor(amd)), blobs.TYPES.oci.manifest)
	local index = made:index({ descriptor(amd, platform("amd64")), amd_descriptor, descriptor(arm, platform("arm64")),
		arm_descriptor })
	made:set_root({ descriptor(index, named("app:1")), descriptor(signature) })
	return { made = made, amd = amd, arm = arm, of_amd = of_amd, of_arm = of_arm, signature = signature }
end

local WAYS = {
	directory = function(given, path)
		return given.made:write_dir(path)
	end,
	archive = function(given, path)
		return given.made:write_archive(path)
	end,
	["archive with a manifest.json"] = function(given, path)
		local text = ('[{"Config":"blobs/sha256/%s","RepoTags":["app:1"],"Layers":%s}]'):format(
			archive.sha256(archive.image({ layers = { LAYERS[1], LAYERS[2] } }).config),
			archive.list({ "blobs/sha256/" .. LAYERS[1].gz_id, "blobs/sha256/" .. LAYERS[2].gz_id })
		)
		return given.made:write_archive(path, { { name = "manifest.json", data = text } })
	end,
}

for way, write in pairs(WAYS) do
	describe("attestations of an image that nobody edited, in a " .. way, function()
		local dir, given, source

		before_each(function()
			dir, given = tmp.dir(tmp.for_peers()), attested()
			source = write(given, dir:file("in"))
		end)

		after_each(function()
			dir:remove()
		end)

		local function there(path, ...)
			local found, list = blobs.look(path), {}
			assert.same({}, found.problems)
			for i, one in ipairs({ ... }) do
				list[i] = found.blobs[one.digest] == true
				assert.equal(found.blobs[one.digest], found.reached[one.digest])
			end
			for digest in pairs(found.blobs) do
				assert.is_true(found.reached[digest], digest)
			end
			return list
		end

		local function of_all(path)
			if way:find("manifest.json", 1, true) then
				assert.equal(1, #archive_check.read(path).images)
			end
			return there(path, given.amd, given.of_amd, given.signature, given.arm, given.of_arm)
		end

		it("go when they are to be dropped, and those of other images stay", function()
			for _, target in ipairs({ dir:file("out"), source }) do
				local img = assert(strata.open(source, { platform = "linux/amd64" }))
				local saved, lost = img:save(target, { attestations = "drop" })
				assert(saved, lost)
				assert.is_nil(lost)
				assert.equal(given.amd.digest, saved.digest)
				assert.same({ true, false, false, true, true }, of_all(target))
				assert.equal(given.amd.digest, assert(strata.open(target, { platform = "linux/amd64" })).digest)
				img:close()
			end
		end)

		it("go together with those of all when the whole is saved", function()
			for _, opts in ipairs({ {}, { format = "oci" }, { format = "oci-archive" } }) do
				opts.attestations = "drop"
				local index = assert(strata.open_index(source))
				local saved, lost = index:save(dir:file("out" .. (opts.format or "")), opts)
				assert(saved, lost)
				assert.is_nil(lost)
				if opts.format then
					assert.same({ true, false, false, true, false }, there(dir:file("out" .. opts.format), given.amd,
						given.of_amd, given.signature, given.arm, given.of_arm))
				else
					assert.same({ true, false, false, true, false }, of_all(dir:file("out")))
				end
				index:close()
			end
		end)

		it("stay when they are to be kept, and are no reason to refuse anything", function()
			for _, how in ipairs({ "keep", "refuse" }) do
				local img = assert(strata.open(source, { platform = "linux/amd64" }))
				assert(img:save(dir:file("out"), { attestations = how }))
				shell.check({ "diff", "-r", source, dir:file("out") })
				shell.check({ "rm", "-rf", dir:file("out") })
				img:close()
			end
		end)

		it("are not told as lost where they were to be dropped", function()
			local img = assert(strata.open(source, { platform = "linux/amd64" }))
			local _, lost = assert(img:save(dir:file("one.tar"), { format = "oci-archive" }))
			assert.truthy(lost[1]:find("the other 3 manifests", 1, true), lost[1])
			_, lost = assert(img:save(dir:file("one.tar"), { format = "oci-archive", attestations = "drop" }))
			assert.truthy(lost[1]:find("another manifest", 1, true), lost[1])
			local index = assert(strata.open_index(source))
			_, lost = assert(index:save(dir:file("all.tar"), { format = "docker", attestations = "drop" }))
			assert.is_nil(table.concat(lost, "\n"):find("attestation", 1, true))
		end)

		it("are a reason to refuse a format that cannot hold them", function()
			for _, format in ipairs({ "docker", "docker-legacy", "oci-archive" }) do
				local img = assert(strata.open(source, { platform = "linux/amd64" }))
				local saved, message, code = img:save(dir:file("one.tar"), { format = format, attestations = "refuse" })
				assert.is_nil(saved)
				assert.equal("EINVAL", code)
				assert.truthy(message:find(given.of_amd.digest, 1, true), message)
				assert.is_nil((io.open(dir:file("one.tar"))))
			end
		end)
	end)
end

describe("an attestation that has a name, too", function()
	it("goes wherever a descriptor leads to it", function()
		local dir, given = tmp.dir(tmp.for_peers()), attested()
		local root = given.made.root:gsub('("manifests":%[\n\t)', function(start)
			return start .. descriptor(given.of_amd, named("proof")) .. ",\n\t"
		end)
		given.made.root = root
		local index = assert(strata.open_index(given.made:write_dir(dir:file("in"))))
		assert.equal(2, #collect(index:images()))
		assert(index:save(dir:file("out"), { attestations = "drop" }))
		local found = blobs.look(dir:file("out"))
		assert.equal(2, #found.images)
		assert.is_nil(found.blobs[given.of_amd.digest])
		assert.is_nil(found.root:find("proof", 1, true))
		dir:remove()
	end)
end)

describe("an image without attestations", function()
	it("is the same, byte for byte, when they are to be dropped", function()
		local dir = tmp.dir(tmp.for_peers())
		local made = archive.image({ layers = LAYERS })
		local layout = blobs.new()
		layout:set_root({ descriptor(layout:image({ layers = LAYERS }), named("app:1")) })
		local dialects = require "spec.support.docker_dialects"
		for i, source in ipairs({
			dialects.of.docker_1_10(made):write(dir:file("1")),
			dialects.of.docker_25(made):write(dir:file("2")),
			layout:write_dir(dir:file("3")),
			layout:write_archive(dir:file("4")),
		}) do
			for k, open in ipairs({ strata.open, strata.open_index }) do
				local target = dir:file(("out%d%d"):format(i, k))
				local saved, lost = assert(open(source)):save(target, { attestations = "drop" })
				assert(saved, lost)
				assert.is_nil(lost)
				shell.check({ "diff", "-r", source, target })
			end
		end
		dir:remove()
	end)
end)
