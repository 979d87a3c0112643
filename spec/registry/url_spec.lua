--- URLs of registries: parsing, resolving, appending to the query.

local address = require "strata.util.address"
local python = require "spec.support.python"
local random = require "spec.support.random"
local url = require "strata.registry.url"

describe("url.parse", function()
	local ROWS = {
		{ "https://reg.example/v2/", "https", "reg.example", 443, "/v2/", nil, "https://reg.example" },
		{ "HTTPS://Reg.Example:443", "https", "reg.example", 443, "/", nil, "https://reg.example" },
		{ "http://reg.example:/a", "http", "reg.example", 80, "/a", nil, "http://reg.example" },
		{ "http://reg.example:443/", "http", "reg.example", 443, "/", nil, "http://reg.example:443" },
		{ "https://reg_1:5000/a?b=c?d&e#f", "https", "reg_1", 5000, "/a", "b=c?d&e", "https://reg_1:5000" },
		{ "https://reg:65535/", "https", "reg", 65535, "/", nil, "https://reg:65535" },
		{ "https://reg:1/", "https", "reg", 1, "/", nil, "https://reg:1" },
		{ "https://[::1]:5000?x", "https", "[::1]", 5000, "/", "x", "https://[::1]:5000" },
		{ "https://[FE80::A]/", "https", "[fe80::a]", 443, "/", nil, "https://[fe80::a]" },
		{ "https://10.0.0.1/%41/../x", "https", "10.0.0.1", 443, "/%41/../x", nil, "https://10.0.0.1" },
	}
	for _, row in ipairs(ROWS) do
		it("takes apart " .. row[1], function()
			local parts = assert(url.parse(row[1]))
			assert.same({ row[2], row[3], row[4], row[5], row[6], row[7] },
				{ parts.scheme, parts.host, parts.port, parts.path, parts.query, parts.origin })
		end)
	end

	local REFUSED = {
		{ "a user name", "https://joe:s3cret@reg.example/" },
		{ "a user name that looks like a host", "https://reg.example\\@evil.example/" },
		{ "an empty host", "https:///v2/" },
		{ "an empty host with a port", "https://:443/v2/" },
		{ "port 0", "https://reg.example:0/" },
		{ "a port above 65535", "https://reg.example:65536/" },
		{ "a port with a sign", "https://reg.example:+1/" },
		{ "a long port", "https://reg.example:000000443/" },
		{ "a host that is no ASCII", "https://r\195\169g.example/" },
		{ "a path that is no ASCII", "https://reg.example/\195\169" },
		{ "a host with percent signs", "https://reg%2eexample/" },
		{ "a host that ends with a dot", "https://reg.example./" },
		{ "a host that ends with a number", "https://reg.1/" },
		{ "an address in octal", "https://0177.0.0.1/" },
		{ "an address in one number", "https://2130706433/" },
		{ "an address in hexadecimal", "https://0x7f000001/" },
		{ "a short address", "https://127.1/" },
		{ "an address that is none", "https://256.1.1.1/" },
		{ "brackets with a zone", "https://[fe80::1%25eth0]/" },
		{ "brackets with a name", "https://[localhost]/" },
		{ "a bracket alone", "https://[::1/" },
		{ "no scheme", "//reg.example/" },
		{ "a scheme alone", "https:" },
		{ "a scheme and a path", "https:reg.example" },
		{ "another scheme", "file:///etc/passwd" },
		{ "nothing", "" },
		{ "a label of 64 bytes", "https://" .. ("a"):rep(64) .. ".example/" },
		{ "too many bytes", "https://reg.example/" .. ("a"):rep(16384) },
	}
	for _, row in ipairs(REFUSED) do
		it("A20 refuses " .. row[1], function()
			local parts, message = url.parse(row[2])
			assert.is_nil(parts)
			assert.is_string(message)
			assert.is_nil(message:find("s3cret", 1, true))
		end)
	end

	for byte = 0, 32 do
		it(("A20 refuses the byte %d anywhere"):format(byte), function()
			local bad = string.char(byte)
			for _, text in ipairs { "https://reg.example/a%sb", "https://reg%s.example/", "%shttps://reg.example/",
				"https://reg.example/?a=%s", "https://reg.example/#%s" } do
				assert.is_nil((url.parse((text:gsub("%%s", function() return bad end)))))
			end
		end)
	end
end)

