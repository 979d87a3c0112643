--- Everything that can be asked of an image, for the fuzz target open_image.
--
-- What the world does wrong has to come back as nil, message, code. What is documented to throw then
-- (iterators, fields, drawings) may throw that message; no Lua error of the library's own may show.

local strata = require "strata"

local LIMITS = {
	bytes = 4 * 2 ^ 20, zstd_window = 2 ^ 22, entries = 2000, layers = 40, manifests = 50,
	json = { max_bytes = 65536, max_depth = 32 },
}
local CODES = {}
for code in ([[EFORMAT EDIGEST ELIMIT EUNSUPPORTED ECANCELED EAMBIGUOUS ENOENT EISDIR ENOTDIR ELOOP EINVAL
	EEXIST ENAMETOOLONG EFBIG]]):gmatch("%S+") do
	CODES[code] = true
end

local function finding(what, message)
	error(("FINDING in %s: %s"):format(what, tostring(message)), 0)
end

local function check_failure(what, message, code)
	if type(message) ~= "string" or message == "" then finding(what, "no message") end
	if not CODES[code] then finding(what, ("%s, with the code %s"):format(message, tostring(code))) end
	if message:find("[%z\1-\9\11-\31\127]") then finding(what, ("unprintable: %q"):format(message)) end
end

-- Of what may throw.
local function check_thrown(what, message)
	if type(message) ~= "string" or message:find("FINDING", 1, true) then error(message, 0) end
	if message:find("attempt to", 1, true) or message:find("bad argument", 1, true)
		or message:find("%.lua:%d+:") or message:find("overflow", 1, true) then
		finding(what, message)
	end
end

-- Calls what returns nil, message, code; true stands for what has no other result.
local function ask(what, fn, ...)
	local ok, value, message, code = pcall(fn, ...)
	if not ok then finding(what, value) end
	if value == nil and (message ~= nil or code ~= nil) then check_failure(what, message, code) end
	return value
end

-- Calls what may throw.
local function try(what, fn, ...)
	local ok, value = pcall(fn, ...)
	if ok then return value end
	check_thrown(what, value)
	return nil
end

-- ---- one thing after the other -----------------------------------------------------------------------

local ENTRY_FIELDS = {
	"path", "name", "type", "typeflag", "mode", "uid", "gid", "uname", "gname", "size", "mtime", "mtime_nsec",
	"atime", "atime_nsec", "ctime", "ctime_nsec", "linkpath", "major", "minor", "xattrs", "pax", "whiteout", "opaque",
	"position", "sparse", "dangling",
}
local LAYER_FIELDS = {
	"position", "diff_id", "chain_id", "digest", "size", "media_type", "compression", "created_by", "history",
	"empty", "edited", "annotations", "foreign",
}
local IMAGE_FIELDS = { "id", "tags", "platform", "config", "layers", "path", "edited", "digest", "index" }

local function fields(what, object, names)
	tostring(object)
	for _, name in ipairs(names) do
		try(what .. "." .. name, function()
			return object[name]
		end)
	end
end

local function entries(layer)
	local n = 0
	for entry in layer:entries() do
		n = n + 1
		if n <= 50 then
			fields("entry", entry, ENTRY_FIELDS)
			if entry.type == "file" then ask("entry:read", entry.read, entry, 1000) end
			ask("layer:read", layer.read, layer, entry.path, 10)
		end
	end
end

local function look_around(root)
	tostring(root)
	local n = 0
	for entry in root:walk() do
		n = n + 1
		if n <= 50 then
			tostring(entry)
			local name = entry.path
			ask("root:stat", root.stat, root, name)
			ask("root:lstat", root.lstat, root, name)
			ask("root:readlink", root.readlink, root, name)
			ask("root:read", root.read, root, name, 100)
			try("root:history", root.history, root, name)
		end
	end
	for _, path in ipairs { "etc/passwd", "/", "../..", "a", "l/x" } do
		ask("root:stat", root.stat, root, path)
		try("root:exists", root.exists, root, path)
	end
	ask("root:list", root.list, root, "/")
	ask("root:glob", root.glob, root, "**/*a*")
end

local function config_of(image)
	local config = image.config
	tostring(config)
	for _, key in ipairs { "Env", "Cmd", "Labels", "ExposedPorts", "User", "architecture", "os", "rootfs" } do
		try("config." .. key, function()
			return config[key]
		end)
	end
	ask("config:get", config.get, config, "/config/Env/0")
	config:text()
	try("config:totable", config.totable, config)
	try("config:get_env", config.get_env, config, "PATH")
	try("config:get_label", config.get_label, config, "a")
end

local function history_of(image)
	local rows = try("img:history", image.history, image)
	for _, row in ipairs(rows or {}) do
		tostring(row)
		fields("row", row, { "created", "created_by", "author", "comment", "empty_layer", "layer", "position" })
	end
end

local function look(image)
	fields("img", image, IMAGE_FIELDS)
	config_of(image)
	history_of(image)
	try("img:inspect", image.inspect, image)
	ask("img:files", image.files, image)
	for _, layer in ipairs(image.layers) do
		fields("layer", layer, LAYER_FIELDS)
		try("layer:entries", entries, layer)
		try("layer:tree", layer.tree, layer)
	end
	local root = ask("img:rootfs", image.rootfs, image)
	if root then try("root:walk", look_around, root) end
	try("img:tree", image.tree, image, { depth = 3 })
	return ask("img:verify", image.verify, image, { threads = 1 })
end

-- ---- writing -----------------------------------------------------------------------------------------

local FORMATS = { "docker", "oci-archive", "docker-legacy" }

