--- The blobs of layers that are in registries: each is fetched when its bytes are needed, into a file of its own.

local label = require "strata.layer.label"

local fetch = {}

-- Takes what was fetched for a layer. What the bytes are compressed with is in them, whatever the registry says.
local function take_file(state, file)
  local compression, message, code = file:sniff(0, state.blob.size)
  if not compression then
    file:close()
    return nil, ("%s: %s"):format(label(state), message), code
  end
  local blob = state.blob
  blob.file, blob.offset, blob.compression, state.own = file, 0, compression, true
  blob.hashed = true -- while it came
  return true
end

-- The file of another layer of the image that has the same blob, and was fetched before.
local function find_fetched(state)
  for _, other in ipairs(state.hub.layers or {}) do
    if other ~= state and other.digest == state.digest and other.blob.remote and other.blob.file then
      return other.blob.file:share()
    end
  end
end

-- The blobs of layers that are not here, each once, and the place of each in the list.
local function list_needed(states)
  local list, number_of = {}, {}
  for _, state in ipairs(states) do
    if not number_of[state.digest] then
      list[#list + 1] = { digest = state.digest, size = state.blob.size, label = label(state), urls = state.urls }
      number_of[state.digest] = #list
    end
  end
  return list, number_of
end

-- Fetches the blobs of layers that are in one store; each once, however many layers it is.
local function fetch_from(store, states, opts)
  local left, ok, message, code = {}, true, nil, nil
  for _, state in ipairs(states) do
    local file = find_fetched(state)
    if file then ok, message, code = take_file(state, file) else left[#left + 1] = state end
    if not ok then return nil, message, code end
  end
  if #left == 0 then return true end
  local list, number_of = list_needed(left)
  local files
  files, message, code = store:fetch(list, opts)
  if not files then return nil, message, code end
  local taken = {}
  for _, state in ipairs(left) do
    local number = number_of[state.digest]
    local file = taken[number] and files[number]:share() or files[number]
    taken[number] = true
    if ok then
      ok, message, code = take_file(state, file)
    else
      file:close()
    end
  end
  return ok, message, code
end

--- Fetches the blobs of layers that are in a registry, and not here yet, several at a time.
---@param states strata.LayerState[]
---@param opts? {temp_dir?: string, progress?: function}
---@return boolean? ok
---@return string? message
---@return string? code
function fetch.bring(states, opts)
  local stores, by_store = {}, {}
  for _, state in ipairs(states) do
    local store = not state.blob.file and state.blob.remote
    if store and not by_store[store] then
      stores[#stores + 1], by_store[store] = store, {}
    end
    if store then table.insert(by_store[store], state) end
  end
  for _, store in ipairs(stores) do
    local ok, message, code = fetch_from(store, by_store[store], opts)
    if not ok then return nil, message, code end
  end
  return true
end

return fetch
