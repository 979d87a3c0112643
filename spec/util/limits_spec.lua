-- Takes seconds: not for make check.
-- Every limit has a row in lua/strata/util/limits.lua and an `it` here that crosses it.

local archive = require "spec.support.archive"
local conform = require "spec.support.conform"
local limits = require "strata.util.limits"
local oci_layout = require "spec.support.oci_layout"
local options = require "strata.util.options"
local refusal = require "spec.support.refusal"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local unpack = table.unpack or unpack -- luacheck: std min

local it = archive.specify(it, pending) -- luacheck: ignore 431

local dir

setup(function()
	dir = tmp.dir()
end)

teardown(function()
	dir:remove()
end)

--- {json = {max_bytes = 1}} for "json.max_bytes" and 1.
local function only(name, value)
	local group, key = name:match("^(.-)%.(.*)$")
	return { limits = group and { [group] = { [key] = value } } or { [name] = value } }
end

local number = 0

--- The path of an archive that Python wrote.
local function image(layers, request)
	number = number + 1
	request = request or {}
	request.layers = layers
	local path = dir:file(("image%d.tar"):format(number))
	archive.build(path, request)
	return path
end

local function layout(build)
	local made = oci_layout.new()
	build(made)
	return made:archive(dir:file("layout.tar"))
end

local function files(count, prefix)
	local list = {}
	for i = 1, count do
		list[i] = { name = (prefix or "f") .. i, type = "file", data = "x" }
	end
	return list
end

-- What an opened image answers, the image closed again.
local function opened(path, opts, fn)
	local img, message, code = strata.open(path, opts)
	if not img then
		return nil, message, code
	end
	local value
	value, message, code = fn(img)
	img:close()
	return value, message, code
end

local function just_open(path, ref)
	return function(opts)
		opts.ref = ref
		return opened(path, opts, function()
			return true
		end)
	end
end

local function scan(path)
	return function(opts)
		return opened(path, opts, function(img)
			return img:rootfs()
		end)
	end
end

local function extract(path)
	return function(opts)
		return opened(path, opts, function(img)
			local target = dir:file("rootfs")
			local result, message, code = img:extract(target, { unprivileged = true })
			shell.check({ "rm", "-rf", "--", target })
			return result, message, code
		end)
	end
end

