-- Every behaviour of a client of registries that is known to matter has a spec with its id in its name. Those that are
-- not held stand here, each with its reason.

local shell = require "spec.support.shell"

local ROWS = {
	E = 14, REF = 13, MAN = 14, BLOB = 15, RED = 12, UP = 22, MNT = 9, PUTM = 11, RFR = 11, PAG = 8, AUTH = 19, CRED = 10,
	NET = 14, RTY = 8, Q = 17, A = 32,
}

local NOT_HELD = {
	PAG7 = "the catalog is no part of the specification", E10 = "blobs are never deleted",
	RFR5 = "the registry is asked each time", RFR8 = "a registry's own list follows what is deleted",
	RFR11 = "tags of cosign's older schema are tags like others", A23 = "tables of contents in layers are not read",
	PUTM7 = "what a registry accepts is its own; sizes are those of what is sent",
}

describe("the list of what a client of registries does", function()
	local found = {}
	local files = shell.sh([[find spec/registry spec/http spec/interop spec/document -name '*_spec.lua']])
	for path in files:gmatch("[^\n]+") do
		-- A string that begins with an id: a name, or the row of a table that names are made of.
		for name in shell.read(path):gmatch("[\"']([A-Z]+%d+[^\n]-)[\"']") do
			for letters, number in name:gmatch("%f[%w]([A-Z]+)(%d+)") do
				found[letters .. number] = true
			end
			for letters, first, last in name:gmatch("%f[%w]([A-Z]+)(%d+) to [A-Z]*(%d+)") do
				for id = tonumber(first), tonumber(last) do
					found[letters .. id] = true
				end
			end
		end
	end

	for letters, count in pairs(ROWS) do
		it("has specs for " .. letters, function()
			local missing = {}
			for number = 1, count do
				local id = letters .. number
				if not found[id] and not NOT_HELD[id] then
					missing[#missing + 1] = id
				end
			end
			assert.equal("", table.concat(missing, " "))
		end)
	end
end)
