-- Random edits of random images, good ones and ones that fail or throw half way: after each that fails the image is
-- saved as it would have been saved before.
--
-- STRATA_EDITS is the number of images, STRATA_SEED that of the first one.

local archive = require "spec.support.archive"
local random = require "spec.support.random"
local shell = require "spec.support.shell"
local stacks = require "spec.support.stacks"

local specify = archive.specify(it, pending)

local STEPS = 12

local function count()
	local fast = _VERSION == "Lua 5.4" and not os.getenv("STRATA_PRELOAD")
	return tonumber(os.getenv("STRATA_EDITS")) or (fast and 24 or 6)
end

-- ---- what is thrown --------------------------------------------------------------------

local THROWN = "thrown on purpose"

-- A function that does what fn does, and throws, or forgets to answer, in one of its next calls.
local function failing(self, fn)
	local left, how = self.random(8), self.random(3)
	return function(...)
		left = left - 1
		if left == 0 and how == 1 then
			error(THROWN)
		elseif left == 0 and how == 2 then
			fn(...)
			error({ THROWN })
		elseif left == 0 then
			return nil
		end
		return fn(...)
	end
end

-- The function itself, or one that fails.
local function maybe(self, fn)
	return self.random(2) == 1 and fn or failing(self, fn)
end

-- Options that stop the work in the middle of it.
local function stopping(self, opts)
	opts = opts or {}
	if self.random(4) == 1 then
		local left = self.random(3)
		opts.progress = function()
			left = left - 1
			if left <= 0 then
				error(THROWN)
			end
		end
	end
	return opts
end

-- ---- edits -------------------------------------------------------------------------------

