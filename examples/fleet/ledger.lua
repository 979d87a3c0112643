--- A file of what is done, a line for each image, so that a process that is started again leaves that out. A process
--- that is killed may leave a line without its end, which counts as none.

local ledger = {}

---@class fleet.Ledger
---@field digests table<string, string>  of the results, by reference
---@field file file*?  nil: nothing is kept
local Ledger = {}
Ledger.__index = Ledger

-- The whole lines of a file; nil when there is none.
local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return (text:gsub("[^\n]*$", ""))
end

--- Opens a file of what is done, or makes it. Its first line says what the work is: one of other work is an error.
---@param path string  "" for none
---@param work string  one line
---@return fleet.Ledger?
---@return string? message
function ledger.open(path, work)
  local self = setmetatable({ digests = {} }, Ledger)
  if path == "" then return self end
  local text = read(path) or ""
  local first = text:match("^[^\n]*")
  if first ~= "" and first ~= "# " .. work then
    return nil, ("%s is about other work: %s\nand not: # %s"):format(path, first, work)
  end
  for ref, digest in text:gmatch("([^\n\t]+)\t([^\n]*)\n") do self.digests[ref] = digest end
  local message
  self.file = io.open(path, "r+b")
  if not self.file then
    self.file, message = io.open(path, "wb")
    if not self.file then return nil, message end
  end
  self.file:seek("set", #text)
  if first == "" then self:write("# " .. work) end
  return self
end

function Ledger:write(line)
  if not self.file then return end
  assert(self.file:write(line, "\n"))
  assert(self.file:flush())
end

--- Notes that an image is done.
---@param ref string
---@param digest string
function Ledger:note(ref, digest)
  self.digests[ref] = digest
  self:write(ref .. "\t" .. digest)
end

function Ledger:close()
  if self.file then self.file:close() end
end

return ledger
