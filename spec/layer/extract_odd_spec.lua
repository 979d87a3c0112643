-- Applying layers with entries that no usual program writes.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local rawtar = require "spec.support.rawtar"
local rights = require "spec.support.rights"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"
local tree = require "spec.support.tree"

local ROOT = rights.root

local entry, pax = rawtar.entry, rawtar.pax

local function directory(name, fields)
	fields = fields or {}
	fields.name, fields.type, fields.mode = name, "5", fields.mode or 493
	return entry(fields)
end

local function link(letter, name, target)
	return entry({ name = name, type = letter, linkname = target })
end

describe("extracting what is odd:", function()
	local dir, target

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
		target = dir:file("target")
	end)

	after_each(function()
		dir:remove()
	end)

	local function open(...)
		local layers = {}
		for i, parts in ipairs({ ... }) do
			local bytes = table.concat(parts) .. rawtar.END
			layers[i] = { entries = {}, tar = bytes, diff_id = archive.sha256(bytes) }
		end
		return assert(strata.open(dialects.of.docker_25(archive.image({ layers = layers })):write(dir:file("image.tar"))))
	end

	local function extract(options, ...)
		local img = open(...)
		local done, message, code = img:extract(target, options)
		img:close()
		return done, message, code
	end

	-- All the attributes of a file, by name.
	local function xattrs(path)
		local script = "import os, sys\nfor n in sorted(os.listxattr(sys.argv[1], follow_symlinks=False)):\n"
			.. "  print(n, os.getxattr(sys.argv[1], n, follow_symlinks=False).hex())"
		local found = {}
		for name, hex in shell.check({ "python3", "-IS", "-c", script, path }):gmatch("(%S+) (%x*)\n") do
			found[name] = hex
		end
		return found
	end

	local FLAT = { unprivileged = not ROOT }

	-- What was left out, but for owners, whom only root can set.
	local function left_out(done)
		local seen = {}
		for _, note in ipairs(done.skipped) do
			if note.what ~= "owner" then
				seen[#seen + 1] = ("%s %s %s"):format(note.path, note.what, note.code)
			end
		end
		return seen
	end

	describe("attributes", function()
		it("with escapes of two characters, of SCHILY records alone, and with a value", function()
			assert(extract(FLAT, {
				pax({
					"LIBARCHIVE.xattr.user.one%2Ftwo", "AZaz09+/",
					"SCHILY.xattr.user.empty", "",
					"SCHILY.xattr.user.a%3Db%25c%2Fd", "v",
				}) .. entry({ name = "f" }, "x"),
			}))
			assert.same({
				["user.a=b%c%2Fd"] = "76",
			}, xattrs(target .. "/f"))
		end)

		it("without a proper name are refused", function()
			local name = "SCHILY.xattr." .. ("n"):rep(256)
			local _, message, code = extract(FLAT, { pax({ name, "v" }) .. entry({ name = "f" }, "x") })
			assert.equal("EFORMAT", code)
			assert.is_truthy(message:find("no proper name", 1, true), message)
		end)

		it("that speak to an overlay mount, or are too long for any file, are reported", function()
			local done = assert(extract(FLAT, {
				pax({ "SCHILY.xattr.user.overlay.opaque", "y", "SCHILY.xattr.trusted.overlay.origin", "o" })
					.. entry({ name = "f" }, "x"),
				pax({ "SCHILY.xattr.user.big", ("v"):rep(131073) }) .. entry({ name = "g" }, "x"),
			}))
			assert.same({ "f xattr ENOTSUP", "f xattr ENOTSUP", "g xattr ENOTSUP" }, left_out(done))
			assert.same({}, xattrs(target .. "/f"))
			assert.same({}, xattrs(target .. "/g"))
		end)

		it("of another machine's labels are left out without a word", function()
			local done = assert(extract(FLAT, {
				pax({ "SCHILY.xattr.security.selinux", "label", "SCHILY.xattr.system.nfs4_acl", "acl" })
					.. entry({ name = "f" }, "x"),
			}))
			assert.same({}, left_out(done))
		end)

		it("of user's that a link cannot have are passed over", function()
			local done = assert(extract(FLAT, {
				pax({ "SCHILY.xattr.user.note", "v" }) .. link("2", "l", "nowhere"),
				pax({ "SCHILY.xattr.user.note", "v" }) .. entry({ name = "p", type = "6" }),
			}))
			assert.same({}, left_out(done))
			assert.same({}, xattrs(target .. "/l"))
		end)

		it("that a directory has too many of for a short list are all taken away", function()
			local records = {}
			for i = 1, 30 do
				records[#records + 1] = ("SCHILY.xattr.user.%s%02d"):format(("n"):rep(60), i)
				records[#records + 1] = "v"
			end
			assert(extract(FLAT, { pax(records) .. directory("d") }, { directory("d", { mode = 448 }) }))
			assert.same({}, xattrs(target .. "/d"))
			assert.equal("0700", tree.read(target).d.mode)
		end)
	end)

	describe("entries", function()
		it("of a type that nobody knows are refused, global headers only read", function()
			local _, message, code = extract(FLAT, { entry({ name = "odd", type = "Z" }) })
			assert.equal("EUNSUPPORTED", code)
			assert.is_truthy(message:find("'odd'", 1, true) and message:find("0x5a", 1, true), message)
			_, message, code = extract(FLAT, { entry({ name = "low", type = "!" }) })
			assert.equal("EUNSUPPORTED", code, message)
			for _, mode in ipairs({ "merged", "overlay" }) do
				local options = { mode = mode == "overlay" and mode or nil, unprivileged = true, limits = { depth = 1 } }
				assert(extract(options, {
					entry({ name = "g/l/o/b/a/l", type = "g" }, rawtar.record("comment", "c")), entry({ name = "f" }, "x"),
				}))
				shell.check({ "rm", "-rf", target })
			end
		end)

		it("that are hardlinks to nothing or to the root are refused", function()
			for _, to in ipairs({ "", ".", "/" }) do
				assert.equal("EFORMAT", (select(3, extract(FLAT, { link("1", "l", to) }))))
			end
		end)

		it("of 'contiguous' and old files are files", function()
			assert(extract(FLAT, { entry({ name = "seven", type = "7" }, "7\n"), entry({ name = "old", type = "\0" }, "o\n") }))
			assert.equal("7\n", shell.read(target .. "/seven"))
			assert.equal("o\n", shell.read(target .. "/old"))
		end)

		it("that would be whiteouts are none in an overlay's layer, but reported", function()
			local done = assert(extract({ mode = "overlay", unprivileged = true, view = "spec" }, {
				entry({ name = "zero", type = "3", major = 0, minor = 0 }),
				entry({ name = "null", type = "3", major = 1, minor = 0 }),
				entry({ name = "null2", type = "3", major = 0, minor = 1 }),
			}))
			assert.equal("zero device ENOTSUP", ("%s %s %s"):format(done.skipped[1].path, done.skipped[1].what,
				done.skipped[1].code))
			assert.is_false(shell.run({ "test", "-e", target .. "/1/zero" }).status == 0)
		end)

		it("are whiteouts as devices of the number 0:0 alone", function()
			local img = open(
				{ entry({ name = "zero" }, "x"), entry({ name = "null" }, "x"), entry({ name = "null2" }, "x") },
				{
					entry({ name = "zero", type = "3", major = 0, minor = 0 }),
					entry({ name = "null", type = "3", major = 1, minor = 0 }),
					entry({ name = "null2", type = "3", major = 0, minor = 1 }),
				}
			)
			local root = assert(img:rootfs())
			assert.is_nil((root:stat("zero")))
			assert.equal("char char", root:stat("null").type .. " " .. root:stat("null2").type)
			img:close()
		end)

		it("in layers of an overlay that replace a file by a directory hide it", function()
			assert(extract({ mode = "overlay", unprivileged = true, xattrs = rights.xattrs }, {
				entry({ name = "was" }, "x"),
				directory("was"),
				entry({ name = "was/in" }, "x"),
			}))
			assert.equal("dir", tree.read(target .. "/1").was.type)
		end)
	end)

	describe("what is too deep or too long", function()
		it("to be removed is refused: a tree of twice as many directories as a path may have", function()
			shell.check({ "mkdir", "-p", target .. "/a/b/c/d/e/f/g" })
			local img = open({ entry({ name = "a" }, "x") })
			local options = { merge = true, unprivileged = not ROOT, limits = { depth = 2 } }
			local done, message, code = img:extract(target, options)
			img:close()
			assert.is_nil(done)
			assert.equal("ELIMIT", code, message)
			assert.is_truthy(message:find("twice limits.depth", 1, true), message)
		end)

		it("to be followed is refused in an overlay's layer, and hides nothing there", function()
			local options = { mode = "overlay", unprivileged = true, view = "spec" }
			local below = { pax({ "linkpath", ("n"):rep(300) }) .. link("2", "l", "") }
			local done, message, code = extract(options, below, { entry({ name = "l/x" }, "x") })
			assert.is_nil(done)
			assert.equal("ENAMETOOLONG", code, message)
			assert(extract(options, below, { entry({ name = "l/.wh.x" }) }))
		end)

		it("to be a link's target is none: a link to nothing leads nowhere", function()
			local img = open({ link("2", "l", ""), entry({ name = "d/x" }, "x") })
			local text, message = assert(img:rootfs()):read("l/x")
			img:close()
			assert.is_nil(text)
			assert.is_truthy(message:find("l/x", 1, true), message)
			img = open({ entry({ name = "f" }, "x") }, { link("2", "l", ""), link("1", "hard", "l/x") })
			assert.equal("hardlink", assert(img:rootfs()):stat("hard").type)
			img:close()
		end)
	end)

	describe("the directory", function()
		it("may be named with slashes at its end, or from where the process is", function()
			local img = open({ entry({ name = "f" }, "x") })
			assert(img:extract(target .. "//", FLAT))
			assert.equal("x", shell.read(target .. "/f"))
			local name = ".strata-odd." .. dir.path:match("[^/]+$")
			local done, message = img:extract(name, FLAT)
			img:close()
			shell.check({ "rm", "-rf", "./" .. name })
			assert(done, message)
		end)
	end)

	it("keeps as many notes as are kept, and counts them all", function()
		local parts = {}
		for i = 1, 1100 do
			parts[i] = pax({ "SCHILY.xattr.user.overlay.x", "y" }) .. entry({ name = "f" .. i }, "")
		end
		local done = assert(extract(FLAT, parts))
		assert.equal(1000, #done.skipped)
		assert.equal(ROOT and 1100 or 2200, done.skipped_count) -- the owners, too
	end)
end)
