-- Takes seconds: not for make check.
-- strata.stream.image: an archive of docker save that is edited on its way, beside the same edits by open and save.

local archive = require "spec.support.docker_archive"
local build = require "spec.support.archive"
local child = require "spec.support.child"
local dialects = require "spec.support.docker_dialects"
local process = require "spec.support.process"
local push = require "spec.support.push"
local shell = require "spec.support.shell"
local stacks = require "spec.support.stacks"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local specify = build.specify(it, pending)
local dir = tmp.dir(tmp.for_peers())
local layers = archive.layers(3)

local EDITS = push.EDITS
local through, refuse = push.edited, push.refuse

local function write(bytes)
	return dir:write("image.tar", bytes)
end

--- Both ways give the same members, byte for byte.
local function expect_same(bytes, edits, size, lazy)
	local expected, why, how = push.saved(write(bytes), edits)
	local out, message, code = push.through(assert(strata.stream.image(edits)), bytes, size, lazy)
	if not expected then
		assert.is_true(out == nil, "a save is refused, a stream is not: " .. why)
		assert.equal(how, code, ("%s\n%s"):format(why, message))
		return nil
	end
	assert(out, message)
	local wanted, wanted_tail = push.members(expected)
	local found, tail = push.members(out)
	assert.equal(#wanted, #found)
	for i, member in ipairs(wanted) do
		assert.is_true(member == found[i], "a member differs: " .. member:sub(1, 60))
	end
	assert.is_true(wanted_tail == tail, "the end differs")
	return out
end

local function rotated(built, turn)
	for _ = 1, turn do
		table.insert(built.members, table.remove(built.members, 1))
	end
	return built
end

for _, name in ipairs(dialects.names()) do
	describe("a stream as of " .. name, function()
		local of = dialects.of[name]
		local made = archive.image({ layers = layers, tags = { "app:1", "registry.example:5000/team/app:2" } })
		local bytes = of(made):bytes()

		it("is what a save gives, filtered, rewritten, with another config and tags", function()
			expect_same(bytes, EDITS)
			expect_same(bytes, { filter = EDITS.filter })
			expect_same(bytes, { rewrite = EDITS.rewrite })
			expect_same(bytes, { config = EDITS.config })
			expect_same(bytes, { tags = { "other:2" } })
			expect_same(bytes, { filter = EDITS.filter, tags = { "other:2", "app:1" } })
		end)

		it("is the same however it is cut", function()
			local whole = expect_same(bytes, EDITS, #bytes)
			assert.is_true(whole == expect_same(bytes, EDITS, 1))
			assert.is_true(whole == expect_same(bytes, EDITS, 4096, true))
			for seed = 1, 10 do
				local random = push.generator(seed)
				assert.is_true(whole == push.through(assert(strata.stream.image(EDITS)), bytes, function()
					return random(seed * 300)
				end))
			end
		end)

		it("is the same, byte for byte, when nothing is to be edited", function()
			for _, size in ipairs({ 1, 1000, #bytes }) do
				assert.is_true(bytes == through(bytes, {}, size))
			end
			local packed = archive.gzip(bytes)
			assert.is_true(packed == through(packed, {}, 100))
		end)

		it("has the same members when edits change nothing", function()
			local function nothing() end
			local function all()
				return true
			end
			expect_same(bytes, { filter = all, rewrite = nothing, config = nothing })
		end)

		it("is what a save gives whatever the order of its members", function()
			local count = #of(made).members
			for turn = 1, count - 1 do
				expect_same(rotated(of(made), turn):bytes(), EDITS)
			end
			local built = of(made)
			local reversed = archive.new()
			for i = #built.members, 1, -1 do
				table.insert(reversed.members, built.members[i])
			end
			expect_same(reversed:bytes(), EDITS)
		end)

		it("is what a save gives with a layer that is there several times", function()
			local again = archive.image({ layers = { layers[1], layers[2], layers[1], layers[2], layers[2] } })
			expect_same(of(again):bytes(), EDITS)
			expect_same(of(again):bytes(), { filter = EDITS.filter })
		end)

		it('is what a save gives with names that begin with "./" or "/"', function()
			for _, prefix in ipairs({ "./", "/" }) do
				local built = of(made)
				for _, member in ipairs(built.members) do
					member.name = prefix .. member.name:gsub("^%./", ""):gsub("^/", "")
				end
				expect_same(built:bytes(), EDITS)
			end
		end)

		it("keeps members that nobody knows", function()
			local built = of(made)
			built:add("README", "a file")
			built:add("big", ("no json "):rep(9000))
			built:add("notes.json", '{"a":1}')
			built:add("dev", nil, { type = "fifo" })
			built:add("dangling", nil, { type = "symlink", linkpath = "../../etc/passwd" })
			local out = expect_same(rotated(built, #built.members - 3):bytes(), EDITS)
			assert.is_truthy(out:find("no json no json", 1, true))
		end)

		it("fails wherever it is cut short, if opening it does", function()
			local failures = 0
			for at = 1, #bytes, 1021 do
				local cut = bytes:sub(1, at)
				local out, message, code = through(cut, EDITS)
				if code ~= "EUNSUPPORTED" then -- without its manifest.json it may be an OCI archive
					local saved, why = push.saved(write(cut), EDITS)
					assert.equal(saved == nil, out == nil, ("%d: %s; %s"):format(at, tostring(why), tostring(message)))
					if out then
						assert.equal(assert(strata.open(dir:file("image.tar.saved"))).id, assert(strata.open(write(out))).id)
					end
				end
				failures = failures + (out and 0 or 1)
			end
			assert.is_true(failures > 5)
		end)
	end)
end

describe("whiteouts in a stream", function()
	local function whiteouts(entries)
		local list = {}
		for i, data in ipairs(entries) do
			local name = type(data) == "table" and data[1] or data
			list[i] = { name = name, data = type(data) == "table" and data[2] or nil }
		end
		return archive.layer(list)
	end
	local stack = {
		whiteouts({ { "a/one", "1" }, { "a/two", "2" }, { "b", "3" } }),
		whiteouts({ "a/.wh.one", { "c", "4" } }),
		whiteouts({ ".wh.b", "a/.wh..wh..opq", "a/.wh.two", { "d", "5" } }),
	}
	local made = archive.image({ layers = stack })
	local function no_b(entry)
		return entry.path ~= "b" and entry.path ~= "a/one"
	end

	it("go when what they hide goes, whatever the order", function()
		for _, name in ipairs(dialects.names()) do
			local count = #dialects.of[name](made).members
			for turn = 0, count - 1 do
				local out = expect_same(rotated(dialects.of[name](made), turn):bytes(), { filter = no_b })
				local img = assert(strata.open(dir:write("out.tar", out)))
				local seen = {}
				for _, layer in img:layers() do
					for entry in layer:entries() do
						seen[#seen + 1] = entry.path
					end
				end
				assert.same({ "a/two", "c", "a/.wh..wh..opq", "a/.wh.two", "d" }, seen)
				img:close()
			end
		end
	end)

	it("need no second layer to be kept when the manifest comes first and the layers from the base up", function()
		local big = {}
		for i = 1, 4 do
			big[i] = whiteouts({ { "f" .. i, ("x"):rep(20000 + i) }, ".wh.f" .. i - 1 })
		end
		local of_big = archive.image({ layers = big })
		local options = {
			filter = function(entry)
				return entry.path ~= "f2"
			end,
			limits = { spool = 60000 },
		}
		local built = dialects.of.podman(of_big)
		refuse("ELIMIT", { "limits.spool" }, built:bytes(), options)
		built:first("manifest.json")
		local out = assert(through(built:bytes(), options))
		options.limits = nil
		local found, wanted = push.members(out), push.members(push.saved(write(built:bytes()), options))
		assert.same(wanted, found)
	end)

	it("of a layer that is there twice are refused when they go in one place only", function()
		local again = archive.image({ layers = { stack[2], stack[1], stack[2] } })
		refuse("EUNSUPPORTED", { "strata.open" }, dialects.of.podman(again):bytes(), { filter = no_b })
	end)

	it("and hardlinks across layers give what a save gives, in random stacks", function()
		local refused = 0
		for seed = 1, 60 do
			local random = push.generator(seed)
			local path = dir:file("stack.tar")
			build.build(path, { layers = stacks.layers(seed), tags = { "app:1" } })
			local salt = random(1000)
			local function filter(entry)
				return (#entry.path * 7 + entry.path:byte(-1) + salt) % 4 ~= 0
			end
			local function rewrite(entry)
				if entry.uid == 1 then
					entry.uid = 5
				end
				if entry.path:find("x", 1, true) == 1 then
					entry.path = "moved/" .. entry.path
				end
			end
			local out = expect_same(shell.read(path), { filter = filter, rewrite = rewrite }, random(5000))
			refused = refused + (out and 0 or 1)
		end
		assert.is_true(refused < 40)
	end)
end)

describe("layers that meet in a stream", function()
	it("are there once when they become the same", function()
		local function layer(name)
			return archive.layer({ { name = "same", data = "same" }, { name = name, data = name } })
		end
		local base = archive.layer({ { name = "same", data = "same" } })
		local function filter(entry)
			return entry.path == "same"
		end
		for _, name in ipairs({ "podman", "docker_25", "docker_29", "docker_1_10" }) do
			for _, list in ipairs({ { layer("a"), layer("b") }, { base, layer("a") }, { layer("a"), base } }) do
				local bytes = dialects.of[name](archive.image({ layers = list })):bytes()
				local saved = push.saved(write(bytes), { filter = filter })
				local out, message, code = through(bytes, { filter = filter })
				if out then
					assert.same((push.members(saved)), (push.members(out)), name)
				else
					assert.equal("EUNSUPPORTED", code, message)
				end
			end
		end
	end)
end)

describe("the layer that callbacks get", function()
	local made = archive.image({ layers = layers })

	it("tells name, digests and size, and its place when a manifest has told it", function()
		local built = dialects.of.podman(made):first("manifest.json")
		local seen = {}
		assert(through(built:bytes(), {
			rewrite = function(_, layer)
				seen[layer.position] = layer
			end,
		}))
		for i, layer in ipairs(layers) do
			assert.equal("sha256:" .. layer.diff_id, seen[i].diff_id)
			assert.equal(seen[i].diff_id, seen[i].digest)
			assert.equal(layer.diff_id .. ".tar", seen[i].name)
			assert.equal(#layer.tar, seen[i].size)
			assert.equal("none", seen[i].compression)
		end
		local places = 0
		assert(through(dialects.of.kaniko(made):bytes(), {
			filter = function(_, layer)
				places = places + (layer.position or 0)
				assert.equal("gzip", layer.compression)
				assert.not_equal(layer.digest, layer.diff_id)
				return true
			end,
		}))
		assert.equal(0, places)
	end)

	it("comes with entries that can be read and replaced, until it has gone", function()
		local kept
		local out = assert(through(dialects.of.docker_25(made):bytes(), {
			rewrite = function(entry)
				if entry.path == "etc/layer1" then
					assert.is_truthy(entry:read():find("this is layer 1", 1, true))
					entry:replace("replaced")
					kept = entry
				end
			end,
		}))
		assert.equal("replaced", assert(strata.open(dir:write("out.tar", out))).layers[1]:read("etc/layer1"))
		assert.has_error(function()
			return kept.path
		end, "attempt to use an entry of a closed layer")
	end)
end)

describe("a stream that is compressed as a whole", function()
	local made = archive.image({ layers = layers })
	local bytes = dialects.of.docker_25(made):bytes()

	it("is compressed again in the same way, or as asked for", function()
		local plain = through(bytes, EDITS)
		local packed = archive.gzip(bytes)
		for _, size in ipairs({ 1, 100, #packed }) do
			local out = assert(through(packed, EDITS, size))
			assert.equal("\31\139", out:sub(1, 2))
			local path = dir:write("out.gz", out)
			assert.is_true(plain == shell.check({ "gzip", "-dc", path }))
		end
		assert.is_true(plain == through(packed, {
			filter = EDITS.filter,
			rewrite = EDITS.rewrite,
			config = EDITS.config,
			compression = "none",
		}))
		local out = assert(through(bytes, { compression = "gzip" }))
		assert.is_true(bytes == shell.check({ "gzip", "-dc", dir:write("out.gz", out) }))
		if shell.which("zstd") then
			out = assert(through(packed, { compression = "zstd" }))
			assert.is_true(bytes == shell.check({ "zstd", "-qdc", dir:write("out.zst", out) }))
			out = assert(through(out, { compression = "gzip" }))
			assert.is_true(bytes == shell.check({ "gzip", "-dc", dir:write("out.gz", out) }))
		end
	end)

	it("fails when it is cut short, damaged, or compressed with something else", function()
		local packed = archive.gzip(bytes)
		refuse("EFORMAT", {}, packed:sub(1, -2))
		refuse("EFORMAT", {}, packed:sub(1, -2), {})
		refuse("EFORMAT", {}, packed:sub(1, 100))
		refuse("EFORMAT", {}, packed:sub(1, -9) .. "damaged!")
		refuse("EUNSUPPORTED", { "xz" }, "\253" .. "7zXZ\0" .. bytes)
		refuse("ELIMIT", { "limits.bytes" }, packed, { limits = { bytes = 4000 } })
	end)
end)

describe("a transform", function()
	local made = archive.image({ layers = layers })
	local bytes = dialects.of.docker_25(made):bytes()

	it("throws what is misuse", function()
		assert.has_error(function()
			strata.stream.image()
		end)
		for _, options in ipairs({
			{ filter = 1 },
			{ rewrite = "x" },
			{ config = {} },
			{ wait = 1 },
			{ tags = "app:1" },
			{ tags = { "no reference" } },
			{ compression = "xz" },
			{ attestations = "perhaps" },
			{ ref = 1 },
			{ strict = true },
		}) do
			assert.has_error(function()
				strata.stream.image(options)
			end)
		end
		local t = assert(strata.stream.image({}))
		assert.has_error(function()
			t(12)
		end, "bad argument #1 to the transform (string or nil expected, got number)")
		assert(t(bytes))
		assert(t(nil))
		assert.has_error(function()
			t("")
		end, "the transform is finished")
	end)

	it("is dead after a callback has thrown", function()
		for _, key in ipairs({ "filter", "rewrite", "config" }) do
			local t = assert(strata.stream.image({
				[key] = function()
					error("thrown in " .. key, 0)
				end,
			}))
			assert.has_error(function()
				push.through(t, bytes)
			end, "thrown in " .. key)
			assert.has_error(function()
				t("")
			end)
		end
	end)

	it("lets its callbacks yield", function()
		local waits = 0
		local edits = {
			wait = function()
				waits = waits + 1
				coroutine.yield()
			end,
		}
		for key, fn in pairs(EDITS) do
			edits[key] = function(...)
				coroutine.yield(key)
				return fn(...)
			end
		end
		local out
		local co = coroutine.create(function()
			out = assert(push.through(assert(strata.stream.image(edits)), bytes, 1000))
		end)
		local seen = {}
		while coroutine.status(co) ~= "dead" do
			local _, key = assert(coroutine.resume(co))
			seen[key or "wait"] = true
		end
		assert.is_true(seen.filter and seen.rewrite and seen.config)
		assert.is_true(out == through(bytes, EDITS))
	end)

	it("gives what waits in pieces to who asks for it", function()
		local big = archive.layer({ { name = "big", data = ("0123456789abcdef"):rep(100000) } })
		local t = assert(strata.stream.image({ rewrite = EDITS.rewrite }))
		local input = dialects.of.podman(archive.image({ layers = { big } })):bytes()
		local largest, parts = 0, {}
		for piece in push.pieces(input, 10000) do
			local out, more = assert(t(piece))
			repeat
				largest = math.max(largest, #out)
				parts[#parts + 1] = out
				local again = more
				if again then
					out, more = assert(t(""))
				end
			until not again
		end
		parts[#parts + 1] = assert(t(nil))
		assert.is_true(largest <= 256 * 1024)
		assert.is_true(#parts[#parts] < 20000)
		assert.is_true(table.concat(parts) == assert(through(input, { rewrite = EDITS.rewrite })))
		assert.is_true(table.concat(parts) == assert(through(input, { rewrite = EDITS.rewrite }, #input)))
	end)

	it("leaves nothing open and no file behind, finished, failed or abandoned", function()
		local temp = tmp.dir()
		local before = process.descriptors()
		for turn = 1, 12 do
			local options = { temp_dir = temp.path, filter = EDITS.filter }
			if turn % 4 == 3 then
				options.filter = function()
					error("thrown")
				end
			end
			local t = assert(strata.stream.image(options))
			if turn % 4 == 0 then
				assert(push.through(t, bytes))
			elseif turn % 4 == 1 then
				assert(t(bytes:sub(1, -6000)))
			elseif turn % 4 == 2 then
				assert.is_true(push.through(t, bytes:sub(1, -6000)) == nil)
			else
				assert.is_false(pcall(push.through, t, bytes))
			end
			assert.same({}, temp:names())
		end
		assert.equal(before, process.descriptors())
		temp:remove()
	end)

	it("tells when its temporary directory is not there", function()
		local t, message, code = strata.stream.image({ temp_dir = dir:file("nowhere/at/all"), filter = EDITS.filter })
		assert.is_nil(t)
		assert.equal("ENOENT", code, message)
	end)
end)

describe("a large layer in a stream", function()
	-- Writes the archive to standard output, without having it.
	local MAKE = [[
		import hashlib, io, sys, tarfile
		size, block = 300 << 20, bytes(range(256)) * 4096
		class Big:
			def __init__(self): self.left = size
			def read(self, n):
				n = min(n, self.left, len(block)); self.left -= n; return block[:n]
		def layer(out):
			with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as tar:
				for name, n, f in (("big", size, Big()), ("small", 5, io.BytesIO(b"small"))):
					info = tarfile.TarInfo(name); info.size, info.uid = n, 1000
					tar.addfile(info, f)
		class Sum:
			def __init__(self): self.h, self.n = hashlib.sha256(), 0
			def write(self, b): self.h.update(b); self.n += len(b); return len(b)
		s = Sum(); layer(s)
		name = s.h.hexdigest()
		info = tarfile.TarInfo(name + ".tar"); info.size = s.n
		out = sys.stdout.buffer
		out.write(info.tobuf(tarfile.GNU_FORMAT)); layer(out); out.write(b"\0" * (-s.n % 512))
		def add(name, text):
			info = tarfile.TarInfo(name); info.size = len(text)
			out.write(info.tobuf(tarfile.GNU_FORMAT) + text + b"\0" * (-len(text) % 512))
		rootfs = b'{"type":"layers","diff_ids":["sha256:%s"]}' % name.encode()
		add("c.json", b'{"architecture":"amd64","os":"linux","rootfs":%s}' % rootfs)
		add("manifest.json", b'[{"Config":"c.json","RepoTags":null,"Layers":["%s.tar"]}]' % name.encode())
		out.write(b"\0" * 1024)
	]]

	local SCRIPT = [[
		local strata = require "strata"
		local t = assert(strata.stream.image {
			filter = function(entry) return entry.path ~= "small" end,
			rewrite = function(entry) entry.uid = 0 end,
		})
		local input, output = assert(io.open(arg[1], "rb")), assert(io.open(arg[2], "wb"))
		repeat
			local chunk = input:read(2 ^ 18)
			local out, more = assert(t(chunk))
			output:write(out)
			while more do
				out, more = assert(t(""))
				output:write(out)
			end
		until not chunk
		output:close()
		io.write(io.open("/proc/self/status"):read("*a"):match("VmHWM:%s*(%d+)"))
	]]

	specify("takes no more memory than a small one", function()
		local python = MAKE:gsub("\n\t\t", "\n"):gsub("^%s+", "")
		local input, output = dir:file("large.tar"), dir:file("large.out")
		shell.check({ "sh", "-c", 'exec /usr/bin/python3 -I -c "$1" >"$2"', "sh", python, input })
		local finished = child.run({ script = SCRIPT, arguments = { input, output }, env = { TMPDIR = dir.path } })
		assert.equal("", finished.stderr)
		if not os.getenv("STRATA_PRELOAD") then
			assert.is_true(tonumber(finished.stdout) < 64 * 1024, finished.stdout .. " kB")
		end
		local img = assert(strata.open(output))
		assert.is_true(img:verify())
		assert.equal(300 * 1024 * 1024, img.layers[1]:entry("big").size)
		assert.is_nil(img.layers[1]:entry("small"))
		img:close()
		os.remove(input)
		os.remove(output)
	end)
end)

local corpus = os.getenv("STRATA_CORPUS")

describe("archives of the corpus in a stream", function()
	if not corpus then
		pending("STRATA_CORPUS is not set")
		return
	end

	local function plain(bytes)
		if bytes:sub(1, 2) == "\31\139" then
			return shell.check({ "gzip", "-dc", dir:write("plain.gz", bytes) })
		end
		return bytes
	end

	it("give what opening, editing and saving them gives, or are refused", function()
		local edited = 0
		local function filter(entry)
			return not entry.path:find("^etc/") and not entry.path:find("share")
		end
		for _, part in ipairs({ "images", "broken", "hostile" }) do
			for name in shell.sh('cd "$1"; find . -maxdepth 1 -type f | sort', corpus .. "/" .. part):gmatch("%./([^\n]+)") do
				local path = corpus .. "/" .. part .. "/" .. name
				local bytes = shell.read(path)
				local copy = dir:write("corpus.tar", bytes)
				local edits = { filter = filter, config = EDITS.config }
				local saved, message, code = push.saved(copy, edits)
				local out, why, how = through(bytes, edits, 100000)
				if out then
					assert(saved, ("%s: %s"):format(name, tostring(message)))
					assert.same((push.members(plain(saved))), (push.members(plain(out))), name)
					assert.is_true(bytes == through(bytes, {}, 100000), name)
					edited = edited + 1
				elseif saved then -- an OCI archive
					assert.equal("EUNSUPPORTED", how, ("%s: %s"):format(name, why))
					assert.is_truthy(why:find("manifest.json", 1, true))
				else
					assert.is_true(how == code or how == "EUNSUPPORTED", ("%s: %s"):format(message, why))
				end
			end
		end
		assert.is_true(edited > 15)
	end)

	it("keep their attestations, lose them, or are refused for them, as in a save", function()
		local name = "snyk-busybox-single-arch-with-attestation-manifest.tar"
		local bytes, sizes = shell.read(corpus .. "/images/" .. name), {}
		for _, way in ipairs({ "keep", "drop", "refuse" }) do
			local out = expect_same(bytes, { config = EDITS.config, attestations = way })
			sizes[way] = out and #out
		end
		assert.is_true(sizes.drop < sizes.keep)
		assert.is_nil(sizes.refuse)
	end)
end)
