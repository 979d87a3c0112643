-- Takes seconds: not for make check.
--- Credentials: where they are looked up, in which order, and that no message has any.

local base64 = require "strata.util.base64"
local child = require "spec.support.child"
local credentials = require "strata.registry.credentials"
local helper = require "strata.registry.credential_helper"
local json = require "strata.util.json"
local random = require "spec.support.random"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

-- All passwords and tokens of this file begin so; what must not show is looked for by that.
local SECRET = "s3cr3t"

local unpack = table.unpack or unpack

-- What was said in all specs, for the last one.
local said = {}

local function hear(...)
	for i = 1, select("#", ...) do
		said[#said + 1] = tostring((select(i, ...)))
	end
	return ...
end

-- An environment without anything of the machine's.
local function environment(dir, more)
	local names = { HOME = dir:file("home"), XDG_RUNTIME_DIR = dir:file("run") }
	for name, value in pairs(more or {}) do
		names[name] = value
	end
	return names
end

local function auth(user, password)
	return base64.encode(user .. ":" .. password)
end

local function write(dir, path, document)
	shell.check({ "mkdir", "-p", (dir:file(path):match("^(.*)/")) })
	dir:write(path, type(document) == "string" and document or json.encode(document, "object"))
end

describe("credentials", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function find(host, repository, settings, more)
		settings = settings or {}
		settings.credentials = settings.credentials or "docker"
		settings.environment = environment(dir, more)
		local keyring = credentials.new(settings)
		local found, message, code = keyring:find(host, repository)
		hear(message, keyring, unpack(keyring.notes))
		return found, message, code, keyring.notes
	end

	-- The user name that is found when Docker's file has these entries.
	local function user_of(auths, host, repository)
		write(dir, "home/.docker/config.json", { auths = auths })
		local found = find(host, repository)
		return found and found.username
	end

	local function entry(user)
		return { auth = auth(user, SECRET) }
	end

	describe("given by a script", function()
		it("CRED1 come first", function()
			write(dir, "home/.docker/config.json", { auths = { ["a.example"] = entry("file") } })
			local given = { ["a.example"] = { username = "joe", password = SECRET } }
			assert.same({ username = "joe", password = SECRET }, find("a.example", "x", { credentials = given, files = true }))
			assert.equal("file", find("a.example", "x", { credentials = {}, files = true }).username)
			assert.is_nil((find("a.example", "x", { credentials = {} })))
		end)

		it("CRED1 are tokens as well, and have hosts with ports and namespaces", function()
			local given = {
				["A.example:5000"] = { token = SECRET }, ["b.example/x"] = { identity = SECRET }, ["c.example"] = false,
			}
			assert.same({ bearer = SECRET }, find("a.example:5000", "x", { credentials = given }))
			assert.same({ identity = SECRET }, find("b.example", "x/y", { credentials = given }))
			assert.is_nil((find("b.example", "xy", { credentials = given })))
			assert.is_nil((find("a.example", "x", { credentials = given })))
		end)

		it("CRED1 may be none, whatever the files have", function()
			write(dir, "home/.docker/config.json", { auths = { ["c.example"] = entry("file") } })
			assert.is_nil((find("c.example", "x", { credentials = { ["c.example"] = false }, files = true })))
		end)

		it("CRED1 throw when they are none", function()
			for _, bad in ipairs { {}, { username = SECRET }, { password = SECRET }, { token = SECRET .. "\r\nX: y" }, true,
				SECRET } do
				local ok, message = pcall(credentials.find, "a.example", "x", { credentials = { ["a.example"] = bad } })
				assert.is_false(ok)
				assert.truthy(hear(message):find("credentials of 'a.example'", 1, true))
			end
			hear(select(2, assert.has_error(function() credentials.new { credentials = SECRET } end)))
		end)
	end)

	it("CRED8 are looked for in no file unasked", function()
		write(dir, "home/.docker/config.json", { auths = { ["a.example"] = entry("file") } })
		assert.is_nil((credentials.find("a.example", "x", { environment = environment(dir) })))
		assert.is_nil((credentials.find("a.example", "x")))
	end)

	it("CRED2 CRED3 are looked for in podman's order", function()
		local more = { REGISTRY_AUTH_FILE = dir:file("named.json"), XDG_CONFIG_HOME = dir:file("xdg"),
			DOCKER_CONFIG = dir:file("docker"),
			DOCKER_AUTH_CONFIG = json.encode { auths = { ["a.example"] = entry("2 in the environment") } } }
		write(dir, "named.json", { auths = { ["a.example"] = entry("1 named") } })
		write(dir, "run/containers/auth.json", { auths = { ["a.example"] = entry("3 of the session") } })
		write(dir, "xdg/containers/auth.json", { auths = { ["a.example"] = entry("4 named config") } })
		write(dir, "home/.config/containers/auth.json", { auths = { ["a.example"] = entry("5 config") } })
		write(dir, "docker/config.json", { auths = { ["a.example"] = entry("6 named docker") } })
		write(dir, "home/.docker/config.json", { auths = { ["a.example"] = entry("7 docker") } })
		write(dir, "home/.dockercfg", { ["https://a.example/v1/"] = entry("8 old docker") })
		local found = {}
		for _, take_away in ipairs { function() os.remove(dir:file("named.json")) end,
			function() more.DOCKER_AUTH_CONFIG = "" end, function() os.remove(dir:file("run/containers/auth.json")) end,
			function() os.remove(dir:file("xdg/containers/auth.json")) more.XDG_CONFIG_HOME = nil end,
			function() os.remove(dir:file("home/.config/containers/auth.json")) end,
			function() os.remove(dir:file("docker/config.json")) more.DOCKER_CONFIG = nil end,
			function() os.remove(dir:file("home/.docker/config.json")) end,
			function() os.remove(dir:file("home/.dockercfg")) end } do
			found[#found + 1] = find("a.example", "x", {}, more).username:sub(1, 1)
			take_away()
		end
		assert.equal("12345678", table.concat(found))
		assert.is_nil((find("a.example", "x", {}, more)))
	end)

	it("CRED2 pass over files without the host", function()
		write(dir, "run/containers/auth.json", { auths = { ["b.example"] = entry("other") } })
		write(dir, "home/.docker/config.json", { auths = { ["a.example"] = entry("joe") } })
		assert.equal("joe", find("a.example", "x").username)
	end)

	describe("of an entry", function()
		local ENTRIES = {
			{ "CRED4 auth", { auth = auth("joe", SECRET) }, { username = "joe", password = SECRET } },
			{ "CRED4 a password with colons", { auth = auth("joe", SECRET .. ":a:b") },
				{ username = "joe", password = SECRET .. ":a:b" } },
			{ "CRED4 a password with NULs behind it", { auth = auth("joe", SECRET .. "\0\0") },
				{ username = "joe", password = SECRET } },
			{ "CRED4 an auth with a line end", { auth = auth("joe", SECRET) .. "\n" }, { username = "joe", password = SECRET } },
			{ "CRED4 username and password", { username = "joe", password = SECRET, email = "x" },
				{ username = "joe", password = SECRET } },
			{ "CRED4 username and password beside an empty auth", { username = "joe", password = SECRET, auth = "" },
				{ username = "joe", password = SECRET } },
			{ "CRED4 identitytoken", { auth = auth("joe", ""), identitytoken = SECRET }, { identity = SECRET } },
			{ "AUTH15 registrytoken", { registrytoken = SECRET }, { bearer = SECRET } },
			{ "CRED4 an empty one", {}, nil },
			{ "CRED4 null", { auth = json.null }, nil },
		}
		for _, row in ipairs(ENTRIES) do
			it(row[1], function()
				write(dir, "home/.docker/config.json", { auths = { ["a.example"] = json.object(row[2]) } })
				local found, message = find("a.example", "x")
				assert.same(row[3], found)
				assert.is_nil(message)
			end)
		end

		local BROKEN = {
			{ "no Base64", { auth = SECRET .. "!" } },
			{ "Base64 without its padding", { auth = (auth("joe", SECRET):gsub("=", "")) } },
			{ "Base64 without a colon", { auth = base64.encode(SECRET) } },
			{ "a registrytoken with line ends", { registrytoken = SECRET .. "\r\nX: y" } },
			{ "a string instead of an object", SECRET },
		}
		for _, row in ipairs(BROKEN) do
			it("CRED4 an error with the file and the host for " .. row[1], function()
				write(dir, "home/.docker/config.json", { auths = { ["a.example"] = row[2], ["b.example"] = entry("joe") } })
				local found, message, code = find("a.example", "x")
				assert.is_nil(found)
				assert.equal("EFORMAT", code)
				assert.truthy(message:find("config.json", 1, true) and message:find("a.example", 1, true), message)
			end)

			it("CRED4 none of a neighbour's business: " .. row[1], function()
				write(dir, "home/.docker/config.json", { auths = { ["a.example"] = row[2], ["b.example"] = entry("joe") } })
				assert.equal("joe", find("b.example", "x").username)
			end)
		end
	end)

	describe("by key", function()
		for _, key in ipairs { "a.example:5000", "https://a.example:5000", "https://a.example:5000/v1/",
			"http://a.example:5000/", "A.Example:5000", "HTTPS://A.example:5000/v2/", "a.example:5000/v1/" } do
			it("CRED5 " .. key, function()
				assert.equal("joe", user_of({ [key] = entry("joe") }, "a.example:5000", "x"))
			end)
		end

		for _, key in ipairs { "a.example", "a.example:5001", "xa.example:5000", "a.example:5000.evil", "example:5000",
			"https://evil/a.example:5000", "*" } do
			it("CRED5 not " .. key, function()
				assert.is_nil(user_of({ [key] = entry("joe") }, "a.example:5000", "x"))
			end)
		end

		for _, key in ipairs { "https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io", "docker.io",
			"https://registry-1.docker.io/v2/" } do
			it("CRED5 docker.io as " .. key, function()
				assert.equal("joe", user_of({ [key] = entry("joe") }, "docker.io", "library/alpine"))
				assert.equal("joe", user_of({ [key] = entry("joe") }, "registry-1.docker.io", "library/alpine"))
			end)
		end

		it("CRED5 as it is before other spellings", function()
			assert.equal("right", user_of({ ["https://a.example"] = entry("x"), ["a.example"] = entry("right"),
				["http://a.example"] = entry("y") }, "a.example", "x"))
		end)

		it("CRED6 of namespaces, longest first", function()
			local auths = { ["quay.io"] = entry("host"), ["quay.io/a"] = entry("a"), ["quay.io/a/b"] = entry("a/b") }
			assert.equal("a/b", user_of(auths, "quay.io", "a/b"))
			assert.equal("a/b", user_of(auths, "quay.io", "a/b/c"))
			assert.equal("a", user_of(auths, "quay.io", "a/bc"))
			assert.equal("a", user_of(auths, "quay.io", "a"))
			assert.equal("host", user_of(auths, "quay.io", "ab"))
			assert.equal("host", user_of(auths, "quay.io", nil))
		end)

		it("CRED6 of a namespace, which is nobody else's", function()
			assert.is_nil(user_of({ ["quay.io/a"] = entry("a") }, "quay.io", "b"))
			assert.is_nil(user_of({ ["quay.io/a"] = entry("a") }, "quay.io", nil))
		end)
	end)

	describe("in a file", function()
		local BROKEN = {
			{ "that is no JSON", '{"auths": {"a.example": {"auth": "' .. SECRET .. '"', "EFORMAT" },
			{ "that is an array", '["' .. SECRET .. '"]', "EFORMAT" },
			{ "that is a string", '"' .. SECRET .. '"', "EFORMAT" },
			{ "whose auths are none", { auths = SECRET }, "EFORMAT" },
			{ "whose helpers are none", { credHelpers = SECRET }, "EFORMAT" },
			{ "of more than a MiB", '{"x":"' .. SECRET .. (" "):rep(1048576) .. '"}', "ELIMIT" },
		}
		for _, row in ipairs(BROKEN) do
			it("CRED9 an error for one " .. row[1], function()
				write(dir, "run/containers/auth.json", row[2])
				local found, message, code = find("a.example", "x")
				assert.is_nil(found)
				assert.equal(row[3], code)
				assert.truthy(message:find("auth.json", 1, true), message)
			end)
		end

		for name, document in pairs { ["an empty one"] = "", ["blanks"] = "\n", ["an empty object"] = "{}",
			["nothing that is known"] = '{"HttpHeaders":{"X":"y"},"proxies":{}}', ["null"] = '{"auths":null,"credHelpers":null}',
			["an empty array"] = '{"auths":[]}' } do
			it("CRED9 CRED10 none for " .. name, function()
				write(dir, "home/.docker/config.json", document)
				assert.same({ n = 4, nil, nil, nil, {} }, { n = 4, find("a.example", "x") })
			end)
		end

		it("CRED2 none for a directory, and for the old form of the oldest file", function()
			shell.check({ "mkdir", "-p", dir:file("home/.docker/config.json") })
			write(dir, "home/.dockercfg", "auth = " .. SECRET .. "\nemail = x\n")
			assert.same({ n = 4, nil, nil, nil, {} }, { n = 4, find("a.example", "x") })
		end)

		it("CRED9 are read once", function()
			write(dir, "home/.docker/config.json", { auths = { ["a.example"] = entry("joe") } })
			local keyring = credentials.new { credentials = "docker", environment = environment(dir) }
			assert.equal("joe", keyring:find("a.example").username)
			os.remove(dir:file("home/.docker/config.json"))
			assert.equal("joe", keyring:find("a.example").username)
		end)
	end)

	-- ---- helpers, which are found by PATH: each is run by a Lua of its own

	local function write_helper(name, script)
		dir:write("docker-credential-" .. name, "#!/bin/sh\n" .. script)
		shell.check({ "chmod", "+x", dir:file("docker-credential-" .. name) })
	end

	-- What a keyring finds with the helpers of the directory in PATH, as JSON.
	local SCRIPT = [[
local credentials, json = require "strata.registry.credentials", require "strata.util.json"
if arg[4] ~= "" then ngx = {} end
local keyring = credentials.new { credentials = "docker", helpers = arg[3] ~= "", environment =
	{ HOME = arg[1] .. "/home", XDG_RUNTIME_DIR = arg[1] .. "/run" } }
local found, message, code = keyring:find(arg[2], "a/b")
print(json.encode { found = found or json.null, message = message or json.null, code = code or json.null,
	notes = json.array(keyring.notes) })
]]

	local function run(script, arguments)
		local done = child.run({
			script = script, arguments = arguments, env = { PATH = dir.path .. ":" .. shell.PATH },
		})
		assert.equal(0, done.status, done.stderr)
		return done.stdout
	end

	local function ask(host, options)
		options = options or {}
		local answer = json.decode(run(SCRIPT, {
			dir.path, host, options.helpers == false and "" or "1", options.nginx and "1" or "",
		}))
		for _, key in ipairs { "found", "message", "code" } do
			answer[key] = json.or_nil(answer[key])
		end
		hear(answer.message, unpack(answer.notes))
		return answer
	end

	local function answer_of(user, secret)
		return ("printf '{\"ServerURL\":\"x\",\"Username\":\"%s\",\"Secret\":\"%s\"}'\n"):format(user, secret)
	end

	local function use_helper(name, host)
		write(dir, "home/.docker/config.json", { credHelpers = { [host or "a.example"] = name } })
	end

	it("CRED7 of a helper, which reads the host", function()
		write_helper("spec", 'read -r host; [ "$1 $host" = "get a.example:5000" ] || exit 9\n' .. answer_of("joe", SECRET))
		use_helper("spec", "a.example:5000")
		assert.same({ username = "joe", password = SECRET }, ask("a.example:5000").found)
		assert.is_nil(ask("b.example").found)
	end)

	it("CRED7 of a helper that knows an identity token", function()
		write_helper("spec", answer_of("<token>", SECRET))
		use_helper("spec")
		assert.same({ identity = SECRET }, ask("a.example").found)
	end)

	it("CRED7 of the helper of all hosts, unless the host has its own", function()
		write_helper("all", answer_of("all", SECRET))
		write_helper("own", answer_of("own", SECRET))
		write(dir, "home/.docker/config.json", { credsStore = "all", credHelpers = { ["a.example"] = "own" },
			auths = { ["a.example"] = json.object(), ["b.example"] = entry("file") } })
		assert.equal("own", ask("a.example").found.username)
		assert.equal("all", ask("b.example").found.username)
	end)

	it("CRED7 of docker.io by the name that Docker's helpers have for it", function()
		write_helper("spec", 'read -r host\nprintf \'{"Username":"%s","Secret":"' .. SECRET .. '"}\' "$host"\n')
		write(dir, "home/.docker/config.json", { credsStore = "spec" })
		assert.equal("https://index.docker.io/v1/", ask("docker.io").found.username)
		write(dir, "run/containers/auth.json", { credHelpers = { ["docker.io"] = "spec" } })
		assert.equal("docker.io", ask("docker.io").found.username)
	end)

	it("CRED7 none when the helper has none, and then those of the file", function()
		write_helper("spec", "echo 'credentials not found in native keychain'; exit 1\n")
		use_helper("spec")
		local answer = ask("a.example")
		assert.same({ nil, nil }, { answer.found, answer.message })
		write(dir, "home/.docker/config.json", { credsStore = "spec", auths = { ["a.example"] = entry("file") } })
		assert.equal("file", ask("a.example").found.username)
	end)

	local FAILING = {
		{ "fails", "echo " .. SECRET .. "; echo " .. SECRET .. " >&2; exit 3", "EAUTH", "status 3" },
		{ "prints no JSON", "echo " .. SECRET, "EFORMAT", "no JSON" },
		{ "prints other JSON", "echo '{\"Secret\":\"" .. SECRET .. "\"}'", "EFORMAT", "no JSON" },
		{ "prints too much", "exec yes " .. SECRET, "ELIMIT", "65536 bytes" },
		{ "prints nothing", "exit 0", "EFORMAT", "no JSON" },
	}
	for _, row in ipairs(FAILING) do
		it("CRED7 an error when the helper " .. row[1], function()
			write_helper("spec", row[2] .. "\n")
			use_helper("spec")
			local answer = ask("a.example")
			assert.is_nil(answer.found)
			assert.equal(row[3], answer.code)
			assert.truthy(answer.message:find(row[4], 1, true), answer.message)
			assert.truthy(answer.message:find("docker-credential-spec", 1, true))
		end)
	end

	it("CRED7 an error when there is no such helper", function()
		use_helper("missing")
		assert.equal("ENOENT", ask("a.example").code)
	end)

	it("CRED7 an error when the helper takes too long, and no waiting for what it leaves running", function()
		write_helper("spec", "exec 2>/dev/null\nsetsid sleep 60 &\nsleep 60\n")
		local started = os.time()
		local output = run([[
print(select(2, require "strata.registry.credential_helper".get("spec", "a.example", 1)))
]])
		assert.equal("docker-credential-spec: it took too long\tETIMEDOUT\n", output)
		assert(os.time() - started < 30)
	end)

	it("CRED8 A28 of no helper unasked, which is said", function()
		write_helper("spec", "touch " .. shell.quote(dir:file("was-run")) .. "\n" .. answer_of("joe", SECRET))
		write(dir, "home/.docker/config.json", { credsStore = "spec", auths = { ["a.example"] = entry("file") } })
		local answer = ask("a.example", { helpers = false })
		assert.equal("file", answer.found.username)
		assert.equal(1, #answer.notes)
		assert.truthy(answer.notes[1]:find("helpers = true", 1, true))
		answer = ask("a.example", { nginx = true })
		assert.equal("file", answer.found.username)
		assert.is_nil(io.open(dir:file("was-run")))
	end)

	for _, name in ipairs { "../../bin/sh", "a/b", "a b", "a;touch x", "$(touch x)", "a'b", "a\nb", "-\0", ("a"):rep(65),
		"`x`" } do
		it(("A27 of no helper that is called %q"):format(name), function()
			assert.is_false(helper.is_name(name))
			use_helper(name)
			local answer = ask("a.example")
			assert.is_nil(answer.found)
			assert.equal("EINVAL", answer.code)
		end)
	end

	for _, name in ipairs { "ecr-login", "osxkeychain", "pass", "a.b_c" } do
		it("CRED7 helpers can be called " .. name, function()
			assert.is_true(helper.is_name(name))
		end)
	end

	it("A27 a name that is no string is none", function()
		assert.is_false(helper.is_name(1))
		write(dir, "home/.docker/config.json", '{"credsStore":["x"]}')
		assert.equal("EINVAL", ask("a.example").code)
	end)

	it("A20 the server is one word of the command", function()
		write_helper("spec", 'read -r host\nprintf \'{"Username":"%s","Secret":"x"}\' "$host"\n')
		use_helper("spec", "a'$(touch x);b")
		assert.equal("a'$(touch x);b", ask("a'$(touch x);b").found.username)
		assert.is_nil((helper.get("spec", "a\nb")))
	end)

	it("AUTH14 make the header of basic authentication", function()
		assert.equal("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
			credentials.basic { username = "Aladdin", password = "open sesame" })
	end)

	it("CRED4 CRED9 are looked for in any file without a throw", function()
		local pieces = { "{", "}", "[", "]", ":", ",", '"auths"', '"a.example"', '"auth"', '"' .. auth("joe", SECRET) .. '"',
			'"' .. SECRET .. '"', "null", "1", '"credHelpers"', '"credsStore"', '"identitytoken"', " ", '{"auths":',
			'{"a.example":', '{"auth":', "}}}", '"https://a.example/v1/"', "\0", "\255" }
		local names = environment(dir)
		random.each(400, function(number)
			names.DOCKER_AUTH_CONFIG = random.text(number, pieces, 14)
			local found, message, code = credentials.find("a.example", "x", { credentials = "docker", environment = names })
			hear(message)
			assert(found == nil or next(found) and not message)
			assert((message == nil) == (code == nil))
		end)
	end)

	it("AUTH17 are in no message of all these specs", function()
		assert(#said > 50, #said)
		local all = table.concat(said, "\n")
		for _, secret in ipairs { SECRET, base64.encode(SECRET):sub(1, 6), auth("joe", SECRET):sub(1, 10) } do
			assert.is_nil(all:find(secret, 1, true))
		end
	end)
end)

describe("Base64", function()
	local ROWS = { [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==", ["\0\255\254"] = "AP/+" }
	for bytes, text in pairs(ROWS) do
		it(("is written and read as RFC 4648 has it: %q"):format(text), function()
			assert.equal(text, base64.encode(bytes))
			assert.equal(bytes, base64.decode(text))
		end)
	end
end)
