-- Takes seconds: not for make check.
-- Each snippet of doc/cookbook.md runs as it stands there, and does what its heading says.

local archive = require "spec.support.archive"
local kitchen = require "spec.support.kitchen"
local python = require "spec.support.python"
local registry = require "spec.support.registry"
local shell = require "spec.support.shell"
local strata = require "strata"

local specify = archive.specify(it, pending)

local COOKBOOK = shell.read("doc/cookbook.md")
local TREE = shell.check({ "pwd" }):match("[^\n]+")
local LUA = os.getenv("STRATA_LUA") or shell.which("lua5.4")

local CA = kitchen.CA

describe("doc/cookbook.md", function()
	local bench, inputs, hub, host

	setup(function()
		if not shell.which(python.PATH) then
			return
		end
		bench = archive.bench()
		inputs = bench.dir:file("inputs")
		kitchen.stock(inputs)
		hub = registry.start({})
		host = hub.host
		assert(strata.copy(inputs .. "/app.tar", "docker://" .. host .. "/app:1"))
	end)

	teardown(function()
		if bench then
			hub:stop()
			bench:close()
		end
	end)

	local PRELUDE, LAST = COOKBOOK:match("\n```lua\n(.-)\n\n(.-)```")

	-- What a snippet finds besides, by its heading: called with the directory, gives what it found out.
	local prepare = {}

	prepare["How do I set labels from git?"] = function(dir)
		shell.sh([[
			cd "$1" && git init -q . && git config user.name x && git config user.email x@example.com
			git commit -q --allow-empty -m x]], dir)
		return shell.check({ "git", "rev-parse", "HEAD", cwd = dir }):match("%x+")
	end

	prepare["How do I stop an image that breaks the rules?"] = function(dir)
		local rules = COOKBOOK:match("policy\"%).check%(img, (%b{})%)")
		shell.write(dir .. "/policy.lua", "return " .. rules)
	end

	prepare["How do I find what tools would read in different ways, and mend it?"] = function(dir)
		local entries = { { name = "a", data = "1" }, { name = "b", data = "2" }, { name = "a", data = "3" } }
		archive.build(dir .. "/app.tar", { layers = { { entries = entries } }, tags = { "app:1" } })
	end

	local function environment()
		return {
			LUA_PATH = ("%s/lua/?.lua;%s/lua/?/init.lua;;"):format(TREE, TREE),
			LUA_CPATH = package.cpath:gsub("%./", TREE .. "/"),
			PATH = TREE .. "/bin:" .. shell.PATH,
		}
	end

	-- The block of a language below a heading; nil for none.
	local function block_of(heading, language)
		local first, last = COOKBOOK:find("\n### " .. heading .. "\n", 1, true)
		assert.is_truthy(first, heading)
		local section = COOKBOOK:sub(last):match("^(.-)\n##") or COOKBOOK:sub(last)
		local code = section:match("\n```" .. language .. "\n(.-)```")
		return code and (code:gsub("docker://registry%.example", "docker://" .. (host or "")))
	end

	-- Fills a directory anew; gives what was prepared in it, and what runs the words there.
	local function fresh(heading, input)
		local dir = bench.dir:file("cook")
		shell.check({ "sh", "-c", 'rm -rf "$2"; cp -r "$1" "$2"', "-", inputs, dir })
		local cooked = { dir = dir, prepared = prepare[heading] and prepare[heading](dir) }
		function cooked.run(words)
			words.cwd, words.input, words.env = dir, input, environment()
			local done = shell.run(words)
			assert.equal("", done.stderr)
			cooked.output, cooked.status = done.stdout, done.status
		end
		function cooked.open(name, options)
			return bench:load(dir .. "/" .. (name or "app-new.tar"), options)
		end
		function cooked.before()
			return cooked.open("app.tar")
		end
		function cooked.root(name)
			return assert(cooked.open(name):rootfs())
		end
		function cooked.read(name)
			return shell.read(dir .. "/" .. name)
		end
		return cooked
	end

	-- Runs the snippet below a heading in a directory of its own.
	local function cook(heading, input)
		local code = assert(block_of(heading, "lua"), heading)
		local cooked = fresh(heading, input)
		cooked.ends = code:find("os.exit", 1, true) ~= nil
		shell.write(cooked.dir .. "/snippet.lua",
			PRELUDE .. "\n" .. code .. (cooked.ends and "" or "\nif img.edited then " .. LAST .. "end\n"))
		local words = { LUA, "snippet.lua" }
		if code:find("describe(", 1, true) then
			words = { LUA, shell.which("busted"), "-o", "TAP", "snippet.lua" }
		end
		cooked.run(words)
		return cooked
	end

	-- Runs the commands below a heading. Docker is not asked: what it would save comes from app.tar.
	local function cook_commands(heading)
		local cooked = fresh(heading)
		local code = block_of(heading, "sh"):gsub("docker save %S+", "cat app.tar"):gsub("docker load", "cat")
		cooked.run({ "sh", "-uc", code })
		return cooked
	end

	-- The same layers but for those with these numbers.
	local function expect_same_layers(a, b, but)
		for i, layer in ipairs(a.layers) do
			assert.equal(not (but or {})[i], b.layers[i] ~= nil and layer.diff_id == b.layers[i].diff_id, "layer " .. i)
		end
	end

	local checks = {}

	-- ---- looking

	checks["How do I see what is in an image?"] = function(cooked)
		assert.matches("^strata.Image%(app:1.4, .-linux/amd64\t%d+\n", cooked.output)
		assert.matches("\nstrata.Layer%(2, [^\n]*\tRUN apt%-get install curl\nno layer\tENV TOKEN", cooked.output)
		assert.matches("├── etc", cooked.output, 1, true)
	end
	checks["How do I find the biggest files, and the layers they are in?"] = function(cooked)
		assert.matches("^50000\t3\topt/app/data.bin\n20000\t%d\t", cooked.output)
		assert.equal(10, select(2, cooked.output:gsub("\n", "")))
	end
	checks["How do I see which layer added, changed or deleted a file?"] = function(cooked)
		assert.equal("added\t1\tADD rootfs /\nchanged\t3\tCOPY app /opt/app\n", cooked.output)
	end
	checks["How do I read a file without unpacking anything?"] = function(cooked)
		assert.equal("Hello.\n", cooked.output)
	end
	checks["How do I list the files that match a glob?"] = function(cooked)
		assert.equal("opt/app/copy.bin\nopt/app/data.bin\n", cooked.output)
	end
	checks["How do I list the installed packages?"] = function(cooked)
		assert.equal("libc6\t2.36\n", cooked.output)
	end
	checks["How do I list all files with their hashes?"] = function(cooked)
		local wanted = shell.check({ "sha256sum", input = "Hello.\n" }):match("%x+") .. "  etc/motd\n"
		assert.matches(wanted, cooked.output, 1, true)
	end
	checks["How do I get a listing as JSON?"] = function(cooked)
		assert.matches('\n{"path":"etc/motd"[^\n]*"digest":"sha256:%x+"', cooked.output)
		assert.is_nil(cooked.output:find("\n[^{]"))
	end
	checks["How do I find the same content in several layers?"] = function(cooked)
		assert.equal("20000\t2:var/cache/pkg.bin\t3:opt/app/copy.bin\n", cooked.output:match("20000[^\n]*\n"))
	end
	checks["How do I find what the image wastes?"] = function(cooked)
		assert.matches("^20028\t0%.%d+\n20000\tvar/cache/pkg.bin\tdeleted\t2\t3\n", cooked.output)
	end
	checks["How do I find set-uid files?"] = function(cooked)
		assert.equal("4755 usr/bin/su\n", cooked.output)
	end
	checks["How do I search all layers for a text?"] = function(cooked)
		assert.equal("2\troot/.ssh/id_rsa\n", cooked.output)
	end
	checks["How do I compare two images?"] = function(cooked)
		assert.matches("~ etc/motd: mtime 2024", cooked.output)
		assert.matches("\n%d+\tfalse\n$", cooked.output)
	end
	checks["How do I tell whether a rebuild gave the same?"] = function(cooked)
		assert.equal("true\n", cooked.output)
	end
	checks["How do I know what a save would change before it happens?"] = function(cooked)
		assert.equal("1\trewritten\n2\tcopied\n3\tcopied\n", cooked.output)
	end

	-- ---- files

	checks["How do I remove a directory from every layer?"] = function(cooked)
		for entry in cooked.open():entries() do
			assert.is_nil(entry.path:find("share/doc") or entry.path:find("share/man") or entry.path:find("%.pyc"), entry.path)
		end
		expect_same_layers(cooked.before(), cooked.open(), { true, false, true })
	end
	checks["How do I remove a secret for good?"] = function(cooked)
		assert.is_nil(cooked.read("app-new.tar"):find("SECRET KEY", 1, true))
		assert.is_nil(cooked.read("app-new.tar"):find("s3cret", 1, true))
		assert.matches("root/.ssh/id_rsa", cooked.output, 1, true)
	end
	checks["How do I keep some paths and drop the rest?"] = function(cooked)
		local root = cooked.root()
		assert.same({ "etc", "opt" }, root:list("/"))
		assert.is_true(root:exists("opt/app/run") and root:exists("etc/passwd"))
	end
	checks["How do I change owners?"] = function(cooked)
		assert.equal(1000, cooked.root("app.tar"):stat("opt/app/run").uid)
		local entry = cooked.root():stat("opt/app/run")
		assert.same({ 0, 0 }, { entry.uid, entry.gid })
		expect_same_layers(cooked.before(), cooked.open(), { false, false, true })
	end
	checks["How do I change modes?"] = function(cooked)
		assert.equal(493, cooked.root():stat("usr/bin/su").mode)
	end
	checks["How do I add a file?"] = function(cooked)
		local entry = cooked.root():stat("etc/app.conf")
		assert.same({ "mode = production\n", 416, 1000 }, { entry:read(), entry.mode, entry.uid })
		assert.equal("app.conf", cooked.open().layers[4].created_by)
	end
	checks["How do I add a directory of this machine?"] = function(cooked)
		assert.same({ "index.html" }, cooked.root():list("srv/www"))
		assert.equal(0, cooked.root():stat("srv/www/index.html").uid)
	end
	checks["How do I add a CA certificate?"] = function(cooked)
		assert.equal("OLD CA\nCOMPANY CA\n", cooked.root():read(CA))
	end
	checks["How do I change a file where it is, without a new layer?"] = function(cooked)
		assert.equal("Welcome.\n", cooked.root():read("etc/motd"))
		assert.equal(3, #cooked.open().layers)
	end
	checks["How do I delete a file and leave the layers as they are?"] = function(cooked)
		assert.is_false(cooked.root():exists("etc/motd"))
		expect_same_layers(cooked.before(), cooked.open())
	end
	checks["How do I extract one file or directory?"] = function(cooked)
		assert.equal("#!/bin/sh\n", cooked.read("out/opt/app/run"))
		assert.equal("debug", cooked.read("out/etc/app.conf"))
		assert.equal("app.conf\n", shell.check({ "ls", cooked.dir .. "/out/etc" }))
	end
	checks["How do I unpack the whole file system?"] = function(cooked)
		assert.equal("Hello.\n", cooked.read("rootfs/etc/motd"))
		assert.equal("", shell.check({ "ls", "-A", cooked.dir .. "/rootfs/var/cache" }))
	end
	checks["How do I write the file system as one tar, to a pipe?"] = function(cooked)
		local names = shell.check({ "tar", "-t", input = cooked.output })
		assert.matches("\nopt/app/run\n", names, 1, true)
		assert.is_nil(names:find("pkg.bin", 1, true))
	end
	checks["How do I mount an image with overlayfs?"] = function(cooked)
		local lower = cooked.output:match("^mount %-t overlay %-o lowerdir=(%S+) overlay /mnt\n$")
		local list = {}
		for one in lower:gmatch("[^:]+") do
			list[#list + 1] = one
		end
		assert.equal(3, #list)
		local top = list[1]:find("^/") and list[1] or cooked.dir .. "/" .. list[1]
		assert.equal("debug", shell.read(top .. "/etc/app.conf"))
	end

	-- ---- config

	checks["How do I set a variable, and remove one?"] = function(cooked)
		assert.same({ "PATH=/bin:/usr/bin", "TZ=UTC" }, { cooked.open().config.Env[1], cooked.open().config.Env[2] })
		assert.equal(2, #cooked.open().config.Env)
		expect_same_layers(cooked.before(), cooked.open())
	end
	checks["How do I set entrypoint and command?"] = function(cooked)
		assert.same({ "/opt/app/run", "--log=json" }, cooked.open():inspect().Config.Entrypoint)
		assert.is_nil(cooked.open().config.Cmd)
	end
	checks["How do I make it run as another user?"] = function(cooked)
		assert.equal("1000:1000", cooked.open().config.User)
	end
	checks["How do I set labels from git?"] = function(cooked)
		assert.equal(cooked.prepared, cooked.open().config:get_label("org.opencontainers.image.revision"))
		assert.equal("https://git.example/app", cooked.open().config:get_label("org.opencontainers.image.source"))
	end
	checks["How do I declare ports and volumes, or take them away?"] = function(cooked)
		local ports = {}
		for name in cooked.open().config:each("ExposedPorts") do
			ports[#ports + 1] = name
		end
		table.sort(ports)
		assert.same({ "53/udp", "8080/tcp" }, ports)
		assert.is_truthy(cooked.open().config.Volumes["/var/lib/app"])
	end
	checks["How do I set a healthcheck?"] = function(cooked)
		assert.equal("--ping", cooked.open().config:get("/config/Healthcheck/Test/2"))
		assert.matches('"Interval":%s*30000000000[,}]', cooked.open().config:text())
	end
	checks["How do I remove a password from the history?"] = function(cooked)
		assert.equal("1\n", cooked.output)
		assert.equal("ENV ***", cooked.open():history()[3].created_by)
	end
	checks["How do I set an annotation?"] = function(cooked)
		assert.equal("https://git.example/app",
			cooked.open("app-oci.tar").annotations["org.opencontainers.image.source"])
	end
	checks["How do I give it another tag?"] = function(cooked)
		local tags = cooked.open().tags
		assert.same({ "registry.example/app:1.5", "registry.example/app:latest", 2 }, { tags[1], tags[2], #tags })
		assert.equal(cooked.before().id, cooked.open().id)
	end

	-- ---- layers

	checks["How do I squash all layers above the base?"] = function(cooked)
		local img = cooked.open()
		assert.equal(2, #img.layers)
		assert.equal(cooked.before().layers[1].diff_id, img.layers[1].diff_id)
		assert.is_true(strata.diff(cooked.before(), img, { semantic = true }).files[1] == nil)
	end
	checks["How do I make one layer of all?"] = function(cooked)
		assert.equal(1, #cooked.open().layers)
		assert.is_nil(strata.diff(cooked.before(), cooked.open(), { semantic = true }).files[1])
	end
	checks["How do I replace the base image?"] = function(cooked)
		expect_same_layers(cooked.before(), cooked.open(), { true, false, false })
		assert.equal(cooked.open("base-new.tar").layers[1].diff_id, cooked.open().layers[1].diff_id)
	end
	checks["How do I remove the layer that a step of the Dockerfile made?"] = function(cooked)
		assert.equal(2, #cooked.open().layers)
		assert.is_false(cooked.root():exists("usr/bin/curl"))
		assert.equal(3, #cooked.open():history())
	end
	checks["How do I move a layer?"] = function(cooked)
		assert.equal(cooked.before().layers[3].diff_id, cooked.open().layers[2].diff_id)
		assert.equal("COPY app /opt/app", cooked.open().layers[2].created_by)
	end
	checks["How do I split a big layer?"] = function(cooked)
		local img = cooked.open()
		assert.is_true(#img.layers > 4)
		assert.is_truthy(img.layers[#img.layers]:entry("opt/app/lib/a.pyc"))
		assert.is_nil(strata.diff(cooked.before(), img, { semantic = true }).files[1])
	end
	checks["How do I lay layers out so that updates are small?"] = function(cooked)
		local img = cooked.open()
		assert.is_true(#img.layers > 1 and #img.layers <= 8)
		assert.equal(#img.layers, select(2, cooked.output:gsub("\n", "")))
		assert.is_nil(strata.diff(cooked.before(), img, { semantic = true }).files[1])
	end
	checks["How do I get rid of copies that only a chmod or chown has made?"] = function(cooked)
		assert.is_true(tonumber(cooked.output:match("^%d+")) > 0)
		assert.is_nil(cooked.open().layers[3]:entry("etc/passwd"))
		assert.equal(384, cooked.root():stat("etc/passwd").mode)
	end
	checks["How do I write one layer to a file?"] = function(cooked)
		local names = shell.check({ "tar", "-tzf", cooked.dir .. "/layer.tar.gz" })
		assert.matches("usr/bin/su\n", names, 1, true)
	end
	checks["How do I add a layer of another image?"] = function(cooked)
		assert.equal(cooked.open("base-new.tar").layers[1].diff_id, cooked.open().layers[4].diff_id)
	end

	-- ---- formats

	checks["How do I convert from Docker's format to OCI?"] = function(cooked)
		assert.equal(cooked.before().id, cooked.open("app-layout").id)
		assert.equal(cooked.open("app-layout").digest, cooked.open("app-oci.tar").digest)
		assert.matches("imageLayoutVersion", cooked.read("app-layout/oci-layout"))
	end
	checks["How do I compress the layers with zstd?"] = function(cooked)
		local img = cooked.open("app-zstd.tar")
		assert.same({ "zstd", "zstd" }, { img.layers[1].compression, img.layers[3].compression })
		assert.equal(cooked.before().id, img.id)
	end
	checks["How do I make a build reproducible?"] = function(cooked, again)
		shell.check({ "mv", inputs .. "/app.tar", inputs .. "/app-1.tar" })
		shell.check({ "cp", inputs .. "/rebuilt.tar", inputs .. "/app.tar" })
		local first = cooked.read("app-normal.tar")
		local second = again().read("app-normal.tar")
		shell.check({ "mv", inputs .. "/app-1.tar", inputs .. "/app.tar" })
		assert.is_true(first == second)
	end
	checks["How do I edit an image between `docker save` and `docker load`?"] = function(cooked)
		shell.write(cooked.dir .. "/out.tar", cooked.output)
		assert.equal("UTC", cooked.open("out.tar").config:get_env("TZ"))
		expect_same_layers(cooked.before(), cooked.open("out.tar"))
	end
	checks["How do I make an image from nothing?"] = function(cooked)
		local img = cooked.open("www.tar")
		assert.same({ "www:1", "-f" }, { img.tags[1], img.config.Cmd[2] })
		assert.equal("<p>", img:read("srv/www/index.html"))
		assert.is_true(img:verify())
	end

	-- ---- several images

	checks["How do I see which images a file has, and choose one?"] = function(cooked)
		assert.matches("^a:1\tlinux/amd64\tsha256:%x+\nb:1\tlinux/arm64\tsha256:%x+\n", cooked.output)
		assert.matches("\nstrata.Image%(b:1, ", cooked.output)
	end
	checks["How do I make one multi-platform image of two?"] = function(cooked)
		assert.equal("arm64", cooked.open("multi.tar", { ref = "app:1", platform = "linux/arm64" }):read("arch"))
		assert.equal("amd64", cooked.open("multi.tar", { ref = "app:1", platform = "linux/amd64" }):read("arch"))
	end
	checks["How do I edit all platforms at once?"] = function(cooked)
		for _, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
			local img = cooked.open("multi-new.tar", { ref = "app:1", platform = platform })
			assert.equal("production", img.config:get_label("stage"))
		end
	end
	checks["How do I annotate an index?"] = function(cooked)
		local img = cooked.open("multi-new.tar", { ref = "app:1", platform = "linux/arm64" })
		assert.equal("Example", img.index.annotations["org.opencontainers.image.vendor"])
		assert.is_nil(img.annotations["org.opencontainers.image.vendor"])
	end
	checks["How do I drop a platform?"] = function(cooked)
		local index = assert(strata.open_index(cooked.dir .. "/amd64-only.tar"))
		assert.same({ 1, "linux/amd64" }, { #index.manifests, tostring(index.manifests[1].platform) })
	end
	checks["How do I drop attestations?"] = function(cooked)
		assert.equal(2, #assert(strata.open_index(inputs .. "/attested")).manifests)
		local index = assert(strata.open_index(cooked.dir .. "/attested"))
		assert.same({ 1, "image" }, { #index.manifests, index.manifests[1].kind })
	end
	checks["How do I delete an image from a layout, and its blobs?"] = function(cooked)
		local function blobs(path)
			return select(2, shell.check({ "ls", path .. "/blobs/sha256" }):gsub("\n", ""))
		end
		assert.equal(1, #assert(strata.open_index(cooked.dir .. "/layout")).manifests)
		assert.is_true(blobs(cooked.dir .. "/layout") < blobs(inputs .. "/layout"))
		assert.is_true(cooked.open("layout"):verify())
	end

	-- ---- registries

	checks["How do I copy an image between registries?"] = function()
		local a = assert(strata.open("docker://" .. host .. "/app:1"))
		assert.equal(a.digest, assert(strata.open("docker://" .. host .. "/mirror/app:1")).digest)
	end
	checks["How do I change a label in a registry without fetching the layers?"] = function(cooked)
		assert.equal("1\t3\n", cooked.output)
		local prod = assert(strata.open("docker://" .. host .. "/app:1-prod"))
		assert.equal("production", prod.config:get_label("stage"))
	end
	checks["How do I download an image, or upload one?"] = function(cooked)
		assert.equal(cooked.open("pulled.tar").digest, hub:tags("app")["2"])
		assert.is_true(cooked.open("pulled.tar"):verify())
	end
	checks["How do I attach a list of contents, or a signature, to an image?"] = function(cooked)
		local digest = cooked.output:match("sha256:%x+")
		local found = assert(strata.open_artifact("docker://" .. host .. "/app@" .. digest))
		assert.equal("{}", found:read("app.spdx.json"))
	end
	checks["How do I list the tags of a repository?"] = function(cooked)
		assert.matches("^1\n", cooked.output)
	end

	-- ---- in CI

	checks["How do I check that nothing in a file is damaged?"] = function(cooked)
		assert.equal("true\n", cooked.output)
	end
	checks["How do I stop an image that breaks the rules?"] = function(cooked)
		assert.equal(1, cooked.status)
		assert.matches("secrets: 'root/.ssh/id_rsa'", cooked.output, 1, true)
		assert.matches("root_user", cooked.output, 1, true)
	end
	checks["How do I find what tools would read in different ways, and mend it?"] = function(cooked)
		assert.matches("duplicate%-path", cooked.output)
		assert.equal("none", tostring(cooked.open():check({ severity = "note" })))
		assert.equal("3", cooked.open():read("a"))
	end
	checks["How do I write a test for an image?"] = function(cooked)
		assert.matches("1..3\n", cooked.output, 1, true)
		assert.is_nil(cooked.output:find("not ok", 1, true), cooked.output)
	end
	checks["How do I try one thing and go back?"] = function(cooked)
		assert.equal("another base\nfalse\n", cooked.output)
	end

	-- ---- what the command says, where it is not what the Lua says

	local says = {
		["How do I see what is in an image?"] = "app:1.4.-RUN apt%-get install curl.-├── etc",
		["How do I find the biggest files, and the layers they are in?"] = "^%S+ +%S+ +50000 [^\n]*opt/app/data.bin\n",
		["How do I see which layer added, changed or deleted a file?"] =
			"^added +layer 1  ADD rootfs /\nchanged +layer 3  COPY app /opt/app\n$",
		["How do I get a listing as JSON?"] = '"path":"etc/motd"',
		["How do I find what the image wastes?"] = "20.0 kB.-var/cache/pkg.bin.-deleted by layer 3",
		["How do I compare two images?"] = "~ etc/motd: mtime 2024",
		["How do I tell whether a rebuild gave the same?"] = "no differences",
		["How do I know what a save would change before it happens?"] = "layer 1: rewritten.-\n  2 layers as before",
		["How do I write the file system as one tar, to a pipe?"] = "\nopt/app/run\n",
		["How do I mount an image with overlayfs?"] = "lowerdir",
		["How do I change a label in a registry without fetching the layers?"] = "",
		["How do I check that nothing in a file is damaged?"] = "",
	}
	local STATUS_OF = { ["How do I compare two images?"] = 1, ["How do I stop an image that breaks the rules?"] = 1 }

	local function check_history(cooked)
		assert.equal("ENV ***", cooked.open():history()[3].created_by)
	end

	-- ---- running

	for heading in COOKBOOK:gmatch("\n### ([^\n]+)") do
		local function need_git()
			if heading:find("from git", 1, true) and not shell.which("git") then
				pending("git is not installed")
			end
		end

		specify(heading, function()
			local check = checks[heading]
			assert.is_function(check, "no check for this heading")
			need_git()
			local input = heading:find("docker save", 1, true) and shell.read(inputs .. "/app.tar") or nil
			local cooked = cook(heading, input)
			assert.equal(cooked.ends and cooked.status or 0, cooked.status)
			check(cooked, function()
				return cook(heading)
			end)
		end)

		if block_of(heading, "sh") and LUA:find("5%.4$") then -- the command has an interpreter of its own
			specify(heading .. " With the command", function()
				if kitchen.lacks_command() then
					return pending(kitchen.lacks_command())
				end
				need_git()
				local cooked = cook_commands(heading)
				assert.equal(STATUS_OF[heading] or 0, cooked.status)
				if says[heading] then
					return assert.matches(says[heading], cooked.output)
				end
				local check = heading:find("from the history", 1, true) and check_history or checks[heading]
				check(cooked, function()
					return cook_commands(heading)
				end)
			end)
		end
	end
end)
