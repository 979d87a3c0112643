-- Takes seconds: not for make check.
-- What doc/command.md shows is what happens, and so are the examples that help has.

local cjson = require "cjson"
local command = require "spec.support.command"
local registry = require "spec.support.registry"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local PAGE = shell.read("doc/command.md")

local function section(heading)
	return assert(PAGE:match("\n## " .. heading .. "\n(.-)\n## ") or PAGE:match("\n## " .. heading .. "\n(.*)$"))
end

describe("doc/command.md", function()
	local dir, names

	setup(function()
		dir = tmp.dir()
		local img = command.image()
		assert(img:save(dir:file("app.tar"), { format = "docker" }))
		img:close()
		shell.sh("mkdir $1/public; echo page >$1/public/index.html", dir.path)
		dir:write("policy.lua", "return { max_layers = 2 }")
		names = {}
		for name in section("Subcommands"):gmatch("\n| `(%l+)`") do
			names[#names + 1] = name
		end
	end)

	teardown(function()
		dir:remove()
	end)

	-- A script of sh in which strata is the command.
	local function sh(script)
		local define = ('strata() { %s "$@"; }\n'):format(shell.join(command.words({})))
		return shell.run({ "bash", "-euo", "pipefail", "-c", define .. script, cwd = dir.path })
	end

	it("has a line for each subcommand", function()
		local listed = {}
		for name in command.check({ "--help" }):gmatch("\n   (%l+) +%u") do
			listed[#listed + 1] = name
		end
		table.sort(listed)
		table.sort(names)
		assert.same(listed, names)
	end)

	it("shows commands that work, twice", function()
		local block = section("Subcommands"):match("\n```sh\n(.-)```")
		for _ = 1, 2 do
			local count = 0
			for line in block:gmatch("[^\n]+") do
				local done = sh(line:find("extract") and "rm -rf rootfs; " .. line or line)
				assert.equal(0, done.status, line .. "\n" .. done.stderr)
				count = count + 1
			end
			assert.is_true(count >= 20)
		end
		assert.matches("^app:slim", command.check({ "inspect", dir:file("app-slim.tar") }):match("tags +(.*)"))
	end)

	it("has examples in the help that work", function()
		local server = registry.start({ delete = true })
		shell.sh("cd $1; for name in app-1 debian-12.1; do cp app.tar $name.tar; done", dir.path)
		command.check({ "append", dir:file("debian-12.1.tar"), dir:file("public"), "-o", dir:file("debian-12.2.tar") })
		command.check({ "set", dir:file("app.tar"), "--config", '/architecture="arm64"', "--tag", "app:arm64", "-o",
			dir:file("app-arm64.tar") })
		command.check({ "convert", dir:file("app.tar"), "--format", "oci", "-o", dir:file("app-layout") })
		for _, ref in ipairs({ "app:1", "team/app:1.3", "team/app:1.4" }) do
			command.check({ "copy", dir:file("app.tar"), ("docker://%s/%s"):format(server.host, ref) })
		end
		dir:write("slim.lua", [[
			local img = assert(require("strata").open(arg[1]))
			assert(img:remove("usr/share/doc"))
			assert(img:save(arg[2]))
		]])
		local may_be = { diff = true, check = true, gate = true, repair = true }
		for _, name in ipairs(names) do -- serve ends with Ctrl-C, and is tried by serve_spec
			local example = command.check({ name, "--help" }):match("\nExample:\n +(.*)\n$"):gsub("\n +", " ")
			example = example:gsub("registry%.example", server.host)
			local done = name == "serve" and { status = 0, stderr = "" } or sh("rm -rf rootfs; " .. example)
			assert.is_true(done.status == 0 or done.status == 1 and may_be[name], example .. "\n" .. done.stderr)
		end
		server:stop()
	end)

	it("names every field of the JSON", function()
		local text = section("JSON")
		local app = dir:file("app.tar")
		local known = {}
		for name in text:gmatch("`([%l_]+)`") do
			known[name] = true
		end
		local function check(value, what)
			for key, one in pairs(value) do
				assert.is_true(type(key) == "number" or known[key:gsub("_bytes$", "")], what .. " has an unknown " .. tostring(key))
				if type(one) == "table" and key ~= "config" and key ~= "annotations" then
					check(one, what)
				end
			end
		end
		for _, words in ipairs({
			{ "inspect" }, { "ls", "-r" }, { "ls", "--layer", "2" }, { "tree" }, { "history" }, { "history", "etc/motd" },
			{ "waste" }, { "check", "--severity", "note" }, { "gate" }, { "rm", "etc", "-n" }, { "squash", "-n" },
			{ "waste", "--drop", "-n" },
			{ "append", dir:file("public"), "-n" }, { "set", "--user", "1", "-n" }, { "extract", "x", "-n" },
			{ "packages" }, { "digest" }, { "tags" }, { "split", "--layer", "1", "usr", "-n" }, { "rechunk", "-n" },
			{ "rm", "--layer", "3", "-n" },
			{ "export", "-o", dir:file("rootfs.tar") }, { "export", "-o", dir:file("layer.tar"), "--layer", "1" },
		}) do
			table.insert(words, 2, app)
			words[#words + 1] = "--json"
			check(cjson.decode(command.run(words).stdout), words[1])
		end
		check(cjson.decode((command.check({ "index", "list", "--json", app }))), "index list")
		local layout = dir:file("json-layout")
		command.check({ "convert", app, "--format", "oci", "-o", layout })
		for _, words in ipairs({
			{ "gc", layout }, { "artifact", "add", layout, app, "--type", "a/b" }, { "artifact", "list", layout },
			{ "artifact", "inspect", layout },
		}) do
			words[#words + 1] = "--json"
			check(cjson.decode((command.check(words))), words[1])
		end
	end)
end)
