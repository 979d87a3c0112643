---@meta _

--- The file system that a container sees, without unpacking anything. It follows edits of the layers: what is asked
--- next is answered by what they are then. Symlinks are followed inside the root.
---@class strata.Rootfs: userdata
---@field layers strata.Layer[]  that it is made of, the base first
---@field count integer  of its paths, the root among them
local Rootfs = {}

--- What is at a path; symlinks are followed ("ENOENT", "ENOTDIR", "ELOOP").
---```lua
---local found = assert(root:stat "opt/app/current")
---print(found.path, ("%04o"):format(found.mode), found.layer.position)  --> opt/app/run  0755  2
---```
---@param path string
---@return strata.RootEntry?
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such path; "ENOTDIR": something on the way is no directory; "ELOOP": symlinks without an end; those of reading, of a registry
function Rootfs:stat(path) end

--- What is at a path; a symlink at the end is not followed.
---```lua
---print(assert(root:lstat "opt/app/current").linkpath)  --> run
---```
---@param path string
---@return strata.RootEntry?
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such path; "ENOTDIR": something on the way is no directory; "ELOOP": symlinks without an end; those of reading, of a registry
function Rootfs:lstat(path) end

--- Where a symlink leads to, as it says; "EINVAL" for what is none.
---```lua
---print(root:readlink "opt/app/current")  --> run
---```
---@param path string
---@return string?
---@return string? message
---@return strata.errcode? code  "EINVAL": it is no symlink; "ENOENT": there is no such path; "ENOTDIR": something on the way is no directory; "ELOOP": symlinks without an end; those of reading, of a registry
function Rootfs:readlink(path) end

--- Whether there is something at a path; a symlink to nothing is not. Throws when a layer cannot be read.
---```lua
---print(root:exists "etc/passwd", root:exists "var/cache/app.deb")  --> true  false
---```
---@param path string
---@return boolean
function Rootfs:exists(path) end

--- The content of a file.
---```lua
---print(root:read("etc/passwd", 4))  --> root
---```
---@param path string
---@param max? integer  bytes at most; without it more than limits.read are "ELIMIT"
---@return string?
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such path; "EISDIR": it is a directory; "EINVAL": it is no file; "ENOTDIR", "ELOOP": on the way; "ELIMIT": it is larger than `limits.read`; those of reading, of a registry
function Rootfs:read(path, max) end

--- Opens a file, to be read in pieces.
---```lua
---local file = assert(root:open "etc/passwd")
---print(file.size, file:read(4))  --> 30  root
---file:close()
---```
---@param path string
---@return strata.RootFile?
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such path; "EISDIR": it is a directory; "EINVAL": it is no file; "ENOTDIR", "ELOOP": on the way; those of reading, of a registry
function Rootfs:open(path) end

--- The names in a directory, in the order of their bytes.
---```lua
---print(table.concat(assert(root:list "etc"), " "))  --> app.conf os-release passwd
---```
---@param path? string  default "/"
---@return string[]?
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such path; "ENOTDIR": it is no directory; "ELOOP": symlinks without an end; those of reading, of a registry
function Rootfs:list(path) end

--- Iterates over everything below a directory, a directory before what it holds. Symlinks on the way are not followed.
--- Throws when there is no such directory.
---```lua
---for found in root:walk "opt" do print(found.path) end  --> opt/app…
---```
---@param path? string  default "/"
---@return fun(): strata.RootEntry?
function Rootfs:walk(path) end

--- The paths that match a pattern, in the order of their bytes: `*`, `?` and `[a-z]` within a name, `**` for any
--- directories between. A glob that is malformed throws.
---```lua
---print(table.concat(assert(root:glob "**/*.conf"), " "))  --> etc/app.conf
---```
---@param pattern string  e.g. "etc/**/*.conf"
---@return string[]?
---@return string? message
---@return strata.errcode? code  those of reading, of a registry
function Rootfs:glob(pattern) end

