-- An archive of one image, beside which Docker 25.0 leaves an index.json without entries when it has no name, could not
-- be copied to a registry: "its index.json has 0 entries". And what was added to its index was saved without it. It is
-- as an archive without an index.json.

local registry = require "spec.support.registry"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("an archive whose index.json has no entries", function()
	local dir, server, path, ref

	setup(function()
		dir, server = tmp.dir(), registry.start()
		path, ref = dir:file("app.tar"), ("docker://%s/app:1"):format(server.host)
		local img = strata.new()
		assert(img:append({ files = { ["etc/motd"] = "hello\n" } }))
		assert(img:save(path, { format = "docker" }))
		local index = '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":null}'
		shell.sh([[mkdir "$1/x" && cd "$1/x" && tar -xf ../app.tar && printf %s "$2" >index.json && tar -cf ../app.tar *]],
			dir.path, index)
	end)

	teardown(function()
		server:stop()
		dir:remove()
	end)

	it("is copied to a registry, which a plan tells before", function()
		local plan = assert(assert(strata.open_index(path)):plan({ to = ref }))
		local saved = assert(strata.copy(path, ref))
		assert.equal(plan.id, saved.id)
		local img = assert(strata.open(ref))
		assert.same({ saved.digest, "hello\n" }, { img.digest, img:read("etc/motd") })
	end)

	it("has no index that could be edited", function()
		local ok, message, code = assert(strata.open_index(path)):add(strata.new())
		assert.same({ nil, "EUNSUPPORTED" }, { ok, code })
		assert.matches("no index.json lists its images", message, 1, true)
	end)
end)
