-- Takes seconds: not for make check.
--- img:split and img:rechunk: several layers of one, and layers that stay from build to build.

local archive = require "spec.support.archive"
local cjson = require "cjson"
local child = require "spec.support.child"
local conform = require "spec.support.conform"
local shell = require "spec.support.shell"
local stacks = require "spec.support.stacks"
local strata = require "strata"

local specify = archive.specify(it, pending)

local function file(name, data, more)
	local entry = { name = name, data = data or name, mtime = 1 }
	for key, value in pairs(more or {}) do
		entry[key] = value
	end
	return entry
end

local function dir(name, mode)
	return { name = name, type = "dir", mode = mode or 493, mtime = 1 }
end

local function link(name, target)
	return { name = name, type = "hardlink", linkname = target, mtime = 1 }
end

local bench
before_each(function()
	bench = archive.bench()
end)
after_each(function()
	bench:close()
end)

local function open(layers, request)
	for i, entries in ipairs(layers) do
		layers[i] = { entries = entries, gzip = i % 2 == 0 }
	end
	return bench:open(layers, request)
end

local function names(look)
	local list = {}
	for i, layer in ipairs(look.layers) do
		list[i] = table.concat(archive.names(layer.entries), " ")
	end
	return list
end

-- What a container sees of an image.
local function listing(img)
	local root, lines = assert(img:rootfs()), {}
	for entry in root:walk() do
		lines[#lines + 1] = ("%s %s %o %d:%d %s %s %s"):format(entry.path, entry.type, entry.mode, entry.uid, entry.gid,
			tostring(entry.mtime), tostring(entry.linkpath), tostring(entry.type == "file" and entry:digest()))
	end
	root:close()
	return table.concat(lines, "\n")
end

-- Every member of the layers of an archive: its bytes.
local function spans(path, count)
	local known = {}
	for i = 1, count do
		for _, member in ipairs(bench:split(path, i)) do
			known[member.span] = true
		end
	end
	return known
end

