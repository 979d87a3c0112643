-- Takes seconds: not for make check.
-- An image without edits is saved as a copy of its file. That went on to its end whatever the progress function, a
-- deadline or an interrupt said, and told no progress.

local archive = require "spec.support.docker_archive"
local core = require "strata.core"
local dialects = require "spec.support.docker_dialects"
local jobs = require "strata.jobs"
local on_wait = require("strata.util.job").on_wait
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("a save of an image without edits", function()
	local dir, path, to

	before_each(function()
		dir = tmp.dir()
		to = dir:file("out.tar")
		local layers = { archive.layer({ { name = "big", data = ("0123456789"):rep(2000000) } }) }
		path = dialects.of.docker_25(archive.image({ layers = layers })):write(dir:file("app.tar"))
	end)

	after_each(function()
		dir:remove()
	end)

	for _, verify in ipairs({ true, false }) do
		it("tells its progress to the end, verify = " .. tostring(verify), function()
			local last = {}
			assert(assert(strata.open(path)):save(to, {
				verify = verify,
				progress = function(done, total, what)
					last[what] = { done, total }
				end,
			}))
			assert.same({ #shell.read(path), #shell.read(path) }, last.writing)
			assert.equal(verify, last.hashing ~= nil)
			assert.is_true(shell.read(path) == shell.read(to))
		end)

		it("is stopped by its progress function, verify = " .. tostring(verify), function()
			assert.has_error(function()
				assert(strata.open(path)):save(to, {
					verify = verify,
					progress = function(_, _, what)
						assert.equal("writing", what)
						error("stop", 0)
					end,
				})
			end, "stop")
			assert.same({ "app.tar" }, dir:names())
		end)

		it("has a deadline, verify = " .. tostring(verify), function()
			local img = assert(strata.open(path))
			local before = on_wait(function()
				error({ code = "ETIMEDOUT" }, 0)
			end)
			local ok, why = pcall(img.save, img, to, { verify = verify })
			on_wait(before)
			assert.is_false(ok)
			assert.equal("ETIMEDOUT", why.code)
			assert.same({ "app.tar" }, dir:names())
			local done = { jobs.run("save", { path = path, to = to }, { deadline = core.monotonic() - 1 }) }
			assert.equal("ETIMEDOUT", done[3])
		end)
	end

	it("can be interrupted: the copy is given up between two of its parts", function()
		local job = core.job()
		local from, temp = assert(core.open_file(path)), assert(core.temp_file(dir.path))
		for i = 0, 99 do
			job:copy({ label = "copy", file = from, offset = 0, size = from:size(), to = temp, to_offset = i * from:size() })
		end
		assert(job:start(1))
		job:cancel()
		repeat
		until job:wait(1)
		assert.equal("ECANCELED", select(3, job:result()))
		assert.is_true(temp:size() < 100 * from:size())
		job:close()
	end)
end)
