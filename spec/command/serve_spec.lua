-- Takes seconds: not for make check.
-- strata serve: the explorer from the command line.

local nginx = require "spec.support.nginx"
local ports = require "spec.support.ports"
local shell = require "spec.support.shell"
local terminal = require "spec.support.terminal"
local tmp = require "spec.support.tmp"

local dir, env, port

setup(function()
	dir = tmp.dir()
	env = { PATH = shell.PATH }
	port = ports.free()
end)

teardown(function()
	dir:remove()
end)

local function need_nginx()
	local reason = nginx.missing()
	if reason then
		pending(reason)
	end
end

local function serve(words, more)
	local command = { "bin/strata", "serve", env = more or env }
	for _, word in ipairs(words) do
		command[#command + 1] = word
	end
	return shell.run(command)
end

describe("strata serve", function()
	it("says where it is once it answers, and ends with Ctrl-C and nothing left behind", function()
		need_nginx()
		local asked = dir:file("asked")
		local script = [[bin/strata serve --port "$1" "$2" | { read line; echo "$line"
			curl -s -o /dev/null -w '%{http_code}\n' "http://127.0.0.1:$1/images" >"$3"; echo asked; cat; }; echo "ended"]]
		local list, status = terminal.run({
			argv = { "sh", "-c", "trap : INT; " .. script, "sh", tostring(port), dir:file("images"), asked },
			steps = {}, wait = "asked\n$", ending = "\3", env = env,
		})
		assert.matches("http://127%.0%.0%.1:" .. port .. "/ shows the images in " .. dir:file("images"):gsub("%p", "%%%0"),
			list[1])
		assert.equal("200\n", shell.read(asked))
		assert.equal(0, status)
		assert.matches("^%^C\n?ended\n$", list[2])
		assert.equal("", shell.sh("pgrep -f 'serve[ ]--port " .. port .. "' || :"))
		assert.equal(7, shell.run({ "curl", "-s", "http://127.0.0.1:" .. port .. "/" }).status)
	end)

	it("wants a directory", function()
		local done = serve({ dir:write("file", "") })
		assert.same({ 2, "", ("strata: %s: Not a directory\n"):format(dir:file("file")) },
			{ done.status, done.stdout, done.stderr })
	end)

	it("says in one line what keeps it from starting, with status 2", function()
		need_nginx()
		local server = nginx.start({ directory = dir:file("served") })
		local done = serve({ "--port", server.port, dir:file("other") })
		server:stop()
		assert.same({ 2, "", "strata: port " .. server.port .. " is in use\n" }, { done.status, done.stdout, done.stderr })
		done = serve({ "--bind", "192.0.2.1", "--port", tostring(port), dir:file("other") })
		assert.same({ 2, "strata: 192.0.2.1 is no address of this machine\n" }, { done.status, done.stderr })
	end)

	it("refuses what is no port and no address", function()
		local done = serve({ "--port", "http" })
		assert.same({ 2, "strata: serve: 'http' is no whole number from 1 on (strata serve --help)\n" },
			{ done.status, done.stderr })
		assert.matches("'localhost' is no IP address", serve({ "--bind", "localhost" }).stderr)
	end)

	it("says what to install where nginx or its Lua is missing", function()
		local bin = dir:file("bin")
		shell.sh([[mkdir -p "$1" && for name in env sh lua5.4 dirname readlink setpriv; do
			ln -s "$(PATH=$2 command -v $name)" "$1"; done]], bin, shell.PATH)
		-- run itself looks in sbin, too
		local run = shell.read("examples/openresty/run"):gsub("PATH=%$PATH:[^\n]*", "PATH=" .. bin, 1)
		shell.sh([[mkdir -p "$1/bin" "$1/lua" "$1/examples/openresty" && ln -s "$PWD/lua/strata" "$1/lua" &&
			cp bin/strata "$1/bin"]], dir:file("tree"))
		shell.write(dir:file("tree/examples/openresty/run"), run)
		shell.sh([[chmod +x "$1/examples/openresty/run"]], dir:file("tree"))
		local build = shell.sh('realpath "$1"', os.getenv("STRATA_BUILD") or "build"):match("[^\n]+")
		local done = shell.run({ bin .. "/env", "-i", "PATH=" .. bin, "STRATA_BUILD=" .. build, bin .. "/lua5.4",
			dir:file("tree/bin/strata"), "serve" })
		assert.same({ 2, "strata: nginx is not installed (Debian: nginx-light libnginx-mod-http-lua)\n" },
			{ done.status, done.stderr })
		local more = { PATH = shell.PATH, STRATA_NGINX_MODULES = "/nowhere" }
		if shell.which("nginx") then
			done = serve({}, more)
			assert.equal("strata: there is no /nowhere/ngx_http_lua_module.so (Debian: libnginx-mod-http-lua)\n", done.stderr)
		end
	end)
end)
