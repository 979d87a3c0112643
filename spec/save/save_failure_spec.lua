-- Takes seconds: not for make check.
-- The world does not let an image be saved: the target stays as it is, and nothing else is left.

local archive = require "spec.support.docker_archive"
local child = require "spec.support.child"
local dialects = require "spec.support.docker_dialects"
local refusal = require "spec.support.refusal"
local rights = require "spec.support.rights"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local dir = tmp.dir()

-- A layer that does not become small when it is compressed.
local function noise(size)
	local parts, state = {}, 12345
	for i = 1, size do
		state = (state * 16807) % 2147483647
		parts[i] = string.char(state % 256)
	end
	return table.concat(parts)
end

local layers = archive.layers(2)
layers[3] = archive.layer({ { name = "noise", data = noise(300000) }, { name = "small", data = "x" } })
local made = archive.image({ layers = layers })
local source = dialects.of.docker_25(made):write(dir:file("source.tar"))
local compressed = dialects.of.kaniko(made):write(dir:file("compressed.tar"))

local function opened(kind, from, opts)
	local img = assert(strata.open(from or source, opts))
	if kind ~= "unedited" then
		img.config:set_env("A", "B")
	end
	if kind == "layer" then
		img.layers[3]:remove("small")
	end
	return img
end

local KINDS = { "unedited", "config", "layer" }

-- Does in a child what `opened` and save do, and prints the code and the message.
local SCRIPT = [[
local strata = require "strata"
local img = assert(strata.open(arg[1]))
if arg[3] ~= "unedited" then img.config:set_env("A", "B") end
if arg[3] == "layer" then img.layers[3]:remove("small") end
local result, message, code = img:save(arg[2])
print(result and "saved" or code, message)
]]

-- Root may do everything unless these are taken from it.
local function plain_user()
	if shell.check({ "id", "-u" }) ~= "0\n" then
		return {}
	end
	local capabilities = "-dac_override,-dac_read_search,-fowner,-chown"
	local words = { "setpriv", "--bounding-set", capabilities, "--inh-caps", capabilities }
	local probe = { "sh", "-c", "true" }
	for i, word in ipairs(words) do
		table.insert(probe, i, word)
	end
	return shell.run(probe).status == 0 and words or nil
end

