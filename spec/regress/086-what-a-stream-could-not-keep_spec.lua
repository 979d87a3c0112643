local docker_archive = require "spec.support.docker_archive"
local oci_layout = require "spec.support.oci_layout"
local push = require "spec.support.push"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

-- A save tells as its second result that a Parent of manifest.json was dropped. A stream dropped it without a word.
describe("the end of a stream", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function build()
		local made = docker_archive.image({ layers = docker_archive.layers(2) })
		local archive = docker_archive.new()
		for i, layer in ipairs(made.layers) do
			archive:add(i .. ".tar", layer.tar)
		end
		archive:add(made.id .. ".json", made.config)
		archive:add("manifest.json", oci_layout.encode(oci_layout.list({ {
			Config = made.id .. ".json", RepoTags = oci_layout.list({ "app:1" }), Layers = oci_layout.list({ "1.tar", "2.tar" }),
			Parent = "sha256:" .. ("5"):rep(64),
		} })))
		return archive:write(dir:file("in.tar"))
	end

	local function run(bytes, edits, size)
		local t = assert(strata.stream.image(edits))
		local parts = {}
		for piece in push.pieces(bytes, size) do
			local out, more, lost = t(piece)
			parts[#parts + 1] = assert(out, more)
			assert.is_nil(lost)
			while more do
				out, more, lost = t("")
				parts[#parts + 1] = assert(out, more)
				assert.is_nil(lost)
			end
		end
		local out, more, lost = t(nil)
		parts[#parts + 1] = assert(out, more)
		assert.is_false(more)
		return table.concat(parts), lost
	end

	it("tells what a save tells", function()
		local path = build()
		local img = assert(strata.open(path))
		img:clear_history()
		assert(img.layers[1]:remove("etc/current"))
		local _, wanted = assert(img:save(dir:file("out.tar")))
		assert.equal(1, #wanted)
		assert.truthy(wanted[1]:find("Parent", 1, true))
		for _, size in ipairs({ 700, 1000000 }) do
			local out, lost = run(shell.read(path), {
				config = function(config) config:set("/history", nil) end,
				filter = function(entry, layer) return not (layer.name == "1.tar" and entry.path == "etc/current") end,
			}, size)
			assert.equal(shell.read(dir:file("out.tar")), out)
			assert.same(wanted, lost)
		end
	end)

	it("tells nothing where there is nothing to tell", function()
		local bytes = shell.read(build())
		for _, edits in ipairs({ {}, { config = function(config) config:set_env("A", "b") end } }) do
			local _, lost = run(bytes, edits, 1000000)
			assert.is_nil(lost)
		end
	end)
end)
