---@meta _

--- An image: ordered layers and a config, opened from an archive or made anew. Everything happens in memory; the file
--- that it came from is only read, and nothing is written until save. An edit that fails leaves the image as it was.
---@class strata.Image: userdata
---@field id string  "sha256:" and the hash of the config's bytes
---@field digest string?  of its manifest, which a registry knows it by; nil when it came without one
---@field tags string[]  a copy; assign it to change it
---@field platform strata.Platform
---@field config strata.Config
---@field layers strata.LayerList  the base first
---@field path string?  the file that it came from
---@field repo_digests string[]  "host/team/app@sha256:...", as docker inspect shows it; of an image of a registry
---@field edited boolean  save would write something else than what was opened
---@field size integer  bytes of all layers as they are stored; pending edits are carried out first
---@field index strata.IndexFacts?  the index that it belongs to
---@field annotations table<string, string>  of the manifest; a copy; assign it to change it
---@field descriptor_annotations table<string, string>  of the descriptor that leads to the manifest, but no tags; a copy
local Image = {}

--- The layers: an array, and called an iterator: `for i, layer in img:layers() do`.
---@class strata.LayerList
---@field [integer] strata.Layer
---@operator call: fun(): integer?, strata.Layer?

--- The index of a layout that an image belongs to.
---@class strata.IndexFacts
---@field digest string
---@field media_type string?
---@field size integer  bytes of the index itself
---@field annotations table<string, string>
---@field count integer  of the manifests that it lists

--- The history, oldest first: rows beside the layers that they made.
---@return strata.HistoryRow[]
function Image:history() end

--- Replaces what matches a Lua pattern in created_by and comment of every row, and in the command that Docker's classic
--- builder left.
---@param pattern string
---@param replacement? string  default "***"
---@return integer? count  of replacements
---@return string? message
---@return strata.errcode? code
function Image:scrub_history(pattern, replacement) end

--- Drops the whole history, which is optional.
---@return strata.Image self
function Image:clear_history() end

--- A plain table with the names of `docker image inspect`.
---@return table
function Image:inspect() end

--- The file system that a container sees, without unpacking.
---@param opts? strata.RootfsOptions
---@return strata.Rootfs?
---@return string? message
---@return strata.errcode? code
function Image:rootfs(opts) end

--- The merged tree of all layers, drawn for people. Throws when a layer cannot be read.
---@param opts? strata.ImageTreeOptions
---@return string
function Image:tree(opts) end

--- The bytes that no container sees: of files that upper layers replace, delete or hide, or repeat for other metadata.
--- With the files, why nobody sees them, and the score that dive gives.
---@param opts? strata.WasteOptions
---@return strata.Waste?
---@return string? message
---@return strata.errcode? code
function Image:waste(opts) end

--- The members of the archive with their hashes; empty for an image that came from nowhere.
---@return strata.ListedFile[]?
---@return string? message
---@return strata.errcode? code
function Image:files() end

--- Reads everything and compares every digest and diff_id; the message names the first that differs ("EDIGEST").
---@param opts? strata.WorkOptions
---@return boolean? ok
---@return string? message
---@return strata.errcode? code
function Image:verify(opts) end

--- What readers differ about in this image, and what some of them refuse.
---@param opts? strata.CheckOptions
---@return strata.Report?
---@return string? message
---@return strata.errcode? code
function Image:check(opts) end

--- Drops the entries of all layers for which fn returns false, and with them whiteouts that then hide nothing. A file
--- that others in its layer hardlink to can be dropped: its first link becomes the file.
---@param fn strata.EntryFilter
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code
function Image:filter(fn) end

--- Calls fn for each entry of all layers, to assign to its fields.
---@param fn fun(entry: strata.Entry, layer: strata.Layer)
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code
function Image:rewrite(fn) end

--- Removes layers without entries; their rows of the history become empty.
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code
function Image:prune() end

--- Adds a layer made of files, a directory, a tar, another archive, or one that is there already; on top, or at a
--- place between the others. Throws options that make no sense together. Paths are those of the merged file system:
--- where they go through a symlink of the image, as /lib does on many, the layer has what it leads to.
---@param spec strata.AppendOptions  exactly one source
---@return strata.Image? self
---@return string[]|string|nil skipped  what cannot be in a layer, nil for nothing; or the message
---@return strata.errcode? code
---@return {from: string, to: string}[]? moved  directories that symlinks lead to; nil for none
function Image:append(spec) end

