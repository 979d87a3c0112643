--- The gates before nginx's threads: one for edits, and one for what is over soon.

local resty = require "strata.resty"
local settings = require "filter.settings"

local service = {}

local surgery, checks

--- Edits, some seconds each; one gate for each worker process.
---@return strata.Resty
function service.surgery()
  surgery = surgery or resty.new {
    pool = "filter", threads = settings.threads, queue = settings.queue, wait = settings.deadline,
    deadline = settings.deadline, shared = "jobs", temp_dir = settings.temp,
  }
  return surgery
end

--- Has an edit made, or an index read, and waits for it.
---@param name strata.JobName
---@param args table
---@param seconds number  that it may take
---@return table?
---@return string? message
---@return string? code
function service.run(name, args, seconds)
  return service.surgery():run("call", { module = "filter.job", args = { name = name, args = args } },
    { deadline = seconds, detached = true })
end

--- Files that are hashed.
---@return strata.Resty
function service.checks()
  checks = checks or resty.new {
    pool = "filter_checks", threads = 2, queue = 256, wait = 60, deadline = 300, shared = "jobs",
    temp_dir = settings.temp,
  }
  return checks
end

--- The digest of a file.
---@param path string
---@return string? digest
---@return string? message
---@return string? code
function service.digest(path)
  local told, message, code = service.checks():run("digest", { path = path }, { detached = true })
  if not told then return nil, message, code end
  return told.digest
end

return service
