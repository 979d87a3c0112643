---@meta _

--- Which layers become one.
---@class strata.SquashOptions: strata.WorkOptions
---@field above strata.Image|integer  the base, or its number of layers

--- How an image gets another base.
---@class strata.RebaseOptions: strata.WorkOptions
---@field config? "keep"|"inherit"  inherit: what is unchanged from the old base comes from the new. Default keep
---@field force? boolean  the new base may be for another platform. Default false

--- How repeated entries are folded.
---@class strata.FoldOptions: strata.WorkOptions
---@field prune? boolean  layers without entries are removed then. Default false

--- An entry that was folded into one of a lower layer.
---@class strata.Folded
---@field path string
---@field type string
---@field layer integer  that had the entry
---@field into integer  the layer that has it
---@field bytes integer  of the plain tar, header and content

--- What else is purged.
---@class strata.PurgeOptions: strata.WorkOptions
---@field history? string  Lua pattern: what matches becomes "***" in created_by and comment
---@field env? string  Lua pattern: variables whose "NAME=value" matches are removed
---@field labels? string  Lua pattern: labels whose "name=value" matches are removed
---@field content? string|string[]  bytes that must be nowhere in the end: not in a layer, not in the config

--- What a purge has removed.
---@class strata.PurgeReport
---@field removed strata.Purged[]
---@field whiteouts integer  that went because they hide nothing any more
---@field history integer  replacements
---@field env string[]  names of variables
---@field labels string[]  names of labels

--- An entry that was removed.
---@class strata.Purged
---@field layer integer
---@field path string
---@field type string
---@field size integer  bytes

--- How the merged file system is written.
---@class strata.ExportOptions: strata.WorkOptions
---@field compression? "none"|"gzip"|"zstd"  default none
---@field level? integer  gzip 0 to 9, zstd 1 to 19

--- What was written.
---@class strata.ExportResult
---@field path string
---@field size integer  bytes as stored
---@field digest string  as stored
---@field diff_id string  of the plain tar
---@field entries integer
