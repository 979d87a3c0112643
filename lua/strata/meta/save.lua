---@meta _

---@class strata.SaveOptions: strata.WorkOptions
---@field format? "docker"|"docker-legacy"|"oci"|"oci-archive"  default: as it came
---@field compression? "keep"|"gzip"|"zstd"|"none"  of the layers; keep: untouched ones keep their bytes. Default keep
---@field level? integer  gzip 0 to 9, zstd 1 to 19
---@field reproducible? boolean  compressed bytes do not depend on the machine: gzip by zlib. Default false
---@field attestations? "keep"|"drop"|"refuse"  of images that change. Default keep
---@field verify? boolean  false: what is copied is not hashed. Default true

--- What a save has written, or would write.
---@class strata.SaveResult
---@field path string?  nil for a stream
---@field format string  "docker", "docker-legacy", "oci", "oci-archive", "dir", "docker-v1"
---@field digest string?  of the manifest, when the format has one
---@field id string  of the image
---@field size integer?  of the output, in bytes
---@field layers strata.SavedLayer[]
---@field images strata.SaveResult[]?  when there are several: the same for each
---@field lost string[]?  of strata.jobs only: what the format cannot hold

---@class strata.SavedLayer
---@field action "copied"|"recompressed"|"rewritten"|"added"
---@field compression string
---@field old_digest string?
---@field old_diff_id string?
---@field old_size integer?  bytes as stored
---@field digest string?  as stored; nil when it is not known
---@field diff_id string
---@field size integer?  bytes as stored
