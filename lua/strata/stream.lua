--- Streams that are pushed, for hosts that must not block: nothing here reads or
-- writes a stream of the host, and nothing calls back from C.
--
--   local t = strata.stream.image { filter = function(entry) return not entry.path:find("^usr/share/doc/") end }
--   repeat
--     local chunk = io.read(2 ^ 18)
--     local out, more = assert(t(chunk))
--     io.write(out)
--     while more do
--       out, more = assert(t(""))
--       io.write(out)
--     end
--   until not chunk

local image = require "strata.stream.image"
local tar = require "strata.stream.tar"

local stream = {}

stream.tar = tar.new
stream.image = image.new

return stream
