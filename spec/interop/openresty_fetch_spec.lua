--- Images of registries in the explorer: only from hosts that a setting allows, and without credentials of the page's.

local cjson = require "cjson"
local explorer = require "spec.support.explorer"
local nginx = require "spec.support.nginx"
local registry = require "spec.support.registry"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local JOE = { username = "joe", password = "secret" }

describe("images of registries", function()
	local it_was = it
	local one, allowed, closed, other, id

	local function save(hub, ref, platform)
		local img = strata.new({ platform = platform or "linux/amd64" })
		assert(img:append({ files = { a = ("text"):rep(1000) } }))
		local saved = assert(img:save("docker://" .. ref, { registry = hub }))
		img:close()
		return saved.digest
	end

	setup(function()
		if explorer.missing() then
			return
		end
		allowed, other = registry.start(), registry.start()
		closed = registry.start({ auth = "token", users = { joe = "secret" } })
		local hub = assert(strata.registry({ credentials = { [closed.host] = JOE } }))
		id = save(hub, allowed.host .. "/team/app:1.4")
		save(hub, closed.host .. "/app:1")
		save(hub, other.host .. "/app:1")
		hub:close()
		for _, each in ipairs({ allowed, other, closed }) do
			each:forget()
		end
		one = explorer.start({ STRATA_REGISTRIES = allowed.host .. "  " .. closed.host:upper() })
	end)

	teardown(function()
		if one then
			one:stop()
			for _, each in ipairs({ allowed, other, closed }) do
				each:stop()
			end
		end
	end)

	local function it(name, body)
		it_was(name, function()
			local reason = explorer.missing()
			if reason then
				return pending(reason)
			end
			body()
		end)
	end

	local function fetch(value)
		return one.server:post("/registry", value)
	end

	it("are opened from the page, with the manifest that they have there", function()
		local page = one.page
		one:show("", "!document.querySelector('#pull').hidden")
		assert.equal(allowed.host .. ", " .. closed.host, one:text("#pull-hosts"))
		one:look("registry")
		page:resize(1280, 800)
		page:type("#pull-reference", " " .. allowed.host .. "/team/app:1.4 ")
		page:press("Enter")
		page:wait("document.querySelector('#tree .row .name')")
		assert.equal("app-1.4.tar", one:text("#where"))
		local path = one.dir:file("fetched.tar")
		local made = page:run("return location.hash.slice(1)")
		one.server:curl({ one.server.url .. "/images/" .. made .. "/download", "-o", path })
		local img = assert(strata.open(path))
		assert.equal(id, img.digest)
		assert.is_true(assert(img:verify()))
		img:close()
	end)

	it("come from no other host, which is not even asked", function()
		for _, reference in ipairs({
			other.host .. "/app:1", "docker://" .. other.host .. "/app:1", "alpine", "docker.io/library/alpine",
			"169.254.169.254/latest/meta-data", "localhost:" .. other.host:match("%d+$") .. "/app:1",
			"evil.example:" .. allowed.host:match("%d+$") .. "/team/app:1.4",
		}) do
			local value, status = fetch({ reference = reference })
			assert.same({ 403, "EPERM" }, { status, value.code }, reference)
			assert.is_truthy(value.error:find("this server opens nothing from", 1, true))
		end
		for _, reference in ipairs({
			"", "http://" .. allowed.host .. "/team/app:1.4", "joe:secret@" .. allowed.host .. "/team/app:1.4",
			allowed.host .. "@" .. other.host .. "/app:1", allowed.host .. "/../app:1", "/etc/passwd", "-",
			"file:///etc/passwd", "127.1:" .. allowed.host:match("%d+$") .. "/team/app:1.4",
			allowed.host .. "\n/app:1",
		}) do
			local value, status = fetch({ reference = reference })
			assert.is_true(status == 400 or status == 403, reference .. ": " .. status .. cjson.encode(value))
		end
		assert.same({}, other:lines())
		assert.is_true(one.server:is_clean())
	end)

	it("have no credentials or options of the page's", function()
		for _, more in ipairs({
			{ credentials = { [closed.host] = JOE } }, { registry = { credentials = "docker" } }, { username = "joe" },
			{ platform = { "x" } }, { hosts = {} }, { to = "/tmp/x" }, { path = "x" },
		}) do
			more.reference = closed.host .. "/app:1"
			local value, status = fetch(more)
			assert.same({ 400, "reference and platform are wanted, as texts" }, { status, value.error })
		end
		local value, status = fetch({ reference = closed.host .. "/app:1" })
		assert.equal(403, status, cjson.encode(value))
		assert.is_true(one.server:is_clean())
		local form = one.server:curl({ one.server.url .. "/registry", "-H", "Origin: http://evil.example", "-H",
			"Content-Type: application/json", "-d", cjson.encode({ reference = allowed.host .. "/team/app:1.4" }) })
		assert.equal(403, form.status)
	end)

	it("lead to nothing else: a redirect to a link-local address is not followed", function()
		allowed:fault({ path = "/blobs/", status = 307, headers = { Location = "http://169.254.169.254/latest" }, count = 5 })
		local value, status = fetch({ reference = allowed.host .. "/team/app:1.4" })
		allowed:faults_clear()
		assert.same({ 502, "EREDIRECT" }, { status, value.code }, value.error)
		assert.is_true(one.server:is_clean())
	end)

	it("leave nothing behind when the client has gone", function()
		allowed:fault({ path = "/blobs/", trickle = { bytes = 1, seconds = 1 }, count = 5 }) -- it would take minutes
		local answer = one.server:curl({ one.server.url .. "/registry", "--max-time", "1", "-H",
			"Content-Type: application/json", "-d",
			cjson.encode({ reference = allowed.host .. "/team/app:1.4" }) .. (" "):rep(4000) }) -- more than comes with the head
		assert.equal(28, answer.code)
		assert.is_true(one.server:is_clean())
		allowed:faults_clear()
	end)

	it("that are not there leave nothing behind, and the page says so", function()
		local value, status = fetch({ reference = allowed.host .. "/team/none:1" })
		assert.same({ 404, "ENOENT" }, { status, value.code })
		assert.is_truthy(value.error:find("none", 1, true))
		value, status = fetch({ reference = allowed.host .. "/team/app:1.4", platform = "linux/arm64" })
		assert.is_true(status >= 400, cjson.encode(value))
		assert.is_true(one.server:is_clean())
	end)

	it("have the credentials of the server's own files when a setting says so", function()
		local dir = tmp.dir(tmp.for_peers())
		shell.check({ "mkdir", dir:file(".docker"), dir:file("images") })
		local auth = shell.check({ "base64", "-w0", input = "joe:secret" })
		dir:write(".docker/config.json", cjson.encode({ auths = { [closed.host] = { auth = auth } } }))
		shell.check({ "chmod", "-R", "a+rX", dir.path })
		local own = nginx.start({ directory = dir:file("images"), env = {
			STRATA_REGISTRIES = closed.host, STRATA_REGISTRY_CREDENTIALS = "docker", HOME = dir.path,
		} })
		local value, status = own:post("/registry", { reference = closed.host .. "/app:1" })
		own:stop()
		assert.equal(201, status, value.error)
	end)
end)
