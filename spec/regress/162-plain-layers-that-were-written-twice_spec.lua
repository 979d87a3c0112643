-- A compressed layer that was to be stored plain was inflated into a temporary file, and copied from there into the
-- archive. Its size is known before, and its diff_id names it: so it is inflated where the archive has it. Blobs that
-- state another size than their tar has go through a file as before.

local archive = require "spec.support.docker_archive"
local blobs = require "spec.support.blobs"
local core = require "strata.core"
local shell = require "spec.support.shell"
local strata = require "strata"
local tasks = require "spec.support.tasks"
local tmp = require "spec.support.tmp"

local function random(size)
	local bytes, seed = {}, 7
	for i = 1, size do
		seed = (seed * 1103515245 + 12345) % 2147483648
		bytes[i] = string.char(math.floor(seed / 65536) % 256)
	end
	return table.concat(bytes)
end

local function layer(name, size)
	local data = random(size or 3000) .. name:rep(9000)
	return archive.layer({ { name = name, data = data }, { name = "other", data = "o" } })
end

local gzip = archive.gzip

-- The same as gzip makes it when it is in a hurry: another blob.
local function gzip_fast(bytes)
	local path = os.tmpname()
	shell.write(path, bytes)
	local out = shell.check({ "gzip", "-1nc", path })
	os.remove(path)
	return out
end

local function little_endian(n)
	local bytes = {}
	for i = 1, 4 do
		bytes[i] = string.char(n % 256)
		n = math.floor(n / 256)
	end
	return table.concat(bytes)
end

