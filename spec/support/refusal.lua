--- What must hold whenever an archive is refused: three values, a message that stands alone, nothing
-- left behind.

local assert = require "luassert"
local lfs = require "lfs"
local shell = require "spec.support.shell"
local strata = require "strata"

local refusal = {}

--- The descriptors of files that this process has open, a line each with what it leads to. Pipes, sockets and the
--- directory that is looked at are not counted.
---@return string
function refusal.descriptors()
	local lines = {}
	for name in lfs.dir("/proc/self/fd") do
		local target = lfs.symlinkattributes("/proc/self/fd/" .. name, "target")
		if target and target:find("^/") and not target:find("^/proc/%d+/fd$") then
			lines[#lines + 1] = name .. " " .. target
		end
	end
	table.sort(lines)
	return table.concat(lines, "\n")
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