-- RFC 3986, 5.4.1 and 5.4.2, without their fragments and with schemes that are ours.
local BASE = "http://a/b/c/d;p?q"
local RFC = {
	{ "g", "http://a/b/c/g" }, { "./g", "http://a/b/c/g" }, { "g/", "http://a/b/c/g/" }, { "/g", "http://a/g" },
	{ "//g", "http://g" }, { "?y", "http://a/b/c/d;p?y" }, { "g?y", "http://a/b/c/g?y" },
	{ "#s", "http://a/b/c/d;p?q" }, { "g#s", "http://a/b/c/g" }, { "g?y#s", "http://a/b/c/g?y" },
	{ ";x", "http://a/b/c/;x" }, { "g;x", "http://a/b/c/g;x" }, { "g;x?y#s", "http://a/b/c/g;x?y" },
	{ "", "http://a/b/c/d;p?q" }, { ".", "http://a/b/c/" }, { "./", "http://a/b/c/" }, { "..", "http://a/b/" },
	{ "../", "http://a/b/" }, { "../g", "http://a/b/g" }, { "../..", "http://a/" }, { "../../", "http://a/" },
	{ "../../g", "http://a/g" }, { "../../../g", "http://a/g" }, { "../../../../g", "http://a/g" },
	{ "/./g", "http://a/g" }, { "/../g", "http://a/g" }, { "g.", "http://a/b/c/g." }, { ".g", "http://a/b/c/.g" },
	{ "g..", "http://a/b/c/g.." }, { "..g", "http://a/b/c/..g" }, { "./../g", "http://a/b/g" },
	{ "./g/.", "http://a/b/c/g/" }, { "g/./h", "http://a/b/c/g/h" }, { "g/../h", "http://a/b/c/h" },
	{ "g;x=1/./y", "http://a/b/c/g;x=1/y" }, { "g;x=1/../y", "http://a/b/c/y" },
	{ "g?y/./x", "http://a/b/c/g?y/./x" }, { "g?y/../x", "http://a/b/c/g?y/../x" },
	{ "g#s/../x", "http://a/b/c/g" },
}

describe("url.resolve", function()
	for _, row in ipairs(RFC) do
		it(("RED7 gives what RFC 3986 says of %q"):format(row[1]), function()
			assert.equal(row[2], url.resolve(BASE, row[1]))
		end)
	end

	local AT = "https://reg.example:5000/v2/a/b/blobs/uploads/?x=1"
	local ROWS = {
		{ "an absolute one", "https://up.example/x?_state=a%2Fb%3D", "https://up.example/x?_state=a%2Fb%3D" },
		{ "//host", "//up.example:1/x", "https://up.example:1/x" },
		{ "/path", "/v2/u/1?s=%7e", "https://reg.example:5000/v2/u/1?s=%7e" },
		{ "a path", "1?s", "https://reg.example:5000/v2/a/b/blobs/uploads/1?s" },
		{ "?query", "?digest=1", "https://reg.example:5000/v2/a/b/blobs/uploads/?digest=1" },
		{ "a fragment", "/v2/u#x", "https://reg.example:5000/v2/u" },
		{ "dots of a signed path", "https://up.example/a/../b//c/.", "https://up.example/a/../b//c/." },
		{ "an empty query", "/v2/u?", "https://reg.example:5000/v2/u?" },
		{ "a question mark in the query", "/u?a=?&b=/../", "https://reg.example:5000/u?a=?&b=/../" },
	}
	for _, row in ipairs(ROWS) do
		it("RED7 takes " .. row[1] .. " as it is", function()
			assert.equal(row[3], url.resolve(AT, row[2]))
		end)
	end

	it("AUTH12 resolves a realm that is relative", function()
		assert.equal("https://reg.example/token", url.resolve("https://reg.example/v2/a/manifests/1", "/token"))
	end)

	for _, bad in ipairs { "https:up", "http:", "sha256:abc", "file:///x", "https://", "/a\r\nX: y", "/a b", "//u:p@h/",
		"//h:0/", "//[::/", ("a"):rep(16385) } do
		it(("A20 refuses %q"):format(bad:sub(1, 20)), function()
			local text, message = url.resolve(AT, bad)
			assert.is_nil(text)
			assert.is_string(message)
		end)
	end

	it("refuses a base that is none", function()
		assert.is_nil((url.resolve("/v2/", "x")))
	end)
end)

