-- Takes seconds: not for make check.
-- Subcommands for layouts and registries as a whole: tags, indexes, artifacts, garbage; and an image without layers.

local cjson = require "cjson"
local command = require "spec.support.command"
local docker_registry = require "spec.support.docker_registry"
local registry = require "spec.support.registry"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("strata", function()
	local dir, server, layout, both

	setup(function()
		dir, server = tmp.dir(), registry.start({ delete = true })
		layout, both = dir:file("layout"), ("docker://%s/team/both"):format(server.host)
		local img = command.image()
		assert(img:save(layout, { format = "oci" }))
		assert(img:save(dir:file("amd64.tar"), { format = "docker" }))
		assert(img:save(dir:file("legacy.tar"), { format = "docker-legacy" }))
		img.config.architecture = "arm64"
		assert(img:save(dir:file("arm64.tar"), { format = "docker" }))
		img:close()
	end)

	teardown(function()
		server:stop()
		dir:remove()
	end)

	local function fails(message, ...)
		command.fails(message, { ... })
	end

	local function decoded(...)
		return cjson.decode((command.check({ ... })))
	end

	it("makes an image without layers, which append fills from a pipe", function()
		local empty = command.check({ "new", "--platform", "linux/arm64", "-o", "-" })
		local shown = command.check({ "append", "-", dir:write("page", "page"), "--to", "/srv", "-t", "site:1", "-o",
			dir:file("site.tar"), input = empty })
		assert.matches("^layer 1 of 1: ", shown)
		local img = assert(strata.open(dir:file("site.tar")))
		assert.same({ "linux/arm64", "site:1", "page" }, { tostring(img.platform), img.tags[1], img:read("srv/page") })
		local ref = ("docker://%s/team/empty:1"):format(server.host)
		command.check({ "new", "-o", ref })
		assert.equal(0, #decoded("inspect", "--json", ref).layers)
		fails("where does it go? -o TO (a file, a directory, - or docker://...)\n", "new")
		fails("platform should be a platform", "new", "--platform", "nothing", "-o", dir:file("x"))
	end)

	it("tells those who know skopeo that a path has no format in front, and makes no file of that name", function()
		local place, told = "dir:/no/such/place", "'dir:/no/such/place': formats are told by content: the path alone"
		for _, words in ipairs({ { "inspect" }, { "tags" }, { "index", "list" }, { "artifact", "inspect" } }) do
			words[#words + 1] = place
			fails(told, (table.unpack or unpack)(words))
		end
		fails(told, "copy", place, dir:file("x"))
		fails("'oci:x': the path alone, without oci:, and --format FORMAT", "copy", layout, "oci:x")
		fails("'./dir:x' is a file of that name", "set", layout, "--env", "A=b", "-o", "dir:x")
	end)

	it("creates indexes, in a file and in a registry, and lists their names", function()
		local index, images = dir:file("both.tar"), { dir:file("amd64.tar"), dir:file("arm64.tar") }
		command.check({ "index", "create", images[1], images[2], "-o", index, "--tag", "both:1" })
		assert.equal("both:1\n", command.check({ "tags", index }))
		local rows = decoded("index", "list", "--json", index)
		assert.same({ "linux/amd64", "linux/arm64" }, { rows[1].platform, rows[2].platform })
		local shown = command.check({ "index", "list", index })
		assert.matches("^image +linux/amd64 +" .. rows[1].digest .. "  both:1\n", shown)
		command.check({ "index", "create", images[1], images[2], "-o", both .. ":1", "--tag", "latest" })
		assert.same({ "1", "latest" }, decoded("tags", "--json", both))
		local digest = command.check({ "digest", both .. ":1" })
		local text = command.check({ "inspect", "--manifest", both .. ":1" })
		assert.equal(digest, "sha256:" .. shell.sha256(dir:write("hashed", text)) .. "\n")
		assert.is_not.equal(digest, command.check({ "digest", "--platform", "linux/arm64", both .. ":1" }))
		fails("--tag NAME, once", "index", "create", images[1], "-o", dir:file("x"))
		fails("are both for linux/amd64", "index", "create", images[1], images[1], "-o", dir:file("x"), "-t", "a:1")
		fails("where does it go? -o TO (a file, a directory, - or docker://...)\n", "index", "create", images[1])
		fails("choose one with --platform or --digest", "ls", both .. ":1")
		fails("strata index create makes", "index", "add", layout, images[2], "--index", "app:1.4", "-i")
	end)

	it("adds, lists and reads artifacts, in a layout and in a registry", function()
		local sbom = dir:write("app.spdx.json", '{"spdx":1}')
		local ref = ("docker://%s/team/app:1"):format(server.host)
		command.check({ "copy", layout, ref })
		for _, place in ipairs({ layout, ref }) do
			local before = command.check({ "tags", place })
			local plan = decoded("artifact", "add", place, sbom, "--type", "application/spdx+json", "-n", "--json")
			assert.equal("", command.check({ "artifact", "list", place }))
			local shown = command.check({ "artifact", "add", place, sbom, "--type", "application/spdx+json" })
			assert.equal(("added %s\n"):format(plan.digest), shown)
			assert.equal(before, command.check({ "tags", place }):gsub("sha256%-%x+\n", ""))
			assert.equal(plan.digest .. "  application/spdx+json\n", command.check({ "artifact", "list", place }))
			assert.equal(0, #decoded("artifact", "list", place, "--type", "text/plain", "--json"))
			local found = place == ref and { ref:gsub(":1$", "@" .. plan.digest) } or { place, "--digest", plan.digest }
			local where = { found[1], place ~= ref and found[2] or nil, place ~= ref and found[3] or nil }
			assert.equal('{"spdx":1}', command.check({ "artifact", "cat", where[1], where[2], where[3] }))
			local seen = decoded("artifact", "inspect", "--json", where[1], where[2], where[3])
			assert.equal(assert(strata.open(place)).digest, seen.subject.digest)
			assert.matches("\nfile       app.spdx.json, application/octet%-stream, 10 B\n$",
				command.check({ "artifact", "inspect", where[1], where[2], where[3] }))
		end
		fails("what is it? --type", "artifact", "add", layout, sbom)
		fails("No such file", "artifact", "add", layout, dir:file("none"), "--type", "a/b")
		fails("two files are called 'app.spdx.json'", "artifact", "add", layout, sbom, sbom, "--type", "a/b")
		fails("the image came without a manifest", "artifact", "add", dir:file("legacy.tar"), sbom, "--type", "a/b")
		fails("has no place beside it", "artifact", "add", "-", sbom, "--type", "a/b")
		fails("is an image: strata artifact list shows", "artifact", "inspect", ref)
		fails("has no file 'other'", "artifact", "cat", layout, "other")
	end)

	it("adds an artifact about an index", function()
		local place = ("docker://%s/team/index:1"):format(server.host)
		command.check({ "index", "create", dir:file("amd64.tar"), dir:file("arm64.tar"), "-o", place })
		local words = { "artifact", "add", place, dir:write("note", "note"), "--type", "text/plain", "--of-index" }
		words[#words + 1] = "--platform=linux/arm64"
		command.check(words)
		assert.equal(1, #decoded("artifact", "list", place, "--of-index", "--platform", "linux/amd64", "--json"))
		assert.equal(0, #decoded("artifact", "list", place, "--platform", "linux/arm64", "--json"))
		fails("belongs to no index", "artifact", "list", "--of-index", layout)
	end)

	it("finds and removes what nothing names", function()
		local blob = ("%s/blobs/sha256/%s"):format(layout, shell.sha256(dir:write("hashed", "nothing")))
		shell.write(blob, "nothing")
		assert.matches("^[^\n]*: 1 blob that nothing names, 7 B\n  sha256:%x+, 7 B\n$", command.check({ "gc", layout }))
		assert.equal("nothing", shell.read(blob))
		local found = decoded("gc", "--remove", "--json", layout)
		assert.same({ 7, true, 7 }, { found.bytes, found.removed, found.blobs[1].size })
		assert.equal(1, shell.run({ "test", "-e", blob }).status)
		fails("strata copy ARCHIVE DIRECTORY --format oci makes", "gc", dir:file("amd64.tar"))
		fails("No such file", "gc", dir:file("none"))
		fails("registries collect their garbage themselves", "gc", both)
	end)

	describe("delete", function()
		it("deletes tags and manifests, and tells before what would go", function()
			local place = ("docker://%s/team/gone"):format(server.host)
			command.check({ "copy", layout, place .. ":1", "--tag", "2" })
			local digest = command.check({ "digest", place .. ":1" }):match("%S+")
			assert.equal(("would delete %s:1, %s\n"):format(place, digest), command.check({ "delete", place .. ":1", "-n" }))
			assert.equal("1\n2\n", command.check({ "tags", place }))
			assert.equal(("deleted %s:1, %s\n"):format(place, digest), command.check({ "delete", place .. ":1" }))
			assert.equal("2\n", command.check({ "tags", place }))
			fails("there is no such image", "delete", place .. ":2", place .. ":none")
			assert.equal("2\n", command.check({ "tags", place }))
			local found = decoded("delete", "--json", place .. "@" .. digest)
			assert.same({ plan = false, deleted = { { reference = place .. "@" .. digest, digest = digest } } }, found)
			assert.equal("", command.check({ "tags", place }))
			fails("has neither tag nor digest", "delete", place)
			fails("is in no registry: strata index remove", "delete", layout)
		end)

		it("names the digest where a registry deletes no tags", function()
			if docker_registry.missing() then
				return pending(docker_registry.missing())
			end
			local real = docker_registry.start()
			local place = ("docker://%s/app"):format(real.host)
			command.check({ "copy", layout, place .. ":1" })
			local digest = command.check({ "digest", place .. ":1" }):match("%S+")
			fails(("; %s@%s is the manifest, which goes with all of its tags\n"):format(place, digest), "delete", place .. ":1")
			command.check({ "delete", place .. "@" .. digest })
			fails("there is no such image", "digest", place .. ":1")
			real:stop()
		end)
	end)
end)
