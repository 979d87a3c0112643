--- img:purge: paths that are gone for good.

local archive = require "spec.support.archive"
local shell = require "spec.support.shell"

local specify = archive.specify(it, pending)

local SECRET = "hunter2-very-secret"

local function file(name, data)
	return { name = name, data = data or name }
end

local function dir(name)
	return { name = name, type = "dir" }
end

describe("purging", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function open(layers, request)
		for i, entries in ipairs(layers) do
			layers[i] = { entries = entries, gzip = i % 2 == 0 }
		end
		return bench:open(layers, request)
	end

	local function names(look)
		local list = {}
		for i, layer in ipairs(look.layers) do
			list[i] = table.concat(archive.names(layer.entries), " ")
		end
		return list
	end

	specify("takes a path out of every layer, however it is spelled, with whiteouts of it", function()
		local img = open({
			{ dir("./etc"), file("./etc/secret", SECRET), file("./etc/kept") },
			{ file("etc/secret", SECRET .. "2"), file("b") },
			{ file("etc/.wh.secret"), file("c") },
		})
		local report = assert(img:purge("etc/secret", { prove = SECRET }))
		assert.same({
			{ layer = 1, path = "etc/secret", type = "file", size = #SECRET },
			{ layer = 2, path = "etc/secret", type = "file", size = #SECRET + 1 },
		}, report.removed)
		assert.equal(1, report.whiteouts)
		local look, path = bench:save(img)
		assert.same({ "./etc ./etc/kept", "b", "c" }, names(look))
		for i = 1, 3 do
			assert.is_nil(shell.read(bench:layer(path, i)):find(SECRET, 1, true))
		end
	end)

	specify("takes directories with all that is below them", function()
		local img = open({ { dir("d"), file("d/a"), dir("d/e"), file("d/e/b"), file("da") }, { file(".wh.d"), file("x") } })
		assert.equal(4, #assert(img:purge("d")).removed)
		assert.same({ "da", "x" }, names((bench:save(img))))
	end)

	specify("goes by a function for the paths of the entries that it wants", function()
		local img = open({ { file("a", "1"), file("b", "22") }, { file("a", "333") } })
		local layers = {}
		assert(img:purge(function(entry, layer)
			layers[#layers + 1] = layer.position
			return entry.size == 3
		end))
		assert.same({ 1, 1, 2 }, layers)
		assert.same({ "b", "" }, names((bench:save(img))))
	end)

	specify("keeps the hardlinks to what goes, and says when they have the secret", function()
		local function image()
			return open({ { file("a", SECRET), { name = "b", type = "hardlink", linkname = "a" } } })
		end
		local img = image()
		assert(img:purge("a"))
		local look = bench:save(img)
		assert.same({ "b", "file", SECRET }, {
			look.layers[1].entries[1].name, look.layers[1].entries[1].type, look.layers[1].entries[1].data,
		})
		img = image()
		local ok, message, code = img:purge("a", { prove = SECRET })
		assert.is_nil(ok)
		assert.equal("EEXIST", code)
		assert.is_truthy(message:find("layer 1/1", 1, true))
		assert.is_nil(message:find(SECRET, 1, true))
		assert.is_false(img.edited)
		look = bench:save(img)
		assert.same({ "a b" }, names(look))
		assert.equal(SECRET, look.layers[1].entries[1].data)
	end)

	specify("scrubs history, environment and labels", function()
		local img = open({ { file("a"), file("key", SECRET) } }, {
			config = {
				config = { Env = { "PATH=/bin", "TOKEN=" .. SECRET }, Labels = { token = SECRET, name = "x" } },
				history = { { created_by = "ARG TOKEN=" .. SECRET } },
			},
		})
		local ok, message, code = img:purge("key", { prove = { "something", SECRET } })
		assert.is_nil(ok)
		assert.equal("EEXIST", code)
		assert.equal("config: secret 2 is still in it", message)
		assert.is_false(img.edited)
		local report = assert(img:purge({ pattern = "^key$" }, {
			history = "hunter2[%w-]*", env = "hunter2", labels = "hunter2", prove = SECRET,
		}))
		assert.same({ 1, { "TOKEN" }, { "token" } }, { report.history, report.env, report.labels })
		assert.same({ "PATH=/bin" }, img.config.Env)
		assert.same({ name = "x" }, img.config.Labels)
		assert.equal("ARG TOKEN=***", img.layers[1].created_by)
		assert.is_nil((bench:save(img)).config:find(SECRET, 1, true))
	end)

	specify("finds bytes wherever they lie", function()
		local long = ("x"):rep(1048576 - 512 - 7)
		local img = open({ { file("big", long .. SECRET) }, { file("other") } })
		assert.equal("EEXIST", select(3, img:purge("other", { prove = SECRET })))
	end)

	specify("changes nothing when nothing matches", function()
		local img = open({ { file("a") }, { file("b") } })
		local report, message, code = img:purge("zz")
		assert.same({ nil, "purge: nothing matches 'zz'", "ENOENT" }, { report, message, code })
		assert.is_false(img.edited)
		assert.same({
			removed = {}, whiteouts = 0, history = 0, env = {}, labels = {},
			annotations = {}, missed = { "nothing matches {pattern = '^zz$'}" },
		}, img:purge({ pattern = "^zz$" }, { optional = true }))
		assert.is_false(img.edited)
	end)

	specify("throws what cannot be meant", function()
		local img = open({ { file("a") } })
		assert.has_error(function() img:purge() end)
		assert.has_error(function() img:purge("a", { prove = "" }) end)
		assert.has_error(function() img:purge("a", { env = true }) end)
	end)
end)
