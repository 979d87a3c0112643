-- A client remembered the digest of every blob that it had sent or read of: the memory of a process that works on image
-- after image grew with each.

local push = require "strata.registry.push"

describe("blobs that a session knows", function()
	-- Notes `count` digests, each in a repository of its own or all in one.
	local function note(session, count, name)
		for i = 1, count do
			push.known(session, name or "r" .. i)["sha256:" .. i] = true
		end
	end

	it("are those that came last, however many there were", function()
		for _, name in ipairs({ "app", false }) do
			local session = {}
			note(session, 25000, name or nil)
			local count = 0
			for _, digests in pairs(session.known) do
				for _ in pairs(digests) do
					count = count + 1
				end
			end
			assert.is_true(count <= 10001, count)
			assert.equal(count, session.known_count)
			assert.is_true(push.known(session, name or "r25000")["sha256:25000"])
		end
	end)

	it("are of their repository", function()
		local session = {}
		push.known(session, "a")["sha256:1"] = true
		assert.is_true(push.known(session, "a")["sha256:1"])
		assert.is_nil(push.known(session, "b")["sha256:1"])
	end)
end)
