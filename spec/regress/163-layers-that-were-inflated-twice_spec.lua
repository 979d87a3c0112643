-- flatten, squash, export, split, fold and layer:read scanned compressed layers, and then inflated and hashed them once
-- more to read their contents. They are inflated into a file by the scan.

local archive = require "spec.support.docker_archive"
local blobs = require "spec.support.blobs"
local strata = require "strata"
local tasks = require "spec.support.tasks"
local tmp = require "spec.support.tmp"

local function layer(name, data)
	return archive.layer({ { name = name, data = data or name:rep(5000) }, { name = "all", data = "the same" } })
end

describe("a compressed layer whose contents are read", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function open(layers, compression, options)
		local layout = blobs.new()
		local made = layout:image({ layers = layers, compression = compression })
		local path = dir:file("layout")
		layout:set_root({ blobs.descriptor(made, blobs.named("app:1")) }):write_dir(path)
		return assert(strata.open(path, options))
	end

	-- Whether the scans have inflated their layers, in order, and the number of tasks that read a layer once more.
	local function look(fn)
		local list = tasks.of(fn)
		local inflated, again = {}, #tasks.only(list, "prepare") + #tasks.only(list, "recode")
		for i, scan in ipairs(tasks.only(list, "scan")) do
			inflated[i] = scan.inflate and scan.index:prepared() or false
		end
		return inflated, again
	end

	local function three()
		return { layer("a"), layer("b"), layer("c") }
	end

	for _, compression in ipairs({ "gzip", "zstd" }) do
		it("is inflated once: " .. compression, function()
			local img
			local function check(expected, fn)
				img = open(three(), compression)
				local inflated, again = look(function()
					assert(fn(img))
				end)
				assert.same(expected, inflated)
				assert.equal(0, again)
				img:close()
			end
			check({ true, true, true }, function()
				return img:flatten()
			end)
			check({ false, true, true }, function()
				return img:squash(2, 3)
			end)
			check({ true, true, true }, function()
				return img:export(dir:file("out.tar"))
			end)
			check({ true, true, true }, function()
				return img:fold()
			end)
			check({ false, true, false, false, false }, function() -- the last two are those that it has become
				return img:split(2, "all")
			end)
			check({ true }, function()
				return img.layers[2]:read("b")
			end)
			check({ false, false, false }, function()
				return img:remove("all")
			end)
		end)
	end

	it("gives the same as a plain one", function()
		local function results(compression)
			local img = open(three(), compression)
			local found = { img.layers[2]:read("b") }
			assert(img:squash(2, 3))
			found[2] = img.layers[2].diff_id
			assert(img:remove("c"))
			assert(img:flatten())
			found[3] = img.layers[1].diff_id
			found[4] = assert(img:export(dir:file("out.tar"))).digest
			img:close()
			return found
		end
		local plain = results("none")
		assert.equal(("b"):rep(5000), plain[1])
		assert.same(plain, results("gzip"))
		assert.same(plain, results("zstd"))
	end)

	it("is compared with its digests before anything is read", function()
		local wrong, broken = layer("w"), layer("x", ("%d "):rep(3000))
		wrong.gz = layer("other").gz
		local half = math.floor(#broken.gz / 2)
		broken.gz = broken.gz:sub(1, half) .. "?!?" .. broken.gz:sub(half + 4)
		for one, code in pairs({ [wrong] = "EDIGEST", [broken] = "EFORMAT" }) do
			for _, act in ipairs({ "flatten", "fold", "read" }) do
				local img = open({ layer("a"), one })
				local ok, message, why
				if act == "read" then
					ok, message, why = img.layers[2]:read("all")
				else
					ok, message, why = img[act](img)
				end
				assert.is_nil(ok)
				assert.equal(code, why)
				assert.matches("^layer 2/2", message)
				assert.equal("the same", img.layers[1]:read("all")) -- the image can still be used
				img:close()
			end
		end
	end)

	it("keeps to the limits", function()
		local img = open({ layer("a") }, "gzip", { limits = { bytes = 1000 } })
		local ok, message, code = img.layers[1]:read("all")
		assert.is_nil(ok)
		assert.equal("ELIMIT", code)
		assert.matches("limits.bytes", message)
		img:close()
	end)
end)
