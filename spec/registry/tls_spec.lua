-- Takes seconds: not for make check.
--- TLS, proxies and connections: NET1 to NET7 and NET11 to NET14 of the rules for registries.

local certificates = require "spec.support.certificates"
local core = require "strata.core"
local hosts = require "strata.registry.hosts"
local hub = require "spec.support.hub"
local registry = require "spec.support.registry"
local registry_object = require "strata.registry"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("TLS and the network:", function()
	local started, clients, CA, home

	local function start(options)
		local one = registry.start(options)
		one:fault({ path = "^/v2/a$", status = 200, body = "done" })
		started[#started + 1] = one
		return one
	end

	-- A client for one server with TLS and settings of its host, and more options.
	local function new_client(server, settings, options)
		local given = { hosts = {} }
		for name, value in pairs(options or {}) do
			given[name] = value
		end
		if server then
			local here = { plain = false }
			for name, value in pairs(settings or {}) do
				here[name] = value
			end
			given.hosts[server.host] = here
		end
		local made, clock = hub.new(given)
		clients[#clients + 1] = made
		return made, clock
	end

	local function get(server, client)
		return hub.send(client, server, "GET", "/v2/a")
	end

	before_each(function()
		started, clients, CA = {}, {}, certificates.path("ca.crt")
		home = tmp.dir()
	end)

	after_each(function()
		home:remove()
		for _, one in ipairs(clients) do
			one:close()
		end
		for _, one in ipairs(started) do
			one:stop()
		end
	end)

	-- A directory of certificates for a host, below the home of a user.
	local function certs_d(host, files)
		local path = home:file(".config/containers/certs.d/" .. host)
		shell.check({ "mkdir", "-p", path })
		for name, from in pairs(files) do
			shell.check({ "cp", certificates.path(from), path .. "/" .. name })
		end
		return { system = true, environment = { HOME = home.path } }
	end

	describe("the server's certificate", function()
		for kind, words in pairs({ expired = "expired", wrong = "subject name", unknown = "certificate" }) do
			it("NET5 is refused when it is " .. kind, function()
				local one = start({ tls = kind })
				local got = get(one, new_client(one, { ca = CA }))
				assert.equal("ETLS", got.code)
				assert.truthy(got.message:find("GET " .. one.url .. "/v2/a: ", 1, true))
				assert.truthy(got.message:find(words, 1, true), got.message)
				assert.same({}, one:log())
				assert.equal(1, one:stats().connections)
			end)

			it("NET3 is not looked at with insecure: " .. kind, function()
				local one = start({ tls = kind })
				assert.equal("done", get(one, new_client(one, { insecure = true })).body)
			end)
		end

		it("NET3 NET5 is trusted by the authority that is given, and by no other", function()
			local one = start({ tls = true })
			assert.equal("done", get(one, new_client(one, { ca = CA })).body)
			assert.equal("ETLS", get(one, new_client(one)).code)
			assert.equal("ETLS", get(one, new_client(one, { ca = certificates.path("stranger.crt") })).code)
		end)

		it("NET3 insecure is for one host alone", function()
			local one, other = start({ tls = "unknown" }), start({ tls = "unknown" })
			local client = new_client(one, { insecure = true })
			assert.equal("done", get(one, client).body)
			client.options.hosts[other.host] = { plain = false }
			assert.equal("ETLS", get(other, client).code)
			one:faults_clear()
			one:fault({ path = "^/v2/b$", redirect = one:listener({ tls = "unknown" }).url .. "/x" })
			assert.equal("ETLS", hub.send(client, one, "GET", "/v2/b").code)
		end)

		it("NET2 is trusted by the system's authorities as well, when one is given", function()
			local one = start({ tls = true })
			local client = new_client(one, { ca = certificates.path("stranger.crt") }, { environment = { SSL_CERT_FILE = CA } })
			assert.equal("done", get(one, client).body)
		end)

		it("NET3 is trusted by those of SSL_CERT_FILE and SSL_CERT_DIR", function()
			local one = start({ tls = true })
			assert.equal("done", get(one, new_client(one, {}, { environment = { SSL_CERT_FILE = CA } })).body)
			shell.check({ "cp", CA, home:file("0.pem") })
			shell.check({ "cp", certificates.path("stranger.crt"), home:file("1.pem") })
			local both = home.path .. ":" .. home:file("none")
			assert.equal("done", get(one, new_client(one, {}, { environment = { SSL_CERT_DIR = both } })).body)
			assert.equal("ETLS", get(one, new_client(one, {}, { environment = { SSL_CERT_DIR = home:file("none") } })).code)
		end)

		it("NET5 is not asked for over TLS 1.1", function()
			local one = start({ tls = { maximum = "TLSv1_1" } })
			assert.equal("ETLS", get(one, new_client(one, { ca = CA })).code)
			assert.same({}, one:log())
			one = start({ tls = { maximum = "TLSv1_2" } })
			assert.equal("done", get(one, new_client(one, { ca = CA })).body)
		end)

		it("NET3 of another host that a registry leads to is judged by what is set for that one", function()
			local one = start({ tls = true })
			local cdn = one:listener({ tls = "unknown" })
			one:fault({ path = "^/v2/b$", redirect = cdn.url .. "/v2/" })
			local client = new_client(one, { ca = CA })
			assert.equal("ETLS", hub.send(client, one, "GET", "/v2/b").code)
			client = new_client(one, { ca = CA })
			client.options.hosts[cdn.host] = { ca = certificates.path("stranger.crt") }
			assert.equal(200, hub.send(client, one, "GET", "/v2/b").status)
			client = new_client(one, { ca = CA })
			client.options.hosts[cdn.host] = { ca = home:file("none") }
			local got = hub.send(client, one, "GET", "/v2/b")
			assert.equal("ENOENT", got.code)
			assert.truthy(got.message:find("no certificates in " .. home:file("none"), 1, true))
		end)
	end)

	describe("directories of certificates", function()
		it("NET1 have authorities of any name", function()
			local one = start({ tls = true })
			local options = certs_d(one.host,
				{ ["a.crt"] = "stranger.crt", ["corp-root.crt"] = "ca.crt", ["README"] = "ca.key" })
			assert.equal("done", get(one, new_client(one, {}, options)).body)
		end)

		it("NET1 are about TLS, so that a registry of this machine is spoken to with it", function()
			local function base(options, settings)
				options.hosts = settings and { ["localhost:5000"] = settings }
				return assert(hosts.settings("localhost:5000", options)).base
			end
			local options = certs_d("localhost:5000", {})
			options.environment = function(name) return name == "HOME" and home.path or nil end
			assert.equal("http://localhost:5000", base(options))
			certs_d("localhost:5000", { ["ca.crt"] = "ca.crt" })
			assert.equal("https://localhost:5000", base(options))
			assert.equal("http://localhost:5000", base(options, { plain = true }))
			options.system = false
			assert.equal("http://localhost:5000", base(options))
		end)

		it("NET1 are for their host and port alone", function()
			local one = start({ tls = true })
			local options = certs_d("127.0.0.1", { ["ca.crt"] = "ca.crt" })
			assert.equal("ETLS", get(one, new_client(one, {}, options)).code)
			options.system = false
			certs_d(one.host, { ["ca.crt"] = "ca.crt" })
			assert.equal("ETLS", get(one, new_client(one, {}, options)).code)
		end)

		it("NET1 have pairs for the client", function()
			local one = start({ tls = { client = "required" } })
			local options = certs_d(one.host, { ["ca.crt"] = "ca.crt", ["me.cert"] = "client.crt", ["me.key"] = "client.key" })
			assert.equal("done", get(one, new_client(one, {}, options)).body)
			assert.equal("strata client", one:log()[1].client)
		end)

		it("NET1 with a certificate of the client's and no key, or a key alone, are an error", function()
			for name, from in pairs({ ["me.cert"] = "client.crt", ["you.key"] = "client.key" }) do
				local options = certs_d("lone.test", { [name] = from })
				local made = new_client(nil, nil, options)
				local session, message, code = made:session("lone.test")
				assert.is_nil(session)
				assert.equal("EINVAL", code)
				assert.truthy(message:find(name, 1, true))
				assert.truthy(message:find("a pair of files", 1, true))
				shell.check({ "rm", "-r", home:file(".config") })
			end
		end)

		it("NET3 settings that are wrong are an error before anything is sent", function()
			local one = start({ tls = true })
			local function refused(settings, code, words)
				local session, message, how = new_client(one, settings):session(one.host)
				assert.is_nil(session)
				assert.equal(code, how)
				assert.truthy(message:find(words, 1, true))
			end
			refused({ ca = home:file("none") }, "ENOENT", home:file("none"))
			refused({ ca = certificates.path("server.csr"):gsub("csr$", "ext") }, "EFORMAT", "no certificates in PEM")
			assert.equal(0, one:stats().connections)
		end)

		it("NET3 settings that contradict each other are misuse", function()
			for words, settings in pairs({
				["of cert and key, one is of no use"] = { cert = "client.crt" },
				["of cert and key, one is of no use "] = { key = "client.key" },
				["ca is about https, and plain = true is http"] = { plain = true, ca = "ca.crt" },
				["cert is about https, and plain = true is http"] = { plain = true, cert = "c.crt", key = "c.key" },
			}) do
				local ok, message = pcall(function()
					return (strata.registry({ hosts = { ["reg.test:5000"] = settings } }))
				end)
				assert.is_false(ok)
				assert.matches("^spec/registry/tls_spec.lua:%d+: ", message)
				assert.matches("registry: hosts['reg.test:5000']: " .. words:gsub(" $", ""), message, 1, true)
			end
		end)

		it("this machine is spoken to over http, unless plain says otherwise or a setting is about https", function()
			local function scheme_of(host, settings)
				return hosts.settings(host, { system = false, hosts = { [host] = settings } }).base:match("^%a+")
			end
			assert.equal("http", scheme_of("localhost:5000", nil))
			assert.equal("http", scheme_of("127.0.0.1:5000", { chunk_size = 5 }))
			assert.equal("https", scheme_of("localhost:5000", { plain = false }))
			assert.equal("https", scheme_of("localhost:5000", { ca = CA }))
			assert.equal("https", scheme_of("localhost:5000", { cert = "a", key = "b" }))
			assert.equal("https", scheme_of("localhost:5000", { insecure = true }))
			assert.equal("http", scheme_of("localhost:5000", { insecure = true, plain = true }))
			assert.equal("https", scheme_of("reg.test", nil))
			assert.equal("http", scheme_of("reg.test", { plain = true }))
		end)
	end)

	it("NET4 the client's certificate goes to its host alone", function()
		local one = start({ tls = { client = "optional" }, auth = "token", anonymous = "pull" })
		local cdn, realm = one:listener({ tls = { client = "optional" } }), one:listener({ tls = { client = "optional" } })
		local digest = one:put_blob("app", "0123456789")
		one:fault({ path = "/v2/app/", realm = realm.url .. "/token" })
		one:fault({ path = "/blobs/", with = { authorization = "." }, redirect = cdn.url .. "{path}" })
		local client = new_client(one,
			{ ca = CA, cert = certificates.path("client.crt"), key = certificates.path("client.key") })
		assert.equal("0123456789", hub.send(client, one, "GET", "/v2/app/blobs/" .. digest,
			{ scopes = { "repository:app:pull" } }).body)
		assert.same({ "strata client", "strata client" }, { one:log()[1].client, one:log()[2].client })
		for _, other in ipairs({ cdn, realm }) do
			assert.equal(1, #other:log())
			assert.is_nil(other:log()[1].client)
		end
	end)

	describe("proxies", function()
		local proxy, client

		local function proxied(options)
			proxy = proxy or start({})
			proxy:fault({ path = "registry.test", status = 200, body = "by proxy" })
			options.hosts = { ["registry.test:81"] = { plain = true } }
			client = new_client(nil, nil, options)
			return hub.send(client, "registry.test:81", "GET", "/v2/a")
		end

		before_each(function()
			proxy = start({})
		end)

		it("NET6 are those of the option, also for this machine", function()
			assert.equal("by proxy", proxied({ proxy = proxy.url }).body)
			assert.equal("http://registry.test:81/v2/a", proxy:log()[1].path)
			local one = start({})
			hub.send(client, one, "GET", "/v2/a")
			assert.equal(one.url .. "/v2/a", proxy:log()[2].path)
			assert.same({}, one:log())
		end)

		it("NET6 of the environment are used, unless the system's settings are not", function()
			assert.equal("by proxy", proxied({ system = true, environment = { http_proxy = proxy.url } }).body)
			proxy:forget()
			assert.equal("ENETWORK", proxied({ system = false, environment = { http_proxy = proxy.url } }).code)
			assert.equal("ENETWORK", proxied({ system = true, environment = { HTTP_PROXY = proxy.url } }).code)
			assert.equal("ENETWORK",
				proxied({ system = true, environment = { http_proxy = proxy.url, no_proxy = "x, .registry.test" } }).code)
			assert.equal("ENETWORK", proxied({ proxy = "", system = true, environment = { http_proxy = proxy.url } }).code)
			assert.same({}, proxy:log())
		end)

		it("NET6 are chosen by scheme and by the lists of those without", function()
			local function chosen(text, variables)
				return hosts.proxy(text, { environment = function(name)
					return variables[name]
				end })
			end
			local both = { https_proxy = "http://s", http_proxy = "http://p" }
			assert.equal("http://s", chosen("https://reg.test/v2/", both))
			assert.equal("http://p", chosen("http://reg.test/v2/", both))
			assert.equal("http://S", chosen("https://reg.test/", { HTTPS_PROXY = "http://S" }))
			assert.equal("", chosen("http://reg.test/", { HTTP_PROXY = "http://S" }))
			assert.equal("", chosen("https://reg.test/", {}))
			assert.equal("", chosen("https://localhost:5000/", both))
			assert.equal("", chosen("https://127.0.0.1:5000/", both))
			for list, wanted in pairs({ ["reg.test"] = "", [".test"] = "", ["*"] = "", ["REG.test"] = "",
				["a,reg.test:443"] = "", ["reg.test:5000"] = "http://s",
				["eg.test"] = "http://s", ["a.reg.test"] = "http://s", [""] = "http://s" }) do
				both.NO_PROXY = list
				assert.equal(wanted, chosen("https://reg.test/", both), list)
			end
		end)

		it("NET6 that answer HTML are told of", function()
			proxied({ proxy = proxy.url })
			proxy:fault({ path = "registry.test", status = 403, body = "<html><title>Denied by policy</title>" })
			local got = hub.send(client, "registry.test:81", "GET", "/v2/a")
			assert.equal(403, got.status)
			proxy:fault({ path = "registry.test", status = 502, body = "<h1>Bad\nGateway</h1>" })
			got = hub.send(client, "registry.test:81", "GET", "/v2/a")
			assert.equal("ESERVER", got.code)
			assert.truthy(got.message:find('GET http://registry.test:81/v2/a: 502 "Bad Gateway"', 1, true))
		end)

		it("NET7 hide addresses: what a URL says of them is judged all the same", function()
			assert.equal("by proxy", proxied({ proxy = proxy.url }).body)
			for _, to in ipairs({ "https://10.0.0.1/x", "https://127.0.0.1/x", "https://169.254.169.254/x",
				"https://[::1]/x" }) do
				proxy:forget()
				proxy:faults_clear()
				proxy:fault({ path = "registry.test", redirect = to })
				assert.equal("EREDIRECT", hub.send(client, "registry.test:81", "GET", "/v2/a").code)
				assert.equal(1, #proxy:log())
			end
			assert.is_nil(client:session("registry.test:81").class)
		end)
	end)

	describe("requests", function()
		it("NET11 say who they come from", function()
			local one = start({ auth = "token", anonymous = "pull" })
			local digest = one:put_blob("app", "0123456789")
			hub.send(new_client(), one, "GET", "/v2/app/blobs/" .. digest, { scopes = { "repository:app:pull" } })
			local agent = "strata/" .. core._VERSION
			assert.same({ agent, agent, agent }, hub.headers(one, "user-agent"))
		end)

		it("NET12 are of HTTP/1.1, whatever a server offers", function()
			local one = start({ tls = { alpn = true } })
			assert.equal("done", get(one, new_client(one, { ca = CA })).body)
			assert.truthy(one:log()[1].alpn == nil or one:log()[1].alpn == "http/1.1")
		end)

		it("NET13 use one connection after another, and four at a time", function()
			local one = start({ latency = 0.05 })
			local client = new_client(nil, nil, {})
			for _ = 1, 5 do
				get(one, client)
			end
			assert.equal(1, one:stats().connections)
			local requests = {}
			for i = 1, 12 do
				requests[i] = { "GET", "/v2/a" }
			end
			for _, got in ipairs(hub.all(client, one, requests, true)) do
				assert.equal("done", got.body)
			end
			local stats = one:stats()
			assert.truthy(stats.connections <= 4)
			assert.truthy(stats.peak >= 2 and stats.peak <= 4)
			client = new_client(nil, nil, { parallel = 2 })
			one:forget()
			hub.all(client, one, requests, true)
			assert.equal(2, one:stats().peak)
		end)

		it("NET14 Warnings are remembered once, printable, up to 4096 bytes", function()
			local one = start({})
			local client = new_client()
			one:fault({ path = "^/v2/w", status = 200, headers = { ['Warning'] = {
				'299 - "this \27[1mimage is old"', '299 - "second", 299 - "second"', '199 - "not ours"', "nonsense" } } })
			hub.send(client, one, "GET", "/v2/w")
			hub.send(client, one, "GET", "/v2/w")
			assert.same({ "this ?[1mimage is old", "second" }, client:session(one.host).warnings)
			local cdn = one:listener()
			cdn:fault({ status = 200, headers = { Warning = '299 - "of another host"' } })
			one:fault({ path = "^/v2/r$", redirect = cdn.url .. "/" })
			hub.send(client, one, "GET", "/v2/r")
			assert.equal(2, #client:session(one.host).warnings)
			for i = 1, 9 do
				one:fault({ path = "^/v2/w", status = 200, headers = { Warning = ('299 - "%d%s"'):format(i, ("x"):rep(1000)) } })
				hub.send(client, one, "GET", "/v2/w")
			end
			assert.truthy(#table.concat(client:session(one.host).warnings) <= 4096)
			assert.equal(6, #client:session(one.host).warnings)
		end)

		it("NET14 Warnings are in the result of a save", function()
			local one = start({})
			one:fault({ method = "PUT", set = { Warning = '299 - "this registry closes in May"' } })
			local with = assert(strata.registry({ credentials = {}, system = false }))
			hub.skip_time(registry_object.client_of(with))
			local image = assert(strata.new())
			assert(image:append({ files = { ["etc/hello"] = "hello" } }))
			local saved = assert(image:save("docker://" .. one.host .. "/app:1", { registry = with }))
			assert.same({ "this registry closes in May" }, saved.warnings)
			with:close()
		end)
	end)
end)
