local child = require "spec.support.child"
local core = require "strata.core"
local http_server = require "spec.support.http_server"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local has_http, http = pcall(require, "strata.http")

-- What the server sends: bytes that repeat after a prime number of them.
local function pattern(start, size)
	local bytes = {}
	for i = 0, 250 do
		bytes[i + 1] = string.char(i)
	end
	local period = table.concat(bytes)
	return period:rep(math.floor(size / 251) + 2):sub(start % 251 + 1, start % 251 + size)
end

local function digest_of(bytes)
	return core.sha256(bytes)
end

describe("strata.http", function()
	if not has_http then
		it("is there", function()
			pending("strata.http was not built: there is no libcurl")
		end)
		return
	end

	local server, client

	setup(function()
		server = http_server.start()
	end)

	teardown(function()
		server:stop()
	end)

	before_each(function()
		client = assert(http.client({ user_agent = "strata/spec" }))
	end)

	after_each(function()
		client:close()
	end)

	-- Starts an exchange; `fields.path` is the server's.
	local function start(fields)
		local request = { method = "GET" }
		for name, value in pairs(fields) do
			request[name] = value
		end
		request.path, request.url = nil, fields.url or server.url .. fields.path
		return client:start(request)
	end

	local function finish(fields)
		local x = assert(start(fields))
		assert.is_true(x:wait(60))
		return x
	end

	local function failure(fields)
		local status, message, code = finish(fields):status()
		assert.is_nil(status)
		return code, message
	end

	local function spill(bytes, offset)
		local file = assert(core.temp_file())
		assert(file:write(offset or 0, bytes))
		return file
	end

	describe("received bodies", function()
		it("go to memory", function()
			local x = finish({ path = "/bytes/50000", hash = "sha256" })
			assert.equal(200, x:status())
			assert.equal(200, x:head_status())
			assert.equal(pattern(0, 50000), x:body())
			assert.equal(digest_of(pattern(0, 50000)), x:digest())
			assert.equal(50000, x:received())
			assert.equal(0, x:sent())
			assert.equal("127.0.0.1", x:address())
			assert.equal("private", x:address_class())
		end)

		it("go to a file, at an offset, part by part", function()
			local file = assert(core.temp_file())
			local size = 2000000
			local first = finish({
				path = "/bytes/" .. size,
				headers = { "Range: bytes=0-999999" },
				to_file = { fd = file:fileno(), offset = 7, size = 1000000 },
			})
			local second = finish({
				path = "/bytes/" .. size,
				headers = { "Range: bytes=1000000-1999999" },
				to_file = { fd = file:fileno(), offset = 1000007, size = 1000000 },
				hash = "sha512",
				statuses = { 206 },
			})
			assert.equal(206, first:status())
			assert.equal(206, second:status())
			assert.equal("bytes 1000000-1999999/2000000", second:header("content-range"))
			assert.is_nil(first:digest())
			assert.truthy(second:digest():find("^sha512:%x+$"))
			assert.equal("", second:body())
			assert.is_true(file:grow(size + 7))
			assert.equal(pattern(0, size), file:read(7, size))
			file:close()
		end)

		it("go to memory when the status is not wanted, up to 64 KiB", function()
			local file = assert(core.temp_file())
			local to_file = { fd = file:fileno(), offset = 0, size = 5 }
			local x = finish({ path = "/status/404/100", to_file = to_file, hash = "sha256" })
			assert.equal(404, x:status())
			assert.equal(pattern(0, 100), x:body())
			assert.is_nil(x:digest())
			x = finish({ path = "/status/503/900000", to_file = to_file })
			assert.equal(503, x:status())
			assert.equal(pattern(0, 65536), x:body())
			x = finish({ path = "/bytes/10", to_file = to_file, statuses = { 206 } })
			assert.equal(200, x:status())
			assert.equal(pattern(0, 10), x:body())
			x = finish({ path = "/status/404/100", max_body = 10 })
			assert.equal(404, x:status())
			assert.same({ nil, "temporary file: has 0 bytes, fewer than 1", "EFORMAT" }, { file:grow(1) })
			file:close()
		end)

		it("may not be too long", function()
			local file = assert(core.temp_file())
			for _, kind in ipairs({ "bytes", "chunked" }) do
				local to_file = { fd = file:fileno(), offset = 0, size = 99999 }
				local code, message = failure({ path = "/" .. kind .. "/100000", to_file = to_file })
				assert.equal("EFORMAT", code)
				local url = server.url .. "/" .. kind .. "/100000"
				assert.equal("GET " .. url .. ": the body is longer than it should be, 99999 bytes", message)
				assert.equal("ELIMIT", (failure({ path = "/" .. kind .. "/100000", max_body = 99999 })))
				local x = finish({ path = "/" .. kind .. "/100000", max_body = 100000, hash = "sha256" })
				assert.equal(200, x:status())
				assert.equal(digest_of(pattern(0, 100000)), x:digest())
			end
			file:close()
		end)

		it("are not those of HEAD", function()
			local x = finish({ method = "HEAD", path = "/bytes/100000000" })
			assert.equal(200, x:status())
			assert.equal("100000000", x:header("Content-Length"))
			assert.equal("", x:body())
		end)

		it("are not decoded", function()
			local x = finish({ path = "/raw/gzip" })
			assert.equal("abc", x:body())
			assert.equal("gzip", x:header("content-encoding"))
		end)

		it("fail with the error of the file that they go to", function()
			local full = assert(io.open("/dev/full", "w"))
			full:close()
			local done = child.run({
				script = [[
					local http = require "strata.http"
					local x = assert(http.client():start({ method = "GET", url = arg[1],
						to_file = { fd = 3, offset = 0, size = 1000 } }))
					assert(x:wait(60))
					print(select(3, x:status()))
				]],
				arguments = { server.url .. "/bytes/1000" },
				wrapper = { "sh", "-c", 'exec 3>/dev/full; exec "$@"', "sh" },
			})
			assert.equal("ENOSPC\n", done.stdout, done.stderr)
		end)
	end)

	describe("heads", function()
		it("have several values of a name", function()
			local x = finish({ path = "/status/401" })
			assert.equal(401, x:status())
			assert.equal('Bearer a="1"', x:header("WWW-AUTHENTICATE"))
			assert.same({ 'Bearer a="1"', "Basic" }, x:headers("www-authenticate"))
			assert.is_nil(x:header("www"))
			assert.same({}, x:headers("nothing"))
		end)

		it("are read as they come, and only the last one counts", function()
			assert.equal("one two", finish({ path = "/raw/folded" }):header("a"))
			local x = finish({ path = "/raw/hints" })
			assert.equal(200, x:status())
			assert.is_nil(x:header("a"))
			assert.is_nil(finish({ path = "/chunked/10" }):header("status"))
		end)

		it("are refused when they are odd or too long", function()
			assert.equal("EFORMAT", (failure({ path = "/raw/twice" })))
			assert.equal("EFORMAT", (failure({ path = "/raw/old" })))
			assert.equal("ELIMIT", (failure({ path = "/raw/long" })))
		end)

		it("count though the body does not come whole", function()
			local x = finish({ path = "/raw/range" })
			assert.equal("ENETWORK", (select(3, x:status())))
			assert.equal(416, x:head_status())
		end)

		it("that are sent are as they were given", function()
			finish({ path = "/status/200?sent=1", headers = { "Accept: a/b, c/d", "Authorization: Bearer x" } })
			local requests = server:log().requests
			local headers
			for _, request in ipairs(requests) do
				headers = request.path == "/status/200?sent=1" and request.headers or headers
			end
			assert.same({
				host = "127.0.0.1:" .. server.port,
				["user-agent"] = "strata/spec",
				accept = "a/b, c/d",
				authorization = "Bearer x",
			}, headers)
		end)
	end)

	describe("sent bodies", function()
		local function sent_headers(path)
			for _, request in ipairs(server:log().requests) do
				if request.path == path then
					return request.headers
				end
			end
		end

		it("come from memory, also empty ones", function()
			for i, method in ipairs({ "PUT", "POST", "PATCH", "DELETE" }) do
				local path = ("/take?%d"):format(i)
				local x = finish({ method = method, path = path, body = i == 2 and "" or "some bytes" })
				assert.equal(201, x:status())
				assert.equal(i == 2 and 0 or 10, x:sent())
				assert.truthy(x:body():find(i == 2 and '"size": 0' or '"size": 10', 1, true))
				local headers = sent_headers(path)
				assert.equal(i == 2 and "0" or "10", headers["content-length"])
				assert.is_nil(headers.expect)
				assert.is_nil(headers["transfer-encoding"])
			end
		end)

		it("come from a range of a file, and ask first when they are large", function()
			local bytes = pattern(0, 3000000)
			local file = spill(bytes, 11)
			local x = finish({
				method = "PUT",
				path = "/take?large",
				body_file = { fd = file:fileno(), offset = 11, size = #bytes },
			})
			file:close()
			assert.equal(201, x:status())
			assert.truthy(x:body():find(digest_of(bytes):sub(8), 1, true))
			assert.equal(#bytes, x:sent())
			assert.equal("100-continue", sent_headers("/take?large").expect)
		end)

		it("fail when the file is shorter", function()
			local file = spill("0123456789")
			local body_file = { fd = file:fileno(), offset = 5, size = 6 }
			assert.equal("EFORMAT", (failure({ method = "PUT", path = "/take", body_file = body_file })))
			file:close()
		end)

		it("are not sent to a server that answers first", function()
			local file = spill(pattern(0, 3000000))
			local body_file = { fd = file:fileno(), offset = 0, size = 3000000 }
			local x = finish({ method = "PUT", path = "/early/401", body_file = body_file })
			assert.equal(401, x:status())
			assert.equal("early\n", x:body())
			assert.equal(0, x:sent())
			x = finish({ method = "PUT", path = "/early/413/1000", body_file = body_file, headers = { "Expect:" } })
			assert.equal(413, x:head_status())
			file:close()
		end)

		it("are sent anew when a connection was dead", function()
			local bytes = pattern(0, 500000)
			local file = spill(bytes)
			assert.equal(201, finish({ method = "PUT", path = "/second", body = "" }):status())
			local x = finish({
				method = "PUT",
				path = "/second",
				body_file = { fd = file:fileno(), offset = 0, size = #bytes },
			})
			file:close()
			assert.equal(201, x:status())
			assert.truthy(x:body():find(digest_of(bytes):sub(8), 1, true))
			assert.equal(#bytes, x:sent())
		end)
	end)

	describe("failures", function()
		it("are told apart", function()
			assert.equal("ENETWORK", (failure({ path = "/cut/1000/10" })))
			assert.equal("ENETWORK", (failure({ url = "http://127.0.0.1:1/" })))
			assert.equal("ENETWORK", (failure({ url = "http://strata.invalid/" })))
			assert.equal("ETLS", (failure({ url = server.url:gsub("http", "https") .. "/" })))
			assert.equal("EFORMAT", (failure({ url = "http://user:secret@127.0.0.1/" })))
			assert.equal("EFORMAT", (failure({ url = "http://host:99999/" })))
		end)

		it("leave the query out of messages", function()
			local _, message = failure({ path = "/cut/1000/10?token=secret" })
			assert.truthy(message:find("GET " .. server.url .. "/cut/1000/10: ", 1, true))
			assert.falsy(message:find("secret", 1, true))
		end)

		it("come when nothing comes", function()
			local one = assert(start({ path = "/stall/10", max_body = 1000000, stall_timeout = 1 }))
			local other = assert(start({ path = "/silent", stall_timeout = 1 }))
			assert.is_true(one:wait(60))
			assert.is_true(other:wait(60))
			assert.equal("ETIMEDOUT", (select(3, one:status())))
			assert.equal("ETIMEDOUT", (select(3, other:status())))
			assert.equal(200, one:head_status())
			assert.is_nil(other:head_status())
		end)
	end)

	describe("addresses", function()
		it("that are not allowed get no connection", function()
			local before = server:log().connections
			for _, host in ipairs({ "127.0.0.1", "localhost", "registry.example" }) do
				local code, message = failure({
					url = ("http://%s:%d/status/200"):format(host, server.port),
					addresses = "public",
					resolve = { ("registry.example:%d:127.0.0.1"):format(server.port) },
				})
				assert.equal("EREDIRECT", code)
				assert.truthy(message:find("is private, and not allowed", 1, true))
			end
			assert.equal("EREDIRECT", (failure({ url = "http://169.254.169.254/", addresses = "private" })))
			assert.equal("EREDIRECT", (failure({ url = "http://[::ffff:169.254.169.254]/", addresses = "private" })))
			assert.equal(before + 1, server:log().connections)
		end)

		it("are looked at again when a connection is used once more", function()
			local before = server:log().connections
			assert.equal(200, finish({ path = "/status/200", addresses = "private" }):status())
			assert.equal(200, finish({ path = "/status/200" }):status())
			assert.equal("EREDIRECT", (failure({ path = "/status/200?reused", addresses = "public" })))
			local log = server:log()
			assert.equal(before + 2, log.connections)
			for _, request in ipairs(log.requests) do
				assert.are_not.equal("/status/200?reused", request.path)
			end
		end)

		it("are those of the proxy behind one", function()
			local x = finish({ url = "http://registry.example/status/200?proxied", proxy = server.url, addresses = "public" })
			-- The server takes the whole URL for a path that it does not know, and breaks off.
			assert.is_nil(x:status())
			assert.is_nil(x:address())
			assert.is_nil(x:address_class())
		end)
	end)

	describe("TLS", function()
		local top, secure, strict

		setup(function()
			top = tmp.dir()
			shell.sh(
				[[
				cd "$1"
				for who in server client; do
					openssl req -quiet -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
						-subj "/CN=$who" -addext subjectAltName=IP:127.0.0.1 -keyout $who.key -out $who.crt 2>log ||
					openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
						-subj "/CN=$who" -addext subjectAltName=IP:127.0.0.1 -keyout $who.key -out $who.crt 2>log
				done
			]],
				top.path
			)
			secure = http_server.start(top:file("server.crt"), top:file("server.key"))
			strict = http_server.start(top:file("server.crt"), top:file("server.key"), top:file("client.crt"))
		end)

		teardown(function()
			secure:stop()
			strict:stop()
			top:remove()
		end)

		it("verifies the server, with an authority of one's own", function()
			local url = secure.url .. "/status/200"
			local ca = shell.read(top:file("server.crt"))
			assert.equal("ETLS", (failure({ url = url })))
			assert.equal(200, finish({ url = url, ca = ca }):status())
			assert.equal("ETLS", (failure({ url = url }))) -- though there is a connection
			assert.equal(200, finish({ url = url, insecure = true }):status())
			assert.equal("ETLS", (failure({ url = url })))
			local named = url:gsub("127.0.0.1", "localhost")
			assert.equal("ETLS", (failure({ url = named, ca = ca })))
			assert.equal("ETLS", (failure({ url = url, ca = shell.read(top:file("client.crt")) })))
		end)

		it("shows a certificate of the client's", function()
			local url = strict.url .. "/status/200"
			local pair = { cert = top:file("client.crt"), key = top:file("client.key") }
			assert.equal(200, finish({ url = url, insecure = true, cert = pair.cert, key = pair.key }):status())
			local x = finish({ url = url, insecure = true })
			assert.is_nil(x:status())
			assert.equal("ETLS", (failure({ url = url, insecure = true, cert = top:file("none"), key = pair.key })))
		end)
	end)

	describe("pipes", function()
		local SIZE = 3000000

		local function pipe(bytes)
			return assert(http.pipe({ total = SIZE, digest = digest_of(bytes), room = 131072 }))
		end

		it("take a blob from one exchange to another", function()
			local bytes = pattern(0, SIZE)
			local between = pipe(bytes)
			local put = assert(start({ method = "PUT", path = "/take", body_pipe = between }))
			local get = assert(start({ path = "/bytes/" .. SIZE, to_pipe = between }))
			assert.is_true(get:wait(60))
			assert.is_true(put:wait(60))
			assert.equal(200, get:status())
			assert.equal(201, put:status())
			assert.equal(digest_of(bytes), get:digest())
			assert.truthy(put:body():find(digest_of(bytes):sub(8), 1, true))
			assert.equal(SIZE, get:received())
			assert.equal(SIZE, put:sent())
			between:close()
		end)

		it("withhold the end of a wrong blob", function()
			local between = pipe(pattern(1, SIZE))
			local put = assert(start({ method = "PUT", path = "/take", body_pipe = between }))
			local get = assert(start({ path = "/bytes/" .. SIZE, to_pipe = between }))
			for _, x in ipairs({ get, put }) do
				assert.is_true(x:wait(60))
				assert.equal("EDIGEST", (select(3, x:status())))
			end
			assert.is_true(put:sent() <= SIZE - 65536)
			between:close()
		end)

		it("fail with either side", function()
			local between = pipe(pattern(0, SIZE))
			local put = assert(start({ method = "PUT", path = "/take", body_pipe = between }))
			local get = assert(start({ path = "/cut/3000000/1000000", to_pipe = between }))
			assert.is_true(put:wait(60))
			assert.is_true(get:wait(60))
			assert.equal("ENETWORK", (select(3, get:status())))
			assert.equal("ECANCELED", (select(3, put:status())))
			local x, message, code = start({ path = "/bytes/" .. SIZE, to_pipe = between })
			assert.is_nil(x)
			assert.equal("ECANCELED", code)
			assert.truthy(message:find("the source of the blob failed: GET ", 1, true))

			between = pipe(pattern(0, SIZE))
			put = assert(start({ method = "PUT", path = "/early/413/1000", body_pipe = between, headers = { "Expect:" } }))
			get = assert(start({ path = "/bytes/" .. SIZE, to_pipe = between }))
			assert.is_true(put:wait(60))
			assert.is_true(get:wait(60))
			assert.equal(413, put:head_status())
			assert.equal("ECANCELED", (select(3, get:status())))
		end)

		it("wait for another source when one was redirected or refused", function()
			local between = pipe(pattern(0, SIZE))
			local put = assert(start({ method = "PUT", path = "/take", body_pipe = between, stall_timeout = 1 }))
			for _, status in ipairs({ 307, 401, 503 }) do
				assert.equal(status, finish({ path = "/status/" .. status, to_pipe = between }):status())
			end
			assert.has_error(function()
				start({ method = "PUT", path = "/take", body_pipe = between })
			end)
			assert.is_false(put:wait(8)) -- it does not stall
			assert.equal(200, finish({ path = "/bytes/" .. SIZE, to_pipe = between }):status())
			assert.is_true(put:wait(60))
			assert.equal(201, put:status())
		end)

		it("want all bytes", function()
			local between = pipe(pattern(0, SIZE))
			assert.equal("EFORMAT", (failure({ path = "/bytes/" .. SIZE + 1, to_pipe = between })))
			assert.equal("EFORMAT", (failure({ path = "/bytes/1000", to_pipe = between })))
			assert.equal("EFORMAT", (failure({ path = "/chunked/1000", to_pipe = between })))
			assert.is_nil((start({ path = "/bytes/" .. SIZE, to_pipe = between })))
		end)

		it("can be closed", function()
			local between = pipe(pattern(0, SIZE))
			local put = assert(start({ method = "PUT", path = "/take", body_pipe = between }))
			assert.is_false(put:wait(0.05))
			between:close()
			between:close()
			assert.is_true(put:wait(60))
			assert.equal("ECANCELED", (select(3, put:status())))
			assert.equal("strata.http.Pipe(closed)", tostring(between))
		end)

		it("are checked", function()
			for _, fields in ipairs({
				{},
				{ total = 1 },
				{ total = 1, digest = "sha256:1" },
				{ total = -1, digest = digest_of("") },
				{ total = 1, digest = digest_of(""), room = 1 },
				{ total = 1, digest = digest_of(""), rooms = 1000000 },
			}) do
				assert.has_error(function()
					http.pipe(fields)
				end)
			end
		end)
	end)

	describe("exchanges", function()
		it("run side by side and are waited for together", function()
			local running = {}
			for i = 1, 20 do
				running[i] = assert(start({ path = "/bytes/" .. i }))
			end
			local left = 20
			while left > 0 do
				assert.is_true(client:wait(60))
				left = 0
				for _, x in ipairs(running) do
					left = left + (x:done() and 0 or 1)
				end
			end
			client:wait(0) -- the last ones may have ended since
			assert.is_false(client:wait(0))
			for i, x in ipairs(running) do
				assert.equal(pattern(0, i), x:body())
			end
		end)

		it("are as many to a host as the client says", function()
			client:close()
			client = http.client({ connections_per_host = 2 })
			local before = server:log().connections
			for i = 1, 10 do
				start({ path = "/stall/" .. i, max_body = 1000000 })
			end
			assert.is_false(client:wait(0.3))
			assert.equal(before + 3, server:log().connections)
		end)

		it("can be canceled and closed while they run", function()
			local x = assert(start({ path = "/stall/10", max_body = 1000000 }))
			assert.is_false(x:done())
			assert.is_false(x:wait(0.02))
			assert.has_error(function()
				x:status()
			end)
			assert.equal("strata.http.Exchange(running)", tostring(x))
			x:cancel()
			assert.is_true(x:wait(60))
			assert.equal("ECANCELED", (select(3, x:status())))
			x = assert(start({ path = "/stall/10", max_body = 1000000 }))
			x:close()
			x:close()
			assert.equal("strata.http.Exchange(closed)", tostring(x))
			assert.has_error(function()
				x:done()
			end)
		end)

		it("end with their client", function()
			local x = assert(start({ path = "/stall/10", max_body = 1000000 }))
			client:close()
			assert.is_true(x:done())
			assert.equal("ECANCELED", (select(3, x:status())))
			assert.has_error(function()
				start({ path = "/status/200" })
			end)
		end)

		it("keep their client and their pipe", function()
			local x = assert(http.client():start({ method = "GET", url = server.url .. "/bytes/1000" }))
			for _ = 1, 4 do
				collectgarbage()
			end
			assert.is_true(x:wait(60))
			assert.equal(200, x:status())
		end)

		it("leave no thread and no descriptor", function()
			local function threads()
				local count = 0
				local list = io.popen("ls /proc/$PPID/task")
				for _ in list:lines() do
					count = count + 1
				end
				list:close()
				return count
			end
			client:close()
			local files = process.descriptors() -- without garbage
			local before = threads()
			do
				local file = assert(core.temp_file())
				local other = http.client()
				for i = 1, 4 do
					other:start({
						method = "GET",
						url = server.url .. (i == 4 and "/bytes/10" or "/stall/5"),
						to_file = { fd = file:fileno(), offset = 0, size = 1000000 },
					})
				end
				assert.is_true(threads() > before)
				file:close()
			end
			for _ = 1, 4 do
				collectgarbage()
			end
			assert.equal(before, threads())
			assert.equal(files, process.descriptors())
		end)

		it("are checked", function()
			local url = server.url .. "/status/200"
			for _, fields in ipairs({
				{ url = url, method = false },
				{ url = "ftp://host/" },
				{ url = "/v2/" },
				{ url = url .. " " },
				{ url = url .. "\r\nA: b" },
				{ url = url .. "\0" },
				{ url = url, method = "GET /" },
				{ url = url, headers = { "A: b\r\nC: d" } },
				{ url = url, headers = { "A: \0" } },
				{ url = url, headers = { "A" } },
				{ url = url, headers = "A: b" },
				{ url = url, headers = { 1 } },
				{ url = url, body = "x", body_file = { fd = 0, offset = 0, size = 1 } },
				{ url = url, to_file = { fd = 0, offset = 0 } },
				{ url = url, to_file = { fd = 0, size = 1, of = 1 } },
				{ url = url, hash = "md5" },
				{ url = url, addresses = "all" },
				{ url = url, statuses = { 100 } },
				{ url = url, statuses = {} },
				{ url = url, max_body = -1 },
				{ url = url, to_pipe = {} },
				{ url = url, follow = true },
			}) do
				assert.has_error(function()
					start(fields)
				end)
			end
			local x, _, code = start({ url = url, to_file = { fd = 1000000, offset = 0, size = 1 } })
			assert.is_nil(x)
			assert.equal("EBADF", code)
		end)
	end)

	it("belongs to the process that began it", function()
		if not rawget(_G, "jit") then
			return -- nothing here can fork; the C tests do
		end
		local script = [[
			local ffi = require "ffi"
			ffi.cdef "int fork(void); int waitpid(int, int *, int); void _exit(int);"
			local http = require "strata.http"
			local client, early = http.client(), http.client()
			local request = { method = "GET", url = arg[1] .. "/stall/1", max_body = 1000000 }
			local x = assert(client:start(request))
			local pid = ffi.C.fork()
			if pid == 0 then
				local ok = not pcall(client.start, client, request) and not pcall(client.wait, client)
					and not pcall(x.done, x) and not pcall(x.cancel, x)
				x:close()
				client:close()
				local y = early:start({ method = "GET", url = arg[1] .. "/status/204" })
				ffi.C._exit(ok and y:wait(60) and y:status() == 204 and 7 or 1)
			end
			local status = ffi.new("int[1]")
			ffi.C.waitpid(pid, status, 0)
			print(status[0])
			x:close()
		]]
		local done = child.run({ script = script, arguments = { server.url } })
		assert.equal(tostring(7 * 256), done.stdout:match("%d+"), done.stderr)
	end)
end)
