-- strata.gc: blobs of a layout that nothing names are listed, and removed when that is asked for.

local archive = require "spec.support.docker_archive"
local blobs = require "spec.support.blobs"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local layers = archive.layers(3)
local named, descriptor = blobs.named, blobs.descriptor
local MANIFEST = "application/vnd.oci.image.manifest.v1+json"

describe("gc", function()
	local dir, layout, image

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
		layout = blobs.new()
		image = layout:image({ layers = { layers[1], layers[2] } })
	end)

	after_each(function()
		dir:remove()
	end)

	local function files(path)
		return shell.sh('cd "$1"; find . -type f | LC_ALL=C sort', path)
	end

	-- The digests that are listed; nothing is removed.
	local function listed(path)
		local before = files(path)
		local report = assert(strata.gc(path))
		assert.is_false(report.removed)
		assert.equal(before, files(path))
		local found = {}
		for i, one in ipairs(report.blobs) do
			found[i] = one.digest
		end
		return found, report
	end

	local function fails(code, pattern, path)
		local before = files(path)
		local report, message, found = strata.gc(path, { remove = true })
		assert.is_nil(report)
		assert.matches(pattern, message)
		assert.equal(code, found)
		assert.equal(before, files(path))
	end

	it("lists blobs that nothing names, and removes them when asked", function()
		local other = layout:image({ layers = { layers[2], layers[3] }, name = "other" })
		local path = layout:set_root({ descriptor(image, named("a:1")) }):write_dir(dir:file("layout"))
		shell.write(path .. "/blobs/sha256/notes", "mine")
		shell.write(path .. "/notes", "mine")
		local found, report = listed(path)
		assert.equal(3, #found) -- the other's manifest, its config, and the layer that it has alone
		assert.is_truthy(table.concat(found, " "):find(other.digest, 1, true))
		assert.matches("/layout: 3 blobs that nothing names, .*\n  sha256:%x+, %d", tostring(report))
		local removed = assert(strata.gc(path, { remove = true }))
		assert.is_true(removed.removed)
		assert.equal(report.bytes, removed.bytes)
		assert.matches(", removed\n", tostring(removed))
		assert.same({}, (listed(path)))
		assert.equal(0, #assert(strata.gc(path, { remove = true })).blobs)
		assert(assert(strata.open(path)):verify())
		assert.equal("mine", shell.read(path .. "/blobs/sha256/notes"))
		assert.equal("mine", shell.read(path .. "/notes"))
	end)

	it("keeps what indexes below index.json lead to, attestations, and what is only foreign to strata", function()
		local _, text = layout:attestation(image)
		local inner = layout:index({ descriptor(image), text })
		local outer = layout:index({ descriptor(inner) })
		local chart = layout:put("chart", "application/vnd.cncf.helm.chart.content.v1.tar+gzip")
		local helm = layout:put(('{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s]}'):format(MANIFEST,
			descriptor(layout:put("{}", "application/vnd.cncf.helm.config.v1+json")), descriptor(chart)), MANIFEST)
		local named_by_it = layout:put("content", "text/plain")
		local unknown = layout:put('{"things":[' .. descriptor(named_by_it) .. "]}", "application/vnd.example.list+json")
		local path = layout:set_root({ descriptor(outer, named("a:1")), descriptor(helm), descriptor(unknown) })
			:write_dir(dir:file("layout"))
		assert.same({}, (listed(path)))
	end)

	it("keeps manifests that no index lists and that are about what is kept, and those about these", function()
		local function about(subject, name)
			local content = layout:put(name, "text/plain")
			return layout:put(('{"schemaVersion":2,"mediaType":"%s","artifactType":"text/plain","config":%s,"layers":[%s],'
				.. '"subject":%s}'):format(MANIFEST, descriptor(layout:put("{}", "application/vnd.oci.empty.v1+json")),
				descriptor(content), descriptor(subject)), MANIFEST)
		end
		local signature = about(image, "signature")
		about(signature, "signature of the signature")
		local path = layout:set_root({ descriptor(image) }):write_dir(dir:file("layout"))
		assert.same({}, (listed(path)))
		layout:set_root({})
		shell.write(path .. "/index.json", layout.root)
		assert.equal(#layout.order, #listed(path))
		-- What is named as a subject is kept, also where it is not listed itself.
		layout:set_root({ descriptor(signature) })
		shell.write(path .. "/index.json", layout.root)
		assert.same({}, (listed(path)))
	end)

	it("keeps what a manifest.json beside index.json names by its path", function()
		local blob = layout:put("named by a path", "text/plain")
		local path = layout:set_root({ descriptor(image) }):write_dir(dir:file("layout"))
		assert.same({ blob.digest }, (listed(path)))
		shell.write(path .. "/manifest.json", '[{"Config":"blobs/sha256/' .. blob.digest:sub(8) .. '","Layers":[]}]')
		assert.same({}, (listed(path)))
	end)

	it("tells of documents that are named and not there, which is no failure", function()
		local arm = layout:image({ layers = { layers[3] }, name = "arm" })
		layout:set_root({ descriptor(layout:index({ descriptor(image), descriptor(arm) }), named("a:1")) })
		layout:remove(arm.digest)
		local found, report = listed(layout:write_dir(dir:file("layout")))
		assert.same({ arm.digest }, report.absent)
		assert.equal(2, #found) -- whatever only that one has named
	end)

	it("does nothing when a document cannot be read, or is not what it is said to be", function()
		local inner = layout:index({ descriptor(image) })
		layout:put("nothing names it")
		layout:set_root({ descriptor(inner, named("a:1")) })
		local function broken(name, digest, text)
			local path = layout:write_dir(dir:file(name))
			shell.write(digest and path .. "/blobs/sha256/" .. digest:sub(8) or path .. "/index.json", text)
			return path
		end
		fails("EDIGEST", inner.digest .. " .* %(index.json names it%)", broken("short", inner.digest, "{"))
		fails("EDIGEST", image.digest .. " hashes to", broken("other", image.digest, (image.text:gsub("1.50", "1.51"))))
		fails("EFORMAT", "index.json", broken("root", nil, "{"))
		fails("EFORMAT", "index.json is no index", broken("list", nil, "[]"))
		local bad = layout:put("no json", MANIFEST)
		layout:set_root({ descriptor(bad) })
		fails("EFORMAT", bad.digest .. " is no manifest", layout:write_dir(dir:file("text")))
		local path = layout:set_root({ descriptor(image) }):write_dir(dir:file("link"))
		local name = path .. "/blobs/sha256/" .. image.digest:sub(8)
		shell.check({ "mv", name, path .. "/blobs/sha256/" .. ("0"):rep(64) })
		shell.check({ "ln", "-s", ("0"):rep(64), name })
		fails("EUNSUPPORTED", "'blobs/sha256/" .. image.digest:sub(8) .. "' is a link", path)
		path = layout:write_dir(dir:file("version"))
		shell.write(path .. "/oci-layout", '{"imageLayoutVersion":"2.0.0"}')
		fails("EUNSUPPORTED", "version '2.0.0'", path)
	end)

	it("holds limits", function()
		local path = layout:set_root({ descriptor(image) }):write_dir(dir:file("layout"))
		local report, message, code = strata.gc(path, { limits = { json = { max_bytes = 64 } } })
		assert.is_nil(report)
		assert.equal("ELIMIT", code)
		assert.matches("limits.json.max_bytes", message, 1, true)
	end)

	it("works on layouts in directories alone", function()
		layout:set_root({ descriptor(image) })
		local path = layout:write_archive(dir:file("app.tar"))
		local report, message, code = strata.gc(path)
		assert.is_nil(report)
		assert.equal("EUNSUPPORTED", code)
		assert.matches("app.tar is no directory: .*strata.copy%(archive, directory, {format = \"oci\"}%)", message)
		assert.equal("ENOENT", (select(3, strata.gc(dir:file("none")))))
		shell.check({ "mkdir", dir:file("empty") })
		assert.equal("EFORMAT", (select(3, strata.gc(dir:file("empty")))))
		assert.error_matches(function() strata.gc("docker://localhost/a") end, "registries do this themselves")
		assert.error_matches(function() strata.gc(path, { dry = true }) end, "gc has no option 'dry'")
	end)

	it("and a save at the same time leave nothing behind that is not all there", function()
		local path = layout:set_root({ descriptor(image, named("a:1")) }):write_dir(dir:file("layout"))
		local img, removed = strata.new(), 0
		for i = 1, 80 do -- more blobs than a save has open at the same time
			assert(img:append({ files = { a = tostring(i) } }))
		end
		img.tags = { "b:1" }
		assert(img:save(path, { format = "oci", progress = function(_, _, what)
			if what == "writing" then -- some blobs are there, and index.json does not name them yet
				removed = removed + #assert(strata.gc(path, { remove = true })).blobs
			end
		end }))
		assert.is_true(removed > 0)
		assert(assert(strata.open(path, { ref = "b:1" })):verify())
		assert.same({}, (listed(path)))
	end)
end)
