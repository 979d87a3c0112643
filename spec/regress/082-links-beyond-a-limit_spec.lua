-- An edit that looks for hardlinks which it would leave without their file took a merged tree that a limit had ended
-- for one without such hardlinks, and so did one that looks for whiteouts that hide nothing any more.

local archive = require "spec.support.archive"
local push = require "spec.support.push"
local shell = require "spec.support.shell"

local specify = archive.specify(it, pending)

local LIMITS = { steps = 1 }

local function base()
	return {
		{ name = "usr", type = "dir" },
		{ name = "usr/lib", type = "dir" },
		{ name = "usr/lib/foo", data = "foo" },
		{ name = "lib", type = "symlink", linkname = "usr/lib" },
	}
end

local UPPER = {
	["a hardlink"] = { { name = "bar", type = "hardlink", linkname = "lib/foo" } },
	["a whiteout"] = { { name = "lib/more", data = "" }, { name = "usr/lib/.wh.foo", data = "" } },
}

local function all_but_foo(entry)
	return entry.path ~= "usr/lib/foo"
end

describe("beyond limits.steps", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function open(upper)
		local _, _, path = bench:open({ { entries = base() }, { entries = upper } })
		return bench:load(path, { limits = LIMITS }), path
	end

	local function refused(ok, message, code)
		assert.is_nil(ok)
		assert.equal("ELIMIT", code, message)
		assert.is_truthy(message:find("layer 2", 1, true), message)
		assert.is_truthy(message:find("limits.steps", 1, true), message)
	end

	for name, upper in pairs(UPPER) do
		specify(name .. " is not passed over by a filter, or a stream", function()
			local img, path = open(upper)
			refused(img:filter(all_but_foo))
			assert.is_truthy(img.layers[1]:entry("usr/lib/foo"))
			refused(push.edited(shell.read(path), { filter = all_but_foo, limits = LIMITS }))
		end)
	end

	specify("a hardlink is not passed over by a change to the layers, or a rename", function()
		local upper = UPPER["a hardlink"]
		refused((open(upper)):remove_layer(1))
		refused((open(upper)):move_layer(1, 2))
		refused((open(upper)):append({ files = { x = "x" }, at = 1 }))
		local img, path = open(upper)
		local function rename(entry)
			if not all_but_foo(entry) then
				entry.path = "new"
			end
		end
		refused(img:rewrite(rename))
		refused(push.edited(shell.read(path), { rewrite = rename, limits = LIMITS }))
	end)
end)
