-- Takes seconds: not for make check.
-- Fetching blobs: what breaks off goes on, what is wrong is refused, and nothing stays behind. Ids are those of the
-- checks.

local child = require "spec.support.child"
local oci_layout = require "spec.support.oci_layout"
local process = require "spec.support.process"
local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

describe("fetching a blob:", function()
	local fake, hub, dir, image, size, blob

	-- A layer of so many bytes that nothing compresses.
	local function noise_layer(layout, bytes)
		local data = shell.check({ "head", "-c", ("%d"):format(bytes), "/dev/urandom" })
		return layout:layer({ { name = "noise", data = data } }, { compression = "none" })
	end

	setup(function()
		fake = registry.start({})
		local layout = oci_layout.new()
		image = remote.image({ layout = layout, layers = { noise_layer(layout, 20000) } })
		remote.put(fake, "app", layout, image.digest, "1")
		size, blob = image.layers[1].descriptor.size, image.layers[1].descriptor.digest
	end)

	teardown(function()
		fake:stop()
	end)

	before_each(function()
		fake:faults_clear()
		fake:set({ cdn = false, latency = 0 })
		dir = tmp.dir()
		hub = remote.client({ parallel = 1 })
	end)

	after_each(function()
		assert.same({}, dir:names())
		dir:remove()
	end)

	local function open(what)
		local img = assert(strata.open("docker://" .. fake.host .. "/" .. (what or "app:1"),
			{ registry = hub, temp_dir = dir.path }))
		fake:forget()
		return img
	end

	local function fault(rule)
		rule.path = rule.path or blob
		fake:fault(rule)
	end

	-- Where blobs are, on another host.
	local function other_origin()
		local cdn = fake:listener({ address = "127.0.0.2" })
		fake:set({ cdn = cdn.url })
		hub = remote.client({ hosts = { [cdn.host] = { insecure = true } } })
		return cdn
	end

	-- The ranges that were asked for, "" for all of it, and the statuses.
	local function asked()
		local ranges, statuses = {}, {}
		for i, request in ipairs(fake:log()) do
			assert.equal("GET", request.method)
			assert.equal("identity", request.headers["accept-encoding"])
			ranges[i], statuses[i] = request.headers.range or "", request.status
		end
		return ranges, statuses
	end

	local function works(img)
		assert((img or open()):verify())
	end

	local function fails(code, text, img)
		local ok, message, found = (img or open()):verify()
		assert.is_nil(ok)
		assert.equal(code, found, message)
		assert.is_truthy(message:find(text, 1, true), message)
		assert.is_truthy(message:find("^docker://" .. fake.host:gsub("%p", "%%%0") .. "/app:1: layer 1/"), message)
		return message
	end

	local function rest(from)
		return ("bytes=%d-%d"):format(from, size - 1)
	end

	it("BLOB1: no encoding is asked for, and none is taken", function()
		works()
		assert.same({ "" }, (asked()))
		fault({ gzip = true })
		fails("EFORMAT", "gzip")
		fake:faults_clear()
		fault({ set = { ["Content-Encoding"] = "identity" } })
		works()
	end)

	describe("BLOB2 A15: its length", function()
		for _, rule in ipairs({ { body_extra = "x" }, { body_extra = "x", chunked = true }, { truncate = 5000 },
			{ truncate = 5000, chunked = true }, { truncate = 0 } }) do
			local how = (rule.truncate and "shorter" or "longer") .. (rule.chunked and ", unsaid" or ", said") ..
				(rule.truncate == 0 and ", nothing" or "")
			it(how, function()
				rule.path = nil
				fault(rule)
				fails("EDIGEST", "/blobs/" .. blob)
				assert.equal(1, #fake:log())
			end)
		end
	end)

	describe("BLOB3: other bytes", function()
		it("are refused by all who use them", function()
			fault({ flip = 1000 })
			for name, use in pairs({
				verify = function(img) return img:verify() end,
				read = function(img) return img:read("noise") end,
				extract = function(img) return img:extract(dir:file("root")) end,
				docker = function(img) return img:save(dir:file("out"), { format = "docker" }) end,
				oci = function(img) return img:save(dir:file("out"), { format = "oci" }) end,
				["oci-archive"] = function(img) return img:save(dir:file("out"), { format = "oci-archive" }) end,
				gzip = function(img) return img:save(dir:file("out"), { format = "oci-archive", compression = "gzip" }) end,
				registry = function(img) return img:save("docker://" .. fake.host .. "/x:1",
					{ registry = hub, compression = "gzip" }) end,
			}) do
				local ok, message, code = use(open())
				assert.is_nil(ok, name)
				assert.equal("EDIGEST", code, name .. ": " .. tostring(message))
				assert.is_truthy(message:find("layer 1/1", 1, true), message)
				assert.same({}, dir:names())
			end
		end)

		it("are not kept: the next time it is fetched anew", function()
			fault({ flip = 1000, times = 1 })
			local img = open()
			fails("EDIGEST", "hashes to", img)
			works(img)
			assert.same({ "", "" }, (asked()))
			fake:faults_clear()
			fault({ flip = 1000, times = 1 })
			img = open()
			assert.is_nil((img:read("noise")))
			assert.is_string(img:read("noise"))
		end)
	end)

	it("BLOB3: what came in parts is compared as a whole", function()
		for _, skip in ipairs({ 0, 1 }) do
			fake:faults_clear()
			fault({ close = 10000, times = 1 })
			fault({ flip = 500, times = 1, skip = skip })
			local img = open()
			fails("EDIGEST", "the bytes give", img)
			assert.is_nil((io.open(dir:file("out"))))
			works(img)
		end
	end)

	it("BLOB4: goes on where it broke off, with a closed range", function()
		for _, at in ipairs({ 0, 1, 2, 511, 512, 513, 1000, 4095, 4096, 16383, 16384, size - 2, size - 1 }) do
			fake:faults_clear()
			fault({ close = at, times = 1 })
			works()
			assert.same({ "", at > 0 and rest(at) or "" }, (asked()))
		end
	end)

	it("BLOB4: however often, and by a reset", function()
		for i = 1, 4 do
			fault({ close = 1000, times = 1, skip = i - 1, reset = i == 2 or nil })
		end
		works()
		local ranges, statuses = asked()
		assert.equal("", ranges[1])
		assert.equal(5, #ranges)
		assert.equal(206, statuses[5])
	end)

	describe("BLOB5: an answer with another range", function()
		for _, how in ipairs({ "start", "total" }) do
			it(how .. ", once: it begins anew", function()
				fault({ close = 1000, times = 1 })
				fault({ range = how, times = 1, skip = 1 })
				works()
				assert.same({ "", rest(1000), "" }, (asked()))
			end)

			it(how .. ", always", function()
				fault({ close = 1000 })
				fault({ range = how, with = { range = "bytes" }, close = 5000 })
				fails("EFORMAT", "range")
				assert.is_true(#fake:log() <= 5)
			end)
		end

		it("that breaks off as well", function()
			fault({ close = 1000, times = 1 })
			fault({ range = "start", close = 3000, times = 1, skip = 1 })
			works()
			assert.same({ "", rest(1000), "" }, (asked()))
		end)

		it("of unknown size is right", function()
			fault({ close = 1000, times = 1 })
			fault({ set = { ["Content-Range"] = rest(1000):gsub("=", " ") .. "/*" }, times = 1, skip = 1 })
			works()
			assert.same({ "", rest(1000) }, (asked()))
		end)
	end)

	it("BLOB6: 200 in answer to a range: it begins anew", function()
		fault({ close = 1000, times = 1 })
		fault({ range = "full", with = { range = "bytes" } })
		works()
		local ranges, statuses = asked()
		assert.same({ "", rest(1000), "" }, ranges)
		assert.equal(200, statuses[3])
	end)

	it("BLOB6: 200 always, from a registry that breaks off", function()
		fault({ close = 1000, times = 2, with = { range = false } })
		fault({ range = "full" })
		works()
		fake:forget()
		fake:faults_clear()
		fault({ close = 1000, with = { range = false } })
		fault({ range = "full" })
		fails("ENETWORK", "/blobs/" .. blob)
		assert.is_true(#fake:log() <= 12)
	end)

	it("BLOB7: several parts are refused", function()
		fault({ close = 1000, times = 1 })
		fault({ range = "multipart", times = 1, skip = 1 })
		works()
		fake:faults_clear()
		fault({ close = 1000 })
		fault({ range = "multipart", with = { range = "bytes" }, close = false })
		fails("EFORMAT", "range")
	end)

	describe("BLOB8: 416", function()
		for _, how in ipairs({ "416", "416-length" }) do
			it(how .. ", once: it begins anew", function()
				fault({ close = 1000, times = 1 })
				fault({ range = how, times = 1, skip = 1 })
				works()
				local ranges, statuses = asked()
				assert.same({ "", rest(1000), "" }, ranges)
				assert.equal(416, statuses[2])
			end)

			it(how .. ", twice: it fails", function()
				fault({ close = 1000, with = { range = false } })
				fault({ range = how })
				fails("EFORMAT", "416")
				assert.equal(4, #fake:log())
			end)
		end
	end)

	it("BLOB9: each reconnect asks the registry again", function()
		local cdn = other_origin()
		local img = open()
		cdn:forget()
		cdn:fault({ close = 5000, times = 1 })
		works(img)
		assert.same({ "", rest(5000) }, (asked()))
		local log = cdn:log()
		assert.equal(2, #log)
		assert.are_not.equal(log[1].path, log[2].path)
		assert.equal(rest(5000), log[2].headers.range)
		for _, request in ipairs(log) do
			assert.is_nil(request.headers.authorization)
		end
	end)

	it("Q14: an address that has expired is asked for again", function()
		local cdn = other_origin()
		local img = open()
		cdn:fault({ status = 403, body = "<Error><Code>AccessDenied</Code></Error>", times = 1 })
		works(img)
		assert.equal(2, #fake:log())
	end)

	describe("BLOB10: breaks", function()
		it("without progress are five at most", function()
			fault({ close = 0 })
			fails("ENETWORK", "/blobs/" .. blob)
			assert.equal(5, #fake:log())
			hub = remote.client({ retries = 20 })
			fails("ENETWORK", "/blobs/" .. blob)
			assert.equal(5, #fake:log())
		end)

		it("are as few as the client wants", function()
			hub = remote.client({ retries = 1 })
			fault({ close = 0 })
			fails("ENETWORK", "/blobs/" .. blob)
			assert.equal(2, #fake:log())
		end)

		it("with progress do not count", function()
			local layout = oci_layout.new()
			local big = remote.image({ layout = layout, layers = { noise_layer(layout, 9 * 2 ^ 20) } })
			remote.put(fake, "big", layout, big.digest, "1")
			fault({ close = 1200000, path = "/big/blobs/" })
			hub = remote.client({ retries = 2 })
			works(open("big:1"))
			assert.equal(8, #fake:log())
		end)
	end)

	it("BLOB11: what stalls goes on elsewhere", function()
		hub = remote.client({ stall_timeout = 1 })
		fault({ stall = 7000, times = 1 })
		works()
		assert.same({ "", rest(7000) }, (asked()))
		fake:faults_clear()
		hub = remote.client({ stall_timeout = 1, retries = 0 })
		fault({ stall = "head" })
		fails("ETIMEDOUT", "/blobs/" .. blob)
	end)

	it("BLOB12: one without a byte takes no request", function()
		local layout = oci_layout.new()
		local nothing = layout:layer({}, { compression = "none", bytes = "" })
		nothing.diff_id = EMPTY
		local made = remote.image({ layout = layout, layers = { nothing } })
		assert.equal(EMPTY, nothing.descriptor.digest)
		remote.put(fake, "empty", layout, made.digest, "1")
		local img = open("empty:1")
		img:verify()
		assert.same({}, fake:log())
	end)

	it("BLOB13: the same digest twice is one GET", function()
		local layout = oci_layout.new()
		local one, other = layout:file_layer("one"), layout:file_layer("other")
		local made = remote.image({ layout = layout, layers = { one, other, one, one } })
		remote.put(fake, "twice", layout, made.digest, "1")
		local img = open("twice:1")
		works(img)
		assert.equal("this is one\n", img:read("one"))
		assert.equal("this is one\n", img.layers[3]:read("one"))
		assert.equal(2, #fake:log())
		img:close()
		img = open("twice:1")
		assert.equal("this is one\n", img.layers[1]:read("one"))
		assert.equal("this is one\n", img.layers[4]:read("one"))
		assert.equal(1, #fake:log())
	end)

	it("BLOB14: one that is not there is asked for once", function()
		fault({ status = 404, body = '{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}' })
		local message = fails("ENOENT", blob)
		assert.is_truthy(message:find("/v2/app/", 1, true))
		assert.equal(1, #fake:log())
	end)

	it("RTY1: what passes is tried again", function()
		for _, status in ipairs({ 408, 429, 500, 502, 503, 504 }) do
			fake:faults_clear()
			fault({ status = status, times = 2 })
			works()
			assert.same({ "", "", "" }, (asked()))
		end
		for _, status in ipairs({ 400, 403, 405, 501 }) do
			fake:faults_clear()
			fault({ status = status })
			local ok, _, code = open():verify()
			assert.is_nil(ok)
			assert.is_string(code)
			assert.equal(1, #fake:log())
		end
	end)

	it("several at once, no more than the client wants", function()
		local made = remote.image({ count = 6, name = "many" })
		remote.put(fake, "many", made.layout, made.digest, "1")
		for parallel = 1, 4 do
			hub = remote.client({ parallel = parallel })
			local img = open("many:1")
			local before = fake:stats().connections
			fake:set({ latency = 0.05 })
			works(img)
			fake:set({ latency = 0 })
			assert.is_true(fake:stats().connections - before <= parallel)
			local log, most = fake:log(), 0
			for _, one in ipairs(log) do
				local count = 0
				for _, other in ipairs(log) do
					count = count + (other.time <= one.time and one.time < other.finished and 1 or 0)
				end
				most = math.max(most, count)
			end
			assert.equal(6, #log)
			assert.is_true(most <= parallel and (parallel == 1 or most > 1), most)
		end
	end)

	it("one that fails ends the others", function()
		local made = remote.image({ count = 4, name = "some" })
		remote.put(fake, "some", made.layout, made.digest, "1")
		hub = remote.client({ parallel = 4 })
		local img = open("some:1")
		fault({ path = made.layers[1].descriptor.digest, stall = 10 })
		fault({ path = made.layers[3].descriptor.digest, status = 403 })
		local ok, message, code = img:verify()
		assert.same({ nil, "EDENIED" }, { ok, code })
		assert.is_truthy(message:find("layer 3/4", 1, true), message)
		fake:faults_clear()
		assert(img:verify())
	end)

	it("is given up when the progress function throws", function()
		fault({ stall = 1000 })
		local img = open()
		local ok, thrown = pcall(img.verify, img, { progress = function(done)
			if done >= 1000 then
				error("enough", 0)
			end
		end })
		assert.same({ false, "enough" }, { ok, thrown })
		fake:faults_clear()
		works(img)
	end)

	it("tells how far it is", function()
		local whats, last = {}, 0
		assert(open():verify({ progress = function(done, total, what)
			whats[what] = total
			if what == "fetching" then
				assert.is_true(done <= total and done >= last)
				last = done
			end
		end }))
		assert.equal(size, whats.fetching)
	end)

	it("leaves no descriptor open after a failure", function()
		works()
		local descriptors = process.descriptors()
		for _, rule in ipairs({ { flip = 10 }, { status = 404 }, { close = 100 }, { truncate = 10 } }) do
			fake:faults_clear()
			fault(rule)
			local img = open()
			assert.is_nil((img:verify()))
			assert.is_nil((img:save(dir:file("out"), { format = "oci-archive" })))
			img:close()
		end
		assert.is_true(process.descriptors() <= descriptors + 1) -- a connection may be one of another time
	end)

	it("on a disk that is full", function()
		if shell.run({ "unshare", "-m", "true" }).status ~= 0 then
			pending("nothing can be mounted here")
		end
		local done = child.run({ script = [[
			local strata = require "strata"
			assert(os.execute("mount -t tmpfs -o size=8k none " .. arg[2]))
			local hub = strata.registry { credentials = {}, system = false }
			local img = assert(strata.open(arg[1], { temp_dir = arg[2], registry = hub }))
			local ok, message, code = img:verify()
			assert(not ok and code == "ENOSPC", tostring(code) .. ": " .. tostring(message))
			collectgarbage() collectgarbage()
			local free = io.popen("df --output=used " .. arg[2] .. " | tail -n 1"):read("*n")
			assert(free == 0, "something stays")
			print(message)
		]], arguments = { "docker://" .. fake.host .. "/app:1", dir.path }, wrapper = { "unshare", "-m" } })
		assert.equal(0, done.status, done.stderr)
		assert.is_truthy(done.stdout:find("layer 1/1", 1, true), done.stdout)
	end)

end)
