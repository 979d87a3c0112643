-- Takes seconds: not for make check.
--- Folding entries that repeat a lower layer's content with other metadata: img:fold.

local archive = require "spec.support.archive"
local model = require "spec.support.model"
local random = require "spec.support.random"
local shell = require "spec.support.shell"
local stacks = require "spec.support.stacks"
local tree = require "spec.support.tree"

local specify = archive.specify(it, pending)

local FIRST = random.first_seed()
local RUNS = tonumber(os.getenv("STRATA_STACKS") or 24)
local ROOT = require("spec.support.rights").root

local function with(entry, more)
	for key, value in pairs(more or {}) do
		entry[key] = value
	end
	return entry
end

local function file(name, data, more)
	return with({ name = name, data = data }, more)
end

local function dir(name, more)
	return with({ name = name .. "/", type = "dir" }, more)
end

local function link(name, target, more)
	return with({ name = name, type = "hardlink", linkname = target }, more)
end

local function symlink(name, target, more)
	return with({ name = name, type = "symlink", linkname = target }, more)
end

-- What a container sees by the entries that Python read.
local function merge(look)
	local layers = {}
	for i, layer in ipairs(look.layers) do
		layers[i] = layer.entries
	end
	return model.merge(layers)
end

-- Extended attributes, fractions of times, atime and ctime, which the model leaves out.
local function details(img)
	local lines = {}
	for entry in assert(img:rootfs()):walk() do
		local names = {}
		for name, value in pairs(entry.xattrs or {}) do
			names[#names + 1] = name .. "=" .. value
		end
		table.sort(names)
		local times = { "%.6f", tostring(entry.atime), tostring(entry.ctime) }
		lines[entry.path] = table.concat(times, " "):format(entry.mtime) .. " " .. table.concat(names, " ")
	end
	return lines
end

describe("folding", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function open(layers, gzip)
		for i, entries in ipairs(layers) do
			layers[i] = { entries = entries, gzip = gzip }
		end
		return bench:open(layers)
	end

	-- Folds, saves, and checks that a container sees the same. What is left in the layers, by name.
	local function fold(img, path, opts)
		local expected, before = merge(archive.look(path)), details(img)
		local bytes, list = img:fold(opts)
		assert(bytes, list)
		local look, saved = bench:save(img)
		assert.same(expected, merge(look))
		assert.same(before, details(bench:load(saved)))
		local sum, left = 0, {}
		for _, one in ipairs(list) do
			sum = sum + one.bytes
		end
		assert.equal(bytes, sum)
		for i, layer in ipairs(look.layers) do
			left[i] = archive.names(layer.entries)
		end
		return left, list, look
	end

	-- Nothing of these layers can go.
	local function stays(layers)
		local img, _, path = open(layers)
		local left, list = fold(img, path)
		assert.same({}, list)
		assert.is_false(img.edited)
		return left
	end

	for _, gzip in ipairs({ false, true }) do
		specify("gives a lower file the metadata of the upper one, " .. (gzip and "gzip" or "plain"), function()
			local img, _, path = open({
				{ file("a", "AAA"), file("b", "BBB") },
				{ file("a", "AAA", { mode = 2541, uid = 7, gid = 8, uname = "u", gname = "g", mtime = 5 }) },
			}, gzip)
			local left, list, look = fold(img, path)
			assert.same({ { "a", "b" }, {} }, left)
			assert.same({ { path = "a", type = "file", layer = 2, into = 1, bytes = 1024 } }, list)
			local a = look.layers[1].entries[1]
			assert.same({ 2541, 7, 8, "u", "g", 5, "AAA" }, { a.mode, a.uid, a.gid, a.uname, a.gname, a.mtime, a.data })
		end)
	end

	specify("takes extended attributes and fractions of times along, and takes them away", function()
		local img = open({
			{
				file("a", "A", {
					pax = { ["SCHILY.xattr.security.capability"] = "\1\2", ["SCHILY.xattr.user.old"] = "1", ctime = "7" },
				}),
			},
			{
				file("a", "A", {
					pax = { ["SCHILY.xattr.user.new"] = "2", mtime = "1600000000.123456789", atime = "-1.000000001" },
				}),
			},
		})
		local before = details(img)
		assert(img:fold())
		local look, saved = bench:save(img)
		assert.same(before, details(bench:load(saved)))
		assert.same({}, look.layers[2].entries)
		local pax = look.layers[1].entries[1].pax
		assert.equal("2", pax["SCHILY.xattr.user.new"])
		assert.is_nil(pax["SCHILY.xattr.security.capability"])
		assert.same({ "1600000000.123456789", "-1.000000001" }, { pax.mtime, pax.atime, pax.ctime })
	end)

	specify("goes down through several layers", function()
		local img, _, path = open({
			{ file("a", "A"), file("x", "X") },
			{ file("a", "A", { mode = 384 }) },
			{ file("y", "Y") },
			{ file("a", "A", { mode = 511, uid = 9 }) },
		})
		local left, list = fold(img, path)
		assert.same({ { "a", "x" }, {}, { "y" }, {} }, left)
		assert.equal(2, #list)
	end)

	specify("leaves empty layers, or prunes them", function()
		local img, _, path = open({ { file("a", "A") }, { file("a", "A", { mode = 384 }) } })
		local left, _, look = fold(img, path, { prune = true })
		assert.same({ { "a" } }, left)
		assert.equal(1, #look.diff_ids)
		assert.is_true(look.history[2].empty_layer)
	end)

	specify("needs the same content", function()
		stays({ { file("a", "AAA") }, { file("a", "AAB", { mode = 384 }) } })
		stays({ { file("a", "AAA") }, { file("a", "AAAA", { mode = 384 }) } })
		stays({ { file("a", ("x"):rep(600000)) }, { file("a", ("x"):rep(599999) .. "y") } })
		stays({ { symlink("a", "b") }, { symlink("a", "c") } })
		local function device(minor)
			return { name = "a", type = "char", major = 1, minor = minor }
		end
		stays({ { device(3) }, { device(5) } })
		stays({ { file("a", "") }, { { name = "a", type = "fifo" } } })
	end)

	specify("folds symlinks, devices, fifos and empty files, too", function()
		local img, _, path = open({
			{
				symlink("l", "to"),
				{ name = "n", type = "char", major = 1, minor = 3 },
				{ name = "p", type = "fifo" },
				file("e", ""),
			},
			{
				symlink("l", "to", { uid = 5 }),
				{ name = "n", type = "char", major = 1, minor = 3, uid = 5 },
				{ name = "p", type = "fifo", uid = 5 },
				file("e", "", { uid = 5 }),
			},
		})
		assert.same({ { "l", "n", "p", "e" }, {} }, (fold(img, path)))
	end)

	specify("takes a file with all its names, and with none of them otherwise", function()
		local group = { file("a", "A"), link("b", "a"), link("c", "b") }
		local img, _, path = open({
			group,
			{ file("b", "A", { mode = 384 }), link("a", "b", { mode = 384 }), link("c", "b", { mode = 384 }) },
		})
		local left, _, look = fold(img, path)
		assert.same({ { "a", "b", "c" }, {} }, left)
		for _, entry in ipairs(look.layers[1].entries) do
			assert.equal(384, entry.mode)
		end
		stays({ group, { file("a", "A", { mode = 384 }) } })
		stays({ group, { file("a", "A", { mode = 384 }), link("b", "a", { mode = 384 }) } })
		stays({ group, { file("a", "A"), file("b", "A"), file("c", "A") } })
		stays({ { file("a", "A"), file("b", "A") }, { file("a", "A", { mode = 384 }), link("b", "a", { mode = 384 }) } })
		stays({ { file("a", "A") }, { file("a", "A", { mode = 384 }), link("b", "a", { mode = 384 }) } })
	end)

	specify("changes the hardlinks of a file of which one name is left, too", function()
		local img, _, path = open({
			{ file("a", "A"), link("b", "a") },
			{ file(".wh.b", "") },
			{ file("a", "A", { mode = 384 }) },
		})
		local left, _, look = fold(img, path)
		assert.same({ { "a", "b" }, { ".wh.b" }, {} }, left)
		assert.equal(384, look.layers[1].entries[2].mode)
	end)

	specify("keeps what other layers have hardlinks to", function()
		stays({ { file("a", "A") }, { link("b", "a") }, { file("a", "A", { mode = 384 }) } })
		stays({ { file("a", "A") }, { file("a", "A", { mode = 384 }) }, { link("b", "a") } })
		stays({ { file("a", "A") }, { link("b", "a"), file("a", "A", { mode = 384 }) } })
	end)

	specify("keeps what comes back behind a whiteout or in an opaque directory", function()
		stays({ { file("a", "A") }, { file(".wh.a", ""), file("a", "A", { mode = 384 }) } })
		stays({ { dir("d"), file("d/a", "A") }, { dir("d"), file("d/.wh..wh..opq", ""), file("d/a", "A", { mode = 384 }) } })
		stays({ { dir("d"), file("d/a", "A") }, { file(".wh.d", ""), dir("d"), file("d/a", "A", { mode = 384 }) } })
		stays({ { file("a", "A") }, { file(".wh.a", "") }, { file("a", "A", { mode = 384 }) } })
		stays({ { file("d/a", "A") }, { file("d", "x") }, { dir("d"), file("d/a", "A", { mode = 384 }) } })
	end)

	specify("folds into the layer that has the file, not into one that it hides", function()
		local img, _, path = open({ { file("a", "A") }, { file("a", "B") }, { file("a", "A", { mode = 384 }) } })
		assert.same({ { "a" }, { "a" }, { "a" } }, (fold(img, path)))
		img, _, path = open({ { file("a", "B") }, { file("a", "A") }, { file("a", "A", { mode = 384 }) } })
		assert.same({ { "a" }, { "a" }, {} }, (fold(img, path)))
	end)

	specify("leaves layers alone that go through symlinks or name a path twice", function()
		stays({ { dir("d"), file("d/a", "A"), symlink("s", "d") }, { file("s/a", "A", { mode = 384 }) } })
		stays({ { dir("d"), file("d/a", "A"), symlink("s", "d") }, { file("s/a", "B"), file("d/a", "A", { mode = 384 }) } })
		stays({ { file("a", "A") }, { file("a", "B"), file("a", "A", { mode = 384 }) } })
	end)

	specify("keeps what other PAX records tell something of", function()
		stays({ { file("a", "A") }, { file("a", "A", { pax = { ["SCHILY.acl.access"] = "user::rwx" } }) } })
	end)

	specify("folds a directory with all that is below it, and not without", function()
		local img, _, path = open({
			{ dir("d"), dir("d/e"), file("d/e/a", "A"), file("d/b", "B") },
			{
				dir("d", { uid = 3 }),
				dir("d/e", { uid = 3 }),
				file("d/e/a", "A", { uid = 3 }),
				file("d/b", "B", { uid = 3 }),
			},
		})
		assert.same({ { "d", "d/e", "d/e/a", "d/b" }, {} }, (fold(img, path)))
		img, _, path = open({
			{ dir("d"), dir("d/e"), file("d/e/a", "A") },
			{ dir("d", { uid = 3 }), dir("d/e", { uid = 3 }), file("d/e/a", "A", { uid = 3 }), file("d/new", "B") },
		})
		assert.same({ { "d", "d/e", "d/e/a" }, { "d", "d/new" } }, (fold(img, path)))
		stays({ { dir("d") }, { file("d/x", "x") }, { dir("d", { uid = 3 }) } })
		stays({ { file("d/x", "x") }, { dir("d", { uid = 3 }) } })
	end)

	specify("changes no layer that it need not, and no other entry", function()
		local img, _, path = open({
			{ file("u", "U", { uname = "somebody" }) },
			{ file("a", "A"), file("z", "Z", { pax = { ["x.unknown"] = "1" } }) },
			{ file("k", "K") },
			{ file("a", "A", { uid = 3 }), file("q", "Q") },
		}, true)
		local first, third = img.layers[1].digest, img.layers[3].digest
		local z, q = bench:split(path, 2)[2], bench:split(path, 4)[2]
		assert(img:fold())
		local look, saved = bench:save(img)
		assert.equal(first, look.layers[1].digest)
		assert.equal(third, look.layers[3].digest)
		local lower, upper = bench:split(saved, 2), bench:split(saved, 4)
		assert.equal(z.span .. z.data, lower[2].span .. lower[2].data)
		assert.equal(q.span .. q.data, upper[1].span .. upper[1].data)
	end)

	specify("sees edits that wait, and is one itself", function()
		local img = open({ { file("a", "A"), file("b", "B") }, { file("a", "X", { uid = 3 }) } })
		img.layers[2]:entry("a"):replace("A")
		assert.equal(1024, (img:fold()))
		img:filter(function(entry)
			return entry.path ~= "b"
		end)
		local look = bench:save(img)
		assert.same({ "a" }, archive.names(look.layers[1].entries))
		assert.equal(3, look.layers[1].entries[1].uid)
		assert.equal(0, (img:fold()))
	end)

	specify("finds out that a layer's bytes are not the layer's", function()
		local _, _, path = open({ { file("a", "AAAA"), file("b", "BBBB") }, { file("a", "AAAA", { uid = 1 }) } })
		local bytes = shell.read(path)
		local at = bytes:find("BBBB", 1, true)
		shell.write(path, bytes:sub(1, at - 1) .. "XXXX" .. bytes:sub(at + 4))
		local ok, _, code = bench:load(path):fold()
		assert.is_nil(ok)
		assert.equal("EDIGEST", code)
	end)

	specify("tells its progress, and is cancelled by an error in it without a trace", function()
		local img = open({ { file("a", ("A"):rep(100000)) }, { file("a", ("A"):rep(100000), { uid = 1 }) } }, true)
		local told = {}
		local ok, message = pcall(img.fold, img, {
			progress = function(done, total, what)
				told[what] = done <= total
				if what == "comparing" then
					error("stop", 0)
				end
			end,
		})
		assert.is_false(ok)
		assert.equal("stop", message)
		assert.is_true(told.comparing)
		assert.is_false(img.edited)
		assert.equal(512 + 100352, (img:fold({ threads = 2 })))
	end)

	-- Layers that repeat what random ones have, with other metadata and sometimes other content.
	local function repeating(seed, tame)
		local layers = stacks.layers(seed, tame)
		local number, pick = stacks.generator(seed + 1000)
		local symlinks, result = {}, {}
		for _, layer in ipairs(layers) do
			for _, entry in ipairs(layer.entries) do
				if entry.type == "symlink" then
					symlinks[entry.name:gsub("^%./", "")] = true
				end
			end
		end
		local function is_reachable(name)
			for at in name:gsub("^%./", ""):gmatch("()/") do
				if symlinks[name:gsub("^%./", ""):sub(1, at - 1)] then
					return false
				end
			end
			return not name:find(".wh.", 1, true)
		end
		local function altered(entry)
			local copy = with({}, entry)
			copy.mode, copy.uid, copy.mtime = pick({ 420, 384, 2541 }), number(4), 1000000000 + number(9)
			if number(3) == 1 then
				copy.pax = { ["SCHILY.xattr.user.seed"] = tostring(number(5)) }
			end
			if number(3) == 1 then
				copy.pax = with(copy.pax or {}, { [pick({ "atime", "ctime" })] = number(9) .. ".5" })
			end
			return copy
		end
		for _, layer in ipairs(layers) do
			result[#result + 1] = layer
			local copy, whole, seen = { entries = {}, gzip = number(2) == 1 }, number(2) == 1, {}
			local mode = { mode = 448, uid = 9, mtime = 1000000077 }
			for _, entry in ipairs(layer.entries) do
				if is_reachable(entry.name) and not seen[entry.name] and (whole or number(3) > 1) then
					seen[entry.name] = true
					local new = altered(entry)
					local is_file = entry.type == nil or entry.type == "hardlink" and seen[entry.linkname]
					if whole and is_file then
						new = with(with({}, entry), mode)
					elseif entry.type == "hardlink" and not seen[entry.linkname] then
						new.type, new.linkname, new.data = nil, nil, "broken"
					end
					if new.type == nil and number(6) == 1 then
						new.data = (new.data or ""):gsub("^.", "X")
					end
					copy.entries[#copy.entries + 1] = new
				end
			end
			result[#result + 1] = copy
		end
		return result
	end

	local folded = 0
	for seed = FIRST, FIRST + RUNS - 1 do
		specify("leaves a random stack as a container sees it, number " .. seed, function()
			local tame = seed % 2 == 1
			local img, _, path = bench:open(repeating(seed, tame))
			local _, list, look = fold(img, path, { prune = seed % 4 < 2 })
			folded = folded + #list
			assert.equal(0, (img:fold()))
			assert.equal(#look.layers, #look.diff_ids)
			-- Extracted by us, read by Python, as root, who may look into every directory. A link before its file can be
			-- one to what lower layers have there.
			local roots = {}
			for i, source in ipairs(tame and ROOT and { path, "saved" } or {}) do
				local from = source == "saved" and img or bench:load(source)
				local target = bench.dir:file("root" .. i)
				assert(from:extract(target))
				roots[i] = tree.read(target)
				local root = assert(from:rootfs())
				for name, row in pairs(roots[i]) do
					row.blocks = nil
					if name == "." or root:lstat(name).implied then
						row.mtime = nil
					end
				end
			end
			assert.same(roots[1], roots[2])
		end)
	end

	specify("has folded something in those stacks", function()
		assert.is_true(folded > RUNS)
	end)
end)
