--- What runtimes see of an image (spec.support.runtimes), compared, and told in few words.

local model = require "spec.support.model"
local runtimes = require "spec.support.runtimes"
local strata = require "strata"

local runtime_views = {}

-- ---- comparing --------------------------------------------------------------------------

local function copy_of(row)
	local copy = {}
	for field, value in pairs(row) do
		copy[field] = value
	end
	return copy
end

-- A row without the time of the unpacking, which is nobody's but the runtime's.
local function with_time_of(row, other)
	if row.mtime ~= -1 or not other then
		return row
	end
	local copy = copy_of(row)
	copy.mtime = other.mtime
	return copy
end

-- A directory with the time of the unpacking has no entry in the topmost layer that needs it: Docker and podman make it
-- 0755 and root's, with the set-group-ID bit of the directory around it, and containerd gives it what it has below. So
-- nothing but its type is told.
local function without_implied(row, other)
	return row.mtime == -1 and row.type == "dir" and other.type == "dir" and other or with_time_of(row, other)
end

local function unlike(rows, theirs)
	local mine, expected = {}, {}
	for path, row in pairs(rows) do
		mine[path] = path ~= "." and row or nil
	end
	for path, row in pairs(theirs) do
		expected[path] = path ~= "." and with_time_of(row, rows[path]) or nil
	end
	return model.differences(expected, mine)
end

-- A row as a list of texts, one for each thing that may be told of it.
local function parts_of(row)
	local parts = {}
	for field, value in pairs(row) do
		if field ~= "xattrs" then
			-- The mode of a symlink is nobody's.
			local text = type(value) == "number" and ("%d"):format(value) or value
			parts[field] = not (field == "mode" and row.type == "symlink") and field .. "=" .. text or nil
		end
	end
	for name, value in pairs(row.xattrs) do
		parts["xattr " .. name] = name .. "=" .. value
	end
	return parts
end

