--- What must hold whenever an archive is refused: three values, a message that stands alone, nothing
-- left behind.

local assert = require "luassert"
local shell = require "spec.support.shell"
local strata = require "strata"

local refusal = {}

local function pid()
	local file = assert(io.open("/proc/self/stat", "r"))
	local number = file:read("*l"):match("^%d+")
	file:close()
	return number
end

--- The descriptors of files that this process has open, a line each with what it leads to. Pipes are not
--- counted: the one that asks is in the midst of being set up.
---@return string
function refusal.descriptors()
	local script = 'find "$1" -type l -lname "/*" -printf "%f %l\\n" 2>/dev/null || :'
	return shell.sh(script, ("/proc/%s/fd"):format(pid()))
end

--- Three values: nil, a message of one printable line, a code.
---@param value any
---@param message any
---@param code any
function refusal.expect(value, message, code)
	assert.is_nil(value)
	assert.is_string(message)
	assert.is_nil(message:find("[%z\1-\31\127]"), message)
	assert.is_truthy(type(code) == "string" and code:find("^E[%u%d]+$"), tostring(code) .. ": " .. message)
end

--- The file must be refused with this code, and a message that has all these parts.
---@param path string
---@param code string
---@param parts string[]
---@param opts? table for strata.open
function refusal.of_open(path, code, parts, opts)
	local img, message, got = strata.open(path, opts)
	refusal.expect(img, message, got)
	assert.equal(code, got, message)
	assert.truthy(message:find(path, 1, true), message)
	for _, part in ipairs(parts) do
		assert.truthy(message:find(part, 1, true), ("%q lacks %q"):format(message, part))
	end
	return message
end

--- Saving must be refused, and a target that is there must stay as it is.
---@param img strata.Image
---@param place spec.Dir an empty directory
---@param code string
---@param parts string[]
function refusal.of_save(img, place, code, parts)
	local target = place:write("target.tar", "what was there before")
	local result, message, got = img:save(target)
	refusal.expect(result, message, got)
	assert.equal(code, got, message)
	for _, part in ipairs(parts) do
		assert.truthy(message:find(part, 1, true), ("%q lacks %q"):format(message, part))
	end
	assert.equal("what was there before", shell.read(target))
	assert.same({ "target.tar" }, place:names())
	os.remove(target)
	result, message, got = img:save(target)
	refusal.expect(result, message, got)
	assert.same({}, place:names())
end

return refusal
