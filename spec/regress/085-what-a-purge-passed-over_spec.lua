local docker_archive = require "spec.support.docker_archive"
local docker_dialects = require "spec.support.docker_dialects"
local oci_layout = require "spec.support.oci_layout"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

-- The proof of purge did not read <id>/json of old archives. scrub_history left container_config as it was.
-- A purge of variables, labels or the history made an image edited in which it found nothing, and did not say so.
describe("purging the documents of an image", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local SECRET = "s3cr3t"

	-- An archive of Docker 1.10; `edit` is given each member of the name <id>/json.
	local function build(edit, made)
		made = made or docker_archive.image({ layers = docker_archive.layers(3) })
		local archive, n = docker_dialects.of.docker_1_10(made), 0
		for _, member in ipairs(archive.members) do
			if member.name:find("/json$") then
				n = n + 1
				edit(member, n)
			end
		end
		assert(n >= 3)
		return archive:write(dir:file("in.tar"))
	end

	local function with_settings(settings, which)
		return function(member, n)
			if not which or n == which then
				local text = '"container_config":' .. oci_layout.encode(settings)
				member.data = member.data:gsub('"container_config":{"Env":null}', function() return text end)
				if not member.data:find("container_config", 1, true) then
					member.data = member.data:gsub('"created":', function() return text .. ',"created":' end, 1)
				end
				assert(member.data:find(SECRET, 1, true))
			end
		end
	end

	for name, edit in pairs({
		["settings of a container"] = with_settings({ Env = { "TOKEN=" .. SECRET } }),
		["those of one layer"] = with_settings({ Env = { "TOKEN=" .. SECRET } }, 2),
		["a comment"] = function(member)
			member.data = member.data:gsub('"created":', ('"comment":"%s","created":'):format(SECRET), 1)
		end,
		["text with escapes"] = function(member)
			member.data = member.data:gsub('"created":', ('"comment":"%s\\u003c","created":'):format(SECRET), 1)
		end,
		["what is no document"] = function(member)
			member.data = "{" .. SECRET
		end,
	}) do
		it("proves that a secret is not in <id>/json: " .. name, function()
			local secret = name:find("escapes") and SECRET .. "<" or SECRET
			local img = assert(strata.open(build(edit)))
			local report, message, code = img:purge(nil, { prove = secret })
			assert.is_nil(report)
			assert.equal("EEXIST", code)
			assert.truthy(message:find("/json: secret 1 is still in it", 1, true), message)
			assert.is_false(img.edited)
			assert(img:save(dir:file("out.tar")))
			assert.equal(shell.read(dir:file("in.tar")), shell.read(dir:file("out.tar")))
		end)
	end

	it("proves it of documents that are cleaned, or go with their layer", function()
		local edit = with_settings({ Env = { "TOKEN=" .. SECRET } }, 2)
		local img = assert(strata.open(build(edit)))
		assert.same({ "TOKEN" }, assert(img:purge(nil, { env = SECRET, prove = SECRET })).env)
		assert(img:save(dir:file("out.tar")))
		assert.is_nil(shell.read(dir:file("out.tar")):find(SECRET, 1, true))
		local gone
		for i = 1, 3 do
			img = assert(strata.open(build(edit)))
			assert(img:remove_layer(i))
			local report, _, code = img:purge(nil, { prove = SECRET })
			assert.equal(report == nil, code == "EEXIST")
			if report then
				gone = i
				assert(img:save(dir:file("out.tar")))
				assert.is_nil(shell.read(dir:file("out.tar")):find(SECRET, 1, true))
			end
		end
		assert.truthy(gone)
	end)

	it("scrubs the command that the classic builder left with the history", function()
		local made = docker_archive.image({ layers = docker_archive.layers(3) })
		local settings = { Cmd = { "|1", "TOKEN=" .. SECRET, "/bin/sh" } }
		made.config = made.config:gsub('"created":', function()
			return '"container_config":' .. oci_layout.encode(settings) .. ',"created":'
		end, 1)
		made.id = docker_archive.sha256(made.config)
		local path = build(with_settings(settings), made)
		for _, replacement in ipairs({ false, "gone" }) do
			local img = assert(strata.open(path))
			assert.equal(1, img:scrub_history(SECRET, replacement or nil))
			assert.equal("TOKEN=" .. (replacement or "***"), img.config:get("/container_config/Cmd/1"))
			assert(img:save(dir:file("out.tar")))
			assert.is_nil(shell.read(dir:file("out.tar")):find(SECRET, 1, true))
			assert.is_true(assert(strata.open(dir:file("out.tar"))):verify())
		end
		local img = assert(strata.open(build(with_settings(settings, 2))))
		assert.equal(1, img:scrub_history(SECRET))
		assert.is_true(img.edited)
		assert(img:save(dir:file("out.tar")))
		assert.is_nil(shell.read(dir:file("out.tar")):find(SECRET, 1, true))
	end)

	it("changes nothing where nothing matches, and says so", function()
		local path = build(function() end)
		local img = assert(strata.open(path))
		local opts = { env = "^NO=", labels = "^no=", history = "no such text" }
		local missed = {
			"nothing matches 'nothing'", "no text of the history matches 'no such text'", "no variable matches '^NO='",
			"no label matches '^no='",
		}
		assert.same({ nil, "purge: " .. table.concat(missed, "; "), "ENOENT" }, { img:purge("nothing", opts) })
		opts.optional = true
		assert.same({
			removed = {}, whiteouts = 0, history = 0, env = {}, labels = {}, annotations = {}, missed = missed,
		}, img:purge("nothing", opts))
		assert.equal("ENOENT", select(3, img:scrub_history("no such text")))
		assert.is_false(img.edited)
		assert(img:save(dir:file("out.tar")))
		assert.equal(shell.read(path), shell.read(dir:file("out.tar")))
		local none = function() return false end
		assert.equal("ENOENT", select(3, img:purge(none, { env = "^PATH=" })))
		assert.is_false(img.edited)
		local report = assert(img:purge(none, { env = "^PATH=", optional = true }))
		assert.same({ "PATH" }, report.env)
		assert.same({ "the function chose nothing" }, report.missed)
		assert.is_true(img.edited)
	end)

	it("says nothing where everything matches, and what was found only the first time", function()
		local img = assert(strata.open(build(with_settings({ Env = { "TOKEN=" .. SECRET } }, 2))))
		local entry = img.layers[1]:entries()().path
		local opts = { env = SECRET }
		local report = assert(img:purge(function(one) return one.path == entry end, opts))
		assert.same({ "TOKEN" }, report.env)
		assert.is_nil(report.missed)
		report = assert(img:purge("nothing", { env = SECRET, optional = true }))
		assert.same({}, report.env)
		assert.equal(2, #report.missed)
	end)

	it("cleans and proves those that Docker 25 writes, as blobs that no document names", function()
		local archive = docker_dialects.of.docker_25(docker_archive.image({ layers = docker_archive.layers(3) }))
		local edit, n = with_settings({ Env = { "TOKEN=" .. SECRET } }, 2), 0
		for _, member in ipairs(archive.members) do
			if member.data and member.data:find('^{.*"id":') then
				n = n + 1
				edit(member, n)
				member.name = "blobs/sha256/" .. docker_archive.sha256(member.data)
			end
		end
		assert.equal(3, n)
		local path = archive:write(dir:file("in.tar"))
		local img = assert(strata.open(path))
		assert.equal("EEXIST", select(3, img:purge(nil, { prove = SECRET })))
		img = assert(strata.open(path))
		assert.same({ "TOKEN" }, assert(img:purge(nil, { env = SECRET, prove = SECRET })).env)
		assert(img:save(dir:file("out.tar")))
		assert.is_nil(shell.read(dir:file("out.tar")):find(SECRET, 1, true))
	end)
end)
