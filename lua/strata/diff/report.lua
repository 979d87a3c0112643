--- Reports of a diff for people: lines of text, with colours for a terminal, or a page of HTML.

local words = require "strata.diff.words"

local report = {}

-- ---- text --------------------------------------------------------------------------------

local COLORS = { added = "\27[32m", removed = "\27[31m", changed = "\27[33m", spelling = "\27[33m", title = "\27[1m" }

local function painted(text, color, is_colored)
  return is_colored and COLORS[color] .. text .. "\27[0m" or text
end

--- A row in one line.
---@param row strata.DiffRow
---@param is_colored? boolean
---@return string
function report.line(row, is_colored)
  local subject, details, place = words.of(row)
  return ("%s: %s%s"):format(painted(words.SIGNS[row.change] .. " " .. subject, row.change, is_colored),
    table.concat(details, ", "), place and " (" .. place .. ")" or "")
end

local function nothing_differs(diff)
  return diff.semantic and "no differences but those of a rebuild" or "no differences"
end

local function name_of(side)
  return ("%s %s"):format(words.text(side.name), side.id:sub(1, 19))
end

--- All rows as text.
---@param diff strata.Diff
---@param is_colored? boolean
---@return string
function report.text(diff, is_colored)
  local lines = { painted("--- " .. name_of(diff.a), "title", is_colored),
                  painted("+++ " .. name_of(diff.b), "title", is_colored) }
  if diff.equal then lines[3] = nothing_differs(diff) end
  for _, list in ipairs(words.LISTS) do
    local rows = diff[list[1]]
    if rows[1] then
      lines[#lines + 1] = painted(("%s: %s"):format(list[2], words.count(rows)), "title", is_colored)
      for _, row in ipairs(rows) do lines[#lines + 1] = report.line(row, is_colored) end
    end
  end
  return table.concat(lines, "\n")
end

-- ---- HTML ----------------------------------------------------------------------------------

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local function escaped(text)
  return (text:gsub("[&<>\"']", ENTITIES))
end

local HEAD = [[
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>%s</title>
<style>
body { font: 15px/1.4 sans-serif; margin: 2em; color: #222; background: #fff }
table { border-collapse: collapse; width: 100%% }
td { border-top: 1px solid #ddd; padding: 2px 8px; vertical-align: top; overflow-wrap: anywhere }
td:first-child { width: 1em; text-align: center }
.subject, .id { font-family: monospace }
.place { white-space: nowrap; color: #666 }
.added td { color: #17692b } .removed td { color: #a3202a } .changed td:first-child { color: #8a5a00 }
</style>
</head>
<body>
]]

local ROW = '<tr class="%s"><td>%s</td><td class="subject">%s</td><td>%s</td><td class="place">%s</td></tr>\n'

local function add_row(out, row)
  local subject, details, place = words.of(row)
  for i, detail in ipairs(details) do details[i] = escaped(detail) end
  out[#out + 1] = ROW:format(row.change, words.SIGNS[row.change], escaped(subject), table.concat(details, "<br>"),
    escaped(place or ""))
end

--- All rows as a page that needs nothing else.
---@param diff strata.Diff
---@return string
function report.html(diff)
  local title = escaped(("%s and %s"):format(words.text(diff.a.name), words.text(diff.b.name)))
  local out = { HEAD:format(title) }
  out[#out + 1] = ('<h1>%s</h1>\n<p class="id">%s<br>%s</p>\n'):format(title, escaped(diff.a.id), escaped(diff.b.id))
  if diff.equal then out[#out + 1] = ("<p>%s</p>\n"):format(nothing_differs(diff)) end
  for _, list in ipairs(words.LISTS) do
    local rows = diff[list[1]]
    if rows[1] then
      out[#out + 1] = ("<h2>%s: %s</h2>\n<table>\n"):format(list[2], words.count(rows))
      for _, row in ipairs(rows) do add_row(out, row) end
      out[#out + 1] = "</table>\n"
    end
  end
  out[#out + 1] = "</body>\n</html>\n"
  return table.concat(out)
end

return report
