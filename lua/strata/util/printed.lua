--- Results that say what is in them when they are printed. They stay plain tables.

local core = require "strata.core"
local json = require "strata.util.json"

local printed = {}

--- Makes a table print itself.
---@generic T: table
---@param result T
---@param describe fun(result: T): string
---@return T
function printed.by(result, describe)
  return setmetatable(result, { __tostring = describe })
end

-- One item of a list in each line. Of a list without any, a blank line would tell nothing.
local function lines_of(list)
  if #list == 0 then return "none" end
  local lines = {}
  for i, item in ipairs(list) do
    lines[i] = type(item) == "string" and json.printable(item) or tostring(item)
  end
  return table.concat(lines, "\n")
end

--- Makes a list print a line for each item.
---@generic T: table
---@param list T
---@param describe? fun(item: table): string  makes the items print themselves as well
---@return T
function printed.list(list, describe)
  local meta = describe and { __tostring = describe }
  for _, item in ipairs(meta and list or {}) do setmetatable(item, meta) end
  return printed.by(list, lines_of)
end

--- Takes all of this away, from tables in tables as well: what crosses from one Lua state to another is plain.
---@generic T
---@param value T
---@return T
function printed.plain(value)
  if type(value) ~= "table" then return value end
  for _, item in next, value do printed.plain(item) end
  return setmetatable(value, nil)
end

local function short(digest)
  return digest and digest:sub(1, 19) or "?"
end

-- What entries are, in words.
local TYPES = {
  dir = "a directory", char = "a character device", block = "a block device", fifo = "a FIFO",
  other = "of an unknown type",
}

--- What an entry of a type is: "a directory".
---@param kind string
---@return string
function printed.type(kind)
  return TYPES[kind] or "a " .. kind
end

--- A number of things, in words.
---@param count integer
---@param one string
---@param many? string  default: with an s
---@return string
function printed.counted(count, one, many)
  return ("%d %s"):format(count, count == 1 and one or many or one .. "s")
end

local counted = printed.counted

