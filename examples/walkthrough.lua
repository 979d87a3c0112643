--- What is inside the file that `docker save` writes, step by step:
--   lua5.4 examples/walkthrough.lua IMAGE.tar [REF]

local strata = require "strata"

-- What cannot be done is said in one line, without a stack trace.
local function check(value, message)
  if value then return value end
  io.stderr:write(message, "\n")
  os.exit(1)
end

local path, ref = ...
if not path then
  io.stderr:write("usage: walkthrough.lua IMAGE.tar [REF]\n")
  os.exit(2)
end

local FIRST = 6 -- as many entries of each layer are shown

local function say(text)
  print((text:gsub("\n%s+", "\n")))
end

local function heading(number, text)
  print(("\n%d. %s\n%s"):format(number, text, ("-"):rep(#text + 3)))
end

local function short(text, length)
  text = tostring(text):gsub("[%c\127]", "?")
  return #text > length and text:sub(1, length - 3) .. "..." or text
end

local img = check(strata.open(path, { ref = ref }))
local files = check(img:files())

heading(1, "The file is a tar archive")
say [[An image on its way between machines is one tar file. These are its members, in the
      order in which they stand in the file:]]
print()
for _, file in ipairs(files) do
  print(("  %10d  %-7s %s"):format(file.size, file.type, short(file.name, 90)))
end

heading(2, "manifest.json says what belongs together")
say [[An image is a list of layers and a config. manifest.json names them, and the tags.
      Only this list counts: the order of the members and their names mean nothing.]]
print()
print("  tags    " .. (#img.tags > 0 and short(table.concat(img.tags, ", "), 90) or "none"))
for _, file in ipairs(files) do
  if file.role == "config" then print("  config  " .. short(file.name, 90)) end
end
for i in ipairs(img.layers) do
  for _, file in ipairs(files) do
    local numbers = file.type == "file" and file.role and file.role:match("^layer (.*)$")
    if numbers and (", " .. numbers .. ","):find(", " .. i .. ",", 1, true) then
      print(("  layer %d %s"):format(i, short(file.name, 90)))
    end
  end
end

heading(3, "Each layer is a tar archive as well")
say(([[It holds the files that one step of the build added or changed. These are the first
      %d entries of each:]]):format(FIRST))
local whiteouts = {}
for i, layer in img:layers() do
  print(("\n  layer %d: %s"):format(i, short(layer.created_by or "no history", 80)))
  local count = 0
  for entry in layer:entries() do
    count = count + 1
    if count <= FIRST then
      print(("    %-8s %04o %5d:%-5d %9d  %s"):format(entry.type, entry.mode, entry.uid, entry.gid,
        entry.size, short(entry.name, 70)))
    end
    if entry.whiteout or entry.opaque then whiteouts[#whiteouts + 1] = { i, entry } end
  end
  if count > FIRST then print(("    ... and %d more"):format(count - FIRST)) end
end

heading(4, "The layers build the root file system in their order")
say [[Layer 1 is unpacked first, and each one goes on top of those before it. A file that is
      there already is replaced; a directory stays and gets the new mode and owner.]]
print()
print((img:tree { depth = 1, width = 30 }:gsub("[^\n]+", "  %0")))

heading(5, "A deleted file leaves a whiteout")
say [[A layer cannot take a file out of the layers below, so it holds a marker instead: an empty
      file ".wh.NAME" hides NAME, and ".wh..wh..opq" hides all that the lower layers have in that
      directory. What is hidden is still in the lower layer: it costs its bytes, and can be read.]]
print()
if #whiteouts == 0 then print("  This image has none.") end
for n, whiteout in ipairs(whiteouts) do
  local entry = whiteout[2]
  if n <= 20 then
    print(("  layer %d: %s hides %s"):format(whiteout[1], short(entry.name, 60), entry.whiteout and
      short(entry.whiteout, 60) or "everything below in " .. short(entry.opaque, 60)))
  end
end
if #whiteouts > 20 then print(("  ... and %d more"):format(#whiteouts - 20)) end

heading(6, "The config says how to run it")
say [[A JSON document. Its key "config" is what a container starts with, "history" has the
      steps of the build, and "rootfs" the diff_ids: the SHA-256 of each layer's tar.]]
print()
for _, key in ipairs { "architecture", "os", "created", "User", "WorkingDir", "Env", "Entrypoint", "Cmd" } do
  local value = img.config[key]
  if type(value) == "table" then value = table.concat(value, " ") end
  if value ~= nil then print(("  %-12s %s"):format(key, short(value, 90))) end
end
print()
for _, row in ipairs(img:history()) do
  print(("  %-8s %s"):format(row.layer and "layer " .. row.layer.position or "no layer",
    short(row.created_by or "", 90)))
end

heading(7, "Names are hashes")
say [[The SHA-256 of the config is the image's ID. The config lists the hashes of the layers, so
      whoever knows the ID can check every byte, and no byte can change without a new ID.]]
print()
for _, file in ipairs(files) do
  if file.digest then
    print(("  %s  %s%s"):format(file.digest:sub(8), short(file.name, 78),
      file.role and "  (" .. file.role .. ")" or ""))
  end
end
print()
print("  image ID    " .. img.id)
for i, layer in img:layers() do print(("  diff_id %2d  %s"):format(i, layer.diff_id)) end
local ok, message = img:verify()
print("\n  verified    " .. (ok and "yes, every digest is right" or message))
img:close()
