-- An image edited on its way from docker save to docker load: the engine has what open, edit and save would give it.

local docker = require "spec.support.docker"
local peers = require "spec.support.peers"
local process = require "spec.support.process"
local push = require "spec.support.push"
local sample = require "spec.support.sample"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local need = peers.need

-- What examples/pipe.lua does with --strip srv/links --strip opt/again/sub --uid 1000=0 --env TZ=UTC.
local OPTIONS = "--strip /srv/links/ --strip opt/again/sub --uid 1000=0 --env TZ=UTC"
local EDITS = {
	filter = function(entry)
		local path = entry.path
		return not (path .. "/"):find("^srv/links/") and not (path .. "/"):find("^opt/again/sub/")
	end,
	rewrite = function(entry)
		if entry.uid == 1000 then
			entry.uid = 0
		end
	end,
	config = function(config)
		config:set_env("TZ", "UTC")
	end,
}

local specify = it

describe("an image in a pipe", function()
	local dir, env

	local function prepare()
		local here = shell.check({ "pwd" }):match("[^\n]+")
		env = docker.environment()
		env.LUA_PATH = (package.path:gsub("%./", here .. "/"))
		env.LUA_CPATH = (package.cpath:gsub("%./", here .. "/"))
		env.TMPDIR = dir.path
	end

	-- In front of a spec nothing can be pending.
	local function it(name, body) -- luacheck: ignore 431
		specify(name, function()
			need("docker")
			prepare()
			body()
		end)
	end

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	--- A command for examples/pipe.lua in the interpreter that runs this spec.
	local function pipe(options)
		local here = shell.check({ "pwd" }):match("[^\n]+")
		local script = ("arg = {} for word in (%q):gmatch('%%S+') do arg[#arg + 1] = word end dofile(%q)"):format(
			options,
			here .. "/examples/pipe.lua"
		)
		return process.lua(script)
	end

	local function sh(line)
		return shell.run({ "sh", "-c", line, cwd = dir.path, env = env })
	end

	it("is loaded by docker with the ID that a save gives it, and a container sees the same", function()
		local app = sample.app()
		docker.load(app.archive)
		local saved = assert(push.saved(dir:write("in.tar", shell.read(app.archive)), EDITS))
		local expected = assert(strata.open(dir:write("saved.tar", saved))).id
		local finished = sh("docker save app:1 | " .. pipe(OPTIONS .. " --tag piped:1 --tag piped:2") .. " | docker load")
		assert.equal("", finished.stderr)
		assert.equal("Loaded image: piped:1\nLoaded image: piped:2\n", finished.stdout)
		assert.equal(expected, docker.id("piped:1"))
		assert.equal(expected, docker.id("piped:2"))
		local piped = sample.listing("piped:2")
		docker.load(dir:file("saved.tar"))
		assert.same({}, sample.differences(sample.listing("app:1"), piped))
		assert.is_nil(piped["srv/links"])
		assert.not_same({}, sample.differences(app.listing, piped))
	end)

	it("stays the same when nothing is asked for", function()
		local app = sample.app()
		docker.load(app.archive)
		local finished = sh("docker save app:1 | tee in.tar | " .. pipe("") .. " | tee out.tar | docker load")
		assert.equal("Loaded image: app:1\n", finished.stdout)
		assert.equal(app.id, docker.id("app:1"))
		assert.is_true(shell.same(dir:file("in.tar"), dir:file("out.tar")))
	end)

	it("is no image for docker when the stream breaks", function()
		local app = sample.app()
		docker.forget()
		local line = "head -c 100000 %s | { %s; echo $? >status; } | docker load"
		local finished = sh(line:format(shell.quote(app.archive), pipe(OPTIONS)))
		assert.equal("1\n", shell.read(dir:file("status")))
		assert.is_truthy(finished.stderr:find("stream: ", 1, true), finished.stderr)
		assert.equal("", docker.call({ "images", "--quiet" }))
	end)

	it("can be compressed as a whole", function()
		local app = sample.app()
		docker.load(app.archive)
		local command = pipe(OPTIONS .. " --tag piped:gz")
		local finished = sh("docker save app:1 | gzip -1 | " .. command .. " | tee out.gz | docker load")
		assert.equal("Loaded image: piped:gz\n", finished.stdout)
		assert.equal("\31\139", shell.read(dir:file("out.gz")):sub(1, 2))
	end)

	it("goes through in skopeo's way of writing it, too", function()
		need("docker", "skopeo")
		local app = sample.app()
		shell.check({
			"skopeo",
			"copy",
			"--quiet",
			"docker-archive:" .. app.archive,
			"docker-archive:" .. dir:file("skopeo.tar") .. ":app:1",
		})
		local bytes = shell.read(dir:file("skopeo.tar"))
		local saved = assert(push.saved(dir:file("skopeo.tar"), EDITS))
		local out = assert(push.through(assert(strata.stream.image(EDITS)), bytes, 100000))
		assert.same((push.members(saved)), (push.members(out)))
		docker.load(dir:write("out.tar", out))
		assert.equal(assert(strata.open(dir:file("out.tar"))).id, docker.id("app:1"))
		shell.check({
			"skopeo",
			"copy",
			"--quiet",
			"docker-archive:" .. dir:file("out.tar"),
			"oci:" .. dir:file("layout"),
		})
	end)

	it("goes through as strata saves it, control files first, with each layer in its place", function()
		local app = sample.app()
		local img = assert(strata.open(app.archive))
		assert(img:save(dir:file("hybrid.tar"), { format = "docker", compression = "gzip" }))
		local bytes, places = shell.read(dir:file("hybrid.tar")), {}
		local edits = {
			filter = EDITS.filter,
			config = EDITS.config,
			rewrite = function(entry, layer)
				places[layer.position] = layer.diff_id
				return EDITS.rewrite(entry)
			end,
		}
		local out = assert(push.through(assert(strata.stream.image(edits)), bytes, 100000))
		for i, layer in img:layers() do
			assert.is_true(places[i] == nil or places[i] == layer.diff_id)
		end
		img:close()
		local saved = assert(push.saved(dir:file("hybrid.tar"), EDITS))
		assert.same((push.members(saved)), (push.members(out)))
		docker.load(dir:write("out.tar", out))
	end)
end)
