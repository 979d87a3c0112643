-- A sparse layout has what an edit has made, and only names the layers that a registry has. Jobs make one, and others
-- give an image another base, tell what an index leads to, and the digest of a file.

local jobs = require "strata.jobs"
local registry = require "spec.support.registry"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("a sparse layout", function()
	local fake, dir

	setup(function()
		fake, dir = registry.start(), tmp.dir()
		local function push(name, ...)
			local img = strata.new()
			for _, files in ipairs({ ... }) do
				assert(img:append({ files = files }))
			end
			assert(img:save(("docker://%s/%s"):format(fake.host, name)))
		end
		local old, app = { ["etc/os"] = "1", ["usr/share/doc/a"] = "text" }, { ["app/one"] = "1" }
		push("base:1", old)
		push("base:2", { ["etc/os"] = "2" }, { ["etc/more"] = "2" })
		push("app:1", old, app, { ["usr/share/doc/b"] = "text" })
	end)

	teardown(function()
		fake:stop()
		dir:remove()
	end)

	local function ref(name)
		return ("docker://%s/%s"):format(fake.host, name)
	end

	local serial = 0
	local function fresh()
		serial = serial + 1
		return dir:file("made" .. serial)
	end

	-- The blobs that are in a layout, by digest.
	local function blobs(path)
		local found = {}
		for name in shell.check({ "find", path .. "/blobs", "-type", "f", "-printf", "sha256:%f\n" }):gmatch("[^\n]+") do
			found[name] = true
		end
		return found
	end

	local function edit(change, to)
		local args = { path = ref("app:1"), to = to, edit = change, save = { format = "oci", sparse = true } }
		return assert(jobs.edit(args))
	end

	it("has the layers that were edited, and leaves the others in their registry", function()
		local to = fresh()
		local saved = edit({ remove = { "usr/share/doc" } }, to)
		local moved = {}
		for i, one in ipairs(saved.layers) do
			moved[i] = one.moved or one.action
			assert.equal(one.moved ~= "left", blobs(to)[one.digest] == true)
		end
		assert.same({ "rewritten", "left", "rewritten" }, moved)
		assert.is_true(blobs(to)[saved.digest])
		assert.is_true(blobs(to)[saved.id])
		-- It is the image that a whole layout has.
		local whole = fresh()
		local args = { path = ref("app:1"), to = whole, edit = { remove = { "usr/share/doc" } }, save = { format = "oci" } }
		assert.equal(saved.digest, assert(jobs.edit(args)).digest)
		assert.is_true(assert(strata.open(whole)):verify())
		local _, message, code = assert(strata.open(to)):verify()
		assert.matches("layer 2/3.* is not there", message)
		assert.equal("ENOENT", code)
	end)

	it("has no layer after an edit of the config alone, and none is fetched", function()
		fake:forget()
		local to = fresh()
		local saved = edit({ labels = { a = "b" } }, to)
		assert.same({ [saved.digest] = true, [saved.id] = true }, blobs(to))
		local fetched = {}
		for _, line in ipairs(fake:lines()) do
			fetched[#fetched + 1] = line:match("^GET /v2/app/blobs/(%S+)")
		end
		assert.equal(1, #fetched) -- the config
	end)

	it("is refused where it cannot be", function()
		local img = assert(strata.open(ref("app:1")))
		for to, opts in pairs({ [dir:file("app.tar")] = {}, [ref("app:2")] = {}, [fresh()] = { format = "oci-archive" } }) do
			opts.sparse = true
			assert.has_error(function() img:save(to, opts) end)
		end
		local index = assert(strata.open_index(ref("app:1")))
		assert.has_error(function() index:save(fresh(), { format = "oci", sparse = true }) end)
	end)

	it("names the layers of a new base, which stay where they are", function()
		local to = fresh()
		local saved = edit({ rebase = { from = ref("base:1"), onto = ref("base:2") } }, to)
		assert.same({ [saved.digest] = true, [saved.id] = true }, blobs(to))
		local base = assert(strata.open(ref("base:2")))
		assert.same({ base.layers[1].digest, base.layers[2].digest }, { saved.layers[1].digest, saved.layers[2].digest })
	end)

	it("another base is mounted from its repository in the same registry, and sent to another one", function()
		local other = registry.start()
		local change = { rebase = { from = ref("base:1"), onto = ref("base:2") } }
		local there = ("docker://%s/app:2"):format(other.host)
		for _, to in ipairs({ ref("app:2"), there }) do
			local saved = assert(jobs.edit({ path = ref("app:1"), to = to, edit = change }))
			assert.equal(to == there and "sent" or "mounted", saved.layers[1].moved)
			local img = assert(strata.open(to))
			assert.is_true(img:verify())
			assert.same({ "2", "1" }, { img:read("etc/os"), img:read("app/one") })
		end
		other:stop()
	end)

	it("a base that does not fit is an error, and nothing is written", function()
		local to = fresh()
		local args = { path = ref("app:1"), to = to, save = { format = "oci" } }
		args.edit = { rebase = { from = ref("base:2"), onto = ref("base:1") } }
		local _, _, code = jobs.run("edit", args)
		assert.equal("EINVAL", code)
		args.edit = { rebase = { from = ref("base:1"), onto = ref("none:1") } }
		_, _, code = jobs.run("edit", args)
		assert.equal("ENOENT", code)
		args.edit = { rebase = { from = ref("base:1") } }
		local _, message = jobs.run("edit", args)
		assert.equal("edit: edit.rebase.onto is missing", message)
		assert.is_false(pcall(shell.check, { "test", "-e", to }))
	end)

	it("jobs tell what an index leads to, and the digest of a file", function()
		local list = assert(jobs.run("index", { path = ref("app:1") })).manifests
		assert.same({ { kind = "image", platform = "linux/amd64", digest = assert(strata.open(ref("app:1"))).digest } }, list)
		local _, _, code = jobs.run("index", { path = ref("none:1") })
		assert.equal("ENOENT", code)
		local path = dir:write("text", "abc")
		local told = assert(jobs.run("digest", { path = path }))
		assert.same({ "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3 },
			{ told.digest, told.size })
		_, _, code = jobs.run("digest", { path = path .. "x" })
		assert.equal("ENOENT", code)
	end)
end)
