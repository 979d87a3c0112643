--- Taking paths out of an image while it passes, without keeping it anywhere.

local reply = require "explorer.reply"
local service = require "explorer.service"
local strata = require "strata"

local strip = {}

local CHUNK = 256 * 1024

-- A function that gives the body piece by piece; nil at its end, and nil and why before.
local function from_socket(length)
  local socket = ngx.req.socket()
  if not socket then return reply.fail("there is no body", "EINVAL") end
  local left = length
  return function()
    if left == 0 then return nil end
    local bytes, message = socket:receiveany(math.min(CHUNK, left))
    if not bytes then return nil, message end
    left = left - #bytes
    return bytes
  end
end

-- ngx.req.socket does not read chunked bodies: nginx puts those into a file first.
local function from_file()
  ngx.req.read_body()
  local data, path = ngx.req.get_body_data(), ngx.req.get_body_file()
  if not path then
    return function()
      local all = data
      data = nil
      return all
    end
  end
  local file = assert(io.open(path, "rb"))
  return function()
    local bytes = file:read(CHUNK)
    if not bytes then file:close() end
    return bytes
  end
end

local function reader()
  local length = tonumber(ngx.var.http_content_length)
  if length and not ngx.var.http_transfer_encoding then return from_socket(length) end
  return from_file()
end

-- What is asked for: the paths, and whether all of them have to match.
local function request()
  local query = ngx.req.get_uri_args(1000)
  local list, is_optional = query.path, query.optional == "1"
  query.path, query.optional = nil, nil
  local other = next(query)
  if other then return reply.fail("/strip has path and optional, and no parameter " .. other, "EINVAL") end
  if type(list) == "string" then list = { list } end
  if type(list) ~= "table" then return reply.fail("which path? /strip?path=usr/share/doc", "EINVAL") end
  return list, is_optional
end

-- What the paths choose: a function for each entry, and one that gives the first path that nothing has matched so far.
local function chooser(paths)
  local matchers, seen = {}, {}
  for i, path in ipairs(paths) do matchers[i] = strata.matcher(path) end
  local function covers(path)
    local found = false
    for i, matches in ipairs(matchers) do
      if matches(path) then seen[i], found = true, true end
    end
    return found
  end
  local first = 1
  local function missed()
    while seen[first] do first = first + 1 end
    return paths[first]
  end
  return covers, missed
end

local function begin()
  ngx.header["Content-Type"] = "application/octet-stream"
  ngx.header["Content-Disposition"] = 'attachment; filename="image.tar"'
  ngx.header["Cache-Control"] = "no-store"
end

-- After the first byte only the end of the connection can tell of a failure.
local function fail(message, code)
  if not ngx.headers_sent then return reply.fail(message, code) end
  ngx.log(ngx.ERR, "strip: ", message)
  return ngx.exit(ngx.ERROR)
end

-- The time now; nginx reads the clock once for each turn of its loop.
local function clock()
  ngx.update_time()
  return ngx.now()
end

-- So long at most without a turn for others.
local TURN = 0.002

-- Keeps what comes before all paths have matched: until then the answer may become another one.
local function keep(out, turn)
  if not turn.kept then
    local path = service.surgery():temp()
    turn.kept = assert(io.open(path, "w+b"))
    os.remove(path)
  end
  assert(turn.kept:write(out))
end

-- Hands out what there is, as fast as the client takes it.
local function put(out, turn)
  if clock() > turn.over then
    ngx.sleep(0.001)
    turn.over = clock() + TURN
  end
  if out == "" then return end
  if turn.missed() then return keep(out, turn) end
  local kept = turn.kept
  if kept then
    turn.kept = nil
    kept:seek("set")
    for bytes in function() return kept:read(CHUNK) end do put(bytes, turn) end
    kept:close()
  end
  if not ngx.headers_sent then begin() end
  if not ngx.print(out) or not ngx.flush(true) then
    turn.transform:close() -- its temporary files do not wait for the collector
    return ngx.exit(499)
  end
end

--- POST /strip?path=usr/share/doc&path=usr/share/man; a path that matches nothing is 404, unless there is optional=1.
function strip.run()
  local paths, is_optional = request()
  local good, covers, missed = pcall(chooser, paths)
  if not good then return fail((covers:gsub("^.-matcher: ", "")), "EINVAL") end
  local transform, message, code = strata.stream.image {
    filter = function(entry) return not covers(entry.path) end,
    temp_dir = service.own:sub(1, -2), threads = 1, wait = function() ngx.sleep(0.002) end,
  }
  if not transform then return fail(message, code) end
  local turn = { over = 0, transform = transform, missed = is_optional and function() end or missed }
  local read, ending = reader(), clock() + service.surgery().deadline
  repeat
    local chunk, why = read()
    if why then
      transform:close()
      return fail("the body ended early: " .. why, "ECANCELED")
    end
    local out, more
    out, more, code = transform(chunk)
    while out and more do
      put(out, turn)
      out, more, code = transform("")
    end
    if not out then return fail(more, code) end
    put(out, turn)
    if clock() > ending then
      transform:close()
      return fail("the deadline has passed", "ETIMEDOUT")
    end
  until not chunk
  local nowhere = turn.missed()
  if nowhere then return fail(("nothing matches %s; optional=1 lets that be"):format(nowhere), "ENOENT") end
end

return strip
