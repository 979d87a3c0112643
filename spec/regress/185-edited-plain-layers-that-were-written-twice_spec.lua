-- The new tar of an edited plain layer was written into a temporary file, and copied from there into the archive. Its
-- size is known before and its digest is not: but digests are equally long, so its place is known, and it is written
-- there. Where the place turns out to be another one it is copied as before.

local archive = require("spec.support.docker_archive")
local dialects = require("spec.support.docker_dialects").of
local places = require("strata.save.places")
local random = require("spec.support.random")
local shell = require("spec.support.shell")
local strata = require("strata")
local tasks = require("spec.support.tasks")
local tmp = require("spec.support.tmp")

local LONG = ("long/"):rep(15)

local function files_of(layer)
	return {
		{ name = "etc/", type = "dir" },
		{ name = "etc/" .. layer, data = layer:rep(300) },
		{ name = "etc/same", data = "the same\n" },
		{ name = "etc/link", type = "hardlink", linkpath = "etc/same" },
		{ name = "etc/other", type = "hardlink", linkpath = "etc/same" },
		{ name = "gone" .. layer, data = layer:rep(700) },
		{ name = LONG .. layer, data = "deep" },
		{ name = "last", data = ("z"):rep(512) },
	}
end

local function image_of(...)
	local layers = {}
	for i, name in ipairs({ ... }) do
		layers[i] = archive.layer(files_of(name))
	end
	return archive.image({ tags = { "app:1" }, layers = layers })
end

-- Calls a function with no place known beforehand.
local function without_places(fn)
	local real = places.find
	places.find = function()
		return {}
	end
	local ok, thrown = pcall(fn)
	places.find = real
	if not ok then
		error(thrown, 0)
	end
end

