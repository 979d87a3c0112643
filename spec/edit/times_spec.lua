-- Takes seconds: not for make check.
--- atime and ctime of entries: read, set, removed.

local archive = require "spec.support.archive"
local push = require "spec.support.push"
local rawtar = require "spec.support.rawtar"
local shell = require "spec.support.shell"
local strata = require "strata"
local tarball = require "spec.support.tarball"

local specify = archive.specify(it, pending)

local FIELDS = { "atime", "atime_nsec", "ctime", "ctime_nsec" }

local bench

before_each(function()
	bench = archive.bench()
end)

after_each(function()
	bench:close()
end)

-- The first layer of an image of these entries; the image and its path.
local function open(entries, format)
	local img, _, path = bench:open({ { entries = entries, format = format } })
	return img.layers[1], img, path
end

local function open_raw(...)
	local path = bench.dir:write("raw.tar", rawtar.tar(...))
	local img, _, saved = bench:open({ { file = path } })
	return img.layers[1], img, saved
end

local function times(entry)
	local list = {}
	for i, field in ipairs(FIELDS) do
		list[i] = entry[field] == nil and "none" or entry[field]
	end
	return list
end

-- The entries and the members of the first layer of an image, once it is saved.
local function saved(img)
	local look, path = bench:save(img)
	return look.layers[1].entries, bench:split(path), bench:load(path).layers[1], path
end

local function octal(seconds)
	return ("%011o\0"):format(seconds)
end

local function gnu(name, atime, ctime, more)
	local h = { name = name, magic = rawtar.GNU, prefix = (atime or ("\0"):rep(12)) .. (ctime or "") }
	for key, value in pairs(more or {}) do
		h[key] = value
	end
	return rawtar.entry(h, h.data or "")
end

local function star(name, atime, ctime)
	return rawtar.entry({ name = name, prefix = ("\0"):rep(131) .. atime .. ctime, rest = ("\0"):rep(8) .. "tar\0" })
end

-- The times of the first member as libarchive tells them, which writes none of zero.
local function bsdtar_times(tar)
	local bytes = shell.check({ "bsdtar", "-cf", "-", "--format=pax", "@" .. tar })
	local pax = tarball.split(bytes)[1].pax
	return { pax.atime, pax.ctime }
end

