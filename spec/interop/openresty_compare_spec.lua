--- Two images side by side: the answer to /compare, and the page.

local explorer = require "spec.support.explorer"
local core = require "strata.core"
local strata = require "strata"

local unpack = table.unpack or unpack

local MARKUP = "<img src=x onerror=document.title='taken'>"
local TURNED = "photo\226\128\174gpj.exe"

describe("two images side by side", function()
	local it_was = it
	local one, before, after

	local function image(files, user)
		local img = strata.new({ platform = "linux/amd64" })
		assert(img:append({ created_by = "RUN install", files = files }))
		img.config:set_env("PATH", "/bin"):set_label("note", MARKUP)
		img.config.User = user
		img:tag("app:1")
		return img
	end

	setup(function()
		if explorer.missing() then
			return
		end
		one = explorer.start()
		before = one:add(image({
			["etc/app.conf"] = "mode = debug\n",
			["bin/app"] = { content = "app", mode = 493 },
			["bin/old"] = "old",
			[MARKUP] = "x",
			["caf\233"] = "latin1",
		}), "before.tar")
		after = one:add(image({
			["etc/app.conf"] = "mode = production\n",
			["bin/app"] = { content = "app", mode = 2541, uid = 5 },
			["bin/new"] = "new",
			[TURNED] = "x",
			["line\nbreak"] = "x",
		}, "1000"), "after.tar")
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

	local function show()
		one:show(before .. ".." .. after, "document.querySelector('#compare-rows .row .name')")
	end

	local function rows()
		return one.page:run([[
			return [...document.querySelectorAll('#compare-rows .row')].sort((a, b) => a.dataset.index - b.dataset.index)
				.map((row) => [...row.children].map((e) => e.textContent).join(' ').trim())]])
	end

	it("answers with files, config, history and layers, in valid UTF-8", function()
		local facts, status, answer = one.server:post("/compare", { a = before, b = after })
		assert.equal(200, status)
		assert.is_truthy(core.json_quote(answer.body)) -- UTF-8
		assert.same({ "before.tar", "after.tar" }, { facts.a.file, facts.b.file })
		assert.same({ added = 3, removed = 3, changed = 2 }, facts.counts.files)
		local by = {}
		for _, row in ipairs(facts.files) do
			by[row.path] = row
		end
		assert.same({ "mode", "uid" }, by["bin/app"].fields)
		assert.equal("caf\\xe9", by["caf%E9"].display)
		assert.equal("removed", by["bin/old"].change)
		assert.equal("/config/User", facts.config[1].pointer)
		assert.equal(1, facts.counts.layers.changed)
		facts = one.server:post("/compare", { a = before, b = before })
		assert.is_true(facts.equal)
		local nameless = strata.new()
		assert(nameless:append({ files = { ["etc/x"] = "x" } }))
		nameless = one:add(nameless, "nameless.tar")
		facts, status, answer = one.server:post("/compare", { a = before, b = nameless })
		assert.equal(200, status)
		assert.same({ "app:1", "nameless.tar" }, { facts.a.name, facts.b.name })
		assert.is_nil(answer.body:find(".strata", 1, true))
		for _, wrong in ipairs({ { a = before }, { a = before, b = "x" }, { a = {}, b = after } }) do
			assert.equal(404, select(2, one.server:post("/compare", wrong)))
		end
		assert.equal(400, select(2, one.server:ask("/compare", "-d", "x")))
		assert.equal(405, select(2, one.server:ask("/compare")))
	end)

	it("shows what differs on both sides, and all of a difference", function()
		show()
		assert.equal("before.tar → after.tar", one:text("#compare-title"))
		assert.equal("compare-title", one.page:run("return document.activeElement.id"))
		assert.same({
			"− /" .. MARKUP .. " 1 B · 0644 · 0:0",
			"~ /bin/app 0755 · user 0 4755 · user 5",
			"+ /bin/new  3 B · 0644 · 0:0",
			"− /bin/old 3 B · 0644 · 0:0",
			"− /caf\\xe9 6 B · 0644 · 0:0",
			"~ /etc/app.conf 13 B 18 B",
			"+ /lineU+000Abreak  1 B · 0644 · 0:0",
			"+ /photoU+202Egpj.exe  1 B · 0644 · 0:0",
			"+ /config/User  1000",
		}, { unpack(rows(), 1, 9) })
		one.page:run("document.querySelectorAll('#compare-rows .row')[1].click()")
		assert.is_truthy(one:text("#compare-detail"):find("/bin/app", 1, true))
		assert.is_truthy(one:text("#compare-detail"):find("Mode07554755", 1, true))
		assert.equal(0, one.page:run("return document.querySelectorAll('main img').length"))
		assert.is_nil(one.page:run("return document.title"):find("taken", 1, true))
		one.page:click("#compare-swap")
		one.page:wait("document.querySelector('#compare-title').textContent === 'after.tar → before.tar'")
	end)

	it("filters by kind, by change and by path", function()
		show()
		local function total()
			return one:text("#compare-total")
		end
		assert.is_truthy(total():find("^%d+ differences$"))
		one.page:click("#compare-lists [value=files]")
		assert.equal("+ /config/User  1000", rows()[1])
		one.page:click("#compare-lists [value=files]")
		for _, name in ipairs({ "config", "layers" }) do
			one.page:click("#compare-lists [value=" .. name .. "]")
		end
		one.page:click("#compare-changes [value=added]")
		one.page:click("#compare-changes [value=changed]")
		assert.equal(3, #rows())
		assert.is_truthy(total():find("^3 of "))
		one.page:type("#compare-find", "/bin")
		assert.same({ "− /bin/old 3 B · 0644 · 0:0" }, rows())
	end)

	it("is reached and read by the keyboard alone", function()
		one:show("", "document.querySelector('#compare-choose:not([hidden])')")
		local page = one.page
		local function tab_to(expression)
			for _ = 1, 40 do
				if page:run("return document.activeElement.matches(arguments[0])", expression) then
					return
				end
				page:press("Tab")
			end
			error("no way to " .. expression)
		end
		tab_to("#compare-choose select[name=a]")
		page:press("b") -- before.tar
		tab_to("#compare-choose select[name=b]")
		page:press("a")
		tab_to("#compare-choose button")
		page:press("Enter")
		page:wait("document.activeElement.id === 'compare-title'")
		assert.equal("before.tar → after.tar", one:text("#compare-title"))
		tab_to("#compare-lists [value=files]")
		page:press("Space")
		page:press("Space")
		tab_to("#compare-rows [role=option]")
		page:press("Down", "Enter")
		assert.equal("true", page:run("return document.activeElement.getAttribute('aria-selected')"))
		assert.equal("changed /bin/app: 0755 · user 0 to 4755 · user 5", page:run("return document.activeElement.ariaLabel"))
		assert.is_truthy(one:text("#status"):find("changed /bin/app", 1, true))
		page:press("End")
		assert.is_truthy(page:run("return document.activeElement.ariaLabel"):find("^changed Layer 1"))
	end)

	it("fits narrow and wide windows, light and dark", function()
		show()
		one.page:run("document.querySelectorAll('#compare-rows .row')[1].click()")
		one:look("compare")
		one:show("", "document.querySelector('#compare-choose:not([hidden])')")
		one:look("start")
	end)

	it("says when nothing differs", function()
		one:show(before .. ".." .. before, "document.querySelector('#compare-total').textContent")
		assert.equal("No differences: the images are the same.", one:text("#compare-total"))
	end)

	it("tells what an edit has changed", function()
		local page = one.page
		one:show(before, "document.querySelector('#tree .row .name')")
		page:run("document.querySelector('#tree .box').click()")
		page:click("#go")
		page:wait("!document.querySelector('#result').hidden")
		page:run("[...document.querySelectorAll('#result a')].find((e) => e.textContent === 'Compare').click()")
		page:wait("document.querySelector('#compare-rows .row .name')")
		assert.equal("before.tar → before-edited.tar", one:text("#compare-title"))
		assert.equal("− /" .. MARKUP .. " 1 B · 0644 · 0:0", rows()[1])
	end)

	it("counts all of 200,000 files, and lists the first 50,000", function()
		local a = one:add_many("long.tar", 1, 200000)
		one:show(a .. ".." .. after, "document.querySelector('#compare-rows .row .name')")
		assert.is_truthy(one:text("#compare-total"):find("^50,0%d%d of 200,0%d%d differences; of each kind the first 50,000"))
		one.page:type("#compare-find", "049990")
		one.page:wait("document.querySelectorAll('#compare-rows .row').length === 1")
	end)

	it("does not freeze with 30,000 differences, of which only what is seen exists", function()
		local a, b = one:add_many("a.tar", 1, 30000), one:add_many("b.tar", 10001, 50000)
		local page = one.page
		page:go("about:blank")
		page:go(one.server.url .. "/")
		page:wait("document.querySelector('#images .card')")
		page:run([=[
			window.longest = 0;
			window.last = performance.now();
			setInterval(() => { const now = performance.now(); longest = Math.max(longest, now - last); last = now; }, 10);
			location.hash = arguments[0]]=], a .. ".." .. b)
		page:wait("document.querySelector('#compare-rows .row .name')")
		local total = tonumber((one:text("#compare-total"):match("^[%d,]+"):gsub(",", "")))
		assert.is_true(total >= 30000, total)
		assert.is_true(page:run("return document.querySelectorAll('#compare-rows .row').length") < 80)
		local slowest = page:run([[
			const box = document.querySelector('#compare-rows');
			let worst = 0;
			for (let i = 0; i < 60; i += 1) {
				const before = performance.now();
				box.scrollTop = (box.scrollHeight * i) / 60;
				box.dispatchEvent(new Event('scroll'));
				void box.offsetHeight;
				worst = Math.max(worst, performance.now() - before);
			}
			return worst]])
		-- What a turn may take is told by what all rows at once would: machines are not equally fast.
		local all = page:run([[
			const before = performance.now(), box = document.createElement('div');
			for (let i = 0; i < 30000; i += 1) {
				const row = document.createElement('div');
				row.innerHTML = `<span>many/${i}</span><span>added</span><span>${i} B</span>`;
				box.append(row);
			}
			document.body.append(box);
			void box.offsetHeight;
			box.remove();
			last = performance.now(); // this is no turn of the page
			return last - before]])
		assert.is_true(slowest < math.max(100, all / 3), slowest .. " ms")
		page:type("#compare-find", "many/040000")
		page:wait("document.querySelectorAll('#compare-rows .row').length === 1")
		local longest = page:run("return longest")
		assert.is_true(longest < math.max(1000, 3 * all), longest .. " ms without a turn")
	end)
end)
