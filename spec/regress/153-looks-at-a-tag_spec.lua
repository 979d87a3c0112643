-- A label edit with `expect` asked for the tag twice, three times when no tag was expected: before a config of some
-- kilobytes was sent, and after that. Each request also copied the system's list of authorities, over http as well.

local certificates = require "spec.support.certificates"
local client = require "strata.registry"
local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local strata = require "strata"

describe("an edit of a label with expect", function()
	local fake, hub, image

	before_each(function()
		fake, image = registry.start({}), remote.image({ count = 2 })
		remote.put(fake, "app", image.layout, image.digest, "1")
		hub = remote.client()
	end)

	after_each(function()
		fake:stop()
	end)

	local function ref(name)
		return "docker://" .. fake.host .. "/" .. name
	end

	-- Edits app:1, saves it, and returns the requests since the opening.
	local function requests(target, expect, edit)
		local img = assert(strata.open(ref("app:1"), { registry = hub }))
		edit(img)
		fake:forget()
		local saved, _, code = img:save(ref(target), { registry = hub, expect = expect })
		local lines = {}
		for i, request in ipairs(fake:log()) do
			lines[i] = request.method .. " " .. request.path:gsub("^/v2/", ""):gsub("uploads/.*", "uploads/")
		end
		return lines, saved, code
	end

	local function label(img)
		img.config:set_label("a", "b")
	end

	it("of the same tag looks once, before the tag moves", function()
		local lines, saved = requests("app:1", image.digest, label)
		assert.same({ "POST app/blobs/uploads/", "PUT app/blobs/uploads/", "HEAD app/manifests/1", "PUT app/manifests/1" },
			lines)
		assert.equal(4, saved.requests)
		assert.equal(saved.digest, fake:tags("app")["1"])
	end)

	it("for a new tag looks once, too", function()
		assert.same({ "POST app/blobs/uploads/", "PUT app/blobs/uploads/", "GET app/manifests/2", "PUT app/manifests/2" },
			(requests("app:2", false, label)))
		local lines, _, code = requests("app:2", false, function(img)
			img.config:set_label("a", "c")
		end)
		assert.equal("ESTALE", code)
		assert.equal("GET app/manifests/2", lines[#lines])
	end)

	it("looks once where nothing is to be sent", function()
		assert.same({ "GET app/manifests/2", "PUT app/manifests/2" }, (requests("app:2", false, function() end)))
		assert.same({ "GET app/manifests/1" }, (requests("app:1", image.digest, function() end)))
	end)

	it("looks twice where much is sent, and where the tag was another one when the image was opened", function()
		local lines = requests("app:1", image.digest, function(img)
			assert(img:append({ files = { noise = remote.noise(300000) } }))
		end)
		assert.equal("GET app/manifests/1", lines[1])
		assert.same({ "HEAD app/manifests/1", "PUT app/manifests/1" }, { lines[#lines - 1], lines[#lines] })
		local again, _, code = requests("app:1", image.digest, label)
		assert.same({ "GET app/manifests/1" }, again)
		assert.equal("ESTALE", code)
	end)

	it("shares a connection with those before", function()
		local before = fake:stats().connections
		for i = 1, 5 do
			assert(select(2, requests("app:1", fake:tags("app")["1"], function(img)
				img.config:set_label("a", tostring(i))
			end)))
		end
		assert.equal(before + 1, fake:stats().connections)
	end)

	it("takes no authorities along over http", function()
		local given = {}
		local transport = client.client_of(hub).transport
		local start = transport.start
		function transport.start(self, request)
			given[#given + 1] = { url = request.url, ca = request.ca }
			return start(self, request)
		end
		client.client_of(hub).options.environment = function(name)
			return name == "SSL_CERT_FILE" and certificates.path("ca.crt") or nil
		end
		requests("app:1", image.digest, label)
		assert.equal(6, #given)
		for _, one in ipairs(given) do
			assert.matches("^http://", one.url)
			assert.is_nil(one.ca)
		end
	end)
end)