describe("atime and ctime", function()
	specify("are those of PAX records, nil where there is none", function()
		local layer = open({
			{ name = "both", pax = { atime = "1600000000.123456789", ctime = "1600000001" } },
			{ name = "one", pax = { ctime = "-1.25" } },
			{ name = "none", mtime = 7.5 },
			{ name = "zero", pax = { atime = "0", ctime = "0.000000001" } },
			{ name = "far", pax = { atime = "-62135596800", ctime = "8999999999999999" } },
			{ name = "fine", pax = { atime = "1.0000000009", ctime = "1.9999999999" } },
		})
		assert.same({ 1600000000.123456789, 123456789, 1600000001, 0 }, times(layer:entry("both")))
		assert.same({ "none", "none", -1.25, 750000000 }, times(layer:entry("one")))
		assert.same({ "none", "none", "none", "none" }, times(layer:entry("none")))
		assert.same({ 0, 0, 0.000000001, 1 }, times(layer:entry("zero")))
		assert.same({ -62135596800, 0, 8999999999999999, 0 }, times(layer:entry("far")))
		assert.same({ 1, 0, 1.999999999, 999999999 }, times(layer:entry("fine")))
		local math_type = rawget(math, "type")
		if math_type then
			for _, name in ipairs({ "both", "zero", "far" }) do
				assert.equal(name == "both" and "float" or "integer", math_type(layer:entry(name).atime))
			end
			assert.equal("integer", math_type(layer:entry("both").ctime))
		end
	end)

	specify("are those of GNU and star blocks, where no record beats them", function()
		local layer = open_raw(
			gnu("gnu", octal(1600000000), octal(5)),
			gnu("one", nil, octal(0)),
			gnu("negative", rawtar.base256(-7, 12), "           \0"),
			gnu("prefix", "pre"),
			rawtar.pax({ "atime", "6.5", "ctime", "" }) .. gnu("record", octal(1), octal(2)),
			star("star", "12345670123 ", "00000000005 "),
			star("empty", ("\0"):rep(12), "00000000005 "),
			rawtar.entry({ name = "ustar", prefix = ("\0"):rep(131) .. "12345670123 00000000005 " })
		)
		assert.same({ 1600000000, 0, 5, 0 }, times(layer:entry("gnu")))
		assert.same({ "none", "none", 0, 0 }, times(layer:entry("one")))
		assert.same({ -7, 0, 0, 0 }, times(layer:entry("negative")))
		assert.same({ "none", "none", "none", "none" }, times(layer:entry("pre/prefix")))
		assert.same({ 6.5, 500000000, 2, 0 }, times(layer:entry("record")))
		assert.same({ tonumber("12345670123", 8), 0, 5, 0 }, times(layer:entry("star")))
		assert.same({ "none", "none", 5, 0 }, times(layer:entry("empty")))
		assert.same({ "none", "none", "none", "none" }, times(layer:entry("ustar")))
	end)

	specify("are what GNU tar and bsdtar have written", function()
		bench.dir:write("f", "content")
		shell.check({ "touch", "-a", "-d", "@1500000000.25", "f", cwd = bench.dir.path })
		for _, command in ipairs({
			{ "tar", "--format=posix", "--atime-preserve" },
			{ "tar", "--format=posix", "--atime-preserve", "--pax-option=delete=ctime,VENDOR.a:=1" },
			{ "bsdtar", "--format=pax" },
		}) do
			local ctime = not command[4] and shell.check({ "stat", "-c", "%.9Z", bench.dir:file("f") })
			for _, word in ipairs({ "-cf", bench.dir:file("l.tar"), "f" }) do
				command[#command + 1] = word
			end
			command.cwd = bench.dir.path
			shell.check(command)
			local entry = bench:open({ { file = bench.dir:file("l.tar") } }).layers[1]:entry("f")
			assert.same({ 1500000000.25, 250000000 }, { entry.atime, entry.atime_nsec })
			if ctime then
				assert.equal(ctime, ("%.0f.%09d\n"):format(math.floor(entry.ctime), entry.ctime_nsec))
			else
				assert.same({ "1" }, { entry.pax["VENDOR.a"], entry.ctime, entry.ctime_nsec })
			end
		end
	end)

	specify("are fields of a tar that is pushed", function()
		local p, found = strata.stream.tar(), {}
		assert(p:feed(rawtar.tar(rawtar.pax({ "atime", "2.5" }) .. gnu("a", octal(1), octal(7)), gnu("b"))))
		for event in p:events() do
			found[#found + 1] = event.entry and times(event.entry)
		end
		p:close()
		assert.same({ { 2.5, 500000000, 7, 0 }, { "none", "none", "none", "none" } }, found)
	end)
end)

describe("setting atime or ctime", function()
	for _, format in ipairs({ "gnu", "pax", "ustar" }) do
		specify("adds a record and nothing else, removing takes the header away (" .. format .. ")", function()
			local VALUES = { 1234567890, 1234567890.5, 0, -1, -86400.25, 8999999999999999, -8999999999999999, 0.0000001 }
			local TEXTS = { "1234567890", "1234567890.5", "0", "-1", "-86400.25", "8999999999999999",
				"-8999999999999999", "0.0000001" }
			local entries = {}
			for i in ipairs(VALUES) do
				entries[i] = { name = ("d/"):rep(i * 10) .. "f" .. i, data = "content", uid = 7, mtime = 5 }
			end
			local layer, img, path = open(entries, format)
			local before = bench:split(path)
			local function each(field, fn)
				img:rewrite(function(entry) entry[field] = fn(entry.position) end)
			end
			for _, field in ipairs({ "atime", "ctime" }) do
				each(field, function(i) return VALUES[i] end)
				for entry in layer:entries() do
					assert.equal(VALUES[entry.position], entry[field])
				end
				local seen, after, again = saved(img)
				for i, value in ipairs(VALUES) do
					assert.equal(value, again:entry(entries[i].name)[field])
					local label = table.concat(tarball.differences(before[i], after[i]), " ")
					local moved = format == "gnu" and #entries[i].name > 100 -- beside a record a long name is one
					assert.equal(moved and ("long pax:%s pax:path"):format(field) or "pax:" .. field, label)
					assert.equal(before[i].block, after[i].block)
					assert.same({ TEXTS[i], entries[i].name }, { seen[i].pax[field], seen[i].name })
				end
				assert.equal(before.tail, after.tail)
				each(field, function() end)
				local _, back = saved(img)
				assert.same(before, back)
			end
		end)
	end

	specify("with what it is already changes no byte", function()
		local parts = {
			rawtar.pax({ "atime", "1600000000.12345678999", "ctime", "00.0" }) .. gnu("a"),
			gnu("b", octal(7), octal(0)),
			gnu("c", rawtar.base256(-7, 12)),
			star("d", "00000000007 ", "00000000000 "),
			rawtar.pax({ "atime", "-9223372036854775808" }) .. gnu("e"),
			rawtar.entry({ name = "f", magic = rawtar.V7 }),
		}
		local layer, img = open_raw(table.concat(parts))
		img:rewrite(function(entry)
			for _, field in ipairs(FIELDS) do
				entry[field] = entry[field]
			end
		end)
		assert.is_false(img.edited)
		layer:entry("e").ctime = 1
		assert.is_true(img.edited)
		layer:entry("e").ctime = nil
		local _, after = saved(img)
		for i, member in ipairs(after) do
			assert.equal(parts[i], member.span)
		end
	end)

	specify("takes nanoseconds by themselves", function()
		local layer, img = open({ { name = "f", pax = { atime = "5" } } })
		local entry = layer:entry("f")
		entry.atime_nsec = 123456789
		assert.equal(5.123456789, entry.atime)
		entry.ctime = -2
		entry.ctime_nsec = 1
		local _, members, again = saved(img)
		assert.same({ "5.123456789", "-1.999999999" }, { members[1].pax.atime, members[1].pax.ctime })
		assert.same({ 5.123456789, 123456789, -1.999999999, 1 }, times(again:entry("f")))
	end)

	specify("leaves one truth in a GNU or star block, which all readers know", function()
		for _, make in ipairs({ gnu, star }) do
			for _, value in ipairs({ 1700000000, 1700000000.5, -3, 2 ^ 36 }) do
				local old = make("f", make == gnu and octal(1600000000) or "13727410000 ",
					make == gnu and octal(1600000001) or "13727410001 ")
				local layer, img = open_raw(old)
				layer:entry("f").atime = value
				local seen, members, again, path = saved(img)
				local at = make == gnu and 346 or 477
				local block = members[1].block
				assert.equal(("\0"):rep(12), block:sub(at, at + 11))
				assert.equal(old:sub(157, at - 1), block:sub(157, at - 1))
				assert.equal(old:sub(at + 12), block:sub(at + 12))
				assert.equal(old:sub(1, 148), block:sub(1, 148))
				assert.same({ value, 1600000001 }, { again:entry("f").atime, again:entry("f").ctime })
				-- tarfile takes what is left in a GNU block for a prefix only while that begins with an atime.
				assert.same({ "f", value }, { seen[1].name, tonumber(seen[1].pax.atime) })
				assert.same(value, tonumber(bsdtar_times(bench:layer(path))[1]))
				if value > 0 then
					local out = bench.dir:file("out")
					shell.sh('rm -rf "$1" && mkdir "$1" && tar --incremental -xf "$2" -C "$1"', out, bench:layer(path))
					assert.equal(("%d\n"):format(math.floor(value)), shell.check({ "stat", "-c", "%X", out .. "/f" }))
				end
				again:entry("f").atime = nil
				again:entry("f").ctime = nil
				assert.same({ "none", "none", "none", "none" }, times(again:entry("f")))
			end
		end
	end)

	specify("removes what a block and a record say both", function()
		local layer, img = open_raw(rawtar.pax({ "atime", "6", "comment", "stays" }) .. gnu("f", octal(1), octal(2)))
		layer:entry("f").atime = nil
		layer:entry("f").ctime = nil
		local _, members, again = saved(img)
		assert.same({ comment = "stays" }, members[1].pax)
		assert.equal(("\0"):rep(155), members[1].fields.prefix)
		assert.same({ "none", "none", "none", "none" }, times(again:entry("f")))
	end)

	specify("goes together with every other field", function()
		for _, format in ipairs({ "gnu", "pax", "ustar" }) do
			local layer, img = open({ { name = "f", data = "x", pax = { comment = "stays" } } }, format)
			local entry = layer:entry("f")
			entry.path, entry.uid, entry.mtime = ("long/"):rep(60) .. "f", 3000000, 9.5
			entry.xattrs, entry.atime, entry.ctime = { ["user.a"] = "1" }, 7.25, 8
			entry:replace("new")
			local seen = saved(img)[1]
			assert.same({ entry.path, "new", 3000000, 9.5 }, { seen.name, seen.data, seen.uid, seen.mtime })
			assert.same({ "7.25", "8", "1" }, { seen.pax.atime, seen.pax.ctime, seen.pax["SCHILY.xattr.user.a"] })
			assert.equal(format == "pax" and "stays" or nil, seen.pax.comment)
			entry.xattrs, entry.atime, entry.ctime = {}, nil, nil
			seen = saved(img)[1]
			assert.same({}, { seen.pax.atime, seen.pax.ctime, seen.pax["SCHILY.xattr.user.a"] })
		end
	end)

	specify("of one name of a file sets it for all", function()
		local layer, img = open({
			{ name = "f", data = "x" },
			{ name = "a", type = "hardlink", linkname = "f", pax = { atime = "1.5", ctime = "9" } },
			{ name = "b", type = "hardlink", linkname = "a" },
			{ name = "other", type = "symlink", linkname = "f" },
		})
		local function of_names(field)
			local list = {}
			for i, name in ipairs({ "f", "a", "b", "other" }) do
				list[i] = layer:entry(name)[field] or "none"
			end
			return list
		end
		layer:entry("b").atime = 7
		assert.same({ 7, 7, 7, "none" }, of_names("atime"))
		layer:entry("f").ctime = nil
		assert.same({ "none", "none", "none", "none" }, of_names("ctime"))
		layer:entry("a").ctime = 3
		layer:entry("a").ctime_nsec = 5
		assert.same({ 5, 5, 5, "none" }, of_names("ctime_nsec"))
		layer:entry("f"):remove()
		local seen = saved(img)
		assert.same({ "a", "7", "3.000000005" }, { seen[1].name, seen[1].pax.atime, seen[1].pax.ctime })
		assert.same({ "b", "7", "3.000000005" }, { seen[2].name, seen[2].pax.atime, seen[2].pax.ctime })
	end)

	specify("of one name alone gives the nanoseconds their seconds under the others", function()
		local layer = open({
			{ name = "f", pax = { atime = "4" } },
			{ name = "a", type = "hardlink", linkname = "f" },
		})
		layer:entry("f").atime_nsec = 500000000
		assert.same({ 4.5, 4.5 }, { layer:entry("f").atime, layer:entry("a").atime })
	end)

	specify("throws what is no time, at the line that assigns it", function()
		local layer, img = open({ { name = "f" } })
		local entry = layer:entry("f")
		for field, cases in pairs({
			atime = { ["5"] = "atime should be a number or nil, not string", [{}] = "not table", [true] = "not boolean",
				[9e15] = "atime is out of range", [-9e15] = "out of range", [1 / 0] = "out of range" },
			ctime = { [false] = "ctime should be a number or nil, not boolean", [1e300] = "ctime is out of range" },
			atime_nsec = { [5] = "atime_nsec: the entry has no atime", [-1] = "atime_nsec is out of range" },
			ctime_nsec = { [0] = "ctime_nsec: the entry has no ctime", x = "ctime_nsec should be a number, not string" },
		}) do
			for value, message in pairs(cases) do
				local ok, thrown = pcall(function() entry[field] = value end)
				assert.is_false(ok)
				assert.matches("times_spec.lua:%d+: .*" .. message, thrown)
			end
		end
		assert.is_false(pcall(function() entry.atime = 0 / 0 end))
		entry.atime_nsec = entry.atime_nsec
		assert.is_false(img.edited)
		entry.atime = 1
		assert.is_false(pcall(function() entry.atime_nsec = nil end))
	end)

	specify("works in streams as in images", function()
		local _, _, path = open({ { name = "a", pax = { atime = "5", ctime = "6" } }, { name = "b" } })
		local t = strata.stream.image({
			rewrite = function(entry)
				entry.atime = entry.path == "b" and 7.5 or nil
			end,
		})
		local out = bench.dir:write("out.tar", assert(push.through(t, shell.read(path))))
		local layer = bench:load(out).layers[1]
		assert.same({ "none", "none", 6, 0 }, times(layer:entry("a")))
		assert.same({ 7.5, 500000000, "none", "none" }, times(layer:entry("b")))
	end)

	specify("reads as asked in random layers, by Python as well, and back again", function()
		local random = push.generator(99)
		local function text(value)
			return (("%d.%03d"):format(value, (random(8) - 1) * 125):gsub("%.?0+$", "")) -- eighths: exact as a number
		end
		for _, format in ipairs({ "gnu", "pax", "ustar" }) do
			local entries = {}
			for i = 1, 60 do
				local pax = { comment = random(2) == 1 and "c" or nil }
				for _, field in ipairs({ "atime", "ctime" }) do
					pax[field] = random(2) == 1 and text(random(2000000000)) or nil
				end
				entries[i] = {
					name = ("n"):rep(random(99)) .. "/" .. ("m"):rep(random(90)) .. i,
					data = ("x"):rep(random(600)),
					type = random(5) == 1 and "fifo" or nil,
					mtime = random(9) / 4,
					pax = pax,
				}
			end
			local layer, img, path = open(entries, format)
			local before, wanted, old = bench:split(path), {}, {}
			for entry in layer:entries() do
				local i = entry.position
				assert.equal(tonumber(before[i].pax.atime), entry.atime)
				assert.equal(tonumber(before[i].pax.ctime), entry.ctime)
				old[i], wanted[i] = { entry.atime, entry.ctime }, { entry.atime, entry.ctime }
				for k, field in ipairs({ "atime", "ctime" }) do
					if random(2) == 1 then
						wanted[i][k] = nil
						if random(3) > 1 then
							wanted[i][k] = (random(2000000000) - 1000000000) / 8
						end
						entry[field] = wanted[i][k]
					end
				end
			end
			local seen, after, again = saved(img)
			for i, want in ipairs(wanted) do
				local entry = again:entry(entries[i].name)
				assert.same({ want[1] or "", want[2] or "" }, { entry.atime or "", entry.ctime or "" })
				local pax = seen[i].pax
				assert.same({ want[1] or "", want[2] or "" }, { tonumber(pax.atime) or "", tonumber(pax.ctime) or "" })
				for _, field in ipairs(tarball.differences(before[i], after[i])) do
					local moved = format == "gnu" and #entries[i].name > 100
					if not (moved and (field == "long" or field == "pax:path")) then
						assert.matches("^pax:[ac]time$", field)
					end
				end
				assert.equal(before[i].data, after[i].data)
				assert.equal(entries[i].name, seen[i].name)
				layer:entry(entries[i].name).atime, layer:entry(entries[i].name).ctime = old[i][1], old[i][2]
			end
			local _, back = saved(img)
			for i, member in ipairs(before) do
				assert.same(member.pax, back[i].pax)
				assert.equal(member.block, back[i].block)
				assert.equal(#member.span, #back[i].span)
			end
		end
	end)
end)

describe("atime and ctime of the merged view", function()
	specify("are those of the header that counts", function()
		local img = bench:open({
			{
				entries = {
					{ name = "a", pax = { atime = "1" } },
					{ name = "f", pax = { atime = "2", ctime = "3.5" } },
					{ name = "l", type = "hardlink", linkname = "f", pax = { atime = "-4" } },
					{ name = "s", type = "symlink", linkname = "f", pax = { atime = "5" } },
					{ name = "t", type = "hardlink", linkname = "s", pax = { atime = "6" } },
					{ name = "implied/x" },
				},
			},
			{ entries = { { name = "a", pax = { ctime = "7" } } } },
		})
		local root = assert(img:rootfs())
		assert.same({ "none", "none", 7, 0 }, times(root:stat("a")))
		assert.same({ -4, 0, "none", "none" }, times(root:stat("f")))
		assert.same({ -4, 0, "none", "none" }, times(root:stat("l")))
		assert.same({ 5, 0, "none", "none" }, times(root:lstat("t")))
		assert.same({ "none", "none", "none", "none" }, times(root:stat("implied")))
	end)

	specify("go into the header that squash writes", function()
		local img = bench:open({
			{ entries = { { name = "base" } } },
			{
				entries = {
					{ name = "f", data = "x", pax = { atime = "2", ctime = "3.5" } },
					{ name = "l", type = "hardlink", linkname = "f", mode = 2541, pax = { atime = "-4" } },
				},
			},
		})
		assert(img:squash(1, 2))
		local _, members = saved(img)
		for _, member in ipairs(members) do
			local name = tarball.text(member.fields.name)
			assert.same({ name ~= "base" and "-4" or nil }, { member.pax.atime, member.pax.ctime })
		end
	end)

	specify("are no difference between a file and its repetition, and go along when it is folded", function()
		local img = bench:open({
			{ entries = { { name = "f", data = "x", pax = { atime = "1", ctime = "2" } } } },
			{ entries = { { name = "f", data = "x", pax = { ctime = "3" } } } },
		})
		local bytes = assert(img:fold())
		assert.is_true(bytes > 0)
		assert.same({ "none", "none", 3, 0 }, times(img.layers[1]:entry("f")))
	end)
end)

describe("a layer that gets one time", function()
	specify("loses atime and ctime, so that it is the same however often its files were read", function()
		local function tar(second)
			shell.sh('mkdir -p "$1" && echo content >"$1/f" && touch -d @5 "$1/f" && touch -a -d "@$2" "$1/f"',
				bench.dir:file("tree"), second)
			local path = bench.dir:file("l.tar")
			shell.check({
				"tar", "--format=posix", "--atime-preserve", "--pax-option=exthdr.name=x,comment:=stays", "-cf", path, "f",
				cwd = bench.dir:file("tree"),
			})
			return path
		end
		for _, opts in ipairs({ { mtime = 7 }, { clamp_mtime = 3 }, { clamp_mtime = 1e9 } }) do
			local ids = {}
			for i = 1, 2 do
				opts.tar = tar(1500000000 + i)
				local layer = assert(strata.layer(opts))
				ids[i] = layer.diff_id
				local entry = layer:entry("f")
				assert.same({ "none", "none", "none", "none" }, times(entry))
				assert.same({ "stays", opts.mtime or (opts.clamp_mtime == 3 and 3 or 5) }, { entry.pax.comment, entry.mtime })
			end
			assert.equal(ids[1], ids[2])
		end
		local layer = assert(strata.layer({ tar = tar(1500000003), to = "sub" }))
		assert.equal(1500000003, layer:entry("sub/f").atime)
	end)
end)
