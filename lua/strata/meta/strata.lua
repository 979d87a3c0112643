---@meta strata

--- Surgery on container images: open, look inside, filter, rewrite, save.
---
--- What the world does wrong comes back as `nil, message, code`; misuse throws, and so do iterators and fields that
--- cannot be read.
---@class strata
---@field _VERSION string  "strata 0.1.0"
---@field null lightuserdata  JSON's null; the same value as cjson.null
---@field limits strata.Limits  what later opens begin with; assigning a field changes it, nil puts it back
---@field stream strata.stream  loaded when it is asked for
local strata = {}

--- Opens one image: an archive of docker save of any age, an OCI layout as a directory or an archive, skopeo's dir:,
--- told apart by content; or an image of a registry. When several fit, the message lists them ("EAMBIGUOUS").
---@param what string|file*  a path, a reference "docker://host/name:tag", "-" for standard input, or an open Lua file
---@param opts? strata.OpenOptions
---@return strata.Image?
---@return string? message
---@return strata.errcode? code
function strata.open(what, opts) end

--- Every image of a file that the options mean, one after the other; those of which a part is not here, or not what the
--- index says, are left out; it fails when the options mean no other: "ENOENT".
--- The iterator throws when one cannot be read.
---@param what string|file*
---@param opts? strata.OpenOptions
---@return (fun(): strata.Image?)?
---@return string? message
---@return strata.errcode? code
function strata.images(what, opts) end

--- Opens all images of a layout or an archive, to be edited and saved together.
---@param what string|file*
---@param opts? strata.IndexOptions
---@return strata.Index?
---@return string? message
---@return strata.errcode? code
function strata.open_index(what, opts) end

--- An image without layers. Nothing in it depends on when or where it is made. Throws what is no platform.
---@param opts? strata.NewOptions
---@return strata.Image
function strata.new(opts) end

--- A layer that belongs to no image yet, for `img:append{layer = ...}`: of a directory, of the difference of two, of
--- the upper directory of an overlay mount, of files, a tar or another archive. Throws options that make no sense
--- together.
---@param spec strata.LayerOptions  exactly one source
---@return strata.Layer?
---@return string[]|string|nil skipped  what cannot be in a layer, nil for nothing; or the message
---@return strata.errcode? code
function strata.layer(spec) end

--- Writes several images into one archive or layout; layers that they share are stored once. Images that all came from
--- one store go back into it, and all else that it has stays; with a format they are written alone. In a layout, images
--- for several platforms under one name become an index of that name. Throws for the same image twice, and for a name
--- that only one of the images can have.
---@param images strata.Image[]
---@param what string|file*  a path, "-" for standard output, or an open Lua file
---@param opts? strata.SaveOptions
---@return strata.SaveResult?
---@return string[]|string|nil lost  what the format cannot hold, nil for nothing; or the message
---@return strata.errcode? code
function strata.save(images, what, opts) end

--- Copies an image, or an index with its images, attestations and artifacts, from any place to any other; nothing of it
--- changes. With ref, digest or platform one image is copied.
---@param from string|file*  a path, a reference "docker://host/name:tag", "-", or an open Lua file
---@param to string|file*
---@param opts? strata.CopyOptions
---@return strata.SaveResult?
---@return string[]|string|nil lost  what the format cannot hold, nil for nothing; or the message
---@return strata.errcode? code
function strata.copy(from, to, opts) end

--- A client of registries with settings of its own, for the option `registry`. Without it all calls share one.
---@param opts? strata.RegistryOptions
---@return strata.Registry?
---@return string? message
---@return strata.errcode? code  "EUNSUPPORTED": strata was built without libcurl
function strata.registry(opts) end

--- What readers differ about in a tar file, plain or compressed with gzip or zstd.
---@param path string
---@param opts? strata.CheckTarOptions
---@return strata.Report?
---@return string? message
---@return strata.errcode? code
function strata.check_tar(path, opts) end

--- A function that tells whether a path matches a pattern, or lies below what does: `*`, `?` and `[a-z]` within a name,
--- `**` for any directories between.
---@param patterns string|string[]  e.g. {"usr/share/doc", "**/*.pyc"}
---@return fun(path: string): boolean
function strata.matcher(patterns) end

--- A progress function that draws a bar on a terminal, and writes a line now and then elsewhere.
---@param out? file*  default: standard error
---@return strata.Progress
function strata.progress(out) end

--- The versions of strata and of what it is built on: strata, lua, cjson, openssl, gzip, zstd.
---@return table<string, string>
function strata.version() end

--- What can be done with a value of strata, as text for a REPL; "limits" for the table of limits.
---@param value? any
---@return string
function strata.help(value) end

--- Marks a table as a JSON array, which matters when it is empty.
---@param t? table
---@return table t
function strata.array(t) end

--- Marks a table as a JSON object, which matters when it is empty.
---@param t? table
---@return table t
function strata.object(t) end

return strata
