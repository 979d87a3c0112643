local cjson = require "cjson"
local docker_archive = require "spec.support.docker_archive"
local docker_dialects = require "spec.support.docker_dialects"
local oci_layout = require "spec.support.oci_layout"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

-- purge{env=, labels=, history=} left container_config as it was, where Docker's classic builder repeats the
-- variables, the labels and the build arguments of the last step: in the config, and in <id>/json of old archives.
describe("what is purged from the config", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local SECRET = "s3cr3t"
	local SETTINGS = {
		Env = { "PATH=/bin", "API_TOKEN=" .. SECRET },
		Labels = { token = SECRET, name = "app" },
		Cmd = { "|1", "API_TOKEN=" .. SECRET, "/bin/sh", "-c", "make" },
	}
	local PATTERNS = { history = SECRET, env = "^API_TOKEN=", labels = SECRET }

	-- An archive of Docker 1.10 with container_config in the config and in the documents of both layers. `more` is
	-- what container_config has otherwise.
	local function build(more, only_v1)
		local made = docker_archive.image({ layers = docker_archive.layers(2) })
		local settings = '"container_config":' .. oci_layout.encode(oci_layout.with(SETTINGS, more))
		if not only_v1 then
			made.config = made.config:gsub('"created":', function() return settings .. ',"created":' end, 1)
			made.id = docker_archive.sha256(made.config)
		end
		local archive = docker_dialects.of.docker_1_10(made)
		for _, member in ipairs(archive.members) do
			if member.name:find("/json$") then
				member.data = member.data:gsub('"container_config":{"Env":null}', function() return settings end)
				if not member.data:find("container_config", 1, true) then
					member.data = member.data:gsub('"created":', function() return settings .. ',"created":' end, 1)
				end
			end
		end
		local path = archive:write(dir:file("in.tar"))
		return path
	end

	local function config_in(path)
		local text = shell.check({ "tar", "-xOf", path, "manifest.json" })
		local config = shell.check({ "tar", "-xOf", path, cjson.decode(text)[1].Config })
		return cjson.decode(config)
	end

	it("is also gone from container_config, and from every document of an old archive", function()
		local path = build()
		assert.truthy(shell.read(path):find(SECRET, 1, true))
		local img = assert(strata.open(path))
		local report = assert(img:purge(nil, PATTERNS))
		assert.equal(1, report.history) -- in a word that the pattern of the variables hides
		assert.same({ "API_TOKEN" }, report.env)
		assert.same({ "token" }, report.labels)
		assert(img:save(dir:file("out.tar")))
		assert.is_nil(shell.read(dir:file("out.tar")):find(SECRET, 1, true))
		assert.same({
			Env = { "PATH=/bin" },
			Labels = { name = "app" },
			Cmd = { "|1", "***", "/bin/sh", "-c", "make" },
		}, config_in(dir:file("out.tar")).container_config)
		assert.is_true(assert(strata.open(dir:file("out.tar"))):verify())
		for _, format in ipairs({ "docker", "docker-legacy", "oci-archive" }) do
			assert(img:save(dir:file(format), { format = format }))
			assert.is_nil(shell.read(dir:file(format)):find(SECRET, 1, true))
		end
	end)

	it("is gone from a config that has it nowhere else, and so is its proof", function()
		local img = assert(strata.open(build()))
		assert(img:purge(nil, oci_layout.with(PATTERNS, { prove = SECRET })))
	end)

	it("is gone from documents of an old archive that the config does not repeat", function()
		local img = assert(strata.open(build(nil, true)))
		assert(img:purge(nil, PATTERNS))
		assert(img:save(dir:file("out.tar")))
		assert.is_nil(shell.read(dir:file("out.tar")):find(SECRET, 1, true))
	end)

	it("is gone from a command by the pattern of the history alone", function()
		local img = assert(strata.open(build()))
		assert.equal(1, assert(img:purge(nil, { history = "TOKEN=%w+" })).history)
		assert.equal("API_***", img.config:get("/container_config/Cmd/1"))
	end)

	it("is gone from a command when the pattern fits several of its words", function()
		local img = assert(strata.open(build({ Env = false, Labels = false })))
		assert(img:purge(nil, { history = "^|1 API_TOKEN=%w+ /bin/sh" }))
		assert.same({ "*** -c make" }, { img.config:get("/container_config/Cmd/0") })
		assert(img:save(dir:file("out.tar")))
		assert.is_nil(shell.read(dir:file("out.tar")):find(SECRET, 1, true))
	end)

	it("is looked for in settings of any shape", function()
		for _, odd in ipairs({
			{ Env = oci_layout.null, Labels = oci_layout.null, Cmd = oci_layout.null },
			{ Env = "x", Labels = { "x" }, Cmd = "x" },
			{ Env = { 1, true }, Labels = { a = 1 }, Cmd = { 1, oci_layout.null, "x" } },
		}) do
			local img = assert(strata.open(build(odd)))
			assert(img:purge(nil, oci_layout.with(PATTERNS, { optional = true })))
			assert(img:save(dir:file("out.tar")))
			assert.is_true(assert(strata.open(dir:file("out.tar"))):verify())
		end
	end)
end)
