--- What a layer's tar has that readers differ about: what the parser noted down,
-- and how libarchive reads the same bytes.

local core = require "strata.core"

local tar = {}

-- By the parser's name of it: how bad, and what it means.
local FINDINGS = {
  ["gnu-prefix"] = { "error", "GNU magic with a ustar prefix: Go and Python join it to the name, GNU tar and "
    .. "libarchive do not" },
  ["signed-checksum"] = { "warning", "the checksum is right only as a sum of signed bytes" },
  ["size-overridden"] = { "error", "the PAX size is not the header's size: a reader of one takes data for entries, "
    .. "or entries for data" },
  ["duplicate-record"] = { "error", "a PAX record is there twice; the last one counts here" },
  ["unknown-type"] = { "error", "the type is unknown: some readers take it for a file, others refuse or skip it" },
  ["global-override"] = { "error", "a global header sets path, linkpath or size, which Docker ignores and others "
    .. "apply" },
  ["lone-zero-block"] = { "error", "the tar ends with one zero block instead of two" },
  ["no-end"] = { "note", "the tar has no end blocks" },
  ["data-after-end"] = { "error", "there is data behind the end of the tar, which some readers go on reading" },
  ["no-padding"] = { "warning", "the tar ends inside the padding of its last entry" },
  ["repeated-extension"] = { "error", "an extension header is there twice before one entry; the last one counts here" },
  ["sparse-ignored"] = { "error", "sparse records that are no map to Go, and may be one to others" },
  ["slash-file"] = { "error", "a file whose name ends in '/', which others take for a directory" },
  ["nul-in-name"] = { "error", "a long name goes on behind a NUL" },
}

-- A size on an entry without content: for directories all readers ignore it.
local function bogus_size(found)
  if found.typeflag == "5" then
    return "warning", "a directory with a size, which is ignored"
  end
  return "error", "a size on an entry that has no content: some readers take what follows for its content"
end

--- Adds what the parser noted down.
---@param made strata.ReportMaker
---@param list table[]  of index:findings()
---@return table<integer, boolean> explained  entries with one that is more than a note
function tar.noted(made, list)
  local explained = {}
  for _, found in ipairs(list) do
    local severity, message
    if found.finding == "bogus-size" then
      severity, message = bogus_size(found)
    else
      severity, message = FINDINGS[found.finding][1], FINDINGS[found.finding][2]
    end
    if found.entry and severity ~= "note" then explained[found.entry] = true end
    made:add(severity, found.finding, message, { path = found.name, entry = found.entry, offset = found.offset })
  end
  return explained
end

--- Adds why a tar cannot be read. What the message says of the place becomes fields.
---@param made strata.ReportMaker
---@param message string
---@param code string
function tar.unreadable(made, message, code)
  local entry = tonumber(message:match("tar entry (%d+)"))
  local offset = message:match("header at 0x(%x+)")
  made:add("error", code == "ELIMIT" and "limit" or code == "EDIGEST" and "digest" or "unreadable",
    "it cannot be read: " .. message, { entry = entry, offset = offset and tonumber(offset, 16) })
end

-- ---- the second reader ---------------------------------------------------------------

--- What libarchive makes of a plain tar; nil when strata.archive is not there.
---@param file userdata
---@param offset integer
---@param size integer
---@param max integer  entries at most
---@return table[]? entries
---@return string? message  why it went no further
function tar.second(file, offset, size, max)
  local ok, archive = pcall(require, "strata.archive")
  if not ok then return nil end
  return archive.tar_entries(file, offset, size, max)
end

local function say(value)
  return type(value) == "string" and core.quote(value) or tostring(value)
end

-- Where the two differ: what, ours, theirs; nil when they do not.
local function difference(ours, theirs)
  if not theirs.name or core.normalise(theirs.name) ~= ours.path then return "name", ours.name, theirs.name end
  if ours.type ~= theirs.type then return "type", ours.type, theirs.type end
  if ours.type == "file" and ours.size ~= theirs.size then return "size", ours.size, theirs.size end
  if ours.type == "symlink" and ours.linkpath ~= theirs.linkpath then
    return "target", ours.linkpath, theirs.linkpath
  end
  if ours.type == "hardlink" and core.normalise(ours.linkpath) ~= core.normalise(theirs.linkpath) then
    return "target", ours.linkpath, theirs.linkpath
  end
end

local function place_of(entry)
  return { path = entry.name, entry = entry.index, offset = entry.header_offset }
end

--- Compares the index of a tar with what the second reader saw, and adds the first
-- difference that nothing else explains.
---@param made strata.ReportMaker
---@param index userdata  scanned
---@param theirs table[]
---@param why string?  why the second reader stopped
---@param explained table<integer, boolean>
function tar.compare(made, index, theirs, why, explained)
  local n = 0
  for entry in index:entries() do
    n = n + 1
    local other = theirs[n]
    if not other then
      made:add("error", "parser-differential", why and "libarchive refuses what is here: " .. why
        or "libarchive sees the end of the tar before this entry", place_of(entry))
      return
    end
    local what, our, their = difference(entry, other)
    if what and not explained[entry.index] then
      made:add("error", "parser-differential", ("its %s is %s to us and %s to libarchive"):format(what, say(our),
        say(their)), place_of(entry))
      return
    end
  end
  if theirs[n + 1] then
    made:add("error", "parser-differential", "libarchive sees an entry behind the last one: "
      .. say(theirs[n + 1].name))
  elseif why then
    made:add("error", "parser-differential", "libarchive refuses the rest of the tar: " .. why)
  end
end

return tar
