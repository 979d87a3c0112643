-- Takes seconds: not for make check.
-- The man page, and what completes the command's words in bash and in zsh, against the parser.

local process = require "spec.support.process"
local shell = require "spec.support.shell"
local terminal = require "spec.support.terminal"
local tmp = require "spec.support.tmp"

local has_argparse = pcall(require, "argparse")
local dir, model, top

local function need(...)
	if not has_argparse then
		pending("Lua has no argparse here: apt install lua-argparse")
	end
	for _, program in ipairs({ ... }) do
		if not shell.which(program) then
			pending(program .. " is not installed: apt install " .. (program == "man" and "man-db" or program))
		end
	end
end

setup(function()
	dir = tmp.dir()
	if has_argparse then
		model = require("doc.command_model")
		top = model.read()
		local completion = require("doc.completion")
		dir:write("strata.bash", completion.bash())
		dir:write("_strata", completion.zsh())
		dir:write("strata.1", require("doc.man").page())
	end
	dir:write("app one.tar", "")
	dir:write("app.tar", "")
	shell.check({ "mkdir", dir:file("apps") })
end)

teardown(function()
	dir:remove()
end)

-- What bash would offer for words, of which the last is being typed.
local function offered(...)
	local script = [[source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _strata; echo "${COMPREPLY[*]}"]]
	return (shell.check({ "bash", "--norc", "-c", script, dir:file("strata.bash"), "strata", ... }):gsub("\n$", ""))
end

