-- Takes seconds: not for make check.
-- Several saves into one layout directory at the same time: the layout has the images of all of them.

local archive = require "spec.support.docker_archive"
local blobs = require "spec.support.blobs"
local dialects = require "spec.support.docker_dialects"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local layers = archive.layers(4)

-- Opens an archive, makes another image of it, and saves that under a tag; for a process of its own.
local SCRIPT = [[
local strata = require "strata"
local tag = os.getenv("TAG")
local img = assert(strata.open(os.getenv("SOURCE")))
img.config:set_env("TAG", tag)
img.tags = { tag }
local saved = assert(img:save(os.getenv("TARGET"), { format = "oci", compression = "gzip" }))
print(tag .. " " .. saved.digest)
]]

describe("saves into one layout directory at the same time", function()
	local dir, target, docker

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
		target = dir:file("target")
		docker = dialects.of.docker_25(archive.image({ layers = layers })):write(dir:file("app.tar"))
	end)

	after_each(function()
		dir:remove()
	end)

	local function opened(tag)
		local img = assert(strata.open(docker))
		img.config:set_env("TAG", tag)
		img.tags = { tag }
		return img
	end

	local function look()
		local found = blobs.look(target)
		assert.same({}, found.problems)
		for digest in pairs(found.reached) do
			assert.is_true(found.blobs[digest], digest)
		end
		return found
	end

	-- Saves, and calls a function once while it is being saved.
	local function save_with(img, meanwhile, opts)
		local called = false
		opts = opts or { format = "oci", compression = "gzip" }
		opts.progress = function(_, _, what)
			if what == "writing" and not called then
				called = true
				meanwhile()
			end
		end
		local saved, message, code = img:save(target, opts)
		assert.is_true(called)
		return saved, message, code
	end

	it("keep both images, in a layout that is new and in one that has images", function()
		for i, tags in ipairs({ { "a:1", "b:1" }, { "c:1", "d:1" } }) do
			local one, other = opened(tags[1]), opened(tags[2])
			local saved_other
			local saved = assert(save_with(one, function()
				saved_other = assert(other:save(target, { format = "oci", compression = "gzip" }))
			end))
			local found = look()
			assert.equal(2 * i, #found.index.manifests)
			local digests = {}
			for _, descriptor in ipairs(found.index.manifests) do
				digests[descriptor.digest] = true
			end
			assert.is_true(digests[saved.digest] and digests[saved_other.digest])
		end
		for _, tag in ipairs({ "a:1", "b:1", "c:1", "d:1" }) do
			local img = assert(strata.open(target, { ref = tag }))
			assert.equal(tag, img.config:get_env("TAG"))
			assert.is_true(img:verify())
			img:close()
		end
	end)

	it("have one entry of a name: that of the save that ends last", function()
		local one, other = opened("a:1"), opened("a:1")
		other.config:set_env("OTHER", "1")
		local saved = assert(save_with(one, function()
			assert(other:save(target, { format = "oci" }))
		end))
		local found = look()
		assert.equal(1, #found.index.manifests)
		assert.equal(saved.digest, found.index.manifests[1].digest)
	end)

	it("leave the text of the index around what they add as another program has written it", function()
		local text = '{ "x-first": [1.0, "\\u00e9"],\n\t"manifests" : [ %s],\n "schemaVersion":2 }\n'
		local stranger = blobs.descriptor({
			digest = "sha256:" .. ("0"):rep(64), size = 5, type = "application/vnd.example+json",
		}, ',"x-note":[1e2]')
		local saved = assert(save_with(opened("a:1"), function()
			shell.check({ "mkdir", "-p", target })
			shell.write(target .. "/new", text:format(stranger))
			assert(os.rename(target .. "/new", target .. "/index.json"))
			shell.write(target .. "/oci-layout", '{"imageLayoutVersion":"1.0.0"}')
		end))
		local root = shell.read(target .. "/index.json")
		local before, after = text:match("^(.-)%%s(.*)$")
		assert.equal(before .. stranger, root:sub(1, #before + #stranger))
		assert.equal(after, root:sub(-#after))
		assert.truthy(root:find(saved.digest, 1, true))
	end)

	describe("that edit images of it", function()
		local given, a, b

		before_each(function()
			given = blobs.new()
			a = given:image({ layers = { layers[1], layers[2] }, name = "a" })
			b = given:image({ layers = { layers[1], layers[3] }, name = "b" })
			given:set_root({ blobs.descriptor(a, blobs.named("a")), blobs.descriptor(b, blobs.named("b")) },
				blobs.annotations("org.example.root", "stays"))
			given:write_dir(target)
		end)

		local function edited(ref)
			local img = assert(strata.open(target, { ref = ref }))
			img.config:set_env("EDITED", ref)
			img.layers[2]:remove(ref == "a" and "etc/link2" or "etc/link3")
			return img
		end

		it("change two of them", function()
			local one, other = edited("a"), edited("b")
			local saved_other
			local saved = assert(save_with(one, function()
				saved_other = assert(other:save(target))
			end, {}))
			local found = look()
			assert.equal(2, #found.index.manifests)
			assert.equal(saved.digest, found.by_name.a.digest)
			assert.equal(saved_other.digest, found.by_name.b.digest)
			assert.equal("stays", found.index.annotations["org.example.root"])
			for digest in pairs(found.blobs) do
				assert.is_true(found.reached[digest], digest .. " is needed no more")
			end
		end)

		it("change one, and add another that needs what the first one drops", function()
			local one = edited("a")
			local source = blobs.new()
			local same = source:image({ layers = { layers[2] }, name = "c" })
			source:set_root({ blobs.descriptor(same, blobs.named("c")) })
			local other = assert(strata.open(source:write_dir(dir:file("source"))))
			local saved = assert(save_with(one, function()
				assert(other:save(target, { format = "oci" }))
			end, {}))
			local found = look()
			assert.equal(3, #found.index.manifests)
			assert.equal(saved.digest, found.by_name.a.digest)
			assert.equal(same.digest, found.by_name.c.digest)
			assert.equal(b.digest, found.by_name.b.digest)
		end)

		it("add an image, and meanwhile take away what it has found there", function()
			local source = blobs.new()
			local same = source:image({ layers = { layers[2], layers[4] }, name = "c" })
			source:set_root({ blobs.descriptor(same, blobs.named("c")) })
			local other = assert(strata.open(source:write_dir(dir:file("source"))))
			assert(save_with(other, function()
				local one = edited("a")
				assert(one:save(target))
			end, { format = "oci" }))
			local found = look()
			assert.equal(3, #found.index.manifests)
			assert.equal(same.digest, found.by_name.c.digest)
			assert.is_true(assert(strata.open(target, { ref = "c" })):verify())
		end)

		it("are refused when both change one image", function()
			local one, other = edited("a"), edited("a")
			other.config:set_env("OTHER", "1")
			local saved
			local refused, message, code = save_with(one, function()
				saved = assert(other:save(target))
			end, {})
			assert.is_nil(refused)
			assert.equal("ESTALE", code)
			assert.truthy(message:find(target, 1, true), message)
			local found = look()
			assert.equal(2, #found.index.manifests)
			assert.equal(saved.digest, found.by_name.a.digest)
		end)
	end)

	it("of a whole layout into a new directory keep what another one has put there", function()
		local given = blobs.new()
		local a = given:image({ layers = { layers[1] }, name = "a" })
		local b = given:image({ layers = { layers[2] }, name = "b" })
		given:set_root({ blobs.descriptor(a, blobs.named("a")), blobs.descriptor(b, blobs.named("b")) })
		local img = assert(strata.open(given:write_dir(dir:file("source")), { ref = "a" }))
		assert(save_with(img, function()
			assert(opened("c:1"):save(target, { format = "oci", compression = "gzip" }))
		end, {}))
		local found = look()
		assert.equal(3, #found.index.manifests)
		assert.equal(a.digest, found.by_name.a.digest)
		assert.equal(b.digest, found.by_name.b.digest)
		assert(strata.open(target, { ref = "c:1" }))
	end)

	it("by many processes have the images of all", function()
		local count = 8
		local script = 'export SOURCE="$1" TARGET="$2"; for i in $(seq "$3"); do TAG=app$i:1 %s & done; wait'
		local said = shell.sh(script:format(process.lua(SCRIPT)), docker, target, tostring(count))
		local found = look()
		assert.equal(count, #found.index.manifests, said)
		for i = 1, count do
			local digest = said:match(("app%d:1 (sha256:%%x+)\n"):format(i))
			assert.is_string(digest, said)
			local img = assert(strata.open(target, { ref = ("app%d:1"):format(i) }))
			assert.equal(digest, img.digest)
			assert.is_true(img:verify())
			img:close()
		end
		assert.equal("blobs\nindex.json\noci-layout\n", shell.check({ "ls", "-A", target }))
	end)

	it("wait for a lock that somebody has on the directory, and for no other", function()
		assert(opened("a:1"):save(target, { format = "oci" }))
		local script = ('flock -x %s sh -c "echo locked; sleep 0.5"'):format(shell.quote(target))
		local held = io.popen(script, "r")
		assert.equal("locked", held:read("*l"))
		assert(opened("b:1"):save(target, { format = "oci" }))
		held:close()
		assert.equal(2, #look().index.manifests)
	end)
end)
