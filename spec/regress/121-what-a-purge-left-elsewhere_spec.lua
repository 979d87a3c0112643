-- Takes seconds: not for make check.
-- A purge told success and said nothing of annotations, attestations and other images of the archive, where the secret
-- was still to be read. A whiteout alone was a match for img:remove, and none for layer:remove.

local docker_archive = require "spec.support.docker_archive"
local docker_dialects = require "spec.support.docker_dialects"
local oci_layout = require "spec.support.oci_layout"
local policy = require "strata.policy"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local SECRET = "s3cr3t"

describe("a purge", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	-- A layout with the images a:1 and b:1, which share a layer. `more` says what has the secret, too.
	local function layout_of(more)
		local layout = oci_layout.new()
		local shared = layout:layer({ { name = "root/.key", data = SECRET } },
			{ compression = "none", descriptor = more.layer and { annotations = { of_layer = SECRET } } })
		local a = layout:image({
			layers = { shared, layout:file_layer("a") }, platform = "linux/amd64",
			config = { config = { Env = { "PATH=/bin", "TOKEN=" .. SECRET }, Labels = { name = "a" } } },
			manifest = more.manifest and { annotations = { token = SECRET, kept = "x" } },
		})
		local descriptors = { oci_layout.with(a.descriptor, {
			annotations = { ["org.opencontainers.image.ref.name"] = "a:1", token = more.descriptor and SECRET or nil },
		}) }
		if more.attestation then
			local blob = layout:blob('{"args":{"build-arg:TOKEN":"' .. SECRET .. '"}}')
			blob.mediaType = "application/vnd.in-toto+json"
			local document = layout:document({
				schemaVersion = 2, mediaType = oci_layout.types.oci.manifest, layers = oci_layout.list({ blob }),
				config = layout:document("{}", oci_layout.types.oci.config),
			}, oci_layout.types.oci.manifest)
			document.annotations = {
				["vnd.docker.reference.type"] = "attestation-manifest",
				["vnd.docker.reference.digest"] = a.descriptor.digest,
			}
			descriptors[2] = document
		end
		if more.nested then
			local annotations = more.index and { token = SECRET } or nil
			layout:list(layout:index(descriptors, { index = { annotations = annotations } }), "a:1")
		else
			for _, one in ipairs(descriptors) do
				layout:list(one)
			end
			layout.root.annotations = more.index and { token = SECRET } or nil
		end
		if more.stranger then
			local blob = layout:blob("a list of " .. SECRET)
			blob.mediaType = "application/x-list"
			layout:list(blob, "list")
		end
		if more.other then
			local b = layout:image({ layers = { shared, layout:file_layer("b") }, platform = "linux/amd64" })
			layout:list(b.descriptor, "b:1")
		end
		return layout
	end

	local function open(more, format)
		local layout = layout_of(more)
		local path = dir:file(format or "layout")
		shell.check({ "rm", "-rf", path, dir:file("out") })
		return assert(strata.open(format and layout:archive(path) or layout:directory(path), { ref = "a:1" }))
	end

	local function has_secret(path)
		return shell.sh([[grep -rla "$2" "$1" || true]], path, SECRET) ~= ""
	end

	local ALL = { env = "^TOKEN=", labels = SECRET, prove = SECRET, optional = true }

	for name, more in pairs({
		["the manifest"] = { manifest = true },
		["a layer's descriptor"] = { layer = true },
		["the manifest's descriptor"] = { descriptor = true },
		["the manifest's descriptor in an index"] = { descriptor = true, nested = true },
		["all of them"] = { manifest = true, layer = true, descriptor = true, nested = true },
	}) do
		it("cleans annotations of " .. name, function()
			for _, format in ipairs({ false, "oci-archive" }) do
				local img = open(more, format or nil)
				assert.equal("EEXIST", select(3, img:purge("root/.key", { env = "^TOKEN=", prove = SECRET })))
				assert.is_false(img.edited)
				local report = assert(img:purge("root/.key", ALL))
				assert.is_true(#report.annotations > 0)
				assert.is_nil(report.left)
				assert(img:save(dir:file("out")))
				assert.is_false(has_secret(dir:file("out")))
				local again = assert(strata.open(dir:file("out"), { ref = "a:1" }))
				assert.is_true(again:verify())
				if more.manifest then
					shell.check({ "grep", "-raq", '"kept":"x"', dir:file("out") })
				end
				for _, other in ipairs({ "docker", "oci-archive", "docker-legacy" }) do
					assert(img:save(dir:file(other), { format = other }))
					assert.is_false(has_secret(dir:file(other)))
				end
				assert(img:revert())
				assert.is_false(img.edited)
			end
		end)
	end

	it("cleans annotations alone, and takes that back with a failed edit", function()
		local img = open({ manifest = true, descriptor = true })
		assert.same({ "token" }, assert(img:purge(nil, { labels = "^token=" })).annotations)
		assert.is_true(img.edited)
		assert(img:revert())
		assert.equal("ENOENT", select(3, img:purge(nil, { labels = "^token=", env = "^NO=" })))
		assert.is_false(img.edited)
		local only = open({ descriptor = true })
		assert.same({ "token" }, assert(only:purge(nil, { labels = "^token=" })).annotations)
		assert(only:save(dir:file("out")))
		assert.is_nil(shell.read(dir:file("out/index.json")):find(SECRET, 1, true))
		assert.equal("ENOENT", select(3, only:purge(nil, { labels = "^token=" })))
	end)

	it("cleans those of a layer that was taken from another image", function()
		local from, img = open({ layer = true }), strata.new()
		assert(img:append({ layer = from.layers[1] }))
		img.tags = { "a:1" }
		assert.same({ "of_layer" }, assert(img:purge("root/.key", { labels = SECRET, prove = SECRET })).annotations)
		assert(img:save(dir:file("out"), { format = "oci" }))
		assert.is_false(has_secret(dir:file("out")))
	end)

	it("keeps the tags, whatever the pattern", function()
		local img = open({ descriptor = true })
		assert.same({ "token" }, assert(img:purge(nil, { labels = "." })).annotations)
		assert(img:save(dir:file("out")))
		assert.same({ "a:1" }, assert(strata.open(dir:file("out"))).tags)
	end)

	for name, case in pairs({
		["index.json"] = { { index = true }, "^index%.json has secret 1$" },
		["an index"] = { { index = true, nested = true }, "^the index sha256:%x+ has secret 1$" },
		["an attestation"] = { { attestation = true }, "^the attestation sha256:%x+: its blob sha256:%x+ has secret 1; " },
		["an attestation in an index"] = { { attestation = true, nested = true }, "^the attestation sha256:%x+: its blob " },
		["a blob of another type"] = { { stranger = true }, "^the blob sha256:%x+ has secret 1$" },
		["another image's layer"] = { { other = true }, "^the image b:1 has layer 1 as it was, with 'root/%.key'$" },
	}) do
		it("says that something is left in " .. name, function()
			for _, format in ipairs({ false, "oci-archive" }) do
				local img = open(case[1], format or nil)
				local report = assert(img:purge("root/.key", ALL))
				assert.equal(1, #(report.left or {}))
				assert.matches(case[2], report.left[1])
				assert.matches("\n  left: ", tostring(report))
				assert(img:save(dir:file("out")))
				assert.is_true(has_secret(dir:file("out")))
				if case[1].attestation then
					shell.check({ "rm", "-rf", dir:file("out") })
					assert(img:save(dir:file("out"), { attestations = "drop" }))
					assert.is_false(has_secret(dir:file("out")))
				end
			end
		end)
	end

	it("finds what patterns match in attestations and in other configs", function()
		local img = open({ attestation = true })
		local report = assert(img:purge(nil, { env = "^TOKEN=" }))
		assert.matches("its blob sha256:%x+ has a text that matches '%^TOKEN='; a save with attestations", report.left[1])
	end)

	-- An archive of Docker 1.10 of three images: the first two share their lowest layer, and all the other one.
	local function archive_of_three(edit)
		local layers = docker_archive.layers(3)
		local archive, items = docker_archive.new(), {}
		for i, tag in ipairs({ "a:1", "b:1", "c:1" }) do
			local image = docker_archive.image({ tags = { tag }, name = tag, layers = { layers[i < 3 and 1 or 2], layers[3] } })
			for _, member in ipairs(docker_dialects.of.docker_1_10(image).members) do
				if member.name == "manifest.json" then
					items[i] = member.data:match("^%[(.*)%]%s*$")
				else
					edit(member)
					archive:add(member.name, member.data, member)
				end
			end
		end
		archive:add("manifest.json", "[" .. table.concat(items, ",") .. "]")
		return assert(strata.open(archive:write(dir:file("in.tar")), { ref = "a:1" }))
	end

	it("says which images of an archive for docker share the layer", function()
		local img = archive_of_three(function() end)
		local report = assert(img:purge("etc/layer1"))
		assert.same({ "the image b:1 has layer 1 as it was, with 'etc/layer1'" }, report.left)
		report = assert(img:purge("etc/layer3"))
		assert.equal(2, #report.left)
	end)

	it("says which documents of such an archive other images need as they are", function()
		local img = archive_of_three(function(member)
			if member.name:find("/json$") then
				member.data = member.data:gsub('"container_config":{"Env":null}', '"container_config":{"Env":["TOKEN=s3cr3t"]}')
			end
		end)
		local report = assert(img:purge(nil, { env = "^TOKEN=", optional = true }))
		assert.is_true(#report.left >= 1)
		for _, line in ipairs(report.left) do
			assert.matches("^%x+/json has a text that matches '^TOKEN='$", line)
		end
		assert(img:save(dir:file("out.tar")))
		assert.is_true(has_secret(dir:file("out.tar")))
	end)

	it("leaves to a policy what is around the image", function()
		local rules = { root_user = true, secrets = { env = { SECRET } } }
		local function findings(more)
			local img = open(more)
			img.config:remove_env("TOKEN")
			local list = {}
			for i, one in ipairs(assert(policy.check(img, rules))) do
				list[i] = one.message
			end
			return table.concat(list, "\n")
		end
		assert.equal("", findings({ other = true }))
		assert.equal("the manifest: annotation token matches a secret's pattern", findings({ manifest = true }))
		assert.equal("the manifest: annotation of_layer matches a secret's pattern", findings({ layer = true }))
		assert.equal("the descriptor in index.json: annotation token matches a secret's pattern",
			findings({ descriptor = true }))
		assert.equal("index.json has a text that matches 's3cr3t'", findings({ index = true }))
		assert.matches("^the attestation sha256:%x+: its blob sha256:%x+ has a text", findings({ attestation = true }))
	end)
end)

describe("a whiteout alone", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function open()
		local function layer(...)
			return docker_archive.layer({ ... })
		end
		local image = docker_archive.image({ layers = {
			layer({ name = "d/", type = "dir" }, { name = "d/x", data = "x" }),
			layer({ name = "d/.wh.x", data = "" }, { name = "d/.wh.gone", data = "" }, { name = "d/y", data = "y" }),
		} })
		return assert(strata.open(docker_dialects.of.docker_1_10(image):write(dir:file("in.tar"))))
	end

	local function names(img)
		local list = {}
		for entry in img:entries() do
			list[#list + 1] = entry.path
		end
		return table.concat(list, " ")
	end

	it("is no match for any removal", function()
		local img = open()
		local before = names(img)
		for _, path in ipairs({ "d/gone", "d/.wh.gone", "d/.wh.x" }) do
			assert.equal("ENOENT", select(3, img:remove(path)))
			assert.equal("ENOENT", select(3, img:purge(path)))
			assert.equal("ENOENT", select(3, img.layers[2]:remove(path)))
		end
		assert.equal("ENOENT", select(3, img.layers[2]:remove("d/x")))
		assert.is_false(img.edited)
		assert.equal(before, names(img))
	end)

	it("goes with the path that it hides, or stays with its layer", function()
		local img = open()
		assert(img:remove("d/x"))
		assert.equal("d d/.wh.gone d/y", names(img))
		assert.equal(img, (assert(img:remove("d/gone", { optional = true }))))
		assert.equal("d d/y", names(img))
		img = open()
		assert(img.layers[2]:remove("d/*"))
		assert.equal("d d/x d/.wh.x d/.wh.gone", names(img))
		assert.is_false(img:rootfs():exists("d/x"))
	end)
end)
