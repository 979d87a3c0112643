-- strata.stream.tar: a tar that is pushed, in pieces of any size.

local archive = require "spec.support.docker_archive"
local core = require "strata.core"
local process = require "spec.support.process"
local push = require "spec.support.push"
local pytar = require "spec.support.pytar"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local FIELDS = {
	"path",
	"name",
	"type",
	"mode",
	"uid",
	"gid",
	"uname",
	"gname",
	"size",
	"mtime",
	"linkpath",
	"major",
	"minor",
	"whiteout",
	"stored",
}

--- The entries that come out, each with its content.
local function entries_of(bytes, size, options)
	local p, found = strata.stream.tar(options), {}
	local function drain()
		for event in p:events() do
			if event.type == "entry" then
				event.entry.data = ""
				found[#found + 1] = event.entry
			elseif event.type == "data" then
				local last = found[#found]
				assert.equal(last.data_offset + #last.data, event.offset)
				last.data = last.data .. event.data
			end
		end
	end
	for piece in push.pieces(bytes, size) do
		assert(p:feed(piece))
		drain()
	end
	assert(p:finish())
	return found
end

--- The first failure, wherever it shows.
local function failure_of(bytes, options)
	local p = strata.stream.tar(options)
	for piece in push.pieces(bytes, 1000) do
		local ok, message, code = p:feed(piece)
		if not ok then
			return message, code
		end
		repeat
			local event
			event, message, code = p:next()
			if message then
				assert.same({ nil, message, code }, { p:next() })
				assert.same({ nil, message, code }, { p:feed("more") })
				assert.same({ nil, message, code }, { p:finish() })
				return message, code
			end
		until not event
	end
	return select(2, p:finish())
end

--- Whether the file can be read as a tar by seeking in it.
local function scanned(path)
	local file = assert(core.open_file(path))
	local index = core.entry_index(file, 0, file:size(), "none")
	local ok = index:scan()
	index:close()
	file:close()
	return ok == true
end

describe("a tar that is pushed", function()
	local dir = tmp.dir()
	local tar = archive.tar({
		{ name = "d/", type = "dir" },
		{ name = "./d/file", data = ("0123456789"):rep(300) },
		{ name = "d/empty" },
		{ name = "d/link", type = "symlink", linkpath = "file" },
		{ name = "d/.wh.gone" },
		{ name = "d/.wh..wh..opq" },
		{ name = "last", data = "x" },
	})

	it("gives the same entries and contents however it is cut", function()
		local whole = entries_of(tar, #tar)
		assert.equal(7, #whole)
		assert.equal(("0123456789"):rep(300), whole[2].data)
		assert.same({ "d/file", "./d/file" }, { whole[2].path, whole[2].name })
		assert.equal("d/gone", whole[5].whiteout)
		assert.equal("d", whole[6].opaque)
		assert.same(whole, entries_of(tar, 1))
		for seed = 1, 20 do
			local random = push.generator(seed)
			assert.same(whole, entries_of(tar, function()
				return random(seed * 40)
			end))
		end
	end)

	it("tells where headers and contents begin", function()
		for _, entry in ipairs(entries_of(tar, 777)) do
			local name = tar:sub(entry.header_offset + 1):match("^[^%z]+")
			assert.equal(entry.name, name)
			assert.equal(entry.data, tar:sub(entry.data_offset + 1, entry.data_offset + entry.size))
		end
	end)

	it("tells the end, once, and what is behind it is no entry", function()
		local p, ends = strata.stream.tar(), 0
		assert(p:feed(tar .. ("\0"):rep(5000) .. tar))
		for event in p:events() do
			ends = ends + (event.type == "end" and 1 or 0)
			assert.is_true(ends == 0 or event.type == "end")
		end
		assert.equal(1, ends)
		assert.is_true(p:finish())
		assert.is_true(p:finish())
	end)

	it("passes over contents that nobody wants", function()
		local p, kinds = strata.stream.tar({ data = false }), {}
		for piece in push.pieces(tar, 100) do
			assert(p:feed(piece))
			for event in p:events() do
				kinds[#kinds + 1] = event.type
			end
		end
		assert.same({ "entry", "entry", "entry", "entry", "entry", "entry", "entry", "end" }, kinds)
		assert.is_true(p:finish())
	end)

	it("is inflated when it is compressed, as its bytes say", function()
		local whole = entries_of(tar, #tar)
		local path = dir:write("a.tar", tar)
		for _, command in ipairs({ { "gzip", "-c" }, { "zstd", "-qc" } }) do
			command[#command + 1] = path
			if shell.which(command[1]) then
				local packed = shell.check(command)
				for _, size in ipairs({ 1, 100, #packed }) do
					assert.same(whole, entries_of(packed, size))
				end
				assert.equal("EFORMAT", select(2, failure_of(packed, { compression = "none" })))
				local message, code = failure_of(packed:sub(1, -5))
				assert.equal("EFORMAT", code, message)
			end
		end
		assert.equal("EFORMAT", select(2, failure_of(tar, { compression = "gzip" })))
		assert.equal("EUNSUPPORTED", select(2, failure_of("BZh91AY&SY" .. tar)))
	end)

	it("fails where it is cut short, and stays so", function()
		local failures = 0
		for at = 1, #tar, 73 do
			local read = scanned(dir:write("cut.tar", tar:sub(1, at)))
			local message, code = failure_of(tar:sub(1, at))
			assert.equal(read, code == nil, ("%d: %s"):format(at, tostring(message)))
			assert.is_true(code == nil or code == "EFORMAT")
			failures = failures + (code and 1 or 0)
		end
		assert.is_true(failures > 20)
		assert.equal("EFORMAT", select(2, failure_of(("garbage "):rep(1000))))
		assert.is_nil((failure_of("")))
	end)

	it("has limits that say their names", function()
		local limits = { entries = 3 }
		assert.equal("ELIMIT", select(2, failure_of(tar, { limits = limits })))
		assert.equal("ELIMIT", select(2, failure_of(tar, { limits = { path = 4 } })))
		local packed = archive.gzip(tar)
		local message, code = failure_of(packed, { limits = { bytes = 2000 } })
		assert.equal("ELIMIT", code)
		assert.is_truthy(message:find("limits.bytes", 1, true))
	end)

	it("throws what is misuse", function()
		local p = strata.stream.tar()
		assert.has_error(function()
			p:feed(12)
		end, "bad argument #1 to 'feed' (string expected, got number)")
		assert(p:feed(tar))
		assert.has_error(function()
			p:finish()
		end, "finish: events are left that have not been taken")
		assert.has_error(function()
			strata.stream.tar({ compression = "xz" })
		end)
		p:close()
		assert.has_error(function()
			p:next()
		end, "attempt to use a closed strata.TarStream")
		p = strata.stream.tar()
		assert(p:feed(("x"):rep(1000)))
		assert.has_error(function()
			for _ in p:events() do
				error("an event")
			end
		end)
	end)

	it("is found by require and by name", function()
		assert.equal(require("strata.stream"), strata.stream)
		assert.is_nil(strata.streams)
	end)

	it("leaves nothing open", function()
		local before = process.descriptors()
		for _ = 1, 50 do
			local p = strata.stream.tar()
			p:feed(archive.gzip(tar))
			p:next()
		end
		assert.equal(before, process.descriptors())
	end)
end)

local corpus = os.getenv("STRATA_CORPUS")

describe("tars of the corpus that are pushed", function()
	if not corpus then
		pending("STRATA_CORPUS is not set")
		return
	end
	local list = shell.sh('cd "$1"; ls -1 *.tar', corpus .. "/tars")

	it("give what opening them gives, or fail as that does", function()
		local read = 0
		for name in list:gmatch("[^\n]+") do
			local path = corpus .. "/tars/" .. name
			local bytes = shell.read(path)
			local file = assert(core.open_file(path))
			local index = core.entry_index(file, 0, file:size(), "none")
			local ok, message, code = index:scan()
			if ok and core.sniff(bytes) == "none" then
				local found, n = entries_of(bytes, 1000), 0
				for entry in index:entries() do
					n = n + 1
					for _, field in ipairs(FIELDS) do
						assert.same(entry[field], found[n][field], name .. ": " .. field)
					end
					assert.same(entry.xattrs, found[n].xattrs)
				end
				assert.equal(n, #found, name)
				read = read + 1
			elseif not ok and core.sniff(bytes) == "none" then
				local pushed, why = failure_of(bytes)
				assert.same({ message, code }, { pushed, why }, name)
			end
			index:close()
			file:close()
		end
		assert.is_true(read > 50)
	end)

	it("give what Python gives", function()
		local name = "alexcrichton-biguid_pax.tar"
		local path = corpus .. "/tars/" .. name
		local expected = pytar.entries(path)
		local found = entries_of(shell.read(path), 3)
		assert.equal(#expected, #found)
		for i, entry in ipairs(expected) do
			assert.equal(entry.uid, found[i].uid)
			assert.equal(entry.size, found[i].size)
		end
	end)
end)
