-- Takes seconds: not for make check.
local archive = require "spec.support.archive"
local shell = require "spec.support.shell"
local tarball = require "spec.support.tarball"
local tarlist = require "spec.support.tarlist"

local specify = archive.specify(it, pending)

local bench

before_each(function()
	bench = archive.bench()
end)

after_each(function()
	bench:close()
end)

-- Rewrites the one layer of an image. Returns the members before and after, what Python sees, and the saved image.
local function rewrite(layer, fn)
	local img, _, path = bench:open({ layer })
	local before = bench:split(path)
	assert.equal(img, img:rewrite(fn))
	local look, saved = bench:save(img)
	local after = bench:split(saved)
	assert.equal(before.tail, after.tail)
	for _, member in ipairs(after) do
		assert.equal(tarball.checksum(member.block), tarball.number(member.fields.checksum), "checksum")
	end
	return before, after, look.layers[1].entries, saved
end

-- Rewrites many entries at once: fn(entry, i) for each of them. Others between them must stay as they are.
local function rewrite_each(format, entries, fn)
	local layer = { format = format, entries = {} }
	for i, entry in ipairs(entries) do
		layer.entries[2 * i - 1] = { name = "between" .. i, data = "x" }
		layer.entries[2 * i] = entry
	end
	local before, after, seen, saved = rewrite(layer, function(e)
		if e.position % 2 == 0 then
			fn(e, e.position / 2)
		end
	end)
	assert.equal(2 * #entries, #after)
	local results = {}
	for i = 1, #entries do
		assert.equal(before[2 * i - 1].span, after[2 * i - 1].span)
		assert.equal(before[2 * i - 1].data, after[2 * i - 1].data)
		results[i] = { before = before[2 * i], after = after[2 * i], seen = seen[2 * i] }
	end
	return results, saved
end

-- The same for one entry.
local function rewrite_one(format, entry, fn)
	local results, saved = rewrite_each(format, { entry }, fn)
	return results[1].before, results[1].after, results[1].seen, saved
end

-- Field, new value, and what changes in a GNU header and in one with PAX records.
local CASES = {
	{ "mode", 2541, gnu = "mode", pax = "mode" },
	{ "mode", 0, gnu = "mode", pax = "mode" },
	{ "uid", 1234, gnu = "uid", pax = "uid" },
	{ "gid", 4321, gnu = "gid", pax = "gid" },
	{ "gid", 2097151, gnu = "gid", pax = "gid" },
	{ "gid", 2097152, gnu = "gid", pax = "gid pax:gid" },
	{ "uid", 4294967294, gnu = "uid", pax = "pax:uid uid" },
	{ "uname", "someone", gnu = "uname", pax = "uname" },
	{ "gname", "group", gnu = "gname", pax = "gname" },
	{ "uname", "", gnu = "uname", pax = "uname" },
	{ "uname", ("u"):rep(31), gnu = "uname", pax = "uname" },
	{ "gname", ("u"):rep(40), gnu = "gname pax:gname", pax = "gname pax:gname" },
	{ "mtime", 1234567890, gnu = "mtime", pax = "mtime" },
	{ "mtime", 0, gnu = "mtime", pax = "mtime" },
	{ "mtime", 8589934592, gnu = "mtime", pax = "mtime pax:mtime" },
	{ "mtime", 1234567890.5, gnu = "mtime pax:mtime", pax = "mtime pax:mtime" },
}

describe("assigning to a field of an entry", function()
	for _, format in ipairs({ "gnu", "pax", "ustar" }) do
		specify("changes that header field and nothing else (" .. format .. ")", function()
			local old = { data = ("data"):rep(200), uid = 7, gid = 8, uname = "old", gname = "old", mode = 420 }
			local entries = {}
			for i in ipairs(CASES) do
				entries[i] = { name = "file" .. i }
				for key, value in pairs(old) do
					entries[i][key] = value
				end
			end
			local results = rewrite_each(format, entries, function(e, i)
				e[CASES[i][1]] = CASES[i][2]
				assert.equal(CASES[i][2], e[CASES[i][1]])
			end)
			for i, case in ipairs(CASES) do
				local field, value, result = case[1], case[2], results[i]
				local label = ("%s = %s"):format(field, tostring(value))
				local changed = table.concat(tarball.differences(result.before, result.after), " ")
				assert.equal(format == "gnu" and case.gnu or case.pax, changed, label)
				assert.equal(result.before.data, result.after.data, label)
				assert.equal(value, result.seen[field], label)
				for key in pairs(old) do
					if key ~= field then
						assert.equal(old[key], result.seen[key], label .. ": " .. key)
					end
				end
			end
		end)
	end

	specify("of a device changes major and minor, each by itself", function()
		for _, format in ipairs({ "gnu", "pax", "ustar" }) do
			local entry = { name = "null", type = "char", major = 1, minor = 3 }
			local before, after, seen = rewrite_one(format, entry, function(e) e.minor = 300 end)
			assert.same({ "devminor" }, tarball.differences(before, after))
			assert.same({ 1, 300 }, { seen.major, seen.minor })
			before, after = rewrite_one(format, entry, function(e) e.major = 10 end)
			assert.same({ "devmajor" }, tarball.differences(before, after))
		end
	end)

	specify("with what it has already changes no byte", function()
		local img, made = bench:open({
			{
				entries = {
					{ name = "./d/", type = "dir", mtime = 1.25, pax = { comment = "x", ["SCHILY.xattr.user.a"] = "1" } },
					{ name = "./d/l", type = "symlink", linkname = "../x", uid = 3000000 },
					{ name = "c", type = "char", major = 1, minor = 3, uname = "u", gname = "g" },
					{ name = ("n"):rep(300), data = "x" },
				},
			},
		})
		img:rewrite(function(entry)
			for field in ("path mode uid gid uname gname mtime xattrs linkpath major minor"):gmatch("%a+") do
				if entry[field] ~= nil then
					entry[field] = entry[field]
				end
			end
		end)
		assert.is_false(img.edited)
		assert.equal(made.id, img.id)
	end)

	specify("and back again gives the layer that it was", function()
		local img, made = bench:open({ { entries = { { name = "f", data = "x", uid = 5, mtime = 3.5 } } } })
		local entry = img.layers[1]:entry("f")
		entry.uid, entry.mtime, entry.path = 6, 4, "g"
		entry.uid, entry.mtime, entry.path = 5, 3.5, "f"
		assert.equal(made.diff_ids[1], img.layers[1].diff_id)
		assert.equal(made.id, img.id)
	end)

	specify("keeps the type bits that old tars have in the mode field", function()
		local tar, image = bench.dir:file("old.tar"), bench.dir:file("x.tar")
		archive.build(image, { layers = { { entries = { { name = "f" } } } } })
		local header = shell.read(bench:layer(image))
		header = header:sub(1, 100) .. "0100644\0" .. header:sub(109)
		local sum = tarball.checksum(header:sub(1, 512))
		shell.write(tar, header:sub(1, 148) .. ("%06o\0 "):format(sum) .. header:sub(157))
		local _, after = rewrite({ file = tar }, function(e)
			assert.equal(420, e.mode)
			e.mode = 493
		end)
		assert.equal("0100755", tarball.text(after[1].fields.mode))
	end)

	specify("of a v7 header gives what the format has room for", function()
		bench.dir:write("f", "content")
		local tar = bench.dir:file("v7.tar")
		shell.check({ "tar", "-cf", tar, "--format=v7", "f", cwd = bench.dir.path })
		local before, after, seen, _ = rewrite({ file = tar }, function(e) e.uid, e.mtime = 77, 88 end)
		assert.same({ "mtime", "uid" }, tarball.differences(before[1], after[1]))
		assert.same({ 77, 88 }, { seen[1].uid, seen[1].mtime })
		_, _, seen = rewrite({ file = tar }, function(e)
			e.uname, e.uid, e.path = "someone", 3000000, ("p"):rep(150) .. "/f"
		end)
		assert.same({ "someone", 3000000, ("p"):rep(150) .. "/f" }, { seen[1].uname, seen[1].uid, seen[1].name })
		assert.equal("content", seen[1].data)
	end)
end)

describe("numbers in base-256", function()
	specify("are replaced in their field, and by octal ones where those fit", function()
		local entry = { name = "f", uid = 3000000, gid = 3000000, data = "x" }
		local before, after, seen = rewrite_one("gnu", entry, function(e)
			assert.equal(3000000, e.uid)
			e.uid = 4000000
			e.gid = 5
		end)
		assert.same({ "gid", "uid" }, tarball.differences(before, after))
		assert.same({ 4000000, 5 }, { seen.uid, seen.gid })
	end)

	specify("in PAX records go when the field can say it", function()
		local entry = { name = "f", uid = 3000000, gid = 3000001, data = "x", pax = { comment = "stays" } }
		local _, after, seen = rewrite_one("pax", entry, function(e)
			e.uid = 4000000
			e.gid = 5
		end)
		assert.same({ uid = "4000000", comment = "stays" }, after.pax)
		assert.same({ 4000000, 5 }, { seen.uid, seen.gid })
	end)
end)

describe("the time of an entry", function()
	specify("gets and loses its fraction", function()
		local _, after, seen = rewrite_one("pax", { name = "f", mtime = 5.25 }, function(e) e.mtime = 6 end)
		assert.is_nil(after.pax.mtime)
		assert.equal(6, seen.mtime)
		_, after, seen = rewrite_one("pax", { name = "f", mtime = 5.25 }, function(e) e.mtime = 1600000000.125 end)
		assert.equal("1600000000.125", after.pax.mtime)
		assert.equal(1600000000.125, seen.mtime)
		assert.equal(1600000000, tarball.number(after.fields.mtime))
	end)

	specify("can be before 1970", function()
		for _, format in ipairs({ "gnu", "pax", "ustar" }) do
			for _, time in ipairs({ -1, -86400.5 }) do
				local _, _, seen, saved = rewrite_one(format, { name = "f" }, function(e) e.mtime = time end)
				assert.equal(time, seen.mtime)
				assert.equal(time, bench:load(saved).layers[1]:entry("f").mtime)
			end
		end
	end)

	specify("keeps all of its digits when only something else changes", function()
		local entry = { name = "f", pax = { mtime = "1600000000.123456789", atime = "1.5" } }
		local before, after = rewrite_one("pax", entry, function(e)
			e.uid = 99
			e.mtime = e.mtime
		end)
		assert.same({ "uid" }, tarball.differences(before, after))
		assert.equal("1600000000.123456789", after.pax.mtime)
	end)
end)

describe("renaming an entry", function()
	local function long(n)
		return ("component9/"):rep(math.ceil(n / 11)):sub(1, n - 1) .. "x"
	end

	for _, format in ipairs({ "gnu", "pax", "ustar" }) do
		specify("makes it as long as wanted, and short again (" .. format .. ")", function()
			local lengths = { 10, 99, 100, 101, 154, 155, 156, 255, 256, 257, 300, 1000, 4000 }
			local entries, names = {}, {}
			for i, length in ipairs(lengths) do
				entries[i] = { name = "short" .. i, data = "content" .. i, uid = 9 }
				names[i] = long(length)
			end
			local odd = { ("n"):rep(101), ("n"):rep(156) .. "/f", ("n"):rep(300), "caf\233", ("caf\233/"):rep(60) .. "x" }
			for _, name in ipairs(odd) do
				local i = #names + 1
				entries[i] = { name = "short" .. i, data = "content" .. i, uid = 9 }
				names[i] = name
			end
			local results, saved = rewrite_each(format, entries, function(e, i)
				e.path = names[i]
				assert.same({ names[i], names[i] }, { e.path, e.name })
			end)
			local listed = tarlist.entries(bench:layer(saved))
			for i, result in ipairs(results) do
				local name, seen = names[i], result.seen
				assert.same({ name, "content" .. i, 9 }, { seen.name, seen.data, seen.uid })
				assert.equal(name, listed[2 * i].path)
				if #name <= 100 then
					assert.same({ "name" }, tarball.differences(result.before, result.after))
				end
			end

			local img = bench:load(saved)
			img:rewrite(function(e)
				if e.position % 2 == 0 then
					e.path = "short" .. ("%d"):format(e.position / 2)
				end
			end)
			local _, again = bench:save(img)
			for i, member in ipairs(bench:split(again)) do
				if i % 2 == 0 then
					assert.equal(results[i / 2].before.span, member.span, names[i / 2])
				end
			end
		end)

		specify("keeps the ./ in front of a name and the slash behind a directory's (" .. format .. ")", function()
			local layer = {
				format = format,
				entries = {
					{ name = "./", type = "dir" },
					{ name = "./d/", type = "dir" },
					{ name = "./d/f" },
					{ name = "plain/", type = "dir" },
					{ name = "plain/f" },
					{ name = "/root/f" },
				},
			}
			local _, after = rewrite(layer, function(e)
				if e.path ~= "." then
					e.path = "opt/" .. e.path
				end
			end)
			local names = {}
			for i, member in ipairs(after) do
				names[i] = tarball.text(member.fields.name)
			end
			assert.same({ "./", "./opt/d/", "./opt/d/f", "opt/plain/", "opt/plain/f", "/opt/root/f" }, names)
		end)

		specify("keeps the slash of a directory with a long name (" .. format .. ")", function()
			local lengths, entries = { 98, 99, 100, 101, 154, 155, 254, 255, 256, 400 }, {}
			for i in ipairs(lengths) do
				entries[i] = { name = "d" .. i, type = "dir" }
			end
			local results, saved = rewrite_each(format, entries, function(e, i) e.path = long(lengths[i]) end)
			local names = tarlist.names(bench:layer(saved))
			for i, result in ipairs(results) do
				assert.same({ "dir", long(lengths[i]) }, { result.seen.type, result.seen.name })
				assert.equal(long(lengths[i]) .. "/", names[2 * i])
				assert.equal("5", result.after.fields.typeflag)
			end
		end)
	end

	specify("takes path with ./ and slashes around it", function()
		local img = bench:open({ { entries = { { name = "a" }, { name = "d", type = "dir" } } } })
		local layer = img.layers[1]
		layer:entry("a").path = "./b"
		layer:entry("d").path = "/e/"
		assert.equal("b", layer:entry("b").name)
		assert.equal("e/", layer:entry("e").name)
		assert.is_nil(layer:entry("a"))
	end)

	specify("to what it is called already changes nothing", function()
		local img = bench:open({ { entries = { { name = "./a" }, { name = "d", type = "dir" } } } })
		img.layers[1]:entry("a").path = "./a"
		img.layers[1]:entry("a").path = "/a"
		img.layers[1]:entry("d").path = "d/"
		assert.is_false(img.edited)
	end)

	specify("cannot make a file the root, nor leave it", function()
		local img = bench:open({ { entries = { { name = "./", type = "dir" }, { name = "a" }, { name = "..." } } } })
		for _, bad in ipairs({ ".", "/", "./", "//./", "..", "../a", "a/../b", "a/.." }) do
			assert.error(function() img.layers[1]:entry("a").path = bad end)
		end
		assert.is_false(img.edited)
		for _, good in ipairs({ "...", "..a", "a..", ".a", "a/.../b" }) do
			img.layers[1]:entry("...").path = good
			img.layers[1]:entry(good).path = "..."
		end
		img.layers[1]:entry(".").path = "sub"
		assert.equal("./sub/", img.layers[1]:entry("sub").name)
	end)

	specify("moves the hardlinks along that name the file", function()
		for _, format in ipairs({ "gnu", "pax" }) do
			local name = long(300)
			local layer = {
				format = format,
				entries = {
					{ name = "./early", type = "hardlink", linkname = "./file" },
					{ name = "./file", data = "content" },
					{ name = "./one", type = "hardlink", linkname = "./file" },
					{ name = "./two", type = "hardlink", linkname = "./one" },
					{ name = "./other", data = "o" },
					{ name = "./far", type = "hardlink", linkname = "./other" },
				},
			}
			local before, after, seen = rewrite(layer, function(e)
				if e.path == "file" then
					e.path = name
				elseif e.path == "one" then
					e.path = "moved/one"
				end
			end)
			local links = {}
			for _, entry in ipairs(seen) do
				links[entry.name:gsub("^%./", "")] = entry.linkname
			end
			assert.equal("./" .. name, links.early)
			assert.equal("./" .. name, links["moved/one"])
			assert.equal("./moved/one", links.two)
			assert.equal(before[6].span, after[6].span)
		end
	end)

	specify("can swap two files, and their hardlinks stay with the content", function()
		local layer = {
			entries = {
				{ name = "a", data = "A" },
				{ name = "la", type = "hardlink", linkname = "a" },
				{ name = "b", data = "B" },
				{ name = "lb", type = "hardlink", linkname = "b" },
			},
		}
		local _, _, _, saved = rewrite(layer, function(e)
			e.path = ({ a = "b", b = "a" })[e.path] or e.path
		end)
		local after = bench:load(saved).layers[1]
		assert.same({ "B", "A", "A", "B" }, { after:read("a"), after:read("b"), after:read("la"), after:read("lb") })
	end)

	specify("finds the entry under its new path only", function()
		local layer = bench:open({ { entries = { { name = "a", data = "A" }, { name = "b", data = "B" } } } }).layers[1]
		layer:entry("a").path = "c"
		assert.is_nil(layer:entry("a"))
		assert.equal("A", layer:read("c"))
		assert.equal("B", layer:read("b"))
	end)
end)

describe("the target of a link", function()
	for _, format in ipairs({ "gnu", "pax", "ustar" }) do
		for _, kind in ipairs({ "symlink", "hardlink" }) do
			specify(("changes in its field, beyond 100 bytes, and back (%s, %s)"):format(kind, format), function()
				local lengths, entries = { 5, 99, 100, 101, 255, 256, 300, 2000 }, {}
				for i in ipairs(lengths) do
					entries[i] = { name = "l" .. i, type = kind, linkname = "old" }
				end
				local results, saved = rewrite_each(format, entries, function(e, i)
					e.linkpath = ("t"):rep(lengths[i])
				end)
				for i, result in ipairs(results) do
					assert.same({ ("t"):rep(lengths[i]), "l" .. i }, { result.seen.linkname, result.seen.name })
					if lengths[i] <= 100 then
						assert.same({ "linkname" }, tarball.differences(result.before, result.after))
					end
				end
				local img = bench:load(saved)
				img:rewrite(function(e)
					if e.position % 2 == 0 then
						e.linkpath = "old"
					end
				end)
				local _, again = bench:save(img)
				for i, member in ipairs(bench:split(again)) do
					if i % 2 == 0 then
						assert.equal(results[i / 2].before.span, member.span)
					end
				end
			end)
		end
	end
end)

describe("a hardlink that others name", function()
	specify("can be pointed elsewhere, and they keep their content", function()
		local function link(name, target)
			return { name = name, type = "hardlink", linkname = target }
		end
		local layer = {
			entries = { { name = "f", data = "F" }, link("a", "f"), link("b", "a"), { name = "z", data = "Z" } },
		}
		local _, _, seen = rewrite(layer, function(e)
			if e.path == "a" then
				e.linkpath = "z"
			end
		end)
		assert.same({ "", "z", "f", "" }, { seen[1].linkname, seen[2].linkname, seen[3].linkname, seen[4].linkname })
	end)
end)

describe("PAX records", function()
	specify("that are unknown survive every change", function()
		local pax = { comment = "a = b\nc", ["VENDOR.x"] = "1", ["SCHILY.fflags"] = "nodump", atime = "3.5", mtime = "4.5" }
		local entry = { name = "f", data = "content", pax = pax }
		local _, after, seen = rewrite_one("pax", entry, function(e)
			e.path, e.uid, e.gid, e.mtime = ("long/"):rep(80) .. "f", 3000000, 7, 9.5
			e.uname, e.mode, e.xattrs = ("u"):rep(50), 0, { ["user.a"] = "1" }
			e:replace("new")
		end)
		for key, value in pairs(pax) do
			if key ~= "mtime" then
				assert.equal(value, after.pax[key])
			end
		end
		assert.same({ ("long/"):rep(80) .. "f", ("u"):rep(50), "new" }, { seen.name, seen.uname, seen.data })
		assert.same({ 3000000, 7, 9.5 }, { seen.uid, seen.gid, seen.mtime })
		assert.equal("1", seen.pax["SCHILY.xattr.user.a"])
	end)

	specify("keep their order and spelling when one of them changes", function()
		bench.dir:write("f", "x")
		local tar = bench.dir:file("l.tar")
		shell.check({
			"tar", "-cf", tar, "--format=pax", "--mtime=@5.5",
			"--pax-option=delete=atime,delete=ctime,VENDOR.z:=last,VENDOR.a:=first", "f",
			cwd = bench.dir.path,
		})
		local before, after = rewrite({ file = tar }, function(e) e.mtime = 7.5 end)
		local expected = before[1].span:gsub("mtime=5%.5", "mtime=7.5")
		assert.equal(expected:sub(1, -513), after[1].span:sub(1, -513))
	end)
end)

describe("the extended attributes of an entry", function()
	local CAPABILITY = "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

	specify("are set and deleted, others keep their records", function()
		local entry = {
			name = "f",
			data = "x",
			pax = {
				["SCHILY.xattr.user.keep"] = "k",
				["SCHILY.xattr.user.change"] = "old",
				["SCHILY.xattr.user.delete"] = "d",
				["LIBARCHIVE.xattr.user.change"] = "b2xk",
				["LIBARCHIVE.xattr.user.delete"] = "ZA",
				comment = "stays",
			},
		}
		local _, after = rewrite_one("pax", entry, function(e)
			e.xattrs = { ["user.keep"] = "k", ["user.change"] = "new", ["security.capability"] = CAPABILITY }
		end)
		assert.same({
			["SCHILY.xattr.user.keep"] = "k",
			["SCHILY.xattr.user.change"] = "new",
			["SCHILY.xattr.security.capability"] = CAPABILITY,
			comment = "stays",
		}, after.pax)
	end)

	for _, format in ipairs({ "gnu", "pax", "ustar" }) do
		specify("are given to an entry without any, and taken away again (" .. format .. ")", function()
			local before, _, _, saved = rewrite_one(format, { name = "f", data = "x" }, function(e)
				e.xattrs = { ["security.capability"] = CAPABILITY, ["user.eq=%"] = "v" }
			end)
			local img = bench:load(saved)
			assert.same({ ["security.capability"] = CAPABILITY, ["user.eq=%"] = "v" }, img.layers[1]:entry("f").xattrs)
			assert.equal(#CAPABILITY, tarlist.entries(bench:layer(saved))[2].xattrs["security.capability"])
			img.layers[1]:entry("f").xattrs = {}
			local _, again = bench:save(img)
			assert.equal(before.span, bench:split(again)[2].span)
		end)
	end

	specify("cannot be empty, which a PAX record cannot say", function()
		local img = bench:open({ { entries = { { name = "f" } } } })
		assert.error_matches(function() img.layers[1]:entry("f").xattrs = { ["user.a"] = "" } end, "empty")
		assert.is_false(img.edited)
	end)

	specify("do not touch the numbers that records hold", function()
		local pax = { ["SCHILY.xattr.user.a"] = "1" }
		local entry = { name = ("n/"):rep(150) .. "f", uid = 3000000, mtime = 5.5, pax = pax }
		local before, after = rewrite_one("pax", entry, function(e) e.xattrs = { ["user.b"] = "2" } end)
		assert.same({ "pax:SCHILY.xattr.user.a", "pax:SCHILY.xattr.user.b" }, tarball.differences(before, after))
	end)

	specify("change together with path and numbers that have records", function()
		local pax = { ["SCHILY.xattr.user.a"] = "1" }
		local entry = { name = ("n/"):rep(150) .. "f", uid = 3000000, mtime = 5.5, pax = pax }
		local _, after, seen = rewrite_one("pax", entry, function(e)
			e.path, e.uid, e.mtime, e.xattrs = "short", 5, 6, { ["user.b"] = "2" }
		end)
		assert.same({ ["SCHILY.xattr.user.b"] = "2" }, after.pax)
		assert.same({ "short", 5, 6 }, { seen.name, seen.uid, seen.mtime })
	end)
end)
