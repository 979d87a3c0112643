-- `require "strata"` read the files of every operation, which took most of its time: a script that starts for each of
-- many images uses a few of them.

local child = require "spec.support.child"

-- What a script prints, a line each.
local function printed(script)
	local done = child.run({ script = script })
	assert.equal(0, done.status, done.stderr)
	return done.stdout
end

local LOADED = [[
local function loaded(name) return package.loaded["strata." .. name] ~= nil end
local strata = require "strata"
]]

describe("what require has not loaded", function()
	it("is most of the operations, and the checks", function()
		assert.equal("", printed(LOADED .. [[
for _, name in ipairs {
	"edit.append", "edit.fold", "edit.purge", "edit.rebase", "edit.squash", "check", "repair", "diff", "artifact",
	"layer.new", "save", "rootfs", "stream", "registry", "dialect.docker.edit",
} do
	if loaded(name) then print(name) end
end
]]))
	end)

	it("comes with the first call, and nothing else with it", function()
		assert.equal("true false true\n", printed(LOADED .. [[
local img = strata.new()
assert(img:append { files = { a = "1" } })
io.write(tostring(loaded "edit.append"), " ", tostring(loaded "edit.purge"), " ")
assert(img.layers[1]:check())
print(loaded "check")
]]))
	end)

	it("is in the list of what an object has, and strata.help knows it", function()
		assert.equal("function\nfunction\nfunction\ntrue\n", printed(LOADED .. [[
local img = strata.new()
local found = {}
for name in strata.pairs(img) do found[name] = type(img[name]) end
print(found.purge .. "\n" .. found.repair .. "\n" .. found.set_annotation)
print(strata.help(img.purge):find("purge", 1, true) ~= nil)
]]))
	end)

	it("is told from what does not exist, which has the likely name in its message", function()
		assert.matches("did you mean 'purge'", printed(LOADED .. [[
print(select(2, pcall(function() return strata.new().purg end)))
]]), 1, true)
	end)
end)
