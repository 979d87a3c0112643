-- As 057: the places that were left. The name of a file or directory, a file of Lua that is spooled, what libarchive
-- reads, and every text that is a number, which becomes a string after the object had been looked at.

local archive = require("strata.archive")
local core = require("strata.core")
local check = require("spec.support.finaliser").check
local layer = require("spec.support.layer")
local shell = require("spec.support.shell")
local tmp = require("spec.support.tmp")

local NUMBER = 123456789
local LONG = ("directory/"):rep(20)

describe("closed by a finaliser while it is used:", function()
	local dir

	setup(function()
		dir = tmp.dir()
	end)

	teardown(function()
		dir:remove()
	end)

	local function closing(made)
		return made, function()
			made:close()
		end
	end

	-- Uses of an object that each make() gives anew.
	local function each(make, uses)
		for _, use in ipairs(uses) do
			check(make, use)
		end
	end

	it("a file", function()
		local temp = assert(core.temp_file())
		each(function()
			return closing(layer.file(("x"):rep(5000)))
		end, {
			function(f)
				return f:name(), f:size(), f:sniff(0, 5000), f:unchanged(), f:fileno() ~= nil
			end,
			function(f)
				return f:write(0, NUMBER)
			end,
			function(f)
				return f:share():size(), f:share():name()
			end,
			function(f)
				return temp:take(f)
			end,
			tostring,
		})
	end)

	it("a directory", function()
		dir:write(tostring(NUMBER), "text")
		each(function()
			return closing(assert(core.create_dir(dir.path)))
		end, {
			function(d)
				return d:open(NUMBER):size(), d:open("123456789"):name()
			end,
			function(d)
				return d:create(NUMBER), d:create("123456789")
			end,
			function(d)
				return d:publish(assert(d:create("new")), NUMBER)
			end,
			function(d)
				return d:stat(NUMBER).size, d:exists(NUMBER), d:same(d), d:lock()
			end,
			function(d)
				return d:list(), d:list(".")
			end,
			function(d)
				return d:name(), d:name()
			end,
			tostring,
		})
	end)

	it("a file of Lua that is spooled", function()
		local path = dir:write("spooled", "text")
		check(function()
			local made = assert(io.open(path))
			return made, function()
				if io.type(made) == "file" then
					made:close()
				end
			end
		end, function(f)
			return assert(core.spool(f, dir.path, NUMBER)):size()
		end)
	end)

	local function index()
		return layer.index({
			{ name = LONG .. "file", data = "text", uname = "root" },
			{ name = "link", typeflag = "1", linkpath = LONG .. "file" },
			{ name = "other", typeflag = "1", linkpath = LONG .. "file" },
		})
	end

	it("an index and its entries", function()
		each(function()
			return closing(index())
		end, {
			function(i)
				return i:find(NUMBER), i:find("link")
			end,
			function(i)
				return i:prepared(), i:revision(), i:count()
			end,
		})
		check(function()
			local made, close = closing(index())
			return made:entry(2), close
		end, function(e)
			return e:replace(NUMBER)
		end)
	end)

	it("a tree, and a layer of it", function()
		local function tree(close_layer)
			local made, lower = assert(core.tree()), index()
			assert(made:apply(lower))
			return made, function()
				(close_layer and lower or made):close()
			end
		end
		for _, close_layer in ipairs({ false, true }) do
			each(function()
				return tree(close_layer)
			end, {
				function(t)
					return t:find(NUMBER)
				end,
				function(t)
					return #t:headers(assert(t:find("other")))
				end,
				function(t)
					local node = assert(t:find("link"))
					return t:header(node), t:source(node), t:entry(node)
				end,
			})
		end
	end)

	it("a directory of the host", function()
		check(function()
			return closing(assert(core.host_tree(dir.path, 100)))
		end, function(t)
			return t:find(NUMBER)
		end)
	end)

	it("a JSON document", function()
		local function document()
			return closing(assert(core.json(('{"long": "%s", "list": [1, {"three": 3}]}'):format(("x"):rep(5000)))))
		end
		local uses = {
			function(d)
				return d:set("/long", NUMBER), d:rename("/list", NUMBER)
			end,
			function(d)
				return d:insert("/list/0", NUMBER)
			end,
			tostring,
		}
		for _, call in ipairs({ "get", "type", "raw", "count", "keys", "spans", "remove" }) do
			uses[#uses + 1] = function(d)
				return (pcall(d[call], d, NUMBER))
			end
		end
		each(document, uses)
	end)

	it("what is fed piece by piece", function()
		check(function()
			return closing(assert(core.push_deflate("gzip")))
		end, function(d)
			return assert(d:write(NUMBER)), d:finish()
		end)
		check(function()
			return closing(assert(core.push_inflate("gzip")))
		end, function(i)
			return i:feed(NUMBER)
		end)
		check(function()
			return closing(assert(core.push_tar()))
		end, function(p)
			return p:feed(NUMBER), p:next()
		end)
		check(function()
			return closing(assert(core.push_digest()))
		end, function(d)
			return d:update(NUMBER), d:final()
		end)
	end)

	describe("of libarchive", function()
		local plain, packed

		setup(function()
			plain = dir:write("plain", layer.tar({
				{ name = LONG .. "file", data = "text", uname = ("u"):rep(30), gname = ("g"):rep(30) },
				{ name = "link", typeflag = "2", linkpath = LONG .. "file" },
				{ name = "hard", typeflag = "1", linkpath = LONG .. "file" },
			}))
			packed = dir:file("packed")
			shell.sh('xz -c "$1" >"$2"', plain, packed)
		end)

		it("a compressed file", function()
			each(function()
				return closing(assert(archive.decompress(packed, "xz")))
			end, {
				function(r)
					return r:read(), r:read()
				end,
				function(r)
					return r:read(1), r:consumed()
				end,
				tostring,
			})
		end)

		local function opened(fn)
			return function()
				local file = assert(core.open_file(plain))
				local made = assert(fn(file))
				file:close()
				return closing(made)
			end
		end

		it("the entries of an archive", function()
			local temp = assert(core.temp_file())
			check(opened(archive.contents), function(c)
				local one = c:next()
				return one, c:copy(temp, 0), c:next(), c:next(), c:next()
			end)
		end)

		it("the entries of a tar", function()
			check(opened(function(file)
				return archive.tar_reader(file, 0, file:size())
			end), function(r)
				return r:next(), r:next(), r:next(), r:next()
			end)
		end)

		it("the file that it is to read, or to write to", function()
			local function file(path)
				return function()
					return closing(assert(core.open_file(path)))
				end
			end
			check(file(packed), function(f)
				return assert(archive.decompress(f, "xz")):read()
			end)
			check(file(plain), function(f)
				return assert(archive.tar_reader(f, 0, f:size())):next()
			end)
			check(file(plain), function(f)
				return assert(archive.contents(f)):next()
			end)
			check(function()
				return closing(assert(core.temp_file()))
			end, function(f)
				local contents = assert(archive.contents(assert(core.open_file(plain))))
				contents:next()
				return contents:copy(f, 0)
			end)
		end)

		it("an entry that the finaliser of another object goes on from", function()
			local made = assert(archive.contents(assert(core.open_file(plain))))
			check(function()
				made:close()
				made = assert(archive.contents(assert(core.open_file(plain))))
				local one = made
				return one, function()
					pcall(one.next, one)
					one:close()
				end
			end, function(c)
				return (c:next() or {}).path
			end)
		end)
	end)
end)
