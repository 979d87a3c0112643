-- The pull-through filter of examples/gate, before the registry of the specs: what is served, made once, kept, and made
-- again, whatever is killed, damaged or gone.

local cjson = require "cjson"
local filter = require "spec.support.filter"
local jobs = require "strata.jobs"
local nginx = require "spec.support.nginx"
local registry = require "spec.support.registry"
local rights = require "spec.support.rights"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local LABELS = { ["com.example.filtered"] = "yes" }

local EDITS = [[
return {
  { name = "app", remove = { "usr/share/doc" }, labels = { ["com.example.filtered"] = "yes" } },
  { name = "many/*", repository = "team/*", labels = { ["com.example.filtered"] = "yes" } },
  { name = "set", platforms = { "linux/amd64", "linux/arm64" }, remove = "doc", optional = true },
  { name = "none", remove = "no/such/path" },
  { name = "child", rebase = { from = "base:1", onto = "base:2" } },
}
]]

describe("the filter of the gate", function()
	local dir, fake, gate
	local missing = nginx.missing()
	local serial = 0

	local function fresh(options)
		serial = serial + 1
		options = options or {}
		return filter.start({ directory = options.directory or dir:file("gate" .. serial), edits = options.edits or EDITS,
			backend = fake.host, more = options.more, workers = options.workers, space = options.space })
	end

	local function ref(name)
		return ("docker://%s/%s"):format(fake.host, name)
	end

	local function push(name, ...)
		local img = strata.new()
		for _, files in ipairs({ ... }) do
			assert(img:append({ files = files }))
		end
		assert(img:save(ref(name)))
		img:close()
		return assert(strata.open(ref(name)))
	end

	-- What the fake registry was asked for since its log was forgotten: blobs of a repository.
	local function asked(repository)
		local counts = {}
		for _, line in ipairs(fake:lines()) do
			local digest = line:match("^GET /v2/" .. repository .. "/blobs/(%S+)")
			if digest then
				counts[digest] = (counts[digest] or 0) + 1
			end
		end
		return counts
	end

	local function digest_of(server, path)
		local answer = server:get(path)
		assert.equal(200, answer.status, answer.body)
		assert.equal(answer.headers["docker-content-digest"], "sha256:" .. shell.check({ "sha256sum",
			input = answer.body }):match("%x+"))
		return answer.headers["docker-content-digest"], cjson.decode(answer.body)
	end

	local function code_of(answer)
		local ok, told = pcall(cjson.decode, answer.body)
		return ok and told.errors[1].code or answer.body, ok and told.errors[1].message
	end

	local app
	setup(function()
		if missing then
			return
		end
		dir, fake = tmp.dir(tmp.for_peers()), registry.start()
		app = push("app:1", { ["bin/sh"] = ("sh"):rep(5000) }, { ["usr/share/doc/a"] = "text", ["etc/a"] = "a" },
			{ ["usr/share/doc/b"] = "text" })
		gate = fresh()
	end)

	after_each(function() filter.stop_others(gate) end)

	teardown(function()
		if fake then
			filter.stop_others()
			fake:stop()
			dir:remove()
		end
	end)

	local function specify(name, fn)
		it(name, function()
			if missing then
				return pending(missing)
			end
			fn()
		end)
	end

	specify("serves the upstream's image with the edit, as strata makes it anywhere", function()
		local digest, manifest = digest_of(gate, "app/manifests/1")
		local args = { path = ref("app:1"), to = dir:file("here"), edit = { remove = "usr/share/doc", labels = LABELS } }
		args.save = { format = "oci", reproducible = true }
		assert.equal(assert(jobs.edit(args)).digest, digest)
		local img = assert(strata.open(("docker://%s/filtered/app:1"):format(gate.host)))
		assert.is_true(img:verify())
		assert.is_nil((img:read("usr/share/doc/a")))
		assert.same({ "a", "yes" }, { img:read("etc/a"), img.config.Labels["com.example.filtered"] })
		-- What was not touched is not in the cache, and is served all the same.
		local blobs = gate:files("blobs")
		assert.equal(app.layers[1].digest, manifest.layers[1].digest)
		assert.is_nil(blobs[app.layers[1].digest:sub(8)])
		for i = 2, 3 do
			assert.is_number(blobs[manifest.layers[i].digest:sub(8)])
		end
	end)

	specify("makes it in a thread with a lower priority than the one that serves", function()
		push("low", { ["usr/share/doc/a"] = "text" })
		local own = fresh({ edits = 'return { { name = "low", remove = "usr/share/doc" } }' })
		digest_of(own, "low/manifests/latest")
		local nice, low = {}, 0
		for tid, text in shell.check({ "sh", "-c", 'cd "$0" && for n in *; do echo "$n $(cat $n/stat)"; done',
			"/proc/" .. own:workers()[1] .. "/task" }):gmatch("(%d+) %d+ %b()([^\n]*)") do
			nice[tid] = tonumber(text:match("^" .. (" %S+"):rep(16) .. " (%S+)"))
		end
		local first = nice[tostring(own:workers()[1])]
		for _, value in pairs(nice) do
			low = low + (value == math.min(19, first + 5) and 1 or 0)
		end
		assert.is_true(low >= 1)
		own:stop()
	end)

	specify("answers HEAD and ranges, for what was made and for what was not", function()
		local digest, manifest = digest_of(gate, "app/manifests/1")
		for _, reference in ipairs({ "1", digest }) do
			local head = gate:get("app/manifests/" .. reference, "-I")
			assert.same({ 200, digest, manifest.mediaType, "" },
				{ head.status, head.headers["docker-content-digest"], head.headers["content-type"], head.body:match("^%s*$") or
					head.body:gsub(".*\r\n\r\n", "") })
		end
		for _, layer in ipairs(manifest.layers) do
			local path = "app/blobs/" .. layer.digest
			local whole = gate:get(path, "-o", dir:file("blob"))
			assert.same({ 200, ("%d"):format(layer.size), layer.digest },
				{ whole.status, whole.headers["content-length"], whole.headers["docker-content-digest"] })
			assert.equal(layer.digest:sub(8), shell.sha256(dir:file("blob")))
			local part = gate:get(path, "-r", "5-9", "-o", dir:file("part"))
			assert.same({ 206, ("bytes 5-9/%d"):format(layer.size) }, { part.status, part.headers["content-range"] })
			assert.equal(shell.read(dir:file("blob")):sub(6, 10), shell.read(dir:file("part")))
			assert.equal(("%d"):format(layer.size), gate:get(path, "-I").headers["content-length"])
		end
	end)

	specify("refuses what changes something, and knows nothing but what it has made", function()
		local digest = digest_of(gate, "app/manifests/1")
		for _, words in ipairs({ { "app/manifests/2", "-X", "PUT", "-d", "{}" }, { "app/blobs/uploads/", "-X", "POST" },
			{ "app/manifests/" .. digest, "-X", "DELETE" }, { "..%2fapp/manifests/2", "-X", "PUT", "-d", "{}" } }) do
			local answer = gate:get((unpack or table.unpack)(words))
			assert.same({ 405, "UNSUPPORTED" }, { answer.status, (code_of(answer)) })
		end
		local known = { ["app/manifests/" .. app.digest] = "MANIFEST_UNKNOWN",
			["app/blobs/" .. app.layers[2].digest] = "BLOB_UNKNOWN", ["app/blobs/" .. digest] = "BLOB_UNKNOWN",
			["many/a/manifests/" .. digest] = "MANIFEST_UNKNOWN", ["app/manifests/none"] = "MANIFEST_UNKNOWN",
			["other/manifests/1"] = "NAME_UNKNOWN", ["app"] = "NAME_UNKNOWN", ["App/manifests/1"] = "NAME_UNKNOWN",
			["app/../app/manifests/1"] = "NAME_UNKNOWN" }
		for path, code in pairs(known) do
			local answer = gate:get(path)
			assert.same({ 404, code }, { answer.status, (code_of(answer)) }, path)
		end
		assert.equal("TAG_INVALID", (code_of(gate:get("app/manifests/sha256:12"))))
		assert.equal("DIGEST_INVALID", (code_of(gate:get("app/blobs/sha256:12"))))
		local answer = gate:get("none/manifests/1")
		assert.equal("MANIFEST_UNKNOWN", (code_of(answer)))
		push("none:1", { a = "1" })
		answer = gate:get("none/manifests/1")
		local code, message = code_of(answer)
		assert.same({ 422, "MANIFEST_INVALID" }, { answer.status, code })
		assert.equal("filter: remove: nothing matches 'no/such/path'", message)
		assert.same({}, (gate:files("new")))
	end)

	specify("lists tags by its own name, and no signatures", function()
		local told = cjson.decode(gate:get("app/tags/list").body)
		assert.same({ name = "filtered/app", tags = { "1" } }, told)
		assert.same({ 404, "NAME_UNKNOWN" }, { gate:get("many/none/tags/list").status,
			(code_of(gate:get("many/none/tags/list"))) })
		local index = cjson.decode(gate:get("app/referrers/" .. app.digest).body)
		assert.same({ 2, nil }, { index.schemaVersion, index.manifests[1] })
	end)

	specify("makes the same again: when the cache was lost, and in another nginx", function()
		local digest = digest_of(gate, "app/manifests/1")
		local other = fresh()
		assert.equal(404, other:get("app/manifests/" .. digest).status)
		assert.equal(digest, digest_of(other, "app/manifests/1"))
		other:stop()
		shell.check({ "rm", "-r", other.cache })
		other = fresh({ directory = other.directory })
		assert.equal(404, other:get("app/manifests/" .. digest).status)
		assert.equal(digest, digest_of(other, "app/manifests/1"))
		assert.equal(digest, digest_of(other, "app/manifests/" .. digest))
		-- A start with the cache makes nothing.
		other:stop()
		fake:forget()
		other = fresh({ directory = other.directory })
		assert.equal(digest, digest_of(other, "app/manifests/1"))
		assert.same({}, asked("app"))
		other:stop()
	end)

	specify("makes an image once for 32 that want it at the same time, of several worker processes", function()
		local img = push("app:many", { ["bin/sh"] = ("many"):rep(5000) }, { ["usr/share/doc/many"] = "text" })
		push("none:many", { a = "many" })
		local server = fresh({ workers = 4 })
		assert.equal(4, #server:workers())
		fake:forget()
		assert.same({ ["200"] = 32 }, server:flood("app/manifests/many", 32))
		local counts = asked("app")
		assert.same({ 1, 1 }, { counts[img.layers[1].digest], counts[img.layers[2].digest] })
		-- What cannot be made fails for all, and is not tried 32 times.
		fake:forget()
		assert.same({ ["422"] = 32 }, server:flood("none/manifests/many", 32))
		for _, count in pairs(asked("none")) do
			assert.is_true(count <= 4, count)
		end
		-- One that is killed is replaced, and what the others have made is there.
		shell.check({ "kill", "-9", tostring(server:workers()[1]) })
		filter.wait("another worker", function() return #server:workers() == 4 end)
		fake:forget()
		assert.same({ ["200"] = 32 }, server:flood("app/manifests/many", 32))
		assert.same({}, asked("app"))
		server:stop()
	end)

	specify("fails on a full disk, and goes on when there is space", function()
		if not rights.root then
			return pending("only root can mount a small file system")
		end
		local full = fresh({ space = 400000 })
		local random = assert(io.open("/dev/urandom", "rb"))
		push("app:large", { ["usr/share/doc/x"] = "1", ["bin/x"] = random:read(600000) })
		random:close()
		for _ = 1, 2 do
			local answer = full:get("app/manifests/large")
			assert.same({ 507, "UNAVAILABLE" }, { answer.status, (code_of(answer)) })
			assert.matches("No space left on device", answer.body)
		end
		assert.equal(digest_of(gate, "app/manifests/1"), digest_of(full, "app/manifests/1"))
		full:stop()
	end)

	specify("follows the tag of the upstream, and of a base", function()
		push("many:x", { a = "x" })
		push("team/a:1", { a = "1" })
		local first = digest_of(gate, "many/a/manifests/1")
		push("team/a:1", { a = "2" })
		local second = digest_of(gate, "many/a/manifests/1")
		assert.not_equal(first, second)
		assert.equal(first, digest_of(gate, "many/a/manifests/" .. first))
		local old = { ["etc/os"] = "1" }
		push("base:1", old)
		local base = push("base:2", { ["etc/os"] = "2" })
		push("child:1", old, { app = "1" })
		local digest, manifest = digest_of(gate, "child/manifests/1")
		assert.equal(base.layers[1].digest, manifest.layers[1].digest)
		assert.is_true(assert(strata.open(("docker://%s/filtered/child:1"):format(gate.host))):verify())
		push("base:2", { ["etc/os"] = "3" })
		assert.not_equal(digest, digest_of(gate, "child/manifests/1"))
	end)

	specify("serves of an index the platforms that are declared", function()
		local images = {}
		for i, arch in ipairs({ "amd64", "arm64", "riscv64" }) do
			images[i] = assert(strata.new({ platform = "linux/" .. arch }))
			assert(images[i]:append({ files = { [i == 2 and "doc/a" or "etc/a"] = arch } }))
		end
		assert(strata.save(images, ref("set:1")))
		local digest, index = digest_of(gate, "set/manifests/1")
		assert.equal("application/vnd.oci.image.index.v1+json", index.mediaType)
		assert.same({ "amd64", "arm64" },
			{ index.manifests[1].platform.architecture, index.manifests[2].platform.architecture, index.manifests[3] })
		for _, one in ipairs(index.manifests) do
			local child = gate:get("set/manifests/" .. one.digest)
			assert.same({ 200, one.size, one.mediaType }, { child.status, #child.body, child.headers["content-type"] })
		end
		local img = assert(strata.open(("docker://%s/filtered/set:1"):format(gate.host), { platform = "linux/arm64" }))
		assert.is_true(img:verify())
		assert.is_nil((img:read("doc/a")))
		local other = fresh()
		assert.equal(digest, digest_of(other, "set/manifests/1"))
		other:stop()
		-- One with very many is no way to keep the threads busy.
		local text, kind = fake:get_manifest("app", app.digest)
		local list, index_kind = {}, "application/vnd.oci.image.index.v1+json"
		for i = 1, 65 do
			local one = text:gsub("}%s*$", (',"annotations":{"number":"%d"}}'):format(i))
			list[i] = ('{"mediaType":"%s","digest":"%s","size":%d,"platform":{"os":"linux","architecture":"a%d"}}'):format(
				kind, fake:put_manifest("app", nil, one, kind), #one, i)
		end
		fake:put_manifest("app", "wide", ('{"schemaVersion":2,"mediaType":"%s","manifests":[%s]}'):format(index_kind,
			table.concat(list, ",")), index_kind)
		local code, message = code_of(gate:get("app/manifests/wide"))
		assert.equal("MANIFEST_INVALID", code)
		assert.equal("filter: app: the upstream has 65 images for it, and 64 are made at most: name platforms in edits.lua",
			message)
	end)

	specify("never serves damaged bytes as good", function()
		local digest, manifest = digest_of(gate, "app/manifests/1")
		local function damage(name)
			local path = gate.cache .. "/blobs/" .. name
			local file = assert(io.open(path, "r+b"))
			file:write("damaged")
			file:close()
		end
		local function right(path, wanted)
			local answer = gate:get(path, "-o", dir:file("blob"))
			assert.equal(200, answer.status)
			assert.equal(wanted:sub(8), shell.sha256(dir:file("blob")))
		end
		shell.check({ "sleep", "1.1" }) -- times of files are in seconds there
		damage(manifest.layers[2].digest:sub(8))
		right("app/blobs/" .. manifest.layers[2].digest, manifest.layers[2].digest)
		shell.check({ "sleep", "1.1" })
		damage(digest:sub(8))
		right("app/manifests/" .. digest, digest)
		-- Nobody has looked while nginx was not running.
		gate:stop()
		damage(manifest.config.digest:sub(8))
		gate = fresh({ directory = gate.directory })
		right("app/manifests/" .. digest, digest)
		right("app/blobs/" .. manifest.config.digest, manifest.config.digest)
		filter.wait("a line in the log", function()
			return shell.read(gate.log):find(manifest.config.digest .. " in the cache are damaged", 1, true)
		end)
		-- What is removed is missed when it is asked for, and at the start.
		shell.check({ "rm", gate.cache .. "/blobs/" .. manifest.layers[3].digest:sub(8) })
		right("app/blobs/" .. manifest.layers[3].digest, manifest.layers[3].digest)
		gate:stop()
		shell.check({ "rm", gate.cache .. "/blobs/" .. manifest.layers[3].digest:sub(8) })
		gate = fresh({ directory = gate.directory })
		assert.equal(digest, digest_of(gate, "app/manifests/1"))
		for _, blob in ipairs({ manifest.config, manifest.layers[2], manifest.layers[3] }) do
			right("app/blobs/" .. blob.digest, blob.digest)
		end
	end)

	specify("survives kill -9 of a worker and of all, in the middle of an edit", function()
		local digest
		for round, how in ipairs({ "worker", "all" }) do
			push("app:killed", { ["bin/sh"] = ("killed" .. round):rep(500) }, { ["usr/share/doc/killed"] = "text" })
			fake:fault({ method = "GET", path = "/blobs/", delay = 1, times = 3 })
			local pipe = io.popen(("curl -s --max-time 120 %sapp/manifests/killed"):format(gate.url), "r")
			filter.wait("an edit", function() return next((gate:files("new"))) end)
			if how == "worker" then
				local before = gate:workers()
				shell.check({ "kill", "-9", tostring(before[1]) })
			else
				gate:kill()
				gate = fresh({ directory = gate.directory })
			end
			pipe:close()
			fake:faults_clear()
			filter.wait("the next worker", function() return gate:get("none/manifests/x").status == 404 end)
			digest = digest_of(gate, "app/manifests/killed")
			assert.is_true(assert(strata.open(("docker://%s/filtered/app:killed"):format(gate.host))):verify())
			filter.wait("the sweep", function() return not next((gate:files("new"))) end)
		end
		local other = fresh()
		assert.equal(digest, digest_of(other, "app/manifests/killed"))
		other:stop()
	end)

	specify("finishes what it makes when nginx is told to read its configuration again", function()
		push("app:reload", { ["bin/sh"] = ("reload"):rep(500) }, { ["usr/share/doc/reload"] = "text" })
		fake:fault({ method = "GET", path = "/blobs/", delay = 1, times = 3 })
		local before = gate:workers()[1]
		local words = ("curl -s --max-time 120 -o /dev/null -w '%%{http_code}' %sapp/manifests/reload"):format(gate.url)
		local pipe = io.popen(words, "r")
		filter.wait("an edit", function() return next((gate:files("new"))) end)
		shell.check({ "kill", "-HUP", tostring(gate.pid) })
		filter.wait("another worker", function() return gate:workers()[1] ~= before or gate:workers()[2] end)
		assert.equal("200", pipe:read("*a"))
		pipe:close()
		fake:faults_clear()
		fake:forget()
		digest_of(gate, "app/manifests/reload")
		assert.same({}, asked("app"))
		filter.wait("the end of the old worker", function() return not shell.which("pgrep") or #gate:workers() == 1 end)
		assert.same({}, (gate:files("new")))
	end)

	specify("keeps to its bound, and what is being pulled", function()
		local own = { directory = dir:file("bound"), more = { "--cache-bytes", "60000", "--cache-hold", "0" } }
		local bounded = fresh(own)
		local digests = {}
		for i = 1, 6 do
			local random = assert(io.open("/dev/urandom", "rb"))
			push("app:" .. 10 + i, { ["usr/share/doc/x"] = "1", ["bin/x"] = random:read(20000) })
			random:close()
			digests[i] = digest_of(bounded, "app/manifests/" .. 10 + i)
			local _, total = bounded:files("blobs")
			assert.is_true(total <= 60000, total)
			if i > 1 then -- what was asked for last stays
				assert.equal(200, bounded:get("app/manifests/" .. digests[1]).status)
			end
		end
		assert.equal(404, bounded:get("app/manifests/" .. digests[4]).status)
		assert.equal(digests[4], digest_of(bounded, "app/manifests/14"))
		bounded:stop()
		own.more = { "--cache-bytes", "25000" }
		bounded = fresh(own) -- the bound holds at the start
		local _, total = bounded:files("blobs")
		assert.is_true(total <= 25000, total)
		local kept, other
		for i, digest in ipairs(digests) do
			if bounded:get("app/manifests/" .. digest).status == 200 then
				kept = digest
			else
				other = "app/manifests/" .. 10 + i
			end
		end
		local answer = bounded:get(other)
		assert.same({ 429, "TOOMANYREQUESTS" }, { answer.status, (code_of(answer)) })
		assert.equal(200, bounded:get("app/manifests/" .. kept).status)
		bounded:stop()
		own.more = { "--cache-bytes", "10000", "--cache-hold", "0" }
		bounded = fresh(own)
		answer = bounded:get("app/manifests/12")
		assert.equal(507, answer.status, answer.body)
		assert.same({ {}, {} }, { (bounded:files("new")), (bounded:files("blobs")) })
		bounded:stop()
	end)

	specify("without its upstream serves by digest what it has made, and no tag", function()
		local digest, manifest = digest_of(gate, "app/manifests/1")
		local gone = registry.start()
		local directory = gate.directory
		gate:stop()
		-- The same cache before a registry that does not answer.
		local dead = filter.start({ directory = directory, edits = EDITS, backend = "127.0.0.1:1" })
		assert.same({ 502, "UNAVAILABLE" },
			{ dead:get("app/manifests/1").status, (code_of(dead:get("app/manifests/1"))) })
		assert.equal(200, dead:get("app/manifests/" .. digest).status)
		assert.equal(200, dead:get("app/blobs/" .. manifest.layers[2].digest).status)
		assert.equal(502, dead:get("app/blobs/" .. manifest.layers[1].digest).status)
		dead:stop()
		gone:stop()
		gate = fresh({ directory = directory })
	end)

	specify("does not start with edits that cannot be", function()
		local wrong = {
			["return {"] = "edits.lua:1: ",
			["return 1"] = "edits.lua: it should return a table",
			["return { edits = {} }"] = "edits.lua: there is no edits; edits are without keys",
			['return { { name = "Up" } }'] = "edits.lua: entry 1: name should be a repository, or one with /* behind it",
			['return { { name = "a", remov = "b" } }'] = "entry 1 (a): it has no option 'remov'; did you mean 'remove'?",
			['return { { name = "a", upstream = "hub" } }'] = "edits.lua: entry 1 (a): upstreams has no hub",
			['return { upstreams = { hub = "https://x" } }'] = "upstreams.hub should be http://ADDRESS:PORT",
			['return { { name = "a", rebase = { from = "b" } } }'] = "rebase.from should be a repository with a tag",
			['return { { name = "a", tags = { "b" } } }'] = "entry 1 (a): tags are those of the upstream",
			['return { { name = "a", repository = "b/*" } }'] = "repository should be one, with /* behind it when",
			['return { { name = "a", module = "none.such" } }'] = "entry 1 (a).module: there is no module none.such",
		}
		for edits, message in pairs(wrong) do
			local done = filter.refused({ directory = dir:file("check"), edits = edits, backend = fake.host })
			assert.equal(1, done.status, edits .. done.stdout)
			assert.is_truthy(done.stderr:find(message, 1, true), edits .. "\n" .. done.stderr)
			assert.is_nil(done.stderr:find("\n.", 1, false), done.stderr)
		end
		local done = filter.refused({ directory = dir:file("check"), edits = EDITS, backend = fake.host,
			more = { "--cache-bytes", "10G" } })
		assert.equal("gate: --cache-bytes wants a number, not 10G\n", done.stderr)
		fresh({ edits = shell.read("examples/gate/edits.lua") }):stop()
	end)
end)
