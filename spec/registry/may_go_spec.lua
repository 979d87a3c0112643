--- The one decision about every URL that a server names: rows of attacks and of honest registries.

local random = require "spec.support.random"
local url = require "strata.registry.url"

local HOME = "https://reg.example"

-- name, from, to, kind, options, what comes: addresses, credentials, and the URL when it is another one
local ALLOWED = {
	{ "RED3 the same origin keeps the credentials", HOME, "https://reg.example/x?s=1", "redirect", {},
		"private", true },
	{ "RED3 the same origin may be spelt with its port", HOME, "https://REG.example:443/x", "redirect", {}, "private",
		true },
	{ "A6 another host gets none", HOME, "https://cdn.example/x", "redirect", {}, "public", false },
	{ "A6 another port gets none", HOME, "https://reg.example:8443/x", "redirect", {}, "public", false },
	{ "RED3 a subdomain gets none", HOME, "https://a.reg.example/x", "redirect", {}, "public", false },
	{ "RED3 a parent domain gets none", "https://a.reg.example", "https://reg.example/x", "redirect", {},
		"public", false },
	{ "RED3 http to https of the same host gets none", "http://reg.example", "https://reg.example/x", "redirect", {},
		"public", false },
	{ "RED6 http may go on to http of the same host", "http://reg.example:5000", "http://reg.example:5000/x",
		"redirect", {},
		"private", true },
	{ "RED6 another port of a host without TLS gets none", "http://reg.example:5000", "http://reg.example:9000/x",
		"redirect", {}, "public", false },
	{ "RED6 http may go on to http that is listed", "http://reg.example", "http://cdn.example:80/x", "redirect",
		{ insecure = { "cdn.example:80" } }, "public", false },
	{ "RED7 the fragment goes", HOME, "https://reg.example/x#y", "upload", {}, "private", true,
		"https://reg.example/x" },
	{ "RED8 the query stays as it is", HOME, "https://reg.example/x?b=%2f&a=%3D&b", "upload", {}, "private", true,
		"https://reg.example/x?b=%2f&a=%3D&b" },
	{ "RED10 another origin gets the upload without credentials", HOME, "https://s3.example/x?sig=1", "upload", {},
		"public", false },
	{ "A4 nor does another port get them", HOME, "https://reg.example:444/x", "upload", {}, "public", false },
	{ "RED10 a trusted host gets them", HOME, "https://up.example/x", "upload", { trusted = { "Up.example" } },
		"public", true },
	{ "RED10 a trusted host with a port gets them", HOME, "https://up.example:81/x", "upload",
		{ trusted = { "up.example:81" } }, "public", true },
	{ "RED10 a trusted port is no other", HOME, "https://up.example:82/x", "upload",
		{ trusted = { "up.example:81" } },
		"public", false },
	{ "RED11 http at the same host becomes https", HOME, "http://reg.example/v2/u?_state=a%2Fb", "upload", {},
		"private", true, "https://reg.example/v2/u?_state=a%2Fb" },
	{ "RED11 with the registry's port, which was lost", "https://reg.example:5000", "http://reg.example/v2/u",
		"upload", {},
		"private", true, "https://reg.example:5000/v2/u" },
	{ "RED11 with the registry's port instead of the one behind the proxy", HOME, "http://reg.example:5000/v2/u",
		"upload", {}, "private", true, "https://reg.example/v2/u" },
	{ "RED11 for pages as well", HOME, "http://reg.example/v2/t?last=a", "link", {}, "private", true,
		"https://reg.example/v2/t?last=a" },
	{ "RED11 location = relative takes path and query only", "https://reg.example:5000",
		"https://inside.example/v2/u?_state=1", "upload", { location = "relative" }, "private", true,
		"https://reg.example:5000/v2/u?_state=1" },
	{ "PAG1 pages of the same origin", HOME, "https://reg.example/v2/a/tags/list?next_page=x", "link", {}, "private",
		true },
	{ "AUTH12 a realm of the same host", HOME, "https://reg.example/token", "realm", {}, "private", true },
	{ "AUTH12 a realm of another port of the host", "https://reg.example:5050", "https://reg.example/jwt",
		"realm", {},
		"public", true },
	{ "AUTH12 a realm over http where the registry is", "http://127.0.0.1:5000", "http://127.0.0.1:5001/token",
		"realm",
		{ class = "private" }, "private", true },
	{ "A1 a realm of another host gets no credentials", HOME, "https://evil.example/token", "realm", {},
		"public", false },
	{ "A1 nor does a subdomain", HOME, "https://auth.reg.example/token", "realm", {}, "public", false },
	{ "A1 nor a host with the registry's as its start", HOME, "https://reg.example.evil/token", "realm", {}, "public",
		false },
	{ "A1 docker.io has its own", "https://registry-1.docker.io", "https://auth.docker.io/token", "realm", {},
		"public",
		true },
	{ "A1 which is nobody else's", HOME, "https://auth.docker.io/token", "realm", {}, "public", false },
	{ "A1 registry.gitlab.com has its own", "https://registry.gitlab.com", "https://gitlab.com/jwt/auth", "realm", {},
		"public", true },
	{ "A1 trusted_realms", HOME, "https://auth.other/token", "realm", { trusted_realms = { "auth.other" } }, "public",
		true },
	{ "A1 trusted for uploads is no trusted realm", HOME, "https://auth.other/token", "realm",
		{ trusted = { "auth.other" } }, "public", false },
	{ "BLOB15 a foreign layer", HOME, "https://cdn.example/x", "foreign", { foreign = true }, "public", false },
	{ "BLOB15 a foreign layer of the registry itself gets no credentials either", HOME, "https://reg.example/x",
		"foreign", { foreign = true, trusted = { "reg.example" } }, "private", false },
	{ "A5 private addresses by allow_hosts", HOME, "https://10.0.0.1/x", "upload", { allow_hosts = { "10.0.0.1" } },
		"private", false },
	{ "A5 private addresses by allow_hosts, with a port", HOME, "https://minio:9000/x", "redirect",
		{ allow_hosts = { "minio:9000" } }, "private", false },
	{ "A5 private addresses of a registry that has one", HOME, "https://10.0.0.1/x", "redirect",
		{ class = "private" },
		"private", false },
	{ "A10 a name has to have public addresses", HOME, "https://minio:9000/x", "redirect",
		{ class = "public", allow_hosts = { "minio:9001" } }, "public", false },
	{ "A10 a registry with an address of another kind", "http://169.254.1.1:5000", "http://169.254.1.1:5000/x",
		"redirect",
		{ class = "other" }, "any", true },
	{ "NET9 a mirror is named by the user, and gets no credentials", HOME, "http://mirror:5000/v2/", "mirror", {},
		"any", false },
}

