-- Takes seconds: not for make check.
-- What the process as a whole must not be made to do. Each name begins with the row of the list of known attacks that
-- it stands for.

local archive = require "spec.support.docker_archive"
local core = require "strata.core"
local dialects = require "spec.support.docker_dialects"
local process = require "spec.support.process"
local refusal = require "spec.support.refusal"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

-- As `make coverage` builds them.
local COUNTED = (os.getenv("STRATA_BUILD") or ""):find("coverage$") ~= nil

-- The modules that this interpreter has loaded.
local function modules()
	local found = {}
	for _, name in ipairs({ "strata.core", "strata.archive" }) do
		local path = name:gsub("%.", "/")
		for template in package.cpath:gmatch("[^;]+") do
			local file = template:gsub("%?", path)
			if not found[name] and shell.run({ "test", "-f", file }).status == 0 then
				found[name] = file
			end
		end
	end
	return found
end

-- What a module asks of the C library and of others: name -> true.
local function imports(path)
	local names = {}
	for name in shell.check({ "nm", "-D", "--undefined-only", path }):gmatch("[Uw] ([%w_]+)") do
		names[name] = true
	end
	assert.is_true(names.malloc, path)
	return names
end

local function imports_none(...)
	for module, path in pairs(modules()) do
		local names = imports(path)
		if COUNTED then -- what counts its branches brings this along
			for _, name in ipairs({ "abort", "atoi", "exit", "fork", "sprintf", "strcat", "strtol" }) do
				names[name] = nil
			end
		end
		for _, name in ipairs({ ... }) do
			assert.is_nil(names[name], ("%s calls %s"):format(module, name))
		end
	end
end

local function image(dialect)
	return dialects.of[dialect or "docker_25"](archive.image({ layers = archive.layers(2) }))
end

