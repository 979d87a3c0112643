--- Lines that show entries as `tar -tv` does: mode, owner, size, time, name.

local output = require "strata.command.output"

local listing = {}

local KINDS = { file = "-", dir = "d", symlink = "l", hardlink = "h", char = "c", block = "b", fifo = "p" }
local TRIPLES = { [0] = "---", "--x", "-w-", "-wx", "r--", "r-x", "rw-", "rwx" }

--- "drwxr-xr-x" for a type and a mode.
---@param kind strata.EntryType
---@param mode integer
---@return string
function listing.mode(kind, mode)
  local out, special = { KINDS[kind] or "?" }, math.floor(mode / 512) % 8
  for place = 1, 3 do
    local triple = TRIPLES[math.floor(mode / 8 ^ (3 - place)) % 8]
    if math.floor(special / 2 ^ (3 - place)) % 2 == 1 then
      local mark = place == 3 and "t" or "s"
      triple = triple:sub(1, 2) .. (triple:sub(3) == "x" and mark or mark:upper())
    end
    out[#out + 1] = triple
  end
  return table.concat(out)
end

--- The time of an entry, in UTC.
---@param seconds number
---@return string
function listing.time(seconds)
  local ok, text = pcall(os.date, "!%Y-%m-%d %H:%M", math.floor(seconds))
  return ok and text or ("%.0f"):format(seconds)
end

local function owner(entry, is_numeric)
  local user = not is_numeric and entry.uname ~= "" and output.text(entry.uname) or ("%d"):format(entry.uid)
  local group = not is_numeric and entry.gname ~= "" and output.text(entry.gname) or ("%d"):format(entry.gid)
  return user .. "/" .. group
end

local COLORS = { dir = "blue", symlink = "cyan", fifo = "yellow", char = "yellow", block = "yellow" }

-- The name, coloured by what it is, and where a link leads to.
local function name_of(entry, out)
  local color = entry.type == "file" and entry.mode % 128 >= 64 and "green" or COLORS[entry.type]
  local name = output.text(entry.path)
  if color then name = out:paint(name, color) end
  if entry.type == "symlink" then return ("%s -> %s"):format(name, output.text(entry.linkpath)) end
  if entry.type == "hardlink" then return ("%s link to %s"):format(name, output.text(entry.linkpath)) end
  return name
end

local function size_of(entry)
  local is_device = entry.type == "char" or entry.type == "block"
  return is_device and ("%d,%d"):format(entry.major, entry.minor) or ("%d"):format(entry.size)
end

--- Writes a line for each entry.
---@param out table
---@param entries (strata.RootEntry|strata.Entry)[]
---@param is_long? boolean
---@param is_numeric? boolean
function listing.write(out, entries, is_long, is_numeric)
  if not is_long then
    for _, entry in ipairs(entries) do out:say("%s", out:paint(output.text(entry.path), COLORS[entry.type])) end
    return
  end
  local rows, width, digits = {}, 0, 0
  for i, entry in ipairs(entries) do
    rows[i] = { owner(entry, is_numeric), size_of(entry) }
    width, digits = math.max(width, #rows[i][1]), math.max(digits, #rows[i][2])
  end
  local form = ("%%s %%-%ds %%%ds %%s %%s"):format(math.min(width, 60), digits)
  for i, entry in ipairs(entries) do
    out:say(form, listing.mode(entry.type, entry.mode), rows[i][1], rows[i][2], listing.time(entry.mtime),
      name_of(entry, out))
  end
end

--- Writes the history of an image, oldest first, beside its layers.
---@param out table
---@param img strata.Image
function listing.history(out, img)
  local rows = img:history()
  for _, row in ipairs(rows) do
    local layer = row.layer
    local left = layer and ("%3d %s %9s"):format(layer.position, layer.diff_id:sub(8, 19), output.size(layer.size))
      or ("%3s %-12s %9s"):format("", "", "")
    local step = output.text(row.created_by or row.comment or ""):gsub(" +$", "")
    out:say("%s  %s", left, out:fit(step, #left + 2))
  end
  if #rows > 0 then return end
  for i, layer in ipairs(img.layers) do
    out:say("%3d %s %9s", i, layer.diff_id:sub(8, 19), output.size(layer.size))
  end
end

return listing
