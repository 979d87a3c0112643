-- Takes seconds: not for make check.
-- doc/registry.md tells what there is.

local options = require "strata.util.options"
local shell = require "spec.support.shell"

describe("doc/registry.md", function()
	it("has a row for each option of a client, of a host, and of a save to a registry", function()
		local text = shell.read("doc/registry.md")
		for _, class in ipairs({ "RegistryOptions", "RegistryHostOptions", "MirrorOptions" }) do
			for name in options.each(class) do
				assert.matches("`[^`]*%f[%w_]" .. name .. "%f[^%w_][^`]*`", text)
			end
		end
		for _, name in ipairs({ "tags", "expect", "exists", "referrers", "registry" }) do
			assert.matches("| `" .. name .. " = ", text, 1, true)
		end
	end)
end)
