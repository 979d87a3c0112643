--- Runs Python scripts, which are the oracles of many specs. One process of Python runs them all, so that a small
--- one takes less than a millisecond instead of a start of Python.

local cjson = require "cjson"
local once = require "spec.support.once"
local shell = require "spec.support.shell"
local skip = require "spec.support.skip"
local tmp = require "spec.support.tmp"

local python = {}

--- The interpreter: Debian's own.
python.PATH = "/usr/bin/python3"

local HERE = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")

-- A FIFO that is open for both directions blocks nobody; its reader ends when this process does.
local function start()
	local fifo = tmp.dir():file("requests")
	shell.check({ "mkfifo", fifo })
	local words = { "env", "PATH=" .. shell.PATH, "LC_ALL=C.UTF-8", python.PATH, "-IS", HERE .. "/python.py", fifo }
	local answers = assert(io.popen(shell.join(words) .. " </dev/null", "r"))
	return { answers = answers, requests = assert(io.open(fifo, "r+b")) }
end

-- Until Python has opened the FIFO, nobody may close it: to open one that has no other end waits for ever.
local function wait_until_open(server)
	if not server.open then
		server.open = server.answers:read("*l")
	end
end

local function stop(server)
	wait_until_open(server)
	server.requests:close()
	server.answers:close()
end

local is_there = shell.which(python.PATH) ~= nil

--- Skips the spec that runs where there is no Python.
function python.need()
	if not is_there then
		skip("python3 is not installed")
	end
end

local function server()
	python.need()
	return once.get("python", start, stop)
end

if is_there then
	server() -- here, so that no spec that counts descriptors sees it come
end

-- To read nothing would wait for something.
local function take(file, length)
	return length == "0" and "" or assert(file:read(tonumber(length)))
end

--- Runs a script and returns what it printed; that it failed is thrown with what it said.
---@param name string of the script, for messages
---@param script string the source
---@param words? (string|number)[] arguments
---@param input? string bytes for standard input
---@return string stdout
function python.run(name, script, words, input)
	local request = { name = name, script = script, words = table.concat(words or {}, "\0"), input = input }
	local bytes = cjson.encode(request)
	local files = server()
	wait_until_open(files)
	assert(files.requests:write(#bytes, "\n", bytes))
	assert(files.requests:flush())
	local status, output, errors = (files.answers:read("*l") or ""):match("^(%-?%d+) (%d+) (%d+)$")
	assert(status, "Python is missing or has died")
	local stdout, stderr = take(files.answers, output), take(files.answers, errors)
	if status ~= "0" then
		error(("%s %s\nfailed with status %s\n%s%s"):format(name, table.concat(words or {}, " "), status, stdout, stderr), 2)
	end
	return stdout
end

--- Runs the script of a file that stands beside this one.
---@param name string "gotar.py"
---@param words? (string|number)[]
---@param input? string
---@return string stdout
function python.script(name, words, input)
	return python.run(name, shell.read(HERE .. "/" .. name), words, input)
end

return python
