-- Takes seconds: not for make check.
-- Where an image can go: into a layout that is there, over its own source, into a stream, and nowhere at
-- all when something fails on the way.

local archive = require "spec.support.docker_archive"
local blobs = require "spec.support.blobs"
local child = require "spec.support.child"
local dialects = require "spec.support.docker_dialects"
local refusal = require "spec.support.refusal"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local layers = archive.layers(4)
local FORMATS = { "docker", "docker-legacy", "oci", "oci-archive" }
local dir

before_each(function()
	dir = tmp.dir(tmp.for_peers())
end)

after_each(function()
	dir:remove()
end)

local function look(path)
	local found = blobs.look(path)
	assert.same({}, found.problems)
	return found
end

local function layout(name, more)
	local given = blobs.new()
	local image = given:image({ layers = { layers[1], layers[2] }, name = name })
	given:set_root({ blobs.descriptor(image, blobs.named(name)) }, more)
	return given, image
end

local function other(name, tags)
	local made = archive.image({ layers = { layers[1], layers[3] }, name = name or "other", tags = tags })
	return assert(strata.open(dialects.of.docker_25(made):write(dir:file((name or "other") .. ".tar"))))
end

--- The names of everything below a directory with their sizes and times.
local function state_of(path)
	return shell.sh('cd "$1"; find . -printf "%p %y %s %m %T@ %i\\n" | LC_ALL=C sort', path)
end

