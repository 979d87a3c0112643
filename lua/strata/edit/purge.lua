--- Removing paths from every layer for good, and proving that they are gone.

local core = require "strata.core"
local edit_entries = require "strata.layer.edit_entries"
local image = require "strata.image"
local job = require "strata.util.job"
local layer = require "strata.layer"
local limits = require "strata.util.limits"
local merge = require "strata.tree.merge"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"
local scrub = require "strata.edit.scrub"
local parent_of = require("strata.util.path").parent

local PIECE = 1048576

local function is_whiteout(entry)
  return entry.whiteout ~= nil or entry.opaque ~= nil
end

-- The path of an entry, or the path that it hides.
local function subject_of(entry)
  return entry.whiteout or entry.opaque or entry.path
end

-- ---- which paths -----------------------------------------------------------------

-- Tells whether a path is to go, or a directory that it is in. What a function says
-- of an entry goes for its path in all layers.
local function chooser(states, which)
  local known = {}
  if type(which) == "function" then
    for _, state in ipairs(states) do
      for entry in state.index:entries() do
        if not is_whiteout(entry) and which(entry, state.handle) then known[entry.path] = true end
      end
    end
  end
  local function matches(path)
    if type(which) == "string" and known[path] == nil then known[path] = path:find(which) ~= nil end
    return known[path]
  end
  return function(path)
    while path do
      if matches(path) then return true end
      path = parent_of(path)
    end
    return false
  end
end

local function count_whiteouts(states)
  local count = 0
  for _, one in ipairs(states) do
    for entry in one.index:entries() do
      if is_whiteout(entry) then count = count + 1 end
    end
  end
  return count
end

