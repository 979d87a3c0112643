-- Takes seconds: not for make check.
-- Readers of tar beside each other, on real tars and on mutated ones: strata sees what Go sees, refuses what Go
-- refuses, and where libarchive sees something else a check says so.

local core = require "strata.core"
local gotar = require "spec.support.gotar"
local pytar = require "spec.support.pytar"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local corpus = os.getenv("STRATA_CORPUS")

if not shell.which("python3") then
	describe("tar readers", function()
		pending("python3 is not installed")
	end)
	return
end

-- What is stricter here than in Go, by what the messages say (src/core/tar/tar.h).
local STRICTER = {
	"both a GNU long name and the PAX record",
	"extension headers that belong to no entry",
	"extension headers before a global header",
	"uid or gid out of range",
	"PAX record uid is no user ID",
	"PAX record gid is no group ID",
	"PAX record size is no size", -- Go takes "+5"
	"time is no time",
	"size out of range",
	"mode is not a number, or out of range",
	"device number out of range",
	"sparse file with a bad size",
	"sparse map says",
	"sparse map with a bad number",
	"sparse map has another length",
	"sparse map records do not pair up",
	"more than max_path",
	"more than max_extension",
	"extension headers of more than",
	"the input ends inside a header", -- in the padding of an extension header
}

local function is_stricter(message)
	for _, part in ipairs(STRICTER) do
		if message:find(part, 1, true) then
			return true
		end
	end
	return false
end

