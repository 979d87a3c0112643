--- The explorer's page in a headless Chromium.

local archive = require "spec.support.archive"
local browser = require "spec.support.browser"
local docker_archive = require "spec.support.docker_archive"
local explorer = require "spec.support.explorer"
local nginx = require "spec.support.nginx"
local peers = require "spec.support.peers"
local shell = require "spec.support.shell"
local skopeo = require "spec.support.skopeo"
local strata = require "strata"
local tmp = require "spec.support.tmp"
local waiting = require "spec.support.waiting"

local MARKUP = "<img src=x onerror=document.title='taken'>"
local TURNED = "photo\226\128\174gpj.exe"
local LONG = ("x"):rep(4000)
local MANY, MORE = 20000, 100000

local function write_image(path)
	local img = strata.new({ platform = "linux/amd64" })
	assert(img:append({
		created_by = "RUN install",
		files = {
			["bin/sh"] = { content = "sh", mode = 493 },
			["etc/app.conf"] = "mode = debug\n",
			["usr/share/doc/app/copyright"] = ("free "):rep(2000),
			["usr/share/man/app.1"] = "man",
		},
	}))
	shell.write(path, docker_archive.tar({
		{ name = "etc/app.conf", data = "mode = production\n" },
		{ name = "usr/share/.wh.man" },
	}))
	assert(img:append({ created_by = "COPY app.conf", tar = path }))
	img.config:set_env("PATH", "/bin"):set_env("TZ", "UTC")
	img:tag("app:1")
	assert(img:save(path))
end

local function write_hostile(path)
	local img = strata.new({ platform = "linux/amd64" })
	assert(img:append({
		created_by = "<script>document.title='taken'</script>",
		files = {
			[MARKUP] = "x",
			[TURNED] = "x",
			["caf\233"] = "latin1",
			["page.html"] = "<script>document.title='taken'</script>",
			["line\nbreak"] = "x",
			[LONG] = "x",
			[("d/"):rep(40) .. "end"] = "x",
			["__proto__/constructor"] = "x",
		},
	}))
	img.config:set_env("X", MARKUP):set_label("<b>bold</b>", MARKUP)
	assert(img:save(path))
end

local function write_long(path)
	local file = path .. ".layer"
	local more = explorer.headers("more", MANY + 1, MORE - 1)
	shell.write(file, explorer.headers("many", 1, MANY) .. more .. ("\0"):rep(1024))
	archive.build(path, { layers = { { file = file } } })
end

