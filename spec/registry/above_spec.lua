-- Of an image in a registry only those layers are fetched that decide about a path: what is found is what the whole
-- stack has.

local random = require "spec.support.random"
local registry = require "spec.support.registry"
local runtime_stacks = require "spec.support.runtime_stacks"
local pack = require "spec.support.pack"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local COUNT = tonumber(os.getenv("STRATA_STACKS")) or (_VERSION == "Lua 5.4" and 30 or 10)

describe("the upper layers of an image in a registry", function()
	local fake, dir

	setup(function()
		fake, dir = registry.start(), tmp.dir()
	end)

	teardown(function()
		fake:stop()
		dir:remove()
	end)

	local function ref(name)
		return ("docker://%s/%s"):format(fake.host, name)
	end

	local function fetched()
		local count = 0
		for _, line in ipairs(fake:lines()) do
			count = count + (line:find("^GET /v2/.*/blobs/") and 1 or 0)
		end
		return count
	end

	it("are fetched from the top until the path is decided", function()
		local img = strata.new()
		local added = { { ["etc/low"] = "low", ["etc/both"] = "old" }, { ["etc/mid"] = "mid" }, { ["etc/both"] = "new" } }
		for _, files in ipairs(added) do
			assert(img:append({ files = files }))
		end
		assert(img:save(ref("app:1")))
		for path, layers in pairs({ ["etc/both"] = 1, ["etc/mid"] = 2, ["etc/low"] = 3, ["etc/none"] = 3 }) do
			local remote = assert(strata.open(ref("app:1")))
			fake:forget()
			local content = remote:read(path)
			assert.equal(img:read(path), content, path)
			assert.equal(layers, fetched(), path)
			remote:close()
		end
		local root = assert(assert(strata.open(ref("app:1"))):rootfs())
		assert.equal("strata.Rootfs(3 layers, not all of which are here)", tostring(root))
		assert.matches("layer 3%)$", tostring(root:stat("etc/both")))
		assert.equal(3, root:stat("etc/both").layer.position)
		assert.matches("layer 1%)$", tostring(root:stat("etc"))) -- a directory without an entry above
		assert.equal("strata.Rootfs(3 layers, 5 paths)", tostring(root:walk() and root))
	end)

	it("are fetched with the others for what goes by all files: extracting, digests, packages, waste", function()
		local img = strata.new()
		assert(img:append({ files = { ["var/lib/dpkg/status"] = "Package: a\nVersion: 1\n", ["etc/both"] = "old" } }))
		assert(img:append({ files = { ["etc/both"] = "new" } }))
		assert(img:save(ref("files:1"), { compression = "gzip" }))
		local remote = assert(strata.open(ref("files:1")))
		local root, here = assert(remote:rootfs()), assert(img:rootfs())
		assert.equal("a 1 ? dpkg", tostring(root:packages()))
		assert.same(here:digests(), root:digests())
		assert.equal(assert(here:export(dir:file("a"))).digest, assert(root:export(dir:file("b"))).digest)
		local target = dir:file("part")
		assert.equal(2, assert(root:extract("etc", target)).entries)
		assert.same({ { path = "etc/both", layer = 1, bytes = 3, why = "changed", by = 2 } }, remote:waste().paths)
		remote:close()
		local again = assert(strata.open(ref("files:1")))
		assert.equal(2, assert(again:rootfs():extract("etc/both", target .. "2")).entries)
		again:close()
	end)

	-- What is asked for of a path, in a line.
	local function told(root, path)
		local function line(entry, message, code)
			if not entry then
				return tostring(code)
			end
			return ("%s %s %s %s %s %s"):format(tostring(entry), tostring(entry.mtime), tostring(entry.links),
				tostring(entry.linkpath), entry.layer and entry.layer.position or "-", message and "" or "")
		end
		local content, _, code = root:read(path)
		return table.concat({ line(root:stat(path)), line(root:lstat(path)), tostring(content or code),
			tostring(root:exists(path)), tostring((root:readlink(path))) }, "\n")
	end

	it("tell the same as all layers, of random stacks", function()
		local from = random.first_seed()
		local asked = 0
		for seed = from, from + COUNT - 1 do
			local layers = runtime_stacks.layers(seed)
			local path = dir:file("stack.tar")
			pack.image(path, layers)
			local img = assert(strata.open(path))
			local root = img:rootfs()
			if root and #img.layers > 1 then
				assert(img:save(ref("random:1")))
				local paths = { "no/such", "d/../d", "/" }
				for entry in root:walk() do
					paths[#paths + 1] = entry.path
				end
				for i, one in ipairs(paths) do
					if i <= 3 or i % 3 == seed % 3 then
						local remote = assert(strata.open(ref("random:1")))
						local lazy = assert(remote:rootfs())
						assert.equal(told(root, one), told(lazy, one), ("STRATA_SEED=%d STRATA_STACKS=1: %s"):format(seed, one))
						lazy:close()
						remote:close()
						asked = asked + 1
					end
				end
			end
			img:close()
		end
		assert.is_true(COUNT < 10 or asked > COUNT)
	end)
end)
