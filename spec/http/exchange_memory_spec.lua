-- Takes seconds: not for make check.
local child = require "spec.support.child"
local http_server = require "spec.support.http_server"

describe("strata.http", function()
	if not pcall(require, "strata.http") then
		it("is there", function()
			pending("strata.http was not built: there is no libcurl")
		end)
		return
	end

	local server

	setup(function()
		server = http_server.start()
	end)

	teardown(function()
		server:stop()
	end)

	it("needs less than 64 MiB for bodies of 1 GiB", function()
		local script = [[
			local http = require "strata.http"
			local client = http.client()
			local size = 1073741824
			local pipe = http.pipe({ total = size, digest = arg[2] })
			local url = arg[1] .. "/bytes/1073741824"
			local running = {
				client:start({ method = "GET", url = url, to_file = { fd = 3, offset = 0, size = size }, hash = "sha256" }),
				client:start({ method = "GET", url = url, to_pipe = pipe }),
				client:start({ method = "PUT", url = arg[1] .. "/take", body_pipe = pipe }),
			}
			for _, x in ipairs(running) do
				assert(x:wait(600))
				assert(x:status())
				assert(math.max(x:received(), x:sent()) == size)
			end
			assert(running[1]:digest() == arg[2])
			for line in io.lines("/proc/self/status") do
				io.write(line:match("^VmHWM:%s*(%d+)") or "")
			end
		]]
		-- Of so many bytes of the pattern.
		local digest = "sha256:9cc5601236c455c6af19a76e64d2d95953a93b10eeb8b8b756a57090e1499b3e"
		local done = child.run({
			script = script,
			arguments = { server.url, digest },
			wrapper = { "sh", "-c", 'exec 3>/dev/null; exec "$@"', "sh" },
		})
		assert.equal(0, done.status, done.stderr)
		if not os.getenv("STRATA_PRELOAD") then -- a sanitizer needs its own
			assert.is_true(tonumber(done.stdout) < 65536, done.stdout)
		end
	end)
end)
