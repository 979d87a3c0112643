-- The core's jobs, as the binding gives them: recoding, levels, limits.

local core = require("strata.core")
local tmp = require("spec.support.tmp")

local text = ("a line that comes again and again\n"):rep(30000)

local function file_of(bytes)
	local file = assert(core.temp_file())
	assert(file:write(0, bytes))
	return file
end

-- Runs a job of one task -> its result | nil, message, code
local function run(kind, options)
	local job = core.job()
	assert(job[kind](job, options))
	assert(job:start(2))
	while not job:wait(1) do
	end
	local ok, message, code = job:result()
	local result = job:task(1)
	job:close()
	if not ok then
		return nil, message, code
	end
	return result
end

-- -> a file of the text in that compression, and what the job told of it
local function packed(as, level)
	local to = assert(core.temp_file())
	local options = { file = file_of(text), size = #text, to = to, as = as, level = level }
	return to, assert(run("recode", options))
end

describe("job:recode", function()
	it("brings a blob into another compression and back", function()
		for _, as in ipairs({ "none", "gzip", "zstd" }) do
			local there, result = packed(as)
			assert.equal(as, (there:sniff(0, result.size)))
			local back = assert(core.temp_file())
			local again = assert(run("recode", {
				file = there,
				size = result.size,
				compression = as,
				digest = result.digest,
				diff_id = result.diff_id,
				to = back,
				as = "none",
			}))
			assert.equal(text, back:read(0, again.size))
			assert.equal(again.digest, again.diff_id)
			assert.equal(result.diff_id, again.digest)
		end
	end)

	it("takes the levels of the format and refuses others", function()
		local _, fast = packed("zstd", 1)
		local _, slow = packed("zstd", 12)
		assert.is_true(slow.size < fast.size)
		assert.equal(fast.diff_id, slow.diff_id)
		for as, level in pairs({ gzip = 10, zstd = 20 }) do
			local options =
				{ file = file_of(text), size = #text, to = core.temp_file(), as = as, level = level }
			local result, message, code = run("recode", options)
			assert.is_nil(result)
			assert.equal("EINVAL", code)
			assert.matches("levels", message)
		end
	end)

	it("fails when the source is not as expected", function()
		local options = { file = file_of(text), size = #text, to = core.temp_file(), as = "gzip" }
		options.digest = "sha256:" .. ("0"):rep(64)
		local result, message, code = run("recode", options)
		assert.is_nil(result)
		assert.equal("EDIGEST", code)
		assert.matches("digest", message)
	end)

	it("wants a file, a target and known names", function()
		local job = core.job()
		local file = file_of("x")
		assert.has_error(function()
			job:recode({ to = file, as = "gzip" })
		end)
		assert.has_error(function()
			job:recode({ file = file, as = "gzip" })
		end)
		assert.has_error(function()
			job:recode({ file = file, to = file, as = "rar" })
		end)
		assert.has_error(function()
			job:recode({ file = file, to = file, as = "zstd", level = 2 ^ 40 })
		end)
		job:close()
	end)
end)

describe("a task", function()
	it("wants all that it works on", function()
		local dir, file = tmp.dir(), file_of("x")
		local whole = {
			scan = { index = core.entry_index(file, 0, 1, "none") },
			hash = { file = file },
			write = { index = core.entry_index(file, 0, 1, "none"), to = file },
			recode = { file = file, to = file },
			copy = { file = file, to = file },
			assemble = { assembly = core.assemble(), to = file },
			bytes = { bytes = "x", to = file },
			prepare = { index = core.entry_index(file, 0, 1, "none") },
			apply = { apply = assert(core.apply(dir:file("target"), {})) },
		}
		local job = core.job()
		for kind, fields in pairs(whole) do
			for missing in pairs(fields) do
				local options = {}
				for field, value in pairs(fields) do
					options[field] = field ~= missing and value or nil
				end
				local added, message = pcall(job[kind], job, options)
				local measures = kind == "write" and missing == "to" -- a plain tar's size
				assert.equal(measures, added)
				assert.is_true(measures or message:find(("field '%s' is missing"):format(missing), 1, true) ~= nil)
			end
		end
		for kind, fields in pairs(whole) do
			assert.is_number(job[kind](job, fields))
		end
		assert.same({ n = 3, nil, "task: canceled", "ECANCELED" }, { n = select("#", job:result()), job:result() })
		job:close()
		dir:remove()
	end)
end)

describe("job:assemble", function()
	it("writes ranges of files in the order in which they were added", function()
		local one, other, to = file_of("0123456789"), file_of("abcdefghij"), assert(core.temp_file())
		local assembly = core.assemble()
		for _, range in ipairs({ { one, 0, 2 }, { one, 2, 1 }, { one, 5, 3 }, { other, 8, 2 }, { one, 0, 4 } }) do
			assert(assembly:range(range[1], range[2], range[3]))
		end
		local result = assert(run("assemble", { assembly = assembly, to = to }))
		assert.equal("012567ij0123" .. ("\0"):rep(1024), to:read(0, result.size))
	end)

	it("writes no end blocks when it is open-ended", function()
		local to, assembly = assert(core.temp_file()), core.assemble()
		assembly:open_ended()
		assert(assembly:range(file_of("0123"), 1, 2))
		local result = assert(run("assemble", { assembly = assembly, to = to }))
		assert.equal("12", to:read(0, result.size))
	end)
end)

describe("job:prepare", function()
	it("does nothing to what is ready", function()
		local bytes = ("\0"):rep(10240)
		local stored = assert(core.temp_file())
		local result = assert(run("recode", { file = file_of(bytes), size = #bytes, to = stored, as = "gzip" }))
		for compression, file in pairs({ gzip = stored, none = file_of(bytes) }) do
			local size = compression == "gzip" and result.size or #bytes
			local index = core.entry_index(file, 0, size, compression)
			assert(run("scan", { index = index }))
			for times = 1, 2 do
				local job = core.job()
				job:prepare({ index = index })
				assert(job:start(1))
				while not job:wait(1) do
				end
				assert(job:result())
				local _, total = job:progress()
				assert.equal(compression == "gzip" and times == 1 and size or 0, total)
				job:close()
			end
		end
	end)
end)

describe("limits of inflating", function()
	it("are told by name", function()
		local file, result = packed("zstd")
		local options = { file = file, size = result.size, compression = "zstd", plain = true }
		assert.equal(result.diff_id, assert(run("hash", options)).diff_id)
		for field, name in pairs({ max_bytes = "limits.bytes", max_zstd_window = "limits.zstd_window" }) do
			options[field] = 2000
			local told, message, code = run("hash", options)
			assert.is_nil(told)
			assert.equal("ELIMIT", code)
			assert.matches(name, message, 1, true)
			options[field] = nil
		end
	end)

	it("are kept by an index for later reads", function()
		local file, result = packed("gzip")
		local index = core.entry_index(file, 0, result.size, "gzip")
		local told, message, code = run("scan", { index = index, max_bytes = 5000 })
		assert.is_nil(told)
		assert.equal("ELIMIT", code)
		assert.matches("limits.bytes (5000)", message, 1, true)
	end)
end)
