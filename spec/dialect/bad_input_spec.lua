local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local refusal = require "spec.support.refusal"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local dir = tmp.dir(tmp.for_peers())
local path = dir:file("bad.tar")
local layers = archive.layers(2)
local made = archive.image({ layers = layers })

local function bytes_changed(bytes, at)
	return bytes:sub(1, at - 1) .. string.char((bytes:byte(at) + 128) % 256) .. bytes:sub(at + 1)
end

local function with_manifest(text)
	local built = dialects.of.docker_1_10(made)
	built:member("manifest.json").data = text
	return built:write(path)
end

-- The same archive with another config, the manifest following.
local function with_config(text)
	local built = archive.new():add("config.json", text)
	local names = {}
	for i, layer in ipairs(layers) do
		built:add("layer" .. i .. ".tar", layer.tar)
		names[i] = "layer" .. i .. ".tar"
	end
	built:add("manifest.json", ('[{"Config":"config.json","RepoTags":null,"Layers":%s}]'):format(archive.list(names)))
	return built:write(path)
end

describe("a file that is no image archive", function()
	it("is refused when it is empty", function()
		refusal.of_open(dir:write("empty.tar", ""), "EFORMAT", { "is empty" })
		refusal.of_open(dir:write("zeros.tar", ("\0"):rep(10240)), "EFORMAT", { "manifest.json" })
	end)

	it("is refused when it is something else", function()
		for name, text in pairs({
			text = "hello, world\n",
			long = ("hello, world\n"):rep(1000),
			json = '[{"Config":"a"}]',
			elf = "\127ELF" .. ("\1"):rep(2000),
			high = ("\255"):rep(1024),
		}) do
			refusal.of_open(dir:write(name, text), "EFORMAT", {})
		end
	end)

	it("is refused when it is a tar without manifest.json", function()
		local built = dialects.of.kaniko(made)
		built:remove("manifest.json")
		refusal.of_open(built:write(path), "EFORMAT", { "manifest.json" })
		built:add("sub/manifest.json", "[]")
		refusal.of_open(built:write(path), "EFORMAT", { "manifest.json" })
	end)

	it("may be one of another kind, or compressed as a whole", function()
		local function check(from, id)
			local img = assert(strata.open(from))
			assert.equal(id or "sha256:" .. made.id, img.id)
			assert.same({ "app:1" }, img.tags)
			assert.equal(#layers, #img.layers)
			for i, layer in img:layers() do
				assert.equal("sha256:" .. layers[i].diff_id, layer.diff_id)
			end
			assert.is_true(assert(img:verify()))
			return img.id
		end
		local built = dialects.of.docker_25(made)
		built:remove("manifest.json")
		check(built:write(path))
		built = dialects.of.docker_1_10(made)
		built:remove("manifest.json")
		local config = assert(strata.open(built:write(path))).config:text()
		check(path, "sha256:" .. archive.sha256(config))
		local plain = dialects.of.docker_1_10(made):write(dir:file("plain.tar"))
		for _, command in ipairs({ "gzip -c", "xz -c", "zstd -qc", "bzip2 -c", "lz4 -qc" }) do
			shell.sh(command .. ' <"$1" >"$2"', plain, path)
			check(path)
			shell.write(path, shell.read(path):sub(1, 1000))
			refusal.of_open(path, "EFORMAT", {})
		end
	end)

	it("is refused when it is a directory without an image, a FIFO, a socket or a device", function()
		refusal.of_open(dir.path, "EFORMAT", { "index.json" })
		shell.check({ "mkfifo", dir:file("fifo") })
		refusal.of_open(dir:file("fifo"), "EUNSUPPORTED", { "not a regular file" })
		refusal.of_open("/dev/null", "EUNSUPPORTED", { "not a regular file" })
		shell.check({ "ln", "-s", "fifo", dir:file("to-fifo") })
		refusal.of_open(dir:file("to-fifo"), "EUNSUPPORTED", { "not a regular file" })
	end)

	it("is refused when it is not there, or leads nowhere", function()
		refusal.of_open(dir:file("missing.tar"), "ENOENT", {})
		refusal.of_open(dir:file("zeros.tar/x"), "ENOTDIR", {})
		shell.sh('ln -s loop "$1/loop"; ln -s missing "$1/dangling"', dir.path)
		refusal.of_open(dir:file("loop"), "ELOOP", {})
		refusal.of_open(dir:file("dangling"), "ENOENT", {})
		refusal.of_open(dir:file(("x"):rep(300)), "ENAMETOOLONG", {})
		assert.error_matches(function()
			strata.open("")
		end, "a path is wanted, not an empty string")
	end)
end)

describe("a manifest.json", function()
	it("is refused when it lists no images", function()
		for _, text in ipairs({ "null", "[]", "{}", "true", "0", '""', "[null]", "[[]]", "[1]", '["a"]', '{"0":{}}' }) do
			refusal.of_open(with_manifest(text), "EFORMAT", { "manifest.json" })
		end
	end)

	it("is refused when it is not JSON", function()
		for _, text in ipairs({
			"",
			" ",
			"{",
			"[{]",
			"\0",
			"\239\187\191[]",
			"[{}] x",
			"[{}]\0",
			"<html>",
			'[{"Config":"a","Config":"b"}]',
			'[{"Config":"\255"}]',
			'[{"Config":"\\ud800"}]',
			"[" .. ("["):rep(100000) .. ("]"):rep(100000) .. "]",
		}) do
			local _, message, code = strata.open(with_manifest(text))
			assert.is_true(code == "EFORMAT" or code == "ELIMIT", message)
			assert.truthy(message:find("manifest.json", 1, true), message)
		end
	end)

	it("is refused when a key is of another type", function()
		local config, layer = made.id .. ".json", dialects.of.docker_1_10(made).members[4].name
		for _, text in ipairs({
			"{}",
			'{"Config":null}',
			'{"Config":""}',
			'{"Config":1}',
			'{"Config":["a"]}',
			('{"Config":"%s","Layers":"%s"}'):format(config, layer),
			('{"Config":"%s","Layers":{"a":"%s"}}'):format(config, layer),
			('{"Config":"%s","Layers":[1,2]}'):format(config),
			('{"Config":"%s","Layers":[null,null]}'):format(config),
			('{"Config":"%s","Layers":[["%s"],"%s"]}'):format(config, layer, layer),
			('{"Config":"%s","Layers":["%s","%s"],"RepoTags":"app:1"}'):format(config, layer, layer),
			('{"Config":"%s","Layers":["%s","%s"],"RepoTags":[1]}'):format(config, layer, layer),
			('{"Config":"%s","Layers":["%s","%s"],"RepoTags":{"a":"b"}}'):format(config, layer, layer),
		}) do
			refusal.of_open(with_manifest("[" .. text .. "]"), "EFORMAT", { "manifest.json" })
		end
	end)

	it("is refused when keys differ in their case only, for readers would differ, too", function()
		local built = dialects.of.docker_1_10(made)
		local text = built:member("manifest.json").data
		for _, key in ipairs({ '"config":"x"', '"layers":[]', '"LAYERS":[]', '"repotags":["b:1"]' }) do
			refusal.of_open(with_manifest((text:gsub("{", "{" .. key .. ",", 1))), "EFORMAT", { "manifest.json" })
		end
	end)

	it("is refused when it is too long, or its layers are too many", function()
		local long = "[" .. (" "):rep(4 * 1024 * 1024) .. "]"
		local message = refusal.of_open(with_manifest(long), "ELIMIT", { "manifest.json" })
		assert.truthy(message:find("4194304", 1, true), message)
		local names = {}
		for i = 1, 5000 do
			names[i] = "a"
		end
		local text = ('[{"Config":"%s.json","Layers":%s}]'):format(made.id, archive.list(names))
		refusal.of_open(with_manifest(text), "ELIMIT", { "5000" })
		local built = dialects.of.docker_1_10(made)
		refusal.of_open(built:write(path), "ELIMIT", { "2 layers" }, { limits = { layers = 1 } })
	end)
end)

describe("a config", function()
	it("is refused when it is missing", function()
		for _, name in ipairs(dialects.names()) do
			local built = dialects.of[name](made)
			for i, member in ipairs(built.members) do
				if member.data == made.config then
					table.remove(built.members, i)
				end
			end
			local parts = { "config", name == "jib" and "config.json" or made.id }
			refusal.of_open(built:write(path), "EFORMAT", parts)
		end
	end)

	it("is refused when its address is another digest", function()
		for _, name in ipairs(dialects.names()) do
			local built = dialects.of[name](made)
			for _, member in ipairs(built.members) do
				if member.data == made.config then
					member.data = made.config .. " "
				end
			end
			if not built:position("blobs/sha256/" .. made.id) then
				assert(strata.open(built:write(path)))
			else
				refusal.of_open(built:write(path), "EDIGEST", { made.id, archive.sha256(made.config .. " ") })
			end
		end
	end)

	it("is refused when it is not what a config is", function()
		local rootfs = made.config:match('"rootfs":%b{}')
		for _, text in ipairs({
			"",
			"null",
			"[]",
			"1",
			'"a"',
			"{",
			"{}",
			"{" .. rootfs .. "} x",
			"{" .. rootfs .. "," .. rootfs .. "}",
			'{"config":[],' .. rootfs .. "}",
			'{"config":"a",' .. rootfs .. "}",
			'{"history":{},' .. rootfs .. "}",
			'{"history":[1],' .. rootfs .. "}",
			'{"config":{"Env":[],"Env":[]},' .. rootfs .. "}",
			'{"a":' .. ("["):rep(5000) .. ("]"):rep(5000) .. "," .. rootfs .. "}",
			'{"rootfs":null}',
			'{"rootfs":[]}',
			'{"rootfs":{"diff_ids":[]}}',
			'{"rootfs":{"type":"trees","diff_ids":[]}}',
			'{"rootfs":{"type":"layers","diff_ids":{}}}',
			'{"rootfs":{"type":"layers","diff_ids":[1,2]}}',
			'{"rootfs":{"type":"layers","diff_ids":["a","b"]}}',
			'{"rootfs":{"type":"layers","diff_ids":["sha256:../../x","sha256:b"]}}',
			(made.config:gsub("sha256:%x", "sha256:G")),
			(made.config:gsub("sha256:", "SHA256:")),
			(made.config:gsub("sha256:%x", "sha256:")),
			"\239\187\191" .. made.config,
			"\255\254" .. made.config,
			made.config .. "\0",
		}) do
			local img, message, code = strata.open(with_config(text))
			refusal.expect(img, message, code)
			assert.is_true(code == "EFORMAT" or code == "ELIMIT", message)
			assert.truthy(message:find(path, 1, true), message)
			assert.truthy(message:find("config", 1, true), message)
		end
	end)

	it("is refused when keys differ in their case only", function()
		for _, pair in ipairs({
			{ '"rootfs":', '"RootFS":{"type":"layers","diff_ids":[]},"rootfs":' },
			{ '"config":', '"Config":{"Env":["A=B"]},"config":' },
			{ '"Env":', '"env":["A=B"],"Env":' },
		}) do
			local text, count = made.config:gsub(pair[1], pair[2], 1)
			assert.equal(1, count)
			refusal.of_open(with_config(text), "EFORMAT", { "config", "case" })
		end
		assert(strata.open(with_config((made.config:gsub('"name":"app"', '"name":"app","NAME":"other"')))))
	end)

	it("is refused when it has more or fewer diff_ids than there are layers", function()
		local first = '"sha256:' .. layers[1].diff_id .. '"'
		for _, ids in ipairs({ "", first, first .. "," .. first .. "," .. first }) do
			local text = made.config:gsub('"diff_ids":%b[]', '"diff_ids":[' .. ids .. "]")
			refusal.of_open(with_config(text), "EFORMAT", { "2 layers", "diff_ids" })
		end
		local built = dialects.of.docker_25(made)
		local member = built:member("manifest.json")
		member.data = member.data:gsub('"Layers":%b[]', '"Layers":null')
		refusal.of_open(built:write(path), "EFORMAT", { "disagree", "0 layers in one and 2" })
		refusal.of_open(path, "EFORMAT", { "0 layers", "2 diff_ids" }, { prefer = "docker" })
		assert.equal("sha256:" .. made.id, assert(strata.open(path, { prefer = "oci" })).id)
	end)

	it("is refused when it is too long", function()
		local text = made.config .. (" "):rep(4 * 1024 * 1024)
		refusal.of_open(with_config(text), "ELIMIT", { "config.json", "4194304" })
		local limits = { limits = { json = { max_bytes = 8 * 1024 * 1024 } } }
		local img = assert(strata.open(path, limits))
		assert.is_true(img:verify())
		img.config:set_env("A", "B")
		assert(img:save(dir:file("long.tar")))
		assert.equal("B", assert(strata.open(dir:file("long.tar"), limits)).config:get_env("A"))
	end)
end)

describe("a name in manifest.json", function()
	local function with_names(config, layer)
		local built = archive.new({
			{ name = "etc/passwd", data = "in the archive" },
			{ name = "c.json", data = archive.image({ layers = { layers[1] } }).config },
			{ name = "l.tar", data = layers[1].tar },
			{ name = "some/", type = "dir" },
			{ name = "pipe", type = "fifo" },
			{ name = "disk", type = "4" },
			{ name = "manifest.json", data = ('[{"Config":"%s","RepoTags":null,"Layers":["%s"]}]'):format(config, layer) },
		})
		return built:write(path)
	end

	it("is never looked up outside of the archive", function()
		assert(strata.open(with_names("c.json", "l.tar")))
		local outside = dir:write("outside.tar", layers[1].tar)
		for _, name in ipairs({
			outside,
			"../outside.tar",
			"../../outside.tar",
			"a/../../outside.tar",
			"./../outside.tar",
			"..",
			"../",
			"/..",
			"l.tar/..",
			"/proc/self/exe",
			"/dev/zero",
			"file://" .. outside,
		}) do
			refusal.of_open(with_names("c.json", name), "EFORMAT", { "layer 1" })
			refusal.of_open(with_names(name, "l.tar"), "EFORMAT", { "config" })
		end
	end)

	it("must be that of a file", function()
		local wrong = { some = "dir", ["some/"] = "dir", pipe = "FIFO", disk = "block", ["."] = "not in", [""] = "" }
		for name, part in pairs(wrong) do
			refusal.of_open(with_names("c.json", name), "EFORMAT", { "layer 1", part })
		end
	end)

	it("is printed so that it can do no harm to a terminal", function()
		local name = "\\u001b]0;x\\u0007\\n\\u0000y\\u202e"
		local message = refusal.of_open(with_names("c.json", name), "EFORMAT", { "layer 1" })
		assert.is_nil(message:find("\27", 1, true))
		assert.is_true(#refusal.of_open(with_names(("x"):rep(100000), "l.tar"), "EFORMAT", { "config" }) < 1200)
	end)
end)

describe("a layer", function()
	it("is refused when it is missing", function()
		for _, name in ipairs(dialects.names()) do
			local built = dialects.of[name](made)
			for i = #built.members, 1, -1 do
				local data = built.members[i].data
				if data == layers[2].tar or data == rawget(layers[2], "gz") then
					table.remove(built.members, i)
				end
			end
			refusal.of_open(built:write(path), "EFORMAT", { "layer 2" })
		end
	end)

	it("is refused when it is a link that leads outside, nowhere or around", function()
		local image = archive.image({ layers = { layers[1] } })
		local outside = dir:write("outside.tar", layers[1].tar)
		for _, links in ipairs({
			{ { "l.tar", "symlink", outside } },
			{ { "l.tar", "symlink", "../outside.tar" } },
			{ { "l.tar", "hardlink", outside } },
			{ { "l.tar", "symlink", "l.tar" } },
			{ { "l.tar", "hardlink", "l.tar" } },
			{ { "l.tar", "symlink", "a" }, { "a", "symlink", "b" }, { "b", "symlink", "l.tar" } },
			{ { "l.tar", "symlink", "a" }, { "a", "hardlink", "l.tar" } },
			{ { "l.tar", "symlink", "." } },
			{ { "l.tar", "symlink", "" } },
			{ { "l.tar", "symlink", "/" } },
		}) do
			local built = archive.new({ { name = "c.json", data = image.config } })
			for _, link in ipairs(links) do
				built:add(link[1], nil, { type = link[2], linkpath = link[3] })
			end
			built:add("manifest.json", '[{"Config":"c.json","RepoTags":null,"Layers":["l.tar"]}]')
			refusal.of_open(built:write(path), "EFORMAT", { "layer 1", "l.tar" })
		end
		local chain = archive.new({ { name = "c.json", data = image.config } })
		for i = 1, 100 do
			chain:add("l" .. i, nil, { type = "symlink", linkpath = "l" .. (i + 1) })
		end
		chain:add("l101", layers[1].tar)
		chain:add("manifest.json", '[{"Config":"c.json","RepoTags":null,"Layers":["l1"]}]')
		refusal.of_open(chain:write(path), "ELIMIT", { "layer 1", "limits.links" })
	end)
end)

describe("a sparse member", function()
	it("is refused with a reason, or read as what it stands for", function()
		local holes = archive.layer({ { name = "zeros", data = ("\0"):rep(1024 * 1024) } })
		local image = archive.image({ layers = { holes } })
		local place = tmp.dir()
		place:write("l.tar", holes.tar)
		place:write("c.json", image.config)
		place:write("manifest.json", '[{"Config":"c.json","RepoTags":null,"Layers":["l.tar"]}]')
		for _, format in ipairs({ "gnu", "pax --sparse-version=0.1", "pax --sparse-version=1.0" }) do
			local script = 'cd "$1"; fallocate -d l.tar; tar -S --format=%s -cf "$2" manifest.json c.json l.tar'
			shell.sh(script:format(format), place.path, path)
			assert.is_true(#shell.read(path) < 100000)
			local img, message, code = strata.open(path)
			if img then
				assert.is_true(img:verify())
			else
				refusal.expect(img, message, code)
				assert.equal("EUNSUPPORTED", code)
				assert.truthy(message:find("sparse", 1, true), message)
			end
		end
	end)
end)

describe("members of one name", function()
	it("are refused when they differ, whatever reader they are meant for", function()
		for _, name in ipairs(dialects.names()) do
			for _, member in ipairs(dialects.of[name](made).members) do
				local is_v1 = member.name:find("/json$") or member.name:find("VERSION$") or member.name:find("/layer.tar$")
				local unused = member.name:find("^blobs/") and member.data ~= made.config and member.data ~= layers[1].tar
				if member.data and not is_v1 and not unused and member.data ~= rawget(layers[1], "gz") then
					for _, front in ipairs({ true, false }) do
						local built = dialects.of[name](made)
						local twin = { name = member.name, data = bytes_changed(member.data, #member.data) }
						table.insert(built.members, front and 1 or #built.members + 1, twin)
						local img, message, code = strata.open(built:write(path))
						refusal.expect(img, message, code)
						assert.equal("EFORMAT", code, message)
						assert.truthy(message:find("several times", 1, true), message)
					end
				end
			end
		end
	end)

	it("are refused when they differ in type or by a spelling of the name", function()
		for _, twin in ipairs({
			{ name = "manifest.json", type = "symlink", linkpath = made.id .. ".json" },
			{ name = "manifest.json", type = "dir" },
			{ name = "./manifest.json", data = "[]" },
			{ name = "/manifest.json", data = "[]" },
			{ name = "x/../manifest.json", data = "[]" },
			{ name = "repositories", data = "{}" },
		}) do
			for _, at in ipairs({ 1, #dialects.of.docker_1_10(made).members + 1 }) do
				local built = dialects.of.docker_1_10(made)
				table.insert(built.members, at, twin)
				refusal.of_open(built:write(path), "EFORMAT", { "several times" })
			end
		end
	end)
end)

describe("a refused archive", function()
	it("leaves no descriptor open", function()
		local files = {
			dir:write("1", ""),
			dir:write("2", "no archive"),
			dir:write("3", dialects.of.docker_25(made):bytes():sub(1, 5000)),
			with_manifest("[]"),
			dir.path,
			dir:file("fifo"),
		}
		collectgarbage()
		collectgarbage()
		collectgarbage("stop")
		local before = refusal.descriptors()
		for _, file in ipairs(files) do
			for _ = 1, 3 do
				assert.is_nil((strata.open(file)))
				assert.is_nil((strata.images(file)))
			end
		end
		assert.is_nil((strata.open(with_config("{}"))))
		local two = dialects.of.pack(made, archive.image({ layers = layers, name = "b", tags = { "b:1" } })):write(path)
		assert.is_nil((strata.open(two)))
		assert.is_nil((strata.open(two, { ref = "c:1" })))
		local after = refusal.descriptors()
		collectgarbage("restart")
		assert.equal(before, after)
	end)

	it("leaves no descriptor open when one of its images throws on the way", function()
		local built = dialects.of.pack(made, archive.image({ layers = layers, name = "b", tags = { "b:1" } }))
		built:remove(archive.image({ layers = layers, name = "b" }).id .. ".json")
		built:write(path)
		collectgarbage()
		collectgarbage()
		collectgarbage("stop")
		local before = refusal.descriptors()
		local ok = pcall(function()
			for img in assert(strata.images(path)) do
				img:close()
			end
		end)
		local after = refusal.descriptors()
		collectgarbage("restart")
		assert.is_false(ok)
		assert.equal(before, after)
	end)
end)
