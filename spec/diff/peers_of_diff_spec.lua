--- What container-diff and diffoci document that they tell, and what they cannot: a row for each.
---
--- container-diff: README.md, "Diff Result Format" and "Example Run"; the differs file, filelayer, history, metadata
--- and size. diffoci: README.md, "Strict mode", "Non-strict mode" and the examples; the options of its `diff`.

local docker_archive = require "spec.support.docker_archive"
local pack = require "spec.support.pack"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("what is documented", function()
	local dir, count
	before_each(function()
		dir, count = tmp.dir(), 0
	end)
	after_each(function()
		dir:remove()
	end)

	local function image(layers, change)
		count = count + 1
		local path = dir:file(count .. ".tar")
		pack.image(path, layers, nil, { change = change })
		return path
	end

	-- An image of whole tars.
	local function image_of(...)
		count = count + 1
		local built, names, ids = docker_archive.new(), {}, {}
		for i, tar in ipairs({ ... }) do
			names[i] = i .. ".tar"
			built:add(names[i], tar)
			ids[i] = ('"%s"'):format(require("strata.core").sha256(tar))
		end
		built:add("config.json", ('{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[%s]}}')
			:format(table.concat(ids, ",")))
		built:add("manifest.json", ('[{"Config":"config.json","RepoTags":null,"Layers":%s}]'):format(
			docker_archive.list(names)))
		local path = dir:file(count .. ".tar")
		built:write(path)
		return path
	end

	local function lines(rows)
		local list = {}
		for i, row in ipairs(rows) do
			local fields = row.fields and " " .. table.concat(row.fields, ",") or ""
			list[i] = row.change .. " " .. (row.path or row.pointer) .. fields
		end
		return list
	end

	local function diff(a, b, opts)
		return assert(strata.diff(a, b, opts))
	end

	describe("of container-diff", function()
		it("is a file of one size and another content (its example run: 30B and 30B)", function()
			local one = diff(image({ { { name = "go/src/app/file.txt", data = "This is file 1\nThis is a file\n" } } }),
				image({ { { name = "go/src/app/file.txt", data = "This is file 2\nThis is a file\n" } } }))
			assert.same({ "changed go/src/app/file.txt content" }, lines(one.files))
			assert.same({ 30, 30 }, { one.files[1].a.size, one.files[1].b.size })
		end)

		it("are files that were added, deleted and modified (DirDiff)", function()
			local one = diff(image({ { { name = "del" }, { name = "mod", data = "1" }, { name = "same" } } }),
				image({ { { name = "add" }, { name = "mod", data = "22" }, { name = "same" } } }))
			assert.same({ "added add", "removed del", "changed mod content" }, lines(one.files))
		end)

		it("are the layers that files are in (filelayer) and their sizes (size, sizelayer)", function()
			local one = diff(image({ { { name = "a", data = "a" } }, { { name = "b" } } }),
				image({ { { name = "a", data = "a" } }, { { name = "b", data = ("b"):rep(600) } } }))
			assert.same({ 2, 2, 600 }, { one.files[1].a.layer, one.files[1].b.layer, one.files[1].b.size })
			assert.equal(1024, one.layers[1].b.size - one.layers[1].a.size)
			assert.equal(1, #one.layers)
		end)

		it("are steps of the history (HistDiff)", function()
			local function steps(...)
				local list = {}
				for i, step in ipairs({ ... }) do
					list[i] = { created_by = step, empty_layer = i > 1 or nil }
				end
				return function(document)
					document.history = list
				end
			end
			local layers = { { { name = "a" } } }
			local one = diff(image(layers, steps("FROM x", "ENV A=1")), image(layers, steps("FROM x", "ENV A=1", "ENV B=2")))
			assert.same({ "added /history/2" }, lines(one.history))
			assert.equal("ENV B=2", one.history[1].b.created_by)
		end)

		it("are settings (metadata)", function()
			local layers = { { { name = "a" } } }
			local one = diff(image(layers), image(layers, function(document)
				document.config = { Cmd = { "/bin/bash" }, WorkingDir = "/app", ExposedPorts = { ["80/tcp"] = { x = 1 } } }
			end))
			assert.same({ "changed /config/Cmd/0", "added /config/ExposedPorts", "added /config/WorkingDir" }, lines(one.config))
		end)
	end)

	describe("of diffoci", function()
		it("are timestamps of files and of the image, in strict mode alone", function()
			local function built(year)
				return image({ { { name = "etc", type = "dir", mtime = year }, { name = "etc/a", mtime = year } } },
					function(document)
						document.created = ("%d-01-01T00:00:00Z"):format(year)
						document.history[1].created = document.created
					end)
			end
			local one = diff(built(2020), built(2021))
			assert.same({ "changed etc mtime", "changed etc/a mtime" }, lines(one.files))
			assert.same({ "changed /created" }, lines(one.config))
			assert.same({ "changed /history/0/created" }, lines(one.history))
			assert.is_true(diff(built(2020), built(2021), { semantic = true }).equal)
		end)

		it("is the order of files in a layer, in strict mode alone", function()
			local a, b = { name = "a" }, { name = "b" }
			local one = diff(image({ { a, b } }), image({ { b, a } }))
			assert.same({ {}, true }, { one.files, one.layers[1].reordered })
			assert.is_true(diff(image({ { a, b } }), image({ { b, a } }), { semantic = true }).equal)
		end)

		it("are names of images, which are no difference", function()
			local function named(name)
				return image({ { { name = "a" } } }, function(_, row)
					row.RepoTags = { name }
				end)
			end
			local one = diff(named("alpine:3.18.2"), named("alpine:3.18.3"))
			assert.is_true(one.equal)
			assert.same({ "alpine:3.18.2", "alpine:3.18.3" }, { one.a.name, one.b.name })
		end)

		-- It tells 'name "go/.wh..wh..opq" only appears in input 0' of images in which nothing differs.
		it("are opaque markers that hide nothing, which are no difference of files", function()
			local base = { { name = "go", type = "dir" } }
			local top = { { name = "go", type = "dir" }, { name = "go/bin" } }
			local marked = { { name = "go", type = "dir" }, { name = "go/.wh..wh..opq" }, { name = "go/bin" } }
			assert.same({}, diff(image({ base, marked }), image({ base, top })).files)
			base[2] = { name = "go/hidden" }
			assert.same({ "added go/hidden" }, lines(diff(image({ base, marked }), image({ base, top })).files))
		end)

		-- It squashes then, as an experiment; without that it tells 'length mismatch'.
		it("are images with other numbers of layers", function()
			local a, b = { name = "a" }, { name = "b" }
			local one = diff(image({ { a, b } }), image({ { a }, { b } }))
			assert.same({ {}, 2 }, { one.files, #one.layers })
		end)

		it("are paths that are spelled in other ways, redundant bits of modes and formats of tar", function()
			local function layer(name, mode)
				return pack.tar({ { name = name .. "etc/", type = "dir", mode = mode + 16384 + 493 },
					{ name = name .. "etc/a", mode = mode + 420 } })
			end
			local plain = pack.tar({ { name = "etc", type = "dir", mode = 493 }, { name = "etc/a", mode = 420 } })
			local one = diff(image_of(layer("./", 32768)), image_of(plain))
			assert.same({}, lines(one.files))
			assert.equal(1, #one.layers)
			local pax = pack.tar({ { name = "etc", type = "dir", mode = 493, pax = { "path", "etc" } },
				{ name = "etc/a", mode = 420, pax = { "comment", "x" } } })
			assert.same({}, lines(diff(image_of(pax), image_of(plain)).files))
			assert.is_true(diff(image_of(pax), image_of(plain), { semantic = true }).equal)
		end)
	end)
end)
