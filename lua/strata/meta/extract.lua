---@meta _

---@class strata.ExtractOptions: strata.WorkOptions
---@field mode? "flat"|"overlay"  one tree, or one directory per layer for overlayfs. Default flat
---@field merge? boolean  the directory may have something in it. Default false for an image, true for a layer
---@field keep_partial? boolean  what a failed extract into a fresh directory has made stays there. Default false
---@field unprivileged? boolean  owners, devices and attributes that cannot be set are reported, and are no failure.
---  Default: true unless run by root
---@field rootless? boolean  owners that cannot be set are recorded as user.rootlesscontainers. Default false
---@field xattrs? "trusted"|"user"  overlay: the namespace of its marks. Default: trusted for root
---@field limits? strata.Limits  instead of those that the image was opened with

---@class strata.ExtractResult
---@field path string
---@field mode "flat"|"overlay"
---@field layers integer
---@field entries integer  whiteouts included
---@field bytes integer  of content
---@field skipped strata.Skipped[]  what could not be done as the layers say; the first 1000
---@field skipped_count integer  all of them
---@field directories string[]?  overlay: of the layers, the base first
---@field lowerdir string?  overlay: the option to mount them with

--- What extract could not do.
---@class strata.Skipped
---@field layer integer
---@field path string
---@field what string  "owner", "mode", "device", "xattr"
---@field name string?  of the xattr
---@field code strata.errcode
