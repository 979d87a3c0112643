--- Help at a REPL: strata.help(), strata.help(img), strata.help(img.config), strata.help("save"), strata.help "limits"

local limits = require "strata.util.limits"
local options = require "strata.util.options"

local help = {}

-- By class of objects. {SaveOptions} stands for the names of the options of that class.
local TEXTS = {
  ["strata.Image"] = [[
strata.Image
  id digest tags platform config layers index path size edited    fields; tags assign
  history()  scrub_history(pattern, replacement)  clear_history()
  entries()  read(path, max)  inspect()  tree{ImageTreeOptions}  rootfs{RootfsOptions}  files()  waste{WasteOptions}
  verify{WorkOptions}  check{CheckOptions}
  filter(fn)  rewrite(fn)  prune()  revert()
  remove(which, {RemoveOptions})
  purge(which, {PurgeOptions})
  append{AppendOptions}
  squash(i, j, {FlattenOptions})  squash{SquashOptions}
  flatten{FlattenOptions}
  remove_layer(which, {WorkOptions})  move_layer(i, j, {WorkOptions})
  export(what, {ExportOptions})
  rebase(old_base, new_base, {RebaseOptions})
  fold{FoldOptions}
  tag(ref)  untag(ref)  close()
  save(what, {SaveOptions})
  plan{SaveOptions}
  extract(dir, {ExtractOptions})]],
  ["strata.Layer"] = [[
strata.Layer
  position diff_id chain_id digest size media_type compression created_by history count empty edited
  annotations foreign
  entries(offset)  entry(path)  list(dir, offset, limit)  read(path, max)  tree{TreeOptions}  check{CheckOptions}
  filter(fn)  rewrite(fn)  remove(which, {RemoveOptions})
  apply(dir, {ExtractOptions})  close()]],
  ["strata.Entry"] = [[
strata.Entry
  path linkpath mode setuid setgid sticky uid gid uname gname    assign
  mtime mtime_nsec major minor xattrs    assign
  atime atime_nsec ctime ctime_nsec    assign; nil removes
  name type typeflag size pax whiteout opaque position sparse dangling
  header_offset data_offset stored
  read(max, from)  digest()  same_content(entry, max, from)  replace(data)  remove()]],
  ["strata.Config"] = [[
strata.Config
  Env Cmd Entrypoint User WorkingDir Labels ExposedPorts Volumes ... and
  architecture os created author ...               read and assign; nil deletes
  get(pointer)  set(pointer, value)  text()  totable()  each(key)
  set_env get_env remove_env  set_label get_label remove_label
  add_port remove_port  add_volume remove_volume]],
  ["strata.HistoryRow"] = [[
strata.HistoryRow
  created created_by author comment empty_layer    read and assign
  layer position  remove()]],
}

TEXTS["strata.Rootfs"] = [[
strata.Rootfs
  layers count
  stat(path)  lstat(path)  readlink(path)  exists(path)
  read(path, max)  open(path)  list(dir)  walk(dir)  glob(pattern)
  history(path)  tree{TreeOptions}  close()]]

TEXTS["strata.RootEntry"] = [[
strata.RootEntry
  path name type mode setuid setgid sticky uid gid uname gname size mtime mtime_nsec atime atime_nsec
  ctime ctime_nsec linkpath major minor
  xattrs layer content_layer entry links inode implied  read(max, from)  digest()]]

TEXTS["strata.Index"] = [[
strata.Index
  path manifests
  images{SelectorOptions}  save(what, {SaveOptions})  close()]]

TEXTS["strata.Transform"] = [[
strata.Transform
  out, more = t(chunk)   out, false, lost = t(nil)
  close()]]

TEXTS["strata.TarStream"] = [[
strata.TarStream
  compression
  feed(chunk)  next()  events()  finish()  close()]]

local MODULE = [[
strata
  open(what, {OpenOptions})
  images(what, {OpenOptions})
  open_index(what, {IndexOptions})
  new{NewOptions}
  layer{LayerOptions}
  save({img, ...}, what, {SaveOptions})
  check_tar(path, {CheckOptions})   progress()   matcher(paths)
  stream.image{StreamImageOptions}    out, more = t(chunk)
  stream.tar{StreamTarOptions}
  versions()   pairs(object)   help(value)   limits   null   array{}   object{}]]

TEXTS.strata = MODULE

-- With the names of options, in lines that fit.
local function expanded(text)
  return (text:gsub("([^\n]*)", function(line)
    return (line:gsub("{(%u%a+)}", function(class)
      local names = {}
      for name in options.each(class) do names[#names + 1] = name .. "=" end
      return "{" .. table.concat(names, ", ") .. "}"
    end):gsub("(" .. ("."):rep(80) .. ".-=,) ", "%1\n         "))
  end))
end

-- The options of the functions and methods of a name, with what each does; "" when none has options.
local function described(call)
  local found, lines = {}, {}
  local function look(name, args)
    local class = args:match("{(%u%a+)}")
    if class and name == call then found[class] = true end
  end
  for _, text in pairs(TEXTS) do
    text:gsub("([%w_%.]+)(%b())", look)
    text:gsub("([%w_%.]+)(%b{})", look)
  end
  for _, class in ipairs(options.classes) do
    local name = class[1]
    if found[name] then
      lines[#lines + 1] = ("%s: %s"):format(call, class[2])
      for option, row in options.each(name) do
        lines[#lines + 1] = ("  %-14s %-20s  %s"):format(option, row[2], options.text(row))
      end
    end
  end
  return table.concat(lines, "\n")
end

--- The text for a value, or for the options of what has a name; without one, or for anything else, that of the module.
---@param value? any
---@return string
function help.text(value)
  if value == "limits" or value == limits.defaults then return limits.text() end
  local options_text = type(value) == "string" and described(value) or ""
  if options_text ~= "" then return options_text end
  local mt = type(value) == "userdata" and getmetatable(value)
  return expanded(mt and TEXTS[mt.__name] or MODULE)
end

return help
