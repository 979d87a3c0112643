-- Takes seconds: not for make check.
-- Where registries in the field differ from the specification, by the numbers that the rules for registries give them.

local cjson = require "cjson"
local curl = require "spec.support.curl"
local registry = require "spec.support.registry"
local shell = require "spec.support.shell"

local MANIFEST = "application/vnd.oci.image.manifest.v1+json"
local TEN = "0123456789"

describe("the registry of the specs, as one in the field:", function()
	local fake, digest, blob, other

	before_each(function()
		fake = registry.start({})
		digest = fake:put_blob("app", TEN)
		blob = "/v2/app/blobs/" .. digest
		other = nil
	end)

	after_each(function()
		fake:stop()
		if other then
			other:stop()
		end
	end)

	local function send(method, path, options)
		local request = { method, path:find("^http") and path or (other or fake).url .. path }
		for name, value in pairs(options or {}) do
			request[type(name) == "number" and name + 2 or name] = value
		end
		return curl.send(request)
	end

	local function upload()
		return assert(send("POST", "/v2/app/blobs/uploads/"):header("Location"))
	end

	local function patch(location, bytes, range)
		return send("PATCH", location, { body = bytes, headers = { range and "Content-Range: " .. range } })
	end

	local function sha(bytes, algorithm)
		return (algorithm or "sha256") .. ":" .. shell.check({ (algorithm or "sha256") .. "sum", input = bytes }):match("%x+")
	end

	local function finish(location, of, bytes)
		return send("PUT", location .. "&digest=" .. sha(of), { body = bytes or "" })
	end

	local function mount(from)
		return send("POST", "/v2/target/blobs/uploads/?mount=" .. digest .. (from and "&from=" .. from or "")).status
	end

	local function put(reference, bytes)
		return send("PUT", "/v2/app/manifests/" .. reference, { body = bytes, headers = { "Content-Type: " .. MANIFEST } })
	end

	it("Q1 PATCH is answered with 201", function()
		fake:quirks("Q1")
		local answer = patch(upload(), "first", "0-4")
		assert.same({ 201, "0-4" }, { answer.status, answer:header("Range") })
		assert.equal(201, finish(answer:header("Location"), "first").status)
	end)

	it("Q2 chunks after the first are dropped without a word", function()
		fake:quirks("Q2")
		local one = patch(upload(), "first", "0-4")
		local two = patch(one:header("Location"), "second", "5-10")
		assert.same({ 202, "0-10" }, { two.status, two:header("Range") })
		assert.equal(400, finish(two:header("Location"), "firstsecond").status)
	end)

	it("Q3 a session in which a chunk begins at 0 again is of no use any more", function()
		fake:quirks("Q3")
		local one = patch(upload(), "first", "0-4")
		local again = patch(one:header("Location"), "first", "0-4")
		assert.same({ 416, "BLOB_UPLOAD_INVALID" }, { again.status, cjson.decode(again.body).errors[1].code })
		assert.equal(416, patch(one:header("Location"), "second", "5-10").status)
	end)

	it("Q4 n above 1000 is an error", function()
		fake:quirks("Q4")
		assert.equal(200, send("GET", "/v2/app/tags/list?n=1000").status)
		assert.equal(400, send("GET", "/v2/app/tags/list?n=1001").status)
	end)

	it("Q5 only its own links lead to more tags", function()
		fake:quirks("Q5")
		for _, tag in ipairs({ "a", "b" }) do
			fake:put_manifest("app", tag, "{}", MANIFEST)
		end
		local link = send("GET", "/v2/app/tags/list?n=1"):header("Link"):match("<(.*)>")
		assert.same({ "b" }, cjson.decode(send("GET", link).body).tags)
		assert.equal(400, send("GET", "/v2/app/tags/list?n=1&last=a").status)
	end)

	it("Q6 a mount without from fails, and pages are named next_page", function()
		fake:quirks("Q6")
		assert.equal(400, mount())
		assert.equal(201, mount("app"))
		fake:put_manifest("app", "a", "{}", MANIFEST)
		fake:put_manifest("app", "b", "{}", MANIFEST)
		assert.is_truthy(send("GET", "/v2/app/tags/list?n=1"):header("Link"):find("next_page=", 1, true))
	end)

	it("Q7 a mount from a project that is closed yields 401", function()
		fake:quirks("Q7")
		fake:set({ closed = { "secret" } })
		assert.equal(401, mount("secret/app"))
		assert.equal(201, mount("app"))
	end)

	it("Q8 mounts from others are refused; GET of manifests is counted, HEAD is not", function()
		fake:quirks("Q8")
		assert.equal(400, mount("app"))
		fake:put_manifest("app", "latest", "{}", MANIFEST)
		fake:set({ rate = { limit = 2, window = 60 } })
		local function left(method)
			local answer = send(method, "/v2/app/manifests/latest")
			return answer.status, answer:header("RateLimit-Remaining")
		end
		assert.same({ 200, "2;w=60" }, { left("HEAD") })
		assert.same({ 200, "1;w=60" }, { left("GET") })
		assert.same({ 200, "0;w=60" }, { left("GET") })
		assert.same({ 429, "0;w=60" }, { left("GET") })
		assert.same({ 200, "0;w=60" }, { left("HEAD") })
		assert.equal("2;w=60", send("HEAD", "/v2/app/manifests/latest"):header("RateLimit-Limit"))
	end)

	it("Q9 403 for HEAD of what is missing, 401 for POST of a token", function()
		fake:quirks("Q9")
		assert.equal(403, send("HEAD", "/v2/app/manifests/none").status)
		assert.equal(404, send("GET", "/v2/app/manifests/none").status)
		assert.equal(401, send("POST", "/token", { body = "grant_type=password" }).status)
	end)

	it("Q10 401 without WWW-Authenticate but for /v2/, 404 for POST of a token", function()
		other = registry.start({ auth = "token", users = { joe = "secret" }, quirks = { "Q10" } })
		assert.is_truthy(send("GET", "/v2/"):header("WWW-Authenticate"))
		local answer = send("GET", "/v2/app/manifests/latest")
		assert.equal(401, answer.status)
		assert.is_nil(answer:header("WWW-Authenticate"))
		assert.equal(404, send("POST", "/token", { body = "grant_type=password&username=joe&password=secret" }).status)
	end)

	it("Q11 400 for POST of a token", function()
		fake:quirks("Q11")
		assert.equal(400, send("POST", "/token", { body = "grant_type=password" }).status)
	end)

	it("Q12 HEAD without Docker-Content-Digest; Q12-405 no HEAD at all", function()
		fake:put_manifest("app", "latest", "{}", MANIFEST)
		fake:quirks("Q12")
		assert.is_nil(send("HEAD", "/v2/app/manifests/latest"):header("Docker-Content-Digest"))
		assert.is_truthy(send("GET", "/v2/app/manifests/latest"):header("Docker-Content-Digest"))
		fake:quirks("Q12-405")
		assert.equal(405, send("HEAD", "/v2/app/manifests/latest").status)
	end)

	describe("Q13 distribution 2.8:", function()
		before_each(function()
			fake:quirks("Q13")
		end)

		it("a chunk that is out of order is appended", function()
			local answer = patch(upload(), "second", "5-10")
			assert.same({ 202, "0-5" }, { answer.status, answer:header("Range") })
		end)

		it("a location that is not the newest ends the session", function()
			local old = upload()
			local new = patch(old, "first", "0-4"):header("Location")
			local stale = patch(old, "second", "5-10")
			assert.same({ 404, "BLOB_UPLOAD_INVALID" }, { stale.status, cjson.decode(stale.body).errors[1].code })
			assert.equal(404, patch(new, "second", "5-10").status)
		end)

		it("an upload that breaks off ends the session", function()
			local location = upload()
			fake:fault({ method = "PATCH", read = 3 })
			patch(location, TEN)
			assert.equal(404, send("GET", location).status)
		end)

		it("0-0 stands for no byte as for one", function()
			assert.equal("0-0", send("GET", upload()):header("Range"))
			assert.equal("0-0", patch(upload(), "x"):header("Range"))
		end)

		it("POST with a digest yields 202, and the body is thrown away", function()
			local answer = send("POST", "/v2/app/blobs/uploads/?digest=" .. sha("single"), { body = "single" })
			assert.equal(202, answer.status)
			assert.equal("0-0", send("GET", answer:header("Location")):header("Range"))
		end)

		it("416 says a wrong length", function()
			local answer = send("GET", blob, { headers = { "Range: bytes=10-12" } })
			assert.same({ 416, 18 }, { answer.status, answer.code })
		end)

		it("no OCI manifest without its type in Accept", function()
			fake:put_manifest("app", "latest", "{}", MANIFEST)
			assert.equal(404, send("GET", "/v2/app/manifests/latest").status)
			assert.equal(200, send("GET", "/v2/app/manifests/latest", { headers = { "Accept: " .. MANIFEST } }).status)
		end)

		it("sha512 is answered with sha256", function()
			local answer = send("PUT", upload() .. "&digest=" .. sha("long", "sha512"), { body = "long" })
			assert.same({ 201, sha("long") }, { answer.status, answer:header("Docker-Content-Digest") })
		end)

		it("no referrers, no tags by digest, no If-Match, no deletion of tags; tags without pages or order", function()
			local answer = send("GET", "/v2/app/referrers/" .. digest)
			assert.same({ 404, "404 page not found\n" }, { answer.status, answer.body })
			local bytes = '{"subject":{"digest":"' .. digest .. '"}}'
			local done = put(sha(bytes) .. "?tag=a", bytes)
			assert.equal(201, done.status)
			assert.is_nil(done:header("OCI-Tag"))
			assert.is_nil(done:header("OCI-Subject"))
			assert.same({}, fake:tags("app"))
			put("a", bytes)
			put("b", bytes)
			assert.equal(400, send("DELETE", "/v2/app/manifests/a").status)
			assert.equal(202, send("DELETE", "/v2/app/manifests/" .. sha(bytes)).status)
			assert.same({}, fake:tags("app"))
			put("a", bytes)
			put("b", bytes)
			local tags = send("GET", "/v2/app/tags/list?n=1")
			assert.same({ "b", "a" }, cjson.decode(tags.body).tags)
			assert.is_nil(tags:header("Link"))
			assert.same({ repositories = { "app" } }, cjson.decode(send("GET", "/v2/_catalog").body))
		end)
	end)

	it("Q14 blobs are elsewhere, under signatures that end; then 403 with XML", function()
		fake:quirks("Q14")
		local cdn = fake:listener({ blank = false })
		fake:set({ cdn = cdn.url })
		local answer = send("GET", blob)
		assert.equal(307, answer.status)
		local signed = answer:header("Location")
		assert.equal(1, (signed:find(cdn.url .. "/signed/", 1, true)))
		local part = send("GET", signed, { headers = { "Range: bytes=4-9" } })
		assert.same({ 206, "456789" }, { part.status, part.body })
		local expired = send("GET", signed)
		assert.same({ 403, "application/xml" }, { expired.status, expired:header("Content-Type") })
		assert.equal(TEN, send("GET", send("GET", blob):header("Location")).body)
		assert.equal(200, send("HEAD", blob).status)
	end)

	it("Q15 bodies above a limit are refused in HTML, before they are read", function()
		fake:quirks("Q15")
		fake:set({ body_limit = 1000 })
		local answer = finish(upload(), "x", ("x"):rep(200000))
		assert.same({ 413, "text/html" }, { answer.status, answer:header("Content-Type") })
		assert.equal(201, finish(upload(), "small", "small").status)
	end)

	it("Q16 Location with http:// behind TLS", function()
		other = registry.start({ tls = true, quirks = { "Q16" } })
		local location = send("POST", "/v2/app/blobs/uploads/", { "-k" }):header("Location")
		assert.equal(1, (location:find("http://" .. other.host .. "/v2/app/", 1, true)))
	end)

	it("Q17 anonymous tokens for what is public; 401 with a scope, then 403 DENIED for what is not", function()
		other = registry.start({ auth = "token", quirks = { "Q17" }, access = { [""] = { ["public/*"] = "pull" } } })
		local public = other:put_blob("public/app", TEN)
		local got = send("GET", "/token?scope=repository:public/app:pull")
		local headers = { "Authorization: Bearer " .. cjson.decode(got.body).token }
		assert.equal(TEN, send("GET", "/v2/public/app/blobs/" .. public, { headers = headers }).body)
		local private = send("GET", "/v2/private/app/manifests/latest")
		assert.is_truthy(private:header("WWW-Authenticate"):find('scope="repository:private/app:pull"', 1, true))
		local denied = send("GET", "/token?scope=repository:private/app:pull")
		assert.same({ 403, "DENIED" }, { denied.status, cjson.decode(denied.body).errors[1].code })
	end)
end)
