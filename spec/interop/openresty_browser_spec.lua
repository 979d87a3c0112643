--- The explorer's page in a headless Chromium.

local archive = require "spec.support.archive"
local browser = require "spec.support.browser"
local docker_archive = require "spec.support.docker_archive"
local nginx = require "spec.support.nginx"
local peers = require "spec.support.peers"
local shell = require "spec.support.shell"
local skopeo = require "spec.support.skopeo"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local MARKUP = "<img src=x onerror=document.title='taken'>"
local TURNED = "photo\226\128\174gpj.exe"
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
	assert(img:append({ created_by = "COPY app.conf", files = { ["etc/app.conf"] = "mode = production\n" } }))
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
		},
	}))
	img.config:set_env("X", MARKUP):set_label("<b>bold</b>", MARKUP)
	assert(img:save(path))
end

-- Headers of empty files that differ in six digits only, and so in their checksums.
local function headers(directory, from, upto)
	local name = directory .. "/000000"
	local header = docker_archive.header({ name = name })
	local sum = tonumber(header:sub(149, 154), 8)
	local parts = {}
	for i = from, upto do
		local digits, more = ("%06d"):format(i), 0
		for at = 1, 6 do
			more = more + digits:byte(at) - 48
		end
		parts[#parts + 1] = directory .. "/" .. digits .. header:sub(#name + 1, 148) .. ("%06o"):format(sum + more)
			.. header:sub(155)
	end
	return table.concat(parts)
end

local function write_long(path)
	local file = path .. ".layer"
	shell.write(file, headers("many", 1, MANY) .. headers("more", MANY + 1, MORE - 1) .. ("\0"):rep(1024))
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
		page:screenshot("build/explorer-wide.png")
		page:click("#go")
		page:wait("!document.querySelector('#result').hidden")
		assert.equal("download", focused())
		page:press("Enter")
		local made = dir:file("downloads/app-edited.tar")
		nginx.wait("the download", 20, function()
			return shell.run({ "test", "-e", made }).status == 0
		end)
		local img = assert(strata.open(made))
		assert.is_true(assert(img:verify()))
		assert.equal("UTC/x", img.config:get_env("TZ"))
		local root = assert(img:rootfs())
		assert.is_false(root:exists("usr/share/doc"))
		assert.is_true(root:exists("usr/share/man/app.1"))
		img:close()
		local reason = peers.missing("skopeo")
		if reason then
			pending(reason)
		end
		skopeo.copy("docker-archive:" .. made, "oci:" .. dir:file("copy") .. ":image")
	end)

	it("shows layers beside the history, and what is in each", function()
		show(write_image, "app.tar")
		page:click("#tab-layers")
		assert.equal(2, page:run("return document.querySelectorAll('#layers tbody tr').length"))
		page:click("#layers tbody tr:nth-child(2) button")
		page:wait("document.querySelector('#entries .row .name')?.textContent")
		local names = page:run("return [...document.querySelectorAll('#entries .name')].map((e) => e.textContent).join(' ')")
		assert.equal("app.conf", names)
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

	it("runs nothing that stands in an image, and shows what hides", function()
		local image = show(write_hostile, "hostile.tar")
		local names = page:run("return [...document.querySelectorAll('#tree .name')].map((e) => e.textContent)")
		assert.same({ MARKUP, "caf\\xe9", "page.html", "photoU+202Egpj.exe" }, names)
		for _, tab in ipairs({ "#tab-layers", "#tab-config", "#tab-files" }) do
			page:click(tab)
		end
		page:run("document.querySelectorAll('#tree .row')[2].click()")
		page:wait("document.querySelector('#detail pre')")
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
		page:click("#layers button")
		page:wait("document.querySelector('#entries .row .name')")
		check("#entries", "099999", MORE)
		page:run("document.querySelector('#entries [tabindex=\"0\"]').focus()")
		page:press("End")
		page:wait("document.activeElement.querySelector('.name')?.textContent === '099999'")
	end)

	it("fits a narrow window, light and dark", function()
		show(write_image, "app.tar")
		page:resize(390, 844)
		page:prefer("dark")
		assert.is_true(page:run("return document.documentElement.scrollWidth <= 390"))
		page:screenshot("build/explorer-narrow.png")
		for _, tab in ipairs({ "#tab-layers", "#tab-config" }) do
			page:click(tab)
			assert.is_true(page:run("return document.documentElement.scrollWidth <= 390"))
		end
		page:prefer("light")
		page:resize(1280, 800)
	end)

	it("has a name for everything that can be operated", function()
		show(write_image, "app.tar")
		page:click("#tab-config")
		local nameless = page:run([[
			return [...document.querySelectorAll('button, input, select, a[href], [role=tree], [role=tab]')].filter((e) =>
				!(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent.trim()
					|| e.labels?.[0]?.textContent.trim())).map((e) => e.outerHTML).join('\n')]])
		assert.equal("", nameless)
		assert.equal("polite", page:run("return document.querySelector('[role=status]').getAttribute('aria-live')"))
		assert.is_truthy(page:run("return document.querySelector('[role=status]').textContent"):find("2 layers", 1, true))
	end)
end)
