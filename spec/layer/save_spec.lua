--- layer:save: one layer by itself.

local archive = require "spec.support.archive"
local core = require "strata.core"
local shell = require "spec.support.shell"
local strata = require "strata"

local specify = archive.specify(it, pending)

describe("saving a layer", function()
	local bench, img, to
	before_each(function()
		bench = archive.bench()
		to = bench.dir:file("layer")
	end)
	after_each(function()
		bench:close()
	end)

	local function open()
		img = bench:open({
			{ entries = { { name = "a", data = ("content "):rep(1000) } } },
			{ gzip = true, entries = { { name = "b", data = ("content "):rep(1000) } } },
		})
		return img.layers[1], img.layers[2]
	end

	local function plain(path, compression)
		if compression == "none" then
			return shell.read(path)
		end
		return shell.check({ compression == "gzip" and "gzip" or "zstd", "-dc", path })
	end

	specify("keeps its bytes, plain or compressed", function()
		for i, layer in ipairs({ open() }) do
			local result = assert(layer:save(to))
			assert.same({ to, layer.digest, layer.diff_id, layer.size, i == 1 and "none" or "gzip" }, {
				result.path, result.digest, result.diff_id, result.size, result.compression,
			})
			assert.equal(layer.digest, "sha256:" .. shell.sha256(to):match("%x+$"))
			local again = assert(strata.layer({ tar = to }))
			assert.same({ layer.diff_id, layer.digest }, { again.diff_id, again.digest })
			assert.equal(i == 2, tostring(result):find(": gzip, ", 1, true) ~= nil)
			assert(again:save(to .. "2", { compression = "keep" }))
			assert.equal(shell.read(to), shell.read(to .. "2"))
			again:close()
		end
	end)

	specify("compresses it in another way, and not twice", function()
		for _, layer in ipairs({ open() }) do
			for _, compression in ipairs({ "none", "gzip", "zstd" }) do
				local result = assert(layer:save(to, { compression = compression }))
				assert.equal(compression, result.compression)
				assert.equal("sha256:" .. shell.sha256(to):match("%x+$"), result.digest)
				assert.equal(layer.diff_id, "sha256:" .. shell.sha256(bench.dir:write("p", plain(to, compression))):match("%x+$"))
				if compression == layer.compression then
					assert.equal(layer.digest, result.digest)
				end
			end
			local sizes = {}
			for i, level in ipairs({ 1, 9 }) do
				sizes[i] = assert(layer:save(to, { compression = "gzip", level = level })).size
			end
			assert.is_true(sizes[2] <= sizes[1])
			assert(layer:save(to, { compression = "gzip", reproducible = true }))
			assert.equal(layer.diff_id, "sha256:" .. shell.sha256(bench.dir:write("p", plain(to, "gzip"))):match("%x+$"))
		end
	end)

	specify("is compressed by zlib, whichever libraries there are, when it is to be reproducible", function()
		local function zlib(bytes, level)
			local deflate = assert(core.push_deflate("gzip", 100 + level))
			return assert(deflate:write(bytes)) .. assert(deflate:finish())
		end
		for _, layer in ipairs({ open() }) do
			assert(layer:save(to, { compression = "none" }))
			local tar = shell.read(to)
			for _, levels in ipairs({ { 6 }, { 6, 0 }, { 6, 3 }, { 4, 4 }, { 9, 9 } }) do
				local expected, level = levels[1], levels[2]
				assert(layer:save(to, { compression = "gzip", reproducible = true, level = level }))
				assert.is_true(shell.read(to) == zlib(tar, expected), tostring(level))
			end
		end
	end)

	specify("carries edits out, and goes into an open file", function()
		local _, layer = open()
		layer:entry("b").mtime = 5
		local file = assert(io.open(to, "wb"))
		local result = assert(layer:save(file, { compression = "none" }))
		file:close()
		assert.is_nil(result.path)
		assert.equal(result.diff_id, layer.diff_id)
		assert.equal(5, archive.list(to)[1].mtime)
		assert.matches("^none, ", tostring(result))
	end)

	specify("writes nothing when the bytes are others", function()
		for i = 1, 2 do
			local _, _, path = bench:open({
				{ gzip = i == 2, entries = { { name = "a", data = ("content "):rep(1000) } } },
			})
			local image = bench:load(path)
			local layer = image.layers[1]
			assert.is_string(layer.digest)
			local file = assert(io.open(path, "r+b"))
			local bytes = file:read("*a")
			local at = i == 1 and bytes:find("content content", 1, true) or bytes:find("\31\139\8", 1, true) + 30
			file:seek("set", at + 3)
			file:write("\255\254")
			file:close()
			local ok, _, code = layer:save(to)
			assert.is_nil(ok)
			assert.is_true(code == "EDIGEST" or code == "ESTALE", tostring(code))
			assert.is_nil(io.open(to))
		end
	end)

	specify("throws what makes no sense, at the line that does it", function()
		local layer = open()
		for message, arguments in pairs({
			["save: a path"] = {}, ["save: compression should be"] = { to, { compression = "xz" } },
			["no option 'compresion'; did you mean 'compression'"] = { to, { compresion = "gzip" } },
			["level should be"] = { to, { compression = "gzip", level = 99 } },
		}) do
			local ok, thrown = pcall(function() layer:save(arguments[1], arguments[2]) end)
			assert.is_false(ok)
			assert.matches("^spec/layer/save_spec.lua:%d+: .*" .. message, thrown)
		end
		local ok, _, code = layer:save("/nowhere/at/all")
		assert.same({ nil, "ENOENT" }, { ok, code })
	end)
end)
