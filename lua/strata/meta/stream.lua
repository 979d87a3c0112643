---@meta strata.stream

--- Streams that are pushed, for hosts that must not block: nothing here reads or writes a stream of the host, and
--- nothing calls back from C.
---@class strata.stream
local stream = {}

--- A transform of an archive of docker save. Each call takes some bytes of the archive and gives some of the edited
--- one, a string that may be empty; nil ends it. What fails gives `nil, message, code`, then and ever after; what one
--- pass cannot do is "EUNSUPPORTED".
---@param opts strata.StreamImageOptions
---@return strata.Transform?
---@return string? message
---@return strata.errcode? code
function stream.image(opts) end

--- A parser for a tar that is pushed. Throws what is no option.
---@param opts? strata.StreamTarOptions
---@return strata.TarStream
function stream.tar(opts) end

--- `out, more = t(chunk)`: more is true when there is more to take, by `t("")`; who does so never has more than 256
--- KiB at a time, or twice what is fed. `t(nil)` is the end.
---@alias strata.Transform fun(chunk: string?): string?, boolean|string|nil, strata.errcode?

--- What is done to an image that goes by.
---@class strata.StreamImageOptions
---@field filter? fun(entry: strata.Entry, layer: strata.StreamLayer): boolean?  false drops the entry
---@field rewrite? fun(entry: strata.Entry, layer: strata.StreamLayer)  assigns to its fields
---@field config? fun(config: strata.Config)  called once, when all layers have been seen
---@field tags? string[]
---@field compression? "keep"|"none"|"gzip"|"zstd"  of the stream as a whole. Default keep
---@field level? integer  gzip 0 to 9, zstd 1 to 19
---@field attestations? "keep"|"drop"|"refuse"  of an image that changes. Default keep
---@field ref? string  which image is meant, of several
---@field platform? string
---@field digest? string
---@field prefer? "docker"|"oci"
---@field temp_dir? string  default $TMPDIR, or /tmp
---@field threads? integer  default: one per CPU
---@field progress? strata.Progress  of one layer after the other
---@field wait? fun()  called again and again while threads work, instead of blocking; it may yield
---@field limits? strata.Limits  spool, held: bytes of layers and of all else that wait

--- A layer that goes by, a plain table.
---@class strata.StreamLayer
---@field name string  of its member
---@field digest string?  as stored
---@field diff_id string
---@field size integer  bytes as stored
---@field compression string
---@field index integer?  when the manifest came first

--- How a tar is parsed.
---@class strata.StreamTarOptions
---@field data? boolean  false: no events for content. Default true
---@field compression? "auto"|"none"|"gzip"|"zstd"  default auto
---@field limits? strata.Limits

return stream
