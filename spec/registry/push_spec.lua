-- Takes seconds: not for make check.
-- Saving images to registries: what is uploaded, mounted, skipped, in which order, and what happens when a registry
-- refuses. Ids are those of the checks.

local oci_layout = require "spec.support.oci_layout"
local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local types = oci_layout.types
local ZERO = "sha256:" .. ("0"):rep(64)
local LAYERS = 3

describe("pushing:", function()
	local fake, other, hub, image, names, dir, started

	local function start(options)
		local one = registry.start(options or {})
		started[#started + 1] = one
		return one
	end

	setup(function()
		image = remote.image({ count = LAYERS })
		image.layout:list(image.descriptor, "app:1")
	end)

	before_each(function()
		started = {}
		fake = start()
		remote.put(fake, "app", image.layout, image.digest, "1")
		names = remote.names(image)
		hub = remote.client()
		dir = tmp.dir()
	end)

	after_each(function()
		for _, one in ipairs(started) do
			one:stop()
		end
		dir:remove()
	end)

	local function ref(name, server)
		return "docker://" .. (server or fake).host .. "/" .. name
	end

	local function open(name, server)
		return assert(strata.open(ref(name or "app:1", server), { registry = hub }))
	end

	-- The image from a directory: no registry has its blobs.
	local function from_disk()
		local img = assert(strata.open(image.layout:directory(dir:file("layout"))))
		return img
	end

	local function save(img, name, options, server)
		options = options or {}
		options.registry = hub
		return img:save(ref(name, server), options)
	end

	local function lines(server)
		return remote.lines(server or fake, names)
	end

	local function fails(code, text, ...)
		local ok, message, found = save(...)
		assert.is_nil(ok)
		assert.equal(code, found, message)
		assert.is_truthy(message:find(text, 1, true), message)
		return message
	end

	-- The requests that blobs need, in no order.
	local function uploads(repository, list)
		local wanted = {}
		for _, name in ipairs(list) do
			wanted[#wanted + 1] = ("POST %s/blobs/uploads/ 202"):format(repository)
			wanted[#wanted + 1] = ("PUT %s/blobs/uploads/*?digest=%s 201"):format(repository, name)
		end
		return wanted
	end

	local function count(list, pattern)
		local found = 0
		for _, line in ipairs(list) do
			found = found + (line:find(pattern) and 1 or 0)
		end
		return found
	end

	-- Takes the first and the last request away; the others come at the same time.
	local function ends(list)
		local first, last = table.remove(list, 1), table.remove(list)
		return first, last, remote.sorted(list)
	end

	local ALL = { "CONFIG", "LAYER1", "LAYER2", "LAYER3" }

	local function label(img)
		img.config:set_label("a", "b")
		names[img.id] = "NEWCONFIG"
		return img
	end

	describe("requests:", function()
		it("4.1 (a): a label in the same repository takes five", function()
			fake:forget()
			local result = assert(save(label(open()), "app:2"))
			assert.same({
				"GET app/manifests/1 200", "GET app/blobs/CONFIG 200",
				"POST app/blobs/uploads/ 202", "PUT app/blobs/uploads/*?digest=NEWCONFIG 201",
				"PUT app/manifests/2 201",
			}, lines())
			assert.equal(3, result.requests)
			assert.same({ 1, 0, LAYERS }, { result.uploaded, result.mounted, result.skipped })
			assert.equal(result.digest, fake:tags("app")["2"])
			assert(open("app:2"):verify())
			assert.equal(image.digest, fake:tags("app")["1"])
		end)

		it("4.1 (b): in another repository of the same registry, L + 6", function()
			fake:forget()
			assert(save(label(open()), "other/app:2"))
			local list = lines()
			assert.equal(LAYERS + 6, #list)
			assert.same({ "GET app/manifests/1 200", "GET app/blobs/CONFIG 200", "GET other/app/manifests/2 404" },
				{ list[1], list[2], list[3] })
			assert.equal("PUT other/app/manifests/2 201", list[#list])
			assert.equal(LAYERS, count(list, "^POST other/app/blobs/uploads/%?mount=LAYER%d&from=app 201$"))
			assert(open("other/app:2"):verify())
		end)

		it("4.1 (c): in another registry, 3 L + 6", function()
			other = start()
			fake:forget()
			assert(save(label(open()), "app:2", nil, other))
			assert.equal(2 + LAYERS, #lines())
			local first, last, list = ends(lines(other))
			assert.equal("GET app/manifests/2 404", first)
			assert.equal("PUT app/manifests/2 201", last)
			assert.same(remote.sorted(uploads("app", { "NEWCONFIG", "LAYER1", "LAYER2", "LAYER3" })), list)
			assert(open("app:2", other):verify())
		end)

		it("4.1: a copy in the same registry takes L + 5, and keeps the digest", function()
			fake:forget()
			local result = assert(save(open(), "copy:1"))
			local list = lines()
			assert.equal(LAYERS + 5, #list)
			assert.equal(LAYERS + 1, count(list, "%?mount=%w+&from=app 201$"))
			assert.equal(image.digest, result.digest)
			assert.same({ 0, LAYERS + 1, 0 }, { result.uploaded, result.mounted, result.skipped })
			assert.equal(fake:get_manifest("app", "1"), (fake:get_manifest("copy", "1")))
		end)

		it("4.1: a copy to another registry", function()
			other = start()
			fake:forget()
			local result = assert(save(open(), "copy:1", nil, other))
			assert.equal(2 + LAYERS, #lines())
			assert.equal(2 * (LAYERS + 1) + 2, #lines(other))
			assert.equal(image.digest, result.digest)
			assert.equal(fake:get_manifest("app", "1"), (other:get_manifest("copy", "1")))
			assert(open("copy:1", other):verify())
		end)

		it("4.1: what is there already moves nothing", function()
			assert(save(open(), "copy:1"))
			fake:forget()
			hub = remote.client()
			local result = assert(save(open(), "copy:1"))
			assert.same({ "GET app/manifests/1 200", "GET app/blobs/CONFIG 200", "GET copy/manifests/1 200" }, lines())
			assert.equal(LAYERS + 1, result.skipped)
			fake:forget()
			assert(save(from_disk(), "copy:1"))
			assert.same({ "GET copy/manifests/1 200" }, lines())
		end)

		it("an added layer alone is uploaded", function()
			fake:forget()
			local img = open()
			assert(img:append({ files = { new = "new" } }))
			local result = assert(save(img, "app:2"))
			assert.equal(2 + LAYERS + 2 * 2 + 1, #fake:log()) -- directories and links may be in the layers below
			assert.same({ 2, LAYERS }, { result.uploaded, result.skipped })
			assert.equal("new", open("app:2"):read("new"))
		end)

		it("blobs of the manifest that the target has now are known to be there", function()
			assert(save(open(), "copy:1"))
			hub = remote.client()
			fake:forget()
			assert(save(label(from_disk()), "copy:1"))
			assert.same({ "GET copy/manifests/1 200", "POST copy/blobs/uploads/ 202",
				"PUT copy/blobs/uploads/*?digest=NEWCONFIG 201", "PUT copy/manifests/1 201" }, lines())
		end)

		it("so are those that this client has pushed", function()
			assert(save(from_disk(), "copy:1"))
			fake:forget()
			assert(save(label(from_disk()), "copy:2"))
			assert.same({ "GET copy/manifests/2 404", "POST copy/blobs/uploads/ 202",
				"PUT copy/blobs/uploads/*?digest=NEWCONFIG 201", "PUT copy/manifests/2 201" }, lines())
		end)

		it("large blobs that nothing is known of are asked for", function()
			local layout = oci_layout.new()
			local layer = layout:layer({ { name = "noise", data = shell.check({ "head", "-c", "300000", "/dev/urandom" }) } },
				{ compression = "none" })
			local big = remote.image({ layout = layout, layers = { layer } })
			names = remote.names(big)
			layout:list(big.descriptor, "big:1")
			local img = assert(strata.open(layout:directory(dir:file("big"))))
			fake:put_blob("big", layer.bytes)
			fake:forget()
			assert(save(img, "big:1", { compression = "keep" }))
			local list = lines()
			assert.equal(1, count(list, "^HEAD big/blobs/LAYER1 200$"))
			assert.equal(0, count(list, "digest=LAYER1"))
			hub = remote.client()
			fake:forget()
			assert(save(img, "big2:1", { compression = "keep", exists = "never" }))
			assert.equal(0, count(lines(), "^HEAD"))
			hub = remote.client()
			fake:forget()
			assert(save(from_disk(), "big3:1", { exists = "check" }))
			assert.equal(LAYERS + 1, count(lines(), "^HEAD"))
		end)

		it("RTY5: 403 in answer to such a question is no", function()
			fake:quirks("Q9")
			assert(save(from_disk(), "new:1", { exists = "check" }))
			assert.equal(image.digest, fake:tags("new")["1"])
		end)
	end)

	it("a layer that was made for itself is put on top, and no other one is fetched", function()
		local img = open()
		fake:forget()
		assert(img:append({ layer = assert(strata.layer({ files = { new = "new" } })) }))
		local result = assert(save(img, "app:2"))
		assert.equal(0, count(lines(), "^GET .*/blobs/"))
		assert.equal(2, result.uploaded)
		assert.equal("new", open("app:2"):read("new"))
	end)

	describe("blobs:", function()
		it("UP1, UP2, UP3: POST without a body, then one PUT of known length", function()
			fake:forget()
			assert(save(from_disk(), "new:1"))
			local first, last, list = ends(lines())
			assert.same({ "GET new/manifests/1 404", "PUT new/manifests/1 201" }, { first, last })
			fake:forget()
			hub = remote.client()
			assert(save(from_disk(), "again:1"))
			assert.same(remote.sorted(uploads("new", ALL)), list)
			for _, request in ipairs(fake:log()) do
				if request.method == "POST" then
					assert.equal("0", request.headers["content-length"])
				elseif request.method == "PUT" and request.path:find("/uploads/", 1, true) then
					assert.equal("application/octet-stream", request.headers["content-type"])
					assert.equal(tostring(request.received), request.headers["content-length"])
					assert.is_nil(request.headers["transfer-encoding"])
				end
			end
			assert.same({}, fake:uploads("again"))
		end)

		for _, where in ipairs({ "absolute", "scheme", "name", "fragment", "bare", "path" }) do
			it("RED7, RED8: Location as " .. where, function()
				fake:set({ strict = where ~= "bare" })
				fake:fault({ location = where })
				assert(save(from_disk(), "new:1"))
				assert.equal(image.digest, fake:tags("new")["1"])
			end)
		end

		it("no Location", function()
			fake:fault({ method = "POST", set = { Location = false } })
			fails("EFORMAT", "Location", from_disk(), "new:1")
		end)

		it("UP4: no POST with a digest", function()
			assert(save(from_disk(), "new:1"))
			assert.equal(0, count(lines(), "^POST .*digest="))
		end)

		it("UP12: every try begins an upload of its own", function()
			fake:fault({ method = "PUT", path = "/uploads/.*" .. image.config, status = 416,
				body = '{"errors":[{"code":"BLOB_UPLOAD_INVALID"}]}', times = 1 })
			fake:forget()
			assert(save(from_disk(), "new:1"))
			assert.equal(LAYERS + 2, count(lines(), "^POST"))
			local sessions = {}
			for _, request in ipairs(fake:log()) do
				local id = request.method == "PUT" and request.path:match("/uploads/([^?]+)")
				if id then
					assert.is_nil(sessions[id])
					sessions[id] = true
				end
			end
		end)

		for _, rule in ipairs({ { close = true }, { reset = true, close = true }, { read = 10 }, { status = 503 },
			{ status = 404 }, { status = 500, applied = true }, { close = "head" } }) do
			local how = oci_layout.encode(rule)
			it("UP11: a PUT that ends with " .. how, function()
				rule.method, rule.path, rule.times = "PUT", "/uploads/.*", 2
				fake:fault(rule)
				assert(save(from_disk(), "new:1"))
				assert.equal(image.digest, fake:tags("new")["1"])
				assert(open("new:1"):verify())
			end)
		end

		for _, status in ipairs({ 429, 500, 502, 503, 504 }) do
			it("RTY1: a POST that is answered by " .. status, function()
				fake:fault({ method = "POST", status = status, times = 2 })
				assert(save(from_disk(), "new:1"))
			end)
		end

		it("is given up after five tries", function()
			hub = remote.client({ retries = 2 })
			fake:fault({ method = "PUT", path = "/uploads/.*" .. image.config, status = 503 })
			local message = fails("ESERVER", "503", from_disk(), "new:1")
			assert.is_truthy(message:find("config", 1, true))
			assert.equal(3, count(lines(), "^PUT new/blobs/uploads/%*%?digest=CONFIG"))
			assert.is_nil(fake:tags("new")["1"])
		end)

		it("UP13: 201 and 204 are the end", function()
			fake:fault({ method = "PUT", path = "/uploads/", as_status = 204 })
			fake:forget()
			assert(save(from_disk(), "new:1"))
			assert.equal(0, count(lines(), "^HEAD"))
		end)

		it("UP13: another 2xx is believed when the blob is there", function()
			for _, status in ipairs({ 200, 202 }) do
				hub = remote.client()
				fake:faults_clear()
				fake:fault({ method = "PUT", path = "/uploads/", as_status = status })
				fake:forget()
				assert(save(from_disk(), "new" .. status .. ":1"))
				assert.equal(LAYERS + 1, count(lines(), "^HEAD new%d+/blobs/%w+ 200$"))
			end
			fake:faults_clear()
			fake:fault({ method = "PUT", path = "/uploads/", as_status = 202, forget = true, times = 1 })
			hub = remote.client()
			assert(save(from_disk(), "forgotten:1"))
			assert(open("forgotten:1"):verify())
		end)

		it("UP14: the digest in the answer is ours", function()
			fake:fault({ method = "PUT", path = "/uploads/", digest = ZERO })
			fails("EDIGEST", ZERO, from_disk(), "new:1")
			assert.is_nil(fake:tags("new")["1"])
			fake:faults_clear()
			fake:fault({ method = "PUT", path = "/uploads/", digest = "sha512:" .. ("0"):rep(128) })
			assert(save(from_disk(), "new:1"))
		end)

		it("UP15: DIGEST_INVALID is not tried again", function()
			fake:fault({ method = "PUT", path = "/uploads/.*" .. image.config, status = 400,
				body = '{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}' })
			fails("EDIGEST", "DIGEST_INVALID", from_disk(), "new:1")
			assert.equal(1, count(lines(), "digest=CONFIG"))
		end)

		it("UP16: an upload that is given up is deleted", function()
			hub = remote.client({ parallel = 1 })
			fake:fault({ method = "PUT", path = "/uploads/", status = 403, body = "no" })
			fails("EDENIED", "403", from_disk(), "new:1")
			local last
			for _, request in ipairs(fake:log()) do
				last = request
			end
			assert.same({ "DELETE", 204, "0" }, { last.method, last.status, last.headers["content-length"] })
			assert.same({}, fake:uploads("new"))
		end)

		it("UP16: so are those of other blobs", function()
			hub = remote.client({ parallel = 4 })
			fake:fault({ method = "PUT", path = "/uploads/.*" .. image.config, status = 403, body = "no", delay = 0.2 })
			fake:fault({ method = "PUT", path = "/uploads/.*" .. image.layers[1].descriptor.digest, stall = "head" })
			fails("EDENIED", "403", from_disk(), "new:1")
			assert.same({}, fake:uploads("new"))
		end)

		it("UP16: not until the registry answers", function()
			hub = remote.client({ parallel = 1 })
			fake:fault({ method = "PUT", path = "/uploads/", status = 403, body = "no" })
			fake:fault({ method = "DELETE", stall = "head" })
			local before = os.time()
			fails("EDENIED", "403", from_disk(), "new:1")
			assert.is_true(os.time() - before < 300) -- the registry stalls for 600
		end)

		for _, auth in ipairs({ "token", "basic" }) do
			it("UP17: 401 behind the body, with " .. auth .. ": a new upload", function()
				local closed = start({ auth = auth, users = { joe = "secret" } })
				hub = remote.client({ credentials = { [closed.host] = { username = "joe", password = "secret" } } })
				closed:fault({ method = "PUT", path = "/uploads/.*" .. image.layers[1].descriptor.digest, status = 401, times = 1,
					headers = { ["WWW-Authenticate"] = auth == "basic" and 'Basic realm="x"' or
						('Bearer realm="%s/token",service="strata-fake",scope="repository:new:pull,push"'):format(closed.url) } })
				assert(save(from_disk(), "new:1", nil, closed))
				local list = lines(closed)
				assert.equal(2, count(list, "digest=LAYER1 "))
				assert.equal(LAYERS + 2, count(list, "^POST .* 202$"))
				assert.equal(image.digest, closed:tags("new")["1"])
			end)
		end

		it("UP17: also of a blob that comes from another registry", function()
			local closed = start({ auth = "token", users = { joe = "secret" } })
			hub = remote.client({ credentials = { [closed.host] = { username = "joe", password = "secret" } } })
			closed:fault({ method = "PUT", path = "/uploads/.*" .. image.layers[2].descriptor.digest, status = 401, times = 1,
				headers = { ["WWW-Authenticate"] =
					('Bearer realm="%s/token",service="strata-fake",scope="repository:new:pull,push"'):format(closed.url) } })
			assert(save(open(), "new:1", nil, closed))
			assert.equal(image.digest, closed:tags("new")["1"])
		end)

		it("UP18, UP19: an answer that comes before the body was sent counts", function()
			local layout = oci_layout.new()
			local layer = layout:layer({ { name = "noise", data = shell.check({ "head", "-c", "4000000", "/dev/urandom" }) } },
				{ compression = "none" })
			local big = remote.image({ layout = layout, layers = { layer } })
			layout:list(big.descriptor, "big:1")
			local img = assert(strata.open(layout:directory(dir:file("big"))))
			local rule = { method = "PUT", path = "/uploads/.*" .. layer.descriptor.digest, early = true, status = 413,
				body = "<html><title>413 Request Entity Too Large</title></html>" }
			for _, silent in ipairs({ false, true }) do
				rule.silent = silent or nil
				fake:faults_clear()
				fake:fault(rule)
				fake:forget()
				hub = remote.client()
				fails("ELIMIT", "413", img, "big:1", { compression = "keep" })
				assert.equal(1, count(lines(), "digest=" .. layer.descriptor.digest))
			end
			fake:faults_clear()
			fake:quirks("Q15")
			fails("ELIMIT", "413", img, "big:1", { compression = "keep" })
		end)

		it("UP20, UP21: small and equal blobs, each once", function()
			local layout = oci_layout.new()
			local one = layout:file_layer("one")
			local made = remote.image({ layout = layout, layers = { one, one, layout:file_layer("two"), one } })
			layout:list(made.descriptor, "app:1")
			names = remote.names(made)
			local img = assert(strata.open(layout:directory(dir:file("twice"))))
			fake:forget()
			assert(save(img, "new:1"))
			assert.equal(3, count(lines(), "^POST"))
			assert(open("new:1"):verify())
		end)

		it("UP22: the same image from several at once", function()
			local script = dir:write("push.lua", [[
				local strata = require "strata"
				local img = assert(strata.open(arg[1]))
				local hub = strata.registry { credentials = {}, system = false }
				assert(img:save(arg[2], { registry = hub }))
			]])
			from_disk()
			local process = require "spec.support.process"
			local command = process.lua(([[arg = { %q, %q } dofile(%q)]]):format(dir:file("layout"), ref("new:1"), script))
			command = ("LUA_PATH=%s LUA_CPATH=%s %s"):format(shell.quote(package.path), shell.quote(package.cpath), command)
			local line = command .. ' & pids="$pids $!"\n'
			shell.sh("pids=\n" .. line:rep(4) .. "for pid in $pids; do wait $pid; done")
			assert.equal(image.digest, fake:tags("new")["1"])
			assert(open("new:1"):verify())
		end)
	end)

	describe("mounts:", function()
		it("MNT1: from is the path alone", function()
			remote.put(fake, "team/a-b/app", image.layout, image.digest, "1")
			fake:forget()
			assert(save(open("team/a-b/app:1"), "copy:1"))
			assert.equal(LAYERS + 1, count(lines(), "^POST copy/blobs/uploads/%?mount=%w+&from=team/a%-b/app 201$"))
		end)

		it("MNT2: 201 with another digest is no mount", function()
			fake:fault({ method = "POST", path = "mount=", digest = ZERO, times = 1 })
			local result = assert(save(open(), "copy:1"))
			assert.equal(1, result.uploaded)
			assert(open("copy:1"):verify())
			fake:faults_clear()
			fake:fault({ method = "POST", path = "mount=", digest = false })
			assert.equal(LAYERS + 1, assert(save(open(), "copy2:1")).mounted)
		end)

		it("MNT3: 202 is an upload that goes on", function()
			fake:fault({ method = "POST", mount = 202 })
			fake:forget()
			local result = assert(save(open(), "copy:1"))
			assert.same({ LAYERS + 1, 0 }, { result.uploaded, result.mounted })
			local list = lines()
			assert.equal(LAYERS + 1, count(list, "^POST"))
			assert.equal(LAYERS + 1, count(list, "^PUT copy/blobs/uploads/%*%?digest="))
			assert(open("copy:1"):verify())
		end)

		for _, status in ipairs({ 400, 401, 403, 404, 405, 500 }) do
			it("MNT4: " .. status .. " is an ordinary upload, and no other mount is tried", function()
				hub = remote.client({ parallel = 1, retries = 0 })
				local with = status == 401 and { ["WWW-Authenticate"] = 'Basic realm="x"' } or nil
				fake:fault({ method = "POST", path = "mount=", status = status, headers = with })
				fake:forget()
				local result = save(open(), "copy:1")
				if status == 500 then
					assert.is_nil(result)
					return
				end
				assert.equal(LAYERS + 1, result.uploaded)
				assert.equal(1, count(lines(), "mount="))
				assert(open("copy:1"):verify())
			end)
		end

		for _, quirk in ipairs({ "Q7", "Q8" }) do
			it("MNT7: with " .. quirk, function()
				remote.put(fake, "shut/app", image.layout, image.digest, "1")
				fake:set({ closed = { "shut" } })
				fake:quirks(quirk)
				assert(save(open("shut/app:1"), "copy:1"))
				assert(open("copy:1"):verify())
			end)
		end

		describe("MNT5: with tokens", function()
			local closed

			before_each(function()
				closed = start({ auth = "token", users = { joe = "secret" } })
				remote.put(closed, "app", image.layout, image.digest, "1")
				hub = remote.client({ credentials = { [closed.host] = { username = "joe", password = "secret" } } })
			end)

			it("the scope of the push comes first, that of the mount with it", function()
				local img = open("app:1", closed)
				closed:forget()
				assert(save(img, "copy:1", nil, closed))
				local found
				for _, request in ipairs(closed:log()) do
					local path = request.path:gsub("%%3[Aa]", ":"):gsub("%%2[Cc]", ",")
					found = found or path:find("scope=repository:copy:pull,push&scope=repository:app:pull", 1, true)
				end
				assert.is_truthy(found)
			end)

			it("a token server that refuses the two is asked for one", function()
				local img = open("app:1", closed)
				closed:fault({ path = "/token.*scope=.*scope=", status = 403, body = "no" })
				assert(save(img, "copy:1", nil, closed))
				assert.equal(image.digest, closed:tags("copy")["1"])
				assert(open("copy:1", closed):verify())
			end)

			it("one that gives less than was asked for", function()
				closed:set({ access = { joe = { ["app"] = "pull", ["copy"] = "pull,push" } } })
				assert(save(open("app:1", closed), "copy:1", nil, closed))
				closed:set({ access = { joe = { ["copy"] = "pull,push" } } })
				closed:expire_tokens()
				assert(save(from_disk(), "copy:2", nil, closed))
			end)
		end)

		it("MNT4: more blobs than connections, from a registry that mounts nothing", function()
			local many = remote.image({ count = 12, name = "many" })
			remote.put(fake, "many", many.layout, many.digest, "1")
			fake:quirks("Q8")
			for parallel = 1, 4 do
				hub = remote.client({ parallel = parallel })
				local result = assert(save(open("many:1"), "copy" .. parallel .. ":1"))
				assert.equal(13, result.uploaded)
				assert.equal(many.digest, result.digest)
			end
			assert(open("copy1:1"):verify())
		end)

		it("MNT6: none without from", function()
			assert(save(from_disk(), "new:1"))
			assert(save(open(), "copy:1"))
			for _, line in ipairs(lines()) do
				assert.is_true(not line:find("mount=", 1, true) or line:find("from=app", 1, true) ~= nil)
			end
		end)

		it("MNT8: again", function()
			for i = 1, 2 do
				hub = remote.client()
				assert.equal(LAYERS + 1, assert(save(open(), "copy:" .. i)).mounted)
			end
		end)

		it("MNT9: layers of another image of the same registry are mounted, too", function()
			local base = remote.image({ count = 1, name = "base" })
			remote.put(fake, "base", base.layout, base.digest, "1")
			local img = open()
			assert(img:append({ layer = open("base:1").layers[1] }))
			fake:forget()
			local ok, result = pcall(save, img, "copy:1")
			assert.is_true(ok, result)
			assert(open("copy:1"):verify())
		end)
	end)

	describe("manifests:", function()
		it("PUTM1: come behind all of their blobs, and other tags behind the first", function()
			assert(save(from_disk(), "new:1", { tags = { "2", "latest" } }))
			local list = lines()
			local seen = {}
			for i, line in ipairs(list) do
				if line:find("/uploads/", 1, true) then seen.blob = i end
				local tag = line:match("^PUT new/manifests/(%S+) 201$")
				if tag then seen[tag] = i end
			end
			assert.is_true(seen.blob < seen["1"] and seen["1"] < seen["2"] and seen["2"] < seen.latest)
			assert.same({ ["1"] = image.digest, ["2"] = image.digest, latest = image.digest }, fake:tags("new"))
		end)

		it("PUTM1: none is put when a blob fails", function()
			for _, layer in ipairs(image.layers) do
				fake:faults_clear()
				fake:fault({ method = "PUT", path = layer.descriptor.digest, status = 403, body = "no" })
				hub = remote.client()
				fake:forget()
				fails("EDENIED", "layer", from_disk(), "new:1")
				assert.equal(0, count(lines(), "^PUT new/manifests/"))
			end
			assert.same({}, fake:tags("new"))
		end)

		it("PUTM2: have the type that they state, without parameters", function()
			for _, family in ipairs({ "oci", "docker" }) do
				local made = remote.image({ family = family, name = family })
				remote.put(fake, family, made.layout, made.digest, "1")
				fake:forget()
				local result = assert(save(open(family .. ":1"), "copy:" .. family))
				assert.equal(made.digest, result.digest)
				for _, request in ipairs(fake:log()) do
					if request.method == "PUT" and request.path:find("/manifests/", 1, true) then
						assert.equal(types[family].manifest, request.headers["content-type"])
					end
				end
			end
		end)

		it("PUTM3: keep every byte", function()
			local text = fake:get_manifest("app", "1"):gsub("{", "{ \n", 1)
			fake:put_manifest("app", "odd", text, types.oci.manifest)
			assert(save(open("app:odd"), "copy:1"))
			assert.equal(text, (fake:get_manifest("copy", "1")))
		end)

		it("PUTM3: the digest in the answer is ours", function()
			fake:fault({ method = "PUT", path = "/manifests/", digest = ZERO })
			fails("EDIGEST", ZERO, from_disk(), "new:1")
		end)

		it("PUTM4: a blob that has gone is uploaded again, once", function()
			local made = remote.image({ count = 2, name = "gone" })
			made.layout:list(made.descriptor, "app:1")
			names = remote.names(made)
			local img = assert(strata.open(made.layout:directory(dir:file("gone"))))
			assert(save(img, "new:1"))
			for _, layer in ipairs(made.layers) do
				fake:drop_blob("new", layer.descriptor.digest)
			end
			fake:forget()
			assert(save(img, "new:2"))
			local list = lines()
			assert.equal(2, count(list, "^PUT new/manifests/2"))
			assert.equal("PUT new/manifests/2 201", list[#list])
			assert.equal(2, count(list, "digest=LAYER%d 201"))
			assert(open("new:2"):verify())
		end)

		it("PUTM4: also when it comes from another repository", function()
			assert(save(open(), "copy:1"))
			fake:drop_blob("copy", image.layers[1].descriptor.digest)
			assert(save(open(), "copy:2"))
			assert(open("copy:2"):verify())
		end)

		it("PUTM4: one that nobody has", function()
			local img = open()
			fake:drop_blob("app", image.layers[1].descriptor.digest)
			fake:forget()
			fails("ENOENT", image.layers[1].descriptor.digest, img, "app:2")
			assert.is_nil(fake:tags("app")["2"])
		end)

		it("PUTM5: are no larger than registries take", function()
			local img = from_disk()
			img.config:set_label("a", "b")
			local made = remote.image({ count = 1, manifest = { annotations = { x = ("x"):rep(4200000) } } })
			made.layout:list(made.descriptor, "app:1")
			img = assert(strata.open(made.layout:directory(dir:file("large")),
				{ limits = { json = { max_bytes = 2 ^ 24 } } }))
			fake:forget()
			fails("ELIMIT", "4194304", img, "new:1")
			assert.same({}, fake:log())
		end)

		it("PUTM6: several tags at once, where the registry has shown that it does so", function()
			fake:fault({ method = "PUT", path = "/manifests/1$", set = { ["OCI-Tag"] = "1" } })
			fake:forget()
			assert(save(open(), "app:1", { tags = { "2", "3", "4" } }))
			assert.equal("PUT app/manifests/MANIFEST?tag=2&tag=3&tag=4 201", lines()[4])
			assert.equal(4, #fake:log())
			for tag = 1, 4 do
				assert.equal(image.digest, fake:tags("app")[tostring(tag)])
			end
		end)

		it("PUTM6: those that were not set are put one by one", function()
			fake:fault({ method = "PUT", path = "/manifests/1$", set = { ["OCI-Tag"] = "1" } })
			fake:fault({ method = "PUT", path = "tag=", tags = 1 })
			fake:forget()
			assert(save(open(), "app:1", { tags = { "2", "3", "4" } }))
			assert.same({ "PUT app/manifests/1 201", "PUT app/manifests/MANIFEST?tag=2&tag=3&tag=4 201",
				"PUT app/manifests/3 201", "PUT app/manifests/4 201" }, { (table.unpack or unpack)(lines(), 3) })
		end)

		it("PUTM6: one by one, where it has not", function()
			fake:forget()
			assert(save(open(), "app:1", { tags = { "2", "3", "1" } }))
			assert.same({ "PUT app/manifests/1 201", "PUT app/manifests/2 201", "PUT app/manifests/3 201" },
				{ (table.unpack or unpack)(lines(), 3) })
		end)

		it("PUTM8: no manifest is put to find out what is missing", function()
			assert(save(from_disk(), "new:1"))
			assert.equal(1, count(lines(), "^PUT new/manifests"))
		end)

		describe("PUTM9: expect", function()
			it("the digest that the tag has", function()
				assert(save(label(open()), "app:1", { expect = image.digest }))
				local img = open()
				img.config:set_label("c", "d")
				fails("ESTALE", image.digest, img, "app:1", { expect = image.digest })
				assert.equal(0, count(lines(), "ZZZ"))
			end)

			it("no tag", function()
				assert(save(open(), "app:2", { expect = false }))
				fails("ESTALE", "app:2", label(open()), "app:2", { expect = false })
				assert.equal(image.digest, fake:tags("app")["2"])
			end)

			it("fails before anything moves", function()
				local img = label(open())
				fake:forget()
				fails("ESTALE", ZERO, img, "app:1", { expect = ZERO })
				assert.equal(1, #fake:log())
			end)

			it("is looked at once more before the tag moves", function()
				local moved = fake:get_manifest("app", "1"):gsub("{", "{ ", 1)
				local img = label(open())
				local text = fake:get_manifest("app", "1")
				fake:fault({ method = "HEAD", path = "/manifests/1", digest = oci_layout.sha256(moved) })
				fake:forget()
				fails("ESTALE", image.digest, img, "app:1", { expect = image.digest })
				assert.equal(0, count(lines(), "^PUT app/manifests"))
				assert.equal(text, (fake:get_manifest("app", "1")))
			end)

			it("is told to registries that know If-Match", function()
				assert(save(label(open()), "app:1", { expect = image.digest }))
				local last
				for _, request in ipairs(fake:log()) do
					last = request
				end
				assert.equal(('"%s"'):format(image.digest), last.headers["if-match"])
				fake:fault({ method = "PUT", path = "/manifests/", status = 412 })
				hub = remote.client()
				local now = fake:tags("app")["1"]
				local img = open()
				img.config:set_label("c", "d")
				fails("ESTALE", "is not what it was", img, "app:1", { expect = now })
			end)
		end)

		it("PUTM10: by digest alone", function()
			fake:forget()
			assert(save(open(), "copy@" .. image.digest))
			local list = lines()
			assert.equal("PUT copy/manifests/MANIFEST 201", list[#list])
			assert.same({}, fake:tags("copy"))
			assert(open("copy@" .. image.digest):verify())
			fails("EINVAL", "the image has the digest", label(open()), "copy@" .. ZERO)
		end)

		it("PUTM11: an answer without Location and digest is enough", function()
			fake:fault({ method = "PUT", path = "/manifests/", set = { Location = false }, digest = false })
			assert(save(from_disk(), "new:1"))
		end)

		it("is refused by the registry", function()
			fake:fault({ method = "PUT", path = "/manifests/", status = 403,
				body = '{"errors":[{"code":"DENIED","message":"policy: no"}]}' })
			local message = fails("EDENIED", 'DENIED "policy: no"', from_disk(), "new:1")
			assert.is_truthy(message:find("^docker://" .. fake.host:gsub("%p", "%%%0") .. "/new:1: "), message)
		end)
	end)

	it("takes what was compressed here, and plain layers compressed", function()
		local img = assert(strata.open(image.layout:directory(dir:file("plain"))))
		assert(img:save(dir:file("app.tar"), { format = "docker-legacy" }))
		img = assert(strata.open(dir:file("app.tar")))
		assert(save(img, "new:1"))
		local back = open("new:1")
		assert(back:verify())
		assert.equal("gzip", back.layers[1].compression)
		assert.equal(img.id, back.id)
	end)
end)