describe("the process:", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		collectgarbage()
		dir:remove()
	end)

	if shell.which("nm") then
		it("P15: no module can mount anything", function()
			assert.is_truthy(modules()["strata.core"])
			imports_none("mount", "umount", "umount2", "unshare", "setns", "clone", "pivot_root", "chroot")
			imports_none("fsopen", "fsmount", "move_mount", "open_tree")
		end)

		it("X1: no module starts a program", function()
			imports_none("execve", "execv", "execvp", "execvpe", "execl", "execlp", "execle", "fexecve", "execveat")
			imports_none("fork", "vfork", "system", "popen", "posix_spawn", "posix_spawnp", "_Fork", "clone3")
		end)

		it("X2: no module loads another, or asks for names of users", function()
			imports_none("dlopen", "dlmopen", "dlsym", "chroot")
			imports_none("getpwnam", "getpwnam_r", "getpwuid", "getpwuid_r", "getgrnam", "getgrnam_r", "getgrgid")
			imports_none("getgrgid_r", "getaddrinfo", "gethostbyname", "initgroups", "getgrouplist", "iconv_open")
		end)

		it("X5: no module changes what belongs to the whole process", function()
			imports_none("setlocale", "umask", "chdir", "fchdir", "signal", "sigaction", "sigprocmask", "setenv", "putenv")
			imports_none("unsetenv", "clearenv", "setuid", "seteuid", "setgid", "setresuid", "setrlimit", "prlimit")
			imports_none("exit", "_exit", "abort", "atexit", "alarm", "setitimer", "longjmp", "setjmp")
			imports_none("_setjmp", "siglongjmp", "prctl", "daemon", "setsid")
			-- libarchive converts names by the thread's locale: strata.archive sets that for a call, and puts it back.
			assert.is_nil(imports(modules()["strata.core"]).uselocale)
		end)

		it("X6: no module calls what does not know the size of what it writes to", function()
			imports_none("sprintf", "vsprintf", "gets", "strcat", "stpcpy", "scanf", "sscanf", "alloca", "atoi", "atol")
			imports_none("strtol", "strtoul", "strtoll", "strtoull", "strtok", "tmpnam", "mktemp", "tempnam")
		end)
	else
		pending("nm is not installed")
	end

	it("X1: a compressed layer is inflated when there is no program to be found", function()
		local path = image("docker_29"):write(dir:file("image.tar"))
		local script = [[
			local strata = require "strata"
			local img = assert(strata.open(%q))
			io.write(tostring(assert(img:verify())), " ", (img.layers[1]:read("etc/layer1"):sub(1, 15)))
		]]
		local command = process.lua(script:format(path))
		local pipe = assert(io.popen("PATH=/nonexistent; export PATH; exec /usr/bin/" .. command, "r"))
		local output = pipe:read("*a")
		pipe:close()
		assert.equal("true this is layer 1", output)
	end)

	it("X2: owners are numbers, whatever their names say", function()
		local img = assert(strata.open(image():write(dir:file("image.tar"))))
		img.layers[1]:rewrite(function(entry)
			entry.uname, entry.gname = "nobody", "nogroup"
		end)
		assert(img:save(dir:file("named.tar")))
		local saved = assert(strata.open(dir:file("named.tar")))
		assert.equal("nobody", saved.layers[1]:entry("etc/layer1").uname)
		assert(saved:extract(dir:file("rootfs"), { unprivileged = true }))
		local me = shell.check({ "id", "-u" })
		assert.equal(me, shell.check({ "stat", "-c", "%u", dir:file("rootfs/etc/layer1") }))
		saved:close()
		img:close()
	end)

	describe("X4", function()
		it("X4: a failure leaves nothing behind, and what was there as it was", function()
			local built = image("podman")
			local layer = built.members[1]
			assert.truthy(layer.name:find("%.tar$"))
			layer.data = layer.data:gsub("this is", "THIS is", 1)
			local img = assert(strata.open(built:write(dir:file("bad.tar"))))
			local place = tmp.dir(dir.path)
			for _, format in ipairs({ "docker", "docker-legacy", "oci-archive" }) do
				place:write("target", "before")
				local result, message, code = img:save(place:file("target"), { format = format })
				refusal.expect(result, message, code)
				assert.equal("EDIGEST", code, message)
				assert.equal("before", shell.read(place:file("target")))
				assert.same({ "target" }, place:names())
				os.remove(place:file("target"))
			end
			assert.is_nil((img:save(place:file("layout"), { format = "oci" })))
			assert.is_nil((img:extract(place:file("rootfs"), { unprivileged = true })))
			assert.same({}, place:names())
			img:close()
		end)

		it("X4: names that a temporary file might have had are not in the way", function()
			local img = assert(strata.open(image():write(dir:file("image.tar"))))
			local place = tmp.dir(dir.path)
			local outside = dir:write("outside", "kept")
			for _, name in ipairs({ ".strata", "target.tmp", ".target", "target~", ".strata-0", ".strata-target" }) do
				shell.check({ "ln", "-s", outside, place:file(name) })
			end
			local before = place:names()
			assert(img:save(place:file("target")))
			assert.equal(#before + 1, #place:names())
			assert.equal("kept", shell.read(outside))
			img:close()
		end)

		it("X4: what was begun and forgotten is removed by the collector", function()
			local place = tmp.dir(dir.path)
			local file = assert(core.create_file(place:file("never")))
			assert(file:write(0, "half"))
			file = nil -- luacheck: ignore
			collectgarbage()
			collectgarbage()
			assert.same({}, place:names())
		end)
	end)

	it("X5: directory, mask, locale and signals are what they were before", function()
		local function state()
			local status = shell.read("/proc/self/status"):gsub("\n", "|")
			local words = { os.setlocale(), shell.check({ "readlink", "/proc/self/cwd" }) }
			for _, name in ipairs({ "Umask", "SigBlk", "SigIgn", "SigCgt" }) do
				words[#words + 1] = status:match(name .. ":%s*(%x+)")
			end
			return table.concat(words, " ")
		end
		local img = assert(strata.open(image("docker_29"):write(dir:file("image.tar"))))
		local before = state()
		assert(img:verify({ threads = 2 }))
		assert(img:check())
		img:rewrite(function(entry) entry.uid = 7 end)
		assert(img:save(dir:file("out.tar"), { threads = 2 }))
		assert(img:extract(dir:file("rootfs"), { unprivileged = true }))
		assert.equal(before, state())
		img:close()
	end)

	it("X5: documents that are nested without end are refused", function()
		for _, open in ipairs({ "[", '{"a":' }) do
			local text = open:rep(1000000)
			local doc, message, code = core.json(text)
			refusal.expect(doc, message, code)
		end
	end)

	it("X6: sizes that overflow when they are added are refused", function()
		local path = dir:write("image.tar", "")
		for _, size in ipairs({ 2 ^ 62, 2 ^ 53, 2 ^ 63 - 1024 }) do
			local built = image()
			built.members[#built.members + 1] = { name = "big", size = size, data = "" }
			local img, message, code = strata.open(built:write(path))
			refusal.expect(img, message, code)
			assert.is_true(code == "EFORMAT" or code == "ELIMIT", message)
		end
	end)

	it("X6: a file that is shorter than its header says is refused, and not padded", function()
		local whole = image("podman"):bytes()
		for _, cut in ipairs({ 1536, 5000, #whole - 1024 - 700 }) do
			local img, message, code = strata.open(dir:write("short.tar", whole:sub(1, cut)))
			refusal.expect(img, message, code)
			assert.equal("EFORMAT", code, message)
		end
	end)
end)
