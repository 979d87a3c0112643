---@meta _

--- A tar that is pushed: bytes in, events out.
---@class strata.TarStream: userdata
---@field compression string?  once it is known
local TarStream = {}

--- Adds bytes. What comes of them is told by next() or events(), also what is wrong with them.
---```lua
---local parser = strata.stream.tar()
---print(parser:feed(("x"):rep(512)), parser:next())  --> true  nil  …  EFORMAT
---```
---@param chunk string
---@return boolean? ok
---@return string? message  of a failure before
---@return strata.errcode? code  those of reading
function TarStream:feed(chunk) end

--- The next event; nil alone when more has to be fed.
---```lua
---local parser = strata.stream.tar()
---assert(parser:feed(io.open("site.tar", "rb"):read "*a"))
---print(assert(parser:next()).entry.path)  --> .
---```
---@return strata.TarEvent?
---@return string? message
---@return strata.errcode? code  those of reading
function TarStream:next() end

--- Iterates over the events that are there by now. Throws when the bytes are malformed.
---```lua
---local parser = strata.stream.tar()
---assert(parser:feed(io.open("site.tar", "rb"):read "*a"))
---for event in parser:events() do
---  if event.type == "data" then print(#event.data) end  --> …
---end
---```
---@return fun(): strata.TarEvent?
function TarStream:events() end

--- The input has ended; all events have to be taken before.
---```lua
---local parser = strata.stream.tar()
---local file = io.open("site.tar", "rb")
---for chunk in function() return file:read(4096) end do
---  assert(parser:feed(chunk))
---  for event in parser:events() do assert(event.type) end
---end
---assert(parser:finish())
---```
---@return boolean? ok
---@return string? message
---@return strata.errcode? code  "EFORMAT": the tar ends in the middle
function TarStream:finish() end

--- Every method throws afterwards; closing twice does nothing.
---```lua
---local parser = strata.stream.tar()
---parser:close()
---```
function TarStream:close() end

--- What the parser of a tar has found, in the order of the bytes.
---@class strata.TarEvent
---@field type "entry"|"data"|"global"|"end"
---@field offset integer  in the plain tar: of the entry's first header, of the data, behind the end blocks
---@field entry strata.TarEntry?
---@field data string?  of the entry that came last
---@field pax table<string, string>?  of a global header

--- The fields of a strata.Entry, as a plain table.
---@class strata.TarEntry
---@field path string
---@field name string  as it stands in the tar
---@field type strata.EntryType
---@field typeflag string
---@field mode integer
---@field setuid boolean  of the mode
---@field setgid boolean  the same
---@field sticky boolean  the same
---@field uid integer
---@field gid integer
---@field uname string
---@field gname string
---@field size integer  bytes, holes of sparse files included
---@field mtime number  seconds
---@field mtime_nsec integer
---@field atime number?  seconds
---@field atime_nsec integer?
---@field ctime number?  seconds
---@field ctime_nsec integer?
---@field linkpath string?
---@field major integer?
---@field minor integer?
---@field xattrs table<string, string>
---@field pax table<string, string>
---@field whiteout string?
---@field opaque string?
---@field sparse boolean
---@field header_offset integer
---@field data_offset integer
---@field stored integer  bytes of content in the tar
