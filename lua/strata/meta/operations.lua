---@meta _

---@class strata.Image
local Image = {}

--- Drops the entries of all layers for which fn returns false, and with them whiteouts that then hide nothing. A file
--- that others in its layer hardlink to can be dropped: its first link becomes the file.
---
--- fn returns true to keep an entry, and false to drop it; anything else, nil too, throws, and then nothing is dropped.
---```lua
---assert(img:filter(function(file) return not file.path:find "%.pyc$" end))
---print(root:exists "opt/app/app.pyc")  --> false
---```
---@param fn strata.EntryFilter
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code  "EINVAL": a hardlink of another layer would lose its file; those of reading, of a registry
function Image:filter(fn) end

--- Calls fn for each entry of all layers, to assign to its fields.
---
--- A file with several names has the attributes of the last header that names it, and what is assigned to one of its
--- entries (mode, owner, time, xattrs) goes to all headers of its names in the layer.
---```lua
---assert(img:rewrite(function(file) if file.uid == 1000 then file.uid = 0 end end))
---print(layer:entry("etc/app.conf").uid)  --> 0
---```
---@param fn fun(entry: strata.Entry, layer: strata.Layer)
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code  "EINVAL": a hardlink of another layer would lose its file; those of reading, of a registry
function Image:rewrite(fn) end

--- Removes layers without entries; their rows of the history become empty.
---```lua
---assert(img.layers[3]:filter(function() return false end))
---assert(img:prune())
---print(#img.layers)  --> 2
---```
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code  those of reading, of a registry
function Image:prune() end

--- Adds a layer made of files, a directory, a tar, another archive, or one that is there already; on top, or at a
--- place between the others. Options that make no sense together throw. Paths are those of the merged file system:
--- where they go through a symlink of the image, as /lib does on many, the layer has what it leads to.
---
--- A layer of another image, or of none, keeps its compressed bytes (`layer`). Of the other sources strata.layer tells.
---```lua
---assert(img:append { files = { ["etc/motd"] = "hello\n", ["etc/.wh.app.conf"] = "" }, created_by = "motd" })
---assert(img:append { dir = "files", to = "srv/www", owner = { uid = 33, gid = 33 }, mode = { file = "0644", dir = "0755" } })
---print(#img.layers, (img:read "etc/motd"))  --> 5  hello
---```
---@param spec strata.AppendOptions  exactly one source
---@return strata.Image? self
---@return string[]|string|nil skipped  what cannot be in a layer, nil for nothing; or the message
---@return strata.errcode? code  "ENOENT": the source is not there; "EINVAL": a name leads out of the root, or would be a whiteout; "ESTALE": a file changed while it was read; "EFORMAT": no tar, or no archive; "EUNSUPPORTED": an archive without strata.archive; those of reading
---@return {from: string, to: string}[]? moved  directories that symlinks lead to; nil for none
function Image:append(spec) end

--- Makes one layer of several: `squash(2, 4)`, or of all above a base: `squash{above = base}`. Nothing that was
--- deleted comes back.
---
--- Entries keep their raw bytes and are sorted by path. The layer is compressed as the last one of them, and keeps the
--- compressed bytes of what stays together (doc/formats.md). Rows of the history of all but the last layer stay, as
--- steps without a layer.
---```lua
---assert(img:squash(2, 3))
---print(#img.layers, img.layers[2]:entry "var/cache/app.deb" == nil)  --> 2  true
---```
---@param first integer|strata.SquashOptions
---@param last? integer
---@param opts? strata.FlattenOptions
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code  "EINVAL": the layers of the base are not the lowest ones, or none is above them; "ESTALE": a layer's file was written to meanwhile; those of reading, of a registry
function Image:squash(first, last, opts) end

--- Makes one layer of all.
---```lua
---assert(img:flatten())
---print(#img.layers)  --> 1
---```
---@param opts? strata.FlattenOptions
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code  "ESTALE": a layer's file was written to meanwhile; those of reading, of a registry
function Image:flatten(opts) end

