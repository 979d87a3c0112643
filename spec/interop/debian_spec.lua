-- A whole Debian, built by the Docker Engine: what strata extracts is what umoci unpacks, in every attribute.

local debian = require "spec.support.debian"
local peers = require "spec.support.peers"
local sample = require "spec.support.sample"
local shell = require "spec.support.shell"
local skip = require "spec.support.skip"
local skopeo = require "spec.support.skopeo"
local strata = require "strata"
local tmp = require "spec.support.tmp"
local tree = require "spec.support.tree"

local function need()
	local reason = debian.missing()
	if reason then
		skip(reason)
	end
	return peers.need("docker", "umoci", "skopeo")
end

describe("an image of Debian", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		shell.run({ "umount", dir:file("merged") })
		dir:remove()
	end)

	local function extracted(img, name, opts)
		local result = assert(img:extract(dir:file(name), opts))
		assert.same({}, result.skipped)
		return result
	end

	it("is extracted as umoci unpacks it", function()
		if not need() then
			return
		end
		local archive = debian.archive()
		local expected = tree.read(skopeo.unpack(archive, dir))
		local img = assert(strata.open(archive))
		extracted(img, "flat", { view = "spec" })
		local found = tree.read(dir:file("flat"))
		assert.is_true(#tree.paths(found) > 2000)
		-- umoci gives directories that no entry tells of the time of the unpacking, and 0755 as we do.
		local late = {}
		assert.same(
			{},
			tree.differences(expected, found, function(path, field, row)
				if field == "mtime" and row.type == "dir" and tonumber(row.mtime) > os.time() - 3600 then
					late[#late + 1] = path
					return true
				end
				return false
			end)
		)
		for _, path in ipairs(late) do
			local entry = img:rootfs():lstat(path)
			assert.is_true(entry.implied or path == ".", path)
			assert.equal("0.000000000", found[path].mtime)
		end
		img:close()
	end)

	it("has nothing above notes in a check", function()
		if not need() then
			return
		end
		local img = assert(strata.open(debian.archive()))
		local above = {}
		for _, finding in ipairs(assert(img:check({ severity = "note" }))) do
			above[#above + 1] = finding.severity ~= "note" and tostring(finding) or nil
		end
		assert.same({}, above)
		img:close()
	end)

	it("has the steps' results in it", function()
		if not need() then
			return
		end
		local img = assert(strata.open(debian.archive()))
		local root = assert(img:rootfs())
		assert.equal("again\n", root:read("usr/share/tool/again"))
		assert.equal("more\n", root:read("usr/share/moved/more"))
		assert.same({ "new" }, root:list("usr/share/doc"))
		assert.is_false(root:exists("usr/share/man"))
		assert.is_false(root:exists("etc/tool.conf"))
		assert.equal("fifo", root:stat("var/lib/fifo").type)
		local changes = {}
		for _, step in ipairs(root:history("usr/bin/tool")) do
			changes[#changes + 1] = step.action
		end
		assert.equal("deleted", changes[#changes])
		local before = assert(img:rootfs({ upto = 4 }))
		local tool = before:stat("usr/bin/tool")
		assert.equal(sample.capability, tool.xattrs["security.capability"])
		assert.equal(2541, tool.mode) -- 04755
		assert.equal(3, before:stat("etc/alternatives").uid)
		img:close()
	end)

	it("stays the same side by side, squashed and flattened", function()
		if not need() then
			return
		end
		local archive = debian.archive()
		local img = assert(strata.open(archive))
		extracted(img, "flat")
		local expected = tree.read(dir:file("flat"))
		local side = extracted(img, "side", { mode = "overlay" })
		shell.check({ "mkdir", dir:file("merged") })
		local mount = { "mount", "-t", "overlay", "overlay", "-o", "ro,lowerdir=" .. side.lowerdir, dir:file("merged") }
		if shell.run(mount).status == 0 then
			assert.same({}, tree.differences(expected, tree.read(dir:file("merged"))))
			shell.check({ "umount", dir:file("merged") })
		end
		assert(img:squash(2, #img.layers - 1))
		extracted(img, "squashed")
		assert.same({}, tree.differences(expected, tree.read(dir:file("squashed"))))
		assert(img:flatten())
		extracted(img, "flattened")
		assert.same({}, tree.differences(expected, tree.read(dir:file("flattened"))))
		img:close()
	end)
end)
