-- strata.help tells what lua/strata/meta declares, which is held against what is exported.

local conform = require "spec.support.conform"
local luacats = require "doc.luacats"
local options = require "strata.util.options"
local shell = require "spec.support.shell"
local specimens = require "spec.support.specimens"
local strata = require "strata"

local classes, functions = conform.classes, conform.functions

local specimen

setup(function()
	specimen = specimens.new()
end)

teardown(function()
	specimen:close()
end)

-- The names that the lines of a text begin with, each once.
local function names_of(text)
	local found = {}
	for line in text:gmatch("[^\n]+") do
		local name = line:match("^  ([%w_%.]+)")
		if name then
			assert.is_nil(found[name], name .. " is told twice")
			found[name] = line
		end
	end
	return found
end

local function expect_all(text, class)
	local found = names_of(text)
	for name, item in pairs(functions[class] or {}) do
		assert.equal(not item.private, found[name] ~= nil, class .. ": " .. name)
		if not item.private then
			assert.matches("^  " .. name:gsub("_", "%%_") .. "%([^\n]*%)  +%S", found[name])
			found[name] = nil
		end
	end
	for name, field in pairs(luacats.fields(classes, class)) do
		assert.equal(not field.private, found[name] ~= nil, class .. ": " .. name)
		found[name] = nil
	end
	assert.same({}, found)
end