describe("the completion for bash", function()
	it("is registered, for the command's name", function()
		need("bash")
		local script = 'source "$0" && complete -p strata'
		assert.equal("complete -F _strata strata\n",
			shell.check({ "bash", "--norc", "-c", script, dir:file("strata.bash") }))
	end)

	it("offers subcommands, and those of index", function()
		need("bash")
		assert.equal("inspect index", offered("in"))
		assert.equal("list create add remove", offered("index", ""))
		assert.equal("remove", offered("index", "re"))
		assert.equal("repair", offered("help", "repa"))
		local names = {}
		for i, one in ipairs(top.commands) do
			names[i] = one.name
		end
		assert.equal(table.concat(names, " ") .. " help", offered(""))
	end)

	it("offers every option of every subcommand, and no others", function()
		need("bash")
		model.each(top, function(one)
			local words = {}
			for word in one.name:gmatch("%S+") do
				words[#words + 1] = word
			end
			words[#words + 1] = "-"
			assert.equal(table.concat(model.option_names(one), " "), offered((table.unpack or unpack)(words)), one.name)
		end)
	end)

	it("offers the words that an option takes, also behind =", function()
		need("bash")
		assert.equal("docker docker-legacy", offered("convert", "--format", "d"))
		assert.equal("oci oci-archive", offered("rm", "app.tar", "--format", "=", "oci"))
		assert.equal("none gzip zstd", offered("export", "--compression", ""))
		assert.equal("keep gzip zstd none", offered("index", "add", "--compression", ""))
		assert.equal("docker docker-legacy oci oci-archive", offered("rm", "app.tar", "--format", "="))
	end)

	it("takes no path, value or address for a subcommand", function()
		need("bash")
		assert.equal("--reproducible", offered("rm", "-o", "set", "inspect", "--rep"))
		assert.equal("--sort", offered("ls", "docker", ":", "//h/app", ":", "1", "--so"))
		assert.equal("", offered("nothing", ""))
		assert.equal("", offered("ls", "app.tar", "etc"))
	end)

	it("leaves files to readline, where files are wanted", function()
		need("bash")
		local list = terminal.run({
			argv = { "bash", "--norc", "--noprofile", "-i" }, wait = "[$] $", ending = "exit\r",
			env = { PS1 = "$ ", HOME = dir.path, LC_ALL = "C.UTF-8" },
			steps = {
				{ send = "cd " .. dir.path .. "; source ./strata.bash\r", wait = "bash\n[^\n]*[$] $" },
				{ send = "strata inspect app\\ \t", wait = "app\\\\ one.tar " }, { send = "\21", wait = "." },
				{ send = "strata extract app.tar app\t", wait = "apps/" }, { send = "\21", wait = "." },
				{ send = "strata rm app.tar etc -o app.\t", wait = "-o app.tar " }, { send = "\21", wait = "." },
			},
		})
		assert.matches("strata inspect app\\ one%.tar $", list[3])
		assert.matches("strata extract app%.tar apps/", list[5])
		assert.matches("strata rm app%.tar etc %-o app%.tar $", list[7])
	end)
end)

describe("the completion for zsh", function()
	it("is taken by zsh, and offers subcommands, options, their words and files", function()
		need("zsh")
		local script = "PS1='$ '; fpath=(" .. dir.path .. " $fpath); autoload -U compinit; compinit -u -D; "
			.. "setopt no_auto_menu; cd " .. dir.path .. "; echo ready\r"
		terminal.run({
			argv = { "zsh", "-f", "-i" }, wait = "[%#]", ending = "\21exit\r", columns = 160,
			env = { HOME = dir.path, TERM = "vt100" },
			steps = {
				{ send = script, wait = "ready\n(.|\n)*[$] [^\n]*$" }, { send = "strata conv\t", wait = "convert" },
				{ send = "--compr\t", wait = "compression" }, { send = "zs\t", wait = "zstd" },
				{ send = "app.\t", wait = "app.tar" }, { send = "\21", wait = "." },
				{ send = "strata index ad\t", wait = "add" }, { send = "--rep\t", wait = "replace" },
			},
		})
	end)
end)

describe("the man page", function()
	local function page()
		return shell.check({ "man", "-l", dir:file("strata.1"),
			env = { MANWIDTH = "200", MAN_KEEP_FORMATTING = "", LC_ALL = "C.UTF-8", MANPAGER = "cat" } })
	end

	it("names every subcommand, every option and every argument", function()
		need("man")
		local text = page():gsub("‐", "-")
		local common = text:match("\nCOMMON OPTIONS\n(.-)\nEXIT STATUS\n")
		model.each(top, function(one)
			local section = assert(text:match("\n   " .. one.name:gsub("%-", "%%-") .. "\n(.-)\n   %S")
				or text:match("\n   " .. one.name .. "\n(.-)\n%u"), one.name)
			for _, group in ipairs(one.groups) do
				for _, option in ipairs(group.options) do
					local long = option.names[#option.names]
					assert.is_truthy(section:find(long, 1, true), one.name .. " " .. long)
					for _, name in ipairs(option.names) do
						assert.is_truthy(section:find(name, 1, true) or common:find(name, 1, true), one.name .. " " .. name)
					end
				end
			end
			for _, argument in ipairs(one.arguments) do
				assert.is_truthy(section:find(argument.name, 1, true), one.name .. " " .. argument.name)
			end
		end)
	end)

	it("has nothing that man and mandoc would complain about", function()
		need("man")
		local words = { "man", "--warnings", "-l", "-Tutf8", "-Z", dir:file("strata.1"), env = { LC_ALL = "C.UTF-8" } }
		local done = shell.run(words)
		assert.same({ 0, "" }, { done.status, done.stderr })
		if shell.which("mandoc") then
			assert.same({ 0, "", "" }, (function()
				local lint = shell.run({ "mandoc", "-T", "lint", dir:file("strata.1") })
				return { lint.status, lint.stdout, lint.stderr }
			end)())
		end
	end)

	it("is the same in every run of the same day, and has the day of SOURCE_DATE_EPOCH", function()
		need()
		local function write(epoch)
			local code = "io.write(require('doc.man').page())"
			return shell.check({ "sh", "-c", process.lua(code), env = { SOURCE_DATE_EPOCH = epoch } })
		end
		assert.equal(write("86400"), write("86400"))
		assert.matches('TH STRATA 1 "1970%-01%-02" "strata [%d.]+"', write("86400"))
	end)
end)
