-- What layers do to each other, case by case: as the root file system tells it, as it is extracted, flat and side by
-- side, exported and unpacked by GNU tar, and after every squash.

local archive = require "spec.support.archive"
local cases = require "spec.support.cases"
local strata = require "strata"
local tmp = require "spec.support.tmp"
local pack = require "spec.support.pack"
local views = require "spec.support.views"

local it = archive.specify(it, pending) -- luacheck: ignore 431

-- What a case says of a row: see spec.support.cases.
local function seen(rows)
	local list = {}
	for path, row in pairs(rows) do
		if path ~= "." then
			list[path] = row.content or (row.target and "-> " .. row.target) or row.type
		end
	end
	return list
end

describe("every view of", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		views.collect()
		dir:remove()
	end)

	for _, case in ipairs(cases.list) do
		it(case.name .. (case.refused and " is refused" or " is right"), function()
			local list = views.make(dir.path, case.layers, views.ranges(#case.layers))
			views.read({ list })
			assert.is_true(#list >= (views.is_root and 6 or 3))
			for _, view in ipairs(list) do
				if case.sees and not view.unmountable then
					assert.same(case.sees, seen(assert(view.rows, view.name .. ": " .. tostring(view.message))), view.name)
					for path, mode in pairs(case.modes or {}) do
						assert.equal(mode, view.rows[path].mode, view.name)
					end
					if case.links then
						assert.equal(case.links, view.rows[case.links:match("%S+")].links, view.name)
					end
				elseif case.refused and view.name:find("^extract") then
					assert.equal(case.refused, view.refused, view.name)
				end
			end
			-- Owners, times, and all else that the case has nothing to say of.
			assert.same({}, views.problems(list))
		end)
	end
end)

describe("an image that cannot be applied", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		views.collect()
		dir:remove()
	end)

	for _, case in ipairs(cases.list) do
		local names_nothing = case.name:find("names nothing", 1, true)
		if names_nothing or case.refused == "ELOOP" or case.name:find("root that is a symlink", 1, true) then
			it("is refused by all that merge layers, with one code: " .. case.name, function()
				local path = dir:file("image.tar")
				pack.image(path, case.layers)
				local img = assert(strata.open(path))
				local codes = {
					select(3, img:rootfs({ view = "spec" })),
					select(3, img:extract(dir:file("flat"), { view = "spec" })),
					select(3, img:extract(dir:file("overlay"), { mode = "overlay", xattrs = "user", view = "spec" })),
					select(3, img:export(dir:file("export.tar"))),
					select(3, img:flatten()),
				}
				assert.same({ case.refused, case.refused, case.refused, case.refused, case.refused }, {
					codes[1], codes[2], codes[3], codes[4], codes[5],
				})
				img:close()
			end)
		end
	end
end)
