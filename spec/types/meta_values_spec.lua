-- What functions and methods give, and what fields hold, is of the types that lua/strata/meta declares.

local conform = require "spec.support.conform"
local luacats = require "doc.luacats"
local names = require "spec.support.names"
local shell = require "spec.support.shell"
local specimens = require "spec.support.specimens"
local strata = require "strata"

local classes = conform.classes
local sorted = names.sorted

local specimen

setup(function()
	specimen = specimens.new()
end)

teardown(function()
	specimen:close()
end)

describe("a value of strata", function()
	it("has fields of the types that lua/strata/meta declares", function()
		local other = assert(strata.open(specimen.dir:file("layout")))
		local checked = { specimen.objects["strata.Image"], other }
		for _, object in pairs(specimen.objects) do
			checked[#checked + 1] = object
		end
		for layer in other:layers() do
			checked[#checked + 1] = other.layers[layer]
		end
		for entry in specimen.objects["strata.Layer"]:entries() do
			checked[#checked + 1] = entry
		end
		for entry in specimen.objects["strata.Rootfs"]:walk() do
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
		return conform.call(class, name, specimen:methods(class)[name], ...)
	end

	local function call(class, name, ...)
		return conform.call(class, name, specimens.MODULES[class][name], ...)
	end

	it("that comes of an image is as declared, and whatever its methods give", function()
		local img = assert(call("strata", "open", specimen.app))
		local twin = assert(call("strata", "open", specimen.app))
		assert.same(nil, (call("strata", "open", specimen.dir:file("none"))))
		local looks = { "history", "inspect", "rootfs", "tree", "waste", "files", "verify", "check", "entries", "plan" }
		for _, name in ipairs(looks) do
			assert.is_not_nil(method(name, img), name)
		end
		assert.equal("strata.Layer", getmetatable(select(2, img:layers()())).__name)
		assert.is_not_nil(method("scrub_history", img, "layer"))
		method("tag", img, "app:2")
		method("untag", img, "app:2")
		local lower, upper = img.layers[1], img.layers[2]
		assert.equal("etc/new", select(2, method("remove", upper, "etc/new"))[1].path)
		assert.is_nil((method("remove", upper, "etc/new")))
		method("read", lower, "etc/passwd")
		method("filter", lower, function()
			return true
		end)
		method("rewrite", img, function() end)
		assert(method("fold", img))
		assert(method("append", img, { files = { ["etc/added"] = { content = "x", mode = 420 } }, at = 1 }))
		assert(method("move_layer", img, 1, 2))
		assert.is_nil((method("remove", img, "nothing")))
		assert.same({}, select(2, method("remove", img, "nothing", { optional = true })))
		local purged = assert(method("purge", img, "etc/added", { env = "^SECRET=", optional = true }))
		assert.same({ "no variable matches '^SECRET='" }, purged.missed)
		assert.is_not_nil(assert(method("normalize", img, { epoch = 0, owner = { uid = 9 } })).layers[1])
		assert.is_nil(assert(method("repair", img, true)).absent)
		assert.same({ "history" }, assert(method("repair", img, { "history" })).absent)
		assert(method("prune", img))
		assert(method("rebase", img, twin, twin) == nil)
		assert(method("squash", twin, 1, 2))
		assert(method("rechunk", twin, { by = "directory", chunks = 3 }))
		assert(method("split", twin, 1, { size = 1024 }))
		assert(method("save", twin.layers[1], specimen.dir:file("layer.tar"), { compression = "gzip" }))
		assert(method("flatten", twin))
		assert(method("export", twin, specimen.dir:file("export.tar")))
		assert(method("extract", twin, specimen.dir:file("rootfs"), { unprivileged = true }))
		assert(method("apply", twin.layers[1], specimen.dir:file("rootfs2"), { unprivileged = true }))
		assert.equal("new\n", method("read", twin, "etc/new"))
		assert(method("save", twin, specimen.dir:file("twin.tar"), { format = "docker" }))
		local third = assert(strata.open(specimen.app))
		third.tags = { "third:1" }
		assert(call("strata", "save", { twin, third }, specimen.dir:file("both.tar"), { format = "oci-archive" }))
		method("clear_history", twin)
		assert(method("revert", twin))
		method("close", twin)
	end)

	it("that the functions of strata give is as declared", function()
		assert.equal("strata.Image", getmetatable(assert(call("strata", "images", specimen.app))()).__name)
		call("strata", "new", { platform = "linux/arm64" })
		call("strata", "versions")
		call("strata", "help", "limits")
		call("strata", "progress")
		call("strata", "on_wait", function() end)
		assert.is_function(call("strata", "on_wait"))
		assert.is_true(call("strata", "matcher", "usr/**/*.pyc")("usr/lib/a.pyc"))
		call("strata", "array")
		call("strata", "object")
		assert(call("strata", "check_tar", specimen.app))
		assert(call("strata", "layer", { files = { a = "b" } }))
		local index = assert(call("strata", "open_index", specimen.dir:file("layout")))
		assert(method("images", index, { platform = "linux/amd64" }))
		assert(method("save", index, specimen.dir:file("layout2")))
		method("close", index)
		local other = assert(strata.open(specimen.app))
		assert(other:remove({ "etc/removed", "etc/current" }))
		assert(other:append({ files = { ["etc/current"] = "x", ["dev/null"] = { type = "char", major = 1, minor = 3 },
			["etc/x"] = { type = "hardlink", linkpath = "etc/current" } } }))
		assert(other:rewrite(function(entry)
			if entry.path == "etc/passwd" then
				entry.atime, entry.mtime, entry.uname, entry.xattrs = 1, 2, "joe", { ["user.a"] = "b" }
			end
		end))
		other.config.Cmd = { "x" }
		local diff = assert(call("strata", "diff", specimen.app, other))
		assert.is_true(#diff.files > 4 and #diff.config > 0 and #diff.history > 0 and #diff.layers == 3)
		assert.is_true(call("strata", "diff", specimen.app, specimen.app, { semantic = true }).equal)
		call("strata", "diff_report", diff, { format = "html" })
		assert(call("strata.waste", "of", specimen.objects["strata.Image"].layers))
	end)

	it("that the merged view, a layer and a config give is as declared", function()
		local root = specimen.objects["strata.Rootfs"]
		for _, name in ipairs({ "stat", "lstat", "exists", "read", "history", "open" }) do
			assert(method(name, root, "etc/passwd"), name)
		end
		assert(method("readlink", root, "etc/current"))
		method("stat", root, "nowhere")
		assert(method("list", root))
		method("walk", root)
		assert(method("glob", root, "**/pass*"))
		method("tree", root, { path = "etc", layers = true })
		assert(method("packages", root))
		assert(method("digests", root, "etc"))
		assert(method("json", specimen.objects["strata.RootEntry"], { digest = true }))
		assert(method("export", root, specimen.dir:file("part.tar"), { which = "etc" }))
		assert(method("extract", root, "etc/new", specimen.dir:file("part"), { unprivileged = true }))
		assert(method("read", specimen.objects["strata.RootEntry"], 3, 1))
		assert(method("seek", specimen.objects["strata.RootFile"], "set", 1))
		assert(method("read", specimen.objects["strata.RootFile"], 2))
		method("lines", specimen.objects["strata.RootFile"])
		local objects = specimen.objects
		local layer, entry, config = objects["strata.Layer"], objects["strata.Entry"], objects["strata.Config"]
		method("entries", layer, 1)
		assert(method("list", layer, "etc", 0, 10))
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
		assert.same({ "string", "boolean" }, { type((transform(shell.read(specimen.app)))), type(select(2, transform(nil))) })
		assert.is_nil(conform.problem(transform, { kind = "name", name = "strata.Transform" }, "transform"))
		method("close", transform)
		local kinds, stream = {}, call("strata.stream", "tar")
		assert(method("feed", stream, shell.read(specimen.app)))
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
		assert(call("strata.jobs", "config", { path = specimen.app }))
		assert(call("strata.jobs", "inspect", { path = specimen.app }))
		assert(call("strata.jobs", "entries", { path = specimen.app, layer = 2, offset = 0, limit = 10 }))
		assert(call("strata.jobs", "list", { path = specimen.app, dir = "etc" }))
		assert(call("strata.jobs", "read", { path = specimen.app, file = "etc/passwd", max = 10 }))
		assert(call("strata.jobs", "fetch", { path = specimen.app, file = "etc/passwd", to = specimen.dir:file("passwd") }))
		assert(call("strata.jobs", "check", { path = specimen.app, policy = { root_user = true } }).findings[1])
		assert(call("strata.jobs", "save", {
			path = specimen.app,
			to = specimen.dir:file("saved.tar"),
			save = { format = "docker" },
		}))
		assert(call("strata.jobs", "edit", {
			path = specimen.app,
			to = specimen.dir:file("filtered.tar"),
			edit = { remove = { "etc/new", "nothing" }, optional = true, owner = { { 0, 5 } }, env = { A = "b" } },
		}))
		assert(call("strata.jobs", "edit", {
			path = specimen.app,
			to = specimen.dir:file("mended.tar"),
			edit = { repair = true, normalize = { epoch = 0 }, ports = { ["80"] = true }, volumes = { ["/a"] = true } },
		}).repaired)
		assert(call("strata.jobs", "diff", {
			path = specimen.app,
			other = { path = specimen.dir:file("filtered.tar") },
			diff = { semantic = true },
			limit = 10,
		}).counts)
		assert(call("strata.jobs", "remove", { path = specimen.dir:file("saved.tar") }))
		assert.is_nil((call("strata.jobs", "run", "nothing", {})))
		assert(call("strata.policy", "check", specimen.objects["strata.Image"], {})[1])
	end)
end)
