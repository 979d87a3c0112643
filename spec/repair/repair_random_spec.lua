-- Repairs of odd stacks of layers: what strata shows stays, what the models of the runtimes have taken they take as
-- well, and see the same, and afterwards nothing is found of what was asked for, or it is told.

local archive = require "spec.support.docker_archive"
local cjson = require "cjson"
local corpus = require "spec.support.corpus"
local findings = require "strata.check.findings"
local gotar = require "spec.support.gotar"
local model = require "spec.support.model"
local pack = require "spec.support.pack"
local random = require "spec.support.random"
local runtime_inputs = require "spec.support.runtime_inputs"
local runtime_model = require "spec.support.runtime_model"
local runtime_stacks = require "spec.support.runtime_stacks"
local runtimes = require "spec.support.runtimes"
local shell = require "spec.support.shell"
local shown = require "spec.support.shown"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local CONFIG = '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":%s}}'
local COUNT = tonumber(os.getenv("STRATA_STACKS")) or 60

-- The layers as spec.support.pack takes them.
local function layers_of(img)
	local list = {}
	for number, layer in img:layers() do
		local entries = {}
		for entry in layer:entries() do
			entries[#entries + 1] = {
				name = entry.name, type = entry.type, data = entry.type == "file" and entry:read() or nil, mode = entry.mode,
				uid = entry.uid, gid = entry.gid, mtime = math.floor(entry.mtime), linkname = entry.linkpath,
				major = entry.major, minor = entry.minor, xattrs = next(entry.xattrs) and entry.xattrs or nil,
			}
		end
		list[number] = entries
	end
	return list
end

-- What the models of the default runtimes see; false: they refuse.
local function modelled(img)
	local layers, views = layers_of(img), {}
	for _, reader in ipairs(runtimes.DEFAULT) do
		views[reader] = runtime_model.look(layers, reader) or false
	end
	return views
end

-- A directory that had no entry has the time of the unpacking; now it may have one.
local function unpacking_time(before, after)
	for path, row in pairs(before) do
		if row.mtime == -1 and after[path] then
			after[path].mtime = -1
		end
	end
end

-- The findings that a repair mends.
local function mendable(img)
	local list = {}
	for _, one in ipairs(assert(img:check({ severity = "note", second_reader = false }))) do
		if findings[one.code] == true then
			list[#list + 1] = tostring(one)
		end
	end
	return list
end

-- Gives how many findings were mended.
local function check(dir, layers, options)
	local path = dir:file("image.tar")
	pack.image(path, layers, nil, options)
	local img = assert(strata.open(path))
	local before = shown.list(img)
	local ok, views = pcall(modelled, img)
	local had = #mendable(img)
	local report = assert(img:repair(true))
	assert.is_true(had == 0 or #report.mended > 0 or report.left ~= nil)
	assert.is_true(#mendable(img) <= #(report.left or {}), tostring(report))
	if before then
		assert.same(before, shown.list(img), tostring(report))
	end
	for reader, view in pairs(ok and modelled(img) or {}) do
		if views[reader] and not runtime_stacks.is_odd(layers) then
			unpacking_time(views[reader], view or {})
			assert.is_truthy(view, reader .. ": refused now\n" .. tostring(report))
			assert.same({}, model.differences(views[reader], view), reader .. "\n" .. tostring(report))
		end
	end
	assert(img:save(dir:file("again.tar")))
	local again = assert(strata.open(dir:file("again.tar")))
	assert(again:verify())
	assert.equal(#mendable(img), #mendable(again))
	again:close()
	img:close()
	return #report.mended
end

describe("a repair of an odd image", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		collectgarbage()
		dir:remove()
	end)

	for _, input in ipairs(runtime_inputs.list) do
		if not input.unreadable then
			it("changes nothing that is shown: " .. input.name, function()
				check(dir, input.layers, input)
			end)
		end
	end

	for name, make in pairs({ dense = runtime_stacks.dense, ["of runtimes"] = runtime_stacks.layers }) do
		it("changes nothing that is shown of random stacks, " .. name, function()
			local mended = 0
			random.each(COUNT, function(_, seed)
				mended = mended + check(dir, make(seed))
			end)
			assert.is_true(mended > COUNT / 2)
		end)
	end

	-- The plain tar of the only layer of an archive that was saved.
	local function layer_of(path)
		local row = cjson.decode(shell.sh('tar -xOf "$1" manifest.json', path))[1]
		local plain = dir:file("layer.tar")
		shell.sh('tar -xOf "$1" "$2" >"$3"', path, row.Layers[1], plain)
		return plain
	end

	local function check_tar(path)
		local built, bytes = archive.new(), shell.read(path)
		built:add("layer", bytes)
		built:add("config", CONFIG:format(archive.list({ "sha256:" .. archive.sha256(bytes) })))
		built:add("manifest.json", '[{"Config":"config","Layers":["layer"]}]')
		local img = assert(strata.open(built:write(dir:file("image.tar"))))
		local before = pcall(function() return img.layers[1]:entries() end) and shown.list(img)
		local report, message = img:repair(true)
		if before then
			assert(report, message)
			assert.same(before, shown.list(img), tostring(report))
		end
		local is_whole = report and not report.left and #report.mended > 0 and #assert(img:check()) == 0
		if is_whole then
			assert(img:save(dir:file("again.tar"), { format = "docker" }))
			local go = gotar.list({ layer_of(dir:file("again.tar")) })[1]
			assert.is_nil(go.error)
			assert.equal(img.layers[1].count, #go.entries)
		end
		img:close()
		return is_whole
	end

	it("makes tars that Go and libarchive read alike of mutants that they do not", function()
		if not shell.which("python3") then
			return pending("python3 is not installed")
		end
		local count = 0
		for _, one in ipairs(gotar.mutants(dir.path, "repair", 150, gotar.seeds(dir.path))) do
			local ok, result = pcall(check_tar, one.path)
			assert(ok, ("%s: %s"):format(tostring(one.how), tostring(result)))
			count = count + (result and 1 or 0)
		end
		assert.is_true(count > 10, tostring(count))
	end)

	it("changes nothing that is shown of the corpus", function()
		if not corpus.path then
			return pending("STRATA_CORPUS is not set")
		end
		local mended = 0
		for _, file in ipairs(corpus.files("images", "f")) do
			for img in assert(strata.images(file.path)) do
				local before = assert(shown.list(img))
				local report = assert(img:repair(true))
				mended = mended + #report.mended
				assert.same(before, shown.list(img), file.path .. ": " .. tostring(report))
				assert(img:save(dir:file("again.tar"), { format = "docker" }))
				local again = assert(strata.open(dir:file("again.tar")))
				assert(again:verify())
				assert.same(before, shown.list(again), file.path)
				again:close()
				img:close()
			end
		end
		assert.is_true(mended > 10)
	end)
end)
