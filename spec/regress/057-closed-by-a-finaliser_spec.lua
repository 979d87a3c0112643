local core = require("strata.core")
local finaliser = require("spec.support.finaliser")
local layer = require("spec.support.layer")
local rawtar = require("spec.support.rawtar")
local tmp = require("spec.support.tmp")

-- A finaliser may run whenever Lua makes an object, and may close the very object that is being read: its memory was
-- read after it had been freed. Here that happens at each place where the collector can run.
describe("an object that a finaliser closes while it is used", function()
	local check = finaliser.check

	local LONG = ("directory/"):rep(60)

	local function record(key, value)
		local rest = " " .. key .. "=" .. value .. "\n"
		local len = #rest + 1
		while #tostring(len) + #rest ~= len do
			len = len + 1
		end
		return len .. rest
	end

	local function index()
		local records = record("LIBARCHIVE.xattr.user.b", "QUJD") .. record("SCHILY.xattr.user.a", ("v"):rep(700))
		local made = layer.index({
			{ name = LONG .. "file", data = "text", uname = "root", records = records },
			{ name = LONG .. ".wh.gone", data = "" },
			{ name = "link", typeflag = "1", linkpath = LONG .. "file" },
		})
		return made, function()
			made:close()
		end
	end

	local FIELDS = {
		"path", "name", "type", "typeflag", "uname", "linkpath", "whiteout", "opaque", "xattrs", "pax", "mtime", "size",
	}

	for _, field in ipairs(FIELDS) do
		it("is read as an entry: " .. field, function()
			for number = 1, 3 do
				check(function()
					local made, close = index()
					return made:entry(number), close
				end, function(entry)
					return entry[field]
				end)
			end
		end)
	end

	it("is an entry that is read and changed", function()
		local function entry()
			local made, close = index()
			return made:entry(1), close
		end
		check(entry, function(e)
			return e:read()
		end)
		check(entry, function(e)
			e.xattrs = { ["user.b"] = "two", ["user.c"] = "three" }
		end)
		check(entry, tostring)
	end)

	it("is an index", function()
		check(index, function(i)
			return i:find(LONG .. "file")
		end)
		check(index, function(i)
			return i:entry(1)
		end)
		check(index, function(i)
			return i:info()
		end)
		check(index, function(i)
			return i:copy()
		end)
		check(function()
			local odd = rawtar.header({ name = "one", prefix = "pre", magic = rawtar.GNU })
			local made = layer.index(odd .. odd)
			return made, function()
				made:close()
			end
		end, function(i)
			return i:findings()
		end)
	end)

	local function document()
		local text = ('{"long": "%s", "list": [1, "two", {"three": 3}], "number": 1.5}'):format(("x"):rep(5000))
		local made = assert(core.json(text))
		return made, function()
			made:close()
		end
	end

	local READS = { "get", "type", "raw", "count", "keys", "spans" }

	for _, read in ipairs(READS) do
		it("is a JSON document: " .. read, function()
			for _, pointer in ipairs({ "", "/long", "/list", "/number", "/none" }) do
				local function use(doc)
					return doc[read](doc, pointer)
				end
				check(document, use)
				check(function()
					local made = document()
					return made, function()
						made:remove("/long")
						made:set("/more", "[]")
						made:remove("/list")
					end
				end, function(doc)
					local ok, result = pcall(use, doc)
					return type(ok) == "boolean" and "" or result -- by then it is another document
				end)
			end
		end)
	end

	it("is the text of a JSON document", function()
		check(document, function(doc)
			return doc:text()
		end)
	end)

	it("is a tree", function()
		local function tree()
			local made = assert(core.tree())
			assert(made:apply((index())))
			return made, function()
				made:close()
			end
		end
		for _, call in ipairs({ "path", "name", "info", "entry", "source" }) do
			check(tree, function(t)
				local node = assert(t:find(LONG .. "file"))
				return t[call](t, node)
			end)
		end
	end)

	it("is a directory of the host", function()
		local dir = tmp.dir()
		dir:write("file", "text")
		check(function()
			local made = assert(core.host_tree(dir.path, 100))
			assert(made:list(0))
			return made, function()
				made:close()
			end
		end, function(t)
			local one = t:get(1)
			return one.path, one.type, one.size, one.xattrs
		end)
		dir:remove()
	end)

	it("is fed piece by piece", function()
		local packed = assert(core.push_deflate("gzip")):finish()
		local function closing(made)
			return made, function()
				made:close()
			end
		end
		local bytes = ("0123456789abcdef"):rep(8192)
		check(function()
			return closing(assert(core.push_deflate("gzip")))
		end, function(d)
			return assert(d:write(bytes)), d:finish()
		end)
		assert.is_true(#packed > 0)
		local deflate = assert(core.push_deflate("gzip"))
		local stream = assert(deflate:write(bytes)) .. assert(deflate:finish())
		check(function()
			local made = assert(core.push_inflate("gzip"))
			made:feed(stream)
			return closing(made)
		end, function(i)
			return i:read(50000), i:read(50000)
		end)
		local tar = layer.tar({ { name = LONG .. "file", data = ("x"):rep(3000), uname = "root" } })
		check(function()
			local made = assert(core.push_tar())
			made:feed(tar)
			return closing(made)
		end, function(p)
			local kind, fields, offset = p:next()
			return kind, fields, offset, p:next()
		end)
		check(function()
			return closing(assert(core.push_digest()))
		end, function(d)
			return d:update(bytes), d:final()
		end)
	end)

	it("is a file", function()
		check(function()
			local made = layer.file(("x"):rep(5000))
			return made, function()
				made:close()
			end
		end, function(f)
			return f:read(0, 5000)
		end)
	end)

	it("is what layers are applied with", function()
		local dir = tmp.dir()
		check(function()
			local made = assert(core.apply(dir.path, { merge = true }))
			return made, function()
				made:close()
			end
		end, function(a)
			return a:result()
		end)
		dir:remove()
	end)

	it("is a job", function()
		check(function()
			local job = core.job()
			job:hash({ file = layer.file("text"), size = 4 })
			assert(layer.run(job))
			return job, function()
				job:close()
			end
		end, function(job)
			return job:task(1)
		end)
	end)
end)
