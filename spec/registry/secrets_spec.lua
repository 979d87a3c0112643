-- Takes seconds: not for make check.
--- No secret is shown, AUTH17 of the rules for registries. Everything is asked of registries that authenticate in every
--- way and go wrong in every way; all messages, thrown errors and printed objects are searched.

local hub = require "spec.support.hub"
local registry = require "spec.support.registry"
local registry_object = require "strata.registry"
local strata = require "strata"
local tmp = require "spec.support.tmp"
local url = require "strata.registry.url"

local PASSWORD = "s3cret&pass/word"
local IDENTITY = "s3cret-identity+token"
local GIVEN = "s3cret-given-token"
local ISSUED = "s3cret-issued-token"
local BASIC = "am9lOnMzY3JldCZwYXNzL3dvcmQ=" -- joe and the password
local IDENTITY_BASIC = "PHRva2VuPjpzM2NyZXQtaWRlbnRpdHkrdG9rZW4=" -- <token> and the identity token
local ALL = { PASSWORD, IDENTITY, GIVEN, ISSUED, BASIC, IDENTITY_BASIC, "s3cret" }

-- What a server says that repeats what it was told.
local OF_PASSWORD = ("you are joe:%s, %s, %s"):format(PASSWORD, url.escape(PASSWORD), BASIC)
local OF_IDENTITY = ("you are %s, %s, %s"):format(IDENTITY, url.escape(IDENTITY), IDENTITY_BASIC)

local WAYS = {
	basic = { auth = "basic", entry = { username = "joe", password = PASSWORD }, echo = OF_PASSWORD },
	["a password at a token server"] = { auth = "token", entry = { username = "joe", password = PASSWORD },
		echo = OF_PASSWORD },
	["an identity token"] = { auth = "token", entry = { identity = IDENTITY }, echo = OF_IDENTITY },
	["a token that is given"] = { auth = "token", entry = { token = GIVEN }, echo = "you are " .. GIVEN },
}
local KNOWN = { authorization = "." } -- who was told nothing repeats nothing

local SIGNED = "https://joe:s3cret@127.0.0.2/x?X-Amz-Signature=s3cret-signature"

local function error_body(text)
	return ('{"errors":[{"code":"DENIED","message":"%s","detail":"%s"}]}'):format(text, text)
end

-- Rules for faults.
local function faults(echo)
	return {
		["a wrong password"] = {},
		["a body that repeats them"] = { { path = "/v2/", with = KNOWN, status = 403, body = error_body(echo) } },
		["a 401 that repeats them"] = { { path = "/v2/", with = KNOWN, status = 401, body = error_body(echo),
			headers = { ["WWW-Authenticate"] = 'Bearer realm="/token",service="s",error="invalid_token",error_description="'
				.. echo .. '"' } } },
		["HTML that repeats them"] = { { path = "/v2/", with = KNOWN, status = 500, body = "<h1>" .. echo .. "</h1>" } },
		["a text too long for a message"] = { { path = "/v2/", with = KNOWN, status = 500, body = ("x"):rep(290) .. echo } },
		["a token server that repeats them"] = { { path = "^/token", status = 401, body = error_body(echo) } },
		["a token server that fails"] = { { path = "^/token", status = 500, body = echo } },
		["a token server that breaks off"] = { { path = "^/token", close = "head" } },
		["a token server that redirects"] = { { path = "^/token", redirect = SIGNED } },
		["a token that the registry does not take"] = { { path = "^/token", token = { set = { token = ISSUED } } },
			{ path = "/v2/", with = { authorization = "Bearer" }, status = 401, body = error_body(ISSUED),
				headers = { ["WWW-Authenticate"] = 'Bearer realm="/token",error="' .. ISSUED .. '"' } } },
		["a token with an end of line"] = { { path = "^/token", token = { set = { token = ISSUED .. "\r\nX: y" } } } },
		["a redirect that is refused"] = { { path = "/v2/app/", redirect = SIGNED } },
		["a redirect that leads nowhere"] = { { path = "/v2/app/", redirect = "http://127.0.0.1:1/x?sig=s3cret-signature" } },
		["a redirect to what is refused"] = { { path = "/v2/app/", redirect = "/denied?sig=s3cret-signature" },
			{ path = "^/denied", status = 403, body = echo } },
		["a redirect in circles"] = { { path = "/v2/app/", redirect = "/v2/app/?sig=s3cret-signature" } },
		["a realm that is refused"] = { { path = "/v2/", realm = "http://joe:s3cret@evil.test/token?x=s3cret" } },
		["a Location that is refused"] = { { path = "/uploads/", location = SIGNED } },
		["a Location that breaks off"] = { { path = "/uploads/", location = "{path}&sig=s3cret-signature" },
			{ method = "PUT", close = true } },
		["a page that is refused"] = { { path = "/tags/", set = { Link = "<" .. SIGNED .. '>; rel="next"' } } },
		["a connection that breaks"] = { { path = "/v2/app/", close = true } },
		["an answer that is none"] = { { path = "/v2/app/", raw = "HTTP/1.1 200 OK\r\nX: " .. ISSUED .. "\r\n: \r\n" } },
		["too many requests"] = { { path = "/v2/", with = KNOWN, status = 429, retry_after = 100000, body = echo } },
		["warnings"] = { { path = "/v2/", with = KNOWN, set = { Warning = '299 - "' .. echo .. '"' } } },
	}
end

