-- Annotations and artifacts with other programs: skopeo and umoci take what strata writes and change nothing of it,
-- and Debian's docker-registry, which has no list of referrers, gets the one that clients keep.

local cjson = require "cjson"
local docker_registry = require "spec.support.docker_registry"
local oci_layout = require "spec.support.oci_layout"
local peers = require "spec.support.peers"
local referrers = require "strata.registry.referrers"
local remote = require "spec.support.remote"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local SPDX = "application/spdx+json"
local AMD64 = { platform = "linux/amd64" }

local need = peers.need

local function skopeo(...)
	local words = { "skopeo", "--insecure-policy", ... }
	words.env = { PATH = shell.PATH, LC_ALL = "C.UTF-8" }
	return (shell.check(words))
end

describe("annotations and artifacts", function()
	local dir, path, index, server

	before_each(function()
		dir = tmp.dir()
		local layout, children = oci_layout.new(), {}
		for i, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
			children[i] = layout:image({ platform = platform, layers = { layout:file_layer(platform) } }).descriptor
		end
		index = layout:index(children)
		path = layout:list(index, "app"):directory(dir:file("layout"))
	end)

	after_each(function()
		if server then
			server:stop()
			server = nil
		end
		dir:remove()
	end)

	-- Sets one of each kind.
	local function annotate()
		local all = assert(strata.open_index(path))
		for img in all:images(AMD64) do
			img:set_annotation("of", "the manifest"):set_descriptor_annotation("of", "the descriptor")
			img.layers[1]:set_annotation("of", "the layer")
			index = img.index.digest
		end
		all:set_annotation("of", "the index", { digest = index }):set_annotation("of", "index.json")
		assert(all:save(path))
	end

	it("are set and made as doc/artifacts.md shows it", function()
		local blocks, printed = {}, {}
		for block in shell.read("doc/artifacts.md"):gmatch("\n```lua\n(.-)```") do
			blocks[#blocks + 1] = block
		end
		assert.equal(2, #blocks)
		shell.write(dir:file("app.spdx.json"), '{"spdxVersion":"SPDX-2.3"}')
		local function note(text)
			printed[#printed + 1] = text
		end
		for _, block in ipairs(blocks) do
			local code = block:gsub('"app"', ("%q"):format(path)):gsub('path = "app', 'path = "' .. dir:file("app"))
			local compile = rawget(_G, "loadstring") or load
			assert(compile("local strata, print = ...\n" .. code))(strata, note)
		end
		assert.same({ '{"spdxVersion":"SPDX-2.3"}' }, printed)
		local img = assert(strata.open(path, AMD64))
		assert.equal("4f2a", img.annotations["org.opencontainers.image.revision"])
		assert.same({ ["com.example.stage"] = "test" }, img.descriptor_annotations)
		assert.equal("base", img.layers[1].annotations["com.example.from"])
		assert.same({ ["com.example.team"] = "shop" }, img.index.annotations)
		assert.equal(1, #img:referrers())
	end)

	it("in a layout are copied by skopeo as they are", function()
		need("skopeo")
		annotate()
		local copy = dir:file("copy")
		skopeo("copy", "--quiet", "--all", "--preserve-digests", "oci:" .. path .. ":app", "oci:" .. copy .. ":app")
		shell.check({ "diff", "-r", path .. "/blobs", copy .. "/blobs" })
		local img = assert(strata.open(copy, AMD64))
		assert.same({ of = "the manifest" }, img.annotations)
		assert.same({ of = "the descriptor" }, img.descriptor_annotations)
		assert.same({ of = "the layer" }, img.layers[1].annotations)
		assert.same({ of = "the index" }, img.index.annotations)
		local raw = skopeo("inspect", "--raw", "oci:" .. path .. ":app")
		assert.same({ of = "the index" }, cjson.decode(raw).annotations)
	end)

	it("do not keep umoci from an image", function()
		need("umoci", "skopeo")
		annotate()
		local img = assert(strata.open(path, AMD64))
		img.tags = { "app:one" }
		assert(img:save(dir:file("one"), { format = "oci" }))
		assert(strata.artifact({ type = SPDX, files = { ["sbom.json"] = "{}" },
			subject = assert(strata.open(dir:file("one"))) }):save(dir:file("one")))
		shell.check({ "umoci", "config", "--image", dir:file("one") .. ":one", "--config.user", "1000",
			env = { PATH = shell.PATH } })
		img = assert(strata.open(dir:file("one")))
		assert.equal("1000", img.config.User)
		assert.equal("{}", assert(strata.open_artifact(dir:file("one"))):read("sbom.json"))
		assert.equal("the layer", img.layers[1].annotations.of)
	end)

	it("go through docker-registry, which has no list of what is about an image", function()
		need("docker-registry", "skopeo")
		local hub = remote.client()
		server = docker_registry.start({})
		annotate()
		local ref = ("docker://%s/team/app:1"):format(server.host)
		assert(assert(strata.open_index(path)):save(ref, { registry = hub }))
		local back = dir:file("back")
		skopeo("copy", "--quiet", "--all", "--src-tls-verify=false", "--preserve-digests", ref, "oci:" .. back .. ":app")
		local img = assert(strata.open(back, AMD64))
		assert.same({ of = "the manifest" }, img.annotations)
		assert.same({ of = "the descriptor" }, img.descriptor_annotations)

		img = assert(strata.open(ref, { platform = "linux/amd64", registry = hub }))
		local one = assert(strata.artifact({ type = SPDX, files = { ["sbom.json"] = "{}" }, subject = img }))
		local two = assert(strata.artifact({ type = "a/b", annotations = { sig = "MEQ" }, subject = img }))
		for _, artifact in ipairs({ one, two, one }) do
			assert(artifact:save(ref:gsub(":1$", ""), { registry = hub }))
		end
		local list = cjson.decode(skopeo("inspect", "--raw", "--tls-verify=false",
			("docker://%s/team/app:%s"):format(server.host, (referrers.tag_of(img.digest)))))
		assert.same({ one.digest, two.digest }, { list.manifests[1].digest, list.manifests[2].digest })
		assert.equal(2, #list.manifests)
		assert.same({ SPDX, "a/b" }, { list.manifests[1].artifactType, list.manifests[2].artifactType })
		local rows = assert(img:referrers())
		assert.same({ one.digest, two.digest }, { rows[1].digest, rows[2].digest })
		local raw = skopeo("inspect", "--raw", "--tls-verify=false", (ref:gsub(":1$", "@" .. one.digest)))
		assert.equal(SPDX, cjson.decode(raw).artifactType)
	end)
end)
