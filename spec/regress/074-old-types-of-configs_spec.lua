local oci_layout = require "spec.support.oci_layout"
local peers = require "spec.support.peers"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

-- Images of Docker 1.10 have configs of media types that are no image's: "no image; there are: none".
describe("a manifest of Docker with a config of an old type", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	local function build(media_type, family, changes)
		local made = oci_layout.new()
		local image = made:image({
			family = family,
			layers = { made:file_layer("a", { family = family }) },
			config_descriptor = { mediaType = media_type },
			manifest = changes,
		})
		return made:list(image.descriptor, "1"), image
	end

	for _, media_type in ipairs({ "application/octet-stream", "application/json", "text/html", "" }) do
		it(("is an image: %q"):format(media_type), function()
			local made, image = build(media_type, "docker")
			for _, path in ipairs({ made:flat(dir:file("flat")), made:archive(dir:file("in.tar")) }) do
				local img = assert(strata.open(path))
				assert.equal(image.id, img.id)
				assert.equal(image.descriptor.digest, img.digest)
				assert.is_true(img:verify())
			end
			local img = assert(strata.open(dir:file("in.tar")))
			assert(img:save(dir:file("same.tar")))
			assert.equal(shell.read(dir:file("in.tar")), shell.read(dir:file("same.tar")))
			assert(img:save(dir:file("layout"), { format = "oci" }))
			img = assert(strata.open(dir:file("layout")))
			assert.equal(image.id, img.id)
			assert.equal("none", tostring(img:check({ severity = "note" })))
		end)
	end

	it("is none with the manifest of OCI, or with a type of something else", function()
		for media_type, family in pairs({
			["application/octet-stream"] = "oci",
			["application/json"] = "oci",
			["application/vnd.docker.plugin.v1+json"] = "docker",
			["application/vnd.cncf.helm.config.v1+json"] = "docker",
		}) do
			local img, message, code = strata.open(build(media_type, family):archive(dir:file("in.tar")))
			assert.is_nil(img)
			assert.equal("ENOENT", code, message)
		end
	end)

	it("is what skopeo copies", function()
		peers.need("skopeo")
		local made, image = build("application/octet-stream", "docker")
		local path = made:flat(dir:file("flat"))
		shell.check({ "skopeo", "--insecure-policy", "copy", "-q", "dir:" .. path, "dir:" .. dir:file("copy") })
		assert.equal(image.id, assert(strata.open(dir:file("copy"))).id)
	end)
end)
