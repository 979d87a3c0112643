-- A compressor that failed at the very end of a stream was taken for one with nothing left to say: what came out was
-- cut short, and called whole.

local archive = require "spec.support.docker_archive"
local core = require "strata.core"
local dialects = require "spec.support.docker_dialects"
local push = require "spec.support.push"
local strata = require "strata"

describe("the end of a compressed stream", function()
	local deflate = core.push_deflate

	after_each(function()
		core.push_deflate = deflate
	end)

	it("that cannot be written is an error", function()
		core.push_deflate = function() -- luacheck: ignore 122
			return {
				write = function()
					return ""
				end,
				finish = function()
					return nil, "out of memory", "ENOMEM"
				end,
				close = function() end,
			}
		end
		local bytes = dialects.of.docker_25(archive.image({ layers = archive.layers(1) })):bytes()
		local edits = {
			compression = "gzip",
			config = function(config)
				config:set_env("A", "B")
			end,
		}
		local out, _, code = push.through(assert(strata.stream.image(edits)), bytes)
		assert.is_nil(out)
		assert.equal("ENOMEM", code)
	end)
end)
