-- index:untag, index:remove and index:add copied all edits and read every descriptor for each call, and index:remove of
-- a list did for each name: 1,000 of them took 30 seconds. Steps of Lua are counted, not seconds.

local cjson = require "cjson"
local core = require "strata.core"
local layout = require "spec.support.oci_layout"
local shell = require "spec.support.shell"
local steps = require "spec.support.steps"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local types = layout.types.oci

describe("ten times as many edits of an index take ten times as many steps:", function()
	local dir, made

	setup(function()
		dir, made = tmp.dir(), {}
	end)

	teardown(function()
		dir:remove()
	end)

	local function put(path, bytes)
		local digest = core.sha256(bytes)
		shell.write(path .. "/blobs/sha256/" .. digest:match("%x+$"), bytes)
		return digest, #bytes
	end

	-- A descriptor of a manifest with a config of its own.
	local function manifest(path, word, annotations)
		local config = put(path, cjson.encode({ architecture = "amd64", os = "linux", author = word,
			rootfs = { type = "layers" } }))
		local digest, size = put(path, ('{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s",'
			.. '"size":%d},"layers":[]}'):format(types.manifest, types.config, config, 1))
		return { mediaType = types.manifest, digest = digest, size = size, annotations = annotations }, digest
	end

	-- A layout of images, each with a name, and an attestation about each.
	local function open(count)
		local path = dir:file("of" .. count)
		if not made[count] then
			local list = {}
			shell.check({ "mkdir", "-p", path .. "/blobs/sha256" })
			for i = 1, count do
				local digest
				list[2 * i - 1], digest = manifest(path, "app" .. i, { [layout.REF_NAME] = "t" .. i })
				list[2 * i] = manifest(path, "proof" .. i, {
					["vnd.docker.reference.type"] = "attestation-manifest",
					["vnd.docker.reference.digest"] = digest,
				})
			end
			shell.write(path .. "/index.json", cjson.encode({ schemaVersion = 2, manifests = list }))
			shell.write(path .. "/oci-layout", '{"imageLayoutVersion":"1.0.0"}')
			made[count] = true
		end
		return assert(strata.open_index(path))
	end

	it("untag", function()
		steps.are_linear(30, 300, function(count)
			local index = open(count)
			return function()
				for i = 1, count do
					assert(index:untag("t" .. i))
				end
				assert.equal(2 * count, #index.manifests)
				assert.same({}, index.manifests[1].tags)
				index:close()
			end
		end)
	end)

	it("remove, with the attestations", function()
		steps.are_linear(30, 300, function(count)
			local index = open(count)
			return function()
				for i = 2, count do
					local _, gone = assert(index:remove("t" .. i))
					assert.equal(2, #gone)
				end
				assert.equal(2, #index.manifests)
				index:close()
			end
		end)
	end)

	it("remove of a list", function()
		steps.are_linear(30, 300, function(count)
			local index, names = open(count), {}
			for i = 2, count do
				names[#names + 1] = "t" .. i
			end
			return function()
				assert(index:remove(names))
				index:close()
			end
		end)
	end)

	it("add, and a plan of the save", function()
		steps.are_linear(30, 300, function(count)
			local index, list = open(1), {}
			for i = 1, count do
				list[i] = strata.new()
				list[i].config:set_label("number", i)
				list[i]:tag("new:" .. i)
			end
			return function()
				for _, img in ipairs(list) do
					assert(index:add(img, { index = "index.json" }))
				end
				assert.equal(2 + count, #index.manifests)
				assert(index:plan())
				index:close()
			end
		end)
	end)
end)
