-- Subcommands that judge an image: their reports, their JSON, and their exit status.

local cjson = require "cjson"
local command = require "spec.support.command"
local docker_archive = require "spec.support.docker_archive"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("strata", function()
	local dir, app

	setup(function()
		dir = tmp.dir()
		app = dir:file("app.tar")
		local img = command.image()
		assert(img:save(app, { format = "docker" }))
		img:close()
	end)

	teardown(function()
		dir:remove()
	end)

	-- A copy of the image in which one byte of a layer's content is another one.
	local function damaged()
		local bytes = shell.read(app)
		local at = assert(bytes:find("0123456789012345", 1, true))
		return dir:write("damaged.tar", bytes:sub(1, at - 1) .. "X" .. bytes:sub(at + 1))
	end

	-- One whose layer names a path twice.
	local function odd()
		local img = strata.new()
		local tar = dir:write("twice.layer", docker_archive.tar({ { name = "f", data = "1" }, { name = "f", data = "2" } }))
		assert(img:append({ tar = tar }))
		local path = dir:file("odd.tar")
		assert(img:save(path, { format = "docker" }))
		img:close()
		return path
	end

	describe("waste", function()
		it("shows the sum and the worst paths", function()
			local shown = command.check({ "waste", "--top", "1", app })
			assert.matches("^4%.0 kB wasted, efficiency 0%.%d+\n  layer 1 +4%.0 kB\n", shown)
			assert.matches("\n   4%.0 kB  usr/share/doc/gone  %(layer 1, deleted by layer 2%)\n", shown)
			assert.matches("\n  and 1 more: %-%-top 0\n$", shown)
			local found = cjson.decode((command.check({ "waste", "--json", app })))
			assert.same({ 4006, 0, 0 }, { found.total - found.total % 1, found.layers[2], found.layers[3] })
			assert.equal("usr/share/doc/gone", found.paths[1].path)
		end)

		it("drops it", function()
			local out = dir:file("dropped.tar")
			local shown = command.check({ "waste", "--drop", app, "-o", out })
			assert.matches("^dropped 2 entries with 4%.0 kB\n" .. out:gsub("%p", "%%%0") .. ": docker, ", shown)
			assert.matches("^0 B wasted", command.check({ "waste", out }))
			for message, words in pairs({
				["where does it go?"] = { "--drop" }, ["writes nothing without --drop"] = { "-o", dir:file("none.tar") },
			}) do
				local done = command.run({ "waste", app, (table.unpack or unpack)(words) })
				assert.same({ 2, "" }, { done.status, done.stdout })
				assert.matches(message, done.stderr, 1, true)
			end
		end)
	end)

	describe("diff", function()
		it("ends with 0 where nothing differs, and with 1 where something does", function()
			local other = dir:file("other.tar")
			command.check({ "set", app, "-o", other, "--env", "TZ=UTC" })
			assert.equal(0, command.run({ "diff", app, app }).status)
			local done = command.run({ "diff", app, other })
			assert.same({ 1, "" }, { done.status, done.stderr })
			assert.matches('\n%+ /config/Env/2: "TZ=UTC"\n', done.stdout)
			local found = cjson.decode(command.run({ "diff", "--json", app, other }).stdout)
			assert.same({ false, "added", "TZ=UTC" }, { found.equal, found.config[1].change, found.config[1].b })
			assert.matches("^<!DOCTYPE html>", command.run({ "diff", "--html", app, other }).stdout)
			assert.same({ 1, "" }, { command.run({ "diff", "-q", app, other }).status, "" })
			assert.equal("", command.run({ "diff", "-q", app, other }).stdout)
		end)

		it("passes over paths, and over what a rebuild changes", function()
			local other, normal = dir:file("rm.tar"), dir:file("normal.tar")
			command.check({ "rm", app, "srv/cache.pyc", "-o", other })
			assert.equal(1, command.run({ "diff", "--semantic", app, other }).status)
			assert.equal(0, command.run({ "diff", "--semantic", "--exclude", "srv/*.pyc", app, other }).status)
			command.check({ "normalize", "--epoch", "0", app, "-o", normal })
			assert.equal(1, command.run({ "diff", app, normal }).status)
			assert.equal(0, command.run({ "diff", "--semantic", app, normal }).status)
		end)

		it("ends with 2 where that cannot be told", function()
			assert.equal(2, command.run({ "diff", app, dir:file("none") }).status)
			assert.equal(2, command.run({ "diff", app }).status)
			assert.equal(2, command.run({ "diff", "--wrong", app, app }).status)
		end)
	end)

	describe("check", function()
		it("ends with 1 for findings", function()
			local done = command.run({ "check", odd() })
			assert.same({ 1, "" }, { done.status, done.stderr })
			assert.matches("^%l+: layer 1/1 .* %[duplicate%-path%]\n", done.stdout)
			local found = cjson.decode(command.run({ "check", "--json", odd() }).stdout).findings[1]
			assert.same({ "duplicate-path", "f" }, { found.code, found.path })
			assert.equal(0, command.run({ "check", "--severity", "error", app }).status)
		end)

		it("says so when there are none", function()
			local clean = dir:file("clean.tar")
			command.check({ "rm", app, "odd", "dev", "-o", clean })
			assert.equal("no findings\n", command.check({ "check", clean }))
			assert.equal('{"findings":[]}\n', command.check({ "check", "--json", clean }))
		end)

		it("compares digests", function()
			local done = command.run({ "check", "--severity", "error", damaged() })
			assert.equal(1, done.status)
			assert.matches("^error: layer 3/3 .* %[digest%]\n$", done.stdout)
		end)
	end)

	describe("gate", function()
		it("lets pass what keeps the policy", function()
			local policy = dir:write("open.lua", 'return { setid = { "usr/bin" }, devices = { "dev/null" } }')
			local done = command.run({ "gate", app, policy })
			assert.same({ 0, "" }, { done.status, done.stderr })
			assert.matches("^sha256:%x+: passed\n$", done.stdout)
			assert.matches('"findings":[],"id":"sha256:', command.check({ "gate", "--json", app, policy }), 1, true)
		end)

		it("ends with 1 and its findings for all else", function()
			local done = command.run({ "gate", app })
			assert.equal(1, done.status)
			assert.matches("setid: ", done.stdout, 1, true)
			assert.matches("\nsha256:%x+: %d findings\n$", done.stdout)
			local found = cjson.decode(command.run({ "gate", "--json", app }).stdout)
			assert.is_false(found.passed)
			assert.equal(1, command.run({ "gate", damaged() }).status)
			assert.matches("^verify: ", command.run({ "gate", damaged() }).stdout)
			assert.matches("^check: error: ", command.run({ "gate", odd() }).stdout)
		end)

		it("ends with 2 when that cannot be told", function()
			for text, message in pairs({
				["return 5"] = "should return a table of rules", ["return {"] = "expected", ["error 'no'"] = "no",
				["return { rule = 1 }"] = "no rule 'rule'",
			}) do
				local done = command.run({ "gate", app, dir:write("policy.lua", text) })
				assert.equal(2, done.status)
				assert.matches("^strata: [^\n]+\n$", done.stderr)
				assert.matches(message, done.stderr, 1, true)
			end
			assert.equal(2, command.run({ "gate", dir:write("broken.tar", "no image") }).status)
		end)
	end)
end)
