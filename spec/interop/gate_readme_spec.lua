-- What README.md and FILTER.md of examples/gate tell people to type does what they say: the commands are run as they
-- stand, but for the port, and `run --help` has every option that they name.

local docker = require "spec.support.docker"
local gate = require "spec.support.gate"
local peers = require "spec.support.peers"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local it = gate.missing() and function(name)
	pending(name .. ": " .. gate.missing())
end or it

local README, FILTER = shell.read("examples/gate/README.md"), shell.read("examples/gate/FILTER.md")
local TREE = shell.check({ "pwd" }):match("[^\n]+")

describe("examples/gate as its documents tell it", function()
	local dir, server

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
		shell.check({ "ln", "-s", TREE .. "/examples", dir:file("examples") })
	end)

	after_each(function()
		server = gate.clear(server)
		dir:remove()
	end)

	-- The image of README, which has what the policy refuses.
	local function save_app()
		local img = strata.new()
		assert(img:append({ files = { ["etc/name"] = "app" } }))
		assert(img:append({ files = { ["usr/bin/evil"] = { content = "x", mode = "4755" } } }))
		img.config:set_env("API_TOKEN", "abc")
		img.tags = { "app:latest" }
		assert(img:save(dir:file("app.tar"), { format = "docker" }))
	end

	-- Runs a line of a document in a directory that has examples/, like the checkout.
	local function run(line, env)
		env = env or {}
		env.PATH = TREE .. "/bin:" .. shell.PATH
		env.STRATA_BUILD = os.getenv("STRATA_BUILD") or "build"
		return shell.run({ "sh", "-euc", (line:gsub("127%.0%.0%.1:5080", server.host)), cwd = dir.path, env = env })
	end

	it("README: what the policy refuses is refused, in the words that it shows", function()
		peers.need("docker")
		save_app()
		server = gate.start()
		docker.forget()
		docker.call({ "load", "--quiet", "--input", dir:file("app.tar") })
		local line, shown = README:match("\n%$ (docker tag[^\n]*)\n%.%.%.\n([^\n]*)\n")
		local done = run(line, docker.environment())
		assert.not_equal(0, done.status)
		assert.is_truthy((done.stdout .. done.stderr):find(shown, 1, true), done.stdout .. done.stderr)
		-- And before it is pushed.
		done = run(README:match("\n(strata gate [^\n]*)\n"))
		assert.equal(1, done.status, done.stderr)
		assert.is_truthy(done.stdout:find("'usr/bin/evil': set-id file", 1, true), done.stdout)
		docker.forget()
	end)

	it("FILTER: the image arrives, without what edits.lua takes out", function()
		peers.need("docker", "skopeo")
		local img = strata.new()
		assert(img:append({ files = { ["usr/share/man/man1/a"] = "manual", ["etc/name"] = "alpine" } }))
		img.tags = { "alpine:3" }
		assert(img:save(dir:file("alpine.tar"), { format = "docker" }))
		server = gate.start()
		docker.forget()
		local lines = FILTER:match("\nexamples/gate/run &\n(.-)```")
		lines = lines:gsub("skopeo copy", "skopeo --insecure-policy copy")
		local done = run(lines, docker.environment())
		assert.equal(0, done.status, done.stderr)
		local pulled = docker.inspect(server.host .. "/filtered/alpine:3")
		assert.equal("documents", pulled.Config.Labels["com.example.filtered"])
		docker.save(dir:file("pulled.tar"), server.host .. "/filtered/alpine:3")
		local root = assert(assert(strata.open(dir:file("pulled.tar"))):rootfs())
		assert.is_nil(root:stat("usr/share/man/man1/a"))
		assert.is_truthy(root:stat("etc/name"))
		docker.forget()
	end)

	it("every option that they name is one of run, and its help has all", function()
		local help = shell.check({ "examples/gate/run", "--help" })
		local known = {}
		for option in help:gmatch("\n  (%-%-[%l-]+)") do
			known[option] = true
		end
		local text = shell.read("examples/gate/run")
		for option in text:gmatch("\n\t(%-%-[%l-]+)%) ") do
			assert.is_true(known[option], option)
		end
		local foreign = { ["--tls-verify"] = true, ["--dest-tls-verify"] = true, ["--compression-format"] = true,
			["--help"] = true }
		for _, document in ipairs({ README, FILTER }) do
			for option in document:gmatch("%f[%w-]%-%-%l[%l-]*") do
				assert.is_true(known[option] or foreign[option], option)
			end
		end
	end)
end)
