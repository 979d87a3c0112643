-- An entry with one of GNU tar's long names that got its first PAX record had both kinds of headers before it, which
-- readers apply in different orders; `check` calls an entry of that kind an error.

local pytar = require "spec.support.pytar"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("an entry with a long name that gets a PAX record", function()
	local dir, img

	local LONG = ("directory/"):rep(14) .. "file"

	before_each(function()
		dir = tmp.dir()
		local root = dir:file("root")
		shell.check({ "mkdir", "-p", root .. "/" .. LONG:match("^(.*)/") })
		shell.write(root .. "/" .. LONG, "text")
		shell.check({ "ln", "-s", LONG, root .. "/link" })
		shell.check({ "tar", "--format=gnu", "-C", root, "-cf", dir:file("layer.tar"), "." })
		img = strata.new()
		assert(img:append({ tar = dir:file("layer.tar") }))
	end)

	after_each(function()
		img:close()
		dir:remove()
	end)

	-- The rows of Python's tarfile by name, and what the check finds, once an edit is saved.
	local function saved(edit)
		assert(img:rewrite(function(entry)
			if entry.path == LONG or entry.path == "link" then
				edit(entry)
			end
		end))
		local path = dir:file("app.tar")
		assert(img:save(path))
		local rows = {}
		for _, row in ipairs(pytar.image(path)[1][1]) do
			rows[row.name] = row
		end
		local again = assert(strata.open(path))
		local report = assert(again:check())
		again:close()
		return rows, tostring(report)
	end

	it("has the name and the linkpath as records too", function()
		local rows, report = saved(function(entry)
			entry.mtime = 1.5
		end)
		assert.equal(1.5, rows["./" .. LONG].mtime)
		assert.equal(LONG, rows["./link"].linkpath)
		assert.equal(1.5, rows["./link"].mtime)
		assert.not_matches("both PAX and GNU headers", report, 1, true)
	end)

	it("takes a new long name as a record", function()
		local new = LONG .. ".new"
		local rows, report = saved(function(entry)
			entry.mtime = 1.5
			if entry.path == LONG then
				entry.path = new
			else
				entry.linkpath = new
			end
		end)
		assert.equal("file", (rows[new] or rows["./" .. new]).type)
		assert.equal(new, rows["./link"].linkpath)
		assert.not_matches("both PAX and GNU headers", report, 1, true)
	end)

	it("keeps its GNU headers where no record comes to them", function()
		local rows, report = saved(function(entry)
			entry.uid = 7
		end)
		assert.equal(7, rows["./" .. LONG].uid)
		assert.equal(LONG, rows["./link"].linkpath)
		assert.not_matches("both PAX and GNU headers", report, 1, true)
	end)
end)
