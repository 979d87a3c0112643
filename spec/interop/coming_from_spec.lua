-- doc/coming-from.md: the Lua of each row runs, and what the other tools here do is the same.

local archive = require "spec.support.archive"
local cjson = require "cjson"
local docker = require "spec.support.docker"
local kitchen = require "spec.support.kitchen"
local peers = require "spec.support.peers"
local python = require "spec.support.python"
local registry = require "spec.support.registry"
local shell = require "spec.support.shell"
local skopeo = require "spec.support.skopeo"
local strata = require "strata"

local specify = archive.specify(it, pending)

local DOC = shell.read("doc/coming-from.md")
local TREE = shell.check({ "pwd" }):match("[^\n]+")

-- Runs the rows of a tool, each with an image that is opened anew. Prints those that gave nothing, and their number.
local RUN = [==[
	%s
	local function run(code)
		img = assert(strata.open(ref))
		gone = "docker://HOST/app:gone"
		assert(strata.copy("app.tar", gone))
		piped, out = io.open("app.tar", "rb"), io.open("piped.tar", "wb")
		for _, name in ipairs { "out", "cp", "rootfs", "rootless", "bundle", "app-layout" } do
			os.execute("rm -rf " .. name)
		end
		local is_assignment = code:find("^img%%.config%%.[%%w., ]+ = ")
		local fn = assert(load(is_assignment and code .. " return true" or "return " .. code))
		local value, message = fn()
		if not value and not code:find("hub:rate", 1, true) then print(code, message) end
		if img.edited then assert(img:save "edited.tar") end
		img:close()
		piped:close()
		out:close()
	end
	local count = 0
	for code in io.lines "rows" do
		count = count + 1
		local ok, message = xpcall(run, debug.traceback, code)
		if not ok then print(code, message) end
	end
	print(count)
]==]

