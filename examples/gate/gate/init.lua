--- The gate: what is pushed to a registry is held to a policy.
--
--   route      which requests go to the registry behind as they are, and which are judged or refused
--   push       the PUT of a manifest: judged, and passed on as the bytes that were judged
--   pull       a manifest by its digest: judged when it was uploaded as a blob
--   verdicts   what was judged before, and what is being judged now
--   judge      in a thread of nginx: what a manifest is, and whether the policy lets it in
--   priority   requests come before judgements
--   findings   what the policy has found, in one line
--   authorization   who pushes, and whether that client may
--   document   what kind of thing a manifest is
--   reply      errors as registries tell them

local resty = require "strata.resty"
local settings = require "gate.settings"

local gate = {}

--- For init_by_lua: reads the settings; what is wrong with them keeps nginx from starting.
function gate.configure()
  require "cjson"
  gate.settings = settings.read()
end

--- For init_worker_by_lua: the threads that judge.
function gate.start()
  local chosen = gate.settings
  gate.judges = resty.new {
    pool = "judges", shared = "jobs", threads = chosen.threads, queue = chosen.queue, wait = chosen.deadline,
    deadline = chosen.deadline, temp_dir = chosen.temp_dir,
  }
  gate.judges:warm()
end

return gate
