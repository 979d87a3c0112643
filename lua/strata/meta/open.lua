---@meta _

--- Which image of a file is meant, and how it is read. The progress is that of inflating an archive that is
--- compressed as a whole.
---@class strata.OpenOptions: strata.WorkOptions
---@field ref? string  tag or ID of the image, when there are several
---@field platform? string  "linux/arm64/v8"
---@field digest? string  of the image's manifest
---@field prefer? "docker"|"oci"  when manifest.json and index.json of an archive disagree
---@field temp_dir? string  for what has to be spooled or inflated; default $TMPDIR, or /tmp
---@field strict? boolean  refuse what readers differ about: see img:check. Default false
---@field limits? strata.Limits  the others are those of strata.limits

--- Of an image without layers.
---@class strata.NewOptions
---@field platform? string  default "linux/amd64"
---@field created? string  a time of RFC 3339; default "1970-01-01T00:00:00Z"
