--- Counts what the system is asked for, where hostile input wants more work than it has bytes.
--
--   lua5.4 spec/support/work.lua MODULE DIRECTORY SEED
--
-- preloaded with MODULE. Prints the calls that opened, looked at or named files.

local module, dir = arg[1], arg[2]
local faults = assert(package.loadlib(module, "luaopen_faults"))()
local pack = require "spec.support.pack"
local strata = require "strata"

faults.watch("/strata/core.so")

-- A deep tree below many opaque markers: walked once for each it would be eight million names.
local lower, upper, path = {}, {}, "d"
for depth = 1, 40 do
	path = path .. "/d"
	for i = 1, 60 do
		lower[#lower + 1] = { name = path .. "/f" .. i }
	end
	upper[depth] = { name = path .. "/.wh..wh..opq" }
end
for i = 1, 2000 do
	table.insert(upper, 1, { name = path .. "/new" .. i })
end
for _ = 1, 4000 do
	upper[#upper + 1] = { name = "d/.wh..wh..opq" }
end
pack.image(dir .. "/image.tar", { lower, upper })

local calls = {}
for _, class in ipairs { "open", "meta", "name", "unlink" } do
	local img = assert(strata.open(dir .. "/image.tar"))
	faults.arm { class = class }
	assert(img:extract(dir .. "/" .. class))
	calls[#calls + 1] = tostring((faults.disarm()))
	img:close()
end
print(table.concat(calls, " "))
