--- Edits of an image that a plain table tells, as strata.jobs gets them.

local core = require "strata.core"
local fail = require "strata.util.fail"
local job = require "strata.util.job"
local json = require "strata.util.json"

local from_table = {}

local function change_owners(img, pairs_of)
  local to = {}
  for _, pair in ipairs(pairs_of) do to[pair[1]] = pair[2] end
  return img:rewrite(function(entry)
    job.tick()
    local uid, gid = entry.uid, entry.gid
    if to[uid] then entry.uid = to[uid] end
    if to[gid] then entry.gid = to[gid] end
  end)
end

-- Sets what has a value, and removes what has false.
local function set_all(config, values, set, remove, optional)
  for _, name in ipairs(json.keys(values or {})) do
    local ok, message, code
    if values[name] then
      ok, message, code = config[set](config, name, values[name])
    else
      ok, message, code = config[remove](config, name)
    end
    if not ok and not (optional and code == "ENOENT") then return nil, message, code end
  end
  return true
end

-- The fields of a table with a method that sets one of its names, and one that removes one.
local MAPS = {
  { "env", "set_env", "remove_env" }, { "labels", "set_label", "remove_label" },
  { "ports", "add_port", "remove_port" }, { "volumes", "add_volume", "remove_volume" },
}

--- Changes the config as the fields env, labels, ports, volumes and config of a table say. Throws what no config can
-- have.
---@param config strata.Config
---@param edit strata.EditTable
---@return boolean? ok
---@return string? message
---@return string? code
function from_table.config(config, edit)
  for _, map in ipairs(MAPS) do
    local ok, message, code = set_all(config, edit[map[1]], map[2], map[3], edit.optional)
    if not ok then return nil, message, code end
  end
  for _, name in ipairs(json.keys(edit.config or {})) do
    local value = edit.config[name]
    if value == false then value = nil end
    if name:find("^/") then
      local ok, message, code = config:set(name, value)
      if not ok then return nil, message, code end
    else
      config[name] = value
    end
  end
  return true
end

-- Drops files that no container sees: all, or those of a list, each of which has to be one.
local function drop_waste(img, which)
  if which == true then return img:drop_waste() end
  local wanted, found = {}, {}
  for _, one in ipairs(which) do
    wanted[one.layer] = wanted[one.layer] or {}
    wanted[one.layer][one.path] = one
  end
  local bytes, message, code = img:drop_waste(function(entry, from)
    local one = (wanted[from.position] or {})[entry.path]
    if one then found[one] = true end
    return one ~= nil
  end)
  if not bytes then return nil, message, code end
  for _, one in ipairs(which) do
    if not found[wanted[one.layer][one.path]] then
      return fail("ENOENT", "drop_waste: layer %d has no %s that no container sees", one.layer, core.quote(one.path))
    end
  end
  return bytes
end

-- Puts the image onto another base. Both bases are for its platform, unless another one is let pass.
local function rebase(img, base, open)
  local opts = {}
  for name, value in pairs(base) do opts[name] = name ~= "from" and name ~= "onto" and value or nil end
  local platform = not base.force and tostring(img.platform) or nil
  local from, onto, ok, message, code
  from, message, code = open(base.from, platform)
  if from then onto, message, code = open(base.onto, platform) end
  if onto then ok, message, code = img:rebase(from, onto, opts) end
  if from then from:close() end
  if onto then onto:close() end
  return ok, message, code
end

--- Carries out what a table says, in the order of its fields.
---@param img strata.Image
---@param edit strata.EditTable
---@param open fun(path: string, platform: string?): strata.Image?, string?, string?  opens a base
---@return {dropped: integer?, repaired: strata.RepairReport?, normalized: strata.NormalizeReport?}? reports
---@return string? message
---@return string? code
function from_table.image(img, edit, open)
  local ok, message, code = true, nil, nil
  local reports = {}
  if edit.rebase then ok, message, code = rebase(img, edit.rebase, open) end
  if ok and edit.drop_waste then
    ok, message, code = drop_waste(img, edit.drop_waste)
    reports.dropped = ok
  end
  if ok and edit.remove then ok, message, code = img:remove(edit.remove, { optional = edit.optional }) end
  if ok and edit.owner then ok, message, code = change_owners(img, edit.owner) end
  if ok then ok, message, code = from_table.config(img.config, edit) end
  if not ok then return nil, message, code end
  if edit.tags then img.tags = edit.tags end
  if edit.repair then
    ok, message, code = img:repair(edit.repair, { optional = edit.optional })
    reports.repaired = ok
  end
  if ok and edit.flatten then ok, message, code = img:flatten() end
  if ok and edit.normalize then
    ok, message, code = img:normalize(edit.normalize)
    reports.normalized = ok
  end
  if not ok then return nil, message, code end
  if edit.module then
    ok, message, code = require(edit.module)(img, edit.args)
    if ok == nil and message then return nil, message, code end
  end
  return reports
end

return from_table
