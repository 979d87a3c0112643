-- `make doc`: ldoc prints lua/strata/meta, without a warning, and nothing of it is lost.

local conform = require "spec.support.conform"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

describe("make doc", function()
	local dir, pages

	setup(function()
		if not shell.which("ldoc") then
			return
		end
		dir = tmp.dir()
		local made = shell.run({ "make", "doc", "BUILD=" .. dir.path, env = { MAKEFLAGS = "", MAKELEVEL = "" } })
		assert.equal(0, made.status, made.stderr)
		assert.equal("", made.stderr)
		pages = {}
		for path in shell.check({ "find", dir.path .. "/doc", "-name", "*.html" }):gmatch("[^\n]+") do
			pages[path] = shell.read(path)
		end
	end)

	teardown(function()
		if dir then
			dir:remove()
		end
	end)

	local function need()
		if not pages then
			pending("ldoc is not installed")
		end
	end

	-- A page, found by the end of its path.
	local function page_of(kind, name)
		return pages[("%s/doc/%s/%s.html"):format(dir.path, kind, name)]
	end

	it("has a page for every module and every class of objects, with each function", function()
		need()
		for class, list in pairs(conform.functions) do
			local page = page_of("modules", class) or page_of("classes", class)
			assert.is_truthy(page, class)
			for name, item in pairs(list) do
				local heading = page:find('<strong>[%w:]*%f[%w_]' .. name .. "%(")
				assert.equal(not item.private, heading ~= nil, class .. "." .. name)
			end
		end
	end)

	it("tells every field and every value", function()
		need()
		local all = {}
		for _, page in pairs(pages) do
			all[#all + 1] = page
		end
		all = table.concat(all)
		for name, class in pairs(conform.classes) do
			for _, field in ipairs(class.fields) do
				local wanted = field.name and ('<span class="parameter">%s</span>'):format(field.name)
				assert.is_truthy(not wanted or field.private or all:find(wanted, 1, true), name .. "." .. tostring(field.name))
			end
		end
		for _, value in ipairs(conform.aliases["strata.errcode"].values) do
			assert.is_truthy(all:find(('<span class="parameter">%s</span>'):format(value.type.name:match('"(.*)"')), 1, true))
		end
	end)

	it("has no link that leads nowhere", function()
		need()
		local count = 0
		for path, page in pairs(pages) do
			local directory = path:match("^(.*)/[^/]*$")
			for target, anchor in page:gmatch('href="([^"#]*)#?([^"]*)"') do
				if not target:find("^http") and not target:find("%.css$") then
					local file = target == "" and path or (directory .. "/" .. target):gsub("/[^/]+/%.%./", "/")
					assert.is_truthy(pages[file], path .. ": " .. target)
					local name = ('<a name%%s?=%%s?"%s">'):format((anchor:gsub("%p", "%%%0")))
					assert.is_truthy(anchor == "" or pages[file]:find(name), path .. ": " .. target .. "#" .. anchor)
					count = count + 1
				end
			end
		end
		assert.is_true(count > 500)
	end)
end)
