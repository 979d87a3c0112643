--- What a policy has found, as one line that clients show to their users.

local findings = {}

-- Findings, and bytes, of one line.
local MOST, LONGEST = 10, 2000

---@param list {rule: string, message: string, layer: integer?}[]
---@return string  "" when there are none
function findings.text(list)
  local parts = {}
  for i, one in ipairs(list) do
    if i > MOST then
      parts[i] = ("and %d more"):format(#list - MOST)
      break
    end
    parts[i] = ("%s: %s%s"):format(one.rule, one.message,
      one.layer and one.rule ~= "check" and (" (layer %d)"):format(one.layer) or "")
  end
  local text = table.concat(parts, "; "):gsub("[%c\127]", "?")
  if #text > LONGEST then text = text:sub(1, LONGEST):gsub("[\192-\255]?[\128-\191]*$", "") .. " ..." end
  return text
end

return findings