describe("the explorer's page", function()
	local dir, server, page
	local specify = it

	setup(function()
		if nginx.missing() or browser.missing() then
			return
		end
		dir = tmp.dir(tmp.for_peers())
		shell.check({ "mkdir", "-p", dir:file("images"), dir:file("downloads"), "build" })
		server = nginx.start({ directory = dir:file("images") })
		page = browser.start(dir)
		page:resize(1280, 800)
	end)

	teardown(function()
		if page then
			page:stop()
		end
		if server then
			server:stop()
		end
	end)

	local function it(name, body)
		specify(name, function()
			local reason = nginx.missing() or browser.missing()
			if reason then
				pending(reason)
			end
			body()
		end)
	end

	local function show(write, name)
		local path = dir:file(name)
		write(path)
		local image, status = server:upload(path, "?name=" .. name)
		assert.equal(201, status, image.error)
		page:go("about:blank") -- what was shown before is gone
		page:go(server.url .. "/#" .. image.id)
		page:wait("document.querySelector('#tree .row .name')")
		return image
	end

	-- The name in the row that has the focus.
	local function focused()
		local script = "const r = document.activeElement; return r.querySelector('.name')?.textContent ?? r.id"
		return page:run(script)
	end

	it("opens an image, walks the tree by the keyboard, makes an edited one and gives it", function()
		local path = dir:file("app.tar")
		write_image(path)
		page:go(server.url .. "/")
		page:type("#choose", path)
		page:wait("document.querySelector('#tree .row .name')")
		assert.equal("app:1", page:run("return document.querySelector('#image-title').textContent"))
		page:run("document.querySelector('#tree [tabindex=\"0\"]').focus()")
		assert.equal("bin", focused())
		page:press("Down", "Right")
		assert.equal("etc", focused())
		page:wait("document.activeElement.getAttribute('aria-expanded') === 'true'")
		page:press("Right", "Enter")
		page:wait("document.querySelector('#detail pre')")
		assert.equal("mode = production\n", page:run("return document.querySelector('#detail pre').textContent"))
		assert.equal(2, page:run("return document.querySelectorAll('.path-history li').length"))
		page:press("Left")
		assert.equal("etc", focused())
		page:press("End", "Right")
		page:wait("document.activeElement.getAttribute('aria-expanded') === 'true'")
		page:press("Right")
		assert.equal("share", focused())
		page:press("Right")
		page:wait("document.activeElement.getAttribute('aria-expanded') === 'true'")
		page:press("Right")
		assert.equal("doc", focused())
		assert.equal("3", page:run("return document.activeElement.getAttribute('aria-level')"))
		page:press("Space")
		page:wait("document.activeElement.getAttribute('aria-checked') === 'true'")
		page:click("#tab-config")
		page:type("#config .pair:nth-child(2) input", "/x")
		page:press("Tab")
		page:wait("document.querySelectorAll('#plan li').length === 2")
		page:click("#tab-files")
		page:click("#go")
		page:wait("!document.querySelector('#result').hidden")
		assert.equal("download", focused())
		page:press("Enter")
		local made = dir:file("downloads/app-edited.tar")
		waiting.till("the download", function()
			return shell.run({ "test", "-e", made }).status == 0
		end)
		local img = assert(strata.open(made))
		assert.is_true(assert(img:verify()))
		assert.equal("UTC/x", img.config:get_env("TZ"))
		local root = assert(img:rootfs())
		assert.is_false(root:exists("usr/share/doc"))
		assert.is_true(root:exists("bin/sh"))
		img:close()
		local reason = peers.missing("skopeo")
		if reason then
			pending(reason)
		end
		skopeo.copy("docker-archive:" .. made, "oci:" .. dir:file("copy") .. ":image")
	end)

	-- The rows of a tree: the level, the name, and what is noted of it.
	local function rows_of(tree)
		return page:run([[
			return [...document.querySelectorAll(arguments[0] + ' .row')].sort((a, b) => a.dataset.index - b.dataset.index)
				.map((row) => ['aria-level', 'name', 'c-layer'].map((part) => row.getAttribute(part)
					?? row.querySelector('.' + part).textContent).join(' ').trim())]], tree)
	end

	it("shows layers beside the history, and the file tree of each with what becomes of it", function()
		show(write_image, "app.tar")
		page:click("#tab-layers")
		assert.equal(2, page:run("return document.querySelectorAll('#layers tbody tr').length"))
		page:wait("[...document.querySelectorAll('#entries .name')].some((e) => e.textContent === 'app.1')")
		assert.same({
			"1 bin", "2 sh", "1 etc", "2 app.conf replaced in 2", "1 usr", "2 share", "3 doc", "4 app", "5 copyright",
			"3 man removed in 2", "4 app.1 removed in 2",
		}, rows_of("#entries"))
		page:click("#layers tbody tr:nth-child(2)")
		page:wait("[...document.querySelectorAll('#entries .c-layer')].some((e) => e.textContent === 'removes')")
		assert.same({ "1 etc", "2 app.conf", "1 usr", "2 share", "3 man removes" }, rows_of("#entries"))
		page:run("[...document.querySelectorAll('#entries .row')].at(-1).click()")
		assert.equal("/usr/share/.wh.manremoves what lower layers have",
			page:run("return document.querySelector('#entry').textContent"))
	end)

	it("does everything by the keyboard alone", function()
		show(write_image, "app.tar")
		local function tab_to(id)
			for _ = 1, 30 do
				if focused() == id then
					local outline = page:run("return getComputedStyle(document.activeElement).outlineStyle")
					assert.equal("solid", outline, id)
					return
				end
				page:press("Tab")
			end
			error("no way to " .. id)
		end
		tab_to("tab-files")
		page:press("Right")
		assert.equal("tab-layers", focused())
		page:wait("[...document.querySelectorAll('#entries .name')].some((e) => e.textContent === 'app.1')")
		page:press("Tab", "Tab", "Enter")
		page:wait("document.activeElement.querySelector?.('.name')?.textContent === 'etc'")
		page:press("Right")
		assert.equal("app.conf", focused())
		page:press("Enter", "Space")
		assert.is_truthy(page:run("return document.querySelector('#entry').textContent"):find("/etc/app.conf", 1, true))
		assert.equal("true", page:run("return document.activeElement.getAttribute('aria-checked')"))
		page:press("Left")
		assert.equal("mixed", page:run("return document.activeElement.getAttribute('aria-checked')"))
		page:press("Left", "End")
		assert.equal("man", focused())
		assert.equal("man, removes what lower layers have", page:run("return document.activeElement.ariaLabel"))
		page:press("Space")
		page:press("u")
		assert.equal("usr", focused())
		tab_to("tag")
		page:press("a", ":", "9")
		tab_to("go")
		page:press("Enter")
		page:wait("!document.querySelector('#result').hidden")
		assert.equal("download", focused())
		page:press("Tab", "Enter")
		page:wait("document.querySelector('#image-title').textContent === 'a:9'")
		page:wait("document.querySelector('#tree .row .name')")
		assert.same({ "1 bin 1", "1 etc 1", "1 usr 1" }, rows_of("#tree"))
		local made = page:run("return location.hash.slice(1)")
		assert.equal(0, server:ask("/images/" .. made .. "/files/etc").total)
	end)

	it("takes a file that is dropped", function()
		page:go(server.url .. "/")
		page:wait("document.querySelector('#images .card')")
		local image = server:ask("/images").images[1]
		page:run([[
			const [id] = arguments;
			window.dropped = fetch(`/images/${id}/download`).then((answer) => answer.blob()).then((blob) => {
				const data = new DataTransfer();
				data.items.add(new File([blob], 'dropped.tar'));
				document.body.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: data }));
			});]], image.id)
		page:wait("document.querySelector('#tree .row .name')")
		assert.equal("dropped.tar", page:run("return document.querySelector('#where').textContent"))
	end)

	it("opens an archive that is in the directory", function()
		write_image(server.directory .. "/<here>.tar")
		page:go(server.url .. "/")
		page:wait("document.querySelector('#available .card-title')?.textContent === '<here>.tar'")
		page:click("#available .card-open")
		page:wait("document.querySelector('#tree .row .name')")
		assert.equal("<here>.tar", page:run("return document.querySelector('#where').textContent"))
	end)

	it("runs nothing that stands in an image, and shows what hides", function()
		local image = show(write_hostile, "hostile.tar")
		local names = page:run("return [...document.querySelectorAll('#tree .name')].map((e) => e.textContent)")
		assert.same({
			MARKUP, "__proto__", "caf\\xe9", "d", "lineU+000Abreak", "page.html", "photoU+202Egpj.exe", LONG,
		}, names)
		for _, tab in ipairs({ "#tab-layers", "#tab-config", "#tab-files" }) do
			page:click(tab)
		end
		page:run("document.querySelectorAll('#tree .row')[5].click()")
		page:wait("document.querySelector('#detail pre')")
		page:press("Up", "Up", "*")
		page:wait("document.activeElement.getAttribute('aria-expanded') === 'true'")
		for level = 2, 40 do
			page:press("Right", "Right")
			page:wait(("document.activeElement.matches('[aria-level=\"%d\"][aria-expanded=true]')"):format(level))
		end
		page:press("Right", "Enter")
		assert.equal("end", focused())
		page:click("#tab-layers")
		page:wait("document.querySelector('#entries .row .name')")
		assert.is_true(page:run("return document.documentElement.scrollWidth <= 1280"))
		page:click("#tab-files")
		assert.equal(0, page:run("return document.querySelectorAll('main img, main script').length"))
		assert.is_nil(page:run("return document.title"):find("taken", 1, true))
		page:go(server.url .. "/images/" .. image.id .. "/files/page.html")
		assert.is_nil(page:run("return document.title"):find("taken", 1, true))
		page:go(server.url .. "/")
		local refused = page:run([[
			const element = document.createElement('script');
			element.textContent = "document.title = 'taken'";
			document.head.append(element);
			return document.title]])
		assert.is_nil(refused:find("taken", 1, true))
	end)

	it("scrolls through long lists, of which only what is seen exists", function()
		show(write_long, "long.tar")
		page:run("document.querySelector('#tree [tabindex=\"0\"]').focus()")
		page:press("Right")
		page:wait("document.activeElement.getAttribute('aria-expanded') === 'true'")
		local function check(list, last, count)
			local script = ([[
				const box = document.querySelector('%s');
				box.scrollTop = box.scrollHeight;
				return 1]]):format(list)
			page:run(script)
			page:wait(("[...document.querySelectorAll('%s .name')].some((e) => e.textContent === '%s')"):format(list, last))
			assert.is_true(page:run(("return document.querySelectorAll('%s .row').length"):format(list)) < 80)
			local sizes = page:run(("return document.querySelectorAll('%s .row[aria-setsize]').length"):format(list))
			assert.is_true(sizes > 0)
			local slowest = page:run(([[
				const box = document.querySelector('%s');
				let worst = 0;
				for (let i = 0; i < 60; i += 1) {
					const before = performance.now();
					box.scrollTop = (box.scrollHeight * i) / 60;
					box.dispatchEvent(new Event('scroll'));
					void box.offsetHeight;
					worst = Math.max(worst, performance.now() - before);
				}
				return worst]]):format(list))
			assert.is_true(slowest < 100, slowest .. " ms for " .. count)
		end
		check("#tree", "more", MANY)
		page:click("#tab-layers")
		page:wait("document.querySelector('#entries .row .name')")
		page:run("document.querySelector('#entries [tabindex=\"0\"]').focus()")
		page:press("Down", "Right")
		page:wait("document.activeElement.getAttribute('aria-expanded') === 'true'")
		check("#entries", ("%06d"):format(MORE - 1), MORE - MANY)
		page:press("End")
		page:wait(("document.activeElement.querySelector('.name')?.textContent === '%06d'"):format(MORE - 1))
	end)

	it("fits a narrow window, light and dark, and can be read in both", function()
		local image = show(write_image, "app.tar")
		for _, scheme in ipairs({ "dark", "light" }) do
			page:prefer(scheme)
			page:go("about:blank")
			page:go(server.url .. "/#" .. image.id)
			page:wait("document.querySelector('#tree .row .name')")
			page:run("document.querySelector('#tree .box').click()")
			page:run("document.querySelectorAll('#tree .name')[1].click()")
			for width, name in pairs({ [360] = "narrow", [1280] = "wide" }) do
				page:resize(width, 800)
				page:screenshot(("build/explorer-%s-%s.png"):format(name, scheme))
			end
			page:resize(320, 640)
			for _, tab in ipairs({ "#tab-files", "#tab-layers", "#tab-config" }) do
				page:click(tab)
				page:wait("document.querySelector('[role=tabpanel]:not([hidden])')")
				assert.is_true(page:run("return document.documentElement.scrollWidth <= 320"), tab)
				assert.equal("", page:faint(), tab)
			end
			page:resize(1280, 800)
		end
	end)

	it("says what things are to those who do not see them", function()
		show(write_image, "app.tar")
		for _, tab in ipairs({ "#tab-files", "#tab-layers", "#tab-config" }) do
			page:click(tab)
			local nameless = page:run([[
				return [...document.querySelectorAll('button, input, select, a[href], [role=tree], [role=tab], [role=treeitem]')]
					.filter((e) => !(e.ariaLabel || e.getAttribute('aria-labelledby') || e.textContent.trim()
						|| e.labels?.[0]?.textContent.trim())).map((e) => e.outerHTML).join('\n')]])
			assert.equal("", nameless)
		end
		local doubled = page:run([[
			const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
			const led = ['aria-controls', 'aria-labelledby', 'aria-describedby'].flatMap((name) =>
				[...document.querySelectorAll(`[${name}]`)].map((e) => e.getAttribute(name)));
			return [...ids.filter((id, at) => ids.indexOf(id) !== at), ...led.filter((id) => !ids.includes(id))].join(' ')]])
		assert.equal("", doubled)
		assert.same({ "1", "3" }, page:run([=[
			const row = document.querySelector('#tree .row');
			return [row.getAttribute('aria-posinset'), row.getAttribute('aria-setsize')]]=]))
		assert.equal("bin, directory, 2 B, from layer 1", page:run("return document.querySelector('#tree .row').ariaLabel"))
		assert.equal("polite", page:run("return document.querySelector('[role=status]').getAttribute('aria-live')"))
		assert.is_truthy(page:run("return document.querySelector('[role=status]').textContent"):find("2 layers", 1, true))
	end)

	it("removes an image when it is told so twice, and says why one stays", function()
		local path = dir:file("app.tar")
		write_image(path)
		local image = server:upload(path)
		page:go(server.url .. "/")
		page:wait("document.querySelector('#images .card')")
		page:run([[
			const { fetch } = window;
			window.deleted = 0;
			window.fetch = (url, how) => {
				deleted += how?.method === 'DELETE';
				return fetch(url, how);
			}]])
		page:run("[...document.querySelectorAll('#images .quiet')].at(-1).focus()")
		page:press("Enter")
		assert.equal("Really remove app:1?", page:run("return document.activeElement.ariaLabel"))
		page:press("Tab")
		page:run("[...document.querySelectorAll('#images .quiet')].at(-1).focus()")
		page:press("Enter")
		assert.equal(0, page:run("return deleted"))
		page:press("Enter")
		page:wait("document.activeElement.id === 'browse'")
		assert.equal(404, select(2, server:ask("/images/" .. image.id)))
		page:run("[...document.querySelectorAll('#images .quiet')].at(-1).click()")
		page:run("window.fetch = () => Promise.resolve(new Response('{\"error\":\"it is in use\"}', { status: 409 }))")
		page:run("[...document.querySelectorAll('#images .quiet')].at(-1).click()")
		page:wait("document.querySelector('#alert').textContent === 'it is in use'")
	end)
end)
