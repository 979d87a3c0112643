--- What print shows of results and lists.

local blobs = require "spec.support.blobs"
local docker_archive = require "spec.support.docker_archive"
local policy = require "strata.policy"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("print", function()
	local dir
	before_each(function()
		dir = tmp.dir()
	end)
	after_each(function()
		dir:remove()
	end)

	local function image()
		local img = strata.new()
		assert(img:append({ files = { ["etc/a"] = "1", ["etc/b\n"] = "2", ["opt/s"] = { content = "", mode = "4755" },
			["var/lib/dpkg/status"] = "Package: a\nVersion: 1\n" } }))
		assert(img:append({ files = { ["etc/a"] = { content = "1", uid = 7 }, ["opt/.wh.s"] = "" } }))
		img.tags = { "app:1" }
		img.config:set_env("A", "b"):set_label("c", "d")
		assert(img:save(dir:file("app.tar"), { format = "docker" }))
		img:close()
		return assert(strata.open(dir:file("app.tar")))
	end

	it("shows what is in every list and result, a line each, and nothing that a terminal obeys", function()
		local img = image()
		local root = assert(img:rootfs())
		local index = assert(strata.open_index(dir:file("app.tar")))
		local results = {
			layers = img.layers, history = img:history(), tags = img.tags, waste = img:waste(),
			wasted = img:waste().layers, wasted_files = img:waste().paths, repeated = img:waste().repeated,
			digests = root:digests(), digest = root:digests()[1], packages = root:packages(),
			part = root:extract("etc", dir:file("part"), { unprivileged = true }),
			databases = select(2, root:packages()), files = img:files(), file = img:files()[1], inspect = img:inspect(),
			plan = img:plan(), planned = img:plan().layers, planned_layer = img:plan().layers[1], check = img:check(),
			findings = policy.check(img, {}), finding = policy.check(img, {})[1], path = root:history("etc/a"),
			change = root:history("etc/a")[1], list = root:list("etc"), glob = root:glob("**"), of = root.layers,
			page = img.layers[1]:list("etc"), rows = img.layers[1]:list("etc").rows, row = img.layers[1]:list("etc").rows[1],
			manifests = index.manifests, manifest = index.manifests[1], versions = strata.versions(),
			limits = strata.limits, env = img.config.Env, labels = img.config.Labels, platform = img.platform,
			extract = img:extract(dir:file("root"), { unprivileged = true }),
			export = img:export(dir:file("root.tar")), config = img.config, entry = img.layers[1]:entry("etc/a"),
		}
		results.skipped = results.extract.skipped
		results.diff = strata.diff(img, strata.new())
		results.diff_files, results.diff_file = results.diff.files, results.diff.files[1]
		results.diff_config, results.diff_value = results.diff.config, results.diff.config[1]
		results.diff_layers, results.diff_layer = results.diff.layers, results.diff.layers[1]
		results.diff_image = results.diff.a
		local _, folded = img:fold()
		results.folded, results.fold = folded, folded[1]
		results.saved = img:save(dir:file("out.tar"))
		_, results.removed = img:remove("opt/s")
		results.one_removed = results.removed[1]
		img:revert()
		results.purged = img:purge("opt/s", { env = "^A=", labels = "^c=" })
		results.repaired = img:repair("duplicate-path")
		results.normalized = img:normalize({ epoch = 1, owner = { uid = 7 }, numeric_owner = true, xattrs = false })
		results.saved_tar = img.layers[1]:save(dir:file("layer.tar"))
		results.normalized_layer = results.normalized.layers[1]
		_, results.chunks = img:rechunk()
		results.chunk = results.chunks[1]
		local _, of_layer = img.layers[1]:remove("etc/a")
		results.of_layer = of_layer
		local names = {}
		for name, result in pairs(results) do
			local text = tostring(result)
			assert.is_nil(text:find("table: ", 1, true), name .. ": " .. text)
			assert.is_nil(text:find("[^%C\n]"), name .. ": " .. text)
			names[#names + 1] = name
		end
		assert.equal(62, #names)
		assert.equal("a\nb?", tostring(results.list))
		assert.equal("layer 1: file 'opt/s'", tostring(results.one_removed))
		assert.matches("^added by strata.Layer%(1, .*\nmetadata by strata.Layer%(2, ", tostring(results.path))
		assert.matches("^'etc/a': file of layer 2 into layer 1, ", tostring(results.folded))
		assert.equal("root_user: the image runs as root", tostring(results.finding))
		assert.equal("removed: 1 entry, 1 needless whiteout, 0 texts in the history\n  layer 1: file 'opt/s'\n"
			.. "  variable 'A'\n  label 'c'", tostring(results.purged))
		assert.matches('^{.*"Id":"sha256:', tostring(results.inspect))
		index:close()
		img:close()
	end)

	it("shows what an index lists, and what of it is not there", function()
		local made = blobs.new()
		local layers = docker_archive.layers(2)
		made:set_root({
			blobs.descriptor(made:image({ layers = { layers[1] } }), blobs.named("app:1")),
			blobs.descriptor(made:image({ layers = { layers[2] }, without = { true }, name = "part" }), blobs.named("part")),
		})
		local index = assert(strata.open_index(made:write_dir(dir:file("layout"))))
		local lines = tostring(index.manifests)
		assert.matches("^image, linux/amd64, sha256:%x+, app:1\nimage, .*, part, not all of it is here$", lines)
		index:close()
	end)
end)
