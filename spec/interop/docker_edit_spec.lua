-- Surgery on an image that a real Docker Engine saved: the engine loads the result under the announced ID,
-- and a container sees the change and nothing but the change.

local strata = require "strata"
local docker = require "spec.support.docker"
local peers = require "spec.support.peers"
local podman = require "spec.support.podman"
local sample = require "spec.support.sample"
local shell = require "spec.support.shell"
local skopeo = require "spec.support.skopeo"
local tarlist = require "spec.support.tarlist"
local tmp = require "spec.support.tmp"

local need = peers.need

local function copy(value)
	if type(value) ~= "table" then
		return value
	end
	local result = {}
	for key, item in pairs(value) do
		result[key] = copy(item)
	end
	return result
end

local function sha256_of(dir, bytes)
	return shell.sha256(dir:write("hashed", bytes))
end

--- The layer that has a path, and its number.
local function layer_with(img, path)
	for i, layer in ipairs(img.layers) do
		if layer:entry(path) then
			return layer, i
		end
	end
	error("no layer has " .. path)
end

describe("an edited image that docker saved", function()
	local dir, app, img, target

	before_each(function()
		dir = tmp.dir()
		target = dir:file("edited.tar")
	end)

	after_each(function()
		if img then
			img:close()
			img = nil
		end
		dir:remove()
	end)

	local function open(...)
		need("docker", ...)
		app = sample.app()
		img = assert(strata.open(app.archive))
		return img
	end

	local last_id -- of what was loaded

	local function is_there(tag)
		local done = docker.try({ "image", "inspect", "--format", "{{.Id}}", tag })
		return done.status == 0 and done.stdout:match("%S+") == last_id
	end

	--- Saves, loads into docker, unless the spec before has loaded the same, and checks that docker has the announced
	--- ID under the tag.
	local function save_and_load(tag)
		local result = assert(img:save(target))
		assert.equal(img.id, result.id)
		assert.not_equal(app.id, result.id)
		if result.id ~= last_id or not is_there(tag) then
			assert.same({ tag }, docker.load(target))
			last_id = result.id
		end
		assert.equal(result.id, docker.id(tag))
		return result
	end

	--- The job of the README: a file dropped, environment, entrypoint and label set, a new tag.
	local function operate()
		layer_with(img, "opt/numbers"):filter(function(entry)
			return entry.path ~= "opt/numbers"
		end)
		img.config:set_env("TZ", "UTC"):set_env("ADDED", "")
		img.config:set_label("org.example.edited", 'yes, "really" <b>')
		img.config.Entrypoint = { "/bin/sh", "-c", 'echo "entry: $TZ [$ADDED] $0"' }
		img.tags = { "app:2" }
	end

	it("is loaded by docker with the ID that strata announced", function()
		open()
		operate()
		save_and_load("app:2")
	end)

	it("lacks the dropped file in a container, and every other file is as it was", function()
		open()
		operate()
		save_and_load("app:2")
		local expected = copy(app.listing)
		assert.is_not_nil(expected["opt/numbers"])
		expected["opt/numbers"] = nil
		assert.same({}, sample.differences(expected, sample.listing("app:2")))
	end)

	it("runs with the new environment and entrypoint, and with the Cmd that it had", function()
		open()
		operate()
		save_and_load("app:2")
		assert.equal("entry: UTC [] " .. app.inspect.Config.Cmd[1] .. "\n", docker.run("app:2"))
	end)

	it("has in docker the config that it had, but for what was set", function()
		open()
		operate()
		save_and_load("app:2")
		local now, expected = docker.inspect("app:2"), copy(app.inspect.Config)
		expected.Env = { app.inspect.Config.Env[1], "TZ=UTC", "EMPTY=", "GREETING=hello world", "ADDED=" }
		expected.Labels["org.example.edited"] = 'yes, "really" <b>'
		expected.Entrypoint = { "/bin/sh", "-c", 'echo "entry: $TZ [$ADDED] $0"' }
		assert.same(expected, now.Config)
		assert.same(app.history[1].created_by, docker.history("app:2")[1].created_by)
		assert.equal(#app.history, #docker.history("app:2"))
	end)

	it("has one new diff_id, and docker sees the layers that were announced", function()
		open()
		local _, edited = layer_with(img, "opt/numbers")
		operate()
		local result = save_and_load("app:2")
		local diff_ids = docker.inspect("app:2").RootFS.Layers
		assert.equal(#app.inspect.RootFS.Layers, #result.layers)
		for i, layer in ipairs(result.layers) do
			assert.equal(app.inspect.RootFS.Layers[i], layer.old_diff_id)
			assert.equal(diff_ids[i], layer.diff_id)
			if i == edited then
				assert.equal("rewritten", layer.action)
				assert.not_equal(layer.old_diff_id, layer.diff_id)
				assert.is_true(layer.size < layer.old_size)
			else
				assert.equal("copied", layer.action)
				assert.equal(layer.old_diff_id, layer.diff_id)
				assert.equal(layer.old_size, layer.size)
			end
		end
	end)

	it("keeps the bytes of every entry that stays in an edited layer", function()
		open()
		operate()
		assert(img:save(target))
		local before, after = tmp.dir(), tmp.dir()
		local old = tarlist.unpack_image(app.archive, before)
		local new = tarlist.unpack_image(target, after)
		local bytes = shell.read(old.layers[1])
		-- GNU tar tells where an entry's header stands and how long it is with its data
		local from, to
		for line in shell.check({ "tar", "--list", "-R", "--file=" .. old.layers[1] }):gmatch("[^\n]+") do
			local block, name = line:match("^block (%d+): (.*)$")
			if name == "opt/numbers" then
				from = tonumber(block) * 512
			elseif from and not to then
				to = tonumber(block) * 512
			end
		end
		assert.is_true(bytes:sub(1, from) .. bytes:sub(to + 1) == shell.read(new.layers[1]))
		before:remove()
		after:remove()
	end)

	it("is verified when it is opened again, and is not edited any more", function()
		open()
		operate()
		local result = assert(img:save(target))
		local again = assert(strata.open(target))
		assert.equal(result.id, again.id)
		assert.same({ "app:2" }, again.tags)
		assert.is_true(assert(again:verify()))
		assert.is_false(again.edited)
		assert.is_nil(again.layers[1]:entry("opt/numbers"))
		assert(again:save(dir:file("again.tar")))
		again:close()
		assert.is_true(shell.same(target, dir:file("again.tar")))
	end)

	it("leaves its source as it was", function()
		open()
		local before = shell.sha256(app.archive)
		operate()
		assert(img:save(target))
		assert.equal(before, shell.sha256(app.archive))
		assert.same({ "edited.tar" }, dir:names())
	end)

	it("is the same file whenever the same surgery is done", function()
		open()
		operate()
		assert(img:save(target))
		img:close()
		open()
		operate()
		assert(img:save(dir:file("second.tar"), { threads = 1 }))
		assert.is_true(shell.same(target, dir:file("second.tar")))
	end)

	it("is read by skopeo with the same config and layers", function()
		open("skopeo")
		operate()
		local result = assert(img:save(target))
		local config = skopeo.config("docker-archive:" .. target)
		assert.equal("UTC", config.config.Env[2]:match("^TZ=(.*)$"))
		assert.same(img.config.Entrypoint, config.config.Entrypoint)
		assert.same(img.config.Labels, config.config.Labels)
		local layers = skopeo.inspect("docker-archive:" .. target).Layers
		assert.equal(#result.layers, #layers)
		for i, layer in ipairs(result.layers) do
			assert.equal(layer.diff_id, layers[i])
		end
	end)

	it("is copied by skopeo, which verifies every layer, and has the announced ID in the copy", function()
		open("skopeo")
		operate()
		local result = assert(img:save(target))
		skopeo.copy("docker-archive:" .. target, "dir:" .. dir:file("copy"))
		local manifest = require("cjson").decode(shell.read(dir:file("copy/manifest.json")))
		assert.equal(result.id, manifest.config.digest)
	end)

	it("is unpacked by umoci without the dropped file and with the others", function()
		open("skopeo", "umoci")
		operate()
		assert(img:save(target))
		local rootfs = skopeo.unpack(target, dir)
		local here = { cwd = rootfs, "sh", "-c" }
		here[3] = "find . -type f -print0 | xargs -0 sha256sum | sed 's,  \\./,  ,'"
		local expected, found = {}, {}
		for path, file in pairs(app.listing) do
			expected[path] = path ~= "opt/numbers" and file.sha256 or nil
		end
		for sha256, path in shell.check(here):gmatch("(%x+)  ([^\n]*)\n") do
			found[path] = sha256
		end
		assert.same(expected, found)
	end)

	it("is loaded by podman with the announced ID", function()
		open("podman")
		operate()
		local result = assert(img:save(target))
		assert.same({ ["localhost/app:2"] = result.id }, podman.load(target))
	end)

	it("keeps every layer byte for byte when only the config is edited", function()
		open()
		img.config:set_label("one", "more")
		img.config:remove_env("EMPTY")
		img.config:add_port("9090/tcp"):remove_port("53/udp"):add_volume("/data")
		img.config.User = "0"
		img:tag("app:2"):untag("app:1")
		local result = save_and_load("app:2")
		local before, after = tmp.dir(), tmp.dir()
		local old = tarlist.unpack_image(app.archive, before)
		local new = tarlist.unpack_image(target, after)
		assert.equal(#old.layers, #new.layers)
		for i, path in ipairs(old.layers) do
			assert.is_true(shell.same(path, new.layers[i]))
			assert.equal("copied", result.layers[i].action)
		end
		before:remove()
		after:remove()
		local config = docker.inspect("app:2").Config
		assert.equal("more", config.Labels.one)
		assert.same({ ["8080/tcp"] = {}, ["9090/tcp"] = {} }, config.ExposedPorts)
		assert.same({ ["/data"] = {}, ["/var/lib/app"] = {} }, config.Volumes)
		assert.same({ app.inspect.Config.Env[1], "TZ=Europe/Berlin", "GREETING=hello world" }, config.Env)
		assert.equal("hello world from 0\n", docker.run("app:2"))
		local expected = copy(app.listing)
		expected.data = { stat = "41ed 0:0" } -- docker makes the mount point of the new volume
		assert.same({}, sample.differences(expected, sample.listing("app:2")))
	end)

	it("differs from its source in the label alone when a label is changed", function()
		open()
		local before = img.config:text()
		img.config:set_label("maintainer", "somebody")
		local after = img.config:text()
		local from, to = before:find('"maintainer":"nobody"', 1, true)
		assert.equal(before:sub(1, from - 1) .. '"maintainer":"somebody"' .. before:sub(to + 1), after)
	end)

	it("can lose Entrypoint, Healthcheck and Volumes, and docker sees none of them", function()
		open()
		img.config.Entrypoint = nil
		img.config.Healthcheck = nil
		img.config.Volumes = nil
		img.config.Cmd = { "/bin/echo", "no entrypoint" }
		img.tags = { "app:2" }
		save_and_load("app:2")
		local config = docker.inspect("app:2").Config
		local null = require("cjson").null
		assert.is_true(config.Entrypoint == nil or config.Entrypoint == null)
		assert.is_true(config.Volumes == nil or config.Volumes == null)
		assert.is_nil(config.Healthcheck)
		assert.equal("no entrypoint\n", docker.run("app:2"))
	end)

	it("can be tagged for nobody, and docker loads it by its ID", function()
		open()
		img.tags = {}
		img.config:set_label("a", "b")
		local result = assert(img:save(target))
		assert.same({ result.id }, docker.load(target))
	end)

	it("is loaded under each of two tags", function()
		open()
		img:tag("team/app:3")
		img.config:set_label("a", "b")
		local result = assert(img:save(target))
		local loaded = docker.load(target)
		table.sort(loaded)
		assert.same({ "app:1", "team/app:3" }, loaded)
		assert.equal(result.id, docker.id("app:1"))
		assert.equal(result.id, docker.id("team/app:3"))
	end)

	it("keeps the content under the other names when the first of three hardlinks is dropped", function()
		open()
		img.tags = { "app:2" }
		local layer = layer_with(img, "srv/links/first")
		assert.equal(1, #select(2, assert(layer:remove("srv/links/first"))))
		save_and_load("app:2")
		local expected = copy(app.listing)
		expected["srv/links/first"] = nil
		expected["srv/links/second"].stat = expected["srv/links/second"].stat:gsub("3$", "2")
		expected["srv/links/third"].stat = expected["srv/links/third"].stat:gsub("3$", "2")
		assert.same({}, sample.differences(expected, sample.listing("app:2")))
	end)

	it("keeps the content when all but the last of the hardlinks are dropped", function()
		open()
		img.tags = { "app:2" }
		img:filter(function(entry)
			return entry.path ~= "srv/links/first" and entry.path ~= "srv/links/second"
		end)
		save_and_load("app:2")
		local expected = copy(app.listing)
		expected["srv/links/first"] = nil
		expected["srv/links/second"] = nil
		expected["srv/links/third"].stat = expected["srv/links/third"].stat:gsub("3$", "1")
		assert.same({}, sample.differences(expected, sample.listing("app:2")))
	end)

	it("loses with a path the whiteout that an upper layer has for it", function()
		open()
		local function whiteouts(archive)
			local unpacked, count = tmp.dir(), 0
			for _, path in ipairs(tarlist.unpack_image(archive, unpacked).layers) do
				for _, entry in ipairs(tarlist.entries(path)) do
					if entry.path == "etc/.wh.removed" then
						count = count + 1
					end
				end
			end
			unpacked:remove()
			return count
		end
		img.tags = { "app:2" }
		img:filter(function(entry)
			return entry.path ~= "etc/removed"
		end)
		save_and_load("app:2")
		assert.equal(1, whiteouts(app.archive))
		assert.equal(0, whiteouts(target))
		assert.same({}, sample.differences(app.listing, sample.listing("app:2")))
	end)

	it("shows a deleted file again when its whiteout is dropped", function()
		open()
		img.tags = { "app:2" }
		img:filter(function(entry)
			return entry.whiteout ~= "etc/removed"
		end)
		save_and_load("app:2")
		local listing = sample.listing("app:2")
		assert.equal(sha256_of(dir, "secret\n"), listing["etc/removed"].sha256)
		listing["etc/removed"] = nil
		assert.same({}, sample.differences(app.listing, listing))
	end)

	it("has its owners changed in a container by a rewrite, and nothing else", function()
		open()
		img.tags = { "app:2" }
		img:rewrite(function(entry)
			if entry.uid == 1000 then
				entry.uid = 0
			end
		end)
		save_and_load("app:2")
		local expected = copy(app.listing)
		assert.equal("81a4 1000:2000 1", expected["opt/owned"].stat)
		expected["opt/owned"].stat = "81a4 0:2000 1"
		expected["srv/links/alone"].stat = "81a4 0:1000 1"
		assert.same({}, sample.differences(expected, sample.listing("app:2")))
	end)

	it("has mode, time, owner and target changed in a container by a rewrite", function()
		open()
		img.tags = { "app:2" }
		layer_with(img, "opt/numbers"):rewrite(function(entry)
			if entry.path == "opt/numbers" then
				entry.mode = 2 * 512 + 448 -- 02700
				entry.mtime = 1234567890
				entry.uid = 3000000 -- more than seven octal digits hold
				entry.gid = 7
			end
		end)
		layer_with(img, "srv/links/symbolic"):rewrite(function(entry)
			if entry.path == "srv/links/symbolic" then
				entry.linkpath = ("../"):rep(60) .. "srv/links/alone"
			end
		end)
		save_and_load("app:2")
		local expected = copy(app.listing)
		expected["opt/numbers"].stat = "85c0 3000000:7 1"
		expected["opt/numbers"].mtime = "1234567890"
		expected["srv/links/symbolic"].target = ("../"):rep(60) .. "srv/links/alone"
		assert.same({}, sample.differences(expected, sample.listing("app:2")))
	end)

	it("has a file under a new name of any length in a container", function()
		open()
		img.tags = { "app:2" }
		local component = ("n"):rep(200)
		local names = {
			["opt/empty"] = "opt/short",
			["opt/numbers"] = "opt/" .. ("n"):rep(120),
			[sample.foreign_path] = "opt/" .. component .. "/" .. component .. "/" .. component .. "/\195\169 file",
		}
		img:rewrite(function(entry)
			entry.path = names[entry.path] or entry.path
		end)
		save_and_load("app:2")
		local listing = sample.listing("app:2")
		for from, to in pairs(names) do
			assert.is_nil(listing[from])
			assert.same(app.listing[from], listing[to], to)
		end
	end)

	it("keeps links together when the file that they link to is renamed with them", function()
		open()
		img.tags = { "app:2" }
		layer_with(img, "srv/links/first"):rewrite(function(entry)
			entry.path = entry.path:gsub("^srv/links", "srv/moved")
			if entry.type == "hardlink" then
				entry.linkpath = entry.linkpath:gsub("^srv/links", "srv/moved")
			end
		end)
		save_and_load("app:2")
		local listing = sample.listing("app:2")
		for _, name in ipairs({ "first", "second", "third" }) do
			assert.is_nil(listing["srv/links/" .. name])
			assert.same(app.listing["srv/links/" .. name], listing["srv/moved/" .. name])
		end
	end)

	it("has the replaced content in a container, with the mode and owner that it had", function()
		open()
		img.tags = { "app:2" }
		local content = ("replaced\0\n"):rep(100000)
		layer_with(img, "opt/owned"):rewrite(function(entry)
			if entry.path == "opt/owned" then
				entry:replace(content)
			elseif entry.path == "opt/setuid" then
				entry:replace("")
			end
		end)
		save_and_load("app:2")
		local expected = copy(app.listing)
		expected["opt/owned"].sha256 = sha256_of(dir, content)
		expected["opt/setuid"].sha256 = sha256_of(dir, "")
		assert.same({}, sample.differences(expected, sample.listing("app:2")))
	end)

	it("shows the new content under every hardlink of a replaced file", function()
		open()
		img.tags = { "app:2" }
		layer_with(img, "srv/links/first"):entry("srv/links/first"):replace("changed\n")
		save_and_load("app:2")
		local expected, sha256 = copy(app.listing), sha256_of(dir, "changed\n")
		for _, name in ipairs({ "first", "second", "third" }) do
			expected["srv/links/" .. name].sha256 = sha256
		end
		assert.same({}, sample.differences(expected, sample.listing("app:2")))
	end)

	it("keeps a file's capability through a rename, and docker saves it again", function()
		open()
		img.tags = { "app:2" }
		layer_with(img, "opt/capable"):rewrite(function(entry)
			if entry.path == "opt/capable" then
				entry.path = "opt/" .. ("able"):rep(30)
			end
		end)
		save_and_load("app:2")
		-- docker does not keep the tar that it loaded: it makes the layer again from the files on its disk
		docker.save(dir:file("resaved.tar"), "app:2")
		local again = assert(strata.open(dir:file("resaved.tar")))
		local layer = layer_with(again, "opt/" .. ("able"):rep(30))
		assert.equal(sample.capability, layer:entry("opt/" .. ("able"):rep(30)).xattrs["security.capability"])
		assert.is_true(assert(again:verify()))
		again:close()
	end)

	it("is loaded when a layer has lost all its entries", function()
		open()
		img.tags = { "app:2" }
		local layer, index = layer_with(img, "opt/capable")
		layer:filter(function()
			return false
		end)
		assert.is_true(layer.empty)
		save_and_load("app:2")
		assert.equal(#app.inspect.RootFS.Layers, #docker.inspect("app:2").RootFS.Layers)
		assert.equal(0, docker.history("app:2")[#app.history - img.layers[index].history.position + 1].size)
		local expected = copy(app.listing)
		expected["opt/capable"] = nil
		assert.same({}, sample.differences(expected, sample.listing("app:2")))
	end)

	it("is loaded without the layer when an emptied one is pruned", function()
		open()
		img.tags = { "app:2" }
		local layer = layer_with(img, "opt/capable")
		local row = layer.history.position
		layer:filter(function()
			return false
		end)
		img:prune()
		assert.is_true(img:history()[row].empty_layer)
		save_and_load("app:2")
		assert.equal(#app.inspect.RootFS.Layers - 1, #docker.inspect("app:2").RootFS.Layers)
		assert.equal(#app.history, #docker.history("app:2"))
		local expected = copy(app.listing)
		expected["opt/capable"] = nil
		assert.same({}, sample.differences(expected, sample.listing("app:2")))
	end)

	it("has an edited history in docker history", function()
		open()
		img.tags = { "app:2" }
		local history = img:history()
		local dropped
		for _, row in ipairs(history) do
			if row.created_by:find("LABEL", 1, true) then
				dropped = row.position
				row:remove()
				break
			end
		end
		assert.is_number(dropped)
		assert.equal(1, img:scrub_history("GREETING=[%w ]+", "GREETING=***"))
		save_and_load("app:2")
		local rows = docker.history("app:2")
		assert.equal(#app.history - 1, #rows)
		local scrubbed = 0
		for _, row in ipairs(rows) do
			assert.is_falsy(row.created_by:find("LABEL", 1, true))
			assert.is_falsy(row.created_by:find("hello world", 1, true))
			if row.created_by:find("GREETING=***", 1, true) then
				scrubbed = scrubbed + 1
			end
		end
		assert.equal(1, scrubbed)
		assert.same({}, sample.differences(app.listing, sample.listing("app:2")))
	end)

	it("can be saved over its source, twice, and docker loads the result", function()
		need("docker")
		app = sample.app()
		shell.check({ "cp", app.archive, target })
		img = assert(strata.open(target))
		operate()
		local first = assert(img:save(target))
		assert.same({ "edited.tar" }, dir:names())
		assert.same({ "app:2" }, docker.load(target))
		assert.equal(first.id, docker.id("app:2"))
		img.config:set_label("third", "time")
		assert(img.layers[1]:remove("opt/empty"))
		local second = assert(img:save(target))
		assert.not_equal(first.id, second.id)
		assert.same({ "app:2" }, docker.load(target))
		assert.equal(second.id, docker.id("app:2"))
		local expected = copy(app.listing)
		expected["opt/numbers"] = nil
		expected["opt/empty"] = nil
		assert.same({}, sample.differences(expected, sample.listing("app:2")))
		assert.same({ "edited.tar" }, dir:names())
	end)
end)
