--- Rules that an image has to keep.

local archive = require "spec.support.archive"
local policy = require "strata.policy"

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
