-- Shares of a list of images without a queue, as examples/fleet has them for xargs, GNU parallel, Slurm and Kubernetes.
-- Neither Slurm nor Kubernetes is here: what they would run is run, with the variables that they would set.

local cjson = require "cjson"
local docker_registry = require "spec.support.docker_registry"
local peers = require "spec.support.peers"
local python = require "spec.support.python"
local remote = require "spec.support.remote"
local rights = require "spec.support.rights"
local shell = require "spec.support.shell"
local skip = require "spec.support.skip"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local TREE = shell.check({ "pwd" }):match("[^\n]+")
local FLEET = TREE .. "/examples/fleet"
local COUNT = 12
local ENV = {
	LUA_PATH = ("%s/lua/?.lua;%s/lua/?/init.lua;;"):format(TREE, TREE),
	LUA_CPATH = ("%s/%s/lua5.4/?.so;;"):format(TREE, os.getenv("STRATA_BUILD") or "build"),
}

-- Runs a command with variables besides.
local function run(words, more)
	words.env = {}
	for _, variables in ipairs({ ENV, more or {} }) do
		for name, value in pairs(variables) do
			words.env[name] = value
		end
	end
	return shell.run(words)
end

describe("shares of a list", function()
	local share = dofile(FLEET .. "/share.lua")

	local function lines(count)
		local list = {}
		for i = 1, count do
			list[i] = ("docker://registry.example/team/app:%d"):format(i)
		end
		list[#list + 1], list[#list + 2], list[#list + 3] = "", "# a comment", " " .. list[1] .. " "
		local i = 0
		return function()
			i = i + 1
			return list[i]
		end
	end

	for _, by in ipairs({ "place", "hash" }) do
		it("have each image once, by " .. by, function()
			for _, count in ipairs({ 1, 2, 7, 16 }) do
				local seen, sizes = {}, {}
				for index = 0, count - 1 do
					local mine, total = share.of(lines(1000), index, count, by)
					assert.equal(1000, total)
					sizes[#sizes + 1] = #mine
					for _, ref in ipairs(mine) do
						assert.is_nil(seen[ref])
						seen[ref] = index
					end
				end
				table.sort(sizes)
				local sum = 0
				for _, size in ipairs(sizes) do
					sum = sum + size
				end
				assert.equal(1000, sum)
				assert.is_true(sizes[#sizes] - sizes[1] <= (by == "place" and 1 or 0.7 * 1000 / count), sizes[#sizes])
			end
		end)
	end

	it("by hash are the same in another list", function()
		local seen = {}
		for index = 0, 3 do
			for _, ref in ipairs((share.of(lines(1000), index, 4, "hash"))) do
				seen[ref] = index
			end
		end
		for _, ref in ipairs((share.of(lines(500), 2, 4, "hash"))) do
			assert.equal(2, seen[ref])
		end
	end)

	it("are found by what schedulers set", function()
		local function place(variables)
			return { share.place(function(name)
				return variables[name]
			end) }
		end
		assert.same({}, place({}))
		assert.same({ 3 }, place({ JOB_COMPLETION_INDEX = "3" }))
		assert.same({ 2, 4 }, place({ SLURM_ARRAY_TASK_ID = "3", SLURM_ARRAY_TASK_MIN = "1", SLURM_ARRAY_TASK_COUNT = "4" }))
		assert.same({ 0 }, place({ PARALLEL_SEQ = "1" }))
	end)
end)

describe("a file of what is done", function()
	local ledger = dofile(FLEET .. "/ledger.lua")
	local dir

	setup(function()
		dir = tmp.dir()
	end)

	teardown(function()
		dir:remove()
	end)

	it("is gone on with, without the line that was not ended", function()
		local path = dir:file("done")
		local file = assert(ledger.open(path, "work"))
		file:note("a", "1")
		file:close()
		shell.sh('printf "b\\tvery long and torn" >>"$1"', path)
		file = assert(ledger.open(path, "work"))
		assert.same({ a = "1" }, file.digests)
		file:note("c", "2")
		file:close()
		file = assert(ledger.open(path, "work"))
		assert.same({ a = "1", c = "2" }, file.digests)
		file:close()
		local _, message = ledger.open(path, "other work")
		assert.matches("is about other work: # work\nand not: # other work", message, 1, true)
	end)
end)

describe("shard", function()
	local server, dir, image

	local function ref(tag)
		return ("docker://%s/app:%s"):format(server.host, tag)
	end

	setup(function()
		peers.need("docker-registry")
		server = docker_registry.start()
		image = assert(strata.new({ platform = "linux/amd64" }))
		assert(image:append({ files = { noise = remote.noise(2000) } }))
		for i = 1, COUNT do
			image.config:set_label("number", tostring(i))
			assert(image:save(ref(i)))
		end
	end)

	teardown(function()
		if server then
			server:stop()
		end
	end)

	before_each(function()
		dir = tmp.dir()
		local list = {}
		for i = 1, COUNT do
			list[i] = ref(i)
		end
		dir:write("refs.txt", table.concat(list, "\n") .. "\n")
		server:forget()
	end)

	after_each(function()
		dir:remove()
	end)

	-- Runs a share whose results have tags of their own.
	local function shard(name, ...)
		local words = { FLEET .. "/shard", ... }
		for _, word in ipairs({ "--refs", dir:file("refs.txt"), "--to", "docker://{host}/{repository}:{tag}-" .. name, "--",
			"label", "for=" .. name }) do
			words[#words + 1] = word
		end
		return run(words)
	end

	local function count_of(method)
		local count = 0
		for _, request in ipairs(server:log()) do
			if not method or request.method == method then
				count = count + 1
			end
		end
		return count
	end

	-- Every image has its result.
	local function check_all(name)
		for i = 1, COUNT do
			local img = assert(strata.open(ref(i .. "-" .. name)))
			assert.equal(name, img.config.Labels["for"])
			assert.equal(tostring(i), img.config.Labels.number)
			img:close()
		end
	end

	it("does what its shares have, and the second time nothing", function()
		for index = 0, 2 do
			local done = shard("a", tostring(index), "3", "--done", dir:file("done." .. index))
			assert.equal(0, done.status, done.stderr)
			assert.equal(("shard %d of 3: 4 of 12 images: 4 done, 0 done before, 0 failed; "):format(index),
				done.stdout:match("^.-; "))
		end
		check_all("a")
		server:forget()
		assert.matches("12 of 12 images: 12 done, 0 done before, 0 failed; 0 bytes sent\n", shard("a", "0", "1").stdout, 1,
			true)
		assert.equal(0, count_of("PUT") + count_of("POST"))
		server:forget()
		assert.matches("4 of 12 images: 0 done, 4 done before", shard("a", "1", "3", "--done", dir:file("done.1")).stdout, 1,
			true)
		assert.equal(0, count_of())
	end)

	it("is killed, and goes on where it was", function()
		for i = 1, 4 do
			run({ "timeout", "-s", "KILL", tostring(0.12 * i), FLEET .. "/shard", "0", "1", "--refs", dir:file("refs.txt"),
				"--to", "docker://{host}/{repository}:{tag}-k", "--done", dir:file("done"), "--", "label", "for=k" })
		end
		local done = shard("k", "0", "1", "--done", dir:file("done"))
		assert.equal(0, done.status, done.stderr)
		check_all("k")
	end)

	it("goes on after what fails, tells of it in a file, and by its status whether another try may help", function()
		shell.sh('printf "%s\\n" "$2" "$3" >>"$1"', dir:file("refs.txt"), ref("absent"), "docker://X:/")
		local done = shard("f", "0", "1", "--failed", dir:file("failed"))
		assert.equal(1, done.status)
		assert.matches("14 of 14 images: 12 done, 0 done before, 2 failed", done.stdout, 1, true)
		check_all("f")
		local failed = shell.read(dir:file("failed"))
		assert.matches(("%s\tENOENT\t"):format(ref("absent")), failed, 1, true)
		assert.matches("docker://X:/\tEINVAL\t", failed, 1, true)
		dir:write("refs.txt", ref("absent") .. "\ndocker://127.0.0.1:1/app:1\n")
		done = shard("f", "0", "1", "--failed", dir:file("failed"))
		assert.equal(75, done.status)
		assert.matches("docker://127.0.0.1:1/app:1\tENETWORK\t", shell.read(dir:file("failed")), 1, true)
	end)

	it("says what is wrong with its words", function()
		local function message(more, ...)
			local done = run({ FLEET .. "/shard", ... }, more)
			assert.equal(1, done.status)
			return done.stderr:match("[^\n]*")
		end
		assert.equal("fleet: how many shares?", message({}, "--", "label"))
		assert.equal("fleet: which share? No scheduler has said", message({}, "3", "--", "label"))
		assert.equal("fleet: I: a whole number from 0 to 2 is wanted, and not 3", message({}, "3", "3", "--", "label"))
		assert.equal("fleet: I: a whole number from 0 to 2 is wanted, and not 3",
			message({ PARALLEL_SEQ = "4" }, "3", "--", "label"))
		assert.equal("fleet: a script is missing", message({}, "0", "3"))
		assert.equal("fleet: label: the script and its options are behind --", message({}, "0", "3", "label"))
		assert.equal("fleet: an option of a script is NAME=VALUE, and not x", message({}, "0", "3", "--", "label", "x"))
		assert.equal("fleet: there is no reference in the input", message({}, "0", "3", "--", "label"))
	end)

	-- The line of SCALE.md that begins so, in the directory with the list.
	local function line_of(program)
		local line = ("\n" .. shell.read(FLEET .. "/SCALE.md")):match("\n(" .. program .. "[^\n]+)")
		assert.is_truthy(line, program)
		shell.check({ "ln", "-sfn", TREE .. "/examples", dir:file("examples") })
		return { "sh", "-euc", line, cwd = dir.path }
	end

	for program, begins in pairs({ xargs = "seq 0 15 | xargs ", parallel = "parallel " }) do
		it("runs with " .. program, function()
			if not shell.which(program) then
				return pending(program .. " is not installed: apt install " .. program)
			end
			local done = run(line_of(begins), { HOME = dir.path })
			assert.equal(0, done.status, done.stderr)
			assert.equal(16, select(2, done.stdout:gsub("shard %d+ of 16: ", "")))
			for i = 1, COUNT do
				assert.equal("yes", assert(strata.open(ref(i))).config.Labels["org.example.fleet"])
			end
			server:forget()
			assert.equal(0, run(line_of(begins), { HOME = dir.path }).status)
			assert.equal(0, count_of())
		end)
	end

	describe("in a Slurm array", function()
		local script = FLEET .. "/slurm.sh"

		it("is a script that sh and shellcheck take, whose options are those of sbatch", function()
			shell.check({ "sh", "-n", script })
			shell.check({ "shellcheck", script })
			local known, head, seen = {}, true, 0
			for name in ("job-name array cpus-per-task mem requeue open-mode"):gmatch("%S+") do
				known[name] = true
			end
			for line in io.lines(script) do
				head = head and (line == "" or line:sub(1, 1) == "#")
				local name = line:match("^#SBATCH %-%-([%w-]+)")
				if line:find("^#SBATCH") then
					seen = seen + 1
					assert.is_true(head, line) -- sbatch reads none behind the first command
					assert.is_true(known[name], line)
				end
			end
			assert.is_true(seen > 0)
		end)

		it("does a share for each task, and no more when it is submitted again", function()
			-- As sbatch does, the script is run from a copy.
			shell.check({ "cp", script, dir:file("slurm_script") })
			local function array()
				for id = 1, 3 do
					local done = run({ "sh", dir:file("slurm_script"), dir:file("refs.txt") }, {
						SLURM_SUBMIT_DIR = TREE, SLURM_ARRAY_TASK_ID = id, SLURM_ARRAY_TASK_MIN = 1,
						SLURM_ARRAY_TASK_COUNT = 3, STRATA_JOB = "label for=s", STRATA_TO = "docker://{host}/{repository}:{tag}-s",
					})
					assert.equal(0, done.status, done.stderr)
				end
			end
			array()
			check_all("s")
			server:forget()
			array()
			assert.equal(0, count_of())
			assert.not_equal(0, run({ "sh", script, dir:file("refs.txt") }).status) -- no array
		end)
	end)

	it("runs in an image that was made without a Dockerfile", function()
		if not rights.root then
			return pending("chroot needs root")
		end
		local function make(...)
			local done = run({ FLEET .. "/image", ... }, { STRATA_BUILD = os.getenv("STRATA_BUILD") or "build" })
			assert.equal(0, done.status, done.stderr)
			return assert(strata.open(dir:file("fleet.tar")))
		end
		local config = make(dir:file("fleet.tar")).config
		assert(assert(strata.open(dir:file("fleet.tar"))):extract(dir:file("root")))
		local done = shell.run({ "env", "-i", "PATH=" .. shell.PATH, "LUA_PATH=" .. config:get_env("LUA_PATH"),
			"LUA_CPATH=" .. config:get_env("LUA_CPATH"), "JOB_COMPLETION_INDEX=0", "chroot", "--userspec=" .. config.User,
			dir:file("root"), "/opt/strata/examples/fleet/shard", "1", "--to", "docker://{host}/{repository}:{tag}-i", "--",
			"label", "for=i", input = shell.read(dir:file("refs.txt")) })
		assert.equal(0, done.status, done.stderr)
		check_all("i")
		local base = strata.new()
		assert(base:append({ files = { ["usr/bin/env"] = "of the base" } }))
		assert(base:save(dir:file("base.tar")))
		local img = make("--base", dir:file("base.tar"), dir:file("fleet.tar"))
		assert.equal("of the base", (img:read("usr/bin/env")))
		assert.is_string((img:read("usr/bin/lua5.4")))
	end)

	describe("in a Job of Kubernetes", function()
		-- Of the fields that the API has, those that the file may have (batch/v1, v1), and what they hold.
		local CONTAINER = {
			name = "string", image = "string", command = "array", env = "array", resources = "object",
			securityContext = "object", volumeMounts = "array",
		}
		local POD = {
			restartPolicy = "string", automountServiceAccountToken = "boolean", securityContext = "object",
			containers = "array", volumes = "array", terminationGracePeriodSeconds = "number",
		}
		local JOB = {
			completionMode = "string", completions = "number", parallelism = "number", backoffLimitPerIndex = "number",
			maxFailedIndexes = "number", podFailurePolicy = "object", template = "object",
		}

		local function read()
			if shell.run({ python.PATH, "-c", "import yaml" }).status ~= 0 then
				skip("python3-yaml is not installed: apt install python3-yaml")
			end
			local found = shell.check({ python.PATH, "-c", "import json, sys, yaml\n"
				.. "json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)",
				input = shell.read(FLEET .. "/kubernetes-job.yaml") })
			local documents = cjson.decode(found)
			assert.equal(1, #documents)
			return documents[1]
		end

		local function check(object, fields)
			for name, value in pairs(object) do
				local kind = type(value)
				if kind == "table" then
					kind = #value > 0 and "array" or "object"
				end
				assert.equal(fields[name], kind, name)
			end
		end

		it("has the fields of one, with a limit for each index", function()
			local job = read()
			assert.same({ "batch/v1", "Job" }, { job.apiVersion, job.kind })
			assert.matches("^[a-z0-9-]+$", job.metadata.name)
			check(job.spec, JOB)
			assert.equal("Indexed", job.spec.completionMode)
			local pod = job.spec.template.spec
			check(pod, POD)
			assert.equal("Never", pod.restartPolicy) -- which backoffLimitPerIndex needs
			assert.equal(1, #pod.containers)
			check(pod.containers[1], CONTAINER)
			local volumes = {}
			for _, volume in ipairs(pod.volumes) do
				volumes[volume.name] = true
			end
			for _, mount in ipairs(pod.containers[1].volumeMounts) do
				assert.is_true(volumes[mount.name], mount.name)
				volumes[mount.name] = false
			end
			for _, rule in ipairs(job.spec.podFailurePolicy.rules) do
				assert.is_true(rule.action == "Ignore" or rule.action == "FailIndex")
				if rule.onExitCodes then
					assert.equal(pod.containers[1].name, rule.onExitCodes.containerName)
					assert.same({ 1 }, rule.onExitCodes.values)
				end
			end
		end)

		-- Every field of one is in the other, with its value.
		local function contains(one, other, path)
			assert.equal(type(one), type(other), path)
			if type(one) ~= "table" then
				return assert.equal(one, other, path)
			end
			for name, value in pairs(one) do
				contains(value, other[name], path .. "." .. name)
			end
		end

		it("has no field that kubectl does not know", function()
			local version = shell.run({ "kubectl", "version", "--client" }).stdout:match("Client Version: v1%.(%d+)")
			if not version or tonumber(version) < 29 then
				return pending("kubectl 1.29 or later is not installed; that of Debian 12 is 1.20")
			end
			-- What kubectl prints has been read into its own types, which forget what they do not know.
			local found = shell.check({ "kubectl", "set", "env", "--local", "-f", FLEET .. "/kubernetes-job.yaml", "A=b",
				"-o", "json" })
			contains(read(), cjson.decode(found), "job")
		end)

		it("has a command that does a share for each index", function()
			local job = read()
			local places = { ["/opt/strata"] = TREE, ["/etc/strata"] = dir.path }
			for index = 0, job.spec.completions - 1 do
				local words = {}
				for i, word in ipairs(job.spec.template.spec.containers[1].command) do
					words[i] = word:gsub("/[a-z]+/strata%f[/]", places)
				end
				local done = run(words, { JOB_COMPLETION_INDEX = index })
				assert.equal(0, done.status, done.stderr)
				assert.matches(("shard %d of %d: "):format(index, job.spec.completions), done.stdout, 1, true)
			end
			for i = 1, COUNT do
				assert.equal("yes", assert(strata.open(ref(i .. "-labelled"))).config.Labels["org.example.fleet"])
			end
		end)
	end)
end)