-- Drops the entries for which chosen(entry, layer) is true, and adds those that are no whiteouts to a list.
local function drop(hub, removed, chosen)
  local ok, message, code = edit_entries.filter(hub, hub.layers, function(entry, handle)
    if not chosen(entry, handle.index) then return true end
    if not is_whiteout(entry) then
      removed[#removed + 1] = { layer = handle.index, path = entry.path, type = entry.type, size = entry.size }
    end
    return false
  end)
  return ok, message, code
end

-- What a merged view has at a chosen path. An entry of another path may be there: symlinks lead to it. Returns for each
-- layer the numbers of such entries, and the path of one.
local function find_in_view(tree, chosen, found)
  local node, example = merge.after(tree, 0, 0), nil
  while node do
    local path = tree:path(node)
    local entry = chosen(path) and tree:entry(node)
    if entry then
      local _, from = tree:info(node)
      found[from] = found[from] or {}
      found[from][entry.index] = true
      example = example or path
    end
    node = merge.after(tree, node, 0)
  end
  return example
end

-- The same of both views, since either may be what runs.
local function find_in_views(states, chosen)
  local found, example = {}, nil
  for _, view in ipairs { "runtime", "spec" } do
    local tree, message, code = merge.of_states(states, { view = view })
    if tree then
      example = find_in_view(tree, chosen, found) or example
      tree:close()
    elseif view == "runtime" or code == "ENOMEM" or code == "ELIMIT" then -- else nobody can unpack it by the letter
      return nil, message, code
    end
  end
  return found, example
end

-- Drops what is chosen by its own path, and then what the merged views have there, until they have nothing: what goes
-- may have hidden something below it.
local function drop_all(hub, chosen)
  local removed = {}
  local ok, message, code = drop(hub, removed, function(entry) return chosen(subject_of(entry)) end)
  while ok do
    local found, example, how = find_in_views(hub.layers, chosen)
    if not found then return nil, example, how end
    if not example then return removed end
    ok, message, code = drop(hub, removed, function(entry, number) return (found[number] or {})[entry.index] end)
  end
  return nil, message, code
end

-- ---- the proof --------------------------------------------------------------------

-- The plain tars of layers as they would be saved, read anew.
local function inflate(states, opts)
  local list = {}
  for i, state in ipairs(states) do
    list[i] = { label = layer.label(state), blob = layer.current(state), as = "none" }
  end
  return job.recode(list, {
    limits = states[1] and states[1].hub.limits, threads = opts.threads, progress = opts.progress,
  }, "scanning")
end

-- Whether a file holds one of the strings; where they begin does not matter.
local function find_bytes(file, secrets)
  local longest = 0
  for _, secret in ipairs(secrets) do longest = math.max(longest, #secret) end
  local size, tail = file:size(), ""
  for at = 0, size - 1, PIECE do
    local bytes, message, code = file:read(at, math.min(PIECE, size - at))
    if not bytes then return nil, message, code end
    bytes = tail .. bytes
    for i, secret in ipairs(secrets) do
      if bytes:find(secret, 1, true) then return i end
    end
    tail = longest > 1 and bytes:sub(-(longest - 1)) or ""
  end
  return 0
end

local function find_paths(state, file, chosen)
  local index = core.entry_index(file, 0, file:size(), "none")
  local ok, message, code = index:scan(limits.add(state.hub.limits, {}))
  if not ok then return nil, message, code end
  for entry in index:entries() do
    if chosen(subject_of(entry)) then
      return nil, ("%s: %s is still there"):format(layer.label(state), core.quote(entry.path)), "EEXIST"
    end
  end
  index:close()
  return true
end

-- The number of a secret that a document has, as it is or with the escapes of JSON.
local function find_in_text(text, secrets)
  for i, secret in ipairs(secrets) do
    local quoted = core.json_quote(secret)
    if text:find(secret, 1, true) or quoted and text:find(quoted:sub(2, -2), 1, true) then return i end
  end
  return nil
end

-- The config, and what repeats it in an old archive.
local function prove_documents(state, secrets)
  local list, message, code = scrub.repeated(state)
  if not list then return nil, message, code end
  table.insert(list, 1, { name = "config", text = state.config:text() })
  for _, one in ipairs(list) do
    local found = find_in_text(one.text, secrets)
    if found then return nil, ("%s: secret %d is still in it"):format(one.name, found), "EEXIST" end
  end
  return true
end

-- Reads everything again and looks for what should be gone.
local function prove(state, chosen, secrets, opts)
  local states = state.hub.layers
  local plain, message, code = inflate(states, opts)
  if not plain then return nil, message, code end
  for i, one in ipairs(plain) do
    local ok
    local file = one.file
    ok, message, code = find_paths(states[i], file, chosen)
    if not ok then return nil, message, code end
    local found
    found, message, code = find_bytes(file, secrets)
    if not found then return nil, message, code end
    if found > 0 then
      return nil, ("%s: secret %d is still in it"):format(layer.label(states[i]), found), "EEXIST"
    end
    file:close()
  end
  local found, example, how = find_in_views(states, chosen)
  if not found then return nil, example, how end
  if example then return nil, ("%s is still in the merged file system"):format(core.quote(example)), "EEXIST" end
  return prove_documents(state, secrets)
end

-- ---- the whole ---------------------------------------------------------------------

-- Says which of the patterns have matched nothing.
local function missed_of(report, which, opts)
  local missed = {}
  local function note(what, is_missed, pattern)
    if not is_missed then return end
    local shown = type(pattern) == "string" and " matches " .. core.quote(pattern) or " is wanted by the function"
    missed[#missed + 1] = ("no %s%s"):format(what, shown)
  end
  note("path", #report.removed + report.whiteouts == 0, which)
  note("text of the history", opts.history and report.history == 0, opts.history)
  note("variable", opts.env and #report.env == 0, opts.env)
  note("label", opts.labels and #report.labels == 0, opts.labels)
  return missed[1] and missed
end

local function run(state, edit, which, opts)
  local secrets = type(opts.content) == "string" and { opts.content } or opts.content or {}
  local states = state.hub.layers
  local ok, message, code = layer.load(states, opts)
  if ok then ok, message, code = edit:keep(states) end
  if not ok then return nil, message, code end
  local chosen, whiteouts = chooser(states, which), count_whiteouts(states)
  local removed
  removed, message, code = drop_all(state.hub, chosen)
  if not removed then return nil, message, code end
  local found
  found, message, code = scrub.run(state, { history = opts.history, env = opts.env, labels = opts.labels })
  if not found then return nil, message, code end
  ok, message, code = image.settle(state, { threads = opts.threads, progress = opts.progress })
  if ok then ok, message, code = prove(state, chosen, secrets, opts) end
  if not ok then return nil, message, code end
  local report = {
    removed = removed, whiteouts = whiteouts - count_whiteouts(states), history = found.history, env = found.env,
    labels = found.labels,
  }
  return report, missed_of(report, which, opts)
end

--- Removes paths, with all below them, from every layer for good, with whiteouts that are
-- needless then, and proves it by reading all again; hardlinks to them stay, with the content.
---@param which string|fun(entry: strata.Entry, layer: strata.Layer): boolean?  a Lua pattern of paths
---@param opts? strata.PurgeOptions
---@return strata.PurgeReport?
---@return string[]|string|nil missed  the patterns that matched nothing, a line each; nil for none | message
---@return string? code  "EEXIST": something is left
function image.methods:purge(which, opts)
  options.check("purge", "PurgeOptions", opts)
  if type(which) ~= "string" and type(which) ~= "function" then
    misuse("purge: wants a Lua pattern of paths or a function")
  end
  local state = image.state_of(self)
  return image.edit(state, "purge", function(edit) return run(state, edit, which, opts or {}) end)
end
