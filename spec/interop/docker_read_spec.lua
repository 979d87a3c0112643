-- What a real Docker Engine built and saved, as strata sees it and as docker and tar see it.

local strata = require "strata"
local docker = require "spec.support.docker"
local peers = require "spec.support.peers"
local sample = require "spec.support.sample"
local shell = require "spec.support.shell"
local tarlist = require "spec.support.tarlist"
local tmp = require "spec.support.tmp"

local need = peers.need

local function collect(layer)
	local entries = {}
	for entry in layer:entries() do
		entries[#entries + 1] = entry
	end
	return entries
end

local function sorted(list)
	local copy = {}
	for i, value in ipairs(list) do
		copy[i] = value
	end
	table.sort(copy)
	return copy
end

describe("an image that docker saved", function()
	local dir, app, img

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		if img then
			img:close()
			img = nil
		end
		dir:remove()
	end)

	local function open()
		need("docker")
		app = sample.app()
		img = assert(strata.open(app.archive))
		return img
	end

	it("has the image ID that docker gave it", function()
		open()
		assert.equal(app.id, img.id)
	end)

	it("has its tag, and its platform", function()
		open()
		assert.same({ "app:1" }, img.tags)
		assert.equal(app.inspect.Os, img.platform.os)
		assert.equal(app.inspect.Architecture, img.platform.architecture)
		assert.equal(app.inspect.Os .. "/" .. app.inspect.Architecture, tostring(img.platform))
	end)

	it("has docker's diff_ids, one for each layer, in docker's order", function()
		open()
		local diff_ids = {}
		for i, layer in ipairs(img.layers) do
			assert.equal(i, layer.position)
			diff_ids[i] = layer.diff_id
		end
		assert.same(app.inspect.RootFS.Layers, diff_ids)
	end)

	it("has layers whose digests and sizes are those of their files", function()
		open()
		local image = tarlist.unpack_image(app.archive, dir)
		for i, path in ipairs(image.layers) do
			assert.equal("sha256:" .. shell.sha256(path), img.layers[i].digest)
			assert.equal("sha256:" .. shell.sha256(path), img.layers[i].diff_id)
			assert.equal(#shell.read(path), img.layers[i].size)
			assert.equal("none", img.layers[i].compression)
		end
		assert.equal(#image.layers, #img.layers)
	end)

	it("has chain IDs that sha256sum makes of the diff_ids", function()
		open()
		local chain
		for i, layer in ipairs(img.layers) do
			local diff_id = app.inspect.RootFS.Layers[i]
			if chain then
				local path = dir:write("chain", chain .. " " .. diff_id)
				chain = "sha256:" .. shell.sha256(path)
			else
				chain = diff_id
			end
			assert.equal(chain, layer.chain_id)
		end
	end)

	it("has the history that docker history prints, the empty steps marked", function()
		open()
		local history = img:history()
		assert.equal(#app.history, #history)
		assert.equal(#sample.steps, #history)
		local layers = 0
		for i, row in ipairs(history) do
			local printed = app.history[#app.history + 1 - i]
			-- docker writes tabs as spaces in this table
			assert.equal(printed.created_by, (row.created_by:gsub("\t", " ")))
			assert.equal(i, row.position)
			if sample.steps[i].layer then
				layers = layers + 1
				assert.is_falsy(row.empty_layer)
				assert.equal(layers, row.layer.position)
				assert.equal(row.created_by, img.layers[layers].created_by)
			else
				assert.is_true(row.empty_layer)
				assert.is_nil(row.layer)
				assert.equal(0, printed.size)
			end
		end
		assert.equal(layers, #img.layers)
	end)

	it("is inspected as docker image inspect does it", function()
		open()
		local ours, theirs = img:inspect(), app.inspect
		for _, field in ipairs({ "Id", "Os", "Architecture", "Created", "DockerVersion", "RepoTags" }) do
			assert.same(theirs[field], ours[field], field)
		end
		for _, field in ipairs({ "Env", "Cmd", "Entrypoint", "Labels", "User", "WorkingDir", "Shell" }) do
			assert.same(theirs.Config[field], ours.Config[field], field)
			assert.same(theirs.Config[field], img.config[field], field)
		end
		for _, field in ipairs({ "ExposedPorts", "Volumes", "Healthcheck", "OnBuild", "StopSignal" }) do
			assert.is_not_nil(theirs.Config[field], field)
			assert.same(theirs.Config[field], ours.Config[field], field)
			assert.same(theirs.Config[field], img.config[field], field)
		end
		assert.same(theirs.RootFS.Layers, ours.RootFS.Layers)
		assert.equal(theirs.RootFS.Type, ours.RootFS.Type)
	end)

	it("gives each value of the environment and each label by its name", function()
		open()
		assert.equal("Europe/Berlin", img.config:get_env("TZ"))
		assert.equal("", img.config:get_env("EMPTY"))
		assert.equal("hello world", img.config:get_env("GREETING"))
		assert.is_nil(img.config:get_env("GREET"))
		assert.equal('a "quoted" <tag> & more', img.config:get_label("org.example.note"))
		assert.equal("", img.config:get_label("empty"))
		assert.is_nil(img.config:get_label("none"))
	end)

	it("holds the config as bytes whose hash is its name", function()
		open()
		local image = tarlist.unpack_image(app.archive, dir)
		assert.equal(shell.read(image.config), img.config:text())
		assert.equal(img.id, "sha256:" .. shell.sha256(image.config))
	end)

	it("has in every layer the entries that tar lists, in tar's order", function()
		open()
		local image = tarlist.unpack_image(app.archive, dir)
		for i, path in ipairs(image.layers) do
			local theirs, ours = tarlist.entries(path), collect(img.layers[i])
			assert.equal(#theirs, #ours)
			for j, their in ipairs(theirs) do
				local our = ours[j]
				local context = ("layer %d entry %d %s: "):format(i, j, their.path)
				assert.equal(j, our.position, context .. "position")
				for _, field in ipairs({ "name", "path", "type", "mode", "uid", "gid", "mtime" }) do
					assert.equal(their[field], our[field], context .. field)
				end
				if their.type ~= "hardlink" then
					assert.equal(their.size, our.size, context .. "size")
				end
				if their.type == "symlink" or their.type == "hardlink" then
					assert.equal(their.linkpath, our.linkpath, context .. "linkpath")
				end
				if their.type == "char" then
					assert.equal(their.major, our.major, context .. "major")
					assert.equal(their.minor, our.minor, context .. "minor")
				end
				for name, size in pairs(their.xattrs) do
					assert.equal(size, #our.xattrs[name], context .. name)
				end
				for name in pairs(our.xattrs or {}) do
					assert.is_not_nil(their.xattrs[name], context .. name)
				end
			end
		end
	end)

	it("has the whiteouts that docker wrote, with the paths that they delete", function()
		open()
		local image = tarlist.unpack_image(app.archive, dir)
		local whiteouts, opaques = 0, 0
		for i, path in ipairs(image.layers) do
			local ours = collect(img.layers[i])
			for j, their in ipairs(tarlist.entries(path)) do
				local parent, base = their.path:match("^(.*)/([^/]*)$")
				base = base or their.path
				if base == ".wh..wh..opq" then
					opaques = opaques + 1
					assert.equal(parent, ours[j].opaque)
					assert.is_nil(ours[j].whiteout)
				elseif base:find("^%.wh%.") then
					whiteouts = whiteouts + 1
					assert.equal(parent .. "/" .. base:sub(5), ours[j].whiteout)
					assert.is_nil(ours[j].opaque)
				else
					assert.is_nil(ours[j].whiteout)
					assert.is_nil(ours[j].opaque)
				end
			end
		end
		-- overlay2 makes the recreated directory opaque, vfs deletes its two children by name
		assert.equal(opaques == 1 and 1 or 3, whiteouts)
	end)

	it("has a file capability, as bytes", function()
		open()
		for _, layer in ipairs(img.layers) do
			local entry = layer:entry("opt/capable")
			if entry then
				assert.equal(sample.capability, entry.xattrs["security.capability"])
				assert.equal(sample.capability, entry.pax["SCHILY.xattr.security.capability"])
				return
			end
		end
		error("no layer has opt/capable")
	end)

	it("has long names, and names that are not ASCII nor even UTF-8", function()
		open()
		local base = img.layers[1]
		assert.is_true(#sample.long_path > 100 and #sample.very_long_path > 255)
		assert.equal("long\n", base:read(sample.long_path))
		assert.equal("very long\n", base:read(sample.very_long_path))
		assert.equal("foreign\n", base:read(sample.foreign_path))
		assert.equal("latin1\n", base:read(sample.latin1_path))
	end)

	it("reads every file as tar extracts it", function()
		open()
		local image = tarlist.unpack_image(app.archive, dir)
		local files = 0
		for i, path in ipairs(image.layers) do
			local layer = img.layers[i]
			for _, their in ipairs(tarlist.entries(path)) do
				if their.type == "file" then
					files = files + 1
					local content = tarlist.read(path, their.name)
					assert.is_true(content == layer:read(their.path), their.path)
					assert.is_true(content == layer:entry(their.path):read(), their.path)
				end
			end
		end
		assert.is_true(files > 10)
	end)

	it("reads a hardlink as the file that it links to", function()
		open()
		for _, layer in ipairs(img.layers) do
			if layer:entry("srv/links/second") then
				assert.equal("hardlink", layer:entry("srv/links/second").type)
				assert.equal("linked\n", layer:read("srv/links/second"))
				assert.equal("linked\n", layer:read("srv/links/third"))
				return
			end
		end
		error("no layer has the hardlinks")
	end)

	it("has nothing at a path that is not there", function()
		open()
		assert.is_nil(img.layers[1]:entry("no/such/file"))
		local content, message, code = img.layers[1]:read("no/such/file")
		assert.is_nil(content)
		assert.is_string(message)
		assert.equal("ENOENT", code)
	end)

	it("is verified", function()
		open()
		assert.is_true(assert(img:verify()))
	end)

	it("is not verified once a byte of a layer has changed", function()
		open()
		local copy = dir:file("changed.tar")
		local bytes = shell.read(app.archive)
		local at = assert(bytes:find("very long\n", 1, true))
		shell.write(copy, bytes:sub(1, at - 1) .. "VERY" .. bytes:sub(at + 4))
		local changed = assert(strata.open(copy))
		local ok, message, code = changed:verify()
		changed:close()
		assert.is_nil(ok)
		assert.equal("EDIGEST", code)
		assert.is_truthy(message:find(img.layers[1].diff_id:sub(8, 19), 1, true))
	end)

	it("lists its members with the digests that sha256sum gives them", function()
		open()
		shell.check({ "tar", "--extract", "--file=" .. app.archive, "--directory=" .. dir.path })
		local members = {}
		for _, entry in ipairs(tarlist.entries(app.archive)) do
			members[entry.path] = entry
		end
		local names, roles = {}, {}
		for _, file in ipairs(img:files()) do
			local path = file.name:gsub("/$", "")
			names[#names + 1] = path
			roles[file.role or "none"] = path
			assert.equal(members[path].type, file.type, path)
			if members[path].type == "file" then
				assert.equal(members[path].size, file.size, path)
				assert.equal("sha256:" .. shell.sha256(dir:file(path)), file.digest, path)
			end
		end
		local expected = {}
		for path in pairs(members) do
			expected[#expected + 1] = path
		end
		assert.same(sorted(expected), sorted(names))
		assert.equal("manifest.json", roles.manifest)
		assert.equal(img.id:sub(8) .. ".json", roles.config)
		assert.is_string(roles["layer " .. #img.layers])
		assert.is_nil(roles["layer " .. #img.layers + 1])
	end)

	it("is drawn as a tree in which a deleted file is gone", function()
		open()
		local tree = img:tree()
		assert.is_truthy(tree:find("numbers", 1, true))
		assert.is_falsy(tree:find("removed", 1, true))
		assert.is_truthy(img.layers[1]:tree():find("removed", 1, true))
	end)

	it("is the same file when saved unedited", function()
		open()
		assert.is_false(img.edited)
		local result = assert(img:save(dir:file("copy.tar")))
		assert.equal(app.id, result.id)
		assert.is_true(shell.same(app.archive, dir:file("copy.tar")))
		assert.same({ "copy.tar" }, dir:names())
	end)

	it("has the id with which docker loads the unedited copy", function()
		open()
		assert(img:save(dir:file("copy.tar")))
		assert.same({ "app:1" }, docker.load(dir:file("copy.tar")))
		assert.equal(img.id, docker.id("app:1"))
	end)
end)
