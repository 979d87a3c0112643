-- lua/strata/meta says of the API what editors show and `make doc` prints. Here it is held against what the modules
-- and the objects really are: what is exported and not declared fails, and so does what is declared and not there.

local conform = require "spec.support.conform"
local core = require "strata.core"
local docker_archive = require "spec.support.docker_archive"
local exports = require "spec.support.exports"
local layer_source = require "strata.layer_source"
local limits = require "strata.limits"
local luacats = require "doc.luacats"
local mapping = require "strata.mapping"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local files, classes, aliases, functions = conform.files, conform.classes, conform.aliases, conform.functions

-- ---- what is looked at ---------------------------------------------------------------------------------------

local dir, app, objects

-- strata.resty only loads in nginx.
local function load_resty()
	local before = package.loaded["ngx.semaphore"]
	package.loaded["ngx.semaphore"] = {}
	local resty = require("strata.resty")
	package.loaded["ngx.semaphore"], package.loaded["strata.resty"] = before, nil
	return resty
end

local MODULES = {
	strata = strata,
	["strata.archive"] = require("strata.archive"),
	["strata.jobs"] = require("strata.jobs"),
	["strata.policy"] = require("strata.policy"),
	["strata.resty"] = load_resty(),
	["strata.stream"] = strata.stream,
	["strata.waste"] = require("strata.waste"),
}

local function member(name, kind, more)
	local made = { name = name, type = kind }
	for key, value in pairs(more or {}) do
		made[key] = value
	end
	return made
end

local function build_layers()
	return {
		docker_archive.layer({
			member("etc/", "dir"),
			member("etc/passwd", "file", { data = ("root:x:0:0\n"):rep(400) }),
			member("etc/removed", "file", { data = "removed" }),
			member("etc/link", "hardlink", { linkpath = "etc/passwd" }),
			member("etc/current", "symlink", { linkpath = "passwd" }),
			member("dev/null", "3"),
			member("opt/setuid", "file", { mode = 2541, data = "#!" }),
		}),
		docker_archive.layer({
			member("etc/passwd", "file", { data = ("root:x:0:0\n"):rep(400), mode = 384 }),
			member("etc/.wh.removed", "file", { data = "" }),
			member("etc/new", "file", { data = "new\n" }),
		}),
	}
end

-- One object of each class: an image of an archive, and one that is in an index.
local function make_objects()
	app = dir:file("app.tar")
	local built = docker_archive.new()
	local image = docker_archive.image({ layers = build_layers() })
	built:add("config.json", image.config)
	for i, layer in ipairs(image.layers) do
		built:add(i .. ".tar", layer.tar)
	end
	built:add(
		"manifest.json",
		('[{"Config":"config.json","RepoTags":["app:1"],"Layers":%s}]'):format(docker_archive.list({ "1.tar", "2.tar" }))
	)
	built:write(app)
	local img = assert(strata.open(app))
	assert(img:save(dir:file("layout"), { format = "oci" }))
	local root = assert(img:rootfs())
	local parser = strata.stream.tar()
	assert(parser:feed(built:bytes()))
	assert(parser:next())
	return {
		["strata.Image"] = img,
		["strata.Layer"] = img.layers[1],
		["strata.Entry"] = img.layers[1]:entry("etc/passwd"),
		["strata.Config"] = img.config,
		["strata.HistoryRow"] = img:history()[1],
		["strata.Platform"] = img.platform,
		["strata.Rootfs"] = root,
		["strata.RootEntry"] = assert(root:stat("etc/passwd")),
		["strata.RootFile"] = assert(root:open("etc/passwd")),
		["strata.Index"] = assert(strata.open_index(dir:file("layout"))),
		["strata.TarStream"] = parser,
	}
end

-- The methods of strata.Resty, which wants nginx to be made.
local function methods_of(name)
	if name == "strata.Resty" then
		local methods = {}
		for key, value in pairs(exports.upvalue(MODULES["strata.resty"].new, "methods")) do
			methods[key] = key ~= "__index" and value or nil
		end
		return methods
	end
	return exports.methods(objects[name])
end