local EDITS = {
	function(entry)
		entry.mtime = 1
	end,
	function(entry)
		entry.mtime = 1.5
	end,
	function(entry)
		entry.uid, entry.gid, entry.mode = 5000000, 7, 420
	end,
	function(entry)
		entry.uname, entry.gname = ("n"):rep(40), "g"
	end,
	function(entry)
		if entry.type == "file" and entry.path ~= "etc/same" then
			entry:replace(("new"):rep(1 + #entry.path * 40))
		end
	end,
	function(entry)
		if entry.type == "file" and entry.path ~= "etc/same" then
			entry.path = entry.path .. "/" .. ("n"):rep(110)
		end
	end,
	function(entry)
		entry.xattrs = { ["user.note"] = "x" }
	end,
	function(entry)
		entry.atime = 3
	end,
}

-- Edits some layers at random; often nothing of them, sometimes everything.
local function edit(img, number)
	for _, layer in ipairs(img.layers) do
		local how, drops = number(3), number(4)
		if how > 1 then
			assert(layer:rewrite(function(entry)
				if number(how) == 1 then
					EDITS[number(#EDITS)](entry)
				end
			end))
		end
		if drops > 2 then
			local gone = { "gone" .. number(3), "etc/same", "last", "etc/link" }
			assert(layer:filter(function(entry)
				return entry.path ~= gone[number(4)] or number(2) == 1
			end))
		end
	end
end

describe("an edited plain layer", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function read(name)
		return shell.read(dir:file(name))
	end

	-- Saves; how many layers were written, and how many of them into the output.
	local function save(img, name, options)
		local result
		local list = tasks.of(function()
			result = { img:save(dir:file(name), options) }
		end)
		local written, placed = 0, 0
		for _, task in ipairs(tasks.only(list, "write")) do
			written = written + (task.to and 1 or 0)
			placed = placed + (task.to_size and 1 or 0)
		end
		return written, placed, result
	end

	local function counts(img, name)
		local written, placed, result = save(img, name)
		assert(result[1], result[2])
		return { written, placed }
	end

	local function check(name)
		local img = assert(strata.open(dir:file(name)))
		assert(img:verify())
		img:close()
	end

	local function touch(img, time)
		assert(img:rewrite(function(entry)
			entry.mtime = time
		end))
	end

	it("is written straight into the archive", function()
		for name, write in pairs({ old = dialects.docker_1_10, new = dialects.docker_25 }) do
			local img = assert(strata.open(write(image_of("a", "b", "c")):write(dir:file(name))))
			touch(img, 5)
			local written, placed, result = save(img, "out.tar")
			assert(result[1], result[2])
			assert.same({ 3, 3 }, { written, placed })
			check("out.tar")
			img:close()
		end
	end)

	it("is the same bytes as through a file, whatever is edited", function()
		random.each(40, function(number)
			local made = image_of("1", number(3) == 1 and "1" or "2", "3")
			local dialect = ({ "docker_1_10", "docker_25", "docker_29", "podman" })[number(4)]
			local path = dialects[dialect](made):write(dir:file("source.tar"))
			local format = ({ "docker", "oci-archive", "docker-legacy" })[number(9)]
			local edits, first = number(1000000), nil
			for round = 1, 3 do
				local img = assert(strata.open(path))
				edit(img, random.generator(edits))
				local options = { format = format, threads = round == 2 and 1 or 3 }
				if round == 1 then
					without_places(function()
						assert(img:save(dir:file("first.tar"), options))
					end)
					first = read("first.tar")
				else
					assert(img:save(dir:file("out.tar"), options))
					assert.is_true(first == read("out.tar"), dialect)
					-- And what the image has of it is as good as the first time.
					assert(img:save(dir:file("again.tar"), options))
					assert.is_true(first == read("again.tar"), dialect .. " again")
				end
				img:close()
			end
		end)
	end)

	it("that becomes what another one is goes through a file", function()
		local function open()
			local layers = { archive.layer(files_of("a")), archive.layer(files_of("b")), archive.layer(files_of("c")) }
			local made = archive.image({ tags = { "app:1" }, layers = layers })
			local img = assert(strata.open(dialects.docker_25(made):write(dir:file("source.tar"))))
			assert(img:filter(function(entry)
				return entry.path == "etc" or entry.path == "last"
			end))
			return img
		end
		local img = open()
		without_places(function()
			assert(img:save(dir:file("first.tar")))
		end)
		img:close()
		img = open()
		local written, placed = save(img, "out.tar")
		assert.same({ 3, 3 }, { written, placed })
		assert.is_true(read("first.tar") == read("out.tar"))
		-- None of them was lost.
		assert(img:remove_layer(1))
		assert(img:save(dir:file("two.tar")))
		check("two.tar")
		img:close()
	end)

	it("stays what it is when the save fails", function()
		local path = dialects.docker_25(image_of("a", "b")):write(dir:file("source.tar"))
		local bytes = shell.read(path)
		local at = assert(bytes:find(("b"):rep(300), 1, true))
		shell.write(path, bytes:sub(1, at - 1) .. "X" .. bytes:sub(at + 1))
		local img = assert(strata.open(path))
		assert(img.layers[1]:filter(function(entry)
			return entry.path ~= "gonea"
		end))
		local written, placed, result = save(img, "out.tar")
		assert.same({ 1, 1, "EDIGEST" }, { written, placed, result[3] })
		assert.same({ "source.tar" }, dir:names())
		written, placed, result = save(img, "out.tar", { verify = false })
		assert(result[1], result[2])
		assert.same({ 0, 0 }, { written, placed })
		local good = read("out.tar")
		assert(img:save(dir:file("again.tar"), { verify = false }))
		assert.is_true(good == read("again.tar"))
		img:close()
	end)

	it("is carried out once more when somebody has written to the archive that has it", function()
		local path = dialects.docker_25(image_of("a", "b")):write(dir:file("source.tar"))
		local img = assert(strata.open(path))
		touch(img, 5)
		assert.same({ 2, 2 }, counts(img, "out.tar"))
		local good = read("out.tar")
		assert.same({ 0, 0 }, counts(img, "again.tar"))
		assert.is_true(good == read("again.tar"))
		shell.sh('printf 123 >"$1"', dir:file("out.tar")) -- in place, as cp does it
		assert.same({ 2, 0 }, counts(img, "again.tar"))
		assert.is_true(good == read("again.tar"))
		img:close()
	end)

	it("can be edited again after a save, and saved over its source", function()
		local path = dialects.docker_25(image_of("a", "b")):write(dir:file("source.tar"))
		local img = assert(strata.open(path))
		touch(img, 7)
		assert(img:save(path))
		local first = img.layers[1].diff_id
		assert(img.layers[1]:filter(function(entry)
			return entry.path ~= "last"
		end))
		local written, placed, result = save(img, "source.tar")
		assert(result[1], result[2])
		assert.same({ 1, 1 }, { written, placed })
		assert.is_not.equal(first, img.layers[1].diff_id)
		check("source.tar")
		img:close()
	end)

	-- Records, long names and promoted hardlinks of one round are there in the next.
	it("is as long as it was measured", function()
		random.each(30, function(number)
			local path = dialects.docker_25(image_of("1", "2")):write(dir:file("source.tar"))
			for _ = 1, 4 do
				local img = assert(strata.open(path))
				edit(img, number)
				path = dir:file("out.tar")
				local written, placed, result = save(img, "out.tar")
				assert(result[1], result[2])
				assert.equal(written, placed) -- a second time would be without a place
				img:close()
			end
		end)
	end)
end)
