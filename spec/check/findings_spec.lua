-- strata.check.findings has every code that a check can tell, and no other.

local findings = require "strata.check.findings"
local shell = require "spec.support.shell"

-- The source of the checks.
local function source()
	return shell.sh('cat lua/strata/check/*.lua')
end

describe("the list of findings", function()
	it("has every code that the source adds", function()
		local seen = {}
		for code in source():gmatch('[:(%s]add%(%s*[%w_"%s]-,%s*"([%l-]+)"') do
			seen[code] = true
		end
		for code in source():gmatch('%["([%l-]+)"%] = { "[%l]+", "') do
			seen[code] = true
		end
		local count = 0
		for code in pairs(seen) do
			count = count + 1
			assert.is_not_nil(findings[code], code)
		end
		assert.is_true(count > 70)
	end)

	it("has no others, and each is mended, or has a reason why not", function()
		local text = source():gsub('%["[%l-]+"%] = [%l%u"]', "")
		local entries = require("strata.repair.entries").mends
		local documents = require("strata.repair.documents").mends
		for code, how in pairs(findings) do
			local is_there = text:find('"' .. code .. '"', 1, true) or shell.sh("cat lua/strata/check/tar.lua"):find(
				'["' .. code .. '"]', 1, true)
			assert.is_truthy(is_there, code)
			assert.equal(how == true, (entries[code] or documents[code]) ~= nil, code)
			assert.is_true(how == true or type(how) == "string" and #how > 0)
		end
		for _, mends in ipairs({ entries, documents }) do
			for code in pairs(mends) do
				assert.is_true(findings[code], code)
			end
		end
	end)
end)
