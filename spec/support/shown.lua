--- What a container sees of an image, as lines: every path with all that it has.

local shown = {}

local function xattrs_of(entry)
	local list = {}
	for name, value in pairs(entry.xattrs) do
		if value ~= "" then -- runtimes do not set it
			list[#list + 1] = ("%s=%q"):format(name, value)
		end
	end
	table.sort(list)
	return table.concat(list, " ")
end

--- nil, message when nobody can unpack the image.
---@param img strata.Image
---@param opts? strata.RootfsOptions
---@return string[]?
---@return string? message
function shown.list(img, opts)
	local root, message = img:rootfs(opts)
	if not root then
		return nil, message
	end
	local list = {}
	for entry in root:walk() do
		local content = ""
		if entry.type == "file" then
			content = entry:digest()
		end
		list[#list + 1] = ("%q %s %o %d:%d %s %s %s %s:%s %s"):format(entry.path, entry.type, entry.mode, entry.uid,
			entry.gid, tostring(entry.mtime), tostring(entry.linkpath), content, tostring(entry.major),
			tostring(entry.minor), xattrs_of(entry))
	end
	root:close()
	return list
end

return shown
