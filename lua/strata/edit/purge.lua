--- Removing paths from every layer for good, and proving that they are gone.

local choice = require "strata.util.choice"
local core = require "strata.core"
local elsewhere = require "strata.save.elsewhere"
local fail = require "strata.util.fail"
local image = require "strata.image"
local job = require "strata.util.job"
local layer = require "strata.layer"
local limits = require "strata.util.limits"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"
local printed = require "strata.util.printed"
local remove = require "strata.edit.remove"
local scrub = require "strata.edit.scrub"

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

local function find_paths(state, file, chosen)
  local index = core.entry_index(file, 0, file:size(), "none")
  local ok, message, code = index:scan(limits.add(state.hub.limits, {}))
  if not ok then return nil, message, code end
  for entry in index:entries() do
    job.tick()
    if remove.covers(chosen, entry) then
      return nil, ("%s: %s is still there"):format(layer.label(state), core.quote(entry.path)), "EEXIST"
    end
  end
  index:close()
  return true
end

-- The config, the manifest and the descriptors that lead to it, and what repeats the config in an old archive.
local function prove_documents(state, secrets)
  local list, message, code = scrub.repeated(state)
  if not list then return nil, message, code end
  table.insert(list, 1, { name = "config", text = state.config:text() })
  if state.manifest then table.insert(list, 2, { name = "manifest", text = state.manifest.text }) end
  local descriptors
  descriptors, message, code = elsewhere.descriptors(state)
  if not descriptors then return nil, message, code end
  for _, one in ipairs(descriptors) do list[#list + 1] = one end
  for _, one in ipairs(list) do
    local found = elsewhere.find_secret(one.text, secrets)
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
    if chosen then ok, message, code = find_paths(states[i], file, chosen) end
    if chosen and not ok then return nil, message, code end
    local found
    found, message, code = elsewhere.find_bytes(file, secrets)
    if not found then return nil, message, code end
    if found > 0 then
      return nil, ("%s: secret %d is still in it"):format(layer.label(states[i]), found), "EEXIST"
    end
    file:close()
  end
  local found, example, how = {}, nil, nil
  if chosen then found, example, how = remove.find_in_views(states, chosen) end
  if not found then return nil, example, how end
  if example then return nil, ("%s is still in the merged file system"):format(core.quote(example)), "EEXIST" end
  return prove_documents(state, secrets)
end

-- ---- the whole ---------------------------------------------------------------------

-- What is to be looked for in documents that the purge leaves alone.
local function sought_of(state, removed, secrets, opts)
  local sought = { secrets = secrets, patterns = {}, layers = {} }
  for _, name in ipairs { "history", "env", "labels" } do sought.patterns[#sought.patterns + 1] = opts[name] end
  for _, one in ipairs(removed) do
    local opened = state.opened.layers[state.hub.layers[one.layer].origin]
    local diff_id = opened and opened.diff_id
    if diff_id and not sought.layers[diff_id] then
      sought.layers[diff_id] = { number = one.layer, path = one.path }
    end
  end
  return sought
end

-- What has matched nothing, for a message; nil when all has.
local function missed_of(report, chosen, opts)
  local missed = {}
  local function note(what, count, pattern)
    if pattern and count == 0 then missed[#missed + 1] = ("no %s matches %s"):format(what, core.quote(pattern)) end
  end
  missed[1] = chosen and chosen:unused()
  note("text of the history", report.history, opts.history)
  note("variable", #report.env, opts.env)
  note("label", #report.labels + #report.annotations, opts.labels)
  return missed[1] and missed
end

local function run(state, edit, chosen, opts)
  local secrets = type(opts.prove) == "string" and { opts.prove } or opts.prove or {}
  local states = state.hub.layers
  local ok, message, code = remove.load(states, chosen, opts)
  if ok then ok, message, code = edit:keep(states) end
  if not ok then return nil, message, code end
  local removed, whiteouts = {}, 0
  if chosen then removed, whiteouts, code = remove.all(edit, state.hub, chosen) end
  if not removed then return nil, whiteouts, code end
  local found
  found, message, code = scrub.run(state, { history = opts.history, env = opts.env, labels = opts.labels })
  if not found then return nil, message, code end
  local report = {
    removed = removed, whiteouts = whiteouts, history = found.history, env = found.env, labels = found.labels,
    annotations = found.annotations,
  }
  report.missed = missed_of(report, chosen, opts)
  if report.missed and not opts.optional then return fail("ENOENT", "purge: %s", table.concat(report.missed, "; ")) end
  ok, message, code = image.settle(state, { threads = opts.threads, progress = opts.progress })
  if ok then ok, message, code = prove(state, chosen, secrets, opts) end
  if not ok then return nil, message, code end
  local left
  left, message, code = elsewhere.find(state, sought_of(state, removed, secrets, opts), opts)
  if not left then return nil, message, code end
  report.left = left[1] and left
  printed.list(removed, printed.removed)
  return printed.by(report, printed.purge)
end

--- Removes paths, with all below them, from every layer for good, with whiteouts that are needless then, and proves it
-- by reading all again; hardlinks to them stay, with the content. Whole or not at all. What is no document of the image
-- itself is not edited, and the report says where something is left.
---@param which strata.Which?  a function gets an entry and its layer
---@param opts? strata.PurgeOptions
---@return strata.PurgeReport?
---@return string? message
---@return string? code  "ENOENT": something has matched nothing; "EEXIST": something is left
function image.methods:purge(which, opts)
  options.check("purge", "PurgeOptions", opts)
  opts = opts or {}
  local more = opts.history or opts.env or opts.labels or opts.prove
  if which == nil and not more then misuse("purge: nothing is named that should go") end
  for _, name in ipairs { "history", "env", "labels" } do
    if opts[name] then choice.text(opts[name], "purge: " .. name) end
  end
  local state, chosen = image.state_of(self), which ~= nil and choice.new(which, "purge") or nil
  return image.edit(state, "purge", function(edit) return run(state, edit, chosen, opts) end)
end
