--- Random edits of random layouts: what index.manifests shows before a save is what the saved layout lists, no byte of
--- an index changes that no edit names, and what is saved names all of its blobs and lacks none.

local archive = require "spec.support.docker_archive"
local blobs = require "spec.support.blobs"
local random = require "spec.support.random"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local RUNS = 24
local layers = archive.layers(4)
local MACHINES = { "amd64", "arm64", "s390x", "riscv64" }
local NAMES = { "a:1", "a:2", "b:1", "c:1" }
local descriptor, named = blobs.descriptor, blobs.named

local function platform_text(machine)
	return (',"platform":{"architecture":"%s","os":"linux"}'):format(machine)
end

-- A layout of images, attestations, indexes with several names, and indexes in indexes.
local function make(number)
	local layout, root, inner = blobs.new(), {}, {}
	local function with_layer(machine, name)
		local layer = layers[number(4)]
		return layout:image({ layers = { layer },
			config = archive.image({ layers = { layer }, name = name }).config:gsub("amd64", machine) })
	end
	for i = 1, number(3) do
		local list = {}
		for k = 1, number(3) do
			local made = with_layer(MACHINES[k], "index " .. i)
			list[#list + 1] = descriptor(made, platform_text(MACHINES[k]))
			if number(3) == 1 then
				list[#list + 1] = select(2, layout:attestation(made))
			end
		end
		if inner[1] and number(4) == 1 then
			list[#list + 1] = descriptor(inner[number(#inner)])
		end
		inner[i] = layout:index(list)
		for _ = 1, number(2) do
			root[#root + 1] = descriptor(inner[i], named(NAMES[number(4)] .. "." .. i .. "." .. #root))
		end
	end
	for i = 1, number(3) - 1 do
		root[#root + 1] = descriptor(with_layer(MACHINES[number(4)], "single " .. i), named("single:" .. i))
	end
	return layout:set_root(root)
end

local function of(machine, more)
	local img = strata.new({ platform = "linux/" .. machine })
	assert(img:append({ files = { name = machine .. more } }))
	return img
end

-- What an index lists, a line each; the digest of what was added only a save tells.
local function lines(index, without)
	local list = {}
	for i, one in ipairs(index.manifests) do
		local tags = {}
		for k, tag in ipairs(one.tags) do
			tags[k] = tag
		end
		table.sort(tags)
		list[i] = ("%s %s %s %s"):format(one.kind, tostring(one.platform), table.concat(tags, ","),
			without[one.digest] or one.digest or "new")
	end
	table.sort(list)
	return table.concat(list, "\n")
end

-- One random edit, which may find nothing to do.
local function edit(number, index, i)
	local rows = index.manifests
	local row = rows[1] and rows[number(#rows)]
	local kind = number(8)
	if kind == 1 and row then
		return index:remove(row.digest or "none")
	elseif kind == 2 then
		return index:remove({ platform = "linux/" .. MACHINES[number(4)] })
	elseif kind == 3 and row and row.tags[1] then
		return index:remove(row.tags[number(#row.tags)])
	elseif kind == 4 and row and row.tags[1] then
		return index:untag(row.tags[number(#row.tags)])
	elseif kind == 5 then
		return index:remove({ kind = "attestation" }, { attestations = "keep" })
	elseif kind == 6 and row and row.index then
		return index:add(of(MACHINES[number(4)], i), { index = row.index, replace = number(2) == 1 })
	elseif kind == 7 then
		local img = of(MACHINES[number(4)], i)
		img.tags = { NAMES[number(4)] }
		return index:add(img, { index = "index.json", replace = number(2) == 1 })
	end
	return index:remove(function(one)
		return one.kind ~= "attestation" and number(6) == 1
	end)
end

describe("random edits of an index", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	it("are shown as they are saved", function()
		random.each(RUNS, function(number, seed)
			local layout = make(number)
			local source = number(2) == 1 and layout:write_dir(dir:file("in" .. seed))
				or layout:write_archive(dir:file("in" .. seed))
			local index, done = assert(strata.open_index(source)), 0
			for i = 1, number(5) do
				local before = lines(index, {})
				local ok, _, code = edit(number, index, i)
				done = done + (ok and 1 or 0)
				if not ok then
					assert.is_truthy(({ ENOENT = 1, EEXIST = 1 })[code], code)
					assert.equal(before, lines(index, {}))
				end
			end
			local target = number(2) == 1 and dir:file("out" .. seed) or source
			local format = number(3) == 1 and target ~= source and ({ "oci", "oci-archive" })[number(2)] or nil
			local shown = lines(index, {})
			local result = assert(index:save(target, { format = format }))
			local new = {}
			for _, one in ipairs(result.images or { result }) do
				new[one.digest or ""] = "new"
			end
			local found = blobs.look(target)
			assert.same({}, found.problems)
			for digest in pairs(found.blobs) do
				assert.is_true(done == 0 or found.reached[digest], digest)
			end
			for digest in pairs(found.reached) do
				assert.is_true(found.blobs[digest], digest)
			end
			assert.equal(shown, lines(assert(strata.open_index(target)), done > 0 and new or {}))
			index:close()
		end)
	end)
end)