describe("strata.help", function()
	it("is what doc/help_text.lua makes of lua/strata/meta (make types)", function()
		assert.equal(require("doc.help_text").text(), shell.read("lua/strata/util/help_text.lua"))
	end)

	it("has a line for each field and each method of every object, and for no others", function()
		for name, object in pairs(specimen.objects) do
			local text = strata.help(object)
			assert.equal(name .. ": ", text:sub(1, #name + 2))
			expect_all(text, name)
			assert.equal(text, strata.help(name))
		end
	end)

	it("has a line for each function of a module", function()
		expect_all(strata.help(), "strata")
		for name in pairs(specimens.MODULES) do
			if functions[name] then
				expect_all(strata.help(name), name)
			end
		end
		assert.equal(strata.help("policy"), strata.help(specimens.MODULES["strata.policy"]))
	end)

	it("tells all about a method, a function, and what has a name", function()
		local img = specimen.objects["strata.Image"]
		local text = strata.help(img, "squash")
		assert.matches("^strata.Image: squash%(first %[, last %[, opts%]%]%)\n  Makes one layer of several", text)
		assert.matches("\n    above +strata.Image|integer +the base", text)
		assert.equal(text, strata.help(img.squash))
		assert.equal(text, strata.help "squash")
		assert.matches("^strata: open%(what %[, opts%]%)\n  Opens one image: ", strata.help(strata.open))
		assert.matches("\n    platform  ", strata.help(strata.open))
		assert.matches("^strata.stream: tar%(%[opts%]%)\n", strata.help(strata.stream.tar))
		assert.matches("strata.Image: config  strata.Config\nstrata.Config: .*\n  set_env%(name", strata.help "config")
		assert.matches("^strata.Layer: chain_id  string%?  of this layer on those below", strata.help("chain_id"))
		assert.matches("\n    limits +strata.Limits ", strata.help("check"))
		assert.equal(strata.help("Layer"), strata.help(img.layers[1]))
	end)

	it("tells of every function what it gives and an example, whether it is named or given itself", function()
		for class, list in pairs(functions) do
			for name, item in pairs(list) do
				if not item.private then
					local text = strata.help(name)
					assert.matches(item.example:match("[^\n]+"), text, 1, true)
					assert.matches(luacats.signature(item), text, 1, true)
					local object = specimens.MODULES[class] or specimen.objects[class]
					if object and class ~= "strata.resty" then
						assert.matches("^" .. class .. ": " .. name .. "%(", strata.help(object[name]))
						assert.matches(strata.help(object[name]), text, 1, true)
					end
				end
			end
		end
	end)

	it("tells results by what they have, alone and in an array, and every type by its name", function()
		local img = specimen.objects["strata.Image"]
		for class, value in pairs({
			["strata.Waste"] = img:waste(),
			["strata.WastedFile"] = img:waste().paths,
			["strata.SaveResult"] = img:plan(),
			["strata.SavedLayer"] = img:plan().layers,
			["strata.ListedFile"] = img:files(),
			["strata.HistoryRow"] = img:history(),
			["strata.Layer"] = img.layers,
			["strata.Diff"] = strata.diff(img, img),
			["strata.IndexedManifest"] = specimen.objects["strata.Index"].manifests[1],
			["strata.PathHistory"] = img:rootfs():history("etc/passwd"),
		}) do
			assert.equal(strata.help(class), strata.help(value))
		end
		for _, list in ipairs({ classes, conform.aliases }) do
			for name in pairs(list) do
				assert.matches("%f[%w]" .. name:match("%w+$") .. ": ", strata.help(name))
			end
		end
		assert.matches("^There is no help for an empty table: ", strata.help({}))
		for _, value in ipairs({ { 1 }, { path = "x", nonsense = 1 }, img.tags, img:inspect() }) do
			assert.matches("^There is no help for a table: ", strata.help(value))
		end
	end)

	it("tells what each option of a call does", function()
		local text = strata.help("save")
		for name, row in options.each("SaveOptions") do
			assert.matches(("\n    %s +"):format(name), text)
			assert.matches(options.text(row), text, 1, true)
		end
	end)

	it("tells the options of a registry where one can be the target, each once", function()
		for _, name in ipairs({ "save", "copy" }) do
			local text = strata.help(strata[name])
			for _, option in ipairs({ "tags", "expect", "exists", "referrers", "threads" }) do
				local count = select(2, text:gsub("\n    " .. option .. " ", ""))
				assert.equal(1, count, name .. ": " .. option)
			end
		end
		for _, name in ipairs({ "strata.Image", "strata.Index" }) do
			assert.matches("\n    expect ", strata.help(specimen.objects[name], "save"))
		end
	end)

	it("tells classes of options, options, codes and types by their names", function()
		assert.matches("^  RegistryHostOptions: How one registry.*\n    plain ", strata.help("RegistryHostOptions"))
		assert.equal(strata.help("MirrorOptions"), strata.help("strata.MirrorOptions"))
		assert.matches("^strata.PushOptions: expect  string|false  the digest", strata.help("expect"))
		assert.matches("^strata.errcode: ESTALE +what was read", strata.help("ESTALE"))
		assert.matches("^strata.Progress: .*fun%(done", strata.help("Progress"))
	end)

	it("says which name was probably meant", function()
		assert.equal("There is no help for 'exspect'; did you mean 'expect'?", strata.help("exspect"))
		assert.equal("There is no help for 'sqaush'; did you mean 'squash'?", strata.help("sqaush"))
	end)

	it("says of what it knows nothing, before the text of the module; and tells limits", function()
		for value, shown in pairs({ nothing = "'nothing'", [5] = "a number", [print] = "a function" }) do
			local said = 'There is no help for %s: give an object, a function, or a name, as strata.help(img, "check").'
			assert.equal(said:format(shown) .. "\n\n" .. strata.help(), strata.help(value))
		end
		assert.equal(strata.help(), strata.help(strata))
		local img = specimen.objects["strata.Image"]
		assert.equal("There is no help for 'nonsense' of strata.Image.\n\n" .. strata.help(img), strata.help(img, "nonsense"))
		assert.equal("There is no help for 'sqaush' of strata.Image; did you mean 'squash'?", strata.help(img, "sqaush"))
		assert.matches("limits = {...}", strata.help("limits"), 1, true)
		assert.equal(strata.help("limits"), strata.help(strata.limits))
	end)
end)
