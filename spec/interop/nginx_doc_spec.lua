-- doc/nginx.md: the configuration starts as it stands there, but for its paths and its port, and answers as it says.

local archive = require "spec.support.archive"
local cjson = require "cjson"
local core = require "strata.core"
local docker_archive = require "spec.support.docker_archive"
local jobs = require "strata.jobs"
local nginx = require "spec.support.nginx"
local options = require "strata.util.options"
local ports = require "spec.support.ports"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"
local waiting = require "spec.support.waiting"

local DOC = shell.read("doc/nginx.md")
local TREE = shell.check({ "pwd" }):match("[^\n]+")
local BUILD = os.getenv("STRATA_BUILD") or "build"

local function replace(text, from, to)
	local first, last = text:find(from, 1, true)
	assert.is_truthy(first, from)
	local after = text:sub(last + 1)
	return text:sub(1, first - 1) .. to .. (after:find(from, 1, true) and replace(after, from, to) or after)
end

-- Whether the user that the document names can read the checkout, as that of a server can read what is installed.
local function can_read(user)
	return shell.run({ "setpriv", "--reuid=" .. user, "--regid=" .. user, "--clear-groups", "test", "-r",
		TREE .. "/lua/strata/init.lua" }).status == 0
end

describe("doc/nginx.md", function()
	local dir, bench, url, pid, app

	-- The configuration with paths of this machine.
	local function configuration(port)
		local conf = assert(DOC:match("\n```nginx\n(.-)```"))
		conf = replace(conf, "/usr/local/share/lua/5.1/", TREE .. "/lua/")
		conf = replace(conf, "/usr/local/lib/lua/5.1/", TREE .. "/" .. BUILD .. "/lua5.1/")
		conf = replace(conf, "/var/lib/strata", dir:file("data"))
		conf = replace(conf, "/run/strata.pid", dir:file("pid"))
		conf = replace(conf, "/var/log/nginx/strata.log", dir:file("log"))
		conf = replace(conf, "127.0.0.1:8090", "127.0.0.1:" .. port)
		if shell.check({ "id", "-u" }):match("%d+") ~= "0" then
			conf = conf:gsub("\nuser [^\n]*", "")
			for _, name in ipairs({ "proxy", "fastcgi", "uwsgi", "scgi" }) do
				conf = conf:gsub("\nhttp {\n", ("%%0%s_temp_path %s;\n"):format(name, dir:file(name)))
			end
		elseif not can_read("www-data") then
			conf = replace(conf, "user www-data;", "user root;")
		end
		return conf
	end

	setup(function()
		if nginx.missing() then
			return
		end
		dir, bench = tmp.dir(), archive.bench()
		local _, _, path = bench:open({
			{ entries = { { name = "usr/share/doc/a", data = "a" }, { name = "etc/passwd", data = "root" } } },
			{ entries = { { name = "home/x/.ssh/id_rsa", data = "secret" } } },
		}, { tags = { "app:1" }, config = { config = { User = "1000", Env = { "A=1" }, Cmd = cjson.null } } })
		app = path
		shell.check({ "chmod", "711", dir.path, dir.path:match("^(.*)/") }) -- the worker is another user
		local words = { "install", "-d", "-m", "700", dir:file("data") }
		if can_read("www-data") then
			words[#words + 1] = "--owner=www-data"
		end
		shell.check(words)
		local port = ports.free()
		url = "http://127.0.0.1:" .. port
		shell.write(dir:file("strata.conf"), configuration(port))
		for _, options_of in ipairs({ { "-t" }, {} }) do
			shell.check({ "nginx", "-c", dir:file("strata.conf"), options_of[1], env = { PATH = shell.PATH } })
		end
		pid = waiting.till("nginx", function()
			return shell.run({ "cat", dir:file("pid") }).stdout:match("%d+")
		end)
	end)

	teardown(function()
		if pid then
			shell.check({ "kill", pid })
		end
		if dir then
			dir:remove()
			bench:close()
		end
	end)

	local function ask(path, file, ...)
		if not pid then
			return pending(nginx.missing())
		end
		local words = { "curl", "-s", "-w", "\n%{http_code}", "-T", file or app, url .. path, ... }
		local body, status = shell.check(words):match("^(.*)\n(%d+)$")
		return body, tonumber(status)
	end

	-- What is in the directory of the server, and what is removed and still open.
	local function left()
		local open = [[
			for worker in $(pgrep -P "$1"); do ls -l "/proc/$worker/fd" | grep "$2.*(deleted)" || :; done]]
		return shell.check({ "find", dir:file("data"), "-type", "f" }) .. shell.sh(open, pid, dir:file("data"))
	end

	it("answers with the config of what is uploaded, and reads no layer for it", function()
		local body, status = ask("/config")
		assert.equal(200, status, body .. shell.read(dir:file("log")))
		local facts = cjson.decode(body)
		assert.equal(assert(strata.open(app)).id, facts.id)
		assert.same({ "app:1", "A=1" }, { facts.tags[1], facts.config.config.Env[1] })
		assert.equal(200, select(2, ask("/config", app, "-H", "Transfer-Encoding: chunked")))
	end)

	it("tells what breaks the policy, with 422", function()
		local body, status = ask("/check")
		assert.same({ 422, "secrets: 'home/x/.ssh/id_rsa': matches a secret's path" }, { status, body:match("^[^\n]+") })
		local img = bench:load(app)
		assert(img:remove("home"))
		assert(img:save(dir:file("good.tar")))
		body, status = ask("/check", dir:file("good.tar"))
		assert.same({ 200, img.id .. "\n" }, { status, body })
	end)

	it("answers with the edited image, and leaves nothing behind", function()
		local slim = dir:file("slim.tar")
		local _, status = ask("/edit?remove=usr/share/doc&remove=home&env=TZ=UTC&tag=app:slim", app, "-o", slim)
		assert.equal(200, status, shell.read(dir:file("log")))
		local img = bench:load(slim)
		assert.is_true(img:verify())
		assert.same({ "app:slim", "UTC" }, { img.tags[1], img.config:get_env("TZ") })
		assert.is_false(img:rootfs():exists("usr/share/doc") or img:rootfs():exists("home"))
		waiting.till("the files to go", function()
			return left() == ""
		end)
	end)

	it("has statuses for what goes wrong, in words for a client", function()
		local junk = dir:file("junk")
		shell.write(junk, ("no image "):rep(300))
		local body, status = ask("/config", junk)
		assert.equal(422, status, body)
		assert.matches('"code":"EFORMAT"', body, 1, true)
		assert.matches('"error":"the upload', body, 1, true)
		assert.is_nil(body:find(dir.path, 1, true), body)
		body, status = ask("/edit?env=TZ")
		assert.same({ 400, true }, { status, body:find("env=NAME=value is wanted", 1, true) ~= nil })
		body, status = ask("/edit?nosuch=1&tag=app:slim")
		assert.same({ 400, true }, { status, body:find("and not nosuch", 1, true) ~= nil })
		body, status = ask("/edit?tag=APP")
		assert.equal(400, status, body)
		local status_of = { "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}" }
		status_of[7] = url .. "/result/x"
		assert.equal("404", shell.check(status_of))
		status_of[7] = url .. "/config"
		assert.equal("400", shell.check(status_of))
		assert.equal("", left())
	end)

	it("takes a body of many megabytes, and removes it when the client goes away", function()
		if not pid then
			return pending(nginx.missing())
		end
		local big = dir:file("big.tar")
		local img = strata.new()
		assert(img:append({ files = { ["a"] = ("\0"):rep(3e7) } }))
		assert(img:save(big))
		assert.equal(200, select(2, ask("/edit?env=A=2", big, "-o", "/dev/null")))
		shell.run({ "curl", "-s", "-m", "0.05", "--limit-rate", "20M", "-T", big, url .. "/edit", "-o", "/dev/null" })
		waiting.till("the files to go", function()
			return left() == ""
		end)
		assert.equal(200, select(2, ask("/config")))
	end)

	-- An image that is small, so that nginx has it at once with the head of the request, and takes minutes to read:
	-- 600 times a layer of 250 MB of zeros, which limits.ratio lets pass.
	local function endless()
		local header = docker_archive.header({ name = "zeros", size = 250e6 })
		local function piped(command)
			return shell.check({ "sh", "-c", "{ cat; head -c 250001408 /dev/zero; } | " .. command, input = header })
		end
		local diff_id, names, diff_ids = "sha256:" .. piped("sha256sum"):match("%x+"), {}, {}
		for i = 1, 600 do
			names[i], diff_ids[i] = "l", diff_id
		end
		local config = { architecture = "amd64", os = "linux", rootfs = { type = "layers", diff_ids = diff_ids } }
		return docker_archive.tar({
			{ name = "manifest.json", data = cjson.encode({ { Config = "c", RepoTags = { "z:1" }, Layers = names } }) },
			{ name = "c", data = cjson.encode(config) },
			{ name = "l", data = piped("zstd -qc") },
		})
	end

	it("gives up a job whose client goes away", function()
		if not pid then
			return pending(nginx.missing())
		end
		local long = dir:file("long.tar")
		shell.write(long, endless())
		for _ = 1, 2 do -- as many as there are threads
			local gone = shell.run({ "curl", "-s", "-m", "1", "-X", "PUT", "--data-binary", "@" .. long, url .. "/check" })
			assert.equal(28, gone.status, gone.stdout) -- out of time: the job was running
		end
		local ending, body, status = core.monotonic() + 60
		repeat
			body, status = ask("/config")
		until status ~= 503 or core.monotonic() > ending
		assert.equal(200, status, body)
	end)

	it("names the jobs that there are, with their arguments", function()
		local told = {}
		for name, arguments in DOC:match("| job | arguments(.-)\n\n"):gmatch("\n| `(%l+)` | ([^|]*)|") do
			told[name] = arguments
			assert.is_function(jobs[name], name)
		end
		local CLASSES = { entries = "EntriesArguments", list = "ListArguments", read = "ReadArguments",
			largest = "LargestArguments", paths = "PathsArguments", waste = "PageArguments", diff = "DiffArguments",
			fetch = "FetchArguments", check = "CheckArguments", edit = "EditArguments", save = "SaveArguments" }
		for name in pairs(jobs) do
			assert.is_truthy(name == "run" or told[name], name)
			for option in options.each(CLASSES[name] or "PathArguments") do
				local is_common = option == "path" or option == "open" or option == "registry" or option == "keep"
				assert.is_truthy(name == "run" or is_common or told[name]:find("`" .. option .. "`", 1, true), option)
			end
		end
		for option in options.each("EditTable") do
			assert.matches("`" .. option .. "`", DOC, 1, true)
		end
	end)
end)