-- What strata sees: rows and an error, as gotar has them.
local function ours(path)
	local file = assert(core.open_file(path))
	local index = core.entry_index(file, 0, file:size(), (assert(file:sniff(0, file:size()))))
	local ok, message, code = index:scan()
	local seen = { entries = {}, error = not ok and message or nil, code = code }
	if ok then
		for entry in index:entries() do
			seen.entries[#seen.entries + 1] =
				{ name = entry.name, path = entry.path, type = entry.type, size = entry.size, linkpath = entry.linkpath }
		end
	end
	index:close()
	file:close()
	return seen
end

local function is_same(one, go)
	return one.name == go.name
		and one.type == go.type
		and (one.linkpath == nil or one.linkpath == go.linkpath)
		and ((one.type ~= "file" and one.type ~= "other") or one.size == go.size)
end

local function has_error(report)
	for _, one in ipairs(report) do
		if one.severity == "error" then
			return true
		end
	end
	return false
end

local function describe_row(row)
	return row and ("%s %q %s"):format(row.type, row.name, tostring(row.size)) or "nothing"
end

-- Strata beside Go, whose entries up to an error are told, too.
local function compare_with_go(go)
	local seen, where = ours(go.path), go.how or go.path
	if seen.error then
		assert(go.error or is_stricter(seen.error), where .. ": refused, and Go reads it: " .. seen.error)
		return "refused"
	end
	for i, row in ipairs(go.entries) do
		local own = seen.entries[i]
		if not own or not is_same(own, row) then
			error(("%s: entry %d is %s to us and %s to Go"):format(where, i, describe_row(own), describe_row(row)))
		end
	end
	if go.error then
		local report = assert(strata.check_tar(go.path, { second_reader = false }))
		assert(has_error(report), where .. ": read, and Go refuses it: " .. go.error)
		return "reported"
	end
	assert(#seen.entries == #go.entries, where .. ": more entries than Go sees")
	return "same"
end

-- libarchive's list, as far as it gets.
local function theirs(path)
	local file = assert(core.open_file(path))
	local list, reader, message = {}, require("strata.archive").tar_reader(file, 0, file:size())
	while reader do
		local row
		row, message = reader:next()
		if not row then
			break
		end
		list[#list + 1] = row
	end
	file:close()
	return list, message
end

local function differs(seen, list, message)
	if message or #list ~= #seen.entries then
		return true
	end
	for i, own in ipairs(seen.entries) do
		local row = list[i]
		if
			core.normalise(row.name or "\1") ~= own.path
			or row.type ~= own.type
			or (own.type == "file" and own.size ~= row.size)
			or (own.type == "symlink" and own.linkpath ~= row.linkpath)
			or (own.type == "hardlink" and core.normalise(own.linkpath) ~= core.normalise(row.linkpath))
		then
			return true
		end
	end
	return false
end

-- Strata beside libarchive: whatever differs is told by a check.
local function compare_with_libarchive(path, where)
	local seen = ours(path)
	local report = assert(strata.check_tar(path))
	if seen.error then
		assert(has_error(report), where)
		return "refused"
	end
	if not differs(seen, theirs(path)) then
		return "same"
	end
	for _, one in ipairs(report) do
		if one.severity ~= "note" then
			return "reported"
		end
	end
	error(where .. ": libarchive sees something else, and the check says nothing:\n" .. tostring(report))
end

local function count_up(counts, key)
	counts[key] = (counts[key] or 0) + 1
end

local function compare_all(list)
	local go, libarchive = {}, {}
	for _, one in ipairs(list) do
		count_up(go, compare_with_go(one))
		count_up(libarchive, compare_with_libarchive(one.path, one.how or one.path))
	end
	return go, libarchive
end

-- Mutants are only worth their time when all kinds of results come up.
local function expect_all_kinds(go, libarchive)
	for _, counts in ipairs({ go, libarchive }) do
		for _, kind in ipairs({ "same", "refused", "reported" }) do
			assert.is_true((counts[kind] or 0) > 0, kind)
		end
	end
end

describe("tar readers", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	it("agree on what Python writes in each format", function()
		local paths = gotar.seeds(dir.path)
		for i, go in ipairs(gotar.list(paths)) do
			assert.equal("same", compare_with_go(go))
			assert.equal("same", compare_with_libarchive(go.path, go.path))
			for _, one in ipairs(assert(strata.check_tar(go.path))) do
				assert.equal("device-whiteout", one.code) -- of the character device without numbers
			end
			for k, row in ipairs(pytar.entries(paths[i])) do
				assert.equal(core.normalise(row.name), core.normalise(go.entries[k].name))
				assert.equal(row.type, go.entries[k].type)
			end
		end
	end)

	it("agree on mutants of these, or a check says where they do not", function()
		expect_all_kinds(compare_all(gotar.mutants(dir.path, "seeds", 200, gotar.seeds(dir.path))))
	end)

	if not corpus then
		pending("on the corpus: STRATA_CORPUS is not set")
		return
	end

	local function tars_of(part)
		local paths = {}
		local script = 'find "$1" -maxdepth 1 -type f ! -name "*.bz2" | LC_ALL=C sort'
		for path in shell.sh(script, corpus .. "/" .. part):gmatch("[^\n]+") do
			paths[#paths + 1] = path
		end
		return paths
	end

	-- Each tar as it is inside its gzip.
	local function plain(paths)
		local list = {}
		for i, path in ipairs(paths) do
			list[i] = dir:file(("plain%d.tar"):format(i))
			shell.sh('gzip -dc <"$1" >"$2" 2>/dev/null || cp "$1" "$2"', path, list[i])
		end
		return list
	end

	it("agree on the corpus' tars, or a check says where they do not", function()
		local paths = tars_of("tars")
		for _, path in ipairs(tars_of("hostile")) do
			paths[#paths + 1] = path
		end
		local seen = gotar.list(plain(paths))
		for i, one in ipairs(seen) do
			one.how = paths[i]
		end
		assert.is_true((compare_all(seen).same or 0) > 60)
	end)

	it("agree on every layer of the corpus' images", function()
		local count = 0
		for _, path in ipairs(tars_of("images")) do
			for img in assert(strata.images(path)) do
				for _, layer in img:layers() do
					local report = assert(layer:check())
					for _, one in ipairs(report) do
						assert.is_true(one.severity ~= "error" or one.code == "data-after-end", tostring(one))
						assert.are_not.equal("parser-differential", one.code)
					end
					count = count + 1
				end
				img:close()
			end
		end
		assert.is_true(count > 30)
	end)

	it("agree on mutants of the corpus' tars, or a check says where they do not", function()
		local paths = tars_of("tars")
		for _, path in ipairs(tars_of("hostile")) do
			paths[#paths + 1] = path
		end
		expect_all_kinds(compare_all(gotar.mutants(dir.path, "corpus", 15, paths)))
	end)
end)
