--- The command strata as a process, and an image for it to work on.

local assert = require "luassert"
local shell = require "spec.support.shell"
local strata = require "strata"

local command = {}

local TOP = shell.check({ "pwd" }):match("^[^\n]+")

--- The words of a command that runs bin/strata, under the sanitizers that this process runs under.
---@param words string[]
---@return string[]
function command.words(words)
	local all = { "env", "STRATA_BUILD=" .. (os.getenv("STRATA_BUILD") or "build"), "TERM=xterm" }
	for _, name in ipairs({ "NO_COLOR", "STRATA_DEBUG", "SOURCE_DATE_EPOCH" }) do
		table.insert(all, 2, "-u" .. name)
	end
	local preload = os.getenv("STRATA_PRELOAD")
	if preload then
		all[#all + 1] = "LD_PRELOAD=" .. preload:gsub("%f[^%z:]%./", (TOP:gsub("%%", "%%%%")) .. "/")
	end
	for name, value in pairs(words.env or {}) do
		all[#all + 1] = name .. "=" .. value
	end
	all[#all + 1] = "lua5.4"
	all[#all + 1] = TOP .. "/bin/strata"
	for _, word in ipairs(words) do
		all[#all + 1] = word
	end
	return all
end

--- Runs `strata` with these words; env, cwd and input as for shell.run.
---@param words spec.Command|string[]
---@return spec.Finished
function command.run(words)
	local all = command.words(words)
	all.cwd, all.input = words.cwd, words.input
	return shell.run(all)
end

--- The same, of what has to succeed.
---@param words spec.Command|string[]
---@return string stdout
---@return string stderr
function command.check(words)
	local done = command.run(words)
	if done.status ~= 0 then
		error(("strata %s: status %d\n%s%s"):format(shell.join(words), done.status, done.stdout, done.stderr), 2)
	end
	return done.stdout, done.stderr
end

--- Why nothing can be run on a terminal here, or nil.
---@return string?
function command.no_terminal()
	return not shell.which("script") and "script is not installed: apt install bsdutils" or nil
end

--- The same, of what has to fail, with one line that says so and nothing else.
---@param message string a part of the line
---@param words spec.Command|string[]
function command.fails(message, words)
	local done = command.run(words)
	assert.same({ 2, "" }, { done.status, done.stdout }, done.stderr)
	assert.matches("^strata: [^\n]+\n$", done.stderr)
	assert.matches(message, done.stderr, 1, true)
end

--- What a terminal shows of a command that stands on it with standard output and error, carriage returns left out.
---@param words spec.Command|string[]
---@param more? string  of the shell, behind the command
---@return string
function command.on_terminal(words, more)
	local line = shell.join(command.words(words)) .. " " .. (more or "")
	local shown = shell.check({ "script", "-qec", line, "/dev/null", cwd = words.cwd, env = { SHELL = "/bin/sh" } })
	return (shown:gsub("\r\n", "\n"))
end

--- Makes an image: three layers, with links, a device, odd modes and odd names.
---@return strata.Image
function command.image()
	local img = strata.new({ created = "2024-01-02T03:04:05Z" })
	local function dir(mode)
		return { type = "dir", mode = mode or "0755", mtime = 1e9 }
	end
	assert(img:append({ created_by = "base", created = "2024-01-01T00:00:00Z", files = {
		etc = dir(), root = dir("0700"), tmp = dir("1777"), usr = dir(), ["usr/bin"] = dir(), ["usr/share/doc"] = dir(),
		["etc/passwd"] = { content = "root:x:0:0::/root:/bin/sh\n", mtime = 1e9 },
		["etc/motd"] = { content = "hello\n", mtime = 1e9 },
		["usr/bin/app"] = { content = ("x"):rep(5000), mode = "4755", uid = 1000, gid = 2000, uname = "app", gname = "apps",
			mtime = 1e9 },
		["usr/bin/link"] = { linkpath = "app", mtime = 1e9 },
		["usr/bin/same"] = { type = "hardlink", linkpath = "usr/bin/app" },
		["usr/share/doc/readme"] = { content = ("doc\n"):rep(500), mtime = 1e9 },
		["usr/share/doc/gone"] = { content = ("gone"):rep(1000), mtime = 1e9 },
		["dev/null"] = { type = "char", major = 1, minor = 3, mode = "0666", mtime = 1e9 },
		["odd/esc\27[1m"] = "escape", ["odd/caf\233"] = "latin", ["odd/new\nline"] = "line", ["odd/back\\slash"] = "back",
		["odd/\226\128\174txt"] = "turned",
	} }))
	assert(img:append({ created_by = "second", created = "2024-01-02T00:00:00Z", files = {
		["etc/motd"] = { content = "changed\n", mtime = 1.1e9 }, ["root/.netrc"] = "machine x password s3cret\n",
		["usr/share/doc/.wh.gone"] = "",
	} }))
	assert(img:append({ created_by = "third with s3cret", created = "2024-01-02T03:04:05Z", files = {
		["srv/data.bin"] = ("0123456789"):rep(2000), ["srv/cache.pyc"] = "pyc",
	} }))
	img.config:set_env("PATH", "/usr/bin"):set_env("TOKEN", "s3cret"):set_label("stage", "test")
	img.config.User = "1000"
	img.config.Cmd = { "app" }
	img:tag("app:1.4")
	return img
end

return command