describe("a plain layer out of a compressed one", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	-- A layout of layers whose compressed bytes `change` may have made others.
	local function layout_of(layers, compression)
		local layout = blobs.new()
		local made = layout:image({ layers = layers, compression = compression })
		shell.check({ "rm", "-rf", dir:file("layout") })
		return layout:set_root({ blobs.descriptor(made, blobs.named("app:1")) }):write_dir(dir:file("layout"))
	end

	-- Saves plain: how many layers went straight into the output, in the end, and the result's or the error's values.
	local function save(path, format)
		local result
		local list = tasks.of(function()
			local img = assert(strata.open(path))
			result = { img:save(dir:file("out.tar"), { format = format or "docker", compression = "none" }) }
			img:close()
		end)
		local straight, through = 0, 0
		for _, recode in ipairs(tasks.only(list, "recode")) do
			if recode.to_size then
				straight = straight + 1
			else
				through = through + 1
			end
		end
		return straight, through, result
	end

	local function check_saved(layers)
		local img = assert(strata.open(dir:file("out.tar")))
		assert(img:verify())
		for i, one in ipairs(layers) do
			assert.equal("none", img.layers[i].compression)
			assert.equal(one.diff_id, img.layers[i].digest:sub(8))
		end
		img:close()
	end

	it("is written straight into the archive", function()
		local layers = { layer("a"), layer("b") }
		for _, compression in ipairs({ "gzip", "zstd" }) do
			local path = layout_of(layers, compression)
			for _, format in ipairs({ "docker", "docker-legacy", "oci-archive" }) do
				local straight, through = save(path, format)
				assert.same({ 2, 0 }, { straight, through })
				check_saved(layers)
			end
		end
	end)

	it("is the same bytes as through a file", function()
		local path = layout_of({ layer("a"), layer("b") })
		save(path)
		local first = shell.read(dir:file("out.tar"))
		local stated = getmetatable(assert(core.temp_file())).__index
		local real = stated.stated_size
		stated.stated_size = function() end
		local called, straight, through = pcall(save, path)
		stated.stated_size = real
		assert.same({ true, 0, 2 }, { called, straight, through })
		assert.is_true(first == shell.read(dir:file("out.tar")))
	end)

	it("goes through a file when it has several members", function()
		local two, one = layer("a", 300), layer("b")
		-- A last member of a likely size: it shows when the first one does not fit in.
		two.gz = gzip(two.tar:sub(1, 2000)) .. gzip(two.tar:sub(2001))
		local straight, through = save(layout_of({ two, one }))
		assert.same({ 2, 2 }, { straight, through })
		check_saved({ two, one })
		-- And one that cannot be right.
		two = layer("c")
		two.gz = gzip(two.tar:sub(1, -513)) .. gzip(two.tar:sub(-512))
		straight, through = save(layout_of({ one, two }))
		assert.same({ 1, 1 }, { straight, through })
		check_saved({ one, two })
		two.gz = gzip(two.tar) .. ("\0"):rep(100)
		straight, through = save(layout_of({ one, two }))
		assert.same({ 1, 1 }, { straight, through })
		check_saved({ one, two })
	end)

	it("of a blob that lies about its size is refused as before", function()
		local one, good = layer("a"), layer("b")
		local honest = one.gz
		for _, size in ipairs({ #one.tar + 512, #one.tar - 512, #honest * 90, 4294967295, 0, #honest }) do
			one.gz = honest:sub(1, -5) .. little_endian(size)
			local _, _, result = save(layout_of({ good, one }))
			assert.is_nil(result[1])
			assert.matches("layer 2/2 .*its length does not match", result[2])
			assert.equal("EFORMAT", result[3])
			assert.same({ "layout" }, dir:names())
		end
	end)

	it("is not given a place of more than a hundred times what is stored", function()
		local zeros = archive.layer({ { name = "zeros", data = ("\0"):rep(300000) } })
		zeros.gz = gzip(zeros.tar)
		assert.is_true(#zeros.tar > 100 * #zeros.gz)
		local straight, through = save(layout_of({ zeros }))
		assert.same({ 0, 1 }, { straight, through })
		check_saved({ zeros })
	end)

	it("keeps to the limits", function()
		local one = layer("a")
		local img = assert(strata.open(layout_of({ one }), { limits = { bytes = 1000 } }))
		local ok, message, code = img:save(dir:file("out.tar"), { format = "docker", compression = "none" })
		assert.is_nil(ok)
		assert.equal("ELIMIT", code)
		assert.matches("limits.bytes", message)
		assert.same({ "layout" }, dir:names())
	end)

	it("is compared with its digests, also where another layer has the same tar", function()
		local one, same = layer("a"), layer("a")
		local function broken(bytes)
			local half = math.floor(#bytes / 2)
			return bytes:sub(1, half) .. string.char((bytes:byte(half + 1) + 1) % 256) .. bytes:sub(half + 2)
		end
		one.gz = broken(one.gz)
		local _, _, result = save(layout_of({ layer("b"), one }))
		assert.is_nil(result[1])
		assert.matches("^layer 2/2", result[2])
		assert.same({ "layout" }, dir:names())
		-- The archive has each tar once, and the second blob of it is read nevertheless.
		same.gz = broken(gzip_fast(same.tar))
		for _, format in ipairs({ "docker", "docker-legacy", "oci-archive" }) do
			_, _, result = save(layout_of({ layer("a"), layer("b"), same }), format)
			assert.is_nil(result[1])
			assert.matches("^layer 3/3", result[2])
			assert.same({ "layout" }, dir:names())
		end
		-- A diff_id that is not that of the tar.
		one = layer("c")
		one.gz = layer("d").gz
		_, _, result = save(layout_of({ layer("b"), one }))
		assert.equal("EDIGEST", result[3])
		assert.matches("^layer 2/2", result[2])
		assert.same({ "layout" }, dir:names())
	end)

	it("has the size that a scan has found, whatever its blob states", function()
		local two = layer("a", 300)
		two.gz = gzip(two.tar:sub(1, 2000)) .. gzip(two.tar:sub(2001))
		local list = tasks.of(function()
			local img = assert(strata.open(layout_of({ two })))
			assert.equal(2, img.layers[1].count)
			assert(img:save(dir:file("out.tar"), { format = "docker", compression = "none" }))
			img:close()
		end)
		local recodes = tasks.only(list, "recode")
		assert.equal(1, #recodes)
		assert.equal(#two.tar, recodes[1].to_size)
		check_saved({ two })
	end)
end)
