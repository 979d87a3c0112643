-- Takes seconds: not for make check.
--- Putting an image onto another base: img:rebase.

local archive = require "spec.support.archive"
local blobs = require "spec.support.blobs"
local docker_archive = require "spec.support.docker_archive"
local cjson = require "cjson"
local strata = require "strata"

local specify = archive.specify(it, pending)

local function file(name, data)
	return { name = name, data = data or name }
end

local function link(name, target)
	return { name = name, type = "hardlink", linkname = target }
end

-- "a b - c": rows that made layers, and behind "-" rows that made none.
local function rows(text)
	local list = {}
	for word in text:gmatch("%S+") do
		local name = word:gsub("^%-", "")
		list[#list + 1] = { created_by = name, empty_layer = word ~= name or nil }
	end
	return list
end

local function words(history)
	local list = {}
	for i, row in ipairs(history) do
		list[i] = (row.empty_layer and "-" or "") .. (row.created_by or "?")
	end
	return table.concat(list, " ")
end

describe("rebasing", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	-- An image whose layers have a file each, with these rows; `config` goes into the document.
	local function open(files, history, config, more)
		local layers, document = {}, { history = rows(history or "") }
		for i, name in ipairs(files) do
			layers[i] = { entries = type(name) == "table" and name or { file(name) }, gzip = i % 2 == 1 }
		end
		if config then
			document.config = config
		end
		for key, value in pairs(more or {}) do
			document[key] = value
		end
		return bench:open(layers, { config = document, tags = more and more.tags })
	end

	local function refused(code, text, ok, message, got)
		assert.is_nil(ok)
		assert.equal(code, got)
		assert.is_truthy(message:find(text, 1, true), message)
	end

	specify("replaces the base's layers and rows, and keeps the image's own bytes", function()
		local old = open({ "a1", "a2" }, "A1 -AE A2 -AC")
		local new = open({ "b1", "b2", "b3" }, "B1 B2 B3 -BC")
		local img, _, path = open({ "a1", "a2", "app1", "app2" }, "A1 -AE A2 -AC P1 -PE P2 -PC")
		local own = { img.layers[3].digest, img.layers[4].digest }
		local theirs = { new.layers[1].digest, new.layers[2].digest, new.layers[3].digest }
		local before = cjson.decode(archive.look(path).config)
		assert.equal(img, img:rebase(old, new))
		local look = bench:save(img)
		for i, digest in ipairs({ theirs[1], theirs[2], theirs[3], own[1], own[2] }) do
			assert.equal(digest, look.layers[i].digest)
		end
		assert.equal("B1 B2 B3 -BC P1 -PE P2 -PC", words(look.history))
		local after = cjson.decode(look.config)
		after.history, after.rootfs, before.history, before.rootfs = nil, nil, nil, nil
		assert.same(before, after)
		assert.equal("P2", img.layers[5].created_by)
	end)

	specify("holds the new base's files by itself", function()
		local old, img = open({ "a" }, "A"), open({ "a", "app" }, "A P")
		local new = open({ "b" }, "B")
		assert(img:rebase(old, new))
		new:close()
		old:close()
		collectgarbage()
		collectgarbage()
		local look = bench:save(img)
		assert.same({ "b" }, archive.names(look.layers[1].entries))
		img:close()
	end)

	specify("goes back to the same bytes", function()
		local old, new = open({ "a1", "a2" }, "A1 A2 -AC"), open({ "b" }, "B -BC")
		local img = open({ "a1", "a2", "app" }, "A1 A2 -AC P -PC")
		local id = img.id
		assert(img:rebase(old, new))
		assert.not_equal(id, img.id)
		assert(img:rebase(new, old))
		assert.equal(id, img.id)
		bench:save(img)
	end)

	specify("takes edits of all images along", function()
		local old, new = open({ { file("a"), file("x") } }, "A"), open({ { file("b"), file("y") } }, "B")
		local img = open({ { file("a"), file("x") }, { file("app"), file("z") } }, "A P")
		local function drop(name)
			return function(entry)
				return entry.path ~= name
			end
		end
		old:filter(drop("x"))
		img:filter(drop("x"))
		new:filter(drop("y"))
		img:filter(drop("z"))
		assert(img:rebase(old, new))
		img:append({ files = { top = "top" } })
		local look = bench:save(img)
		assert.same({ "b" }, archive.names(look.layers[1].entries))
		assert.same({ "app" }, archive.names(look.layers[2].entries))
		img:rewrite(function(entry)
			entry.uid = 4
		end)
		assert(img:flatten())
		look = bench:save(img)
		assert.same({ "app", "b", "top" }, archive.names(look.layers[1].entries))
	end)

	-- old base's rows, new base's, the image's before and after; 2 layers, 3 layers, 2 + 2 layers
	local HISTORIES = {
		{ "without any history", "", "", "", "" },
		{ "of a base without, to one without", "", "", "P1 P2", "? ? ? P1 P2" },
		{ "of an image that has dropped it", "A1 A2", "B1 B2 B3", "", "" },
		{ "of a base without, to one with", "", "B1 B2 B3 -BC", "P1 P2 -PC", "B1 B2 B3 -BC P1 P2 -PC" },
		{ "to a base without", "A1 A2 -AC", "", "A1 A2 -AC P1 P2", "? ? ? P1 P2" },
		{ "to a base with a short one", "A1 A2", "B1", "A1 A2 P1 P2", "B1 ? ? P1 P2" },
		{ "to a base with a long one", "A1 A2", "B1 B2 B3 B4", "A1 A2 P1 P2", "B1 B2 B3 -B4 P1 P2" },
		{ "of a base with a short one", "A1", "B1 B2 B3", "A1 P1 P2", "B1 B2 B3 P1 P2" },
		{ "of a base with a long one", "A1 A2 A3", "B1 B2 B3", "A1 A2 A3 P1 P2", "B1 B2 B3 P1 P2" },
		{ "of an image with a short one", "A1 A2", "B1 B2 B3", "A1 A2 P1", "B1 B2 B3 P1" },
		{ "of an image with a long one", "A1 A2", "B1 B2 B3", "A1 A2 P1 P2 P3", "B1 B2 B3 P1 P2 P3" },
		{ "with empty rows at both ends", "-A0 A1 A2 -A9", "-B0 B1 B2 B3 -B9", "-A0 A1 A2 -A9 -P0 P1 P2 -P9",
			"-B0 B1 B2 B3 -B9 -P0 P1 P2 -P9" },
		{ "of which only the layers' rows are as in the base", "X A2 -A8 -A9", "B1 B2 B3", "A1 A2 -A8 -P0 P1 P2",
			"B1 B2 B3 -P0 P1 P2" },
	}
	for _, case in ipairs(HISTORIES) do
		specify("keeps the history in step, " .. case[1], function()
			local old, new = open({ "a1", "a2" }, case[2]), open({ "b1", "b2", "b3" }, case[3])
			local img = open({ "a1", "a2", "p1", "p2" }, case[4])
			assert(img:rebase(old, new))
			local look = bench:save(img)
			assert.equal(case[5], words(look.history))
			assert.equal(5, #look.diff_ids)
		end)
	end

	specify("keeps the rows of the image as objects, and drops those of the base", function()
		local old, new = open({ "a" }, "A"), open({ "b1", "b2" }, "B1 B2")
		local img = open({ "a", "p" }, "A P")
		local history = img:history()
		assert(img:rebase(old, new))
		assert.equal(3, history[2].position)
		assert.equal("P", history[2].created_by)
		assert.has_error(function()
			return history[1].created_by
		end)
	end)

	specify("puts a whole image onto a base, and takes one away", function()
		local old, new = open({}, ""), open({ "b" }, "B")
		local img = open({ "p" }, "P")
		assert(img:rebase(old, new))
		local look = bench:save(img)
		assert.equal("B P", words(look.history))
		assert.equal(2, #look.layers)
		assert(img:rebase(new, strata.new({ platform = "linux/amd64" })))
		look = bench:save(img)
		assert.equal("P", words(look.history))
		assert.equal(1, #look.layers)
	end)

	specify("refuses a base that is not the image's, and says which layer differs", function()
		local new = open({ "b" }, "B")
		local img = open({ "a1", "a2", "p" }, "A1 A2 P")
		refused("EINVAL", "layer 2 of the old base", img:rebase(open({ "a1", "other" }), new))
		assert.is_false(img.edited)
		assert.equal("A1 A2 P", words(bench:save(img).history))
		img = open({ "a1" }, "A1")
		refused("EINVAL", "the old base has 2 layers, the image only 1", img:rebase(open({ "a1", "a2" }), new))
	end)

	specify("refuses another platform, unless it is forced", function()
		local old, new = open({ "a" }), open({ "b" }, "", nil, { architecture = "arm64" })
		refused("EINVAL", "architecture", open({ "a", "p" }):rebase(old, new))
		local img = open({ "a", "p" })
		assert(img:rebase(old, new, { force = true }))
		assert.equal("amd64", cjson.decode(bench:save(img).config).architecture)
	end)

	specify("refuses to leave a hardlink without its file", function()
		local old = open({ { file("f"), file("g") } })
		local function image()
			return open({ { file("f"), file("g") }, { file("own"), link("l", "own"), link("k", "f") } })
		end
		refused("EINVAL", "hardlink 'k' is another name of 'f'", image():rebase(old, (open({ { file("g") } }))))
		refused("EINVAL", "hardlink 'k'", image():rebase(old, (open({ { file("f") }, { file(".wh.f", "") } }))))
		refused("EINVAL", "hardlink 'k'", image():rebase(old, (open({ { { name = "f/", type = "dir" } } }))))
		local img = image()
		assert(img:rebase(old, (open({ { file("f", "new") } }))))
		assert.equal("new", img:rootfs():read("k"))
	end)

	specify("throws what cannot be meant", function()
		local img = open({ "a" })
		assert.has_error(function() img:rebase(img) end)
		assert.has_error(function() img:rebase("x", img) end)
		assert.has_error(function() img:rebase(img, img, { config = "x" }) end)
	end)

	describe("the config", function()
		local function config(more)
			local made = {
				Env = { "PATH=/bin", "LANG=C", "BASE=1" },
				Cmd = { "sh" }, WorkingDir = "/", User = "root", StopSignal = "SIGTERM",
				Labels = { base = "old", gone = "1", both = "old" },
				ExposedPorts = { ["80/tcp"] = {} }, Volumes = { ["/old"] = {} },
			}
			for key, value in pairs(more) do
				made[key] = value
			end
			return made
		end

		local NEW = {
			Env = { "BASE=2", "PATH=/usr/bin", "NEW=1" },
			Cmd = { "bash" }, Entrypoint = { "/init" }, WorkingDir = "/srv", User = "root",
			Labels = { base = "new", both = "new", more = "1" }, ExposedPorts = { ["443/tcp"] = {} }, StopSignal = "SIGINT",
			Healthcheck = { Test = { "NONE" } },
		}

		local function rebased(own, opts)
			local old, new = open({ "a" }, "A", config({})), open({ "b" }, "B", NEW)
			local img = open({ "a", "p" }, "A P", config(own))
			assert(img:rebase(old, new, opts))
			return cjson.decode(bench:save(img).config).config
		end

		specify("is left as it is", function()
			local own = { User = "app", Env = { "X=1" } }
			assert.same(config(own), rebased(own))
			assert.same(config(own), rebased(own, { config = "keep" }))
		end)

		specify("gives what is inherited from the new base, when that is asked for", function()
			local got = rebased({
				Env = { "PATH=/bin", "LANG=de", "BASE=1", "APP=1" },
				Labels = { base = "old", gone = "1", both = "mine", own = "1" },
				User = "app", ExposedPorts = { ["80/tcp"] = {}, ["8080/tcp"] = {} },
			}, { config = "inherit" })
			assert.same({
				Env = { "BASE=2", "PATH=/usr/bin", "NEW=1", "LANG=de", "APP=1" },
				Cmd = { "bash" }, Entrypoint = { "/init" }, WorkingDir = "/srv", User = "app",
				Labels = { base = "new", both = "mine", more = "1", own = "1" },
				ExposedPorts = { ["443/tcp"] = {}, ["8080/tcp"] = {} }, StopSignal = "SIGINT",
				Healthcheck = { Test = { "NONE" } }, Volumes = {},
			}, got)
		end)

		specify("keeps the arguments away from an entrypoint of the image's own", function()
			local got = rebased({ Entrypoint = { "/app" }, Cmd = cjson.null }, { config = "inherit" })
			assert.same({ "/app" }, got.Entrypoint)
			assert.is_true(got.Cmd == nil or got.Cmd == cjson.null)
			got = rebased({ Entrypoint = { "/app" } }, { config = "inherit" })
			assert.same({ "sh" }, got.Cmd)
			got = rebased({ Cmd = { "mine" } }, { config = "inherit" })
			assert.same({ { "/init" }, { "mine" } }, { got.Entrypoint, got.Cmd })
		end)
	end)

	describe("layouts", function()
		local layers = docker_archive.layers(5)
		local BASE = "org.opencontainers.image.base."

		local function layout(name, given)
			local made = blobs.new()
			local manifest = made:image(given)
			made:set_root({ blobs.descriptor(manifest, blobs.named(name)) })
			local img = bench:load(made:write_dir(bench.dir:file(name)))
			return img, manifest
		end

		local function look(img, format)
			local path = bench.dir:file("out-" .. (format or "native"))
			local result = assert(img:save(path, { format = format }))
			local found = blobs.look(path)
			assert.same({}, found.problems)
			assert.equal(1, #found.images)
			assert.equal(result.digest, found.images[1].digest)
			assert.equal(img.digest, result.digest)
			return found.images[1]
		end

		specify("keep descriptors with all that they say, and the base's annotations follow", function()
			local old = layout("old", { layers = { layers[1] } })
			local new, manifest = layout("new", {
				layers = { layers[3], layers[4] }, compression = { "zstd", "none" },
				more_of_layers = { blobs.annotations("org.example.layer", "three") .. ',"x-layer":[1.0]' },
			})
			local img = layout("app", {
				layers = { layers[1], layers[2] },
				more_of_layers = { nil, blobs.annotations("org.example.layer", "two") },
				more = blobs.annotations(BASE .. "digest", "sha256:" .. ("0"):rep(64), BASE .. "name", "old", "other", "stays"),
			})
			local before = look(img)
			assert(img:rebase(old, new))
			local after = look(img, "oci-archive")
			assert.same({ ["org.example.layer"] = "three" }, after.layers[1].annotations)
			assert.same({ 1 }, after.layers[1].descriptor["x-layer"])
			assert.same({ "zstd", "tar" }, { after.layers[1].type:match("%w+$"), after.layers[2].type:match("%w+$") })
			assert.same(before.layers[2].descriptor, after.layers[3].descriptor)
			assert.equal("three", img.layers[1].annotations["org.example.layer"])
			assert.same({
				[BASE .. "digest"] = manifest.digest, [BASE .. "name"] = "docker.io/library/new", other = "stays",
			}, after.manifest.annotations)
			-- Packed anew, the descriptor is that of the new bytes.
			assert.equal(after.text, look(img, "oci").text)
			assert(img:save(bench.dir:file("plain"), { format = "oci", compression = "none" }))
			assert.same({}, blobs.look(bench.dir:file("plain")).problems)
		end)

		specify("lose annotations of a base that is not told", function()
			local old = layout("old", { layers = { layers[1] } })
			local img = layout("app", {
				layers = { layers[1], layers[2] }, more = blobs.annotations(BASE .. "digest", "x", BASE .. "name", "old"),
			})
			local new = open({ "b" }, "B")
			assert(img:rebase(old, new))
			assert.is_nil(look(img).manifest.annotations)
		end)

		specify("can stand on foreign layers whose bytes are elsewhere", function()
			local old = layout("old", { layers = { layers[1] } })
			local new = layout("new", {
				layers = { layers[3] }, without = { true },
				types = { "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip" },
				more_of_layers = { ',"urls":["https://example.org/layer"]' },
			})
			local img = layout("app", { layers = { layers[1], layers[2] } })
			assert(img:rebase(old, new))
			assert(img:save(bench.dir:file("out"), { format = "oci", compression = "zstd" }))
			local image = blobs.look(bench.dir:file("out")).images[1]
			assert.same({ "https://example.org/layer" }, image.layers[1].descriptor.urls)
			assert.is_truthy(image.layers[1].type:find("nondistributable", 1, true))
			assert.is_truthy(image.layers[2].type:find("zstd", 1, true))
		end)

		specify("go onto bases in archives, and the other way", function()
			local old, img = layout("old", { layers = { layers[1] } }), layout("app", { layers = { layers[1], layers[2] } })
			local new = open({ "b1", "b2" }, "B1 B2")
			assert(img:rebase(old, new))
			look(img)
			local out = bench.dir:file("docker.tar")
			assert(img:save(out, { format = "docker" }))
			local loaded = bench:load(out)
			assert(loaded:verify())
			assert.equal(new.layers[1].digest, loaded.layers[1].digest)
			local app = open({ "b1", "b2", "p" }, "B1 B2 P")
			assert(app:rebase(new, old))
			assert.equal(old.layers[1].digest, bench:save(app).layers[1].digest)
		end)
	end)
end)
