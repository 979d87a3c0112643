-- The REPL on a terminal, and without one.

local command = require "spec.support.command"
local process = require "spec.support.process"
local repl_session = require "spec.support.repl_session"
local shell = require "spec.support.shell"
local strata = require "strata"
local terminal = require "spec.support.terminal"
local tmp = require "spec.support.tmp"

local dir, env, script

local function make(path)
	local img = strata.new({ platform = "linux/amd64" })
	local files = { ["etc/passwd"] = "root:x:0:0\n", ["usr/share/doc/a"] = "a", ["etc/motd"] = "x\ty\27[2J\n" }
	assert(img:append({ files = files }))
	img.config:set_env("PATH", "/bin")
	img.tags = { "app:1" }
	assert(img:save(path))
end

setup(function()
	dir = tmp.dir()
	make(dir:file("app.tar"))
	env = { XDG_STATE_HOME = dir:file("state"), HOME = dir.path }
	script = ("os.exit(require('strata.command.repl').run { images = { require('strata').open(%q) } })"):format(
		dir:file("app.tar"))
end)

teardown(function()
	dir:remove()
end)

local function argv(code)
	return { "sh", "-c", "exec " .. process.lua(code or script) }
end

local function session(steps, options)
	options = options or {}
	options.argv, options.steps, options.env = options.argv or argv(), steps, options.env or env
	return terminal.run(options)
end

-- Answers to lines, where readline is there or is not.
local function answers(...)
	local list, status = session({ ... })
	table.remove(list, 1)
	return list, status
end

local function need_readline()
	local code = "os.exit(pcall(require, 'readline') and 0 or 1)"
	if shell.run({ "sh", "-c", process.lua(code), env = { HOME = dir.path } }).status ~= 0 then
		pending("Lua has no readline here: apt install lua-readline")
	end
end

