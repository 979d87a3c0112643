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
		seen.wait, seen.lenient = declared.wait and seen.wait, nil -- for the modules of strata among themselves
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
			return img:export(specimen.dir:file("traced-export"), opts)
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
		compare("strata.ExtractOptions", named_in(source("layer/extract"), source("util/job")))
	end)

	it("by what opens or makes an image is declared, and the other way round", function()
		local seen = named_in(source("store/open"), source("dialect/detect"), source("dialect/choose"))
		compare("strata.OpenOptions", seen, { "threads", "progress" })
		compare("strata.NewOptions", named_in(exports.source(strata.new)))
	end)

	it("by a stream is declared, and the other way round", function()
		local seen = named_in(
			source("stream/image"),
			source("stream/finish"),
			source("dialect/choose"),
			source("util/job")
		)
		seen.strict = nil -- what choose.lua reads for strata.open alone
		compare("strata.StreamImageOptions", seen)
	end)

	it("by strata.resty is declared, and the other way round", function()
		local resty = specimens.MODULES["strata.resty"]
		compare("strata.RunOptions", named_in(exports.source(specimen:methods("strata.Resty").run)))
		local seen = named_in(exports.source(resty.new), exports.source(exports.upvalue(resty.new, "check")))
		compare("strata.RestyOptions", seen, { "pool" })
	end)
end)

describe("an option that there is", function()
	for class, known in pairs(options.names) do
		it(("of %s is declared, and the other way round"):format(class), function()
			-- What has no class of its own is declared where it is taken.
			local declared = class == "RootfsOptions" and { upto = true }
				or class == "RemoveArguments" and { path = true }
				or luacats.fields(classes, "strata." .. class)
			assert.same(sorted(declared), sorted(known))
		end)
	end
end)

describe("an option that there is not", function()
	local img

	before_each(function()
		img = assert(strata.open(specimen.app))
	end)

	after_each(function()
		img:close()
	end)

	local wrong = { wrong = 1 }
	local path = function()
		return specimen.dir:file("never")
	end
	local calls = {
		open = function()
			return strata.open(specimen.app, wrong)
		end,
		images = function()
			return strata.images(specimen.app, wrong)
		end,
		open_index = function()
			return strata.open_index(specimen.app, wrong)
		end,
		new = function()
			return strata.new(wrong)
		end,
		plan = function()
			return strata.plan(img, wrong)
		end,
		["save of several"] = function()
			return strata.save({ img }, path(), wrong)
		end,
		check_tar = function()
			return strata.check_tar(specimen.app, wrong)
		end,
		["stream.image"] = function()
			return strata.stream.image(wrong)
		end,
		["stream.tar"] = function()
			return strata.stream.tar(wrong)
		end,
		["a layer"] = function()
			return strata.layer({ files = { a = "1" }, wrong = 1 })
		end,
		["append"] = function()
			return img:append({ files = { a = "1" }, wrong = 1 })
		end,
		["squash with a base"] = function()
			return img:squash({ above = 0, wrong = 1 })
		end,
		save = function()
			return img:save(path(), wrong)
		end,
		extract = function()
			return img:extract(path(), wrong)
		end,
		apply = function()
			return img.layers[1]:apply(path(), wrong)
		end,
		["check of a layer"] = function()
			return img.layers[1]:check(wrong)
		end,
		["tree of a layer"] = function()
			return img.layers[1]:tree(wrong)
		end,
		["tree of the root"] = function()
			return img:rootfs():tree(wrong)
		end,
		squash = function()
			return img:squash(1, 2, wrong)
		end,
		remove_layer = function()
			return img:remove_layer(1, wrong)
		end,
		move_layer = function()
			return img:move_layer(1, 2, wrong)
		end,
		rebase = function()
			return img:rebase(img, img, wrong)
		end,
		export = function()
			return img:export(path(), wrong)
		end,
		purge = function()
			return img:purge("^nothing$", wrong)
		end,
	}
	for _, name in ipairs({ "rootfs", "tree", "verify", "check", "flatten", "fold" }) do
		calls[name] = function()
			return img[name](img, wrong)
		end
	end

	for name, call in pairs(calls) do
		it(("is misuse, and nothing is done: %s"):format(name), function()
			local ok, message = pcall(call)
			assert.is_false(ok)
			assert.matches("wrong", message, 1, true)
			assert.is_false(img.edited)
			assert.is_nil(io.open(path()))
		end)
	end

	it("is EINVAL in the arguments of a job", function()
		local jobs = specimens.MODULES["strata.jobs"]
		for name, args in pairs({
			check = { path = specimen.app, polcy = {} },
			filter = { path = specimen.app, to = path(), edit = { dorp = {} } },
			save = { path = specimen.app, to = path(), save = { fromat = "oci" } },
			inspect = { path = specimen.app, open = { rf = "a" } },
		}) do
			local result, message, code = jobs.run(name, args)
			assert.is_nil(result)
			assert.equal("EINVAL", code)
			assert.matches("has no option", message)
		end
	end)
end)
