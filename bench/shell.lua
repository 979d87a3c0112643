--- Commands of the machine, and a directory to work in that never outlives the program.

local shell = {}

--- Says what cannot be done in one line, without a stack trace, and ends.
---@param message string
function shell.die(message)
  io.stderr:write("bench: ", message, "\n")
  os.exit(1, true)
end

---@param word string
---@return string
function shell.quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

--- Runs a bash script and returns what it prints. Its last line is the status.
---@param script string
---@return string output
---@return integer status
function shell.try(script)
  -- popen, not os.execute: a child that it starts holds no end of the pipe of workplace().
  local pipe = assert(io.popen("exec bash -c " .. shell.quote(script .. '\nprintf "\\n%d" $?'), "r"))
  local text = pipe:read("*a")
  pipe:close()
  local output, status = text:match("^(.*)\n(%d+)$")
  return output or text, tonumber(status) or 255
end

--- The same, for what must not fail.
---@param script string
---@return string output
function shell.run(script)
  local output, status = shell.try("exec 2>&1\n" .. script)
  if status ~= 0 then shell.die((output ~= "" and output or script):gsub("%s+$", "")) end
  return output
end

---@param program string
---@return boolean
function shell.has(program)
  local _, status = shell.try("command -v " .. shell.quote(program) .. " >/dev/null")
  return status == 0
end

local function free_bytes(directory)
  local kib = shell.try("df -Pk " .. shell.quote(directory) .. " 2>/dev/null"):match("\n%S+%s+%d+%s+%d+%s+(%d+)")
  return (tonumber(kib) or 0) * 1024
end

-- What a RAM disk can take, which is no more than there is memory.
local function free_in_memory(directory)
  local kib = shell.try("cat /proc/meminfo"):match("MemAvailable:%s*(%d+)")
  return math.min(free_bytes(directory), (tonumber(kib) or 0) * 1024)
end

--- A directory with room for so many bytes, in memory if there is enough. A shell that waits for the
-- end of this program removes it, whatever the end is: return, error, Ctrl-C, kill.
---@param bytes number
---@param in_memory boolean?  nowhere else
---@return string? path
---@return string where  for people; what is missing when there is no path
function shell.workplace(bytes, in_memory)
  local parent, where = "/dev/shm", "RAM disk (/dev/shm)"
  if free_in_memory(parent) < bytes then
    if in_memory then return nil, ("/dev/shm has no room for %.1f GB"):format(bytes / 1e9) end
    parent = os.getenv("TMPDIR") or "/tmp"
    where = ("%s: /dev/shm has no room for %.1f GB, so times may be those of a disk"):format(parent, bytes / 1e9)
    if free_bytes(parent) < bytes then
      shell.die(("no room for %.1f GB in /dev/shm nor in %s"):format(bytes / 1e9, parent))
    end
  end
  local path = shell.run("mktemp -d " .. shell.quote(parent .. "/strata-bench.XXXXXX")):gsub("%s+$", "")
  local keeper = "trap '' INT TERM HUP; cat; n=0; "
    .. "until rm -rf " .. shell.quote(path) .. " || [ $n = 50 ]; do n=$((n + 1)); sleep 0.1; done 2>/dev/null"
  shell.keeper = assert(io.popen("exec setsid sh -c " .. shell.quote(keeper), "w"))
  return path, where
end

--- Removes the workplace and waits until that is done.
function shell.leave()
  if shell.keeper then shell.keeper:close() end
  shell.keeper = nil
end

return shell
