-- strata.check.findings has every code that a check can tell, and no other.

local archive = require "spec.support.docker_archive"
local findings = require "strata.check.findings"
local rawtar = require "spec.support.rawtar"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

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

	it("is told in doc/findings.md, what is mended in its table", function()
		local text = shell.read("doc/findings.md")
		local mending = text:match("\n## Mending\n(.-)\n## ") or text:match("\n## Mending\n(.*)$")
		local rows = mending:match("\n|%-%-%-|%-%-%-|\n(.*)$")
		for code, how in pairs(findings) do
			assert.equal(how == true, rows:find("`" .. code .. "`", 1, true) ~= nil, code)
		end
	end)

	it("has an example in doc/findings.md that runs", function()
		local dir = tmp.dir()
		local bytes = rawtar.tar(rawtar.entry({ name = "etc/app.conf" }, "1"), rawtar.entry({ name = "etc/app.conf" }, "2"))
		local built = archive.new()
		built:add("layer", bytes)
		built:add("config", ('{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}')
			:format(archive.sha256(bytes)))
		built:add("manifest.json", '[{"Config":"config","RepoTags":["app:1"],"Layers":["layer"]}]')
		local path = built:write(dir:file("app.tar"))
		local text = shell.read("doc/findings.md"):match("\n## Mending\n.-```lua\n(.-)```")
		text = text:gsub('"app.tar"', ("%q"):format(path)):gsub('"app%-mended.tar"', ("%q"):format(dir:file("mended.tar")))
		local told = {}
		local env = setmetatable({ print = function(value) told[#told + 1] = tostring(value) end }, { __index = _G })
		local chunk = setfenv and setfenv(assert(loadstring(text)), env) or load(text, "example", "t", env) -- luacheck: ignore
		assert(chunk)()
		local expected = {}
		for line in text:gmatch("%-%->( [^\n]*)\n") do
			expected[#expected + 1] = line:sub(2)
		end
		assert.equal(table.concat(expected, "\n"), (told[1]:gsub("sha256:%x+…", "sha256:…")))
		assert(assert(strata.open(dir:file("mended.tar"))):verify())
		dir:remove()
	end)
end)