describe("doc/coming-from.md", function()
	local bench, dir, hub

	setup(function()
		if not shell.which(python.PATH) then
			return
		end
		bench = archive.bench()
		dir = bench.dir:file("kitchen")
		kitchen.stock(dir)
		hub = registry.start({ delete = true })
		assert(strata.copy(dir .. "/app.tar", "docker://" .. hub.host .. "/app:1"))
		shell.check({ "mkdir", dir .. "/changed" })
		shell.write(dir .. "/changed/new", "new")
		assert(bench:load(dir .. "/app.tar").layers[1]:save(dir .. "/layer.tar"))
	end)

	teardown(function()
		if bench then
			hub:stop()
			bench:close()
		end
	end)

	-- The codes of a table, in Lua and for the shell.
	local function rows_of(tool)
		local section = assert(DOC:match("\n## " .. tool .. "\n(.-)\n%- "), tool)
		local lua, sh = {}, {}
		for line in section:gmatch("\n(| [^\n]+)") do
			local code, command = line:gsub("\\|", "\1"):match("^| [^|]+ | `([^|]+)` | ([^|]+) |$")
			lua[#lua + 1] = code and code:gsub("\1", "|")
			sh[#sh + 1] = command and command:gsub("\1", "|"):match("^`(.*)`$")
		end
		assert(select(2, section:gsub("\n| ", "")) - 1 == #lua, tool .. ": a row without code")
		return lua, sh
	end

	local function environment()
		return { LUA_PATH = ("%s/lua/?.lua;%s/lua/?/init.lua;;"):format(TREE, TREE),
			LUA_CPATH = package.cpath:gsub("%./", TREE .. "/"), PATH = TREE .. "/bin:" .. shell.PATH }
	end

	for _, tool in ipairs({ "crane", "regctl", "skopeo", "umoci", "dive", "docker" }) do
		specify("has Lua that runs for each row: " .. tool, function()
			local prelude = DOC:match("\n```lua\n(.-)```"):gsub("local (%l+) = ", "%1 = ")
			local script = RUN:format(prelude:gsub("%%", "%%%%")):gsub("HOST", hub.host)
			shell.write(dir .. "/run.lua", (script:gsub("registry%.example", hub.host)))
			local codes = rows_of(tool)
			shell.write(dir .. "/rows", (table.concat(codes, "\n") .. "\n"):gsub("registry%.example", hub.host))
			assert.equal(#codes .. "\n", shell.check({ "lua5.4", "run.lua", cwd = dir, env = environment() }))
		end)

		specify("has commands that run: " .. tool, function()
			if kitchen.lacks_command() then
				return pending(kitchen.lacks_command())
			end
			local _, commands = rows_of(tool)
			assert.is_true(#commands > 7)
			for _, command in ipairs(commands) do
				shell.check({ "sh", "-c", 'cd "$1" && rm -rf TO out cp rootfs rootless bundle app-layout less arm.tar', "-", dir })
				local line = command:gsub("REF", "docker://" .. hub.host .. "/app:1"):gsub("registry%.example", hub.host)
				local done = shell.run({ "sh", "-c", line, cwd = dir, env = environment() })
				assert.equal(command:find("^strata diff") and 1 or 0, done.status, line .. "\n" .. done.stderr)
				local to = command:match("%-o ([%w.-]+)$")
				assert(not to or to == "-" or shell.run({ "test", "-e", dir .. "/" .. to }).status == 0, line)
			end
		end)
	end

	-- ---- what the others do is the same

	local function need(...)
		local reason = peers.missing(...)
		if reason then
			pending(reason)
		end
		shell.check({ "rm", "-rf", dir .. "/theirs", dir .. "/ours" })
		return bench:load(dir .. "/app.tar")
	end

	local function call(...)
		return shell.check({ env = { PATH = shell.PATH, LC_ALL = "C.UTF-8" }, ... })
	end

	-- The image as a layout that umoci edits and strata edits, each its own.
	local function layouts()
		local img = need("umoci", "skopeo")
		img.tags = { "app" }
		for _, name in ipairs({ "/theirs", "/ours" }) do
			assert(img:save(dir .. name, { format = "oci" }))
		end
		return bench:load(dir .. "/ours")
	end

	local function umoci(command, ...)
		return call("umoci", command, "--image", dir .. "/theirs:latest", ...)
	end

	local function names_of(text)
		local names = {}
		for line in text:gmatch("[^\n]+") do
			names[#names + 1] = line:gsub("^%./", ""):gsub("/$", "")
		end
		table.sort(names)
		return names
	end

	specify("skopeo inspect --config --raw, and config:text()", function()
		local img = need("skopeo")
		local text = call("skopeo", "inspect", "--config", "--raw", "docker-archive:" .. dir .. "/app.tar")
		assert.equal(text, img.config:text())
	end)

	specify("skopeo inspect, and img:inspect()", function()
		local img = need("skopeo")
		local theirs = skopeo.inspect("docker-archive:" .. dir .. "/app.tar")
		local ours = img:inspect()
		assert.same({ theirs.Env, theirs.Architecture, theirs.Os }, { ours.Config.Env, ours.Architecture, ours.Os })
	end)

	specify("skopeo list-tags, and hub:tags()", function()
		need("skopeo")
		local theirs = call("skopeo", "list-tags", "--tls-verify=false", "docker://" .. hub.host .. "/app")
		local ours = assert(strata.registry():tags("docker://" .. hub.host .. "/app"))
		assert.same(cjson.decode(theirs).Tags, { (table.unpack or unpack)(ours) }) -- luacheck: ignore 113
	end)

	specify("skopeo copy to a layout, and img:save as one", function()
		local img = need("skopeo")
		skopeo.copy("docker-archive:" .. dir .. "/app.tar", "oci:" .. dir .. "/theirs:latest")
		assert(img:save(dir .. "/ours", { format = "oci" }))
		local theirs, ours = bench:load(dir .. "/theirs"), bench:load(dir .. "/ours")
		assert.equal(theirs.layers[3].diff_id, ours.layers[3].diff_id)
		assert.equal("", table.concat(strata.diff(theirs, ours, { semantic = true }).files))
		skopeo.copy("oci:" .. dir .. "/ours:1.4", "docker-archive:" .. dir .. "/back.tar")
		assert.equal(img.layers[1].diff_id, bench:load(dir .. "/back.tar").layers[1].diff_id)
		os.remove(dir .. "/back.tar")
	end)

	specify("skopeo --override-arch, and platform", function()
		need("skopeo")
		call("skopeo", "--insecure-policy", "--override-arch", "arm64", "copy", "--quiet",
			"oci-archive:" .. dir .. "/multi.tar:1", "dir:" .. dir .. "/theirs")
		local ours = bench:load(dir .. "/multi.tar", { platform = "linux/arm64" })
		assert.equal(ours.digest, bench:load(dir .. "/theirs").digest)
	end)

	specify("umoci ls, rm and gc, and what strata does", function()
		local img = layouts()
		img:tag("app:old")
		assert(img:save(dir .. "/ours"))
		umoci("tag", "old")
		local function expect_same()
			local tags, blobs = {}, {}
			for _, row in ipairs(assert(strata.open_index(dir .. "/ours")).manifests) do
				for _, tag in ipairs(row.tags) do
					tags[#tags + 1] = tag:match("[^:]+$")
				end
			end
			table.sort(tags)
			assert.same(names_of(call("umoci", "ls", "--layout", dir .. "/theirs")), tags)
			for i, name in ipairs({ "/theirs", "/ours" }) do
				blobs[i] = shell.check({ "ls", dir .. name .. "/blobs/sha256" })
			end
			assert.equal(blobs[1], blobs[2])
		end
		expect_same()
		for _, tag in ipairs({ "old", "latest" }) do
			call("umoci", "rm", "--image", dir .. "/theirs:" .. tag)
			call("umoci", "gc", "--layout", dir .. "/theirs")
			local index = assert(strata.open_index(dir .. "/ours"))
			assert(index:remove("app:" .. tag))
			assert(index:save(dir .. "/ours"))
			assert(strata.gc(dir .. "/ours", { remove = true }))
			expect_same()
		end
	end)

	specify("umoci config, and img.config", function()
		local img = layouts()
		umoci("config", "--config.user", "1000", "--config.env", "A=b", "--manifest.annotation", "a=b",
			"--clear", "config.cmd")
		img.config.User, img.config.Cmd = "1000", nil
		img.config:set_env("A", "b")
		img:set_annotation("a", "b")
		local theirs = bench:load(dir .. "/theirs")
		for _, key in ipairs({ "User", "Env", "Cmd", "Entrypoint" }) do
			assert.same(theirs:inspect().Config[key] or {}, img:inspect().Config[key] or {}, key)
		end
		assert.equal(theirs.annotations.a, img.annotations.a)
	end)

	specify("umoci insert and insert --whiteout, and img:append", function()
		local img = layouts()
		umoci("insert", dir .. "/public", "/srv/www")
		umoci("insert", "--whiteout", "/etc/motd")
		assert(img:append({ dir = dir .. "/public", to = "srv/www" }))
		assert(img:append({ files = { ["etc/.wh.motd"] = "" } }))
		local theirs = bench:load(dir .. "/theirs")
		assert.is_false(theirs:rootfs():exists("etc/motd"))
		local diff = assert(strata.diff(theirs, img, { semantic = true }))
		for _, row in ipairs(diff.files) do
			assert.equal("changed", row.change, tostring(row)) -- of directories, which umoci does not make
		end
		assert.is_nil(img:rootfs():stat("etc/motd"))
		assert.equal("<p>", img:read("srv/www/index.html"))
	end)

	specify("umoci unpack, and img:extract", function()
		local img = layouts()
		umoci("unpack", dir .. "/bundle")
		assert(img:extract(dir .. "/rootfs"))
		local LIST = 'cd "$1" && find . -mindepth 1 -printf "%P %y %m %U:%G %l\\n" | sort'
		local theirs = shell.check({ "sh", "-c", LIST, "-", dir .. "/bundle/rootfs" })
		assert.equal(theirs, shell.check({ "sh", "-c", LIST, "-", dir .. "/rootfs" }))
		shell.check({ "diff", "-r", dir .. "/bundle/rootfs", dir .. "/rootfs" })
	end)

	specify("docker load, inspect, history, tag, export and import, and what strata does", function()
		local img = need("docker")
		docker.load(dir .. "/app.tar")
		assert.equal(img.id, docker.id("app:1.4"))
		local theirs, ours = docker.inspect("app:1.4").Config, img:inspect().Config
		assert.same({ theirs.Env, theirs.Cmd, theirs.Entrypoint }, { ours.Env, ours.Cmd, ours.Entrypoint })
		local rows = img:history()
		for i, row in ipairs(docker.history("app:1.4")) do -- the newest first
			assert.equal(row.created_by, rows[#rows + 1 - i].created_by)
		end
		local container = docker.call({ "create", "app:1.4", "x" }):match("%x+")
		docker.call({ "export", "--output", dir .. "/theirs.tar", container })
		docker.call({ "rm", container })
		assert(img:export(dir .. "/ours.tar"))
		local added = { dev = true, proc = true, sys = true, [".dockerenv"] = true }
		local seen = {}
		for _, name in ipairs(names_of(shell.check({ "tar", "-tf", dir .. "/theirs.tar" }))) do
			local is_added = added[name:match("^[^/]+")] or name:find("^etc/hosts?") or name:find("^etc/resolv")
				or name:find("^etc/mtab")
			seen[#seen + 1] = not is_added and name or nil
		end
		assert.same(seen, names_of(shell.check({ "tar", "-tf", dir .. "/ours.tar" })))
		docker.call({ "import", dir .. "/ours.tar", "imported:1" })
		docker.save(dir .. "/imported.tar", "imported:1")
		local new = strata.new()
		assert(new:append({ tar = dir .. "/ours.tar" }))
		assert.equal("", table.concat(strata.diff(bench:load(dir .. "/imported.tar"), new, { semantic = true }).files))
	end)
end)
