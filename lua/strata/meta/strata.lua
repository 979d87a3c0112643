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
--- The iterator throws when one cannot be read. Close each image that is no longer needed.
---@param what string|file*
---@param opts? strata.OpenOptions
---@return (fun(): strata.Image?)?
---@return string? message
---@return strata.errcode? code
---@return table? closing  a loop that is left early closes the file by it, where Lua has to-be-closed variables
function strata.images(what, opts) end

--- Opens all images of a layout, an archive or an index of a registry, to be edited and saved together.
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

--- Makes an artifact of files, such as a signature of an image, or a list of its contents. Throws options that make no
--- sense together. What it is about has to be saved: the digest counts.
---@param spec strata.ArtifactOptions
---@return strata.Artifact?
---@return string? message
---@return strata.errcode? code
function strata.artifact(spec) end

--- Opens an artifact of a layout, an archive or a registry: the only one, or that with a tag or a digest.
---@param what string|file*  a path, a reference "docker://host/name@sha256:...", "-", or an open Lua file
---@param opts? strata.ArtifactOpenOptions
---@return strata.Artifact?
---@return string? message
---@return strata.errcode? code
function strata.open_artifact(what, opts) end

--- Writes several images into one archive or layout; layers that they share are stored once. Images that all came from
--- one store go back into it, and all else that it has stays; with a format they are written alone. In a layout, images
--- for several platforms under one name become an index of that name; in a registry, and with the option `index`, all of
--- them become one, with the attestations about those that are not edited. Throws for the same image twice, and for a name or a platform that only one of the images can have.
---@param images strata.Image[]
---@param what string|file*  a path, "-" for standard output, or an open Lua file
---@param opts? strata.SaveImagesOptions|strata.PushOptions  the latter where `what` is a reference
---@return strata.SaveResult?
---@return string[]|string|nil lost  what the format cannot hold, nil for nothing; or the message
---@return strata.errcode? code
function strata.save(images, what, opts) end

--- Copies an image, or an index with its images, attestations and artifacts, from any place to any other; nothing of it
--- changes. With ref, digest or platform one image is copied; of a layout, ref and
--- digest may mean an index in it, which is copied whole.
---@param from string|file*  a path, a reference "docker://host/name:tag", "-", or an open Lua file
---@param to string|file*
---@param opts? strata.CopyOptions|strata.CopyPushOptions  the latter where `to` is a reference
---@return strata.SaveResult?
---@return string[]|string|nil lost  what the format cannot hold, nil for nothing; or the message
---@return strata.errcode? code
function strata.copy(from, to, opts) end

--- Compares two images: what containers see of their files, their configs and histories, and which layers they share.
--- A layer that both have is never read for content, and those of a common base are not even scanned where the layers
--- above them have the same paths. `equal` says whether nothing differs; tostring() gives a line for each difference.
---@param a strata.Image|string  or a path, or a reference "docker://host/name:tag"
---@param b strata.Image|string
---@param opts? strata.DiffOptions
---@return strata.Diff?
---@return string? message
---@return strata.errcode? code
function strata.diff(a, b, opts) end

--- What strata.diff gives as text for people, or as a page of HTML. Names and values of the images are escaped.
---@param diff strata.Diff
---@param opts? strata.DiffReportOptions
---@return string
function strata.diff_report(diff, opts) end

--- A client of registries with settings of its own, for the option `registry`. Without it all calls share one.
---@param opts? strata.RegistryOptions
---@return strata.Registry?
---@return string? message
---@return strata.errcode? code  "EUNSUPPORTED": strata was built without libcurl
function strata.registry(opts) end

--- The blobs of a layout in a directory that no index, manifest, or manifest about one of these names. They are removed
--- when that is asked for. A document that cannot be read could name any of them: then it fails. A save of strata into
--- the same layout at the same time loses nothing; other programs must not write to it meanwhile.
---@param layout string  the path of a directory
---@param opts? strata.GcOptions
---@return strata.GarbageReport?
---@return string? message
---@return strata.errcode? code  "EUNSUPPORTED": it is no directory
function strata.gc(layout, opts) end

--- What readers differ about in a tar file, plain or compressed with gzip or zstd.
---@param path string
---@param opts? strata.CheckOptions
---@return strata.Report?
---@return string? message
---@return strata.errcode? code
function strata.check_tar(path, opts) end

--- A function that tells whether paths choose a path, by themselves or as a directory that it is in: what img:remove
--- would remove. Throws what is no path, glob or pattern.
---@param paths strata.Paths  e.g. {"usr/share/doc", "**/*.pyc"}
---@return fun(path: string): boolean
function strata.matcher(paths) end

--- A progress function that draws a bar on a terminal, and writes a line now and then elsewhere.
---@param out? file*  default: standard error
---@return strata.Progress
function strata.progress(out) end

--- The versions of strata and of what it is built on: strata, lua, cjson, openssl, gzip, zstd. strata._VERSION is that
--- of strata alone.
---@return table<string, string>
function strata.versions() end

--- What pairs() is for an object, strata.limits or a table: names and values, in the order of the names. The pairs() of
--- Lua 5.1 and LuaJIT asks no object. Throws for anything else.
---@param value any
---@return function # for a loop
---@return any state
function strata.pairs(value) end

--- What can be done with a value of strata, as text for a REPL: a line for each field and function of an object, and all
--- about a function, or about what has a name: help(img, "squash"), help(strata.open), help "config", help "limits". Names
--- are also those of options and classes of them, and codes: help "expect", help "RegistryHostOptions", help "ESTALE".
---@param value? any  an object, a function, a name, or "limits"
---@param name? string  of a method or a field of the object
---@return string
function strata.help(value, name) end

--- Marks a table as a JSON array, which matters when it is empty.
---@param t? table
---@return table t
function strata.array(t) end

--- Marks a table as a JSON object, which matters when it is empty.
---@param t? table
---@return table t
function strata.object(t) end

return strata
