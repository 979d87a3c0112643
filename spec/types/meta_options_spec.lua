-- The options that are read are those that lua/strata/meta declares.

local conform = require "spec.support.conform"
local core = require "strata.core"
local exports = require "spec.support.exports"
local luacats = require "doc.luacats"
local names = require "spec.support.names"
local options = require "strata.util.options"
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
		-- Those are for the modules of strata among themselves.
		seen.wait, seen.lenient, seen.contents = declared.wait and seen.wait, nil, nil
		seen.drops, seen.drops_whiteouts = nil, nil
		for _, name in ipairs(others or {}) do
			assert.is_truthy(seen[name] or declared[name], name)
			seen[name] = true
		end
		assert.same(sorted(declared), sorted(seen), class)
	end

	local function image()
		return assert(strata.open(specimen.app))
	end

	it("by save is declared, and the other way round", function()
		local seen = {}
		for i, format in ipairs({ "docker", "oci" }) do
			local img = image()
			img.config:set_env("A", "b")
			assert(img:save(specimen.dir:file("traced" .. i), traced({ format = format }, seen)))
		end
		local layout = assert(strata.open(specimen.dir:file("traced2")))
		layout.config:set_env("A", "c")
		assert(layout:save(specimen.dir:file("traced2"), traced({}, seen)))
		compare("strata.SaveOptions", seen)
	end)

	it("by an operation is declared, and the other way round", function()
		local function look(class, fn, given, others)
			local seen = {}
			assert(fn(image(), traced(given or {}, seen)))
			compare(class, seen, others)
		end
		look("strata.FlattenOptions", function(img, opts)
			return img:flatten(opts)
		end)
		look("strata.WasteOptions", function(img, opts)
			return img:waste(opts)
		end)
		look("strata.DiffOptions", function(img, opts)
			local other = image()
			assert(other:remove("etc/new"))
			return strata.diff(img, other, opts)
		end, nil, { "open" }) -- asked for where a path is given
		look("strata.DiffReportOptions", function(img, opts)
			return strata.diff_report(assert(strata.diff(img, img)), opts)
		end)
		look("strata.ImageTreeOptions", function(img, opts)
			return img:tree(opts)
		end)
		look("strata.WorkOptions", function(img, opts)
			return img:move_layer(2, 2, opts) and img:remove_layer(2, opts)
		end)
		look("strata.RemoveOptions", function(img, opts)
			return img:remove("etc/nothing", opts)
		end, { optional = true })
		look("strata.RemoveOptions", function(img, opts)
			return img.layers[1]:remove("etc/nothing", opts)
		end, { optional = true })
		local function by_work(class, fn, given)
			look(class, fn, given, nil)
		end
		by_work("strata.SquashOptions", function(img, opts)
			return img:squash(opts)
		end, { above = 0 })
		by_work("strata.FoldOptions", function(img, opts)
			return img:fold(opts)
		end)
		by_work("strata.NormalizeOptions", function(img, opts)
			return img:normalize(opts)
		end, { epoch = 0 })
		by_work("strata.RechunkOptions", function(img, opts)
			return img:rechunk(opts)
		end)
		by_work("strata.WorkOptions", function(img, opts)
			return img:split(1, "etc/passwd", opts)
		end)
		by_work("strata.LayerSaveOptions", function(img, opts)
			return img.layers[1]:save(specimen.dir:file("traced-layer"), opts)
		end, { compression = "gzip" })
		by_work("strata.PurgeOptions", function(img, opts)
			return img:purge("nothing", opts)
		end, { optional = true })
		by_work("strata.RepairOptions", function(img, opts)
			return img:repair("history", opts)
		end)
		by_work("strata.ExportOptions", function(img, opts)
			return img:export(specimen.dir:file("traced-export"), opts)
		end)
		by_work("strata.RootExportOptions", function(img, opts)
			return img:rootfs():export(specimen.dir:file("traced-part"), opts)
		end, { which = "etc/new" })
		by_work("strata.DigestOptions", function(img, opts)
			return img:rootfs():digests("etc/new", opts)
		end)
		look("strata.EntryJsonOptions", function(img, opts)
			return img:rootfs():stat("etc/new"):json(opts)
		end)
		by_work("strata.RebaseOptions", function(img, opts)
			local base, same = image(), image()
			return img:rebase(base, same, opts)
		end)
	end)

	it("by a check, a tree, a tar or a job is declared, and the other way round", function()
		local seen = {}
		assert(image():check(traced({}, seen)))
		compare("strata.CheckOptions", seen, { "temp_dir" }) -- asked for where a layer is compressed
		seen = {}
		image():rootfs():tree(traced({}, seen))
		compare("strata.TreeOptions", seen)
		seen = {}
		strata.stream.tar(traced({}, seen))
		compare("strata.StreamTarOptions", seen)
		seen = {}
		local control = traced({ deadline = core.monotonic() + 60 }, seen)
		assert(specimens.MODULES["strata.jobs"].run("inspect", { path = specimen.app }, control))
		compare("strata.JobControl", seen, { "key" }) -- asked for where there is a dictionary
	end)

	-- Some copy the options first: then the sources tell what they read.
	local function named_in(...)
		local seen = {}
		for _, text in ipairs({ ... }) do
			for name in text:gmatch("%f[%w_]opts%.([%w_]+)") do
				seen[name] = true
			end
		end
		return seen
	end

	local function source(name)
		return shell.read(("lua/strata/%s.lua"):format(name))
	end

	it("by extract is declared, and the other way round", function()
		local seen = named_in(source("layer/extract"), source("util/job"))
		compare("strata.ExtractOptions", seen)
		seen.mode, seen.view, seen.xattrs, seen.optional = nil, nil, nil, true
		compare("strata.RootExtractOptions", seen)
	end)

	it("by what opens or makes an image is declared, and the other way round", function()
		local readers = { "store/open", "dialect/detect", "dialect/docker/hybrid", "dialect/choose" }
		for i, name in ipairs(readers) do
			readers[i] = source(name)
		end
		local seen = named_in((unpack or table.unpack)(readers))
		compare("strata.OpenOptions", seen, { "threads", "progress", "registry", "manifest" })
		compare("strata.NewOptions", named_in(exports.source(strata.new)))
	end)

	it("by a stream is declared, and the other way round", function()
		local seen = named_in(
			source("stream/image"),
			source("stream/finish"),
			source("dialect/choose"),
			source("util/job")
		)
		seen.strict = nil -- what stream/image.lua refuses
		compare("strata.StreamImageOptions", seen)
	end)

	it("by strata.resty is declared, and the other way round", function()
		local resty = specimens.MODULES["strata.resty"]
		compare("strata.RunOptions", named_in(exports.source(specimen:methods("strata.Resty").run)))
		compare("strata.RestyOptions", named_in(exports.source(resty.new)))
	end)
