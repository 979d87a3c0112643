-- An archive of Docker 25 has manifest.json beside index.json. Edited by prefer = "oci" it came out with a
-- manifest.json that named a config which was not there any more.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("an archive with both lists that is edited by one", function()
	local dir = tmp.dir(tmp.for_peers())
	local layers = archive.layers(3)
	local made = archive.image({ layers = layers })
	local PREFERENCES = { "docker", "oci" }

	local function edit(path, prefer)
		local img = assert(strata.open(path, { prefer = prefer }))
		img.config:set_env("A", "b")
		assert(img:filter(function(entry)
			return entry.path ~= "etc/layer2"
		end))
		local saved = assert(img:save(dir:file("edited.tar")))
		img:close()
		return saved.id
	end

	local function look(prefer)
		local img = assert(strata.open(dir:file("edited.tar"), { prefer = prefer }))
		assert.is_true(assert(img:verify()))
		local id = img.id
		img:close()
		return id
	end

	for _, prefer in ipairs(PREFERENCES) do
		it("has the same image in the other: " .. prefer, function()
			local id = edit(dialects.of.docker_25(made):write(dir:file("hybrid.tar")), prefer)
			for _, other in ipairs({ "docker", "oci", false }) do
				assert.equal(id, look(other or nil))
			end
			assert(strata.open(dir:file("edited.tar"), { strict = true })):close()
		end)

		it("keeps what the other leads to when they disagree: " .. prefer, function()
			local other = archive.image({ layers = { layers[1] }, name = "other" })
			local one, two = dialects.of.docker_25(made), dialects.of.docker_25(other)
			for _, member in ipairs(two.members) do
				if member.name:find("^blobs/") then
					one:add(member.name, member.data, { type = member.type })
				end
			end
			one:member("index.json").data = two:member("index.json").data
			local id = edit(one:write(dir:file("hybrid.tar")), prefer)
			assert.equal(id, look(prefer))
			assert.equal("sha256:" .. (prefer == "docker" and other or made).id, look(prefer == "docker" and "oci" or "docker"))
		end)
	end
end)
