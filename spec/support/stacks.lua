--- Random stacks of layers with everything that makes merging them hard.

local stacks = {}

local DIRS = { "d", "d/e", "d/e/g", "x", "x/y", "m", "d/m" }
local NAMES = { "f1", "f2", "f3", "m", "e" }

--- Numbers that are the same on every Lua.
---@param seed integer
---@return fun(n: integer): integer random from 1 to n
---@return fun(list: table): any pick
function stacks.generator(seed)
	local state = seed * 7919 + 1
	local function random(n)
		state = (state * 16807) % 2147483647
		return state % n + 1
	end
	for _ = 1, 10 do
		random(2)
	end
	return random, function(list)
		return list[random(#list)]
	end
end

local function parent_of(path)
	return path:match("^(.*)/[^/]*$")
end

---@class spec.Stack
---@field layers spec.LayerRequest[]

-- One layer. No entry stands below one that is no directory, and what was a symlink once is a directory below which
-- something is put only with an entry of its own, so that no path leads through a symlink.
local function make_layer(random, pick, upper, links, known, tame)
	local entries, kinds, whiteouts, files, made = {}, {}, {}, {}, {}
	local prefix = pick({ "", "./" })
	local function add(path, entry)
		entry.name = prefix .. path
		entry.uid, entry.gid = random(3) - 1, random(3) - 1
		entry.mtime = 1000000000 + random(5)
		entries[#entries + 1] = entry
		made[path] = entry
		kinds[path] = entry.type or "file"
		known[#known + 1] = path
	end
	local function has_children(path)
		for other in pairs(kinds) do
			if other:sub(1, #path + 1) == path .. "/" then
				return true
			end
		end
	end
	local function add_dir(path)
		if not kinds[path] then
			add(path, { type = "dir", mode = pick({ 493, 448, 511 }) })
		end
	end
	-- True when something can be put below a path.
	local function reach(path)
		local parent = parent_of(path)
		if not parent then
			return true
		end
		if (kinds[parent] and kinds[parent] ~= "dir") or not reach(parent) then
			return false
		end
		if tame or links[parent] or random(3) == 1 then
			add_dir(parent)
		end
		return true
	end
	for n = 1, random(14) do
		local path = random(5) == 1 and pick(NAMES) or pick(DIRS) .. "/" .. pick(NAMES)
		local kind = random(12)
		if kind >= 11 and upper then
			local hidden = random(2) == 1 and pick(known) or pick(DIRS)
			if kind == 12 and reach(hidden .. "/x") and (kinds[hidden] or "dir") == "dir" then
				add_dir(hidden)
				whiteouts[#whiteouts + 1] = hidden .. "/.wh..wh..opq"
			elseif kind == 11 and not kinds[hidden] and not links[parent_of(hidden) or ""] then
				whiteouts[#whiteouts + 1] = (hidden:gsub("[^/]+$", ".wh.%0"))
			end
		elseif not kinds[path] and (kind == 10 or not has_children(path)) and reach(path) and not kinds[path] then
			if kind <= 4 then
				local data = ("%d "):format(random(1000)):rep(random(300))
				add(path, { data = data, mode = pick({ 420, 493, 2541 }) })
				files[#files + 1] = path
			elseif kind <= 7 and #files > 0 then
				local target = pick(files)
				local file = tame and made[target]
				local entry = { type = "hardlink", linkname = prefix .. target, mode = file and file.mode or 420 }
				add(path, entry)
				if file then -- unpackers differ about the header of a hardlink
					entry.uid, entry.gid, entry.mtime = file.uid, file.gid, file.mtime
				end
				files[#files + 1] = path
			elseif kind == 8 then
				add(path, { type = "symlink", linkname = "nowhere" .. n, mode = 511 })
				links[path] = true
			elseif kind == 9 then
				add(path, { type = "fifo", mode = 384 })
			else
				add(path, { type = "dir", mode = pick({ 493, 448, 511 }) })
			end
		end
	end
	-- Whiteouts anywhere, but not twice; they hide nothing of their own layer.
	local seen = {}
	for _, path in ipairs(whiteouts) do
		if not seen[path] then
			seen[path] = true
			table.insert(entries, tame and 1 or random(#entries + 1), { name = prefix .. path, mode = 384 })
		end
	end
	-- Sometimes links stand before their files.
	if random(3) == 1 and not tame then
		local links_first, others = {}, {}
		for _, entry in ipairs(entries) do
			local early = entry.type == "hardlink" and not parent_of(entry.name:gsub("^%./", ""))
			local list = early and links_first or others
			list[#list + 1] = entry
		end
		for _, entry in ipairs(others) do
			links_first[#links_first + 1] = entry
		end
		entries = links_first
	end
	return { entries = entries, gzip = random(2) == 1, format = pick({ "gnu", "pax", "ustar" }) }
end

--- Layers for archive.build.
---@param seed integer
---@param tame? boolean nothing that umoci fails at: all parents told, links behind their files, whiteouts first
---@return spec.LayerRequest[]
function stacks.layers(seed, tame)
	local random, pick = stacks.generator(seed)
	local layers, links, known = {}, {}, {}
	for i = 1, random(4) + 1 do
		layers[i] = make_layer(random, pick, i > 1 and #known > 0, links, known, tame)
	end
	return layers
end

return stacks
