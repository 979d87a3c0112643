-- Takes seconds: not for make check.
-- Mirrors of a registry: where it is read before it is asked itself. Ids are those of the checks.

local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local strata = require "strata"

describe("mirrors:", function()
	local fake, mirror, image, names

	before_each(function()
		fake, mirror = registry.start({}), registry.start({})
		image = remote.image({ count = 2 })
		names = remote.names(image)
		remote.put(fake, "app", image.layout, image.digest, "1")
		remote.put(mirror, "app", image.layout, image.digest, "1")
	end)

	after_each(function()
		fake:stop()
		mirror:stop()
	end)

	local function client(list, options)
		options = options or {}
		options.mirrors = { [fake.host] = list }
		return remote.client(options)
	end

	local function open(hub, what)
		return strata.open(("docker://%s/app%s"):format(fake.host, what or ":1"), { registry = hub })
	end

	-- Requests in the order of their bytes, since layers come at the same time.
	local function lines(server)
		local list = remote.lines(server, names)
		table.sort(list)
		server:forget()
		return list
	end

	local CONTENT = { "GET app/blobs/CONFIG 200", "GET app/blobs/LAYER1 200", "GET app/blobs/LAYER2 200" }

	it("NET8: have what digests name, and the registry says what a tag leads to", function()
		local img = assert(open(client({ { host = mirror.host } })))
		assert(img:verify())
		assert.same({ "GET app/manifests/1 200" }, lines(fake))
		assert.same(CONTENT, lines(mirror))
		assert.same({ ("%s/app@%s"):format(fake.host, image.digest) }, { img.repo_digests[1] })
		assert.same({ fake.host .. "/app:1" }, { img.tags[1] })
	end)

	it("NET8: are asked for a manifest by its digest", function()
		assert(open(client({ { host = mirror.host } }), "@" .. image.digest))
		assert.same({}, lines(fake))
		assert.same({ "GET app/blobs/CONFIG 200", "GET app/manifests/MANIFEST 200" }, lines(mirror))
	end)

	it("NET8: may have names of their own for repositories", function()
		remote.put(mirror, "hub/of/app", image.layout, image.digest)
		for _, path in ipairs({ "/hub/of", "/hub/of/" }) do
			local img = assert(open(client({ { host = mirror.host .. path } })))
			assert(img:verify())
			assert.same({ "GET app/manifests/1 200" }, lines(fake))
			assert.same({ "GET hub/of/app/blobs/CONFIG 200", "GET hub/of/app/blobs/LAYER1 200",
				"GET hub/of/app/blobs/LAYER2 200" }, lines(mirror))
		end
	end)

	it("NET9: are told whose they are when they are set so, and not otherwise", function()
		for _, namespace in ipairs({ true, false }) do
			assert(open(client({ { host = mirror.host, namespace = namespace } })))
			local path = mirror:log()[1].path
			assert.equal(namespace and "ns=" .. fake.host or nil, path:match("?(.*)"))
			mirror:forget()
		end
	end)

	it("NET9: get no credentials but their own", function()
		fake:set({ auth = "basic", users = { joe = "secret" } })
		local hub = client({ { host = mirror.host } }, { credentials = {
			[fake.host] = { username = "joe", password = "secret" },
		} })
		assert(assert(open(hub)):verify())
		for _, request in ipairs(mirror:log()) do
			assert.is_nil(request.headers.authorization)
		end
		mirror:set({ auth = "basic", users = { jim = "other" } })
		hub = client({ { host = mirror.host } }, { credentials = {
			[fake.host] = { username = "joe", password = "secret" },
			[mirror.host] = { username = "jim", password = "other" },
		} })
		fake:forget()
		assert(assert(open(hub)):verify())
		for _, line in ipairs(lines(fake)) do
			assert.is_nil(line:find("blobs", 1, true))
		end
	end)

	it("NET9, A26: are believed about tags only when they are set so", function()
		local other = remote.image({ count = 1, name = "other" })
		remote.put(mirror, "app", other.layout, other.digest, "1")
		assert.equal(image.digest, assert(open(client({ { host = mirror.host } }))).digest)
		local img = assert(open(client({ { host = mirror.host, resolve = true } })))
		assert.equal(other.digest, img.digest)
	end)

	it("NET10: that fail make room for the next one, and for the registry", function()
		mirror:fault({ path = "/blobs/", status = 404, times = 100 })
		local hub = client({ { host = "127.0.0.1:1" }, { host = mirror.host } })
		assert(assert(open(hub)):verify())
		local asked = lines(fake)
		table.remove(asked) -- the manifest
		assert.same(CONTENT, asked)
		assert.equal(3, #lines(mirror))
	end)

	local FAULTS = { { status = 500 }, { close = true }, { status = 403 }, { status = 200, body = "other bytes" } }
	for _, fault in ipairs(FAULTS) do
		it("NET10: that answer with " .. (fault.status or "nothing") .. (fault.body or "") .. " are passed over", function()
			fault.path, fault.times = "/blobs/", 100
			mirror:fault(fault)
			assert(assert(open(client({ { host = mirror.host } }))):verify())
			assert.same("GET app/blobs/LAYER2 200", lines(fake)[3])
		end)
	end

	it("NET10: that are not there are asked once for a while", function()
		mirror:fault({ path = "/blobs/", status = 503, times = 100 })
		assert(assert(open(client({ { host = mirror.host } }))):verify())
		assert.equal(2, #lines(mirror)) -- one try more, and the layers do not ask any more
	end)

	it("NET10: the message tells what each of them has said", function()
		local digest = "sha256:" .. ("0"):rep(64)
		local img, message, code = open(client({ { host = mirror.host } }), "@" .. digest)
		assert.is_nil(img)
		assert.equal("ENOENT", code)
		local function asked(host)
			return "GET http://" .. host:gsub("%p", "%%%0") .. "/v2/app/manifests/" .. digest .. ": 404"
		end
		assert.matches(": " .. asked(fake.host) .. ".* %(mirrors before it: " .. asked(mirror.host), message)
	end)

	it("are where a copy to another registry is read", function()
		local target = registry.start({})
		local hub = client({ { host = "127.0.0.1:1" }, { host = mirror.host } })
		fake:forget()
		assert(strata.copy(("docker://%s/app:1"):format(fake.host), ("docker://%s/new:1"):format(target.host),
			{ registry = hub }))
		assert.same({ "GET app/manifests/1 200" }, lines(fake))
		assert.same(CONTENT, lines(mirror))
		assert.equal(image.digest, assert(strata.open(("docker://%s/new:1"):format(target.host), { registry = hub })).digest)
		target:stop()
	end)

	it("that break off in the middle of a copy are not asked for the rest", function()
		local target = registry.start({})
		local bytes = remote.noise(300000)
		fake:forget()
		image = remote.image({ layers = { image.layout:layer({ { name = "big", data = bytes } }, { compression = "gzip" }) },
			layout = image.layout })
		names = remote.names(image)
		remote.put(fake, "big", image.layout, image.digest, "1")
		remote.put(mirror, "big", image.layout, image.digest, "1")
		mirror:fault({ path = image.layers[1].descriptor.digest, close = 100000, times = 100 })
		local hub = client({ { host = mirror.host } })
		assert(strata.copy(("docker://%s/big:1"):format(fake.host), ("docker://%s/new:1"):format(target.host),
			{ registry = hub }))
		assert(assert(strata.open(("docker://%s/new:1"):format(target.host), { registry = hub })):verify())
		assert.same({ "GET big/blobs/LAYER1 200", "GET big/manifests/1 200" }, lines(fake))
		target:stop()
	end)

	for what, fault in pairs({ ["other bytes"] = { flip = 100 }, ["more bytes"] = { body_extra = "more" },
		["fewer bytes"] = { truncate = 20 } }) do
		it("NET10: that send " .. what .. " in a copy are not asked again", function()
			local target = registry.start({})
			fault.path, fault.times = image.layers[1].descriptor.digest, 100
			mirror:fault(fault)
			assert(strata.copy(("docker://%s/app:1"):format(fake.host), ("docker://%s/new:1"):format(target.host),
				{ registry = client({ { host = mirror.host } }) }))
			assert(assert(strata.open(("docker://%s/new:1"):format(target.host), { registry = client({}) })):verify())
			target:stop()
		end)
	end

	it("are never written to", function()
		local hub = client({ { host = mirror.host } })
		local img = assert(open(hub))
		img.config.Labels = { a = "b" }
		mirror:forget()
		assert(img:save(("docker://%s/app:2"):format(fake.host), { registry = hub }))
		for _, line in ipairs(lines(mirror)) do
			assert.matches("^GET ", line)
		end
	end)

	it("that know what tags lead to are asked by the client as well, and others are not", function()
		local newer = remote.image({ count = 1, name = "newer" })
		remote.put(mirror, "app", newer.layout, newer.digest, "1")
		local ref = ("docker://%s/app:1"):format(fake.host)
		local hub = client({ { host = mirror.host, resolve = true } })
		assert.equal(newer.digest, hub:digest(ref))
		assert.equal(newer.digest, hub:manifest(ref).digest)
		assert.same({}, lines(fake))
		assert.equal(2, #lines(mirror))
		hub = client({ { host = mirror.host } })
		assert.equal(image.digest, hub:digest(ref))
		assert.equal(image.digest, hub:manifest(ref).digest)
		assert.same({}, lines(mirror))
		lines(fake)
		assert.equal(image.digest, hub:manifest((ref:gsub(":1$", "@" .. image.digest))).digest)
		assert.same({ "GET app/manifests/MANIFEST 200" }, lines(mirror))
		assert.same({}, lines(fake))
	end)

	it("have nothing of a tag: then the registry is asked", function()
		remote.put(fake, "other", image.layout, image.digest, "1")
		local hub = client({ { host = mirror.host, resolve = true } })
		assert.equal(image.digest, hub:digest(("docker://%s/other:1"):format(fake.host)))
		local digest, message, code = hub:digest(("docker://%s/nothing:1"):format(fake.host))
		assert.is_nil(digest)
		assert.equal("ENOENT", code)
		assert.matches("there is no such image", message)
	end)

	it("have hosts, with a path or without; anything else is misuse", function()
		for _, host in ipairs({ "", "/hub", "https://127.0.0.1:5601", "Mirror.test", "a b", "u:p@mirror.test" }) do
			local ok, message = pcall(client, { { host = host } })
			assert.is_false(ok)
			assert.matches("registry: mirrors%['" .. fake.host .. "'%]%[1%]: '", message)
			assert.is_nil(message:find("u:p@", 1, true))
		end
	end)
end)
