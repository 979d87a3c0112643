--- References of registries: what they mean, where they lead, and what is none.

local random = require "spec.support.random"
local reference = require "strata.document.reference"

local SHA = "sha256:" .. ("0123456789abcdef"):rep(4)
local SHA512 = "sha512:" .. ("0123456789abcdef"):rep(8)

-- name, text, host, repository, tag, digest, origin
local ROWS = {
	{ "REF1", "alpine", "docker.io", "library/alpine", "latest", nil, "https://registry-1.docker.io" },
	{ "REF2", "team/app:1", "docker.io", "team/app", "1", nil, "https://registry-1.docker.io" },
	{ "REF3", "localhost/app", "localhost", "app", "latest", nil, "http://localhost" },
	{ "REF3", "local/app", "docker.io", "local/app", "latest", nil, "https://registry-1.docker.io" },
	{ "REF3", "reg.example/app", "reg.example", "app", "latest", nil, "https://reg.example" },
	{ "REF3", "reg:5000/app", "reg:5000", "app", "latest", nil, "https://reg:5000" },
	{ "REF3", "registry:5000", "docker.io", "library/registry", "5000", nil, "https://registry-1.docker.io" },
	{ "REF4", "index.docker.io/x", "docker.io", "library/x", "latest", nil, "https://registry-1.docker.io" },
	{ "REF4", "docker.io/x", "docker.io", "library/x", "latest", nil, "https://registry-1.docker.io" },
	{ "REF4", "docker.io/team/x:2", "docker.io", "team/x", "2", nil, "https://registry-1.docker.io" },
	{ "REF5", "registry:5000/a/b:t@" .. SHA, "registry:5000", "a/b", "t", SHA, "https://registry:5000" },
	{ "REF5", "app@" .. SHA512, "docker.io", "library/app", nil, SHA512, "https://registry-1.docker.io" },
	{ "REF8", "app:" .. ("x"):rep(128), "docker.io", "library/app", ("x"):rep(128), nil, "https://registry-1.docker.io" },
	{ "REF10", "[::1]:5000/app:1", "[::1]:5000", "app", "1", nil, "http://[::1]:5000" },
	{ "REF10", "[2001:DB8::1]/a/b", "[2001:db8::1]", "a/b", "latest", nil, "https://[2001:db8::1]" },
	{ "REF11", "docker://alpine:3", "docker.io", "library/alpine", "3", nil, "https://registry-1.docker.io" },
	{ "REF11", "docker://reg.example:5000/a/b:1@" .. SHA, "reg.example:5000", "a/b", "1", SHA,
		"https://reg.example:5000" },
	{ "REF13", "Reg.Example:5000/app", "reg.example:5000", "app", "latest", nil, "https://reg.example:5000" },
	{ "REF20", "127.0.0.1:5000/app", "127.0.0.1:5000", "app", "latest", nil, "http://127.0.0.1:5000" },
	{ "REF20", "LOCALHOST:5000/app", "localhost:5000", "app", "latest", nil, "http://localhost:5000" },
	{ "REF20", "10.0.0.1:5000/app", "10.0.0.1:5000", "app", "latest", nil, "https://10.0.0.1:5000" },
	{ "REF20", "192.168.1.1/app", "192.168.1.1", "app", "latest", nil, "https://192.168.1.1" },
	{ "REF20", "localhost.example/app", "localhost.example", "app", "latest", nil, "https://localhost.example" },
	{ "E names", "r.io/a__b.c-d--e/f_g/0", "r.io", "a__b.c-d--e/f_g/0", "latest", nil, "https://r.io" },
}

