-- img:remove_layer{created_by = ""} removed all layers, img:purge with an empty pattern of variables all of them, and
-- img:scrub_history "" put stars between all letters: a script whose variable was not set lost the image. An empty path
-- was always refused.

local command = require "spec.support.command"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("an empty pattern or text", function()
	local img

	before_each(function()
		img = assert(strata.new():append({ files = { a = "text" }, created_by = "COPY a" }))
		img.config:set_env("TOKEN", "x")
	end)

	-- What is thrown, at the caller's line.
	local function refused(fn)
		local ok, message = pcall(fn)
		assert.is_false(ok)
		assert.matches("^[^:]*199%-empty[^:]*:%d+: ", message)
		assert.same({ 1, "x", "COPY a" }, { #img.layers, img.config:get_env("TOKEN"), img:history()[1].created_by })
		return (message:gsub("^[^:]*:%d+: ", ""))
	end

	it("chooses no layers", function()
		local why = "the text is empty, and would match everything"
		assert.equal("remove_layer: created_by: " .. why, refused(function()
			img:remove_layer({ created_by = "" })
		end))
		why = "the pattern is empty, and would match everything"
		assert.equal("remove_layer: created_by.pattern: " .. why, refused(function()
			img:remove_layer({ created_by = { pattern = "" } })
		end))
	end)

	it("chooses no paths, no variables and no texts", function()
		local why = "the pattern is empty, and would match everything"
		assert.equal("remove: pattern: " .. why, refused(function()
			img:remove({ pattern = "" })
		end))
		assert.equal("scrub_history: " .. why, refused(function()
			img:scrub_history("")
		end))
		for _, name in ipairs({ "env", "labels", "history" }) do
			assert.equal(("purge: %s: %s"):format(name, why), refused(function()
				img:purge(nil, { [name] = "" })
			end))
		end
	end)

	it("is refused by the command as well, and nothing is written", function()
		local dir = tmp.dir()
		finally(function()
			dir:remove()
		end)
		local app, out = dir:file("app.tar"), dir:file("out.tar")
		assert(img:save(app))
		for _, words in ipairs({ { "rm", app, "--created-by", "" }, { "purge", app, "--env", "" } }) do
			words[5], words[6] = "-o", out
			local done = command.run(words)
			assert.same({ 2, "" }, { done.status, done.stdout })
			assert.matches("is empty, and would match everything\n$", done.stderr)
			assert.is_nil(io.open(out))
		end
	end)

	it("is no element of tags that assigning would pass over", function()
		for _, value in ipairs({ { a = "app:1" }, { "app:1", [3] = "app:2" } }) do
			assert.equal("tags should be an array of strings", refused(function()
				img.tags = value
			end))
			assert.same({}, img.tags)
		end
	end)
end)
