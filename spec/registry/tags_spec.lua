-- Lists of tags, page by page, and the methods of strata.registry. Ids are those of the checks.

local oci_layout = require "spec.support.oci_layout"
local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local strata = require "strata"

local types = oci_layout.types

describe("a client of registries:", function()
	local fake, hub, image, names, started

	local function start(options)
		local one = registry.start(options or {})
		started[#started + 1] = one
		return one
	end

	setup(function()
		image = remote.image({ count = 1 })
		names = remote.names(image)
	end)

	before_each(function()
		started = {}
		fake = start()
		remote.put(fake, "app", image.layout, image.digest, "1")
		hub = remote.client({ retries = 1 })
		fake:forget()
	end)

	after_each(function()
		for _, one in ipairs(started) do
			one:stop()
		end
	end)

	local function ref(name)
		return "docker://" .. fake.host .. "/" .. name
	end

	local function lines()
		return remote.lines(fake, names)
	end

	-- Tags t01, t02 ...
	local function add_tags(count)
		local text, list = fake:get_manifest("app", "1"), { "1" }
		for i = 1, count do
			list[i + 1] = ("t%02d"):format(i)
			fake:put_manifest("app", list[i + 1], text, types.oci.manifest)
		end
		fake:forget()
		return list
	end

	local function fails(code, text, value, message, found)
		assert.is_nil(value)
		assert.equal(code, found, message)
		assert.is_truthy(message:find(text, 1, true), message)
		assert.is_truthy(message:find("^docker://" .. fake.host:gsub("%p", "%%%0")), message)
	end

	describe("PAG1: pages", function()
		for _, settings in ipairs({ { pages = "link" }, { pages = "next_page" }, { pages = "link", links = "absolute" } }) do
			it("by " .. settings.pages .. (settings.links and ", absolute" or ""), function()
				settings.page_size = 7
				fake:set(settings)
				local list = add_tags(40)
				assert.same(list, hub:tags(ref("app")))
				local log = fake:log()
				assert.equal(6, #log)
				assert.equal("/v2/app/tags/list", log[1].path)
				if settings.pages == "next_page" then
					assert.is_truthy(log[2].path:find("%%3D$") or log[2].path:find("next_page=", 1, true))
				end
			end)
		end

		it("A9: on another host are not asked for, and get no token", function()
			fake = start({ auth = "token", users = { joe = "secret" } })
			remote.put(fake, "app", image.layout, image.digest, "1")
			hub = remote.client({ credentials = { [fake.host] = { username = "joe", password = "secret" } } })
			local evil = fake:listener({ address = "127.0.0.2", blank = true })
			for _, url in ipairs({ evil.url .. "/v2/app/tags/list?last=x", "//" .. evil.host .. "/v2/app/tags/list",
				"http://localhost:" .. fake.host:match("%d+$") .. "/v2/app/tags/list" }) do
				fake:faults_clear()
				fake:fault({ path = "/tags/list", set = { Link = ('<%s>; rel="next"'):format(url) }, times = 2 })
				fails("EREDIRECT", "next page", hub:tags(ref("app")))
			end
			assert.same({}, evil:log())
		end)
	end)

	describe("PAG2: Link", function()
		it("in every form", function()
			for _, link in ipairs({ "</v2/app/tags/list?last=x>;rel=next",
				'</x>; rel="prev", </v2/app/tags/list?last=x>; rel="next"',
				'</v2/app/tags/list?last=x>; title="a, b; <c>"; REL=next', '</v2/app/tags/list?last=x>; rel="last next"',
				"<list?last=x>; rel=next", "<?last=x>; rel=next" }) do
				fake:faults_clear()
				fake:fault({ path = "/tags/list$", set = { Link = link } })
				fake:forget()
				assert.same({ "1" }, hub:tags(ref("app")))
				assert.same({ "GET app/tags/list 200", "GET app/tags/list?last=x 200" }, lines(), link)
			end
		end)

		it("that is missing is the end, however few or many came", function()
			add_tags(5)
			fake:fault({ path = "/tags/list", set = { Link = false } })
			fake:set({ page_size = 2 })
			assert.same({ "1", "t01" }, hub:tags(ref("app")))
			assert.equal(1, #fake:log())
		end)

		it("of another kind is none", function()
			fake:fault({ path = "/tags/list", set = { Link = '</v2/app/tags/list?last=x>; rel="prev"' } })
			assert.same({ "1" }, hub:tags(ref("app")))
			assert.equal(1, #fake:log())
		end)
	end)

	it("PAG3: the next page is the one of the Link, not the last tag", function()
		fake:quirks("Q5")
		fake:set({ page_size = 3 })
		local list = add_tags(7)
		assert.same(list, hub:tags(ref("app")))
		for _, request in ipairs(fake:log()) do
			assert.is_nil(request.path:find("last=", 1, true))
		end
	end)

	it("PAG4: no n is asked for, and tags are sorted", function()
		fake:quirks("Q13")
		local list = add_tags(5)
		assert.same(list, hub:tags(ref("app")))
		assert.equal("/v2/app/tags/list", fake:log()[1].path)
		fake:quirks("Q4")
		assert.same(list, hub:tags(ref("app")))
	end)

	describe("PAG5: no end of pages:", function()
		it("the same one again", function()
			fake:fault({ path = "/tags/list", set = { Link = '</v2/app/tags/list?last=x>; rel="next"' } })
			fails("EREDIRECT", "itself", hub:tags(ref("app")))
			assert.is_true(#fake:log() <= 3)
		end)

		it("a page that is too large", function()
			fake:fault({ path = "/tags/list", status = 200, body = '{"tags":["' .. ("x"):rep(2 ^ 20) .. '"]}' })
			fails("ELIMIT", "longer than", hub:tags(ref("app")))
		end)
	end)

	it("PAG6: no tags are listed where one is meant", function()
		local img = assert(strata.open(ref("app:1"), { registry = hub }))
		assert(hub:digest(ref("app:1")))
		assert(hub:manifest(ref("app:1")))
		assert(img:save(ref("app:2"), { registry = hub }))
		for _, line in ipairs(lines()) do
			assert.is_nil(line:find("tags/list", 1, true))
		end
	end)

	it("PAG8: a repository that is not there, and one without tags", function()
		fails("ENOENT", "NAME_UNKNOWN", hub:tags(ref("nothing")))
		for _, body in ipairs({ '{"name":"app","tags":null}', '{"name":"app","tags":[]}', '{"name":"app"}' }) do
			fake:faults_clear()
			fake:fault({ path = "/tags/list", status = 200, body = body })
			assert.same({}, hub:tags(ref("app")))
		end
	end)

	it("a list that is none", function()
		for _, body in ipairs({ "<html></html>", "[]x", '"x"', '{"tags":"x"}', '{"tags":[1]}', '{"tags":{"a":"b"}}', "" }) do
			fake:faults_clear()
			fake:fault({ path = "/tags/list", status = 200, body = body })
			fails("EFORMAT", "tags/list", hub:tags(ref("app")))
		end
	end)

	describe("deleting:", function()
		it("DEL: by tag, where the registry can", function()
			add_tags(1)
			assert.is_true(hub:delete(ref("app:t01")))
			assert.same({ ["1"] = image.digest }, fake:tags("app"))
			assert.same({ "DELETE app/manifests/t01 202" }, lines())
		end)

		it("DEL: by digest, with all tags", function()
			add_tags(2)
			assert.is_true(hub:delete(ref("app@" .. image.digest)))
			assert.same({}, fake:tags("app"))
			assert.same({ "DELETE app/manifests/MANIFEST 202" }, lines())
		end)

		it("DEL: a registry that deletes no tags, or nothing", function()
			fake:quirks("Q13")
			fails("EUNSUPPORTED", "does not delete tags", hub:delete(ref("app:1")))
			assert.is_true(hub:delete(ref("app@" .. image.digest)))
			fake:quirks()
			fake:set({ delete = false })
			fails("EUNSUPPORTED", "does not delete manifests", hub:delete(ref("app@" .. image.digest)))
			fails("EUNSUPPORTED", "does not delete tags", hub:delete(ref("app:1")))
		end)

		it("DEL: what is not there", function()
			fails("ENOENT", "404", hub:delete(ref("app:2")))
		end)

		it("DEL: nothing is deleted by a name alone", function()
			assert.has_error(function()
				hub:delete(ref("app"))
			end)
			assert.same({}, lines())
		end)

		it("AUTH18: with a token that allows it", function()
			fake = start({ auth = "token", users = { joe = "secret" } })
			remote.put(fake, "app", image.layout, image.digest, "1")
			hub = remote.client({ credentials = { [fake.host] = { username = "joe", password = "secret" } } })
			assert.is_true(hub:delete(ref("app:1")))
		end)
	end)

	describe("methods:", function()
		it("manifest", function()
			local got = assert(hub:manifest(ref("app:1")))
			assert.equal(fake:get_manifest("app", "1"), got.text)
			assert.same({ image.digest, types.oci.manifest }, { got.digest, got.media_type })
			fails("ENOENT", "404", hub:manifest(ref("app:2")))
		end)

		it("tag: two requests, no blob", function()
			assert.equal(image.digest, hub:tag(ref("app:1"), "2"))
			assert.same({ "GET app/manifests/1 200", "PUT app/manifests/2 201" }, lines())
			assert.equal(image.digest, fake:tags("app")["2"])
			assert.equal(types.oci.manifest, fake:log()[2].headers["content-type"])
			assert.equal(image.digest, hub:tag(ref("app@" .. image.digest), "3"))
			fails("ENOENT", "404", hub:tag(ref("app:x"), "4"))
			for _, tag in ipairs({ "", "a/b", "a b", ".a", ("a"):rep(129), "a\n", "a?b" }) do
				assert.has_error(function()
					hub:tag(ref("app:1"), tag)
				end)
			end
		end)

		it("a bad reference is misuse", function()
			for _, what in ipairs({ "docker://", "docker://h/App", 1, {}, "docker://" .. fake.host }) do
				for _, name in ipairs({ "digest", "manifest", "tags", "delete" }) do
					assert.has_error(function()
						hub[name](hub, what)
					end)
				end
			end
		end)

		it("prints the hosts that it has talked to", function()
			assert.equal("strata.Registry(no host yet)", tostring(hub))
			assert(hub:digest(ref("app:1")))
			assert.equal("strata.Registry(" .. fake.host .. ")", tostring(hub))
		end)

		it("is closed, and does nothing more", function()
			assert(hub:digest(ref("app:1")))
			hub:close()
			hub:close()
			assert.is_false((pcall(hub.digest, hub, ref("app:1"))))
		end)
	end)
end)