describe("a layout that is there", function()
	local target, given, image

	before_each(function()
		given, image = layout("old", blobs.annotations("org.example.root", "stays"))
		target = given:write_dir(dir:file("target"))
		shell.write(target .. "/README", "not ours\n")
	end)

	it("is extended: its other entries, files and unknown keys stay", function()
		local img = other()
		img.tags = { "app:1" }
		local result = assert(img:save(target, { format = "oci" }))
		local found = look(target)
		assert.equal(2, #found.index.manifests)
		assert.equal(image.digest, found.by_name.old.digest)
		assert.equal(result.digest, found.images[2].digest)
		assert.equal("not ours\n", shell.read(target .. "/README"))
		local from = found.root:find("]", given.root:find("manifests", 1, true), true)
		assert.truthy(from)
		assert.truthy(found.root:find('{ "x-first": [1.0, "\\u00e9"], "manifests":[', 1, true))
		assert.truthy(found.root:find('"org.example.root":"stays"', 1, true))
		for digest, text in pairs(given.blobs) do
			assert.equal(text, shell.read(target .. "/blobs/sha256/" .. digest:sub(8)))
		end
		assert.equal('{ "imageLayoutVersion" : "1.0.0" }\n', shell.read(target .. "/oci-layout"))
		assert.equal(img.id, assert(strata.open(target, { ref = "app:1" })).id)
	end)

	it("has one entry of a name: the new one", function()
		for i, name in ipairs({ "app:1", "docker.io/library/app:1", "app:1" }) do
			local img = other("other" .. i)
			img.tags = { name }
			local result = assert(img:save(target, { format = "oci" }))
			local found = look(target)
			assert.equal(2, #found.index.manifests)
			assert.equal(result.digest, found.index.manifests[2].digest)
		end
	end)

	it("has one entry of a name also where skopeo has put it", function()
		given:set_root({ blobs.descriptor(image, blobs.named("app:1")), blobs.descriptor(image, blobs.named("b:1")) })
		target = given:write_dir(dir:file("skopeo"))
		local img = other()
		img.tags = { "app:1" }
		assert(img:save(target, { format = "oci" }))
		assert.equal(2, #look(target).index.manifests)
		assert.equal(img.id, assert(strata.open(target, { ref = "app:1" })).id)
		assert.equal(image.digest, assert(strata.open(target, { ref = "b:1" })).digest)
	end)

	it("gets an entry per tag, one for an image without tags, and no second one of that", function()
		local img = other()
		img.tags = { "a:1", "b:1" }
		assert(img:save(target, { format = "oci" }))
		assert.equal(3, #look(target).index.manifests)
		img.tags = {}
		for _ = 1, 2 do
			assert(img:save(target, { format = "oci" }))
			assert.equal(4, #look(target).index.manifests)
		end
	end)

	it("keeps blobs that are there already, and mends those that are wrong", function()
		local shared = target .. "/blobs/sha256/" .. layers[1].gz_id
		local before = shell.sh('stat -c "%i %Y" "$1"', shared)
		local new = blobs.new()
		local second = new:image({ layers = { layers[1], layers[4] }, name = "second" })
		new:set_root({ blobs.descriptor(second, blobs.named("second")) })
		assert(assert(strata.open(new:write_dir(dir:file("source")))):save(target))
		assert.equal(before, shell.sh('stat -c "%i %Y" "$1"', shared))
		local bytes = shell.read(shared)
		shell.write(shared, bytes:sub(1, -2) .. "\1")
		assert(assert(strata.open(dir:file("source"))):save(target))
		assert.equal(bytes, shell.read(shared))
		assert.equal(2, #look(target).index.manifests)
	end)

	it("becomes visible last: index.json is replaced when all blobs are there", function()
		local img = other()
		local before = shell.sh('stat -c %i "$1/index.json"', target)
		assert(img:save(target, { format = "oci" }))
		assert.not_equal(before, shell.sh('stat -c %i "$1/index.json"', target))
		local newest = shell.sh('cd "$1"; find . -type f -printf "%C@ %p\\n" | sort -n | tail -n 1', target)
		assert.truthy(newest:find("index.json", 1, true), newest)
	end)

	it("takes a Docker manifest that comes along as an OCI one, and says its digest", function()
		local source = blobs.new()
		local docker = source:image({ layers = { layers[4] }, family = "docker", name = "docker" })
		source:set_root({ blobs.descriptor(docker, blobs.named("docker")) })
		local result = assert(assert(strata.open(source:write_dir(dir:file("source")))):save(target))
		local found = look(target)
		assert.equal(found.by_name.docker.digest, result.digest)
		assert.equal(blobs.TYPES.oci.manifest, found.by_name.docker.manifest.mediaType)
	end)

	it("may be empty, or a path that ends in a slash", function()
		shell.check({ "mkdir", dir:file("empty") })
		for _, path in ipairs({ dir:file("empty"), dir:file("new") .. "/" }) do
			local result = assert(other():save(path, { format = "oci" }))
			assert.equal(result.digest, look(path).images[1].digest)
		end
	end)
end)

describe("a target that is no layout", function()
	local function refused(path, code)
		local before = state_of(dir.path)
		local img = other()
		local result, message, got = img:save(path, { format = "oci" })
		refusal.expect(result, message, got)
		assert.equal(code, got, message)
		assert.truthy(message:find(path, 1, true), message)
		shell.check({ "rm", dir:file("other.tar") })
		return before
	end

	it("is refused: other files, an index.json that is none, one that is too big", function()
		shell.check({ "mkdir", dir:file("other"), dir:file("broken"), dir:file("text"), dir:file("big") })
		dir:write("other/file", "x")
		dir:write("broken/index.json", '{"manifests": 5}')
		dir:write("text/index.json", "hello")
		dir:write("big/index.json", (" "):rep(5 * 1024 * 1024) .. '{"manifests":[]}')
		for name, code in pairs({ other = "EEXIST", broken = "EFORMAT", text = "EFORMAT", big = "ELIMIT" }) do
			local before = state_of(dir:file(name))
			refused(dir:file(name), code)
			assert.equal(before, state_of(dir:file(name)))
		end
	end)

	it("is refused: a file, a FIFO, something below a missing directory, a layout of another version", function()
		dir:write("file", "x")
		shell.check({ "mkfifo", dir:file("fifo") })
		refused(dir:file("file"), "ENOTDIR")
		refused(dir:file("fifo"), "ENOTDIR")
		refused(dir:file("missing/below"), "ENOENT")
		local given = layout("old")
		given:write_dir(dir:file("future"))
		dir:write("future/oci-layout", '{"imageLayoutVersion":"2.0.0"}')
		refused(dir:file("future"), "EUNSUPPORTED")
	end)

	it("is refused when its blobs lead outside", function()
		local given = layout("old")
		given:write_dir(dir:file("target"))
		shell.sh('cd "$1"; mkdir outside; rm -r target/blobs; ln -s ../outside target/blobs', dir.path)
		refused(dir:file("target"), "EXDEV")
		assert.same("", shell.sh('ls -A "$1"', dir:file("outside")))
	end)
end)

describe("an image's own directory", function()
	local source, given, image

	before_each(function()
		given, image = layout("app:1", blobs.annotations("org.example.root", "stays"))
		source = given:write_dir(dir:file("source"))
	end)

	it("is the target by whatever path: what is concerned is replaced, what is needed no more goes", function()
		shell.sh('cd "$1"; ln -s source link', dir.path)
		local here = shell.sh("pwd"):match("[^\n]+")
		local up = here:gsub("[^/]+", "..")
		for i, path in ipairs({ source, source .. "/", source .. "/.", dir:file("link"), up:sub(2) .. source }) do
			local img = assert(strata.open(source))
			img.layers[1]:remove("etc/link1")
			img.config:set_env("STEP", tostring(i))
			local result = assert(img:save(path))
			local found = look(source)
			assert.equal(1, #found.index.manifests)
			assert.equal(result.digest, found.by_name["app:1"].digest)
			assert.equal("stays", found.index.annotations["org.example.root"])
			local count = 0
			for digest in pairs(found.blobs) do
				assert.is_true(found.reached[digest], digest)
				count = count + 1
			end
			assert.equal(4, count)
			assert.equal("sha256:" .. layers[2].gz_id, found.images[1].layers[2].digest)
		end
		assert.is_nil(look(source).blobs[image.digest])
	end)

	it("keeps what somebody else has changed in it since the image was opened", function()
		local second = given:image({ layers = { layers[3] }, name = "b" })
		given:set_root({ blobs.descriptor(image, blobs.named("a")), blobs.descriptor(second, blobs.named("b")) })
		given:write_dir(source)
		local a, b = assert(strata.open(source, { ref = "a" })), assert(strata.open(source, { ref = "b" }))
		a.config:set_env("A", "1")
		b.config:set_env("B", "1")
		local saved_a, saved_b = assert(a:save(source)), assert(b:save(source))
		local found = look(source)
		assert.equal(2, #found.index.manifests)
		assert.equal(saved_a.digest, found.by_name.a.digest)
		assert.equal(saved_b.digest, found.by_name.b.digest)
	end)

	it("is not overwritten when somebody else has changed the same image since it was opened", function()
		local first, second = assert(strata.open(source)), assert(strata.open(source))
		first.config:set_env("A", "1")
		second.config:set_env("B", "1")
		local result = assert(first:save(source))
		local before = state_of(source)
		local saved, message, code = second:save(source)
		refusal.expect(saved, message, code)
		assert.equal("ESTALE", code)
		assert.equal(before, state_of(source))
		assert.equal(result.digest, look(source).by_name["app:1"].digest)
	end)

	it("keeps everything when it fails", function()
		local img = assert(strata.open(source))
		img.config:set_env("A", "1")
		assert(img.layers[2]:filter(function(entry)
			return entry.path ~= "etc/link2"
		end))
		shell.write(source .. "/blobs/sha256/" .. layers[2].gz_id, layers[2].gz:sub(1, -2) .. "\1")
		local before = state_of(source)
		local result, message, code = img:save(source)
		refusal.expect(result, message, code)
		assert.equal(before, state_of(source))
	end)
end)

describe("a stream", function()
	it("gets the same bytes as a file: an open file, a pipe, standard output", function()
		for _, format in ipairs({ "docker", "docker-legacy", "oci-archive" }) do
			local img = other()
			local path = dir:file("file." .. format)
			local by_path = assert(img:save(path, { format = format }))
			local file = assert(io.open(dir:file("stream"), "wb"))
			file:write("before")
			local result = assert(img:save(file, { format = format }))
			file:write("behind")
			file:close()
			assert.is_nil(result.path)
			assert.equal(by_path.size, result.size)
			assert.equal(by_path.digest, result.digest)
			assert.equal("before" .. shell.read(path) .. "behind", shell.read(dir:file("stream")))

			local pipe = assert(io.popen("cat >" .. shell.quote(dir:file("piped")), "w"))
			assert(img:save(pipe, { format = format }))
			pipe:close()
			assert.is_true(shell.same(path, dir:file("piped")))

			local script = [[assert(assert(require("strata").open(arg[1])):save("-", { format = arg[2] }))]]
			local done = child.run({ script = script, arguments = { dir:file("other.tar"), format } })
			assert.equal(shell.read(path), done.stdout, done.stderr)
		end
	end)

	it("from one to the other: an image may come from a pipe and go into one", function()
		local from = other().path
		local done = child.run({
			script = [[
				local img = assert(require("strata").open("-"))
				img.config:set_env("A", "1")
				assert(img:save("-"))
			]],
			wrapper = { "sh", "-c", 'from=$1; shift; cat "$from" | "$@" | cat', "sh", from },
		})
		shell.write(dir:file("out.tar"), done.stdout)
		assert.same({ "PATH=/bin", "A=1" }, assert(strata.open(dir:file("out.tar"))).config.Env)
	end)

	it("that nobody reads is an error, not a signal", function()
		local script = [[
			local img = assert(require("strata").open(arg[1]))
			local pipe = io.popen("exec true", "w")
			os.execute("sleep 0.2")
			print(select(3, img:save(pipe, { format = "docker" })))
		]]
		local img = other()
		assert(img:append({ files = { ["/big"] = ("x"):rep(3000000) } }))
		assert(img:save(dir:file("big.tar")))
		local done = child.run({ script = script, arguments = { dir:file("big.tar") } })
		assert.equal("EPIPE\n", done.stdout, done.stderr)
	end)

	it("cannot be a directory", function()
		for _, what in ipairs({ "-", io.stdout }) do
			assert.error_matches(function()
				other():save(what, { format = "oci" })
			end, "stream")
		end
		assert.error_matches(function()
			assert(strata.open(layout("a"):write_dir(dir:file("source")))):save("-")
		end, "stream")
	end)

	it("that is full is an error", function()
		local full = io.open("/dev/full", "wb")
		if not full then
			return pending("there is no /dev/full")
		end
		local result, message, code = other():save(full, { format = "docker" })
		full:close()
		assert.is_nil(result)
		assert.equal("ENOSPC", code, message)
	end)
end)

-- A layer that does not become small when it is compressed.
local function noise(size)
	local file = assert(io.open("/dev/urandom", "rb"))
	local bytes = file:read(size)
	file:close()
	return bytes
end

local function big_source()
	local big = archive.layer({ { name = "noise", data = noise(400000) }, { name = "small", data = "x" } })
	local made = archive.image({ layers = { layers[1], big } })
	return dialects.of.docker_25(made):write(dir:file("big.tar"))
end

-- A private mount name space with a small file system at a directory.
local function with_tmpfs(place)
	local script = 'mount -t tmpfs -o size=300k,mode=755 none "$1" && shift && exec "$@"'
	local words = { "unshare", "--mount", "sh", "-c", script, "sh", place }
	local probe = {}
	for i, word in ipairs(words) do
		probe[i] = word
	end
	probe[#probe + 1] = "true"
	return shell.run(probe).status == 0 and words or nil
end

describe("without space", function()
	local SCRIPT = [[
		local strata = require "strata"
		local place, format, compression = arg[2], arg[3], arg[4]
		if arg[5] == "extend" then
			os.execute("cp -r " .. arg[6] .. " " .. place .. "/target")
		end
		local function state() os.execute("cd " .. place .. "; find . -type f | LC_ALL=C sort | xargs -r sha256sum") end
		state()
		local img = assert(strata.open(arg[1]))
		img.config:set_env("A", "1")
		if arg[7] == "layer" then img.layers[2]:remove("small") end
		local result, message, code = img:save(place .. "/target", { format = format, compression = compression })
		io.stdout:write("--\n", result and "saved" or code, "\n")
		io.stdout:flush()
		img:close()
		state()
		os.execute("ls -A " .. place)
	]]

	for _, format in ipairs(FORMATS) do
		it("nothing is left of " .. format, function()
			shell.check({ "mkdir", dir:file("small") })
			local words = with_tmpfs(dir:file("small"))
			if not words then
				return pending("nothing can be mounted here")
			end
			local source = big_source()
			for _, kind in ipairs({ "config", "layer" }) do
				for _, compression in ipairs(format == "docker-legacy" and { "none" } or { "none", "gzip", "zstd" }) do
					local arguments = { source, dir:file("small"), format, compression, "new", "", kind }
					local done = child.run({ script = SCRIPT, arguments = arguments, wrapper = words })
					assert.equal("--\nENOSPC\n", done.stdout, done.stderr)
				end
			end
		end)
	end

	it("a layout that would be extended stays as it was", function()
		shell.check({ "mkdir", dir:file("small") })
		local words = with_tmpfs(dir:file("small"))
		if not words then
			return pending("nothing can be mounted here")
		end
		local source = big_source()
		local existing = layout("old"):write_dir(dir:file("existing"))
		local arguments = { source, dir:file("small"), "oci", "keep", "extend", existing, "layer" }
		local done = child.run({ script = SCRIPT, arguments = arguments, wrapper = words })
		local before, after = done.stdout:match("^(.-)%-%-\nENOSPC\n(.*)target\n$")
		assert.truthy(before, done.stdout .. done.stderr)
		assert.equal(before, after)
	end)
end)

describe("without the permission to write", function()
	it("nothing is saved, and nothing left", function()
		if shell.check({ "id", "-u" }) ~= "0\n" then
			return pending("giving up what only root may do needs root")
		end
		local capabilities = "-dac_override,-dac_read_search,-fowner,-chown"
		local words = { "setpriv", "--bounding-set", capabilities, "--inh-caps", capabilities }
		local img = other()
		local existing = layout("old"):write_dir(dir:file("layout"))
		shell.sh('mkdir "$1/closed"; chmod 555 "$1/closed" "$2" "$2"/blobs "$2"/blobs/sha256', dir.path, existing)
		local script = [[
			local img = assert(require("strata").open(arg[1]))
			for i = 2, #arg, 2 do
				io.stdout:write(select(3, img:save(arg[i], { format = arg[i + 1] })) or "saved", "\n")
			end
		]]
		local arguments, expected = { img.path }, {}
		for _, format in ipairs(FORMATS) do
			arguments[#arguments + 1] = dir:file("closed/target")
			arguments[#arguments + 1] = format
			expected[#expected + 1] = "EACCES\n"
		end
		for _, path in ipairs({ dir:file("layout"), dir:file("closed") }) do
			arguments[#arguments + 1] = path
			arguments[#arguments + 1] = "oci"
			expected[#expected + 1] = "EACCES\n"
		end
		local before = state_of(dir.path)
		local done = child.run({ script = script, arguments = arguments, wrapper = words })
		assert.equal(table.concat(expected), done.stdout, done.stderr)
		assert.equal(before, state_of(dir.path))
		shell.check({ "chmod", "-R", "u+w", dir.path })
	end)
end)

describe("a progress function", function()
	for _, format in ipairs(FORMATS) do
		it("that throws stops the save as " .. format .. ", and nothing is left", function()
			local source = big_source()
			shell.check({ "mkdir", dir:file("place") })
			local existing = layout("old"):write_dir(dir:file("place/existing"))
			local before = state_of(dir:file("place"))
			for stop = 1, 40 do
				local img = assert(strata.open(source))
				img.config:set_env("A", "1")
				img.layers[2]:remove("small")
				local calls = 0
				local function save()
					return img:save(format == "oci" and stop % 2 == 1 and existing or dir:file("place/target"), {
						format = format,
						compression = format ~= "docker-legacy" and "gzip" or nil, -- whose layers are plain
						progress = function(done, total, what)
							assert.is_true(done <= total)
							assert.is_string(what)
							calls = calls + 1
							if calls == stop then
								error({ "stop here" })
							end
						end,
					})
				end
				local ok, thrown = pcall(save)
				if ok then
					assert.is_true(stop > 1)
					break
				end
				assert.same({ "stop here" }, thrown)
				assert.equal("", shell.sh('find "$1" -name ".strata*" -o -name target', dir:file("place")))
				assert.equal(before:gsub(" %d+%.%d+ ", " "), (state_of(dir:file("place")):gsub(" %d+%.%d+ ", " ")))
				assert.is_true(stop < 40)
				img.config:set_env("A", "2")
				assert(img:save(dir:file("elsewhere"), { format = format }))
				shell.check({ "rm", "-r", dir:file("elsewhere") })
			end
		end)
	end

	it("gets to the end of everything", function()
		local last = {}
		assert(assert(strata.open(big_source())):save(dir:file("target"), {
			format = "oci",
			compression = "gzip",
			progress = function(done, total, what)
				last[what] = { done, total }
			end,
		}))
		assert.is_table(last.compressing)
		assert.is_table(last.writing)
		for _, pair in pairs(last) do
			assert.equal(pair[2], pair[1])
		end
	end)
end)