--- Divides a layer. With paths it becomes two: what they choose is in the upper one, with all names of a file and with
--- the directories that it is in. With {size = bytes} it becomes as many as are needed, in the order of its entries.
--- Entries keep their bytes, and a container sees the same; what chooses nothing is "ENOENT".
---
--- All names of a hardlinked file go together, whiteouts stay in the lowest layer. What a container sees before and
--- after is compared, and where it differs (when an entry goes through a symlink of the same layer, for one) nothing is
--- done. New layers keep the compression and the annotations of the old one; the history gets a row for each, like that
--- of the old one.
---```lua
---assert(img:split(2, "usr/share/doc"))
---print(#img.layers, img.layers[3]:entry("usr/share/doc/app/copyright").size)  --> 4  4
---```
---@param number integer  of the layer
---@param which strata.Which|strata.SplitSize  a function gets an entry and its layer
---@param opts? strata.WorkOptions
---@return strata.Image? self
---@return strata.Chunk[]|string # the layers that it has become, or the message
---@return strata.errcode? code  "ENOENT": nothing is chosen; "EINVAL": everything is chosen, or a container would see something else; those of reading, of a registry
function Image:split(number, which, opts) end

--- Divides an image anew: files that change together, as those of a package do, lie in one layer, and which it is
--- depends on the name of the package alone. So the layers of the next build in which nothing has changed have the same
--- digests; normalize() makes times no change. What a container sees stays.
---
--- Layers are merged as squash() merges them, and files that change together are put into one of `chunks` layers: those
--- of a package (`by = "package"`, as dpkg and apk list them), and those of no package by the first three names of
--- their directory (`by = "directory"` does so for all), or by the name that a function gives. Which layer that is
--- follows from the name alone, so other names that come, go or change leave it as it is. What has no name, and what is
--- in no package and in `/etc`, `/home`, `/root`, `/run`, `/tmp`, `/var` or `/` itself, is in the topmost one. Layers
--- have the times of their entries, directories included: normalize() comes first, so that a new build changes none. In
--- the history the rows of the old layers stay, as steps without a layer, and the new ones have rows of their own.
---```lua
---assert(img:normalize { epoch = 1700000000 })
---local _, chunks = assert(img:rechunk { chunks = 24, above = 1 })
---print(chunks)  --> layer 2: …
---assert(img:save("chunks.tar", { format = "oci-archive", compression = "gzip", reproducible = true }))
---```
---@param opts? strata.RechunkOptions
---@return strata.Image? self
---@return strata.Chunk[]|string # the new layers, or the message
---@return strata.errcode? code  "EINVAL": no layer is above the base, or a container would see something else; those of reading, of a registry
function Image:rechunk(opts) end

--- Removes a layer, or all layers whose created_by has a plain text or a Lua pattern, with their rows of the history. A
--- hardlink of another layer into it is refused.
---
--- The other layers keep their bytes.
---```lua
---assert(img:remove_layer { created_by = "RUN clean" })
---print(#img.layers, assert(img:rootfs()):exists "var/cache/app.deb")  --> 2  true
---```
---@param which integer|{created_by: string|{pattern: string}}
---@param opts? strata.WorkOptions
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code  "ENOENT": no layer was created by that; "EINVAL": a hardlink of another layer shares its file with it; those of reading, of a registry
function Image:remove_layer(which, opts) end

--- Moves a layer; its row of the history goes along.
---```lua
---assert(img:move_layer(3, 2))
---print(img.layers[3].created_by)  --> RUN install --token=s3cret app
---```
---@param from integer
---@param to integer  its number afterwards
---@param opts? strata.WorkOptions
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code  "EINVAL": a hardlink of another layer shares its file with it; those of reading, of a registry
function Image:move_layer(from, to, opts) end

--- Puts the layers above one base onto another; they keep their bytes. Refused with "EINVAL" where the layers of the
--- old base are not the lowest ones.
---
--- The diff_ids of the old base's layers are compared. Its rows of the history are replaced by those of the new base,
--- each layer of which has one afterwards. The config stays as it is, unless `config = "inherit"` is given: what is the
--- same as in the old base comes from the new one, variables, labels, volumes and ports one by one, Cmd only along with
--- the Entrypoint. The manifest's annotations `org.opencontainers.image.base.*` follow where they are there. A hardlink
--- of the image into the base has to find its file in the new one.
---```lua
---local old, new = assert(strata.open "base.tar"), assert(strata.open "base-2.tar")
---assert(img:rebase(old, new, { config = "inherit" }))
---print(img:read "etc/os-release")  --> ID=debian…
---```
---@param old_base strata.Image
---@param new_base strata.Image
---@param opts? strata.RebaseOptions
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code  "EINVAL": the layers of the old base are not the lowest ones, another os or architecture without `force`, or a hardlink into the base that finds no file; those of reading, of a registry
function Image:rebase(old_base, new_base, opts) end

