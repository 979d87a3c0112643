-- Loops of Lua over all entries never called the function of on_wait, by which a host ends work at a deadline: in a
-- check, fold, glob, tree and export of a million entries it was not called for 7 to 25 seconds.
--
-- Steps of Lua are counted, not seconds: of all that an operation takes, no more than a part comes between two calls.

local job = require "strata.util.job"
local pack = require "spec.support.pack"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local ENTRIES = 20000

describe("the function of on_wait is called again and again by", function()
	local dir, jit = nil, rawget(_G, "jit")

	setup(function()
		dir = tmp.dir()
		local entries = {}
		for i = 1, ENTRIES do
			entries[i] = { name = ("d%d/f%d"):format(i % 100, i) }
		end
		pack.image(dir:file("a.tar"), { entries })
	end)

	teardown(function()
		dir:remove()
	end)

	local function is_told(fn)
		local img = assert(strata.open(dir:file("a.tar")))
		local all, since, longest = 0, 0, 0
		if jit then
			jit.off()
			jit.flush()
		end
		local before = job.on_wait(function()
			longest, since = math.max(longest, since), 0
		end)
		debug.sethook(function()
			all, since = all + 1, since + 1
		end, "", 1000)
		local ok, message = pcall(fn, img)
		debug.sethook()
		job.on_wait(before)
		if jit then
			jit.on()
		end
		img:close()
		assert(ok, message)
		longest = math.max(longest, since)
		assert.is_true(longest <= all / 3, ("%d of %d thousand steps"):format(longest, all))
	end

	for name, fn in pairs({
		["a check"] = function(img)
			assert(img:check({ second_reader = false }))
		end,
		["fold"] = function(img)
			assert(img:fold())
		end,
		["a glob"] = function(img)
			local root = assert(img:rootfs())
			assert(root:glob("**/*9"))
			root:close()
		end,
		["a drawn tree"] = function(img)
			assert(img:tree())
		end,
		["an export"] = function(img)
			assert(img:export(dir:file("out.tar")))
		end,
		["waste"] = function(img)
			assert(img:waste())
		end,
		["a purge"] = function(img)
			assert(img:purge("d1/f1"))
		end,
		["a diff"] = function(img)
			local other = assert(strata.open(dir:file("a.tar")))
			assert(other.layers[1]:remove("d1/f1"))
			assert(strata.diff(img, other))
			other:close()
		end,
		["a remove by a function"] = function(img)
			assert(img:remove(function(entry)
				return entry.path == "d1/f1"
			end))
		end,
		["normalize"] = function(img)
			assert(img:normalize({ epoch = 0 }))
		end,
	}) do
		it(name, function()
			is_told(fn)
		end)
	end
end)
