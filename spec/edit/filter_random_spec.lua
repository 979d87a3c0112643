--- Random images under random filters: what a container sees of the result is what it saw before, without
--- what was dropped.

local archive = require "spec.support.archive"
local tarball = require "spec.support.tarball"

local specify = archive.specify(it, pending)

local RUNS = 16
local DIRS = { "", "d/", "d/e/", "x/", "x/y/z/" }
local FILES = { "f1", "f2", "f3", "f4" }

-- A generator of our own: the same numbers on every Lua.
local function generator(seed)
	local state = seed
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

-- Paths of files and of directories never meet, so that no entry changes the type of what lies below.
local function make_layer(random, pick, upper, known)
	local entries, here, seen, hidden = {}, {}, {}, {}
	local prefix = pick({ "", "./" })
	local function add(entry)
		if not seen[entry.name] then
			seen[entry.name] = true
			entry.name = prefix .. entry.name
			entries[#entries + 1] = entry
			return true
		end
	end
	for n = 1, random(14) do
		local kind, path = random(10), pick(DIRS) .. pick(FILES)
		if kind <= 4 then
			local data = ("%d-%d "):format(random(1000), n):rep(random(200))
			if not hidden[path] and add({ name = path, data = data, uid = random(9) }) then
				here[#here + 1] = path
				known[path] = true
			end
		elseif kind <= 6 and #here > 0 then
			if not hidden[path] and add({ name = path, type = "hardlink", linkname = prefix .. pick(here) }) then
				here[#here + 1] = path
				known[path] = true
			end
		elseif kind == 7 then
			if not hidden[path] and not seen[path] then
				add({ name = path, type = "symlink", linkname = "anywhere" .. n })
				known[path] = true
			end
		elseif kind == 8 then
			add({ name = (pick(DIRS):gsub("/$", "")), type = "dir" })
		elseif upper and kind == 9 then
			if not seen[path] then
				hidden[path] = true
				add({ name = (path:gsub("([^/]+)$", ".wh.%1")) })
			end
		elseif upper then
			local dir = pick(DIRS)
			if random(2) == 1 or dir == "" then
				add({ name = dir .. ".wh..wh..opq" })
			else
				add({ name = (dir:gsub("([^/]+)/$", ".wh.%1")) })
			end
		end
	end
	for i = #entries, 1, -1 do
		if entries[i].name == prefix and prefix == "" then
			table.remove(entries, i)
		end
	end
	-- Sometimes a link stands before its file.
	if random(4) == 1 then
		for i = 1, math.floor(#entries / 2) do
			entries[i], entries[#entries + 1 - i] = entries[#entries + 1 - i], entries[i]
		end
	end
	return {
		entries = entries,
		gzip = random(2) == 1,
		format = pick({ "gnu", "pax", "ustar" }),
	}
end

local function make_image(seed)
	local random, pick = generator(seed)
	local layers, known = {}, {}
	for i = 1, random(4) + 1 do
		layers[i] = make_layer(random, pick, i > 1, known)
	end
	local paths = {}
	for path in pairs(known) do
		paths[#paths + 1] = path
	end
	table.sort(paths)
	local drop = {}
	for _, path in ipairs(paths) do
		drop[path] = random(3) == 1
	end
	return layers, drop
end

local function pieces(members)
	local set = {}
	for _, member in ipairs(members) do
		set[member.span .. member.data] = true
	end
	return set
end

describe("a filter on a random image", function()
	for seed = 1, RUNS do
		specify("takes what it drops from the root file system and nothing else, number " .. seed, function()
			local bench = archive.bench()
			local layers, drop = make_image(seed)
			local img, _, path = bench:open(layers)
			local before = archive.look(path)
			local expected = {}
			for name, what in pairs(before.merged) do
				if not drop[name] then
					expected[name] = what
				end
			end
			img:filter(function(entry) return not drop[entry.path] end)
			local after, saved = bench:save(img)
			assert.same(expected, after.merged)

			-- Entries that are neither dropped nor hardlinks are there byte for byte.
			for i in ipairs(layers) do
				local kept = pieces(bench:split(saved, i))
				for _, member in ipairs(bench:split(path, i)) do
					local name = tarball.text(member.fields.name):gsub("^%./", "")
					local is_link = member.fields.typeflag == "1"
					if not drop[name] and not is_link and not name:find(".wh.", 1, true) then
						assert.is_true(kept[member.span .. member.data] or false, name)
					end
				end
			end

			-- Pruning takes nothing more.
			img:prune()
			assert.same(expected, bench:save(img).merged)
			bench:close()
		end)
	end
end)
