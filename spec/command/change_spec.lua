-- Takes seconds: not for make check.
-- Subcommands that change an image: what they do is what the module does, and they write all of it or nothing.

local cjson = require "cjson"
local command = require "spec.support.command"
local docker_archive = require "spec.support.docker_archive"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("strata", function()
	local dir, app, out

	setup(function()
		dir = tmp.dir()
		app, out = dir:file("app.tar"), dir:file("out.tar")
		local img = command.image()
		assert(img:save(app, { format = "docker" }))
		img:close()
	end)

	teardown(function()
		dir:remove()
	end)

	after_each(function()
		os.remove(out)
	end)

	-- The image that a subcommand makes of app.tar.
	local function made(...)
		command.check({ ... })
		return assert(strata.open(out))
	end

	-- Fails with one line, and writes nothing.
	local function fails(message, ...)
		os.remove(out)
		command.fails(message, { ... })
		assert.is_nil(io.open(out))
	end

	-- Whether an image is what edits of app.tar make of it.
	local function is_like(img, edit)
		local wanted = assert(strata.open(app))
		edit(wanted)
		assert.equal(wanted.id, img.id)
		wanted:close()
		img:close()
	end

	describe("rm", function()
		it("removes paths and globs", function()
			is_like(made("rm", app, "/usr/share/doc", "**/*.pyc", "-o", out), function(img)
				assert(img:remove({ "usr/share/doc", "**/*.pyc" }))
			end)
			local report = cjson.decode((command.check({ "rm", app, "usr/share/doc", "-o", out, "--json" }))).report
			assert.same({ 3, 6000 }, { #report.removed, report.bytes })
		end)

		it("fails for what matches nothing, unless that is optional", function()
			fails("nothing matches 'nope'", "rm", app, "etc/motd", "nope", "-o", out)
			is_like(made("rm", "--optional", app, "etc/motd", "nope", "-o", out), function(img)
				assert(img:remove("etc/motd"))
			end)
		end)

		it("writes in place, and through pipes", function()
			local copy = dir:file("copy.tar")
			shell.check({ "cp", app, copy })
			command.check({ "rm", "-i", copy, "srv" })
			local done = command.run({ "rm", "-", "srv", "-o", "-", input = shell.read(app) })
			assert.equal(0, done.status)
			assert.matches("^strata: removed 3 entries with 20.0 kB\n$", done.stderr)
			assert.is_true(shell.read(copy) == done.stdout)
			fails("standard input cannot be written in place", "rm", "-", "srv", "-i")
		end)

		it("wants to know where the image goes before it does anything", function()
			fails("where does it go?", "rm", "/nowhere", "etc/motd")
			fails("both want standard output", "rm", app, "etc/motd", "-o", "-", "--json")
			fails("can not be used together", "rm", app, "etc/motd", "-o", out, "-i")
			fails("--expect and --exists", "rm", app, "etc/motd", "-o", out, "--expect", "none")
		end)
	end)

	describe("rm of layers", function()
		it("removes one, or those of a step", function()
			is_like(made("rm", app, "--layer", "2", "-o", out), function(img)
				assert(img:remove_layer(2))
			end)
			is_like(made("rm", app, "--created-by", "s3cret", "-o", out), function(img)
				assert(img:remove_layer(3))
			end)
			local found = cjson.decode((command.check({ "rm", app, "--layer", "1", "-n", "--json" })))
			assert.same({ layers = 2, before = 3 }, found.report)
		end)

		it("fails for layers that are not there, and for paths beside them", function()
			fails("there is no layer 4: the image has 3", "rm", app, "--layer", "4", "-o", out)
			fails("no layer was created by 'nothing'", "rm", app, "--created-by", "nothing", "-o", out)
			fails("they take neither PATH nor --optional", "rm", app, "etc", "--layer", "2", "-o", out)
			fails("what is to be removed?", "rm", app, "-o", out)
		end)
	end)

	describe("set", function()
		it("takes several settings at once, in their order", function()
			is_like(made("set", app, "-o", out, "--env", "TZ=UTC", "--env", "EMPTY=", "--unset-env", "TOKEN", "--label", "a=b=c",
				"--unset-label", "stage", "--user", "0:0", "--workdir", "/srv", "--entrypoint", '["/bin/sh","-c"]', "--cmd", "a b",
				"--port", "8080", "--port", "53/udp", "--unset-port", "8080", "--volume", "/data", "--stop-signal", "SIGTERM",
				"--config", '/config/Healthcheck={"Test":["CMD","true"]}', "--config", "/author=\"me\""), function(img)
				img.config:set_env("TZ", "UTC"):set_env("EMPTY", ""):remove_env("TOKEN")
				img.config:set_label("a", "b=c"):remove_label("stage")
				img.config.User, img.config.WorkingDir = "0:0", "/srv"
				img.config.Entrypoint, img.config.Cmd = { "/bin/sh", "-c" }, { "a", "b" }
				img.config:add_port(8080):add_port("53/udp"):remove_port(8080)
				img.config:add_volume("/data")
				img.config.StopSignal = "SIGTERM"
				img.config:set("/config/Healthcheck", { Test = { "CMD", "true" } })
				img.config.author = "me"
			end)
		end)

		it("removes what is set", function()
			is_like(made("set", app, "-o", out, "--unset", "user", "--unset", "cmd"), function(img)
				img.config.User, img.config.Cmd = nil, nil
			end)
			fails("there is no variable 'NOPE'", "set", app, "-o", out, "--unset-env", "NOPE")
			fails("there is no label 'NOPE'", "set", app, "-o", out, "--unset-label", "NOPE")
			fails("must be one of", "set", app, "-o", out, "--unset", "nope")
		end)

		it("names the result", function()
			assert.same({ "app:2", "app:latest" }, (function()
				local tags = made("set", app, "-o", out, "--tag", "app:2", "-t", "app").tags
				return { tags[1], tags[2] }
			end)())
			local tags = made("set", app, "-o", out, "--add-tag", "more:1", "--unset-tag", "app:1.4").tags
			assert.same({ "more:1" }, { tags[1], tags[2] })
			fails("the image has no tag", "set", app, "-o", out, "--unset-tag", "nope:1")
			fails("bad image reference 'A:1'", "set", app, "-o", out, "--tag", "A:1")
		end)

		it("has annotations, and tells where they cannot be kept", function()
			local img = made("set", app, "-o", out, "--annotation", "a=b")
			assert.equal("b", img.annotations.a)
			img:close()
			fails("--format docker writes one for docker load, --format oci-archive or oci one", "set", app, "-o", out,
				"--format", "docker-legacy", "--annotation", "a=b")
			local legacy = dir:file("legacy.tar")
			command.check({ "convert", app, "-o", legacy, "--format", "docker-legacy" })
			fails("which this archive has not: --format docker ", "set", legacy, "-o", out, "--annotation", "a=b")
			fails("which this archive has not: --format docker ", "set", legacy, "-n", "--user", "1", "--annotation", "a=b")
			assert.equal("b", made("set", legacy, "-o", out, "--annotation", "a=b", "--format", "docker").annotations.a)
		end)

		it("keeps each name that is asked for", function()
			local tags = made("set", app, "-o", out, "--add-tag", "a:b", "--tag", "c:d").tags
			assert.same({ "c:d", "a:b" }, { tags[1], tags[2] })
			fails("in a registry, --tag adds one", "set", app, "-o", "docker://127.0.0.1:1/x:1", "--add-tag", "a:b")
		end)

		it("refuses what is no setting", function()
			fails("what is to be set?", "set", app, "-o", out)
			fails("'X' is not NAME=VALUE", "set", app, "-o", out, "--env", "X")
			fails("needs a shell", "set", app, "-o", out, "--cmd", "echo $X")
			fails("is no JSON array", "set", app, "-o", out, "--cmd", "[1")
			fails("is not /POINTER=JSON", "set", app, "-o", out, "--config", "User=1")
			fails("/config/User=x", "set", app, "-o", out, "--config", "/config/User=x")
			fails("strata: 'many' is no port", "set", app, "-o", out, "--port", "many")
			fails("'srv' is no absolute path", "set", app, "-o", out, "--workdir", "srv")
			for _, name in ipairs({ "FOO", "SIG", "0", "65", "sigterm", "SIGRTMIN+" }) do
				fails(("'%s' is no signal"):format(name), "set", app, "-o", out, "--stop-signal", name)
			end
			for _, name in ipairs({ "SIGRTMIN+3", "TERM", "9" }) do
				assert.equal(name, made("set", app, "-o", out, "--stop-signal", name).config.StopSignal)
			end
			fails("did you mean '--env'?", "set", app, "-o", out, "--enw", "A=b")
		end)
	end)

	describe("append", function()
		local source

		setup(function()
			source = dir:file("source")
			shell.sh("mkdir -p $1/sub; echo one >$1/one; echo two >$1/sub/two; chmod 750 $1/sub/two; ln -s one $1/link", source)
			shell.sh("cd $1 && tar -cf ../source.tar . && gzip -c ../source.tar >../source.tar.gz", source)
		end)

		it("takes a directory, whose files are root's", function()
			local img = made("append", app, source, "--to", "/srv/www", "--created-by", "strata", "-o", out)
			assert.equal(4, #img.layers)
			assert.equal("strata", img.layers[4].created_by)
			local entry = assert(img:rootfs()):stat("srv/www/sub/two")
			assert.same({ 0, 0, 488 }, { entry.uid, entry.gid, entry.mode })
			img:close()
			img = made("append", app, source, "--owner", "5:6", "--exclude", "sub", "--mtime", "7", "--at", "1", "-o", out)
			entry = img.layers[1]:entry("one")
			assert.same({ 5, 6, 7 }, { entry.uid, entry.gid, entry.mtime })
			assert.is_nil(img.layers[1]:entry("sub/two"))
			img:close()
		end)

		it("takes a file, a tar and another archive", function()
			local img = made("append", app, source .. "/sub/two", "--to", "usr/bin", "-o", out)
			assert.equal("two\n", img:read("usr/bin/two"))
			assert.equal(488, assert(img:rootfs()):stat("usr/bin/two").mode)
			img:close()
			img = made("append", app, dir:file("source.tar.gz"), "-o", out)
			assert.equal("one\n", img:read("one"))
			img:close()
			img = made("append", app, dir:file("source.tar"), "--as", "file", "-o", out)
			assert.is_true(img:read("source.tar") == shell.read(dir:file("source.tar")))
			img:close()
		end)

		it("takes what has changed in a directory, and the upper directory of an overlay mount", function()
			shell.sh("mkdir -p $1/lower/etc $1/upper/etc; echo old >$1/lower/etc/gone; echo new >$1/upper/etc/new", dir.path)
			local upper, lower = dir:file("upper"), dir:file("lower")
			is_like(made("append", app, upper, "--lower", lower, "-o", out), function(img)
				assert(img:append({ layer = assert(strata.layer({ lower = lower, upper = upper })) }))
			end)
			is_like(made("append", app, upper, "--as", "overlay", "-o", out), function(img)
				assert(img:append({ layer = assert(strata.layer({ overlay_upper = upper })) }))
			end)
			local layout = dir:file("layout")
			command.check({ "convert", app, "--format", "oci", "--compression", "zstd", "-o", layout })
			command.check({ "append", layout, upper, "--lower", lower, "-i" })
			assert.equal("zstd", assert(strata.open(layout)).layers[4].compression)
			fails("--lower is for a directory", "append", app, app, "--lower", lower, "-o", out)
			fails("No such file", "append", app, upper, "--lower", dir:file("none"), "-o", out)
		end)

		it("fails for what is not there", function()
			fails("No such file", "append", app, dir:file("none"), "-o", out)
			fails("No such file", "append", app, dir:file("none.tar"), "-o", out)
			fails("is an image, and not the tar of a layer: --as tar ", "append", app, app, "-o", out)
			command.check({ "append", app, app, "--as", "tar", "-o", out })
			os.remove(out)
			fails("'x' is not UID:GID", "append", app, source, "--owner", "x", "-o", out)
		end)
	end)

	describe("squash", function()
		it("makes one layer of all, of some, or of those above a base", function()
			assert.equal(1, #made("squash", app, "-o", out).layers)
			is_like(made("squash", app, "--layers", "2-3", "-o", out), function(img)
				assert(img:squash(2, 3))
			end)
			is_like(made("squash", "--above", "1", app, "-o", out), function(img)
				assert(img:squash({ above = 1 }))
			end)
			assert.equal("2 layers, 3 before\n", command.check({ "squash", "--above", "1", app, "-n" }):match("^[^\n]*\n"))
		end)

		it("goes above an image, too", function()
			local base = dir:file("base.tar")
			local img = assert(strata.open(app))
			assert(img:remove_layer(3))
			assert(img:save(base))
			img:close()
			assert.equal(3, #made("squash", "--above", base, app, "-o", out).layers)
		end)

		it("refuses layers that are not there", function()
			fails("layer", "squash", app, "--layers", "2-9", "-o", out)
			fails("'2' is not FIRST-LAST", "squash", app, "--layers", "2", "-o", out)
			fails("'3-3' is one layer", "squash", app, "--layers", "3-3", "-o", out)
		end)
	end)

	describe("split", function()
		it("makes a layer of some paths", function()
			is_like(made("split", app, "--layer", "1", "usr", "-o", out), function(img)
				assert(img:split(1, "usr"))
			end)
			local shown = command.check({ "split", app, "--layer", "1", "usr", "-n" })
			assert.matches("^layer 1: %d+ entries, [^\n]*\nlayer 2: %d+ entries, ", shown)
		end)

		it("makes layers of a size", function()
			local words = { "split", app, "--layer", "1", "--size", "8000", "-n", "--json" }
			local chunks = cjson.decode((command.check(words))).report.chunks
			assert.is_true(#chunks > 1)
			for i, one in ipairs(chunks) do
				assert.equal(i, one.layer)
			end
		end)

		it("wants to know which layer, and what of it", function()
			fails("which layer?", "split", app, "etc", "-o", out)
			fails("PATH ..., or --size BYTES", "split", app, "--layer", "1", "-o", out)
			fails("PATH ..., or --size BYTES", "split", app, "etc", "--size", "9", "--layer", "1", "-o", out)
			fails("nothing matches 'nope'", "split", app, "nope", "--layer", "1", "-o", out)
			fails("there is no layer 9", "split", app, "etc", "--layer", "9", "-o", out)
		end)
	end)

	describe("rechunk", function()
		it("makes layers of directories, above a base", function()
			local words = { "rechunk", app, "--chunks", "2", "--by", "directory", "--above", "1", "-o", out }
			is_like(made((table.unpack or unpack)(words)), function(img)
				assert(img:rechunk({ chunks = 2, by = "directory", above = 1 }))
			end)
			fails("no layer is above the base", "rechunk", app, "--above", "3", "-o", out)
		end)
	end)

	describe("rebase", function()
		it("puts the image onto another base", function()
			local function base(content)
				local img = strata.new()
				assert(img:append({ files = { base = content } }))
				local path = dir:file(content .. ".tar")
				assert(img:save(path, { format = "docker" }))
				return path, img
			end
			local old, new = base("old"), base("new")
			local own = dir:file("own.tar")
			command.check({ "append", old, dir:write("file", "own"), "-o", own })
			local img = made("rebase", own, old, new, "-o", out)
			assert.same({ "new", "own" }, { img:read("base"), img:read("file") })
			img:close()
			os.remove(out)
			fails("rebase", "rebase", own, new, old, "-o", out)
		end)
	end)

	describe("purge", function()
		it("removes secrets and proves it", function()
			local stdout = command.check({ "purge", app, "**/.netrc", "--env", "^TOKEN=", "--history", "s3cret",
				"--prove", "s3cret", "-o", out })
			assert.matches("file 'root/.netrc'", stdout, 1, true)
			assert.is_nil(shell.read(out):find("s3cret", 1, true))
		end)

		it("tells what a layout has of before", function()
			local layout = dir:file("layout")
			command.check({ "convert", app, "--format", "oci", "-o", layout })
			local words = { "purge", app, "root/.netrc", "--format", "oci", "-o", layout, "-q" }
			local done = command.run(words)
			assert.same({ 1, "" }, { done.status, done.stdout })
			assert.matches("^strata: left: [^\n]*/layout has %d blobs that no image of it names; [^\n]*\n$", done.stderr)
			words[7] = dir:file("fresh")
			assert.same({ "", "" }, { command.check(words) })
		end)

		it("fails where something is left, and where nothing is to go", function()
			fails("secret 1 is still in it", "purge", app, "**/.netrc", "--prove", "s3cret", "-o", out)
			fails("what is to go?", "purge", app, "-o", out)
			fails("nothing matches", "purge", app, "nope", "-o", out)
		end)

		it("ends with 1 where something is left in what surrounds the image, and tells it with --quiet, too", function()
			local img = assert(strata.open(app))
			local both = dir:file("both.tar")
			img.tags, img.config.User = { "app:old" }, "5"
			img.config:set_label("note", "TOPSECRET")
			local other = assert(strata.open(app))
			other.config:set_label("note", "TOPSECRET")
			assert(strata.save({ img, other }, both, { format = "oci-archive" }))
			img:close()
			other:close()
			local done = command.run({ "purge", "-q", both, "--ref", "app:1.4", "--labels", "TOPSECRET", "--prove", "TOPSECRET",
				"-o", out })
			assert.same({ 1, "" }, { done.status, done.stdout })
			assert.matches("^strata: left: [^\n]*app:old", done.stderr)
			assert.is_not_nil(io.open(out))
			done = command.run({ "purge", both, "--ref", "app:1.4", "--labels", "TOPSECRET", "-n", "--json" })
			assert.equal(1, done.status)
			assert.equal(1, #cjson.decode(done.stdout).report.left)
		end)
	end)

	describe("normalize", function()
		it("makes an image normal", function()
			is_like(made("normalize", "--epoch", "2000-01-01T00:00:00Z", "--numeric-owner", app, "-o", out), function(img)
				assert(img:normalize({ epoch = "2000-01-01T00:00:00Z", numeric_owner = true }))
			end)
			command.check({ "normalize", app, "-o", out, env = { SOURCE_DATE_EPOCH = "5" } })
			os.remove(out)
			fails("--epoch TIME", "normalize", app, "-o", out)
			fails("'soon'", "normalize", "--epoch", "soon", app, "-o", out)
		end)
	end)

	describe("repair", function()
		it("mends what can be mended", function()
			local img = strata.new()
			local tar = docker_archive.tar({ { name = "f" }, { name = "f", data = "2" } })
			assert(img:append({ tar = dir:write("twice", tar) }))
			local odd = dir:file("odd.tar")
			assert(img:save(odd, { format = "docker" }))
			assert.equal(1, command.run({ "check", odd }).status)
			local stdout = command.check({ "repair", odd, "duplicate-path", "-o", out })
			assert.matches("^1 finding mended\n", stdout)
			assert.equal(0, command.run({ "check", out }).status)
			os.remove(out)
			fails("no finding 'nope'", "repair", odd, "nope", "-o", out)
			fails("not found: no-end, leaves-root", "repair", odd, "no-end", "duplicate-path", "leaves-root", "-o", out)
			command.check({ "repair", odd, "no-end", "--optional", "-o", out })
		end)

		it("tells what is left, and ends with 1", function()
			local img, odd = strata.new(), dir:file("link.tar")
			assert(img:append({ files = { link = { linkpath = "../../etc" } } }))
			assert(img:save(odd, { format = "docker" }))
			img:close()
			for _, words in ipairs({ {}, { "link-leaves-root", "--optional" }, { "-q" } }) do
				local done = command.run({ "repair", odd, "-o", out, (table.unpack or unpack)(words) })
				assert.same({ 1, words[1] == "-q" and "" or "0 findings mended" }, { done.status, done.stdout:match("^[^\n]*") })
				assert.matches("^strata: left: warning: [^\n]*%[link%-leaves%-root%] %(programs [^\n]*%)\n$", done.stderr)
			end
			local report = cjson.decode(command.run({ "repair", odd, "-n", "--json" }).stdout).report
			assert.same({ 0, 1 }, { #report.mended, #report.left })
			os.remove(out)
			fails("'link-leaves-root' is not mended", "repair", odd, "link-leaves-root", "-o", out)
		end)
	end)

	describe("--plan", function()
		it("writes nothing, and tells what would be written", function()
			local before = shell.read(app)
			for _, words in ipairs({
				{ "rm", "etc/motd" }, { "set", "--user", "5" }, { "append", dir.path .. "/source" }, { "squash" },
				{ "purge", "etc/motd" }, { "normalize", "--epoch", "0" }, { "repair" }, { "convert", "--format", "oci" },
			}) do
				local name = table.remove(words, 1)
				local done = command.run({ name, app, "--plan", "-o", out, (table.unpack or unpack)(words) })
				assert.same(name == "repair" and { 1, 1 } or { 0 }, { done.status, (done.stderr:find("strata: left: ", 1, true)) })
				local where = ("would write %s: %s, "):format(out, name == "convert" and "oci" or "docker")
				assert.matches(where, done.stdout, 1, true)
				assert.is_nil(done.stdout:find("written yet", 1, true))
				local told = cjson.decode(command.run({ name, app, "-n", "-i", "--json", (table.unpack or unpack)(words) }).stdout)
				assert.is_true(told.plan)
				assert.equal("table", type(told.saved.layers))
			end
			assert.is_nil(io.open(out))
			assert.is_true(before == shell.read(app))
		end)
	end)
end)
