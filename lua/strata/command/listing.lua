--- Lines that show entries as `tar -tv` does: mode, owner, size, time, name.

local output = require "strata.command.output"

local listing = {}

local KINDS = { file = "-", dir = "d", symlink = "l", hardlink = "h", char = "c", block = "b", fifo = "p" }
local TRIPLES = { [0] = "---", "--x", "-w-", "-wx", "r--", "r-x", "rw-", "rwx" }

local function mode_text(kind, mode)
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

local known = {} -- by the type and the mode, of which an image has few

--- "drwxr-xr-x" for a type and a mode.
---@param kind strata.EntryType
---@param mode integer
---@return string
function listing.mode(kind, mode)
  local of_kind = known[kind] or {}
  known[kind] = of_kind
  of_kind[mode] = of_kind[mode] or mode_text(kind, mode)
  return of_kind[mode]
end

--- The time of an entry, in UTC.
---@param seconds number
---@return string
function listing.time(seconds)
  local ok, text = pcall(os.date, "!%Y-%m-%d %H:%M", math.floor(seconds))
  return ok and text or ("%.0f"):format(seconds)
end

local function owner(entry, is_numeric)
  local user, group = not is_numeric and entry.uname or "", not is_numeric and entry.gname or ""
  return (user ~= "" and output.text(user) or ("%d"):format(entry.uid)) .. "/"
    .. (group ~= "" and output.text(group) or ("%d"):format(entry.gid))
end

local COLORS = { dir = "blue", symlink = "cyan", fifo = "yellow", char = "yellow", block = "yellow" }

-- The name, coloured by what it is, and where a link leads to.
local function name_of(entry, kind, out)
  local color = out.is_colored and (kind == "file" and entry.mode % 128 >= 64 and "green" or COLORS[kind])
  local name = output.text(entry.path)
  if color then name = out:paint(name, color) end
  if kind == "symlink" then return ("%s -> %s"):format(name, output.text(entry.linkpath)) end
  if kind == "hardlink" then return ("%s link to %s"):format(name, output.text(entry.linkpath)) end
  return name
end

local function size_of(entry, kind)
  if kind == "char" or kind == "block" then return ("%d,%d"):format(entry.major, entry.minor) end
  return ("%d"):format(entry.size)
end

--- The row of an entry: its name, or the parts of a line of `tar -tv`.
---@param out table
---@param entry strata.RootEntry|strata.Entry
---@param is_long? boolean
---@param is_numeric? boolean
---@return string|string[]
function listing.row(out, entry, is_long, is_numeric)
  local kind = entry.type
  if not is_long then return out:paint(output.text(entry.path), COLORS[kind]) end
  return { listing.mode(kind, entry.mode), owner(entry, is_numeric), size_of(entry, kind),
           listing.time(entry.mtime) .. " " .. name_of(entry, kind, out) }
end

--- Writes rows: names at once, lines when all are there, so that their columns are as wide as they have to be.
---@param out table
---@param is_long? boolean
---@return fun(row: string|string[]) write
---@return fun() finish
function listing.writer(out, is_long)
  if not is_long then return function(row) out:say("%s", row) end, function() end end
  local rows, width, digits = {}, 0, 0
  local function keep(row)
    rows[#rows + 1] = row
    width, digits = math.max(width, #row[2]), math.max(digits, #row[3])
  end
  return keep, function()
    local form = ("%%s %%-%ds %%%ds %%s"):format(math.min(width, 60), digits)
    for _, row in ipairs(rows) do out:say(form, row[1], row[2], row[3], row[4]) end
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
