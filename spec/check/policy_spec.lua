--- Rules that an image has to keep.

local archive = require "spec.support.archive"
local policy = require "strata.policy"
local strata = require "strata"

local specify = archive.specify(it, pending)

describe("a policy", function()
	local bench
	before_each(function()
		bench = archive.bench()
	end)
	after_each(function()
		bench:close()
	end)

	local CAPABLE = { ["SCHILY.xattr.security.capability"] = "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0" }

	local function open(config)
		return bench:open({
			{
				entries = {
					{ name = "bin/su", data = "su", mode = 2541 }, -- 04755
					{ name = "bin/wall", data = "wall", mode = 1517 }, -- 02755
					{ name = "bin/ls", data = "ls", mode = 493 },
					{ name = "bin/ping", data = "ping", mode = 493, pax = CAPABLE },
					{ name = "srv", type = "dir", mode = 1533 }, -- 02775
					{ name = "dev/null", type = "char", major = 1, minor = 3 },
					{ name = "root/.ssh/id_rsa", data = "key" },
				},
			},
			{ entries = { { name = "root/.ssh/.wh.id_rsa", data = "" } } },
		}, {
			config = config or {
				config = { User = "1000:1000", Env = { "PATH=/bin", "API_TOKEN=0123abcd" } },
				history = { { created_by = "RUN echo" }, { created_by = "RUN curl -u me:hunter2 example.org" } },
			},
		})
	end

	local function found(img, rules)
		local list = {}
		for i, finding in ipairs(assert(policy.check(img, rules))) do
			list[i] = finding.rule .. (finding.path and " " .. finding.path or "")
		end
		table.sort(list)
		return list
	end

	specify("finds set-id files and devices where they are not allowed", function()
		local img = open()
		assert.same({ "devices dev/null", "setid bin/su", "setid bin/wall" }, found(img, {}))
		assert.same({ "devices dev/null", "setid bin/wall" }, found(img, { setid = { "bin/su" } }))
		assert.same({}, found(img, { setid = false, devices = { "dev" } }))
	end)

	specify("finds files with capabilities when it is asked for", function()
		local img = open()
		assert.same({ "capabilities bin/ping" }, found(img, { setid = false, devices = false, capabilities = {} }))
		assert.same({}, found(img, { setid = false, devices = false, capabilities = { "**/ping" } }))
	end)

	specify("finds secrets in every layer, also deleted ones, and never says them", function()
		local img = open()
		local rules = {
			setid = false,
			devices = false,
			secrets = { paths = { "**/id_rsa" }, env = { "TOKEN=", "KEY=" }, history = { "%-u %w+:%w+" } },
		}
		local findings = assert(policy.check(img, rules))
		assert.equal(3, #findings)
		assert.equal("root/.ssh/id_rsa", findings[1].path)
		assert.equal(1, findings[1].layer)
		for _, finding in ipairs(findings) do
			assert.is_nil(finding.message:find("0123abcd", 1, true))
			assert.is_nil(finding.message:find("hunter2", 1, true))
		end
		assert.is_truthy(findings[2].message:find("API_TOKEN", 1, true))
	end)

	specify("finds an image that runs as root, however it says so", function()
		local rules = { setid = false, devices = false }
		for user, expected in pairs({ [""] = true, root = true, ["0"] = true, ["0:1000"] = true, ["00"] = true,
			["root:staff"] = true, ["1000"] = false, app = false, ["10"] = false, ["rooty"] = false }) do
			local img = open({ config = { User = user } })
			assert.same(expected and { "root_user" } or {}, found(img, rules), user)
			assert.same({}, found(img, { setid = false, devices = false, root_user = true }))
		end
		assert.same({ "root_user" }, found(open({ config = {} }), rules))
	end)

	-- ---- waste, size, packages, base -----------------------------------------------------------------

	local ANY = { setid = false, devices = false, root_user = true }

	local function with(rules)
		local all = {}
		for name, value in pairs(ANY) do
			all[name] = value
		end
		for name, value in pairs(rules) do
			all[name] = value
		end
		return all
	end

	local function wasteful()
		return bench:open({
			{ entries = { { name = "a", data = ("a"):rep(1000) }, { name = "b", data = ("b"):rep(1000) } } },
			{ entries = { { name = "a", data = ("A"):rep(1000) } } },
		})
	end

	specify("holds an image to an efficiency, to bytes that nobody sees, to a size and to a number of layers", function()
		local img = wasteful()
		local kept = { lowest_efficiency = 2 / 3, highest_wasted_bytes = 1000, max_size = 3000, max_layers = 2 }
		assert.same({}, found(img, with(kept)))
		local broken = { lowest_efficiency = 0.7, highest_wasted_bytes = 999, max_size = 2999, max_layers = 1 }
		assert.same({ "highest_wasted_bytes", "lowest_efficiency", "max_layers", "max_size" }, found(img, with(broken)))
		assert.equal("1000 bytes that no container sees, more than 999",
			policy.check(img, with({ highest_wasted_bytes = 999 }))[1].message)
		assert.same({ "max_layers" }, found(img, with({ max_layers = 0 })))
	end)

	specify("takes the worse view of what is wasted", function()
		-- An opaque marker in the root hides nothing by default, and all by the letter of the specification.
		local img = bench:open({
			{ entries = { { name = "a", data = ("a"):rep(1000) } } },
			{ entries = { { name = ".wh..wh..opq", data = "" }, { name = "b", data = "b" } } },
		})
		assert.same({ "highest_wasted_bytes" }, found(img, with({ highest_wasted_bytes = 10 })))
	end)

	specify("finds paths that may not be there, also behind symlinks, once each", function()
		local img = bench:open({
			{
				entries = {
					{ name = "usr/bin/curl", data = "curl", mode = 493 },
					{ name = "usr/bin/wget", data = "wget", mode = 493 },
					{ name = "bin", type = "symlink", linkname = "usr/bin" },
					{ name = "opt/doc/a", data = "a" },
					{ name = "gone", data = "g" },
				},
			},
			{ entries = { { name = ".wh.gone", data = "" } } },
		})
		assert.same({ "denied_paths usr/bin/curl" }, found(img, with({ denied_paths = "usr/bin/curl" })))
		assert.same({ "denied_paths usr/bin/curl" }, found(img, with({ denied_paths = { "/bin/curl" } })))
		assert.same({ "denied_paths usr/bin/curl" }, found(img, with({ denied_paths = { "bin/cu*", "usr/bin/curl" } })))
		assert.same({ "denied_paths usr/bin/wget" }, found(img, with({ denied_paths = { pattern = "/w?get$" } })))
		assert.same({ "denied_paths opt/doc" }, found(img, with({ denied_paths = { "opt/doc", "nothing", "gone" } })))
		local finding = policy.check(img, with({ denied_paths = "opt/doc/a" }))[1]
		assert.same({ "'opt/doc/a': is not allowed", 1 }, { finding.message, finding.layer })
	end)

	specify("finds packages that may not be installed, and databases that nobody reads", function()
		local status = "Package: curl\nStatus: install ok installed\nVersion: 8.1\n\n"
			.. "Package: curlew\nStatus: deinstall ok config-files\nVersion: 1\n"
		local img = bench:open({
			{ entries = { { name = "var/lib/dpkg/status", data = status } } },
			{ entries = { { name = "etc/motd", data = "" } } },
		})
		local findings = policy.check(img, with({ denied_packages = { "wget", "cur*" } }))
		assert.same({ 1, "curl 8.1 is not allowed" }, { #findings, findings[1].message })
		assert.same({}, found(img, with({ denied_packages = { "wget", "curlew", "cur" } })))
		local of_rpm = bench:open({ { entries = { { name = "var/lib/rpm/rpmdb.sqlite", data = "x" } } } })
		assert.same({ "denied_packages" }, found(of_rpm, with({ denied_packages = { "wget" } })))
		local of_both = bench:open({
			{ entries = { { name = "var/lib/dpkg/status", data = status }, { name = "var/lib/rpm/Packages", data = "x" } } },
		})
		assert.same({ "denied_packages" }, found(of_both, with({ denied_packages = { "wget" } })))
		local broken = bench:open({ { entries = { { name = "var/lib/dpkg/status", data = "Version: 1\n" } } } })
		local result, message, code = policy.check(broken, with({ denied_packages = { "wget" } }))
		assert.same({ nil, "packages: 'var/lib/dpkg/status': a paragraph without the field Package", "EFORMAT" },
			{ result, message, code })
	end)

	specify("wants the layers of a base, given as an image or by chain_ids", function()
		local layers = {
			{ entries = { { name = "base", data = "base" } } },
			{ entries = { { name = "more", data = "more" } } },
			{ entries = { { name = "app", data = "app" } } },
		}
		local base, img = bench:open({ layers[1], layers[2] }), bench:open(layers)
		local other = bench:open({ layers[2], layers[1] })
		assert.same({}, found(img, with({ base = base })))
		assert.same({}, found(img, with({ base = base.layers[2].chain_id })))
		assert.same({}, found(img, with({ base = { other.layers[2].chain_id, base.layers[1].chain_id } })))
		assert.same({}, found(img, with({ base = img })))
		assert.same({ "base" }, found(img, with({ base = other })))
		assert.same({ "base" }, found(base, with({ base = img })))
		assert.same({ "base" }, found(img, with({ base = layers and base.layers[2].diff_id })))
		img.layers[1]:entry("base").mode = 493
		assert.same({ "base" }, found(img, with({ base = base })))
	end)

	specify("throws for rules that forbid nothing, or cannot be kept", function()
		local img = wasteful()
		local empty = strata.new({ platform = "linux/amd64" })
		for message, rules in pairs({
			["policy: denied_paths: an array of paths is wanted, with one path at least"] = { denied_paths = {} },
			["policy: denied_packages: one at least is wanted"] = { denied_packages = {} },
			["policy: denied_packages: 'a/b' is no glob of names: no package has a '/' in its name"] = {
				denied_packages = { "a/b" },
			},
			["policy: denied_packages: '' is no glob of names: it is empty"] = { denied_packages = { "" } },
			["policy: base: one at least is wanted"] = { base = {} },
			["policy: base: an image without layers is below every other one"] = { base = empty },
			["policy: lowest_efficiency should be a number from 0 to 1, not 95"] = { lowest_efficiency = 95 },
			["policy has no rule 'max_sizes'; did you mean 'max_size'?"] = { max_sizes = 1 },
		}) do
			assert.has_error(function()
				policy.check(img, rules)
			end, message)
		end
		assert.error_matches(function()
			policy.check(img, { base = "debian:12" })
		end, "policy: base should be .*the chain_id of a layer.*, not 'debian:12'")
	end)

	specify("is broken by what a check finds of a severity, or worse", function()
		local img = bench:open({ { entries = { { name = "d/../e", data = "" }, { name = "/abs", data = "" } } } })
		local rules = { root_user = true }
		assert.same({}, found(img, rules))
		rules.check = "error"
		assert.same({}, found(img, rules))
		rules.check = "warning"
		assert.same({ "check d/../e" }, found(img, rules))
		local finding = policy.check(img, rules)[1]
		assert.equal(1, finding.layer)
		assert.matches("%[dot%-dot%]$", finding.message)
		rules.check = "note"
		assert.same({ "check /abs", "check d/../e" }, found(img, rules))
	end)

	specify("throws for a rule that there is not", function()
		local img = open()
		assert.has_error(function()
			policy.check(img, { setuid = {} })
		end, "policy has no rule 'setuid'; did you mean 'setid'?")
	end)
end)
