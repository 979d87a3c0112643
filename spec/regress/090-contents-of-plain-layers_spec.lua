-- What is in an entry of a plain layer was given out as it stands in the file, whatever the layer's digest: only
-- verify(), save() and extract() compared it, and a read after a verify() that had failed gave the same wrong bytes.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local jobs = require "strata.jobs"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local BIG = ("big"):rep(3000000)

describe("the content of an entry of a plain layer", function()
	local dir, path

	before_each(function()
		dir = tmp.dir()
		path = dir:file("app.tar")
	end)

	after_each(function()
		dir:remove()
	end)

	local layers = {
		archive.layer({ { name = "a", data = "AAAA" }, { name = "b", data = "GOODGOOD" }, { name = "big", data = BIG } }),
		archive.layer({ { name = "a", data = "BBBB" }, { name = "hard", type = "hardlink", linkpath = "a" } }),
	}

	local function write(dialect)
		return dialects.of[dialect](archive.image({ layers = layers })):write(path)
	end

	-- Other bytes of the same length in the place of some, in the same file.
	local function tamper(old, new)
		local file = assert(io.open(path, "r+b"))
		local at = file:read("*a"):find(old, 1, true)
		assert(file:seek("set", at - 1))
		assert(file:write(new))
		file:close()
	end

	local function refused(number, result, message, code)
		assert.is_nil(result)
		assert.equal("EDIGEST", code, message)
		assert.is_truthy(message:find(layers[number].diff_id:sub(1, 12), 1, true), message)
	end

	-- Each way to read the content of `b`, or to learn of it.
	local ways = {
		["entry:read"] = function(img)
			return img.layers[1]:entry("b"):read()
		end,
		["entry:read of some bytes"] = function(img)
			return img.layers[1]:entry("b"):read(1, 1)
		end,
		["entry:same_content"] = function(img)
			return img.layers[1]:entry("b"):same_content(img.layers[1]:entry("b"))
		end,
		["layer:read"] = function(img)
			return img.layers[1]:read("b")
		end,
		["rootfs:read"] = function(img)
			return assert(img:rootfs()):read("b")
		end,
		["RootEntry:read"] = function(img)
			return assert(img:rootfs()):stat("b"):read()
		end,
		["RootFile:read"] = function(img)
			return assert(img:rootfs():open("b")):read()
		end,
		["jobs.read"] = function()
			return jobs.run("read", { path = path, file = "b" })
		end,
		["jobs.fetch"] = function()
			return jobs.run("fetch", { path = path, file = "b", to = dir:file("b") })
		end,
	}

	for _, dialect in ipairs({ "docker_1_10", "docker_25" }) do
		for name, read in pairs(ways) do
			it("is compared before it is given out: " .. name .. ", " .. dialect, function()
				write(dialect)
				assert(read(assert(strata.open(path))))
				tamper("GOODGOOD", "EVILEVIL")
				refused(1, read(assert(strata.open(path))))
			end)
		end
	end

	it("is not given out after a verify() that failed, nor by what compares files", function()
		write("docker_25")
		tamper("AAAA", "EVIL")
		local img = assert(strata.open(path))
		assert.equal("EDIGEST", select(3, img:verify()))
		refused(1, img.layers[1]:entry("a"):read())
		refused(1, assert(img:rootfs()):history("a"))
		assert.equal("BBBB", img.layers[2]:read("a"))
		assert.equal("BBBB", img.layers[2]:read("hard"))
		assert.equal("BBBB", assert(img:rootfs()):read("a"))
	end)

	it("is what the layer's digest says again once the file is", function()
		write("docker_25")
		tamper("GOODGOOD", "EVILEVIL")
		local img = assert(strata.open(path))
		refused(1, img.layers[1]:read("b"))
		tamper("EVILEVIL", "GOODGOOD")
		assert.equal("GOODGOOD", img.layers[1]:read("b"))
	end)

	it("is compared again when the file has been written to", function()
		write("docker_25")
		local img = assert(strata.open(path))
		local entry = img.layers[1]:entry("b")
		assert.equal("GOODGOOD", entry:read())
		tamper("GOODGOOD", "EVILEVIL")
		shell.check({ "touch", "-d", "2020-01-01", path })
		refused(1, entry:read())
		tamper("EVILEVIL", "GOODGOOD")
		shell.check({ "touch", "-d", "2021-01-01", path })
		assert.equal("GOODGOOD", entry:read())
	end)

	-- Bytes that this process has read from files, in units of the big layer.
	local function layers_read()
		return tonumber(shell.read("/proc/self/io"):match("rchar: (%d+)")) / #BIG
	end

	it("costs one reading of the layer, and none after a verify()", function()
		write("docker_25")
		for _, verified in ipairs({ false, true }) do
			local img = assert(strata.open(path))
			if verified then
				assert(img:verify())
			end
			local before = layers_read()
			assert.equal(3, img.layers[1].count)
			assert.is_true(layers_read() - before < 0.1)
			assert.equal("GOODGOOD", img.layers[1]:read("b"))
			local first = layers_read() - before
			assert.is_true(verified and first < 0.1 or first > 0.9 and first < 1.2, tostring(first))
			assert.equal("GOODGOOD", assert(img:rootfs()):read("b"))
			assert.is_true(layers_read() - before - first < 0.1)
		end
	end)

	it("is compared at the first read, not when entries are listed", function()
		write("docker_25")
		tamper("GOODGOOD", "EVILEVIL")
		local names = {}
		for entry in assert(strata.open(path)).layers[1]:entries() do
			names[#names + 1] = entry.path
		end
		assert.same({ "a", "b", "big" }, names)
	end)

	it("is what was put in its place by replace(), whatever the layer's digest", function()
		write("docker_25")
		tamper("GOODGOOD", "EVILEVIL")
		local entry = assert(strata.open(path)).layers[1]:entry("b")
		entry:replace("mine")
		assert.equal("mine", entry:read())
	end)

	it("can be given up while the layer is read", function()
		write("docker_25")
		local thrown = { code = "stop" }
		local job = require("strata.util.job")
		local calls = 0
		local before = job.on_wait(function()
			calls = calls + 1
			if calls > 1 then
				error(thrown, 0)
			end
		end)
		local img = assert(strata.open(path))
		local ok, why = pcall(function()
			return img.layers[1]:read("big")
		end)
		job.on_wait(before)
		assert.is_false(ok)
		assert.equal(thrown, why)
		assert.equal(BIG, img.layers[1]:read("big"))
	end)
end)
