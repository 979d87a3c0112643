--- The image explorer in a real nginx, asked by curl.

local archive = require "spec.support.archive"
local cjson = require "cjson"
local nginx = require "spec.support.nginx"
local peers = require "spec.support.peers"
local shell = require "spec.support.shell"
local skip = require "spec.support.skip"
local skopeo = require "spec.support.skopeo"
local strata = require "strata"
local tmp = require "spec.support.tmp"
local zeros = require "spec.support.zeros"
local waiting = require "spec.support.waiting"

local unpack = table.unpack or unpack

local LATIN1 = "opt/caf\233"
local HOSTILE = {
	[LATIN1] = "latin1",
	["opt/<img src=x onerror=alert(1)>"] = "markup",
	["opt/line\nbreak"] = "lines",
	["opt/\226\128\174gpj.exe"] = "turned",
	["opt/[a-z]*?"] = "pattern",
	["opt/a"] = "what the pattern would match",
	["opt/100%"] = "percent",
	["opt/a b+c&d=e#f"] = "query",
}

describe("the explorer in nginx", function()
	local dir, server, small, servers

	local function start(options)
		options = options or {}
		local started = nginx.start({
			directory = options.directory or tmp.dir(tmp.for_peers()).path,
			env = options.env,
			user = options.user,
		})
		servers[#servers + 1] = started
		return started
	end

	local GIGABYTE = 2 ^ 30

	-- An image whose edit takes its time.
	local function slow()
		local path = dir:file("slow.tar")
		if shell.run({ "test", "-e", path }).status ~= 0 then
			zeros.write(path, 0.4 * GIGABYTE)
		end
		return path
	end

	local SLOW = { paths = { "etc/motd" }, compression = "gzip" }

	-- Begins a request that goes on while others are made; the function waits for its status.
	local function begin_edit(of, id, ...)
		local out = os.tmpname()
		local command = {
			"curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Content-Type: application/json",
			"-d", cjson.encode(SLOW), ...,
		}
		command[#command + 1] = of.url .. "/images/" .. id .. "/edit"
		os.execute(("(%s; echo \" $?\") >%s 2>/dev/null </dev/null &"):format(shell.join(command), out))
		return function()
			local answer = waiting.till("the answer", function()
				return shell.read(out):match("^(%d+ %d+)\n$")
			end)
			os.remove(out)
			return tonumber(answer:match("^%d+")), tonumber(answer:match("%d+$"))
		end
	end

	local function wait_for_maker(of)
		waiting.till("the job", function()
			return #of:leftovers() > 0
		end)
		shell.run({ "sleep", "0.05" })
	end

	local function open(of, file)
		shell.check({ "cp", "--sparse=always", file, of.directory .. "/copy.tar" })
		shell.check({ "chmod", "a+r", of.directory .. "/copy.tar" })
		local image, status = of:post("/images", { path = "copy.tar" })
		assert.equal(201, status, image.error)
		return image
	end

	setup(function()
		local reason = nginx.missing()
		if reason then
			return
		end
		servers = {}
		dir = tmp.dir(tmp.for_peers())
		small = dir:file("small.tar")
		local entries = {
			{ name = "etc/", type = "dir" },
			{ name = "etc/passwd", data = "root\n" },
			{ name = "usr/share/doc/a", data = ("a"):rep(1000) },
		}
		for path, data in pairs(HOSTILE) do
			if path ~= LATIN1 then
				entries[#entries + 1] = { name = path, data = data }
			end
		end
		archive.build(small, {
			layers = { { entries = entries }, { entries = { { name = "etc/passwd", data = "root and more\n" } } } },
			tags = { "small:1" },
			config = {
				config = {
					User = "app", Env = { "A=1", "B=2" }, Volumes = cjson.null, Labels = { x = "y" },
					ExposedPorts = { ["80/tcp"] = {} },
				},
			},
		})
		server = start()
	end)

	teardown(function()
		for _, one in ipairs(servers or {}) do
			one:stop()
			os.remove(one.directory .. ".log")
			os.remove(one.directory .. ".pid")
		end
	end)

	-- What a spec that failed has left must not be seen by others.
	before_each(function()
		local reason = nginx.missing()
		if reason then
			skip(reason)
		end
	end)

	it("takes archives with a Content-Length and in chunks, as Docker pushes, and gives them back", function()
		for _, how in ipairs({ { "-T", small }, { "-T", "-", input = shell.read(small) } }) do
			local words = { server.url .. "/images?name=small.tar", "-X", "POST", input = how.input }
			for _, word in ipairs(how) do
				words[#words + 1] = word
			end
			local answer = server:curl(words)
			assert.equal(201, answer.status, answer.body)
			local image = cjson.decode(answer.body)
			assert.is_truthy(image.id:find("^%x+$") and #image.id == 32)
			assert.same({ "small:1" }, image.tags)
			local back = dir:file("back.tar")
			answer = server:curl({ server.url .. "/images/" .. image.id .. "/download", "-o", back })
			assert.is_truthy(answer.head:find("application/octet-stream", 1, true))
			assert.is_truthy(answer.head:find('attachment; filename="small.tar"', 1, true))
			assert.is_true(shell.same(small, back))
			assert.is_true(server:is_clean())
		end
	end)

	it("keeps nothing of what is no image", function()
		local before = #server:ask("/images").images
		local value, status = server:upload("/bin/busybox")
		assert.same({ 422, "EFORMAT" }, { status, value.code })
		value, status = server:ask("/images", "-X", "POST", "-d", "x")
		assert.same({ 422, "EFORMAT" }, { status, value.code })
		assert.equal(before, #server:ask("/images").images)
		assert.is_true(server:is_clean())
	end)

	it("shows layers beside the history, entries in pages, the merged tree with its provenance", function()
		local id = server:upload(small).id
		local facts = server:ask("/images/" .. id)
		assert.equal(assert(strata.open(small)).id, facts.image)
		assert.equal(2, #facts.layers)
		assert.equal(5, facts.wasted)
		assert.equal(cjson.null, facts.config.config.Volumes)
		local page = server:ask("/images/" .. id .. "/layers/1/entries?offset=1&limit=1")
		assert.equal(1, #page.entries)
		assert.equal("etc/passwd", page.entries[1].path)
		local list = server:ask("/images/" .. id .. "/files/etc")
		assert.equal("passwd", list.entries[1].name)
		assert.equal(2, list.entries[1].layer)
		local file = server:ask("/images/" .. id .. "/files/etc/passwd")
		assert.equal("root and more\n", file.text)
		assert.same({ "added", "changed" }, { file.history[1].action, file.history[2].action })
	end)

	it("shows the file tree of a layer, with what it removes and what upper layers do to it", function()
		local path = dir:file("stacked.tar")
		archive.build(path, {
			layers = {
				{ entries = {
					{ name = "etc/a b+c", data = "1" },
					{ name = "etc/passwd", data = "1" },
					{ name = "opt/old", data = "1" },
					{ name = "var/cache/x", data = "1" },
				} },
				{ entries = {
					{ name = "etc/passwd", data = "22" },
					{ name = "opt/.wh.old" },
					{ name = "var/cache/.wh..wh..opq" },
					{ name = "var/cache/y", data = "1" },
				} },
			},
		})
		local id = server:upload(path).id
		local function look(layer, directory)
			local url = ("/images/%s/layers/%d/entries?dir=%s"):format(id, layer, directory)
			local page, status = server:ask(url)
			assert.equal(200, status, page.error)
			local lines = {}
			for i, one in ipairs(page.entries) do
				local above = one.above and (" %s in %d"):format(one.above.action, one.above.layer) or ""
				lines[i] = one.path .. (one.whiteout and " removes" or "") .. (one.opaque and " opaque" or "") .. above
			end
			return lines, page
		end
		assert.same({ "etc", "opt", "var" }, (look(1, "")))
		assert.same({ "etc/a%20b%2Bc", "etc/passwd replaced in 2" }, (look(1, "etc")))
		assert.same({ "opt/old removed in 2" }, (look(1, "opt")))
		assert.same({ "var/cache/x removed in 2" }, (look(1, "var/cache")))
		assert.same({ "opt/.wh.old removes" }, (look(2, "opt/")))
		assert.same({ "var/cache opaque" }, (look(2, "/var")))
		local lines, page = look(2, "var/cache")
		assert.same({ { "var/cache/y" }, 1, true }, { lines, page.total, page.opaque })
		for _, case in ipairs({ { 404, "opt/none" }, { 409, "etc/passwd" } }) do
			assert.equal(case[1], select(2, server:ask("/images/" .. id .. "/layers/1/entries?dir=" .. case[2])))
		end
	end)

	it("shows the tree up to a layer, all paths, the largest files, and what is wasted", function()
		local path = dir:file("views.tar")
		archive.build(path, {
			layers = {
				{ entries = {
					{ name = "etc/a b+c", data = "123" },
					{ name = "etc/passwd", data = "1" },
					{ name = "opt/", type = "dir" },
					{ name = "opt/old", data = "old" },
				} },
				{ entries = { { name = "etc/passwd", data = "22" }, { name = "opt/.wh.old" } } },
			},
		})
		local id = server:upload(path).id
		local function ask(rest)
			local value, status = server:ask("/images/" .. id .. rest)
			assert.equal(200, status, value.error)
			return value
		end
		local function changes(rest)
			local lines = {}
			for i, one in ipairs(ask("/files/" .. rest).entries) do
				lines[i] = ("%s %s %d"):format(one.path, one.change, one.size)
			end
			return lines
		end
		assert.same({ "etc below 5", "opt below 0" }, changes("?upto=2&sort=size"))
		assert.same({ "etc/a%20b%2Bc below 3", "etc/passwd changed 2" }, changes("etc/?upto=2"))
		assert.same({ "etc/passwd changed 2" }, changes("etc/?upto=2&hide=below,repeated"))
		assert.same({ "opt/old removed 3" }, changes("opt/?upto=2"))
		assert.equal(1, ask("/files/etc/?find=a%20b%2Bc").found)
		assert.equal("old", ask("/files/opt/old?upto=1").text)
		assert.equal("etc/a%20b%2Bc", ask("/largest?count=1").entries[1].path)
		local waste = ask("/waste")
		assert.same({ 4, 2, "opt/old", 1, "deleted", 2 }, {
			waste.bytes, waste.total, waste.paths[1].path, waste.paths[1].layer, waste.paths[1].why, waste.paths[1].by,
		})
		local paths = server:curl({ server.url .. "/images/" .. id .. "/paths" })
		assert.equal("4 \netc\tdir\t0\t1\t+\netc/a%20b%2Bc\tfile\t3\t1\t+\netc/passwd\tfile\t2\t2\t+\n"
			.. "opt\tdir\t0\t1\t+\nopt/old\tfile\t3\t1\t-\n", paths.body)
		assert.is_truthy(paths.head:find("Content-Type: text/plain", 1, true))
		for _, rest in ipairs({
			"/files/?upto=x", "/files/?sort=age", "/files/?upto=2&hide=x", "/paths?from=x", "/largest?count=0",
		}) do
			assert.equal(400, select(2, server:ask("/images/" .. id .. rest)), rest)
		end
		assert.equal(404, select(2, server:ask("/images/" .. id .. "/files/?upto=3")))
		local made, status = server:post("/images/" .. id .. "/edit", { waste = { { path = "opt/old", layer = 1 } } })
		assert.same({ 201, 3 }, { status, made.dropped }, made.error)
		assert.equal(1, server:ask("/images/" .. made.id .. "/waste").bytes)
		local seen = { waste = { { path = "etc/passwd", layer = 2 } } }
		assert.equal(404, select(2, server:post("/images/" .. id .. "/edit", seen)))
		made = server:post("/images/" .. id .. "/edit", { waste = true })
		assert.equal(0, server:ask("/images/" .. made.id .. "/waste").total)
		assert.is_true(server:is_clean())
	end)

	it("names every path so that JSON is valid and every byte comes back, and nothing is a page", function()
		local path = dir:file("hostile.tar")
		local img = strata.new({ platform = "linux/amd64" })
		assert(img:append({ files = HOSTILE }))
		assert(img:save(path))
		local id = server:upload(path).id
		local seen = 0
		for _, entry in ipairs(server:ask("/images/" .. id .. "/files/opt").entries) do
			seen = seen + 1
			assert.is_nil(entry.path:find("[^%w/._~%%-]"), entry.path)
			local answer = server:curl({ server.url .. "/images/" .. id .. "/files/" .. entry.path .. "?download=1" })
			local name = entry.path:gsub("%%(%x%x)", function(hex)
				return string.char(tonumber(hex, 16))
			end)
			assert.equal(HOSTILE[name], answer.body)
			assert.is_truthy(answer.head:find("Content-Type: application/octet-stream", 1, true))
			assert.is_truthy(answer.head:find("Content-Disposition: attachment", 1, true))
			assert.is_truthy(answer.head:find("X-Content-Type-Options: nosniff", 1, true))
			assert.is_truthy(answer.head:find("default-src 'none'", 1, true))
		end
		assert.equal(8, seen)
		assert.is_true(server:is_clean())
		local made, status = server:post("/images/" .. id .. "/edit", { paths = { "opt/%5Ba-z%5D%2A%3F", "opt/caf%E9" } })
		assert.equal(201, status, made.error)
		local left = server:ask("/images/" .. made.id .. "/files/opt")
		assert.equal(6, left.total)
	end)

	it("makes an edited image, which skopeo reads", function()
		local id = server:upload(small).id
		local made, status = server:post("/images/" .. id .. "/edit", {
			paths = { "usr/share/doc" },
			env = { A = cjson.null, C = "3" },
			labels = { x = cjson.null },
			config = { User = "1000", Cmd = { "/bin/sh" }, ExposedPorts = cjson.null },
			tags = { "small:2" },
			flatten = true,
		})
		assert.equal(201, status, made.error)
		local out = dir:file("made.tar")
		server:curl({ server.url .. "/images/" .. made.id .. "/download", "-o", out })
		local img = assert(strata.open(out))
		assert.is_true(assert(img:verify()))
		assert.same({ "small:2" }, img.tags)
		assert.same({ "B=2", "C=3" }, img.config.Env)
		assert.equal("1000", img.config.User)
		assert.is_nil(img.config.ExposedPorts)
		assert.is_false(assert(img:rootfs()):exists("usr/share/doc"))
		assert.equal(1, #img.layers)
		img:close()
		peers.need("skopeo")
		assert.same({ "/bin/sh" }, skopeo.config("docker-archive:" .. out).config.Cmd)
		skopeo.copy("docker-archive:" .. out, "oci:" .. dir:file("copy") .. ":image")
	end)

	it("refuses edits that are none, and Lua modules above all", function()
		local id = server:upload(small).id
		for _, wish in ipairs({
			{ module = "os" }, { args = {} }, { paths = { "a/../b" } }, { paths = { "" } }, { paths = "etc" },
			{ remove = { 1 } }, { remove = { "" } }, { remove = { "a/../b" } },
			{ env = { ["A=B"] = "c" } }, { env = { A = 1 } }, { config = { Volumes = {} } },
			{ config = { Cmd = "sh" } }, { owner = { { 1 } } }, { format = "oci" }, { tags = { "!" } }, { flatten = 1 },
			{ waste = 1 }, { waste = { { path = "a" } } }, { waste = { { path = "a/../b", layer = 1 } } },
		}) do
			local value, status = server:post("/images/" .. id .. "/edit", wish)
			assert.equal(400, status, cjson.encode(wish))
			assert.equal("EINVAL", value.code)
			assert.is_nil(value.error:find(server.directory, 1, true))
		end
		assert.is_true(server:is_clean())
	end)

	it("answers errors as JSON with the status that fits", function()
		local id = server:upload(small).id
		for _, case in ipairs({
			{ 404, "/nowhere" }, { 404, "/images/0" }, { 404, "/images/" .. id .. "/nothing" },
			{ 404, "/images/" .. id .. "/files/none" }, { 404, "/images/" .. id .. "/layers/7/entries" },
			{ 409, "/images/" .. id .. "/files/etc/passwd/x" }, { 409, "/images/" .. id .. "/files/etc?download=1" },
			{ 400, "/images/" .. id .. "/layers/1/entries?offset=-1" }, { 400, "/images/" .. id .. "/files/%00" },
			{ 400, "/images/" .. id .. "/files/%zz" }, { 405, "/images", "-X", "PATCH" }, { 400, "/strip", "-X", "POST" },
			{ 405, "/images/" .. id, "-X", "POST" }, { 400, "/images", "-X", "POST" },
		}) do
			local value, status, answer = server:ask(case[2], unpack(case, 3))
			assert.equal(case[1], status, case[2] .. ": curl's status " .. answer.code)
			assert.equal("string", type(value.error), case[2])
			assert.equal("string", type(value.code), case[2])
		end
	end)

	it("reaches nothing outside of its directory", function()
		shell.check({ "ln", "-s", small, server.directory .. "/link.tar" })
		shell.check({ "cp", small, server.directory .. "/../outside.tar" })
		for _, name in ipairs({
			"../outside.tar", "/etc/passwd", small, ".strata/x", "..", ".", "", "link.tar", "a/../../outside.tar", "x\0y",
			"%2e%2e/outside.tar", "%2e%2e%2foutside.tar", ".strata",
		}) do
			local value, status = server:post("/images", { path = name })
			assert.is_true(status == 400 or status == 404, name .. ": " .. status)
			assert.equal("string", type(value.error))
		end
		local id = server:upload(small).id
		for _, path in ipairs({
			"/../nginx.conf", "/%2e%2e/nginx.conf", "/file", "/images/../file",
			"/images/" .. id .. "/files/../../../../etc/passwd",
			"/images/" .. id .. "/files/..%2f..%2fetc%2fpasswd", "/images/..%2f" .. id, "/app/policy.lua", "/error",
			"/images/" .. id .. ".json", "/.strata/" .. id .. ".tar",
		}) do
			local answer = server:curl({ server.url .. path })
			assert.is_true(answer.status == 400 or answer.status == 404, path .. ": " .. answer.status)
			assert.is_nil(answer.body:find("root:", 1, true))
		end
		os.remove(server.directory .. "/link.tar")
		os.remove(server.directory .. "/../outside.tar")
	end)

	it("opens archives that are in its directory, and leaves them there", function()
		shell.check({ "cp", small, server.directory .. "/here it is.tar" })
		assert.equal("here it is.tar", server:ask("/images").available[1].name)
		local image, status = server:post("/images", { path = "here%20it%20is.tar" })
		assert.equal(201, status, image.error)
		local again
		again, status = server:post("/images", { path = "here it is.tar" })
		assert.same({ 200, image.id }, { status, again.id })
		assert.equal(200, select(2, server:ask("/images/" .. image.id, "-X", "DELETE")))
		assert.equal(404, select(2, server:ask("/images/" .. image.id)))
		assert.is_true(shell.same(small, server.directory .. "/here it is.tar"))
		os.remove(server.directory .. "/here it is.tar")
	end)

	it("refuses other hosts' names, and other sites' changes", function()
		local id = server:upload(small).id
		local mine = "127.0.0.1:" .. server.port
		for _, case in ipairs({
			{ 403, "/images", "Host: evil.example" }, { 403, "/images", "Host: evil.example:" .. server.port },
			{ 403, "/", "Host: evil.example" }, { 403, "/images", "Host: 127.0.0.1" }, { 403, "/images", "Host: localhost:1" },
			{ 200, "/images", "Host: localhost:" .. server.port }, { 200, "/images", "Origin: http://evil.example" },
			{ 403, "/images/" .. id, "Origin: http://evil.example", "DELETE" },
			{ 403, "/images/" .. id, "Origin: null", "DELETE" },
			{ 403, "/images/" .. id, "Origin: https://" .. mine, "DELETE" },
			{ 403, "/images/" .. id, "Origin: http://127.0.0.1:1", "DELETE" },
			{ 403, "/images/" .. id, "Sec-Fetch-Site: cross-site", "DELETE" },
			{ 403, "/images/" .. id, "Sec-Fetch-Site: same-site", "DELETE" },
			{ 403, "/check", "Origin: http://evil.example", "POST" },
			{ 403, "/strip?path=a", "Origin: http://evil.example", "POST" },
			{ 403, "/images", "Origin: http://evil.example", "POST" },
			{ 200, "/images/" .. id, "Origin: http://" .. mine, "DELETE" },
		}) do
			local value, status = server:ask(case[2], "-H", case[3], "-X", case[4] or "GET")
			assert.equal(case[1], status, case[3] .. " " .. case[2])
			assert.is_true(status == 200 or value.code == "EPERM")
		end
	end)

	it("admits by a policy", function()
		local value, status = server:ask("/check", "-X", "POST", "-T", small)
		assert.equal(200, status, value.error)
		assert.equal(0, #value.findings)
		local path = dir:file("bad.tar")
		local img = assert(strata.open(small))
		img.config.User = "0"
		img.config:set_env("API_TOKEN", "123")
		assert(img:append({ files = { ["opt/tool"] = { content = "x", mode = 2541 } } }))
		assert(img:save(path))
		value, status = server:ask("/check", "-X", "POST", "-T", path)
		assert.equal(422, status)
		local rules = {}
		for _, finding in ipairs(value.findings) do
			rules[finding.rule] = true
		end
		assert.same({ setid = true, root_user = true, secrets = true }, rules)
		assert.is_nil(cjson.encode(value):find("123", 1, true))
		waiting.till("the uploads to be closed", function() -- what is removed takes its space until then
			for _, worker in ipairs(server:workers()) do
				if shell.run({ "ls", "-l", ("/proc/%d/fd"):format(worker) }).stdout:find("incoming/[^\n]*%(deleted%)") then
					return false
				end
			end
			return true
		end)
	end)

	it("strips a stream, whichever way the body comes", function()
		local one, other = dir:file("one.tar"), dir:file("other.tar")
		local url = server.url .. "/strip?path=usr/share/doc&path=opt"
		assert.equal(200, server:curl({ url, "-X", "POST", "-T", small, "-o", one }).status)
		assert.equal(200, server:curl({ url, "-X", "POST", "-T", "-", "-o", other, input = shell.read(small) }).status)
		assert.is_true(shell.same(one, other))
		local img = assert(strata.open(one))
		assert.is_true(assert(img:verify()))
		local root = assert(img:rootfs())
		assert.is_false(root:exists("opt"))
		assert.is_true(root:exists("etc/passwd"))
		img:close()
		local value, status = server:ask("/strip?path=a", "-X", "POST", "-T", "/bin/busybox")
		assert.equal(422, status)
		assert.equal("EFORMAT", value.code)
		for _, query in ipairs({ "path=no/such", "path=no/such&path=opt", "path=opt&path=%5Ba%5D/%22" }) do
			value, status = server:ask("/strip?" .. query, "-X", "POST", "-T", small)
			assert.same({ 404, "ENOENT" }, { status, value.code })
			assert.matches("nothing matches", value.error, 1, true)
		end
		local optional = dir:file("optional.tar")
		local wanted = server.url .. "/strip?path=no/such&optional=1&path=opt&path=usr/share/doc"
		assert.equal(200, server:curl({ wanted, "-X", "POST", "-T", small, "-o", optional }).status)
		assert.is_true(shell.same(one, optional))
		value, status = server:ask("/strip?path=opt&optinal=1", "-X", "POST", "-T", small)
		assert.same({ 400, true }, { status, value.error:find("no parameter optinal", 1, true) ~= nil })
		local cut = dir:write("cut.tar", shell.read(small):sub(1, 6000))
		local answer = server:curl({ url, "-X", "POST", "-T", cut })
		assert.is_true(answer.code ~= 0 or answer.status == 422, "a stream that is cut looks whole")
		assert.is_true(server:is_clean())
	end)

	it("works on an image of 1 GB in little memory", function()
		local path = dir:file("zeros.tar")
		zeros.write(path, GIGABYTE)
		local value, status = server:upload(path, "?name=zeros.tar")
		assert.equal(201, status, value.error)
		local made
		made, status = server:post("/images/" .. value.id .. "/edit", { paths = { "etc/motd" } })
		assert.equal(201, status, made.error)
		assert.equal("rewritten", made.layers[1].action)
		local peak = shell.read("/proc/" .. server:workers()[1] .. "/status"):match("VmHWM:%s+(%d+)")
		assert.is_true(tonumber(peak) < 200 * 1024, peak .. " KiB")
		local out = dir:file("stripped.tar")
		local answer = server:curl({ server.url .. "/strip?path=data", "-X", "POST", "-T", slow(), "-o", out })
		assert.equal(200, answer.status)
		local img = assert(strata.open(out))
		assert.is_true(assert(img:verify()))
		assert.equal("etc/motd", img.layers[1]:entries()().path)
		img:close()
		for _, id in ipairs({ value.id, made.id }) do
			server:ask("/images/" .. id, "-X", "DELETE")
		end
		assert.is_true(server:is_clean())
	end)

	it("cancels the job of a client that has gone, and keeps nothing of it", function()
		local own = start({ env = { STRATA_THREADS = "1" } })
		local image = open(own, slow())
		local wait = begin_edit(own, image.id, "--max-time", "0.3")
		assert.same({ 0, 28 }, { wait() })
		waiting.till("the end of the job", function()
			return #own:leftovers() == 0
		end)
		assert.equal(1, #own:ask("/images").images)
		local answer = own:curl({ own.url .. "/images/" .. image.id .. "/layers/1/entries" })
		assert.equal(200, answer.status)
		answer = own:curl({ own.url .. "/images", "--max-time", "0.5", "--limit-rate", "1M", "-X", "POST", "-T", slow() })
		assert.equal(28, answer.code)
		assert.is_true(own:is_clean())
		own:stop()
	end)

	it("gives up at the deadline", function()
		local own = start({ env = { STRATA_DEADLINE = "0.15" } })
		local image = own:upload(small)
		shell.check({ "cp", "--sparse=always", slow(), own.directory .. "/.strata/" .. image.id .. ".tar" })
		local value, status = own:post("/images/" .. image.id .. "/edit", SLOW)
		assert.same({ 504, "ETIMEDOUT" }, { status, value.code })
		assert.is_true(own:is_clean())
		own:stop()
	end)

	it("completes an edit when nginx is reloaded in the middle of it, and keeps the image until then", function()
		local image = open(server, slow())
		local before = server:workers()[1]
		local wait = begin_edit(server, image.id)
		wait_for_maker(server)
		local function remove()
			local value, status = server:ask("/images/" .. image.id, "-X", "DELETE")
			return status, value.code, value.error
		end
		assert.same({ 409, "EBUSY", "the image is in use: another one is being made from it" }, { remove() })
		shell.check({ "kill", "-HUP", tostring(server.pid) })
		waiting.till("the new worker", function()
			return #server:workers() == 2
		end)
		assert.equal(409, (remove()))
		assert.same({ 201, 0 }, { wait() })
		assert.equal(200, (remove()))
		waiting.till("the old worker's end", function()
			local pids = server:workers()
			return #pids == 1 and pids[1] ~= before
		end)
		assert.is_true(server:is_clean())
	end)

	it("lives on when its worker is killed, without what that has left", function()
		local own = start()
		local image = open(own, slow())
		local worker = own:workers()[1]
		local wait = begin_edit(own, image.id)
		wait_for_maker(own)
		os.execute(("curl -s -o /dev/null --limit-rate 100k -X POST -T %s %s/images </dev/null &"):format(slow(), own.url))
		waiting.till("the body", function()
			return #own:leftovers() > 1
		end)
		shell.check({ "kill", "-9", tostring(worker) })
		assert.equal(52, select(2, wait()))
		waiting.till("the new worker", function()
			return own:curl({ own.url .. "/images" }).status == 200
		end)
		waiting.till("the removal of what was left", function()
			return #own:leftovers() == 0
		end)
		assert.equal(200, select(2, own:ask("/images/" .. image.id)))
		assert.equal(200, select(2, own:ask("/images/" .. image.id, "-X", "DELETE")))
		own:stop()
	end)

	it("takes 32 uploads at once on 2 threads, and the worker lives", function()
		local own = start()
		local worker = own:workers()[1]
		local output = shell.sh([[
			for i in $(seq 32); do
				curl -s -o /dev/null -w '%{http_code}\n' -X POST -T "$1" "$2/images" </dev/null &
			done
			wait]], small, own.url)
		local _, created = output:gsub("201\n", "")
		assert.equal(32, created, output)
		assert.equal(32, #own:ask("/images").images)
		assert.equal(worker, own:workers()[1])
		own:stop()
	end)

	it("says 503 and Retry-After when too many jobs wait", function()
		local own = start({ env = { STRATA_THREADS = "1", STRATA_QUEUE = "1", STRATA_WAIT = "0.05" } })
		local image = open(own, slow())
		local wait = begin_edit(own, image.id)
		wait_for_maker(own)
		local value, status, answer = own:ask("/images/" .. image.id)
		assert.same({ 503, "EBUSY" }, { status, value.code })
		assert.is_truthy(answer.head:find("Retry%-After: %d"))
		assert.equal(201, (wait()))
		own:stop()
	end)

	it("works with lua_code_cache off", function()
		local own = start({ env = { STRATA_CODE_CACHE = "off" } })
		local image, status = own:upload(small)
		assert.equal(201, status, image.error)
		local made
		made, status = own:post("/images/" .. image.id .. "/edit", { paths = { "etc" } })
		assert.equal(201, status, made.error)
		assert.equal(404, select(2, own:ask("/images/" .. made.id .. "/files/etc")))
		own:stop()
	end)

	it("has a worker whose memory stops growing", function()
		local own = start()
		local id, worker = own:upload(small).id, own:workers()[1]
		local wish = cjson.encode({ paths = { "etc" }, compression = "gzip" })
		local answers = dir:file("answers")
		-- Edits one after the other, and the removal of what they make, each by one curl.
		local function work(jobs)
			shell.sh([[
				mkdir -p "$1" && rm -f "$1"/*
				curl -sf -H 'Content-Type: application/json' -d "$2" -o "$1/#1" "$3/images/$4/edit?n=[1-$5]"
				sed -n 's/.*"id":"\([0-9a-f]*\)".*/\1/p' "$1"/* | sed "s#.*#url = $3/images/&\noutput = /dev/null#" >"$1.urls"
				curl -sf -X DELETE -K "$1.urls"]], answers, wish, own.url, id, tostring(jobs))
		end
		local function memory()
			return tonumber(shell.read("/proc/" .. worker .. "/status"):match("RssAnon:%s+(%d+)"))
		end
		local sizes = {}
		for i = 1, 30 do
			work(50)
			sizes[i] = memory()
		end
		assert.equal(1, #own:ask("/images").images)
		assert.is_true(sizes[30] - sizes[25] < 512, table.concat(sizes, " ") .. " KiB")
		own:stop()
	end)

	it("needs no root, and gives its workers to the owner of the directory when it has it", function()
		if shell.check({ "id", "-u" }):match("%d+") ~= "0" then
			return -- then every other spec has run without it
		end
		local directory = tmp.dir("/tmp")
		shell.check({ "chmod", "755", directory.path:match("^(.*)/") })
		shell.check({ "chown", "nobody:nogroup", directory.path })
		for _, user in ipairs({ "nobody", false }) do
			local own = start({ directory = directory.path, user = user or nil })
			local status = shell.read("/proc/" .. own:workers()[1] .. "/status")
			assert.is_nil(status:find("Uid:%s+0"))
			local readable = dir.path .. "/small.tar"
			local image, code = own:upload(readable)
			assert.equal(201, code, image.error)
			local made
			made, code = own:post("/images/" .. image.id .. "/edit", { flatten = true })
			assert.equal(201, code, made.error)
			own:stop()
		end
	end)

	it("is measured by a benchmark", function()
		local output = shell.check({ "make", "-s", "bench-nginx", "GIGABYTES=0.02", "PROBES=20", "RATE=100", "JOBS=10" })
		local _, rows = output:gsub("20 requests  median +[%d.]+ ms  99 %% +[%d.]+ ms", "")
		assert.equal(4, rows, output) -- and those of the gate
		assert.is_truthy(output:find("after 10 edits +%d+%.%d MiB"), output)
	end)

	it("knows its images again, and leaves nothing of nginx behind", function()
		local directory, temporary = tmp.dir(), tmp.dir()
		local env = { TMPDIR = temporary.path }
		local own = start({ directory = directory.path, env = env })
		local id = own:upload(small).id
		own:stop()
		assert.same({}, temporary:names())
		own = start({ directory = directory.path, env = env })
		assert.equal(200, select(2, own:ask("/images/" .. id)))
		own:stop()
	end)
end)
