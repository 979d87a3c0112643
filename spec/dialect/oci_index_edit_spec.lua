-- Takes seconds: not for make check.
-- Edits of indexes in a layout, as a directory and as an archive: images are added, entries and names go, and no byte
-- changes that no edit names.

local archive = require "spec.support.docker_archive"
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

local WAYS = {
	directory = function(layout)
		return layout:write_dir(fresh("layout"))
	end,
	archive = function(layout)
		return layout:write_archive(fresh("layout.tar"))
	end,
}

local PLATFORM = ',"platform":{"architecture":"%s","os":"linux"}'

local function look(path)
	local found = blobs.look(path)
	assert.same({}, found.problems)
	return found
end

local function of(platform)
	local img = strata.new({ platform = platform })
	assert(img:append({ files = { ["etc/name"] = platform } }))
	return img
end

-- What an index lists, a word each.
local function platforms(index)
	local list = {}
	for i, one in ipairs(index.manifests) do
		list[i] = one.kind == "image" and tostring(one.platform) or one.kind
	end
	return table.concat(list, " ")
end

local function fails(code, pattern, ok, message, found)
	assert.is_nil(ok)
	assert.matches(pattern, message)
	assert.equal(code, found)
end

for way, write in pairs(WAYS) do
	describe("an index of a layout as " .. way, function()
		local layout, amd, arm, inner, proof, proof_descriptor, tool, tool_index, path, index

		before_each(function()
			layout = blobs.new()
			amd = layout:image({ layers = { layers[1], layers[2] }, name = "amd" })
			arm = layout:image({
				layers = { layers[1], layers[3] },
				config = archive.image({ layers = { layers[1], layers[3] } }).config:gsub("amd64", "arm64"),
			})
			tool = layout:image({ layers = { layers[1], layers[4] }, name = "tool" })
			proof, proof_descriptor = layout:attestation(arm)
			inner = layout:index({
				descriptor(amd, PLATFORM:format("amd64")), descriptor(arm, PLATFORM:format("arm64")), proof_descriptor,
			}, annotations("org.example.inner", "inner"))
			tool_index = layout:index({ descriptor(tool, PLATFORM:format("amd64")) })
			layout:set_root({
				descriptor(inner, named("app:1")), descriptor(inner, named("app:latest")),
				descriptor(tool_index, named("tool:1")), descriptor(tool, named("single:1")),
			}, ',"x-more":1e1')
			path = write(layout)
			index = assert(strata.open_index(path))
		end)

		after_each(function()
			index:close()
		end)

		-- Saves in place, and looks.
		local function saved()
			assert.is_true(index.edited)
			assert(index:save(path))
			local found = look(path)
			for digest in pairs(found.blobs) do
				assert.is_true(found.reached[digest], digest)
			end
			return found
		end

		it("loses a platform and the attestation about it, and the rest keeps its bytes", function()
			local same, removed = assert(index:remove({ platform = "linux/arm64" }))
			assert.equal(index, same)
			assert.same({ arm.digest, proof.digest }, { removed[1].digest, removed[2].digest })
			assert.equal(inner.digest, removed[1].index)
			assert.matches("^image, linux/arm64, sha256:[^\n]*\nattestation, unknown/unknown", tostring(removed))
			assert.equal("linux/amd64 linux/amd64", platforms(index))
			assert.equal(2, #collect(index:images()))
			local found = saved()
			local text = inner.text:gsub(",%s*" .. descriptor(arm, PLATFORM:format("arm64")):gsub("%p", "%%%0"), "")
			text = text:gsub(",%s*" .. proof_descriptor:gsub("%p", "%%%0"), "")
			assert.same({ ["sha256:" .. archive.sha256(text)] = text, [tool_index.digest] = tool_index.text }, found.nested)
			assert.is_truthy(found.root:find(',"x-more":1e1', 1, true))
			assert.is_nil(found.blobs[arm.digest])
			assert.is_nil(found.blobs[proof.digest])
			assert.is_truthy(found.blobs[amd.digest])
		end)

		it("keeps attestations of what is removed, or is not edited, as asked", function()
			fails("EINVAL", "attestation " .. proof.digest .. " is about " .. arm.digest,
				index:remove({ platform = "linux/arm64" }, { attestations = "refuse" }))
			assert.is_false(index.edited)
			local _, removed = assert(index:remove({ platform = "linux/arm64" }, { attestations = "keep" }))
			assert.equal(1, #removed)
			assert.is_truthy(saved().blobs[proof.digest])
		end)

		it("loses all attestations, none of which says that it is an image", function()
			local _, removed = assert(index:remove({ kind = "attestation" }))
			assert.equal(1, #removed)
			local found = saved()
			assert.is_nil(found.blobs[proof.digest])
			assert.equal(3, #found.images)
		end)

		it("loses what has a name, and what only that led to", function()
			local _, removed = assert(index:remove("tool:1"))
			assert.equal("index", removed[1].kind)
			assert.same({ "tool:1" }, removed[1].tags)
			assert.equal("linux/amd64 linux/arm64 attestation linux/amd64", platforms(index))
			local found = saved()
			assert.equal(3, #found.index.manifests)
			assert.is_nil(found.blobs[tool_index.digest])
			assert.is_truthy(found.blobs[tool.digest]) -- single:1 leads to it
		end)

		it("stays under its other name when one name of it is removed", function()
			assert(index:remove("app:1"))
			assert.same({ "app:latest" }, index.manifests[1].tags)
			local found = saved()
			assert.equal(inner.text, found.nested[inner.digest])
			assert.equal(3, #found.index.manifests)
		end)

		it("goes with its names when the last manifest of it is removed", function()
			local _, removed = assert(index:remove(tool.digest))
			assert.equal(2, #removed)
			local found = saved()
			assert.equal(2, #found.index.manifests)
			assert.is_nil(found.blobs[tool_index.digest])
			assert.is_nil(found.blobs[tool.digest])
		end)

		it("is chosen from by a function, an ID, a name with a platform, and a list of those", function()
			local asked = {}
			local _, removed = assert(index:remove(function(one)
				asked[#asked + 1] = one.kind
				return one.digest == amd.digest
			end))
			assert.same({ "index", "image", "image", "attestation", "index", "index", "image", "image" }, asked)
			assert.equal(1, #removed)
			assert(index:remove({ { ref = "app:latest", platform = "linux/arm64" }, "single:1" }))
			assert.equal("linux/amd64", platforms(index))
			assert(index:remove(assert(collect(index:images())[1]).id))
			assert.equal("", platforms(index))
			assert.equal(0, #saved().index.manifests)
		end)

		it("is not edited when something matches nothing, when a function fails, or gives no answer", function()
			fails("ENOENT", "nothing is 'no:1', {platform=linux/s390x}$",
				index:remove({ "app:1", "no:1", { platform = "linux/s390x" } }))
			fails("ENOENT", "the function chose nothing", index:remove(function() return false end))
			assert.error_matches(function()
				index:remove(function() error("mine", 0) end)
			end, "^mine$")
			assert.error_matches(function()
				index:remove(function() end)
			end, "^remove: the function returned nil for sha256:")
			assert.error_matches(function()
				index:remove(function()
					index:remove("tool:1")
					return true
				end)
			end, "remove: the function that chooses has edited the index")
			assert(index:remove("app:1"))
			assert.equal(index, (index:remove("no:1", { optional = true })))
		end)

		it("has a name less, and what it leads to stays", function()
			assert(index:untag("app:1"))
			assert.same({ "app:latest" }, index.manifests[1].tags)
			assert(index:untag("single:1"))
			fails("ENOENT", "nothing has the name 'single:1'", index:untag("single:1"))
			assert(index:untag("tool:1"))
			local found = saved()
			assert.equal(inner.text, found.nested[inner.digest])
			assert.equal(tool_index.text, found.nested[tool_index.digest])
			assert.equal(3, #found.index.manifests)
			assert.same({ "app:latest" }, assert(strata.open_index(path)).manifests[1].tags)
		end)

		it("gives images the names that are left, whenever they were opened", function()
			local first = collect(index:images())[1]
			assert.same({ "app:1", "app:latest" }, { first.tags[1], first.tags[2] })
			assert(index:untag("app:1"))
			assert.same({ "app:latest" }, { first.tags[1], first.tags[2] })
			local other = assert(strata.open_index(path))
			assert(other:untag("app:1"))
			local img = collect(other:images())[1]
			img.config:set_env("A", "1")
			assert(other:save(path))
			local found = look(path)
			assert.is_nil(found.by_name["app:1"])
			assert.is_truthy(found.by_name["app:latest"])
		end)

		it("gets an image for another platform, as it is when the index is saved", function()
			local img = of("linux/riscv64")
			assert.equal(index, (assert(index:add(img, { index = "app:1" }))))
			img.config:set_env("A", "1")
			assert.equal("linux/amd64 linux/arm64 attestation linux/amd64 linux/riscv64", platforms(index))
			assert.same({ "app:1", "app:latest" }, index.manifests[5].tags)
			assert.equal(img, collect(index:images())[4])
			local found = saved()
			local made = assert(strata.open(path, { ref = "app:latest", platform = "linux/riscv64" }))
			assert(made:verify())
			assert.equal("1", made.config:get_env("A"))
			assert.equal(img.id, made.id)
			local text = found.nested[made.index.digest]
			local from = inner.text:sub(1, inner.text:find(proof_descriptor, 1, true) + #proof_descriptor - 1)
			assert.equal(from, text:sub(1, #from))
			local to = inner.text:match('%],\n "schemaVersion".*$')
			assert.equal(to, text:sub(-#to))
		end)

		it("refuses the same platform twice, unless one takes the other's place", function()
			local img = of("linux/arm64")
			fails("EEXIST", "there is an image for linux/arm64 %(" .. arm.digest .. "%); replace = true",
				index:add(img, { index = "app:1" }))
			local _, replaced = assert(index:add(img, { index = "app:1", replace = true }))
			assert.same({ arm.digest, proof.digest }, { replaced[1].digest, replaced[2].digest })
			fails("EEXIST", "for linux/arm64 %(which was added%)", index:add(of("linux/arm64"), { index = "app:1" }))
			local other = of("linux/arm64")
			assert(index:add(other, { index = "app:1", replace = true }))
			local found = saved()
			assert.is_nil(found.blobs[proof.digest])
			assert.equal(other.id, assert(strata.open(path, { ref = "app:1", platform = "linux/arm64" })).id)
			img.config.architecture = "riscv64"
		end)

		it("loses images that were added and not saved yet, by themselves and with their index", function()
			assert(index:add(of("linux/riscv64"), { index = "app:1" }))
			assert(index:add(of("linux/s390x"), { index = "tool:1" }))
			local _, removed = assert(index:remove({ ref = "app:latest", platform = "linux/riscv64" }))
			assert.same({ 1, "linux/riscv64" }, { #removed, tostring(removed[1].platform) })
			assert.equal(inner.digest, removed[1].index)
			assert.equal("linux/amd64 linux/arm64 attestation linux/amd64 linux/s390x", platforms(index))
			assert(index:remove("tool:1"))
			assert.equal("linux/amd64 linux/arm64 attestation linux/amd64", platforms(index))
			assert.equal(inner.text, saved().nested[inner.digest])
		end)

		it("refuses a platform that an image has got since it was added", function()
			local img = of("linux/riscv64")
			assert(index:add(img, { index = "app:1" }))
			img.config.architecture = "amd64"
			fails("EEXIST", "there is an image for linux/amd64", index:save(path))
		end)

		it("is named when there are several, by a name or a digest, and index.json is one of them", function()
			local img = of("linux/riscv64")
			fails("EAMBIGUOUS", "which index is meant%? index = \"index.json\" .* there are: 'app:1', 'app:latest', 'tool:1'$",
				index:add(img))
			fails("ENOENT", "no index is 'app:3'; there are: 'app:1'", index:add(img, { index = "app:3" }))
			fails("EINVAL", "'single:1' is that of an image; strata.save", index:add(img, { index = "single:1" }))
			assert(index:add(img, { index = tool_index.digest }))
			local listed = of("linux/amd64")
			listed.tags = { "single:1", "single:2" }
			fails("EEXIST", "an image of that name", index:add(listed, { index = "index.json" }))
			local _, replaced = assert(index:add(listed, { index = "index.json", replace = true }))
			assert.same({ "single:1" }, replaced[1].tags)
			local found = saved()
			assert.equal(5, #found.index.manifests)
			assert.equal(listed.id, assert(strata.open(path, { ref = "single:2" })).id)
			assert.equal(listed.id, assert(strata.open(path, { ref = "single:1" })).id)
		end)

		it("takes along what is attested about an image of another layout, while that is not edited", function()
			local other = blobs.new()
			local riscv = other:image({ layers = { layers[2] },
				config = archive.image({ layers = { layers[2] } }).config:gsub("amd64", "riscv64") })
			local about, text = other:attestation(riscv)
			other:set_root({ descriptor(other:index({ descriptor(riscv, PLATFORM:format("riscv64")), text }), named("x")) })
			local from = write(other)
			local function opened()
				return assert(strata.open(from))
			end
			assert(index:add(opened(), { index = "app:1" }))
			local target = fresh("target")
			assert(index:save(target))
			local found = look(target)
			assert.is_truthy(found.blobs[about.digest] and found.blobs[riscv.digest])
			assert.is_truthy(table.concat({ found.nested[found.index.manifests[1].digest] }):find(text, 1, true))

			for how, blob in pairs({ keep = "there", drop = false, refuse = "there" }) do
				local again = assert(strata.open_index(path))
				assert(again:add(opened(), { index = "app:1", attestations = how }))
				local place = fresh("target")
				assert(again:save(place))
				assert.equal(blob and about.digest or nil, look(place).blobs[about.digest] and about.digest)
			end

			local edited, again = opened(), assert(strata.open_index(path))
			edited.config:set_env("A", "1")
			assert(again:add(edited, { index = "app:1" }))
			local _, lost = assert(again:save(fresh("target")))
			assert.matches("attestation " .. about.digest .. ", which is about " .. riscv.digest, lost[1])
			assert(again:add(edited, { index = "app:1", replace = true, attestations = "refuse" }))
			fails("EINVAL", about.digest, again:save(fresh("target")))
		end)

		it("takes along and loses artifacts by their subjects, also those about these, without their names", function()
			local function about(subject, name)
				local made = layout:put(('{"schemaVersion":2,"mediaType":"%s","artifactType":"text/plain","config":%s,'
					.. '"layers":[%s],"subject":%s}'):format(blobs.TYPES.oci.manifest,
					descriptor(layout:put("{}", "application/vnd.oci.empty.v1+json")), descriptor(layout:put(name, "text/plain")),
					descriptor(subject)), blobs.TYPES.oci.manifest)
				return made
			end
			local signature = about(tool, "signature")
			local second = about(signature, "signature of the signature")
			layout:set_root({ descriptor(tool, named("tool:1")), descriptor(signature, named("signature")),
				descriptor(second), descriptor(amd, named("amd:1")) })
			local from = write(layout)
			local target = fresh("target.tar")
			local img = assert(strata.open(from, { ref = "tool:1" }))
			assert(strata.save({ img }, target, { index = "app:1" }))
			local inner_text
			for _, text in pairs(look(target).nested) do
				inner_text = text
			end
			assert.is_truthy(inner_text:find(descriptor(signature), 1, true))
			assert.is_truthy(inner_text:find(descriptor(second), 1, true))
			local other = assert(strata.open_index(from))
			local _, removed = assert(other:remove("tool:1"))
			assert.equal(3, #removed)
			assert.equal("linux/amd64", platforms(other))
		end)

		it("goes edited to another place in another form, with all else", function()
			assert(index:remove({ platform = "linux/arm64" }))
			assert(index:add(of("linux/riscv64"), { index = "tool:1" }))
			local to = { dir = fresh("to"), tar = fresh("to.tar") }
			assert(index:save(to.dir, { format = "oci" }))
			assert(index:save(to.tar, { format = "oci-archive" }))
			for _, place in pairs(to) do
				local found = look(place)
				assert.equal(4, #found.index.manifests)
				assert.is_nil(found.blobs[arm.digest])
				assert.is_nil(found.blobs[inner.digest])
				for digest in pairs(found.blobs) do
					assert.is_true(found.reached[digest], digest)
				end
				assert.is_truthy(assert(strata.open(place, { ref = "tool:1", platform = "linux/riscv64" })):verify())
			end
			fails("EUNSUPPORTED", "keeps no edits of indexes; choose the format oci.archive",
				index:save(to.tar, { format = "docker" }))
		end)

		it("has edits of its images saved with its own, but not of one that was removed", function()
			local list = collect(index:images())
			for _, img in ipairs(list) do
				img.config:set_env("A", "1")
			end
			assert(index:remove({ platform = "linux/arm64" }))
			local result = assert(index:save(path))
			assert.equal(2, #result.images)
			local found = look(path)
			assert.equal(list[1].id, assert(strata.open(path, { ref = "app:1" })).id)
			assert.is_nil(found.blobs[list[2].digest])
		end)

		it("tells what a save would write, and writes it", function()
			local img, target = of("linux/riscv64"), fresh("target")
			assert(index:add(img, { index = "app:1" }))
			collect(index:images())[1].config:set_env("A", "1")
			local plan = assert(index:plan())
			assert.is_nil(plan.size)
			assert.equal(way == "archive" and "oci-archive" or "oci", plan.format)
			local result = assert(index:save(target))
			assert.equal(2, #result.images)
			for i, one in ipairs(result.images) do
				assert.equal(one.id, plan.images[i].id)
				assert.equal(one.digest, plan.images[i].digest)
				assert.equal(#one.layers, #plan.images[i].layers)
			end
			assert.is_nil((index:plan({ format = "docker" })))
		end)

		it("is edited and saved several times", function()
			local target = fresh("target")
			assert(index:remove("single:1"))
			assert(index:save(target))
			assert(index:remove("tool:1"))
			assert(index:save(fresh("target")))
			assert.equal(3, #look(target).index.manifests)
		end)
	end)
end

describe("an index of a layout in a directory", function()
	local layout, one, other, path

	before_each(function()
		layout = blobs.new()
		one = layout:image({ layers = { layers[1] }, name = "one" })
		other = layout:image({ layers = { layers[2] }, name = "other" })
		layout:set_root({ descriptor(one, named("one:1")), descriptor(other, named("other:1")) })
		path = layout:write_dir(fresh("layout"))
	end)

	it("keeps what others have done to it since it was opened", function()
		local index = assert(strata.open_index(path))
		assert(index:remove("one:1"))
		local third = of("linux/amd64")
		third.tags = { "third:1" }
		assert(third:save(path, { format = "oci" }))
		assert(index:save(path))
		local found = look(path)
		assert.equal(2, #found.index.manifests)
		assert.is_truthy(found.by_name["other:1"])
		assert.equal(third.id, assert(strata.open(path, { ref = "third:1" })).id)
	end)

	it("is not edited when others have taken away what the edit is about", function()
		local index = assert(strata.open_index(path))
		assert(index:remove("one:1"))
		local again = assert(strata.open_index(path))
		assert(again:untag("one:1"))
		assert(again:save(path))
		local before = shell.read(path .. "/index.json")
		fails("ESTALE", "index.json was changed after it had been opened", index:save(path))
		assert.equal(before, shell.read(path .. "/index.json"))
	end)
end)

describe("an index of an archive that has a manifest.json, too", function()
	it("is edited, and saved as a layout", function()
		local layout, list, ids = blobs.new(), {}, {}
		for i, machine in ipairs({ "amd64", "arm64" }) do
			local config = archive.image({ layers = { layers[i] } }).config:gsub("amd64", machine)
			list[i] = layout:image({ layers = { layers[i] }, config = config })
			ids[i] = archive.sha256(config)
		end
		layout:set_root({ descriptor(layout:index({
			descriptor(list[1], PLATFORM:format("amd64")), descriptor(list[2], PLATFORM:format("arm64")),
		}), named("app:1")) })
		-- As containerd and Docker with its store write it: manifest.json has one of the platforms.
		local path = layout:write_archive(fresh("both.tar"), { {
			name = "manifest.json",
			data = ('[{"Config":"blobs/sha256/%s","RepoTags":["app:1"],"Layers":["blobs/sha256/%s"]}]'):format(ids[1],
				layers[1].gz_id),
		} })
		local index = assert(strata.open_index(path))
		assert.equal("linux/amd64 linux/arm64", platforms(index))
		assert(index:remove({ platform = "linux/amd64" }))
		assert(index:add(of("linux/s390x")))
		assert.equal("linux/arm64 linux/s390x", platforms(index))
		assert.equal(2, #collect(index:images()))
		fails("EUNSUPPORTED", "keeps no edits of indexes", index:save(fresh("target")))
		for _, format in ipairs({ "oci", "oci-archive" }) do
			local target = fresh("target")
			assert(index:save(target, { format = format }))
			local found = look(target)
			assert.equal("linux/arm64 linux/s390x", platforms(assert(strata.open_index(target))))
			assert.is_nil(found.blobs[list[1].digest])
			for digest in pairs(found.blobs) do
				assert.is_true(found.reached[digest], digest)
			end
		end
	end)
end)

describe("an index that cannot be edited", function()
	it("is that of an archive without an index.json, and of a single image", function()
		local path = dir:file("legacy.tar")
		assert(of("linux/amd64"):save(path, { format = "docker-legacy" }))
		local index = assert(strata.open_index(path))
		for _, call in ipairs({ "remove", "untag", "add" }) do
			fails("EUNSUPPORTED", "^" .. call .. ": .*no index.json lists its images; save it with the format",
				index[call](index, call == "add" and of("linux/arm64") or "app:1"))
		end
	end)

	it("throws for what makes no sense", function()
		local layout = blobs.new()
		layout:set_root({ descriptor(layout:image({ layers = { layers[1] } }), named("one:1")) })
		local index = assert(strata.open_index(layout:write_dir(fresh("layout"))))
		for pattern, which in pairs({
			["a table without a field chooses nothing"] = { {} },
			["a name, a digest or a table of fields is wanted, not number"] = { 1 },
			["no field 'plattform'; did you mean 'platform'%?"] = { plattform = "linux/amd64" },
			["platform should be a platform such as"] = { platform = "amd64" },
			["kind should be \"image\" or"] = { kind = "picture" },
		}) do
			assert.error_matches(function() index:remove(which) end, pattern)
		end
		assert.error_matches(function() index:add("one:1") end, "add: an image is wanted, not string")
		assert.error_matches(function() index:remove("one:1", { attestation = "keep" }) end, "did you mean 'attestations'")
		assert.error_matches(function() index:untag() end, "untag: a name is wanted, not nil")
		assert.is_false(index.edited)
	end)
end)
