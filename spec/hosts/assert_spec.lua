-- strata.assert: what passes, what fails, and with which words; mistakes of a spec, and what cannot be looked at.

local archive = require "spec.support.archive"
local shell = require "spec.support.shell"
local strata = require "strata"
require "strata.assert"

local specify = archive.specify(it, pending)

local STATUS = "Package: libc6\nStatus: install ok installed\nVersion: 2.36\n\n"

local LAYERS = {
	{
		entries = {
			{ name = "etc", type = "dir" },
			{ name = "etc/passwd", data = "root:x:0:0", mode = 420, uid = 0 },
			{ name = "etc/secret", data = ("s"):rep(3000) },
			{ name = "etc/link", type = "symlink", linkname = "passwd" },
			{ name = "usr/bin/curl", data = "curl" },
			{ name = "bin", type = "symlink", linkname = "usr/bin" },
			{ name = "var/lib/dpkg/status", data = STATUS },
		},
	},
	{ entries = { { name = "etc/.wh.secret", data = "" }, { name = "etc/app.conf", data = "mode = debug\n", uid = 7 } } },
}

local CONFIG = {
	config = {
		Env = { "PATH=/bin", "TZ=UTC" },
		Labels = { maintainer = "me" },
		Entrypoint = { "/app", "-v" },
		User = "1000",
	},
}

