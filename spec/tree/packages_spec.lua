--- Packages that the databases of a root file system tell.

local archive = require "spec.support.archive"
local corpus = require "spec.support.corpus"
local shell = require "spec.support.shell"
local strata = require "strata"

local specify = archive.specify(it, pending)

describe("packages", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local function root_of(files)
		local entries = {}
		for name, data in pairs(files) do
			entries[#entries + 1] = { name = name, data = data }
		end
		return assert(bench:open({ { entries = entries } }):rootfs())
	end

	specify("of dpkg are those whose files are there, by name, with what they were built from", function()
		local root = root_of({
			["var/lib/dpkg/status"] = [[
Package: libc6
Status: install ok installed
Architecture: arm64
Multi-Arch: same
Source: glibc (2.36-9)
Version: 2.36-9+b1
Description: GNU C Library: Shared libraries
 Package: not-a-field of the description
 .
 more

Package: libc6
Status: install ok half-configured
Architecture: amd64
Source: glibc
Version: 2.36-9

Package: adduser
Status: hold ok installed
version: 3.134
Architecture: all

Package: gone
Status: deinstall ok config-files
Version: 1

Package: never
Status: unknown ok not-installed
]],
		})
		local list, databases = root:packages()
		local database = "var/lib/dpkg/status"
		assert.same({
			{
				name = "adduser", version = "3.134", architecture = "all", source = "adduser", source_version = "3.134",
				manager = "dpkg", database = database,
			},
			{
				name = "libc6", version = "2.36-9", architecture = "amd64", source = "glibc", source_version = "2.36-9",
				manager = "dpkg", database = database,
			},
			{
				name = "libc6", version = "2.36-9+b1", architecture = "arm64", source = "glibc", source_version = "2.36-9",
				manager = "dpkg", database = database,
			},
		}, list)
		assert.same({ { manager = "dpkg", path = database, packages = 3 } }, databases)
		assert.equal("adduser 3.134 all dpkg", tostring(list[1]))
		assert.equal("dpkg: var/lib/dpkg/status, 3 packages", tostring(databases))
	end)

	specify("of distroless images are in a file each", function()
		local list, databases = root_of({
			["var/lib/dpkg/status.d/base"] = "Package: base-files\nVersion: 12\nArchitecture: amd64\n",
			["var/lib/dpkg/status.d/base.md5sums"] = "d41d8cd98f00b204e9800998ecf8427e  etc/issue\n",
			["var/lib/dpkg/status.d/tzdata"] = "Package: tzdata\nVersion: 2024a\nArchitecture: all",
		}):packages()
		assert.equal("base-files 12 amd64 dpkg\ntzdata 2024a all dpkg", tostring(list))
		assert.equal("var/lib/dpkg/status.d/tzdata", list[2].database)
		assert.same({ { manager = "dpkg", path = "var/lib/dpkg/status.d/", packages = 2 } }, databases)
	end)

	specify("of apk are found once where /lib leads to /usr/lib", function()
		local list, databases = bench:open({
			{
				entries = {
					{
						name = "usr/lib/apk/db/installed",
						data = "C:Q1abc=\nP:musl-utils\nV:1.2.2-r3\nA:x86_64\no:musl\nF:sbin\nR:ldconfig\na:0:0:755\n\n"
							.. "P:zlib\nV:1.2.12-r3\nA:x86_64\nF:lib\nR:libz.so.1\n\n",
					},
					{ name = "lib", type = "symlink", linkname = "usr/lib" },
				},
			},
		}):rootfs():packages()
		assert.equal("musl-utils 1.2.2-r3 x86_64 apk\nzlib 1.2.12-r3 x86_64 apk", tostring(list))
		assert.same({ "musl", "zlib" }, { list[1].source, list[2].source })
		assert.same({ { manager = "apk", path = "lib/apk/db/installed", packages = 2 } }, databases)
	end)

	specify("of rpm alone are an error; beside others its database is told", function()
		local rpm = { ["var/lib/rpm/rpmdb.sqlite"] = "SQLite" }
		assert.same(
			{ nil, "packages: 'var/lib/rpm/rpmdb.sqlite' is a database of rpm, which is not read", "EUNSUPPORTED" },
			{ root_of(rpm):packages() }
		)
		rpm["var/lib/dpkg/status"] = "Package: a\nVersion: 1\n"
		local list, databases = root_of(rpm):packages()
		assert.equal("a 1 ? dpkg", tostring(list))
		assert.equal("dpkg: var/lib/dpkg/status, 1 package\nrpm: var/lib/rpm/rpmdb.sqlite, not read", tostring(databases))
	end)

	specify("are none where there is no database, and an error where one cannot be read", function()
		local list, databases = root_of({ ["etc/motd"] = "" }):packages()
		assert.same({ {}, {} }, { list, databases })
		assert.same(
			{ nil, "packages: 'var/lib/dpkg/status': a paragraph without the field Package", "EFORMAT" },
			{ root_of({ ["var/lib/dpkg/status"] = "Version: 1\n" }):packages() }
		)
		assert.same(
			{ nil, "packages: 'lib/apk/db/installed': a paragraph without the field P", "EFORMAT" },
			{ root_of({ ["lib/apk/db/installed"] = "V:1\n" }):packages() }
		)
		local _, _, code = root_of({ ["var/lib/dpkg/status/file"] = "" }):packages()
		assert.equal("EISDIR", code)
	end)

	specify("with names that a terminal obeys print as something else", function()
		local list = root_of({ ["var/lib/dpkg/status"] = "Package: a\27[2J\nVersion: 1\n" }):packages()
		assert.equal("a?[2J 1 ? dpkg", tostring(list))
	end)

	it("of Alpine images are those that apk has written down", function()
		if not corpus.path then
			return pending("STRATA_CORPUS is not set")
		end
		local img = assert(strata.open(corpus.path .. "/images/snyk-alpine.tar"))
		local list = assert(img:rootfs():packages())
		local names = {}
		for name in img:read("lib/apk/db/installed"):gmatch("%f[^\n%z]P:([^\n]+)") do
			names[#names + 1] = name
		end
		assert.equal(14, #list)
		assert.equal(14, #names)
		assert.equal("zlib 1.2.12-r3 x86_64 apk", tostring(list[14]))
		img:close()
	end)

	it("of this system are those that dpkg-query tells", function()
		if not shell.which("dpkg-query") then
			return pending("dpkg-query is not installed")
		end
		local fields = "${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\\n"
		local expected = shell.sh(
			[[dpkg-query -W -f '${db:Status-Status} ]] .. fields .. [[' |
			sed -nE '/^(not-installed|config-files) /d; s/^[^ ]* //p' | LC_ALL=C sort]]
		)
		local img = strata.new()
		local status = assert(io.open("/var/lib/dpkg/status", "rb"))
		assert(img:append({ files = { ["var/lib/dpkg/status"] = status:read("*a") } }))
		status:close()
		local lines = {}
		for i, one in ipairs(assert(img:rootfs():packages())) do
			lines[i] = table.concat({ one.name, one.version, one.architecture, one.source, one.source_version }, " ")
		end
		table.sort(lines)
		assert.equal(expected, table.concat(lines, "\n") .. "\n")
		img:close()
	end)
end)
