--- The names of options, so that one that is misspelled is misuse and not ignored.
--
-- Declared with their types in lua/strata/meta; spec/types/meta_options_spec.lua holds both together.

local options = {}

local function set(names, ...)
  local made = {}
  for name in names:gmatch("%S+") do made[name] = true end
  for _, other in ipairs { ... } do
    for name in pairs(other) do made[name] = true end
  end
  return made
end

local work = set "threads progress"
local tree = set "depth width layers"
local job = set "path open"
local page = set("offset limit", job)
local save_job = set("to save", job)

--- By class, without "strata.": what there is.
---@type table<string, table<string, true>>
options.names = {
  CheckArguments = set("policy", job),
  CheckOptions = set "second_reader privileged temp_dir",
  EditTable = set "drop owner env labels config tags flatten module args",
  EntriesArguments = set("layer", page),
  ExportOptions = set("compression level", work),
  ExtractOptions = set("mode merge keep_partial unprivileged rootless xattrs limits", work),
  FetchArguments = set("file to", job),
  FilterArguments = set("edit", save_job),
  FoldOptions = set("prune", work),
  JobArguments = job,
  JobControl = set "deadline shared key threads",
  ListArguments = set("dir layer", page),
  NewOptions = set "platform created",
  OpenOptions = set("ref platform digest prefer temp_dir strict limits", work),
  PurgeOptions = set("history env labels content", work),
  ReadArguments = set("file max", job),
  RebaseOptions = set("config force", work),
  RemoveArguments = set "path",
  RootTreeOptions = set("path", tree),
  RootfsOptions = set "upto",
  RunOptions = set "deadline detached",
  SaveArguments = save_job,
  SaveOptions = set("format compression level reproducible attestations verify", work),
  SquashOptions = set("above", work),
  StreamImageOptions = set([[filter rewrite config tags compression level attestations ref platform digest
    prefer temp_dir wait limits]], work),
  StreamTarOptions = set "data compression limits",
  TreeOptions = tree,
  WorkOptions = work,
}

local function listed(names)
  local list = {}
  for name in pairs(names) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, ", ")
end

--- Throws what is no option.
---@param fn string  the function that they were given to
---@param class string  a key of options.names
---@param opts? table
---@param level integer  as error takes it, of the caller of this
function options.check(fn, class, opts, level)
  if opts == nil then return end
  level = level > 0 and level + 1 or 0
  if type(opts) ~= "table" then
    error(("%s: options should be a table, not a %s"):format(fn, type(opts)), level)
  end
  local known = options.names[class]
  for name in pairs(opts) do
    if not known[name] then
      error(("%s has no option '%s', only %s"):format(fn, tostring(name), listed(known)), level)
    end
  end
end

return options
