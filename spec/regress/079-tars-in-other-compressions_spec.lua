local docker_archive = require "spec.support.docker_archive"
local oci_layout = require "spec.support.oci_layout"
local strata = require "strata"
local tmp = require "spec.support.tmp"

-- append{tar =} said "compressed with anything", and called a tar in .lzma a damaged one.
describe("a tar in a compression that append{tar =} does not decode", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	local function write(command)
		local tar = docker_archive.tar({ { name = "a", data = ("text\n"):rep(1000) } })
		return dir:write("in.tar", oci_layout.filter(tar, command))
	end

	it("is refused with the option that takes it", function()
		local path = write("xz --format=lzma -c")
		local img, message, code = strata.new():append({ tar = path })
		assert.is_nil(img)
		assert.equal("EFORMAT", code)
		assert.truthy(message:find("can be given as `archive`", 1, true), message)
		img = assert(strata.new():append({ archive = path }))
		assert.equal(("text\n"):rep(1000), assert(img:rootfs()):read("a"))
	end)

	for _, command in ipairs({ "cat", "gzip -nc", "zstd -qc", "bzip2 -c", "xz -c", "lz4 -qc" }) do
		it("is none that the reference lists: " .. command, function()
			local img = assert(strata.new():append({ tar = write(command) }))
			assert.equal(("text\n"):rep(1000), assert(img:rootfs()):read("a"))
		end)
	end
end)
