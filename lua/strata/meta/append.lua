---@meta _

--- What functions are told about an entry.
---@class strata.SourceStat
---@field type string
---@field mode integer
---@field uid integer
---@field gid integer
---@field size integer  bytes
---@field mtime number  seconds
---@field linkpath string?

--- New modes: for all files, for all directories, or for what has an old mode. Numbers, or octal digits: "0755".
---@class strata.Modes
---@field [integer] integer|string
---@field [string] integer|string  an old mode as "0755"
---@field file? integer|string
---@field dir? integer|string

--- A number for all, a table from old to new ones, or a function; nil leaves it.
---@alias strata.IdMap integer|table<integer, integer>|fun(path: string, stat: strata.SourceStat): integer?

--- User and group of an entry; nil leaves it.
---@alias strata.OwnerFunction fun(path: string, stat: strata.SourceStat): integer?, integer?

--- The mode of an entry; nil leaves it.
---@alias strata.ModeFunction fun(path: string, stat: strata.SourceStat): integer|string|nil

