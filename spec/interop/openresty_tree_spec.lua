--- Trees of an image on the explorer's page: up to a layer, by size, searched; the largest files, and what is wasted.

local archive = require "spec.support.archive"
local docker_archive = require "spec.support.docker_archive"
local explorer = require "spec.support.explorer"
local shell = require "spec.support.shell"
local strata = require "strata"
local waiting = require "spec.support.waiting"

local MARKUP = "<img src=x onerror=document.title='taken'>"
local TURNED = "photo\226\128\174gpj.exe"

describe("trees on the explorer's page", function()
	local it_was = it
	local one, page, app

	-- A layer of the entries of a tar.
	local function layer(img, created_by, entries)
		local path = one.dir:file("layer.tar")
		shell.write(path, docker_archive.tar(entries))
		assert(img:append({ created_by = created_by, tar = path }))
	end

	local function add_app()
		local img = strata.new({ platform = "linux/amd64" })
		assert(img:append({
			created_by = "RUN install",
			files = {
				["etc/app.conf"] = "mode = debug\n",
				["etc/kept.conf"] = "kept",
				["usr/bin/app"] = { content = ("app"):rep(3000), mode = 493, uid = 1000, gid = 100 },
				["usr/bin/apropos"] = "a",
				["usr/share/doc/copyright"] = ("free "):rep(2000),
				["var/cache/index.db"] = ("cache"):rep(40000),
			},
		}))
		layer(img, "COPY app.conf", {
			{ name = "etc/app.conf", data = "mode = production\n" },
			{ name = "etc/new.conf", data = "new" },
			{ name = "var/cache/.wh.index.db" },
		})
		assert(img:append({ comment = "Imported from -", files = { ["opt/tool"] = ("tool"):rep(100) } }))
		img.config:set_label("b", "2"):set_label("a", "1"):set_label("c", "3")
		img:tag("app:1")
		return one:add(img, "app.tar")
	end

	setup(function()
		if explorer.missing() then
			return
		end
		one = explorer.start()
		page = one.page
		app = add_app()
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

	local function show(image)
		one:show(image, "document.querySelector('#tree .row .name')")
	end

	-- The rows of the tree: the level, the name, what is noted, the size.
	local function rows()
		return page:run([[
			return [...document.querySelectorAll('#tree .row')].sort((a, b) => a.dataset.index - b.dataset.index)
				.map((row) => [row.ariaLevel, ...['name', 'c-layer', 'c-size'].map((part) =>
					row.querySelector('.' + part).textContent)].join(' ').trim())]])
	end

	-- What was found: the path, the notes, the size.
	local function found()
		return page:run([[
			return [...document.querySelectorAll('.found-row')].map((row) =>
				['found-path', 'found-facts', 'c-size'].map((part) => row.querySelector('.' + part).textContent).join(' '))]])
	end

	local function focused()
		return page:run("const r = document.activeElement; return r.querySelector('.name')?.textContent ?? r.id")
	end

	local function choose(value)
		page:run([[
			const select = document.querySelector('#view');
			select.value = arguments[0];
			select.dispatchEvent(new Event('change'))]], value)
	end

	local function wait_row(name)
		page:wait(("[...document.querySelectorAll('#tree .name')].some((e) => e.textContent === '%s')"):format(name))
	end

	local function type_into_search(text, mode)
		page:run([[
			const [text, mode] = arguments;
			document.querySelector('#find-mode').value = mode;
			const field = document.querySelector('#find');
			field.value = text;
			field.dispatchEvent(new Event('input'))]], text, mode or "text")
	end

	local function click_row(name)
		page:run([[[...document.querySelectorAll('#tree .name')].find((e) => e.textContent === arguments[0]).click()]], name)
	end

	local function wait_found(title)
		page:wait(("document.querySelector('#found').checkVisibility() && document.querySelector('#found-title').textContent "
			.. "=== '%s'"):format(title))
	end

	it("has sizes of directories, owners and modes, and sorts by size", function()
		show(app)
		assert.same({ "1 etc 1 25 B", "1 opt 3 400 B", "1 usr 1 19.0 kB", "1 var 1" }, rows())
		page:click("#sort-size")
		page:wait("document.querySelector('#tree .row .name')?.textContent === 'usr'")
		assert.same({ "1 usr 1 19.0 kB", "1 opt 3 400 B", "1 etc 1 25 B", "1 var 1" }, rows())
		assert.equal("true", page:run("return document.querySelector('#sort-size').ariaPressed"))
		page:click("#tree .row .name")
		wait_row("bin")
		page:click("#tree [aria-level='2'] .name")
		wait_row("share")
		page:click("#sort-name")
		page:wait("document.querySelector('#tree .row .name')?.textContent === 'etc'")
	end)

	it("opens a directory by a click on its name, and its button follows the tree", function()
		show(app)
		page:click("#tree .row .name")
		wait_row("app.conf")
		local function button()
			return one:text("#detail .actions button")
		end
		page:wait("document.querySelector('#detail h3')?.textContent === '/etc'")
		assert.equal("Take it out", button())
		page:press("Space")
		page:wait("document.querySelector('#detail .actions button').textContent === 'Keep it'")
		page:press("Down", "Enter")
		page:wait("document.querySelector('#detail h3')?.textContent === '/etc/app.conf'")
		assert.equal("Goes with its directory", button())
		assert.is_true(page:run("return document.querySelector('#detail .actions button').disabled"))
		page:press("Up", "Space", "Down")
		page:wait("document.querySelector('#detail .actions button').textContent === 'Take it out'")
		page:click("#detail .actions button")
		page:wait("document.querySelector('#plan li')?.textContent.includes('/etc/app.conf')")
		assert.equal("Keep it", button())
		page:click("#detail .actions button")
		page:wait("document.querySelectorAll('#plan li').length === 0")
	end)

	it("finds a name by several letters", function()
		show(app)
		page:run("document.querySelector('#tree [tabindex=\"0\"]').focus()")
		page:press("u")
		assert.equal("usr", focused())
		page:press("Right")
		wait_row("bin")
		page:press("Right", "Right")
		wait_row("apropos")
		page:press("a", "p", "r")
		assert.equal("apropos", focused())
		shell.run({ "sleep", "1" })
		page:press("a", "p", "p")
		assert.equal("app", focused())
	end)

	it("shows the first layers together, what the last of them does, and hides parts of that", function()
		show(app)
		choose("upto 2")
		page:wait("document.querySelector('#tree .sign')")
		assert.same({ "1 etc +~=1 25 B", "1 usr =1 19.0 kB", "1 var −=1" }, rows())
		page:click("#tree .row .name")
		wait_row("new.conf")
		assert.same({ "1 etc +~=1 25 B", "2 app.conf ~2 18 B", "2 kept.conf =1 4 B", "2 new.conf +2 3 B", "1 usr =1 19.0 kB",
			"1 var −=1" }, rows())
		assert.equal("app.conf, file, 18 B, changed, from layer 2",
			page:run("return document.querySelectorAll('#tree .row')[1].ariaLabel"))
		one:look("tree-upto")
		page:run("document.querySelectorAll('#marks button')[3].click()")
		page:wait("document.querySelectorAll('#tree .row').length === 2")
		assert.same({ "1 etc +~=1 25 B", "1 var −=1" }, rows())
		click_row("var")
		wait_row("cache")
		page:press("Right", "Right")
		wait_row("index.db")
		assert.same({ "1 etc +~=1 25 B", "1 var −=1", "2 cache −=1", "3 index.db −1 200 kB" }, rows())
		click_row("index.db")
		page:wait("document.querySelector('#detail pre')")
		assert.equal("cachecache", one:text("#detail pre"):sub(1, 10))
		page:run("document.querySelectorAll('#marks button')[2].click()")
		page:wait("document.querySelectorAll('#tree .row').length === 1")
		assert.equal("false", page:run("return document.querySelectorAll('#marks button')[2].ariaPressed"))
		choose("alone 3")
		wait_row("opt")
		assert.same({ "1 opt +3 400 B" }, rows())
		choose("")
		wait_row("usr")
		assert.is_true(page:run("return document.querySelector('#marks').hidden"))
		assert.equal(4, #rows())
	end)

	it("searches all paths by text, glob and expression, and goes to what it finds", function()
		show(app)
		type_into_search("conf")
		wait_found("3 paths found")
		assert.same({ "/etc/app.conf 2 18 B", "/etc/kept.conf 1 4 B", "/etc/new.conf 2 3 B" }, found())
		one:look("tree-search")
		for _, case in ipairs({
			{ "*.CONF", "glob", "0 paths found" },
			{ "*.conf", "glob", "3 paths found" },
			{ "/usr/**/ap*", "glob", "2 paths found" },
			{ "/usr/*", "glob", "2 paths found" },
			{ "^/etc/(app|new)\\.conf$", "regex", "2 paths found" },
			{ "APP", "text", "0 paths found" },
		}) do
			type_into_search(case[1], case[2])
			wait_found(case[3])
		end
		for text, mode in pairs({ ["a("] = "regex", ["a[b"] = "glob" }) do
			type_into_search(text, mode)
			page:wait("document.querySelector('#find-problem').textContent.startsWith('Not valid')")
			assert.equal("true", page:run("return document.querySelector('#find').getAttribute('aria-invalid')"))
		end
		type_into_search("index.db")
		wait_found("1 path found")
		assert.same({ "/var/cache/index.db 1not seen 200 kB" }, found())
		page:click(".found-path")
		page:wait("document.querySelector('#detail h3')?.textContent === '/var/cache/index.db'")
		assert.equal("upto 1", page:run("return document.querySelector('#view').value"))
		assert.equal("index.db", focused())
		page:click("#found-back")
		wait_found("1 path found")
		type_into_search("tool")
		wait_found("1 path found")
		page:wait("document.querySelector('.found-path').textContent === '/opt/tool'")
		page:click(".found-path")
		page:wait("document.querySelector('#detail h3')?.textContent === '/opt/tool'")
		assert.equal("", page:run("return document.querySelector('#view').value"))
	end)

	it("searches by the keyboard alone", function()
		show(app)
		page:run("document.querySelector('#tree [tabindex=\"0\"]').focus()")
		page:press("/")
		assert.equal("find", focused())
		page:press("b", "i", "n", "/", "a")
		wait_found("2 paths found")
		page:press("Down", "Down")
		assert.equal("/usr/bin/apropos", page:run("return document.activeElement.textContent"))
		page:press("Enter")
		page:wait("document.querySelector('#detail h3')?.textContent === '/usr/bin/apropos'")
		assert.equal("apropos", focused())
		page:press("/")
		assert.equal("find", focused())
		page:press("Enter")
		wait_found("2 paths found")
		page:press("Escape")
		page:wait("document.querySelector('#tree').checkVisibility()")
		assert.equal("", page:run("return document.querySelector('#find').value"))
		page:press("Tab", "Tab")
		assert.equal("largest", focused())
		page:press("Enter")
		wait_found("Largest files")
		assert.same({ "/usr/share/doc/copyright 1 10.0 kB", "/usr/bin/app 1 9.0 kB", "/opt/tool 3 400 B",
			"/etc/app.conf 2 18 B", "/etc/kept.conf 1 4 B", "/etc/new.conf 2 3 B", "/usr/bin/apropos 1 1 B" }, found())
		page:press("Escape")
		page:wait("document.querySelector('#tree').checkVisibility()")
		assert.is_truthy(focused())
	end)

	it("lists what is wasted, and takes out one or all", function()
		show(app)
		page:click("#wasted")
		wait_found("200 kB wasted by 2 files")
		assert.same({ "/var/cache/index.db 1removed in 2 200 kB", "/etc/app.conf 1replaced in 2 13 B" }, found())
		one:look("tree-waste")
		page:run("document.querySelector('#find').focus()")
		page:press("Escape")
		page:wait("document.querySelector('#tree').checkVisibility()")
		page:click("#wasted")
		wait_found("200 kB wasted by 2 files")
		page:run("document.querySelectorAll('.found-row button.small')[0].click()")
		page:wait("document.querySelectorAll('#plan li').length === 1")
		assert.equal("take out unseen /var/cache/index.db of layer 1✕", one:text("#plan li"))
		assert.equal("Keep it", one:text(".found-row button.small"))
		page:click("#go")
		page:wait("!document.querySelector('#result').hidden")
		assert.is_truthy(one:text("#result"):find("200 kB less wasted", 1, true))
		page:run("document.querySelectorAll('#result a')[1].click()")
		page:wait("document.querySelector('#where').textContent === 'app-edited.tar'")
		page:wait("document.querySelector('#tree .row .name')")
		page:click("#wasted")
		wait_found("13 B wasted by 1 file")
		page:click("#found-about button")
		page:wait("document.querySelectorAll('#plan li').length === 1")
		assert.is_true(page:run("return document.querySelector('.found-row button.small').disabled"))
		page:click("#go")
		page:wait("!document.querySelector('#result').hidden")
		local made = page:run("return document.querySelectorAll('#result a')[1].hash.slice(1)")
		local waste = one.server:ask("/images/" .. made .. "/waste")
		assert.same({ 0, 0 }, { waste.total, waste.bytes })
		assert.equal("mode = production\n", one.server:ask("/images/" .. made .. "/files/etc/app.conf").text)
	end)

	it("tells the comment of a step that names no command, and labels in one order", function()
		show(app)
		page:click("#tab-layers")
		assert.equal("strata appendImported from -", one:text("#layers tbody tr:nth-child(3) .step"))
		page:click("#tab-config")
		local labels = page:run([[
			return [...document.querySelectorAll('#config .pair-name')].map((e) => e.textContent)
				.filter((name) => /^[abc]$/.test(name))]])
		assert.same({ "a", "b", "c" }, labels)
	end)

	it("runs nothing that stands in a path, and shows what hides", function()
		local img = strata.new({ platform = "linux/amd64" })
		assert(img:append({
			created_by = MARKUP,
			files = {
				[MARKUP] = "x", [TURNED] = "xx", ["caf\233/\t"] = "latin1", ["line\nbreak"] = "x", ["a&b=c?d#e%41"] = "x",
			},
		}))
		layer(img, TURNED, { { name = MARKUP, data = "twice" }, { name = "caf\233/.wh.\t" } })
		local hostile = one:add(img, "hostile.tar")
		show(hostile)
		type_into_search(".", "regex")
		wait_found("6 paths found")
		assert.same({
			"/" .. MARKUP, "/a&b=c?d#e%41", "/caf\\xe9/", "/lineU+000Abreak", "/photoU+202Egpj.exe", "/caf\\xe9/U+0009",
		}, page:run("return [...document.querySelectorAll('.found-path')].map((e) => e.textContent)"))
		one:look("tree-hostile")
		for path, name in pairs({
			["a&b=c?d#e%41"] = "/a&b=c?d#e%41", photo = "/photoU+202Egpj.exe", ["\\xe9/"] = "/caf\\xe9/U+0009",
		}) do
			type_into_search(path)
			wait_found("1 path found")
			page:click(".found-path")
			page:wait(("document.querySelector('#detail h3')?.textContent === %q"):format(name))
		end
		page:click("#wasted")
		wait_found("7 B wasted by 2 files")
		page:click("#found-about button")
		page:click("#go")
		page:wait("!document.querySelector('#result').hidden")
		assert.equal(0, page:run("return document.querySelectorAll('main img, main script').length"))
		assert.is_nil(page:run("return document.title"):find("taken", 1, true))
	end)

	it("stays quick with 200,000 paths, whatever is looked for", function()
		local headers = explorer.headers
		local base, top = one.dir:file("base.tar"), one.dir:file("top.tar")
		shell.write(base, headers("many", 1, 100000) .. headers("more", 1, 100000) .. ("\0"):rep(1024))
		shell.write(top, headers("more", 70000, 71000) .. ("\0"):rep(1024))
		local path = one.dir:file("big.tar")
		archive.build(path, { layers = { { file = base }, { file = top } } })
		local image, status = one.server:upload(path, "?name=big.tar")
		assert.equal(201, status, image.error)
		show(image.id)
		page:run([[
			window.worst = 0;
			let last = performance.now();
			const tick = () => {
				const now = performance.now();
				worst = Math.max(worst, now - last);
				last = now;
				requestAnimationFrame(tick);
			};
			requestAnimationFrame(tick)]])
		type_into_search("070123")
		wait_found("2 paths found")
		type_into_search("^/more/07", "regex")
		wait_found("10,000 paths found")
		assert.equal("9,800 paths more", one:text("#found-more"))
		assert.equal(200, page:run("return document.querySelectorAll('.found-row').length"))
		type_into_search("^(/[a-z0-9]+)+$|((m|o|r|e|/|0|1|2|3)*)*x$", "regex")
		waiting.till("an answer, or that it takes too long", function()
			return page:run([[
				return document.querySelector('#find-problem').textContent.includes('too long')
					|| document.querySelector('#found-title').textContent === '200,002 paths found']])
		end)
		type_into_search("more/099999")
		wait_found("1 path found")
		page:click(".found-path")
		page:wait("document.querySelector('#detail h3')?.textContent === '/more/099999'")
		assert.equal("099999", focused())
		choose("upto 2")
		page:wait("document.querySelector('#tree .sign')")
		page:run("document.querySelectorAll('#marks button')[3].click()")
		page:wait("document.querySelectorAll('#tree .row').length === 0")
		page:run("document.querySelectorAll('#marks button')[3].click()")
		choose("alone 2")
		wait_row("more")
		-- A second where nothing else runs.
		assert.is_true(page:run("return worst") < 20000, page:run("return worst"))
	end)
end)
