-- What an extract makes is what a container started by the Docker Engine sees, and what overlayfs shows of layers
-- side by side. By the letter of the specification it is what umoci makes, which unpacks one layer over the other.

local archive = require "spec.support.archive"
local peers = require "spec.support.peers"
local sample = require "spec.support.sample"
local rights = require "spec.support.rights"
local shell = require "spec.support.shell"
local skip = require "spec.support.skip"
local skopeo = require "spec.support.skopeo"
local strata = require "strata"
local tmp = require "spec.support.tmp"
local tree = require "spec.support.tree"

local need = peers.need

local ROOT = rights.root

describe("extract", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		shell.run({ "umount", dir:file("merged") })
		dir:remove()
	end)

	-- Mounts layers that stand side by side, under an empty one: overlayfs wants two.
	local function mounted(result)
		shell.check({ "mkdir", "-p", dir:file("empty"), dir:file("merged") })
		local lower = result.lowerdir .. ":" .. dir:file("empty")
		local options = "ro,lowerdir=" .. lower
		local words = { "mount", "-t", "overlay", "overlay", "-o", options, dir:file("merged") }
		if shell.run(words).status ~= 0 then
			skip("overlayfs cannot be mounted here")
		end
		local found = tree.read(dir:file("merged"))
		shell.check({ "umount", dir:file("merged") })
		return found
	end

	local function of_umoci(path)
		local rootfs = skopeo.unpack(path, dir)
		return tree.read(rootfs)
	end

	-- umoci gives implied directories the time of the unpacking.
	local function is_new(_, field, row)
		return field == "mtime" and row.type == "dir" and tonumber(row.mtime) > os.time() - 3600
	end

	local function flat(img, view)
		shell.check({ "rm", "-rf", dir:file("flat") })
		local result = assert(img:extract(dir:file("flat"), { view = view }))
		assert.same({}, result.skipped)
		return tree.read(dir:file("flat"))
	end

	local function side_by_side(img, view)
		if rights.xattrs ~= "trusted" then
			skip("overlayfs cannot be mounted here")
		end
		shell.check({ "rm", "-rf", dir:file("side") })
		return mounted(assert(img:extract(dir:file("side"), { mode = "overlay", view = view })))
	end

	-- What overlayfs shows is what there is flat, in both views; that of the specification is returned.
	local function agreed(img, name)
		local found
		-- A file and a directory of one path in one layer: what the file has removed flat does not come back.
		for _, view in ipairs(name and name:find("again in one layer") and { "spec" } or { "runtime", "spec" }) do
			found = flat(img, view)
			local merged = side_by_side(img, view)
			assert.same({}, merged and tree.differences(found, merged) or {}, name)
		end
		return found
	end

	it("gives what a container sees", function()
		if not need("docker") then
			return
		end
		local built = sample.app()
		local found, listing = flat(assert(strata.open(built.archive))), {}
		local types = { file = 8, dir = 4, symlink = 10, char = 2, block = 6, fifo = 1 }
		for path, row in pairs(found) do
			local first = path == "." or path:match("^[^/]+")
			local mounts = { proc = true, sys = true, dev = true, [".dockerenv"] = true, run = true }
			if not mounts[first] and built.listing[path == "." and "" or path] ~= nil or path ~= "." and not mounts[first] then
				local mode = row.type == "symlink" and "777" or row.mode
				local bits = types[row.type] * 4096 + tonumber(mode, 8)
				local links = row.type ~= "dir" and (" %d"):format(row.nlink) or ""
				listing[path == "." and "" or path] = {
					stat = ("%x %s%s"):format(bits, row.owner, links),
					target = row.target,
					mtime = row.type == "file" and row.mtime:match("^%d+") or nil,
					sha256 = row.content,
				}
			end
		end
		-- The engine mounts these, or writes them.
		local expected = {}
		for path, row in pairs(built.listing) do
			expected[path] = row
		end
		for _, path in ipairs({ "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", "" }) do
			listing[path], expected[path] = nil, nil
		end
		-- A volume of its own is mounted there.
		for path in pairs(expected) do
			if path:find("^var/lib/app") then
				listing[path], expected[path] = nil, nil
			end
		end
		assert.is_truthy(listing["opt/setuid"])
		assert.same({}, sample.differences(expected, listing))
	end)

	it("gives what umoci gives, of an image built by docker", function()
		if not need("docker", "umoci", "skopeo") then
			return
		end
		local built = sample.app()
		local img = assert(strata.open(built.archive))
		local found = flat(img, "spec")
		assert.same({}, tree.differences(of_umoci(built.archive), found, is_new))
		assert.equal(sample.capability, found["opt/capable"].xattrs["security.capability"])
	end)

	it("of chosen files gives what umoci has of them, of an image built by docker", function()
		if not need("docker", "umoci", "skopeo") then
			return
		end
		local built = sample.app()
		local expected = {}
		for path, row in pairs(of_umoci(built.archive)) do
			if path:find("^etc%f[/%z]") or path:find("^opt%f[/%z]") then
				expected[path] = row
			end
		end
		local root = assert(assert(strata.open(built.archive)):rootfs({ view = "spec" }))
		assert(root:extract({ "etc", "opt" }, dir:file("part")))
		local found = tree.read(dir:file("part"))
		found["."] = nil
		assert.is_truthy(expected["opt/capable"])
		-- Names that were not chosen are no names of the files here.
		assert.same({}, tree.differences(expected, found, function(path, field, row)
			return field == "nlink" or field == "links" or is_new(path, field, row)
		end))
	end)

	it("gives side by side what it gives flat, of an image built by docker", function()
		if not need("docker") then
			return
		end
		agreed(assert(strata.open(sample.app().archive)))
	end)

	it("gives what umoci and overlayfs give, of every image of the corpus that they read", function()
		local corpus = os.getenv("STRATA_CORPUS")
		if not corpus then
			pending("STRATA_CORPUS is not set")
			return
		end
		if not need("umoci", "skopeo") then
			return
		end
		local compared = 0
		for path in shell.sh('ls "$1"/images/*.tar', corpus):gmatch("[^\n]+") do
			local img = strata.open(path)
			local ok, expected = pcall(of_umoci, path)
			if img and ok then
				assert.same({}, tree.differences(expected, agreed(img, path), is_new), path)
				compared = compared + 1
			end
			shell.sh('rm -rf "$1"/*', dir.path)
		end
		assert.is_true(compared > 5)
	end)

	describe("of layers made for it", function()
		local bench

		before_each(function()
			bench = archive.bench()
		end)

		after_each(function()
			bench:close()
		end)

		local function file(name, data)
			return { name = name, data = data or name, mtime = 1e9 + #name }
		end

		local function folder(name, mode, more)
			local entry = { name = name .. "/", type = "dir", mode = mode, mtime = 2e9 + #name }
			for key, value in pairs(more or {}) do
				entry[key] = value
			end
			return entry
		end

		local function symlink(name, to)
			return { name = name, type = "symlink", linkname = to }
		end

		local function hardlink(name, to)
			return { name = name, type = "hardlink", linkname = to }
		end

		local CASES = {
			["whiteouts and new content, marks first"] = {
				{ folder("d", 448), file("d/old"), file("d/sub/old"), file("f"), folder("e", 493, { uid = 5 }), file("e/x") },
				{ file("d/.wh.old"), file("d/sub/.wh..wh..opq"), file("d/sub/new"), file(".wh.e"), file("e/y"), file("f", "2") },
			},
			["whiteouts and new content, marks last"] = {
				{ folder("d", 448), file("d/old"), file("d/sub/old"), file("f"), folder("e", 493, { uid = 5 }), file("e/x") },
				{ file("f", "2"), file("e/y"), file("d/sub/new"), file(".wh.e"), file("d/sub/.wh..wh..opq"), file("d/.wh.old") },
			},
			["an opaque root"] = {
				{ file("a"), folder("b", 448), file("b/c") },
				{ file("new"), file(".wh..wh..opq"), file("b/d") },
				{ file("b/e"), file(".wh.new") },
			},
			["parents behind links of lower layers"] = {
				{ symlink("var/run", "/run"), folder("run", 509), folder("usr/bin", 493), symlink("bin", "usr/bin") },
				{
					file("var/run/pid"), file("bin/sh"),
					{ name = "bin/ash", type = "hardlink", linkname = "bin/sh", mtime = 1e9 + #"bin/sh" },
				},
				{ file("var/run/.wh.pid"), file("bin/.wh.ash"), file("var/run/sub/x") },
			},
			["a link that an opaque marker, or a directory, replaces"] = {
				{ folder("real", 493), file("real/kept"), symlink("l", "real"), symlink("m", "/real") },
				{ folder("l", 493), file("l/.wh..wh..opq"), file("l/new"), folder("m", 493), file("m/new") },
			},
			["directories that keep their attributes though only a child comes"] = {
				{ folder("a", 488, { uid = 7, gid = 8 }), folder("a/b", 1023), file("a/b/c") },
				{ file("a/b/d") },
				{ file("a/b/.wh.c") },
				{ folder("a", 457, { uid = 9 }), file("a/e") },
			},
			["types that change and change again"] = {
				{ folder("t", 493), file("t/x"), file("u"), symlink("v", "t") },
				{ file("t", "file"), folder("u", 493), file("u/y"), folder("v", 493) },
				{ folder("t", 493), file("t/z"), symlink("u", "t"), file("v", "file") },
			},
			["a file that becomes a directory again in one layer"] = {
				{ folder("d", 493), file("d/old") },
				{ file("d", "file"), folder("d", 448), file("d/new") },
			},
		}

		for name, layers in pairs(CASES) do
			it("agrees with umoci and overlayfs on " .. name, function()
				if not need("umoci", "skopeo") then
					return
				end
				local request = {}
				for i, entries in ipairs(layers) do
					request[i] = { entries = entries, gzip = true }
				end
				local img, _, path = bench:open(request)
				local found = agreed(img, name)
				-- umoci keeps what a whiteout behind it should have hidden, or its attributes.
				local ok, expected = pcall(of_umoci, path)
				assert.is_true(ok, tostring(expected))
				assert.same(
					{},
					tree.differences(expected, found, function(at, field, row)
						return is_new(at, field, row) or (name:find("marks last") and at == "e" and field ~= "type")
					end)
				)
			end)
		end

		it("links to a file of a lower layer, also where layers stand side by side", function()
			local img = bench:open({
				{ entries = { { name = "low", data = "low", mode = 2541, uid = 3, gid = 4, mtime = 77 }, symlink("l", "low") } },
				{ entries = { hardlink("up", "low"), hardlink("l2", "l") } },
			})
			local found = flat(img)
			assert.equal("low up", found.low.links)
			local merged = ROOT and side_by_side(img)
			if merged then
				assert.same({}, tree.differences(found, merged))
			end
		end)

		it("obeys marks of overlayfs that an image brings as runtimes do, and leaves them out and reports them", function()
			if rights.xattrs ~= "trusted" then
				skip("overlayfs cannot be mounted here")
			end
			local pax = { ["SCHILY.xattr.trusted.overlay.opaque"] = "y", ["SCHILY.xattr.trusted.overlay.redirect"] = "/x" }
			local img = bench:open({
				{ entries = { folder("d", 493), file("d/kept"), file("seen") } },
				{ entries = { folder("d", 493, { pax = pax }), { name = "seen", type = "char", major = 0, minor = 0 } } },
			})
			for view, shown in pairs({ runtime = false, spec = true }) do
				local result = assert(img:extract(dir:file(view), { mode = "overlay", view = view }))
				assert.equal(shown and 3 or 2, result.skipped_count)
				assert.same({ "d", "xattr", 2 }, { result.skipped[1].path, result.skipped[1].what, result.skipped[1].layer })
				local merged = mounted(result)
				if merged then
					assert.equal(shown, merged["d/kept"] ~= nil)
					assert.equal(shown, merged.seen ~= nil)
				end
			end
		end)

		it("tells the directories, with what mount takes for a separator escaped", function()
			local img = bench:open({ { entries = { file("a") } }, { entries = { file("b") } } })
			local odd = dir:file("a:b,c")
			local result = assert(img:extract(odd, { mode = "overlay", unprivileged = not ROOT, xattrs = rights.xattrs }))
			assert.same({ odd .. "/1", odd .. "/2" }, result.directories)
			local escaped = dir.path .. "/a\\:b\\,c"
			assert.equal(escaped .. "/2:" .. escaped .. "/1", result.lowerdir)
		end)
	end)

	it("gives what bsdtar and GNU tar give, of one layer", function()
		local source = dir:file("source")
		shell.sh(
			[[mkdir -p "$1/d/e"; cd "$1"; echo x >d/f; ln d/f d/g; ln -s ../f d/e/l; mkfifo p; chmod 4711 d/f; chmod 1777 d/e
			touch -d '2001-02-03 04:05:06.789012345Z' d/f p
			touch -h -d @5 d/e/l; touch -d @6.5 d/e d .; tar --format=posix -cf ../one.tar .]],
			source
		)
		local img = archive.bench():open({ { file = dir:file("one.tar") } })
		local found = flat(img)
		for _, words in ipairs({ { "bsdtar", "-xpf" }, { "tar", "-xpf" } }) do
			if shell.which(words[1]) then
				local to = dir:file(words[1])
				shell.check({ "mkdir", to })
				shell.check({ words[1], words[2], dir:file("one.tar"), "-C", to })
				-- They write into a directory that is there, and its time may be left as it is.
				assert.same(
					{},
					tree.differences(tree.read(to), found, function(path, field)
						return path == "." and field == "mtime"
					end),
					words[1]
				)
			end
		end
		assert.same({}, tree.differences(tree.read(source), found))
	end)

end)