-- Differences that are known, and kept out of the comparison: urljoin keeps fragments, merges "http:g" with a base of
-- the same scheme, drops a "?" with nothing behind it, and squeezes empty segments; up to Python 3.11 it also takes a
-- ";" for the start of parameters, which only differ where a path has nothing else.
local ORACLE = [[
import sys
from urllib.parse import urljoin
out = []
for line in sys.stdin.read().split("\n"):
    if line:
        base, reference = line.split(" ")
        out.append(urljoin(base, reference))
print("\n".join(out))
]]

local function random_path(number)
	local parts = {}
	for i = 1, number(5) do
		parts[i] = ({ "a", "b", "..", ".", "c.d", "%2e", "x:y", "..." })[number(8)]
	end
	return table.concat(parts, "/")
end

local function random_reference(number)
	local form = number(6)
	local query = number(3) == 1 and "?" .. ({ "q=1", "a=b&c=%2F", "d/../e", "x?y" })[number(4)] or ""
	if form == 1 then
		return "https://h" .. number(3) .. "/" .. random_path(number) .. query
	elseif form == 2 then
		return "//h" .. number(3) .. ":8080/" .. random_path(number) .. query
	elseif form == 3 then
		return "/" .. random_path(number) .. query
	elseif form == 4 then
		return query
	end
	local path = random_path(number)
	return (path:find("^[^/]*:") and "./" or "") .. path .. (number(4) == 1 and "/" or "") .. query
end

