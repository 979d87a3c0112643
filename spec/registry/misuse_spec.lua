-- What is wrong with options and references of registries is told at the caller's line, before anything is asked, in a
-- message that begins with the function that was called.

local specimens = require "spec.support.specimens"
local strata = require "strata"

local REF = "docker://127.0.0.1:1/app:1"
local DIGEST = "sha256:" .. ("0"):rep(64)

describe("misuse of registries:", function()
	local specimen, img

	setup(function()
		specimen = specimens.new()
		img = assert(strata.open(specimen.app))
	end)

	teardown(function()
		img:close()
		specimen:close()
	end)

	local function throws(words, fn)
		local ok, message = pcall(fn)
		assert.is_false(ok)
		assert.matches("^spec/registry/misuse_spec.lua:%d+: ", message)
		assert.equal(words, (message:gsub("^[^:]*:%d+: ", "")))
	end

	local function client(words, options)
		throws("registry: " .. words, function()
			return (strata.registry(options))
		end)
	end

	it("credentials", function()
		client("credentials of 'reg.test': the password is missing", { credentials = { ["reg.test"] = { username = "a" } } })
		client("credentials of 'reg.test': the username is missing", { credentials = { ["reg.test"] = { password = "a" } } })
		client("credentials['reg.test'] has no field 'user', only identity, password, token, username",
			{ credentials = { ["reg.test"] = { user = "a", password = "b" } } })
		client("credentials: 'docker://reg.test' is no host, nor host/namespace",
			{ credentials = { ["docker://reg.test"] = { token = "a" } } })
		client("credentials: '...@reg.test' is no host, nor host/namespace",
			{ credentials = { ["joe:secret@reg.test"] = false } })
		client('credentials should be a table or "docker", not a string', { credentials = "podman" })
		client("credentials['reg.test'].password should be a string, not a number",
			{ credentials = { ["reg.test"] = { username = "a", password = 1234 } } })
		for _, key in ipairs({ "reg.test", "reg.test:5000/team/app", "https://index.docker.io/v1/", "[::1]:5000" }) do
			assert(strata.registry({ credentials = { [key] = { username = "a", password = "" } } })):close()
		end
	end)

	it("hosts", function()
		client("hosts: 'https://reg.test' begins with a scheme, and a host alone is wanted",
			{ hosts = { ["https://reg.test"] = {} } })
		client("hosts: 'Reg.test' is not in lower case", { hosts = { ["Reg.test"] = {} } })
		client("mirrors: 'reg.test/hub' is no host", { mirrors = { ["reg.test/hub"] = {} } })
		client("mirrors: 'index.docker.io' is docker.io in references", { mirrors = { ["index.docker.io"] = {} } })
	end)

	it("expect", function()
		for _, wrong in ipairs({ "latest", "sha256:abc", "" }) do
			local words = ("expect should be a digest such as sha256:0123… or false, not '%s'"):format(wrong)
			throws("save: " .. words, function()
				return (img:save(REF, { expect = wrong }))
			end)
			throws("copy: " .. words, function()
				return (strata.copy(specimen.app, REF, { expect = wrong }))
			end)
			throws("plan: " .. words, function()
				return (img:plan({ to = REF, expect = wrong }))
			end)
		end
	end)

	it("references, as sources and as targets", function()
		local bad, words = "docker://reg.test/Team/app", "docker://reg.test/Team/app: the repository has to be in lower case"
		for name, fn in pairs({
			open = function() return (strata.open(bad)) end,
			images = function() return (strata.images(bad)) end,
			open_index = function() return (strata.open_index(bad)) end,
			copy = function() return (strata.copy(specimen.app, bad)) end,
			save = function() return (img:save(bad)) end,
			plan = function() return (img:plan({ to = bad })) end,
		}) do
			throws(name .. ": " .. words, fn)
		end
		throws("copy: " .. words, function()
			return (strata.copy(bad, specimen.dir:file("never")))
		end)
		throws("save: " .. words, function()
			return (strata.save({ img }, bad))
		end)
	end)

	it("what makes no sense together", function()
		throws("plan: a reference is wanted, as docker://host/app:1, and not 'app.tar'", function()
			return (img:plan({ to = "app.tar" }))
		end)
		throws("copy: a registry has no format; leave the option out", function()
			return (strata.copy(specimen.app, REF, { format = "oci" }))
		end)
		throws("plan: 'a b' is no tag", function()
			return (img:plan({ to = REF, tags = { "a b" } }))
		end)
		throws("plan: expect is about a tag, and there is none", function()
			return (img:plan({ to = "docker://127.0.0.1:1/app@" .. DIGEST, expect = false }))
		end)
		throws("copy: referrers go with all that is copied, and not with one image", function()
			return (strata.copy(REF, REF, { platform = "linux/amd64", referrers = true }))
		end)
	end)
end)
