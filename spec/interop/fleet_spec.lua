-- examples/fleet: what its programs do, with Redis and registries that work or misbehave.

local docker_registry = require "spec.support.docker_registry"
local fleet = require "spec.support.fleet"
local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local shell = require "spec.support.shell"
local skip = require "spec.support.skip"
local strata = require "strata"
local waiting = require "spec.support.waiting"

-- Jobs over which the memory of a worker is looked at.
local MANY = tonumber(os.getenv("STRATA_FLEET_JOBS")) or 200

describe("a fleet:", function()
	local server, hub, here, image

	setup(function()
		local reason = docker_registry.missing() or fleet.missing()
		if reason then
			skip(reason)
		end
		server, hub = docker_registry.start(), remote.client()
		image = strata.new()
		assert(image:append({ files = { ["usr/share/doc/a"] = "a", ["etc/b"] = "b" } }))
	end)

	teardown(function()
		if server then
			hub:close()
			server:stop()
		end
	end)

	before_each(function()
		here = fleet.start()
	end)

	after_each(function()
		here:stop()
	end)

	local function ref(repository, tag)
		return ("docker://%s/%s:%s"):format(server.host, repository, tag or "1")
	end

	-- An image that no other spec has.
	local function push(repository, tag)
		image.config:set_label("of", repository .. (tag or ""))
		return assert(image:save(ref(repository, tag), { registry = hub })).digest
	end

	-- What the label is of what a reference leads to.
	local function label(where, name)
		local img = assert(strata.open(where, { registry = hub }))
		local value = img.config.Labels[name]
		img:close()
		return value
	end

	local function work(...)
		local worker = here:worker("--until-empty", ...)
		assert.equal(0, worker:ended())
		return worker:log()
	end

	it("the scripts label, strip, rebase and check", function()
		push("scripts")
		here:enqueue({ ref("scripts") }, "--to", ref("scripts", "labelled"), "label", "team=shop", "of=")
		here:enqueue({ ref("scripts") }, "--to", ref("scripts", "stripped"), "strip", "paths=usr/share/doc")
		here:enqueue({ ref("scripts") }, "--check", "check")
		local base = strata.new()
		assert(base:append({ files = { ["etc/base"] = "1" } }))
		assert(base:save(ref("base", "1"), { registry = hub }))
		local above = assert(strata.open(ref("base", "1"), { registry = hub }))
		assert(above:append({ files = { app = "app" } }))
		assert(above:save(ref("above"), { registry = hub }))
		assert(base:append({ files = { ["etc/base"] = "2" } }))
		assert(base:save(ref("base", "2"), { registry = hub }))
		local said = here:run("enqueue", { "rebase", "from=" .. ref("base", "1"), "to=" .. ref("base", "2") },
			ref("above") .. "\n").stderr
		local to = ref("base"):gsub(":1$", "@") .. hub:digest(ref("base", "2"))
		assert.is_truthy(said:find("fleet: to is " .. to .. "\n", 1, true), said)
		local log = work()
		assert.equal("shop", label(ref("scripts", "labelled"), "team"))
		assert.is_nil(label(ref("scripts", "labelled"), "of"))
		local stripped = assert(strata.open(ref("scripts", "stripped"), { registry = hub }))
		assert.is_nil((stripped:read("usr/share/doc/a")))
		assert.equal("b", stripped:read("etc/b"))
		local rebased = assert(strata.open(ref("above"), { registry = hub }))
		assert.equal("2", rebased:read("etc/base"))
		assert.equal("app", rebased:read("app"))
		assert.equal(3, here:count("done"))
		assert.is_truthy(log:find("EPOLICY", 1, true)) -- it would run as root
		assert.is_truthy(here:check("dead", { "list" }):find("EPOLICY: .*root"))
		assert.equal(0, here:count("failed")) -- what a policy has found, another try would find as well
		local dropped = here:check("dead", { "drop", "all" })
		assert.is_truthy(dropped:find("^[%d-]+\tdropped\n$"), dropped)
		assert.equal("", here:check("dead", { "list" }))
	end)

	it("every image of an index is worked on", function()
		local images = {}
		for i, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
			images[i] = strata.new({ platform = platform })
			assert(images[i]:append({ files = { a = platform } }))
		end
		assert(strata.save(images, ref("index"), { registry = hub }))
		local before = hub:digest(ref("index"))
		here:enqueue({ ref("index") }, "label", "team=shop")
		work()
		local index, count = assert(strata.open_index(ref("index"), { registry = hub })), 0
		for img in assert(index:images()) do
			assert.equal("shop", img.config.Labels.team)
			count = count + 1
		end
		assert.equal(2, count)
		assert.not_equal(before, hub:digest(ref("index")))
		assert.equal(0, here:count("failed"))
	end)

	it("a job that is enqueued twice is done once, and the second time costs two requests", function()
		push("dup")
		local words = { "--to", ref("dup", "new"), "label", "team=shop" }
		local function enqueue()
			return here:enqueue({ ref("dup") }, (table.unpack or unpack)(words))
		end
		assert.is_truthy(enqueue():find("added 1,", 1, true))
		assert.is_truthy(enqueue():find("in the queue already 1,", 1, true))
		work()
		server:forget()
		assert.is_truthy(enqueue():find("done already 1,", 1, true))
		local lines = {}
		for i, request in ipairs(server:log()) do
			lines[i] = request.method
		end
		assert.same({ "HEAD", "HEAD" }, lines)
		assert.equal(1, here:count("done"))
		-- A tag that has moved since is a job again.
		assert(hub:tag(ref("dup"), "new"))
		assert.is_truthy(enqueue():find("added 1,", 1, true))
		work()
		assert.equal("shop", label(ref("dup", "new"), "team"))
	end)

	it("what a job has made in the place of its source is no new job", function()
		push("place")
		here:script("append", [[
			return function(img) return img:append { files = { ["etc/again"] = "1" } } end
		]])
		here:enqueue({ ref("place") }, "append")
		work()
		assert.is_truthy(here:enqueue({ ref("place") }, "append"):find("done already 1,", 1, true))
		assert.equal(2, #assert(strata.open(ref("place"), { registry = hub })).layers)
	end)

	it("a result whose worker died before it could say so is found, and not sent again", function()
		local digest = push("told")
		here:enqueue({ ref("told") }, "--to", ref("told", "new"), "label", "team=shop")
		local img = assert(strata.open(ref("told") .. "@" .. digest, { registry = hub }))
		img.config:set_label("team", "shop")
		assert(img:save(ref("told", "new"), { registry = hub }))
		server:forget()
		work()
		for _, request in ipairs(server:log()) do -- the config is a blob, which goes before the tag is looked at
			assert.is_false(request.method == "PUT" and request.path:find("/manifests/", 1, true) ~= nil, request.path)
		end
		assert.equal(1, here:count("done"))
		assert.equal(0, here:count("dead"))
	end)

	it("all tags of a repository are enqueued, but those of signatures", function()
		for _, tag in ipairs({ "1", "2", "sha256-" .. ("0"):rep(64) .. ".sig" }) do
			push("tags", tag)
		end
		local told = here:check("enqueue", { "--tags", "docker://" .. server.host .. "/tags", "--check", "label" })
		assert.is_truthy(told:find("added 2,", 1, true), told)
	end)

	it("a worker goes on when Redis has forgotten everything", function()
		push("forgotten")
		local worker = here:worker()
		worker:process()
		here:enqueue({ ref("forgotten") }, "label", "team=shop")
		worker:says(" done ")
		here.redis:call("FLUSHALL")
		worker:says("Redis: ")
		here:enqueue({ ref("forgotten") }, "--to", ref("forgotten", "new"), "label", "team=ship")
		worker:says(" done .* done ")
		assert.equal("ship", label(ref("forgotten", "new"), "team"))
	end)

	it("one job at a time has a target", function()
		push("busy")
		here:enqueue({ ref("busy") }, "label", "team=shop")
		local done = here:run("enqueue", { "strip" }, ref("busy") .. "\n")
		assert.equal(1, done.status)
		assert.is_truthy(done.stderr:find("another job has this target", 1, true))
		assert.is_truthy(done.stdout:find("with a busy target 1,", 1, true))
	end)

	it("jobs that fail go to the dead after three tries, and the others are done", function()
		here:script("throws", "return function(img) error 'no such thing' end")
		here:script("refuses", "return function() return nil, 'not today', 'ETODAY' end")
		local broken = push("poison", "3")
		push("poison", "1")
		push("poison", "2")
		push("poison", "4")
		local data = server.dir:file("data") .. "/docker/registry/v2/blobs/sha256/"
		local manifest = hub:manifest(ref("poison", "3")).text
		local config = manifest:match('"config":{[^}]-"digest":"sha256:(%x+)"')
		here:enqueue({ ref("poison", "1") }, "throws")
		here:enqueue({ ref("poison", "2") }, "refuses")
		here:enqueue({ ref("poison", "3") }, "label", "a=b")
		here:enqueue({ ref("poison", "4") }, "label", "a=b")
		shell.write(data .. config:sub(1, 2) .. "/" .. config .. "/data", "{}")
		local log = work()
		assert.equal("b", label(ref("poison", "4"), "a"))
		assert.equal(1, here:count("done"))
		assert.equal(3, here:count("dead"))
		assert.equal(6, here:count("failed"))
		local dead = here:check("dead", { "list" })
		assert.is_truthy(dead:find("/poison:1 throws\n +ESCRIPT: [^\n]*throws.lua:1: no such thing"), dead)
		assert.is_truthy(dead:find("/poison:2 refuses\n +ETODAY: not today"), dead)
		assert.is_truthy(dead:find("/poison:3 label\n +E%u+: .*"), dead)
		assert.equal(broken, hub:digest(ref("poison", "3")))
		assert.is_truthy(log:find(" again "))
		-- They come back.
		here:script("refuses", "return function() return nil, 'not today', 'ETODAY' end --")
		local id = dead:match("(%S+)  %S+/poison:2 ")
		assert.is_truthy(here:check("dead", { "requeue", id }):find("added"))
		assert.equal(1, here:length())
		assert.is_truthy(work():find("another version of the script", 1, true))
		assert.equal("3", here.redis:call("XLEN", "fleet:dead"))
	end)

	it("a job that workers die of goes to the dead as well", function()
		push("crash")
		here:script("dies", "return function() os.exit(9) end")
		here:enqueue({ ref("crash") }, "dies")
		local function worker()
			return here:worker("--until-empty", "--lease", "0.5", "--crashes", "2"):ended()
		end
		assert.same({ 9, 9, 0 }, { worker(), worker(), worker() })
		assert.is_truthy(here:check("dead", { "list" }):find("ECRASH: 2 workers"))
	end)

	it("a tag that somebody has moved stays", function()
		push("moved", "1")
		push("moved", "2")
		here:enqueue({ ref("moved", "1") }, "label", "team=shop")
		assert(hub:tag(ref("moved", "2"), "1"))
		work()
		assert.equal(hub:digest(ref("moved", "2")), hub:digest(ref("moved", "1")))
		assert.is_truthy(here:check("dead", { "list" }):find("ESTALE", 1, true))
		assert.equal(0, here:count("failed"))
	end)

	it("enqueue waits while there are as many jobs as it may make, and a worker does not grow", function()
		push("many", "1")
		local list = { ref("many", "1") }
		for i = 2, MANY do
			assert(hub:tag(ref("many", "1"), tostring(i)))
			list[i] = ref("many", i)
		end
		local refs = here.scripts:write("refs", table.concat(list, "\n") .. "\n")
		local log = here.scripts:write("enqueued", "")
		local env = ("LUA_PATH=%s LUA_CPATH=%s"):format(shell.quote(package.path), shell.quote(package.cpath))
		local command = "%s lua5.4 examples/fleet/enqueue.lua --redis %s --limit 7 label team=shop <%s >%s 2>&1"
		local pipe = io.popen(command:format(env, here.redis.path, refs, log), "w")
		waiting.till("enqueue waits", function()
			return shell.read(log):find("7 jobs are not done; waiting", 1, true)
		end)
		assert.equal(7, here:length())
		local worker, before, highest = here:worker(), nil, 0
		waiting.till("all are done", function()
			highest = math.max(highest, here:length())
			local done = here:count("done")
			if not before and done >= MANY / 4 then
				before = worker:memory()
			end
			return done == MANY
		end)
		local grown = worker:memory() - before
		pipe:close()
		assert.is_true(highest <= 7)
		assert.is_true(grown < 2048, ("%d KiB more than %d"):format(grown, before))
		assert.is_truthy(shell.read(log):find(("added %d,"):format(MANY), 1, true))
	end)

	describe("a registry that", function()
		local fake

		before_each(function()
			fake = registry.start()
			local made = remote.image()
			remote.put(fake, "app", made.layout, made.digest, "1")
		end)

		after_each(function()
			fake:stop()
		end)

		local function app()
			return ("docker://%s/app:1"):format(fake.host)
		end

		it("says 429 is left alone for as long as it says, and the job is not taken for lost meanwhile", function()
			here:enqueue({ app() }, "strip", "paths=layer1")
			fake:forget()
			fake:fault({ method = "GET", path = "/blobs/", skip = 1, as_status = 429, retry_after = 6, times = 1 })
			local workers = {}
			for i = 1, 2 do
				workers[i] = here:worker("--until-empty", "--lease", "4")
			end
			for i = 1, 2 do
				assert.equal(0, workers[i]:ended())
			end
			local log, seen, waited = workers[1]:log() .. workers[2]:log(), nil, 0
			for _, request in ipairs(fake:log()) do
				waited = math.max(waited, request.time - (seen or request.time))
				seen = request.time
			end
			assert.is_truthy(log:find(" done "), log)
			assert.is_true(waited >= 5.9)
			for _, what in ipairs({ "failed", "lost", "reclaimed", "weather" }) do
				assert.equal(0, here:count(what), what)
			end
		end)

		it("is gone, or says 429 for long, makes a job wait, and not fail", function()
			here:enqueue({ app() }, "label", "team=shop")
			fake:fault({ as_status = 429, retry_after = 7200, times = 2 })
			local log = work("--tries", "1")
			local _, later = log:gsub(" later [^\n]*ERATE", "")
			assert.equal(2, later, log)
			assert.equal(2, here:count("weather"))
			assert.equal(0, here:count("failed"))
			assert.equal(0, here:count("dead"))
			assert.equal(1, here:count("done"))
		end)
	end)

	it("a full disk makes a job wait, and not fail", function()
		push("full")
		here:script("full", [[
			return function(img, _, options)
				if not io.open(options.seen) then
					io.open(options.seen, "w"):close()
					local disk = io.open("/dev/full", "w")
					disk:setvbuf("no")
					local _, message = disk:write("x")
					return nil, message, "ENOSPC"
				end
				return img.config:set_label("team", "shop")
			end, { seen = true }
		]])
		here:enqueue({ ref("full") }, "full", "seen=" .. here.scripts:file("seen"))
		local log = work("--tries", "1")
		assert.is_truthy(log:find(" later [^\n]*No space left on device %(ENOSPC%)"), log)
		assert.equal("shop", label(ref("full"), "team"))
		assert.same({ 1, 0, 0 }, { here:count("weather"), here:count("failed"), here:count("dead") })
	end)

	it("status tells people and Prometheus", function()
		push("status")
		here:enqueue({ ref("status") }, "label", "team=shop")
		local told = here:check("status", {})
		assert.is_truthy(told:find("1 jobs are not done: 1 wait, 0 are with workers. 0 are dead.", 1, true), told)
		assert.is_truthy(told:find("no worker", 1, true))
		local worker = here:worker("--name", "joe")
		worker:says(" done ")
		told = here:check("status", {})
		assert.is_truthy(told:find("\njoe:%d+:%x+ +%d+ s +%-\n"), told)
		told = here:check("status", { "--prometheus" })
		for line in told:gmatch("[^\n]+") do
			assert.is_truthy(line:find("^# HELP fleet_[%l_]+ %S") or line:find("^# TYPE fleet_[%l_]+ %l+$")
				or line:find('^fleet_[%l_]+{queue="fleet"} %d+$'), line)
		end
		assert.is_truthy(told:find('fleet_done_total{queue="fleet"} 1', 1, true))
		assert.is_truthy(told:find('fleet_workers{queue="fleet"} 1', 1, true))
		worker:signal("TERM", true)
		assert.equal(0, worker:ended())
		assert.is_truthy(here:check("status", {}):find("no worker", 1, true)) -- it has said good-bye
	end)

	it("what cannot be meant is said in a line", function()
		local digest = push("said")
		here:script("odd", "return function() end, 'paths'")
		for _, case in ipairs({
			{ "enqueue", "a script is missing" },
			{ "enqueue", "nowhere.lua", "label", "--scripts", "/nowhere" },
			{ "enqueue", "an option of a script is NAME=VALUE, and not team", "label", "team" },
			{ "enqueue", "there is no option --colour", "--colour", "red", "label" },
			{ "enqueue", "--limit wants a number above 0, and not many", "--limit", "many", "label" },
			{ "enqueue", "--limit wants a number above 0, and not 0", "--limit", "0", "label" },
			{ "enqueue", "named by its name", "../label" },
			{ "enqueue", "the script takes no option path: it takes paths", "strip", "path=a" },
			{ "enqueue", "the script takes no option max: it takes none", "check", "max=1" },
			{ "enqueue", "the script wants the option from", "rebase", "to=docker://a.example/b:1" },
			{ "enqueue", "a script returns a table of its options", "odd" },
			{ "worker", "/nowhere: No such file", "--scripts", "/nowhere" },
			{ "worker", "--lease wants a number above 0, and not -3", "--lease", "-3" },
			{ "enqueue", "{host}, {repository} and {tag}", "--to", "docker://{where}/a:1", "label" },
			{ "status", "status takes no words: now", "now" },
			{ "status", "Redis at /nowhere: ", "--redis", "/nowhere" },
			{ "status", "there is no queue flet", "--queue", "flet" },
			{ "enqueue", "a digest has no tag", "--to", "docker://{host}/{repository}:{tag}-x", "label", by_digest = true },
			{ "dead", "list, requeue or drop?" },
			{ "dead", "1-1 is not among the dead", "requeue", "1-1" },
		}) do
			local words = { (table.unpack or unpack)(case, 3) }
			local from = case.by_digest and "docker://" .. server.host .. "/said@" .. digest or ref("none")
			local done = here:run(case[1], words, from .. "\n")
			assert.equal(1, done.status)
			if case[2]:find("%.lua$") then
				assert.is_truthy(done.stderr:find("^fleet: cannot open"), done.stderr)
			else
				assert.is_truthy(done.stderr:find("fleet: [^\n]*" .. case[2]:gsub("%p", "%%%0")), done.stderr)
			end
			assert.is_nil(done.stderr:find("traceback", 1, true))
		end
	end)

	it("README's commands run as they stand", function()
		local text = shell.read("examples/fleet/README.md"):match("\n## Run it.-\n```sh\n(.-)```")
		local worker, enqueue, status = text:match(
			"\n(examples/fleet/worker) .-\n(lua5.4 %S+enqueue.lua.-)   # [^\n]*\n([^\n]+)")
		push("app", "1")
		push("app", "2")
		local function run(line, more)
			line = line:gsub("localhost:5000", (server.host:gsub("%%", "%%%%")))
			local done = shell.run({ "sh", "-euc", line .. (more or ""), env = here:env() })
			assert.equal(0, done.status, done.stderr)
			return done.stdout
		end
		assert.is_truthy(run(enqueue):find("added 2,", 1, true))
		assert.is_truthy(run(status):find("2 jobs are not done: 2 wait", 1, true))
		run(worker, " --until-empty 2>/dev/null")
		assert.is_truthy(run(status):find("0 jobs are not done", 1, true))
		local slim = assert(strata.open(ref("app", "2-slim"), { registry = hub }))
		assert.is_nil((slim:read("usr/share/doc/a")))
		assert.equal("b", slim:read("etc/b"))
	end)

	it("make bench-fleet measures one", function()
		local told = shell.check({ "make", "-s", "bench-fleet", "IMAGES=12", "WORKERS=1" })
		assert.is_truthy(told:find("\n12 jobs by 1 workers in [%d.]+ s: %d+ a second\n"), told)
		assert.is_truthy(told:find("\nCPU of workers +[%d.]+ ms a job\n"), told)
	end)
end)
