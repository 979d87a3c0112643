-- What the REPL offers behind the cursor.

local complete = require "strata.command.repl.complete"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local dir, env, img

setup(function()
	dir = tmp.dir()
	img = strata.new({ platform = "linux/amd64" })
	assert(img:append({ files = { ["etc/passwd"] = "x", ["etc/ssl/cert"] = "y", ["etc/.hid"] = "z", ["bin/b d"] = "",
		["bin/b'q"] = "", ["bin/b\27"] = "" } }))
	assert(img:append({ files = { ["usr/share/doc/a"] = "x", ["etc/.wh.ssl"] = "" } }))
	img.config:set_env("PATH", "/bin"):set_env("LANG", "C"):set_label("a.b", "1"):add_port(80)
	img.tags = { "app:1" }
	dir:write("app.tar", "")
	dir:write("apps", "")
	env = {
		strata = strata, img = img, imgs = { img }, root = img:rootfs(), count = 1, text = "x", print = print,
		thing = setmetatable({ a = 1, f = print }, { __index = setmetatable({ inherited = 2 }, {
			__index = function() error("called") end,
		}) }),
	}
end)

teardown(function()
	dir:remove()
end)

-- Candidates, joined; what is behind "|" is behind the cursor.
local function offered(line)
	local before, behind = line:match("^(.-)|(.*)$")
	before, behind = before or line, behind or ""
	local from, list = complete(before .. behind, #before, env)
	for i, candidate in ipairs(list) do
		list[i] = before:sub(1, from - 1) .. candidate
	end
	return table.concat(list, "\n")
end

-- What is offered has to be the line with each of these at its end.
local function expect(line, ...)
	assert.equal(table.concat({ ... }, "\n"), offered(line), line)
end

describe("completion", function()
	it("offers globals and keywords", function()
		expect("im", "img", "imgs")
		expect("x = stra", "x = strata")
		expect("print(te", "print(text")
		expect("pri", "print(")
		expect("whil", "while")
		expect("img.layers[cou", "img.layers[count")
		expect("for i, l in root", "for i, l in root")
	end)

	it("offers methods behind a colon, with the bracket that their call begins with", function()
		expect("img:sq", "img:squash(")
		expect("img:app", "img:append{")
		expect("img:clo", "img:close()")
		expect("imgs[1]:roo", "imgs[1]:rootfs(")
		expect("print(img.layers[2]:ent", "print(img.layers[2]:entries(", "print(img.layers[2]:entry(")
		expect("text:up", "text:upper(")
		expect("img:sq|(1, 2)", "img:squash(")
	end)

	it("offers fields behind a dot, and methods where no field is meant", function()
		expect("img.la", "img.layers")
		expect("img.config.Ent", "img.config.Entrypoint")
		expect("img.config.set_e", "img.config:set_env(")
		expect("strata.op", "strata.open(", "strata.open_artifact(", "strata.open_index(")
		expect("thing.", "thing.a", "thing.f(", "thing.inherited")
		expect("img . config . Us", "img . config .User")
		expect("img.config.nothing.x")
		expect("nothing.x")
		expect("1.")
	end)

	it("knows what calls give, and calls nothing", function()
		expect("img:rootfs():pack", "img:rootfs():packages()")
		expect("strata.open('x').con", "strata.open('x').config")
		expect('strata.open "x":verif', 'strata.open "x":verify(')
		expect("img:rootfs():stat('x').mo", "img:rootfs():stat('x').mode")
		expect("print(1).x")
		expect("thing.nothing.x")
	end)

	it("offers paths of the image in strings that are paths", function()
		expect('img:read "etc/', 'img:read "etc/passwd')
		expect('img:read("e', 'img:read("etc/')
		expect('img:read("/e', 'img:read("/etc/')
		expect('img:remove{"x", "usr/sh', 'img:remove{"x", "usr/share/')
		expect('img:remove({ "usr/share/doc/', 'img:remove({ "usr/share/doc/a')
		expect('img.layers[1]:entry "etc/', 'img.layers[1]:entry "etc/passwd', 'img.layers[1]:entry "etc/ssl/')
		expect('img.layers[1]:entry "etc/.', 'img.layers[1]:entry "etc/.hid')
		expect("root:list('us", "root:list('usr/")
		expect("root:glob 'bin/", "root:glob 'bin/b d")
		expect('img:read "nothing/')
		expect('img:read("etc/passwd", "e')
	end)

	it("offers files of this machine where an image is opened or saved", function()
		expect(("strata.open '%s/ap"):format(dir.path), ("strata.open '%s/app.tar"):format(dir.path),
			("strata.open '%s/apps"):format(dir.path))
		expect(("img:save('%s/app."):format(dir.path), ("img:save('%s/app.tar"):format(dir.path))
		expect(("img:append{ dir = '%s"):format(dir.path), ("img:append{ dir = '%s/"):format(dir.path))
		expect("strata.open '/nowhere/")
	end)

	it("offers options, and the words that they take", function()
		expect("img:save('x', { form", "img:save('x', { format = ")
		expect("img:save('x', { format = 'oci', comp", "img:save('x', { format = 'oci', compression = ")
		local docker = "img:save('x', { format = 'docker"
		expect(docker, docker, docker .. "-legacy")
		expect("img:append{ exact", "img:append{ exact_mtime = ")
		expect("img:append{ files = { ['x'] = { linkp", "img:append{ files = { ['x'] = { linkpath = ")
		expect("img:save('x', { format = 'oci', form")
		expect("x = { im", "x = { img", "x = { imgs")
	end)

	it("offers names that an object has", function()
		expect('img.config:get_env "P', 'img.config:get_env "PATH')
		expect('img.config:remove_label("', 'img.config:remove_label("a.b')
		expect('img.config:remove_port "', 'img.config:remove_port "80/tcp')
		expect("img:untag '", "img:untag 'app:1")
		expect('img.config:get "/config/E', 'img.config:get "/config/Env/', 'img.config:get "/config/ExposedPorts/')
		expect('img.config:get "/config/Env/', 'img.config:get "/config/Env/0', 'img.config:get "/config/Env/1')
		expect('img.config["Work', 'img.config["WorkingDir')
		expect('strata.help "squ', 'strata.help "squash')
		expect('strata.help(img, "squ', 'strata.help(img, "squash')
	end)

	it("offers nothing in comments, long strings and code that is none", function()
		for _, line in ipairs({
			"-- im", "--[[ im", "x = [[im", "x = [==[ ]] im", ")", "]]]", "}.", '"', "",
		}) do
			local from, list = complete(line, #line, env)
			assert.is_true(from <= #line + 1, line)
			if line:find("%w") then
				assert.same({}, list, line)
			end
		end
		expect("x = --[[ y ]] im", "x = --[[ y ]] img", "x = --[[ y ]] imgs")
		expect("f('it\\'s', im", "f('it\\'s', img", "f('it\\'s', imgs")
	end)

	it("takes statements of several lines, and a cursor anywhere", function()
		expect("for i = 1, 2 do\n  img:sq", "for i = 1, 2 do\n  img:squash(")
		expect("img:remove{\n'usr/sh", "img:remove{\n'usr/share/")
		local line = "f(img.layers[1]:read('etc/passwd'), {a = [[x]], b = img.config.Env[1]}) -- x"
		for cursor = 0, #line do
			local from = complete(line, cursor, env)
			assert.is_true(from >= 1 and from <= cursor + 1)
		end
	end)
end)