local function path_of(self)
	local known = {}
	for _, layer in ipairs(self.img.layers) do
		for entry in layer:entries() do
			known[#known + 1] = entry.path
		end
	end
	local path = #known > 0 and self.random(5) > 1 and self.pick(known) or "no/such/path"
	return self.random(6) == 1 and path:gsub("[^/]+$", "*") or path
end

local function chooser(self)
	local mark = self.pick({ "a", "b", "c", "f", "1" })
	return function(entry)
		return entry.path:find(mark, 1, true) ~= nil
	end
end

local function which(self)
	local kind = self.random(5)
	if kind == 1 then
		return maybe(self, chooser(self))
	elseif kind == 2 then
		return { path_of(self), path_of(self) }
	elseif kind == 3 then
		return { pattern = self.pick({ "a", "^b", "[", "%", "c$" }) }
	end
	return path_of(self)
end

local function change(self, entry)
	local kind = self.random(9)
	if kind == 1 then
		entry.uid, entry.gid = self.random(2000), self.pick({ 5, 6, "x" })
	elseif kind == 2 then
		entry.path = self.pick({ entry.path .. "x", "../up", "", "new/" .. entry.path })
	elseif kind == 3 then
		entry.xattrs = self.pick({ { ["user.a"] = "1" }, { ["user.b"] = "" }, {} })
	elseif kind == 4 and entry.type == "file" then
		entry:replace("replaced " .. self.random(100))
	elseif kind == 5 then
		entry.mode = self.pick({ 448, 493, -1, 2 ^ 40 })
	elseif kind == 6 then
		entry.mtime = self.pick({ 1, 2.5, 1e300 })
	elseif kind == 7 then
		entry:drop()
	elseif kind == 8 then
		entry.linkpath = self.pick({ "elsewhere", "", "/a" })
	else
		entry.uname = self.pick({ "root", ("u"):rep(300), "a\0b" })
	end
end

local function rewriter(self)
	return maybe(self, function(entry)
		if self.random(3) == 1 then
			change(self, entry)
		end
		if self.random(12) == 1 then
			self.img.config.User = tostring(self.random(100)) -- goes back as well
		end
	end)
end

local function layer_number(self)
	return self.random(#self.img.layers + 1)
end

local edits = {
	filter = function(self)
		local keeps = chooser(self)
		return self.img:filter(maybe(self, function(entry)
			return not keeps(entry)
		end))
	end,
	["layer:filter"] = function(self)
		local keeps = chooser(self)
		return self.pick(self.img.layers):filter(maybe(self, function(entry)
			return not keeps(entry)
		end))
	end,
	rewrite = function(self)
		return self.img:rewrite(rewriter(self))
	end,
	["layer:rewrite"] = function(self)
		return self.pick(self.img.layers):rewrite(rewriter(self))
	end,
	remove = function(self)
		return self.img:remove(which(self), stopping(self, { optional = self.random(2) == 1 }))
	end,
	["layer:remove"] = function(self)
		return self.pick(self.img.layers):remove(which(self))
	end,
	purge = function(self)
		return self.img:purge(self.random(3) > 1 and which(self) or nil, stopping(self, {
			optional = self.random(2) == 1, prove = self.random(3) == 1 and self.pick({ "secret", "1" }) or nil,
			env = self.pick({ "^A=", "^ZZ=", "[" }), labels = self.random(2) == 1 and "x" or nil,
			history = self.random(2) == 1 and self.pick({ "layer", "zz" }) or nil,
		}))
	end,
	scrub_history = function(self)
		return self.img:scrub_history(self.pick({ "layer", "zz", "[" }), self.pick({ "x", "\255" }))
	end,
	append = function(self)
		local kind = self.random(6)
		if kind == 1 then
			return self.img:append({ dir = "/nonexistent" })
		elseif kind == 2 then
			return self.img:append({ layer = self.pick(self.other.layers), at = layer_number(self) })
		elseif kind == 3 then
			return self.img:append({
				files = { ["a/b"] = "appended", c = { type = "dir" } }, at = self.random(6),
				created_by = self.pick({ "append", "\255" }),
			})
		elseif kind == 4 then
			return self.img:append(stopping(self, { dir = self.dir, exclude = maybe(self, function(path)
				return path == "one"
			end) }))
		elseif kind == 5 then
			return self.img:append({ tar = self.dir .. "/one" })
		end
		return self.img:append({ files = { [self.pick({ "x", "../y", "a" })] = self.pick({ "1", { mode = "x" } }) } })
	end,
	squash = function(self)
		return self.img:squash(layer_number(self), layer_number(self), stopping(self))
	end,
	["squash above"] = function(self)
		return self.img:squash({ above = self.pick({ self.other, 1, 9 }) })
	end,
	flatten = function(self)
		return self.random(4) == 1 and self.img:flatten(stopping(self))
	end,
	remove_layer = function(self)
		return self.img:remove_layer(self.pick({ layer_number(self), { created_by = "no such" }, { created_by = "layer" } }))
	end,
	move_layer = function(self)
		return self.img:move_layer(layer_number(self), layer_number(self))
	end,
	rebase = function(self)
		return self.img:rebase(self.other, self.pick({ self.other, self.img }))
	end,
	fold = function(self)
		return self.img:fold(stopping(self, { prune = self.random(2) == 1 }))
	end,
	normalize = function(self)
		return self.img:normalize(stopping(self, {
			epoch = 1000000000 + self.random(5), sort = self.random(2) == 1, numeric_owner = self.random(2) == 1,
			above = self.pick({ 0, 1, 9, self.other }), xattrs = self.pick({ false, { "user.*" }, { "[" } }),
			owner = self.random(2) == 1 and maybe(self, function(path)
				return #path
			end) or nil,
		}))
	end,
	split = function(self)
		return self.img:split(layer_number(self), self.random(3) == 1 and { size = 1024 * self.random(9) } or which(self),
			stopping(self))
	end,
	rechunk = function(self)
		return self.random(3) == 1 and self.img:rechunk(stopping(self, {
			chunks = self.random(5), above = self.pick({ 0, 1, self.other }),
			by = self.random(2) == 1 and maybe(self, function(entry)
				return entry.path:sub(-1)
			end) or "directory",
		}))
	end,
	prune = function(self)
		return self.img:prune()
	end,
	["config"] = function(self)
		local config = self.img.config
		local kind = self.random(7)
		if kind == 1 then
			config.Env = self.pick({ { "A=1", "B=2" }, { "A=1", 5 }, { "A=1", "\255" } })
		elseif kind == 2 then
			config:set_env(self.pick({ "A", "", "A=B" }), self.pick({ "1", 5, "\255" }))
		elseif kind == 3 then
			config:set_label("x", self.pick({ "1", {} }))
		elseif kind == 4 then
			config:set(self.pick({ "/config/New", "/rootfs/diff_ids", "x" }), self.pick({ "1", { 1, 2 }, { a = 1, 2 } }))
		elseif kind == 5 then
			config.Healthcheck = self.pick({ { Test = { "NONE" } }, { Test = 5 } })
		elseif kind == 6 then
			config.Labels = self.pick({ { a = "1", b = "2" }, { a = "1", b = 2 } })
		else
			config.history = self.pick({ {}, { { created_by = "x" } }, 5 })
		end
		return true
	end,
	["history"] = function(self)
		local rows = self.img:history()
		local row = rows[self.random(#rows + 1)]
		if self.random(2) == 1 then
			row.created_by = self.pick({ "changed", "\255", 5 })
		else
			row.created = self.pick({ "2020-01-01T00:00:00Z", "never" })
		end
		return true
	end,
	["row:drop"] = function(self)
		local rows = self.img:history()
		rows[self.random(#rows)]:drop()
		return true
	end,
	tags = function(self)
		self.img.tags = self.pick({ { "app:2" }, { "app:2", "a b" }, "app:2", {} })
		return true
	end,
	untag = function(self)
		return self.img:untag(self.pick({ "app:1", "app:2", "none:1" }))
	end,
	revert = function(self)
		return self.random(4) == 1 and self.img:revert()
	end,
}

local NAMES = {}
for name in pairs(edits) do
	NAMES[#NAMES + 1] = name
end
table.sort(NAMES)

-- ---- the driver ------------------------------------------------------------------------

-- What saving gives: bytes, or why not. Whether the image is told to be edited.
local function saved(self)
	local path = self.dir .. "/saved"
	local ok, message, code = self.img:save(path)
	local edited = self.img.edited
	return { ok and shell.read(path) or message, code or false, edited, self.img.id, table.concat(self.img.tags, " ") }
end

local function same(a, b)
	for i = 1, 5 do
		if a[i] ~= b[i] then
			return false, ({ "the bytes", "the code", "img.edited", "img.id", "img.tags" })[i]
		end
	end
	return true
end

-- Fails with the edits that led there.
local function run(bench, seed)
	local number, pick = stacks.generator(seed)
	local self = { random = number, pick = pick, done = {} }
	self.dir = bench.dir:file("host" .. seed)
	shell.check({ "mkdir", "-p", self.dir })
	shell.write(self.dir .. "/one", "1")
	shell.write(self.dir .. "/two", "2")
	local layers = stacks.layers(seed)
	self.img = bench:open(layers, {
		tags = { "app:1" }, config = { config = { Env = { "A=1" }, Labels = { x = "y" } } },
	})
	if number(3) == 1 then
		local path = bench.dir:file(seed .. ".oci")
		assert(self.img:save(path, { format = "oci-archive" }))
		self.img = bench:load(path)
	end
	self.other = bench:open({ layers[1], { entries = { { name = "other", data = "other" } } } })
	local before, failed = saved(self), 0
	for _ = 1, STEPS do
		local name = pick(NAMES)
		local called, ok, message = pcall(edits[name], self)
		local after = saved(self)
		self.done[#self.done + 1] = ("%s: %s"):format(name, called and ok and "done" or tostring(called and message or ok))
		if called and ok then
			before = after
		else
			failed = failed + 1
			assert.is_nil(tostring(message):find("has not ended", 1, true)) -- no edit waits for itself
			local is_same, what = same(before, after)
			if not is_same then
				error(("STRATA_SEED=%d STRATA_EDITS=1: %s changed:\n%s"):format(seed, what,
					table.concat(self.done, "\n")), 0)
			end
		end
	end
	return failed
end

describe("after an edit that fails", function()
	specify("every image is what it was", function()
		local bench, failed = archive.bench(), 0
		for seed = random.first_seed(), random.first_seed() + count() - 1 do
			failed = failed + run(bench, seed)
		end
		bench:close()
		assert.is_true(count() < 6 or failed > count() * STEPS / 8)
	end)
end)