-- The parts that are there, with commas between.
local function joined(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[#parts + 1] = select(i, ...) or nil end
  return table.concat(parts, ", ")
end

-- A line for each layer of a result.
local function with_layers(lines, result)
  for i, one in ipairs(result.layers) do lines[#lines + 1] = ("  layer %d: %s"):format(i, tostring(one)) end
  return table.concat(lines, "\n")
end

--- One of several images that a save has written.
---@param result strata.SaveResult
---@return string
function printed.saved_image(result)
  return with_layers({ joined("image " .. short(result.id), result.digest and "manifest " .. short(result.digest)) },
    result)
end

--- What a save has written, or would write: a line for it and one for each layer.
---@param result strata.SaveResult
---@return string
function printed.save(result)
  local moved = result.uploaded and ("%d uploaded, %d mounted, "):format(result.uploaded, result.mounted) or ""
  if result.skipped then moved = moved .. ("%d there already, "):format(result.skipped) end
  local what = result.id and ", image " .. short(result.id) or result.digest and ", manifest " .. short(result.digest)
  local lines = { ("%s%s, %s%s%s"):format(result.path and result.path .. ": " or "", result.format, moved,
    result.size and core.human_size(result.size) or "not written yet", what or "") }
  return with_layers(lines, result)
end

--- What became of a layer.
---@param one strata.SavedLayer
---@return string
function printed.saved_layer(one)
  local action = one.action .. (one.moved and " and " .. one.moved or "")
  return joined(action, one.compression, one.size and core.human_size(one.size) or "size not known yet",
    one.kept and core.human_size(one.kept) .. " of it as before",
    short(one.digest or one.diff_id))
end

-- So many files are in the text of a waste; the others are counted.
local WASTED_FILES = 20

--- The bytes that nobody sees: in all, by layer, and of the files with the most.
---@param waste strata.Waste
---@return string
function printed.waste(waste)
  local lines = { ("%s wasted, efficiency %.4f"):format(core.human_size(waste.total), waste.efficiency) }
  for i, bytes in ipairs(waste.layers) do
    lines[#lines + 1] = ("  layer %d: %s"):format(i, core.human_size(bytes))
  end
  for i = 1, math.min(#waste.paths, WASTED_FILES) do lines[#lines + 1] = "  " .. tostring(waste.paths[i]) end
  if #waste.paths > WASTED_FILES then
    lines[#lines + 1] = ("  %s more"):format(counted(#waste.paths - WASTED_FILES, "file"))
  end
  return table.concat(lines, "\n")
end

--- A file that nobody sees.
---@param one strata.WastedFile
---@return string
function printed.wasted_file(one)
  return ("%s of layer %d: %s%s"):format(core.quote(one.path), one.layer, core.human_size(one.bytes),
    one.why and (", %s by layer %d"):format(one.why, one.by) or "")
end

--- A path that several layers have something at.
---@param one strata.RepeatedPath
---@return string
function printed.repeated_path(one)
  return ("%s: %d times, %s"):format(core.quote(one.path), one.count, core.human_size(one.bytes))
end

--- What a directory adds up to.
---@param one strata.Usage
---@return string
function printed.usage(one)
  return ("%s in %s"):format(core.human_size(one.bytes), counted(one.entries, "path"))
end

--- An entry that was removed.
---@param one strata.Removed
---@return string
function printed.removed(one)
  return ("layer %d: %s %s"):format(one.layer, one.type, core.quote(one.path))
end

--- What a purge has removed, or did not find.
---@param report strata.PurgeReport
---@return string
function printed.purge(report)
  local lines = { ("removed: %s, %s, %s in the history"):format(counted(#report.removed, "entry", "entries"),
    counted(report.whiteouts, "needless whiteout"), counted(report.history, "text")) }
  for _, one in ipairs(report.removed) do lines[#lines + 1] = "  " .. tostring(one) end
  for _, name in ipairs(report.env) do lines[#lines + 1] = "  variable " .. core.quote(name) end
  for _, name in ipairs(report.labels) do lines[#lines + 1] = "  label " .. core.quote(name) end
  for _, name in ipairs(report.annotations) do lines[#lines + 1] = "  annotation " .. core.quote(name) end
  for _, one in ipairs(report.missed or {}) do lines[#lines + 1] = "  missed: " .. one end
  for _, one in ipairs(report.left or {}) do lines[#lines + 1] = "  left: " .. one end
  return table.concat(lines, "\n")
end

--- What has changed in a layer for it to be normal.
---@param one strata.NormalizedLayer
---@return string
function printed.normalized_layer(one)
  return ("layer %d: %s"):format(one.layer, joined(counted(one.entries, "entry", "entries"),
    one.times > 0 and counted(one.times, "time"), one.owners > 0 and counted(one.owners, "owner"),
    one.names > 0 and counted(one.names, "owner's name", "owners' names"),
    one.xattrs > 0 and counted(one.xattrs, "set of xattrs", "sets of xattrs"), one.sorted and "sorted"))
end

--- What was changed for an image to be normal.
---@param report strata.NormalizeReport
---@return string
function printed.normalized(report)
  local lines = { ("normalized: %s, %s of the config"):format(counted(report.entries, "entry", "entries"),
    counted(#report.config, "field")) }
  for _, one in ipairs(report.layers) do lines[#lines + 1] = "  " .. tostring(one) end
  for _, pointer in ipairs(report.config) do lines[#lines + 1] = "  config " .. json.printable(pointer) end
  for _, name in ipairs(report.annotations) do lines[#lines + 1] = "  annotation " .. core.quote(name) end
  return table.concat(lines, "\n")
end

--- A layer that an image was divided into.
---@param one strata.Chunk
---@return string
function printed.chunk(one)
  return ("layer %d: %s, %s, %s"):format(one.layer, counted(one.entries, "entry", "entries"), core.human_size(one.size),
    short(one.diff_id))
end

--- An entry that was folded into one of a lower layer.
---@param one strata.Folded
---@return string
function printed.folded(one)
  return ("%s: %s of layer %d into layer %d, %s"):format(core.quote(one.path), one.type, one.layer, one.into,
    core.human_size(one.bytes))
end

--- A layer that was written by itself.
---@param result strata.SavedTar
---@return string
function printed.saved_tar(result)
  return joined((result.path and result.path .. ": " or "") .. result.compression, core.human_size(result.size),
    short(result.digest))
end

--- A finding that was mended.
---@param one strata.Mended
---@return string
function printed.mended(one)
  local place = one.where
  if one.layer and not place:find("^layer") then place = ("%s, layer %d"):format(place, one.layer) end
  if one.entry then place = ("%s, entry %d"):format(place, one.entry) end
  return ("%s: %s%s: %s"):format(one.code, place, one.path and " " .. core.quote(one.path) or "", one.how)
end

--- What a repair has mended, or left.
---@param report strata.RepairReport
---@return string
function printed.repair(report)
  local lines = { counted(#report.mended, "finding") .. " mended" }
  for _, one in ipairs(report.mended) do lines[#lines + 1] = "  " .. tostring(one) end
  for _, one in ipairs(report.left or {}) do lines[#lines + 1] = "  left: " .. json.printable(one) end
  for _, one in ipairs(report.absent or {}) do lines[#lines + 1] = "  not there: " .. one end
  return table.concat(lines, "\n")
end

--- A member of an archive.
---@param one strata.ListedFile
---@return string
function printed.file(one)
  return joined(("%s: %s"):format(json.printable(one.name), one.type), core.human_size(one.size),
    one.digest and short(one.digest), one.role)
end

--- What breaks a rule of a policy.
---@param finding strata.PolicyFinding
---@return string
function printed.finding(finding)
  return ("%s: %s%s"):format(finding.rule, json.printable(finding.message),
    finding.layer and (" (layer %d)"):format(finding.layer) or "")
end

--- The digest of a file, as sha256sum writes it and `sha256sum -c` reads it, but for control characters.
---@param one strata.FileDigest
---@return string
function printed.file_digest(one)
  local name, count = one.path:gsub("[\\\n\r]", { ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r" })
  return ("%s%s  %s"):format(count > 0 and "\\" or "", one.digest:match(":(.*)$"), json.printable(name))
end

--- A package that is installed.
---@param one strata.Package
---@return string
function printed.package(one)
  local words = { one.name, one.version or "?", one.architecture or "?", one.manager }
  return json.printable(table.concat(words, " "), 300)
end

--- A database of packages.
---@param one strata.PackageDatabase
---@return string
function printed.database(one)
  return ("%s: %s, %s"):format(one.manager, json.printable(one.path), one.packages and counted(one.packages, "package")
    or "not read")
end

--- What a layer has done to a path.
---@param row strata.PathHistory
---@return string
function printed.change(row)
  return ("%s by %s"):format(row.action, tostring(row.layer))
end

--- What a layer has at a name of a directory.
---@param row strata.LayerRow
---@return string
function printed.row(row)
  return joined(json.printable(row.name), row.entry and tostring(row.entry) or "implied",
    row.above and ("%s by layer %d"):format(row.above.action, row.above.layer))
end

--- A part of a layer's directory.
---@param page strata.LayerPage
---@return string
function printed.page(page)
  local rows = #page.rows > 0 and tostring(page.rows) .. "\n" or ""
  return ("%s%d of %s"):format(rows, #page.rows, counted(page.total, "name"))
end

--- What an index lists.
---@param one strata.IndexedManifest
---@return string
function printed.manifest(one)
  local tags = {}
  for i, tag in ipairs(one.tags) do tags[i] = json.printable(tag, 80) end
  return joined(one.kind, one.platform and tostring(one.platform), short(one.digest),
    tags[1] and table.concat(tags, ", "),
    one.problem and json.printable(one.problem, 200) or one.missing and "not all of it is here")
end

--- A blob that nothing names.
---@param one strata.UnnamedBlob
---@return string
function printed.unnamed_blob(one)
  return joined(one.digest, core.human_size(one.size))
end

--- The blobs of a layout that nothing names.
---@param report strata.GarbageReport
---@return string
function printed.garbage(report)
  local lines = { ("%s: %s that nothing names, %s%s"):format(report.path, counted(#report.blobs, "blob"),
    core.human_size(report.bytes), report.removed and ", removed" or "") }
  for _, one in ipairs(report.blobs) do lines[#lines + 1] = "  " .. tostring(one) end
  for _, digest in ipairs(report.absent or {}) do lines[#lines + 1] = "  named and not there: " .. digest end
  return table.concat(lines, "\n")
end

--- An artifact that is about a manifest.
---@param one strata.Referrer
---@return string
function printed.referrer(one)
  return joined(one.artifact_type and json.printable(one.artifact_type, 100), short(one.digest))
end

--- What was written as one tar.
---@param result strata.ExportResult
---@return string
function printed.export(result)
  return joined((result.path and result.path .. ": " or "") .. counted(result.entries, "entry", "entries"),
    core.human_size(result.size), short(result.digest))
end

--- What was extracted.
---@param result strata.ExtractResult
---@return string
function printed.extract(result)
  local lines = { ("%s: %s, %s, %s, %d skipped"):format(result.path, counted(result.layers, "layer"),
    counted(result.entries, "entry", "entries"), core.human_size(result.bytes), result.skipped_count) }
  for _, one in ipairs(result.skipped) do lines[#lines + 1] = "  " .. tostring(one) end
  return table.concat(lines, "\n")
end

--- What extract could not do.
---@param one strata.Skipped
---@return string
function printed.skipped(one)
  return ("layer %d: %s: %s%s (%s)"):format(one.layer, core.quote(one.path), one.what,
    one.name and " " .. json.printable(one.name) or "", one.code)
end

--- A document, as JSON.
---@param value table
---@return string
function printed.json(value)
  return json.try_encode(value) or printed.copy(value)
end

-- A value in a line; a table in it is told in braces.
local function text_of(value)
  local has_own = type(value) ~= "table" or (getmetatable(value) or {}).__tostring
  return has_own and tostring(value) or "{" .. printed.copy(value) .. "}"
end

--- A list or a table of names and values: a line for each object, else one line.
---@param value table
---@return string
function printed.copy(value)
  local parts, count = {}, #value
  for i = 1, count do parts[i] = text_of(value[i]) end
  if count > 0 then return type(value[1]) == "userdata" and table.concat(parts, "\n") or table.concat(parts, ", ") end
  for _, name in ipairs(json.keys(value)) do
    parts[#parts + 1] = ("%s=%s"):format(tostring(name), text_of(value[name]))
  end
  return table.concat(parts, ", ")
end

return printed
