-- index:each with a platform that no image was for visited nothing and returned the index, as after an edit.

local archive = require "spec.support.docker_archive"
local blobs = require "spec.support.blobs"
local collect = require "spec.support.collect"
local dialects = require "spec.support.docker_dialects"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local LAYERS = archive.layers(3)

describe("a selector", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	local function layout()
		local made = blobs.new()
		local arm = archive.image({ layers = { LAYERS[2] } }).config:gsub("amd64", "arm64")
		made:set_root({
			blobs.descriptor(made:image({ layers = { LAYERS[1] } }), blobs.named("amd")),
			blobs.descriptor(made:image({ layers = { LAYERS[2] }, config = arm }), blobs.named("arm")),
			blobs.descriptor(made:image({ layers = { LAYERS[1], LAYERS[3] }, without = { false, true }, name = "part" }),
				blobs.named("part") .. ',"platform":{"os":"linux","architecture":"riscv64"}'),
		})
		return made
	end

	it("that no image matches is told, with the images that there are", function()
		local docker = dialects.of.docker_25(archive.image({ layers = LAYERS })):write(dir:file("app.tar"))
		for i, path in ipairs({ layout():write_dir(dir:file("layout")), docker }) do
			local index = assert(strata.open_index(path))
			for _, platform in ipairs({ "linux/s390x", "windows/amd64", "linux/riscv64" }) do
				local result, message, code = index:images({ platform = platform })
				assert.is_nil(result)
				assert.equal("ENOENT", code)
				assert.truthy(message:find(platform, 1, true) and message:find("linux/amd64", 1, true), message)
				assert.equal(i == 1, message:find("not all of it is here", 1, true) ~= nil, message)
			end
			assert.equal(1, #collect(index:images({ platform = "linux/amd64" })))
			assert.truthy(collect(index:images())[1])
			index:close()
		end
	end)

	it("of strata.images that no image matches is told, too", function()
		local path = layout():write_dir(dir:file("layout"))
		for name, value in pairs({ platform = "linux/s390x", ref = "none", digest = "sha256:" .. ("0"):rep(64) }) do
			local images, message, code = strata.images(path, { [name] = value })
			assert.is_nil(images)
			assert.equal("ENOENT", code)
			assert.truthy(message:find(value, 1, true), message)
		end
		local count = 0
		for img in assert(strata.images(path, { platform = "linux/arm64" })) do
			assert.same({ "arm" }, img.tags)
			count = count + 1
		end
		assert.equal(1, count)
	end)

	it("of images that are not all here gives none, and that is told", function()
		local path = layout():write_dir(dir:file("layout"))
		for _, opts in ipairs({ { ref = "part" }, { platform = "linux/riscv64" } }) do
			local images, message, code = strata.images(path, opts)
			assert.is_nil(images, message)
			assert.equal("ENOENT", code)
			assert.truthy(message:find("not all of it is here", 1, true), message)
		end
	end)

	it("is not needed to be told that an index has no image", function()
		local made = blobs.new()
		made:set_root({})
		local index = assert(strata.open_index(made:write_dir(dir:file("layout"))))
		local result, message, code = index:images()
		assert.is_nil(result)
		assert.equal("ENOENT", code)
		assert.truthy(message:find("no image is all here", 1, true), message)
	end)

	it("has to be one, and made of what there is", function()
		local index = assert(strata.open_index(layout():write_dir(dir:file("layout"))))
		for _, wrong in ipairs({ "linux/arm64", { platfrom = "linux/arm64" }, { platform = 1 }, { ref = "arm" }, true }) do
			local ok, message = pcall(function()
				local _ = index:images(wrong)
			end)
			assert.is_false(ok)
			assert.matches("^.*106%-selectors.*:%d+: images", message)
		end
		for _, wrong in ipairs({ { platfrom = "linux/arm64" }, { platform = "nonsense" }, { digest = 1 } }) do
			for name, fn in pairs({ images = strata.images, open_index = strata.open_index, open = strata.open }) do
				local ok, message = pcall(function()
					local _ = fn(dir:file("layout"), wrong)
				end)
				assert.is_false(ok)
				assert.matches("^.*106%-selectors.*:%d+: " .. name, message)
			end
		end
	end)
end)
