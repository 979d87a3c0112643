--- Reports of a diff: what people see, and nothing that a terminal or a browser obeys.

local child = require "spec.support.child"
local pack = require "spec.support.pack"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local HOSTILE = {
	"<script>alert(1)</script>", "a&lt;b", "\"' onload='x", "\27[2J\27]0;title\7", "new\nline", "\255\254", "back\\slash",
	"right\226\128\174left", "zero\226\128\139width", "c1\194\155control", "\0302", "%s%d",
}

describe("the report of a diff", function()
	local dir
	before_each(function()
		dir = tmp.dir()
	end)
	after_each(function()
		dir:remove()
	end)

	local function hostile(number)
		local entries = {}
		for i, name in ipairs(HOSTILE) do
			entries[3 * i - 2] = { name = name, data = number }
			entries[3 * i - 1] = { name = "l" .. i, type = "symlink", linkname = name .. number }
			entries[3 * i] = { name = number .. name, xattrs = { ["user." .. i] = name } }
			entries[#entries + 1] = { name = "x" .. i, xattrs = { ["user." .. name:gsub("[=\n]", "")] = name .. number } }
		end
		local path = dir:file(number .. ".tar")
		pack.image(path, { entries }, nil, {
			change = function(document, row)
				document.config.Labels = { ["<b>" .. number] = "</td>\27\226\128\174" }
				document["\27<i>"] = number
				row.RepoTags = { "app:" .. number }
			end,
		})
		return path
	end

	local function diff()
		return assert(strata.diff(hostile("1"), hostile("2")))
	end

	it("as text has lines and nothing else that a terminal obeys", function()
		local text = strata.diff_report(diff())
		assert.equal(tostring(diff()), text)
		assert.is_nil(text:find("[%z\1-\9\11-\31\127]"))
		assert.is_nil(text:find("\226\128", 1, true))
		assert.is_nil(text:find("\194\155", 1, true))
		assert.is_nil(text:find("\255", 1, true))
		local _, count = text:gsub("\n", "")
		local one = diff()
		local lists = 0
		for _, name in ipairs({ "files", "config", "history", "layers" }) do
			lists = lists + (#one[name] > 0 and 1 or 0)
		end
		assert.equal(1 + lists + #one.files + #one.config + #one.history + #one.layers, count)
		assert.is_true(#one.files > 3 * #HOSTILE)
	end)

	it("has colours when it is asked for them, and the same text", function()
		local one = diff()
		local colored = strata.diff_report(one, { color = true })
		assert.matches("\27%[32m%+ 2", colored)
		assert.equal(strata.diff_report(one, { color = false }), (colored:gsub("\27%[%d+m", "")))
	end)

	it("as a page escapes all that comes of an image", function()
		local page = strata.diff_report(diff(), { format = "html" })
		assert.matches("^<!DOCTYPE html>", page)
		local tags = {}
		for tag in page:gsub("<style>.-</style>", ""):gmatch("<(/?[%a!]+)") do
			tags[tag:gsub("/", "")] = true
		end
		for tag in pairs(tags) do
			assert.matches(" " .. tag:gsub("!", "%%!") .. " ",
				" !DOCTYPE html head meta title body h h1 h2 p br table tr td i ", tag)
		end
		assert.is_nil(page:find("<i>", 1, true))
		assert.is_nil(page:find("<b>", 1, true))
		assert.is_nil(page:find("[%z\1-\9\11-\31\127\128-\255]"))
		assert.matches("&lt;script&gt;alert%(1%)&lt;/script&gt;", page)
		assert.matches("a&amp;lt;b", page)
		assert.matches("Content%-Security%-Policy\" content=\"default%-src 'none'", page)
	end)

	it("shows names in other scripts as they are", function()
		local path, other = dir:file("a.tar"), dir:file("b.tar")
		pack.image(path, { { { name = "x" } } })
		pack.image(other, { { { name = "x" }, { name = "\195\164\230\151\165" } } })
		local one = assert(strata.diff(path, other))
		assert.matches("%+ \195\164\230\151\165: file", tostring(one))
		assert.matches(">\195\164\230\151\165<", strata.diff_report(one, { format = "html" }))
	end)

	it("says when nothing differs", function()
		local path = hostile("1")
		assert.matches("\nno differences$", tostring(strata.diff(path, path)))
		assert.matches("no differences but those of a rebuild$", tostring(strata.diff(path, path, { semantic = true })))
		assert.matches("<p>no differences</p>", strata.diff_report(strata.diff(path, path), { format = "html" }))
	end)

	it("has a line for each row, in their order", function()
		local one, kinds = diff(), {}
		local count = 0
		for _, row in ipairs(one) do
			count = count + 1
			kinds[#kinds + 1] = kinds[#kinds] ~= row.kind and row.kind or nil
			assert.is_true(strata.diff_report(one):find(tostring(row), 1, true) ~= nil)
		end
		assert.equal("file config layer", table.concat(kinds, " "))
		assert.equal(#one.files + #one.config + #one.layers, count)
	end)

	it("is what the example of doc/reference.md prints", function()
		local code = shell.read("doc/reference.md"):match("\n## Diffs\n+```lua\n(.-)```")
		shell.check({ "mv", hostile("1"), dir:file("app-1.tar") })
		shell.check({ "mv", hostile("2"), dir:file("app-2.tar") })
		local done = child.run({ script = 'local strata = require "strata"\n' .. code, cwd = dir.path })
		assert.equal(1, done.status, done.stderr)
		local diff_of_both = assert(strata.diff(dir:file("app-1.tar"), dir:file("app-2.tar"), { semantic = true }))
		assert.is_truthy(done.stdout:find(tostring(diff_of_both), 1, true))
	end)
end)
