-- Takes seconds: not for make check.
-- Everything that can be done to real files of public projects, where STRATA_CORPUS names them.

local archive = require "spec.support.docker_archive"
local check = require "spec.support.archive_check"
local corpus = require "spec.support.corpus"
local pytar = require "spec.support.pytar"
local refusal = require "spec.support.refusal"
local shell = require "spec.support.shell"
local strata = require "strata"
local tarlist = require "spec.support.tarlist"
local tmp = require "spec.support.tmp"

if not corpus.path then
	describe("the corpus", function()
		pending("STRATA_CORPUS is not set")
	end)
	return
end

local dir = tmp.dir(tmp.for_peers())
local target = dir:file("out.tar")

-- path -> what CORPUS.tsv says of the file.
local function descriptions()
	local found = {}
	for line in shell.read(corpus.path .. "/CORPUS.tsv"):gmatch("[^\n]+") do
		local path, format, notes = line:match("^([^\t]*)\t[^\t]*\t[^\t]*\t[^\t]*\t([^\t]*)\t(.*)$")
		if path then
			found[path] = { format = format, notes = notes }
		end
	end
	return found
end

local function has_manifest(about)
	return about.format:find("^docker archive")
		and about.notes:find("outer: plain", 1, true)
		and about.notes:find("docker manifest.json:", 1, true)
end

