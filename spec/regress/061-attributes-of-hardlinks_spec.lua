-- A file has the attributes of the last header that names it: runtimes apply the header of each hardlink to the file.
-- So what is shown and what a gate looks at is that header, and what is assigned to one name goes to all of them.

local archive = require "spec.support.archive"
local policy = require "strata.policy"

local specify = archive.specify(it, pending)

local function layer()
	return {
		{ name = "bin", type = "dir" },
		{ name = "bin/sh", data = "#!", mode = 493 },
		{ name = "bin/x", type = "hardlink", linkname = "bin/sh", mode = 2541 },
		{ name = "bin/y", type = "hardlink", linkname = "bin/x", mode = 2541 },
	}
end

describe("a file with hardlinks", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function open()
		return bench:open({ { entries = layer() } })
	end

	specify("has the mode of its last header, in both views", function()
		for _, view in ipairs({ "runtime", "spec" }) do
			local root = open():rootfs({ view = view })
			for _, name in ipairs({ "bin/sh", "bin/x", "bin/y" }) do
				assert.equal(2541, root:stat(name).mode)
			end
		end
	end)

	specify("does not pass a gate by a set-id bit in the header of a hardlink", function()
		local paths = {}
		for _, finding in ipairs(assert(policy.check(open(), { root_user = true }))) do
			paths[#paths + 1] = finding.rule .. " " .. tostring(finding.path)
		end
		table.sort(paths)
		assert.same({ "setid bin/sh", "setid bin/x", "setid bin/y" }, paths)
	end)

	specify("keeps an attribute when the header of another name has it empty, also when layers are merged", function()
		local entries = layer()
		entries[2].pax = { ["SCHILY.xattr.user.k"] = "v", ["SCHILY.xattr.user.l"] = "w" }
		entries[3].pax = { ["SCHILY.xattr.user.k"] = "" }
		local img = bench:open({ { entries = entries } })
		assert.same({ ["user.k"] = "v", ["user.l"] = "w" }, img:rootfs():stat("bin/y").xattrs)
		assert(img:flatten())
		local _, saved = bench:save(img)
		assert.same({ ["user.k"] = "v", ["user.l"] = "w" }, bench:load(saved):rootfs():stat("bin/y").xattrs)
	end)

	specify("has nothing of a name that was dropped, also when layers are merged", function()
		local entries = layer()
		entries[3].pax = { ["SCHILY.xattr.user.x"] = "v" }
		entries[4].pax = { ["SCHILY.xattr.user.y"] = "w" }
		entries[4].linkname = "bin/sh"
		local img = bench:open({ { entries = entries } })
		assert(img:filter(function(entry)
			return entry.path ~= "bin/x"
		end))
		assert.same({ ["user.y"] = "w" }, img:rootfs():stat("bin/sh").xattrs)
		assert(img:flatten())
		local _, saved = bench:save(img)
		assert.same({ ["user.y"] = "w" }, bench:load(saved):rootfs():stat("bin/sh").xattrs)
	end)

	specify("is folded without an attribute that is empty", function()
		local empty = { ["SCHILY.xattr.user.k"] = "", ["SCHILY.xattr.user.l"] = "w" }
		local img = bench:open({
			{ entries = { { name = "a", data = "1", mode = 420 } } },
			{ entries = { { name = "a", data = "1", mode = 493, pax = empty } } },
		})
		assert.equal(1, #select(2, assert(img:fold())))
		local stat = img:rootfs():stat("a")
		assert.same({ ["user.l"] = "w" }, stat.xattrs)
		assert.equal(493, stat.mode)
	end)

	specify("gets what is assigned to one of its names by all of them", function()
		for _, name in ipairs({ "bin/sh", "bin/x", "bin/y" }) do
			local img = open()
			assert(img:rewrite(function(entry)
				if entry.path == name then
					entry.mode, entry.uid, entry.mtime = 420, 7, 5
					entry.xattrs = { ["user.k"] = "v" }
				end
			end))
			local _, saved = bench:save(img)
			local root = bench:load(saved):rootfs()
			for _, other in ipairs({ "bin/sh", "bin/x", "bin/y" }) do
				local stat = root:stat(other)
				assert.same({ 420, 7, 5, "v" }, { stat.mode, stat.uid, stat.mtime, stat.xattrs["user.k"] })
			end
		end
	end)

	specify("keeps the headers of its other names when one is dropped", function()
		local img = open()
		assert(img:filter(function(entry)
			return entry.path ~= "bin/y"
		end))
		assert.equal(2541, img:rootfs():stat("bin/sh").mode)
	end)
end)
