-- Takes seconds: not for make check.
-- One script, run again and again: in processes of their own, since Lua draws the seed of its hash tables when it
-- starts, and with pairs() going through tables in another order each time. What it writes and what it prints is the
-- same, byte for byte.

local child = require "spec.support.child"
local docker_archive = require "spec.support.docker_archive"
local docker_dialects = require "spec.support.docker_dialects"
local oci_layout = require "spec.support.oci_layout"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local SCRIPT = [==[
local place, order = arg[1], tonumber(arg[2])
local usual = pairs
if order > 0 then
	-- Any order will do, as long as it differs from run to run.
	local state = order
	local function random(n)
		state = (state * 1103515245 + 12345) % 2147483648
		return math.floor(state / 65536) % n + 1
	end
	pairs = function(t)
		local mt = getmetatable(t)
		if type(mt) == "table" and mt.__pairs then return usual(t) end
		local keys, i = {}, 0
		for key in usual(t) do table.insert(keys, random(#keys + 1), key) end
		return function()
			i = i + 1
			if keys[i] ~= nil then return keys[i], t[keys[i]] end
		end
	end
end

local jobs = require "strata.jobs"
local policy = require "strata.policy"
local strata = require "strata"

local function show(what, ...)
	local list = { ... }
	for i = 1, select("#", ...) do list[i] = tostring(list[i]) end
	print(what, table.concat(list, " | "))
end

local function edit(img)
	local env, labels = {}, {}
	for i = 1, 9 do labels["label." .. i], env[i] = "value " .. i, ("NAME%d=%d"):format(i, i) end
	img.config.Env, img.config.Labels = env, labels
	img.config.ExposedPorts = { ["80/tcp"] = {}, ["81/udp"] = {}, ["443/tcp"] = {}, ["1/tcp"] = {} }
	img.config.Volumes = { ["/a"] = {}, ["/b"] = {}, ["/c"] = {}, ["/d"] = {} }
	img.config.Healthcheck = { Test = { "CMD", "x" }, Interval = 1, Timeout = 2, Retries = 3 }
	img.config:set("/config/Other", { a = 1, b = 2, c = 3, d = { e = 1, f = 2, g = 3 } })
	img.config:set_env("TZ", "UTC"):set_label("one", "1")
	show("append", img:append { files = {
		["etc/one"] = "1", ["etc/two"] = "2", ["a/b/c"] = "3", ["z"] = { linkpath = "a" }, ["d/"] = { type = "dir" },
	}, created_by = "files" })
	show("rewrite", img:rewrite(function(entry)
		if entry.path:find("layer2", 1, true) then
			entry.xattrs = { ["user.a"] = "1", ["user.b"] = "2", ["user.c"] = "3", ["user.d"] = "4" }
		end
	end))
end

local function purge(img)
	show("purge", img:purge("**/layer1", {
		env = "^NAME[1-4]=", labels = "label", history = "COPY", prove = "nowhere to be found", optional = true,
	}))
	show("missed", img:purge("none", { env = "^ZZ=", labels = "^zz", history = "zz" }))
	show("optional", img:purge("none", { env = "^ZZ=", labels = "^zz", history = "zz", optional = true }))
	show("normalize", img:normalize({
		epoch = 1, owner = { uid = { [0] = 7, [1] = 8 } }, numeric_owner = true, xattrs = { "user.[ab]" },
	}))
	show("remove", img:remove { "**/link2", "etc/layer3" })
end

local function look(img)
	show("image", img)
	show("config", img.config:text())
	show("history", img:history())
	show("inspect", img:inspect())
	show("layers", img.layers)
	show("waste", img:waste())
	show("digests", img:rootfs():digests())
	for entry in img:rootfs():walk() do show("json", entry:json()) end
	show("diff", strata.diff(img, strata.new()))
	show("tree", img:tree())
	show("plan", img:plan())
	show("files", img:files())
	show("list", img:rootfs():list("etc"))
	show("glob", img:rootfs():glob("**"))
	show("check", img:check { privileged = true })
	show("policy", policy.check(img, { secrets = { env = { "NAME" }, paths = "**/layer*", history = { "COPY" } } }))
	for name, value in (getmetatable(img) or {}).__pairs(img) do show("field", name, type(value)) end
end

local function save(img, name)
	for _, format in ipairs { "docker", "docker-legacy", "oci", "oci-archive" } do
		for _, compression in ipairs { "keep", "gzip", "zstd" } do
			if format ~= "docker-legacy" or compression == "keep" then
				local to = ("%s/%s-%s-%s"):format(place, name, format, compression)
				local result, lost, code = img:save(to, { format = format, compression = compression, reproducible = true })
				show("save", (tostring(result):gsub(place, "")), lost, code)
			end
		end
	end
	local result, lost, code = img:save(place .. "/" .. name .. "-native")
	show("native", (tostring(result):gsub(place, "")), lost, code)
	show("export", (tostring(img:export(place .. "/" .. name .. "-export.tar")):gsub(place, "")))
	show("extract", (tostring(img:extract(place .. "/" .. name .. "-tree", { unprivileged = true })):gsub(place, "")))
end

for _, input in ipairs { "docker.tar", "docker_1_10.tar", "docker_25.tar", "layout" } do
	local listed = {}
	for img in strata.images("in/" .. input) do listed[#listed + 1] = img end
	for _, img in ipairs(listed) do show("listed", img) end
	local index = assert(strata.open_index("in/" .. input))
	show("index", index)
	for i, img in ipairs(listed) do
		look(img)
		edit(img)
		purge(img)
		look(img)
		save(img, input .. i)
	end
	local result, lost, code = strata.save(listed, place .. "/" .. input .. "-all", { format = "oci-archive" })
	show("all", (tostring(result):gsub(place, "")), lost, code)
	for _, format in ipairs { "docker", "oci-archive", "oci" } do
		result, lost, code = index:save(place .. "/" .. input .. "-index-" .. format, { format = format })
		show("whole", (tostring(result):gsub(place, "")), lost, code)
	end
	show("open", strata.open("in/" .. input, { ref = "no:such" }))
end

for _, topic in ipairs { strata, "save", "open", "limits", "purge", "config", "no such topic" } do
	show("help", strata.help(topic))
end
for _, misuse in ipairs {
	function() strata.open("in/docker.tar", { zzz = 1, aaa = 2, mmm = 3 }) end,
	function() return strata.open("in/docker.tar").nothing end,
	function() strata.open("in/docker.tar").config.Nothing = 1 end,
	function() strata.layer { files = { a = { zzz = 1, aaa = 2, mmm = 3 } } } end,
	function() policy.check(strata.open("in/docker.tar"), { zzz = 1, aaa = 2, secrets = { kkk = 1, jjj = 1 } }) end,
	function() strata.open("in/docker.tar"):remove { pattern = "x", zzz = 1, aaa = 2, mmm = 3 } end,
	function() jobs.filter { path = "in/docker.tar", to = "x", edit = { zzz = 1, aaa = 2, mmm = 3 } } end,
	function() strata.open("in/docker.tar").config.Labels = { zzz = 1, aaa = 2, mmm = 3 } end,
	function() strata.open("in/docker.tar").config.Healthcheck = { Zzz = 1, Aaa = 2, Mmm = 3 } end,
} do
	local _, message = pcall(misuse)
	show("misuse", (tostring(message):gsub("^.-:(%d+:)", "%1")))
end
]==]

describe("under every seed of the hash tables", function()
	local dir

	setup(function()
		dir = tmp.dir(tmp.for_peers())
		shell.check({ "mkdir", dir:file("in") })
		local image = docker_archive.image({ layers = docker_archive.layers(3) })
		for name, dialect in pairs({ docker = "docker_1_10", docker_1_10 = "docker_1_10", docker_25 = "docker_25" }) do
			local archive = docker_dialects.of[dialect](image)
			if name == "docker" then
				archive:add("zzz", "z"):add("aaa", "a")
			end
			archive:write(dir:file("in/" .. name .. ".tar"))
		end
		local layout = oci_layout.new()
		local nested = {}
		for i, platform in ipairs({ "linux/amd64", "linux/arm64", "linux/arm/v7" }) do
			local one = layout:image({
				layers = { layout:file_layer("base"), layout:file_layer("layer" .. i) }, platform = platform,
				manifest = { annotations = { b = "1", a = "2", label = "3", d = "4" } },
			})
			nested[#nested + 1] = one.descriptor
			local blob = layout:blob('{"label":"label.1","n":' .. i .. "}")
			blob.mediaType = "application/vnd.in-toto+json"
			local about = layout:document({
				schemaVersion = 2, mediaType = oci_layout.types.oci.manifest, layers = oci_layout.list({ blob }),
				config = layout:document("{}", oci_layout.types.oci.config),
			}, oci_layout.types.oci.manifest)
			about.annotations = {
				["vnd.docker.reference.type"] = "attestation-manifest",
				["vnd.docker.reference.digest"] = one.descriptor.digest,
			}
			nested[#nested + 1] = about
		end
		layout:list(layout:index(nested, { index = { annotations = { x = "label", y = "2" } } }), "app:1")
		for i = 1, 3 do
			local stranger = layout:blob("stranger " .. i)
			stranger.mediaType = "application/x-other"
			layout:list(stranger, "stranger" .. i)
		end
		layout:directory(dir:file("in/layout"))
	end)

	teardown(function()
		dir:remove()
	end)

	it("a script writes the same bytes and prints the same", function()
		local printed, written
		for order = -2, 3 do
			local place = dir:file("out")
			shell.check({ "rm", "-rf", place })
			shell.check({ "mkdir", place })
			local done = child.run({ script = SCRIPT, cwd = dir.path, arguments = { place, tostring(order) } })
			assert.equal(0, done.status, done.stderr)
			local lines = {}
			for line in done.stdout:gmatch("[^\n]+") do
				assert.is_nil(line:find("0x%x%x%x%x%x%x%x"), line)
				lines[#lines + 1] = line
			end
			local files = shell.sh('cd "$1" && find . -type f -exec sha256sum {} + | LC_ALL=C sort -k 2', place)
			printed, written = printed or lines, written or files
			for i = 1, math.max(#lines, #printed) do
				assert.equal(printed[i], lines[i])
			end
			assert.equal(written, files)
			assert.is_true(#lines > 500)
		end
	end)
end)
