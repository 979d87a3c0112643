--- The PUT of a manifest.

local reply = require "gate.reply"

local push = {}

--- For content_by_lua.
function push.answer()
  return reply.refuse(403, "DENIED", "nothing is judged yet")
end

return push
