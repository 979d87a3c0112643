-- What README shows is what happens. Each block of it is run in a directory that has an image app.tar,
-- saved by docker, and links to what README names.

local strata = require "strata"
local docker = require "spec.support.docker"
local docker_registry = require "spec.support.docker_registry"
local nginx = require "spec.support.nginx"
local peers = require "spec.support.peers"
local sample = require "spec.support.sample"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local function need(...)
	local reason = peers.missing(...)
	if reason then
		pending(reason)
	end
end

local README = shell.read("README.md")
local TREE = shell.check({ "pwd" }):match("[^\n]+")
local BUILD = os.getenv("STRATA_BUILD") or "build"

--- The code of a section: the block behind the heading that has the language.
local function block(heading, language)
	local section = README:match("\n## " .. heading .. "\n(.-)\n## ") or README:match("\n## " .. heading .. "\n(.*)$")
	return assert(section:match("\n```" .. language .. "\n(.-)```"), heading .. " has no " .. language)
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

-- What `lua` does with what is typed: an expression is evaluated and its values are printed.
local REPL = [[
	for line in io.lines() do
		local code = load("return " .. line) or assert(load(line))
		local values = table.pack(code())
		if values.n > 0 then print(table.unpack(values, 1, values.n)) end
		io.write("\1")
	end
]]

