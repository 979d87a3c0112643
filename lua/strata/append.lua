--- A new layer made of files that a script gives.

local core = require "strata.core"
local json = require "strata.json"
local layer = require "strata.layer"
local work = require "strata.work"

local append = {}

local TYPEFLAGS = { file = "0", hardlink = "1", symlink = "2", char = "3", block = "4", dir = "5",
                    fifo = "6" }
local ENTRY_FIELDS = { content = true, mode = true, uid = true, gid = true, uname = true,
                       gname = true, mtime = true, type = true, linkpath = true, major = true,
                       minor = true }

-- The largest value of each number.
local MAXIMA = { mode = 4095, uid = 4294967294, gid = 4294967294, major = 2097151, minor = 2097151 }

local function check_numbers(path, entry)
  for field, max in pairs(MAXIMA) do
    local value = entry[field]
    if value ~= nil and (type(value) ~= "number" or value < 0 or value > max or value % 1 ~= 0) then
      error(("files[%q]: %s should be a whole number from 0 to %d"):format(path, field, max), 0)
    end
  end
  if entry.mtime ~= nil and not (type(entry.mtime) == "number" and math.abs(entry.mtime) < 9e15) then
    error(("files[%q]: mtime should be a number of seconds"):format(path), 0)
  end
end

local function check_names(path, entry)
  for name, text in pairs { path = path, linkpath = entry.linkpath, uname = entry.uname, gname = entry.gname } do
    if type(text) ~= "string" or text:find("\0", 1, true) then
      error(("files[%q]: %s should be a string without NUL"):format(path, name), 0)
    end
  end
end

local function check_entry(path, entry)
  if type(entry) == "string" then entry = { content = entry } end
  if type(entry) ~= "table" then
    error(("files[%q] should be a string or a table"):format(path), 0)
  end
  for key in pairs(entry) do
    if not ENTRY_FIELDS[key] then
      error(("files[%q] has an unknown field '%s'"):format(path, tostring(key)), 0)
    end
  end
  check_numbers(path, entry)
  check_names(path, entry)
  if core.normalise(path) == "." and entry.type ~= "dir" then
    error(("files[%q]: the root can only be a dir"):format(path), 0)
  end
  if entry.type == "symlink" and (entry.linkpath or "") == "" then
    error(("files[%q]: a symlink wants a linkpath"):format(path), 0)
  end
  return entry
end

-- One entry as a header and its content, padded.
local function tar_entry(path, entry)
  local kind = entry.type or (entry.linkpath and "symlink") or "file"
  local typeflag = TYPEFLAGS[kind]
  if not typeflag then error(("files[%q]: unknown type '%s'"):format(path, tostring(kind)), 0) end
  local content = kind == "file" and (entry.content or "") or ""
  if type(content) ~= "string" then
    error(("files[%q]: content should be a string"):format(path), 0)
  end
  local mtime = entry.mtime or 0
  local seconds = math.floor(mtime)
  local header, message, code = core.write_header {
    name = kind == "dir" and path .. "/" or path, typeflag = typeflag, size = #content,
    -- 0755 0777 0644; the type says what it is, not bits of the mode
    mode = (entry.mode or (kind == "dir" and 493 or kind == "symlink" and 511 or 420)) % 4096,
    uid = entry.uid, gid = entry.gid, uname = entry.uname, gname = entry.gname,
    mtime = seconds, mtime_nsec = math.floor((mtime - seconds) * 1e7 + 0.5) * 100,
    linkpath = entry.linkpath, major = entry.major, minor = entry.minor,
  }
  if not header then return nil, message, code end
  return header .. content .. ("\0"):rep((512 - #content % 512) % 512)
end

-- The topmost entry for a path in the layers below.
local function find(layers, path)
  for i = #layers, 1, -1 do
    local entry = layers[i]:entry(path)
    if entry then return entry end
  end
  return nil
end

-- Parent directories that nothing below has: 0755, root's.
local function add_parents(files, layers)
  local missing = {}
  for path in pairs(files) do
    local parent = path:match("^(.*)/[^/]*$")
    while parent and not files[parent] and not missing[parent] do
      if not find(layers, parent) then missing[parent] = { type = "dir" } end
      parent = parent:match("^(.*)/[^/]*$")
    end
  end
  for path, entry in pairs(missing) do files[path] = entry end
end

local function is_hardlink(entry)
  return entry.type == "hardlink"
end

-- Unpackers set the mode, owner and times of a hardlink's header on the file it links to, so what a
-- link does not give is as the file has it.
local function complete_links(files, layers)
  for path, entry in pairs(files) do
    if is_hardlink(entry) then
      local target = core.normalise(entry.linkpath or "")
      local file = files[target] or find(layers, target)
      if not file or file.type == "dir" or is_hardlink(file) then
        error(("files[%q]: %q, which it should link to, is not a file"):format(path, target), 0)
      end
      local given = { type = "hardlink", linkpath = target }
      for _, field in ipairs { "mode", "uid", "gid", "uname", "gname", "mtime" } do
        given[field] = entry[field] or file[field]
      end
      files[path] = given
    end
  end
end

-- Sorted, with hardlinks behind the files that they link to.
local function in_order(files)
  local paths, links = {}, {}
  for path, entry in pairs(files) do
    local list = is_hardlink(entry) and links or paths
    list[#list + 1] = path
  end
  json.sort(paths)
  json.sort(links)
  for _, path in ipairs(links) do paths[#paths + 1] = path end
  return paths
end

--- Builds the layer; the same files give the same bytes.
---@param spec {files: table<string, string|table>}
---@param layers strata.Layer[]  those below it
---@return table? state  of a new layer
---@return string? message
---@return string? code
function append.layer(spec, layers)
  if type(spec) ~= "table" or type(spec.files) ~= "table" then
    error("append wants {files = {[path] = content, ...}}", 3)
  end
  local files = {}
  for path, entry in pairs(spec.files) do
    if type(path) ~= "string" then error("append: a path should be a string", 3) end
    local normal = core.normalise(path)
    if files[normal] then error(("append: %q is given twice"):format(normal), 3) end
    files[normal] = check_entry(path, entry)
  end
  local states = {}
  for i, one in ipairs(layers) do states[i] = layer.state_of(one) end
  local ok, message, code = layer.load(states)
  if not ok then return nil, message, code end
  add_parents(files, layers)
  complete_links(files, layers)

  local file
  file, message, code = core.temp_file()
  if not file then return nil, message, code end
  local offset = 0
  local function put(bytes)
    local written, why, how = file:write(offset, bytes)
    offset = offset + #bytes
    return written, why, how
  end
  for _, path in ipairs(in_order(files)) do
    local bytes
    bytes, message, code = tar_entry(path, files[path])
    if not bytes then return nil, message, code end
    ok, message, code = put(bytes)
    if not ok then return nil, message, code end
  end
  ok, message, code = put(("\0"):rep(1024))
  if not ok then return nil, message, code end
  local job = core.job()
  job:hash { label = "new layer", file = file, offset = 0, size = offset }
  ok, message, code = work.run(job)
  if not ok then return nil, message, code end
  local digest = job:task(1).digest
  job:close()
  return {
    blob = { file = file, offset = 0, size = offset, compression = "none" },
    diff_id = digest, digest = digest, added = true,
  }
end

return append