describe("splitting a layer", function()
	specify("puts what paths choose into a layer above the rest, with its directories", function()
		local img, _, path = open({
			{ file("base") },
			{
				dir("usr", 448), dir("usr/lib"), file("usr/lib/a"), dir("usr/bin"), file("usr/bin/b"), file("c"),
				file(".wh.base"),
			},
			{ file("top") },
		}, { config = { history = { { created_by = "base" }, { created_by = "ENV", empty_layer = true },
			{ created_by = "RUN", created = "2020-01-01T00:00:00Z" }, { created_by = "top" } } } })
		local before = spans(path, 3)
		local digests = { img.layers[1].digest, img.layers[3].digest }
		local self, chunks = assert(img:split(2, "usr/lib"))
		assert.equal(img, self)
		assert.same({ { 2, 5 }, { 3, 2 } }, {
			{ chunks[1].layer, chunks[1].entries }, { chunks[2].layer, chunks[2].entries },
		})
		assert.matches("^layer 2: 5 entries, .*\nlayer 3: 2 entries, ", tostring(chunks))
		local look, saved = bench:save(img)
		assert.same({ "base", "usr usr/bin usr/bin/b c .wh.base", "usr usr/lib usr/lib/a", "top" }, names(look))
		assert.same(digests, { look.layers[1].digest, look.layers[4].digest })
		assert.equal("gzip", img.layers[3].compression)
		for span in pairs(spans(saved, 4)) do
			assert.is_true(before[span])
		end
		local rows = {}
		for i, row in ipairs(img:history()) do
			rows[i] = row.created_by .. " " .. tostring(row.layer and row.layer.position)
		end
		assert.same({ "base 1", "ENV nil", "RUN 2", "RUN 3", "top 4" }, rows)
		assert.same({ "strata split", "2020-01-01T00:00:00Z" }, { img:history()[4].comment, img:history()[4].created })
	end)

	specify("takes a function, and all names of a file that it chooses", function()
		local img = open({
			{ file("f"), link("a", "f"), link("b", "a"), file("g"), { name = "s", type = "symlink", linkname = "f" } },
		})
		local seen = {}
		assert(img:split(1, function(entry, layer)
			seen[#seen + 1] = entry.path .. layer.position
			return entry.path == "b"
		end))
		assert.same({ "f1", "a1", "b1", "g1", "s1" }, seen)
		assert.same({ "g s", "f a b" }, names((bench:save(img))))
	end)

	specify("keeps the annotations of the layer, and its compression, in a layout", function()
		local img = open({ { file("a"), file("b") } })
		local path = bench.dir:file("layout")
		assert(img:save(path, { format = "oci", compression = "zstd" }))
		local index = cjson.decode(shell.read(path .. "/index.json"))
		local blob = path .. "/blobs/" .. index.manifests[1].digest:gsub(":", "/")
		local manifest = cjson.decode(shell.read(blob))
		manifest.layers[1].annotations = { ["org.example.a"] = "1" }
		local text = cjson.encode(manifest)
		local digest = "sha256:" .. shell.sha256(bench.dir:write("manifest", text)):match("%x+$")
		shell.write(path .. "/blobs/" .. digest:gsub(":", "/"), text)
		index.manifests[1].digest, index.manifests[1].size = digest, #text
		shell.write(path .. "/index.json", cjson.encode(index))
		img = bench:load(path)
		assert(img:split(1, "b"))
		assert(img:save(path))
		img = bench:load(path)
		for i = 1, 2 do
			assert.same({ ["org.example.a"] = "1" }, { ["org.example.a"] = img.layers[i].annotations["org.example.a"] })
			assert.equal("application/vnd.oci.image.layer.v1.tar+zstd", img.layers[i].media_type)
		end
		assert(img:verify())
	end)

	specify("divides by size, in the order of the entries", function()
		local entries = {}
		for i = 1, 6 do
			entries[i] = file("f" .. i, ("x"):rep(i == 4 and 5000 or 1000))
		end
		local img = open({ entries })
		local _, chunks = assert(img:split(1, { size = 3100 }))
		assert.same({ "f1 f2", "f3", "f4", "f5 f6" }, names((bench:save(img))))
		assert.equal(4, #chunks)
		img:revert()
		local digest = img.layers[1].digest
		_, chunks = assert(img:split(1, { size = 1e6 }))
		assert.same({ 1, digest, false }, { #chunks, img.layers[1].digest, img.edited })
	end)

	specify("is refused where a container would see something else, or nothing is chosen", function()
		for message, one in pairs({
			["^split: nothing matches 'none'$"] = { { file("a") }, "none", "ENOENT" },
			["^split: the function chose nothing$"] = { { file("a") }, function() return false end, "ENOENT" },
			["^split: everything of layer 2/2 .* is chosen$"] = { { dir("d"), file("d/a") }, "d", "EINVAL" },
			["^layer 2/2 .*: a container would see another 'base' then$"] = {
				{ file(".wh.base"), file("base", "new"), file("x") }, "x", "none",
			},
			["would see another 'd/old' then$"] = { { file(".wh.d"), dir("d"), file("d/x"), file("y") }, "d", "EINVAL" },
		}) do
			local img = open({ { file("base"), dir("d"), file("d/old") }, one[1] })
			local id = img.id
			local ok, why, code = img:split(2, one[2])
			if one[3] == "none" then
				assert(ok, why)
			else
				assert.same({ nil, one[3] }, { ok, code }, why)
				assert.matches(message, why)
				assert.equal(id, img.id)
				assert.is_false(img.edited)
			end
		end
	end)

	specify("throws what makes no sense", function()
		local img = open({ { file("a") } })
		for message, arguments in pairs({
			["layer should be a whole number from 1 to 1"] = { 2, "a" }, ["a path, a glob or"] = { 1, 7 },
			["size should be a whole number from 1024"] = { 1, { size = 5 } },
			["has no option 'sise'"] = { 1, { size = 5000, sise = 1 } }, ["has no option 'thread'"] = { 1, "a", { thread = 1 } },
			["returned nil for 'a'"] = { 1, function() end },
		}) do
			local ok, thrown = pcall(function() img:split(arguments[1], arguments[2], arguments[3]) end)
			assert.is_false(ok)
			assert.matches("^spec/edit/split_spec.lua:%d+: .*" .. message, thrown)
		end
	end)

	specify("of random images changes nothing that a container sees", function()
		local done = 0
		for seed = 41, 60 do
			local img, _, path = bench:open(stacks.layers(seed))
			local before = archive.look(path).merged
			local random = stacks.generator(seed)
			for _ = 1, 3 do
				local i, which = random(#img.layers), random(3) == 1 and { size = 1024 * random(20) }
					or function(entry) return #entry.path % 2 == 0 end
				if img:split(i, which) then
					done = done + 1
				end
			end
			local look = bench:save(img)
			assert.same(before, look.merged)
		end
		assert.is_true(done > 30, done)
	end)
end)

describe("rechunking an image", function()
	local BASE = { dir("usr"), dir("usr/bin"), file("usr/bin/base") }

	-- Two builds of an image with some packages, whose files differ as told.
	local function build(changes, more)
		local entries = { dir("usr"), dir("usr/lib"), dir("etc"), file("etc/passwd", changes.passwd) }
		local dpkg = {
			dir("var"), dir("var/lib"), dir("var/lib/dpkg"), dir("var/lib/dpkg/info"),
			file("var/lib/dpkg/status", changes.status),
		}
		for i = 1, 30 do
			local name = "pkg" .. i
			local path = "usr/lib/" .. name .. ".so"
			entries[#entries + 1] = file(path, changes[name] or name)
			dpkg[#dpkg + 1] = file("var/lib/dpkg/info/" .. name .. (i % 2 == 0 and ":amd64" or "") .. ".list",
				"/.\n/usr\n/usr/lib\n" .. (i % 3 == 0 and "/lib/" or "/usr/lib/") .. name .. ".so\n")
		end
		return bench:open({
			{ entries = BASE }, { entries = entries }, { gzip = true, entries = dpkg },
			{ gzip = true, entries = more or { file("etc/.wh.gone") } },
		})
	end

	local function diff_ids(img)
		local list, set = {}, {}
		for i, layer in img:layers() do
			list[i] = layer.diff_id
			set[layer.diff_id] = i
		end
		return list, set
	end

	specify("keeps the layers of packages that a new build leaves alone", function()
		local first = build({})
		local base = bench:open({ { entries = BASE } })
		local digest = first.layers[1].digest
		local before = archive.look(select(2, bench:save(first))).merged
		local _, chunks = assert(first:rechunk({ chunks = 8, above = base }))
		assert.same({ 8, 2, 9 }, { #chunks, chunks[1].layer, #first.layers })
		local look = bench:save(first)
		assert.same(before, look.merged)
		assert.equal(digest, first.layers[1].digest)
		assert.equal("gzip", first.layers[2].compression)
		local list = diff_ids(first)
		-- Another build: one package and what changes with every build.
		local second = build({ pkg7 = "changed", passwd = "changed", status = "changed" })
		assert(second:rechunk({ chunks = 8, above = 1 }))
		local _, known = diff_ids(second)
		local kept = 0
		for _, diff_id in ipairs(list) do
			kept = kept + (known[diff_id] and 1 or 0)
		end
		assert.equal(#list - 2, kept)
		-- Digests, too: they are compressed alike.
		for i, diff_id in ipairs(list) do
			if known[diff_id] then
				assert.equal(first.layers[i].digest, second.layers[known[diff_id]].digest)
			end
		end
		-- And once more it is what it is.
		assert(second:rechunk({ chunks = 8, above = 1 }))
		assert.same(known, select(2, diff_ids(second)))
	end)

	specify("lays the files of a package together, those of dpkg as those of apk", function()
		local img = build({})
		assert(img:rechunk({ chunks = 100 }))
		for i = 1, 30 do
			local name, layers = "pkg" .. i, {}
			for number, layer in img:layers() do
				for entry in layer:entries() do
					if entry.path:find(name .. "[.:]") then
						layers[#layers + 1] = number
					end
				end
			end
			assert.same({ layers[1], layers[1] }, layers, name)
		end
		img = open({
			{
				file("lib/apk/db/installed", "C:x\nP:musl\nF:lib\nR:libc.so\nF:usr/share/m\nR:x\n\nP:other\nF:opt\nR:o\n"),
				file("lib/libc.so"), file("usr/share/m/x"), file("opt/o"),
			},
		})
		assert(img:rechunk({ chunks = 100 }))
		local where = {}
		for number, layer in img:layers() do
			for entry in layer:entries() do
				where[entry.path] = number
			end
		end
		assert.equal(where["lib/libc.so"], where["usr/share/m/x"])
		assert.not_equal(where["lib/libc.so"], where["opt/o"])
	end)

	specify("is done as its example tells", function()
		local code = 'local img = assert(strata.open "app.tar")\n' .. conform.functions["strata.Image"].rechunk.example
		archive.build(bench.dir:file("app.tar"), {
			layers = { { entries = BASE }, { entries = { file("opt/a"), file("b") } } },
		})
		local finished = child.run({ script = 'local strata = require "strata"\n' .. code, cwd = bench.dir.path })
		assert.matches("^layer 2: 1 entry, [^\n]+\nlayer 3: 1 entry, [^\n]+\n$", finished.stdout)
		assert.equal(3, #bench:load(bench.dir:file("chunks.tar")).layers)
	end)

	specify("goes by directories, or by a function; what has no name is on top", function()
		local img = open({
			{
				dir("app"), dir("app/a"), file("app/a/1"), dir("app/b"), file("app/b/1"), file("app/a/2"), file("etc/x"),
				file("r"),
			},
		})
		assert(img:rechunk({ by = "directory", chunks = 50 }))
		local of = {}
		for number, layer in img:layers() do
			for entry in layer:entries() do
				if entry.type == "file" then
					of[entry.path] = number
				end
			end
		end
		assert.equal(of["app/a/1"], of["app/a/2"])
		assert.not_equal(of["app/a/1"], of["app/b/1"])
		assert.same({ #img.layers, #img.layers }, { of["etc/x"], of.r })
		img:revert()
		assert(img:rechunk({ chunks = 2, by = function(entry) return entry.path:match("%d") end }))
		assert.same({ "app app/a app/a/1 app/a/2 app/b app/b/1", "app app/a app/b etc/x r" }, names((bench:save(img))))
	end)

	specify("drops what is hidden, and keeps the whiteouts of what the base has", function()
		local img = open({
			{ file("low"), file("kept") }, { file("a", "hidden"), file(".wh.low") }, { file("a", "new"), file(".wh.x") },
		})
		assert(img:rechunk({ above = 1 }))
		assert.same({ "low kept", ".wh.low", "a" }, names((bench:save(img))))
		assert.is_false(img:rootfs():exists("low"))
		img = open({ { file("a", "hidden") }, { file("a", "new") } })
		assert(img:rechunk({ chunks = 2 }))
		assert.equal("new", img:read("a"))
		assert.same({ 1, "gzip" }, { #img.layers, img.layers[1].compression })
	end)

	specify("has nothing to do without a layer, which is said", function()
		local ok, message, code = strata.new():rechunk()
		assert.same({ "rechunk: no layer is above the base", "EINVAL" }, { message, code })
		assert.is_nil(ok)
		local img = open({ { file("a") } })
		assert.same({ "rechunk: no layer is above the base", "EINVAL" }, { select(2, img:rechunk({ above = 1 })) })
		for wrong, opts in pairs({
			["chunks should be"] = { chunks = 1 }, ["above should be a whole number from 0 to 1"] = { above = 2 },
			["by should be"] = { by = "size" }, ["by: the function returned number for 'a'"] = { by = function() return 7 end },
		}) do
			local called, thrown = pcall(function() img:rechunk(opts) end)
			assert.is_false(called)
			assert.matches("^spec/edit/split_spec.lua:%d+: .*" .. wrong, thrown)
			assert.is_false(img.edited)
		end
	end)

	specify("of random images changes nothing that a container sees", function()
		for seed = 71, 92 do
			local img = bench:open(stacks.layers(seed))
			local before = listing(img)
			assert(img:rechunk({
				chunks = seed % 5 + 2, above = seed % 2,
				by = seed % 3 == 0 and "directory" or function(entry) return entry.path:sub(-1) end,
			}))
			assert.equal(before, listing(img))
			assert.equal(before, listing(bench:load(select(2, bench:save(img)))))
		end
	end)
end)
