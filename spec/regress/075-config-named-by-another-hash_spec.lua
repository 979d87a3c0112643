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
			for _, finding in ipairs(img:check()) do
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

		it("gets the name of its hash when it is edited: " .. dialect, function()
			local img = assert(strata.open(build(dialect)))
			img.config:set_env("A", "b")
			local saved = assert(img:save(dir:file("out.tar")))
			local text = shell.check({ "tar", "-xOf", dir:file("out.tar"), "manifest.json" })
			local name = cjson.decode(text)[1].Config
			assert.truthy(name:find(saved.id:sub(8), 1, true), name)
			local again = assert(strata.open(dir:file("out.tar"), { strict = true }))
			assert.is_true(again:verify())
			for _, member in ipairs(again:files()) do
				assert.is_nil(member.name:find(made.id, 1, true))
			end
		end)
	end
end)