setup(function()
	dir = tmp.dir()
	objects = make_objects()
end)

teardown(function()
	objects["strata.Index"]:close()
	objects["strata.Image"]:close()
	dir:remove()
end)

-- ---- comparing -----------------------------------------------------------------------------------------------

local function sorted(set)
	local list = {}
	for name in pairs(set or {}) do
		list[#list + 1] = name
	end
	table.sort(list)
	return list
end

local function keys_of(...)
	local set = {}
	for _, one in ipairs({ ... }) do
		for name in pairs(one) do
			set[name] = true
		end
	end
	return set
end

local function each_function(fn)
	for class, list in pairs(functions) do
		for name, item in pairs(list) do
			fn(class, name, item)
		end
	end
end

local function real_function(class, name)
	if MODULES[class] then
		return MODULES[class][name]
	end
	return methods_of(class)[name]
end

describe("lua/strata/meta", function()
	it("names types that are there", function()
		local unknown = {}
		local function look(type_of, where)
			luacats.each_name(type_of, function(name)
				if not (classes[name] or aliases[name] or conform.BASIC[name]) then
					unknown[#unknown + 1] = where .. ": " .. name
				end
			end)
		end
		for _, class in pairs(classes) do
			for _, list in ipairs({ class.fields, class.operators }) do
				for _, one in ipairs(list) do
					look(one.type, class.name)
				end
			end
			for _, parent in ipairs(class.parents) do
				assert.is_truthy(classes[parent] or parent == "userdata", class.name .. ": " .. parent)
			end
		end
		for _, alias in pairs(aliases) do
			look(alias.type and alias.type.type or { kind = "name", name = "any" }, alias.name)
		end
		each_function(function(class, name, item)
			for _, list in ipairs({ item.params, item.returns }) do
				for _, one in ipairs(list) do
					look(one.type, class .. "." .. name)
				end
			end
		end)
		assert.same({}, unknown)
	end)

	it("tells of every parameter, in the order of the signature, and says what each function and type is", function()
		each_function(function(class, name, item)
			if item.private then
				return
			end
			local params = {}
			for i, param in ipairs(item.params) do
				params[i] = param.name
			end
			assert.same(item.args, params, class .. "." .. name)
			assert.is_truthy(item.text:find("^%u.*%.$"), class .. "." .. name .. ": " .. item.text)
		end)
		for _, list in ipairs({ classes, aliases }) do
			for name, item in pairs(list) do
				assert.is_truthy(item.text:find("^[%u`\"].*%.$"), name .. ": " .. item.text)
			end
		end
	end)

	it("gives failures as nil, message, code", function()
		each_function(function(class, name, item)
			local third = item.returns[3]
			if third then
				assert.equal("strata.errcode? code", third.text .. " " .. third.name, class .. "." .. name)
				assert.is_truthy(item.returns[1].text:find("%?$"), class .. "." .. name)
			end
		end)
	end)

	it("is the only place that tells the fields of these classes, and these aliases", function()
		local again = {}
		for path in shell.check({ "find", "lua", "-name", "*.lua", "-not", "-path", "*/meta/*" }):gmatch("[^\n]+") do
			local text = shell.read(path)
			for name in text:gmatch("%-%-%-@class ([%w_%.]+)[^\n]*\n%-%-%-@field") do
				again[#again + 1] = classes[name] and path .. ": " .. name or nil
			end
			for name in text:gmatch("%-%-%-@alias ([%w_%.]+)") do
				again[#again + 1] = aliases[name] and path .. ": " .. name or nil
			end
		end
		assert.same({}, again)
	end)

	it("has the codes of errors that the sources have", function()
		local real, declared = {}, {}
		for path in shell.check({ "find", "lua", "src", "-type", "f", "-not", "-path", "*/meta/*" }):gmatch("[^\n]+") do
			local text = shell.read(path)
			for code in text:gmatch('"(E%u%w+)"') do
				real[code] = true
			end
			for code in text:gmatch("ERRNO_NAME%((E%u%w+)%)") do
				real[code] = true
			end
			for code in text:gmatch("ERRNO_NAME%((E2BIG)%)") do
				real[code] = true
			end
		end
		for _, value in ipairs(aliases["strata.errcode"].values) do
			declared[value.type.name:match('^"(.*)"$')] = true
		end
		assert.same(sorted(real), sorted(declared))
	end)

	it("has the limits, with their defaults and units", function()
		local declared, real = {}, {}
		local function collect(class, prefix)
			for _, field in ipairs(classes[class].fields) do
				local nested = field.type.name == "strata.JsonLimits"
				if nested then
					collect(field.type.name, field.name .. ".")
				else
					declared[prefix .. field.name] = field.description:match("^default (%d+ %a+)")
				end
			end
		end
		collect("strata.Limits", "")
		for _, limit in ipairs(limits.all) do
			real[limit.name] = ("%.0f %s"):format(limit.default, limit.unit)
		end
		assert.same(real, declared)
	end)
end)

describe("what is exported and what lua/strata/meta declares", function()
	for name, module in pairs(MODULES) do
		it("are the same in " .. name, function()
			local real, declared = {}, keys_of(functions[name], luacats.fields(classes, name))
			for key in pairs(module) do
				real[key] = true
			end
			assert.same(sorted(real), sorted(declared))
			for key in pairs(functions[name]) do
				assert.is_function(module[key], key)
			end
		end)
	end

	it("are the same modules", function()
		local declared = {}
		for _, file in ipairs(files) do
			if file.meta ~= "_" then
				declared[file.meta] = true
			end
		end
		assert.same(sorted(MODULES), sorted(declared))
	end)

	it("are the same classes of objects", function()
		local real, declared = {}, {}
		for path in shell.check({ "find", "lua", "-name", "*.lua" }):gmatch("[^\n]+") do
			for name in shell.read(path):gmatch('object%.class%("([%w_%.]+)"') do
				real[name] = true
			end
		end
		real["strata.Entry"] = true -- of C
		for name, class in pairs(classes) do
			declared[name] = class.parents[1] == "userdata" or nil
		end
		assert.same(sorted(real), sorted(declared))
		assert.same(sorted(objects), sorted(declared))
	end)

	it("are the same methods", function()
		for name, list in pairs(functions) do
			if not MODULES[name] then
				assert.same(sorted(methods_of(name)), sorted(list), name)
			end
		end
		assert.same({}, sorted(exports.methods(objects["strata.Platform"])))
	end)

	it("are the same fields", function()
		local schema = require("strata.schema")
		local history = require("strata.history")
		local others = {
			["strata.Config"] = {},
			["strata.HistoryRow"] = {},
			["strata.Platform"] = {},
		}
		for pointer in pairs(exports.upvalue(schema.empty, "KINDS")) do
			local key = pointer:match("^/config/(%u%w*)$") or pointer:match("^/([%l%.]+)$")
			others["strata.Config"][key or pointer] = not pointer:find("^/config/.*/") or nil
		end
		for _, name in ipairs(exports.upvalue(exports.upvalue(history.append, "row_text"), "FIELDS")) do
			others["strata.HistoryRow"][name] = true
		end
		for name in exports.source(require("strata.platform").of):gmatch("fields%.(%l+)") do
			others["strata.Platform"][name] = true
		end
		for name, object in pairs(objects) do
			local real = keys_of(exports.fields(object), others[name] or {})
			assert.same(sorted(real), sorted(luacats.fields(classes, name)), name)
		end
	end)

	it("are the same arguments, and as many results", function()
		each_function(function(class, name, item)
			local signature = exports.signature(real_function(class, name))
			if not signature or item.private then
				return
			end
			local params = {}
			for i, param in ipairs(item.params) do
				params[i] = param.name .. (param.optional and "?" or "")
			end
			local where = class .. "." .. name
			assert.same(signature.args, item.args, where)
			assert.same(signature.params, params, where)
			assert.equal(signature.returns, #item.returns, where)
			assert.equal(signature.count or #item.args, #item.args, where)
		end)
	end)

	it("are the same options of new layers", function()
		local function options_of(...)
			local set = keys_of(...)
			for _, kind in ipairs(exports.upvalue(layer_source.check, "KINDS")) do
				set[kind] = true
			end
			return set
		end
		local common = exports.upvalue(layer_source.check, "COMMON")
		assert.same(
			sorted(options_of(common, mapping.OPTIONS, { lower = true, content = true })),
			sorted(luacats.fields(classes, "strata.LayerOptions"))
		)
		local append = require("strata.append")
		local own = exports.upvalue(exports.upvalue(append.run, "check"), "OWN")
		local appended = options_of(common, mapping.OPTIONS, own, { dir = true, layer = true })
		appended.from, appended.upper, appended.overlay_upper = nil, nil, nil
		assert.same(sorted(appended), sorted(luacats.fields(classes, "strata.AppendOptions")))
		local complete = exports.upvalue(require("strata.files").entries, "check_entry")
		assert.same(
			sorted(exports.upvalue(complete, "ENTRY_FIELDS")),
			sorted(luacats.fields(classes, "strata.FileEntry"))
		)
	end)

	it("are the same rules of a policy", function()
		assert.same(
			sorted(exports.upvalue(MODULES["strata.policy"].check, "NAMES")),
			sorted(luacats.fields(classes, "strata.Policy"))
		)
	end)

	it("are the same fields of an entry that can be assigned", function()
		local layer = objects["strata.Layer"]
		for name, field in pairs(luacats.fields(classes, "strata.Entry")) do
			local possible = false
			for entry in layer:entries() do
				possible = possible or pcall(function()
					entry[name] = entry[name]
				end)
			end
			assert.equal(field.description:find("assign", 1, true) ~= nil, possible, name)
		end
	end)
end)

describe("a value of strata", function()
	it("has fields of the types that lua/strata/meta declares", function()
		local other = assert(strata.open(dir:file("layout")))
		local checked = { objects["strata.Image"], other }
		for _, object in pairs(objects) do
			checked[#checked + 1] = object
		end
		for layer in other:layers() do
			checked[#checked + 1] = other.layers[layer]
		end
		for entry in objects["strata.Layer"]:entries() do
			checked[#checked + 1] = entry
		end
		for entry in objects["strata.Rootfs"]:walk() do
			checked[#checked + 1] = entry
		end
		for _, object in ipairs(checked) do
			local name = getmetatable(object).__name
			for key, field in pairs(luacats.fields(classes, name)) do
				assert.is_nil(conform.problem(object[key], field.type, name .. "." .. key))
			end
		end
		other:close()
	end)

	-- Calls what is declared, with what is declared, and holds the results against it.
	local function method(name, ...)
		local class = getmetatable((...)).__name
		return conform.call(class, name, methods_of(class)[name], ...)
	end

	local function call(class, name, ...)
		return conform.call(class, name, MODULES[class][name], ...)
	end

	it("that comes of an image is as declared, and whatever its methods give", function()
		local img = assert(call("strata", "open", app))
		local twin = assert(call("strata", "open", app))
		assert.same(nil, (call("strata", "open", dir:file("none"))))
		for _, name in ipairs({ "history", "inspect", "rootfs", "tree", "waste", "files", "verify", "check" }) do
			assert.is_not_nil(method(name, img), name)
		end
		assert.equal("strata.Layer", getmetatable(select(2, img:layers()())).__name)
		assert.is_not_nil(method("scrub_history", img, "layer"))
		method("tag", img, "app:2")
		method("untag", img, "app:2")
		local lower, upper = img.layers[1], img.layers[2]
		method("drop", upper, "etc/new")
		method("read", lower, "etc/passwd")
		method("filter", lower, function() end)
		method("rewrite", img, function() end)
		assert(method("fold", img))
		assert(method("append", img, { files = { ["etc/added"] = { content = "x", mode = 420 } }, at = 1 }))
		assert(method("move_layer", img, 1, 2))
		assert(method("purge", img, "^etc/added$", { env = "^SECRET=" }))
		assert(method("prune", img))
		assert(method("rebase", img, twin, twin) == nil)
		assert(method("squash", twin, 1, 2))
		assert(method("flatten", twin))
		assert(method("export", twin, dir:file("export.tar")))
		assert(method("extract", twin, dir:file("rootfs"), { unprivileged = true }))
		assert(method("apply", twin.layers[1], dir:file("rootfs2"), { unprivileged = true }))
		assert(call("strata", "plan", twin))
		assert(method("save", twin, dir:file("twin.tar"), { format = "docker" }))
		assert(call("strata", "save", { twin, assert(strata.open(app)) }, dir:file("both.tar"), { format = "oci-archive" }))
		method("clear_history", twin)
		method("close", twin)
	end)

	it("that the functions of strata give is as declared", function()
		assert.equal("strata.Image", getmetatable(assert(call("strata", "images", app))()).__name)
		call("strata", "new", { platform = "linux/arm64" })
		call("strata", "version")
		call("strata", "help", "limits")
		call("strata", "progress")
		call("strata", "array")
		call("strata", "object")
		assert(call("strata", "check_tar", app))
		assert(call("strata", "layer", { files = { a = "b" } }))
		local index = assert(call("strata", "open_index", dir:file("layout")))
		assert(method("each", index, function() end, { platform = "linux/amd64" }))
		assert(method("save", index, dir:file("layout2")))
		method("close", index)
		assert(call("strata.archive", "entries", app, { digest = true }))
		assert(call("strata.waste", "of", objects["strata.Image"].layers))
	end)

	it("that the merged view, a layer and a config give is as declared", function()
		local root = objects["strata.Rootfs"]
		for _, name in ipairs({ "stat", "lstat", "exists", "read", "history", "open" }) do
			assert(method(name, root, "etc/passwd"), name)
		end
		assert(method("readlink", root, "etc/current"))
		method("stat", root, "nowhere")
		assert(method("list", root))
		method("walk", root)
		assert(method("glob", root, "**/pass*"))
		method("tree", root, { path = "etc", layers = true })
		assert(method("read", objects["strata.RootEntry"], 3, 1))
		assert(method("seek", objects["strata.RootFile"], "set", 1))
		assert(method("read", objects["strata.RootFile"], 2))
		method("lines", objects["strata.RootFile"])
		local layer, entry, config = objects["strata.Layer"], objects["strata.Entry"], objects["strata.Config"]
		method("entries", layer)
		method("entry", layer, "etc/passwd")
		method("tree", layer, { depth = 1, width = 1 })
		assert(method("check", layer, { privileged = true, second_reader = false }))
		assert(method("read", entry))
		assert(method("same_content", entry, entry))
		method("text", config)
		method("totable", config)
		method("each", config, "Env")
		assert(method("get_env", config, "PATH"))
		method("get_label", config, "name")
		method("get", config, "/os")
	end)

	it("that a stream gives is as declared", function()
		local transform = assert(call("strata.stream", "image", { tags = { "app:3" } }))
		local type_of = aliases["strata.Transform"].type.type
		assert.same({ "string", "boolean" }, { type((transform(shell.read(app)))), type(select(2, transform(nil))) })
		assert.is_nil(conform.problem(transform, type_of, "transform"))
		local kinds, stream = {}, call("strata.stream", "tar")
		assert(method("feed", stream, shell.read(app)))
		local event = method("next", stream)
		while event do
			kinds[event.type] = true
			event = method("next", stream)
		end
		assert.same({ "data", "end", "entry" }, sorted(kinds))
		assert(method("finish", stream))
		method("close", stream)
	end)

	it("that jobs give is as declared", function()
		assert(call("strata.jobs", "inspect", { path = app }))
		assert(call("strata.jobs", "entries", { path = app, layer = 2, offset = 0, limit = 10 }))
		assert(call("strata.jobs", "list", { path = app, dir = "etc" }))
		assert(call("strata.jobs", "read", { path = app, file = "etc/passwd", max = 10 }))
		assert(call("strata.jobs", "fetch", { path = app, file = "etc/passwd", to = dir:file("passwd") }))
		assert(call("strata.jobs", "check", { path = app, policy = { root_user = true } }).findings[1])
		assert(call("strata.jobs", "save", { path = app, to = dir:file("saved.tar"), save = { format = "docker" } }))
		assert(call("strata.jobs", "filter", {
			path = app,
			to = dir:file("filtered.tar"),
			edit = { drop = { "etc/new" }, owner = { { 0, 5 } }, env = { A = "b" } },
		}))
		assert(call("strata.jobs", "remove", { path = dir:file("saved.tar") }))
		assert.is_nil((call("strata.jobs", "run", "nothing", {})))
		assert(call("strata.policy", "check", objects["strata.Image"], {})[1])
	end)
end)

describe("an option that is read", function()
	-- Options that note which of them are asked for.
	local function traced(given, seen)
		return setmetatable({}, {
			__index = function(_, key)
				seen[key] = true
				return given[key]
			end,
		})
	end

	local function compare(class, seen, others)
		local declared = luacats.fields(classes, class)
		seen.wait, seen.lenient = declared.wait and seen.wait, nil -- for the modules of strata among themselves
		for _, name in ipairs(others or {}) do
			assert.is_truthy(seen[name] or declared[name], name)
			seen[name] = true
		end
		assert.same(sorted(declared), sorted(seen), class)
	end

	local function image()
		return assert(strata.open(app))
	end

	it("by save is declared, and the other way round", function()
		local seen = {}
		for i, format in ipairs({ "docker", "oci" }) do
			local img = image()
			img.config:set_env("A", "b")
			assert(img:save(dir:file("traced" .. i), traced({ format = format }, seen)))
		end
		local layout = assert(strata.open(dir:file("traced2")))
		layout.config:set_env("A", "c")
		assert(layout:save(dir:file("traced2"), traced({}, seen)))
		compare("strata.SaveOptions", seen)
	end)

	it("by an operation is declared, and the other way round", function()
		local function look(class, fn, given, others)
			local seen = {}
			assert(fn(image(), traced(given or {}, seen)))
			compare(class, seen, others)
		end
		look("strata.WorkOptions", function(img, opts)
			return img:flatten(opts)
		end)
		look("strata.WorkOptions", function(img, opts)
			return img:move_layer(2, 2, opts) and img:remove_layer(2, opts)
		end)
		local function by_work(class, fn, given)
			look(class, fn, given, nil)
		end
		by_work("strata.SquashOptions", function(img, opts)
			return img:squash(opts)
		end, { above = 0 })
		by_work("strata.FoldOptions", function(img, opts)
			return img:fold(opts)
		end)
		by_work("strata.PurgeOptions", function(img, opts)
			return img:purge("^nothing$", opts)
		end)
		by_work("strata.ExportOptions", function(img, opts)
			return img:export(dir:file("traced-export"), opts)
		end)
		by_work("strata.RebaseOptions", function(img, opts)
			local base, same = image(), image()
			return img:rebase(base, same, opts)
		end)
	end)

	it("by a check, a tree, a tar or a job is declared, and the other way round", function()
		local seen = {}
		assert(image():check(traced({}, seen)))
		compare("strata.CheckOptions", seen)
		seen = {}
		image():rootfs():tree(traced({}, seen))
		compare("strata.RootTreeOptions", seen)
		seen = {}
		strata.stream.tar(traced({}, seen))
		compare("strata.StreamTarOptions", seen)
		seen = {}
		assert(MODULES["strata.jobs"].run("inspect", { path = app }, traced({ deadline = core.monotonic() + 60 }, seen)))
		compare("strata.JobControl", seen, { "key" }) -- asked for where there is a dictionary
	end)

	-- Some copy the options first: then the sources tell what they read.
	local function read_by(...)
		local seen = {}
		for _, path in ipairs({ ... }) do
			for name in shell.read(path):gmatch("%f[%w_]opts%.([%w_]+)") do
				seen[name] = true
			end
		end
		return seen
	end

	it("by extract, by the opening of an image, by a stream or by strata.resty is declared", function()
		local seen = read_by("lua/strata/extract.lua", "lua/strata/work.lua")
		seen.wait = nil -- of streams
		compare("strata.ExtractOptions", seen)
		compare("strata.OpenOptions", read_by("lua/strata/source.lua", "lua/strata/choose.lua"))
		seen = read_by("lua/strata/stream/image.lua", "lua/strata/stream/ending.lua", "lua/strata/choose.lua")
		compare("strata.NewOptions", { platform = true, created = true })
		seen.threads, seen.wait, seen.strict = true, true, nil
		compare("strata.StreamImageOptions", seen)
		seen = read_by("lua/strata/resty.lua")
		local own = { "pool", "threads", "detached" }
		assert.same(
			sorted(keys_of(luacats.fields(classes, "strata.RestyOptions"), { detached = true })),
			sorted(keys_of(seen, { [own[1]] = true, [own[2]] = true }))
		)
	end)
end)

describe("strata.help", function()
	local help = exports.upvalue(require("strata.help").text, "TEXTS")
	local module_text = exports.upvalue(require("strata.help").text, "MODULE")

	-- What a text has at its top level: names with arguments and those without. Remarks stand four spaces behind it.
	local function names_of(text)
		local called, plain = {}, {}
		text = text:match("^[^\n]+\n(.*)$"):gsub("(%S)    [^\n]*", "%1"):gsub(" %.%.%. [^\n]*", "")
		local rest = text:gsub("([%w_%.]+)(%b())", function(name)
			called[name] = true
			return ""
		end)
		rest = rest:gsub("([%w_%.]+)(%b{})", function(name)
			called[name] = true
			return ""
		end)
		for name in rest:gmatch("[%w_]+") do
			plain[name] = true
		end
		return called, plain
	end

	it("tells the methods and fields of every object, and no others", function()
		for name in pairs(objects) do
			local text = help[name]
			if name == "strata.Platform" or name == "strata.RootFile" then
				assert.is_nil(text, name)
			else
				local called, plain = names_of(text)
				local public, fields = {}, {}
				for key, item in pairs(functions[name] or {}) do
					public[key] = not item.private or nil
				end
				for key, field in pairs(luacats.fields(classes, name)) do
					fields[key] = not field.private or nil
				end
				local words = keys_of(called, plain)
				for key in pairs(words) do
					assert.is_truthy(public[key] or fields[key], name .. ": " .. key)
				end
				for key in pairs(name == "strata.Config" and public or keys_of(public, fields)) do
					assert.is_truthy(words[key], name .. " lacks " .. key)
				end
			end
		end
	end)

	it("tells the functions of the module, and no others", function()
		local called, plain = names_of(module_text)
		local words = keys_of(called, plain)
		words["stream.image"], words["stream.tar"], words.stream = nil, nil, true
		local public = keys_of(functions.strata, luacats.fields(classes, "strata"))
		public._VERSION = nil
		assert.same(sorted(public), sorted(words))
	end)

	-- The options that a parameter may have.
	local function options_of(param)
		local fields = {}
		luacats.each_name(param.type, function(name)
			for key in pairs(luacats.fields(classes, name)) do
				fields[key] = true
			end
		end)
		for _, one in ipairs(param.type.members or {}) do
			fields[one.name] = true
		end
		return fields
	end

	it("tells options that there are", function()
		local function check(class, name, args)
			local options = {}
			for _, param in ipairs(functions[class][name].params) do
				options = keys_of(options, options_of(param))
			end
			for option in args:gmatch("([%w_]+) *=") do
				assert.is_truthy(options[option], ("%s.%s: %s"):format(class, name, option))
			end
		end
		for class, text in pairs(help) do
			for name, args in text:gmatch("([%w_]+)(%b{})") do
				check(class, name, args)
			end
			for name, args in text:gmatch("([%w_]+)%([^%(%)]-(%b{})%)") do
				check(class, name, args)
			end
		end
		for name, args in module_text:gmatch("%f[%w_%.]([%w_]+)(%b{})") do
			check("strata", name, args)
		end
		for name, args in module_text:gmatch("%f[%w_%.]([%w_]+)%([^%(%)]-(%b{})%)") do
			check("strata", name, args)
		end
		for name, args in module_text:gmatch("stream%.([%w_]+)(%b{})") do
			check("strata.stream", name, args)
		end
	end)
end)
