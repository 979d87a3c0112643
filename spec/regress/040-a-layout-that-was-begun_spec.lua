-- A save to a new layout that was killed left blobs without an index.json; the next one took that for something else.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("a layout that was begun and has no index.json", function()
	local dir, img

	before_each(function()
		dir = tmp.dir()
		local made = archive.image({ layers = archive.layers(2) })
		img = assert(strata.open(dialects.of.docker_25(made):write(dir:file("in.tar"))))
	end)

	after_each(function()
		img:close()
		dir:remove()
	end)

	it("is gone on with", function()
		assert(img:save(dir:file("layout"), { format = "oci" }))
		os.remove(dir:file("layout/index.json"))
		assert(img:save(dir:file("layout"), { format = "oci" }))
		assert.is_true(assert(strata.open(dir:file("layout"))):verify())
	end)

	it("is refused when it is of another version, or there is more", function()
		shell.sh('mkdir -p "$1/blobs"; echo \'{"imageLayoutVersion":"2.0.0"}\' >"$1/oci-layout"', dir:file("layout"))
		assert.equal("EUNSUPPORTED", select(3, img:save(dir:file("layout"), { format = "oci" })))
		shell.sh('mkdir -p "$1/blobs"; echo x >"$1/other"', dir:file("full"))
		assert.equal("EEXIST", select(3, img:save(dir:file("full"), { format = "oci" })))
	end)
end)
