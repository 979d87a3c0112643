--- Runs commands for the specs, in the same way on Lua 5.1, 5.4 and LuaJIT.

local skip = require "spec.support.skip"

local shell = {}

--- PATH with Debian's own directories first: a newer docker of the user's must not stand in their way.
shell.PATH = "/usr/sbin:/usr/bin:/sbin:/bin:" .. (os.getenv("PATH") or "")

--- Quotes one argument for sh.
---@param text string|number
---@return string
function shell.quote(text)
	text = tostring(text)
	assert(not text:find("\0", 1, true), "an argument cannot hold a NUL byte")
	if text:find("^[%w_@%%+=:,./-]+$") then
		return text
	end
	return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- Quotes a list of arguments and joins them.
---@param arguments (string|number)[]
---@return string
function shell.join(arguments)
	local words = {}
	for i, argument in ipairs(arguments) do
		words[i] = shell.quote(argument)
	end
	return table.concat(words, " ")
end

local function prefix(command)
	local words = {}
	if command.cwd then
		words[#words + 1] = "cd " .. shell.quote(command.cwd) .. " &&"
	end
	if command.env then
		words[#words + 1] = "env"
		local names = {}
		for name in pairs(command.env) do
			names[#names + 1] = name
		end
		table.sort(names)
		for _, name in ipairs(names) do
			words[#words + 1] = shell.quote(name .. "=" .. command.env[name])
		end
	end
	return table.concat(words, " ")
end

local function slurp(path)
	local file = assert(io.open(path, "rb"))
	local text = file:read("*a")
	file:close()
	return text
end

local function spill(text)
	local path = os.tmpname()
	local file = assert(io.open(path, "wb"))
	assert(file:write(text))
	assert(file:close())
	return path
end

---@class spec.Command
---@field env? table<string, string> set on top of the environment
---@field cwd? string
---@field input? string bytes for standard input, which is empty otherwise

---@class spec.Finished
---@field status integer the exit status, 128 and more for a signal
---@field stdout string
---@field stderr string
---@field command string what ran, as sh would take it

--- Runs `{ "name", "argument", ..., env =, cwd =, input = }` and waits for it. The words reach the
--- program as they are.
---@param command spec.Command|string[]
---@return spec.Finished
function shell.run(command)
	local line = shell.join(command)
	local input = command.input and spill(command.input) or "/dev/null"
	local errors = os.tmpname()
	-- popen's close gives no status on Lua 5.1: the shell writes it behind the output.
	local script = ("{ %s %s; } <%s 2>%s; printf '\\n%%d' $?"):format(
		prefix(command),
		line,
		shell.quote(input),
		shell.quote(errors)
	)
	local pipe = assert(io.popen(script, "r"))
	local output = pipe:read("*a")
	pipe:close()
	local stdout, status = output:match("^(.*)\n(%d+)$")
	local finished = {
		status = tonumber(status) or 255,
		stdout = stdout or output,
		stderr = slurp(errors),
		command = line,
	}
	os.remove(errors)
	if command.input then
		os.remove(input)
	end
	return finished
end

-- The program that was not found, of what a shell, env or timeout says of it.
local function not_found(done)
	return done.status == 127
		and (done.stderr:match("([%w_./+-]+): not found") or done.stderr:match("([%w_./+-]+): command not found")
			or done.stderr:match("([%w_./+-]+)\226?\128?\153?'?: No such file"))
end

--- As `run`, but anything other than exit status 0 is thrown with what the command said. Where a program is missing,
--- the spec is skipped.
---@param command spec.Command|string[]
---@return string stdout
---@return string stderr
function shell.check(command)
	local done = shell.run(command)
	local program = not_found(done)
	if program then
		skip(program:match("[^/]*$") .. " is not installed")
	end
	if done.status ~= 0 then
		error(
			("%s\nfailed with status %d\n%s%s"):format(done.command, done.status, done.stdout, done.stderr),
			2
		)
	end
	return done.stdout, done.stderr
end

--- Runs a script of sh with positional parameters and returns its standard output; a failure throws.
---@param script string
---@param ... string|number become $1, $2 ...
---@return string stdout
function shell.sh(script, ...)
	return (shell.check({ "sh", "-euc", script, "sh", ... }))
end

--- Where a program is along `shell.PATH`.
---@param name string
---@return string|nil path
function shell.which(name)
	local script = 'path=$(command -v "$1") && [ -x "$path" ] && echo "$path"' -- dash says yes to any path
	local done = shell.run({ "sh", "-c", script, "sh", name, env = { PATH = shell.PATH } })
	return done.status == 0 and done.stdout:match("^[^\n]+") or nil
end

---@param path string
---@return string bytes
function shell.read(path)
	return slurp(path)
end

---@param path string
---@param bytes string
function shell.write(path, bytes)
	local file = assert(io.open(path, "wb"))
	assert(file:write(bytes))
	assert(file:close())
end

---@param path string
---@return string hex
function shell.sha256(path)
	return (shell.check({ "sha256sum", "--", path }):match("^\\?(%x+)"))
end

--- Whether two files hold the same bytes.
---@param one string
---@param other string
---@return boolean
function shell.same(one, other)
	return shell.run({ "cmp", "--", one, other }).status == 0
end

return shell
