--- What strata shows by the letter of the specification, beside programs that unpack one layer over the other in one
--- directory: Docker with vfs, podman with vfs, and umoci. Whatever it shows, one of them has to show, and whatever all
--- of them show it has to. No difference is what is known to be theirs alone, or its alone:
---
---  * vfs begins each layer with a copy of what is below, which loses most xattrs, and the hardlinks of all but files.
---  * vfs makes the directories of a whiteout, and obeys one of what its own layer has put there; umoci does neither.
---    Where a whiteout hides a directory in which its layer has put something before, umoci leaves its attributes.
---  * vfs gives a file the mode and the time of a hardlink's header only if its target is there as it is written, and
---    makes copies of what is below ".wh..wh.plnk"; umoci takes nothing from the header of a hardlink.
---  * The names of AUFS in the root are nobody's for strata, and hardlinks of upper layers to them lead nowhere. vfs
---    makes their directories, umoci shows all of them.
---  * A directory's time is the one of the unpacking once something happens inside. So is that of one without an entry,
---    which also has the group of the directory around it if that is set.
---  * An owner of -1 is, for a directory that a lower layer has, that one's owner; strata says that it is root.
---
--- Not compared are stacks of which strata shows one thing as umoci does and another as vfs, and those in which an
--- entry goes through a symlink to "a/../b": only umoci takes them without an "a", and strata makes one.

local core = require "strata.core"
local runtime_views = require "spec.support.runtime_views"

local literal_views = {}

--- The programs.
literal_views.READERS = { "docker vfs", "podman vfs", "umoci" }

local VFS = { ["docker vfs"] = true, ["podman vfs"] = true }
local ATTRIBUTES = { "mode", "uid", "gid", "mtime", "xattrs" }

local function is_of_aufs(path)
	return path:find("^%.wh%.%.wh%.") ~= nil
end

