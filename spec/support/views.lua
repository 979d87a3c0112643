--- An image seen in every way there is, to be compared: as it is told, as it is extracted, flat and side by side, as
--- it is exported and unpacked by GNU tar, and all of that of what squashing and flattening make of it.

local cjson = require "cjson"
local model = require "spec.support.model"
local pack = require "spec.support.pack"
local shell = require "spec.support.shell"
local strata = require "strata"

local views = {}

local HERE = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")

views.is_root = shell.check({ "id", "-u" }):match("%d+") == "0"

---@class spec.View
---@field name string
---@field rows? table<string, table>
---@field refused? string code
---@field message? string
---@field job? table for views.py

---@class spec.Views: spec.View[]
---@field dir string
---@field layers table[][]
---@field title string

local function add(list, name, view)
	view.name = name
	list[#list + 1] = view
end

local function told(list, img, name, view)
	local root, message, code = img:rootfs({ view = view })
	if not root then
		return add(list, name, { refused = code, message = message })
	end
	add(list, name, { rows = model.of(root) })
end

-- Owners and devices need root.
local function extracted(list, img, name, view, mode)
	if not views.is_root then
		return
	end
	local path = list.dir .. "/" .. (name:gsub("[^%w]+", "-"))
	local result, message, code = img:extract(path, { view = view, mode = mode, threads = 1 })
	if not result then
		return add(list, name, { refused = code, message = message })
	end
	local job = mode and { path = path .. ".merged", lowerdir = result.lowerdir } or { path = path }
	add(list, name, { job = job })
end

local function exported(list, img, name)
	if not views.is_root then
		return
	end
	local path = list.dir .. "/" .. (name:gsub("[^%w]+", "-"))
	local result, message, code = img:export(path .. ".tar", { view = "spec" })
	if not result then
		return add(list, name, { refused = code, message = message })
	end
	add(list, name, { job = { path = path, tar = path .. ".tar" } })
end

-- An edit of the image by a name, and the views of what comes out of it.
local function edited(list, name, edit)
	local img = assert(strata.open(list.dir .. "/image.tar"))
	local ok, message, code = edit(img)
	if ok then
		told(list, img, name .. ", rootfs", "spec")
		extracted(list, img, name .. ", extract", "spec")
	else
		add(list, name, { refused = code, message = message })
	end
	img:close()
end

--- Makes the views of some layers in an empty directory; they are complete after views.read().
---@param dir string
---@param layers table[][]
---@param ranges integer[][] that are to be squashed
---@return spec.Views
function views.make(dir, layers, ranges)
	local list = { dir = dir, layers = layers }
	pack.image(dir .. "/image.tar", layers)
	local img = assert(strata.open(dir .. "/image.tar"))
	told(list, img, "rootfs", "spec")
	extracted(list, img, "extract", "spec")
	extracted(list, img, "extract overlay", "spec", "overlay")
	exported(list, img, "export")
	img:close()
	for _, range in ipairs(ranges) do
		edited(list, ("squash(%d, %d)"):format(range[1], range[2]), function(other)
			return other:squash(range[1], range[2], { view = "spec" })
		end)
	end
	edited(list, "flatten", function(other)
		local ok, message, code = other:flatten({ view = "spec" })
		for _, layer in ipairs(ok and other.layers or {}) do
			for entry in layer:entries() do
				assert(not entry.path:find("%.wh%.[^/]*$"), "flatten leaves a whiteout")
			end
		end
		assert(not ok or #other.layers == 1)
		return ok, message, code
	end)
	return list
end

-- A hardlink to nothing or to a directory is shown, and may be gone in the end, where unpackers have to refuse it.
local OF_LINKS = { ENOENT = true, EFORMAT = true }

--- Makes the views of an image, the root file system first, that tell of extracting it, flat and side by side. They are
--- complete after views.read().
---@param dir string
---@param layers table[][]
---@param view "runtime"|"spec"
---@return spec.Views
function views.extracts(dir, layers, view)
	local list = { dir = dir, layers = layers }
	pack.image(dir .. "/image.tar", layers)
	local img = assert(strata.open(dir .. "/image.tar"))
	told(list, img, "rootfs", view)
	extracted(list, img, "extract", view)
	extracted(list, img, "extract overlay", view, "overlay")
	img:close()
	return list
end

--- What tells what is extracted from the root file system: an empty list when nothing does.
---@param list spec.Views by views.extracts, read
---@return string[]
function views.disagreements(list)
	local lines, first = {}, list[1]
	for i = 2, #list do
		local view = list[i]
		local found = {}
		if not first.rows then
			found[1] = not view.refused and ("accepted, not refused, %s: %s"):format(first.refused, first.message) or nil
		elseif view.rows then
			found = model.differences(first.rows, view.rows)
		elseif not view.unmountable and not OF_LINKS[view.refused] then
			found[1] = ("refused, %s: %s"):format(view.refused, view.message)
		end
		for _, line in ipairs(found) do
			lines[#lines + 1] = view.name .. ": " .. line
		end
	end
	return lines
end

--- Every range of so many layers.
---@param count integer
---@return integer[][]
function views.ranges(count)
	local ranges = {}
	for first = 1, count do
		for last = first, count do
			ranges[#ranges + 1] = { first, last }
		end
	end
	return ranges
end

--- Reads what was extracted, all at once.
---@param lists spec.Views[]
function views.read(lists)
	local jobs, waiting = {}, {}
	for _, list in ipairs(lists) do
		for _, view in ipairs(list) do
			if view.job then
				jobs[#jobs + 1], waiting[#waiting + 1] = view.job, view
			end
		end
	end
	if #jobs == 0 then
		return
	end
	local env = { PATH = shell.PATH, LC_ALL = "C.UTF-8" }
	local words = { "/usr/bin/python3", "-I", HERE .. "/views.py", input = cjson.encode(jobs), env = env }
	for i, answer in ipairs(cjson.decode((shell.check(words)))) do
		local view = waiting[i]
		view.rows, view.job, view.unmountable = answer.rows, nil, answer.unmountable
		if answer.error then
			view.refused, view.message = "unpacker", answer.error
		end
	end
end

local function is_refused(view, code)
	if OF_LINKS[code] then
		return OF_LINKS[view.refused] or not view.name:find("^extract")
	end
	return view.refused == code
end

local function differences(view, expected, code)
	if view.unmountable then
		return {}
	elseif code then
		if is_refused(view, code) then
			return {}
		end
		return { ("%s instead of %s"):format(view.refused and view.refused .. ": " .. view.message or "accepted", code) }
	elseif view.refused then
		return { ("refused, %s: %s"):format(view.refused, view.message) }
	end
	if view.name == "export" and expected["."].mtime == 0 then
		view.rows["."].mtime = 0 -- the directory that GNU tar was given
	end
	return model.differences(expected, view.rows)
end

--- What is wrong with the views, beside what the model says: an empty list when all is well.
---@param list spec.Views read
---@return string[]
function views.problems(list)
	local expected, code, ambiguous = model.merge(list.layers)
	local lines = {}
	if ambiguous then
		return lines
	end
	for _, view in ipairs(list) do
		local is_untold = not view.name:find("^extract") and view.name ~= "rootfs"
		for _, line in ipairs(differences(view, expected, code)) do
			-- A directory by the name of a whiteout can be told in a tar only by what is in it, and by one of AUFS in the root,
			-- where a symlink may have led to, not at all.
			if not (is_untold and (line:find("%.wh%.[^/:]*: is ") or line:find("^%.wh%.%.wh%."))) then
				lines[#lines + 1] = view.name .. ": " .. line
			end
		end
	end
	return lines
end

--- Lets go of the files of closed images at once: specs that come later count what is open. What one finaliser
--- lets go of, another one closes in the next round.
function views.collect()
	for _ = 1, 4 do
		collectgarbage()
	end
end

--- All of it for one stack.
---@param dir spec.Dir
---@param layers table[][]
---@param ranges? integer[][] every one unless given
---@return string[] problems
function views.check(dir, layers, ranges)
	local path = dir:file("stack")
	shell.sh('rm -rf "$1" && mkdir "$1"', path)
	local ok, list = pcall(views.make, path, layers, ranges or views.ranges(#layers))
	if not ok then
		return { tostring(list) }
	end
	views.read({ list })
	return views.problems(list)
end

return views
