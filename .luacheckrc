std = "min" -- what Lua 5.1 to 5.4 and LuaJIT have in common
read_globals = { "unpack", table = { fields = { "unpack" } } } -- for `table.unpack or unpack`
max_line_length = 120
exclude_files = { "build" }

files["spec"].std = "+busted"
files["rockspec"].std = "rockspec"
files[".luacheckrc"].std = "luacheckrc"
