-- Takes seconds: not for make check.
-- The registry of the specs, without a fault, obeys the distribution specification: a registry that does not would
-- make bad specs. The checks are those of the specification's conformance tests, in their order and nearly by their
-- names; the letter and number before a name is the endpoint in the specification's table.

local cjson = require "cjson"
local curl = require "spec.support.curl"
local registry = require "spec.support.registry"
local shell = require "spec.support.shell"

local MANIFEST = "application/vnd.oci.image.manifest.v1+json"
local INDEX = "application/vnd.oci.image.index.v1+json"
local NOTHING = "sha256:" .. ("0123456789abcdef"):rep(4)

describe("the registry of the specs, by the distribution specification:", function()
	local fake, base

	setup(function()
		fake = registry.start({})
		base = fake.url .. "/v2/"
	end)

	teardown(function()
		fake:stop()
	end)

	local function send(method, path, options)
		local request = { method, path:find("^http") and path or base .. path }
		for name, value in pairs(options or {}) do
			request[type(name) == "number" and name + 2 or name] = value
		end
		return curl.send(request)
	end

	local function resolve(location)
		return location:find("^http") and location or fake.url .. location
	end

	local function with_digest(location, digest)
		return resolve(location) .. (location:find("?", 1, true) and "&" or "?") .. "digest=" .. digest
	end

	local function start(repository, query)
		local answer = send("POST", repository .. "/blobs/uploads/" .. (query or ""), { headers = { "Content-Length: 0" } })
		assert.equal(202, answer.status)
		return assert(answer:header("Location")), answer
	end

	local function patch(location, bytes, range)
		local headers = { "Content-Type: application/octet-stream" }
		headers[#headers + 1] = range and "Content-Range: " .. range
		return send("PATCH", resolve(location), { body = bytes, headers = headers })
	end

	local function finish(location, digest, bytes)
		local headers = { "Content-Type: application/octet-stream" }
		return send("PUT", with_digest(location, digest), { body = bytes or "", headers = headers })
	end

	local function sha(bytes, algorithm)
		return (algorithm or "sha256") .. ":" .. shell.check({ (algorithm or "sha256") .. "sum", input = bytes }):match("%x+")
	end

	--- An image manifest whose blobs are there; fields on top of it.
	local function manifest(repository, fields)
		local function descriptor(kind, bytes)
			return { mediaType = kind, digest = fake:put_blob(repository, bytes), size = #bytes }
		end
		local document = {
			schemaVersion = 2, mediaType = MANIFEST,
			config = descriptor("application/vnd.oci.image.config.v1+json", '{"architecture":"amd64"}'),
			layers = { descriptor("application/vnd.oci.image.layer.v1.tar", "layer of " .. repository) },
		}
		for name, value in pairs(fields or {}) do
			document[name] = value
		end
		return cjson.encode(document)
	end

	local function put(repository, reference, bytes, kind)
		return send("PUT", repository .. "/manifests/" .. reference,
			{ body = bytes, headers = { "Content-Type: " .. (kind or MANIFEST) } })
	end

	local function code(answer)
		return cjson.decode(answer.body).errors[1].code
	end

	describe("base", function()
		it("E1 GET /v2/ yields 200", function()
			assert.equal(200, send("GET", "").status)
		end)

		it("keeps a connection for several requests", function()
			fake:forget()
			shell.check({ "curl", "-s", base, base, base })
			local log = fake:log()
			assert.equal(3, #log)
			assert.equal(log[1].connection, log[3].connection)
		end)

		it("names that are none are refused", function()
			assert.equal(404, send("GET", "Upper/manifests/latest").status)
			assert.equal(400, send("POST", "a__b-/blobs/uploads/").status)
		end)
	end)

	describe("pull", function()
		local digest, bytes, blob

		setup(function()
			bytes = manifest("pull/app")
			digest = fake:put_manifest("pull/app", "latest", bytes, MANIFEST)
			blob = fake:put_blob("pull/app", "0123456789")
		end)

		it("E2 HEAD request to nonexistent blob should result in 404 response", function()
			assert.equal(404, send("HEAD", "pull/app/blobs/" .. NOTHING).status)
		end)

		it("E2 HEAD request to existing blob should yield 200", function()
			local answer = send("HEAD", "pull/app/blobs/" .. blob)
			assert.equal(200, answer.status)
			assert.equal("10", answer:header("Content-Length"))
			assert.equal(blob, answer:header("Docker-Content-Digest"))
			assert.equal("", answer.body)
		end)

		it("E2 GET nonexistent blob should result in 404 response", function()
			local answer = send("GET", "pull/app/blobs/" .. NOTHING)
			assert.equal(404, answer.status)
			assert.equal("BLOB_UNKNOWN", code(answer))
		end)

		it("E2 a blob of another repository is not there", function()
			assert.equal(404, send("GET", "pull/other/blobs/" .. blob).status)
		end)

		it("E2 GET request to existing blob URL should yield 200", function()
			local answer = send("GET", "pull/app/blobs/" .. blob)
			assert.same({ 200, "0123456789" }, { answer.status, answer.body })
		end)

		it("E2 GET with a range should yield 206 and the bytes of it", function()
			for range, expected in pairs({ ["2-4"] = "234", ["7-"] = "789", ["-3"] = "789", ["8-99"] = "89" }) do
				local answer = send("GET", "pull/app/blobs/" .. blob, { headers = { "Range: bytes=" .. range } })
				assert.same({ 206, expected }, { answer.status, answer.body })
			end
			local answer = send("GET", "pull/app/blobs/" .. blob, { headers = { "Range: bytes=2-4" } })
			assert.equal("bytes 2-4/10", answer:header("Content-Range"))
		end)

		it("E2 GET with a range behind the end should yield 416", function()
			local answer = send("GET", "pull/app/blobs/" .. blob, { headers = { "Range: bytes=10-12" } })
			assert.equal(416, answer.status)
			assert.equal("bytes */10", answer:header("Content-Range"))
		end)

		it("E3 HEAD request to nonexistent manifest should return 404", function()
			assert.equal(404, send("HEAD", "pull/app/manifests/none").status)
		end)

		it("E3 HEAD request to manifest path should yield 200 and the digest, by tag and by digest", function()
			for _, reference in ipairs({ "latest", digest }) do
				local answer = send("HEAD", "pull/app/manifests/" .. reference)
				assert.same({ 200, digest, MANIFEST, tostring(#bytes) }, { answer.status,
					answer:header("Docker-Content-Digest"), answer:header("Content-Type"), answer:header("Content-Length") })
			end
		end)

		it("E3 GET nonexistent manifest should return 404", function()
			local answer = send("GET", "pull/app/manifests/none")
			assert.same({ 404, "MANIFEST_UNKNOWN" }, { answer.status, code(answer) })
			assert.equal("NAME_UNKNOWN", code(send("GET", "pull/nobody/manifests/none")))
		end)

		it("E3 GET request to manifest path should yield 200 and its bytes, by tag and by digest", function()
			for _, reference in ipairs({ "latest", digest }) do
				local answer = send("GET", "pull/app/manifests/" .. reference)
				assert.same({ 200, bytes, MANIFEST }, { answer.status, answer.body, answer:header("Content-Type") })
			end
		end)

		it("error codes: 400 response body should contain OCI-conforming JSON message", function()
			local answer = put("pull/app", "sha256:totallywrong", "{}")
			assert.equal(400, answer.status)
			local first = cjson.decode(answer.body).errors[1]
			assert.is_string(first.code)
			assert.is_string(first.message)
		end)
	end)

	describe("push", function()
		it("E4a POST should yield 202 and a session", function()
			assert.is_truthy(start("push/app"):find("^/v2/push/app/blobs/uploads/"))
		end)

		it("E4b POST with digest and blob should yield 201, and the blob is there", function()
			local digest = sha("single")
			local answer = send("POST", "push/app/blobs/uploads/?digest=" .. digest, { body = "single" })
			assert.equal(201, answer.status)
			assert.equal("/v2/push/app/blobs/" .. digest, answer:header("Location"))
			assert.equal("single", fake:get_blob("push/app", digest))
		end)

		it("E4c POST with digest-algorithm yields 202, with one that it does not know 400", function()
			start("push/app", "?digest-algorithm=sha512")
			assert.equal(400, send("POST", "push/app/blobs/uploads/?digest-algorithm=md5").status)
		end)

		it("E6 PUT upload of a blob should yield 201, and GET of it 200", function()
			local digest = sha("monolithic")
			local answer = finish(start("push/app"), digest, "monolithic")
			assert.same({ 201, "/v2/push/app/blobs/" .. digest, digest }, { answer.status, answer:header("Location"),
				answer:header("Docker-Content-Digest") })
			assert.equal("monolithic", send("GET", answer:header("Location"):sub(5)).body)
		end)

		it("E6 PUT with sha512 is taken, and the blob is there by it", function()
			local digest = sha("long", "sha512")
			assert.equal(201, finish(start("push/app", "?digest-algorithm=sha512"), digest, "long").status)
			assert.equal("long", send("GET", "push/app/blobs/" .. digest).body)
		end)

		it("E6 PUT of other bytes than the digest's should yield 400", function()
			local answer = finish(start("push/app"), sha("right"), "wrong")
			assert.same({ 400, "DIGEST_INVALID" }, { answer.status, code(answer) })
			assert.is_nil(fake:get_blob("push/app", sha("right")))
		end)

		it("E6 a session that ended is gone", function()
			local location = start("push/app")
			finish(location, sha("once"), "once")
			assert.equal(404, finish(location, sha("once"), "once").status)
		end)

		it("E5 streamed: PATCH with blob in body should yield 202, PUT with digest 201", function()
			local answer = patch(start("push/app"), "streamed")
			assert.equal(202, answer.status)
			assert.equal("0-7", answer:header("Range"))
			assert.equal(201, finish(answer:header("Location"), sha("streamed")).status)
		end)

		it("E5 PATCH of unknown length, chunked by HTTP, is taken", function()
			local location = start("push/app")
			local answer = send("PATCH", resolve(location), { body = "stream", headers = { "Transfer-Encoding: chunked" } })
			assert.same({ 202, "0-5" }, { answer.status, answer:header("Range") })
		end)

		it("E5 out-of-order blob upload should return 416", function()
			local location = start("push/app")
			assert.equal(416, patch(location, "second", "5-10").status)
		end)

		it("E5 chunks in order should return 202 each, with range and location, and PUT 201", function()
			local one = patch(start("push/app"), "first", "0-4")
			assert.same({ 202, "0-4" }, { one.status, one:header("Range") })
			local two = patch(one:header("Location"), "second", "5-10")
			assert.same({ 202, "0-10" }, { two.status, two:header("Range") })
			assert.are_not.equal(one:header("Location"), two:header("Location"))
			assert.equal(201, finish(two:header("Location"), sha("firstsecond")).status)
			assert.equal("firstsecond", fake:get_blob("push/app", sha("firstsecond")))
		end)

		it("E5 the last chunk may come with the PUT", function()
			local one = patch(start("push/app"), "first", "0-4")
			local done = send("PUT", with_digest(one:header("Location"), sha("first last")),
				{ body = " last", headers = { "Content-Range: 5-9" } })
			assert.equal(201, done.status)
		end)

		it("E5 a Content-Range that is none, or of another length, should return 400", function()
			assert.equal(400, patch(start("push/app"), "first", "bytes 0-4/5").status)
			assert.equal(400, patch(start("push/app"), "first", "0-9").status)
		end)

		it("E5 retry of a previous chunk should return 416, and E13 GET then 204 with range and location", function()
			local location = start("push/app")
			patch(location, "first", "0-4")
			assert.equal(416, patch(location, "first", "0-4").status)
			local answer = send("GET", resolve(location))
			assert.same({ 204, "0-4" }, { answer.status, answer:header("Range") })
			assert.equal(202, patch(answer:header("Location"), "second", "5-10").status)
		end)

		it("E5 OCI-Chunk-Min-Length: a chunk below it may only be the last", function()
			fake:set({ chunk_min = 4 })
			local location, answer = start("push/app")
			assert.equal("4", answer:header("OCI-Chunk-Min-Length"))
			local short = patch(location, "abc", "0-2")
			assert.equal(400, patch(short:header("Location"), "defg", "3-6").status)
			fake:set({ chunk_min = 0 })
		end)

		it("E5 a PATCH that breaks off leaves what came", function()
			local location = start("push/broken")
			shell.run({ "timeout", "0.5", "bash", "-c", [[exec 3<>/dev/tcp/${1%:*}/${1#*:}
				printf 'PATCH %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 100\r\n\r\nfirst' "$2" "$1" >&3; sleep 0.2]],
				"bash", fake.host, location })
			fake:log() -- waits until it has seen the end
			local answer = send("GET", resolve(location))
			assert.same({ 204, "0-4" }, { answer.status, answer:header("Range") })
		end)

		it("E13 GET of a session that is none should yield 404", function()
			assert.equal(404, send("GET", "push/app/blobs/uploads/none").status)
		end)

		it("E14 DELETE of a session should yield 204, and then it is gone", function()
			local location = start("push/app")
			assert.equal(204, send("DELETE", resolve(location)).status)
			assert.equal(404, send("GET", resolve(location)).status)
		end)

		it("E11 mount of another repository's blob should return 201, and GET of it 200", function()
			local digest = fake:put_blob("push/source", "mounted")
			local answer = send("POST", ("push/target/blobs/uploads/?mount=%s&from=push/source"):format(digest))
			assert.same({ 201, "/v2/push/target/blobs/" .. digest }, { answer.status, answer:header("Location") })
			assert.equal("mounted", send("GET", "push/target/blobs/" .. digest).body)
		end)

		it("E11 mount without from should yield a session", function()
			assert.is_truthy(start("push/target", "?mount=" .. NOTHING))
		end)

		it("E11 mount of a nonexistent blob should yield a session, with which it can be uploaded", function()
			local location = start("push/target", ("?mount=%s&from=push/source"):format(sha("late")))
			assert.is_truthy(location:find("^/v2/push/target/blobs/uploads/"))
			assert.equal(201, finish(location, sha("late"), "late").status)
		end)

		it("E7a PUT should accept a manifest upload, by several tags and by digest", function()
			local bytes = manifest("push/app")
			for _, reference in ipairs({ "one", "two", sha(bytes) }) do
				local answer = put("push/app", reference, bytes)
				assert.equal(201, answer.status)
				assert.equal("/v2/push/app/manifests/" .. sha(bytes), answer:header("Location"))
				assert.equal(sha(bytes), answer:header("Docker-Content-Digest"))
			end
			assert.same({ one = sha(bytes), two = sha(bytes) }, fake:tags("push/app"))
		end)

		it("E7a a manifest with no layers, one with unknown fields, an index, an index of an index are taken", function()
			local bare = manifest("push/app", { layers = 0 }):gsub('"layers":0', '"layers":[]')
			assert.equal(201, put("push/app", "bare", bare).status)
			local bytes = manifest("push/app", { custom = "field" })
			assert.equal(201, put("push/app", "custom", bytes).status)
			local inner = cjson.encode({ schemaVersion = 2, mediaType = INDEX,
				manifests = { { mediaType = MANIFEST, digest = sha(bytes), size = #bytes } } })
			assert.equal(201, put("push/app", "index", inner, INDEX).status)
			local outer = cjson.encode({ schemaVersion = 2, mediaType = INDEX,
				manifests = { { mediaType = INDEX, digest = sha(inner), size = #inner } } })
			assert.equal(201, put("push/app", "outer", outer, INDEX).status)
			assert.equal(inner, send("GET", "push/app/manifests/" .. sha(inner)).body)
		end)

		it("E7a a manifest by a digest that is not its own should yield 400", function()
			local bytes = manifest("push/app")
			local answer = put("push/app", sha(bytes), bytes .. "  ")
			assert.same({ 400, "DIGEST_INVALID" }, { answer.status, code(answer) })
		end)

		it("E7a a manifest by sha512 is taken, and there by it", function()
			local bytes = manifest("push/app", { custom = "sha512" })
			assert.equal(201, put("push/app", sha(bytes, "sha512"), bytes).status)
			assert.equal(bytes, send("GET", "push/app/manifests/" .. sha(bytes, "sha512")).body)
		end)

		it("E7a a manifest whose blob is missing should yield 400 MANIFEST_BLOB_UNKNOWN with the digest", function()
			local layer = { mediaType = "application/vnd.oci.image.layer.v1.tar", digest = NOTHING, size = 1 }
			local answer = put("push/app", "sparse", manifest("push/app", { layers = { layer } }))
			assert.same({ 400, "MANIFEST_BLOB_UNKNOWN" }, { answer.status, code(answer) })
			assert.equal(NOTHING, cjson.decode(answer.body).errors[1].detail.digest)
			layer.urls = { "https://elsewhere.test/layer" }
			assert.equal(201, put("push/app", "foreign", manifest("push/app", { layers = { layer } })).status)
		end)

		it("E7a a manifest whose mediaType is not the Content-Type should yield 400", function()
			assert.equal(400, put("push/app", "mixed", manifest("push/app"), INDEX).status)
		end)

		it("E7a a manifest of nearly 4 MiB is taken, one above yields 413", function()
			local function of(size)
				return manifest("push/app", { annotations = { large = ("A"):rep(size) } })
			end
			assert.equal(201, put("push/app", "large", of(4 * 1024 * 1024 - 2048)).status)
			assert.equal(413, put("push/app", "larger", of(4 * 1024 * 1024)).status)
		end)

		it("E7b PUT by digest with ten tags sets them, and says so in OCI-Tag", function()
			local bytes, tags, expected = manifest("push/tags"), {}, {}
			for i = 1, 10 do
				tags[i] = "tag=v" .. i
				expected["v" .. i] = sha(bytes)
			end
			local answer = put("push/tags", sha(bytes) .. "?" .. table.concat(tags, "&"), bytes)
			assert.equal(201, answer.status)
			assert.equal("v1, v2, v3, v4, v5, v6, v7, v8, v9, v10", answer:header("OCI-Tag"))
			assert.same(expected, fake:tags("push/tags"))
		end)
	end)

	describe("discovery", function()
		setup(function()
			for _, tag in ipairs({ "c", "a", "b", "d" }) do
				fake:put_manifest("list/app", tag, "{}", MANIFEST)
			end
		end)

		it("E8 GET of tags should yield 200 and all of them, sorted", function()
			local answer = send("GET", "list/app/tags/list")
			assert.same({ name = "list/app", tags = { "a", "b", "c", "d" } }, cjson.decode(answer.body))
			assert.is_nil(answer:header("Link"))
		end)

		it("E8 GET of tags should be limitable by n, and go on with last, or with Link", function()
			local first = send("GET", "list/app/tags/list?n=3")
			assert.same({ "a", "b", "c" }, cjson.decode(first.body).tags)
			local link = first:header("Link"):match('^<(.*)>; rel="next"$')
			assert.same({ "d" }, cjson.decode(send("GET", resolve(link)).body).tags)
			assert.same({ "c", "d" }, cjson.decode(send("GET", "list/app/tags/list?n=3&last=b").body).tags)
			assert.is_truthy(send("GET", "list/app/tags/list?n=0").body:find('"tags": []', 1, true))
		end)

		it("E8 GET of the tags of no repository should yield 404", function()
			assert.equal("NAME_UNKNOWN", code(send("GET", "list/nobody/tags/list")))
		end)

		it("E12 GET of the referrers of what is not there should yield 200 and an empty index", function()
			local answer = send("GET", "refer/app/referrers/" .. NOTHING)
			assert.same({ 200, INDEX }, { answer.status, answer:header("Content-Type") })
			assert.is_truthy(answer.body:find('"manifests": []', 1, true))
		end)

		it("E12 GET of the referrers of what is no digest should yield 400", function()
			assert.equal(400, send("GET", "refer/app/referrers/latest").status)
		end)

		it("E12 a manifest with a subject: OCI-Subject, and it is listed, also before its subject is there", function()
			local subject = { mediaType = MANIFEST, digest = NOTHING, size = 5 }
			local one = manifest("refer/app", { subject = subject, artifactType = "application/x.one",
				annotations = { key = "value" } })
			local two = manifest("refer/app", { subject = subject })
			assert.equal(NOTHING, put("refer/app", sha(one), one):header("OCI-Subject"))
			assert.equal(NOTHING, put("refer/app", "tagged", two):header("OCI-Subject"))
			local listed = {}
			for _, item in ipairs(cjson.decode(send("GET", "refer/app/referrers/" .. NOTHING).body).manifests) do
				listed[item.digest] = item
			end
			assert.same({
				[sha(one)] = { mediaType = MANIFEST, digest = sha(one), size = #one, artifactType = "application/x.one",
					annotations = { key = "value" } },
				[sha(two)] = { mediaType = MANIFEST, digest = sha(two), size = #two,
					artifactType = "application/vnd.oci.image.config.v1+json" },
			}, listed)
			local answer = send("GET", "refer/app/referrers/" .. NOTHING .. "?artifactType=application/x.one")
			assert.equal("artifactType", answer:header("OCI-Filters-Applied"))
			assert.equal(1, #cjson.decode(answer.body).manifests)
		end)

		it("E12 pages of referrers go on with Link", function()
			fake:set({ referrers_page = 1 })
			local answer = send("GET", "refer/app/referrers/" .. NOTHING)
			local link = answer:header("Link"):match('^<(.*)>; rel="next"$')
			local more = send("GET", resolve(link))
			fake:set({ referrers_page = 0 })
			assert.is_nil(more:header("Link"))
			assert.are_not.equal(answer.body, more.body)
		end)
	end)

	describe("management", function()
		it("E9 DELETE of a tag should yield 202, then GET of the tag 404, and of the digest 200", function()
			local digest = fake:put_manifest("manage/app", "gone", manifest("manage/app"), MANIFEST)
			fake:put_manifest("manage/app", "kept", manifest("manage/app"), MANIFEST)
			assert.equal(202, send("DELETE", "manage/app/manifests/gone").status)
			assert.equal(404, send("GET", "manage/app/manifests/gone").status)
			assert.equal(200, send("GET", "manage/app/manifests/" .. digest).status)
			assert.same({ "kept" }, cjson.decode(send("GET", "manage/app/tags/list").body).tags)
		end)

		it("E9 DELETE of a digest should yield 202, then GET of it and of its tags 404, and DELETE too", function()
			local digest = fake:put_manifest("manage/app", "latest", manifest("manage/app"), MANIFEST)
			assert.equal(202, send("DELETE", "manage/app/manifests/" .. digest).status)
			assert.equal(404, send("GET", "manage/app/manifests/" .. digest).status)
			assert.equal(404, send("GET", "manage/app/manifests/latest").status)
			assert.equal(404, send("DELETE", "manage/app/manifests/" .. digest).status)
			assert.equal(200, send("GET", "manage/app/tags/list").status)
		end)

		it("E10 DELETE of a blob should yield 202, then GET of it 404", function()
			local digest = fake:put_blob("manage/app", "blob to delete")
			assert.equal(202, send("DELETE", "manage/app/blobs/" .. digest).status)
			assert.equal(404, send("GET", "manage/app/blobs/" .. digest).status)
		end)

		it("E9 E10 DELETE yields 405 where it is turned off", function()
			fake:set({ delete = false })
			assert.equal(405, send("DELETE", "manage/app/manifests/latest").status)
			assert.equal(405, send("DELETE", "manage/app/blobs/" .. NOTHING).status)
			fake:set({ delete = true })
		end)
	end)
end)
