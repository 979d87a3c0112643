-- What README shows is what happens. Its blocks are run as they stand, in the order in which a reader types
-- them, and all of them twice, in one directory, with what `make install` has put there and nothing else.

local strata = require "strata"
local docker = require "spec.support.docker"
local docker_registry = require "spec.support.docker_registry"
local nginx = require "spec.support.nginx"
local peers = require "spec.support.peers"
local sample = require "spec.support.sample"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local README = shell.read("README.md")
local TREE = shell.check({ "pwd" }):match("[^\n]+")

--- The blocks of README: their chapter, language and text, in their order.
local function blocks_of(text)
	local blocks, chapter, block = {}, nil, nil
	for line in text:gmatch("([^\n]*)\n") do
		local language = line:match("^```(%l*)$")
		if language and block then
			block.code = table.concat(block, "\n") .. "\n"
			blocks[#blocks + 1], block = block, nil
		elseif language then
			block = { chapter = chapter, language = language }
		elseif block then
			block[#block + 1] = line
		else
			chapter = line:match("^## (.+)$") or chapter
		end
	end
	return blocks
end

local blocks = blocks_of(README)

--- The block of a chapter: the nth that has the language.
local function block(chapter, language, nth)
	local seen = 0
	for _, each in ipairs(blocks) do
		if each.chapter == chapter and each.language == language then
			seen = seen + 1
			if seen == (nth or 1) then
				each.is_run = true
				return each.code
			end
		end
	end
	error(("%s has no block %d of %q"):format(chapter, nth or 1, language))
end

local function lines(text)
	local list = {}
	for line in text:gmatch("[^\n]+") do
		list[#list + 1] = line
	end
	return list
end

--- Whether output is as README shows it, where "…" stands for anything.
local function is_like(shown, output)
	local pattern = shown:gsub("\n…\n", "\1"):gsub("…", "\1"):gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0"):gsub("\1", ".*")
	return output:find("^" .. pattern .. "$") ~= nil
end

local skipped -- why a block was not run, if one was not

local function skip(reason)
	if reason then
		skipped = reason
		pending(reason)
	end
end

local function need(...)
	skip(peers.missing(...))
end

--- An image that has what the samples look for.
local function save_app(path)
	local img = assert(strata.open(sample.app().archive))
	assert(img:append({ files = { ["usr/share/doc/x/copyright"] = "x", ["opt/a/b.pyc"] = "y", ["opt/a/b.py"] = "z" } }))
	img.tags = { "app:1.4" }
	assert(img:save(path))
	img:close()
end

describe("README", function()
	local dir, prefix, env

	setup(function()
		dir = tmp.dir()
		prefix = dir:file("usr")
		for _, name in ipairs({ "examples", "build" }) do
			shell.check({ "ln", "-s", TREE .. "/" .. name, dir:file(name) })
		end
		env = {
			LUA_PATH = ("%s/share/lua/5.4/?.lua;%s/share/lua/5.4/?/init.lua;;"):format(prefix, prefix),
			LUA_CPATH = prefix .. "/lib/lua/5.4/?.so;;",
			LUA_INIT = "",
			PATH = prefix .. "/bin:" .. shell.PATH,
			XDG_STATE_HOME = dir.path,
		}
	end)

	teardown(function()
		dir:remove()
	end)

	local function attempt(code)
		local words = { "sh", "-euc", code, cwd = dir.path, env = env }
		return shell.run(words)
	end

	local function run(code)
		local done = attempt(code)
		assert.equal(0, done.status, code .. "\n" .. done.stdout .. done.stderr)
		return done.stdout
	end

	local function script(code)
		return run("lua5.4 - <<'END'\n" .. code .. "END")
	end

	local function with_docker()
		need("docker")
		for name, value in pairs(docker.environment()) do
			if name ~= "PATH" then
				env[name] = value
			end
		end
	end

	-- ---- a chapter each ----

	local chapters = {}
	local function chapter(name, title, fn)
		chapters[#chapters + 1] = { name = name, title = title, fn = fn }
	end

	chapter("Install", "three commands build, try and install", function()
		local commands = lines(block("Install", "sh"))
		assert.same({ "make demo", "make test", "sudo make install" }, commands)
		assert.is_truthy(shell.read(".ci/run"):find("make %-j \"%$jobs\" test"))
		shell.check({ "make", "demo" })
		shell.check({ "make", "install", "PREFIX=" .. prefix })
		assert.equal(strata._VERSION .. "\n", run("strata --version"))
	end)

	chapter("Install", "five lines look at an image and slim it", function()
		with_docker()
		save_app(dir:file("given.tar"))
		docker.load(dir:file("given.tar"))
		local output = run(block("Install", "sh", 2))
		assert.is_truthy(output:find("app:1.4", 1, true), output)
		assert.is_truthy(output:find("wasted", 1, true), output)
		assert.is_truthy(output:find("Loaded image: app:1.4\n", 1, true), output)
		local root = assert(assert(strata.open(dir:file("app-slim.tar"))):rootfs())
		assert.is_false(root:exists("usr/share/doc"))
		assert.same({ "b.py" }, root:list("opt/a"))
	end)

	chapter("In a script", "a script edits an image that Docker loads under the ID that it printed", function()
		with_docker()
		local output = lines(script(block("In a script", "lua")))
		assert.is_truthy(output[1]:find("^strata.Image%(app:1.4, linux/"))
		local img = assert(strata.open(dir:file("app-slim.tar")))
		assert.is_false(img:rootfs():exists("usr/share/doc"))
		assert.same({ "app:1.4-slim" }, docker.load(dir:file("app-slim.tar")))
		assert.equal(output[#output], docker.id("app:1.4-slim"))
		assert.equal("v1.4-slim", docker.inspect("app:1.4-slim").Config.Labels["org.opencontainers.image.revision"])
	end)

	chapter("In CI", "a gate names what a policy forbids", function()
		need("docker")
		local done = attempt(block("In CI", "sh"))
		assert.equal(1, done.status, done.stderr)
		assert.is_truthy(done.stdout:find("setid: 'opt/setuid': ", 1, true), done.stdout)
		assert.is_truthy(done.stdout:find("devices: 'opt/null': ", 1, true), done.stdout)
		shell.write(dir:file("rules.lua"), "return { setid = false, devices = false }")
		run("strata gate app.tar rules.lua")
		shell.write(dir:file("broken.tar"), (shell.read(dir:file("app.tar")):gsub("/bin/busybox", "/bin/busyb0x")))
		assert.equal(1, attempt("strata gate broken.tar rules.lua").status)
	end)

	chapter("In CI", "a spec says what an image has to be", function()
		need("docker")
		shell.write(dir:file("image_spec.lua"), block("In CI", "lua"))
		local output = run("lua5.4 $(command -v busted) -o TAP image_spec.lua")
		assert.is_truthy(output:find("1..1", 1, true), output)
		assert.is_nil(output:find("not ok", 1, true), output)
	end)

	chapter("At the REPL", "a session can be typed", function()
		local command, typed, shown = nil, {}, {}
		for _, line in ipairs(lines(block("At the REPL", ""))) do
			if line:find("^%$ ") then
				command = line:sub(3)
			elseif line:find("^> ") then
				typed[#typed + 1], shown[#typed + 1] = line:sub(3), ""
			else
				shown[#typed] = shown[#typed] .. line .. "\n"
			end
		end
		assert.is_true(#typed > 5)
		local input = table.concat(typed, "\nio.write('\\1') io.flush()\n") .. "\nio.write('\\1') io.flush()\n"
		local output, n = attempt(command .. " <<'END' 2>&1\n" .. input .. "END").stdout, 0
		for answer in output:gmatch("([^\1]*)\1") do
			n = n + 1
			answer = answer:gsub("\n+", "\n")
			assert.is_true(is_like(shown[n], answer), ("%s\nshould give\n%sand gives\n%s"):format(typed[n], shown[n], answer))
		end
		assert.equal(#typed, n)
	end)

	chapter("In a registry", "a script moves what was touched", function()
		need("docker", "docker-registry", "skopeo")
		local registry = docker_registry.start()
		finally(function()
			registry:stop()
		end)
		local code = block("In a registry", "lua"):gsub("registry%.example:5000", (registry.host:gsub("%%", "%%%%")))
		local output = script(code)
		assert.is_truthy(output:find("root:x:0", 1, true), output)
		local prod = assert(strata.open("docker://" .. registry.host .. "/team/app:1.4-prod"))
		assert.equal("production", prod.config:get_label("stage"))
		assert.equal(prod.digest, assert(strata.open(dir:file("app-prod.tar"))).digest)
		local reference = ("docker://%s/team/app:1.4-prod"):format(registry.host)
		local words = { "skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", reference }
		assert.equal(prod.digest, shell.check(words):match("[^\n]+"))
	end)

	chapter("As a stream", "a line edits an image between docker save and docker load", function()
		with_docker()
		docker.load(dir:file("given.tar"))
		assert.equal("Loaded image: app:1.4-slim\n", run(block("As a stream", "sh")))
		assert.is_truthy(table.concat(docker.inspect("app:1.4-slim").Config.Env, "\n"):find("TZ=UTC", 1, true))
	end)

	chapter("In nginx", "a command starts the explorer, which checks and strips for programs", function()
		skip(nginx.missing() or peers.missing("docker"))
		local commands = lines(block("In nginx", "sh"))
		assert.equal("strata serve --port 8080 images", commands[1])
		local words = commands[1]:gsub("8080", "$1"):gsub("images", "$2")
		shell.check({ "chmod", "755", dir:write("serve", "#!/bin/sh\nexec " .. words .. "\n") })
		local server = nginx.start({ directory = dir:file("images"), run = dir:file("serve"), env = env })
		finally(function()
			server:stop()
		end)
		local asked = lines(block("In nginx", "sh", 2))
		assert.is_truthy(run((asked[1]:gsub("8080", server.port))):find("sha256:", 1, true))
		run((asked[2]:gsub("8080", server.port)))
		assert.is_true(assert(assert(strata.open(dir:file("slim.tar"))):verify()))
		assert.equal("\137PNG", shell.read("doc/explorer.png"):sub(1, 4))
	end)

	chapter("In C", "a program runs a script within its memory", function()
		need("docker")
		assert.is_truthy(run(block("In C", "sh")):find("^ *%d+  layer %d+  "))
	end)

	for round, word in ipairs({ "", ", when typed again" }) do
		for _, each in ipairs(chapters) do
			it(("%s: %s%s"):format(each.name, each.title, word), each.fn)
		end
		it("has no block that was not run" .. word, function()
			if skipped then
				return pending(skipped)
			end
			for _, each in ipairs(blocks) do
				assert.is_true(each.is_run, ("%s has a block that no spec runs:\n%s"):format(each.chapter, each.code))
				each.is_run = round ~= 1
			end
		end)
	end
end)

describe("README, besides", function()
	local function app()
		need("docker")
		return sample.app()
	end

	it("has a demo that shows what it does", function()
		local output = shell.check({ "make", "demo" })
		for _, shown in ipairs({ "│   └── motd", "layer 1 .* copied\n", "layer 2 .* rewritten\n" }) do
			assert.is_truthy(output:find(shown), shown)
		end
		local before, after = assert(strata.open("build/demo/before.tar")), assert(strata.open("build/demo/after.tar"))
		assert.equal(before.layers[1].diff_id, after.layers[1].diff_id)
		assert.is_nil(after.layers[2]:entry("usr/share/doc/busybox/copyright"))
		assert.equal("mode = production\n", after.layers[2]:read("etc/app.conf"))
	end)

	it("has a demo whose result runs in docker", function()
		need("docker")
		shell.check({ "make", "demo" })
		assert.same({ "strata-demo:after" }, docker.load("build/demo/after.tar"))
		assert.equal(
			"Made by strata from Debian's busybox.\nmode = production\nTZ is UTC\n",
			docker.run("strata-demo:after")
		)
	end)

	it("has a demo that takes the user's own image", function()
		local image = app()
		local output = shell.check({ "make", "demo", "IMAGE=" .. image.archive })
		assert.is_truthy(output:find(image.id, 1, true))
		local after = assert(strata.open("build/demo/after.tar"))
		assert.is_truthy(output:find(after.id, 1, true))
		assert.equal("UTC", after.config:get_env("TZ"))
	end)

	it("names the rock that .ci/rock builds", function()
		assert.is_truthy(shell.read(".ci/rock"):find(README:match("`luarocks make [^`]-([^ `/]+)%.rockspec`"), 1, true))
	end)

	it("links to files and headings that there are", function()
		for target in README:gmatch("%]%(([^)#:]+)[#)]") do
			assert.equal(0, shell.run({ "test", "-e", target }).status, target)
		end
		for target, heading in README:gmatch("%]%(([^)#:]*)#([^)]+)%)") do
			local text = ("\n" .. shell.read(target == "" and "README.md" or target)):lower()
			assert.is_truthy(text:find("\n#+ [`]?" .. heading:gsub("%-", ".")), target .. "#" .. heading)
		end
	end)
end)
