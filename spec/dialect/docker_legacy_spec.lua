local cjson = require "cjson"
local write_legacy = require "strata.dialect.docker.write_legacy"
local gojson = require "strata.dialect.docker_v1.gojson"
local shell = require "spec.support.shell"
local strata = require "strata"
local tarlist = require "spec.support.tarlist"
local tmp = require "spec.support.tmp"

local CREATED = "2021-02-03T04:05:06.070Z"

--- Two layers, the same every time.
local function plain_image()
	local img = strata.new({ platform = "linux/amd64", created = CREATED })
	assert(img:append({ files = { ["/a"] = "a" }, created = CREATED }))
	assert(img:append({ files = { ["/b"] = "b" }, created = CREATED }))
	img.config.Labels = { note = "<a & b>" }
	return img:tag("app:1"):tag("docker.io/library/app:2")
end

-- What Docker Engine 20.10.24 made of this image: it loaded it and saved it again.
local SAVED_BY_DOCKER = "9c86f51e62871fa5212dd9f1034b4d6cf453d6a50d07c1c067871b4f132300f3"
local FIRST = "63ad8eea2eb65a7cf9bf25437bcb9e8f77fa916b70f19e55521e1a3a711051c4"
local SECOND = "baebfcfa6de84b54b3a51f958d81f196dc2196aac4cd528354f8b2c7ae4f20a8"