describe("secrets:", function()
	local started, shown

	before_each(function()
		started, shown = {}, {}
	end)

	after_each(function()
		for _, one in ipairs(started) do
			one:stop()
		end
	end)

	local function show(value)
		if type(value) == "table" and getmetatable(value) == nil then
			for name, one in pairs(value) do
				show(name)
				show(one)
			end
		end
		shown[#shown + 1] = tostring(value)
	end

	-- Shows all that a call returns or throws.
	local function try(fn, ...)
		local got = { pcall(fn, ...) }
		for i = 2, 4 do
			show(got[i])
		end
		return got[1] and got[2] or nil
	end

	local function assert_clean()
		assert.truthy(#shown > 10)
		local text = table.concat(shown, "\n")
		for _, secret in ipairs(ALL) do
			assert.falsy(text:find(secret, 1, true), text)
		end
		assert.falsy(text:find("strata%-%x%x%x%x%x%x%x%x"), text) -- the registry's tokens
		assert.falsy(text:find("_state=", 1, true), text)
		return text
	end

	-- All that can be asked of a registry.
	local function do_everything(reference, with)
		local opts = { registry = with, progress = function(...)
			show({ ... })
		end }
		local image = assert(strata.new())
		assert(image:append({ files = { ["etc/hello"] = "hello" } }))
		try(image.save, image, reference, opts)
		local opened = try(strata.open, reference, opts)
		if opened then
			try(opened.read, opened, "etc/hello")
			try(opened.verify, opened)
			try(opened.save, opened, reference .. "b", opts)
			show(opened)
			opened:close()
		end
		for _, method in ipairs({ "digest", "manifest", "rate", "delete" }) do
			try(with[method], with, reference)
		end
		try(with.tag, with, reference, "other")
		try(with.tags, with, (reference:gsub(":%w+$", "")))
		show(with)
		show(registry_object.client_of(with):session(reference:match("//([^/]+)")).warnings)
	end

	local function new_hub(options)
		local with = assert(strata.registry(options))
		hub.skip_time(registry_object.client_of(with))
		return with
	end

	for name, way in pairs(WAYS) do
		it("AUTH17 " .. name .. " is in nothing that is shown, whatever goes wrong", function()
			local all = faults(way.echo)
			if way.entry.token then
				all["a token that the registry does not take"] = nil -- none is issued
			end
			for fault, rules in pairs(all) do
				local known = fault ~= "a wrong password"
				local one = registry.start({ auth = way.auth, users = { joe = known and PASSWORD or "other" },
					identities = { [known and IDENTITY or "other"] = "joe" } })
				started[#started + 1] = one
				for _, rule in ipairs(rules) do
					one:fault(rule)
				end
				local with = new_hub({ credentials = { [one.host] = way.entry }, system = false, retries = 1 })
				do_everything("docker://" .. one.host .. "/app:1", with)
				with:close()
				one:stop()
				table.remove(started)
			end
			local text = assert_clean()
			assert.truthy(text:find("***", 1, true)) -- they were repeated
		end)
	end

	it("AUTH17 the password of a proxy is in no message", function()
		local with = new_hub({ credentials = {}, system = false, retries = 0, proxy = "http://joe:s3cret@127.0.0.1:1" })
		do_everything("docker://registry.test/app:1", with)
		with:close()
		with = new_hub({ credentials = {}, system = false, retries = 0, proxy = "http://joe:s3cret@nowhere.invalid:1" })
		do_everything("docker://registry.test/app:1", with)
		with:close()
		assert_clean()
	end)

	it("AUTH17 entries that are none are not repeated", function()
		for _, entry in ipairs({ { username = "joe", passwort = "s3cret" }, { token = "s3cret token" }, "s3cret",
			{ token = "s3cret\r\nX: y" }, { username = "joe", password = { "s3cret" } }, { "joe", "s3cret" } }) do
			local ok, message = pcall(strata.registry, { credentials = { ["127.0.0.1:1"] = entry } })
			assert.is_false(ok)
			show(message)
		end
		local ok, message = pcall(strata.registry, { credentials = "s3cret" })
		assert.is_false(ok)
		show(message)
		assert.equal(7, #shown)
		assert.falsy(table.concat(shown, "\n"):find("s3cret", 1, true))
	end)

	it("AUTH17 files that are broken are not repeated", function()
		local one = registry.start({ auth = "basic", users = { joe = PASSWORD } })
		started[#started + 1] = one
		local home = tmp.dir()
		for _, text in ipairs({ '{"auths":{"' .. one.host .. '":{"auth":"s3cret!"}}}', '{"auths":{"x":s3cret}}',
			'{"auths":{"' .. one.host .. '":{"registrytoken":"s3cret token"}}}', '{"auths":["s3cret"]}', "s3cret" }) do
			home:write("config.json", text)
			local client = hub.new({ environment = { DOCKER_CONFIG = home.path }, credentials = "docker", retries = 0 })
			local got = hub.send(client, one, "GET", "/v2/app/manifests/1", { scopes = { "repository:app:pull" } })
			assert.is_nil(got.status)
			for i = 1, 4 do
				show(got)
				shown[i] = shown[i] or got.message
			end
			client:close()
		end
		home:remove()
		assert_clean()
	end)

	it("AUTH17 a reference with a password is refused, and not repeated", function()
		for _, reference in ipairs({ "docker://joe:s3cret@127.0.0.1:1/app:1", "docker://joe:s3cret@/app" }) do
			local with = new_hub({ credentials = {}, system = false, retries = 0 })
			for _, method in ipairs({ "digest", "manifest", "tags", "delete" }) do
				try(with[method], with, reference)
			end
			try(strata.open, reference, { registry = with })
			try(strata.new().save, strata.new(), reference, { registry = with })
			with:close()
		end
		assert_clean()
	end)
end)
