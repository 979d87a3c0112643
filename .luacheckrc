std = "min" -- what Lua 5.1 to 5.4 and LuaJIT have in common
read_globals = { "unpack", table = { fields = { "unpack" } } } -- for `table.unpack or unpack`
max_line_length = 120
exclude_files = { "build", "doc/addon" } -- the latter leads to lua/strata/meta

files["lua/strata/resty.lua"].std = "min+ngx_lua"
files["lua/strata/resty.lua"].read_globals = { ngx = { fields = { "run_worker_thread" } } } -- newer than luacheck
files["bin"].std = "lua54"
files["examples/fleet"].std = "lua54"
files["examples/openresty"].std = "min+ngx_lua"
files["lua/strata/jobs.lua"].read_globals = { "ngx" } -- nil outside of nginx
files["lua/strata/meta"].ignore = { "212", "241", "631" } -- declarations only
files["spec"].std = "+busted"
files[".luacheckrc"].std = "luacheckrc"