local REFUSED = {
	{ "REF6 64 hexadecimal digits", ("a"):rep(64) },
	{ "REF6 64 hexadecimal digits with the prefix", "docker://" .. ("a"):rep(64) },
	{ "REF7 capitals", "Alpine" },
	{ "REF7 capitals behind a host", "reg.example/Team/app" },
	{ "REF8 a tag of 129 bytes", "app:" .. ("x"):rep(129) },
	{ "REF8 a tag that begins with a dot", "app:.x" },
	{ "REF8 a tag that begins with a dash", "app:-x" },
	{ "REF8 an empty tag", "app:" },
	{ "REF9 a short digest", "app@sha256:" .. ("0"):rep(63) },
	{ "REF9 a digest in capitals", "app@sha256:" .. ("A"):rep(64) },
	{ "REF9 an unknown algorithm", "app@md5:" .. ("0"):rep(32) },
	{ "A11 a digest that is a path", "app@sha256:../../x" },
	{ "REF9 two digests", "app@" .. SHA .. "@" .. SHA },
	{ "REF9 an empty digest", "app@" },
	{ "REF10 brackets with a name", "[localhost]:5000/app" },
	{ "REF10 brackets with a zone", "[fe80::1%25eth0]/app" },
	{ "REF10 brackets that do not end", "[::1/app" },
	{ "REF10 an address without brackets", "::1/app" },
	{ "REF11 the prefix alone", "docker://" },
	{ "REF11 a bare host", "docker://reg.example" },
	{ "REF11 a bare host with a port", "docker://reg.example:5000" },
	{ "REF11 a bare host with a slash", "docker://reg:5000/" },
	{ "REF11 localhost", "docker://localhost" },
	{ "REF11 localhost with a port", "docker://localhost:5000" },
	{ "REF11 a bare IPv6 address", "docker://[::1]:5000" },
	{ "REF11 the prefix twice", "docker://docker://app" },
	{ "REF11 a URL", "https://reg.example/app" },
	{ "REF12 a user name", "joe:s3cret@host.example/app" },
	{ "REF12 a user name with a digest", "docker://joe:s3cret@host.example/app@" .. SHA },
	{ "REF12 a question mark", "reg.example/app?x" },
	{ "REF12 a fragment", "reg.example/app#x" },
	{ "REF12 percent signs", "reg.example/a%2fb" },
	{ "REF12 a line end", "reg.example/app\r\nX: y" },
	{ "REF12 a line end in the tag", "reg.example/app:1\n" },
	{ "REF12 a NUL", "reg.example/app\0" },
	{ "REF12 a NUL in the tag", "reg.example/app:1\0" },
	{ "A20 a line end in the host", "reg.example\r\n:80/app" },
	{ "REF13 a host that ends with a dot", "reg.example./app" },
	{ "REF13 a host that is no ASCII", "r\195\169g.example/app" },
	{ "REF13 a port above 65535", "reg:65536/app" },
	{ "REF13 port 0", "reg:0/app" },
	{ "REF13 an address in one number", "2130706433:80/app" },
	{ "REF13 a short address", "127.1/app" },
	{ "dots in a path", "reg.example/a/../b" },
	{ "an empty part", "reg.example/a//b" },
	{ "nothing", "" },
	{ "too many bytes", "reg.example/" .. ("a"):rep(244) },
	{ "very many bytes", ("a/"):rep(100000) },
}

describe("a reference of a registry", function()
	for _, row in ipairs(ROWS) do
		it(("%s %s"):format(row[1], row[2]), function()
			local parts = assert(reference.of_registry(row[2]))
			assert.same({ row[3], row[4], row[5], row[6], row[7] },
				{ parts.host, parts.repository, parts.tag, parts.digest, parts.origin })
			assert.equal(row[6] or row[5], parts.wanted)
			assert.equal(parts.scheme .. "://" .. parts.connect, parts.origin)
			assert.equal(row[3] .. "/" .. row[4], parts.name)
			assert.same(parts, reference.of_registry(parts.text))
			assert.equal(row[2], reference.shown(row[2]))
		end)
	end

	for _, row in ipairs(REFUSED) do
		it("is refused: " .. row[1], function()
			local parts, problem = reference.of_registry(row[2])
			assert.is_nil(parts)
			assert.is_string(problem)
			assert.is_nil(problem:find("s3cret", 1, true))
			assert.is_nil(reference.shown(row[2]):find("s3cret", 1, true))
		end)
	end

	it("is refused: what is no string", function()
		assert.same({ nil, "it is no string" }, { reference.of_registry(nil) })
	end)

	it("REF1 in full", function()
		assert.equal("docker.io/library/alpine:latest", reference.of_registry("alpine").text)
		assert.equal("reg.example/a:t@" .. SHA, reference.of_registry("docker://Reg.example/a:t@" .. SHA).text)
		assert.equal("reg.example/a@" .. SHA, reference.of_registry("reg.example/a@" .. SHA).text)
	end)

	it("REF20 is reached without TLS only when its user says so", function()
		assert.equal("http", reference.of_registry("reg.example/a", true).scheme)
		assert.equal("https", reference.of_registry("127.0.0.1:5000/a", false).scheme)
	end)

	it("REF11 begins with docker://", function()
		assert.is_true(reference.is_remote("docker://x"))
		for _, place in ipairs { "x", "docker:/x", "Docker://x", "/docker://x", "", "oci://x" } do
			assert.is_false(reference.is_remote(place))
		end
		assert.is_false(reference.is_remote(nil))
	end)

	it("REF12 is shown without what could be a password", function()
		assert.equal("docker://...@host/app", reference.shown("docker://joe:s3c/ret@host/app"))
		assert.equal("...@host/app", reference.shown("joe:s3cret@host/app"))
	end)

	it("REF12 has nothing in it that a URL could take for anything else", function()
		local pieces = { "docker://", "a", "B", "reg.example", "localhost", ":", "/", "@", "5000", ".", "_", "-", "[::1]",
			"?", "#", "%", " ", "\0", "\n", "\255", SHA, "..", "latest" }
		random.each(3000, function(number)
			local text = random.text(number, pieces, 9)
			local parts, problem = reference.of_registry(text)
			if parts then
				assert(not parts.text:find("[^A-Za-z0-9%[%]:/@._-]"), text)
				assert(not ("/" .. parts.repository .. "/" .. parts.wanted .. "/"):find("/%.*/"), text)
				assert(#parts.name <= 255 and reference.of_registry(parts.text).text == parts.text, text)
			else
				assert(type(problem) == "string", text)
			end
		end)
	end)
end)