--- Drops entries that repeat the content of a lower layer with other metadata, which the lower one takes. A container
--- sees the same.
---
--- A lower entry gets the metadata of an upper one of the same type and content, and the upper one goes. All names of a
--- hardlinked file go, or none, and none that another layer links to; a directory goes with all that its layer has in
--- it. Layers that name a path twice or go through symlinks are left alone, and so is what differs in an ACL.
---```lua
---assert(img:append { files = { ["bin/sh"] = { content = "#!", mode = "0755", uid = 33 } }, created_by = "RUN chown" })
---print((img:fold { prune = true }) > 0, #img.layers)  --> true  3
---```
---@param opts? strata.FoldOptions
---@return integer? bytes  that the plain tars have less
---@return strata.Folded[]|string # what was folded, or the message
---@return strata.errcode? code  those of reading, of a registry
function Image:fold(opts) end

--- Drops from the layers files that no container sees, with all of their names there: of the files that waste() tells,
--- those that neither view of the image shows. What a container sees stays as it is, so that a file stays that hides
--- something of a lower layer. Layers that lose a file have new digests; whiteouts stay, and with them the other layers.
---```lua
---local bytes, dropped = assert(img:drop_waste())
---print(bytes, dropped[1].path, img:waste().total)  --> 3013  etc/app.conf  0
---```
---@param which strata.Which?  a function gets an entry and its layer; nil: all
---@param opts? strata.RemoveOptions
---@return integer? bytes  of content that went
---@return strata.Removed[]|string # what was dropped, or the message
---@return strata.errcode? code  "ENOENT": nothing unseen is named; "EUNSUPPORTED": a container would see a difference
function Image:drop_waste(which, opts) end

--- Removes paths, with all below them, from every layer, whatever symlinks lead to them, and the whiteouts that hide
--- nothing then. Hardlinks to them stay, with the content. What matches nothing is "ENOENT", and nothing is changed; a
--- whiteout alone is no match.
---
--- A function is asked about each entry of each layer, fn(entry, layer); what it says of an entry goes for its path in
--- all layers. What a symlink leads to at such a path goes as well, in both views.
---```lua
---local _, removed = assert(img:remove { "usr/share/doc", "**/*.pyc" })
---for _, one in ipairs(removed) do print(one.layer, one.type, one.path) end  --> 2  file  opt/app/app.pyc…
---```
---@param which strata.Which  a function gets an entry and its layer
---@param opts? strata.RemoveOptions
---@return strata.Image? self
---@return strata.Removed[]|string|nil # what was removed, or the message
---@return strata.errcode? code  "ENOENT": something matches nothing; "EINVAL": a hardlink of another layer would lose its file; those of reading, of a registry
function Image:remove(which, opts) end

--- Removes paths as remove() does, and proves it by reading all again: "EEXIST" when something is left. Texts of the
--- history, variables, labels and annotations can go as well, also from documents that repeat the config. Whole or not
--- at all: what matches nothing is "ENOENT". What no edit of this image reaches is in `left` of the report.
---
--- A save into another layout, under a name that an image has there, leaves the blobs of that image: strata.gc removes
--- them.
---
--- `which` may be nil when something else is named.
---```lua
---print(assert(img:purge("var/cache", { history = "%-%-token=%S+", env = "^TOKEN=", prove = "s3cret" })))
-----> removed: …
---print(config:get_env "TOKEN")  --> nil
---```
---@param which strata.Which?  a function gets an entry and its layer
---@param opts? strata.PurgeOptions
---@return strata.PurgeReport?
---@return string? message
---@return strata.errcode? code  "ENOENT": something matches nothing; "EEXIST": something is left, which the message names; "EINVAL": a hardlink of another layer would lose its file; those of reading, of a registry
function Image:purge(which, opts) end

--- Replaces what matches a Lua pattern in created_by and comment of every row, and in the command that Docker's classic
--- builder left.
---
--- The pattern is a Lua pattern, the replacement plain text.
---```lua
---print((img:scrub_history "%-%-token=%S+"))  --> 1
---print(layer.created_by)  --> RUN install *** app
---```
---@param pattern string
---@param replacement? string  default "***"
---@return integer? count  of replacements
---@return string? message
---@return strata.errcode? code  "ENOENT": no text of the history matches
function Image:scrub_history(pattern, replacement) end

--- Drops the whole history, which is optional.
---```lua
---img:clear_history()
---print(#img:history())  --> 0
---```
---@return strata.Image self
function Image:clear_history() end