local EDITS = {
	rewrite = function(entry)
		if entry.uid == 0 then entry.uid = 1 end
		entry.mtime, entry.atime, entry.ctime = 0, 0.5, nil
	end,
	filter = function(entry)
		return #entry.path % 3 ~= 0
	end,
	config = function(config)
		config:set_env("A", "b")
	end,
}

-- Whether all of it was done: a layer that cannot be read is not edited.
local function edit(image)
	local filtered = ask("img:filter", image.filter, image, EDITS.filter)
	local rewritten = ask("img:rewrite", image.rewrite, image, EDITS.rewrite)
	try("config:set_env", EDITS.config, image.config)
	return filtered and rewritten
end

-- What makes other layers of the image's.
local OPERATIONS = {
	function(image)
		ask("img:fold", image.fold, image, { prune = true })
	end,
	function(image)
		if #image.layers > 1 then ask("img:squash", image.squash, image, 1, 2) end
	end,
	function(image)
		ask("img:purge", image.purge, image, { "a", "**/b*" }, { history = "x", env = "^P", optional = true })
	end,
	function(image)
		ask("img:flatten", image.flatten, image)
	end,
	function(image)
		if #image.layers > 1 then ask("img:move_layer", image.move_layer, image, 1, 2) end
		if #image.layers > 0 then ask("img:remove_layer", image.remove_layer, image, 1) end
	end,
}

local function check(image)
	local report = ask("img:check", image.check, image, { privileged = true, temp_dir = "/dev/shm" })
	if report then tostring(report) end
end

-- What was saved can be opened, and every digest in it is right. That of what was compressed says nothing
-- about diff_ids, which are compared only when something inflates the bytes.
local function save(image, out, format, prefer, good)
	local options = { format = format, threads = 1 }
	ask("img:plan", image.plan, image, options)
	local saved = ask("img:save", image.save, image, out, options)
	if not saved then return end
	-- What was not asked for may still disagree.
	local again, message = strata.open(out, { temp_dir = "/dev/shm", prefer = prefer })
	if not again then finding("what was saved as " .. (format or "it came"), message) end
	local ok, code
	ok, message, code = again:verify { threads = 1 }
	if not ok and (good or code == "EDIGEST" and message:find("digest should be", 1, true)) then
		finding("what was saved as " .. (format or "it came"), message)
	end
	if again.id ~= saved.id then finding("the saved image", again.id .. " is not " .. saved.id) end
	again:close()
	return true
end

-- ---- streams -----------------------------------------------------------------------------------------

local function read_file(path)
	local file = assert(io.open(path, "rb"))
	local bytes = file:read("*a")
	file:close()
	return bytes
end

-- What comes out of a transform, or nil with why not.
local function push(transform, bytes, size)
	local parts = {}
	local function take(chunk)
		local out, more, code = transform(chunk)
		while out do
			parts[#parts + 1] = out
			if not more then return true end
			out, more, code = transform("")
		end
		check_failure("the stream", more, code)
		return nil, more, code
	end
	for at = 1, #bytes, size do
		local ok, message, code = take(bytes:sub(at, at + size - 1))
		if not ok then return nil, message, code end
	end
	local ok, message, code = take(nil)
	if not ok then return nil, message, code end
	return table.concat(parts)
end

-- The same members in another order are the same blocks in another order.
local function blocks(bytes)
	local list = {}
	for at = 1, #bytes, 512 do list[#list + 1] = bytes:sub(at, at + 511) end
	table.sort(list)
	return table.concat(list)
end

-- A stream takes what can be saved as it came, and gives what is saved then; without edits it gives what it
-- got. `saved` is nil when nothing can be.
local function stream(path, edited, size, prefer, saved)
	local edits = { limits = LIMITS, temp_dir = "/dev/shm", prefer = prefer }
	for name, fn in pairs(edited and EDITS or {}) do edits[name] = fn end
	local transform = ask("stream.image", strata.stream.image, edits)
	local bytes = read_file(path)
	local ok, out, message, code = pcall(push, transform, bytes, size)
	if not ok then return check_thrown("the stream", out) end
	if not out then
		if saved and code ~= "EUNSUPPORTED" and code ~= "ELIMIT" then
			finding("the stream", "refuses what was saved: " .. message)
		end
	elseif not edited then
		if out ~= bytes then finding("the stream", "changes what is not edited") end
	elseif not saved then
		finding("the stream", "takes what is not saved")
	elseif bytes:sub(258, 262) == "ustar" and blocks(out) ~= blocks(saved) then
		finding("the stream", "gives something else than what was saved")
	end
end

--- Runs over one input.
---@param path string  the input
---@param out string  where an image may be saved
---@param choice integer  what else is done
return function(path, out, choice)
	local options = { limits = LIMITS, temp_dir = "/dev/shm" }
	local images = ask("strata.images", strata.images, path, options)
	if images then
		try("an iterator of images", function()
			for image in images do tostring(image) end
		end)
	end
	local index = ask("strata.open_index", strata.open_index, path, options)
	if index then
		tostring(index)
		index:close()
	end
	if choice % 4 == 3 then options.prefer = choice % 8 == 3 and "docker" or "oci" end
	local size = ({ 65536, 512, 1000, 7 })[choice % 4 + 1]
	local image = ask("strata.open", strata.open, path, options)
	if not image then return stream(path, choice % 2 == 1, size, options.prefer) end
	local good = look(image)
	if choice % 3 == 0 then check(image) end
	local done = choice % 2 == 0 or try("edit", edit, image)
	local operation = OPERATIONS[math.floor(choice / 8) % 12]
	if operation then operation(image) end
	local format = FORMATS[choice % 5]
	local saved = save(image, out, format, options.prefer, good)
	image:close()
	if not format and not operation then
		stream(path, choice % 2 == 1, size, options.prefer, done and saved and read_file(out) or nil)
	end
end