describe("README", function()
	local dir, env

	setup(function()
		dir = tmp.dir()
		for _, name in ipairs({ "examples", "lua", "build" }) do
			shell.check({ "ln", "-s", TREE .. "/" .. name, dir:file(name) })
		end
		env = {
			LUA_PATH = TREE .. "/lua/?.lua;" .. TREE .. "/lua/?/init.lua;;",
			LUA_CPATH = TREE .. "/" .. BUILD .. "/lua5.4/?.so;;",
			LUA_INIT = "",
		}
	end)

	teardown(function()
		dir:remove()
	end)

	local function run(line)
		return (shell.check({ "sh", "-euc", line, cwd = dir.path, env = env }))
	end

	local function app()
		need("docker")
		local image = sample.app()
		shell.check({ "ln", "-sf", image.archive, dir:file("app.tar") })
		return image
	end

	it("starts with two commands: the demo, which installs, builds and operates, and the specs", function()
		assert.same({ "make demo", "make test" }, lines(block("Quick start", "sh")))
		assert.is_truthy(shell.read(".ci/run"):find("make %-j \"%$jobs\" test"))
		local output = shell.check({ "make", "demo" })
		for _, shown in ipairs({
			"an image made from busybox",
			"history, oldest first, beside the layers",
			"│   └── motd",
			"layer 1 .* copied\n",
			"layer 2 .* rewritten\n",
		}) do
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

	it("has a sample of what is done every day", function()
		app()
		local output = run("rm -rf app-layout; lua5.4 - <<'END'\n" .. block("Every day", "lua") .. "END")
		assert.matches("\n0%.%d+\nnormalized: %d+ entries", output)
		assert.matches("\n%-%-%- app:1 .-\n%+%+%+ .*\tfalse\napplication/spdx%+json, sha256:%x+\n$", output)
		assert.equal("https://git.example/app",
			assert(strata.open(dir:file("app-layout"))).annotations["org.opencontainers.image.source"])
	end)

	it("has a sample that does what its comments say", function()
		local image = app()
		local img = assert(strata.open(image.archive))
		assert(img:append({ files = { ["usr/share/doc/x/copyright"] = "x", ["opt/a/b.pyc"] = "y", ["opt/a/b.py"] = "z" } }))
		os.remove(dir:file("app.tar"))
		assert(img:save(dir:file("app.tar")))
		img:close()
		local output = lines(run("lua5.4 - <<'END'\n" .. block("In a script", "lua") .. "END"))
		assert.is_truthy(output[1]:find("^strata.Image%(app:1, linux/"))
		assert.equal(#image.inspect.RootFS.Layers + 3, #output)
		local root = assert(assert(strata.open(dir:file("app-slim.tar"))):rootfs())
		assert.is_false(root:exists("usr/share/doc"))
		assert.same({ "b.py" }, root:list("opt/a"))
		assert.same({ "app:1.4-slim" }, docker.load(dir:file("app-slim.tar")))
		assert.equal(output[#output], docker.id("app:1.4-slim"))
		assert.equal("v1.4-slim", docker.inspect("app:1.4-slim").Config.Labels["org.opencontainers.image.revision"])
	end)

	it("has a sample of what happens in a registry", function()
		need("docker-registry", "skopeo")
		app()
		local registry = docker_registry.start()
		finally(function()
			registry:stop()
		end)
		local code = block("In a registry", "lua"):gsub("registry%.example:5000", (registry.host:gsub("%%", "%%%%")))
		local output = run("lua5.4 - <<'END'\n" .. code .. "END")
		local skipped = assert(output:match("\n1\t(%d+)\n"), output)
		local prod = assert(strata.open("docker://" .. registry.host .. "/team/app:1.4-prod"))
		assert.equal("production", prod.config:get_label("stage"))
		assert.equal(#prod.layers, tonumber(skipped))
		assert.equal(prod.digest, assert(strata.open(dir:file("app-prod.tar"))).digest)
		local reference = ("docker://%s/team/app:1.4-prod"):format(registry.host)
		local words = { "skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", reference }
		assert.equal(prod.digest, shell.check(words):match("[^\n]+"))
	end)

	it("has a sample of what layers add up to", function()
		local image = app()
		local output = run("lua5.4 - <<'END'\n" .. block("Layers and what they add up to", "lua") .. "END")
		assert.is_truthy(output:find("^root:x:0:0:.-\nadded\tstrata%.Layer%(1, "))
		assert.equal("passwd\n", run("ls rootfs/etc/passwd | xargs basename"))
		assert.equal(shell.read("examples/inspect.lua"), shell.read(dir:file("rootfs/srv/examples/inspect.lua")))
		local before, after = assert(strata.open(image.archive)), assert(strata.open(dir:file("app-purged.tar")))
		assert.equal(#before.layers, #after.layers)
		assert.is_true(assert(after:verify()))
		assert.same({ "app:1" }, docker.load(dir:file("app-purged.tar")))
		assert.equal(after.id, docker.id("app:1"))
	end)

	it("has a line that edits an image between docker save and docker load", function()
		need("docker")
		docker.load(app().archive)
		docker.call({ "tag", "app:1", "app:1.4" })
		local before = docker.inspect("app:1.4")
		local commands = lines(block("As a stream", "sh"))
		assert.equal(1, #commands)
		local words = docker.environment()
		for name, value in pairs(env) do
			words[name] = value
		end
		local output = shell.check({ "sh", "-euc", commands[1], cwd = dir.path, env = words })
		assert.equal("Loaded image: app:1.4-slim\n", output)
		local after = docker.inspect("app:1.4-slim")
		assert.not_equal(before.Id, after.Id)
		assert.is_truthy(table.concat(after.Config.Env, "\n"):find("TZ=UTC", 1, true))
		assert.equal(#before.RootFS.Layers, #after.RootFS.Layers)
	end)

	it("has a sample of formats that skopeo and docker read", function()
		need("docker", "skopeo")
		local image = app()
		local output = lines(run("lua5.4 - <<'END'\n" .. block("Formats", "lua") .. "END"))
		local img = assert(strata.open(dir:file("app-oci")))
		assert.equal(img.digest, output[1])
		assert.equal("zstd", img.layers[1].compression)
		local digest = shell.check({ "skopeo", "inspect", "--format", "{{.Digest}}", "oci:" .. dir:file("app-oci") })
		assert.equal(output[1], digest:match("%S+"))
		local again = assert(strata.open(dir:file("app-docker.tar")))
		assert.equal(image.id, again.id)
		assert.is_true(assert(again:verify()))
		assert(again:save(dir:file("app-plain.tar"), { compression = "none" }))
		docker.load(dir:file("app-plain.tar"))
		assert.equal(image.id, docker.id("app:1"))
	end)

	it("has a check that finds no error in what Docker saves", function()
		need("docker")
		app()
		local output = run("lua5.4 - <<'END'\n" .. block("Checking", "lua") .. "END")
		assert.is_nil(output:find("error:", 1, true), output)
	end)

	it("has a session at the REPL that can be typed", function()
		shell.check({ "make", "demo" })
		local typed, shown = {}, {}
		for _, line in ipairs(lines((block("At the REPL", "")))) do
			if line:find("^> ") then
				typed[#typed + 1] = line:sub(3)
				shown[#typed] = ""
			elseif #typed > 0 then
				shown[#typed] = shown[#typed] .. line .. "\n"
			end
		end
		assert.is_true(#typed > 8)
		local output = shell.check({ "lua5.4", "-e", REPL, cwd = dir.path, env = env, input = table.concat(typed, "\n") })
		local n = 0
		for answer in output:gmatch("([^\1]*)\1") do
			n = n + 1
			answer = answer:gsub("\n+", "\n")
			assert.is_true(is_like(shown[n], answer), ("%s\nshould give\n%sand gives\n%s"):format(typed[n], shown[n], answer))
		end
		assert.equal(#typed, n)
	end)

	it("has examples that work on an image", function()
		local image = app()
		local commands = lines(block("Examples", "sh"))
		assert.equal(5, #commands)
		local inspected = run(commands[1])
		assert.is_truthy(inspected:find(image.id, 1, true))
		run(commands[2])
		local img = assert(strata.open(dir:file("slim.tar")))
		assert.is_true(assert(img:verify()))
		local stripped = run(commands[2]:gsub("usr/share.*", "/srv/links/ opt/owned"))
		assert.is_truthy(stripped:find("rewritten"))
		docker.load(dir:file("slim.tar"))
		assert.is_nil(sample.listing("app:1")["srv/links/second"])
		local id = run(commands[3]):match("sha256:%x+")
		assert.same({ "app:1", "app:tuned" }, (function(list)
			table.sort(list)
			return list
		end)(docker.load(dir:file("tuned.tar"))))
		assert.equal(id, docker.id("app:tuned"))
		assert.equal("1000", docker.inspect("app:tuned").Config.User)
		assert.is_nil(run(commands[4]):find("etc/passwd", 1, true))
		assert.is_truthy(run((commands[4]:gsub("%*%.conf", "pass*"))):find("etc/passwd.*added +by layer 1"))
		local walk = run(commands[5])
		for _, file in ipairs(assert(assert(strata.open(image.archive)):files())) do
			assert.is_truthy(walk:find(file.digest and file.digest:sub(8) or file.name, 1, true), file.name)
		end
		for _, layer in ipairs(image.inspect.RootFS.Layers) do
			assert.is_truthy(walk:find(layer, 1, true), layer)
		end
		assert.is_truthy(walk:find("every digest is right", 1, true))
	end)

	it("has a gate for CI that names what a policy forbids", function()
		app()
		local commands = lines(block("In CI", "sh"))
		assert.equal(1, #commands)
		local done = shell.run({ "sh", "-euc", commands[1], cwd = dir.path, env = env })
		assert.equal(1, done.status, done.stderr)
		assert.is_truthy(done.stdout:find("setid: layer %d: 'opt/setuid'"), done.stdout)
		assert.is_truthy(done.stdout:find("devices: layer %d: 'opt/null'"), done.stdout)
		assert.is_truthy(done.stdout:find(": 2 findings\n$"), done.stdout)
		shell.write(dir:file("rules.lua"), "return { setid = false, devices = false }")
		assert.is_truthy(run("lua5.4 examples/gate.lua app.tar rules.lua"):find(": passed\n$"))
		shell.write(dir:file("broken.tar"), (shell.read(dir:file("app.tar")):gsub("/bin/busybox", "/bin/busyb0x")))
		assert.equal(2, shell.run({ "lua5.4", "examples/gate.lua", "broken.tar", cwd = dir.path, env = env }).status)
	end)

	it("has a spec of what an image has to be", function()
		app()
		shell.write(dir:file("image_spec.lua"), block("In CI", "lua"))
		local output = run("lua5.4 $(command -v busted) -o TAP image_spec.lua")
		assert.is_truthy(output:find("1..3", 1, true), output)
		assert.is_nil(output:find("not ok", 1, true), output)
	end)

	it("starts an explorer in nginx, which checks and strips", function()
		local reason = nginx.missing()
		if reason then
			pending(reason)
		end
		local image = app()
		local section = README:match("\n## In nginx\n(.-)\n## ")
		local commands = {}
		for code in section:gmatch("```sh\n(.-)```") do
			for _, line in ipairs(lines(code)) do
				commands[#commands + 1] = line
			end
		end
		assert.equal("examples/openresty/run 8080 images", commands[1])
		local server = nginx.start({ directory = dir:file("images"), run = dir:file("examples/openresty/run") })
		local function ask(command)
			return run((command:gsub("8080", server.port)))
		end
		local checked = ask(commands[2])
		assert.is_truthy(checked:find(image.id, 1, true), checked)
		ask(commands[3])
		server:stop()
		local img = assert(strata.open(dir:file("slim.tar")))
		assert.is_true(assert(img:verify()))
		assert.is_truthy(section:find("doc/explorer.png", 1, true))
		assert.equal("\137PNG", shell.read("doc/explorer.png"):sub(1, 4))
	end)

	it("has a sample for nginx that edits in a thread", function()
		local reason = nginx.missing()
		if reason then
			pending(reason)
		end
		app()
		local code = block("In nginx", "lua")
		local directives, start, answer = code:match("^%-%- init_worker_by_lua: ([^\n]*)\n(.-)%-%- content_by_lua:\n(.*)$")
		local port = 30000 + math.random(2000)
		local conf = [[
			load_module /usr/lib/nginx/modules/ndk_http_module.so;
			load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
			user root; pid nginx.pid; error_log error.log; THREADS
			events { }
			http {
				access_log off; DICTIONARY
				client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
				lua_package_path "TREE/lua/?.lua;TREE/lua/?/init.lua;;"; lua_package_cpath "TREE/BUILD/lua5.1/?.so;;";
				init_worker_by_lua_block { START }
				server {
					listen 127.0.0.1:PORT; ABORT
					location / { content_by_lua_block { ANSWER ngx.say(saved and saved.id or message) } }
				}
			}]]
		local parts = {
			TREE = TREE, BUILD = BUILD, PORT = port, START = start,
			ANSWER = answer:gsub('"(%l+.tar)"', '"' .. dir.path .. '/%1"'),
		}
		parts.THREADS, parts.DICTIONARY, parts.ABORT = directives:match("^(thread_pool.-;) (lua_shared.-;) (lua_check.-;)$")
		local prefix = tmp.dir()
		prefix:write("nginx.conf", (conf:gsub("%u%u%u%u+", parts)))
		shell.check({ "nginx", "-p", prefix.path .. "/", "-c", "nginx.conf", "-e", "error.log", env = { PATH = shell.PATH } })
		local pid = nginx.wait("nginx", 5, function()
			return shell.run({ "cat", prefix:file("nginx.pid") }).stdout:match("%d+")
		end)
		local output = shell.run({ "curl", "-s", "http://127.0.0.1:" .. port .. "/" }).stdout
		shell.check({ "kill", pid })
		local img = assert(strata.open(dir:file("slim.tar")))
		assert.equal(img.id .. "\n", output)
		assert.equal("UTC", img.config:get_env("TZ"))
	end)

	it("installs to where Lua looks", function()
		local command = lines(block("Installing", "sh"))[1]
		assert.equal("sudo make install", command)
		shell.check({ "make", "install", "DESTDIR=" .. dir:file("installed") })
		local root = dir:file("installed") .. "/usr/local/"
		for _, lua in ipairs({ "lua5.4", "lua5.1", "luajit" }) do
			local version = lua:match("5.%d") or "5.1"
			local output = shell.check({
				lua,
				"-e",
				"print(require('strata')._VERSION, (require('strata.archive')))",
				cwd = dir.path,
				env = {
					LUA_PATH = ("%sshare/lua/%s/?.lua;%sshare/lua/%s/?/init.lua;;"):format(root, version, root, version),
					LUA_CPATH = ("%slib/lua/%s/?.so;;"):format(root, version),
				},
			})
			assert.is_truthy(output:find("^strata "), lua)
		end
	end)

	it("names the rock that .ci/rock builds", function()
		local command = README:match("`(luarocks make [^`]+)`")
		local script = shell.read(".ci/rock")
		assert.is_truthy(script:find(command:match("%S+$"), 1, true))
	end)

	it("lists, with its reference, the methods and fields that there are", function()
		local img = strata.new({ platform = "linux/amd64" })
		img:append({ files = { a = "b" } })
		local layer = img.layers[1]
		local entry = layer:entry("a")
		local objects = { img = img, layer = layer, entry = entry, config = img.config, strata = strata }
		local seen = 0
		for name, member in (README .. shell.read("doc/reference.md")):gmatch("`(%l+)[.:]([%l_]+)[({}]") do
			if objects[name] then
				seen = seen + 1
				assert.equal("function", type(objects[name][member]), name .. ":" .. member)
			end
		end
		assert.is_true(seen > 15)
	end)
end)
