--- What was measured on, and with what.

local shell = require "bench.shell"
local strata = require "strata"

local machine = {}

local function first_line(script)
  return shell.try(script .. " 2>/dev/null"):match("[^\n]+") or ""
end

--- Lines for people.
---@return string[]
function machine.describe()
  local model = first_line("grep -m 1 '^model name' /proc/cpuinfo"):match(":%s*(.*)") or first_line("uname -m")
  local lines = {
    ("machine   %s, %s CPUs, %.1f GB of memory, Linux %s"):format(model, first_line("nproc"),
      (tonumber(first_line("grep MemTotal /proc/meminfo"):match("%d+")) or 0) * 1024 / 1e9, first_line("uname -r")),
  }
  local parts = {}
  for name, version in pairs(strata.versions()) do parts[#parts + 1] = name .. " " .. tostring(version) end
  table.sort(parts)
  lines[#lines + 1] = "strata    " .. table.concat(parts, ", ")
  local peers = {}
  for _, command in ipairs { "bsdtar --version", "openssl version", "cp --version", "gzip --version",
    "skopeo --version", "umoci --version" } do
    local name = command:match("^%S+")
    peers[#peers + 1] = shell.has(name) and first_line(command):gsub(" %-.*$", ""):gsub(" %(Library.*$", "")
      or name .. " is missing"
  end
  lines[#lines + 1] = "peers     " .. table.concat(peers, ", ")
  return lines
end

return machine
