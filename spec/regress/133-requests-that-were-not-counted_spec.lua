-- The number of requests that a result tells lacked those to the source, and blobs that did not have to move were not
-- counted when the tag had the manifest already.

local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("a result tells", function()
	local from, to, hub, dir, image

	before_each(function()
		from, to, hub, dir = registry.start({}), registry.start({}), remote.client(), tmp.dir()
		image = remote.image({ count = 3 })
		remote.put(from, "app", image.layout, image.digest, "1")
	end)

	after_each(function()
		from:stop()
		to:stop()
		dir:remove()
	end)

	local function ref(server, tag)
		return ("docker://%s/app:%s"):format(server.host, tag or "1")
	end

	local function run(fn, ...)
		from:forget()
		to:forget()
		local made = assert(fn(...))
		assert.equal(#from:log() + #to:log(), made.requests)
		return made
	end

	local function copy(...)
		return strata.copy(...)
	end

	it("all requests of a copy", function()
		local made = run(copy, ref(from), ref(to), { registry = hub })
		assert.same({ 4, 0 }, { made.uploaded, made.skipped })
		made = run(copy, ref(from), ref(to), { registry = hub })
		assert.same({ 2, 0, 4 }, { made.requests, made.uploaded, made.skipped })
		made = run(copy, ref(from), ref(from, "2"), { registry = hub })
		assert.same({ 2, 0, 4 }, { made.requests, made.uploaded, made.skipped })
		run(copy, ref(from), dir:file("app.tar"), { registry = hub })
		run(copy, dir:file("app.tar"), ref(to, "2"), { registry = hub })
		made = run(copy, ref(from), ref(to), { registry = hub, platform = "linux/amd64" })
		assert.same({ 0, 4 }, { made.uploaded, made.skipped })
	end)

	it("all requests of a save, also those of a client that the image was opened with", function()
		local img = assert(strata.open(ref(from), { registry = hub }))
		run(img.save, img, ref(to), { registry = remote.client() })
		local made = run(img.save, img, ref(to), { registry = remote.client() })
		assert.same({ 0, 4 }, { made.uploaded, made.skipped })
		made = run(img.plan, img, { to = ref(to), registry = hub })
		assert.same({ 1, 0, 4 }, { made.requests, made.uploaded, made.skipped })
	end)

	it("of each layer whether it was sent, mounted or skipped, and so does a plan", function()
		local function fates(made)
			local list = {}
			for i, layer in ipairs(made.layers) do
				list[i] = layer.moved
			end
			return table.concat(list, " ")
		end
		local img = assert(strata.open(ref(from), { registry = hub }))
		assert(img:append({ files = { new = "new" } }))
		for place, wanted in pairs({
			[ref(from, "2")] = "skipped skipped skipped sent", [ref(to)] = "sent sent sent sent",
			["docker://" .. from.host .. "/other:1"] = "mounted mounted mounted sent",
		}) do
			local plan = assert(img:plan({ to = place, registry = hub }))
			assert.equal(wanted, fates(plan))
			assert.equal(wanted, fates(run(img.save, img, place, { registry = hub })))
			assert.matches("layer 4: added and sent, gzip, ", tostring(plan))
		end
		assert.equal("", fates(assert(img:plan())))
	end)

	it("tokens that were asked for", function()
		to:set({ auth = "token", users = { joe = "secret" } })
		hub = remote.client({ credentials = { [to.host] = { username = "joe", password = "secret" } } })
		run(copy, ref(from), ref(to), { registry = hub })
	end)

	it("no number of blobs where an index was not looked into", function()
		local list = { strata.new({ platform = "linux/amd64" }), strata.new({ platform = "linux/arm64" }) }
		assert(strata.save(list, ref(from, "multi"), { registry = hub }))
		local made = run(copy, ref(from, "multi"), ref(from, "2"), { registry = hub })
		assert.same({ 0, nil }, { made.uploaded, made.skipped })
		assert.matches("registry, 0 uploaded, 0 mounted, 0 B, manifest", tostring(made), 1, true)
	end)
end)
