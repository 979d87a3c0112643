--- What a layer's tar has that readers differ about: what the parser noted down,
-- and how libarchive reads the same bytes.

local core = require "strata.core"
local job = require "strata.util.job"

local tar = {}

-- Findings that are asked for at once.
local PAGE = 1000

-- By the parser's name of a finding: its severity and its message.
local FINDINGS = {
  ["gnu-prefix"] = { "error", "GNU magic with a ustar prefix: Go and Python join it to the name, GNU tar and "
    .. "libarchive do not" },
  ["signed-checksum"] = { "note", "the checksum is right only as a sum of signed bytes: old tars have it so, and "
    .. "readers take both" },
  ["size-overridden"] = { "error", "the PAX size is not the header's size: a reader of one takes data for entries, "
    .. "or entries for data" },
  ["duplicate-record"] = { "error", "a PAX record is there twice; the last one counts here" },
  ["unknown-type"] = { "error", "the type is unknown: runtimes refuse it, other readers skip it or take it for a "
    .. "file" },
  ["global-override"] = { "error", "a global header sets path, linkpath or size, which Docker ignores and others "
    .. "apply" },
  ["lone-zero-block"] = { "error", "the tar ends with one zero block instead of two: runtimes refuse it, other readers "
    .. "do not" },
  ["no-end"] = { "note", "the tar has no end blocks: readers take that" },
  ["data-after-end"] = { "error", "there is data behind the end of the tar, which some readers go on reading" },
  ["no-padding"] = { "error", "the tar ends inside the padding of its last entry: some readers refuse it" },
  ["repeated-extension"] = { "error", "an extension header is there twice before one entry; the last one counts here" },
  ["sparse-ignored"] = { "error", "sparse records that are no map to Go, and may be one to others" },
  ["slash-file"] = { "error", "a file whose name ends in '/', which others take for a directory" },
  ["mixed-extensions"] = { "error", "both PAX and GNU headers before one entry: readers differ in what they apply them "
    .. "to" },
  ["nul-in-name"] = { "error", "a long name goes on behind a NUL" },
}

-- A size on an entry without content: for directories all readers ignore it.
local function bogus_size(found)
  if found.typeflag == "5" then
    return "note", "a directory with a size, which all readers ignore"
  end
  return "error", "a size on an entry that has no content: some readers take what follows for its content"
end

--- Adds what the parser noted down.
---@param made strata.ReportMaker
---@param list table[]  of index:findings()
---@param explained? table<integer|"end", boolean>  takes the entries with one that is more than a note
function tar.noted(made, list, explained)
  for _, found in ipairs(list) do
    local severity, message
    if found.finding == "bogus-size" then
      severity, message = bogus_size(found)
    else
      severity, message = FINDINGS[found.finding][1], FINDINGS[found.finding][2]
    end
    if explained and severity ~= "note" then explained[found.entry or "end"] = true end
    made:add(severity, found.finding, message, { path = found.name, entry = found.entry, offset = found.offset })
  end
end

--- Adds all that the parser noted down in an entry index.
---@param made strata.ReportMaker
---@param index userdata  scanned
---@return table<integer, boolean> explained
function tar.noted_in(made, index)
  local explained, first = {}, 1
  while first do
    local page
    page, first = index:findings(first, PAGE)
    tar.noted(made, page, explained)
  end
  return explained
end

--- Adds why a tar cannot be read. What the message says of the place becomes fields.
---@param made strata.ReportMaker
---@param message string
---@param code string
function tar.unreadable(made, message, code)
  local entry, name, offset, why = message:match("^tar entry (%d+) ?(.-) ?%(header at 0x(%x+), read to 0x%x+%): (.*)$")
  if entry then message = name == "" and why or name .. ": " .. why end
  made:add("error", code == "ELIMIT" and "limit" or code == "EDIGEST" and "digest" or "unreadable",
    "it cannot be read: " .. message, { entry = tonumber(entry), offset = offset and tonumber(offset, 16) })
end

-- ---- the second reader ---------------------------------------------------------------

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
  return { path = entry.name, entry = entry.position, offset = entry.header_offset }
end

-- The first difference that nothing else explains.
local function compare(made, index, reader, explained)
  local last
  for entry in index:entries() do
    job.tick()
    local other, why = reader:next()
    if not other then
      made:add("error", "parser-differential", why and "libarchive refuses what is here: " .. why
        or "libarchive sees the end of the tar before this entry", place_of(entry))
      return
    end
    local what, our, their = difference(entry, other)
    if what and not explained[entry.position] then
      made:add("error", "parser-differential", ("its %s is %s to us and %s to libarchive"):format(what, say(our),
        say(their)), place_of(entry))
      return
    end
    last = entry
  end
  local other, why = reader:next()
  if other then
    made:add("error", "parser-differential", "libarchive sees an entry behind this one: " .. say(other.name),
      last and place_of(last))
  elseif why and not explained["end"] then
    made:add("error", "parser-differential", "libarchive refuses the end of the tar: " .. why)
  end
end

--- Compares the index of a plain tar with what libarchive sees in its bytes.
---@param made strata.ReportMaker
---@param index userdata  scanned
---@param plain {file: userdata, offset: integer, size: integer}
---@param explained table<integer, boolean>
---@return boolean? ok
---@return string? message
---@return string? code
function tar.compare(made, index, plain, explained)
  local reader, message, code = require("strata.archive").tar_reader(plain.file, plain.offset, plain.size)
  if not reader and code ~= "EFORMAT" then return nil, message, code end
  if not reader then -- it sees no tar at all
    reader = { next = function() return nil, message end, close = function() end }
  end
  compare(made, index, reader, explained)
  reader:close()
  return true
end

--- Whether the second reader, strata.archive, is installed.
function tar.has_second_reader()
  return (pcall(require, "strata.archive"))
end

return tar