describe("the REPL on a terminal", function()
	it("greets in one line, has strata and img, prints results, and ends with Ctrl-D", function()
		local list, status = session({ "img", "strata._VERSION", "img.layers", "img.config.Env", "x = 1", "x" })
		assert.matches("^strata [^\n]*Ctrl%-D ends%.\n", list[1])
		assert.matches("^strata.Image%(app:1, .-%)\n$", list[2])
		assert.equal(strata._VERSION .. "\n", list[3])
		assert.matches("^1  strata.Layer%(1, .-%)\n$", list[4])
		assert.equal('1  "PATH=/bin"\n', list[5])
		assert.equal("", list[6])
		assert.equal("1\n", list[7])
		assert.equal(0, status)
	end)

	it("shows what is printed when it is printed", function()
		assert.equal("a\nb\nc\n", answers("print 'a' os.execute 'echo b' print 'c'")[1])
	end)

	it("asks for more lines of a statement, and prints what an expression of several lines gives", function()
		local list = answers("for i = 1, 2 do", "print(i)", "end", "(1 +", "2)", "_")
		assert.same({ "", "", "1\n2\n", "", "3\n", "3\n" }, { list[1], list[2], list[3], list[4], list[5], list[6] })
	end)

	it("tells failures and errors in one line, without the library's own places", function()
		local list, status = answers('img:save "/nowhere/x.tar"', "img.layrs", "error {}", "if then", "local function f()",
			"error 'x' end f()", "img:remove 'nope'")
		assert.equal("error: /nowhere/x.tar: No such file or directory (ENOENT)\n", list[1])
		assert.equal("error: strata.Image has no field 'layrs': did you mean 'layers'?\n", list[2])
		assert.matches("^error: table: 0x%x+\n$", list[3])
		assert.matches("^error: unexpected symbol near 'then'\n$", list[4])
		assert.equal("error: line 2: x\n", list[6])
		assert.equal("error: remove: nothing matches 'nope' (ENOENT)\n", list[7])
		assert.equal(0, status)
	end)

	it("tells misuse in one line, at whatever depth the library finds it", function()
		local list = answers("img:read()", "img:remove('etc', { optnal = true })", "x = img.config:set('a', 1)",
			"(img.tags)[1], 2; -- a comment", "= 1", "-- nothing", "return 5", "do end")
		assert.equal("error: read: a path is wanted, not nil\n", list[1])
		assert.equal("error: remove has no option 'optnal'; did you mean 'optional'?\n", list[2])
		assert.matches("^error: [^/]*\n$", list[3])
		assert.same({ "app:1\t2\n", "1\n", "", "5\n", "" }, { list[4], list[5], list[6], list[7], list[8] })
	end)

	it("drops what a call gives behind its last value, and no nil that is typed", function()
		local list = answers("(function() return 1, nil, nil end)()", "1, 2, nil", "nil, nil")
		assert.same({ "1\n", "1\t2\tnil\n", "nil\tnil\n" }, { list[1], list[2], list[3] })
	end)

	it("knows words of other programs, unless they are names", function()
		local list = answers("exit", "quit()", "help", "exit = 5", "exit")
		assert.equal("Ctrl-D ends the session.\n", list[1])
		assert.equal(list[1], list[2])
		assert.matches("^strata.help%(%) lists", list[3])
		assert.same({ "", "5\n" }, { list[4], list[5] })
	end)

	it("shows what a file has without letting it command the terminal", function()
		assert.equal("x\ty\\x1b[2J\n", (answers('img:read "etc/motd"')[1]:gsub("        ", "\t")))
	end)

	it("goes on after Ctrl-C, as often as that is typed", function()
		local list, status = session({
			{ send = "while true do end\r", wait = "end\n$" }, { send = "\3" },
			"1 + 1",
			{ send = "while true do end\r", wait = "end\n$" }, { send = "\3" },
			"2 + 2",
		})
		assert.matches("error: interrupted\n> $", list[3])
		assert.equal("2\n", list[4])
		assert.matches("error: interrupted\n> $", list[6])
		assert.equal("4\n", list[7])
		assert.equal(0, status)
	end)

	it("drops a statement after Ctrl-C and Enter, and ends when Ctrl-C comes twice", function()
		need_readline()
		local list, status = session({ "x = {",
			{ send = "1, ", wait = "1, " }, { send = "\3", wait = "C" },
			{ send = "\r", pause = 0.3 }, "5" })
		assert.matches("error: interrupted\n> $", list[5])
		assert.equal("5\n", list[6])
		assert.equal(0, status)
		list, status = session({ { send = "x", wait = "x" }, { send = "\3", wait = "C" },
			{ send = "", wait = "", pause = 0.3 } }, { ending = "\3" })
		assert.equal(130, status, list[4])
	end)

	it("completes with Tab, and does not close a string behind a directory", function()
		need_readline()
		local list = session({
			{ send = "img:clo\t\21", wait = "close[(][)]" }, { send = "img:read 'etc/pa\t\r", wait = "\n> $" },
			{ send = "img:remove{'usr/\tdo\ta\t}\r", wait = "\n> $" }, { send = "io.op\t'/\21", wait = "open[(]'/" },
		})
		assert.matches("img:close%(%)", list[2])
		assert.matches("img:read 'etc/passwd'\nroot:x:0:0\n", list[3])
		assert.matches("img:remove{'usr/share/doc/a'}\nstrata.Image%(app:1, .* edited%)", (list[4]:gsub("\a", "")))
	end)

	it("keeps what was typed, for nobody else to read", function()
		need_readline()
		local path = dir:file("state") .. "/strata/history"
		os.remove(path)
		answers("1 + 1", "1 + 1", "", "x = 'secret'")
		assert.equal("1 + 1\nx = 'secret'\n", shell.read(path))
		assert.equal("600 700\n", shell.sh([[stat -c %a "$1" "$(dirname "$1")" | paste -sd ' ']], path))
		local list = session({ { send = "\27[A\27[A\r", wait = "\n> $" }, "3" })
		assert.matches("2\n> $", list[2])
		assert.equal("1 + 1\nx = 'secret'\n1 + 1\n3\n", shell.read(path))
		shell.write(path, ("y\n"):rep(2500))
		answers("1")
		assert.equal(("y\n"):rep(1000) .. "1\n", shell.read(path))
	end)

	it("works where no history can be written", function()
		local list, status = session({ "1 + 1" }, { env = { XDG_STATE_HOME = "/proc/nowhere", HOME = dir.path } })
		assert.equal("2\n", list[2])
		assert.equal(0, status)
	end)

	it("is a plain loop where Lua has no readline", function()
		local list, status = session({ "img.tags[1]", "for i = 1, 2 do", "print(i) end" },
			{ argv = argv("package.preload.readline = function() error 'none' end; " .. script) })
		assert.matches("\nWithout lua%-readline nothing completes: apt install lua%-readline\n> $", list[1])
		assert.equal("app:1\n", list[2])
		assert.equal("1\n2\n", list[4])
		assert.equal(0, status)
	end)
end)

