-- strata.stream.image: what is no archive of docker save, or contradicts itself.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local push = require "spec.support.push"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local EDITS = push.EDITS
local through, refuse = push.edited, push.refuse
local dir = tmp.dir(tmp.for_peers())
local layers = archive.layers(3)

local function write(bytes)
	return dir:write("image.tar", bytes)
end

describe("a stream that is wrong", function()
	local made = archive.image({ layers = layers })

	it("is no image", function()
		refuse("EFORMAT", {}, "")
		refuse("EFORMAT", {}, ("garbage "):rep(1000))
		refuse("EFORMAT", { "manifest.json" }, archive.tar({ { name = "a", data = "b" } }))
		refuse("EFORMAT", { "manifest.json" }, archive.tar({ { name = "a", data = "b" } }), {})
	end)

	it("has a layer that is not what its name says: nothing leads to it then", function()
		local built = dialects.of.docker_25(made)
		local member = built:member("blobs/sha256/" .. layers[2].diff_id)
		member.data = member.data:gsub("layer 2", "layer X", 1)
		local words = { layers[2].diff_id, "sha256:" .. archive.sha256(member.data) }
		refuse("EDIGEST", words, built:bytes())
		refuse("EDIGEST", words, built:bytes(), {})
		refuse("EDIGEST", words, built:bytes(), { config = EDITS.config })
	end)

	it("has a layer that is not what the config says", function()
		for _, name in ipairs({ "docker_1_10", "kaniko", "jib" }) do
			local built = dialects.of[name](made)
			for _, member in ipairs(built.members) do
				if member.data == layers[2].tar then
					member.data = member.data:gsub("layer 2", "layer X", 1)
				elseif member.data == layers[2].gz then
					member.data = layers[3].gz
				end
			end
			for _, edits in ipairs({ EDITS, {}, { config = EDITS.config } }) do
				refuse("EDIGEST", { "layer 2/3", layers[2].diff_id }, built:bytes(), edits)
			end
		end
	end)

	it("has a config that is not what its address says", function()
		local built = dialects.of.docker_25(made)
		built:member("blobs/sha256/" .. made.id).data = made.config .. " "
		refuse("EDIGEST", { made.id }, built:bytes())
		built = dialects.of.podman(made)
		built:member(made.id .. ".json").data = made.config .. " "
		local saved, streamed = push.saved(write(built:bytes()), EDITS), (through(built:bytes(), EDITS))
		assert.equal(assert(strata.open(write(saved))).id, assert(strata.open(write(streamed))).id)
	end)

	it("has a layer that is no tar", function()
		for _, data in ipairs({ "text", ("text "):rep(1000), '{"a":1}', "", "\31\139 no gzip at all, but a bit like it" }) do
			local built = archive.new():add("l.tar", data)
			local config = ('{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}'):format(
				archive.sha256(data)
			)
			built:add("c.json", config):add("manifest.json", '[{"Config":"c.json","Layers":["l.tar"]}]')
			local saved, message, code = push.saved(write(built:bytes()), EDITS)
			local out, why, how = through(built:bytes(), EDITS)
			if saved then
				assert.is_true(saved == out, tostring(why))
			else
				assert.is_true(out == nil)
				assert.equal(code, how, message .. "\n" .. tostring(why))
			end
		end
	end)

	it("lacks a layer, or has layers and diff_ids that differ in number", function()
		local built = dialects.of.podman(made)
		built:remove(layers[2].diff_id .. ".tar")
		refuse("EFORMAT", { "not in the archive" }, built:bytes())
		built = dialects.of.podman(made)
		local member = built:member("manifest.json")
		member.data = member.data:gsub('"Layers":%["[^"]*",', '"Layers":[', 1)
		refuse("EFORMAT", { "2 layers", "3 diff_ids" }, built:bytes())
	end)

	it("holds several images, and none is chosen", function()
		local one = archive.image({ name = "one", layers = { layers[1], layers[2] }, tags = { "one:1" } })
		local two = archive.image({ name = "two", layers = { layers[3] }, tags = { "two:1" } })
		local bytes = dialects.of.docker_25(one, two):bytes()
		refuse("EAMBIGUOUS", { "one:1", "two:1" }, bytes)
		local options = { ref = "one:1" }
		for key, value in pairs(EDITS) do
			options[key] = value
		end
		refuse("EUNSUPPORTED", { layers[3].diff_id, "strata.open" }, bytes, options)
		local out = assert(through(bytes, { ref = "one:1", filter = EDITS.filter, config = EDITS.config }))
		local saved = push.saved(write(bytes), { filter = EDITS.filter, config = EDITS.config }, { ref = "one:1" })
		assert.same((push.members(saved)), (push.members(out)))
	end)

	it("is an OCI archive", function()
		local built = dialects.of.docker_29(made)
		built:remove("manifest.json")
		refuse("EUNSUPPORTED", { "manifest.json", "strata.open" }, built:bytes())
	end)

	it("is too much for a limit, which the message names", function()
		local bytes = dialects.of.docker_25(made):bytes()
		local function limited(limits)
			return { filter = EDITS.filter, limits = limits }
		end
		refuse("ELIMIT", { "limits.spool" }, bytes, limited({ spool = 1000 }))
		refuse("ELIMIT", { "limits.held" }, bytes, limited({ held = 5000 }))
		refuse("ELIMIT", { "limit" }, bytes, limited({ json = { max_bytes = 100 } }))
		refuse("ELIMIT", {}, bytes, limited({ entries = 3 }))
		refuse("ELIMIT", { "layers" }, bytes, limited({ layers = 2 }))
		local packed = dialects.of.kaniko(made):bytes()
		refuse("ELIMIT", { "limits.bytes" }, packed, limited({ bytes = 2000 }))
		refuse("ELIMIT", { "limits.bytes" }, packed, { config = EDITS.config, limits = { bytes = 2000 } })
	end)

	it("stays wrong", function()
		local t = assert(strata.stream.image(EDITS))
		local _, message, code = t(("garbage "):rep(1000))
		assert.equal("EFORMAT", code)
		assert.same({ nil, message, code }, { t("more") })
		assert.same({ nil, message, code }, { t(nil) })
	end)
end)