-- A private mount name space with a small file system at a directory.
local function with_tmpfs(place, size)
	local script = 'mount -t tmpfs -o size=' .. size .. ',mode=755 none "$1" && shift && exec "$@"'
	local words = { "unshare", "--mount", "sh", "-c", script, "sh", place.path }
	local probe = {}
	for i, word in ipairs(words) do
		probe[i] = word
	end
	probe[#probe + 1] = "true"
	return shell.run(probe).status == 0 and words or nil
end

describe("a target that cannot be", function()
	it("is refused: a directory, a FIFO, a device", function()
		local place = tmp.dir()
		shell.sh('cd "$1"; mkdir directory; mkfifo fifo; ln -s directory link', place.path)
		local codes = { directory = "EISDIR", ["directory/"] = "EISDIR", link = "EISDIR", fifo = "EUNSUPPORTED" }
		for _, kind in ipairs(KINDS) do
			local img = opened(kind)
			for name, code in pairs(codes) do
				local result, message, got = img:save(place:file(name))
				refusal.expect(result, message, got)
				assert.equal(code, got)
				assert.truthy(message:find(place.path, 1, true), message)
			end
			local code = select(3, img:save("/dev/null"))
			assert.equal("EUNSUPPORTED", not rights.root and code == "EACCES" and "EUNSUPPORTED" or code)
			assert.equal("EISDIR", select(3, img:save("/")))
			assert.equal("EISDIR", select(3, img:save(place.path .. "/.")))
		end
		assert.same({ "directory", "fifo", "link" }, place:names())
		assert.equal("", shell.check({ "ls", "-A", place:file("directory") }))
	end)

	it("is refused: below what is missing or no directory, a loop, a name that is too long, none", function()
		local place = tmp.dir()
		shell.sh('cd "$1"; ln -s loop loop; echo >file', place.path)
		for _, kind in ipairs(KINDS) do
			local img = opened(kind)
			for name, code in pairs({
				["missing/x.tar"] = "ENOENT",
				["new.tar/"] = "ENOENT",
				["file/x.tar"] = "ENOTDIR",
				["loop"] = "ELOOP",
				["loop/x.tar"] = "ELOOP",
				[("x"):rep(256)] = "ENAMETOOLONG",
			}) do
				local result, message, got = img:save(place:file(name))
				refusal.expect(result, message, got)
				assert.equal(code, got, name)
			end
			assert.error_matches(function()
				img:save("")
			end, "a path is wanted, not an empty string")
		end
		assert.same({ "file", "loop" }, place:names())
	end)

	it("throws when it is no path and no open file", function()
		for _, bad in ipairs({ false, 5, {} }) do
			assert.error_matches(function()
				opened("config"):save(bad)
			end, "open file is wanted")
		end
		assert.error_matches(function()
			opened("config"):save(dir:file("a\0b"))
		end, "NUL")
	end)
end)

describe("without the permission", function()
	local words = plain_user()

	local function try(from, target, kind, env)
		local done = child.run({ script = SCRIPT, arguments = { from, target, kind }, wrapper = words, env = env })
		return done.stdout:match("^(%S+)%s(.*)\n$"), done
	end

	it("to read it an image is not opened", function()
		if not words then
			return pending("setpriv cannot take capabilities away here")
		end
		local place = tmp.dir()
		shell.sh('cp "$1" "$2/secret.tar"; chmod 0 "$2/secret.tar"', source, place.path)
		local done = child.run({
			script = 'print(select(2, require("strata").open(arg[1])), select(3, require("strata").open(arg[1])))',
			arguments = { place:file("secret.tar") },
			wrapper = words,
		})
		assert.truthy(done.stdout:find("EACCES", 1, true), done.stdout .. done.stderr)
		assert.truthy(done.stdout:find(place:file("secret.tar"), 1, true), done.stdout)
	end)

	it("to write to the directory nothing is saved there, though the file could be written", function()
		if not words then
			return pending("setpriv cannot take capabilities away here")
		end
		local place = tmp.dir()
		place:write("target.tar", "old")
		shell.sh('chmod 666 "$1/target.tar"; chmod 555 "$1"', place.path)
		for _, kind in ipairs(KINDS) do
			for _, name in ipairs({ "target.tar", "new.tar" }) do
				local code, done = try(source, place:file(name), kind)
				assert.equal("EACCES", code, done.stdout .. done.stderr)
				assert.truthy(done.stdout:find(place:file(name), 1, true), done.stdout)
			end
		end
		assert.same({ "target.tar" }, place:names())
		assert.equal("old", shell.read(place:file("target.tar")))
		shell.check({ "chmod", "755", place.path })
	end)

	it("to write to a read-only file it is replaced all the same, for the directory allows it", function()
		if not words then
			return pending("setpriv cannot take capabilities away here")
		end
		local place = tmp.dir()
		place:write("target.tar", "old")
		shell.check({ "chmod", "444", place:file("target.tar") })
		local code, done = try(source, place:file("target.tar"), "config")
		assert.equal("saved", code, done.stdout .. done.stderr)
		assert.same({ "target.tar" }, place:names())
		assert.equal("444\n", (shell.check({ "stat", "-c", "%a", place:file("target.tar") })))
	end)

	it("to use TMPDIR a save beside the target works", function()
		if not words then
			return pending("setpriv cannot take capabilities away here")
		end
		local place, closed = tmp.dir(), tmp.dir()
		shell.check({ "chmod", "555", closed.path })
		for _, kind in ipairs(KINDS) do
			local code, done = try(compressed, place:file("target.tar"), kind, { TMPDIR = closed.path })
			assert.equal("saved", code, done.stdout .. done.stderr)
		end
		assert.same({}, closed:names())
		shell.check({ "chmod", "755", closed.path })
	end)
end)

describe("without space", function()
	it("on the target's file system nothing is published and nothing left", function()
		local place = tmp.dir()
		local words = with_tmpfs(place, "200k")
		if not words then
			return pending("nothing can be mounted here")
		end
		local script = 'local place = arg[2]:match("^(.*)/")\n'
			.. 'local f = assert(io.open(arg[2], "wb")) f:write("old") f:close()\n'
			.. SCRIPT
			.. 'local f = assert(io.open(arg[2], "rb")) print(f:read("*a")) f:close()\n'
			.. "img:close() collectgarbage() collectgarbage() io.stdout:flush()\n"
			.. 'os.execute("ls -A " .. place .. "; stat -f -c %f " .. place)\n'
		local free = {}
		for _, from in ipairs({ source, compressed }) do
			for _, kind in ipairs(KINDS) do
				local done = child.run({ script = script, arguments = { from, place:file("target.tar"), kind }, wrapper = words })
				local lines = {}
				for line in done.stdout:gmatch("[^\n]+") do
					lines[#lines + 1] = line
				end
				assert.truthy(lines[1] and lines[1]:find("^ENOSPC"), kind .. done.stdout .. done.stderr)
				assert.equal("old", lines[2])
				assert.equal("target.tar", lines[3])
				free[lines[4]] = true
				assert.is_nil(lines[5])
				assert.is_nil(next(free, next(free)))
			end
		end
	end)

	it("under a limit of the file size it is the same", function()
		for _, from in ipairs({ source, compressed }) do
			for _, kind in ipairs(KINDS) do
				local place = tmp.dir()
				place:write("target.tar", "old")
				local words = { "sh", "-c", 'trap "" XFSZ; ulimit -f 100; exec "$@"', "sh" }
				local done = child.run({ script = SCRIPT, arguments = { from, place:file("target.tar"), kind }, wrapper = words })
				assert.equal("EFBIG", done.stdout:match("^%S+"), done.stdout .. done.stderr)
				assert.equal("old", shell.read(place:file("target.tar")))
				assert.same({ "target.tar" }, place:names())
			end
		end
	end)
end)

describe("a save that fails", function()
	it("leaves an image that can be saved elsewhere", function()
		local place = tmp.dir()
		for _, kind in ipairs(KINDS) do
			local img = opened(kind)
			assert.is_nil((img:save(place:file("missing/x.tar"))))
			assert.is_nil((img:save(place.path)))
			assert(img:save(place:file(kind .. ".tar")))
			assert.equal(img.id, assert(strata.open(place:file(kind .. ".tar"))).id)
		end
	end)

	it("leaves no descriptor open, and no file in the directory for temporary files", function()
		local place, temporary = tmp.dir(), tmp.dir()
		local images = {}
		for i, kind in ipairs(KINDS) do
			images[i] = opened(kind, nil, { temp_dir = temporary.path })
			assert.is_string(images[i].id)
		end
		collectgarbage()
		collectgarbage()
		collectgarbage("stop")
		local before = refusal.descriptors()
		for _, img in ipairs(images) do
			for _, name in ipairs({ "missing/x.tar", "", ("x"):rep(300) }) do
				assert.is_nil((img:save(place:file(name))))
			end
		end
		local after = refusal.descriptors()
		collectgarbage("restart")
		assert.equal(before, after)
		assert.same({}, place:names())
		assert.same({}, temporary:names())
	end)

	it("leaves no descriptor open when it succeeds, once the image is closed", function()
		local place = tmp.dir()
		for _ = 1, 3 do
			collectgarbage()
		end
		local before = refusal.descriptors()
		for _, kind in ipairs(KINDS) do
			local img = opened(kind)
			assert(img:save(place:file("x.tar")))
			img:close()
		end
		for _ = 1, 3 do
			collectgarbage()
		end
		assert.equal(before, refusal.descriptors())
	end)
end)
