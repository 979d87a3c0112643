-- Diffs of images that a real Docker Engine built: of two builds of one Dockerfile, and of a container's changes, which
-- `docker diff` lists as well.

local docker = require "spec.support.docker"
local peers = require "spec.support.peers"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local DOCKERFILE = [[
FROM scratch
COPY busybox /bin/busybox
ENV A=1 TZ=UTC
RUN ["/bin/busybox", "sh", "-c", "busybox mkdir -p /etc /opt/a /opt/b && echo 1 >/etc/one && echo x >/opt/a/x && \
busybox ln /opt/a/x /opt/b/y && busybox ln -s x /opt/a/l && busybox chown -R 7:8 /opt/b"]
RUN ["/bin/busybox", "sh", "-c", "busybox rm /etc/one && echo 2 >/etc/two"]
]]

-- Times of layers are whole seconds.
local CHANGES = [[
	busybox sleep 1.1; busybox rm -r /opt/b
	echo 3 >/etc/two; echo new >/etc/new; busybox mkdir /opt/new; echo x >/opt/new/x
	busybox chmod 600 /opt/a/x; busybox rm /opt/a/l; busybox ln -s nowhere /opt/a/l; busybox mkfifo /opt/fifo]]

describe("a diff of images of docker", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	local function build(tag)
		local context = dir:file("context")
		shell.check({ "mkdir", "-p", context })
		shell.write(context .. "/Dockerfile", DOCKERFILE)
		shell.check({ "cp", shell.which("busybox"), context .. "/busybox" })
		docker.call({ "build", "--quiet", "--no-cache", "--network", "none", "--force-rm", "--tag", tag, context })
		docker.save(dir:file(tag:gsub(":", "") .. ".tar"), tag)
		return dir:file(tag:gsub(":", "") .. ".tar")
	end

	it("of two builds of one Dockerfile tells of nothing but times, and with semantic of nothing", function()
		peers.need("docker")
		local one = build("diffed:1")
		shell.check({ "sleep", "1.1" })
		local two = build("diffed:2")
		local strict, semantic = assert(strata.diff(one, two)), assert(strata.diff(one, two, { semantic = true }))
		assert.is_false(strict.equal)
		assert.is_true(#strict.files > 0)
		for _, row in ipairs(strict.files) do
			assert.same({ "changed", { "mtime" } }, { row.change, row.fields }, tostring(row))
		end
		for _, row in ipairs(strict.history) do
			assert.matches("^/history/%d+/created$", row.pointer)
		end
		assert.is_true(semantic.equal, tostring(semantic))
		docker.call({ "rmi", "--force", "diffed:1", "diffed:2" })
	end)

	it("tells the paths that `docker diff` lists of a container", function()
		peers.need("docker")
		local before = build("diffed:1")
		docker.call({ "run", "--name", "diffed", "--network", "none", "diffed:1", "/bin/busybox", "sh", "-c", CHANGES })
		local listed = {}
		for sign, path in docker.call({ "diff", "diffed" }):gmatch("(%u) /([^\n]+)") do
			listed[#listed + 1] = sign .. " " .. path
		end
		docker.call({ "commit", "diffed", "diffed:after" })
		docker.call({ "rm", "diffed" })
		docker.save(dir:file("after.tar"), "diffed:after")
		local told, SIGNS = {}, { added = "A", removed = "D", changed = "C" }
		for i, row in ipairs(assert(strata.diff(before, dir:file("after.tar"))).files) do
			told[i] = SIGNS[row.change] .. " " .. row.path
		end
		-- It lists a directory that is gone without what was in it.
		local expected = { ["D opt/b/y"] = true }
		for _, line in ipairs(listed) do
			expected[line] = true
		end
		local found = {}
		for _, line in ipairs(told) do
			found[line] = true
		end
		assert.same(expected, found)
		docker.call({ "rmi", "--force", "diffed:1", "diffed:after" })
	end)
end)
