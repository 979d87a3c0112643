--- Settings, progress and Cancel, help and messages of the explorer's page, and what its server answers for them.

local cjson = require "cjson"
local explorer = require "spec.support.explorer"
local shell = require "spec.support.shell"
local strata = require "strata"
local zeros = require "spec.support.zeros"

describe("the explorer's page", function()
	local it_was = it
	local one, page, app

	setup(function()
		if explorer.missing() then
			return
		end
		one = explorer.start({ STRATA_THREADS = "2" })
		page = one.page
		local img = strata.new({ platform = "linux/amd64" })
		assert(img:append({ created_by = "RUN install", files = { ["bin/sh"] = "sh", ["etc/motd"] = "hello" } }))
		img.config:set_env("PATH", "/bin"):set_env("TZ", "UTC"):add_port(80):add_port("53/udp"):add_volume("/data")
		img.config:set_label("b", "2"):set_label("a", "1")
		assert(img.config:set("/config/Healthcheck", { Test = { "CMD-SHELL", "true" }, Interval = 9e10, Odd = 1.5 }))
		assert(img.config:set("/config/Zed", "stays"))
		img:tag("app:1")
		app = one:add(img, "app.tar")
	end)

	teardown(function()
		if one then
			one:stop()
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

	local function show_settings()
		one:show(app, "document.querySelector('#tree .row .name')")
		page:click("#tab-config")
	end

	-- The fieldset with a title, as a selector for what is in it.
	local function mark(title)
		page:run([[
			document.querySelectorAll('.marked-set').forEach((e) => e.classList.remove('marked-set'));
			[...document.querySelectorAll('#config fieldset')]
				.find((e) => e.querySelector('legend').textContent === arguments[0]).classList.add('marked-set')]], title)
		return ".marked-set "
	end

	local function plan()
		return page:run("return [...document.querySelectorAll('#plan .plan-text')].map((e) => e.textContent)")
	end

	local function add(title, text)
		local set = mark(title)
		page:run(("document.querySelector('%s.add input').value = ''"):format(set))
		page:type(set .. ".add input", text)
		page:press("Enter")
	end

	-- Has a field of the healthcheck say something.
	local function fill(label, text)
		local script = [[
			const input = [...document.querySelectorAll('.marked-set .field')]
				.find((e) => e.firstChild.textContent === arguments[0]).lastChild;
			input.value = arguments[1];
			input.dispatchEvent(new Event('change'))]]
		page:run(script, label, text)
	end

	local function said_by(label)
		return page:run([[
			return [...document.querySelectorAll('.marked-set .field')]
				.find((e) => e.firstChild.textContent === arguments[0]).lastChild.value]], label)
	end

	it("edits ports, volumes, the healthcheck and the rest, and nothing else changes", function()
		show_settings()
		add("Exposed ports", "8080")
		page:wait("document.querySelectorAll('#plan li').length === 1")
		page:click(mark("Exposed ports") .. ".member:nth-child(2) .quiet") -- 80/tcp
		add("Volumes", "/var/lib/app")
		page:wait("document.querySelectorAll('#plan li').length === 3")
		page:click(mark("Volumes") .. ".member .quiet")
		mark("Healthcheck")
		assert.equal("1m30s", said_by("Interval"))
		fill("Interval", "2m")
		fill("Retries", "5")
		fill("Command", "curl -f http://localhost/")
		page:wait("document.querySelectorAll('#plan li').length === 7")
		mark("Process")
		fill("User", "1000:1000")
		fill("Command", '["/bin/sh", "-l"]')
		page:wait("document.querySelectorAll('#plan li').length === 9")
		add("Labels", "c")
		page:wait("document.querySelectorAll('#plan li').length === 10")
		page:press("3", "Tab")
		page:wait("[...document.querySelectorAll('#plan .plan-text')].some((e) => e.textContent === 'set label c to 3')")
		page:run("document.querySelector(arguments[0]).click()", mark("Environment") .. ".pair .quiet")
		assert.same({
			"remove variable PATH", "set label c to 3", "add port 8080", "remove port 80/tcp", "add volume /var/lib/app",
			"remove volume /data", "set Healthcheck Interval to 2m", "set Healthcheck Retries to 5",
			'set Healthcheck Test to ["CMD-SHELL","curl -f http://localhost/"]', "set User to 1000:1000",
			'set Cmd to ["/bin/sh","-l"]',
		}, plan())
		one:look("settings", function()
			page:run("document.querySelector('.marked-set').scrollIntoView()")
		end)
		page:resize(1280, 800)
		page:click("#go")
		page:wait("!document.querySelector('#result').hidden")
		local made = page:run("return document.querySelector('#result a[href^=\"#\"]').hash.slice(1)")
		local path = one.dir:file("made.tar")
		one.server:curl({ one.server.url .. "/images/" .. made .. "/download", "-o", path })
		local img = assert(strata.open(path))
		assert.same({
			Cmd = { "/bin/sh", "-l" }, Env = { "TZ=UTC" }, ExposedPorts = { ["53/udp"] = {}, ["8080/tcp"] = {} },
			Healthcheck = {
				Test = { "CMD-SHELL", "curl -f http://localhost/" }, Interval = 12e10, Odd = 1.5, Retries = 5,
			},
			Labels = { a = "1", b = "2", c = "3" }, User = "1000:1000", Volumes = { ["/var/lib/app"] = {} }, Zed = "stays",
		}, img.config:get("/config"))
		assert.is_true(assert(img:verify()))
		img:close()
	end)

	it("waits with making until what was typed last has been looked at", function()
		show_settings()
		page:run("document.querySelector('#flatten').click()")
		mark("Process")
		page:run([[
			const { fetch } = window;
			window.fetch = (path, how) => (path === '/settings'
				? new Promise((resolve) => { setTimeout(() => resolve(fetch(path, how)), 500); }) : fetch(path, how))]])
		fill("User", "77")
		page:run("document.querySelector('#go').click()")
		page:wait("!document.querySelector('#result').hidden")
		local made = page:run("return document.querySelector('#result a[href^=\"#\"]').hash.slice(1)")
		assert.equal("77", one.server:ask("/images/" .. made).config.config.User)
	end)

	it("takes a healthcheck out, and everything back", function()
		show_settings()
		mark("Healthcheck")
		fill("Interval", "10s")
		page:wait("document.querySelectorAll('#plan li').length === 1")
		page:run("[...document.querySelectorAll('.marked-set button')].at(-1).click()")
		assert.same({ "remove Healthcheck" }, plan())
		page:click("#plan .quiet")
		assert.same({}, plan())
		assert.equal("false", page:run("return String(document.querySelector('.marked-set select').disabled)"))
		assert.equal("1m30s", said_by("Interval"))
		page:click(mark("Exposed ports") .. ".member .quiet")
		add("Exposed ports", "443")
		page:wait("document.querySelectorAll('#plan li').length === 2")
		page:click("#plan li:nth-child(2) .quiet")
		page:click("#plan li:nth-child(1) .quiet")
		assert.same({ "53/udp", "80/tcp" },
			page:run("return [...document.querySelectorAll('.marked-set .member:not(.gone) bdi')].map((e) => e.textContent)"))
	end)

	it("says in the library's words what cannot be, beside the field", function()
		show_settings()
		for _, case in ipairs({
			{ "Exposed ports", "http", "'http' is no port: say 8080, \"8080/tcp\" or \"53/udp\"" },
			{ "Exposed ports", "80", "80 is there already." },
			{ "Volumes", "data", "'data' is no absolute path" },
			{ "Environment", "A=B", "a variable's name cannot contain '=' or NUL" },
			{ "Environment", "TZ", "TZ is there already." },
		}) do
			add(case[1], case[2])
			page:wait("document.querySelector('.marked-set .problem')")
			page:wait(("document.querySelector('.marked-set .problem').textContent === %s"):format(cjson.encode(case[3])))
			assert.equal("true",
				page:run("return document.querySelector('.marked-set .add input').getAttribute('aria-invalid')"))
		end
		page:run("document.querySelector('#flatten').click()")
		page:run("document.querySelector('#tab-files').click(); document.querySelector('#go').click()")
		page:wait("document.querySelector('#alert').textContent.startsWith('A setting cannot be as it is')")
		assert.equal("true", page:run("return document.activeElement.getAttribute('aria-invalid')"))
		page:run("document.querySelector('#flatten').click()")
		mark("Healthcheck")
		for label, message in pairs({
			Interval = "soon is no duration: say 30s, 1m30s or 500ms.",
			Retries = "Retries of the healthcheck should be a whole number",
		}) do
			fill(label, "soon")
			page:wait(("[...document.querySelectorAll('.marked-set .problem')].some((e) => e.textContent === %s)"):format(
				cjson.encode(message)))
		end
		assert.same({}, plan())
		for wish, message in pairs({
			['{"ports":{"x":true}}'] = "'x' is no port: say 8080, \"8080/tcp\" or \"53/udp\"",
			['{"config":{"/config/Healthcheck/Test":["CMD"]}}'] =
				'Test of the healthcheck should be ["NONE"], ["CMD", "program", ...] or ["CMD-SHELL", "a line for the shell"]',
			['{"config":{"/config/Other":"x"}}'] = "config is not as it should be",
			['{"config":{"ExposedPorts":{}}}'] = "config is not as it should be",
			['{"volumes":{"/a":1}}'] = "volumes is not as it should be",
		}) do
			for _, path in ipairs({ "/settings", "/images/" .. app .. "/edit" }) do
				local value, status = one.server:ask(path, "-H", "Content-Type: application/json", "-d", wish)
				assert.same({ 400, message }, { status, value.error })
			end
		end
	end)

	it("shows how far an upload and an edit are, and leaves nothing of what is cancelled", function()
		local path = one.dir:file("slow.tar")
		zeros.write(path, 2 ^ 29)
		local own = one.server.directory .. "/slow.tar"
		shell.check({ "cp", "--sparse=always", path, own })
		shell.check({ "chmod", "a+r", own })
		local slow = one.server:post("/images", { path = "slow.tar" })
		local before = #one.server:ask("/images").images
		one:show(slow.id, "document.querySelector('#tree .row .name')")
		page:run("document.querySelector('#flatten').click()")
		page:run("document.querySelector('#format').value = 'oci-archive'")
		page:run([[
			const { fetch } = window;
			window.fetch = (path, how) => fetch(path, path.endsWith('/edit')
				? { ...how, body: JSON.stringify({ ...JSON.parse(how.body), compression: 'gzip' }) } : how);
			window.seen = [];
			new MutationObserver(() => seen.push(document.querySelector('#doing').textContent))
				.observe(document.querySelector('#doing'), { childList: true });
			document.querySelector('#go').focus()]])
		page:press("Enter")
		page:wait("seen.some((text) => /^Making the image: [a-z]+, [\\d.]+ .?B of [\\d.]+ MB$/.test(text))")
		assert.is_true(page:run("return document.querySelector('#meter').value > 0"))
		page:screenshot("build/explorer-progress.png")
		page:wait("!document.querySelector('#progress').hidden")
		page:run("document.querySelector('#cancel').focus()")
		page:press("Enter")
		page:wait("document.querySelector('#progress').hidden")
		assert.equal("go", page:run("return document.activeElement.id"))
		assert.equal("Cancelled", one:text("#status"))
		assert.equal("", one:text("#alert"))
		assert.is_true(one.server:is_clean())
		assert.equal(before, #one.server:ask("/images").images)
		-- An upload of which the server takes nothing: it stands still at the beginning.
		page:cdp("Network.enable", { maxPostDataSize = 0 })
		page:cdp("Network.emulateNetworkConditions", { offline = false, latency = 0, downloadThroughput = -1,
			uploadThroughput = 20 * 2 ^ 20 })
		page:type("#choose", path)
		page:wait("/^Uploading slow.tar: [\\d.]+ .?B of [\\d.]+ MB$/.test(document.querySelector('#doing').textContent)")
		page:wait("!document.querySelector('#progress').hidden")
		page:click("#cancel")
		page:wait("document.querySelector('#progress').hidden")
		page:cdp("Network.disable", { unused = 1 })
		assert.is_true(one.server:is_clean())
		assert.equal(before, #one.server:ask("/images").images)
		os.remove(path)
	end)

	it("cancels a comparison when another page is shown", function()
		local slow = one.server:post("/images", { path = "slow.tar" }).id
		local other = strata.new({ platform = "linux/amd64" })
		assert(other:append({ files = { x = "1" } }))
		other = one:add(other, "other.tar")
		one:show(slow .. ".." .. other, "document.querySelector('#compare-title').textContent !== ''")
		page:run("location.hash = ''")
		page:wait("!document.querySelector('#start').hidden")
		page:wait("document.querySelector('#progress').hidden")
		assert.equal("", one:text("#alert"))
		assert.is_true(one.server:is_clean())
	end)

	it("answers how far a job is to those who know its name, and to nobody else", function()
		assert.same({}, (one.server:ask("/tasks/" .. ("ab"):rep(16))))
		assert.equal(404, select(2, one.server:ask("/tasks/x")))
		assert.equal(404, select(2, one.server:ask("/tasks/")))
		local strange = one.server:curl({ one.server.url .. "/images/" .. app, "-H", "X-Strata-Task: ../../x" })
		assert.equal(200, strange.status)
	end)

	it("says README.md is not a container image, and what to do", function()
		local path = one.dir:file("README.md")
		shell.write(path, "# A text, and no image\n" .. ("x"):rep(5000))
		page:go(one.server.url .. "/")
		page:wait("!document.querySelector('#start').hidden")
		page:type("#choose", path)
		page:wait("document.querySelector('#alert').textContent")
		local said = one:text("#alert")
		assert.is_truthy(said:find("^README%.md is not a container image"), said)
		assert.is_truthy(said:find("docker save", 1, true))
		assert.is_nil(said:find("%x%x%x%x%x%x%x%x"))
		page:screenshot("build/explorer-wrong.png")
		local value, status = one.server:upload(path, "?name=README.md")
		assert.same({ 422, "EFORMAT" }, { status, value.code })
		value = one.server:ask("/check?name=notes.txt", "-X", "POST", "-T", path)
		assert.is_truthy(value.error:find("^notes%.txt is not a container image"))
		value = one.server:ask("/check", "-X", "POST", "-T", path)
		assert.is_truthy(value.error:find("^the file is not a container image"))
		assert.is_true(one.server:is_clean())
	end)

	it("says in plain words what cannot be done", function()
		local value, status, answer = one.server:ask("/images", "-X", "DELETE")
		assert.same({ 405, "this address takes GET and POST and PUT, and no DELETE" }, { status, value.error })
		assert.is_truthy(answer.head:find("Allow: GET, POST, PUT", 1, true))
		value, status = one.server:ask("/", "-X", "POST")
		assert.same({ 405, "this address can only be read, with GET" }, { status, value.error })
		value, status = one.server:ask("/nothing")
		assert.same({ 404, "there is nothing at this address" }, { status, value.error })
	end)

	it("takes images as the page says: docker save app | curl -T - …", function()
		page:go(one.server.url .. "/")
		local words = page:wait("document.querySelector('.shell').textContent")
		assert.equal(("docker save app | curl -T - %s/images"):format(one.server.url), words)
		local image, status = one.server:ask("/images", "-T", "-")
		assert.is_true(status >= 400, image.id)
		local path = one.dir:file("app.tar")
		local done = shell.run({ "sh", "-c", ("cat %s | curl -s -T - %s/images"):format(shell.quote(path), one.server.url) })
		image = cjson.decode(done.stdout)
		assert.same({ { "app:1" }, "app-1.tar" }, { image.tags, image.name })
	end)

	it("has help under ?, which Escape closes, and gives the focus back", function()
		one:show(app, "document.querySelector('#tree .row .name')")
		page:run("document.querySelector('#tree [tabindex=\"0\"]').focus()")
		page:press("?")
		page:wait("document.querySelector('#help').open")
		assert.is_true(page:run("return document.querySelector('#help').contains(document.activeElement)"))
		assert.is_truthy(one:text("#help"):find("docker save app | curl -T - " .. one.server.url, 1, true))
		page:press("Escape")
		page:wait("!document.querySelector('#help').open")
		assert.equal("treeitem", page:run("return document.activeElement.getAttribute('role')"))
		page:click("#tag")
		page:press("?")
		assert.equal("?", page:run("return document.querySelector('#tag').value"))
		page:run("document.querySelector('#help-open').focus()")
		page:press("Enter")
		page:wait("document.querySelector('#help').open")
		one:look("help")
		page:press("Enter")
		page:wait("!document.querySelector('#help').open")
		assert.equal("help-open", page:run("return document.activeElement.id"))
	end)

	it("says what this is", function()
		one:show("", "!document.querySelector('#start').hidden")
		assert.is_truthy(one:text("#start"):find("See which layer put each file there", 1, true))
		assert.is_true(page:run("return document.querySelector('#pull').hidden"))
		local value, status = one.server:post("/registry", { reference = "docker.io/library/alpine" })
		assert.same({ 403, "this server opens nothing from registries" }, { status, value.error })
	end)
end)
