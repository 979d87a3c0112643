-- Takes seconds: not for make check.
-- What the command is to a shell: help, errors in one line, exit statuses, pipes, terminals.

local command = require "spec.support.command"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local NAMES = {
	"inspect", "ls", "tree", "cat", "history", "packages", "serve", "waste", "diff", "check", "gate", "rm", "set",
	"append", "squash", "split", "rechunk", "rebase", "purge", "normalize", "repair", "new", "convert", "copy", "extract",
	"export", "index", "artifact", "tags", "digest", "delete", "gc", "run", "repl",
}

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

	describe("help", function()
		it("goes to standard output, with status 0", function()
			local help = command.check({ "--help" })
			assert.matches("^Usage: strata SUBCOMMAND IMAGE", help)
			assert.equal(help, command.check({ "help" }))
			assert.equal(help, command.check({ "-h" }))
			for _, name in ipairs(NAMES) do
				assert.matches("\n   " .. name .. " +%u", help)
			end
		end)

		it("has an example for each subcommand, and fits 80 columns", function()
			for _, name in ipairs(NAMES) do
				local help, stderr = command.check({ name, "--help" })
				assert.equal("", stderr)
				assert.matches("^Usage: strata " .. name .. " ", help)
				assert.matches("\nExample:\n   strata " .. name .. " ", help, 1, true)
				assert.equal(help, command.check({ "help", name }))
				for line in help:gmatch("[^\n]+") do
					assert.is_true(#line <= 80, name .. ": " .. line)
				end
			end
		end)

		it("is there for what a subcommand does", function()
			assert.matches("^Usage: strata index add ", command.check({ "help", "index", "add" }))
			assert.equal(command.check({ "help", "index", "add" }), command.check({ "index", "add", "--help" }))
		end)

		it("stands on standard error, with status 2, when nothing is asked for", function()
			local done = command.run({})
			assert.same({ 2, "" }, { done.status, done.stdout })
			assert.equal(command.check({ "--help" }), done.stderr)
		end)

		it("has the version", function()
			assert.equal(require("strata")._VERSION .. "\n", command.check({ "--version" }))
		end)
	end)

	describe("an error", function()
		it("is one line that helps", function()
			fails("there is no subcommand 'lss'; did you mean 'ls'?", "lss", app)
			fails("did you mean 'squash'?", "flatten", app)
			fails("strata --help lists them", "frobnicate")
			fails("there is no subcommand 'frobnicate'", "help", "frobnicate")
			fails("unknown option '--jsn'; did you mean '--json'?", "ls", "--jsn", app)
			fails("missing argument 'IMAGE' (strata ls --help)", "ls")
			fails("unknown option '--nope'", "--nope")
			fails("too many arguments", "convert", app, app, "-o", "x")
			fails("No such file or directory", "ls", dir:file("none.tar"))
			fails("is not a container image", "ls", dir:write("text", "text"))
			fails("docker save", "ls", "busybox:latest")
			fails("without docker-archive:", "ls", "docker-archive:app.tar")
			fails("is no image", "ls", dir.path)
			fails("'nope*' matches nothing", "ls", app, "nope*")
			fails("no such file or directory", "ls", app, "nope")
			fails("no image with platform", "ls", "--platform", "linux/s390x", app)
			fails("layer 7", "ls", "--layer", "7", app)
			fails("unknown option '-1' (strata ls --help)", "ls", "-1", app)
			fails("unknown option '-1' (strata index add --help)", "index", "add", "-1", app)
			fails("'etc': is a directory, not a file", "cat", app, "etc")
		end)

		it("says what is wrong with standard input", function()
			local done = command.run({ "inspect", "-", input = "" })
			assert.same({ 2, "strata: standard input is empty: not an image archive\n" }, { done.status, done.stderr })
			done = command.run({ "diff", "-", "-", input = shell.read(app) })
			assert.equal(2, done.status)
			assert.matches("^strata: standard input can be read once: [^\n]*\n$", done.stderr)
		end)

		it("does not list more images than can be read", function()
			local images, many = {}, dir:file("many.tar")
			for i = 1, 6 do
				images[i] = require("strata").new()
				images[i].config.User = tostring(i)
				images[i]:tag("many:" .. i)
			end
			assert(require("strata").save(images, many, { format = "docker" }))
			fails(("%s: no image with ref 'none': strata index list %s shows them\n"):format(many, many), "ls", many, "--ref",
				"none")
			fails("choose one with --ref, --platform or --digest: strata index list ", "ls", many)
		end)

		it("obeys nothing that stands in its words", function()
			local done = command.run({ "ls", "a\27[31m\nb" })
			assert.matches("strata: a\\x1b[31m; b: ", done.stderr, 1, true)
			assert.is_nil(done.stderr:find("\27", 1, true))
			assert.is_nil(command.run({ "x\27[31m" }).stderr:find("\27", 1, true))
		end)

		it("shows where it comes from when that is asked for", function()
			local done = command.run({ "ls", dir:file("none"), env = { STRATA_DEBUG = "1" } })
			assert.matches("stack traceback", done.stderr, 1, true)
		end)

		it("is one line when the mistake is strata's own", function()
			local sub = "{summary='',usage='',example='',define=function() end,run=function() local x; x.y = 1 end}"
			local init = ("package.preload['strata.command.subcommand.cat'] = load(%q, '@/x/strata/y.lua')"):format("return "
				.. sub)
			local done = command.run({ "cat", env = { LUA_INIT_5_4 = init } })
			assert.same({ 2, "" }, { done.status, done.stdout })
			assert.matches("^strata: internal error: /x/strata/y.lua:1: attempt [^\n]*STRATA_DEBUG=1[^\n]*\n$", done.stderr)
			done = command.run({ "cat", env = { LUA_INIT_5_4 = init, STRATA_DEBUG = "1" } })
			assert.matches("stack traceback:\n.*y.lua:1", done.stderr)
		end)

		it("is told when standard output is full", function()
			local done = shell.run({ "sh", "-c", shell.join(command.words({ "ls", "-r", app })) .. " >/dev/full" })
			assert.equal(2, done.status)
			assert.matches("^strata: standard output: No space left on device\n$", done.stderr)
		end)
	end)

	it("ends quietly when its reader has gone", function()
		local img = require("strata").new()
		local files = {}
		for i = 1, 20000 do
			files[("a/long/way/down/to/a/file/number/%d"):format(i)] = ""
		end
		assert(img:append({ files = files }))
		local big = dir:file("big.tar")
		assert(img:save(big, { format = "docker" }))
		for _, trap in ipairs({ "-", "''" }) do
			local line = shell.join(command.words({ "ls", "-r", big }))
			local script = ("trap %s PIPE; exec 3>&1; { %s 2>&3; echo $? >&3; } | head -n 1 >&3"):format(trap, line)
			local done = shell.run({ "sh", "-c", script })
			local status = done.stdout:match("^a\n(%d+)\n$") or done.stdout
			assert.is_true(status == "141" or status == "2", status)
			assert.equal("", done.stderr)
		end
	end)

	it("ends quietly when the reader of an image has gone", function()
		for _, words in ipairs({ { "export", app }, { "set", app, "--user", "5" }, { "copy", app } }) do
			words[#words + 1] = words[1] == "copy" and "-" or "-o-"
			local line = shell.join(command.words(words))
			local script = ("exec 3>&1; { { sleep 1; %s 2>&3; } ; echo $? >&3; } | true"):format(line)
			local done = shell.run({ "sh", "-c", script })
			assert.same({ "141\n", "" }, { done.stdout, done.stderr })
		end
	end)

	it("prints nothing but errors with --quiet", function()
		for _, words in ipairs({ { "ls", app }, { "inspect", app }, { "rm", app, "etc", "-o", dir:file("q.tar") } }) do
			words[#words + 1] = "--quiet"
			local done = command.run(words)
			assert.same({ 0, "", "" }, { done.status, done.stdout, done.stderr })
		end
	end)

	describe("on a terminal", function()
		local function need()
			local reason = command.no_terminal()
			if reason then
				pending(reason)
			end
		end

		it("writes no image", function()
			need()
			for _, words in ipairs({ { "rm", app, "srv", "-o", "-" }, { "copy", app, "-" }, { "export", app, "-o", "-" } }) do
				assert.matches("strata: standard output is a terminal: [^\n]*\n2\n$", command.on_terminal(words, "; echo $?"))
			end
		end)

		it("has colours, unless they are not wanted", function()
			need()
			local colored = "\27[34metc\27[0m"
			assert.matches(colored, command.on_terminal({ "ls", app }), 1, true)
			assert.is_nil(command.on_terminal({ "ls", app, env = { NO_COLOR = "1" } }):find("\27", 1, true))
			assert.is_nil(command.on_terminal({ "ls", app, env = { TERM = "dumb" } }):find("\27", 1, true))
			assert.is_nil(command.on_terminal({ "ls", app, "--color", "never" }):find("\27", 1, true))
			assert.is_nil(command.on_terminal({ "ls", "--json", app, "--color=always" }):find("\27", 1, true))
			assert.matches(colored, command.check({ "ls", app, "--color", "always" }), 1, true)
			assert.is_nil(command.check({ "ls", app }):find("\27", 1, true))
		end)

		it("cuts steps of the history where the line ends", function()
			need()
			local img = assert(require("strata").open(app))
			img:history()[1].created_by = ("long "):rep(100)
			local path = dir:file("steps.tar")
			assert(img:save(path))
			local shown = command.on_terminal({ "history", path })
			local columns = tonumber(command.on_terminal({ "--version" }, "; stty size"):match("\n%d+ (%d+)"))
			if columns and columns > 40 then
				assert.is_true(#shown:match("^[^\n]*") <= columns)
				assert.matches("%.%.%.\n", shown)
			end
			assert.matches(("long "):rep(99), command.check({ "history", path }), 1, true)
			assert.matches(("long "):rep(99), command.check({ "inspect", path }), 1, true)
		end)

		it("shows progress of what takes longer, and takes it away", function()
			need()
			local source = dir:file("source")
			shell.sh("mkdir -p $1; for i in 1 2; do head -c 1000000 /dev/urandom | base64 >$1/$i; done", source)
			local big = dir:file("long.tar")
			command.check({ "append", app, source, "-o", big })
			local words = { "convert", big, "-o", dir:file("zstd.tar"), "--format", "oci-archive", "--compression", "zstd",
				"--level", "19", "--threads", "1" }
			local shown = command.on_terminal(words)
			assert.matches("\r%l+ +%[[#.]+%] +%d+ %%", shown)
			assert.matches("\27%[K[^\r]*zstd%.tar: oci%-archive, ", shown)
			words[#words + 1] = "-q"
			assert.equal("", command.on_terminal(words))
		end)

		it("shows none elsewhere", function()
			local _, stderr = command.check({ "convert", dir:file("long.tar"), "-o", dir:file("zstd.tar"), "--format",
				"oci-archive", "--compression", "zstd", "--level", "19" })
			assert.equal("", stderr)
		end)
	end)
end)
