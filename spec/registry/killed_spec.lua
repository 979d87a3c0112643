-- Takes seconds: not for make check.
-- A push that is killed at any request leaves the tag as it was, or at the whole new image.

local process = require "spec.support.process"
local registry = require "spec.support.registry"
local remote = require "spec.support.remote"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

-- Pushes in a process of its own, and kills it when the registry has so many requests.
local SCRIPT = [[
local strata = require "strata"
local hub = strata.registry { credentials = {}, system = false, parallel = 2 }
local img = assert(strata.open(%q, { registry = hub }))
img.config:set_label("killed", "no")
assert(img:append { files = { new = "new" } })
assert(img:save(%q, { registry = hub, tags = { "other" } }))
]]

describe("a push that is killed:", function()
	local fake, image, dir

	setup(function()
		-- It takes manifests that name what is not there: the order of requests alone keeps the tag whole.
		fake = registry.start({ sparse = true })
		image = remote.image({ count = 2 })
		image.layout:list(image.descriptor, "app:1")
		dir = tmp.dir()
		image.layout:directory(dir:file("layout"))
	end)

	teardown(function()
		fake:stop()
		dir:remove()
	end)

	local function start(from, to)
		local command = process.lua(SCRIPT:format(from, to))
		local line = ("LUA_PATH=%s LUA_CPATH=%s exec %s >%s 2>&1 & echo $!"):format(shell.quote(package.path),
			shell.quote(package.cpath), command, shell.quote(dir:file("said")))
		return shell.sh(line):match("%d+")
	end

	local function runs(pid)
		local file = io.open("/proc/" .. pid .. "/stat")
		local state = file and file:read("*a"):match("%) (%a)")
		if file then
			file:close()
		end
		return state ~= nil and state ~= "Z"
	end

	-- Waits until the registry holds back the answer to a request, whose effect is there, or the process has ended.
	local function await(pid, number)
		local till = os.time() + 60
		while os.time() < till do
			local request = fake:log()[number]
			if request and request.finished then
				return true
			elseif not runs(pid) then
				return false
			end
		end
		error("the push does not go on")
	end

	local function look(repository, tag)
		local hub = remote.client()
		local img, _, code = strata.open(("docker://%s/%s:%s"):format(fake.host, repository, tag), { registry = hub })
		if not img then
			assert.equal("ENOENT", code)
			return nil
		end
		assert(img:verify())
		return img.digest
	end

	-- The same push, killed at its first request, at its second, and so on, until one goes through.
	local function kill_everywhere(name, from_of)
		local before, after, number = 0, 0, 0
		while true do
			number = number + 1
			local repository = ("%s%d"):format(name, number)
			remote.put(fake, repository, image.layout, image.digest, "1")
			fake:faults_clear()
			fake:forget()
			fake:fault({ path = "/v2/", skip = number - 1, times = 1, stall = "head" })
			local pid = start(from_of(repository), ("docker://%s/%s:1"):format(fake.host, repository))
			local is_there = await(pid, number)
			if is_there then
				os.execute("kill -9 " .. pid)
			end
			fake:faults_clear()
			local now, other = look(repository, "1"), look(repository, "other")
			if now == image.digest then
				before = before + 1
				assert.is_nil(other)
			else
				after = after + 1
				assert.is_true(other == nil or other == now)
			end
			if not is_there then
				assert.equal("", shell.read(dir:file("said")))
				assert.equal(now, other)
				break
			end
		end
		return before, after, number
	end

	it("from the same repository", function()
		local before, after, number = kill_everywhere("home", function(repository)
			return ("docker://%s/%s:1"):format(fake.host, repository)
		end)
		assert.is_true(before >= 3 and after >= 1, ("%d before, %d after"):format(before, after))
		assert.equal(number, before + after)
	end)

	it("from a directory", function()
		local before, after = kill_everywhere("away", function()
			return dir:file("layout")
		end)
		assert.is_true(before >= 3 and after >= 1, ("%d before, %d after"):format(before, after))
	end)
end)
