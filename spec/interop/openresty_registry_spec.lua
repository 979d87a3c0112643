-- References of registries in nginx: jobs in its threads open, edit and save images there, and nothing of the user's
-- credentials is read unasked.

local cjson = require "cjson"
local nginx = require "spec.support.nginx"
local registry = require "spec.support.registry"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local BUILD = os.getenv("STRATA_BUILD") or "build"

-- Answers /images, which says that it runs, and runs the job that a request has as JSON.
local CONFIG = [[
load_module @MODULES@/ndk_http_module.so;
load_module @MODULES@/ngx_http_lua_module.so;
@USER@
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
thread_pool surgery threads=2;
events { worker_connections 64; }
env HOME;
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	lua_package_path "@TREE@/lua/?.lua;@TREE@/lua/?/init.lua;;";
	lua_package_cpath "@TREE@/@BUILD@/lua5.1/?.so;;";
	lua_shared_dict surgery 1m;
	init_worker_by_lua_block { surgery = require("strata.resty").new { pool = "surgery", threads = 2 } }
	server {
		listen 127.0.0.1:@PORT@;
		location /images { return 200 "[]"; }
		location /job {
			content_by_lua_block {
				local cjson = require "cjson"
				ngx.req.read_body()
				local job = cjson.decode(ngx.req.get_body_data())
				local result, message, code = surgery:run(job.name, job.args)
				ngx.say(cjson.encode { ok = result ~= nil, digest = result and result.digest, id = result and result.id,
					message = message, code = code })
			}
		}
	}
}
]]

local RUN = [[#!/bin/sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
sed -e "s|@PORT@|$1|" "$here/nginx.conf.in" >"$here/nginx.conf"
exec nginx -p "$here" -c nginx.conf
]]

local JOE = { username = "joe", password = "secret" }

describe("references in nginx", function()
	local dir, fake, server

	setup(function()
		local missing = nginx.missing()
		if missing then
			return
		end
		dir = tmp.dir()
		fake = registry.start({ auth = "token", users = { joe = "secret" } })
		local tree = shell.check({ "pwd" }):match("[^\n]+")
		local root = shell.check({ "id", "-u" }):match("%d+") == "0"
		local config = CONFIG:gsub("@MODULES@", "/usr/lib/nginx/modules"):gsub("@TREE@", (tree:gsub("%%", "%%%%")))
			:gsub("@BUILD@", BUILD):gsub("@USER@", root and "user root;" or "")
		dir:write("nginx.conf.in", config)
		dir:write("run", RUN)
		shell.check({ "chmod", "+x", dir:file("run") })
		-- Credentials that a job must not find by itself.
		shell.check({ "mkdir", dir:file("images"), dir:file(".docker") })
		dir:write(".docker/config.json", cjson.encode({ auths = { [fake.host] = JOE } }))
		server = nginx.start({ directory = dir:file("images"), run = dir:file("run"), env = { HOME = dir.path } })
		local img = strata.new()
		assert(img:append({ files = { a = "text" } }))
		local hub = strata.registry({ credentials = { [fake.host] = JOE } })
		assert(img:save(("docker://%s/app:1"):format(fake.host), { registry = hub }))
	end)

	teardown(function()
		if server then
			server:stop()
			fake:stop()
			dir:remove()
		end
	end)

	local function job(name, args)
		if not server then
			return pending(nginx.missing())
		end
		local answer = server:curl({ "-d", cjson.encode({ name = name, args = args }), server.url .. "/job" })
		assert.equal(200, answer.status, answer.body .. shell.read(server.log))
		return cjson.decode(answer.body)
	end

	local function ref(tag)
		return ("docker://%s/app:%s"):format(fake.host, tag)
	end

	it("are opened, edited and saved", function()
		local credentials = { credentials = { [fake.host] = JOE } }
		local facts = job("inspect", { path = ref("1"), registry = credentials })
		assert.is_true(facts.ok, facts.message)
		local edited = job("edit", { path = ref("1"), to = ref("2"), registry = credentials,
			edit = { labels = { a = "b" } } })
		assert.is_true(edited.ok, edited.message)
		assert.equal(edited.digest, fake:tags("app")["2"])
	end)

	it("are saved as files", function()
		local to = dir:file("fetched.tar")
		local args = { path = ref("1"), to = to, registry = { credentials = { [fake.host] = JOE } } }
		local saved = job("save", args)
		assert.is_true(saved.ok, saved.message)
		assert.equal(saved.id, assert(strata.open(to)).id)
	end)

	it("CRED8: get no credentials from files unless they are asked for", function()
		assert.equal("EDENIED", job("inspect", { path = ref("1") }).code) -- an anonymous token allows nothing
		assert.is_true(job("inspect", { path = ref("1"), registry = { credentials = "docker" } }).ok)
	end)

	it("that lead nowhere end as values", function()
		local answer = job("inspect", { path = "docker://127.0.0.1:1/app:1", registry = { retries = 0 } })
		assert.same({ false, "ENETWORK" }, { answer.ok, answer.code })
		answer = job("inspect", { path = ref("none"), registry = { credentials = { [fake.host] = JOE } } })
		assert.equal("ENOENT", answer.code)
	end)
end)
