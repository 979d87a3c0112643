--- Small pieces of work that between them use every function of the library, for tests that make the world fail
-- while they run.
--
-- A scenario is a function that gets the paths of images and a directory to write into, `env.out`. It returns a
-- string that says what it saw. A failure of the library is thrown as `{ message, code }`.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local rights = require "spec.support.rights"
local shell = require "spec.support.shell"
local strata = require "strata"
local tree = require "spec.support.scenarios_tree"

local scenarios = {}

-- Loaded when they are needed; by then there must be memory for it.
require("strata.document.platform")
require("strata.index")
require("strata.document.inspect")
require("strata.rootfs")
require("strata.tree.draw")
require("strata.util.help")
require("strata.util.progress")

--- Throws what came back as nil, message, code.
local function must(value, message, code)
	if value == nil then
		error({ message, code }, 0)
	end
	return value, message
end

local function noise(size, seed)
	local parts, state = {}, seed
	for i = 1, size do
		state = (state * 16807) % 2147483647
		parts[i] = string.char(state % 256)
	end
	return table.concat(parts)
end

-- Hardlinks, symlinks, whiteouts, an opaque directory, modes, a long name, a file in several chunks.
local function source_image()
	return archive.image({
		tags = { "app:1", "app:latest" },
		layers = {
			archive.layer({
				{ name = "etc/", type = "dir" },
				{ name = "etc/passwd", data = "root:x:0:0::/:/bin/sh\n" },
				{ name = "etc/link", type = "hardlink", linkpath = "etc/passwd" },
				{ name = "etc/current", type = "symlink", linkpath = "passwd" },
				{ name = "opt/", type = "dir", mode = 448 },
				{ name = "opt/gone", data = "soon\n" },
				{ name = "opt/noise", data = noise(20000, 7) },
				{ name = "var/", type = "dir" },
				{ name = "var/old", data = "old\n" },
				{ name = "pipe", type = "fifo" },
			}),
			archive.layer({
				{ name = "opt/.wh.gone" },
				{ name = "var/", type = "dir" },
				{ name = "var/.wh..wh..opq" },
				{ name = "var/new", data = ("new\n"):rep(300) },
				{ name = "etc/link", data = "a file of its own\n" },
			}),
			archive.layer({ { name = "srv/", type = "dir" }, { name = "srv/secret", data = "hunter2\n" } }),
		},
	})
end

--- Makes the images in a directory.
---@param dir string
---@return table env paths by name
function scenarios.prepare(dir)
	local env = { dir = dir, out = dir .. "/out" }
	local made = source_image()
	env.docker = dialects.of.docker_25(made):write(dir .. "/docker.tar")
	env.gzip = dialects.of.kaniko(made):write(dir .. "/gzip.tar")
	env.v1 = dialects.of.docker_1_10(made):write(dir .. "/v1.tar")
	for name, options in pairs({
		legacy = { format = "docker-legacy" },
		oci = { format = "oci", compression = "gzip" },
		oci_archive = { format = "oci-archive", compression = "zstd" },
	}) do
		local img = must(strata.open(env.docker))
		env[name] = dir .. "/" .. name
		must(img:save(env[name], options))
		img:close()
	end
	local layout = must(strata.open(env.gzip))
	must(layout:save(dir .. "/layout", { format = "oci" }))
	layout:close()
	env.layout_files = {}
	for name in shell.check({ "find", "layout", "-type", "f", cwd = dir }):gmatch("[^\n]+") do
		table.insert(env.layout_files, name)
	end
	shell.sh('gzip -nk1 "$1"', env.docker)
	env.whole = env.docker .. ".gz"
	tree.prepare(env)
	return env
end

-- ---- reading ------------------------------------------------------------------

local FIELDS = {
	"path", "name", "type", "typeflag", "mode", "uid", "gid", "uname", "gname", "size", "mtime", "atime", "linkpath",
	"major", "whiteout", "opaque", "position", "sparse", "dangling",
}