-- What a tree has at the names of a file: a reader that lacks one of them may have the file by another.
local function same_file(tree, row, rows)
	for name in (row.links or ""):gmatch("%S+") do
		rows[#rows + 1] = tree[name]
	end
end

-- What of a row none of the others has: its parts, and those that all others have and it lacks. `namesakes` are the
-- same file by other names.
local function alone(row, others, namesakes)
	local seen, every, mine, lines = {}, {}, parts_of(row), {}
	for _, other in ipairs(namesakes) do
		for _, part in pairs(parts_of(other)) do
			seen[part] = true
		end
	end
	for _, other in ipairs(others) do
		for name, part in pairs(parts_of(other)) do
			seen[part] = true
			every[name] = (every[name] or 0) + 1
		end
	end
	for _, part in pairs(mine) do
		if not seen[part] then
			lines[#lines + 1] = part
		end
	end
	for name, count in pairs(every) do
		if count == #others and not mine[name] then
			lines[#lines + 1] = "lacks " .. name
		end
	end
	table.sort(lines)
	return lines
end

--- What tells a view from those of other readers: a list of lines, which is empty when every path is there by one of
--- them, has each attribute by one of them, and lacks nothing that all of them have. The root is no part of it.
---@param rows table<string, table>
---@param trees table<string, table>[] rows of each reader
---@return string[]
function runtime_views.unlike_all(rows, trees)
	local paths, list = {}, {}
	for _, tree in ipairs({ rows, (table.unpack or unpack)(trees) }) do
		for path in pairs(tree) do
			paths[path] = path ~= "." or nil
		end
	end
	for path in pairs(paths) do
		local row, others, namesakes = rows[path], {}, {}
		for _, tree in ipairs(trees) do
			others[#others + 1] = tree[path]
			if row then
				same_file(tree, row, namesakes)
			end
		end
		if not row and #others == #trees then
			list[#list + 1] = path .. ": is missing"
		elseif row and #others == 0 then
			list[#list + 1] = path .. ": is there: " .. model.line(row)
		elseif row then
			local lines = alone(row, others, namesakes)
			if #lines > 0 then
				list[#list + 1] = path .. ": " .. table.concat(lines, ", ") .. " in " .. model.line(row)
			end
		end
	end
	table.sort(list)
	return list
end

--- What tells a view of an image from those of the default runtimes; an empty list for one whose every path is there
--- by one of those that take the image, and has each attribute by one of them; and when none takes it. The root
--- directory is no part of it, nor is the time of the unpacking.
---@param view spec.Answer
---@param answers table<string, spec.Answer>
---@return string[] differences
function runtime_views.differences(view, answers)
	local trees = {}
	for _, reader in ipairs(runtimes.DEFAULT) do
		if answers[reader].rows then
			local rows = {}
			for path, row in pairs(answers[reader].rows) do
				rows[path] = view.rows and view.rows[path] and without_implied(row, view.rows[path]) or row
			end
			trees[#trees + 1] = rows
		end
	end
	if #trees == 0 then
		return {}
	elseif not view.rows then
		return { "refused: " .. tostring(view.refused) }
	end
	return runtime_views.unlike_all(view.rows, trees)
end

--- Whether the default runtimes show the same.
---@param answers table<string, spec.Answer>
---@return boolean
function runtime_views.agree(answers)
	local first = answers[runtimes.DEFAULT[1]]
	for _, reader in ipairs(runtimes.DEFAULT) do
		local other = answers[reader]
		if (first.rows == nil) ~= (other.rows == nil) or (first.rows and #unlike(first.rows, other.rows) > 0) then
			return false
		end
	end
	return true
end

--- What strata shows of an archive.
---@param path string
---@param kind? string the view, as of img:rootfs
---@return spec.Answer view
function runtime_views.strata(path, kind)
	local img, message = strata.open(path)
	if not img then
		return { refused = message }
	end
	local view = {}
	local ok, why = pcall(function()
		local root, refused = img:rootfs({ view = kind })
		view.rows, view.refused = root and model.of(root), refused
	end)
	img:close()
	return ok and view or { refused = tostring(why) }
end

-- ---- in few words ------------------------------------------------------------------------

local SHORT = {
	["docker overlay2"] = "docker", ["containerd overlayfs"] = "containerd", ["podman overlay"] = "podman",
	["docker vfs"] = "docker-vfs", ["podman vfs"] = "podman-vfs", umoci = "umoci",
}

local function quoted(text)
	return (text:gsub("[%c\127-\255'{}]", function(c)
		return ("\\%03d"):format(c:byte())
	end))
end

local function xattrs_of(row)
	local list = {}
	for name, value in pairs(row.xattrs) do
		list[#list + 1] = (" {%s=%s}"):format(name, quoted(value))
	end
	table.sort(list)
	return table.concat(list)
end

local function mode_of(row)
	local usual = row.type == "dir" and 493 or 420
	return (row.type == "symlink" or row.mode == usual) and "" or (" %04o"):format(row.mode)
end

local WHAT = {
	dir = function()
		return "/"
	end,
	file = function(row)
		return " '" .. quoted(row.content) .. "'"
	end,
	symlink = function(row)
		return " -> " .. row.target
	end,
}

local function tell_row(path, row)
	local what = WHAT[row.type]
	local text = quoted(path) .. (what and what(row) or " " .. row.type .. (row.device and " " .. row.device or ""))
	text = text .. mode_of(row)
	if row.uid ~= 0 or row.gid ~= 0 then
		text = text .. (" %d:%d"):format(row.uid, row.gid)
	end
	if row.mtime ~= 1e9 then
		text = text .. (row.mtime == -1 and " @now" or (" @%d"):format(row.mtime))
	end
	local others = row.links and (" " .. row.links .. " "):gsub(" " .. path:gsub("%p", "%%%0") .. " ", " ", 1)
	others = others and others:match("^%s*(.-)%s*$") or ""
	return text .. xattrs_of(row) .. (others == "" and "" or " = " .. others)
end

-- A root directory is told of if it is not as runtimes make it.
local function is_usual_root(path, row)
	return path == "." and row.uid == 0 and row.gid == 0 and (row.mode == 493 or row.mode == 365)
end

--- An answer in a line: what is not told of an entry is 0644, 0755 for directories, 0:0, at 1e9, without xattrs.
---@param answer spec.Answer
---@return string
function runtime_views.tell(answer)
	if answer.refused then
		return "refused"
	end
	local list = {}
	for path, row in pairs(answer.rows) do
		if not is_usual_root(path, row) then
			list[#list + 1] = { path = path, text = tell_row(path, row) }
		end
	end
	table.sort(list, function(one, other)
		return one.path < other.path
	end)
	for i, item in ipairs(list) do
		list[i] = item.text
	end
	return #list == 0 and "nothing" or table.concat(list, "; ")
end

local function names_of(readers)
	local text = " " .. table.concat(readers, " ") .. " "
	text = text:gsub("^ docker containerd podman docker%-vfs podman%-vfs umoci $", " all ")
	return text:gsub("^ docker containerd podman ", " default "):match("^ (.-) $")
end

--- All answers, a line for each that differs: who sees it, and what it is.
---@param answers table<string, spec.Answer>
---@return string[]
function runtime_views.tell_all(answers)
	local order, groups, lines = {}, {}, {}
	for _, reader in ipairs(runtimes.ALL) do
		local text = answers[reader] and runtime_views.tell(answers[reader])
		if text and not groups[text] then
			groups[text], order[#order + 1] = {}, text
		end
		if text then
			table.insert(groups[text], SHORT[reader])
		end
	end
	for i, text in ipairs(order) do
		lines[i] = names_of(groups[text]) .. ": " .. text
	end
	return lines
end

return runtime_views
