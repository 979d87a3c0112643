-- Takes seconds: not for make check.
-- img.layers is a table that can be changed. After that a save said yes and wrote an archive that cannot be opened: its
-- config had other diff_ids than there were layers. A history could also be replaced by one that does not fit.

local archive = require "spec.support.docker_archive"
local blobs = require "spec.support.blobs"
local dialects = require "spec.support.docker_dialects"
local oci_layout = require "spec.support.oci_layout"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local LAYERS = archive.layers(3)

describe("a save of an image whose layers, diff_ids and history", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		dir:remove()
	end)

	local SOURCES = {
		docker = function()
			return dialects.of.docker_1_10(archive.image({ layers = LAYERS })):write(dir:file("in"))
		end,
		hybrid = function()
			return dialects.of.docker_25(archive.image({ layers = LAYERS })):write(dir:file("in"))
		end,
		oci = function()
			local made = blobs.new()
			local given = made:image({ layers = LAYERS })
			return made:set_root({ blobs.descriptor(given, blobs.named("app:1")) }):write_dir(dir:file("in"))
		end,
	}

	local FORMATS = { false, "docker", "docker-legacy", "oci", "oci-archive" }

	-- Nothing is saved in any format, and there is a reason.
	local function expect_refusal(edit, words)
		for _, source in pairs(SOURCES) do
			for _, format in ipairs(FORMATS) do
				local path = source()
				local img = assert(strata.open(path))
				local done = pcall(edit, img) -- what is handed out may refuse to be changed
				if done then
					for _, save in ipairs({
						function(target, opts) return img:save(target, opts) end,
						function(target, opts) return strata.save({ img }, target, opts) end,
					}) do
						local result, message, code = save(dir:file("out"), { format = format or nil })
						assert.is_nil(result)
						assert.equal("EINVAL", code)
						assert.truthy(message:find(words, 1, true), message)
						assert.equal(2, shell.run({ "ls", dir:file("out") }).status)
					end
				end
				img:close()
				shell.check({ "rm", "-rf", path })
			end
		end
	end

	it("have another number of layers is refused", function()
		expect_refusal(function(img)
			local layers = img.layers
			table.remove(layers)
			img.config:set_env("A", "b")
		end, "the image has 3 layers, but img.layers has 2")
		expect_refusal(function(img)
			local layers = img.layers
			layers[#layers + 1] = layers[1]
			img.config:set_env("A", "b")
		end, "the image has 3 layers, but img.layers has 4")
	end)

	it("have another number of rows is refused", function()
		expect_refusal(function(img)
			assert(img.config:set("/history", { { created_by = "one" } }))
		end, "the image has 3 layers, but its history has 1 rows with a layer")
		expect_refusal(function(img)
			img.config.history = { { created_by = "none", empty_layer = true } }
		end, "the image has 3 layers, but its history has 0 rows with a layer")
		expect_refusal(function(img)
			local rows = {}
			for i = 1, 4 do
				rows[i] = { created_by = "row " .. i }
			end
			img.config.history = rows
		end, "the image has 3 layers, but its history has 4 rows with a layer")
	end)

	it("have another number of diff_ids is refused", function()
		expect_refusal(function(img)
			assert(img.config:set("/rootfs/diff_ids", { "sha256:" .. LAYERS[1].diff_id }))
		end, "but its config has 1 diff_ids")
	end)

	it("did not fit when it was opened goes on, when it fits no less", function()
		for _, rows in ipairs({ 0, 1, 2, 5 }) do
			local made, history, layers = oci_layout.new(), oci_layout.list(), {}
			for i = 1, rows do
				history[i] = { created_by = "row " .. i }
			end
			for i = 1, 3 do
				layers[i] = made:file_layer("file" .. i)
			end
			made:list(made:image({ layers = layers, config = { history = history } }).descriptor, "app:1")
			local path = made:directory(dir:file("in" .. rows))
			for i, edit in ipairs({
				function(img) img.config:set_env("A", "b") end,
				function(img) assert(img:append({ files = { new = "x" } })) end,
				function(img) assert(img:remove_layer(3)) end,
				function(img) assert(img:remove_layer(1)) end,
				function(img) assert(img:squash(1, 2)) end,
				function(img) assert(img:flatten()) end,
				function(img) assert(img.layers[1]:rewrite(function(entry) entry.mtime = 5 end)) end,
				function(img) img:clear_history() end,
				function(img) img.config.history = nil end,
			}) do
				local img = assert(strata.open(path))
				edit(img)
				local target = dir:file(("out%d-%d"):format(rows, i))
				local saved, message = img:save(target)
				assert(saved, ("%d rows, edit %d: %s"):format(rows, i, tostring(message)))
				assert.equal(saved.id, assert(strata.open(target)).id)
				img:close()
			end
			local img = assert(strata.open(path))
			img.config.history = { { created_by = "1" }, { created_by = "2" }, { created_by = "3" }, { empty_layer = true } }
			assert(img:save(dir:file("fits" .. rows)))
			img.config.history = { {}, {}, {}, {}, {}, {}, {}, {}, {} }
			assert.equal("EINVAL", select(3, img:save(dir:file("worse" .. rows))))
		end
	end)
end)
