-- Takes seconds: not for make check.
-- What images come out of: hybrid archives, streams, archives compressed as a whole, and the progress of it.

local child = require "spec.support.child"
local docker_archive = require "spec.support.docker_archive"
local oci_layout = require "spec.support.oci_layout"
local refusal = require "spec.support.refusal"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local types = oci_layout.types
local dir

before_each(function()
	dir = tmp.dir(tmp.for_peers())
end)

after_each(function()
	dir:remove()
end)

local function refuse(code, parts, path, opts)
	local img, message, got = strata.open(path, opts)
	assert.is_nil(img)
	assert.equal(code, got, message)
	for _, part in ipairs(parts) do
		assert.truthy(message:find(part, 1, true), ("%q lacks %q"):format(message, part))
	end
end

-- The files that are open, without what is garbage: LuaJIT may need more than two cycles for what finalisers hold.
local function descriptors()
	for _ = 1, 4 do
		collectgarbage()
	end
	return refusal.descriptors()
end

local function names_of(img)
	local names = {}
	for i, layer in img:layers() do
		for entry in layer:entries() do
			names[i] = entry.path
		end
	end
	return table.concat(names, ",")
end

-- A layout with two images, and the items of a manifest.json that agrees with it.
local function hybrid()
	local made, images, items = oci_layout.new(), {}, oci_layout.list()
	for i, names in ipairs({ { "a", "b" }, { "c" } }) do
		local layers, blobs = {}, oci_layout.list()
		for n, name in ipairs(names) do
			layers[n] = made:file_layer(name, { descriptor = { annotations = { ["org.example.name"] = name } } })
			blobs[n] = oci_layout.blob_name(layers[n].descriptor.digest)
		end
		images[i] = made:image({ layers = layers, platform = "linux/amd64", name = "n" .. i })
		images[i].layers = layers
		made:list(images[i].descriptor, {
			[oci_layout.NAME] = "docker.io/library/app:" .. i,
			[oci_layout.REF_NAME] = tostring(i),
		})
		items[i] = {
			Config = oci_layout.blob_name(images[i].id),
			RepoTags = { "app:" .. i },
			Layers = blobs,
		}
	end
	return made, images, items
end

local function write(made, items)
	made.extra["manifest.json"] = oci_layout.encode(items)
	return made:archive(dir:file("hybrid.tar"))
end

