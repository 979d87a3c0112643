-- Takes seconds: not for make check.
-- Image archives and documents that mean to be taken for something else. Each name begins with the row of the list of
-- known attacks that it stands for.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local oci_layout = require "spec.support.oci_layout"
local refusal = require "spec.support.refusal"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local corpus = os.getenv("STRATA_CORPUS")
local types = oci_layout.types

describe("hostile images:", function()
	local dir, layers, made

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
		layers = archive.layers(2)
		made = archive.image({ layers = layers })
	end)

	after_each(function()
		collectgarbage()
		dir:remove()
	end)

	local function codes_of(report)
		local codes = {}
		for _, one in ipairs(report) do
			codes[#codes + 1] = one.severity .. " " .. one.code
		end
		table.sort(codes)
		return codes
	end

	local function find(report, code)
		for _, one in ipairs(report) do
			if one.code == code then
				return one
			end
		end
		error("no finding " .. code .. ":\n" .. tostring(report))
	end

	--- Refused when it is opened.
	local function refuse(path, code, ...)
		return refusal.of_open(path, code, { ... })
	end

	--- Opened, told by a check as an error, and refused by strict.
	local function told(path, code, opts)
		local img = assert(strata.open(path, opts))
		local one = find(assert(img:check({ severity = "note" })), code)
		assert.equal("error", one.severity)
		img:close()
		local strict = { strict = true }
		for key, value in pairs(opts or {}) do
			strict[key] = value
		end
		local refused, message, got = strata.open(path, strict)
		refusal.expect(refused, message, got)
		assert.equal("EFORMAT", got)
		assert.truthy(message:find("[" .. code .. "]", 1, true), message)
		return one
	end

	--- Opened, and told by a check as less than an error: strict opens it, too.
	local function mentioned(path, code)
		local img = assert(strata.open(path, { strict = true }))
		local one = find(assert(img:check({ severity = "note" })), code)
		assert.are_not.equal("error", one.severity)
		img:close()
		return one
	end

	local function docker(config, names, extra)
		local built = archive.new({ { name = "c.json", data = made.config }, { name = "l1", data = layers[1].tar } })
		built:add("l2", layers[2].tar)
		for _, member in ipairs(extra or {}) do
			built.members[#built.members + 1] = member
		end
		local text = ('[{"Config":%s,"Layers":%s}]'):format(oci_layout.encode(config), archive.list(names))
		return built:add("manifest.json", text):write(dir:file("docker.tar"))
	end

	-- The image with parts of its config changed.
	local function with_config(changes)
		local layout = oci_layout.new()
		local image = layout:image({ layers = { layout:file_layer("a") }, config = changes, platform = "linux/amd64" })
		return layout:list(image.descriptor, "1"):archive(dir:file("layout.tar"))
	end

	it("I1: names of documents are looked up in the archive, and never outside", function()
		assert(strata.open(docker("c.json", { "l1", "l2" }), { strict = true })):close()
		local outside = dir:write("outside.tar", layers[1].tar)
		local names = { "../../../etc/passwd", "/etc/passwd", "", outside, "..", "./../outside.tar", "/proc/self/exe" }
		for _, name in ipairs(names) do
			refuse(docker("c.json", { name, "l2" }), "EFORMAT", "layer 1")
			refuse(docker(name, { "l1", "l2" }), "EFORMAT", "config")
		end
		refuse(docker("c.json", { "d", "l2" }, { { name = "d/", type = "dir" } }), "EFORMAT", "is a dir")
		for _, digest in ipairs({ "sha256:../../../../etc/passwd", "sha256:" .. ("A"):rep(64), "../x", "sha256:" }) do
			local layout = oci_layout.new()
			local image = layout:image({ layers = { layout:file_layer("a", { descriptor = { digest = digest } }) } })
			refuse(layout:list(image.descriptor):directory(dir:file("l" .. #dir:names())), "EFORMAT", "bad digest")
		end
	end)

	it("I2: links are followed inside the archive, a few hops, and never round", function()
		local function link(to, kind)
			return { name = "link", type = kind or "symlink", linkpath = to }
		end
		assert(strata.open(docker("c.json", { "link", "l2" }, { link("l1") }))):close()
		assert(strata.open(docker("c.json", { "link", "l2" }, { link("l1", "hardlink") }))):close()
		for _, to in ipairs({ "/etc/passwd", "../../etc/passwd", "link", "./link", "", ".." }) do
			refuse(docker("c.json", { "link", "l2" }, { link(to) }), "EFORMAT", "layer 1")
			refuse(docker("c.json", { "link", "l2" }, { link(to, "hardlink") }), "EFORMAT", "layer 1")
		end
		local circle = { { name = "a", type = "symlink", linkpath = "b" }, { name = "b", type = "symlink", linkpath = "a" } }
		refuse(docker("c.json", { "a", "l2" }, circle), "EFORMAT", "is a circle of links")
	end)

	it("I3: control files and blobs that are there twice and differ are refused or told", function()
		local built = dialects.of.docker_25(made)
		for _, name in ipairs({ "manifest.json", "index.json", "oci-layout", "repositories", "blobs/sha256/" .. made.id }) do
			for _, at in ipairs({ 1, #built.members + 1 }) do
				local twin = { name = "./" .. name, data = built:member(name).data .. " " }
				table.insert(built.members, at, twin)
				refuse(built:write(dir:file("twice.tar")), "EFORMAT", "several times")
				table.remove(built.members, at)
			end
		end
		-- What no reader of the image needs is only told.
		local unused = { name = "blobs/sha256/" .. ("0"):rep(64), data = "one" }
		table.insert(built.members, unused)
		table.insert(built.members, { name = unused.name, data = "two" })
		local one = told(built:write(dir:file("unused.tar")), "duplicate-member")
		assert.equal(unused.name, one.path)
		assert.equal(#built.members, one.entry)
		built.members[#built.members].data = "one"
		mentioned(built:write(dir:file("same.tar")), "duplicate-member")
	end)

	describe("I4", function()
		-- manifest.json of one image beside the index of another.
		local function hybrid()
			local other = archive.image({ layers = { layers[1] }, name = "other" })
			local one, two = dialects.of.docker_25(made), dialects.of.docker_25(other)
			for _, member in ipairs(two.members) do
				if member.name:find("^blobs/") then
					one:add(member.name, member.data, { type = member.type })
				end
			end
			one:member("index.json").data = two:member("index.json").data
			return one:write(dir:file("hybrid.tar")), other
		end

		it("I4: lists that lead to two images are refused, unless one is preferred", function()
			local path, other = hybrid()
			refuse(path, "EFORMAT", "disagree")
			assert.equal("sha256:" .. made.id, assert(strata.open(path, { prefer = "docker" })).id)
			assert.equal("sha256:" .. other.id, assert(strata.open(path, { prefer = "oci" })).id)
		end)

		it("I4: a check and strict tell of it whichever is preferred", function()
			local path = hybrid()
			told(path, "lists-disagree", { prefer = "docker" })
			told(path, "lists-disagree", { prefer = "oci" })
		end)

		it("I4: an image that one list lacks is told", function()
			local one = dialects.of.docker_25(made)
			one:member("index.json").data = '{"schemaVersion":2,"manifests":[]}'
			mentioned(one:write(dir:file("half.tar")), "list-incomplete")
		end)
	end)

	it("I5: bytes that are not those of their digest are found before anything is written", function()
		local built = dialects.of.docker_25(made)
		built:member("blobs/sha256/" .. made.id).data = made.config .. " "
		refuse(built:write(dir:file("config.tar")), "EDIGEST", made.id)
		built = dialects.of.docker_25(made)
		local layer = built:member("blobs/sha256/" .. layers[1].diff_id)
		layer.data = layer.data:gsub("this is layer", "THIS is layer", 1)
		local img = assert(strata.open(built:write(dir:file("layer.tar"))))
		local out = dir:file("out")
		for _, result in ipairs({
			{ img:verify() },
			{ img:save(out, { format = "oci" }) },
			{ img:save(out, { format = "docker" }) },
			{ img:extract(out, { unprivileged = true }) },
		}) do
			refusal.expect(result[1], result[2], result[3])
			assert.equal("EDIGEST", result[3])
			assert.is_false(shell.run({ "test", "-e", out }).status == 0)
		end
		img:close()
	end)

	it("I6: a layout's blobs that are links out of it, FIFOs or directories are refused", function()
		for code, script in pairs({
			EXDEV = 'ln -sf /etc/passwd "$1"',
			EUNSUPPORTED = 'rm "$1"; mkfifo "$1"',
			EISDIR = 'rm "$1"; mkdir "$1"',
			ELOOP = 'ln -sf "${1##*/}" "$1"',
		}) do
			local layout = oci_layout.new()
			local layer = layout:file_layer("a")
			local image = layout:image({ layers = { layer } })
			local path = layout:list(image.descriptor):directory(dir:file(code))
			shell.sh(script, path .. "/" .. oci_layout.blob_name(image.id))
			refuse(path, code)
		end
		local layout = oci_layout.new()
		local image = layout:image({ layers = { layout:file_layer("a") } })
		local path = layout:list(image.descriptor):directory(dir:file("up"))
		shell.sh('cp "$1" "$2"; ln -sf ../../../copy "$1"', path .. "/" .. oci_layout.blob_name(image.id), dir:file("copy"))
		refuse(path, "EXDEV")
	end)

	it("I7: documents have limits of size, depth and number", function()
		local layout = oci_layout.new()
		local inner = layout:image({ layers = {} }).descriptor
		for _ = 1, 9 do
			inner = layout:index({ inner })
		end
		refuse(layout:list(inner):directory(dir:file("deep")), "ELIMIT", "limits.index_depth")
		for name, text in pairs({
			nested = ("["):rep(100000) .. ("]"):rep(100000),
			long = '{"a":"' .. ("x"):rep(4 * 1024 * 1024) .. '"}',
			many = "[" .. ("0,"):rep(1000001) .. "0]",
		}) do
			layout = oci_layout.new()
			layout.text = text
			refuse(layout:directory(dir:file(name)), "ELIMIT")
		end
		local names = {}
		for i = 1, 4097 do
			names[i] = "l1"
		end
		refuse(docker("c.json", names), "ELIMIT", "4097 layers")
	end)

	it("I7: more layers than Docker can stack are told", function()
		local empty = archive.layer({})
		local list = {}
		for i = 1, 128 do
			list[i] = empty
		end
		local many = archive.image({ layers = list })
		mentioned(dialects.of.podman(many):write(dir:file("many.tar")), "many-layers")
	end)

	it("I8: a document that is two things at once, or another than it is said to be, is refused", function()
		for _, extra in ipairs({ "layers", "config", "fsLayers" }) do
			local layout = oci_layout.new()
			layout:list(layout:image({ layers = {} }).descriptor)
			layout.root[extra] = { { digest = "x" } }
			refuse(layout:directory(dir:file(extra)), "EFORMAT", "at once")
		end
		local layout = oci_layout.new()
		local image = layout:image({ layers = {}, manifest = { mediaType = types.oci.index } })
		refuse(layout:list(image.descriptor):directory(dir:file("index")), "EFORMAT", "said to be")
		layout = oci_layout.new()
		local lying = layout:file_layer("a", { descriptor = { mediaType = types.oci.none } })
		layout:list(layout:image({ layers = { lying } }).descriptor)
		mentioned(layout:directory(dir:file("lying")), "media-type")
	end)

	it("I9: sizes below zero, or others than the blob has, are refused", function()
		for number, size in ipairs({ "-1", "-9223372036854775808", "1e300", "0.5" }) do
			local layout = oci_layout.new()
			local layer = layout:file_layer("a", { descriptor = { size = oci_layout.raw(size) } })
			layout:list(layout:image({ layers = { layer } }).descriptor)
			refuse(layout:directory(dir:file("size" .. number)), "EFORMAT", "bad size")
		end
		for _, size in ipairs({ 0, 1, 1048576 }) do
			local layout = oci_layout.new()
			local layer = layout:file_layer("a", { descriptor = { size = size } })
			layout:list(layout:image({ layers = { layer } }).descriptor)
			refuse(layout:directory(dir:file("other" .. size)), "EDIGEST", "bytes")
		end
	end)

	it("I10: layers and diff_ids of another number are refused, a history of another number is told", function()
		refuse(docker("c.json", { "l1" }), "EFORMAT", "2 diff_ids")
		refuse(docker("c.json", { "l1", "l2", "l1" }), "EFORMAT", "3 layers")
		refuse(with_config({ rootfs = false }), "EFORMAT", "rootfs")
		for _, history in ipairs({ { { created_by = "a" }, { created_by = "b" } }, { { empty_layer = true } } }) do
			mentioned(with_config({ history = history }), "history")
		end
		local img = assert(strata.open(with_config({ history = { { created_by = "a" }, { created_by = "b" } } })))
		assert.equal(2, #img:history())
		assert.is_nil(img:history()[2].layer)
		img:close()
	end)

	it("I11: an image that is its own ancestor is refused", function()
		local ids = { ("a"):rep(64), ("b"):rep(64) }
		for _, parents in ipairs({ { ids[1], ids[1] }, { ids[2], ids[1] } }) do
			local built = archive.new()
			for i, id in ipairs(ids) do
				built:add(id .. "/json", ('{"id":"%s","parent":"%s","os":"linux"}'):format(id, parents[i]))
				built:add(id .. "/layer.tar", layers[i].tar)
			end
			built:add("repositories", ('{"app":{"1":"%s"}}'):format(ids[1]))
			refuse(built:write(dir:file("v1.tar")), "EFORMAT", "its own ancestor")
		end
	end)

	it("I12: a user beyond the range of numbers is told", function()
		for _, user in ipairs({ "4294967296:0", "0:4294967296", "4294967295", "-1", "99999999999999999999", "+0" }) do
			local one = told(with_config({ config = { User = user } }), "user-range")
			assert.equal("config", one.where)
		end
		for _, user in ipairs({ "2147483648", "a b", "a:b:c", "root\n0" }) do
			local img = assert(strata.open(with_config({ config = { User = user } }), { strict = true }))
			assert.equal(user, img.config.User)
			assert.truthy(find(assert(img:check({ severity = "note" })), user:find("^%d+$") and "user-range" or "user-name"))
			img:close()
		end
		for _, user in ipairs({ "", "0", "1000:1000", "nginx", "app:2147483647" }) do
			local img = assert(strata.open(with_config({ config = { User = user } })))
			assert.same({}, codes_of(assert(img:check({ severity = "note" }))))
			img:close()
		end
	end)

	it("I13: the same config over other layers is not taken for the image", function()
		local built = dialects.of.podman(made)
		built:member(layers[2].diff_id .. ".tar").data = layers[1].tar
		local img = assert(strata.open(built:write(dir:file("swapped.tar"))))
		assert.equal("sha256:" .. made.id, img.id)
		assert.equal("EDIGEST", select(3, img:verify()))
		local result, _, code = img:save(dir:file("out"), { format = "oci" })
		assert.is_nil(result)
		assert.equal("EDIGEST", code)
		local right = assert(strata.open(dialects.of.podman(made):write(dir:file("right.tar"))))
		local chain = "sha256:" .. layers[1].diff_id .. " sha256:" .. layers[2].diff_id
		assert.equal("sha256:" .. archive.sha256(chain), right.layers[2].chain_id)
		img:close()
		right:close()
	end)

	it("I14: an image without layers has an empty root", function()
		local layout = oci_layout.new()
		layout:list(layout:image({ layers = {}, platform = "linux/amd64" }).descriptor)
		local img = assert(strata.open(layout:directory(dir:file("empty")), { strict = true }))
		assert.equal(0, #img.layers)
		assert.same({}, assert(img:rootfs()):list("."))
		assert(img:extract(dir:file("rootfs"), { unprivileged = true }))
		assert.equal("", shell.sh('ls -A "$1"', dir:file("rootfs")))
		assert.equal("none", tostring(img:check({ severity = "note" })))
		img:close()
	end)

	-- A layout whose layer has this name.
	local function with_digest(digest)
		local layout = oci_layout.new()
		local layer = layout:file_layer("a")
		digest = type(digest) == "string" and digest or digest(layer.bytes)
		layout:blob(layer.bytes, digest)
		layer.descriptor = oci_layout.with(layer.descriptor, { digest = digest })
		layout:list(layout:image({ layers = { layer } }).descriptor)
		return layout:directory(dir:file(digest:sub(1, 16))), digest
	end

	it("I15: a SHA-512 is verified", function()
		local img = assert(strata.open((with_digest(oci_layout.sha512)), { strict = true }))
		assert.is_true(img:verify())
		img:close()
		local path, digest = with_digest(oci_layout.sha512("other bytes"))
		img = assert(strata.open(path))
		for _, try in ipairs({
			function() return img:verify() end,
			function() return img:save(dir:file("out.tar"), { format = "docker" }) end,
			function() return img:extract(dir:file("rootfs"), { unprivileged = true }) end,
		}) do
			local result, message, code = try()
			assert.is_nil(result)
			assert.equal("EDIGEST", code)
			assert.truthy(message:find("layer 1/1", 1, true) and message:find(digest, 1, true), message)
		end
		assert.equal("", shell.sh('cd "$1"; find . -name "out*" -o -name "root*"', dir.path))
		img:close()
	end)

	it("I15: what no known algorithm can verify is refused", function()
		for _, name in ipairs({ "blake3:" .. ("0"):rep(64), "md5:" .. ("0"):rep(32), "sha384:" .. ("0"):rep(96) }) do
			refuse((with_digest(name)), "EUNSUPPORTED", name)
		end
		-- A layer that is somewhere else can be named by any.
		local layout = oci_layout.new()
		local layer = layout:file_layer("a", { compression = "gzip" })
		layer.descriptor = { mediaType = types.oci.foreign, size = 1, digest = "blake3:" .. ("0"):rep(64) }
		layout:list(layout:image({ layers = { layer } }).descriptor)
		told(layout:directory(dir:file("foreign")), "unknown-digest")
	end)

	it("I16: tables of contents are not read, told, and dropped with the bytes that they describe", function()
		local name = "io.github.containers.zstd-chunked.manifest-checksum"
		local layout = oci_layout.new()
		local layer = layout:file_layer("a", { compression = "zstd", descriptor = { annotations = { [name] = "sha256:x" } } })
		layout:list(layout:image({ layers = { layer }, platform = "linux/amd64" }).descriptor, "1")
		local path = layout:archive(dir:file("chunked.tar"))
		mentioned(path, "table-of-contents")
		local img = assert(strata.open(path))
		assert.equal("this is a\n", img.layers[1]:read("a"))
		img.layers[1]:rewrite(function(entry) entry.mtime = 7 end)
		assert(img:save(dir:file("edited.tar")))
		local saved = assert(strata.open(dir:file("edited.tar")))
		assert.same({}, saved.layers[1].annotations)
		assert.same({}, codes_of(assert(saved:check())))
		saved:close()
		img:close()
		if corpus then
			local estargz = assert(strata.open(corpus .. "/images/wagoodman-test-oci-estargz-image.tar"))
			find(assert(estargz:check()), "table-of-contents")
			estargz:close()
		end
	end)

	it("I16: data inside a descriptor that are not those of its digest are told", function()
		local layout = oci_layout.new()
		local image = layout:image({ layers = {}, config_descriptor = { data = "e30=" }, platform = "linux/amd64" })
		told(layout:list(image.descriptor):directory(dir:file("data")), "embedded-data")
		layout = oci_layout.new()
		local plain = layout:image({ layers = {}, platform = "linux/amd64" })
		local text = oci_layout.filter(plain.config, "base64 -w0")
		image = layout:image({ layers = {}, config_descriptor = { data = text }, platform = "linux/amd64" })
		local img = assert(strata.open(layout:list(image.descriptor):directory(dir:file("right")), { strict = true }))
		assert.equal(plain.config, img.config:text())
		img:close()
	end)

	it("I17: JSON that readers take in two ways is refused in every document", function()
		local bad = {
			'"a":1,"a":2',
			'"A":1,"a":2',
			'"a":"\\ud800"',
			'"\\udc00":1',
			'"a":"\255"',
			'"a":"\\u0000"',
			'"a":1e400',
			'"a":01',
			'"a":+1',
			'"a":NaN',
			'"a":1,',
			'"a":"\n"',
			"'a':1",
			'"a":1/**/',
		}
		local function refused(path, harmless)
			local img, message, code = strata.open(path)
			if harmless and img then
				img:close()
				return
			end
			refusal.expect(img, message, code)
			assert.is_true(code == "EFORMAT" or code == "ELIMIT", message)
		end
		for number, text in ipairs(bad) do
			-- A number or a NUL in a key that nobody knows is nobody's business.
			local harmless = text:find("1e400", 1, true) or text:find("u0000", 1, true)
			local layout = oci_layout.new()
			local image = layout:image({ layers = {} })
			layout:list(image.descriptor)
			layout.text = oci_layout.encode(layout.root):gsub("^{", "{" .. text:gsub("%%", "%%%%") .. ",")
			refused(layout:directory(dir:file("index" .. number)), harmless)
			local config = made.config:gsub("^{", function() return "{" .. text .. "," end)
			local built = archive.new({ { name = "c", data = config }, { name = "l1", data = layers[1].tar } })
			built:add("l2", layers[2].tar):add("manifest.json", '[{"Config":"c","Layers":["l1","l2"]}]')
			refused(built:write(dir:file("config.tar")), harmless)
			built:member("c").data = made.config
			built:member("manifest.json").data = ('[{%s,"Config":"c","Layers":["l1","l2"]}]'):format(text)
			refused(built:write(dir:file("manifest.tar")), harmless)
		end
	end)

	it("P14: a working directory in /proc is told", function()
		for _, path in ipairs({ "/proc/self/fd/7", "/proc", "proc/1", "//proc/self/fd/8/../..", "/a/../proc/self" }) do
			local one = told(with_config({ config = { WorkingDir = path } }), "working-directory")
			assert.equal("config", one.where)
		end
		for _, path in ipairs({ "/process", "/app/proc", "", "/" }) do
			assert(strata.open(with_config({ config = { WorkingDir = path } }), { strict = true })):close()
		end
	end)

	it("T18: tags, steps and labels with escapes are harmless in all that is printed", function()
		local evil = "\27]0;owned\7"
		local img = assert(strata.open(with_config({
			config = { Labels = { [evil] = evil } },
			history = { { created_by = evil, comment = evil } },
		})))
		assert.equal(evil, img.config.Labels[evil])
		assert.equal(evil, img:history()[1].created_by)
		assert.equal(evil, img.layers[1].created_by)
		local text = tostring(img) .. tostring(img.layers[1]) .. tostring(img.config) .. tostring(img:history()[1])
		assert.is_nil(text:find("[%z\1-\31\127]"), text)
		find(assert(img:check({ severity = "note" })), "terminal-escape")
		img:close()
	end)

	it("I5: the public broken images are refused", function()
		if not corpus then
			pending("STRATA_CORPUS is not set")
			return
		end
		for name, code in pairs({
			["broken/anchore-valid_manifest"] = "EDIGEST",
			["broken/cloudfoundry-corrupted"] = "EDIGEST",
			["broken/google-null_manifest.tar"] = "EFORMAT",
		}) do
			refuse(corpus .. "/" .. name, code)
		end
	end)
end)
