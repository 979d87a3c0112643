-- The examples of doc/reference.md run as they stand there, in a directory of their own.

local archive = require "spec.support.archive"
local shell = require "spec.support.shell"

local specify = archive.specify(it, pending)

local REFERENCE = shell.read("doc/reference.md")

describe("doc/reference.md", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	-- Runs the example of a section; gives what it wrote. Names of files are those in the bench's directory.
	local function run(heading, env)
		local section = assert(REFERENCE:match("\n## " .. heading .. "\n(.-)\n## "), heading)
		local code = assert(section:match("\n```lua\n(.-)```"), heading)
		code = code:gsub('"files"', ("%q"):format(bench.dir:file("files")))
		code = code:gsub('"etc.tar"', ("%q"):format(bench.dir:file("etc.tar")))
		local lines = {}
		env.print = function(...)
			lines[#lines + 1] = table.concat({ ... }, " ")
		end
		env.io = {
			write = function(...)
				lines[#lines + 1] = table.concat({ ... }):gsub("\n$", "")
			end,
		}
		setmetatable(env, { __index = _G })
		local chunk
		if setfenv then -- luacheck: ignore 113
			chunk = setfenv(assert(loadstring(code .. "\nreturn findings")), env) -- luacheck: ignore 113
		else
			chunk = assert(load(code .. "\nreturn findings", heading, "t", env))
		end
		return table.concat(lines, "\n"), chunk(), lines
	end

	local STATUS = "Package: libc6\nStatus: install ok installed\nVersion: 2.36\nSource: glibc\n"

	local function layers()
		return {
			{ entries = { { name = "etc/passwd", data = "root" }, { name = "var/lib/dpkg/status", data = STATUS } } },
			{ entries = { { name = "etc/passwd", data = "root", mode = 384 }, { name = "usr/lib/a.so.1", data = "so" } } },
		}
	end

	specify("extracts, exports, hashes and lists files, packages and waste", function()
		local _, _, lines = run("Files, packages and waste", { img = bench:open(layers()) })
		assert.equal("etc/\netc/passwd\n", shell.check({ "tar", "-tf", bench.dir:file("etc.tar") }))
		assert.equal("so", shell.read(bench.dir:file("files/usr/lib/a.so.1")))
		local text = table.concat(lines, "\n")
		assert.matches("^%x+  etc/passwd\n{\"path\":\"etc\",", text)
		assert.matches("\nlibc6 2.36 glibc\netc/passwd 4 metadata layer 1 by layer 2$", text)
	end)

	specify("holds an image to the rules of a policy", function()
		local stack = layers()
		local _, findings = run("Policies", { img = bench:open(stack), base = bench:open({ stack[1] }) })
		local rules = {}
		for i, finding in ipairs(findings) do
			rules[i] = finding.rule
		end
		assert.same({ "root_user" }, rules)
	end)
end)
