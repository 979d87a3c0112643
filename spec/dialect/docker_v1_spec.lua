-- Takes seconds: not for make check.
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local BASE, MIDDLE, TOP = ("a"):rep(64), ("b"):rep(64), ("c"):rep(64)

local function json_of(id, parent)
	local rest = parent and ', "parent": "' .. parent .. '"' or ""
	return '{"id": "' .. id .. '", "created": "2014-05-06T07:08:09Z", "os": "linux"' .. rest .. "}"
end

describe("an archive of Docker before 1.10", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	--- Writes an archive of three images on top of each other; `changes` are members by name, false for none.
	local function archive(changes)
		local files = tmp.dir(dir.path)
		local members = {
			repositories = '{"app": {"1": "' .. TOP .. '"}}',
		}
		local parent
		for _, id in ipairs({ BASE, MIDDLE, TOP }) do
			members[id .. "/VERSION"] = "1.0"
			members[id .. "/json"] = json_of(id, parent)
			files:write(id:sub(1, 1), id)
			shell.sh('cd "$1"; mkdir "$2"; tar -cf "$2/layer.tar" --remove-files --mtime=@0 "$3"', files.path, id, id:sub(1, 1))
			parent = id
		end
		for name, bytes in pairs(changes or {}) do
			members[name] = bytes
		end
		for name, bytes in pairs(members) do
			if bytes then
				files:write(name, bytes)
			else
				shell.check({ "rm", "-f", files:file(name) })
			end
		end
		shell.sh('cd "$1"; tar -cf "$2" *', files.path, dir:file("v1.tar"))
		return dir:file("v1.tar")
	end

	local function refuse(expected_code, expected, path, opts)
		local img, message, code = strata.open(path, opts)
		assert.is_nil(img)
		assert.equal(expected_code, code)
		assert.is_truthy(message:find(path, 1, true), message)
		assert.is_truthy(message:find(expected, 1, true), message)
	end

	it("is opened, its layers in the order of the parents", function()
		local img = assert(strata.open(archive()))
		assert.same({ "app:1" }, img.tags)
		assert.equal("a,b,c", table.concat({
			assert(img.layers[1]:entry("a")).path,
			assert(img.layers[2]:entry("b")).path,
			assert(img.layers[3]:entry("c")).path,
		}, ","))
		assert.equal("linux", img.platform.os)
		assert.is_false(img.edited)
		assert.is_true(assert(img:verify()))
	end)

	it("has a row of the history for each layer", function()
		local img = assert(strata.open(archive({
			[MIDDLE .. "/json"] = '{"parent": "' .. BASE .. '", "author": "me", "comment": "why", '
				.. '"container_config": {"Cmd": ["/bin/sh", "-c", "x <y>"]}}',
		})))
		local row = img:history()[2]
		assert.equal("/bin/sh -c x <y>", row.created_by)
		assert.equal("me", row.author)
		assert.equal("why", row.comment)
		assert.equal("0001-01-01T00:00:00Z", row.created)
		assert.equal(2, row.layer.position)
		assert.equal("2014-05-06T07:08:09Z", img:history()[3].created)
		assert.is_nil(img:history()[3].created_by)
	end)

	it("is the same file when it is saved unedited", function()
		local path = archive()
		assert(assert(strata.open(path)):save(dir:file("copy.tar")))
		assert.is_true(shell.same(path, dir:file("copy.tar")))
	end)

	it("is not saved edited in its own way, but in another", function()
		local img = assert(strata.open(archive()))
		img.config:set_env("A", "1")
		local result, message, code = img:save(dir:file("edited.tar"))
		assert.is_nil(result)
		assert.equal("EUNSUPPORTED", code)
		assert.is_truthy(message:find("choose a format", 1, true))
		for _, format in ipairs({ "docker", "docker-legacy" }) do
			assert(img:save(dir:file("edited.tar"), { format = format }))
			local again = assert(strata.open(dir:file("edited.tar")))
			assert.equal(img.id, again.id)
			assert.same({ "app:1" }, again.tags)
			assert.is_true(assert(again:verify()))
		end
	end)

	it("says what its members are for", function()
		local img, roles = assert(strata.open(archive())), {}
		for _, file in ipairs(assert(img:files())) do
			roles[file.name] = file.role
		end
		assert.equal("repositories", roles.repositories)
		assert.equal("layer 1 json", roles[BASE .. "/json"])
		assert.equal("layer 3", roles[TOP .. "/layer.tar"])
		assert.is_nil(roles[TOP .. "/VERSION"])
	end)

	it("can hold several images with several names", function()
		local path = archive({
			repositories = '{"app": {"1": "' .. TOP .. '", "2": "' .. BASE .. '"}, "x/y": {"latest": "' .. TOP .. '"}}',
		})
		refuse("EAMBIGUOUS", "app:1 x/y:latest sha256:", path)
		refuse("EAMBIGUOUS", "; app:2 sha256:", path)
		assert.equal(1, #assert(strata.open(path, { ref = "app:2" })).layers)
		assert.same({ "app:1", "x/y:latest" }, assert(strata.open(path, { ref = "x/y" })).tags)
		local count = 0
		for img in assert(strata.images(path)) do
			count = count + #img.layers
		end
		assert.equal(4, count)
	end)

	it("is found by the id of its directory, and by the image ID that Docker gives it", function()
		local path = archive({ repositories = '{"a": {"1": "' .. TOP .. '"}, "b": {"1": "' .. MIDDLE .. '"}}' })
		local img = assert(strata.open(path, { ref = MIDDLE }))
		assert.same({ "b:1" }, img.tags)
		assert.same({ "b:1" }, assert(strata.open(path, { ref = img.id })).tags)
		refuse("ENOENT", "no image", path, { ref = BASE })
	end)

	it("without names gives the image that is nobody's parent", function()
		local img = assert(strata.open(archive({ repositories = false })))
		assert.same({}, img.tags)
		assert.equal(3, #img.layers)
		assert.equal(3, #assert(strata.open(archive({ repositories = "{}" }))).layers)
	end)

	it("may have compressed layers", function()
		local path = archive()
		local plain = assert(strata.open(path))
		local files = tmp.dir(dir.path)
		shell.sh(
			'cd "$1"; tar -xf "$2"; gzip -n "$3/layer.tar"; mv "$3/layer.tar.gz" "$3/layer.tar"; tar -cf "$4" *',
			files.path,
			path,
			MIDDLE,
			dir:file("gzip.tar")
		)
		local img = assert(strata.open(dir:file("gzip.tar")))
		assert.equal("gzip", img.layers[2].compression)
		assert.equal(plain.id, img.id)
		assert.is_true(assert(img:verify()))
	end)

	it("is refused when a layer is compressed with what is not supported", function()
		refuse("EUNSUPPORTED", "xz", archive({ [TOP .. "/layer.tar"] = "\2537zXZ\0" .. ("x"):rep(100) }))
	end)

	it("is refused when an image is its own ancestor", function()
		refuse("EFORMAT", "is its own ancestor", archive({ [BASE .. "/json"] = json_of(BASE, TOP) }))
		refuse("EFORMAT", "is its own ancestor", archive({ [BASE .. "/json"] = json_of(BASE, TOP), repositories = false }))
		refuse("EFORMAT", "is its own ancestor", archive({ [TOP .. "/json"] = json_of(TOP, TOP) }))
	end)

	it("is refused when a parent is not there", function()
		refuse("EFORMAT", BASE .. "', the parent of image '" .. MIDDLE .. "', is not in the archive",
			archive({ [BASE .. "/json"] = false }))
	end)

	it("is refused when a layer is not there", function()
		refuse("EFORMAT", MIDDLE .. "/layer.tar' is not in the archive", archive({ [MIDDLE .. "/layer.tar"] = false }))
	end)

	it("is refused when a name belongs to no image", function()
		refuse("EFORMAT", "is not in the archive", archive({ repositories = '{"app": {"1": "nothing"}}' }))
		refuse("EFORMAT", "is no id of an image", archive({ repositories = '{"app": {"1": "../x"}}' }))
		refuse("EFORMAT", "is not a string", archive({ repositories = '{"app": {"1": 1}}' }))
		refuse("EFORMAT", "repositories is not an object", archive({ repositories = "[]" }))
	end)

	it("is refused when a document is none", function()
		refuse("EFORMAT", TOP .. "/json'", archive({ [TOP .. "/json"] = "{" }))
		refuse("EFORMAT", "/created is not a time", archive({ [TOP .. "/json"] = '{"created": "yesterday"}' }))
		refuse("EFORMAT", "is not an object", archive({ [TOP .. "/json"] = '"text"' }))
	end)

	it("has limits", function()
		local path = archive()
		refuse("ELIMIT", "limits.layers", path, { limits = { layers = 2 } })
		refuse("ELIMIT", "limits.json.max_bytes", path, { limits = { json = { max_bytes = 40 } } })
	end)

	it("is none when nothing in it is an image", function()
		local files = tmp.dir(dir.path)
		files:write("json", "{}")
		shell.sh('cd "$1"; mkdir d; echo {} >d/json; tar -cf "$2" json d', files.path, dir:file("other.tar"))
		refuse("EFORMAT", "not an image archive", dir:file("other.tar"))
	end)
end)
