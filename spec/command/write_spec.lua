-- Takes seconds: not for make check.
-- Subcommands that write an image, or its files, elsewhere; and registries.

local cjson = require "cjson"
local command = require "spec.support.command"
local core = require "strata.core"
local registry = require "spec.support.registry"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("strata", function()
	local dir, app

	setup(function()
		dir = tmp.dir()
		app = dir:file("app.tar")
		local img = command.image()
		assert(img:save(app, { format = "docker" }))
		img:close()
	end)

	teardown(function()
		dir:remove()
	end)

	local function fails(message, ...)
		command.fails(message, { ... })
	end

	local function exists(path)
		local file = io.open(path)
		if file then
			file:close()
		end
		return file ~= nil
	end

	describe("convert", function()
		it("writes what img:save writes", function()
			local ours, theirs = dir:file("ours.tar"), dir:file("theirs.tar")
			local img = assert(strata.open(app))
			for _, how in ipairs({
				{ format = "oci-archive", compression = "gzip", level = 9, reproducible = true },
				{ format = "docker-legacy", compression = "none" },
			}) do
				assert(img:save(theirs, how))
				command.check({ "convert", app, "-o", ours, "--format", how.format, "--compression", how.compression,
					"--threads", "1", how.level and "--level=9", how.reproducible and "--reproducible" })
				assert.is_true(shell.read(theirs) == shell.read(ours))
			end
			img:close()
		end)

		it("leaves an image that stays what it is as it is", function()
			local same = dir:file("same.tar")
			command.check({ "convert", app, "--output=" .. same })
			assert.is_true(shell.read(app) == shell.read(same))
		end)

		it("refuses values that are none", function()
			fails("must be one of 'docker'", "convert", app, "-o", dir:file("x"), "--format", "zip")
			fails("'x' is no whole number", "convert", app, "-o", dir:file("x"), "--level", "x")
			fails("level", "convert", app, "-o", dir:file("x"), "--compression", "gzip", "--level", "77")
			assert.is_false(exists(dir:file("x")))
		end)
	end)

	describe("extract", function()
		it("writes the files, or some of them", function()
			command.check({ "extract", app, dir:file("all") })
			assert.equal("changed\n", shell.read(dir:file("all/etc/motd")))
			assert.is_false(exists(dir:file("all/usr/share/doc/gone")))
			local result = cjson.decode((command.check({ "extract", "--json", app, dir:file("some"), "etc/p*", "srv" })))
			assert.equal(20000 + 3 + 26, result.bytes)
			assert.is_false(exists(dir:file("some/etc/motd")))
			fails("not empty", "extract", app, dir:file("some"))
			command.check({ "extract", "--merge", app, dir:file("some"), "etc/motd" })
			fails("nothing matches", "extract", app, dir:file("none"), "nope")
			assert.is_false(exists(dir:file("none")))
		end)

		it("tells what it would write", function()
			assert.matches("^would write %d+ paths with 27%.1 kB to ", command.check({ "extract", "-n", app, dir:file("p") }))
			local told = cjson.decode((command.check({ "extract", "--plan", "--json", app, dir:file("p"), "srv" })))
			assert.same({ true, 3, 20003 }, { told.plan, told.entries, told.bytes })
			assert.is_false(exists(dir:file("p")))
			fails("nothing matches", "extract", "-n", app, dir:file("p"), "nope")
		end)

		it("makes a directory for each layer", function()
			local shown = command.check({ "extract", "--overlay", app, dir:file("overlay") })
			assert.matches("\nlowerdir=[^\n]*/3:[^\n]*/2:[^\n]*/1\n$", shown)
		end)
	end)

	describe("export", function()
		it("writes a tar that tar reads", function()
			local tar = command.check({ "export", app, "-o", "-", "etc" })
			assert.equal("etc/\netc/motd\netc/passwd\n", shell.check({ "tar", "-tf", dir:write("etc.tar", tar) }))
			command.check({ "export", app, "-o", dir:file("layer.tar"), "--layer", "2" })
			assert.matches("usr/share/doc/.wh.gone", shell.check({ "tar", "-tf", dir:file("layer.tar") }), 1, true)
			fails("where does it go?", "export", app)
			fails("no layer 9", "export", app, "-o", dir:file("x"), "--layer", "9")
			fails("takes no PATH", "export", app, "etc", "-o", dir:file("x"), "--layer", "2")
		end)

		it("tells what the tar of a layer would be, and writes none", function()
			local to = dir:file("planned.tar")
			local plan = cjson.decode((command.check({ "export", app, "-o", to, "--layer", "2", "--plan", "--json" })))
			assert.equal(1, shell.run({ "test", "-e", to }).status)
			command.check({ "export", app, "-o", to, "--layer", "2" })
			assert.same({ true, 2, "none", #shell.read(to) }, { plan.plan, plan.layer, plan.compression, plan.size })
			plan = cjson.decode((command.check({
				"export", app, "-o", to, "--layer", "2", "--plan", "--json", "--compression", "zstd",
			})))
			assert.same({ "zstd" }, { plan.compression, plan.size })
		end)
	end)

	describe("copy", function()
		local layout

		setup(function()
			layout = dir:file("multi")
			local images = {}
			for i, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
				images[i] = strata.new({ platform = platform })
				assert(images[i]:append({ files = { [platform:sub(7)] = platform } }))
				images[i]:tag("multi:1")
			end
			assert(strata.save(images, layout, { format = "oci" }))
		end)

		it("copies whole indexes, and one image", function()
			command.check({ "copy", layout, dir:file("copied") })
			assert.is_true(shell.read(layout .. "/index.json") == shell.read(dir:file("copied/index.json")))
			command.check({ "copy", "--platform", "linux/arm64", layout, dir:file("arm.tar"), "--format", "oci-archive" })
			assert.equal("linux/arm64", tostring(assert(strata.open(dir:file("arm.tar"))).platform))
			assert.is_true(shell.read(app) == command.check({ "copy", app, "-" }))
		end)

		it("has a plan", function()
			local shown = command.check({ "copy", "--plan", layout, dir:file("planned") })
			assert.matches("^would write " .. dir:file("planned"):gsub("%p", "%%%0") .. ": oci\n  image sha256:%x+\n", shown)
			assert.matches("^would write %-: ", command.check({ "copy", "-n", "--platform", "linux/arm64", layout, "-" }))
			assert.is_false(exists(dir:file("planned")))
			fails("are for what goes to a registry", "copy", layout, dir:file("planned"), "--referrers")
		end)

		it("goes from a layout into an archive where the target is called one", function()
			local function listed(path)
				assert.is_nil(core.open_dir(path))
				return #cjson.decode((command.check({ "index", "list", "--json", path })))
			end
			local tar, single = dir:file("all.tar"), dir:file("single")
			command.check({ "copy", layout, tar })
			assert.equal(2, listed(tar))
			command.check({ "index", "remove", layout, "linux/arm64", "-o", dir:file("fewer.tar.gz") })
			assert.equal(1, listed(dir:file("fewer.tar.gz")))
			fails("--format oci-archive writes an archive of this image alone", "set", layout, "--platform", "linux/arm64",
				"--user", "1", "-o", dir:file("none.tar"))
			assert.is_false(exists(dir:file("none.tar")))
			command.check({ "convert", app, "--format", "oci", "-o", single })
			command.check({ "set", single, "--user", "1", "-o", dir:file("single.tar") })
			assert.equal(1, listed(dir:file("single.tar")))
			command.check({ "set", single, "--user", "1", "-o", dir:file("tar") })
			assert.is_not_nil(core.open_dir(dir:file("tar")))
			shell.check({ "mkdir", dir:file("dir.tar") })
			command.check({ "copy", single, dir:file("dir.tar") })
			fails("; --format oci writes a layout into a directory", "convert", app, "-o", single)
		end)

		it("tells which images there are", function()
			fails("choose one with --ref, --platform or --digest: ", "ls", layout)
			assert.equal("arm64\n", command.check({ "ls", "--platform", "linux/arm64", layout }))
			local digest = command.check({ "index", "list", "--json", layout }):match('"digest":"(sha256:%x+)"')
			assert.equal("amd64\n", command.check({ "ls", "--digest", digest, layout }))
		end)

		it("has images listed, added and removed", function()
			shell.check({ "cp", "-r", layout, dir:file("edited") })
			local edited = dir:file("edited")
			assert.matches("^image +linux/amd64 +sha256:%x+  multi:1\nimage +linux/arm64 ",
				command.check({ "index", "list", edited }))
			assert.matches("^removed image, linux/arm64", command.check({ "index", "remove", edited, "linux/arm64", "-i" }))
			command.check({ "index", "add", edited, dir:file("arm.tar"), "-i" })
			assert.equal(2, #cjson.decode((command.check({ "index", "list", "--json", edited }))))
			fails(edited .. ": nothing is linux/s390x\n", "index", "remove", edited, "linux/s390x", "-i")
			fails("where does it go?", "index", "remove", edited, "linux/arm64")
			fails("strata: " .. edited .. ": there is an image", "index", "add", edited, dir:file("arm.tar"), "-i")
			fails("a subcommand is wanted", "index")
			fails("unknown subcommand 'lsit'", "index", "lsit", edited)
		end)
	end)

	describe("on a registry", function()
		local server, remote

		setup(function()
			server = registry.start()
			remote = ("docker://%s/team/app:"):format(server.host)
		end)

		teardown(function()
			server:stop()
		end)

		it("pushes, edits and pulls", function()
			assert.matches(": registry, 4 uploaded, 0 mounted, ", command.check({ "copy", app, remote .. "1" }), 1, true)
			local told = cjson.decode((command.check({ "set", remote .. "1", "-o", remote .. "2", "--label", "a=b", "-t", "3",
				"--json" })))
			assert.same({ 1, 3 }, { told.saved.uploaded, told.saved.skipped })
			for _, tag in ipairs({ "2", "3" }) do
				assert.matches("Label       a=b", command.check({ "inspect", remote .. tag }), 1, true)
			end
			assert.equal("changed\n", command.check({ "cat", remote .. "2", "etc/motd" }))
			command.check({ "rm", "-i", remote .. "2", "srv" })
			assert.equal(1, command.run({ "diff", remote .. "1", remote .. "2" }).status)
		end)

		it("pushes only where it is expected to", function()
			command.check({ "copy", app, remote .. "expected", "--expect", "none" })
			command.check({ "copy", app, remote .. "expected", "--expect", "none" }) -- it is what it shall be
			fails("expected", "set", app, "-o", remote .. "expected", "--user", "6", "--expect", "none")
			local digest = cjson.decode((command.check({ "inspect", "--json", remote .. "expected" }))).digest
			command.check({ "set", "-i", remote .. "expected", "--user", "7", "--expect", digest })
			fails("expected", "set", "-i", remote .. "expected", "--user", "8", "--expect", digest)
		end)

		it("tells what a push would send", function()
			server:forget()
			local told = cjson.decode((command.check({ "set", remote .. "1", "-o", remote .. "planned", "--user", "9", "--plan",
				"--json" })))
			assert.is_true(told.plan)
			for _, line in ipairs(server:lines()) do
				assert.is_nil(line:find("^P"), line)
			end
			local shown = command.check({ "copy", "-n", app, remote .. "planned" })
			assert.matches("^would write docker://[^\n]*: registry, 4 to upload, 0 to mount, 0 there already, ", shown)
		end)

		it("says what became of each layer", function()
			local plain, place = dir:file("plain.tar"), remote .. "plain"
			command.check({ "convert", app, "-o", plain, "--format", "docker-legacy" })
			command.check({ "copy", plain, place })
			assert.matches("\n  layer 1: recompressed, there already, gzip, ", command.check({ "copy", plain, place }), 1, true)
			command.check({ "set", plain, "--user", "9", "-o", plain })
			local shown = command.check({ "append", plain, app, "--as", "file", "-o", place, "-n" })
			assert.matches("\n  layer 4: [^\n]*, to upload, gzip, ", shown)
			assert.is_nil(shown:find("skipped", 1, true))
		end)

		it("fails in one line without rights, and without a registry", function()
			local closed = registry.start({ auth = "basic", users = { me = "secret" } })
			fails("docker://" .. closed.host, "ls", ("docker://%s/team/app:1"):format(closed.host))
			closed:stop()
			fails("docker://127.0.0.1:1/x", "ls", "docker://127.0.0.1:1/x:1")
			fails("docker://", "ls", "docker://")
		end)

		it("fails in one line when a registry fails, and publishes nothing", function()
			local faulty = registry.start()
			local place = ("docker://%s/team/app:1"):format(faulty.host)
			faulty:fault({ method = "PUT", path = "/manifests/", status = 403 })
			fails("403", "copy", app, place)
			faulty:faults_clear()
			assert.equal(2, command.run({ "inspect", place }).status)
			command.check({ "copy", app, place })
			faulty:fault({ method = "GET", path = "/blobs/", flip = 700 })
			local done = command.run({ "convert", place, "-o", dir:file("flipped.tar") })
			assert.same({ 2, "" }, { done.status, done.stdout })
			assert.matches("^strata: [^\n]+\n$", done.stderr)
			assert.is_false(exists(dir:file("flipped.tar")))
			faulty:stop()
		end)

		it("speaks TLS, with certificates that it is told of", function()
			local tls = registry.start({ tls = true })
			local place = ("docker://%s/team/app:1"):format(tls.host)
			local ca = require("spec.support.certificates").path("ca.crt")
			command.check({ "copy", app, place, "--ca", ca })
			assert.equal("changed\n", command.check({ "cat", "--ca", ca, place, "etc/motd" }))
			assert.equal("changed\n", command.check({ "cat", "--insecure", tls.host, place, "etc/motd" }))
			fails(tls.host, "cat", place, "etc/motd")
			tls:stop()
		end)
	end)

	describe("run", function()
		it("fails when the script returns nil and a message, as calls of the module do", function()
			local script = dir:file("returns.lua")
			shell.write(script, 'return require("strata").open("/no/such/file")\n')
			local done = command.run({ "run", script })
			assert.same({ "", "strata: /no/such/file: No such file or directory\n", 2 },
				{ done.stdout, done.stderr, done.status })
			shell.write(script, "return nil\n")
			assert.equal(0, command.run({ "run", script }).status)
		end)

		it("runs a script that has the module and its words", function()
			local script = dir:write("script.lua", [[
				local strata = require "strata"
				print(arg[0], #arg, arg[2], ...)
				print(strata.open(arg[1]))
				return 5
			]])
			local done = command.run({ "run", script, app, "--json", "-x" })
			assert.same({ 5, "" }, { done.status, done.stderr })
			assert.equal(("%s\t3\t--json\t%s\t--json\t-x\n"):format(script, app), done.stdout:match("^[^\n]*\n"))
			assert.matches("\nstrata.Image(app:1.4, ", done.stdout, 1, true)
		end)

		it("tells the line of a mistake", function()
			local script = dir:write("wrong.lua", 'local strata = require "strata"\nstrata.open("x", { reff = 1 })\n')
			fails(script .. ":2: open has no option 'reff'", "run", script)
			fails("No such file", "run", dir:file("none.lua"))
			local done = command.run({ "run", script, env = { STRATA_DEBUG = "1" } })
			assert.matches("stack traceback", done.stderr, 1, true)
		end)
	end)
end)
