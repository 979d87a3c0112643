--- The jobs that failed for good: lists them, puts them back into the queue, and forgets them.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local queue = require "queue"
local words = require "words"

local USAGE = [[
usage: dead.lua [--redis ADDRESS] [--queue NAME] list
       dead.lua [--redis ADDRESS] [--queue NAME] requeue all|ID ...   a tag that has moved still makes a job fail:
                                                                     enqueue such an image anew
       dead.lua [--redis ADDRESS] [--queue NAME] drop all|ID ...      forgets them]]

local options, others = words.read(arg, { redis = queue.ADDRESS, queue = "fleet" }, USAGE)
local jobs = words.check(queue.new(options.redis, options.queue))

-- Calls a function for each of the dead.
local function each(fn)
  local from
  repeat
    local rows = words.check(jobs:dead(from))
    for _, one in ipairs(rows) do
      from = one.id
      fn(one)
    end
  until #rows == 0
end

local verb = table.remove(others, 1)
if verb == "list" and not others[1] then
  each(function(one)
    local fields = one.fields
    print(("%s  %s %s\n    %s: %s"):format(one.id, fields.ref, fields.script, fields.code, fields.message))
  end)
elseif (verb == "requeue" or verb == "drop") and others[1] then
  local act, wanted = verb == "drop" and jobs.forget or jobs.revive, {}
  for _, id in ipairs(others) do wanted[id] = true end
  each(function(one)
    if not wanted.all and not wanted[one.id] then return end
    wanted[one.id] = nil
    print(one.id, (words.check(act(jobs, one))))
  end)
  wanted.all = nil
  for id in pairs(wanted) do words.die("%s is not among the dead", id) end
else
  words.die("list, requeue or drop?\n%s", USAGE)
end
