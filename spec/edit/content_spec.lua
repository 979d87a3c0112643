-- Takes seconds: not for make check.
local archive = require "spec.support.archive"
local shell = require "spec.support.shell"
local tarball = require "spec.support.tarball"

local specify = archive.specify(it, pending)

local bench

before_each(function()
	bench = archive.bench()
end)

after_each(function()
	bench:close()
end)

local function repeated(text, size)
	return text:rep(math.ceil(size / #text)):sub(1, size)
end

describe("entry:replace", function()
	local SIZES = { 0, 1, 511, 512, 513, 1024, 70000 }

	for _, format in ipairs({ "gnu", "pax", "ustar" }) do
		specify("puts content of any other size in, and touches nothing else (" .. format .. ")", function()
			local entries, new = {}, {}
			for _, from in ipairs(SIZES) do
				for _, to in ipairs(SIZES) do
					local name = ("f-%d-%d"):format(from, to)
					entries[#entries + 1] = { name = name, data = repeated("old", from), uid = 3, mtime = 5 }
					new[#entries] = repeated("new" .. to, to)
				end
			end
			local img, _, path = bench:open({ { format = format, entries = entries } })
			img:rewrite(function(e)
				assert.equal(e, e:replace(new[e.position]))
				assert.equal(#new[e.position], e.size)
			end)
			local look, saved = bench:save(img, 100000)
			local before, after = bench:split(path), bench:split(saved)
			for i, entry in ipairs(look.layers[1].entries) do
				assert.equal(entries[i].name, entry.name)
				assert.equal(new[i], entry.data)
				local changed = #new[i] ~= #entries[i].data and { "size" } or {}
				assert.same(changed, tarball.differences(before[i], after[i]))
				assert.equal(("\0"):rep(-#new[i] % 512), after[i].data:sub(#new[i] + 1))
			end
			assert.equal(before.tail, after.tail)
		end)
	end

	specify("works in a compressed layer, between others that stay", function()
		local big = {}
		for i = 1, 50000 do
			big[i] = tostring(i)
		end
		big = table.concat(big, " ")
		local img = bench:open({
			{
				gzip = true,
				entries = { { name = "a", data = big }, { name = "b", data = "old" }, { name = "c", data = big } },
			},
		})
		img.layers[1]:entry("b"):replace("new")
		local look = bench:save(img, 1000000)
		assert.same({ big, "new", big }, {
			look.layers[1].entries[1].data,
			look.layers[1].entries[2].data,
			look.layers[1].entries[3].data,
		})
		assert.equal("gzip", img.layers[1].compression)
	end)

	specify("keeps what was given last", function()
		local img = bench:open({ { entries = { { name = "f", data = "old" } } } })
		local entry = img.layers[1]:entry("f")
		entry:replace("first"):replace("second, longer")
		assert.equal("second, longer", entry:read())
		local look = bench:save(img)
		assert.equal("second, longer", look.layers[1].entries[1].data)
	end)

	specify("takes any bytes", function()
		local bytes = {}
		for i = 0, 255 do
			bytes[i + 1] = string.char(i)
		end
		bytes = table.concat(bytes)
		local img = bench:open({ { entries = { { name = "f", data = "old" } } } })
		img.layers[1]:entry("f"):replace(bytes)
		assert.equal(bytes, bench:save(img).layers[1].entries[1].data)
	end)

	specify("through a hardlink changes the file, and goes along when that is dropped", function()
		local entries = {
			{ name = "file", data = "old", mode = 493, uid = 5 },
			{ name = "one", type = "hardlink", linkname = "file" },
			{ name = "two", type = "hardlink", linkname = "one" },
		}
		local img = bench:open({ { entries = entries } })
		img.layers[1]:entry("two"):replace("brand new")
		local merged = bench:save(img).merged
		assert.equal(merged.file[2], merged.two[2])
		img.layers[1]:remove("file")
		local look = bench:save(img)
		assert.same({ "one", "two" }, archive.names(look.layers[1].entries))
		assert.same({ "file", "brand new", 493, 5 }, {
			look.layers[1].entries[1].type,
			look.layers[1].entries[1].data,
			look.layers[1].entries[1].mode,
			look.layers[1].entries[1].uid,
		})
		assert.equal("one", look.layers[1].entries[2].linkname)
	end)

	for _, options in ipairs({
		"--format=gnu",
		"--format=pax --sparse-version=0.0",
		"--format=pax --sparse-version=0.1",
		"--format=pax --sparse-version=1.0",
	}) do
		specify("makes a plain file of a sparse one (" .. options .. ")", function()
			shell.sh(
				[[
				cd "$1"
				truncate -s 3000001 holes; printf data | dd of=holes bs=1 seek=1000000 conv=notrunc status=none
				echo next >next
				tar -cf layer.tar -S $2 holes next]],
				bench.dir.path,
				options
			)
			local img = bench:open({ { file = bench.dir:file("layer.tar") } })
			img.layers[1]:entry("holes"):replace("solid")
			local look, saved = bench:save(img)
			assert.same({ "holes", "solid" }, { look.layers[1].entries[1].name, look.layers[1].entries[1].data })
			assert.equal("next\n", look.layers[1].entries[2].data)
			for key in pairs(bench:split(saved)[1].pax) do
				assert.is_nil(key:find("GNU.sparse", 1, true))
			end
			assert.equal("solid", shell.check({ "tar", "-xOf", bench:layer(saved), "holes" }))
			assert.equal("solid", shell.check({ "bsdtar", "-xOf", bench:layer(saved), "holes" }))
		end)

		specify("is not needed to change the header of a sparse file (" .. options .. ")", function()
			shell.sh(
				[[
				cd "$1"
				truncate -s 3000001 holes; printf data | dd of=holes bs=1 seek=1000000 conv=notrunc status=none
				tar -cf layer.tar -S $2 holes]],
				bench.dir.path,
				options
			)
			local img = bench:open({ { file = bench.dir:file("layer.tar") } })
			img:rewrite(function(e)
				e.uid, e.path, e.mtime = 4000000, "moved/holes", 1234.5
			end)
			local look, saved = bench:save(img)
			local entry = look.layers[1].entries[1]
			assert.same({ "moved/holes", 4000000, 1234.5 }, { entry.name, entry.uid, entry.mtime })
			assert.equal("sha256:" .. shell.sha256(bench.dir:file("holes")), entry.sha256)
			local content = shell.check({ "tar", "-xOf", bench:layer(saved), "moved/holes" })
			assert.is_true(content == shell.read(bench.dir:file("holes")))
		end)
	end

	specify("is refused for what has no content, and for what is no string", function()
		local img = bench:open({
			{
				entries = {
					{ name = "d", type = "dir" },
					{ name = "s", type = "symlink", linkname = "x" },
					{ name = "lost", type = "hardlink", linkname = "elsewhere" },
					{ name = "f" },
				},
			},
		})
		for _, path in ipairs({ "d", "s", "lost" }) do
			assert.error_matches(function() img.layers[1]:entry(path):replace("x") end, "content")
		end
		assert.error(function() img.layers[1]:entry("f"):replace(nil) end)
		assert.error(function() img.layers[1]:entry("f"):replace({}) end)
		assert.is_false(img.edited)
	end)
end)

describe("img:rewrite", function()
	specify("calls the function with each entry and its layer, in order", function()
		local img = bench:open({
			{ entries = { { name = "a" }, { name = "b" } } },
			{ entries = {} },
			{ entries = { { name = "c" } } },
		})
		local seen = {}
		img:rewrite(function(entry, layer)
			seen[#seen + 1] = layer.position .. entry.path
		end)
		assert.same({ "1a", "1b", "3c" }, seen)
		seen = {}
		assert.equal(img.layers[3], img.layers[3]:rewrite(function(entry, layer)
			seen[#seen + 1] = layer.position .. entry.path
		end))
		assert.same({ "3c" }, seen)
	end)

	specify("passes on what the function throws, and refuses what is no function", function()
		local img = bench:open({ { entries = { { name = "a" } } } })
		local thrown = {}
		local ok, message = pcall(img.rewrite, img, function() error(thrown) end)
		assert.is_false(ok)
		assert.equal(thrown, message)
		assert.error(function() img:rewrite(nil) end)
		assert.error(function() img.layers[1]:rewrite("x") end)
	end)

	specify("makes diff_ids, chain IDs, the config and the ID follow at once", function()
		local img, made = bench:open({ { entries = { { name = "a" } } }, { gzip = true, entries = { { name = "b" } } } })
		img.layers[2]:rewrite(function(e) e.uid = 5 end)
		assert.is_true(img.edited)
		assert.is_true(img.layers[2].edited)
		assert.is_false(img.layers[1].edited)
		assert.equal(made.diff_ids[1], img.layers[1].diff_id)
		assert.are_not.equal(made.diff_ids[2], img.layers[2].diff_id)
		assert.are_not.equal(made.id, img.id)
		assert.same({ made.diff_ids[1], img.layers[2].diff_id }, img.config:get("/rootfs/diff_ids"))
		local look = bench:save(img)
		assert.equal(img.layers[2].diff_id, look.layers[2].diff_id)
		local id = img.id
		img.layers[2]:rewrite(function(e) e.uid = 0 end)
		assert.equal(made.id, img.id)
		assert.are_not.equal(id, img.id)
	end)

	specify("gives the same bytes in every run", function()
		local entries = {}
		for i = 1, 50 do
			entries[i] = { name = "f" .. i, data = repeated("x" .. i, i * 100), pax = { ["SCHILY.xattr.user.z"] = "1" } }
		end
		local img, _, path = bench:open({ { gzip = true, entries = entries }, { entries = entries } })
		local function edit(entry)
			entry.xattrs = { ["user.a"] = "1", ["user.b"] = "2", ["user.c"] = "3" }
			entry.path = ("long/"):rep(30) .. entry.path
		end
		img:rewrite(edit)
		local _, one = bench:save(img)
		local _, other = bench:save(bench:load(path):rewrite(edit))
		assert.is_true(shell.same(one, other))
	end)

	specify("changes the entries behind a global header, which stays", function()
		shell.sh([[
			cd "$1"
			echo content >f
			tar -cf layer.tar --format=pax --pax-option='globexthdr.name=pax_global_header,comment=0123abcd' f]],
			bench.dir.path)
		local img = bench:open({ { file = bench.dir:file("layer.tar") } })
		img:rewrite(function(entry) entry.uid = 77 end)
		local look, saved = bench:save(img)
		assert.equal(1, #look.layers[1].entries)
		assert.equal(77, look.layers[1].entries[1].uid)
		assert.equal("content\n", look.layers[1].entries[1].data)
		assert.matches("comment=0123abcd", shell.read(bench:layer(saved)), 1, true)
	end)

	specify("keeps what stands behind the end of the tar", function()
		local path = bench.dir:file("base.tar")
		archive.build(path, { layers = { { entries = { { name = "f", data = "x" } } } } })
		local tar = shell.read(bench:layer(path))
		for _, tail in ipairs({ "", ("\0"):rep(512), ("\0"):rep(5120), "" }) do
			local img = bench:open({ { raw = tar .. tail } })
			img:rewrite(function(e) e.uid = 5 end)
			local _, saved = bench:save(img)
			local new = shell.read(bench:layer(saved))
			assert.equal(#tar + #tail, #new)
			assert.equal((tar .. tail):sub(513), new:sub(513))
		end
		local bare = bench:open({ { raw = tar:sub(1, 1024) } })
		bare:rewrite(function(e) e.uid = 5 end)
		local _, saved = bench:save(bare)
		assert.equal(1024, #shell.read(bench:layer(saved)))
	end)
end)

-- Whether two listings of Python's differ in nothing but the uid, which is 12345 everywhere in the second.
local FIELDS = { "name", "type", "mode", "gid", "uname", "gname", "mtime", "size", "linkname", "major", "sha256" }

local function expect_owner(before, after)
	assert.equal(#before, #after)
	for n, entry in ipairs(after) do
		assert.equal(12345, entry.uid)
		for _, field in ipairs(FIELDS) do
			assert.equal(before[n][field], entry[field], before[n].name)
		end
		before[n].pax.uid, entry.pax.uid = nil, nil
		assert.same(before[n].pax, entry.pax)
	end
end

describe("rewriting odd tars", function()
	local corpus = os.getenv("STRATA_CORPUS")
	local tars = {
		"alexcrichton-biguid_gnu.tar",
		"alexcrichton-pax_size.tar",
		"alexcrichton-sparse.tar",
		"alexcrichton-xattrs.tar",
		"golang-gnu-incremental.tar",
		"golang-gnu-not-utf8.tar",
		"golang-pax-global-records.tar",
		"golang-pax.tar",
		"golang-sparse-formats.tar",
		"golang-star.tar",
		"golang-v7.tar",
		"isaacs-c.tar",
		"mafintosh-latin1.tar",
		"moby-broken.tar",
	}

	specify("changes the owner of everything and nothing else", function()
		if not corpus then
			return pending("STRATA_CORPUS is not set")
		end
		local layers = {}
		for i, name in ipairs(tars) do
			layers[i] = { file = corpus .. "/tars/" .. name, gzip = i % 2 == 0 }
		end
		local img, _, path = bench:open(layers)
		img:rewrite(function(entry) entry.uid = 12345 end)
		local before, after = archive.look(path, 0), bench:save(img, 0)
		for i in ipairs(tars) do
			expect_owner(before.layers[i].entries, after.layers[i].entries)
		end
	end)

	specify("reads the same content after every header has changed", function()
		if not corpus then
			return pending("STRATA_CORPUS is not set")
		end
		local layers = {}
		for i, name in ipairs(tars) do
			layers[i] = { file = corpus .. "/tars/" .. name }
		end
		local img = bench:open(layers)
		local contents = {}
		img:rewrite(function(entry, layer)
			if entry.type == "file" and entry.size < 1000000 then
				contents[layer.position .. " " .. entry.position] = entry:read()
			end
			entry.path = "moved/" .. entry.path
			entry.mtime, entry.xattrs = 77.5, { ["user.note"] = "x" }
		end)
		local _, saved = bench:save(img, 0)
		local found = 0
		for i, layer in bench:load(saved):layers() do
			for entry in layer:entries() do
				assert.equal(77.5, entry.mtime)
				assert.equal("x", entry.xattrs["user.note"])
				local key = i .. " " .. entry.position
				if contents[key] then
					assert.equal(contents[key], entry:read(), key)
					found = found + 1
				end
			end
		end
		assert.is_true(found >= #tars)
	end)
end)

describe("rewriting real images", function()
	local corpus = os.getenv("STRATA_CORPUS")
	local images = {
		"GoogleContainerTools-busybox-jib",
		"aquasecurity-image3_gz_layers",
		"bazelbuild-image_with_symlinked_layer",
		"google-hello-world-v25",
		"google-whiteout_dir",
		"snyk-alpine",
		"snyk-busybox-single-arch-with-attestation-manifest",
		"wagoodman-test-docker-image",
		"wagoodman-test-kaniko-image",
	}

	for _, name in ipairs(images) do
		specify("changes the owner of everything and nothing else: " .. name, function()
			if not corpus then
				return pending("STRATA_CORPUS is not set")
			end
			local path = corpus .. "/images/" .. name .. ".tar"
			local before = archive.look(path, 0)
			local img = bench:load(path)
			img:rewrite(function(entry) entry.uid = 12345 end)
			local after = bench:save(img, 0)
			assert.equal(#before.layers, #after.layers)
			for i, layer in ipairs(after.layers) do
				expect_owner(before.layers[i].entries, layer.entries)
			end

			-- And back: an image whose entries had one owner each is itself again.
			local owners = {}
			for i, layer in ipairs(before.layers) do
				owners[i] = {}
				for n, entry in ipairs(layer.entries) do
					owners[i][n] = entry.uid
				end
			end
			img:rewrite(function(entry, layer) entry.uid = owners[layer.position][entry.position] end)
			for i, layer in img:layers() do
				assert.equal(before.layers[i].diff_id, layer.diff_id)
			end
			assert.equal(before.id, img.id)
		end)
	end
end)
