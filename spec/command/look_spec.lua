-- Takes seconds: not for make check.
-- Subcommands that look into an image, on all kinds of it.

local cjson = require "cjson"
local command = require "spec.support.command"
local registry = require "spec.support.registry"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("strata", function()
	local dir, server, app, places

	setup(function()
		dir, server = tmp.dir(), registry.start()
		local img = command.image()
		app = dir:file("app.tar")
		local remote = ("docker://%s/team/app:1.4"):format(server.host)
		places = {
			app, dir:file("legacy.tar"), dir:file("layout"), dir:file("oci.tar"), dir:file("app.tar.gz"), remote,
		}
		assert(img:save(app, { format = "docker" }))
		assert(img:save(places[2], { format = "docker-legacy" }))
		assert(img:save(places[3], { format = "oci", compression = "gzip" }))
		assert(img:save(places[4], { format = "oci-archive", compression = "zstd" }))
		shell.sh("gzip -c <$1 >$2", app, places[5])
		assert(img:save(remote))
		img:close()
	end)

	teardown(function()
		server:stop()
		dir:remove()
	end)

	local function lines(...)
		local list = {}
		for line in command.check({ ... }):gmatch("[^\n]+") do
			list[#list + 1] = line
		end
		return list
	end

	local function decoded(...)
		return cjson.decode((command.check({ ... })))
	end

	it("shows the same of every kind of image", function()
		for _, words in ipairs({ { "ls", "-lr" }, { "tree" }, { "cat" }, { "history" }, { "waste" } }) do
			local first
			for _, place in ipairs(places) do
				local all = { words[1] }
				all[2], all[3] = words[2] or place, words[2] and place
				if words[1] == "cat" then
					all[3] = "etc/motd"
				end
				local shown = command.check(all):gsub("sha256:%x+", ""):gsub(" *[%d.]+ k?B", "")
				first = first or shown
				assert.equal(first, shown, place)
			end
		end
	end)

	it("reads standard input", function()
		assert.equal("changed\n", command.check({ "cat", "-", "etc/motd", input = shell.read(app) }))
	end)

	describe("inspect", function()
		it("shows layers, history and settings", function()
			local shown = command.check({ "inspect", app })
			assert.matches("\nplatform  linux/amd64\n", shown)
			assert.matches("\n  1 %x+ +[%d.]+ kB  base\n", shown)
			assert.matches("\nCmd         %[\"app\"%]\nUser        1000\n", shown)
			assert.matches("\nEnv         TOKEN=s3cret\n", shown)
			assert.matches("\nLabel       stage=test\n", shown)
		end)

		it("has JSON, and the config as it is", function()
			local img = assert(strata.open(app))
			local found = decoded("inspect", "--json", app)
			assert.equal(img.id, found.id)
			assert.same({ "app:1.4" }, found.tags)
			assert.equal(3, #found.layers)
			assert.equal(img.layers[2].diff_id, found.layers[2].diff_id)
			assert.equal("second", found.layers[2].created_by)
			assert.equal("app", found.config.config.Cmd[1])
			assert.equal(img.config:text(), command.check({ "inspect", "--config", app }))
			img:close()
		end)

		it("writes empty objects as such", function()
			local img = strata.new()
			img.config.Labels = {}
			img.config.Env = {}
			local path = dir:file("empty.tar")
			assert(img:save(path, { format = "docker" }))
			local text = command.check({ "inspect", "--json", path })
			assert.matches('"annotations":{}', text, 1, true)
			assert.matches('"Labels":{}', text, 1, true)
			assert.matches('"Env":[]', text, 1, true)
		end)
	end)

	describe("inspect --manifest, and digest", function()
		it("have the document of the digest, in a registry and elsewhere", function()
			for _, place in ipairs({ dir:file("layout"), dir:file("oci.tar"), places[6] }) do
				local img = assert(strata.open(place))
				local text = command.check({ "inspect", "--manifest", place })
				assert.equal(img.digest, "sha256:" .. shell.sha256(dir:write("hashed", text)))
				assert.equal(img.digest .. "\n", command.check({ "digest", place }))
				assert.same({ digest = img.digest }, decoded("digest", "--json", place))
				img:close()
			end
		end)

		it("fail where there is no manifest", function()
			local legacy = dir:file("legacy.tar")
			local done = command.run({ "inspect", "--manifest", legacy })
			assert.same({ 2, "strata: " .. legacy .. ": the image came without a manifest: --config shows what it has\n" },
				{ done.status, done.stderr })
			done = command.run({ "digest", legacy })
			assert.same({ 2, "strata: " .. legacy .. ": the image has no manifest, and so no digest\n" },
				{ done.status, done.stderr })
		end)
	end)

	describe("ls", function()
		it("lists directories, files and globs, and all below them", function()
			assert.same({ "dev", "etc", "odd", "root", "srv", "tmp", "usr" }, lines("ls", app))
			assert.same({ "etc/motd", "etc/passwd" }, lines("ls", app, "etc"))
			assert.same({ "etc/motd" }, lines("ls", app, "/etc/motd"))
			assert.same({ "usr/bin/app", "usr/bin/link", "usr/bin/same" }, lines("ls", app, "usr/bin/*"))
			assert.same({ "usr/share/doc", "usr/share/doc/readme" }, lines("ls", "-r", app, "usr/share"))
			assert.same({ "srv/cache.pyc" }, lines("ls", app, "**/*.pyc"))
		end)

		it("sorts by size", function()
			assert.same({ "srv/data.bin", "usr/bin/app" }, { lines("ls", "-r", "--sort", "size", app)[1],
				lines("ls", "-r", "--sort", "size", app)[2] })
		end)

		it("shows the lines of tar -tv", function()
			shell.check({ "tar", "--version" })
			local tar = dir:file("rootfs.tar")
			command.check({ "export", app, "-o", tar })
			local listed = shell.check({ "tar", "-tvf", tar, env = { TZ = "UTC", LC_ALL = "C" } })
			local ours, theirs = {}, {}
			for _, line in ipairs(lines("ls", "-lr", app)) do
				ours[#ours + 1] = not line:find("same") and not line:find(" odd") and line:gsub(" +", " ") or nil
			end
			for line in listed:gmatch("[^\n]+") do
				theirs[#theirs + 1] = not line:find("same") and not line:find(" odd") and line:gsub(" +", " "):gsub("/$", "")
					or nil
			end
			table.sort(ours)
			table.sort(theirs)
			assert.same(theirs, ours)
		end)

		it("shows names so that a terminal obeys nothing", function()
			assert.same({ "odd/back\\\\slash", "odd/caf\\xe9", "odd/esc\\x1b[1m", "odd/new\\nline", "odd/\\xe2\\x80\\xaetxt" },
				lines("ls", app, "odd"))
		end)

		it("lists a layer with its whiteouts, in the order of its tar", function()
			local shown = lines("ls", "--layer", "2", app)
			assert.same({ "etc/motd", "root/.netrc", "usr/share/doc/.wh.gone" }, shown)
			local found = decoded("ls", "--layer", "2", "--json", app, "usr")
			assert.equal("usr/share/doc/gone", found[1].whiteout)
			assert.equal(2, found[1].layer)
			assert.equal(2, command.run({ "ls", "--layer", "3", app, "etc" }).status)
		end)

		it("fails for a path that a layer does not have, and lists nothing", function()
			local done = command.run({ "ls", "--layer", "1", app, "etc", "no/such", "*.nope" })
			assert.same({ "", "strata: layer 1: nothing matches 'no/such', '*.nope'\n", 2 },
				{ done.stdout, done.stderr, done.status })
		end)

		it("has JSON, one entry in each line", function()
			local text = command.check({ "ls", "--json", app, "odd" })
			local found = cjson.decode(text)
			assert.equal(5, #found)
			assert.equal("b2RkL2NhZuk=", found[2].path_bytes)
			assert.equal("odd/new\nline", found[4].path)
			assert.equal("[]\n", command.check({ "ls", "--json", app, "tmp" }))
			assert.equal(7, select(2, text:gsub("\n", "")))
		end)
	end)

	describe("tree", function()
		it("draws with the bytes of directories", function()
			local shown = command.check({ "tree", "--depth", "1", app })
			assert.matches("^/  %([%d.]+ kB%)\n", shown)
			assert.matches("\n└── usr/  (7.0 kB)\n", shown, 1, true)
			assert.is_nil(shown:find("readme", 1, true))
			assert.matches("readme", command.check({ "tree", app, "usr" }))
			assert.matches("motd  (8 B)  [2]", command.check({ "tree", "--layers", app }), 1, true)
			assert.is_nil(command.check({ "tree", "--layer", "2", app }):find("passwd", 1, true))
		end)

		it("has JSON, and counts a file with several names once", function()
			local bytes = {}
			for _, row in ipairs(decoded("tree", "--depth", "0", "--json", app)) do
				bytes[row.path or row.path_bytes] = row.bytes
			end
			assert.equal(7000, bytes.usr)
			assert.equal(5000, bytes["usr/bin"])
			local root = assert(assert(strata.open(app)):rootfs())
			for _, row in ipairs(decoded("tree", "--depth", "0", "--json", app)) do
				if row.path then
					assert.equal(root:usage(row.path).bytes, row.bytes, row.path)
				end
			end
			assert.equal(34, bytes.etc)
			local rows = decoded("tree", "--depth", "1", "--json", app, "usr")
			assert.same({ "usr", "usr/bin", "usr/share" }, { rows[1].path, rows[2].path, rows[3].path })
		end)
	end)

	describe("cat", function()
		it("writes files, of a layer as well", function()
			assert.equal("changed\nroot:x:0:0::/root:/bin/sh\n", command.check({ "cat", app, "etc/motd", "etc/passwd" }))
			assert.equal("hello\n", command.check({ "cat", "--layer", "1", app, "etc/motd" }))
			assert.equal("hello\n", command.check({ "cat", "--upto", "1", app, "etc/motd" }))
			assert.equal(("x"):rep(5000), command.check({ "cat", app, "usr/bin/link" }))
		end)

		it("has no JSON", function()
			local done = command.run({ "cat", "--json", app, "etc/motd" })
			assert.same({ "", "strata: cat writes the bytes of files: it has no JSON\n", 2 },
				{ done.stdout, done.stderr, done.status })
		end)

		it("fails for what is no file", function()
			for _, path in ipairs({ "etc", "nope", "etc/motd/x" }) do
				local done = command.run({ "cat", app, path })
				assert.same({ 2, "" }, { done.status, done.stdout })
				assert.matches("^strata: [^\n]+\n$", done.stderr)
			end
		end)
	end)

	it("shows what the layers up to one make", function()
		assert.matches("\ngone\n", "\n" .. command.check({ "ls", "--upto", "1", app, "usr/share/doc" }):gsub("[^\n]*/", ""))
		assert.is_nil(command.check({ "tree", "--upto", "2", "--depth", "1", app }):find("srv", 1, true))
		local done = command.run({ "ls", "--upto", "4", app })
		assert.same({ 2, "strata: there is no layer 4: the image has 3, from 1, the base\n" }, { done.status, done.stderr })
	end)

	it("lists packages", function()
		assert.equal("", command.check({ "packages", app }))
		local img = strata.new()
		assert(img:append({ files = { ["lib/apk/db/installed"] = "P:musl\nV:1.2-r1\nA:x86_64\n\nP:zlib\nV:1\n" } }))
		assert(img:save(dir:file("alpine.tar")))
		assert.equal("musl 1.2-r1 x86_64\nzlib 1 -\n", command.check({ "packages", dir:file("alpine.tar") }))
		assert.equal("apk", decoded("packages", "--json", dir:file("alpine.tar"))[1].manager)
	end)

	describe("history", function()
		it("has the steps, and what happened to a path", function()
			assert.matches("  third with s3cret", lines("history", app)[3], 1, true)
			assert.same({ "added     layer 1  base", "changed   layer 2  second" }, lines("history", app, "etc/motd"))
			assert.same({ "added     layer 1  base", "deleted   layer 2  second" },
				lines("history", app, "usr/share/doc/gone"))
			assert.equal("base", decoded("history", "--json", app)[1].created_by)
			assert.equal("changed", decoded("history", "--json", app, "etc/motd")[2].action)
			assert.equal(2, command.run({ "history", app, "nope" }).status)
		end)
	end)
end)