describe("save with format = 'docker-legacy'", function()
	local dir, path

	before_each(function()
		dir = tmp.dir()
		path = dir:file("legacy.tar")
	end)

	after_each(function()
		dir:remove()
	end)

	local function save(img, name)
		local target = name and dir:file(name) or path
		return assert(img:save(target, { format = "docker-legacy" }))
	end

	it("gives the bytes that Docker Engine 20.10 gives", function()
		save(plain_image())
		assert.equal(SAVED_BY_DOCKER, shell.sha256(path))
	end)

	it("makes a directory per layer, the config, manifest.json and repositories", function()
		local img = plain_image()
		save(img)
		local config = img.id:sub(8) .. ".json"
		local expected = {
			FIRST .. "/", FIRST .. "/VERSION", FIRST .. "/json", FIRST .. "/layer.tar",
			SECOND .. "/", SECOND .. "/VERSION", SECOND .. "/json", SECOND .. "/layer.tar",
			config, "manifest.json", "repositories",
		}
		table.sort(expected)
		assert.same(expected, tarlist.names(path))
		assert.equal(img.config:text(), tarlist.read(path, config))
		assert.equal("1.0", tarlist.read(path, FIRST .. "/VERSION"))
		assert.same({
			app = { ["1"] = SECOND, ["2"] = SECOND },
		}, cjson.decode(tarlist.read(path, "repositories")))
		assert.same({
			{
				Config = config,
				RepoTags = { "app:1", "app:2" },
				Layers = { FIRST .. "/layer.tar", SECOND .. "/layer.tar" },
			},
		}, cjson.decode(tarlist.read(path, "manifest.json")))
	end)

	it("gives everything the time of the image, and the control files none", function()
		save(plain_image())
		for _, entry in ipairs(tarlist.entries(path)) do
			local control = entry.name == "manifest.json" or entry.name == "repositories"
			assert.equal(control and 0 or 1612325106, entry.mtime)
			assert.equal(entry.type == "dir" and 493 or 420, entry.mode)
		end
	end)

	it("writes a layer that is there twice once, and a link to it", function()
		local img = plain_image()
		assert(img:append({ files = { ["/a"] = "a" }, created = CREATED }))
		save(img)
		local links = {}
		for _, entry in ipairs(tarlist.entries(path)) do
			if entry.type == "symlink" then
				links[#links + 1] = entry
			end
		end
		assert.equal(1, #links)
		assert.equal("../" .. FIRST .. "/layer.tar", links[1].linkpath)
		local again = assert(strata.open(path))
		assert.equal(img.id, again.id)
		assert.is_true(assert(again:verify()))
	end)

	it("writes no names for an image without tags", function()
		local img = plain_image()
		img.tags = {}
		save(img)
		for _, name in ipairs(tarlist.names(path)) do
			assert.not_equal("repositories", name)
		end
		assert.is_truthy(tarlist.read(path, "manifest.json"):find('"RepoTags":null', 1, true))
	end)

	it("tells of each layer where its bytes came from", function()
		local result = save(plain_image())
		assert.equal("added", result.layers[1].action)
		local again = save(assert(strata.open(path)), "again.tar")
		assert.equal("copied", again.layers[1].action)
		assert.equal(again.layers[1].diff_id, again.layers[1].digest)
		assert.is_true(shell.same(path, dir:file("again.tar")))
	end)

	it("may be saved over the file that the image came from", function()
		local img = plain_image()
		assert(img:save(path, { format = "docker" }))
		save(assert(strata.open(path)))
		assert.equal(SAVED_BY_DOCKER, shell.sha256(path))
	end)

	--- The image as `docker save` would not write it: with gzip layers.
	local function with_gzip_layers()
		save(plain_image(), "plain.tar")
		local files = tmp.dir(dir.path)
		shell.sh(
			'cd "$1"; tar -xf "$2"; for f in */layer.tar; do gzip -n "$f"; mv "$f.gz" "$f"; done; tar -cf "$3" *',
			files.path,
			dir:file("plain.tar"),
			dir:file("gzip.tar")
		)
		return dir:file("gzip.tar")
	end

	it("inflates compressed layers", function()
		local img = assert(strata.open(with_gzip_layers()))
		local result = save(img)
		assert.equal("recompressed", result.layers[1].action)
		assert.equal(result.layers[1].diff_id, result.layers[1].digest)
		assert.equal(SAVED_BY_DOCKER, shell.sha256(path))
	end)

	it("inflates compressed layers that were edited", function()
		local img = assert(strata.open(with_gzip_layers()))
		assert.equal(1, #select(2, assert(img.layers[1]:remove("a"))))
		assert.equal("rewritten", save(img).layers[1].action)
		local again = assert(strata.open(path))
		assert.equal("none", again.layers[1].compression)
		assert.is_true(again.layers[1].empty)
		assert.is_true(assert(again:verify()))
	end)

	it("publishes nothing when a compressed layer is not what the config says", function()
		local bytes = shell.read(with_gzip_layers())
		local offset = assert(bytes:find("\31\139", 1, true)) + 40
		local wrong = string.char((bytes:byte(offset) + 1) % 256)
		dir:write("bad.tar", bytes:sub(1, offset - 1) .. wrong .. bytes:sub(offset + 1))
		local img = assert(strata.open(dir:file("bad.tar")))
		local result, message, code = img:save(path, { format = "docker-legacy" })
		assert.is_nil(result)
		assert.is_truthy(message:find("^layer 1/2"))
		assert.is_truthy(code == "EDIGEST" or code == "EFORMAT")
		assert.is_nil(io.open(path))
	end)

	it("refuses layers that it cannot inflate", function()
		save(plain_image(), "plain.tar")
		local files = tmp.dir(dir.path)
		shell.sh('cd "$1"; tar -xf "$2"', files.path, dir:file("plain.tar"))
		files:write(FIRST .. "/layer.tar", "\2537zXZ\0" .. ("x"):rep(100))
		shell.sh('cd "$1"; tar -cf "$2" *', files.path, dir:file("xz.tar"))
		local img = assert(strata.open(dir:file("xz.tar")))
		local result, message, code = img:save(path, { format = "docker-legacy" })
		assert.is_nil(result)
		assert.is_truthy(message:find("^layer 1/2 .*compressed with xz"))
		assert.equal("EUNSUPPORTED", code)
		assert.is_nil((img:save(path, { format = "docker" })))
	end)

	it("refuses an image without layers, as Docker does", function()
		local result, message, code = strata.new({}):save(path, { format = "docker-legacy" })
		assert.is_nil(result)
		assert.is_truthy(message:find("without layers", 1, true))
		assert.equal("EUNSUPPORTED", code)
	end)

	it("refuses a config that Docker cannot read, and names the place", function()
		local wrong = {
			["/config/Healthcheck/Interval is not a whole number"] = { Healthcheck = { Interval = 1.5 } },
			["/config/Labels/a is not a string"] = { Labels = { a = 1 } },
			["/config/Volumes is not an object"] = { Volumes = { "/v" } },
			["/config/OnBuild is not an array of strings"] = { OnBuild = { 1 } },
			["/config/Tty is not a boolean"] = { Tty = "yes" },
		}
		for expected, fields in pairs(wrong) do
			local config = cjson.encode({ architecture = "amd64", os = "linux", config = fields })
			local members, message, code = write_legacy.members({ { config_text = config, tags = {}, layers = { {} } } })
			assert.is_nil(members)
			assert.equal("config: " .. expected, message)
			assert.equal("EFORMAT", code)
		end
	end)

	it("throws for a format that there is not", function()
		assert.has_error(function()
			plain_image():save(path, { format = "oci-legacy" })
		end)
		assert.is_nil(io.open(path))
	end)
end)

describe("docker_legacy.members", function()
	local function digest(letter)
		return "sha256:" .. letter:rep(64)
	end

	local function image(tag, ...)
		local layers = {}
		for i, letter in ipairs({ ... }) do
			layers[i] = { diff_id = digest(letter), digest = digest(letter), size = 1024, label = letter }
		end
		return { config_text = ('{"os":"linux","comment":"%s"}'):format(tag), tags = { tag }, layers = layers }
	end

	local function find(members, pattern)
		local found = {}
		for _, member in ipairs(members) do
			if member.name:find(pattern) then
				found[#found + 1] = member
			end
		end
		return found
	end

	it("shares the layers of several images", function()
		local members = assert(write_legacy.members({ image("one:1", "a", "b", "c"), image("two:1", "a", "b", "d") }))
		assert.equal(4, #find(members, "/layer%.tar$"))
		assert.equal(2, #find(members, "^%x+%.json$"))
		local manifest = cjson.decode(find(members, "^manifest%.json$")[1].bytes)
		assert.same({ "one:1" }, manifest[1].RepoTags)
		assert.same({ "two:1" }, manifest[2].RepoTags)
		assert.equal(manifest[1].Layers[2], manifest[2].Layers[2])
		assert.not_equal(manifest[1].Layers[3], manifest[2].Layers[3])
	end)

	it("links to the layer of another image when only the directory differs", function()
		local members = assert(write_legacy.members({ image("one:1", "a", "b"), image("two:1", "a", "b", "c") }))
		local manifest = cjson.decode(find(members, "^manifest%.json$")[1].bytes)
		local linked = find(members, "^" .. manifest[2].Layers[2]:gsub("%W", "%%%0") .. "$")[1]
		assert.equal("symlink", linked.type)
		assert.equal("../" .. manifest[1].Layers[2], linked.linkpath)
	end)

	it("lists an image that is given twice once, with all of its tags", function()
		local first, second = image("one:1", "a"), image("one:1", "a")
		second.tags = { "one:1", "two" }
		local members = assert(write_legacy.members({ first, second }))
		local manifest = cjson.decode(find(members, "^manifest%.json$")[1].bytes)
		assert.equal(1, #manifest)
		assert.same({ "one:1", "two:latest" }, manifest[1].RepoTags)
	end)
end)

describe("gojson", function()
	it("takes the white space out of a value and leaves its spelling", function()
		local given = ' { "a b" : [ 1.50 , 1E5,\n\t"\\" \\\\" , "<\\/>&", null ] , "" : "\226\128\168\226\128\170" } '
		local expected = '{"a b":[1.50,1E5,"\\" \\\\","\\u003c\\/\\u003e\\u0026",null],"":"\\u2028\226\128\170"}'
		assert.equal(expected, gojson.compact(given))
	end)

	it("writes strings as Go does", function()
		assert.equal('"\\u0008\\u000c\\n\\\\b \\u003c\\"\\u2029\195\169"', gojson.quote('\8\12\n\\b <"\226\128\169\195\169'))
	end)
end)
