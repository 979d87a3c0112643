--- A plot as SVG: series of points, both axes by powers of two.

local plot = {}

local WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 440, 70, 250, 30, 50
local COLORS = { "#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#d68910", "#34495e" }

---@class plot.Series
---@field name string
---@field points {x: number, y: number}[]  above 0, in the order of x

local function escape(text)
  return (text:gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

local function log2(number)
  return math.log(number) / math.log(2)
end

-- The powers of two that enclose all values of a field.
local function range(list, field)
  local low, high = math.huge, -math.huge
  for _, series in ipairs(list) do
    for _, point in ipairs(series.points) do
      low, high = math.min(low, log2(point[field])), math.max(high, log2(point[field]))
    end
  end
  low, high = math.floor(low + 1e-9), math.ceil(high - 1e-9)
  return low, math.max(high, low + 1)
end

local function label(power)
  local value = 2 ^ power
  return value >= 1 and ("%.0f"):format(value) or ("1/%.0f"):format(1 / value)
end

--- Draws series, and with each a dashed line of what would be in proportion to its first point.
---@param list plot.Series[]
---@param words {title: string, x: string, y: string}
---@return string svg
function plot.svg(list, words)
  local out = {}
  local function add(text, ...) out[#out + 1] = text:format(...) end
  local x_low, x_high = range(list, "x")
  local y_low, y_high = range(list, "y")
  local right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
  local function px(power) return LEFT + (power - x_low) / (x_high - x_low) * (right - LEFT) end
  local function py(power) return bottom - (power - y_low) / (y_high - y_low) * (bottom - TOP) end
  add('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d"', WIDTH, HEIGHT, WIDTH,
    HEIGHT)
  add('  font-family="sans-serif" font-size="12">\n<title>%s</title>', escape(words.title))
  add '<rect width="100%%" height="100%%" fill="#fff"/>'
  for power = x_low, x_high do
    add('<path d="M%.1f %.1fV%.1f" stroke="#ddd"/>', px(power), TOP, bottom)
    add('<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>', px(power), bottom + 18, label(power))
  end
  for power = y_low, y_high do
    add('<path d="M%.1f %.1fH%.1f" stroke="#ddd"/>', LEFT, py(power), right)
    add('<text x="%.1f" y="%.1f" text-anchor="end">%s</text>', LEFT - 8, py(power) + 4, label(power))
  end
  add('<text x="%.1f" y="%d" text-anchor="middle">%s</text>', (LEFT + right) / 2, HEIGHT - 12, escape(words.x))
  add('<text x="%d" y="18">%s</text>', LEFT - 55, escape(words.y))
  for i, series in ipairs(list) do
    local color, steps, first = COLORS[(i - 1) % #COLORS + 1], {}, series.points[1]
    for j, point in ipairs(series.points) do
      local x, y = px(log2(point.x)), py(log2(point.y))
      steps[j] = ("%s%.1f %.1f"):format(j == 1 and "M" or "L", x, y)
      add('<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"><title>%s: %g, %.2f</title></circle>', x, y, color,
        escape(series.name), point.x, point.y)
    end
    add('<path d="%s" fill="none" stroke="%s" stroke-width="2"/>', table.concat(steps), color)
    local last = math.min(x_high, log2(first.x) + y_high - log2(first.y))
    add('<path d="M%.1f %.1fL%.1f %.1f" stroke="%s" stroke-dasharray="3 4" opacity="0.6"/>', px(log2(first.x)),
      py(log2(first.y)), px(last), py(log2(first.y) + last - log2(first.x)), color)
    local y = TOP + 20 * i
    add('<path d="M%d %dh22" stroke="%s" stroke-width="2"/>', right + 14, y - 4, color)
    add('<text x="%d" y="%d">%s</text>', right + 42, y, escape(series.name))
  end
  add('<path d="M%d %dh22" stroke="#555" stroke-dasharray="3 4"/>', right + 14, TOP + 20 * #list + 16)
  add('<text x="%d" y="%d">in proportion to one worker</text>', right + 42, TOP + 20 * #list + 20)
  add '</svg>'
  return table.concat(out, "\n") .. "\n"
end

return plot
