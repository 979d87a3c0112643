---@meta _

--- What the layer is made of differs from what goes into it: place, owner, mode, time, and what is left out.
---@class strata.MappingOptions
---@field to? string  directory that everything goes into
---@field owner? strata.Owners|strata.OwnerFunction
---@field mode? strata.Modes|table<integer, integer>|strata.ModeFunction  a table from old to new modes also does
---@field exclude? string|strata.ExcludeFunction  a Lua pattern of paths, or a function; all below goes, too
---@field mtime? integer  of all entries, in seconds
---@field clamp_mtime? integer  the latest that an entry may have
---@field exact_mtime? boolean  keeps fractions of seconds, which else are cut off. Default false

--- What functions are told about an entry.
---@class strata.SourceStat
---@field type string
---@field mode integer
---@field uid integer
---@field gid integer
---@field size integer  bytes
---@field mtime number  seconds
---@field linkpath string?

--- New users and groups.
---@class strata.Owners
---@field uid? strata.IdMap
---@field gid? strata.IdMap

--- New modes, for all of a type.
---@class strata.Modes
---@field file? integer
---@field dir? integer

--- A number for all, a table from old to new ones, or a function; nil leaves it.
---@alias strata.IdMap integer|table<integer, integer>|fun(path: string, stat: strata.SourceStat): integer?

--- User and group of an entry; nil leaves it.
---@alias strata.OwnerFunction fun(path: string, stat: strata.SourceStat): integer?, integer?

--- The mode of an entry; nil leaves it.
---@alias strata.ModeFunction fun(path: string, stat: strata.SourceStat): integer?

--- Whether an entry is left out.
---@alias strata.ExcludeFunction fun(path: string, stat: strata.SourceStat): boolean?

--- One source (from; lower and upper; overlay_upper; files; tar; archive), and how it becomes a layer.
---@class strata.LayerOptions: strata.MappingOptions, strata.WorkOptions
---@field from? string  a directory
---@field lower? string  a directory, and
---@field upper? string  another one, which the layer makes of it
---@field content? boolean  lower and upper: files that look the same are compared. Default false
---@field overlay_upper? string  the upper directory of an overlay mount
---@field files? table<string, string|strata.FileEntry>  by path: the content, or all of the entry
---@field tar? string  a path: plain, or compressed with anything; taken as it is, byte by byte, unless mapped
---@field archive? string  a path: deb, rpm, cpio, zip, 7z, iso ...
---@field compression? "none"|"gzip"|"zstd"  default none; a tar keeps its own
---@field level? integer  gzip 0 to 9, zstd 1 to 19
---@field temp_dir? string  default $TMPDIR, or /tmp
---@field limits? strata.Limits

--- The same for img:append, where a directory is dir, a layer can be taken as it is, and the history gets a row.
---@class strata.AppendOptions: strata.MappingOptions, strata.WorkOptions
---@field dir? string  a directory, whose content goes into the layer
---@field files? table<string, string|strata.FileEntry>  by path: the content, or all of the entry
---@field tar? string  a path: plain, or compressed with anything; taken as it is, byte by byte, unless mapped
---@field archive? string  a path: deb, rpm, cpio, zip, 7z, iso ...
---@field layer? strata.Layer  of an image, or detached; keeps its bytes
---@field at? integer  its number afterwards. Default: on top
---@field created_by? string  default "strata append"
---@field created? string  a time of RFC 3339. Default: the config's
---@field comment? string
---@field author? string
---@field compression? "none"|"gzip"|"zstd"  default none; a tar keeps its own
---@field level? integer  gzip 0 to 9, zstd 1 to 19
---@field temp_dir? string  default $TMPDIR, or /tmp
---@field limits? strata.Limits

--- An entry of the option files.
---@class strata.FileEntry
---@field type? "file"|"dir"|"symlink"|"hardlink"|"char"|"block"|"fifo"  default file, or symlink with a linkpath
---@field content? string
---@field mode? integer  default 0644, of directories 0755
---@field uid? integer  default 0
---@field gid? integer  default 0
---@field uname? string
---@field gname? string
---@field mtime? number  seconds. Default 0
---@field linkpath? string
---@field major? integer
---@field minor? integer
