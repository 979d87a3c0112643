---@meta strata.stream

--- Streams that are pushed, for hosts that must not block: nothing here reads or writes a stream of the host, and
--- nothing calls back from C.
---@class strata.stream
local stream = {}

--- A transform of an archive of docker save. Each call takes some bytes of the archive and gives some of the edited
--- one, a string that may be empty; nil ends it. What fails gives `nil, message, code`, then and ever after; what one
--- pass cannot do is "EUNSUPPORTED".
---
--- Layers pass one by one through an unnamed temporary file in `temp_dir`, so that memory does not grow with them. With
--- a filter those that have whiteouts wait there until the layers below are known: for the end, unless the manifest
--- came first. What one pass cannot do, and strata.open can: OCI archives, changes to layers of another image in the
--- archive, a layer that is there twice and would become two.
---```lua
---local transform = strata.stream.image { filter = function(file) return not file.path:find "^usr/share/doc/" end }
---local from, to = io.open("app.tar", "rb"), io.open("app-new.tar", "wb")
---repeat
---  local chunk = from:read(65536)
---  to:write((assert(transform(chunk))))
---until not chunk
---to:close()
---print(assert(strata.open "app-new.tar").layers[2]:entry "usr/share/doc/app/copyright" == nil)  --> true
---```
---@param opts strata.StreamImageOptions
---@return strata.Transform?
---@return string? message
---@return strata.errcode? code
function stream.image(opts) end

--- A parser for a tar that is pushed. An unknown option throws.
---```lua
---local parser = strata.stream.tar { data = false }
---assert(parser:feed(io.open("site.tar", "rb"):read "*a"))
---for event in parser:events() do
---  if event.type == "entry" then print(event.entry.path, event.entry.size) end  --> .  0…
---end
---assert(parser:finish())
---```
---@param opts? strata.StreamTarOptions
---@return strata.TarStream
function stream.tar(opts) end

--- `out, more = t(chunk)`: more is true when there is more to take, by `t("")`; a caller that does so never has more
--- than 256 KiB at a time, or twice what is fed. `out, more, lost = t(nil)` is the end; lost is what could not be kept,
--- a line each, or nil.
---@class strata.Transform: userdata
---@overload fun(chunk: string?): string?, boolean|string|nil, strata.errcode|string[]|nil
local Transform = {}

--- Frees what the transform holds, temporary files among it, when it is given up before its end: a client has gone. The
--- end, and a failure, do the same. Calling it afterwards throws; closing twice does nothing.
---```lua
---local transform = assert(strata.stream.image { tags = { "app:2" } })
---transform:close()  -- its client has gone
---```
function Transform:close() end

--- A layer that goes by, a plain table.
---@class strata.StreamLayer
---@field name string  of its member
---@field digest string?  as stored
---@field diff_id string
---@field size integer  bytes as stored
---@field compression string
---@field position integer?  place in the image, when the manifest came first

return stream