end)

describe("lua/strata/meta/options.lua", function()
	it("is what doc/option_types.lua makes of the options that there are (make types)", function()
		assert.equal(require("doc.option_types").text(), shell.read("lua/strata/meta/options.lua"))
	end)
end)

describe("an option that there is not, or of another type", function()
	local jobs = specimens.MODULES["strata.jobs"]
	local img

	setup(function()
		img = assert(strata.open(specimen.app))
	end)

	teardown(function()
		img:close()
	end)

	local function path()
		return specimen.dir:file("never")
	end

	local REF = "docker://127.0.0.1:1/never:1"

	-- Every call that takes options: their class, what it needs besides, and the call, which must not be a tail call:
	-- that has no line.
	-- stylua: ignore
	local CALLS = {
		open = { "OpenOptions", {}, function(opts) return (strata.open(specimen.app, opts)) end },
		images = { "OpenOptions", {}, function(opts) return (strata.images(specimen.app, opts)) end },
		open_index = { "IndexOptions", {}, function(opts) return (strata.open_index(specimen.app, opts)) end },
		new = { "NewOptions", {}, function(opts) return (strata.new(opts)) end },
		plan = { "SaveOptions", {}, function(opts) return (img:plan(opts)) end },
		plan_of_a_push = { "PlanOptions", { to = REF }, function(opts) return (img:plan(opts)) end },
		push = { "PushOptions", {}, function(opts) return (img:save(REF, opts)) end },
		copy = { "CopyOptions", {}, function(opts) return (strata.copy(specimen.app, path(), opts)) end },
		copy_to_a_registry = { "CopyPushOptions", {}, function(opts) return (strata.copy(specimen.app, REF, opts)) end },
		registry = { "RegistryOptions", {}, function(opts) return (strata.registry(opts)) end },
		registry_mirror = { "MirrorOptions", { host = "a" }, function(opts)
			return (strata.registry({ mirrors = { a = { opts } } }))
		end },
		registry_credentials = { "RegistryCredentials", { token = "a" }, function(opts)
			return (strata.registry({ credentials = { a = opts } }))
		end },
		registry_host = { "RegistryHostOptions", {}, function(opts) return (strata.registry({ hosts = { a = opts } })) end },
		save_of_several = { "SaveImagesOptions", {}, function(opts) return (strata.save({ img }, path(), opts)) end },
		check_tar = { "CheckOptions", {}, function(opts) return (strata.check_tar(specimen.app, opts)) end },
		stream_image = { "StreamImageOptions", {}, function(opts) return (strata.stream.image(opts)) end },
		stream_tar = { "StreamTarOptions", {}, function(opts) return (strata.stream.tar(opts)) end },
		layer = { "LayerOptions", { files = {} }, function(opts) return (strata.layer(opts)) end },
		files = { "FileEntry", {}, function(opts) return (strata.layer({ files = { a = opts } })) end },
		owner = { "Owners", {}, function(opts) return (strata.layer({ files = {}, owner = opts })) end },
		append = { "AppendOptions", { files = {} }, function(opts) return (img:append(opts)) end },
		squash_above = { "SquashOptions", { above = 0 }, function(opts) return (img:squash(opts)) end },
		squash = { "FlattenOptions", {}, function(opts) return (img:squash(1, 2, opts)) end },
		flatten = { "FlattenOptions", {}, function(opts) return (img:flatten(opts)) end },
		remove_layer = { "WorkOptions", {}, function(opts) return (img:remove_layer(1, opts)) end },
		move_layer = { "WorkOptions", {}, function(opts) return (img:move_layer(1, 2, opts)) end },
		verify = { "WorkOptions", {}, function(opts) return (img:verify(opts)) end },
		fold = { "FoldOptions", {}, function(opts) return (img:fold(opts)) end },
		rebase = { "RebaseOptions", {}, function(opts) return (img:rebase(img, img, opts)) end },
		export = { "ExportOptions", {}, function(opts) return (img:export(path(), opts)) end },
		normalize = { "NormalizeOptions", { epoch = 0 }, function(opts) return (img:normalize(opts)) end },
		rechunk = { "RechunkOptions", {}, function(opts) return (img:rechunk(opts)) end },
		split = { "WorkOptions", {}, function(opts) return (img:split(1, "etc", opts)) end },
		split_size = { "SplitSize", { size = 5000 }, function(opts) return (img:split(1, opts)) end },
		save_of_a_layer = { "LayerSaveOptions", {}, function(opts) return (img.layers[1]:save(path(), opts)) end },
		purge = { "PurgeOptions", {}, function(opts) return (img:purge("nothing", opts)) end },
		repair = { "RepairOptions", {}, function(opts) return (img:repair("history", opts)) end },
		save = { "SaveOptions", {}, function(opts) return (img:save(path(), opts)) end },
		extract = { "ExtractOptions", {}, function(opts) return (img:extract(path(), opts)) end },
		apply = { "ExtractOptions", {}, function(opts) return (img.layers[1]:apply(path(), opts)) end },
		extract_of_the_root = { "RootExtractOptions", {}, function(opts)
			return (img:rootfs():extract("etc", path(), opts))
		end },
		export_of_the_root = { "RootExportOptions", {}, function(opts) return (img:rootfs():export(path(), opts)) end },
		digests = { "DigestOptions", {}, function(opts) return (img:rootfs():digests("etc", opts)) end },
		json = { "EntryJsonOptions", {}, function(opts) return (img:rootfs():stat("etc"):json(opts)) end },
		check = { "CheckOptions", {}, function(opts) return (img:check(opts)) end },
		check_of_a_layer = { "CheckOptions", {}, function(opts) return (img.layers[1]:check(opts)) end },
		rootfs = { "RootfsOptions", {}, function(opts) return (img:rootfs(opts)) end },
		waste = { "WasteOptions", {}, function(opts) return (img:waste(opts)) end },
		diff = { "DiffOptions", {}, function(opts) return (strata.diff(img, img, opts)) end },
		diff_report = { "DiffReportOptions", {}, function(opts)
			local same = assert(strata.diff(img, img))
			return (strata.diff_report(same, opts))
		end },
		tree = { "ImageTreeOptions", {}, function(opts) return (img:tree(opts)) end },
		tree_of_a_layer = { "TreeOptions", {}, function(opts) return (img.layers[1]:tree(opts)) end },
		tree_of_the_root = { "TreeOptions", {}, function(opts) return (img:rootfs():tree(opts)) end },
		images_of_an_index = { "SelectorOptions", {}, function(opts)
			local index = assert(strata.open_index(specimen.app))
			return (index:images(opts))
		end },
		save_of_an_index = { "SaveOptions", {}, function(opts)
			local index = assert(strata.open_index(specimen.app))
			return (index:save(path(), opts))
		end },
		plan_of_an_index = { "SaveOptions", {}, function(opts)
			local index = assert(strata.open_index(specimen.app))
			return (index:plan(opts))
		end },
		add = { "IndexAddOptions", {}, function(opts)
			local index = assert(strata.open_index(specimen.app))
			return (index:add(img, opts))
		end },
		remove_of_an_index = { "IndexRemoveOptions", {}, function(opts)
			local index = assert(strata.open_index(specimen.app))
			return (index:remove("app", opts))
		end },
		which_of_an_index = { "ManifestOptions", { kind = "image" }, function(opts)
			local index = assert(strata.open_index(specimen.app))
			return (index:remove(opts))
		end },
		gc = { "GcOptions", {}, function(opts) return (strata.gc(specimen.app, opts)) end },
		artifact = { "ArtifactOptions", { type = "a/b", files = { a = "b" } }, function(opts)
			return (strata.artifact(opts))
		end },
		artifact_file = { "ArtifactFile", { content = "a" }, function(opts)
			return (strata.artifact({ type = "a/b", files = { a = opts } }))
		end },
		open_artifact = { "ArtifactOpenOptions", {}, function(opts) return (strata.open_artifact(specimen.app, opts)) end },
		save_of_an_artifact = { "ArtifactSaveOptions", {}, function(opts)
			return (specimen.objects["strata.Artifact"]:save(path(), opts))
		end },
		referrers = { "ReferrersOptions", {}, function(opts) return (img:referrers(opts)) end },
		referrers_of_an_index = { "IndexReferrersOptions", {}, function(opts)
			local index = assert(strata.open_index(specimen.app))
			return (index:referrers(opts))
		end },
		annotation_of_an_index = { "IndexAnnotationOptions", {}, function(opts)
			local index = assert(strata.open_index(specimen.app))
			return (index:set_annotation("a", "b", opts))
		end },
		policy = { "Policy", {}, function(opts) return (specimens.MODULES["strata.policy"].check(img, opts)) end },
		secrets = { "PolicySecrets", {}, function(opts)
			return (specimens.MODULES["strata.policy"].check(img, { secrets = opts }))
		end },
		has_file = { "WantedFile", {}, function(opts)
			return (specimens.MODULES["strata.assert"].has_file(img, "etc/passwd", opts))
		end },
		edit = { "EditTable", {}, function(opts)
			return (jobs.edit({ path = specimen.app, to = path(), edit = opts }))
		end },
		config = { "LookArguments", {}, function(opts) return (jobs.config(opts)) end },
		inspect = { "LookArguments", {}, function(opts) return (jobs.inspect(opts)) end },
		entries = { "EntriesArguments", { layer = 1 }, function(opts) return (jobs.entries(opts)) end },
		list = { "ListArguments", {}, function(opts) return (jobs.list(opts)) end },
		largest = { "LargestArguments", {}, function(opts) return (jobs.largest(opts)) end },
		paths = { "PathsArguments", {}, function(opts) return (jobs.paths(opts)) end },
		waste_of_a_job = { "PageArguments", {}, function(opts) return (jobs.waste(opts)) end },
		dropped_waste = { "RemoveOptions", {}, function(opts) return (img:drop_waste(nil, opts)) end },
		read = { "ReadArguments", { file = "a" }, function(opts) return (jobs.read(opts)) end },
		fetch = { "FetchArguments", { file = "a", to = "b" }, function(opts) return (jobs.fetch(opts)) end },
		job_edit = { "EditArguments", { to = "b" }, function(opts) return (jobs.edit(opts)) end },
		job_save = { "SaveArguments", { to = "b" }, function(opts) return (jobs.save(opts)) end },
		job_check = { "CheckArguments", {}, function(opts) return (jobs.check(opts)) end },
		job_call = { "CallArguments", { module = "b" }, function(opts) return (jobs.call(opts)) end },
		job_diff = { "DiffArguments", { other = { path = "b" } }, function(opts) return (jobs.diff(opts)) end },
		remove_of_an_image = { "RemoveOptions", {}, function(opts) return (img:remove("etc", opts)) end },
		remove_of_a_layer = { "RemoveOptions", {}, function(opts) return (img.layers[1]:remove("etc", opts)) end },
		job_rebase = { "EditBase", { from = "a", onto = "b" }, function(opts)
			return (jobs.edit({ path = specimen.app, to = path(), edit = { rebase = opts } }))
		end },
		job_index = { "JobArguments", {}, function(opts) return (jobs.index(opts)) end },
		digest = { "PathArguments", {}, function(opts) return (jobs.digest(opts)) end },
		remove = { "PathArguments", {}, function(opts) return (jobs.remove(opts)) end },
		resty = { "RestyOptions", { pool = "a", threads = 1 }, function(opts)
			return (specimens.MODULES["strata.resty"].new(opts))
		end },
		run = { "RunOptions", {}, function(opts)
			return (specimen:methods("strata.Resty").run({}, "inspect", {}, opts))
		end },
	}

	-- A call with one option more, or another one.
	local function message_of(call, name, value)
		local opts = options.rows[call[1]].path and { path = specimen.app } or {}
		for key, needed in pairs(call[2]) do
			opts[key] = needed
		end
		opts[name] = value
		local ok, message = pcall(call[3], opts)
		assert.is_false(ok, name)
		assert.matches("^spec/types/meta_options_spec.lua:%d+: ", message)
		assert.matches(name, message, 1, true)
		return message
	end

	for name, call in pairs(CALLS) do
		it(("is misuse, and nothing is done: %s"):format(name), function()
			assert.matches("has no %a+ 'wrong'", message_of(call, "wrong", 1))
			for option, row in options.each(call[1]) do
				local message = message_of(call, option, coroutine.create(path))
				assert.matches(option .. " should be .*, not a thread$", message)
				if row.min then
					message_of(call, option, row.min - 1)
				end
				if row[2]:find('^"') or row[2] == "integer" then
					message_of(call, option, "wrong")
				end
				if row.required then
					assert.matches(option .. " is missing$", message_of(call, option, nil))
				end
			end
			assert.is_false(pcall(call[3], 42))
			assert.is_false(img.edited)
			assert.is_nil(io.open(path()))
		end)
	end

	it("is looked for in every class that some call takes", function()
		local taken = { JobControl = true } -- below: of a call that throws nothing
		local function take(name)
			taken[name] = true
			for _, class in ipairs(options.classes) do
				for _, parent in ipairs(class[1] == name and class.extends or {}) do
					take(parent)
				end
			end
		end
		for _, call in pairs(CALLS) do
			take(call[1])
		end
		assert.same(sorted(options.rows), sorted(taken))
	end)

	it("is EINVAL in the arguments of a job, without a line", function()
		for name, args in pairs({
			check = { path = specimen.app, polcy = {} },
			edit = { path = specimen.app, to = path(), edit = { remov = {} } },
			save = { path = specimen.app, to = path(), save = { fromat = "oci" } },
			inspect = { path = specimen.app, open = { rf = "a" } },
		}) do
			local result, message, code = jobs.run(name, args)
			assert.is_nil(result)
			assert.equal("EINVAL", code)
			assert.matches("^" .. name .. "[^\n]* has no option '%a+'; did you mean '%a+'%?$", message)
		end
		for _, control in ipairs({ { deadlin = 1 }, { deadline = "1" }, "wrong" }) do
			local result, message, code = jobs.run("inspect", { path = specimen.app }, control)
			assert.is_nil(result)
			assert.equal("EINVAL", code)
			assert.matches("^inspect", message)
		end
	end)
end)
