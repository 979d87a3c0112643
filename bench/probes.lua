--- How long requests take, one after the other on one connection that stays. The rate is modest: a probe that saturates
-- the worker would measure itself.

local shell = require "spec.support.shell"

local probes = {}

--- A number of the environment.
---@param name string
---@param default number
---@return number
function probes.number(name, default)
  return tonumber(os.getenv(name) or "") or default
end

--- Milliseconds until the first byte of each answer, sorted.
---@param url string
---@param count integer
---@param rate integer  a second
---@return number[]
function probes.run(url, count, rate)
  local output = shell.check { "curl", "-s", "--rate", rate .. "/s", "-o", "/dev/null",
    "-w", "%{http_code} %{time_starttransfer} %{time_pretransfer}\n", ("%s?[1-%d]"):format(url, count) }
  local times = {}
  for status, first, before in output:gmatch("(%d+) ([%d.]+) ([%d.]+)\n") do
    assert(status == "200", status)
    times[#times + 1] = 1000 * (tonumber(first) - tonumber(before))
  end
  table.sort(times)
  return times
end

--- Prints them.
---@param title string
---@param times number[]
function probes.print(title, times)
  local function at(part) return times[math.max(1, math.ceil(part * #times))] end
  print(("  %-44s %5d requests  median %6.2f ms  99 %% %6.2f ms  worst %6.2f ms"):format(title, #times, at(0.5),
    at(0.99), times[#times]))
end

--- What a process has in memory, and the most that it had, in MiB.
---@param pid integer
---@return number now
---@return number peak
function probes.memory(pid)
  local status = shell.read("/proc/" .. pid .. "/status")
  return tonumber(status:match("VmRSS:%s+(%d+)")) / 1024, tonumber(status:match("VmHWM:%s+(%d+)")) / 1024
end

return probes
