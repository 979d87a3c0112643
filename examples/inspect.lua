--- Shows what an image is: lua5.4 examples/inspect.lua IMAGE.tar [REF] [--depth N]
--
-- Its layers beside the steps of its history, its settings, its file tree.

local strata = require "strata"

-- What cannot be done is said in one line, without a stack trace.
local function check(value, message)
  if value then return value end
  io.stderr:write(message, "\n")
  os.exit(1)
end

local path, ref, depth
local arguments, i = { ... }, 1
while arguments[i] do
  if arguments[i] == "--depth" then
    depth, i = tonumber(arguments[i + 1]), i + 1
  elseif not path then
    path = arguments[i]
  else
    ref = arguments[i]
  end
  i = i + 1
end
if not path then
  io.stderr:write("usage: inspect.lua IMAGE.tar [REF] [--depth N]\n")
  os.exit(2)
end

local img = check(strata.open(path, { ref = ref }))

local function megabytes(bytes)
  return ("%8.2f MB"):format(bytes / 1e6)
end

-- Names in an image can hold anything, so nothing goes to the terminal unescaped.
local function printable(text, length)
  text = text:gsub("[%c\127]", "?")
  return #text > length and text:sub(1, length - 3) .. "..." or text
end

print(img)
print("id        " .. img.id)
print("tags      " .. (#img.tags > 0 and table.concat(img.tags, ", ") or "none"))
print("platform  " .. tostring(img.platform))
print("created   " .. tostring(img.config.created))

print("\nhistory, oldest first, beside the layers")
for _, row in ipairs(img:history()) do
  local layer = row.layer
  local left = layer and ("%3d %s %s"):format(layer.position, layer.diff_id:sub(8, 19), megabytes(layer.size))
    or (" "):rep(28)
  print(left .. "  " .. printable(row.created_by or "", 80))
end
if #img:history() == 0 then
  for n, layer in ipairs(img.layers) do
    print(("%3d %s %s"):format(n, layer.diff_id:sub(8, 19), megabytes(layer.size)))
  end
end

print("\nsettings")
for _, key in ipairs { "Entrypoint", "Cmd", "User", "WorkingDir", "Env" } do
  local value = img.config[key]
  if type(value) == "table" then
    for _, item in ipairs(value) do print(("%-11s %s"):format(key, printable(item, 100))) end
  elseif value ~= nil and value ~= "" then
    print(("%-11s %s"):format(key, printable(tostring(value), 100)))
  end
end
for name, value in img.config:each("Labels") do
  print(("Label       %s=%s"):format(printable(name, 60), printable(value, 60)))
end

print("\nfiles")
print(img:tree { depth = depth or 2, width = 20 })
img:close()