--- Makes one layer of several: `squash(2, 4)`, or of all above a base: `squash{above = base}`. Nothing that was
--- deleted comes back.
---@param first integer|strata.SquashOptions
---@param last? integer
---@param opts? strata.FlattenOptions
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code
function Image:squash(first, last, opts) end

--- Makes one layer of all.
---@param opts? strata.FlattenOptions
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code
function Image:flatten(opts) end

--- Divides a layer. With paths it becomes two: what they choose is in the upper one, with all names of a file and with
--- the directories that it is in. With {size = bytes} it becomes as many as are needed, in the order of its entries.
--- Entries keep their bytes, and a container sees the same; what chooses nothing is "ENOENT".
---@param number integer  of the layer
---@param which strata.Which|strata.SplitSize  a function gets an entry and its layer
---@param opts? strata.WorkOptions
---@return strata.Image? self
---@return strata.Chunk[]|string # the layers that it has become, or the message
---@return strata.errcode? code  "EINVAL": everything is chosen, or a container would see something else
function Image:split(number, which, opts) end

--- Divides an image anew: files that change together, as those of a package do, lie in one layer, and which it is
--- depends on the name of the package alone. So the layers of the next build in which nothing has changed have the same
--- digests; normalize() makes times no change. What a container sees stays.
---@param opts? strata.RechunkOptions
---@return strata.Image? self
---@return strata.Chunk[]|string # the new layers, or the message
---@return strata.errcode? code  "EINVAL": no layer is above the base, or a container would see something else
function Image:rechunk(opts) end

--- Removes a layer, or all layers whose created_by has a plain text or a Lua pattern, with their rows of the history. A
--- hardlink of another layer into it is refused.
---@param which integer|{created_by: string|{pattern: string}}
---@param opts? strata.WorkOptions
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code
function Image:remove_layer(which, opts) end

--- Moves a layer; its row of the history goes along.
---@param from integer
---@param to integer  its number afterwards
---@param opts? strata.WorkOptions
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code
function Image:move_layer(from, to, opts) end

--- Puts the layers above one base onto another; they keep their bytes. Refused with "EINVAL" where the layers of the
--- old base are not the lowest ones.
---@param old_base strata.Image
---@param new_base strata.Image
---@param opts? strata.RebaseOptions
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code
function Image:rebase(old_base, new_base, opts) end

--- Drops entries that repeat the content of a lower layer with other metadata, which the lower one takes. A container
--- sees the same.
---@param opts? strata.FoldOptions
---@return integer? bytes  that the plain tars have less
---@return strata.Folded[]|string # what was folded, or the message
---@return strata.errcode? code
function Image:fold(opts) end

--- Drops from the layers files that no container sees, with all of their names there: of the files that waste() tells,
--- those that neither view of the image shows. What a container sees stays as it is, so that a file stays that hides
--- something of a lower layer. Layers that lose a file have new digests; whiteouts stay, and with them the other layers.
---@param which strata.Which?  a function gets an entry and its layer; nil: all
---@param opts? strata.RemoveOptions
---@return integer? bytes  of content that went
---@return strata.Removed[]|string # what was dropped, or the message
---@return strata.errcode? code  "ENOENT": nothing unseen is named; "EUNSUPPORTED": a container would see a difference
function Image:drop_waste(which, opts) end

--- Removes paths, with all below them, from every layer, whatever symlinks lead to them, and the whiteouts that hide
--- nothing then. Hardlinks to them stay, with the content. What matches nothing is "ENOENT", and nothing is changed; a
--- whiteout alone is no match.
---@param which strata.Which  a function gets an entry and its layer
---@param opts? strata.RemoveOptions
---@return strata.Image? self
---@return strata.Removed[]|string|nil # what was removed, or the message
---@return strata.errcode? code
function Image:remove(which, opts) end

--- Removes paths as remove() does, and proves it by reading all again: "EEXIST" when something is left. Texts of the
--- history, variables, labels and annotations can go as well, also from documents that repeat the config. Whole or not at
--- all: what matches nothing is "ENOENT". What no edit of this image reaches is in `left` of the report.
---@param which strata.Which?  a function gets an entry and its layer
---@param opts? strata.PurgeOptions
---@return strata.PurgeReport?
---@return string? message
---@return strata.errcode? code
function Image:purge(which, opts) end

--- Makes an image normal, so that building it again at another time gives the same digests: times of entries (mtime, and
--- where they are told atime and ctime), of the config, its history and the known labels and annotations become the epoch
--- when they are later, and earlier ones stay. What Docker's builder tells of its containers goes from the config. Throws
--- when no epoch is given and $SOURCE_DATE_EPOCH is none.
---@param opts? strata.NormalizeOptions
---@return strata.NormalizeReport?
---@return string? message
---@return strata.errcode? code  "EINVAL": the layers of the base are not the lowest ones, or sorting would change what containers see
function Image:normalize(opts) end

