-- exists = "check" asked for nothing when the tag had the manifest already, so that a push did not bring back what the
-- registry had lost.

local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe('exists = "check"', function()
	local fake, image, dir, layout

	before_each(function()
		fake, dir = registry.start({}), tmp.dir()
		image = remote.image({ count = 2 })
		image.layout:list(image.descriptor, "app:1")
		layout = image.layout:directory(dir:file("layout"))
		assert(strata.copy(layout, "docker://" .. fake.host .. "/app:1", { registry = remote.client() }))
	end)

	after_each(function()
		fake:stop()
		dir:remove()
	end)

	local function ref(tag)
		return "docker://" .. fake.host .. "/app:" .. (tag or "1")
	end

	local function push(fn, exists, hub)
		fake:forget()
		return assert(fn({ registry = hub or remote.client(), exists = exists }))
	end

	local LOST = 1
	local SAVES = {
		["an image"] = function(options)
			return assert(strata.open(layout)):save(ref(), options)
		end,
		["an index"] = function(options)
			return strata.copy(layout, ref(), options)
		end,
	}

	for name, save in pairs(SAVES) do
		it("asks for every blob of " .. name .. ", and brings back what is lost", function()
			local lost = image.layers[LOST].descriptor.digest
			fake:drop_blob("app", lost)
			assert.equal(0, push(save).uploaded)
			assert.is_nil(fake:get_blob("app", lost))
			local planned = name == "an image" and
				assert(strata.open(layout)):plan({ to = ref(), registry = remote.client(), exists = "check" })
			local made = push(save, "check")
			assert.same({ 1, 2 }, { made.uploaded, made.skipped })
			if planned then
				assert.same({ 1, 2 }, { planned.uploaded, planned.skipped })
			end
			assert.is_string(fake:get_blob("app", lost))
			local heads = 0
			for _, request in ipairs(fake:log()) do
				heads = heads + (request.method == "HEAD" and request.path:find("/blobs/") and 1 or 0)
			end
			assert.equal(3, heads)
		end)
	end

	it("asks as well for what the client has pushed itself", function()
		local hub = remote.client()
		push(SAVES["an image"], nil, hub)
		local lost = image.layers[LOST].descriptor.digest
		fake:drop_blob("app", lost)
		assert.equal(1, push(SAVES["an image"], "check", hub).uploaded)
	end)

	it("tells of what nobody has any more", function()
		local hub = remote.client()
		local lost = image.layers[LOST].descriptor.digest
		local img = assert(strata.open(ref(), { registry = hub }))
		fake:drop_blob("app", lost)
		local made, message, code = img:save(ref("2"), { registry = hub, exists = "check" })
		assert.is_nil(made)
		assert.equal("ENOENT", code)
		assert.matches(lost, message, 1, true)
		assert.is_nil(fake:tags("app")["2"])
	end)
end)
