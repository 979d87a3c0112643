--- Bytes that no container sees.

local archive = require "spec.support.archive"

local specify = archive.specify(it, pending)

describe("waste", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	specify("is what upper layers replace, delete, hide or only re-mode, by layer", function()
		local img = bench:open({
			{
				entries = {
					{ name = "kept", data = ("k"):rep(1) },
					{ name = "replaced", data = ("r"):rep(10) },
					{ name = "deleted", data = ("d"):rep(100) },
					{ name = "dir/hidden", data = ("h"):rep(1000) },
					{ name = "moded", data = ("m"):rep(10000), mode = 420 },
				},
			},
			{
				entries = {
					{ name = "replaced", data = ("R"):rep(20) },
					{ name = ".wh.deleted", data = "" },
					{ name = "dir/.wh..wh..opq", data = "" },
					{ name = "moded", data = ("m"):rep(10000), mode = 493 },
					{ name = "twice", data = "first" },
					{ name = "twice", data = "second" },
				},
			},
		})
		assert.same({ total = 11110 + 5, layers = { 11110, 5 } }, img:waste())
	end)

	specify("counts a file with several names once, and not while one of them is seen", function()
		local img = bench:open({
			{
				entries = {
					{ name = "a", data = ("a"):rep(7) },
					{ name = "b", type = "hardlink", linkname = "a" },
					{ name = "c", data = ("c"):rep(70) },
					{ name = "d", type = "hardlink", linkname = "c" },
				},
			},
			{
				entries = {
					{ name = ".wh.a", data = "" },
					{ name = ".wh.c", data = "" },
					{ name = ".wh.d", data = "" },
				},
			},
		})
		assert.same({ total = 70, layers = { 70, 0 } }, img:waste())
	end)

	specify("is nothing without layers", function()
		assert.same({ total = 0, layers = {} }, require("strata").new({ platform = "linux/amd64" }):waste())
	end)
end)
