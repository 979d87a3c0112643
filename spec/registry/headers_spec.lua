--- Headers of a registry's answers, honest and hostile.

local headers = require "strata.registry.headers"
local python = require "spec.support.python"
local random = require "spec.support.random"

local function bearer(parameters, token)
	return { scheme = "bearer", parameters = parameters, token = token }
end

local HUB = {
	realm = "https://auth.docker.io/token", service = "registry.docker.io",
	scope = "repository:a/b:pull,push repository:c:pull",
}

local CHALLENGES = {
	{ "as Docker Hub sends it", { 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
		.. 'scope="repository:a/b:pull,push repository:c:pull"' }, { bearer(HUB) } },
	{ "in any case and order, with blanks", { 'BEARER  SCOPE = "repository:a/b:pull,push repository:c:pull" ,\t'
		.. 'Service="registry.docker.io" , realm= "https://auth.docker.io/token"' }, { bearer(HUB) } },
	{ "with values that are tokens", { "Bearer realm=x,service=y" }, { bearer { realm = "x", service = "y" } } },
	{ "with escapes", { [[Bearer realm="a\"b\\c\,d"]] }, { bearer { realm = [[a"b\c,d]] } } },
	{ "with an error", { 'Bearer realm="r",error="insufficient_scope",error_description="not, today"' },
		{ bearer { realm = "r", error = "insufficient_scope", error_description = "not, today" } } },
	{ "two in one header", { 'Basic realm="a b", Bearer realm="r",service="s"' },
		{ { scheme = "basic", parameters = { realm = "a b" } }, bearer { realm = "r", service = "s" } } },
	{ "two in two headers", { 'Basic realm="x"', 'Bearer realm="r"' },
		{ { scheme = "basic", parameters = { realm = "x" } }, bearer { realm = "r" } } },
	{ "one that has no parameters before another", { 'Negotiate, Bearer realm="r"' },
		{ { scheme = "negotiate", parameters = {} }, bearer { realm = "r" } } },
	{ "one that has a token before another", { 'Negotiate YII+/w==, Bearer realm="r"' },
		{ { scheme = "negotiate", parameters = {}, token = "YII+/w==" }, bearer { realm = "r" } } },
	{ "with commas too many", { ', ,Bearer ,, realm="r",, ,service="s",' }, { bearer { realm = "r",
		service = "s" } } },
	{ "of two values the first", { 'Bearer realm="a",realm="b"' }, { bearer { realm = "a" } } },
	{ "with an empty value", { 'Bearer realm="",service=' }, { bearer { realm = "" } } },
	{ "with what is behind a value", { 'Bearer realm="r" x "y,z", service="s"' }, { bearer { realm = "r",
		service = "s" } } },
	{ "without a value that does not end", { 'Bearer service="s",realm="r' }, { bearer { service = "s" } } },
	{ "without a value that ends with an escape", { 'Bearer service="s",realm="r\\' }, { bearer { service = "s" } } },
	{ "behind what is none", { '="x, Bearer y", (), Bearer realm="r"' }, { bearer { realm = "r" } } },
	{ "of nothing", { "", " ", ",,", '"', "=", "()" }, {} },
}

describe("headers.challenges", function()
	for _, row in ipairs(CHALLENGES) do
		it("AUTH2 takes one " .. row[1], function()
			assert.same(row[3], headers.challenges(row[2]))
		end)
	end

	it("AUTH2 takes one value as well as a list", function()
		assert.same({ bearer { realm = "r" } }, headers.challenges('Bearer realm="r"'))
	end)

	it("AUTH2 reads back whatever is written by the grammar", function()
		local names, bytes = { "realm", "Scope", "service", "x" }, { "a", ",", "=", '"', "\\", " ", "Basic x",
			"\195\169", ";" }
		local schemes = { "Bearer", "Basic", "digest", "X-Y" }
		random.each(500, function(number)
			local wanted, parts = {}, {}
			for i = 1, number(4) do
				local scheme, written = schemes[number(4)], {}
				wanted[i] = { scheme = scheme:lower(), parameters = {} }
				for j = 1, number(4) do
					local name, value = names[j], random.text(number, bytes, 5)
					local quoted = '"' .. value:gsub('[\\"]', "\\%0") .. '"'
					wanted[i].parameters[name:lower()] = value
					written[j] = name .. ({ "=", " = ", "=\t" })[number(3)] .. quoted
				end
				parts[i] = scheme .. " " .. table.concat(written, ({ ",", ", ", " ,, " })[number(3)])
			end
			assert.same(wanted, headers.challenges(table.concat(parts, ", ")))
		end)
	end)
end)

local LINKS = {
	{ "the usual one", { '</v2/a/tags/list?last=b&n=1>; rel="next"' }, "/v2/a/tags/list?last=b&n=1" },
	{ "one without quotes", { "</x?next_page=abc>;rel=next" }, "/x?next_page=abc" },
	{ "one of several words", { '</x>; rel="last NEXT"' }, "/x" },
	{ "the second of two", { '</a>; rel="prev", </b>; rel="next"' }, "/b" },
	{ "one in the second header", { '</a>; rel=prev', '</b>; rel="next"' }, "/b" },
	{ "one with other parameters", { '</x>; title="a;, rel=prev"; REL = "next"; type=a' }, "/x" },
	{ "one with commas and semicolons in the URL", { "</x?a=1,2;rel=prev>; rel=next" }, "/x?a=1,2;rel=prev" },
	{ "an empty one, which is the same page", { "<>; rel=next" }, "" },
	{ "an absolute one", { '<https://evil.example/>; rel="next"' }, "https://evil.example/" },
	{ "one behind what is none", { 'x, "</y>; rel=next", </x>; rel=next' }, "/x" },
	{ "none whose first rel is another", { '</x>; rel="prev"; rel="next"' }, nil },
	{ "none about another document", { '</x>; rel=next; anchor="/y"' }, nil },
	{ "none without brackets", { '/x; rel="next"' }, nil },
	{ "none that does not end", { "</x; rel=next" }, nil },
	{ "none whose rel does not end", { '</x>; rel="next' }, nil },
	{ "none with another word", { '</x>; rel="nextish"' }, nil },
	{ "none without rel", { "</x>", "</x>; next", "</x>; rel", "</x>; rel=" }, nil },
	{ "none of nothing", { "", " , ", ";" }, nil },
}

describe("headers.link_next", function()
	for _, row in ipairs(LINKS) do
		it("PAG2 takes " .. row[1], function()
			assert.equal(row[3], headers.link_next(row[2]))
		end)
	end
end)

it("PAG2 headers.link_next looks at 64 links", function()
	assert.equal("/x", headers.link_next(("</y>,"):rep(63) .. "</x>; rel=next"))
	assert.is_nil(headers.link_next(("</y>,"):rep(64) .. "</x>; rel=next"))
end)

describe("headers.content_range", function()
	local ROWS = {
		{ "bytes 5-9/10", { first = 5, last = 9, size = 10 } },
		{ " Bytes  0-0/1 ", { first = 0, last = 0, size = 1 } },
		{ "bytes 5-9/*", { first = 5, last = 9 } },
		{ "bytes */10", { size = 10 } },
		{ "bytes 0-99999999999998/99999999999999", { first = 0, last = 99999999999998, size = 99999999999999 } },
	}
	for _, row in ipairs(ROWS) do
		it(("BLOB5 takes %q"):format(row[1]), function()
			assert.same(row[2], headers.content_range(row[1]))
		end)
	end
	for _, text in ipairs { "", "bytes", "bytes 5-9", "bytes 9-5/10", "bytes 5-10/10", "bytes -5/10", "bytes 5-/10",
		"bytes */*", "bytes=5-9/10", "bytes 5-9/10, 1-2/3", "items 5-9/10", "bytes 5--9/10", "bytes 1*-9/10",
		"bytes 0-9999999999999999/*", "bytes 0x5-9/10", ("9"):rep(70000) } do
		it(("BLOB5 refuses %q"):format(text:sub(1, 40)), function()
			assert.is_nil(headers.content_range(text))
		end)
	end
end)

describe("headers.range_end", function()
	for text, last in pairs { ["0-899"] = 899, ["0-0"] = 0, ["bytes=0-5"] = 5, [" 0-7 "] = 7, ["00-7"] = 7 } do
		it(("UP7 takes %q"):format(text), function()
			assert.equal(last, headers.range_end(text))
		end)
	end
	for _, text in ipairs { "", "5-9", "0-", "-9", "0--1", "0-9/10", "0-9999999999999999", "0-0x5" } do
		it(("UP7 refuses %q"):format(text), function()
			assert.is_nil(headers.range_end(text))
		end)
	end
end)

describe("headers.retry_after", function()
	local NOW = 784111777 -- 1994-11-06 08:49:37
	local ROWS = {
		{ "0", 0 }, { "120", 120 }, { " 7\t", 7 }, { "99999999", 99999999 }, { "Sun, 06 Nov 1994 08:49:40 GMT", 3 },
		{ "Sunday, 06-Nov-94 08:50:37 GMT", 60 }, { "Sun Nov  6 09:49:37 1994", 3600 },
		{ "Sun, 06 Nov 1994 08:49:00 GMT", 0 }, { ("9"):rep(70000), 10 ^ 15 },
	}
	for _, row in ipairs(ROWS) do
		it(("RTY2 A19 takes %q"):format(row[1]:sub(1, 40)), function()
			assert.equal(row[2], headers.retry_after(row[1], NOW))
		end)
	end
	for _, text in ipairs { "", "-1", "1.5", "soon", "1e9", "Sun, 06 Foo 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 08:49 GMT",
		"Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET", "1 2" } do
		it(("RTY2 refuses %q"):format(text), function()
			assert.is_nil(headers.retry_after(text, NOW))
		end)
	end

	it("RTY2 takes two digits for a year of the hundred around 2020", function()
		assert.equal(10, headers.date("Thursday, 01-Jan-70 00:00:10 GMT"))
		assert.equal(3124224000, headers.date("Tuesday, 01-Jan-69 00:00:00 GMT"))
	end)

	it("RTY2 counts days as Python does", function()
		local script = [[
import sys
from email.utils import formatdate
for line in sys.stdin.read().split():
    print(formatdate(int(line), usegmt=True))
]]
		local times = {}
		random.each(300, function(number)
			times[#times + 1] = (number(20000) - 1) * 86400 + number(86400) - 1 + (number(2) - 1) * 5e8
		end)
		local words, i = {}, 0
		for k, time in ipairs(times) do
			words[k] = ("%d"):format(time)
		end
		for line in python.run("dates", script, {}, table.concat(words, " ")):gmatch("[^\n]+") do
			i = i + 1
			assert.equal(times[i], headers.date(line), line)
		end
		assert.equal(#times, i)
	end)
end)

describe("headers.warnings", function()
	it("NET14 gives each text once", function()
		assert.same({ "quota, soon", 'say "hi"' }, headers.warnings {
			'299 - "quota, soon"', '299 - "quota, soon", 299 - "say \\"hi\\""' })
	end)

	it("NET14 passes over other codes and what is none", function()
		assert.same({ "x" }, headers.warnings { '199 - "a"', "299 - a", '299 "a"', "", '299 - ""', '299 - "a',
			'"', '299 - "x"' })
	end)

	it("NET14 takes 4096 bytes", function()
		local found = headers.warnings { '299 - "' .. ("a"):rep(4000) .. '"', '299 - "' .. ("b"):rep(97) .. '"',
			'299 - "c"' }
		assert.equal(2, #found)
		assert.equal("c", found[2])
	end)

	it("A21 has nothing that a terminal obeys", function()
		assert.same({ "a?[31mb?c" }, headers.warnings { '299 - "a\27[31mb\194\155c"' })
	end)
end)

it("E7b RFR2 headers.list takes lists and repeated headers", function()
	assert.same({ "a", "b c", "d" }, headers.list { " a ,b c\t,, ", "d" })
	assert.same({ "artifactType" }, headers.list("artifactType"))
	assert.same({}, headers.list { "", ", ,", " " })
	assert.equal(1024, #headers.list(("a,"):rep(5000)))
end)

describe("headers.media_type", function()
	for text, kind in pairs { ["application/json"] = "application/json",
		[" Text/Plain ; charset=utf-8"] = "text/plain",
		["application/vnd.oci.image.index.v1+json;x"] = "application/vnd.oci.image.index.v1+json" } do
		it(("MAN5 takes %q"):format(text), function()
			assert.equal(kind, headers.media_type(text))
		end)
	end
	for _, text in ipairs { "", "a", "/", "a/", "a/b c", "a/b, c/d", "a/b/c" } do
		it(("MAN5 refuses %q"):format(text), function()
			assert.is_nil(headers.media_type(text))
		end)
	end
	it("MAN5 refuses a header that is not there", function()
		assert.is_nil(headers.media_type(nil))
	end)
end)

local PIECES = { "Bearer ", "Basic", "realm", "scope", "=", '"', "\\", ",", ";", "<", ">", " ", "\t", "rel",
	"next", "299 - ",
	"bytes ", "0-", "9", "/", "*", "\0", "\255", "\r\n", "a", "(", "%", "anchor" }

-- What comes of one text; throws when a parser does, or when more comes than its bound.
local function parse_all(text)
	local challenges = headers.challenges { text, text }
	assert(#challenges <= 16)
	for _, challenge in ipairs(challenges) do
		local count = 0
		for name, value in pairs(challenge.parameters) do
			count = count + 1
			assert(name == name:lower() and type(value) == "string")
		end
		assert(count <= 32)
	end
	local target = headers.link_next { text, text }
	assert(not target or text:find("<" .. target .. ">", 1, true))
	assert(#headers.list { text, text } <= 1024)
	assert(#table.concat(headers.warnings { text, text }) <= 4096)
	local kind = headers.media_type(text)
	assert(not kind or kind:find("^[^/]+/[^/]+$"))
	local range = headers.content_range(text)
	assert(not range or range.size or range.first <= range.last)
	headers.range_end(text)
	local seconds = headers.retry_after(text, 0)
	assert(not seconds or seconds >= 0)
end

it("AUTH2 PAG2 no header makes a parser throw or give more than its bounds", function()
	random.each(1500, function(number)
		parse_all(random.text(number, PIECES, 40))
	end)
end)

it("AUTH2 PAG2 A12 the time for hostile headers grows with their length alone", function()
	local hostile = { '"', "\\", ",", ";", "<", "=", " ", "a", "a=", 'a="', 'a="\\', "<>;", '<>;rel=",', "a ",
		'a=b,', ', ',
		"299 - ", '299 - "a",', "a=a a=a,", "a,a ", ";a", ';a="' }
	local started = os.clock()
	for _, piece in ipairs(hostile) do
		parse_all("Bearer " .. piece:rep(math.floor(70000 / #piece)))
		parse_all("<" .. piece:rep(math.floor(70000 / #piece)))
		parse_all('<x>; a="' .. piece:rep(math.floor(70000 / #piece)))
	end
	assert(os.clock() - started < 20, ("%.1f seconds"):format(os.clock() - started))
end)

it("AUTH2 more challenges and parameters than the bounds are left out", function()
	assert.equal(16, #headers.challenges(("Basic,"):rep(100)))
	local parts = {}
	for i = 1, 100 do
		parts[i] = ("p%d=v"):format(i)
	end
	local parameters = headers.challenges("Bearer " .. table.concat(parts, ","))[1].parameters
	assert.equal("v", parameters.p32)
	assert.is_nil(parameters.p33)
end)
