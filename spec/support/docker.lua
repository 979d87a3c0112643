--- A real Docker Engine for the specs: its own socket, data, containerd and cgroup, no network. It is
--- started by the first spec that needs it, shared by all files, and stopped at the end of the run, or
--- when the run dies (dockerd.sh watches a pipe).

local cjson = require "cjson"
local has_socket, unix_socket = pcall(require, "socket.unix")
local once = require "spec.support.once"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local docker = {}

local HERE = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")
local READY_SECONDS = 30

local function await(dir)
	-- One shell does the polling: starting a client is slow beside looking for a socket.
	local script = [[
		n=0
		until [ -S "$1/docker.sock" ] && docker version >/dev/null 2>&1; do
			n=$((n + 1))
			[ $n -lt $2 ] && ! grep -qs '^failed to start' "$1/dockerd.log" || exit 1
			sleep 0.05
		done]]
	local done = shell.run({
		"sh",
		"-c",
		script,
		"sh",
		dir,
		READY_SECONDS * 20,
		env = { PATH = shell.PATH, DOCKER_HOST = "unix://" .. dir .. "/docker.sock" },
	})
	return done.status == 0
end

local function why(dir)
	local log = shell.run({ "grep", "-hE", "level=(fatal|error)|^failed|^Status:", dir .. "/dockerd.log" })
	local line = log.stdout:gsub(dir:gsub("%p", "%%%0"), "DIRECTORY"):match("([^\n]+)\n?$")
	line = line and line:gsub('^time="[^"]*" ', "") or "no answer on its socket"
	return ("dockerd (%s) does not start here"):format(line)
end

-- Without the right to mount it starts, but takes no layer.
local function takes_layers(dir)
	local script = 'mkdir "$1/probe" && tar -cC "$1/probe" . | docker import - probe:1 && docker rmi probe:1'
	local env = { PATH = shell.PATH, DOCKER_HOST = "unix://" .. dir .. "/docker.sock" }
	return shell.run({ "sh", "-c", script, "sh", dir, env = env }).status == 0
end

--- Starts an engine unless it runs already; throws the reason if it cannot.
---@param parent string the directory to keep its files in
---@param storage? string its storage driver: the best one that works unless told
---@return { path: string } engine
function docker.engine(parent, storage)
	return once.get("docker " .. (storage or ""), function()
		if not has_socket then
			error("lua-socket is not installed", 0)
		end
		local dir = shell.check({ "mktemp", "-d", parent .. "/strata-docker.XXXXXX" }):match("^[^\n]+")
		local command = shell.join({ "exec", "setsid", "sh", HERE .. "/dockerd.sh", dir, storage or "" })
		local pipe = assert(io.popen("PATH=" .. shell.quote(shell.PATH) .. "; export PATH; " .. command, "w"))
		local reason = not await(dir) and why(dir)
			or not takes_layers(dir) and "dockerd cannot unpack a layer here"
		if reason then
			pipe:close()
			error(reason, 0)
		end
		return { path = dir, pipe = pipe }
	end, function(engine)
		engine.pipe:close() -- ends dockerd.sh's input, and waits for it
	end)
end

--- Starts the engine that specs share, unless it runs already; throws the reason if it cannot.
---@return { path: string } engine
function docker.start()
	return docker.engine(tmp.for_peers())
end

--- The environment in which `docker` talks to this engine.
---@return table<string, string>
function docker.environment()
	local engine = docker.start()
	return {
		PATH = shell.PATH,
		DOCKER_HOST = "unix://" .. engine.path .. "/docker.sock",
		DOCKER_CONFIG = engine.path .. "/client",
		DOCKER_BUILDKIT = "0",
		LC_ALL = "C.UTF-8",
	}
end

local function command(arguments)
	local words = { "docker" }
	for _, argument in ipairs(arguments) do
		words[#words + 1] = argument
	end
	words.input = arguments.input
	words.env = docker.environment()
	return words
end

--- Runs `docker ...`.
---@param arguments string[] with `input` if it reads standard input
---@return spec.Finished
function docker.try(arguments)
	return shell.run(command(arguments))
end

--- Runs `docker ...`; a failure throws.
---@param arguments string[] with `input` if it reads standard input
---@return string stdout
function docker.call(arguments)
	return (shell.check(command(arguments)))
end

-- What the engine's API answers, without its client, whose start takes longer than most answers.
local function ask(method, path)
	local client = assert(unix_socket())
	client:settimeout(300)
	assert(client:connect(docker.start().path .. "/docker.sock"))
	assert(client:send(("%s %s HTTP/1.0\r\nHost: docker\r\nContent-Length: 0\r\n\r\n"):format(method, path)))
	local answer = assert(client:receive("*a"))
	client:close()
	local status, body = answer:match("^HTTP/1%.%d (%d+).-\r\n\r\n(.*)$")
	if status ~= "200" then
		error(("%s %s\n%s"):format(method, path, body or answer), 0)
	end
	return cjson.decode(body)
end

--- Builds a context directory, without network, and returns the image ID.
---@param context string
---@param ... string tags
---@return string id
function docker.build(context, ...)
	local arguments = { "build", "--quiet", "--network", "none", "--force-rm" }
	for _, tag in ipairs({ ... }) do
		arguments[#arguments + 1] = "--tag"
		arguments[#arguments + 1] = tag
	end
	arguments[#arguments + 1] = context
	return docker.call(arguments):match("sha256:%x+")
end

--- Saves images to an archive.
---@param path string
---@param ... string references or IDs
function docker.save(path, ...)
	docker.call({ "save", "--output", path, ... })
end

--- Loads an archive into an engine that has forgotten every image, so that nothing of the result can
--- come from an earlier load, and returns what docker calls the images.
---@param path string
---@return string[] loaded references, or IDs of untagged images
function docker.load(path)
	docker.forget()
	local loaded = {}
	for name in docker.call({ "load", "--input", path }):gmatch("Loaded image[^:]*: ([^\n]+)") do
		loaded[#loaded + 1] = name
	end
	return loaded
end

--- Removes all images.
function docker.forget()
	ask("POST", "/images/prune?filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D")
	assert(#ask("GET", "/images/json?all=1") == 0, "an image is still in use")
end

--- The document of `docker image inspect`.
---@param reference string
---@return table
function docker.inspect(reference)
	return ask("GET", ("/images/%s/json"):format(reference))
end

--- The ID that the engine gives to a reference.
---@param reference string
---@return string
function docker.id(reference)
	return docker.inspect(reference).Id
end

--- The rows of `docker history`, the newest first: `created_by` and `size` in bytes.
---@param reference string
---@return { created_by: string, size: integer }[]
function docker.history(reference)
	local arguments = { "history", "--no-trunc", "--human=false", "--format", "{{json .}}", reference }
	local rows = {}
	for line in docker.call(arguments):gmatch("[^\n]+") do
		local row = cjson.decode(line)
		rows[#rows + 1] = { created_by = row.CreatedBy, size = tonumber(row.Size) }
	end
	return rows
end

--- Runs a container without network and returns its standard output; a failure throws.
---@param reference string
---@param arguments? string[] the command; `options` are options of `docker run`
---@return string stdout
function docker.run(reference, arguments)
	local words = { "run", "--rm", "--network", "none" }
	for _, option in ipairs(arguments and arguments.options or {}) do
		words[#words + 1] = option
	end
	words[#words + 1] = reference
	for _, argument in ipairs(arguments or {}) do
		words[#words + 1] = argument
	end
	return docker.call(words)
end

return docker