-- name, from, to, kind, options, words of the message
local REFUSED = {
	{ "RED4 https to http", HOME, "http://cdn.example/x", "redirect", {}, "must not become http" },
	{ "A7 https to http of the same host", HOME, "http://reg.example/x", "redirect", {}, "must not become http" },
	{ "RED4 https to http that is listed", HOME, "http://cdn.example/x", "redirect", { insecure = { "cdn.example" } },
		"must not become http" },
	{ "RED4 https to http by way of a registry without TLS", "http://reg.example", "http://reg.example/x", "redirect",
		{ via = "https://cdn.example/y" }, "must not become http" },
	{ "RED6 http to http of another host", "http://reg.example", "http://cdn.example/x", "redirect", {},
		"over https" },
	{ "RED10 an upload over http to another host", HOME, "http://up.example/x", "upload",
		{ trusted = { "up.example" } },
		"must not become http" },
	{ "RED11 an upload to http of another host", HOME, "http://reg.example.evil/x", "upload", {}, "must not" },
	{ "PAG1 pages of another host", HOME, "https://evil.example/v2/", "link", {}, "from the registry itself" },
	{ "A9 pages of another port", HOME, "https://reg.example:444/v2/", "link", { trusted = { "reg.example" } },
		"from the registry itself" },
	{ "AUTH12 a realm over http", HOME, "http://reg.example/token", "realm", {}, "must not become http" },
	{ "AUTH12 a realm over http at another host", "http://reg.example", "http://auth.example/token", "realm",
		{ insecure = { "auth.example" }, trusted_realms = { "auth.example" } }, "over https" },
	{ "BLOB15 a foreign layer unasked", HOME, "https://cdn.example/x", "foreign", {}, "foreign = true" },
	{ "BLOB15 a foreign layer over http", "http://reg.example", "http://reg.example/x", "foreign", { foreign = true },
		"over https" },
	{ "A3 the cloud's metadata as a foreign layer", HOME, "https://169.254.169.254/latest", "foreign",
		{ foreign = true, allow_hosts = { "169.254.169.254" } }, "address of this kind" },
	{ "A3 the cloud's metadata, mapped", HOME, "https://[::ffff:169.254.169.254]/", "redirect", { class = "private" },
		"address of this kind" },
	{ "A5 an upload to a private address", HOME, "https://10.0.0.1:2375/x", "upload", { class = "public" },
		'allow_hosts = {"10.0.0.1"}' },
	{ "A5 an upload to this machine", HOME, "https://[::1]/x", "upload", {}, "allow_hosts" },
	{ "A10 this machine by its name", HOME, "https://localhost/x", "redirect", {}, "allow_hosts" },
	{ "A10 no address", HOME, "https://0.0.0.0/x", "redirect", { class = "private" }, "address of this kind" },
	{ "A10 this machine in one number", HOME, "https://2130706433/x", "redirect", {}, "no valid host" },
	{ "A20 a realm with line ends", HOME, "https://reg.example/\r\nX: s3cret", "realm", {}, "control bytes" },
	{ "A20 a user name", HOME, "https://joe:s3cret@reg.example/", "redirect", {}, "user name" },
	{ "A20 another scheme", HOME, "file:///etc/passwd?s3cret", "redirect", {}, "none of http or https" },
}

