-- A save trusted the digest of what an earlier save of the same object had written, though the file had a name by then,
-- and others could have written to it: their bytes went into the next image under the old digest.

local archive = require("spec.support.docker_archive")
local dialects = require("spec.support.docker_dialects").of
local shell = require("spec.support.shell")
local strata = require("strata")
local tmp = require("spec.support.tmp")

-- Changes a byte in the middle of a file in place, and gives the file its old time.
local FORGE = [[cp -p "$1" "$2"
	printf X | dd of="$1" bs=1 seek="$(($(stat -c %s "$1") / 2))" conv=notrunc status=none
	touch -r "$2" "$1"]]

describe("a layer that lies in what was saved, and to which somebody has written since,", function()
	local dir, img

	before_each(function()
		dir = tmp.dir()
		local layer = archive.layer({ { name = "a", data = ("a"):rep(100000) }, { name = "gone", data = "x" } })
		local path = dialects.docker_25(archive.image({ tags = { "app:1" }, layers = { layer } }))
			:write(dir:file("source.tar"))
		img = assert(strata.open(path))
		assert(img:remove("gone"))
	end)

	after_each(function()
		img:close()
		dir:remove()
	end)

	local function is_refused(file, target, opts)
		shell.sh(FORGE, file, dir:file("before"))
		local result, message, code = img:save(target, opts)
		assert.is_nil(result)
		assert.equal("EDIGEST", code)
		assert.matches("layer 1/1", message, 1, true)
		assert.equal(1, shell.run({ "test", "-e", target }).status)
	end

	it("is refused by the next save, when it is in an archive", function()
		assert(img:save(dir:file("out.tar")))
		is_refused(dir:file("out.tar"), dir:file("again.tar"))
	end)

	for _, compression in ipairs({ "none", "gzip" }) do
		it("is refused by the next save, when it is in a layout, compression " .. compression, function()
			local opts = { format = "oci", compression = compression }
			local result = assert(img:save(dir:file("out"), opts))
			local blob = dir:file("out/blobs/sha256/" .. result.layers[1].digest:match("%x+$"))
			is_refused(blob, dir:file("again.tar"), { format = "oci-archive", compression = compression })
		end)
	end
end)