-- Whether an entry is below a symlink of a lower or of its own layer for which that is asked.
local function goes_through(layers, asks)
	local symlinks = {}
	for _, entries in ipairs(layers) do
		for _, entry in ipairs(entries) do
			local path = core.normalise(entry.name)
			for dir in pairs(symlinks) do
				if path:sub(1, #dir + 1) == dir .. "/" and asks(path:sub(#dir + 2), symlinks[dir]) then
					return true
				end
			end
			if entry.type == "symlink" then
				symlinks[path] = entry.linkname
			elseif entry.type == "hardlink" then -- it may be to a symlink
				symlinks[path] = symlinks[core.normalise(entry.linkname)] or ""
			end
		end
	end
	return false
end

-- umoci goes through a symlink to what an opaque marker hides, vfs and strata do not.
local function is_marked(rest)
	return rest == ".wh..wh..opq"
end

-- A way through a directory and back again, which need not be there for umoci; strata makes it.
local function is_detour(_, target)
	return target:find("[^./]/%.%.") ~= nil
end

-- What is in the layers that makes readers differ.
local function facts_of(layers)
	local facts = { copied = #layers > 1 }
	for _, entries in ipairs(layers) do
		for i, entry in ipairs(entries) do
			local path = core.normalise(entry.name)
			local is_whiteout = ("/" .. path):find("/.wh.", 1, true) ~= nil
			facts.whiteouts = facts.whiteouts or is_whiteout
			facts.behind = facts.behind or (is_whiteout and i > 1)
			if entry.type == "hardlink" then
				facts.hardlinks = true
				facts.dots = facts.dots or entry.linkname:find("..", 1, true) ~= nil
				facts.plnk = facts.plnk or is_of_aufs(core.normalise(entry.linkname))
			end
			facts.keeps = facts.keeps or (entry.type == "dir" and (entry.uid == -1 or entry.gid == -1))
		end
	end
	return facts
end

local function with(row, other, fields)
	local copy = {}
	for field, value in pairs(row) do
		copy[field] = value
	end
	for _, field in ipairs(fields) do
		copy[field] = other[field]
	end
	return copy
end

local function is_implied(row)
	return row.type == "dir" and row.mode == 493 and row.uid == 0 and row.gid == 0 and row.mtime == 0
		and not next(row.xattrs)
end

-- Whether a tree has nothing at a path but directories that no entry tells of.
local function holds_nothing(tree, path)
	for other, row in pairs(tree) do
		local below = other == path or other:sub(1, #path + 1) == path .. "/"
		if below and not (row.type == "dir" and (row.mtime == -1 or is_implied(row))) then
			return false
		end
	end
	return true
end

-- Fields of a reader's row that say nothing of what strata should show.
local function fields_of_its_own(row, facts, is_vfs, is_alone)
	local fields = {}
	local function add(list)
		for _, field in ipairs(list) do
			fields[#fields + 1] = field
		end
	end
	if row.type == "dir" then
		add(facts.keeps and { "uid", "gid" } or {})
	elseif facts.plnk or (facts.hardlinks and not is_vfs and is_alone) then
		add(ATTRIBUTES)
		add(facts.plnk and { "links" } or {})
	elseif facts.dots and is_vfs then
		add({ "mode", "mtime" })
	end
	if is_vfs and facts.copied and (is_alone or facts.hardlinks) then
		add({ "xattrs" })
	end
	if is_vfs and facts.copied and is_alone and row.type ~= "file" then
		add({ "links" })
	end
	return fields
end

-- A reader's rows as far as they count. `is_alone(path, type)`: no reader of the other kind shows such a thing
-- there.
local function counting(tree, mine, facts, is_vfs, is_alone)
	local rows = {}
	for path, row in pairs(tree) do
		local ours = mine[path]
		local is_unlike = row.mtime == -1 or (facts.whiteouts and not is_vfs)
		local is_dir = ours and row.type == "dir" and is_implied(ours) and is_unlike
		if is_dir or (ours and facts.plnk and ours.type == "hardlink") then
			rows[path] = ours
		elseif ours and row.type == ours.type then
			local is_odd = not is_vfs and (facts.behind or (facts.copied and row.type ~= "file"))
			row = with(row, ours, fields_of_its_own(row, facts, is_vfs, is_odd or is_alone(path, row.type)))
			rows[path] = row.mtime == -1 and with(row, ours, { "mtime" }) or row
		elseif not is_of_aufs(path) and (ours or not is_vfs or not holds_nothing(tree, path)) then
			rows[path] = row
		end
	end
	return rows
end

-- Whether one of the trees has something of that type at a path.
local function has(trees, path, type)
	for _, tree in ipairs(trees) do
		if tree[path] and tree[path].type == (type or tree[path].type) then
			return true
		end
	end
	return false
end

--- What tells the view by the letter of the specification from those of the programs that take the layers.
---@param view spec.Answer
---@param answers table<string, spec.Answer>
---@param layers table[][]
---@return string[] differences
function literal_views.differences(view, answers, layers)
	local facts, vfs, umoci, trees = facts_of(layers), {}, {}, {}
	for _, reader in ipairs(literal_views.READERS) do
		local kind = VFS[reader] and vfs or umoci
		kind[#kind + 1] = answers[reader].rows
	end
	local is_odd = goes_through(layers, is_detour) or (facts.behind and goes_through(layers, is_marked))
	if is_odd or (#umoci == 0 and (#vfs == 0 or facts.whiteouts)) then
		return {}
	elseif not view.rows then
		return { "refused: " .. tostring(view.refused) }
	end
	for _, tree in ipairs(vfs) do
		trees[#trees + 1] = counting(tree, view.rows, facts, true, function(path, type)
			return not has(umoci, path, type)
		end)
	end
	for _, tree in ipairs(umoci) do
		trees[#trees + 1] = counting(tree, view.rows, facts, false, function(path, type)
			return not has(vfs, path, type)
		end)
	end
	return runtime_views.unlike_all(view.rows, trees)
end

return literal_views
