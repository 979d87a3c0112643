-- Options that a call did not look at were taken and did nothing: images came that were not meant, a policy found
-- nothing, limits did not bind.

local oci_layout = require "spec.support.oci_layout"
local policy = require "strata.policy"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("an option", function()
	local dir, path, img

	before_each(function()
		dir = tmp.dir()
		local made, descriptors = oci_layout.new(), {}
		local layer = made:file_layer("root/.ssh/id_rsa")
		for i, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
			descriptors[i] = made:image({ layers = { layer }, platform = platform, name = platform }).descriptor
		end
		made:list(made:index(descriptors), "1")
		path = made:directory(dir:file("layout"))
		img = assert(strata.open(path, { platform = "linux/amd64" }))
	end)

	after_each(function()
		img:close()
		dir:remove()
	end)

	it("of strata.images chooses the images that come", function()
		local seen = {}
		for one in assert(strata.images(path, { platform = "linux/arm64" })) do
			seen[#seen + 1] = tostring(one.platform)
		end
		assert.same({ "linux/arm64" }, seen)
		local images, message, code = strata.images(path, { ref = "2" })
		assert.is_nil(images)
		assert.matches("no image with ref", message)
		assert.equal("ENOENT", code)
	end)

	it("that an index cannot keep to is refused", function()
		assert.error_matches(function()
			local _ = strata.open_index(path, { platform = "linux/arm64" })
		end, "open_index has no option 'platform'")
		local index = assert(strata.open_index(path))
		for _, selector in ipairs({ "linux/arm64", { platfrom = "linux/arm64" } }) do
			assert.has_error(function()
				local _ = index:images(selector)
			end)
		end
	end)

	it("of a policy's secrets is one that there is, and of its type", function()
		for _, paths in ipairs({ "**/id_rsa", { "**/id_rsa" }, { pattern = "id_rsa$" } }) do
			assert.equal(1, #policy.check(img, { root_user = true, secrets = { paths = paths } }))
		end
		for wrong, message in pairs({
			path = "secrets has no rule 'path'; did you mean 'paths'?",
			env = "secrets.env should be an array of strings, not '**/id_rsa'",
		}) do
			assert.has_error(function()
				policy.check(img, { secrets = { [wrong] = "**/id_rsa" } })
			end, "policy: " .. message)
		end
	end)

	it("of limits binds the check of a tar", function()
		local tar = dir:file("root.tar")
		assert(img:export(tar))
		assert.same({}, assert(strata.check_tar(tar)))
		assert.matches("limits%.path", assert(strata.check_tar(tar, { limits = { path = 4 } }))[1].message)
		strata.limits.path = 4
		local found = assert(strata.check_tar(tar))
		strata.limits.path = nil
		assert.matches("limits%.path", found[1].message)
	end)
end)