it("RED7 url.resolve gives what Python's urljoin gives", function()
	local input, cases = {}, {}
	random.each(2000, function(number, seed)
		local base = "https://reg.example/" .. random_path(number) .. (number(2) == 1 and "/" or "")
			.. (number(3) == 1 and "?b=1/2" or "")
		local reference = random_reference(number)
		input[#input + 1] = base .. " " .. reference
		cases[#cases + 1] = { base = base, reference = reference, seed = seed }
	end)
	local i = 0
	for line in python.run("urljoin", ORACLE, {}, table.concat(input, "\n")):gmatch("[^\n]+") do
		i = i + 1
		local case = cases[i]
		assert.equal(line, url.resolve(case.base, case.reference),
			("STRATA_SEED=%d: %s from %s"):format(case.seed, case.reference, case.base))
	end
	assert.equal(2000, i)
end)

it("A20 url.parse and url.resolve throw at nothing and give nothing that is no URL", function()
	local pieces = { "http", "https", ":", "//", "/", "?", "#", "@", "[", "]", "::1", "a.b", "..", ".", "%", "\0", "\r\n",
		" ", "\255", "127.1", ":80", ":0", "\\", ";", "&", "=", "-" }
	random.each(3000, function(number)
		local text = random.text(number, pieces, 12)
		local parts, message = url.parse(text)
		assert(parts and parts.path:find("^/") and url.parse(parts.origin) or type(message) == "string")
		local resolved = url.resolve("https://reg.example/a/b", text)
		assert(not resolved or url.parse(resolved) and not resolved:find("[#%c ]"))
	end)
end)

describe("url.with_query", function()
	local DIGEST = "sha256:" .. ("0"):rep(64)
	local ROWS = {
		{ "https://r/u", "https://r/u?digest=" },
		{ "https://r/u?", "https://r/u?digest=" },
		{ "https://r/u?_state=a%2Fb%3D%3d&z&a=1", "https://r/u?_state=a%2Fb%3D%3d&z&a=1&digest=" },
		{ "https://r/u?a&", "https://r/u?a&digest=" },
		{ "https://r/u?a#f", "https://r/u?a&digest=" },
		{ "https://r/u?a=b?c", "https://r/u?a=b?c&digest=" },
	}
	for _, row in ipairs(ROWS) do
		it("RED8 appends to " .. row[1], function()
			assert.equal(row[2] .. DIGEST, url.with_query(row[1], "digest", DIGEST))
		end)
	end

	it("AUTH3 escapes what would end the value", function()
		assert.equal("https://r/t?scope=repository:a/b:pull,push",
			url.with_query("https://r/t", "scope", "repository:a/b:pull,push"))
		assert.equal("https://r/t?x=a%20b%26c%3Dd%23%2B%0D%0A%C3%A9%25",
			url.with_query("https://r/t", "x", "a b&c=d#+\r\n\195\169%"))
	end)
end)

it("AUTH17 url.shown has neither query nor password", function()
	assert.equal("https://r/a?...", url.shown("https://r/a?X-Signature=s3cret"))
	assert.is_nil(url.shown("https://joe:s3cret@r/a"):find("s3cret", 1, true))
end)

describe("the class of an address", function()
	local ROWS = {
		public = { "8.8.8.8", "100.63.0.1", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.169.0.1", "169.253.1.1",
			"169.255.1.1", "223.255.255.255", "[2001:db8::1]", "[::ffff:8.8.8.8]", "[64:ff9b::808:808]", "[2002:808:808::]",
			"[fe00::1]", "[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:8.8.8.8]", "[1::8]", "[1:2:3:4:5:6:7::]" },
		private = { "10.1.2.3", "127.0.0.1", "127.255.255.254", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1",
			"100.127.255.255", "localhost", "a.localhost", "[::1]", "[fc00::1]", "[fdff::1]", "[fec0::1]", "[feff::1]",
			"[::ffff:127.0.0.1]", "[::ffff:a00:1]", "[::10.0.0.1]", "[64:ff9b::10.0.0.1]", "[2002:7f00:1::]",
			"[2002:c0a8:1::1]" },
		other = { "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "[::]",
			"[fe80::1]", "[febf::1]", "[ff02::1]", "[::ffff:169.254.169.254]", "[::ffff:0:0]", "[64:ff9b::a9fe:a9fe]",
			"[2002:a9fe:a9fe::]", "[::ffff:ffff:ffff]", "[::2]", "[0:0:0:0:0:0:0:0]", "[::0.0.0.0]", "[::1:7f00:1]",
			"[::ffff:0:7f00:1]" },
	}
	for _, class in ipairs { "public", "private", "other" } do
		for _, host in ipairs(ROWS[class]) do
			it(("A10 %s is %s"):format(host, class), function()
				assert.same({ true, class }, { address.of_host(host) })
			end)
		end
	end

	it("A10 shows only when a name is connected to", function()
		assert.same({ true, nil }, { address.of_host("reg.example") })
	end)

	for _, bad in ipairs { "[]", "[:]", "[:::]", "[1::2::3]", "[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7:8:9]", "[12345::]",
		"[1:2:3:4:5:6:7:8::]", "[::1.2.3]", "[1.2.3.4::]", "[::1.2.3.4:5]", "[::g]", "[:1::2]", "[1::2:]", "1.2.3.4.5",
		"1.2.3.04", "a..b", "-a", "a-", "a.0x", "A.example" } do
		it("A10 refuses " .. bad, function()
			assert.is_false((address.of_host(bad)))
		end)
	end

	it("REF20 says which hosts are this machine", function()
		for _, host in ipairs { "localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]" } do
			assert.is_true(address.is_local(host), host)
		end
		for _, host in ipairs { "localhost.example", "127.0.0.1.example", "10.0.0.1", "127.1", "127.0.0.999", "[::2]" } do
			assert.is_false(address.is_local(host), host)
		end
	end)
end)

it("A10 the addresses that are taken are those that Python takes", function()
	local script = [[
import ipaddress, sys
for line in sys.stdin.read().split("\n"):
    try:
        ipaddress.IPv6Address(line[1:-1]) if line[0] == "[" else ipaddress.IPv4Address(line)
        print("true")
    except ValueError:
        print("false")
]]
	local six = { "1", "ab", "ffff", "0", ":", ":", ":", "::", "1:2:3:", "1.2.3.4", "12345", "g", "::ffff:", "." }
	local four = { "1", "10", "255", "256", "0", "01", ".", ".", ".", "1.2." }
	local cases, seeds, i = {}, {}, 0
	random.each(3000, function(number, seed)
		if number(3) == 1 then
			cases[#cases + 1] = "1" .. random.text(number, four, 7)
		else
			cases[#cases + 1] = "[" .. random.text(number, six, 10) .. "]"
		end
		seeds[#seeds + 1] = seed
	end)
	for line in python.run("addresses", script, {}, table.concat(cases, "\n")):gmatch("[^\n]+") do
		i = i + 1
		local valid, class = address.of_host(cases[i])
		-- what is no number at its end is a name
		assert.equal(line, tostring(valid and class ~= nil), ("STRATA_SEED=%d: %s"):format(seeds[i], cases[i]))
	end
	assert.equal(#cases, i)
end)
