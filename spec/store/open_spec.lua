local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local dir = tmp.dir(tmp.for_peers())
local layers = archive.layers(3)

local function digests(list, key)
	local found = {}
	for i, layer in ipairs(list) do
		found[i] = "sha256:" .. layer[key]
	end
	return found
end

local function diff_ids(img)
	local found = {}
	for i, layer in img:layers() do
		found[i] = layer.diff_id
	end
	return found
end

local function names_of(layer)
	local names = {}
	for entry in layer:entries() do
		names[#names + 1] = entry.name
	end
	return names
end

-- Opens an archive and expects the image that it was made from.
local function expect_image(built, made, opts)
	local img = assert(strata.open(built:write(dir:file("image.tar")), opts))
	assert.equal("sha256:" .. made.id, img.id)
	assert.same(made.tags, img.tags)
	assert.same(digests(made.layers, "diff_id"), diff_ids(img))
	for i, layer in img:layers() do
		local names = {}
		for j, entry in ipairs(made.layers[i].entries) do
			names[j] = entry.name
		end
		assert.same(names, names_of(layer))
		assert.equal(made.layers[i].entries[2].data, layer:read(made.layers[i].entries[2].name))
		assert.equal(("COPY layer %d"):format(i), layer.created_by)
	end
	assert.is_true(img:verify())
	assert.is_false(img.edited)
	return img
end

local COMPRESSED = { docker_29 = true, jib = true, kaniko = true, regctl = true, rules_oci = true }

for _, name in ipairs(dialects.names()) do
	local write = dialects.of[name]

	describe("an archive as of " .. name, function()
		it("opens", function()
			local made = archive.image({ layers = layers, tags = { "app:1", "registry.example:5000/team/app:2" } })
			local img = expect_image(write(made), made)
			assert.equal(COMPRESSED[name] and "gzip" or "none", img.layers[1].compression)
			for i, layer in img:layers() do
				local hex = COMPRESSED[name] and layers[i].gz_id or layers[i].diff_id
				assert.equal("sha256:" .. hex, layer.digest)
			end
		end)

		it("opens with repeated layers", function()
			local made = archive.image({ layers = { layers[1], layers[2], layers[1], layers[1] } })
			expect_image(write(made), made)
		end)

		it("opens without tags, be they null, empty or missing", function()
			local made = archive.image({ layers = { layers[1] }, tags = {} })
			expect_image(write(made), made)
			for _, replacement in ipairs({ '%1"RepoTags":[],', "%1" }) do
				local built = write(made)
				local at = built:position("manifest.json") or built:position("./manifest.json")
				local member = built.members[at]
				member.data = member.data:gsub('([{,]%s*)"[Rr]epoTags":%s*null,', replacement)
				assert.is_nil(member.data:find("null", 1, true))
				expect_image(built, made)
			end
		end)

		it("opens with its members in any order", function()
			local made = archive.image({ layers = layers })
			local count = #write(made).members
			for turn = 1, count - 1 do
				local built = write(made)
				for _ = 1, turn do
					table.insert(built.members, table.remove(built.members, 1))
				end
				expect_image(built, made):close()
			end
			local built, reversed = write(made), archive.new()
			for i = #built.members, 1, -1 do
				table.insert(reversed.members, built.members[i])
			end
			expect_image(reversed, made)
		end)

		it('opens when its names begin with "./" or "/", or have needless parts', function()
			local made = archive.image({ layers = { layers[1] } })
			for _, prefix in ipairs({ "./", "/", ".//", "././" }) do
				local built = write(made)
				for _, member in ipairs(built.members) do
					member.name = prefix .. member.name:gsub("^%./", ""):gsub("^/", "")
				end
				expect_image(built, made)
			end
		end)

		it("opens with members that nobody knows, and lists them", function()
			local made = archive.image({ layers = { layers[1] } })
			local built = write(made)
			built:add("README", "a file")
			built:add("dev", nil, { type = "fifo" })
			built:add("dangling", nil, { type = "symlink", linkpath = "../../etc/passwd" })
			local img, found = expect_image(built, made), {}
			for _, file in ipairs(img:files()) do
				found[file.name] = file
			end
			assert.equal("sha256:" .. archive.sha256("a file"), found.README.digest)
			assert.is_nil(found.README.role)
			assert.equal("../../etc/passwd", found.dangling.linkpath)
			assert.equal("manifest", found["manifest.json"].role)
		end)

		if name ~= "jib" then
			it("opens one of several images by its tag or its id", function()
				local one = archive.image({ name = "one", layers = { layers[1], layers[2] }, tags = { "one:1", "uno:1" } })
				local two = archive.image({ name = "two", layers = { layers[1], layers[3] }, tags = { "two:latest" } })
				local built = write(one, two)
				expect_image(built, one, { ref = "one:1" })
				expect_image(built, one, { ref = "uno:1" })
				expect_image(built, one, { ref = one.id })
				expect_image(built, two, { ref = "two:latest" })
				expect_image(built, two, { ref = "two" })
				expect_image(built, two, { ref = "docker.io/library/two:latest" })
				expect_image(built, two, { ref = "sha256:" .. two.id })
			end)
		end
	end)
end

describe("strata.open", function()
	local one = archive.image({ name = "one", layers = { layers[1] }, tags = { "one:1" } })
	local two = archive.image({ name = "two", layers = { layers[2] }, tags = { "two:1", "deux:1" } })
	local three = archive.image({ name = "three", layers = { layers[3] }, tags = {} })

	it("lists the choices when several images could be meant", function()
		local path = dialects.of.docker_1_10(one, two, three):write(dir:file("three.tar"))
		local img, message, code = strata.open(path)
		assert.is_nil(img)
		assert.equal("EAMBIGUOUS", code)
		for _, expected in ipairs({ path, "3 images", "one:1", "two:1", "deux:1", three.id }) do
			assert.truthy(message:find(expected, 1, true), message)
		end
		assert.is_nil(message:find("\n", 1, true))
	end)

	it("lists the choices when the one asked for is not there", function()
		local path = dialects.of.podman(one, two):write(dir:file("two.tar"))
		for _, ref in ipairs({ "one:2", ("0"):rep(64), "one:1:1", "nothing at all", "" }) do
			local img, message, code = strata.open(path, { ref = ref })
			assert.is_nil(img)
			assert.equal("ENOENT", code)
			assert.truthy(message:find("one:1", 1, true), message)
		end
	end)

	it("does not choose for its user when two images have the tag", function()
		local other = archive.image({ name = "other", layers = { layers[2] }, tags = { "one:1" } })
		local built = dialects.of.kaniko(one, other)
		local img, message, code = strata.open(built:write(dir:file("same.tar")), { ref = "one:1" })
		assert.is_nil(img)
		assert.equal("EAMBIGUOUS", code)
		assert.truthy(message:find(one.id, 1, true) and message:find(other.id, 1, true), message)
		expect_image(built, other, { ref = other.id })
	end)

	it("takes the one image there is whatever ref says only when ref names it", function()
		local path = dialects.of.jib(one):write(dir:file("one.tar"))
		assert.equal("sha256:" .. one.id, assert(strata.open(path, { ref = "one:1" })).id)
		assert.equal("sha256:" .. one.id, assert(strata.open(path, { ref = one.id })).id)
		assert.equal("sha256:" .. one.id, assert(strata.open(path, { ref = "sha256:" .. one.id })).id)
		assert.equal("ENOENT", select(3, strata.open(path, { ref = "sha256:" .. two.id })))
	end)

	it("opens two images that share their config under either tag", function()
		local again = archive.image({ name = "one", layers = { layers[1] }, tags = { "again:1" } })
		local built = dialects.of.kaniko(one, again)
		assert.same({ "one:1" }, assert(strata.open(built:write(dir:file("c.tar")), { ref = "one:1" })).tags)
		assert.same({ "again:1" }, assert(strata.open(dir:file("c.tar"), { ref = "again:1" })).tags)
	end)

	it("reads an image without layers", function()
		for _, layers_key in ipairs({ "[]", "null" }) do
			for _, diff_ids_key in ipairs({ ',"diff_ids":[]', ',"diff_ids":null', "" }) do
				local rootfs = '{"type":"layers"' .. diff_ids_key .. "}"
				local config = '{"architecture":"amd64","os":"linux","rootfs":' .. rootfs .. "}"
				local built = archive.new():add("c.json", config)
				built:add("manifest.json", '[{"Config":"c.json","RepoTags":null,"Layers":' .. layers_key .. "}]")
				local img = assert(strata.open(built:write(dir:file("none.tar"))))
				assert.equal(0, #img.layers)
				assert.is_true(img:verify())
				assert.is_true(select(1, img:save(dir:file("none.out"))) ~= nil)
				assert.is_true(shell.same(dir:file("none.tar"), dir:file("none.out")))
				img:append({ files = { a = "b" } })
				assert(img:save(dir:file("none.out")))
				assert.equal("b", assert(strata.open(dir:file("none.out"))).layers[1]:read("a"))
			end
		end
	end)

	it("follows hardlinks, and symlinks that count from the root of the archive", function()
		local made = archive.image({ layers = { layers[1], layers[2] } })
		local built = dialects.of.rules_docker(made)
		for i, member in ipairs(built.members) do
			if member.type == "symlink" then
				local target = member.linkpath:gsub("^%.%./", "")
				built.members[i] = { name = member.name, type = i % 2 == 0 and "hardlink" or "symlink", linkpath = target }
			end
		end
		expect_image(built, made)
	end)

	it("follows a chain of links", function()
		local made = archive.image({ layers = { layers[1] } })
		local built = dialects.of.pack(made)
		local member = built:member("/" .. layers[1].diff_id .. ".tar")
		member.name = "deep/er/real.tar"
		built:add(layers[1].diff_id .. ".tar", nil, { type = "symlink", linkpath = "deep/a" })
		built:add("deep/a", nil, { type = "symlink", linkpath = "er/b" })
		built:add("deep/er/b", nil, { type = "symlink", linkpath = "/deep/er/real.tar" })
		expect_image(built, made)
	end)

	it("reads an archive without end blocks, and one with many", function()
		local made = archive.image({ layers = { layers[1] } })
		local bytes = dialects.of.docker_25(made):bytes()
		for _, text in ipairs({ bytes:sub(1, -1025), bytes:sub(1, -513), bytes .. ("\0"):rep(20480) }) do
			local path = dir:write("ends.tar", text)
			local img = assert(strata.open(path))
			assert.equal("sha256:" .. made.id, img.id)
			assert(img:save(dir:file("ends.out")))
			assert.is_true(shell.same(path, dir:file("ends.out")))
			img.config:set_env("A", "B")
			assert(img:save(dir:file("ends.out")))
			assert.equal("B", assert(strata.open(dir:file("ends.out"))).config:get_env("A"))
		end
	end)

	it("reads what GNU tar, bsdtar and Python write, in every format that they have", function()
		local made = archive.image({ layers = { layers[1], layers[2], layers[1] } })
		local source = dialects.of.docker_1_10(made):write(dir:file("source.tar"))
		shell.sh('mkdir "$1/x"; tar -xf "$2" -C "$1/x"', dir.path, source)
		for _, command in ipairs({
			"tar --format=gnu -cf",
			"tar --format=pax -cf",
			"tar --format=ustar -cf",
			"bsdtar --format=pax -cf",
			"bsdtar --format=gnutar -cf",
			'python3 -m tarfile -c',
		}) do
			local path = dir:file("peer.tar")
			shell.sh("cd \"$1/x\"; rm -f \"$2\"; " .. command .. ' "$2" .', dir.path, path)
			local img = assert(strata.open(path))
			assert.same(digests(made.layers, "diff_id"), diff_ids(img))
			assert.is_true(img:verify())
		end
	end)

	it("says the file's name in its fields, and closes", function()
		local path = dialects.of.docker_25(one):write(dir:file("closing.tar"))
		local img = assert(strata.open(path))
		assert.equal(path, img.path)
		assert.equal("linux/amd64", tostring(img.platform))
		img:close()
		img:close()
		assert.error_matches(function()
			return img.id
		end, "closed")
	end)

	it("gives layers, entries and iterators that live on without the image", function()
		local path = dialects.of.docker_29(one):write(dir:file("alive.tar"))
		local layer = assert(strata.open(path)).layers[1]
		local entry = assert(strata.open(path)).layers[1]:entry("etc/layer1")
		collectgarbage()
		collectgarbage()
		assert.equal(layers[1].entries[2].data, layer:read("etc/layer1"))
		assert.equal(layers[1].entries[2].data, entry:read())
		local count = 0
		for each in assert(strata.open(path)).layers[1]:entries() do
			collectgarbage()
			count = count + #each.path / #each.path
		end
		assert.equal(4, count)
		assert.is_string(assert(strata.open(path)):tree())
	end)

	it("throws for what is no path and no open file", function()
		for _, bad in ipairs({ false, 5, {} }) do
			assert.error_matches(function()
				strata.open(bad)
			end, "open file is wanted")
		end
		assert.error_matches(function()
			strata.open(dir:file("one.tar") .. "\0.txt")
		end, "NUL")
	end)
end)

describe("strata.images", function()
	it("gives every image in the order of manifest.json", function()
		for _, name in ipairs(dialects.names()) do
			local made = {}
			for i = 1, name == "jib" and 1 or 3 do
				made[i] = archive.image({ name = "n" .. i, layers = { layers[i], layers[1] }, tags = { "n" .. i .. ":1" } })
			end
			local path = dialects.of[name]((table.unpack or unpack)(made)):write(dir:file("all.tar"))
			local ids = {}
			for img in assert(strata.images(path)) do
				ids[#ids + 1] = img.id:sub(8)
				assert.is_true(img:verify())
				assert.same({ "n" .. #ids .. ":1" }, img.tags)
			end
			for i, image in ipairs(made) do
				assert.equal(image.id, ids[i])
			end
			assert.equal(#made, #ids)
		end
	end)

	it("gives images that outlive the loop, and each other's close", function()
		local one = archive.image({ name = "one", layers = { layers[1] }, tags = { "one:1" } })
		local two = archive.image({ name = "two", layers = { layers[1] }, tags = { "two:1" } })
		local path = dialects.of.docker_1_10(one, two):write(dir:file("two.tar"))
		local kept = {}
		for img in assert(strata.images(path)) do
			kept[#kept + 1] = img
		end
		kept[1]:close()
		os.remove(path)
		assert.is_true(kept[2]:verify())
	end)

	it("fails as open does for a file that holds none", function()
		local found, message, code = strata.images(dir:file("missing.tar"))
		assert.is_nil(found)
		assert.equal("ENOENT", code)
		assert.truthy(message:find("missing.tar", 1, true))
	end)

	it("throws what keeps one of them from being read, and gives those before", function()
		local one = archive.image({ name = "one", layers = { layers[1] }, tags = { "one:1" } })
		local two = archive.image({ name = "two", layers = { layers[2] }, tags = { "two:1" } })
		local built = dialects.of.pack(one, two)
		built:remove(two.id .. ".json")
		local seen = {}
		assert.error_matches(function()
			for img in assert(strata.images(built:write(dir:file("half.tar")))) do
				seen[#seen + 1] = img.tags[1]
			end
		end, two.id)
		assert.same({ "one:1" }, seen)
	end)
end)

describe("a large archive", function()
	-- What this process has read so far, by the kernel's count.
	local function bytes_read()
		local file = assert(io.open("/proc/self/io", "r"))
		local text = file:read("*a")
		file:close()
		return tonumber(text:match("rchar: (%d+)"))
	end

	local GIB = 1024 * 1024 * 1024

	-- An archive with a layer of so many bytes, all of them a hole in the file.
	local function write_sparse(path, size)
		local file = assert(io.open(path, "wb"))
		local config = '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:'
			.. ("0"):rep(64)
			.. '"]}}'
		file:write(archive.header({ name = "layer.tar", size = size }))
		assert(file:seek("cur", size))
		file:write(archive.tar({
			{ name = "config.json", data = config },
			{ name = "manifest.json", data = '[{"Config":"config.json","RepoTags":["big:1"],"Layers":["layer.tar"]}]' },
		}))
		file:close()
		return path
	end

	it("is indexed without reading its layers, beyond 4 and 8 GiB, too", function()
		for _, gibibytes in ipairs({ 5, 9 }) do
			local path = write_sparse(dir:file("big.tar"), gibibytes * GIB)
			local before = bytes_read()
			local img = assert(strata.open(path))
			assert.equal(gibibytes * GIB, img.layers[1].size)
			assert.same({ "big:1" }, img.tags)
			assert.is_true(bytes_read() - before < 4 * 1024 * 1024)
			img:close()
			os.remove(path)
		end
	end)
end)
