-- What breaks while the gate of examples/gate judges: nothing is let in unjudged, and it goes on.
--
-- STRATA_LONG=1 also pushes a layer of 1 GB that does not compress.

local core = require "strata.core"
local curl = require "spec.support.curl"
local docker_registry = require "spec.support.docker_registry"
local gate = require "spec.support.gate"
local oci_layout = require "spec.support.oci_layout"
local peers = require "spec.support.peers"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"
local waiting = require "spec.support.waiting"

local it = gate.missing() and function(name)
	pending(name .. ": " .. gate.missing())
end or it

describe("the gate", function()
	local server, behind, dir, large

	-- A layer of 1 GB, which takes most of a second to inflate.
	setup(function()
		large = gate.large_layer(1)
	end)

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		server, behind = gate.clear(server, behind)
		dir:remove()
	end)

	-- An image in the blobs of a repository, whose manifest is not there yet, with the large layer so many times.
	local function pushed(repository, mode, times)
		local layout = oci_layout.new()
		local layers = { layout:layer({ { name = "usr/bin/app", data = repository, mode = tonumber(mode or "755", 8) } }) }
		for i = 1, times or 0 do
			layout.blobs[large.descriptor.digest] = large.bytes
			layers[1 + i] = large
		end
		local image = layout:image({ name = repository:gsub("/", "-"), layers = layers })
		server:blobs(repository, layout)
		return layout.blobs[image.descriptor.digest]
	end

	-- Puts a manifest in the background; gives a function that waits for the status of the answer.
	local function put_later(repository, tag, text)
		local name = dir:file(repository:gsub("/", "-") .. "-" .. tag)
		shell.write(name .. ".json", text)
		os.execute(("curl -s -o /dev/null -w '%%{http_code}' -X PUT -H 'Content-Type: %s' --data-binary @%s %s >%s &"):format(
			"application/vnd.oci.image.manifest.v1+json", name .. ".json",
			("%s/v2/%s/manifests/%s"):format(server.url, repository, tag), name .. ".status"))
		return function()
			waiting.till("the answer", function()
				return core.identity(name .. ".status") and #shell.read(name .. ".status") == 3
			end)
			return tonumber(shell.read(name .. ".status"))
		end
	end

	-- Waits until a thread works: the worker process uses a CPU.
	local function until_it_judges()
		local function used()
			local ticks = 0
			for _, pid in ipairs(server:workers()) do
				local stat = shell.read("/proc/" .. pid .. "/stat"):match("%) (.*)$")
				local user, system = stat:match("^" .. ("%S+ "):rep(11) .. "(%d+) (%d+)")
				ticks = ticks + user + system
			end
			return ticks
		end
		local before = used()
		waiting.till("the judgement", function()
			return used() > before + 5
		end)
	end

	-- The most that the worker process, its threads included, has had in memory.
	local function peak()
		local pid = server:workers()[1]
		return tonumber(shell.read("/proc/" .. pid .. "/status"):match("VmHWM:%s+(%d+)")) / 1024
	end

	it("judges 32 pushes at once, and the same manifest once", function()
		server = gate.start()
		local good, evil, waits = {}, {}, {}
		for i = 1, 8 do
			good[i] = pushed("team/good" .. i)
			evil[i] = pushed("team/evil" .. i, "4755")
		end
		for tag = 1, 2 do
			for i = 1, 8 do
				waits[#waits + 1] = { 201, "good" .. i, tag, put_later("team/good" .. i, tag, good[i]) }
				waits[#waits + 1] = { 403, "evil" .. i, tag, put_later("team/evil" .. i, tag, evil[i]) }
			end
		end
		for _, one in ipairs(waits) do
			assert.equal(one[1], (one[4]()))
		end
		-- Not before: docker-registry was seen to answer 500 for a manifest while the same one was put under another tag.
		for _, one in ipairs(waits) do
			assert.equal(one[1] == 201 and 200 or 404, server:behind("team/" .. one[2], one[3]))
		end
		assert.equal("", server:said())
	end)

	it("judges a manifest once that many put at the same time, a layer of 1 GB with little memory", function()
		peers.need("docker-registry")
		behind = docker_registry.start({})
		server = gate.start({ "--backend", behind.host })
		local text, waits = pushed("team/app", "755", 1), {}
		behind:forget()
		for tag = 1, 8 do
			waits[tag] = put_later("team/app", tag, text)
		end
		for tag = 1, 8 do
			assert.equal(201, (waits[tag]()))
		end
		assert.equal(201, server:manifest("team/app", "again", text).status)
		local fetched = 0
		for _, request in ipairs(behind:log()) do
			fetched = fetched + (request.method == "GET" and request.path:find("/blobs/", 1, true) and 1 or 0)
		end
		assert.equal(3, fetched) -- config and two layers
		assert.is_true(peak() < 100, peak() .. " MiB")
	end)

	it("lets a judgement end when it is told to reload, and takes the new policy", function()
		server = gate.start({ policy = 'return { root_user = true }' })
		local text = pushed("team/app", "755", 2)
		local wait = put_later("team/app", "1", text)
		until_it_judges()
		server.dir:write("policy.lua", 'return { root_user = true, max_layers = 0 }')
		shell.check({ "kill", "-HUP", tostring(server.pid) })
		assert.equal(201, (wait()))
		waiting.till("the new policy", function()
			return server:manifest("team/app", "2", text).status == 403
		end)
		server.dir:write("policy.lua", 'return { max_layer = 0 }')
		shell.check({ "kill", "-HUP", tostring(server.pid) })
		waiting.till("the complaint", function()
			return server:said():find("max_layer", 1, true)
		end)
		assert.equal("gate: policy has no rule 'max_layer'; did you mean 'max_layers'?; everything stays as it was\n",
			server:said())
		assert.equal(403, server:manifest("team/app", "3", text).status)
	end)

	it("lets nothing in when its worker is killed, and goes on with another one", function()
		server = gate.start()
		local text = pushed("team/app", "4755", 2)
		local wait = put_later("team/app", "1", text)
		until_it_judges()
		for _, pid in ipairs(server:workers()) do
			shell.check({ "kill", "-KILL", tostring(pid) })
		end
		assert.equal(0, (wait()))
		assert.equal(404, server:behind("team/app", "1"))
		waiting.till("the next worker", function()
			return server:ask({ "GET", "/v2/" }).status == 200
		end)
		assert.equal(403, server:manifest("team/app", "1", text).status)
		assert.equal(201, server:manifest("team/app", "2", pushed("team/app")).status)
	end)

	it("lets nothing in when the registry behind is gone, and says so", function()
		peers.need("docker-registry")
		behind = docker_registry.start({})
		server = gate.start({ "--backend", behind.host })
		local text = pushed("team/app")
		behind:stop()
		behind = nil
		local answer = server:manifest("team/app", "1", text)
		assert.equal(502, answer.status)
		assert.equal("the registry behind the gate does not answer", (gate.message(answer)))
		assert.equal(502, server:ask({ "GET", "/v2/" }).status)
	end)

	it("gives up a judgement at its deadline", function()
		server = gate.start({ "--deadline", "1" })
		local answer = server:manifest("team/app", "1", pushed("team/app", "755", 6))
		assert.equal(503, answer.status)
		assert.matches("^policy: cannot be judged now: .*the deadline has passed", (gate.message(answer)))
		assert.equal("5", answer:header("Retry-After"))
		assert.equal(404, server:behind("team/app", "1"))
	end)

	-- The first image has 200 GB, which keeps the only thread busy for longer than the second one is waited for.
	it("gives up a judgement that nobody waits for", function()
		server = gate.start({ "--threads", "1" })
		local text, other = pushed("team/app", "755", 200), pushed("team/app")
		local gone = curl.send({ "PUT", server.url .. "/v2/team/app/manifests/1", "--max-time", "1", body = text,
			headers = { "Content-Type: application/vnd.oci.image.manifest.v1+json" } })
		assert.equal(28, gone.code) -- out of time: it was being judged
		local answer = server:ask({ "PUT", "/v2/team/app/manifests/2", "--max-time", "40", body = other,
			headers = { "Content-Type: application/vnd.oci.image.manifest.v1+json" } })
		assert.equal(201, answer.status)
		assert.equal(404, server:behind("team/app", "1"))
	end)

	it("refuses what an image may not cost", function()
		server = gate.start({ "--max-layer", "1000000" })
		local answer = server:manifest("team/app", "1", pushed("team/app", "755", 1))
		assert.equal(403, answer.status)
		assert.matches("^policy: cannot be judged: .*limits.bytes", (gate.message(answer)))
	end)

	it("says what is wrong with its options and its policy, and does not start", function()
		local run = shell.check({ "pwd" }):match("^[^\n]+") .. "/examples/gate/run"
		local function said(...)
			local done = shell.run({ "timeout", "120", run, "--dir", dir:file("data"), "--backend", "127.0.0.1:1",
				env = { PATH = shell.PATH }, ... })
			return done.stderr, done.status
		end
		for _, case in ipairs({
			{ "gate: --prot is no option", "--prot", "1" },
			{ "gate: --port wants a number, not x", "--port", "x" },
			{ "gate: --port wants a value", "--port" },
			{ "gate: --backend wants a port, as host:5000", "--backend", "host" },
			{ "gate: --backend wants HOST:PORT, not a b:5", "--backend", "a b:5" },
			{ "gate: --tls-cert and --tls-key go together", "--tls-cert", "/dev/null" },
			{ "gate: --policy: nothing.lua cannot be read", "--policy", "nothing.lua" },
			{ "gate: --artifact wants a media type, not a b", "--artifact", "a b" },
			{ "gate: --address wants an IP address, not host", "--address", "host" },
			{ "gate: a.lua:1: ", "--policy", dir:write("a.lua", "return {") },
			{ "gate: the policy returns a string, not a table of rules", "--policy", dir:write("b.lua", "return 'x'") },
			{ "gate: policy has no rule 'max_layer'; did you mean 'max_layers'?", "--policy",
				dir:write("c.lua", "return { max_layer = 1 }") },
			{ "gate: d.lua:1: oops", "--policy", dir:write("d.lua", "error 'oops'") },
			{ "gate: --backend: there is no host nobody.invalid", "--backend", "nobody.invalid:1" },
			{ "gate: --token-server: there is no host nobody.invalid", "--token-server", "http://nobody.invalid/token" },
			{ "gate: --token-server wants a URL, as https://auth.lan/token, not auth.lan", "--token-server", "auth.lan" },
			{ "gate: --edits: nothing.lua cannot be read", "--edits", "nothing.lua" },
			{ "gate: --cache-bytes wants a number, not 10G", "--cache-bytes", "10G" },
			{ "gate: e.lua: entry 1: name should be a repository", "--edits", dir:write("e.lua", "return { {} }") },
		}) do
			for _ = 1, 2 do -- to start, and with --check
				local text, status = said((table.unpack or unpack)(case, 2))
				assert.equal(1, status)
				assert.equal(case[1], text:sub(1, #case[1]))
				assert.equal(1, select(2, text:gsub("\n", "")), text)
				table.insert(case, 2, "--check")
			end
		end
	end)

	it("does not share its directory with another one", function()
		server = gate.start()
		local run = shell.check({ "pwd" }):match("^[^\n]+") .. "/examples/gate/run"
		local data = server.dir:file("data")
		local done = shell.run({ "timeout", "120", run, "--dir", data, "--port", "1", env = { PATH = shell.PATH } })
		assert.same({ 1, ("gate: %s is used by a gate that runs: --dir DIR names another one\n"):format(data) },
			{ done.status, done.stderr })
		server:stop()
		server = gate.start({ dir = server.dir })
	end)

	it("tells whether its settings are right, and starts nothing", function()
		local run = shell.check({ "pwd" }):match("^[^\n]+") .. "/examples/gate/run"
		local done = shell.run({ "timeout", "120", run, "--check", "--dir", dir:file("data"), env = { PATH = shell.PATH } })
		assert.same({ 0, "gate: the policy, the edits and the settings are right\n", "" },
			{ done.status, done.stdout, done.stderr })
		assert.is_nil(core.identity(dir:file("data")))
	end)

	if os.getenv("STRATA_LONG") == "1" then
		it("passes on and judges a layer of 1 GB that does not compress", function()
			peers.need("skopeo")
			server = gate.start()
			shell.sh([[cd "$1" && mkdir in && openssl enc -aes-128-ctr -pass pass:x -nosalt -in /dev/zero 2>/dev/null |
				head -c 1073741824 >in/noise && tar -cf layer.tar -C in .]], dir.path)
			local strata = require "strata"
			local img = strata.new()
			assert(img:append({ layer = strata.layer({ tar = dir:file("layer.tar") }) }))
			assert(img:save(dir:file("image"), { format = "oci", compression = "none" }))
			local done = shell.run({ "skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false",
				"--dest-compress=false", "oci:" .. dir:file("image"), ("docker://%s/noise:1"):format(server.host) })
			assert.equal(0, done.status, done.stderr)
			assert.is_true(peak() < 100, peak() .. " MiB")
		end)
	end
end)