--- Mends findings of img:check: those whose codes are named, or, with true, all that can be mended. A container sees the
--- same, and what is not mended keeps its bytes; layers that were mended are other objects. Whole or not at all: a
--- finding that is named and cannot be mended is "EINVAL", unless `optional` has it left. A finding that is not there is
--- told in the report.
---@param which string|string[]|boolean  codes, such as "duplicate-path"; true: all that can be mended
---@param opts? strata.RepairOptions
---@return strata.RepairReport?
---@return string? message
---@return strata.errcode? code
function Image:repair(which, opts) end

--- Adds a tag, like `docker tag`. Throws what is no reference.
---@param ref string  "app:2", "registry/app:2"; without a tag: ":latest"
---@return strata.Image self
function Image:tag(ref) end

--- Takes a tag away. Throws what is no reference.
---@param ref string
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code  "ENOENT": the image has no such tag
function Image:untag(ref) end

--- Sets an annotation of the manifest, in its place or behind the others. Throws what is no string.
---@param name string
---@param value string
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code
function Image:set_annotation(name, value) end

--- Removes an annotation of the manifest. Throws what is no string.
---@param name string
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such annotation
function Image:remove_annotation(name) end

--- Sets an annotation of the descriptors that lead to the image. Throws what is no string, and the names that are its
--- tags.
---@param name string
---@param value string
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code
function Image:set_descriptor_annotation(name, value) end

--- Removes an annotation of the descriptors that lead to the image. Throws as setting it does.
---@param name string
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code  "ENOENT": none of them has it
function Image:remove_descriptor_annotation(name) end

--- Takes all edits back: the image is what was opened. Entries that were read from edited layers are no longer valid.
---@return strata.Image? self
---@return string? message
---@return strata.errcode? code
function Image:revert() end

--- Writes the image, in the way that it was stored or in another format. The output appears whole or not at all; it
--- may be what the image came from.
---@param what string|file*  a path, "-" for standard output, or an open Lua file
---@param opts? strata.SaveOptions|strata.PushOptions  the latter where `what` is a reference
---@return strata.SaveResult?
---@return string[]|string|nil lost  what the format cannot hold, nil for nothing; or the message
---@return strata.errcode? code
function Image:save(what, opts) end

--- What img:save with these options would write, before it does. Digests and sizes that only compressing would tell are
--- nil.
---@param opts? strata.PlanOptions
---@return strata.SaveResult?
---@return string? message
---@return strata.errcode? code
function Image:plan(opts) end

--- The artifacts that are about the image as it was opened: signatures, lists of contents. They are listed by the
--- registry, or by what the layout has; attestations of buildkit are not among them, which index.manifests has.
---@param opts? strata.ReferrersOptions
---@return strata.Referrer[]?
---@return string? message
---@return strata.errcode? code
function Image:referrers(opts) end

--- The entries of all layers, the base first, each with its layer. The iterator throws when a layer cannot be read.
---@return fun(): strata.Entry?, strata.Layer?
function Image:entries() end

--- The content of a file as a container sees it, as root:read does.
---@param path string
---@param max? integer  bytes at most; without it more than limits.read are "ELIMIT"
---@return string? content
---@return string? message
---@return strata.errcode? code
function Image:read(path, max) end

--- Writes the file system that a container sees as one tar, sorted, hardlinks behind their files.
---@param what string|file*  a path, "-" for standard output, or an open Lua file
---@param opts? strata.ExportOptions
---@return strata.ExportResult?
---@return string? message
---@return strata.errcode? code
function Image:export(what, opts) end

--- Applies all layers to a directory, which is made when it is not there. Every digest is checked on the way; after a
--- failure nothing is left of it.
---@param dir string  must be empty, unless opts.merge
---@param opts? strata.ExtractOptions
---@return strata.ExtractResult?
---@return string? message
---@return strata.errcode? code
function Image:extract(dir, opts) end

--- Frees what the image holds. Every method and field throws afterwards; closing twice does nothing.
function Image:close() end

--- A member of an archive, or a file of a layout.
---@class strata.ListedFile
---@field name string
---@field type string
---@field size integer  bytes
---@field linkpath string?
---@field digest string?  of a file
---@field role string?  "config", "manifest", "layer 3", "index", "layout", "repositories"
