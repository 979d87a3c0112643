-- Takes seconds: not for make check.
-- Archives that were sound once: cut off, with bytes that changed, with digests that do not hold.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local refusal = require "spec.support.refusal"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local dir = tmp.dir(tmp.for_peers())
local path = dir:file("damaged.tar")
local layers = archive.layers(2)
local made = archive.image({ layers = layers })

local function each_entry(img)
	local ok, message = pcall(function()
		for _, layer in img:layers() do
			for entry in layer:entries() do
				assert(entry.path)
			end
		end
	end)
	if not ok then
		assert.is_string(message)
	end
	return ok, message
end

local function flipped(bytes, at)
	return bytes:sub(1, at - 1) .. string.char((bytes:byte(at) + 1) % 256) .. bytes:sub(at + 1)
end

-- Where the members begin, and where the data of each begins and ends.
local function spans_of(built)
	local spans, offset = {}, 0
	for i, member in ipairs(built.members) do
		local size = #(member.data or "")
		spans[i] = { name = member.name, header = offset, data = offset + 512, data_end = offset + 512 + size }
		offset = offset + 512 + size + #archive.padding(size)
	end
	spans.end_blocks = offset
	return spans
end

describe("a truncated archive", function()
	for _, name in ipairs({ "docker_1_10", "docker_25", "docker_29", "kaniko", "podman" }) do
		it("as of " .. name .. " is refused wherever it was cut", function()
			local built = dialects.of[name](made)
			local bytes, spans = built:bytes(), spans_of(built)
			local refused, whole = 0, 0
			for block = 0, math.floor(#bytes / 512) do
				for _, cut in ipairs({ block * 512, block * 512 + 1, block * 512 + 511 }) do
					local within = nil
					for _, span in ipairs(spans) do
						if cut > span.header and cut < span.data_end then
							within = span
						end
					end
					if cut < #bytes then
						shell.write(path, bytes:sub(1, cut))
						local img, message, code = strata.open(path)
						if img then
							assert.is_nil(within, within and within.name)
							assert.is_true(img:verify())
							assert.is_true((each_entry(img)))
							img:close()
							whole = whole + 1
						else
							refusal.expect(img, message, code)
							-- Between two members what is left may look like another format.
							assert.is_true(code == "EFORMAT" or not within and code == "EUNSUPPORTED", message)
							assert.truthy(message:find(path, 1, true), message)
							refused = refused + 1
						end
					end
				end
			end
			assert.is_true(refused > 10 and whole > 0)
		end)
	end

	it("is refused when it shrinks after it was opened", function()
		local bytes = dialects.of.docker_1_10(made):write(path) and shell.read(path)
		local img = assert(strata.open(path))
		shell.write(path, bytes:sub(1, 3000))
		refusal.expect(img:verify())
		refusal.of_save(img, tmp.dir(), "EFORMAT", { "too early" })
		img:close()
	end)

	it("is refused when the source was written to after it was opened", function()
		local bytes = dialects.of.docker_1_10(made):write(path) and shell.read(path)
		for _, edit in ipairs({ false, true }) do
			shell.write(path, bytes)
			shell.check({ "touch", "-d", "@1", path })
			local img = assert(strata.open(path))
			if edit then
				img.config:set_env("A", "B")
			end
			shell.write(path, bytes)
			refusal.of_save(img, tmp.dir(), "ESTALE", { path })
		end
	end)
end)

describe("a changed byte", function()
	it("in a config or a layer is found by verify, and by save", function()
		local place = tmp.dir(tmp.for_peers())
		for _, name in ipairs(dialects.names()) do
			local built = dialects.of[name](made)
			local bytes, spans = built:bytes(), spans_of(built)
			for i, member in ipairs(built.members) do
				local is_layer = false
				for _, layer in ipairs(layers) do
					is_layer = is_layer or member.data == layer.tar or member.data == rawget(layer, "gz")
				end
				if is_layer then
					for _, at in ipairs({ spans[i].data + 20, spans[i].data + 60, spans[i].data_end - 9 }) do
						shell.write(path, flipped(bytes, at))
						local img = assert(strata.open(path))
						local ok, message, code = img:verify()
						refusal.expect(ok, message, code)
						assert.is_true(code == "EDIGEST" or code == "EFORMAT", message)
						assert.truthy(message:find("layer [12]/2"), message)
						local target = place:write("target", "old")
						for _ = 1, 2 do
							refusal.expect(img:save(target))
							assert.equal("old", shell.read(target))
							assert.same({ "target" }, place:names())
							img.config:set_env("A", "B")
						end
						assert.is_true((img:save(target, { verify = false })) ~= nil)
						os.remove(target)
						img:close()
					end
				elseif member.data == made.config and name ~= "jib" then
					shell.write(path, flipped(bytes, spans[i].data + 40))
					if built:position("blobs/sha256/" .. made.id) then
						refusal.of_open(path, "EDIGEST", { "config", made.id })
					else
						local img, message, code = strata.open(path)
						if img then
							img, message, code = img:verify()
							assert.equal("EDIGEST", code)
						end
						refusal.expect(img, message, code)
					end
				end
			end
		end
	end)

	it("anywhere in a compressed layer is found by all that read it", function()
		local one = archive.image({ layers = { layers[1] } })
		local gz = layers[1].gz
		local undetected = {}
		for at = 1, #gz do
			local built = dialects.of.kaniko(one)
			built:member(layers[1].gz_id .. ".tar.gz").data = flipped(gz, at)
			local img, message, code = strata.open(built:write(path))
			if not img then
				refusal.expect(img, message, code)
			else
				local ok
				ok, message, code = img:verify()
				if ok then
					undetected[#undetected + 1] = at
				else
					refusal.expect(ok, message, code)
					assert.truthy(message:find("layer 1/1", 1, true), message)
					assert.is_false(each_entry(img) and img:save(dir:file("x")) ~= nil)
				end
				img:close()
			end
		end
		-- What gzip inflates to the same is the same: its header's flags, time and system, for one.
		assert.is_true(#undetected < 12)
		for _, at in ipairs(undetected) do
			shell.write(path, flipped(gz, at))
			assert.equal(layers[1].tar, shell.check({ "gzip", "-dc", input = shell.read(path) }), tostring(at))
		end
	end)

	it("anywhere in an archive gives an image or three values, never a crash", function()
		for _, name in ipairs({ "docker_25", "podman" }) do
			local bytes = dialects.of[name](archive.image({ layers = { layers[1] } })):bytes()
			local opened = 0
			for at = 1, #bytes, 13 do
				shell.write(path, flipped(bytes, at))
				local img, message, code = strata.open(path)
				if img then
					opened = opened + 1
					local ok
					ok, message, code = img:verify()
					if ok then
						assert.is_true((each_entry(img)))
					else
						refusal.expect(ok, message, code)
						each_entry(img)
					end
					img:close()
				else
					refusal.expect(img, message, code)
				end
			end
			assert.is_true(opened > 100)
		end
	end)
end)

describe("a compressed layer", function()
	local one = archive.image({ layers = { layers[1] } })

	local function with_layer(bytes)
		local built = dialects.of.kaniko(one)
		built:member(layers[1].gz_id .. ".tar.gz").data = bytes
		return assert(strata.open(built:write(path)))
	end

	it("may be several gzip members, and end in zeros", function()
		local tar = layers[1].tar
		local parts = archive.gzip(tar:sub(1, 700)) .. archive.gzip("") .. archive.gzip(tar:sub(701))
		for _, bytes in ipairs({ parts, layers[1].gz .. ("\0"):rep(100), parts .. "\0" }) do
			local img = with_layer(bytes)
			assert.is_true(img:verify())
			assert.is_true((each_entry(img)))
		end
	end)

	it("is refused when it is cut off, or followed by something else", function()
		local place = tmp.dir(tmp.for_peers())
		local gz = layers[1].gz
		for _, bytes in ipairs({
			gz:sub(1, 10),
			gz:sub(1, -2),
			gz:sub(1, -9),
			gz:sub(1, math.floor(#gz / 2)),
			gz .. "x",
			gz .. gz,
			gz .. gz:sub(1, 20),
		}) do
			local img = with_layer(bytes)
			local ok, message, code = img:verify()
			refusal.expect(ok, message, code)
			assert.truthy(message:find("layer 1/1", 1, true), message)
			assert.is_false((each_entry(img)))
			local content
			content, message, code = img.layers[1]:read("etc/layer1")
			refusal.expect(content, message, code)
			refusal.of_save(img, place, code, { "layer 1/1" })
			img.config:set_env("A", "B")
			refusal.of_save(img, place, code, { "layer 1/1" })
		end
	end)

	it("is refused when it is in a format that nobody can read", function()
		for _, bytes in ipairs({ "\253" .. "7zXZ\0rest", "BZh91AY&SYrest", "\4\34\77\24rest" }) do
			local img = with_layer(bytes)
			refusal.expect(img:verify())
			assert.is_false((each_entry(img)))
			assert.is_nil((img:filter(function() return true end)))
			refusal.expect(img:save(dir:file("x")))
		end
	end)
end)

describe("a diff_id that does not match", function()
	local function wrong(name)
		local other = archive.image({ layers = { layers[1], layers[2] } })
		other.config = other.config:gsub(layers[2].diff_id, ("0"):rep(64))
		other.id = archive.sha256(other.config)
		return assert(strata.open(dialects.of[name](other):write(path)))
	end

	it("is named by verify, with both digests", function()
		for _, name in ipairs(dialects.names()) do
			local img = wrong(name)
			local ok, message, code = img:verify()
			refusal.expect(ok, message, code)
			assert.equal("EDIGEST", code)
			for _, part in ipairs({ "layer 2/2", ("0"):rep(64), layers[2].diff_id }) do
				assert.truthy(message:find(part, 1, true), message)
			end
		end
	end)

	it("keeps the image from being saved where no other digest vouches for the layer", function()
		local place = tmp.dir(tmp.for_peers())
		for _, name in ipairs({ "docker_1_10", "podman", "kaniko", "jib", "nix" }) do
			local img = wrong(name)
			refusal.of_save(img, place, "EDIGEST", { "layer 2/2" })
			img.config:set_env("A", "B")
			refusal.of_save(img, place, "EDIGEST", { "layer 2/2" })
		end
	end)

	-- Layers that are compressed are checked when they are scanned, plain ones when they are written.
	it("keeps a layer from being edited, or its edit from being saved", function()
		local place, refused = tmp.dir(tmp.for_peers()), 0
		for _, name in ipairs(dialects.names()) do
			local img = wrong(name)
			local ok, message, code = img.layers[2]:remove("etc/link2")
			if ok then
				refusal.of_save(img, place, "EDIGEST", { "layer 2/2" })
			else
				refusal.expect(ok, message, code)
				assert.equal("EDIGEST", code)
				assert.truthy(message:find("layer 2/2", 1, true), message)
				assert.is_false(img.edited)
				refused = refused + 1
			end
		end
		assert.is_true(refused > 0 and refused < #dialects.names())
	end)

	it("is the first that is named, however many there are and whoever is faster", function()
		local many = {}
		for i = 1, 8 do
			many[i] = archive.layer({ { name = "file", data = ("x"):rep(100000 * (9 - i)) } })
		end
		local image = archive.image({ layers = many })
		for i = 3, 8 do
			image.config = image.config:gsub(many[i].diff_id, ("%064d"):format(i))
		end
		image.id = archive.sha256(image.config)
		dialects.of.docker_1_10(image):write(path)
		for _, threads in ipairs({ 1, 2, 4, 8 }) do
			local ok, message = assert(strata.open(path)):verify({ threads = threads })
			assert.is_nil(ok)
			assert.truthy(message:find("layer 3/8", 1, true), message)
		end
	end)
end)
