-- Takes seconds: not for make check.
-- The examples of lua/strata/meta, which doc/reference.md and strata.help show, run as they stand there and print what
-- they say, each in a directory of its own that has the images it names.

local cjson = require "cjson"
local child = require "spec.support.child"
local conform = require "spec.support.conform"
local example_images = require "spec.support.example_images"
local fake_registry = require "spec.support.registry"
local python = require "spec.support.python"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

-- They want nginx: spec/interop/openresty_spec.lua makes these calls.
local IN_NGINX = { ["strata.resty"] = true, ["strata.Resty"] = true }

-- Runs each file that is named, behind the lines that all examples begin with, in a fresh copy of a directory, and
-- writes what each has printed. An example that uses a registry finds the image there.
local DRIVER = [[
	local cjson, strata = require "cjson", require "strata"
	local jobs = cjson.decode(io.open(arg[1]):read("*a"))
	local results = {}
	local function run(job)
		os.execute("rm -rf ./* && cp -a ../images/. .")
		if job.registry then assert(strata.copy("app.tar", "docker://" .. job.registry .. ":1")) end
		local printed = {}
		local env = setmetatable({
			print = function(...)
				local words = { n = select("#", ...), ... }
				for i = 1, words.n do words[i] = tostring(words[i]) end
				printed[#printed + 1] = table.concat(words, " ")
			end,
			os = setmetatable({ exit = function() end }, { __index = os }),
		}, { __index = _G })
		local chunk, problem
		if setfenv then
			chunk, problem = loadstring(job.code, "=" .. job.name)
			if chunk then setfenv(chunk, env) end
		else
			chunk, problem = load(job.code, "=" .. job.name, "t", env)
		end
		local ok = chunk ~= nil
		if ok then ok, problem = pcall(chunk) end
		return { ok = ok, problem = tostring(problem), text = table.concat(printed, "\n") }
	end
	for i, job in ipairs(jobs) do results[i] = run(job) end
	local file = io.open(arg[2], "w")
	file:write(cjson.encode(results))
	file:close()
]]

-- What the comments of an example say that it prints, as a pattern; "…" stands for anything.
local function expected(code)
	local lines = {}
	for text in code:gmatch("%-%-> ([^\n]*)") do
		lines[#lines + 1] = text
	end
	local text = table.concat(lines, "\n"):gsub("%s+", " ")
	return lines[1] and "^" .. text:gsub("…", "\1"):gsub("%p", "%%%0"):gsub("\1", ".*") .. "$"
end

-- The public functions and the classes that have an example, in the order of their names; and pages that have one.
local function all_examples()
	local list = {}
	for class, items in pairs(conform.functions) do
		for name, item in pairs(items) do
			if not item.private then
				list[#list + 1] = { name = class .. (item.method and ":" or ".") .. name, class = class, code = item.example }
			end
		end
	end
	for class, item in pairs(conform.classes) do
		if item.example and class ~= "strata" then
			list[#list + 1] = { name = class, class = class, code = item.example }
		end
	end
	table.sort(list, function(a, b)
		return a.name < b.name
	end)
	for _, path in ipairs({ "doc/errors.md", "doc/findings.md", "doc/formats.md", "doc/limits.md" }) do
		list[#list + 1] = { name = path, code = assert(shell.read(path):match("\n```lua\n(.-)\n```")) }
	end
	return list
end

describe("the examples of lua/strata/meta", function()
	local BEGINNING = conform.classes["strata"].example

	it("are there for every function, and can be compiled", function()
		for _, one in ipairs(all_examples()) do
			assert.is_string(one.code, one.name .. " has no example")
			assert((loadstring or load)(one.code, one.name)) -- luacheck: ignore
		end
	end)

	it("print what they say", function()
		local dir = tmp.dir()
		finally(function()
			dir:remove()
		end)
		shell.check({ "mkdir", dir:file("images"), dir:file("work") })
		example_images.make(dir:file("images"))
		local server = shell.which(python.PATH) and fake_registry.start()
		local jobs = {}
		for i, one in ipairs(all_examples()) do
			local code, repository = one.code, nil
			if server and code:find("docker://registry.example/team/app", 1, true) then
				repository = ("%s/team-%d/app"):format(server.host, i)
				code = code:gsub("registry%.example/team/app", (repository:gsub("%%", "%%%%")))
			end
			if not IN_NGINX[one.class] and (repository or not code:find("docker://", 1, true)) then
				jobs[#jobs + 1] = { name = one.name, code = BEGINNING .. "\n" .. code, registry = repository, of = one.code }
			end
		end
		shell.write(dir:file("jobs"), cjson.encode(jobs))
		local finished = child.run({ script = DRIVER, arguments = { "../jobs", "../results" }, cwd = dir:file("work") })
		assert.equal(0, finished.status, finished.stderr)
		local problems = {}
		for i, result in ipairs(cjson.decode(shell.read(dir:file("results")))) do
			local pattern = expected(jobs[i].of)
			local text = result.text:gsub("%s+", " "):gsub(" $", "")
			if not result.ok then
				problems[#problems + 1] = result.problem
			elseif pattern and not text:find(pattern) then
				problems[#problems + 1] = ("%s prints\n%s\nand not\n%s"):format(jobs[i].name, result.text, jobs[i].of)
			end
		end
		assert.equal("", table.concat(problems, "\n"))
		assert.is_true(#jobs > 140)
	end)

	it("are in doc/reference.md, which is what doc/reference.lua makes of them (make types)", function()
		assert.equal(require("doc.reference").text(), shell.read("doc/reference.md"))
	end)
end)
