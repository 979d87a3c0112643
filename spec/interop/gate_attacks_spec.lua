-- No way around the gate of examples/gate: no manifest is in the registry behind that was not judged.

local cjson = require "cjson"
local core = require "strata.core"
local curl = require "spec.support.curl"
local gate = require "spec.support.gate"
local oci_layout = require "spec.support.oci_layout"
local registry = require "spec.support.registry"
local shell = require "spec.support.shell"
local waiting = require "spec.support.waiting"

local it = gate.missing() and function(name)
	pending(name .. ": " .. gate.missing())
end or it

local DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
local IMAGE, INDEX = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"

local BYTES = "Content-Type: application/octet-stream"
local HELM = "application/vnd.cncf.helm.config.v1+json"

describe("by no way around the gate:", function()
	local server, layout, good, evil

	-- One for all: each uses repositories of its own.
	setup(function()
		if gate.missing() then
			return
		end
		server = gate.start({ "--artifact", HELM })
	end)

	teardown(function()
		gate.clear(server)
	end)

	before_each(function()
		layout = oci_layout.new()
		good = layout:image({ layers = { layout:layer({ { name = "etc/name", data = "good" } }) } })
		local entry = { name = "usr/bin/evil", data = "evil", mode = tonumber("4755", 8) }
		evil = layout:image({ layers = { layout:layer({ entry }) } })
	end)

	local function text_of(image)
		return layout.blobs[image.descriptor.digest]
	end

	-- The same with so many bytes.
	local function long_text_of(image, size)
		return text_of(image) .. (" "):rep(size - #text_of(image))
	end

	-- Says that a manifest is refused, and not there, by a tag nor by its digest.
	local function refused(repository, text, media_type, status, words, more)
		for _, reference in ipairs({ "1", core.sha256(text) }) do
			local answer = server:manifest(repository, reference, text, media_type, more)
			assert.equal(status, answer.status, answer.body)
			local message = gate.message(answer)
			assert.is_truthy(message:find(words, 1, true), message)
			assert.is_nil(message:find(server.backend, 1, true))
			assert.equal(404, server:behind(repository, reference))
		end
	end

	local function accepted(repository, reference, text, media_type, more)
		local answer = server:manifest(repository, reference, text, media_type, more)
		assert.equal(201, answer.status, answer.body)
		assert.is_truthy(answer:header("Location"):find(server.url .. "/v2/", 1, true))
		assert.equal(200, server:behind(repository, reference))
	end

	local SETID = "policy: setid: 'usr/bin/evil': set-id file, mode 4755 (layer 1)"

	it("tags, digests and several tags are judged alike", function()
		server:blobs("tags", layout)
		refused("tags", text_of(evil), IMAGE, 403, SETID)
		refused("tags", text_of(evil), IMAGE, 403, SETID, { "Content-Length: " .. #text_of(evil) })
		local answer = server:manifest("tags", evil.descriptor.digest .. "?tag=a&tag=b", text_of(evil))
		assert.equal(403, answer.status)
		accepted("tags", "1", text_of(good))
		accepted("tags", good.descriptor.digest, text_of(good))
		accepted("tags", "1", text_of(good), IMAGE .. "; charset=utf-8")
		answer = server:manifest("tags", "2", text_of(good), nil, { "Transfer-Encoding: chunked", "Expect: 100-continue" })
		assert.equal(201, answer.status)
		local tags = cjson.decode(server:ask({ "GET", "/v2/tags/tags/list" }).body).tags
		table.sort(tags)
		assert.same({ "1", "2" }, tags)
	end)

	it("a manifest that nginx keeps in a file is judged like others", function()
		server:blobs("long", layout)
		for _, more in ipairs({ {}, { "Transfer-Encoding: chunked" } }) do
			refused("long", long_text_of(evil, 300 * 1024), nil, 403, SETID, more)
			accepted("long", "2", long_text_of(good, 4 * 1024 * 1024 - 1), nil, more)
		end
	end)

	it("a blob that was mounted, or pushed around the gate, is judged with the manifest", function()
		server:blobs("from", layout)
		for _, one in ipairs({ evil.manifest.config, evil.manifest.layers[1] }) do
			local answer = server:ask({ "POST", ("/v2/to/blobs/uploads/?mount=%s&from=from"):format(one.digest) })
			assert.equal(201, answer.status)
		end
		refused("to", text_of(evil), IMAGE, 403, SETID)
		server:blobs("direct", layout, "http://" .. server.backend)
		refused("direct", text_of(evil), IMAGE, 403, SETID)
	end)

	it("an index is judged by its images, wherever they came from", function()
		server:blobs("multi", layout)
		accepted("multi", good.descriptor.digest, text_of(good))
		local fine = layout.blobs[layout:index({ good.descriptor }).digest]
		accepted("multi", "1", fine, INDEX)
		-- One that was there before the gate was.
		assert.equal(201, server:manifest("multi", evil.descriptor.digest, text_of(evil), nil,
			{ to = "http://" .. server.backend }).status)
		local function index(descriptors, options)
			return layout.blobs[layout:index(descriptors, options).digest]
		end
		local function bad(text, words, status)
			for _, reference in ipairs({ "2", core.sha256(text) }) do
				local answer = server:manifest("multi", reference, text, INDEX)
				assert.equal(status or 403, answer.status, answer.body)
				assert.is_truthy(gate.message(answer):find(words, 1, true), answer.body)
				assert.equal(404, server:behind("multi", reference))
			end
		end
		bad(index({ good.descriptor, evil.descriptor }),
			"setid: manifest 2 (" .. evil.descriptor.digest:sub(1, 19) .. "): 'usr/bin/evil'")
		-- In an index in the index.
		local inner = layout:index({ evil.descriptor })
		assert.equal(201, server:manifest("multi", inner.digest, layout.blobs[inner.digest], INDEX,
			{ to = "http://" .. server.backend }).status)
		bad(index({ inner }), "'usr/bin/evil'")
		-- Under the type of a layer, a stranger, none.
		for _, name in ipairs({ "application/vnd.oci.image.layer.v1.tar", "text/plain" }) do
			bad(index({ oci_layout.with(evil.descriptor, { mediaType = name }) }), "cannot be judged: manifest 1")
		end
		bad(index({ oci_layout.with(evil.descriptor, { mediaType = INDEX }) }), "cannot be judged: manifest 1")
		-- Not there: it would be judged when it comes, but nobody says by whom.
		local absent = "sha256:" .. ("0"):rep(64)
		bad(index({ oci_layout.with(good.descriptor, { digest = absent }) }), absent:sub(1, 19), 400)
		-- The tag moves to the image that was never judged.
		assert.equal(403, server:manifest("multi", "3", text_of(evil)).status)
	end)

	it("documents that readers differ about are refused", function()
		server:blobs("odd", layout)
		local text, json = text_of(evil), "policy: cannot be judged: "
		local clean = text_of(good)
		local layers, rest = text:match('"layers":%[.-%]'), clean:match("^{(.*)}$")
		for _, case in ipairs({
			{ "{" .. layers .. "," .. rest .. "}", IMAGE, "duplicate name" },
			{ "{" .. rest .. "," .. layers:gsub("layers", "Layers") .. "}", IMAGE, "case" },
			{ "{" .. rest .. "," .. layers:gsub("layers", "layer\\u017f") .. "}", IMAGE, "case" },
			{ text:gsub('"layers"', '"LAYERS"'), IMAGE, "written as" },
			{ text:gsub('"digest"', '"Digest"'), IMAGE, "written as" },
			{ text .. "{}", IMAGE, "JSON" },
			{ text .. "\0", IMAGE, "JSON" },
			{ "\239\187\191" .. text, IMAGE, "JSON" },
			{ "[]", IMAGE, "no JSON object" },
			{ "null", IMAGE, "no JSON object" },
			{ text, INDEX, "its Content-Type is" },
			{ text, "application/json", "neither a manifest nor an index" },
			{ text, "text/plain", "neither a manifest nor an index" },
			{ text, IMAGE .. " " .. INDEX, "neither a manifest nor an index" },
			{ text, IMAGE .. ", " .. INDEX, "neither a manifest nor an index" },
			{ text, INDEX .. "; charset=utf-8", "its Content-Type is" },
			{ text, DOCKER, "its Content-Type is" },
			{ text, "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1" },
			{ text:gsub('"schemaVersion":2', '"schemaVersion":1'), IMAGE, "schema 1" },
			{ text:gsub('"schemaVersion":2', '"schemaVersion":3'), IMAGE, "schemaVersion" },
			{ text:gsub('"mediaType":"[^"]*manifest[^"]*",', ""), DOCKER, "mediaType" },
			{ "{" .. rest .. ',"manifests":[]}', IMAGE, "at once" },
			{ "{" .. rest .. ',"manifests":[]}', INDEX, "" },
			{ '{"schemaVersion":2,"manifests":[],"layers":[]}', INDEX, "at once" },
			{ '{"schemaVersion":2,"manifests":{}}', INDEX, "" },
			{ '{"schemaVersion":2,"layers":[]}', IMAGE, "" },
			{ text:gsub('"layers":%[', '"layers":[1,'), IMAGE, "element 1" },
			{ ("["):rep(2000), IMAGE, "" },
		}) do
			refused("odd", case[1], case[2], 403, json)
			local message = gate.message(server:manifest("odd", "1", case[1], case[2]))
			assert.is_truthy(message:find(case[3], 1, true), message)
		end
	end)

	it("headers that change what a body is are refused", function()
		server:blobs("headers", layout)
		local text = text_of(good)
		refused("headers", text, IMAGE, 415, "Content-Encoding", { "Content-Encoding: gzip" })
		refused("headers", text, IMAGE, 415, "Content-Encoding", { "Content-Encoding: identity" })
		assert.equal(400, server:ask({ "PUT", "/v2/headers/manifests/1", body = text, headers = { "Content-Type:" } }).status)
		assert.equal(400, server:ask({ "PUT", "/v2/headers/manifests/1",
			headers = { "Content-Type: " .. IMAGE, "Content-Length: 0" } }).status)
		local many = {}
		for i = 1, 120 do
			many[i] = ("X-%d: x"):format(i)
		end
		many[121] = "Content-Type: " .. INDEX
		refused("headers", text, IMAGE, 400, "one Content-Type", many)
		local large = text .. (" "):rep(4 * 2 ^ 20)
		for _, more in ipairs({ "Expect:", "Transfer-Encoding: chunked" }) do
			local answer = server:manifest("headers", "1", large, IMAGE, { more })
			assert.equal(413, answer.status)
			assert.is_truthy(gate.message(answer))
		end
		for _, method in ipairs({ "GET", "POST", "PATCH", "DELETE" }) do
			for _, name in ipairs({ "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override" }) do
				server:ask({ method, "/v2/headers/manifests/1", body = text,
					headers = { "Content-Type: " .. IMAGE, name .. ": PUT" } })
			end
		end
		assert.equal(404, server:behind("headers", "1"))
	end)

	it("a path that two programs could read in two ways changes nothing", function()
		server:blobs("path", layout)
		local text = text_of(good)
		for _, path in ipairs({
			"/v2/path/manifests/1/", "//v2/path/manifests/1", "/v2//path/manifests/1", "/v2/path//manifests/1",
			"/v2/./path/manifests/1", "/v2/x/../path/manifests/1", "/v2/path/manifests%2f1", "/v2/path/%6danifests/1",
			"/v2/p%61th/manifests/1", "/V2/path/manifests/1", "/v2/path/Manifests/1", "/v2/path/manifests/1%20",
			"/v2/path/blobs/uploads/../../manifests/1", "/v2/path/blobs/uploads/%2e%2e/%2e%2e/manifests/1",
			"/v2/path/manifests/1;a", "/v2/path/manifests/1/x", "/v2/path/manifests/x/blobs/1", "/v2/Path/manifests/1",
			"/x/../v2/path/manifests/1", "/v2/path/blobs/manifests/x/1", "/v2/manifests/1", "/token", "/ask",
			"/v2/path\\manifests/1", "/v2/path/manifests/.", "/v2/path/manifests/..", "/v2/path/_manifests/1",
		}) do
			local answer = server:ask({ "PUT", path, body = text, headers = { "Content-Type: " .. IMAGE } })
			assert.is_true(answer.status == 405 or answer.status == 404, path .. " " .. answer.status)
		end
		for _, method in ipairs({ "POST", "PATCH", "MOVE", "COPY", "LINK", "PROPPATCH", "X" }) do
			assert.equal(405, server:ask({ method, "/v2/path/manifests/1", body = text }).status)
		end
		assert.equal(404, server:behind("path", "1"))
		assert.matches("NAME_UNKNOWN", server:ask({ "GET", "/v2/path/tags/list" }).body)
	end)

	it("what is no image passes when nothing can run it, or its type is listed", function()
		local config = server:blob("notes", "{}")
		config.mediaType = "application/vnd.oci.image.config.v1+json"
		local function manifest(config_type, layer_type, bytes, more)
			local layer = server:blob("notes", bytes)
			layer.mediaType = layer_type
			return oci_layout.encode(oci_layout.with({
				schemaVersion = 2, mediaType = IMAGE, config = oci_layout.with(config, { mediaType = config_type }),
				layers = oci_layout.list({ layer }),
			}, more))
		end
		local oci, json = config.mediaType, '{"payload":"x"}'
		accepted("notes", "attestation", manifest(oci, "application/vnd.in-toto+json", json))
		accepted("notes", "signature", manifest(oci, "application/vnd.dev.cosign.simplesigning.v1+json", json))
		accepted("notes", "chart", manifest(HELM, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "chart"))
		local tar = evil.manifest.layers[1]
		local bytes = layout.blobs[tar.digest]
		local name = "application/vnd.in-toto+json"
		refused("notes", manifest(oci, name, bytes), IMAGE, 403, "neither a layer of an image nor JSON")
		refused("notes", manifest(oci, name, bytes, { artifactType = HELM }), IMAGE, 403,
			"neither a layer of an image nor JSON")
		refused("notes", manifest("application/vnd.example+json", name, json), IMAGE, 403,
			"policy: artifact: artifacts of the type 'application/vnd.example+json' are not let in")
		local empty = manifest(oci, name, bytes):gsub('"size":' .. #bytes .. "}", '"size":0}')
		refused("notes", empty, IMAGE, 403, "cannot be judged")
		-- The layers of images are judged, whatever the config says.
		for _, layer_type in ipairs({ tar.mediaType, "application/vnd.docker.image.rootfs.diff.tar.gzip" }) do
			refused("notes", manifest(HELM, layer_type, bytes), IMAGE, 403, "cannot be judged")
		end
		for _, kind in ipairs({ "application/octet-stream", "text/html" }) do
			refused("notes", manifest(kind, tar.mediaType, bytes), IMAGE, 403, "cannot be judged")
		end
	end)

	-- A document of JSON that is a tar as well: a header without a NUL, in a string. It has a set-id file.
	local function json_and_tar()
		local function header(name, mode, size)
			local fields = ("%s%07o %07o %07o %011o %011o "):format(name, mode, 0, 0, size, 0)
			local rest = "0" .. ("x"):rep(355)
			local sum = 8 * 32
			for char in (fields .. rest):gmatch(".") do
				sum = sum + char:byte()
			end
			return ("%s%06o  %s"):format(fields, sum, rest)
		end
		local first, name = '{"a":"' .. ("x"):rep(94), "usr/bin/" .. ("./"):rep(44) .. "evil"
		return header(first, tonumber("644", 8), 0) .. header(name, tonumber("4755", 8), 9) .. ("x"):rep(510) .. '"}'
	end

	it("a statement that is a tar as well is no statement", function()
		local bytes = json_and_tar()
		assert.equal("xxx", cjson.decode(bytes).a:sub(1, 3))
		local config = server:blob("both", oci_layout.encode({ architecture = "amd64", os = "linux",
			rootfs = { type = "layers", diff_ids = oci_layout.list({ core.sha256(bytes) }) } }))
		local layer = server:blob("both", bytes)
		config.mediaType, layer.mediaType = "application/vnd.oci.image.config.v1+json", "application/vnd.in-toto+json"
		local text = oci_layout.encode({ schemaVersion = 2, mediaType = IMAGE, config = config,
			layers = oci_layout.list({ layer }) })
		refused("both", text, IMAGE, 403, "neither a layer of an image nor JSON")
		layer = oci_layout.with(server:blob("both", ""), { mediaType = layer.mediaType })
		text = oci_layout.encode({ schemaVersion = 2, mediaType = IMAGE, config = config,
			layers = oci_layout.list({ layer }) })
		refused("both", text, IMAGE, 403, "neither a layer of an image nor JSON")
	end)

	it("a layer that a runtime may read by its table of contents is refused", function()
		server:blobs("toc", layout)
		for _, name in ipairs({ "io.github.containers.zstd-chunked.manifest-checksum",
			"io.containers.zstd-chunked.manifest-checksum", "containerd.io/snapshot/stargz/toc.digest" }) do
			local layer = oci_layout.with(good.manifest.layers[1], { annotations = { [name] = core.sha256("") } })
			local text = oci_layout.encode(oci_layout.with(good.manifest, { layers = oci_layout.list({ layer }) }))
			refused("toc", text, IMAGE, 403, "table-of-contents")
		end
	end)

	-- Sends bytes, each text on a connection of its own and all at once: the statuses that came back on each.
	local function raw(texts)
		local script = [[
import re, socket, sys, threading
port, lines = int(sys.argv[1]), sys.stdin.read().split()
answers = [b""] * len(lines)
def one(number, text):
    with socket.create_connection(("127.0.0.1", port), 3) as s:
        try:
            s.sendall(bytes.fromhex(text))
            part = True
            while part:
                part = s.recv(65536)
                answers[number] += part
        except OSError:
            pass
threads = [threading.Thread(target=one, args=pair) for pair in enumerate(lines)]
for t in threads: t.start()
for t in threads: t.join()
for got in answers: print(*re.findall(rb"HTTP/1\.1 (\d+)".decode(), got.decode("latin1")))
]]
		local lines = {}
		for i, text in ipairs(texts) do
			lines[i] = text:gsub(".", function(char)
				return ("%02x"):format(char:byte())
			end)
		end
		local list = {}
		for line in shell.check({ "python3", "-c", script, server.host:match("%d+$"), input = table.concat(lines, "\n") })
			:gmatch("([^\n]*)\n") do
			list[#list + 1] = line
		end
		return list
	end

	it("bytes that two programs could take for other requests bring nothing in", function()
		server:blobs("raw", layout)
		local text = text_of(evil)
		local function request(line, headers, body)
			return ("%s HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\n%s\r\n%s"):format(line, IMAGE, headers, body or text)
		end
		local function length(bytes)
			return ("Content-Length: %d\r\n"):format(#bytes)
		end
		local own = length(text)
		local inner = request("PUT /v2/raw/manifests/smuggled", own)
		local chunked = ("%x\r\n%s\r\n0\r\n\r\n"):format(#text, text)
		local upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
		local preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
		local upload = "PUT /v2/raw/blobs/uploads/x"
		local cases = {
			{ "201", request("PUT /v2/raw/manifests/control", length(text_of(good)), text_of(good)) },
			{ "403", request("PUT http://h/v2/raw/manifests/1", own) },
			{ "403", request(("PUT http://%s/v2/raw/manifests/1"):format(server.backend), own) },
			{ "405", request("PUT http://h/v2/x/blobs/uploads/@/v2/raw/manifests/1", own) },
			{ "405", request("PUT http://h?/v2/raw/manifests/1", own) },
			{ "405", request("PUT /v2/raw/blobs/uploads/x#/../../../manifests/1", own) },
			{ "405", request("PUT /v2/raw/manifests\195\175/1", own) },
			{ "405", request("PUT /v2/filtered/../raw/manifests/1", own) },
			{ "405", request("POST /v2/raw/manifests/token", own) },
			{ "400", request("PUT /v2/raw/manifests/1\0x", own) },
			{ "400", request("PUT /v2/raw/manifests/1 x", own) },
			{ "400", request("put /v2/raw/manifests/1", own) },
			{ "400", request("CONNECT " .. server.backend, "", inner) },
			{ "500", request("PUT /v2/" .. ("a/"):rep(3500) .. "manifests/1", own) },
			{ "403", request("PUT /v2/raw/manifests/1?" .. ("a"):rep(7000), own) },
			{ "400", request("PUT /v2/raw/manifests/1", "Host: other\r\n" .. own) },
			{ "100 403", request("PUT /v2/raw/manifests/1", "Expect: 100-continue\r\n" .. own) },
			{ "403", request("PUT /v2/raw/manifests/1", "Connection: content-type\r\n" .. own) },
			{ "403", request("PUT /v2/raw/manifests/1", "Transfer-Encoding: chunked\r\nTrailer: Content-Type\r\n",
				(chunked:gsub("\r\n$", "Content-Type: text/plain\r\n\r\n"))) },
			-- Two lengths, or none that all programs read alike.
			{ "400", request(upload, own .. "Transfer-Encoding: chunked\r\n", "0\r\n\r\n" .. inner) },
			{ "400", request(upload, "Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n" .. inner) },
			{ "501", request(upload, "Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n", "0\r\n\r\n" .. inner) },
			{ "501", request(upload, "Transfer-Encoding:\tchunked\r\nContent-Length: 5\r\n", "0\r\n\r\n" .. inner) },
			{ "400", request(upload, "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n" .. inner) },
			{ "400", request(upload, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n" .. inner) },
			{ "400", request(upload, "Content-Length: 0\r\n" .. length(inner), inner) },
			{ "400", request(upload, "Content-Length: 0, 5\r\n", inner) },
			{ "400", request(upload, "Transfer-Encoding: chunked\r\n", "ffffffffffffffff1\r\n" .. inner) },
			{ "404", request(upload, "Connection: Content-Length\r\n" .. length(inner), inner) },
			{ "404", request(upload, "Transfer_Encoding: chunked\r\n" .. length("0\r\n\r\n" .. inner), "0\r\n\r\n" .. inner) },
			-- A second request in the body of the first one is a body; one behind it is judged.
			{ "200", request("GET /v2/", length(inner), inner) },
			{ "200 403", request("GET /v2/", "", inner) },
			{ "404 403", request(upload, "Content-Length: 3\r\n", "abc" .. inner) },
			-- No other protocol, at once or by an upgrade.
			{ "403", request("PUT /v2/raw/manifests/1", upgrade .. own) },
			{ "200 400", request("GET /v2/", upgrade, preface .. inner) },
			{ "200 403", request("GET /v2/", "Connection: Upgrade\r\nUpgrade: websocket\r\n", inner) },
			{ "400", preface .. inner },
		}
		local texts = {}
		for i, case in ipairs(cases) do
			texts[i] = case[2]
		end
		for i, statuses in ipairs(raw(texts)) do
			assert.equal(cases[i][1], statuses, cases[i][2]:sub(1, 80))
		end
		assert.same({ "control" }, cjson.decode(server:ask({ "GET", "/v2/raw/tags/list" }).body).tags)
		assert.equal(404, server:behind("raw", evil.descriptor.digest))
	end)

	it("a manifest that was uploaded as a blob is judged when it is pulled", function()
		server:blobs("blob", layout)
		local accept = "Accept: " .. IMAGE
		for _, case in ipairs({ { good, 200 }, { evil, 403 } }) do
			local digest = case[1].descriptor.digest
			server:blob("blob", text_of(case[1]))
			assert.equal(200, server:behind("blob", digest)) -- docker-registry takes it for a manifest
			for _, path in ipairs({ "/v2/blob/manifests/" .. digest, "/v2/blob/manifests/" .. digest:gsub(":", "%%3A"),
				"/v2/blob/%6danifests/" .. digest, "//v2/blob/manifests/" .. digest, "/v2/./blob/manifests/" .. digest .. "?x" }) do
				for _, method in ipairs({ "GET", "HEAD", "GET" }) do
					local status = server:ask({ method, path, headers = { accept } }).status
					assert.is_true(status == case[2] or status == 301, path .. " " .. status)
				end
			end
		end
		local answer = server:ask({ "GET", "/v2/blob/manifests/" .. evil.descriptor.digest, headers = { accept } })
		assert.equal(SETID, (gate.message(answer)))
		for _, case in ipairs({ { good, 200 }, { evil, 403 } }) do
			local name = server:blob("blob", long_text_of(case[1], 1024 * 1024)).digest
			answer = server:ask({ "GET", "/v2/blob/manifests/" .. name, headers = { accept } })
			assert.equal(case[2], answer.status)
		end
		-- One that came as a manifest is served as it is.
		accepted("pulled", "1", text_of(good), nil, server:blobs("pulled", layout))
		answer = server:ask({ "GET", "/v2/pulled/manifests/" .. good.descriptor.digest, headers = { accept } })
		assert.same({ 200, text_of(good) }, { answer.status, answer.body })
		assert.equal(404, server:ask({ "GET", "/v2/pulled/manifests/" .. evil.descriptor.digest }).status)
	end)

	it("a blob that is too long for a manifest is none, whatever the registry behind takes it for", function()
		local behind = registry.start()
		local own = gate.start({ "--backend", behind.host })
		finally(function()
			gate.clear(own, behind)
		end)
		for _, case in ipairs({ { 4 * 1024 * 1024, SETID }, { 4 * 1024 * 1024 + 1, "policy: a blob of more than 4 MiB" } }) do
			local text = long_text_of(evil, case[1])
			for _, bytes in pairs(layout.blobs) do
				behind:put_blob("long", bytes)
			end
			behind:put_blob("long", text)
			local digest = behind:put_manifest("long", nil, text, IMAGE)
			local answer = own:ask({ "GET", "/v2/long/manifests/" .. digest, headers = { "Accept: " .. IMAGE } })
			assert.equal(403, answer.status)
			assert.equal(case[2], gate.message(answer):sub(1, #case[2]))
		end
	end)

	it("a verdict is for one media type and one text, wherever one ends and the other begins", function()
		server:blobs("border", layout)
		accepted("border", good.descriptor.digest, text_of(good))
		local text = oci_layout.encode({ schemaVersion = 2, mediaType = INDEX, manifests = oci_layout.list({
			oci_layout.with(good.descriptor, { mediaType = "TYPE" }) }) }):gsub("TYPE", IMAGE .. ";\\u0000x")
		server:manifest("border", "index", text, INDEX)
		refused("border", "x\0" .. text_of(good), IMAGE .. ";", 403, "cannot be judged: it is no JSON")
	end)

	it("a verdict is for the policy that was read last, with all that it reads", function()
		local list = server.dir:write("layers.lua", "return 128")
		local own = gate.start({ policy = ("return { root_user = true, max_layers = dofile(%q) }"):format(list) })
		finally(function()
			own:stop()
			own.dir:remove()
		end)
		own:blobs("reads", layout)
		assert.equal(201, own:manifest("reads", "1", text_of(good)).status)
		server.dir:write("layers.lua", "return 0")
		shell.check({ "kill", "-HUP", tostring(own.pid) })
		waiting.till("the new policy", function()
			return own:manifest("reads", "2", text_of(good)).status == 403
		end)
	end)

	it("layers that lie elsewhere, are missing or are broken are refused", function()
		server:blobs("broken", layout)
		local foreign = cjson.encode({ "https://example.test/layer" })
		local text = text_of(evil):gsub('("size":%d+})%]', '%1]'):gsub('(.*)"size":(%d+)', '%1"size":%2,"urls":' ..
			foreign:gsub("\\/", "/"))
		refused("broken", text, IMAGE, 403, "at other URLs")
		local absent = "sha256:" .. ("1"):rep(64)
		local gone = text_of(good):gsub(good.manifest.layers[1].digest, absent)
		refused("broken", gone, IMAGE, 400, absent)
		-- Another layer than the config says.
		local other = text_of(good):gsub(good.manifest.layers[1].digest, evil.manifest.layers[1].digest)
			:gsub('"size":' .. good.manifest.layers[1].size .. "}", '"size":' .. evil.manifest.layers[1].size .. "}")
		refused("broken", other, IMAGE, 403, "cannot be judged")
		for _, size in ipairs({ 0, 1, 1e9 }) do
			for _, one in ipairs({ evil.manifest.layers[1], evil.manifest.config }) do
				local wrong = text_of(evil):gsub('"size":' .. one.size .. "}", ('"size":%d}'):format(size))
				assert.not_equal(text_of(evil), wrong)
				refused("broken", wrong, IMAGE, 403, "policy: ")
			end
		end
	end)

	it("Location, Range, mounts, uploads in parts, deletion and lists go through", function()
		local begun = server:ask({ "POST", "/v2/parts/blobs/uploads/" })
		assert.equal(202, begun.status)
		local place = begun:header("Location")
		assert.is_truthy(place:find(server.url .. "/v2/parts/blobs/uploads/", 1, true))
		local patch = curl.send({ "PATCH", place, body = "first ",
			headers = { "Transfer-Encoding: chunked", BYTES } })
		assert.equal(202, patch.status)
		assert.equal("0-5", patch:header("Range"))
		local digest = core.sha256("first second")
		local put = curl.send({ "PUT", patch:header("Location") .. "&digest=" .. digest, body = "second",
			headers = { BYTES } })
		assert.equal(201, put.status)
		local path = "/v2/parts/blobs/" .. digest
		local part = server:ask({ "GET", path, headers = { "Range: bytes=6-11" } })
		assert.same({ 206, "second" }, { part.status, part.body })
		assert.equal(200, server:ask({ "HEAD", path }).status)
		assert.equal(202, server:ask({ "DELETE", path }).status)
		assert.equal(404, server:ask({ "GET", path }).status)
		server:blobs("parts", layout)
		accepted("parts", "1", text_of(good))
		assert.equal(202, server:ask({ "DELETE", "/v2/parts/manifests/" .. good.descriptor.digest }).status)
		assert.equal(404, server:behind("parts", "1"))
		assert.matches('"repositories":', server:ask({ "GET", "/v2/_catalog?n=1" }).body)
	end)

	it("nothing of this is said in the log", function()
		assert.equal("", (server:said():gsub("[^\n]*client intended to send too large chunked body[^\n]*\n", "")
			:gsub("[^\n]*client sent invalid chunked body[^\n]*\n", "")))
		assert.equal("body\nproxy\n", shell.run({ "ls", server.dir:file("data") .. "/tmp" }).stdout)
	end)
end)