describe("strata repl", function()
	it("does what doc/command.md shows", function()
		if not pcall(require, "argparse") or shell.run({ "sh", "-c", "command -v lua5.4" }).status ~= 0 then
			pending("lua5.4 or lua-argparse is not installed")
		end
		if shell.run({ "test", "-e", "/usr/share/doc/busybox-static/copyright" }).status ~= 0 then
			pending("busybox-static is not installed")
		end
		shell.check({ "sh", "-c", process.lua("arg = { [0] = 'examples/demo.lua' }; dofile 'examples/demo.lua'") })
		local text = shell.read("doc/command.md"):match("\n## strata repl\n+```\n(.-)```")
		local line = text:match("^%$ strata (%C+)\n")
		local words = { env = { TERM = "dumb" } }
		for word in line:gmatch("%S+") do
			words[#words + 1] = word
		end
		local _, count = repl_session.play(text, command.words(words), env)
		assert.is_true(count > 10)
	end)

	it("opens several images, and says which cannot be opened", function()
		local function run(input, ...)
			return command.run({ "repl", input = input, env = env, ... })
		end
		local done = run("#imgs, imgs[2].tags[1], img == imgs[1]\n", dir:file("app.tar"), dir:file("app.tar"))
		assert.same({ "2\tapp:1\ttrue\n", "", 0 }, { done.stdout, done.stderr, done.status })
		done = run("img, imgs\n")
		assert.equal("nil\tnil\n", done.stdout)
		done = run("", dir:file("none.tar"))
		assert.same({ "", 2 }, { done.stdout, done.status })
		assert.matches("^strata: .*none.tar: No such file or directory\n$", done.stderr)
		done = run("", "-")
		assert.equal("strata: repl: standard input is what is typed, and cannot be an image\n", done.stderr)
	end)
end)

describe("the REPL without a terminal", function()
	local function run(input)
		return shell.run({ "sh", "-c", process.lua(script), input = input, env = env })
	end

	it("prints results alone, and ends with the input", function()
		local done = run("img.tags[1]\nfor i = 1, 2 do\nprint(i)\nend\n")
		assert.same({ "app:1\n1\n2\n", "", 0 }, { done.stdout, done.stderr, done.status })
	end)

	it("ends with status 2 when something failed, after all the rest", function()
		local done = run("img.nope\n1\n")
		assert.equal(2, done.status)
		assert.equal("1\n", done.stdout)
		assert.matches("^error: strata.Image has no field 'nope'", done.stderr)
		done = run("x = {\n")
		assert.equal(2, done.status)
		assert.equal("error: the input ends within a statement\n", done.stderr)
	end)
end)

describe("strata.terminal", function()
	local interrupt = require("strata.terminal").interrupt

	it("takes only what it has given", function()
		assert.has_error(function()
			interrupt({})
		end)
		local before = interrupt()
		interrupt(before)
		assert.equal("userdata", type(before))
	end)
end)
