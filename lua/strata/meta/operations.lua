---@meta _

--- An entry that was folded into one of a lower layer.
---@class strata.Folded
---@field path string
---@field type string
---@field layer integer  that had the entry
---@field into integer  the layer that has it
---@field bytes integer  of the plain tar, header and content

--- What a purge has removed.
---@class strata.PurgeReport
---@field removed strata.Removed[]
---@field whiteouts integer  that went because they hide nothing any more
---@field history integer  replacements, also in the command that Docker's classic builder left
---@field env string[]  names of variables
---@field labels string[]  names of labels
---@field annotations string[]  names of annotations of the manifest and of the descriptors that lead to it
---@field left string[]?  where something is left: indexes, attestations, other images of the archive; nil for nothing
---@field missed string[]?  with `optional`: what matched nothing, a line each; nil for nothing

--- What a repair has done.
---@class strata.RepairReport
---@field mended strata.Mended[]
---@field left string[]?  findings that were asked for and not mended, each with the reason; nil for none
---@field absent string[]?  codes that were named, of which there was no finding; nil for none

--- A finding that was mended.
---@class strata.Mended
---@field code string  of the finding, as are the next fields
---@field where string
---@field layer integer?
---@field path string?
---@field entry integer?  its number in the tar before
---@field how string  what was done

--- What was written.
---@class strata.ExportResult
---@field path string?  nil: it went into a stream
---@field size integer  bytes as stored
---@field digest string  as stored
---@field diff_id string  of the plain tar
---@field entries integer
