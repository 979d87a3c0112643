--- close() of everything that holds a resource.

local blobs = require "spec.support.blobs"
local child = require "spec.support.child"
local docker_archive = require "spec.support.docker_archive"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local dir

before_each(function()
	dir = tmp.dir()
end)

after_each(function()
	dir:remove()
end)

local function expect_closed(object, name, use)
	assert.equal(name .. "(closed)", tostring(object))
	assert.error_matches(function() use(object) end, "attempt to use a closed " .. name)
	object:close()
end

describe("a layer without an image", function()
	it("is closed, and what it was appended to stays", function()
		for _, spec in ipairs({ { files = { a = "1" } }, { files = { a = "1" }, compression = "gzip" } }) do
			local layer, img = assert(strata.layer(spec)), strata.new()
			assert(img:append({ layer = layer }))
			assert.equal("1", layer:read("a"))
			layer:close()
			expect_closed(layer, "strata.Layer", function() return layer.diff_id end)
			assert.equal("1", img:read("a"))
			assert(img:verify())
			assert(img:save(dir:file("out.tar")))
			img:close()
		end
	end)

	it("is closed with its edits", function()
		local layer = assert(strata.layer({ files = { a = "1", b = "2" } }))
		assert(layer:remove("a"))
		assert.matches("^sha256:", layer.diff_id)
		layer:close()
		expect_closed(layer, "strata.Layer", layer.entries)
	end)

	it("is not one of an image, which closes its layers itself", function()
		local img = assert(strata.new():append({ files = { a = "1" } }))
		assert.error_matches(function() img.layers[1]:close() end, "^layer 1/1 .* belongs to an image: img:close%(%)")
		assert.equal("1", img.layers[1]:read("a"))
		img:close()
	end)
end)

describe("an image", function()
	it("is closed with the files that its edits are in", function()
		local img = assert(strata.new():append({ files = { a = "1", b = "2" } }))
		assert(img:save(dir:file("in.tar"), { format = "docker" }))
		img:close()
		collectgarbage()
		local function count()
			local removed, pipe = 0, io.popen("ls -l /proc/" .. io.open("/proc/self/stat"):read("*n") .. "/fd")
			for line in pipe:lines() do
				removed = removed + (line:find(dir.path, 1, true) and line:find("(deleted)", 1, true) and 1 or 0)
			end
			pipe:close()
			return removed
		end
		assert.equal(0, count())
		img = assert(strata.open(dir:file("in.tar")))
		assert(img:remove("a"))
		assert(img:save(dir:file("out.tar")))
		assert.equal(1, count())
		img:close()
		assert.equal(0, count())
	end)
end)

describe("a root file system", function()
	it("is closed, and the image stays", function()
		local img = assert(strata.new():append({ files = { ["etc/a"] = "1" } }))
		local root = assert(img:rootfs())
		local entry = assert(root:stat("etc/a"))
		root:close()
		expect_closed(root, "strata.Rootfs", function() return root:stat("etc/a") end)
		assert.error(function() return entry.mode end)
		assert.equal("1", img:rootfs():read("etc/a"))
		assert.equal("1", img:read("etc/a"))
	end)
end)

describe("a transform", function()
	local function made()
		return docker_archive.image({ layers = docker_archive.layers(1), tags = { "app:1" } })
	end

	it("is closed before its end, and leaves nothing behind", function()
		local path = require("spec.support.docker_dialects").of.docker_25(made()):write(dir:file("in.tar"))
		local bytes = shell.read(path)
		local transform = assert(strata.stream.image({ tags = { "app:2" } }))
		assert.equal("strata.Transform(open)", tostring(transform))
		assert(transform(bytes:sub(1, #bytes / 2)))
		transform:close()
		expect_closed(transform, "strata.Transform", function() return transform("") end)

		transform = assert(strata.stream.image({ tags = { "app:2" } }))
		local first = assert(transform(bytes))
		assert.is_true(#first + #assert(transform(nil)) > 0)
		assert.equal("strata.Transform(finished)", tostring(transform))
		transform:close()
	end)

	it("tells its failure until it is closed", function()
		local transform = assert(strata.stream.image({ tags = { "app:2" } }))
		assert.is_nil(transform(("x"):rep(1024)))
		assert.equal("strata.Transform(failed)", tostring(transform))
		local out, message, code = transform("")
		assert.is_nil(out)
		assert.equal("EFORMAT", code, message)
		transform:close()
		assert.error(function() transform("") end)
	end)
end)

describe("a loop over images", function()
	local function layout()
		local built = blobs.new()
		local list = {}
		for i, layer in ipairs(docker_archive.layers(2)) do
			list[i] = blobs.descriptor(built:image({ layers = { layer } }), blobs.named("app:" .. i))
		end
		built:set_root(list)
		return built:write_archive(dir:file("layout.tar"))
	end

	it("that is left early releases the file, where Lua closes variables", function()
		if not (rawget(_G, "loadstring") or load)("local x <close> = nil") then
			return
		end
		local finished = child.run({
			arguments = { layout() },
			script = [[
				local function open_files()
					local count, pipe = 0, io.popen("ls -l /proc/" .. io.open("/proc/self/stat"):read("n") .. "/fd")
					for line in pipe:lines() do count = count + (line:find("layout%.tar") and 1 or 0) end
					pipe:close()
					return count
				end
				collectgarbage("stop")
				for img in assert(require "strata".images(arg[1])) do
					img:close()
					break
				end
				io.write(open_files())
			]],
		})
		assert.equal("", finished.stderr)
		assert.equal("0", finished.stdout)
	end)

	it("gets four values, the last of them to be closed", function()
		local next_image, state, first, closing = strata.images(layout())
		assert.same({ "function", "nil", "nil", "table" },
			{ type(next_image), type(state), type(first), type(closing) })
		assert(next_image()):close()
		getmetatable(closing).__close(closing)
		assert.is_nil(next_image())
	end)
end)