describe("strata.assert", function()
	local bench, img, made, path
	setup(function()
		bench = archive.bench()
		img, made, path = bench:open(LAYERS, { tags = { "app:1" }, config = CONFIG })
	end)
	teardown(function()
		assert.equal(made.id, img.id)
		bench:close()
	end)

	-- What an assertion says when it fails; that it is this file's is checked, too.
	local function failure(fn)
		local ok, problem = pcall(fn)
		assert.is_false(ok)
		local text = tostring(problem)
		assert.matches("^spec/hosts/assert_spec.lua:%d+: ", text)
		return (text:gsub("^[^ ]+ ", ""))
	end

	local function fails(expected, fn)
		assert.equal(expected, failure(fn))
	end

	specify("looks at a file as a container sees it", function()
		assert.has_file(img, "etc/passwd")
		assert.has_file(img, "/etc/link", { content = "root:x:0:0", mode = "0644", uid = 0, type = "file", size = 10 })
		assert.has_file(img, "etc/link", { linkpath = "passwd" })
		assert.has_file(img, "etc/app.conf", { matches = "mode = %a+", uid = 7 })
		assert.has_file(img, "bin/curl", { digest = img:rootfs():stat("usr/bin/curl"):digest() })
		assert.not_has_file(img, "etc/nothing")
		fails('app:1 has no file \'etc/secret\'\n  layer 2 has deleted it\n  \'etc\' has \'app.conf\', \'link\', \'passwd\'',
			function()
				assert.has_file(img, "etc/secret")
			end)
		fails("app:1 has no file 'opt/a/b'\n  the root has 'bin', 'etc', 'usr', 'var'", function()
			assert.has_file(img, "opt/a/b")
		end)
		assert.matches("; did you mean 'passwd'?", failure(function()
			assert.has_file(img, "etc/passwrd")
		end), 1, true)
		fails("app:1 has 'etc/app.conf' (layer 2), but\n  content is 'mode = debug\\x0a', not 'x'\n"
			.. "  nothing in it matches 'y': 'mode = debug\\x0a'\n  mode is 0644, not 0600\n  uid is 7, not 0", function()
				assert.has_file(img, "etc/app.conf", { mode = "0600", uid = 0, content = "x", matches = "y" })
			end)
		fails("app:1 has 'etc/passwd': file 0644 0:0 (layer 1)", function()
			assert.not_has_file(img, "etc/passwd")
		end)
	end)

	specify("finds a path in any layer, and what symlinks lead to at it", function()
		assert.has_no_file(img, "**/.bash_history")
		assert.has_no_file(img, { "root", "home" })
		assert.has_no.file(img, "root")
		fails("app:1 has what should be in no layer:\n  layer 1: file 'etc/secret'", function()
			assert.has_no_file(img, "etc/secret")
		end)
		fails("app:1 has what should be in no layer:\n  layer 1: file 'usr/bin/curl', to which 'bin/curl' leads", function()
			assert.has_no_file(img, "bin/curl")
		end)
		assert.matches("layer 2: file 'etc/app.conf'$", failure(function()
			assert.has_no_file(img, function(entry)
				return entry.uid == 7
			end)
		end))
	end)

	specify("looks at the config", function()
		assert.env(img, "TZ", "UTC")
		assert.has_env(img, "PATH")
		assert.has_no_env(img, "SECRET")
		assert.label(img, "maintainer", "me")
		assert.config(img, "Entrypoint", { "/app", "-v" })
		assert.config(img, "/config/Entrypoint/0", "/app")
		assert.has_config(img, "WorkingDir", nil)
		assert.has_tag(img, "app:1")
		assert.platform(img, "linux/amd64")
		assert.runs_as_non_root(img)
		fails("app:1: the variable 'TZ' is 'UTC', not 'CET'", function()
			assert.env(img, "TZ", "CET")
		end)
		fails("app:1: the variable 'TZ' is 'UTC'", function()
			assert.has_no_env(img, "TZ")
		end)
		fails("app:1: the variable 'LANG' is not set; set are: 'PATH', 'TZ'", function()
			assert.has_env(img, "LANG")
		end)
		fails("app:1: the label 'version' is not set; set are: 'maintainer'", function()
			assert.label(img, "version", "1")
		end)
		fails("app:1: the annotation 'a' is not set; set are: none", function()
			assert.annotation(img, "a")
		end)
		fails("app:1: Entrypoint of the config is {'/app', '-v'}, not {'/app'}", function()
			assert.config(img, "Entrypoint", { "/app" })
		end)
		fails("the image has no tag 'app:2'; it has: 'app:1'", function()
			assert.has_tag(img, "app:2")
		end)
		fails("app:1 is for linux/amd64, not for linux/arm64", function()
			assert.platform(img, "linux/arm64")
		end)
		assert.matches("^app:1: the user is '1000'$", failure(function()
			assert.not_runs_as_non_root(img)
		end))
	end)

	specify("knows root by its name, by its number, and by etc/passwd", function()
		local stack = { { entries = { { name = "etc/passwd", data = "toor:x:0:0::/:/bin/sh\napp:x:7:7::/:/bin/sh\n" } } } }
		local other = bench:open(stack, { tags = { "other:1" } })
		for user, said in pairs({
			[""] = "no user is set, so it runs as root",
			root = "the user is 'root'",
			["0:5"] = "the user is '0'",
			["00"] = "the user is '00'",
			["toor:app"] = "the user is 'toor', 0 in etc/passwd",
		}) do
			other.config.User = user
			fails("other:1: " .. said, function()
				assert.runs_as_non_root(other)
			end)
		end
		for _, user in ipairs({ "app", "7", "7:0", "unknown" }) do
			other.config.User = user
			assert.runs_as_non_root(other)
		end
	end)

	specify("looks at packages, sizes, waste, rules, findings and digests", function()
		assert.has_package(img, "libc6", "2.36")
		assert.has_no_package(img, "telnet*")
		assert.wastes_less_than(img, "1 MB")
		assert.smaller_than(img, "200 MB")
		assert.verifies(img)
		assert.passes(img, { max_layers = 2 })
		assert.no_findings(img)
		assert.has_no_findings(img, "error")
		fails("app:1 has the package libc6 in version 2.36, not 2.37", function()
			assert.has_package(img, "libc6", "2.37")
		end)
		fails("app:1 has no package 'curl'", function()
			assert.has_package(img, "curl")
		end)
		fails("app:1 has the package libc6 2.36", function()
			assert.has_no_package(img, "libc*")
		end)
		fails("app:1 has 3.0 kB that no container sees, 2.0 kB and more were not expected\n"
			.. "  'etc/secret' of layer 1: 3.0 kB, deleted by layer 2", function()
				assert.wastes_less_than(img, "2 kB")
			end)
		assert.matches("^app:1 has [%d.]+ kB of layers, 5.0 kB and more were not expected\n  layer 1: ", failure(function()
			assert.smaller_than(img, 5000)
		end))
		fails("app:1 breaks the policy:\n  max_layers: 2 layers, more than 1", function()
			assert.passes(img, { max_layers = 1 })
		end)
		assert.matches(": check has findings:\n  .*duplicate%-path", failure(function()
			assert.no_findings(bench:open({ { entries = { { name = "a", data = "1" }, { name = "a", data = "2" } } } }), "note")
		end))
		fails("every digest of app:1 is right", function()
			assert.not_verifies(img)
		end)
	end)

	specify("fails on digests that are wrong", function()
		local broken = bench.dir:file("broken.tar")
		shell.write(broken, (shell.read(path):gsub("root:x:0:0", "root:y:0:0")))
		assert.matches("layer 1", failure(function()
			assert.verifies(broken)
		end))
	end)

	specify("compares the files of two images", function()
		local other = bench:open(LAYERS, { tags = { "other:1" } })
		assert.same_files_as(img, other)
		assert(other:append({ files = { ["opt/new"] = "new", ["etc/passwd"] = "root" } }))
		assert.matches("^other:1 has other files than app:1 %(%+ added, %- removed, ~ changed%):\n"
			.. "  ~ etc/passwd: content .-\n  %+ opt: dir .-\n  %+ opt/new: file 0644 0:0 3 B %(layer 3%)$", failure(function()
				assert.same_files_as(other, img)
			end))
		assert.same_files_as(other, img, { exclude = { "opt", "etc" } })
		assert.not_same_files_as(other, path)
	end)

	specify("takes a path as well, and says what it cannot read, negated or not", function()
		assert.has_file(path, "etc/passwd")
		fails("/nowhere.tar: No such file or directory", function()
			assert.has_file("/nowhere.tar", "etc/passwd")
		end)
		fails("/nowhere.tar: No such file or directory", function()
			assert.has_no_file("/nowhere.tar", "etc/passwd")
		end)
		fails("mine\n" .. "app:1 has no package 'curl'", function()
			assert.message("mine").has_package(img, "curl")
		end)
	end)

	specify("names the line of a mistake", function()
		for message, fn in pairs({
			["has_file: a path is wanted, not nil"] = function() assert.has_file(img) end,
			["has_file has no field 'matchs'; did you mean 'matches'?"] = function()
				assert.has_file(img, "a", { matchs = "1" })
			end,
			["has_file: an image, a path or a reference is wanted, not nil"] = function() assert.has_file(nil, "a") end,
			["has_no_file: an array of paths is wanted, with one path at least"] = function() assert.has_no_file(img, {}) end,
			["env: the name should be a string, not nil"] = function() assert.env(img) end,
			['smaller_than: a number of bytes, or a size such as "5 MB" or "1.5 GiB" is wanted, not \'big\''] = function()
				assert.smaller_than(img, "big")
			end,
			["passes: rules of a policy are wanted, not nil"] = function() assert.passes(img) end,
		}) do
			local said = failure(fn)
			assert.equal(message, said)
		end
	end)

	specify("is a module of functions, too", function()
		local assertions = require("strata.assert")
		assertions.has_file(img, "etc/passwd")
		fails("app:1 has no package 'curl'", function()
			assertions.package(img, "curl")
		end)
	end)

	it("says what is missing where luassert is", function()
		local code = [[package.preload.luassert = function() error "none" end
			print(select(2, pcall(require, "strata.assert")))]]
		local output = shell.check({ strata and assert(os.getenv("STRATA_LUA") or shell.which("lua5.4")), "-e", code })
		assert.matches("strata.assert needs luassert, which comes with busted", output, 1, true)
	end)
end)