-- A stream of members of gzip, or frames of zstd, that together are a file.
local function in_pieces(path, command)
	local bytes, pieces = shell.read(path), {}
	for i = 1, 4 do
		local length = math.ceil(#bytes / 4)
		pieces[i] = oci_layout.filter(bytes:sub((i - 1) * length + 1, i * length), command)
	end
	return dir:write("pieces." .. command:match("^%w+"), table.concat(pieces))
end

-- A file with holes, as PAX 0.1 says it.
local function sparse(extents, size)
	local map = {}
	for i = 1, extents do
		map[2 * i - 1], map[2 * i] = (i - 1) * 1000, 1
	end
	return {
		name = "GNUSparseFile.0/sparse",
		type = "file",
		data = ("x"):rep(extents),
		pax = {
			["GNU.sparse.major"] = "0",
			["GNU.sparse.minor"] = "1",
			["GNU.sparse.name"] = "sparse",
			["GNU.sparse.size"] = ("%.0f"):format(size),
			["GNU.sparse.numblocks"] = tostring(extents),
			["GNU.sparse.map"] = table.concat(map, ","),
		},
	}
end

-- For each limit: a value that is too low for what is tried, and how it is tried (with options of open).
local crossings = {}

crossings["json.max_bytes"] = function()
	return 100, { just_open(image({})) }
end

crossings["json.max_depth"] = function()
	local plain = layout(function(made)
		made:list(made:image({ layers = {} }).descriptor)
	end)
	return 1, { just_open(image({})), just_open(plain) }
end

crossings["json.max_values"] = function()
	return 4, { just_open(image({})) }
end

crossings.manifests = function()
	return 2, {
		just_open(layout(function(made)
			local one = made:image({ layers = {} }).descriptor
			made:list(one, "1")
			made:list(made:index({ one, one }))
		end), "1"),
	}
end

crossings.index_depth = function()
	return 0, {
		just_open(layout(function(made)
			made:list(made:index({ made:image({ layers = {} }).descriptor }))
		end)),
	}
end

crossings.layers = function()
	return 1, { just_open(image({ { entries = files(1) }, { entries = files(2) } })) }
end

crossings.links = function()
	local path = image({ { entries = files(1) } })
	-- The member that the manifest names becomes a link to one that has its content.
	local script = [[set -e; work="$1.d"; mkdir "$work"; tar -xf "$1" -C "$work"; cd "$work"
		layer=$(ls -d */layer.tar); mv "$layer" real.tar; ln -s ../real.tar "$layer"; tar -cf "$1" *]]
	shell.sh(script, path)
	return 0, { just_open(path) }
end

crossings.archive_members = function()
	return 1, { just_open(image({ { entries = files(1) } })) }
end

crossings.entries = function()
	return 5, { scan(image({ { entries = files(6) } })), extract(image({ { entries = files(6) } })) }
end

crossings.path = function()
	local long = ("p"):rep(100) .. "/" .. ("q"):rep(60)
	local linked = { name = "link", type = "symlink", linkname = ("t"):rep(160) }
	return 150, {
		scan(image({ { entries = { { name = long, type = "file", data = "" } } } })),
		scan(image({ { entries = { linked } } })),
	}
end

crossings.extension = function()
	local entry = { name = "f", type = "file", data = "", pax = { comment = ("c"):rep(2000) } }
	return 1500, { scan(image({ { entries = { entry } } })) }
end

crossings.records = function()
	local pax = {}
	for i = 1, 20 do
		pax["SCHILY.xattr.user.x" .. i] = "v"
	end
	return 19, { scan(image({ { entries = { { name = "f", type = "file", data = "", pax = pax } } } })) }
end

crossings.sparse = function()
	local path = image({ { entries = { sparse(4, 4000) } } })
	return 3, { scan(path), extract(path) }
end

crossings.file = function()
	return 2 ^ 30, { scan(image({ { entries = { sparse(2, 2 ^ 30 + 1) } } })) }
end

crossings.bytes = function()
	local path = image({ { entries = { { name = "zeros", type = "file", data = ("\0"):rep(50000) } }, gzip = true } })
	local tries = { scan(path), extract(path) }
	for _, command in ipairs({ "gzip -nc", "zstd -qc", "xz -c" }) do
		local whole = dir:write("whole." .. command:match("^%w+"), oci_layout.filter(shell.read(path), command))
		tries[#tries + 1] = scan(whole)
	end
	return 40000, tries
end

crossings.ratio = function()
	local tries = {}
	for _, command in ipairs({ "gzip -1nc", "xz -0c" }) do
		local path = dir:file("zeros." .. command:match("^%w+"))
		-- Not so dense that the default would stop it.
		local script = "{ head -c 1000000 /dev/urandom; head -c 280000000 /dev/zero; } | $1 >$2"
		shell.sh(script, command, path)
		tries[#tries + 1] = just_open(path)
	end
	return 100, tries
end

crossings.members = function()
	local path = image({ { entries = files(3) } })
	return 3, { just_open(in_pieces(path, "gzip -nc")), just_open(in_pieces(path, "zstd -qc")) }
end

crossings.empty_blocks = function()
	-- Blocks of ten bits, the last of them final, in front of a member with a tar.
	local zero = ("\2\8\32\128\0"):rep(20)
	local head, trailer = "\31\139\8\0\0\0\0\0\0\255", ("\0"):rep(8)
	local whole = oci_layout.filter(shell.read(image({ { entries = files(1) } })), "gzip -nc")
	return 1, { just_open(dir:write("empty.gz", head .. zero:rep(100) .. "\3\0" .. trailer .. whole)) }
end

crossings.zstd_window = function()
	local path = image({ { entries = { { name = "zeros", type = "file", data = ("\0"):rep(3000000) } } } })
	local whole = dir:write("window.zst", oci_layout.filter(shell.read(path), "zstd -qc --long=21"))
	return 2 ^ 20, { just_open(whole) }
end

crossings.dictionary = function()
	local path = image({ { entries = files(1) } })
	local function append(archive_path)
		return function(opts)
			return strata.new():append({ archive = archive_path, limits = opts.limits })
		end
	end
	local xz = dir:write("nine.xz", oci_layout.filter(shell.read(path), "xz -9c"))
	local lzma = dir:write("nine.lzma", oci_layout.filter(shell.read(path), "xz --format=lzma -9c"))
	return 2 ^ 26 - 1, { just_open(xz), append(xz), append(lzma) }
end

crossings.spool = function()
	local path = image({ { entries = files(1) } })
	return 1000,
		{
			function(opts)
				local pipe = assert(io.popen("cat <" .. shell.quote(path)))
				local img, message, code = strata.open(pipe, opts)
				pipe:close()
				if img then
					img:close()
				end
				return img, message, code
			end,
		}
end

crossings.held = function()
	local path = image({ { entries = files(1) } })
	return 1000,
		{
			function(opts)
				local function all()
					return true
				end
				local t = assert(strata.stream.image({ filter = all, limits = opts.limits }))
				local out, message, code = t(shell.read(path))
				if out then
					out, message, code = t(nil)
				end
				return out, message, code
			end,
		}
end

crossings.read = function()
	local path = image({ { entries = { { name = "f", type = "file", data = ("x"):rep(2000) } } } })
	local function reading(fn)
		return function(opts)
			return opened(path, opts, fn)
		end
	end
	return 1999,
		{
			reading(function(img)
				return img.layers[1]:read("f")
			end),
			reading(function(img)
				return img.layers[1]:entry("f"):read()
			end),
			reading(function(img)
				return img:rootfs():read("f")
			end),
			reading(function(img)
				return img:rootfs():stat("f"):read()
			end),
		}
end

crossings.steps = function()
	local entries = { { name = "d1", type = "dir" } }
	for i = 2, 5 do
		entries[i] = { name = "d" .. i, type = "symlink", linkname = "d" .. (i - 1) }
	end
	entries[6] = { name = "d5/file", type = "file", data = "" }
	return 2, { scan(image({ { entries = entries } })) }
end

crossings.depth = function()
	return 3, { extract(image({ { entries = { { name = "a/b/c/d/e", type = "file", data = "" } } } })) }
end

crossings.removals = function()
	local upper = { { name = ".wh.d", type = "file", data = "" } }
	return 9, { extract(image({ { entries = files(10, "d/f") }, { entries = upper } })) }
end

describe("the limit", function()
	for _, limit in ipairs(limits.all) do
		it(limit.name .. " is crossed with ELIMIT and its name, and not by default", function()
			assert.truthy(crossings[limit.name], "nothing here crosses it")
			local value, tries = crossings[limit.name]()
			for i, try in ipairs(tries) do
				local result, message, code = try(only(limit.name, value))
				refusal.expect(result, message, code)
				assert.equal("ELIMIT", code, ("try %d: %s"):format(i, message))
				assert.truthy(message:find("limits." .. limit.name, 1, true), message)
				result, message, code = try({})
				assert.are_not.equal("ELIMIT", code, message)
				-- What is no image at all is refused for that.
				assert.is_true(result ~= nil or limit.name == "ratio", message)
			end
		end)
	end

	it("of the specs is one that there is", function()
		local names = {}
		for _, limit in ipairs(limits.all) do
			names[limit.name] = true
		end
		for name in pairs(crossings) do
			assert.is_true(names[name], name)
		end
	end)
end)

describe("reading with a size", function()
	it("takes no notice of limits.read", function()
		local path = image({ { entries = { { name = "f", type = "file", data = ("x"):rep(2000) } } } })
		local img = assert(strata.open(path, { limits = { read = 10 } }))
		assert.equal(2000, #assert(img.layers[1]:read("f", 4000)))
		assert.equal(2000, #assert(img:rootfs():open("f"):read()))
		assert.equal(5, #assert(img.layers[1]:entry("f"):read(nil, 1995)))
		img:close()
	end)
end)

describe("limits of extract", function()
	it("replace those of open", function()
		local path = image({ { entries = { { name = "a/b/c", type = "file", data = "" } } } })
		local target = dir:file("deep")
		local img = assert(strata.open(path, { limits = { depth = 1 } }))
		assert.equal("ELIMIT", select(3, img:extract(target, { unprivileged = true })))
		assert(img:extract(target, { unprivileged = true, limits = { depth = 3 } }))
		assert.equal("ELIMIT", select(3, img.layers[1]:apply(target, { limits = { entries = 1, depth = 2 } })))
		assert.has_error(function()
			img:extract(target, { limits = { deepth = 3 } })
		end)
		img:close()
	end)

	it("leave nothing of what had been written", function()
		local path = image({ { entries = files(10, "d/f") }, { entries = { { name = ".wh.d", type = "file", data = "" } } } })
		local img = assert(strata.open(path))
		local target = dir:file("partial")
		assert.equal("ELIMIT", select(3, img:extract(target, { unprivileged = true, limits = { removals = 3 } })))
		assert.are_not.equal(0, shell.run({ "test", "-e", target }).status)
		img:close()
	end)
end)

describe("strata.limits", function()
	after_each(function()
		for _, limit in ipairs(limits.all) do
			local group, key = limit.name:match("^(.-)%.(.*)$")
			if group then
				strata.limits[group][key] = nil
			else
				strata.limits[limit.name] = nil
			end
		end
	end)

	it("tells the defaults", function()
		assert.equal(10000, strata.limits.manifests)
		assert.equal(4 * 1024 * 1024, strata.limits.json.max_bytes)
	end)

	it("is iterated by strata.pairs, on every Lua", function()
		local names, seen = {}, {}
		for name, value in strata.pairs(strata.limits) do
			names[#names + 1], seen[name] = name, value
		end
		local sorted = { unpack(names) }
		table.sort(sorted)
		assert.same(sorted, names)
		assert.equal(10000, seen.manifests)
		assert.equal(64, seen.json.max_depth)
		for _, limit in ipairs(limits.all) do
			local group, key = limit.name:match("^(.-)%.(.*)$")
			assert.equal(limit.default, group and seen[group][key] or seen[limit.name], limit.name)
		end
		local of_json = {}
		for name in strata.pairs(strata.limits.json) do
			of_json[#of_json + 1] = name
		end
		assert.same({ "max_bytes", "max_depth", "max_values" }, of_json)
		assert.error_matches(function() strata.pairs(5) end, "pairs: an object or a table is wanted, not number")
		local fields = {}
		for name in strata.pairs(strata.new()) do
			fields[name] = true
		end
		assert.is_true(fields.layers and fields.save)
	end)

	it("sets what later opens begin with", function()
		local path = image({ { entries = files(1) }, { entries = files(2) } })
		strata.limits.layers = 1
		assert.equal("ELIMIT", select(3, strata.open(path)))
		assert(strata.open(path, { limits = { layers = 2 } })):close()
		strata.limits.layers = nil
		assert(strata.open(path)):close()
		strata.limits.json.max_bytes = 50
		assert.equal("ELIMIT", select(3, strata.open(path)))
		strata.limits.json = { max_bytes = 5000, max_depth = 3 }
		assert.equal(3, strata.limits.json.max_depth)
		assert(strata.open(path)):close()
	end)

	it("throws for names that are unknown, and says which there are", function()
		for _, wrong in ipairs({
			function()
				strata.limits.entires = 3
			end,
			function()
				return strata.limits.entires
			end,
			function()
				strata.open("x", { limits = { entires = 3 } })
			end,
			function()
				strata.open("x", { limits = { json = { entires = 3 } } })
			end,
		}) do
			local ok, message = pcall(wrong)
			assert.is_false(ok)
			assert.matches("^spec/util/limits_spec.lua:%d+: ", message)
			assert.matches("unknown limit '[json.]*entires' %(there are json.max_bytes, ", message)
		end
	end)

	it("throws for values that are none", function()
		for _, value in ipairs({ "1", -1, 0.5, 0, 0 / 0, {}, false }) do
			local ok, message = pcall(strata.open, "x", { limits = { entries = value } })
			assert.is_false(ok, tostring(value))
			assert.matches("limit 'entries' should be a whole number of entries from 1 to 9007199254740992", message)
			assert.has_error(function()
				strata.limits.entries = value
			end)
		end
		assert.has_error(function()
			strata.open("x", { limits = 3 })
		end)
		assert.has_error(function()
			strata.open("x", { limits = { json = 3 } })
		end)
	end)

	it("takes math.huge for as much as there can be", function()
		local path = image({ { entries = files(1) } })
		local all = { json = {} }
		for _, limit in ipairs(limits.all) do
			local key = limit.name:match("^json%.(.*)$")
			if key then
				all.json[key] = math.huge
			else
				all[limit.name] = math.huge
			end
		end
		local img = assert(strata.open(path, { limits = all }))
		assert.equal("x", img:rootfs():read("f1"))
		img:close()
	end)
end)

describe("the documentation", function()
	local function commas(value)
		local found
		local text = ("%.0f"):format(value)
		repeat
			text, found = text:gsub("^(%d+)(%d%d%d)", "%1,%2")
		until found == 0
		return text
	end

	it("has every limit with its default", function()
		local text = shell.read("doc/limits.md")
		local seen = 0
		for name, default, unit, protects in text:gmatch("\n| `([%w_.]+)` | ([%d,]+) (%a+) | ([^|]*) |") do
			seen = seen + 1
			local limit = limits.all[seen]
			assert.same(
				{ limit.name, commas(limit.default), limit.unit, limit.protects },
				{ name, default, unit, protects }
			)
		end
		assert.equal(#limits.all, seen)
	end)

	it("names every call that takes limits", function()
		local text = shell.read("doc/limits.md"):match("`limits` is an option of(.-)\n\n")
		local of = { ["strata.Image"] = "img:", ["strata.Layer"] = "layer:", ["strata.Rootfs"] = "root:" }
		for class, list in pairs(conform.functions) do
			for name, item in pairs(list) do
				for _, param in ipairs(item.params) do
					for taken in param.text:gmatch("strata%.(%u%w+)") do
						local known = options.rows[taken] and options.rows[taken].limits
						local call = "`" .. (of[class] or class .. ".") .. name .. "`"
						assert.is_true(not known or text:find(call, 1, true) ~= nil, call)
					end
				end
			end
		end
	end)

	it("is what help prints", function()
		local text = strata.help("limits")
		for _, limit in ipairs(limits.all) do
			assert.truthy(text:find("\n  " .. limit.name .. " ", 1, true), limit.name)
			assert.truthy(text:find(limit.protects, 1, true))
		end
		assert.equal(text, tostring(strata.limits))
		assert.equal(text, strata.help(strata.limits))
	end)
end)
