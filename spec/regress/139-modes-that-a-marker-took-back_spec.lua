-- The modes of an ordinary user's directories are set at the end. A directory that a marker hides, and that its layer
-- has something in, is a new one without an entry: in the end it got the mode of the hidden one.

local archive = require "spec.support.archive"
local child = require "spec.support.child"
local entries_of = require "spec.support.entries"
local rights = require "spec.support.rights"
local shell = require "spec.support.shell"
local tree = require "spec.support.tree"

local it = archive.specify(it, pending) -- luacheck: ignore 431

local NOBODY = 65534

local SCRIPT = [[
	local img = assert(require("strata").open(arg[1]))
	assert(img:extract(arg[2], { view = arg[3], unprivileged = true }))]]

describe("a directory without an entry, for an ordinary user", function()
	local bench, target

	before_each(function()
		bench = archive.bench()
		target = bench.dir:file("rootfs")
	end)

	after_each(function()
		bench:close()
	end)

	local function dir(name, mode)
		return entries_of.dir(name, { mode = tonumber(mode, 8) })
	end

	local file = entries_of.file

	local function modes(view, ...)
		local layers = {}
		for i, entries in ipairs({ ... }) do
			layers[i] = { entries = entries }
		end
		local _, _, path = bench:open(layers)
		shell.check({ "chmod", "a+rwX", bench.dir.path, bench.dir.path .. "/..", path })
		local done = child.run({
			script = SCRIPT,
			arguments = { path, target, view },
			wrapper = rights.root and { "setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups" } or nil,
		})
		assert.equal(0, done.status, done.stderr)
		local found = {}
		for name, one in pairs(tree.read(target)) do
			found[name] = one.type == "dir" and name ~= "." and one.mode or nil
		end
		return found
	end

	for _, view in ipairs({ "runtime", "spec" }) do
		it("has its mode where a marker hides one that had another: " .. view, function()
			local lower = { dir("d", "755"), dir("d/sub", "700"), file("d/sub/old"), dir("d/gone", "0") }
			local upper = { file("d/sub/.wh..wh..opq", ""), file("d/sub/new"), file("d/.wh..wh..opq", "") }
			assert.same({ d = "0755", ["d/sub"] = "0755" }, modes(view, lower, upper))
		end)

		it("has its mode where a file in between had the name: " .. view, function()
			local found = modes(view, { dir("d", "500") }, { file("d") }, { file("d/new") })
			assert.same({ d = "0755" }, found)
		end)

		it("has that of an entry of a layer above: " .. view, function()
			local lower = { dir("d", "755"), dir("d/sub", "700"), file("d/sub/old") }
			local middle = { file("d/sub/new"), file("d/.wh..wh..opq", "") }
			assert.same({ d = "0755", ["d/sub"] = "0500" }, modes(view, lower, middle, { dir("d/sub", "500") }))
		end)

		it("stays as it was where nothing hides it: " .. view, function()
			local lower = { dir("d", "700"), dir("d/sub", "500"), file("d/sub/old") }
			assert.same({ d = "0700", ["d/sub"] = "0500" }, modes(view, lower, { file("d/sub/new") }))
		end)
	end
end)