--- Makes an image normal, so that building it again at another time gives the same digests: times of entries (mtime,
--- and where they are told atime and ctime), of the config, its history and the known labels and annotations become
--- the epoch when they are later, and earlier ones stay. What Docker's builder tells of its containers goes from the
--- config. Throws when no epoch is given and $SOURCE_DATE_EPOCH is no number.
---
--- A file with several names has the time of the last one. `owner` is as in append. `sort = true` puts the entries of
--- each layer in the order of their paths, a hardlink behind its file. An image that is normal already stays as it is,
--- and the report says 0. Contents, modes and tags stay: where two builds differ in these, the digests do, too. An
--- archive of `docker save` that is saved as it came keeps the names that Docker drew for its directories;
--- `oci-archive` and `docker-legacy` are the same byte for byte.
---```lua
---print(img:normalize { epoch = "2024-01-01T00:00:00Z", numeric_owner = true })  --> normalized: …
---assert(img:save("normal.tar", { format = "oci-archive", compression = "gzip", reproducible = true }))
---```
---@param opts? strata.NormalizeOptions
---@return strata.NormalizeReport?
---@return string? message
---@return strata.errcode? code  "EINVAL": the layers of the base are not the lowest ones, or sorting would change what containers see; those of reading, of a registry
function Image:normalize(opts) end

--- Mends findings of img:check: those whose codes are named, or, with true, all that can be mended. A container sees
--- the same, and what is not mended keeps its bytes; layers that were mended are other objects. Whole or not at all: a
--- finding that is named and cannot be mended is "EINVAL", unless `optional` has it left. A finding that is not there
--- is told in the report.
---
--- doc/findings.md says which findings are mended, and how. A name that is no code of a finding throws, and so does a
--- code that is never mended, with the reason.
---```lua
---local report = assert(img:repair { "duplicate-path", "history" })
---print(report.absent[1])  --> duplicate-path
---assert(img:save "app-mended.tar")
---```
---@param which string|string[]|boolean  codes, such as "duplicate-path"; true: all that can be mended
---@param opts? strata.RepairOptions
---@return strata.RepairReport?
---@return string? message
---@return strata.errcode? code  "EINVAL": a finding that was named cannot be mended; "EDIGEST": a layer is not what its digest says; "EUNSUPPORTED": a parser-differential without strata.archive; those of reading, of a registry
function Image:repair(which, opts) end

--- Adds a tag, like `docker tag`: in an archive the name goes from the image that had it to this one. Text that is no
--- reference throws.
---```lua
---img:tag "registry.example/team/app:1"
---print(#img.tags)  --> 2
---```
---@param ref string  "app:2", "registry/app:2"; without a tag: ":latest"
---@return strata.Image self
function Image:tag(ref) end

--- Takes a tag away. Text that is no reference throws.
---```lua
---assert(img:tag("app:2"):untag "app:1")
---print(img.tags[1])  --> app:2
---```
---@param ref string
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code  "ENOENT": the image has no such tag
function Image:untag(ref) end

--- Sets an annotation of the manifest, in its place or behind the others. Anything but a string throws.
---
--- doc/artifacts.md tells which annotations there are, and which formats keep them.
---```lua
---img:set_annotation("org.opencontainers.image.source", "https://git.example/app")
---print(img.annotations["org.opencontainers.image.source"])  --> https://git.example/app
---```
---@param name string
---@param value string
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code
function Image:set_annotation(name, value) end

--- Removes an annotation of the manifest. Anything but a string throws.
---```lua
---img.annotations = { ["com.example.team"] = "shop" }
---assert(img:remove_annotation "com.example.team")
---print(img:remove_annotation "com.example.team")  --> nil  remove_annotation: there is no annotation 'com.example.team'  ENOENT
---```
---@param name string
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such annotation
function Image:remove_annotation(name) end

--- Sets an annotation of the descriptors that lead to the image. Anything but a string throws, and so do the names
--- that are its tags.
---```lua
---img:set_descriptor_annotation("com.example.stage", "test")
---print(img.descriptor_annotations["com.example.stage"])  --> test
---```
---@param name string
---@param value string
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code
function Image:set_descriptor_annotation(name, value) end

--- Removes an annotation of the descriptors that lead to the image. The same names throw.
---```lua
---assert(img:set_descriptor_annotation("com.example.stage", "test"):remove_descriptor_annotation "com.example.stage")
---```
---@param name string
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code  "ENOENT": none of them has it
function Image:remove_descriptor_annotation(name) end

--- Takes all edits back: the image is what was opened. Entries that were read from edited layers are no longer valid.
---```lua
---assert(img:remove "etc")
---assert(img:revert())
---print(img.edited, root:exists "etc/passwd")  --> false  true
---```
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code
function Image:revert() end

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
