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
---@field left string[]?  where something is left: indexes, attestations, other images of the archive, with `prove` all other blobs of the layout that the image is in; nil for nothing
---@field missed string[]?  with `optional`: what matched nothing, a line each; nil for nothing

--- What gc has found.
---@class strata.GarbageReport
---@field path string
---@field blobs strata.UnnamedBlob[]  in the order of their digests
---@field bytes integer  of all of them
---@field removed boolean
---@field absent string[]?  digests of manifests and indexes that are named and not there; nil for none

--- A blob that nothing names.
---@class strata.UnnamedBlob
---@field digest string
---@field size integer

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

--- The tar that an export has written.
---@class strata.ExportResult
---@field path string?  nil: it went into a stream
---@field size integer  bytes as stored
---@field digest string  as stored
---@field diff_id string  of the plain tar
---@field entries integer

--- What was changed for an image to be normal. All is empty, and 0, when it was so already.
---@class strata.NormalizeReport
---@field epoch integer  no time is later
---@field entries integer  that were changed
---@field layers strata.NormalizedLayer[]  that were changed
---@field config string[]  JSON pointers of what was changed in the config
---@field annotations string[]  names of annotations of the manifest that were changed

--- What was changed in a layer.
---@class strata.NormalizedLayer
---@field layer integer
---@field entries integer  that were changed
---@field times integer  of these, those with a later time
---@field owners integer  of these, those of another user or group
---@field names integer  of these, those that named a user or a group
---@field xattrs integer  of these, those with extended attributes that do not stay
---@field sorted boolean  their order was changed

--- A layer that another one, or an image, was divided into.
---@class strata.Chunk
---@field layer integer  its number
---@field entries integer  without the directories that other chunks have, too
---@field size integer  bytes as stored
---@field diff_id string

--- A layer that was written by itself.
---@class strata.SavedTar
---@field path string?  nil: it went into a stream
---@field size integer  bytes as stored
---@field compression string
---@field digest string  as stored
---@field diff_id string  of the plain tar
