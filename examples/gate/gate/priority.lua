--- Requests come before judgements, when there are fewer CPUs than both could use.

local ffi = require "ffi"

ffi.cdef [[
  int getpid(void);
  int getpriority(int which, unsigned int who);
  int setpriority(int which, unsigned int who, int priority);
]]

local priority = {}

-- PRIO_PROCESS, which on Linux means a thread, 0 the one that asks. The ID of a process is that of its first thread.
local THREAD, LESS = 0, 5

--- Gives this thread, and those that it starts from now on, a lower priority than the first one of the process, which
-- serves the requests.
function priority.lower()
  ffi.C.setpriority(THREAD, 0, ffi.C.getpriority(THREAD, ffi.C.getpid()) + LESS)
end

return priority
