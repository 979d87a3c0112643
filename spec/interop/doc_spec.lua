-- `make doc`: mkdocs renders README and doc/ as a site, without a warning, whose links lead somewhere, and which asks
-- no other machine for anything. Links lead somewhere on the forge, too, where the files stand as they are.

local conform = require "spec.support.conform"
local reference = require "doc.reference"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local DOCUMENTS = { "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md" }
for path in shell.check({ "find", "doc", "-name", "*.md" }):gmatch("[^\n]+") do
	DOCUMENTS[#DOCUMENTS + 1] = path
end

-- The anchors of a document, as the forge makes them of its headings.
local function anchors_of(text)
	local found = {}
	for heading in ("\n" .. text:gsub("```.-```", "")):gmatch("\n#+ ([^\n]+)") do
		found[reference.anchor((heading:gsub("[`*]", "")))] = true
	end
	return found
end

describe("the documents", function()
	it("have links to files and headings that are there", function()
		local count = 0
		for _, path in ipairs(DOCUMENTS) do
			local text = shell.read(path)
			for target in text:gsub("```.-```", ""):gmatch("%]%(([^)%s]+)%)") do
				if not target:find("^%a+:") then
					local file, anchor = target:match("^([^#]*)#?(.*)$")
					local directory = path:match("^(.*/)") or ""
					local place = file == "" and path or (directory .. file):gsub("[^/]+/%.%./", "")
					assert.equal(0, shell.run({ "test", "-e", place }).status, path .. " leads to " .. target)
					if anchor ~= "" then
						assert.is_true(anchors_of(shell.read(place))[anchor], path .. " leads to " .. target)
					end
					count = count + 1
				end
			end
		end
		assert.is_true(count > 500)
	end)

	it("all have a place in the navigation", function()
		local nav = shell.read("doc/mkdocs.yml"):match("\nnav:\n(.*)$")
		for _, path in ipairs(DOCUMENTS) do
			local name = path == "README.md" and "index.md" or path:match("[^/]+$")
			assert.is_truthy(nav:find(": " .. name .. "\n", 1, true), path)
		end
	end)
end)

describe("make doc", function()
	local dir, pages

	setup(function()
		if not shell.which("mkdocs") then
			return
		end
		dir = tmp.dir()
		local made = shell.run({ "make", "doc", "BUILD=" .. dir.path, env = { MAKEFLAGS = "", MAKELEVEL = "" } })
		assert.equal(0, made.status, made.stderr)
		assert.equal("", made.stderr)
		pages = {}
		for path in shell.check({ "find", dir:file("doc"), "-type", "f" }):gmatch("[^\n]+") do
			pages[path:sub(#dir.path + #"/doc/" + 1)] = shell.read(path)
		end
	end)

	teardown(function()
		if dir then
			dir:remove()
		end
	end)

	local function need()
		if not pages then
			pending("mkdocs is not installed: apt install mkdocs")
		end
	end

	it("has a page for every document, the picture, and a search", function()
		need()
		for _, path in ipairs(DOCUMENTS) do
			local name = path == "README.md" and "index" or path:match("([^/]+)%.md$")
			assert.is_string(pages[name .. ".html"], path)
		end
		assert.matches('<img alt="[^"]*" src="explorer.png"', pages["index.html"])
		assert.equal("\137PNG", pages["explorer.png"]:sub(1, 4))
		assert.matches('"imagesquash"', pages["search/search_index.json"]:gsub("reference.html#", '"'), 1, true)
	end)

	it("has a heading for every function", function()
		need()
		for class, list in pairs(conform.functions) do
			for name, item in pairs(list) do
				local anchor = reference.anchor(class:match("%w+$") .. name)
				assert.equal(not item.private, pages["reference.html"]:find(('id="%s"'):format(anchor), 1, true) ~= nil, anchor)
			end
		end
	end)

	it("has no link that leads nowhere, and asks no other machine", function()
		need()
		local count = 0
		for name, page in pairs(pages) do
			if name:find("%.html$") then
				for target, anchor in page:gmatch('href="([^"#]*)#?([^"]*)"') do
					if not target:find("^%a+:") and name ~= "404.html" then
						local file = target == "" and name or target
						assert.is_string(pages[file], name .. " leads to " .. target)
						local there = anchor == "" or pages[file]:find(('id="%s"'):format(anchor), 1, true)
						assert.is_truthy(there, name .. " leads to " .. target .. "#" .. anchor)
						count = count + 1
					end
				end
				assert.is_nil(page:find('src="%a*:?//'), name)
				assert.is_nil(page:find('<link[^>]*href="%a*:?//'), name)
			elseif name:find("%.css$") then
				assert.is_nil(page:find("url%(['\"]?https?:"), name)
				assert.is_nil(page:find("@import", 1, true), name)
			end
		end
		assert.is_true(count > 1000)
	end)
end)