local function list_entries(layer)
	local seen = {}
	for entry in layer:entries() do
		local words = { tostring(entry) }
		for _, field in ipairs(FIELDS) do
			words[#words + 1] = tostring(entry[field])
		end
		for _, field in ipairs({ "xattrs", "pax" }) do
			words[#words + 1] = next(entry[field]) and "some" or "none"
		end
		seen[#seen + 1] = table.concat(words, " ")
	end
	return table.concat(seen, "\n")
end

local function look_at(img)
	local seen = { tostring(img), tostring(img.id), tostring(img.platform), table.concat(img.tags, ",") }
	for i, layer in img:layers() do
		seen[#seen + 1] = i .. tostring(layer.diff_id) .. tostring(layer.chain_id) .. tostring(layer.created_by)
		seen[#seen + 1] = tostring(layer.size) .. tostring(layer.media_type)
	end
	for _, row in ipairs(img:history()) do
		seen[#seen + 1] = tostring(row) .. tostring(row.created_by) .. tostring(row.empty_layer)
	end
	return table.concat(seen, "\n")
end

local function opening(name)
	return function(env)
		local img = must(strata.open(env[name]))
		local seen = look_at(img)
		img:close()
		return seen
	end
end

local list = {}

-- `whole`: without any memory what was made cannot be removed either. `merges`: into a directory with something in it,
-- in which a failure leaves what was done so far. `litters`: it removes what it has made itself, and does not tell when
-- that fails. `again`: what cannot be written once is written in another way.
local function add(name, run, options)
	options = options or {}
	list[#list + 1] = { name = name, run = run, whole = options.whole, merges = options.merges or options.litters,
		litters = options.litters, again = options.again }
end

for _, name in ipairs({ "docker", "gzip", "v1", "legacy", "oci", "oci_archive", "whole" }) do
	add("open " .. name, opening(name))
end

add("open a stream", function(env)
	local stream = assert(io.open(env.docker, "rb"))
	local img, message, code = strata.open(stream)
	stream:close()
	must(img, message, code)
	local id = img.id
	img:close()
	return id
end)

add("entries", function(env)
	local img = must(strata.open(env.gzip))
	local seen = {}
	for _, layer in img:layers() do
		seen[#seen + 1] = list_entries(layer)
	end
	seen[#seen + 1] = must(img.layers[1]:read("etc/passwd"))
	seen[#seen + 1] = must(img.layers[1]:entry("opt/noise"):read(100, 50))
	seen[#seen + 1] = img.layers[1]:tree()
	img:close()
	return table.concat(seen, "\n")
end)

add("inspect", function(env)
	local img = must(strata.open(env.docker))
	local told = must(img:inspect())
	local seen = { told.Id or told.id or "", img:tree({ depth = 2 }), tostring(#must(img:files())) }
	must(img:verify())
	seen[#seen + 1] = strata.help(img)
	img:close()
	return table.concat(seen, "\n")
end)

add("images", function(env)
	local seen = {}
	for img in must(strata.images(env.oci)) do
		seen[#seen + 1] = img.id
		img:close()
	end
	local index = must(strata.open_index(env.oci))
	seen[#seen + 1] = #index.manifests
	for img in must(index:images()) do
		must(img.config:set_env("EACH", "1"))
	end
	must(index:save(env.out .. "/indexed", { format = "oci" }))
	index:close()
	return table.concat(seen, "\n")
end)

add("rootfs", function(env)
	local img = must(strata.open(env.docker))
	local root = must(img:rootfs())
	local seen = { must(root:read("etc/current")), must(root:readlink("etc/current")) }
	for _, entry in ipairs(must(root:list("."))) do
		seen[#seen + 1] = tostring(entry)
	end
	for entry in root:walk(".") do
		seen[#seen + 1] = entry.path .. tostring(entry.layer) .. tostring(entry.links)
	end
	for _, entry in ipairs(must(root:glob("**/*"))) do
		seen[#seen + 1] = entry.path
	end
	seen[#seen + 1] = #must(root:history("opt/gone"))
	seen[#seen + 1] = root:tree({ layers = true })
	local file = must(root:open("opt/noise"))
	seen[#seen + 1] = #must(file:read(1000))
	file:close()
	img:close()
	return table.concat(seen, "\n")
end)

add("digests, packages and waste", function(env)
	local img = must(strata.open(env.gzip))
	local root = must(img:rootfs())
	local seen = { tostring(must(root:digests())), #must(root:digests("etc")), #must(root:packages()) }
	for entry in root:walk() do
		seen[#seen + 1] = must(entry:json({ digest = true }))
	end
	seen[#seen + 1] = tostring(must(img:waste()))
	img:close()
	return table.concat(seen, "\n")
end)

add("diff", function(env)
	local img, other = must(strata.open(env.docker)), must(strata.open(env.gzip))
	must(other:append({ files = { ["etc/passwd"] = "root:x:1:0::/:/bin/sh\n", ["etc/new"] = "n" }, created_by = "add" }))
	local seen = {}
	for _, row in ipairs(must(strata.diff(img, other))) do
		seen[#seen + 1] = tostring(row)
	end
	seen[#seen + 1] = tostring(must(strata.diff(env.docker, env.oci, { semantic = true })).equal)
	img:close()
	other:close()
	return table.concat(seen, "\n")
end)

-- ---- editing ------------------------------------------------------------------

local function edit_config(img)
	local config = img.config
	config:set_env("TZ", "UTC"):set_env("PATH", "/usr/bin"):remove_env("NONE")
	config:set_label("a", "b"):remove_label("name"):add_port("80/tcp"):add_volume("/data")
	config:set("/config/StopSignal", "SIGINT")
	config.User = "1000"
	config.Cmd = { "/bin/true", "x" }
	img.tags = { "app:2" }
	img:tag("app:3"):untag("app:2")
end

add("config", function(env)
	local img = must(strata.open(env.docker))
	edit_config(img)
	local config = img.config
	local seen = { config:text(), config:get_env("TZ"), config:get("/config/Cmd/0"), config.Env[1] }
	for key in config:each("Labels") do
		seen[#seen + 1] = tostring(key)
	end
	seen[#seen + 1] = config:totable().config.User
	must(img:scrub_history("COPY"))
	img:history()[2].comment = "scrubbed"
	seen[#seen + 1] = img.id
	img:close()
	return table.concat(seen, "\n")
end)

local function edit_layers(img)
	must(img:filter(function(entry)
		return entry.path ~= "var/new"
	end))
	must(img:rewrite(function(entry)
		if entry.type == "dir" then
			entry.mode, entry.uid, entry.mtime = 493, 1000, 12345
		elseif entry.path == "srv/secret" then
			entry:replace("nothing here\n")
			entry.xattrs = { ["user.note"] = "replaced" }
			entry.atime, entry.ctime = 1.5, 2
			entry.path = "srv/public"
		end
	end))
	must(img.layers[1]:remove("pipe"))
end

local function saving(source, options, edit, name)
	return function(env)
		local img = must(strata.open(env[source]))
		if edit then
			edit(img)
		end
		local saved = must(img:save(env.out .. (name or "/target"), options))
		img:close()
		return saved.id .. " " .. tostring(saved.size)
	end
end

-- Edited layers lie in the first archive, or in what a save that has failed has left of it, and are copied from there.
add("save twice", function(env)
	local img = must(strata.open(env.docker))
	edit_layers(img)
	local first = { img:save(env.dir .. "/stream") }
	local path = first[1] and env.out .. "/target" or env.dir .. "/stream"
	local again = { img:save(path, { format = "oci-archive" }) }
	img:close()
	must(first[1], first[2], first[3])
	return first[1].id .. " " .. must(again[1], again[2], again[3]).id
end)

add("save untouched", saving("docker"))
add("save untouched oci_archive", saving("oci_archive"))
add("save untouched whole", saving("whole"))
add("save config", saving("docker", nil, edit_config))
add("save layers", saving("docker", nil, edit_layers))
add("save layers gzip", saving("gzip", { format = "docker", compression = "gzip", reproducible = true }, edit_layers))
add("save whole", saving("whole", nil, edit_config))
add("save docker-legacy", saving("gzip", { format = "docker-legacy" }, edit_layers))
add("save oci", saving("docker", { format = "oci", compression = "gzip", level = 1 }, edit_layers, "/new-layout"))
add("save oci-archive", saving("docker", { format = "oci-archive", compression = "zstd" }, edit_layers))
add("save to a layout", function(env)
	local img = must(strata.open(env.docker))
	edit_config(img)
	must(img:save(env.out .. "/layout", { format = "oci" }))
	img:close()
	return ""
end)

add("save over the source", function(env)
	local path = env.out .. "/source.tar"
	local img = must(strata.open(path))
	edit_config(img)
	edit_layers(img)
	local saved = must(img:save(path, {
		progress = function() end,
	}))
	img:close()
	return saved.id
end)

add("save to a stream", function(env)
	local img = must(strata.open(env.docker))
	edit_config(img)
	local stream = assert(io.open(env.dir .. "/stream", "wb"))
	local saved, message, code = img:save(stream)
	stream:close()
	img:close()
	return must(saved, message, code).id
end)

add("save several", function(env)
	local one, other = must(strata.open(env.docker)), must(strata.open(env.oci))
	edit_config(other)
	must(strata.save({ one, other }, env.out .. "/target", { format = "docker" }))
	one:close()
	other:close()
	return ""
end)

add("plan", function(env)
	local img = must(strata.open(env.docker))
	edit_layers(img)
	local plan = must(img:plan({ format = "oci", compression = "zstd" }))
	img:close()
	return tostring(plan.id) .. #plan.layers
end)

add("new and append", function(env)
	local img = strata.new({ platform = "linux/arm64" })
	img.tags = { "new:1" }
	must(img:append({
		files = {
			["etc/motd"] = "hello\n",
			["bin"] = { type = "dir" },
			["bin/sh"] = { linkpath = "busybox" },
			[("long/"):rep(60) .. "name"] = { content = "x", uid = 5, mtime = 1.5 },
		},
	}))
	local saved = must(img:save(env.out .. "/target", { format = "docker" }))
	img:close()
	return saved.id
end)

-- Compressed layers are written while they are scanned; what cannot be is written by the save.
for _, name in ipairs({ "gzip", "oci_archive" }) do
	add("remove " .. name, function(env)
		local img = must(strata.open(env[name]))
		local _, removed = must(img:remove({ "opt/noise", "**/new" }))
		local saved = must(img:save(env.out .. "/target"))
		img:close()
		return #removed .. saved.id
	end, { again = true })
end

add("squash", function(env)
	local img = must(strata.open(env.docker))
	must(img:squash(1, 2))
	local saved = must(img:save(env.out .. "/target"))
	img:close()
	return saved.id
end)

add("flatten", function(env)
	local img = must(strata.open(env.gzip))
	must(img:flatten())
	local saved = must(img:save(env.out .. "/target", { format = "oci-archive", compression = "gzip" }))
	img:close()
	return saved.id
end)

add("remove and move layers", function(env)
	local img = must(strata.open(env.docker))
	must(img:move_layer(3, 2))
	must(img:remove_layer(2))
	must(img:prune())
	local saved = must(img:save(env.out .. "/target"))
	img:close()
	return saved.id
end)

add("purge", function(env)
	local img = must(strata.open(env.docker))
	must(img:purge("srv/secret"))
	local saved = must(img:save(env.out .. "/target"))
	img:close()
	return saved.id
end)

add("repair", function(env)
	local img = must(strata.open(env.gzip))
	must(img.layers[1]:rewrite(function(entry)
		if entry.path == "var/old" then
			entry.path = "opt/noise"
		end
	end))
	local report = must(img:repair("duplicate-path"))
	local saved = must(img:save(env.out .. "/target"))
	img:close()
	return tostring(report) .. saved.id
end)

add("purge in a layout", function(env)
	local img = must(strata.open(env.oci))
	local report = must(img:purge("srv/secret", { labels = "none", prove = "hunter2", optional = true }))
	for _, line in ipairs(report.left or {}) do
		must(nil, line, line:find("Too many open files", 1, true) and "EMFILE" or "EIO") -- what was not searched is named
	end
	local saved = must(img:save(env.out .. "/target", { format = "oci-archive" }))
	img:close()
	return saved.id .. tostring(report)
end)

add("normalize", function(env)
	local img = must(strata.open(env.gzip))
	local report = must(img:normalize({ epoch = 1, owner = { uid = 1 }, numeric_owner = true, xattrs = false }))
	local saved = must(img:save(env.out .. "/target", { format = "oci-archive" }))
	img:close()
	return saved.id .. tostring(report)
end)

add("save a layer", function(env)
	local img = must(strata.open(env.gzip))
	must(img:split(1, { size = 1024 }))
	local saved = must(img.layers[1]:save(env.out .. "/target", { compression = "zstd" }))
	img:close()
	return saved.digest
end)

add("split", function(env)
	local img = must(strata.open(env.gzip))
	must(img:normalize({ epoch = 1, sort = true }))
	must(img:split(1, { size = 1024 }))
	local saved = must(img:save(env.out .. "/target"))
	img:close()
	return saved.id
end)

add("rechunk", function(env)
	local img = must(strata.open(env.docker))
	must(img:rechunk({ chunks = 4 }))
	local saved = must(img:save(env.out .. "/target"))
	img:close()
	return saved.id
end)

add("export", function(env)
	local img = must(strata.open(env.gzip))
	must(img:export(env.out .. "/target", { compression = "gzip" }))
	img:close()
	return ""
end)

add("export some files", function(env)
	local img = must(strata.open(env.gzip))
	must(must(img:rootfs()):export(env.out .. "/target", { which = { "etc/link", "opt" } }))
	img:close()
	return ""
end)

add("extract some files", function(env)
	local img = must(strata.open(env.gzip))
	local done = must(must(img:rootfs()):extract({ "etc/passwd", "**/new" }, env.out .. "/root"))
	img:close()
	return tostring(done.entries)
end, { whole = true })

local function extracting(options)
	return function(env)
		local img = must(strata.open(env.gzip))
		local done = must(img:extract(env.out .. "/root", options))
		img:close()
		return tostring(done.entries)
	end
end

add("extract", extracting({}), { whole = true })
add("extract overlay", extracting({ mode = "overlay", xattrs = rights.xattrs }), { whole = true })
add("apply", function(env)
	local img = must(strata.open(env.gzip))
	must(img.layers[1]:apply(env.out .. "/root"))
	img:close()
	return ""
end, { whole = true })

tree.add(add, must)

scenarios.list = list

-- ---- the directory that is written into ---------------------------------------------

--- What is below a directory, as text; without times.
---@param faults table the module that looks
---@param path string
---@return string
function scenarios.snapshot(faults, path)
	local lines = {}
	local function visit(name)
		local line, is_dir = faults.look(path .. name)
		lines[#lines + 1] = ("%s %s"):format(name, tostring(line))
		if is_dir then
			local names = faults.names(path .. name)
			table.sort(names)
			for _, child in ipairs(names) do
				visit(name .. "/" .. child)
			end
		end
	end
	visit("")
	return table.concat(lines, "\n")
end

-- What a save that fails may have put into a layout directory by then: everything but its index.json.
local BLOBS = { "^/[%w-]+ 04", "^/[%w-]+/blobs ", "^/[%w-]+/blobs/sha256 ", "^/[%w-]+/blobs/sha256/%x+ ",
	"^/[%w-]+/oci%-layout " }

--- Whether a failure has left what was there, and nothing else but blobs that nothing names.
---@param before string snapshots
---@param left string
---@param after string when there is no failure: blobs have to be what they are there
function scenarios.is_kept(before, left, after)
	local function lines_of(text)
		local lines = {}
		for line in text:gmatch("[^\n]+") do
			lines[line] = true
		end
		return lines
	end
	local old, now, usual = lines_of(before), lines_of(left), lines_of(after)
	for line in pairs(old) do
		if not now[line] then
			return false
		end
	end
	for line in pairs(now) do
		local is_blob = false
		for _, pattern in ipairs(BLOBS) do
			is_blob = is_blob or (usual[line] and line:find(pattern) ~= nil)
		end
		if not old[line] and not is_blob then
			return false
		end
	end
	return true
end

--- A fresh `env.out`: an image to be replaced, the same to be edited in its place, and a layout to be extended.
function scenarios.reset(faults, env)
	faults.remove(env.out)
	local function copy(from, to)
		local source, target = assert(io.open(from, "rb")), assert(io.open(to, "wb"))
		assert(target:write(source:read("*a")))
		source:close()
		target:close()
	end
	for _, name in ipairs({ "", "/layout", "/layout/blobs", "/layout/blobs/sha256" }) do
		faults.make(env.out .. name)
	end
	copy(env.gzip, env.out .. "/target")
	copy(env.docker, env.out .. "/source.tar")
	for _, name in ipairs(env.layout_files) do
		copy(env.dir .. "/" .. name, env.out .. "/" .. name)
	end
end

return scenarios
