-- What runtimes refuse, or differ about, they take once it is repaired: Docker, containerd, podman and umoci, with all
-- ways to store layers, see the same, and it is what strata shows.

local model = require "spec.support.model"
local pack = require "spec.support.pack"
local peers = require "spec.support.peers"
local runtime_views = require "spec.support.runtime_views"
local runtimes = require "spec.support.runtimes"
local skopeo = require "spec.support.skopeo"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local function file(name, data, mode)
	return { name = name, data = data or "", mode = mode or 420, mtime = 1000000000 }
end

local function directory(name)
	return { name = name, type = "dir", mode = 493, mtime = 1000000000 }
end

local function link(name, to, mode)
	return { name = name, type = "hardlink", linkname = to, mode = mode or 420, mtime = 1000000000 }
end

local BASE = { directory("d"), file("d/x", "base"), file("kept", "kept") }

-- By the code that is mended: the upper layer, or what is done to the config, and the default runtimes that refuse.
local CASES = {
	["duplicate-path"] = { { file("a", "1"), file("z"), file("a", "2") }, refused = 2 },
	["hardlink-order"] = { { link("b", "a"), file("a", "x") }, refused = 3 },
	["whiteout-behind"] = { { directory("d"), file("d/x", "new"), file("d/.wh.x") }, refused = 3 },
	["whiteout-below-whiteout"] = { { file(".wh.d"), file("d/.wh.x") }, refused = 2 },
	["contiguous-file"] = { { { name = "a", type = "7", data = "x", mode = 420, mtime = 1 } }, refused = 3 },
	["hardlink-metadata"] = { { file("a", "x"), link("b", "a", 493) }, refused = 0 },
	history = {
		{ file("a", "x") }, refused = 1,
		change = function(config)
			table.insert(config.history, { created_by = "/bin/sh -c #(nop)  CMD [\"sh\"]" })
		end,
	},
}

-- Without what is no matter of the image: the root, and the times of directories in which something was deleted.
local function comparable(rows)
	local copy = {}
	for path, row in pairs(rows) do
		if path ~= "." then
			copy[path] = row
			row.mtime = row.type ~= "dir" and row.mtime or 0
		end
	end
	return copy
end

describe("a repaired image", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	for code, case in pairs(CASES) do
		it("is taken alike by all runtimes: " .. code, function()
			local reason = runtimes.missing() or peers.missing("skopeo")
			if reason then
				return pending(reason)
			end
			local before, after = dir:file("before.tar"), dir:file("after.tar")
			pack.image(before, { BASE, case[1] }, nil, { change = case.change })
			local refused = 0
			for _, answer in pairs(runtimes.look(before, runtimes.DEFAULT)) do
				refused = refused + (answer.refused and 1 or 0)
			end
			assert.equal(case.refused, refused)
			local img = assert(strata.open(before))
			assert.equal(1, #assert(img:repair(code)).mended)
			assert(img:save(after))
			img:close()
			local expected = comparable(runtime_views.strata(after).rows)
			for reader, answer in pairs(runtimes.look(after, runtimes.ALL)) do
				assert.is_nil(answer.refused, reader)
				assert.same({}, model.differences(expected, comparable(answer.rows)), reader)
			end
			skopeo.copy("docker-archive:" .. after, "oci:" .. dir:file("layout") .. ":app")
			local again = assert(strata.open(dir:file("layout")))
			assert(again:verify())
			again:close()
		end)
	end
end)
