---@meta _

--- The file system that a container sees, without unpacking anything. It follows edits of the layers: what is asked
--- next is answered by what they are then. Symlinks are followed inside the root.
---@class strata.Rootfs: userdata
---@field layers strata.Layer[]  that it is made of, the base first
---@field count integer  of its paths, the root among them
local Rootfs = {}

--- What is at a path; symlinks are followed ("ENOENT", "ENOTDIR", "ELOOP").
---@param path string
---@return strata.RootEntry?
---@return string? message
---@return strata.errcode? code
function Rootfs:stat(path) end

--- What is at a path; a symlink at the end is not followed.
---@param path string
---@return strata.RootEntry?
---@return string? message
---@return strata.errcode? code
function Rootfs:lstat(path) end

--- Where a symlink leads to, as it says; "EINVAL" for what is none.
---@param path string
---@return string?
---@return string? message
---@return strata.errcode? code
function Rootfs:readlink(path) end

--- Whether there is something at a path; a symlink to nothing is not. Throws when a layer cannot be read.
---@param path string
---@return boolean
function Rootfs:exists(path) end

--- The content of a file.
---@param path string
---@param max? integer  bytes at most; without it more than limits.read are "ELIMIT"
---@return string?
---@return string? message
---@return strata.errcode? code
function Rootfs:read(path, max) end

--- Opens a file, to be read in pieces.
---@param path string
---@return strata.RootFile?
---@return string? message
---@return strata.errcode? code
function Rootfs:open(path) end

--- The names in a directory, in the order of their bytes.
---@param path? string  default "/"
---@return string[]?
---@return string? message
---@return strata.errcode? code
function Rootfs:list(path) end

--- Iterates over everything below a directory, a directory before what it holds. Symlinks on the way are not followed.
--- Throws when there is no such directory.
---@param path? string  default "/"
---@return fun(): strata.RootEntry?
function Rootfs:walk(path) end

--- The paths that match a pattern, in the order of their bytes: `*`, `?` and `[a-z]` within a name, `**` for any
--- directories between. Throws a pattern that is none.
---@param pattern string  e.g. "etc/**/*.conf"
---@return string[]?
---@return string? message
---@return strata.errcode? code
function Rootfs:glob(pattern) end

--- What a directory adds up to, as `du` tells it: the bytes of all files below it, a file with several names once. Of a
--- file, its bytes. A symlink at the end is not followed.
---@param path? string  default "/"
---@return strata.Usage?
---@return string? message
---@return strata.errcode? code
function Rootfs:usage(path) end

--- The largest files, a file with several names once, the largest first.
---@param count? integer  at most. Default: 20
---@return strata.RootEntry[]?
---@return string? message
---@return strata.errcode? code
function Rootfs:largest(count) end

--- What each layer has done to a path, the base first.
---@param path string
---@return strata.PathHistory[]?
---@return string? message
---@return strata.errcode? code
function Rootfs:history(path) end

--- The SHA-256 of files, sorted by path, hashed on threads; holes of sparse files as zeros. Printed, the list is one that
--- `sha256sum -c` reads.
---@param which? strata.Which  a function gets a strata.RootEntry; default all. What matches no file is "ENOENT"
---@param opts? strata.DigestOptions
---@return strata.FileDigest[]?
---@return string? message
---@return strata.errcode? code
function Rootfs:digests(which, opts) end

--- The packages that are installed, by name: as the databases of dpkg and apk say, dpkg's also in the form that
--- distroless images have. That of rpm is not read: where it is the only one, this is "EUNSUPPORTED".
---@return strata.Package[]?
---@return strata.PackageDatabase[]|string databases  that are there | message
---@return strata.errcode? code
function Rootfs:packages() end

--- The tree, drawn for people. Throws when there is no such directory.
---@param opts? strata.TreeOptions
---@return string
function Rootfs:tree(opts) end

--- Writes what is chosen into a directory, which is made when it is not there: with the directories that it is in, their
--- attributes included, but for those of the root. Hardlinks to what is not chosen become files; symlinks stay what they
--- are, and none is followed. Every digest is checked on the way; after a failure nothing is left of it.
---@param which strata.Which  a function gets a strata.RootEntry; what matches nothing is "ENOENT"
---@param dir string  must be empty, unless opts.merge
---@param opts? strata.RootExtractOptions
---@return strata.ExtractResult?
---@return string? message
---@return strata.errcode? code
function Rootfs:extract(which, dir, opts) end

--- Writes all, or what is chosen, as one tar, sorted, hardlinks behind their files. It appears whole or not at all.
---@param what string|file*  a path, "-" for standard output, or an open Lua file
---@param opts? strata.RootExportOptions
---@return strata.ExportResult?
---@return string? message
---@return strata.errcode? code
function Rootfs:export(what, opts) end

--- Frees the merged tree. Every method and field throws afterwards, those of its entries as well; closing twice does
--- nothing.
function Rootfs:close() end

--- What a directory adds up to.
---@class strata.Usage
---@field bytes integer  of content
---@field entries integer  paths below it

--- What a file holds.
---@class strata.FileDigest
---@field path string
---@field size integer
---@field digest string  "sha256:" and 64 hexadecimal digits

--- A package that is installed.
---@class strata.Package
---@field name string
---@field version string?
---@field architecture string?
---@field source string  the name of what it was built from; its own when the database has no other
---@field source_version string?
---@field manager "dpkg"|"apk"
---@field database string  the path of the file that tells it

--- A database of packages.
---@class strata.PackageDatabase
---@field manager "dpkg"|"apk"|"rpm"
---@field path string
---@field packages integer?  that it tells; nil when it was not read

--- What a layer has done to a path.
---@class strata.PathHistory
---@field layer strata.Layer
---@field action strata.PathAction
---@field entry strata.Entry?  that the layer has for the path

--- What can be done to a path.
---@alias strata.PathAction
---| "added"
---| "changed"
---| "metadata" # the same content with another mode, owner, time or xattr
---| "repeated" # all the same
---| "deleted" # by a whiteout of the path
---| "hidden" # by a whiteout above it, an opaque directory or another type