--- What each layer has done to a path, the base first.
---```lua
---for _, change in ipairs(assert(root:history "etc/app.conf")) do
---  print(change.action, change.layer.position)  --> added  2…
---end
---```
---@param path string
---@return strata.PathHistory[]?
---@return string? message
---@return strata.errcode? code  those of reading, of a registry
function Rootfs:history(path) end

--- The SHA-256 of files, sorted by path, hashed on threads; holes of sparse files as zeros. Printed, the list is one
--- that `sha256sum -c` reads.
---```lua
---print(root:digests "etc")  --> …  etc/app.conf…
---```
---@param which? strata.Which  a function gets a strata.RootEntry; default all. What matches no file is "ENOENT"
---@param opts? strata.DigestOptions
---@return strata.FileDigest[]?
---@return string? message
---@return strata.errcode? code  "ENOENT": something matches no file; those of reading, of a registry
function Rootfs:digests(which, opts) end

--- The packages that are installed, by name: as the databases of dpkg and apk say, dpkg's also in the form that
--- distroless images have. That of rpm is not read: where it is the only one, this is "EUNSUPPORTED".
---
--- The files are `var/lib/dpkg/status`, those of `var/lib/dpkg/status.d` (distroless) and `lib/apk/db/installed`.
--- Packages of which only the configuration is left are none. An image without any database has no packages.
---```lua
---for _, package in ipairs(assert(root:packages())) do
---  print(package.name, package.version, package.source)  --> libc6  2.36-9  glibc
---end
---```
---@return strata.Package[]?
---@return strata.PackageDatabase[]|string databases  that are there | message
---@return strata.errcode? code  "EUNSUPPORTED": the only database is that of rpm; "EFORMAT": a database cannot be understood; those of reading, of a registry
function Rootfs:packages() end

--- The tree, drawn for people. Throws when there is no such directory.
---```lua
---print(root:tree { path = "opt" })
-----> opt/
-----> └── app/
----->     ├── app.pyc  (8 B)
----->     ├── current -> run
----->     └── run  (24 B)
---```
---@param opts? strata.TreeOptions
---@return string
function Rootfs:tree(opts) end

--- Writes what is chosen into a directory, which is made when it is not there: with the directories that it is in,
--- their attributes included, but for those of the root. Hardlinks to what is not chosen become files; symlinks stay
--- what they are, and none is followed. Every digest is checked on the way; after a failure nothing is left of it.
---
--- The directories above what is chosen come with their attributes; a directory that is there already keeps its own,
--- and a new one is root's, as if only its contents implied it. Paths are those of the merged file system.
---```lua
---assert(root:extract({ "etc", "opt/**/run" }, "some", { unprivileged = true }))
---print(io.open("some/etc/app.conf"):read "*a")  --> mode = production
---```
---@param which strata.Which  a function gets a strata.RootEntry; what matches nothing is "ENOENT"
---@param dir string  must be empty, unless opts.merge
---@param opts? strata.RootExtractOptions
---@return strata.ExtractResult?
---@return string? message
---@return strata.errcode? code  "ENOENT": something matches nothing; "ENOTEMPTY": there is something in the directory; "EPERM": an owner or a device wants root, or `unprivileged = true`; those of reading, of writing, of a registry
function Rootfs:extract(which, dir, opts) end

--- Writes all, or what is chosen, as one tar, sorted, hardlinks behind their files. It appears whole or not at all.
---```lua
---assert(root:export("etc.tar", { which = "etc" }))
---```
---@param what string|file*  a path, "-" for standard output, or an open Lua file
---@param opts? strata.RootExportOptions
---@return strata.ExportResult?
---@return string? message
---@return strata.errcode? code  "ENOENT": something matches nothing; those of reading, of writing, of a registry
function Rootfs:export(what, opts) end

--- Frees the merged tree. Every method and field throws afterwards, those of its entries as well; closing twice does
--- nothing.
---```lua
---root:close()
---```
function Rootfs:close() end

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
