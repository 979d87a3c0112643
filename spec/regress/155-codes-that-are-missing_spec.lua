-- ISA-L decoded dynamic blocks whose code lengths leave codes unused, which zlib and Go (Docker, containerd) refuse.

local archive = require "spec.support.archive"

local it = archive.specify(it, pending) -- luacheck: ignore 431

describe("a deflate block with codes missing", function()
	it("is refused, as other readers refuse it", function()
		local core = require "strata.core"
		local bytes = ("1f8b0800184d0c6b0203edc13101000000c2a0f54f6d0d0fb0" .. ("0"):rep(40)):gsub("%x%x", function(hex)
			return string.char(tonumber(hex, 16))
		end)
		local inflate = assert(core.push_inflate("gzip"))
		inflate:feed(bytes)
		local _, message, code = inflate:read(100)
		assert.equal("EFORMAT", code)
		assert.matches("invalid distances set", message, 1, true)
	end)
end)
