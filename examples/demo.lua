--- Image surgery in one go: lua5.4 examples/demo.lua [IMAGE.tar]
--
-- Without an image it makes one from Debian's static busybox. The result goes to
-- the directory build/demo; the image that was given is only read.

local strata = require "strata"

-- What cannot be done is said in one line, without a stack trace.
local function check(value, message)
  if value then return value, message end
  io.stderr:write(message, "\n")
  os.exit(1)
end

local given = arg[1]
local directory = "build/demo"
os.execute("mkdir -p " .. directory)

local function title(text)
  print(("\n=== %s\n"):format(text))
end

local function read(path)
  local file = check(io.open(path, "rb"))
  local content = file:read("*a")
  file:close()
  return content
end

local function architecture()
  local pipe = io.popen("uname -m")
  local machine = pipe:read("*l")
  pipe:close()
  return ({ x86_64 = "amd64", aarch64 = "arm64" })[machine] or machine
end

-- A small image with something to take out of it.
local function make(path)
  local img = strata.new { platform = "linux/" .. architecture() }
  check(img:append {
    created_by = "busybox",
    files = {
      ["/bin/busybox"] = { content = read "/bin/busybox", mode = tonumber("755", 8) },
      ["/bin/sh"] = { type = "symlink", linkpath = "busybox" },
      ["/bin/ls"] = { type = "hardlink", linkpath = "/bin/busybox" },
      ["/tmp"] = { type = "dir", mode = tonumber("1777", 8) },
    },
  })
  check(img:append {
    created_by = "documentation and settings",
    files = {
      ["/usr/share/doc/busybox/copyright"] = read "/usr/share/doc/busybox-static/copyright",
      ["/etc/motd"] = "Made by strata from Debian's busybox.\n",
      ["/etc/app.conf"] = { content = "mode = debug\n", uid = 1000, gid = 1000 },
    },
  })
  img.config.Entrypoint = { "/bin/sh", "-c" }
  img.config.Cmd = { "cat /etc/motd /etc/app.conf; echo TZ is $TZ" }
  img.config:set_env("PATH", "/bin")
  img:tag "strata-demo:before"
  check(img:save(path))
  img:close()
end

local function inspect(path)
  local img = check(strata.open(path))
  print(img)
  print("id  " .. img.id)
  for _, layer in img:layers() do print(layer) end
  print(img:tree { depth = 2, width = 20, sizes = true })
  img:close()
end

local before = given
if not given then
  before = directory .. "/before.tar"
  title("an image made from busybox: " .. before)
  make(before)
else
  title("the image " .. given)
end
inspect(before)

title "surgery"
local STRIP = { "usr/share/doc", "usr/share/man", "usr/share/info", "var/cache/apt", "var/log" }
local img = check(strata.open(before))
local _, removed = check(img:remove(STRIP, { optional = true }))
print(("%d entries of documentation, caches and logs removed"):format(#removed))
if not given then
  img.layers[2]:entry("etc/app.conf"):replace("mode = production\n")
  print("etc/app.conf has new content")
end
img.config:set_env("TZ", "UTC"):set_label("org.example.operated", "yes")
print("TZ and a label set")
img.tags = { "strata-demo:after" }
local after = directory .. "/after.tar"
local started = os.clock()
local saved = check(img:save(after))
img:close()
print(("saved as %s with every byte verified, %.0f ms of CPU time"):format(after, (os.clock() - started) * 1000))

title("the result, opened again: " .. after)
inspect(after)

title "what changed"
local old, new = check(strata.open(before)), assert(strata.open(after))
check(new:verify())
print(("%-8s %-19s %12s    %-19s %12s  %s"):format("", "diff_id before", "bytes", "diff_id after", "bytes", ""))
for i, layer in ipairs(saved.layers) do
  print(("layer %-2d %-19s %12d    %-19s %12d  %s"):format(i, layer.old_diff_id:sub(1, 19), layer.old_size,
    layer.diff_id:sub(1, 19), layer.size, layer.action))
end
print(("image    %-19s %12s    %-19s"):format(old.id:sub(1, 19), "", new.id:sub(1, 19)))
print(("\ndocker load <%s && docker run --rm strata-demo:after"):format(after))
