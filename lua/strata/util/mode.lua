--- Modes of files: numbers, or octal digits as people write them: "0755".

local mode = {}

--- The number of a mode, nil for what is none.
---@param value any
---@return integer?
function mode.parse(value)
  if type(value) == "string" then value = value:find("^[0-7]+$") and #value <= 5 and tonumber(value, 8) or nil end
  if type(value) == "number" and value % 1 == 0 and value >= 0 and value <= 4095 then return value end
end

--- What a mode should be, for messages.
mode.WORDS = 'a whole number from 0 to 4095, or octal digits such as "0755"'

return mode