describe("url.may_go allows:", function()
	for _, row in ipairs(ALLOWED) do
		it(row[1], function()
			local way = assert(url.may_go(row[2], row[3], row[4], row[5]))
			assert.same({ row[6], row[7], row[8] or row[3] }, { way.addresses, way.credentials, way.url })
			assert.equal(url.parse(way.url).origin, way.origin)
		end)
	end
end)

describe("url.may_go refuses:", function()
	for _, row in ipairs(REFUSED) do
		it(row[1], function()
			local way, message, code = url.may_go(row[2], row[3], row[4], row[5])
			assert.is_nil(way)
			assert.equal("EREDIRECT", code)
			assert.truthy(message:find(row[6], 1, true), message)
			assert.truthy(message:find(row[2], 1, true), message)
			assert.is_nil(message:find("s3cret", 1, true))
		end)
	end
end)

describe("url.may_go", function()
	it("A1 says which option would allow credentials", function()
		local way = assert(url.may_go(HOME, "https://auth.example/token?x=s3cret", "realm"))
		assert.truthy(way.advice:find('trusted_realms = {"auth.example"}', 1, true))
		way = assert(url.may_go(HOME, "https://up.example/x?x=s3cret", "upload"))
		assert.truthy(way.advice:find('trusted = {"up.example"}', 1, true))
		assert.is_nil(way.advice:find("s3cret", 1, true))
	end)

	it("AUTH17 has no secret of the URL in its message", function()
		local _, message = url.may_go(HOME, "http://cdn.example/s3cret?sig=s3cret", "redirect")
		assert.truthy(message:find("http://cdn.example", 1, true))
		assert.is_nil(message:find("s3cret", 1, true))
	end)

	it("throws at an unknown kind, and at a registry that is none", function()
		assert.has_error(function() url.may_go(HOME, HOME, "walk") end, "url.may_go: there is no kind walk")
		assert.has_error(function() url.may_go("reg.example", HOME, "link") end)
	end)

	-- What holds for whatever a server makes up.
	it("A1 A4 A6 A7 A9 gives credentials to the registry's own host alone, and never leaves https", function()
		local kinds = { "redirect", "upload", "link", "realm", "foreign" }
		local pieces = { "https://", "http://", "//", "reg.example", ".evil", "evil.", "@", ":443", ":80", "/", "\\",
			"?", "#", "x", "[::1]", "10.0.0.1", ".", "%2e", "REG.EXAMPLE" }
		random.each(3000, function(number)
			local text = url.resolve("https://reg.example/v2/", random.text(number, pieces, 7)) or "x"
			for _, kind in ipairs(kinds) do
				local way, message, code = url.may_go(HOME, text, kind, { foreign = true })
				if way then
					local host = way.origin:match("^https://([^/:]+)")
					assert(host, way.origin)
					assert(not way.credentials or host == "reg.example", way.origin)
					assert(way.addresses == "public" or way.origin == HOME, way.origin)
				else
					assert(type(message) == "string" and code == "EREDIRECT")
				end
			end
		end)
	end)
end)
