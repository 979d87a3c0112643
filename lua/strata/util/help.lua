--- Help at a REPL: strata.help(), strata.help(img), strata.help(img.config), strata.help("limits") ...

local limits = require "strata.util.limits"

local help = {}

local TEXTS = {
  ["strata.Image"] = [[
strata.Image
  id digest tags platform config layers index path edited    fields; tags assign
  history()  scrub_history(pattern)  clear_history()
  inspect()  tree{depth=, width=, layers=}  rootfs{upto=}  files()  verify()  check(opts)
  waste()
  filter(fn)  rewrite(fn)  prune()
  append{files= | dir= | tar= | archive= | layer=, at=, created_by=, created=, comment=, author=,
         to=, owner=, mode=, exclude=, mtime=, clamp_mtime=, exact_mtime=, compression=}
  squash(i, j)  squash{above=}  flatten()  remove_layer(i)  move_layer(i, j)  export(path)
  rebase(old_base, new_base, {config=, force=})  fold{prune=}
  purge(pattern, {history=, env=, labels=, content=})
  tag(ref)  untag(ref)  close()
  save(what, {format=, compression=, level=, reproducible=, attestations=, verify=, threads=, progress=})
  extract(dir, {mode=, merge=, keep_partial=, unprivileged=, rootless=, xattrs=, limits=, threads=, progress=})]],
  ["strata.Layer"] = [[
strata.Layer
  index diff_id chain_id digest size media_type compression created_by history empty edited
  annotations foreign
  entries()  entry(path)  read(path, max)  tree()  check{second_reader=, privileged=}
  filter(fn)  rewrite(fn)  drop(path)
  apply(dir, {merge=, keep_partial=, unprivileged=, rootless=, limits=, threads=, progress=})]],
  ["strata.Entry"] = [[
strata.Entry
  path linkpath mode uid gid uname gname mtime mtime_nsec major minor xattrs    assign
  name type typeflag size pax whiteout opaque index sparse dangling
  header_offset data_offset stored
  read(max, from)  same_content(entry, max, from)  replace(data)  drop()]],
  ["strata.Config"] = [[
strata.Config
  Env Cmd Entrypoint User WorkingDir Labels ExposedPorts Volumes ... and
  architecture os created author ...               read and assign; nil deletes
  get(pointer)  set(pointer, value)  text()  totable()  each(key)
  set_env get_env unset_env  set_label get_label del_label
  add_port del_port  add_volume del_volume]],
  ["strata.HistoryRow"] = [[
strata.HistoryRow
  created created_by author comment empty_layer    read and assign
  layer index  drop()]],
}

TEXTS["strata.Rootfs"] = [[
strata.Rootfs
  layers count
  stat(path)  lstat(path)  readlink(path)  exists(path)
  read(path, max)  open(path)  list(dir)  walk(dir)  glob(pattern)
  history(path)  tree{path=, depth=, width=, layers=}]]

TEXTS["strata.RootEntry"] = [[
strata.RootEntry
  path name type mode uid gid uname gname size mtime mtime_nsec linkpath major minor
  xattrs layer content_layer entry links inode implied  read(max, from)]]

TEXTS["strata.Index"] = [[
strata.Index
  path images entries
  each(fn, {platform=})  save(what, opts)  close()]]

TEXTS["strata.TarStream"] = [[
strata.TarStream
  compression
  feed(chunk)  next()  events()  finish()  close()]]

local MODULE = [[
strata
  open(what, {ref=, platform=, digest=, prefer=, strict=, limits=})   images(what)   new{platform=}
  save({img, ...}, what, opts)   plan(img, opts)   open_index(what)   progress()
  layer{from= | lower=, upper= | overlay_upper= | files= | tar= | archive=, to=, owner=, mode=, exclude=, ...}
  check_tar(path, opts)
  stream.image{filter=, rewrite=, config=, tags=, compression=, temp_dir=, wait=, limits=}    out, more = t(chunk)
  stream.tar{data=, compression=, limits=}
  version()   help(value)   limits   null   array{}   object{}]]

--- The text for a value; without one, or for anything else, that of the module.
---@param value? any
---@return string
function help.text(value)
  if value == "limits" or value == limits.defaults then return limits.text() end
  local mt = type(value) == "userdata" and getmetatable(value)
  return mt and TEXTS[mt.__name] or MODULE
end

return help
