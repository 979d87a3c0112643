--- The name that was probably meant by one that does not exist.

local spelling = {}

-- How many letters have to be changed, added, left out or swapped with their neighbour.
local function distance(a, b)
  local before, last = {}, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local now = { [0] = i }
    for j = 1, #b do
      local x, y = a:byte(i), b:byte(j)
      now[j] = math.min(last[j] + 1, now[j - 1] + 1, last[j - 1] + (x == y and 0 or 1))
      if j > 1 and x == b:byte(j - 1) and y == a:byte(i - 1) then now[j] = math.min(now[j], before[j - 2] + 1) end
    end
    before, last = last, now
  end
  return last[#b]
end

--- The nearest of some names, or nil when none is near.
---@param name string
---@param names string[]
---@return string?
function spelling.likely(name, names)
  local best, nearest = math.min(3, #name), nil
  for _, one in ipairs(names) do
    local letters = distance(name:lower(), one:lower())
    if letters < best then best, nearest = letters, one end
  end
  return nearest
end

return spelling
