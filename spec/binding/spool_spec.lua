local core = require "strata.core"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

-- More than a pipe and every buffer hold.
local BIG = ("0123456789abcdef"):rep(200000)

local function content(file)
	return file:read(0, file:size())
end

local function spooled(bytes)
	local file = assert(core.temp_file())
	assert(file:write(0, bytes))
	return file
end

describe("core.spool", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	it("reads a file of the io library to its end", function()
		local stream = assert(io.open(dir:write("big", BIG), "rb"))
		local file = assert(core.spool(stream))
		assert.is_true(content(file) == BIG)
		assert.equal("stream", file:name())
		assert.equal("", stream:read("*a"))
		stream:close()
		file:close()
	end)

	it("begins where reading has come to, what is buffered included", function()
		local stream = assert(io.open(dir:write("lines", "one\ntwo\nthree\n"), "rb"))
		assert.equal("one", stream:read("*l"))
		local file = assert(core.spool(stream))
		assert.equal("two\nthree\n", content(file))
		stream:close()
		file:close()
	end)

	it("reads what a program writes", function()
		local pipe = assert(io.popen("echo first; seq 100000"))
		assert.equal("first", pipe:read("*l"))
		local file = assert(core.spool(pipe))
		pipe:close()
		assert.is_true(content(file) == shell.check({ "seq", "100000" }))
		file:close()
	end)

	it("gives an empty file for an empty stream", function()
		local pipe = assert(io.popen("true"))
		local file = assert(core.spool(pipe))
		assert.equal(0, file:size())
		pipe:close()
		file:close()
	end)

	it("reads standard input for '-'", function()
		local command = process.lua([[
			local core = require "strata.core"
			local line = io.read("*l")
			local file = assert(core.spool("-"))
			print(line, file:name(), file:size(), file:read(0, 3))
		]])
		assert.equal("one\tstandard input\t14\ttwo\n", shell.sh("printf 'one\\ntwo\\nthree four' | " .. command))
		dir:write("input", "one\ntwo")
		assert.equal("one\tstandard input\t3\ttwo\n", shell.sh(command .. ' <"$1"', dir:file("input")))
	end)

	it("says that standard input is closed", function()
		local command = process.lua([[
			local file, message, code = require("strata.core").spool("-")
			print(file, message, code)
		]])
		assert.equal("nil\tstandard input: read: Bad file descriptor\tEBADF\n", shell.sh(command .. " <&-"))
	end)

	it("puts the file where it is told, and no name of it", function()
		local pipe = assert(io.popen("echo x"))
		local file = assert(core.spool(pipe, dir.path))
		pipe:close()
		assert.same({}, dir:names())
		local where = io.popen("readlink /proc/$PPID/fd/" .. file:fileno())
		assert.equal(dir.path, where:read("*a"):sub(1, #dir.path))
		where:close()
		file:close()
	end)

	it("fails where no file can be made", function()
		local stream = assert(io.open(dir:write("x", "x")))
		local file, message, code = core.spool(stream, dir:file("missing"))
		assert.is_nil(file)
		assert.equal("ENOENT", code)
		assert.matches("missing: No such file or directory$", message)
		stream:close()
	end)

	it("fails for a directory and for a file that is only written", function()
		local stream = assert(io.open(dir.path))
		assert.equal("EISDIR", (select(3, core.spool(stream))))
		stream:close()
		stream = assert(io.open(dir:file("out"), "w"))
		assert.equal("EBADF", (select(3, core.spool(stream))))
		stream:close()
	end)

	it("throws when it is misused", function()
		local stream = assert(io.open(dir:write("x", "x")))
		stream:close()
		for _, wrong in ipairs({ stream, "x", 1, {}, spooled("x") }) do
			assert.has_error(function()
				core.spool(wrong)
			end)
		end
		assert.has_error(function()
			core.spool()
		end)
		local _, message = pcall(core.spool, stream)
		assert.matches("the file is closed", message, 1, true)
		_, message = pcall(core.spool, dir)
		assert.matches('"-" or an open file expected', message, 1, true)
	end)

	it("leaves no descriptor behind", function()
		local path = dir:write("x", "x")
		local before = process.descriptors()
		local stream = assert(io.open(path))
		core.spool(stream):close()
		core.spool(stream, "/missing")
		stream:close()
		assert.equal(before, process.descriptors())
	end)
end)

describe("file:send", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	it("writes behind what is buffered, and what comes next comes behind it", function()
		local file = spooled(BIG)
		local stream = assert(io.open(dir:file("out"), "wb"))
		assert(stream:write("before "))
		assert.is_true(file:send(stream))
		assert.equal(7 + #BIG, stream:seek())
		assert(stream:write(" after"))
		assert.is_true(file:send(stream))
		stream:close()
		assert.is_true(shell.read(dir:file("out")) == "before " .. BIG .. " after" .. BIG)
		file:close()
	end)

	it("appends to a file that is opened for that", function()
		local stream = assert(io.open(dir:write("out", "old "), "ab"))
		local file = spooled("new")
		assert.is_true(file:send(stream))
		stream:close()
		assert.equal("old new", shell.read(dir:file("out")))
		file:close()
	end)

	it("leaves nothing in a buffer", function()
		local stream = assert(io.open(dir:file("out"), "wb"))
		stream:setvbuf("full", 65536)
		stream:write("a")
		local file = spooled("b")
		assert.is_true(file:send(stream))
		assert.equal("ab", shell.read(dir:file("out")))
		stream:close()
		file:close()
	end)

	it("writes into a program", function()
		local pipe = assert(io.popen(("cat >%s"):format(shell.quote(dir:file("out"))), "w"))
		pipe:write("before ")
		local file = spooled(BIG)
		assert.is_true(file:send(pipe))
		pipe:close()
		assert.is_true(shell.read(dir:file("out")) == "before " .. BIG)
		file:close()
	end)

	it("writes an opened file as well as a temporary one", function()
		local file = assert(core.open_file(dir:write("in", "content")))
		local stream = assert(io.open(dir:file("out"), "wb"))
		assert.is_true(file:send(stream))
		stream:close()
		file:close()
		assert.equal("content", shell.read(dir:file("out")))
	end)

	it("writes to standard output for '-'", function()
		local command = process.lua([[
			local core = require "strata.core"
			io.write("before ")
			local file = core.open_file(os.getenv("INPUT"))
			assert(file:send("-") == true)
			assert(file:send(io.stdout) == true)
			io.write(" after")
		]])
		command = "INPUT=" .. shell.quote(dir:write("in", BIG)) .. " " .. command
		assert.is_true(shell.sh(command .. " | cat") == "before " .. BIG .. BIG .. " after")
		shell.sh(command .. ' >"$1"', dir:file("out"))
		assert.is_true(shell.read(dir:file("out")) == "before " .. BIG .. BIG .. " after")
	end)

	it("gives EPIPE when nobody reads, and nobody is killed", function()
		local pipe = assert(io.popen("exec true", "w"))
		local file = spooled(BIG)
		local ok, message, code = file:send(pipe)
		assert.is_nil(ok)
		assert.equal("EPIPE", code)
		assert.equal("stream: write: Broken pipe", message)
		pipe:close()
		file:close()
	end)

	it("gives EPIPE for standard output, too", function()
		local command = process.lua([[
			local core = require "strata.core"
			local ok, message, code = core.open_file(os.getenv("INPUT")):send("-")
			io.stderr:write(tostring(ok), " ", message, " ", code, "\n")
		]])
		local script = 'export INPUT="$1"; { ' .. command .. '; echo "status $?" >&2; } 2>"$2" | true'
		shell.sh(script, dir:write("in", BIG), dir:file("said"))
		assert.equal("nil standard output: write: Broken pipe EPIPE\nstatus 0\n", shell.read(dir:file("said")))
	end)

	it("does not keep SIGPIPE from the host's own writing", function()
		local command = process.lua([[
			local core = require "strata.core"
			local pipe = io.popen("exec true", "w")
			assert(select(3, core.open_file(os.getenv("INPUT")):send(pipe)) == "EPIPE")
			io.stderr:write("sent\n")
			for _ = 1, 100000 do io.write("0123456789") end
			io.stderr:write("not reached\n")
		]])
		local script = 'export INPUT="$1"; { ' .. command .. ' || echo "status $?" >&2; } 2>"$2" | true'
		shell.sh(script, dir:write("in", BIG), dir:file("said"))
		assert.equal("sent\nstatus 141\n", shell.read(dir:file("said")))
	end)

	it("fails when the target is full or only read", function()
		local file = spooled(BIG)
		local stream = assert(io.open("/dev/full", "w"))
		local ok, message, code = file:send(stream)
		assert.is_nil(ok)
		assert.equal("ENOSPC", code)
		assert.equal("stream: write: No space left on device", message)
		stream:close()
		stream = assert(io.open("/dev/null", "r"))
		assert.equal("EBADF", (select(3, file:send(stream))))
		stream:close()
		file:close()
	end)

	it("fails when the file has become shorter", function()
		local file = assert(core.open_file(dir:write("in", "content")))
		dir:write("in", "con")
		local stream = assert(io.open(dir:file("out"), "wb"))
		assert.equal("EFORMAT", (select(3, file:send(stream))))
		stream:close()
		file:close()
	end)

	it("throws when it is misused", function()
		local file = spooled("x")
		local closed = assert(io.open(dir:file("out"), "w"))
		closed:close()
		for _, wrong in ipairs({ closed, dir:file("out"), 1, {}, file }) do
			assert.has_error(function()
				file:send(wrong)
			end)
		end
		file:close()
		assert.has_error(function()
			file:send("-")
		end)
	end)
end)
