-- Takes seconds: not for make check.
local cjson = require "cjson"
local docker = require "spec.support.docker"
local docker_archive = require "spec.support.docker_archive"
local docker_dialects = require "spec.support.docker_dialects"
local peers = require "spec.support.peers"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

-- Docker, podman and skopeo load an archive whose config has a name that is not its hash: "EDIGEST".
describe("a config whose name states another hash", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	local made = docker_archive.image({ layers = docker_archive.layers(2) })
	local content = made.config .. " "
	local ID = "sha256:" .. docker_archive.sha256(content)

	-- Two dialects that name configs by "<hex>.json" and by "sha256:<hex>".
	local function build(dialect)
		local archive = docker_dialects.of[dialect](made)
		local found = false
		for _, member in ipairs(archive.members) do
			if member.data == made.config then
				found, member.data = true, content
			end
		end
		assert(found)
		return archive:write(dir:file("in.tar"))
	end

	for _, dialect in ipairs({ "docker_1_10", "kaniko", "podman" }) do
		it("opens, and its ID is the hash of its content: " .. dialect, function()
			local path = build(dialect)
			local img = assert(strata.open(path))
			assert.equal(ID, img.id)
			assert.equal(ID, assert(strata.open(path, { ref = ID })).id)
			assert.is_nil((strata.open(path, { ref = "sha256:" .. made.id })))
			if not peers.missing("docker") then
				docker.load(path)
				assert.equal(ID, docker.id("app:1"))
			end
			assert(img:save(dir:file("out.tar")))
			assert.equal(shell.read(path), shell.read(dir:file("out.tar")))
		end)

		it("is an error of check, of strict and of verify: " .. dialect, function()
			local path = build(dialect)
			local img = assert(strata.open(path))
			local codes = {}
			for _, finding in ipairs(img:check({ severity = "note" })) do
				codes[finding.code] = finding.severity
			end
			assert.equal("error", codes["config-name"])
			local ok, message, code = img:verify()
			assert.is_nil(ok)
			assert.equal("EDIGEST", code, message)
			ok, message = strata.open(path, { strict = true })
			assert.is_nil(ok)
			assert.truthy(message:find(made.id, 1, true), message)
		end)

		local function config_name(path)
			return cjson.decode((shell.check({ "tar", "-xOf", path, "manifest.json" })))[1].Config
		end

		-- The archive as edited, and what the save told.
		local function expect_right_name(img, lost, id)
			local out = dir:file("out.tar")
			assert.equal(1, #lost)
			for _, part in ipairs({ made.id, ID:sub(8) }) do
				assert.truthy(lost[1]:find(part, 1, true), lost[1])
			end
			assert.truthy(config_name(out):find(id:sub(8), 1, true))
			assert.is_nil(shell.read(out):find(made.id, 1, true))
			local again = assert(strata.open(out, { strict = true }))
			assert.equal(id, again.id)
			assert.is_true(again:verify())
			assert.equal(#img.layers, #again.layers)
			again:close()
		end

		it("gets the name of its hash when it is edited, and that is told: " .. dialect, function()
			local img = assert(strata.open(build(dialect)))
			img.config:set_env("A", "b")
			local saved, lost = assert(img:save(dir:file("out.tar")))
			expect_right_name(img, lost, saved.id)
		end)

		it("gets it when another part of the image is edited: " .. dialect, function()
			local edits = {
				function(img) img:tag("other:2") end,
				function(img) img.tags = {} end,
				function(img)
					img:rewrite(function(entry) entry.mtime = 7 end)
				end,
			}
			for _, edit in ipairs(edits) do
				local img = assert(strata.open(build(dialect)))
				edit(img)
				local saved, lost = assert(img:save(dir:file("out.tar")))
				expect_right_name(img, lost, saved.id)
				img:close()
			end
		end)

		it("is told when the image is converted: " .. dialect, function()
			local img = assert(strata.open(build(dialect)))
			for _, format in ipairs({ "docker", "docker-legacy", "oci-archive" }) do
				local saved, lost = assert(img:save(dir:file("out.tar"), { format = format }))
				assert.equal(ID, saved.id)
				assert.truthy(lost[1]:find(ID, 1, true), lost[1])
				local again = assert(strata.open(dir:file("out.tar"), { strict = true }))
				assert.equal(ID, again.id)
				again:close()
			end
		end)
	end

	-- Two images of the same layers.
	local function two_images(change)
		local other = docker_archive.image({ layers = made.layers, tags = { "other:1" }, name = "other" })
		local archive = docker_dialects.of.docker_1_10(made, other)
		change(archive, other)
		return archive:write(dir:file("in.tar")), other
	end

	it("keeps the file of another image that has the same one", function()
		local path = two_images(function(archive, other)
			archive:member(made.id .. ".json").data = content
			local manifest = archive:member("manifest.json")
			manifest.data = manifest.data:gsub(other.id, made.id)
		end)
		local img = assert(strata.open(path, { ref = "app:1" }))
		local _, lost = assert(img:tag("app:2"):save(dir:file("out.tar")))
		assert.equal(1, #lost)
		for _, ref in ipairs({ "other:1", "app:1", "app:2" }) do
			assert.equal(ID, assert(strata.open(dir:file("out.tar"), { ref = ref })).id)
		end
		local codes = {}
		for _, finding in ipairs(assert(strata.open(dir:file("out.tar"), { ref = "app:2" })):check({ severity = "note" })) do
			codes[finding.code] = true
		end
		assert.is_nil(codes["config-name"])
		assert.is_nil((strata.open(dir:file("out.tar"), { ref = "other:1", strict = true })))
	end)

	it("cannot get a name that another file has", function()
		local path = two_images(function(archive, other)
			local one, two = archive:member(made.id .. ".json"), archive:member(other.id .. ".json")
			one.data, two.data = two.data, one.data
		end)
		local img = assert(strata.open(path, { ref = "app:1" }))
		local ok, message, code = img:tag("app:2"):save(dir:file("out.tar"))
		assert.is_nil(ok)
		assert.equal("EFORMAT", code)
		assert.truthy(message:find("the config has to get", 1, true), message)
		assert.is_nil((io.open(dir:file("out.tar"))))
	end)

	it("becomes the file of that name, if that has the same content", function()
		local path = two_images(function(archive, other)
			archive:member(made.id .. ".json").data = other.config
		end)
		local img = assert(strata.open(path, { ref = "app:1" }))
		local saved, lost = assert(img:tag("app:2"):save(dir:file("out.tar")))
		assert.equal(1, #lost)
		local refs = {}
		for one in assert(strata.images(dir:file("out.tar"))) do
			assert.equal(saved.id, one.id)
			for _, tag in ipairs(one.tags) do
				refs[#refs + 1] = tag
			end
		end
		assert.same({ "app:1", "app:2", "other:1" }, refs)
		assert.is_nil(shell.check({ "tar", "-tf", dir:file("out.tar") }):find(made.id, 1, true))
	end)

	it("is named by no link of another name after an edit", function()
		local archive = docker_dialects.of.docker_1_10(made)
		archive:member(made.id .. ".json").name = "config"
		archive:add(made.id .. ".json", nil, { type = "symlink", linkpath = "config" })
		for _, edit in ipairs({ "first", "second" }) do
			local img = assert(strata.open(archive:write(dir:file("in.tar"))))
			img.config:set_env("A", edit)
			local saved = assert(img:save(dir:file("out.tar")))
			local again = assert(strata.open(dir:file("out.tar"), { strict = true }))
			assert.equal(saved.id, again.id)
			assert.is_nil(shell.read(dir:file("out.tar")):find(made.id, 1, true))
			img:close()
			again:close()
		end
	end)
end)
