--- A progress bar for terminals, and a plain line now and then elsewhere.

local core = require "strata.core"

local progress = {}

local WIDTH = 30
local BAR_SECONDS = 0.1
local LINE_SECONDS = 10

local function duration(seconds)
  if seconds ~= seconds or seconds > 359999 then return "--:--" end
  seconds = math.floor(seconds + 0.5)
  local hours, minutes = math.floor(seconds / 3600), math.floor(seconds / 60) % 60
  if hours > 0 then return ("%d:%02d:%02d"):format(hours, minutes, seconds % 60) end
  return ("%d:%02d"):format(minutes, seconds % 60)
end

local function draw(what, done, total, seconds)
  local share = total > 0 and done / total or 1
  local filled = math.floor(share * WIDTH)
  local bar = ("%-11s [%s%s] %3d %%"):format(what, ("#"):rep(filled), ("."):rep(WIDTH - filled),
    math.floor(share * 100))
  if done >= total then return ("%s  %s in %s"):format(bar, core.human_size(total), duration(seconds)) end
  local rate = seconds > 0 and done / seconds or 0
  return ("%s  %s/s  %s left"):format(bar, core.human_size(math.floor(rate)),
    duration(rate > 0 and (total - done) / rate or 0 / 0))
end

--- A function for the option `progress`.
---@param out? file*  default: standard error
---@param now? fun(): number  a clock in seconds, for tests
---@param is_terminal? boolean  default: what standard error is
---@return fun(done: integer, total: integer, what: string)
function progress.bar(out, now, is_terminal)
  out = out or io.stderr
  now = now or core.monotonic
  if is_terminal == nil then is_terminal = out == io.stderr and core.is_terminal(2) end
  local stage, started, shown
  return function(done, total, what)
    if done == 0 and total == 1 then return end -- waiting, with no bytes to be told of
    local time = now()
    if stage ~= what then
      stage, started, shown = what, time, nil
    end
    local finished = done >= total
    if shown and not finished and time - shown < (is_terminal and BAR_SECONDS or LINE_SECONDS) then return end
    shown = time
    local line = draw(what, done, total, time - started)
    if is_terminal then
      out:write("\r", line, "\27[K", finished and "\n" or "")
    elseif finished or time - started >= LINE_SECONDS then
      out:write(line, "\n")
    end
    out:flush()
  end
end

return progress
