local archive = require "spec.support.docker_archive"
local check = require "spec.support.archive_check"
local dialects = require "spec.support.docker_dialects"
local shell = require "spec.support.shell"
local strata = require "strata"
local tarlist = require "spec.support.tarlist"
local tmp = require "spec.support.tmp"

local layers = archive.layers(3)
local dir = tmp.dir(tmp.for_peers())

local function image(options)
	options = options or {}
	options.layers = options.layers or layers
	return archive.image(options)
end

-- Reads the archive with Python, which must find no contradiction, and with strata.
local function expect_sound(path, count)
	local found = check.read(path)
	assert.same({}, found.problems)
	assert.equal(count or 1, #found.images)
	local i = 0
	for img in assert(strata.images(path)) do
		i = i + 1
		assert.equal(found.images[i].id, img.id)
		assert.is_true(img:verify())
	end
	assert.equal(#found.images, i)
	return found
end

local function stored(checked)
	local hashes = {}
	for i, layer in ipairs(checked.layers) do
		hashes[i] = layer.stored
	end
	return hashes
end

local function mode_of(path)
	return (shell.check({ "stat", "-c", "%a", path }):match("%d+"))
end

for _, name in ipairs(dialects.names()) do
	local write = dialects.of[name]

	describe("saving an archive as of " .. name, function()
		local source, target = dir:file(name .. ".tar"), dir:file(name .. ".out.tar")

		before_each(function()
			os.remove(target)
		end)

		it("gives the same bytes when nothing was edited", function()
			write(image({ layers = { layers[1], layers[2], layers[1] } })):write(source)
			local img = assert(strata.open(source))
			for layer in img.layers[1]:entries() do
				assert.is_string(layer.path)
			end
			local result = assert(img:save(target))
			assert.is_true(shell.same(source, target))
			assert.equal(img.id, result.id)
			assert.equal(#shell.read(source), result.size)
			assert.equal("copied", result.layers[1].action)
		end)

		it("gives the same bytes when an edit was taken back", function()
			write(image()):write(source)
			local img = assert(strata.open(source))
			img.config:set_env("PATH", "/sbin")
			img:tag("other:1")
			img.config:set_env("PATH", "/bin")
			img:untag("other:1")
			assert(img:save(target))
			assert.is_true(shell.same(source, target))
		end)

		it("leaves the layers as they are when only the config was edited", function()
			write(image({ layers = { layers[1], layers[2], layers[1] } })):write(source)
			local before = check.read(source)
			local img = assert(strata.open(source))
			img.config:set_env("TZ", "UTC"):set_label("name", "edited")
			assert(img:save(target))
			local after = expect_sound(target)
			assert.same(stored(before.images[1]), stored(after.images[1]))
			assert.same({ "PATH=/bin", "TZ=UTC" }, after.images[1].config.config.Env)
			assert.equal("edited", after.images[1].config.config.Labels.name)
			for _, layer in ipairs(before.images[1].layers) do
				local member = name == "rules_docker" and "./" .. layer.name or layer.name
				if name ~= "podman" and layer.name:find("^%x+/") == nil then
					assert.is_true(tarlist.read(source, member) == tarlist.read(target, member))
				end
			end
			assert.equal(#before.names, #after.names)
		end)

		it("changes nothing but the edited text in the config", function()
			local made = image()
			write(made):write(source)
			local img = assert(strata.open(source))
			img.config:set_label("name", "other")
			assert(img:save(target))
			local expected = made.config:gsub('"name":"app"', '"name":"other"')
			assert.equal(expected, check.read(target).images[1].config_text)
		end)

		it("sets tags everywhere, and the old ones are gone", function()
			write(image({ tags = { "app:1", "app:old" } })):write(source)
			local img = assert(strata.open(source))
			img.tags = { "app:2", "registry.example:5000/team/app:3" }
			assert(img:save(target))
			local after = expect_sound(target)
			assert.same({ "app:2", "registry.example:5000/team/app:3" }, after.images[1].tags)
			assert.is_nil(shell.read(target):find("app:1", 1, true))
			assert.is_nil(shell.read(target):find('"old"', 1, true))
			assert.equal("sha256:" .. image().id, after.images[1].id)
		end)

		it("adds a tag and takes one away", function()
			write(image({ tags = { "app:1", "app:old" } })):write(source)
			local img = assert(strata.open(source))
			img:tag("team/app"):untag("app:old")
			assert(img:save(target))
			assert.same({ "app:1", "team/app:latest" }, expect_sound(target).images[1].tags)
		end)

		it("takes all tags away, and gives an untagged image one", function()
			write(image({ tags = { "app:1", "b:2" } })):write(source)
			local img = assert(strata.open(source))
			img.tags = {}
			assert(img:save(target))
			assert.same({}, expect_sound(target).images[1].tags)
			assert.is_nil(shell.read(target):find("app:1", 1, true))

			img = assert(strata.open(target))
			img:tag("c:3")
			assert(img:save(target))
			assert.same({ "c:3" }, expect_sound(target).images[1].tags)

			write(image({ tags = {} })):write(source)
			img = assert(strata.open(source))
			img:tag("d:4")
			assert(img:save(target))
			assert.same({ "d:4" }, expect_sound(target).images[1].tags)
		end)

		it("renames what is called by a digest after an edit of a layer", function()
			write(image()):write(source)
			local before = check.read(source)
			local img = assert(strata.open(source))
			assert.equal(2, #select(2, assert(img.layers[2]:remove({ "etc/layer2", "etc/link2" }))))
			img.config.User = "nobody"
			local id = img.id
			local result = assert(img:save(target))
			local after = expect_sound(target)
			assert.equal(id, after.images[1].id)
			assert.equal(result.layers[2].diff_id, after.images[1].layers[2].diff_id)
			assert.equal("rewritten", result.layers[2].action)
			local was, is = stored(before.images[1]), stored(after.images[1])
			assert.equal(was[1], is[1])
			assert.not_equal(was[2], is[2])
			assert.equal(was[3], is[3])
			assert.is_nil(shell.read(target):find(before.images[1].layers[2].diff_id:sub(8), 1, true))
			assert.is_nil(shell.read(target):find(before.images[1].id:sub(8), 1, true))
			assert.is_nil(shell.read(target):find(was[2], 1, true))
			assert.equal(#before.names, #after.names)
		end)

		it("keeps a layer that is repeated when one of its places is edited", function()
			for place = 1, 3, 2 do
				write(image({ layers = { layers[1], layers[2], layers[1] } })):write(source)
				local img = assert(strata.open(source))
				img.layers[place]:remove("etc/link1")
				assert(img:save(target))
				local after = expect_sound(target).images[1]
				local other = 4 - place
				assert.equal("sha256:" .. layers[1].diff_id, after.layers[other].diff_id)
				assert.not_equal("sha256:" .. layers[1].diff_id, after.layers[place].diff_id)
				assert.equal("sha256:" .. layers[2].diff_id, after.layers[2].diff_id)
			end
		end)

		it("edits all places of a repeated layer alike", function()
			write(image({ layers = { layers[1], layers[2], layers[1] } })):write(source)
			local img = assert(strata.open(source))
			img:filter(function(entry)
				return entry.path ~= "etc/link1"
			end)
			assert(img:save(target))
			local after = expect_sound(target).images[1]
			assert.equal(after.layers[1].diff_id, after.layers[3].diff_id)
			assert.not_equal("sha256:" .. layers[1].diff_id, after.layers[1].diff_id)
		end)

		it("makes two layers the same, and one layer what another is already", function()
			local first = archive.layer({ { name = "a", data = "1" }, { name = "b", data = "2" } })
			local second = archive.layer({ { name = "a", data = "1" }, { name = "c", data = "3" } })
			local third = archive.layer({ { name = "a", data = "1" } })
			write(image({ layers = { first, second, third } })):write(source)
			local img = assert(strata.open(source))
			img:filter(function(entry)
				return entry.path == "a"
			end)
			assert(img:save(target))
			local after = expect_sound(target).images[1]
			assert.equal(3, #after.layers)
			assert.equal(after.layers[1].diff_id, after.layers[2].diff_id)
		end)

		it("removes layers that were pruned", function()
			for _, emptied in ipairs({ { 3 }, { 1 }, { 2, 3 }, { 1, 2, 3 } }) do
				write(image()):write(source)
				local img = assert(strata.open(source))
				for _, number in ipairs(emptied) do
					img.layers[number]:filter(function()
						return false
					end)
				end
				img:prune()
				assert(img:save(target))
				local after = expect_sound(target).images[1]
				assert.equal(3 - #emptied, #after.layers)
				assert.equal(6, #after.config.history)
			end
		end)

		it("adds a layer", function()
			write(image()):write(source)
			local img = assert(strata.open(source))
			img:append({ files = { ["/new/file"] = "new\n" }, created_by = "strata" })
			assert(img:save(target))
			local after = expect_sound(target).images[1]
			assert.equal(4, #after.layers)
			assert.equal("new\n", assert(strata.open(target)).layers[4]:read("new/file"))
		end)

		it("gives the same bytes each time, with any number of threads", function()
			write(image()):write(source)
			local first
			for _, threads in ipairs({ 1, 2, 8 }) do
				local img = assert(strata.open(source))
				img.layers[1]:remove("etc/link1")
				img.layers[3]:remove("etc/link3")
				img.config:set_env("A", "B")
				img:tag("app:2")
				assert(img:save(target, { threads = threads }))
				first = first or shell.read(target)
				assert.is_true(first == shell.read(target))
			end
		end)

		it("saves over its source, and once more from there", function()
			write(image()):write(source)
			local img = assert(strata.open(source))
			assert(img:save(source))
			img.config:set_env("ROUND", "1")
			assert(img:save(source))
			assert.equal(img.id, expect_sound(source).images[1].id)
			img.config:set_env("ROUND", "2")
			img.layers[1]:remove("etc/link1")
			assert(img:save(source))
			assert.equal(img.id, expect_sound(source).images[1].id)
			assert.equal("2", assert(strata.open(source)).config:get_env("ROUND"))
			img:close()
		end)

		if name ~= "jib" then
			it("edits one of several images and leaves the others as they are", function()
				local one = image({ name = "one", tags = { "one:1" }, layers = { layers[1], layers[2] } })
				local two = image({ name = "two", tags = { "two:1" }, layers = { layers[1], layers[3] } })
				write(one, two):write(source)
				for _, ref in ipairs({ "one:1", "two:1" }) do
					local img = assert(strata.open(source, { ref = ref }))
					img.config:set_env("EDITED", ref)
					img.tags = { "three:1" }
					img:filter(function(entry)
						return entry.type ~= "hardlink"
					end)
					assert(img:save(target))
					local found = expect_sound(target, 2)
					local at = ref == "one:1" and 1 or 2
					local other = at == 1 and two or one
					assert.same({ "three:1" }, found.images[at].tags)
					assert.equal("EDITED=" .. ref, found.images[at].config.config.Env[2])
					assert.equal(other.config, found.images[3 - at].config_text)
					assert.same(other.tags, found.images[3 - at].tags)
				end
			end)
		end
	end)
end

describe("the old documents of layers", function()
	for _, name in ipairs({ "docker_1_10", "docker_25", "podman" }) do
		it("repeat the config's edits in an archive as of " .. name, function()
			local source = dialects.of[name](image()):write(dir:file("v1.tar"))
			local img = assert(strata.open(source))
			img.config:set_env("SECRET_IS", "gone"):remove_env("PATH"):remove_label("name")
			img.config.architecture = "arm64"
			assert(img:save(dir:file("v1.out.tar")))
			local before, after = check.read(source).v1, expect_sound(dir:file("v1.out.tar")).v1
			local tops, parents = 0, 0
			for id, document in pairs(before) do
				assert.is_table(after[id])
				if document.config then
					tops = tops + 1
					assert.same({ "SECRET_IS=gone" }, after[id].config.Env)
					assert.same({}, after[id].config.Labels)
					assert.same({ "/bin/sh" }, after[id].config.Cmd)
					assert.equal("arm64", after[id].architecture)
				else
					assert.same(document, after[id])
				end
				parents = parents + (after[id].parent and after[after[id].parent] and 1 or 0)
			end
			assert.equal(1, tops)
			assert.equal(2, parents)
		end)

	end

	-- Docker 25 keeps them where nothing tells whose they are.
	for _, name in ipairs({ "docker_1_10", "podman" }) do
		it("of another image stay, though it has the same config, in an archive as of " .. name, function()
			local one = image({ tags = { "one:1" }, layers = { layers[1], layers[2] } })
			local two = image({ tags = { "two:1" }, layers = { layers[1], layers[3] } })
			local source = dialects.of[name](one, two):write(dir:file("v1.tar"))
			local img = assert(strata.open(source, { ref = "one:1" }))
			img.config:set_env("EDITED", "yes")
			assert(img:save(dir:file("v1.out.tar")))
			local edited, kept = 0, 0
			for _, document in pairs(expect_sound(dir:file("v1.out.tar"), 2).v1) do
				if document.config and #document.config.Env == 2 then
					edited = edited + 1
				elseif document.config then
					kept = kept + 1
				end
			end
			assert.same({ 1, 1 }, { edited, kept })
		end)
	end
end)

-- Edits everything that an edit of an image can reach.
local function edit_all(img)
	img.config:set_env("A", "B")
	img.layers[1]:remove("etc/link1")
	img.layers[2]:remove("etc/link2")
	img.tags = { "edited:1" }
	return img
end

describe("an archive that was packed anew", function()
	local PACKERS = {
		["GNU tar, gnu"] = 'tar --format=gnu -cf "$2" .',
		["GNU tar, pax"] = 'tar --format=pax --pax-option=comment=kept -cf "$2" .',
		["GNU tar, oldgnu"] = 'tar --format=oldgnu -cf "$2" *',
		["bsdtar, pax"] = 'bsdtar --format=pax -cf "$2" .',
		["bsdtar, gnutar"] = 'bsdtar --format=gnutar -cf "$2" .',
		["Python"] = 'python3 -m tarfile -c "$2" *',
	}

	for packer, command in pairs(PACKERS) do
		it("by " .. packer .. " is edited and saved", function()
			for _, name in ipairs({ "docker_1_10", "docker_25", "docker_29", "podman" }) do
				local place = tmp.dir(tmp.for_peers())
				local made = image({ layers = { layers[1], layers[2], layers[1] } })
				local source = dialects.of[name](made):write(place:file("source.tar"))
				shell.sh('mkdir "$1/x"; tar -xf "$2" -C "$1/x"', place.path, source)
				shell.sh('cd "$1/x"; ' .. command, place.path, place:file("packed.tar"))
				local img = assert(strata.open(place:file("packed.tar")))
				assert(img:save(place:file("out.tar")))
				assert.is_true(shell.same(place:file("packed.tar"), place:file("out.tar")))
				assert(edit_all(img):save(place:file("out.tar")))
				local after = expect_sound(place:file("out.tar")).images[1]
				assert.equal(img.id, after.id)
				assert.same({ "edited:1" }, after.tags)
			end
		end)
	end

	it("with hardlinks in the place of symlinks is edited and saved", function()
		for _, name in ipairs({ "docker_1_10", "podman", "rules_docker" }) do
			local built = dialects.of[name](image({ layers = { layers[1], layers[2], layers[1] } }))
			for _, member in ipairs(built.members) do
				if member.type == "symlink" then
					member.type = "hardlink"
					member.linkpath = member.linkpath:gsub("^%.%./", name == "rules_docker" and "./" or "")
				end
			end
			local img = assert(strata.open(built:write(dir:file("hard.tar"))))
			assert(edit_all(img):save(dir:file("hard.out.tar")))
			assert.equal(img.id, expect_sound(dir:file("hard.out.tar")).images[1].id)
		end
	end)

	it("with members under names of more than 100 bytes is edited and saved", function()
		local place = tmp.dir(tmp.for_peers())
		local made, deep = image(), ("d/"):rep(70)
		local built = dialects.of.nix(made)
		shell.sh('mkdir -p "$1/x/$2"', place.path, deep)
		local text = built:member("manifest.json").data
		for _, layer in ipairs(layers) do
			place:write("x/" .. deep .. layer.diff_id .. ".tar", layer.tar)
			text = text:gsub(layer.diff_id .. "/layer", deep .. layer.diff_id)
		end
		place:write("x/" .. made.id .. ".json", made.config)
		place:write("x/manifest.json", text)
		for _, format in ipairs({ "gnu", "pax", "ustar" }) do
			shell.sh('cd "$1/x"; tar --format="$2" -cf ../long.tar *', place.path, format)
			local img = assert(strata.open(place:file("long.tar")))
			assert(edit_all(img):save(place:file("long.out.tar")))
			local after = expect_sound(place:file("long.out.tar")).images[1]
			assert.equal(img.id, after.id)
			assert.is_nil(after.layers[1].name:find(layers[1].diff_id, 1, true))
		end
	end)
end)

describe("documents that an archive has twice", function()
	it("are both replaced by the edited one", function()
		for _, name in ipairs({ "docker_1_10", "docker_25", "kaniko" }) do
			local made = image()
			local built = dialects.of[name](made)
			for _, member in ipairs({ "manifest.json", built:position("index.json") and "index.json" or nil }) do
				table.insert(built.members, 1, built:member(member))
				table.insert(built.members, built:member(member))
			end
			for _, member in ipairs(built.members) do
				if member.data == made.config or member.data == layers[1].tar then
					table.insert(built.members, member)
					break
				end
			end
			local source = built:write(dir:file("twice.tar"))
			local img = assert(strata.open(source))
			assert(img:save(dir:file("twice.out")))
			assert.is_true(shell.same(source, dir:file("twice.out")))
			img.config:set_env("A", "B")
			img:tag("app:2")
			img.layers[1]:remove("etc/link1")
			assert(img:save(dir:file("twice.out")))
			assert.equal(img.id, expect_sound(dir:file("twice.out")).images[1].id)
		end
	end)
end)

describe("the tags of an image", function()
	it("are replaced when only their spelling changes", function()
		for _, name in ipairs(dialects.names()) do
			dialects.of[name](image()):write(dir:file("spelling.tar"))
			local img = assert(strata.open(dir:file("spelling.tar")))
			img.tags = { "docker.io/library/app:1" }
			assert(img:save(dir:file("spelling.tar")))
			local text = shell.read(dir:file("spelling.tar"))
			assert.same({ "docker.io/library/app:1" }, expect_sound(dir:file("spelling.tar")).images[1].tags)
			assert.is_nil(text:find('"app":{', 1, true))
			assert.is_nil(text:find('"app:1"', 1, true))
		end
	end)
end)

describe("the file that is saved to", function()
	local source = dialects.of.docker_25(image()):write(dir:file("source.tar"))

	local function edited()
		local img = assert(strata.open(source))
		img.config:set_env("A", "B")
		return img
	end

	it("has the mode that the umask leaves when it is new", function()
		local place = tmp.dir()
		for _, open in ipairs({ function() return assert(strata.open(source)) end, edited }) do
			local path = place:file("new.tar")
			assert(open():save(path))
			shell.sh('cd "$1"; : >like-any', place.path)
			assert.equal(mode_of(place:file("like-any")), mode_of(path))
			os.remove(path)
		end
	end)

	it("keeps the mode that it had", function()
		local place = tmp.dir()
		for _, mode in ipairs({ "600", "640", "755", "444" }) do
			local path = place:write("there.tar", "old")
			shell.check({ "chmod", mode, path })
			assert(edited():save(path))
			assert.equal(mode, mode_of(path))
			os.remove(path)
		end
		assert.same({}, place:names())
	end)

	it("may be named by a symlink, which stays", function()
		local place = tmp.dir()
		shell.sh('cd "$1"; mkdir real; echo old >real/file.tar; ln -s real/file.tar link; ln -s link chain', place.path)
		assert(edited():save(place:file("chain")))
		assert.equal("real/file.tar\n", (shell.check({ "readlink", place:file("link") })))
		assert.equal("link\n", (shell.check({ "readlink", place:file("chain") })))
		assert.equal("B", assert(strata.open(place:file("real/file.tar"))).config:get_env("A"))
		assert.same({ "chain", "link", "real" }, place:names())
	end)

	it("may be the source by another name", function()
		local place = tmp.dir()
		shell.sh('cp "$1" "$2/a.tar"; ln "$2/a.tar" "$2/hard.tar"; ln -s a.tar "$2/soft.tar"', source, place.path)
		local img = assert(strata.open(place:file("a.tar")))
		img.config:set_env("A", "B")
		assert(img:save(place:file("soft.tar")))
		assert.equal("B", assert(strata.open(place:file("a.tar"))).config:get_env("A"))
		assert.is_true(shell.same(source, place:file("hard.tar")))
		img.config:set_env("A", "C")
		assert(img:save(place:file("hard.tar")))
		assert.equal("C", assert(strata.open(place:file("hard.tar"))).config:get_env("A"))
	end)

	it("may be given by a relative path", function()
		local place = tmp.dir()
		local names = {}
		for _, path in ipairs({ "rel.tar", "./rel.tar", "sub/rel.tar", "sub/../rel.tar" }) do
			shell.sh('mkdir -p "$1/sub"', place.path)
			local script = 'local strata = require "strata"; local img = assert(strata.open(arg[1])); '
				.. 'img.config:set_env("A", "B"); assert(img:save(arg[2]))'
			local child = require("spec.support.child").run({ script = script, arguments = { source, path }, cwd = place.path })
			assert.equal("", child.stderr)
			assert.equal("B", assert(strata.open(place:file(path))).config:get_env("A"))
			names[#names + 1] = path
		end
		assert.same({ "rel.tar", "sub" }, place:names())
		assert.equal(4, #names)
	end)

	it("may have a name of any bytes", function()
		local place = tmp.dir()
		for _, name in ipairs({ " ", "a\nb", "\255\254", "-rf", ("x"):rep(255), "%s%n" }) do
			assert(edited():save(place:file(name)))
			assert.equal("B", assert(strata.open(place:file(name))).config:get_env("A"))
		end
		assert.equal(6, #place:names())
	end)

	it("can be saved to again and again, and elsewhere", function()
		local place = tmp.dir()
		local img = edited()
		local first = assert(img:save(place:file("a.tar")))
		local second = assert(img:save(place:file("a.tar")))
		assert.same(first, second)
		assert(img:save(place:file("b.tar")))
		assert.is_true(shell.same(place:file("a.tar"), place:file("b.tar")))
		img.layers[1]:remove("etc/link1")
		assert(img:save(place:file("b.tar")))
		img.layers[1]:remove("etc/current")
		assert(img:save(place:file("b.tar")))
		assert.equal(img.id, expect_sound(place:file("b.tar")).images[1].id)
		assert.same({ "a.tar", "b.tar" }, place:names())
	end)

	it("tells its progress to the end", function()
		local calls, last_done, last_total = 0, 0, 0
		assert(edited():save(dir:file("progress.tar"), { progress = function(done, total)
			calls = calls + 1
			assert.is_true(done >= last_done and done <= total)
			last_done, last_total = done, total
		end }))
		assert.is_true(calls > 0)
		assert.equal(last_total, last_done)
	end)

	it("is left alone when the progress function throws", function()
		local place = tmp.dir()
		local path = place:write("old.tar", "old")
		assert.error_matches(function()
			edited():save(path, { progress = function() error("enough") end })
		end, "enough")
		collectgarbage()
		assert.equal("old", shell.read(path))
		assert.same({ "old.tar" }, place:names())
	end)
end)