describe("an archive with manifest.json and index.json", function()
	it("is opened by both when they agree", function()
		local made, images, items = hybrid()
		local path = write(made, items)
		for _, prefer in ipairs({ false, "oci" }) do
			for i, image in ipairs(images) do
				local img = assert(strata.open(path, { ref = "app:" .. i, prefer = prefer or nil }))
				assert.equal(image.id, img.id)
				assert.equal(image.descriptor.digest, img.digest)
				assert.same({ "app:" .. i }, img.tags)
				assert.same({ ["org.example.name"] = i == 1 and "a" or "c" }, img.layers[1].annotations)
				assert.equal(types.oci.gzip, img.layers[1].media_type)
				assert.equal(image.layers[1].descriptor.digest, img.layers[1].digest)
				assert.equal(image.id, assert(strata.open(path, { digest = image.descriptor.digest })).id)
				assert.is_true(assert(img:verify()))
			end
		end
		local img = assert(strata.open(path, { ref = "app:1", prefer = "docker" }))
		assert.equal(images[1].id, img.id)
		assert.equal("a,b", names_of(img))
	end)

	it("has images that only one of them lists", function()
		local made, images, items = hybrid()
		local other = made:image({ layers = { made:file_layer("d") }, platform = "linux/arm64" })
		table.remove(made.root.manifests, 2)
		made:list(made:index({ images[2].descriptor, other.descriptor }), "2")
		table.remove(items, 1)
		local path = write(made, items)
		local found = {}
		for img in assert(strata.images(path)) do
			found[img.id] = (found[img.id] or 0) + 1
		end
		assert.same({ [images[1].id] = 1, [images[2].id] = 1, [other.id] = 1 }, found)
		local img = assert(strata.open(path, { ref = "app:2" }))
		assert.equal(2, img.index.count)
		assert.equal(other.id, assert(strata.open(path, { platform = "linux/arm64", digest = other.descriptor.digest })).id)
		assert.equal(1, #assert(strata.open_index(path, { prefer = "docker" })).manifests)
	end)

	it("is refused when they disagree, unless one of them is preferred", function()
		local cases = {
			["1 layers in one and 2"] = function(_, _, items) table.remove(items[1].Layers) end,
			["another order"] = function(_, _, items)
				items[1].Layers[1], items[1].Layers[2] = items[1].Layers[2], items[1].Layers[1]
			end,
			["app:2 is "] = function(_, _, items) items[1].RepoTags = { "app:2" } end,
		}
		for part, change in pairs(cases) do
			local made, images, items = hybrid()
			change(made, images, items)
			local path = write(made, items)
			refuse("EFORMAT", { path, "manifest.json", "index.json", "disagree", part, "prefer" }, path)
			assert.equal("EFORMAT", select(3, strata.images(path)))
			assert.equal("EFORMAT", select(3, strata.open_index(path)))
			local img = assert(strata.open(path, { ref = "app:1", prefer = "oci" }))
			assert.equal(images[1].id, img.id)
			assert.equal("a,b", names_of(img))
		end
	end)

	it("is refused when one tag is two images; each reader gets the one that it would", function()
		local made, images, items = hybrid()
		items[1].RepoTags, items[2].RepoTags = items[2].RepoTags, items[1].RepoTags
		local path = write(made, items)
		refuse("EFORMAT", { path, "app:2", images[1].id, images[2].id }, path, { ref = "app:1" })
		assert.equal(images[2].id, assert(strata.open(path, { ref = "app:1", prefer = "docker" })).id)
		assert.equal(images[1].id, assert(strata.open(path, { ref = "app:1", prefer = "oci" })).id)
	end)

	it("needs only the list that is preferred", function()
		local made, images, items = hybrid()
		made.text = "{"
		local path = write(made, items)
		refuse("EFORMAT", { path, "index.json" }, path, { ref = "app:1" })
		assert.equal(images[1].id, assert(strata.open(path, { ref = "app:1", prefer = "docker" })).id)
		made.text = nil
		path = write(made, oci_layout.raw("["))
		refuse("EFORMAT", { path, "manifest.json" }, path, { ref = "app:1" })
		assert.equal(images[1].id, assert(strata.open(path, { ref = "app:1", prefer = "oci" })).id)
	end)

	it("does not trip over layers that are null", function()
		local made, images = hybrid()
		local empty = made:image({ layers = {}, manifest = { layers = oci_layout.null } })
		made:list(empty.descriptor, "empty")
		local path = write(made, {
			{ Config = oci_layout.blob_name(empty.id), RepoTags = { "empty:1" }, Layers = oci_layout.null },
		})
		assert.equal(0, #assert(strata.open(path, { ref = "empty:1" })).layers)
		assert.equal(images[1].id, assert(strata.open(path, { ref = "app:1" })).id)
	end)
end)

-- A layout of one image, larger than a pipe.
local function big()
	local made = oci_layout.new()
	local entries = { { name = "big", data = ("0123456789abcdef"):rep(20000) }, { name = "a", data = "this is a\n" } }
	local image = made:image({ layers = { made:layer(entries, { compression = "none" }) } })
	made:list(image.descriptor, "1")
	return made:archive(dir:file("big.tar")), image
end

describe("a stream", function()
	it("is a file that Lua has open", function()
		local path, image = big()
		local before = descriptors()
		local file = assert(io.open(path, "rb"))
		local img = assert(strata.open(file))
		assert.equal("file", io.type(file))
		file:close()
		assert.equal(image.id, img.id)
		assert.equal("this is a\n", img.layers[1]:read("a"))
		assert.is_true(assert(img:verify()))
		assert(img:save(dir:file("copy.tar")))
		assert.is_true(shell.same(path, dir:file("copy.tar")))
		img.config:set_env("A", "1")
		assert(img:save(dir:file("edited.tar")))
		assert.equal("1", assert(strata.open(dir:file("edited.tar"))).config:get_env("A"))
		assert.same({ "big.tar", "copy.tar", "edited.tar" }, dir:names())
		img:close()
		assert.equal(before, descriptors())
	end)

	it("is what a program writes", function()
		local path, image = big()
		local pipe = assert(io.popen("cat " .. shell.quote(path)))
		local img = assert(strata.open(pipe, { temp_dir = dir.path }))
		pipe:close()
		assert.equal(image.id, img.id)
		assert.is_true(assert(img:verify()))
		assert.same({ "big.tar" }, dir:names())
		shell.check({ "xz", "--version" })
		pipe = assert(io.popen("xz -c " .. shell.quote(path)))
		assert.equal(image.id, assert(strata.open(pipe)).id)
		pipe:close()
	end)

	it("serves strata.images and strata.open_index, too", function()
		local path, image = big()
		for _, open in ipairs({
			function(file) return assert(strata.images(file))() end,
			function(file) return assert(strata.open_index(file)):images()() end,
		}) do
			local file = assert(io.open(path, "rb"))
			assert.equal(image.id, open(file).id)
			file:close()
		end
	end)

	it("is standard input, by the name of -", function()
		local path, image = big()
		local script = [[
			local strata = require "strata"
			local img = assert(strata.open("-"))
			assert(img:verify())
			print(img.id, img.layers[1]:read("a"))
			img.config:set_env("A", "1")
			assert(img:save(arg[1]))
			print(select(2, strata.open("-")))
		]]
		local run = { script = script, arguments = { dir:file("saved.tar") } }
		run.wrapper = { "sh", "-c", 'cat "$0" | "$@"', path }
		local done = child.run(run)
		assert.equal(0, done.status, done.stderr)
		local id, rest = done.stdout:match("^(%S+)\tthis is a\n\n(.*)$")
		assert.equal(image.id, id)
		assert.truthy(rest:find("standard input", 1, true), rest)
		assert.equal("1", assert(strata.open(dir:file("saved.tar"))).config:get_env("A"))
	end)

	it("is refused when it holds no image, and when there is no place for it", function()
		local path = big()
		local function refuse_command(command, code, parts, opts)
			local pipe = assert(io.popen(command))
			local img, message, got = strata.open(pipe, opts)
			pipe:close()
			refusal.expect(img, message, got)
			assert.equal(code, got, message)
			for _, part in ipairs(parts) do
				assert.truthy(message:find(part, 1, true), message)
			end
		end
		refuse_command("true", "EFORMAT", { "stream", "no" })
		refuse_command("echo hello; seq 1000", "EFORMAT", { "stream" })
		refuse_command("head -c 100000 " .. shell.quote(path), "EFORMAT", { "stream" })
		refuse_command("cat " .. shell.quote(path), "ENOENT", { dir:file("missing") }, { temp_dir = dir:file("missing") })
	end)
end)

describe("an archive that is compressed as a whole", function()
	local COMMANDS = {
		xz = "xz -c",
		bzip2 = "bzip2 -c",
		lz4 = "lz4 -qc",
		gzip = "gzip -nc",
		zstd = "zstd -qc",
	}
	-- More than one member or frame, and what their programs leave to others.
	local ODD = {
		xz = 'head -c 5000 "$1" | xz -c; tail -c +5001 "$1" | xz --check=sha256 -c',
		bzip2 = 'head -c 5000 "$1" | bzip2 -c; tail -c +5001 "$1" | bzip2 -c',
		lz4 = 'head -c 5000 "$1" | lz4 -qc; tail -c +5001 "$1" | lz4 -qc --no-frame-crc',
		gzip = 'head -c 5000 "$1" | gzip -c; tail -c +5001 "$1" | gzip -c; head -c 512 /dev/zero',
		zstd = 'head -c 5000 "$1" | zstd -qc; tail -c +5001 "$1" | zstd -qc --no-check',
	}

	local function compressed(name, path)
		local target = dir:file("image." .. name)
		shell.sh(COMMANDS[name] .. ' <"$1" >"$2"', path, target)
		return target
	end

	for name in pairs(COMMANDS) do
		it("with " .. name .. " is opened, and saved unedited as the same file", function()
			local plain, image = big()
			local path = compressed(name, plain)
			local img = assert(strata.open(path))
			assert.equal(image.id, img.id)
			assert.equal(image.descriptor.digest, img.digest)
			assert.equal(path, img.path)
			assert.is_true(assert(img:verify()))
			assert.is_false(img.edited)
			assert(img:save(dir:file("copy")))
			assert.is_true(shell.same(path, dir:file("copy")))
			assert(img:save(path))
			assert.is_true(shell.same(path, dir:file("copy")))
			for one in assert(strata.images(path)) do
				assert.equal(image.id, one.id)
			end
		end)

		it("with " .. name .. " may consist of several parts", function()
			local plain, image = big()
			shell.sh("{ " .. ODD[name] .. '; } >"$2"', plain, dir:file("odd"))
			assert.is_true(assert(assert(strata.open(dir:file("odd"))):verify()))
			assert.equal(image.id, assert(strata.open(dir:file("odd"))).id)
		end)

		it("with " .. name .. " leaves nothing behind, whatever becomes of it", function()
			local path = compressed(name, (big()))
			local before = descriptors()
			local place = tmp.dir()
			local img = assert(strata.open(path, { temp_dir = place.path }))
			assert.same({}, place:names())
			img:close()
			refuse("ENOENT", { place:file("missing") }, path, { temp_dir = place:file("missing") })
			refuse("ELIMIT", { path, "limits.bytes" }, path, { limits = { bytes = 100000 } })
			shell.sh('head -c "$(($(wc -c <"$1") / 2))" "$1" >"$2"', path, dir:file("cut"))
			local message, code = select(2, strata.open(dir:file("cut")))
			assert.equal("EFORMAT", code, message)
			assert.truthy(message:find(dir:file("cut"), 1, true), message)
			assert.equal(before, descriptors())
		end)
	end

	it("is compressed again when it is edited, with what can be written", function()
		for name in pairs(COMMANDS) do
			local img = assert(strata.open(compressed(name, (big()))))
			img.config:set_env("A", "1")
			local target = dir:file("edited")
			local result, message, code = img:save(target)
			if name == "gzip" or name == "zstd" then
				assert.truthy(result, message)
				shell.sh(name .. ' -dqc <"$1" | tar -tf - >"$2"', target, dir:file("names"))
			else
				assert.equal("EUNSUPPORTED", code)
				assert.truthy(message:find(name, 1, true), message)
				assert(img:save(target, { format = "oci-archive" }))
			end
			assert.equal("1", assert(strata.open(target)).config:get_env("A"))
			os.remove(target)
		end
	end)

	it("may hold what Docker saves", function()
		local image = docker_archive.image({ layers = docker_archive.layers(2) })
		local built = docker_archive.new()
		built:add("c.json", image.config):add("0.tar", image.layers[1].tar):add("1.tar", image.layers[2].tar)
		built:add("manifest.json", '[{"Config":"c.json","RepoTags":["app:1"],"Layers":["0.tar","1.tar"]}]')
		local plain = built:write(dir:file("plain.tar"))
		for name in pairs(COMMANDS) do
			local img = assert(strata.open(compressed(name, plain)))
			assert.equal("sha256:" .. image.id, img.id)
			assert.is_true(assert(img:verify()))
		end
	end)
end)

describe("a progress function", function()
	local function recorder()
		local calls = {}
		return calls, function(done, total, what)
			calls[#calls + 1] = { done = done, total = total, what = what }
		end
	end

	local function check(calls, total)
		assert.is_true(#calls > 0)
		for i, call in ipairs(calls) do
			assert.equal("string", type(call.what))
			assert.is_true(call.done >= 0 and call.done <= call.total)
			local before = calls[i - 1]
			assert.is_true(not before or before.total ~= call.total or before.done <= call.done)
		end
		assert.equal(calls[#calls].total, calls[#calls].done)
		local all = 0
		for _, call in ipairs(calls) do
			all = call.done == call.total and all + call.total or all
		end
		assert.is_true(all >= total)
	end

	it("is told of verifying and of saving, in bytes, to the end", function()
		local path, image = big()
		local img = assert(strata.open(path))
		local size = image.manifest.layers[1].size
		local calls, progress = recorder()
		assert(img:verify({ progress = progress }))
		check(calls, size)
		calls, progress = recorder()
		img.config:set_env("A", "1")
		assert(img:save(dir:file("saved.tar"), { progress = progress }))
		check(calls, size)
		calls, progress = recorder()
		assert(img:save(dir:file("layout"), { format = "oci", progress = progress }))
		check(calls, size)
	end)

	it("is told of inflating a whole archive", function()
		local path = big()
		shell.sh('gzip -nc <"$1" >"$2"', path, dir:file("big.gz"))
		local calls, progress = recorder()
		assert(strata.open(dir:file("big.gz"), { progress = progress }))
		check(calls, 1)
	end)

	it("ends the work when it throws, and nothing is left", function()
		local path = big()
		local before = descriptors()
		local img = assert(strata.open(path))
		local function stop() error({ "enough" }) end
		for _, opts in ipairs({ {}, { format = "docker" }, { format = "oci-archive" }, { format = "oci" } }) do
			opts.progress = stop
			local ok, thrown = pcall(img.save, img, dir:file("target"), opts)
			assert.is_false(ok)
			assert.same({ "enough" }, thrown)
			assert.same({ "big.tar" }, dir:names())
		end
		assert.is_false((pcall(img.verify, img, { progress = stop })))
		assert.is_true(assert(img:verify()))
		img:close()
		assert.equal(before, descriptors())
	end)
end)