-- Every image of a file, by what tells it from the others.
local function images_of(path)
	local images = {}
	for img in assert(strata.images(path)) do
		images[#images + 1] = img
	end
	assert.is_true(#images > 0)
	return images
end

-- What Python and the peers find in a file, asked once.
local asked = {}

local function ask(read, path)
	local key = tostring(read) .. path
	asked[key] = asked[key] or read(path)
	return asked[key]
end

-- A file of the corpus may contradict itself; an edit must not add to that.
local function expect_no_more(before, after)
	local known = {}
	for _, problem in ipairs(before) do
		known[problem:match("^[^:]*")] = true
	end
	for _, problem in ipairs(after) do
		assert.is_true(known[problem:match("^[^:]*")], problem)
	end
end

local function normal(name)
	name = ("/" .. name .. "/"):gsub("//+", "/"):gsub("/%./", "/"):gsub("/%./", "/")
	name = name:gsub("^/", ""):gsub("/$", "")
	return name == "" and "." or name
end

local function compare(row, entry, where)
	local function same(a, b, what)
		if a ~= b then
			error(("%s: %s of %s is %s, not %s"):format(where, what, entry.name, tostring(b), tostring(a)))
		end
	end
	same(normal(row.name), normal(entry.name), "name")
	if not ("/" .. row.name .. "/"):find("/../", 1, true) then
		same(normal(row.name), entry.path, "path")
	end
	same(row.type, entry.type, "type")
	same(row.mode, entry.mode, "mode")
	-- What chown takes for no owner is -1 here, in whichever spelling.
	same(row.uid == 4294967295 and -1 or row.uid, entry.uid, "uid")
	same(row.gid == 4294967295 and -1 or row.gid, entry.gid, "gid")
	same(row.uname, entry.uname or "", "uname")
	same(row.gname, entry.gname or "", "gname")
	same(true, math.abs(row.mtime - entry.mtime) < 1e-5, "mtime")
	if row.type == "file" then
		same(row.size, entry.size, "size")
	elseif row.type == "symlink" or row.type == "hardlink" then
		same(row.linkpath, entry.linkpath, "linkpath")
	elseif row.type == "char" or row.type == "block" then
		same(row.major, entry.major, "major")
		same(row.minor, entry.minor, "minor")
	end
end

local function compare_layer(rows, layer, where, compare_one)
	local i = 0
	for entry in layer:entries() do
		i = i + 1
		local row = assert(rows[i], where .. ": more entries than the oracle finds")
		;(compare_one or compare)(row, entry, where)
	end
	assert.equal(#rows, i, where)
end

-- Nothing that can be asked of an image may do more than throw a string or return three values.
local function exercise(img)
	local function try(fn)
		local ok, thrown = pcall(fn)
		if not ok then
			assert.is_string(thrown)
		end
	end
	assert.is_string(tostring(img))
	local ok, message, code = img:verify()
	if not ok then
		refusal.expect(ok, message, code)
	end
	try(function() img:tree() end)
	try(function() img:inspect() end)
	try(function() img:files() end)
	try(function() img:history() end)
	for _, layer in img:layers() do
		try(function()
			for entry in layer:entries() do
				local _ = { tostring(entry), entry.pax, entry.xattrs, entry.whiteout, entry.opaque, entry:read(65536) }
			end
		end)
	end
	img:rewrite(function(entry)
		try(function() entry.uid = 7 end)
	end)
	local saved
	saved, message, code = img:save(target)
	if not saved then
		refusal.expect(saved, message, code)
	end
	img:close()
	shell.check({ "rm", "-rf", target })
end

-- ---- images of every kind ---------------------------------------------------------------------------

local place = tmp.dir(tmp.for_peers())

-- name -> SHA-256 of the files in an archive or a directory, as tar and sha256sum see them.
local function contents(path)
	local root = path
	if shell.run({ "test", "-d", path }).status ~= 0 then
		root = place:file("unpacked")
		shell.sh('rm -rf "$2"; mkdir "$2"; tar -C "$2" -xf "$1"; chmod -R u+rwX "$2"', path, root)
	end
	local found = {}
	local list = shell.sh('cd "$1"; find -L . -type f -exec sha256sum {} +', root)
	for hex, name in list:gmatch("(%x+)  %./([^\n]+)") do
		found[name] = hex
	end
	return found
end

local function is_same(one, other)
	return shell.run({ "diff", "-r", one, other }).status == 0
end

local function digests_of(img)
	local found = {}
	for i, layer in img:layers() do
		found[i] = layer.digest .. " " .. layer.diff_id .. " " .. layer.size .. " " .. layer.media_type
	end
	return found
end

-- What is only read is saved in another format.
local function format_of(path)
	local img = images_of(path)[1]
	img.config:set_env("STRATA", "was here")
	local result, message, code = img:save(place:file("tried"))
	shell.check({ "rm", "-rf", place:file("tried") })
	if result then
		return nil
	end
	refusal.expect(result, message, code)
	assert.equal("EUNSUPPORTED", code, message)
	return "docker"
end

local function expect_blobs_named_right(files)
	for name, hex in pairs(files) do
		local stated = name:match("^blobs/sha256/(%x+)$")
		assert.equal(stated or hex, hex, name)
	end
end

local function specify_any(path_of)
	local path

	before_each(function()
		path = path_of()
		shell.check({ "rm", "-rf", place:file("out") })
	end)

	it("is opened, verified, and saved unedited byte for byte", function()
		for _, img in ipairs(images_of(path)) do
			assert.is_true(assert(img:verify()))
			assert.is_false(img.edited)
			for _, layer in img:layers() do
				assert.is_boolean(layer.empty)
			end
			assert(img:save(place:file("out")))
			assert.is_true(is_same(path, place:file("out")))
			shell.check({ "rm", "-rf", place:file("out") })
			img:close()
		end
	end)

	it("keeps its layers, and its other images, when only a config is edited", function()
		local format, before = format_of(path), {}
		for i, img in ipairs(images_of(path)) do
			before[i] = img.digest or img.id
			img:close()
		end
		for i, img in ipairs(images_of(path)) do
			local layers = digests_of(img)
			img.config:set_env("STRATA", "was here")
			local result = assert(img:save(place:file("out"), { format = format }))
			for _, layer in ipairs(result.layers) do
				assert.equal("copied", layer.action)
				assert.equal(layer.old_digest, layer.digest)
			end
			expect_blobs_named_right(contents(place:file("out")))
			local again = assert(strata.open(place:file("out"), { ref = result.id }))
			assert.equal("was here", again.config:get_env("STRATA"))
			assert.is_true(assert(again:verify()))
			if not format then
				assert.same(layers, digests_of(again))
				for k, other in ipairs(images_of(place:file("out"))) do
					assert.equal(k == i and (result.digest or result.id) or before[k], other.digest or other.id)
					other:close()
				end
			else
				assert.equal(#layers, #again.layers)
				for k, layer in again:layers() do
					assert.equal(img.layers[k].diff_id, layer.diff_id)
					assert.equal(img.layers[k].digest, layer.digest)
				end
			end
			again:close()
			img:close()
			shell.check({ "rm", "-rf", place:file("out") })
		end
	end)
end

local about = descriptions()

describe("the corpus' image", function()
	for _, file in ipairs(corpus.files("images", "f")) do
		local description = assert(about[file.name], file.name .. " is not in CORPUS.tsv")
		if has_manifest(description) then
			describe(file.name, function()
				it("is saved unedited byte for byte", function()
					for _, img in ipairs(images_of(file.path)) do
						assert(img:save(target))
						assert.is_true(shell.same(file.path, target))
						assert.is_true(img:verify())
						for _, layer in img:layers() do
							assert.is_boolean(layer.empty)
						end
						assert(img:save(target))
						assert.is_true(shell.same(file.path, target))
					end
				end)

				it("has the layers that Python finds, entry by entry", function()
					local found = ask(pytar.image, file.path)
					for i, img in ipairs(images_of(file.path)) do
						assert.equal(#found[i], #img.layers)
						for j, layer in img:layers() do
							compare_layer(found[i][j], layer, ("image %d, layer %d"):format(i, j))
						end
					end
				end)

				it("keeps its layers' bytes when only the config is edited", function()
					local before = ask(check.read, file.path)
					for i, img in ipairs(images_of(file.path)) do
						img.config:set_env("STRATA", "was here")
						img.config:set_label("a/b", "ü\n")
						assert(img:save(target))
						local after = check.read(target)
						expect_no_more(before.problems, after.problems)
						assert.equal(img.id, after.images[i].id)
						for j, layer in ipairs(after.images[i].layers) do
							assert.equal(before.images[i].layers[j].stored, layer.stored)
						end
						for k, other in ipairs(after.images) do
							if k ~= i then
								assert.same(before.images[k], other)
							end
						end
						local env = after.images[i].config.config.Env
						assert.equal("STRATA=was here", env[#env])
					end
				end)

				it("has nothing else changed when every owner is", function()
					local found = ask(pytar.image, file.path)
					for i, img in ipairs(images_of(file.path)) do
						img:rewrite(function(entry)
							entry.uid = 4200000
						end)
						assert(img:save(target))
						local after = pytar.image(target)
						local again = images_of(target)[i]
						assert.is_true(again:verify())
						for j, layer in again:layers() do
							assert.equal(#found[i][j], #after[i][j])
							compare_layer(after[i][j], layer, ("image %d, layer %d"):format(i, j))
							for n, row in ipairs(found[i][j]) do
								for key, value in pairs(row) do
									assert.equal(key == "uid" and 4200000 or value, after[i][j][n][key])
								end
							end
						end
					end
				end)

				it("gets new tags, and loses the old ones", function()
					for i, img in ipairs(images_of(file.path)) do
						local old = img.tags
						img.tags = { "strata.example/new:1" }
						assert(img:save(target))
						local after = check.read(target)
						assert.same({ "strata.example/new:1" }, after.images[i].tags)
						expect_no_more(ask(check.read, file.path).problems, after.problems)
						for _, tag in ipairs(old) do
							assert.is_nil((shell.read(target):find('"' .. tag .. '"', 1, true)))
						end
					end
				end)
			end)
		else
			describe(file.name, function()
				specify_any(function() return file.path end)
			end)
		end
	end

	for _, file in ipairs(corpus.files("images", "d")) do
		describe(file.name, function()
			specify_any(function() return corpus.with_links(file.path, place:file("restored")) end)
		end)
	end
end)

describe("the corpus' bad file", function()
	local function specify(file)
		it(file.name .. " is opened or refused", function()
			local img, message, code = strata.open(file.path)
			if img then
				exercise(img)
			else
				refusal.expect(img, message, code)
				assert.truthy(message:find(file.path, 1, true), message)
			end
		end)
	end

	for _, part in ipairs({ "broken", "hostile" }) do
		for _, kind in ipairs({ "f", "d" }) do
			for _, file in ipairs(corpus.files(part, kind)) do
				specify(file)
			end
		end
	end
end)

-- Python differs from Go, which is what Docker reads with, and GNU tar agrees with Go: it joins a prefix
-- that is none, takes the first of two long names, counts a sparse map in, lets global names count,
-- takes "ustar0" for a magic.
local PYTHON_DIFFERS = {}
for _, name in ipairs({
	"golang-gnu-incremental",
	"golang-gnu-multi-hdrs",
	"golang-pax-multi-hdrs",
	"golang-pax-nil-sparse-data",
	"golang-pax-nil-sparse-hole",
	"golang-pax-sparse-big",
	"mafintosh-gnu-incremental",
	"mafintosh-long-name.tar.3ba3b6f5",
	"mafintosh-long-name.tar.ae8c658d",
	"mafintosh-multi-file.tar.65775c1e",
	"mafintosh-one-file.tar.12dbd217",
	"mafintosh-types.tar.e6414b04",
	"mafintosh-unicode.tar.49480430",
	"mafintosh-unicode.tar.f1d56f5b",
	"mafintosh-unknown-format",
}) do
	PYTHON_DIFFERS["tars/" .. (name:find("%.tar") and name or name .. ".tar")] = true
end

-- Here GNU tar differs from Go, too: these are the names that Go's own tests expect.
local GO_NAMES = { ["tars/golang-pax-global-records.tar"] = { "file1", "file2", "file3", "file4" } }

local function compare_with_tar(row, entry)
	assert.equal(normal(row.name), entry.path)
	assert.equal(row.linkpath, entry.linkpath)
	assert.equal(row.size, entry.size)
end

-- Extension headers of Solaris, which Python reads; Go, and with it every runtime, does not.
local function has_solaris_headers(layer)
	for entry in layer:entries() do
		if entry.typeflag == "X" then
			return true
		end
	end
	return false
end

local function compare_with_oracle(file, layer)
	if has_solaris_headers(layer) then
		return
	end
	if GO_NAMES[file.name] then
		compare_layer(GO_NAMES[file.name], layer, file.name, function(name, entry)
			assert.equal(name, entry.name)
		end)
	elseif PYTHON_DIFFERS[file.name] then
		compare_layer(tarlist.entries(file.path), layer, file.name, compare_with_tar)
	else
		local rows = pytar.entries(file.path)
		if rows then
			compare_layer(rows, layer, file.name)
		end
	end
end

describe("the corpus' tar", function()
	-- An image with the file as its only layer.
	local function wrapped(file)
		local bytes = shell.read(file.path)
		local done = shell.run({ "sh", "-c", 'gzip -dc <"$1" 2>"$2"', "sh", file.path, dir:file("errors") })
		local plain = bytes:find("^\31\139") and done.status == 0 and done.stdout or bytes
		local config = '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}'
		local built = archive.new()
		built:add("config.json", config:format(archive.sha256(plain))):add("layer.tar", bytes)
		built:add("manifest.json", '[{"Config":"config.json","RepoTags":null,"Layers":["layer.tar"]}]')
		return built:write(dir:file("wrapped.tar"))
	end

	for _, part in ipairs({ "tars", "hostile" }) do
		for _, file in ipairs(corpus.files(part, "f")) do
			it(file.name .. " is survived as a layer, and alone", function()
				refusal.expect(strata.open(file.path .. "/x"))
				local img, message, code = strata.open(file.path)
				if not img then
					refusal.expect(img, message, code)
				end
				local path = wrapped(file)
				exercise(assert(strata.open(path)))
				img = assert(strata.open(path))
				local listed = pcall(function() return img.layers[1].empty end)
				if listed then
					compare_with_oracle(file, img.layers[1])
					assert(img:save(target))
					assert.is_true(shell.same(path, target))
				end
			end)
		end
	end
end)
