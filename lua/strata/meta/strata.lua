---@meta strata

--- Surgery on container images: open, look inside, filter, rewrite, save.
---
--- Errors that a script has to expect (a file is not there, an image is malformed, a limit is crossed) come back as
--- `nil, message, code`; doc/errors.md lists the codes. Misuse throws at the line of the caller, an unknown option or
--- field for one, and so do iterators and fields that cannot be read. `assert(...)` around a call gives a message that
--- says it all.
---
--- An edit happens as a whole or not at all: one that fails, or whose function throws, leaves the image as it was, to
--- be edited further and saved. Nothing is written before a save.
---
--- Paths of entries are byte strings without "/" or "./" in front; the root is ".". Numbers of layers and of entries
--- begin at 1.
---
--- Copies that are handed out (img.tags, img.layers, config.Env, img:history(), entry.xattrs ...) refuse changes, and
--- say what to use instead. JSON's null, an empty array and an empty object are strata.null, strata.array{} and
--- strata.object{}.
---
--- What merges layers has a `view`. "runtime", the default, is what Docker with overlay2, containerd and podman show:
--- each layer is unpacked for itself and laid over those below. A path goes through symlinks of its own layer alone; a
--- whiteout hides what lower layers have, unless its own layer has an entry of that name; an opaque marker in the root
--- hides nothing; a character device 0:0 is a whiteout; names of a hardlinked file belong to the file of their own
--- layer. "spec" is the letter of the specification: one layer unpacked over the other.
---
--- What an image may cost is limited: doc/limits.md. Every object with a resource has close(), and is closed when it is
--- collected.
---
---```lua
---local strata = require "strata"
---local img = assert(strata.open "app.tar")  -- docker save app:1 >app.tar
---local config, layer, root = img.config, img.layers[2], assert(img:rootfs())
---local entry, row = layer:entry "etc/app.conf", img:history()[2]
---local index = assert(strata.open_index "layout")
---```
---@class strata
---@field _VERSION string  "strata 0.1.0"
---@field null lightuserdata  JSON's null; the same value as cjson.null
---@field limits strata.Limits  what later opens begin with; assigning a field changes it, nil puts it back
---@field stream strata.stream  loaded when it is asked for
local strata = {}

--- Opens one image: an archive of docker save of any age, an OCI layout as a directory or an archive, skopeo's dir:,
--- told apart by content; or an image of a registry. When several fit, the message lists them ("EAMBIGUOUS").
---
--- What is opened is told by its content and not by its name: doc/formats.md lists all that is read. No layer is read
--- before something asks for it. Where `manifest.json` and `index.json` of an archive disagree, `prefer` says which one
--- counts.
---```lua
---local arm = assert(strata.open("layout", { platform = "linux/arm64" }))
---print(arm.platform, #arm.layers)  --> linux/arm64  3
---print(strata.open "no.tar")  --> nil  no.tar: No such file or directory  ENOENT
---```
---@param what string|file*  a path, a reference "docker://host/name:tag", "-" for standard input, or an open Lua file
---@param opts? strata.OpenOptions
---@return strata.Image?
---@return string? message
---@return strata.errcode? code  "EAMBIGUOUS": several images fit; "ENOENT": there is no such file, or no such image in it; "EFORMAT": it is no image; "EUNSUPPORTED": its documents are named by another hash than SHA-256 and SHA-512; those of reading, of a registry
function strata.open(what, opts) end

--- Every image of a file that the options mean, one after the other; those of which a part is not here, or not what the
--- index says, are left out; it fails when the options mean no other: "ENOENT".
--- The iterator throws when one cannot be read. Close each image that is no longer needed.
---```lua
---for one in strata.images "layout" do
---  print(one.tags[1], one.platform)  --> app:1  linux/a…
---  one:close()
---end
---```
---@param what string|file*
---@param opts? strata.OpenOptions
---@return (fun(): strata.Image?)?
---@return string? message
---@return strata.errcode? code  "ENOENT": the options mean no image that is all here; those of reading, of a registry
---@return table? closing  a loop that is left early closes the file by it, where Lua has to-be-closed variables
function strata.images(what, opts) end

--- Opens all images of a layout, an archive or an index of a registry, to be edited and saved together.
---```lua
---local all = assert(strata.open_index "layout")
---print(#all.manifests, all.manifests[1].platform)  --> 2  linux/amd64
---```
---@param what string|file*
---@param opts? strata.IndexOptions
---@return strata.Index?
---@return string? message
---@return strata.errcode? code  "ENOENT": it is not there; "EFORMAT": it is neither a layout nor an archive of images; those of reading, of a registry
function strata.open_index(what, opts) end

--- An image without layers. Nothing in it depends on when or where it is made. Text that is no platform throws.
---```lua
---local empty = strata.new { platform = "linux/arm64" }
---assert(empty:append { files = { ["etc/motd"] = "hello\n" } })
---empty.tags = { "motd:1" }
---assert(empty:save("motd.tar", { format = "docker" }))
---```
---@param opts? strata.NewOptions
---@return strata.Image
function strata.new(opts) end

--- A layer that belongs to no image yet, for `img:append{layer = ...}`: of a directory, of the difference of two, of
--- the upper directory of an overlay mount, of files, a tar or another archive. Options that make no sense together
--- throw.
---
--- `dir` gives a layer of what is in a directory, not of the directory itself: sorted, without names of users and
--- groups, times in whole seconds. Later names of a file are hardlinks to the first. Sockets are left out and listed in
--- `skipped`, as is what is mounted there of `/proc` and its like; labels of the machine (SELinux, IMA, overlayfs) are
--- left out. The path itself may be a link; nothing below it is followed, and a file that changes meanwhile is
--- "ESTALE".
---
--- With `lower` and `upper` a file counts as changed when type, mode, owner, size, time, link target, device, extended
--- attributes or its set of names differ. When all of these are equal the content is compared if the times have no
--- fraction of a second, as after an extraction, or with `content = true`. What is gone gets a whiteout of its own.
---
--- `tar` is read whole and then taken as it is, byte by byte, gzip and zstd included, unless something is mapped.
--- `archive` takes the entries of deb (its data), rpm, cpio, zip, iso and more, plain or compressed, and refuses names
--- that lead out, and encryption. The decoders of 7z, xar, rar and of zip files with the method LZMA may take any
--- amount of memory, so these want `limits = {dictionary = math.huge}`. A name `.wh.*` of a directory or an archive is
--- refused, since it would be a whiteout.
---```lua
---local site = assert(strata.layer { dir = "files", to = "srv/www", owner = { uid = 33, gid = 33 } })
---assert(img:append { layer = site, created_by = "the site" })
---print(site:entry("srv/www/index.html").uid)  --> 33
---```
---@param spec strata.LayerOptions  exactly one source
---@return strata.Layer?
---@return string[]|string|nil skipped  what cannot be in a layer, nil for nothing; or the message
---@return strata.errcode? code  "ENOENT": the source is not there; "EINVAL": a name leads out of the root, or would be a whiteout; "ESTALE": a file changed while it was read; "EFORMAT": no tar, or no archive; "EUNSUPPORTED": an archive without strata.archive; those of reading
function strata.layer(spec) end

--- Makes an artifact of files, such as a signature of an image, or a list of its contents. Options that make no sense
--- together throw. What it is about has to be saved: the digest counts.
---```lua
---local app = assert(strata.open("layout", { platform = "linux/amd64" }))
---local sbom = assert(strata.artifact {
---  type = "application/spdx+json", files = { ["app.json"] = { path = "sbom.json" } }, subject = app,
---})
---assert(sbom:save "layout")
---```
---@param spec strata.ArtifactOptions
---@return strata.Artifact?
---@return string? message
---@return strata.errcode? code  "EINVAL": the subject has edits, which would change its digest; "EUNSUPPORTED": the subject came without a manifest; "ENOENT": a file is not there
function strata.artifact(spec) end

--- Opens an artifact of a layout, an archive or a registry: the only one, or that with a tag or a digest.
---```lua
---assert(assert(strata.artifact { type = "text/plain", files = { note = "checked" } }):save "notes.tar")
---print((assert(strata.open_artifact "notes.tar"):read "note"))  --> checked
---```
---@param what string|file*  a path, a reference "docker://host/name@sha256:...", "-", or an open Lua file
---@param opts? strata.ArtifactOpenOptions
---@return strata.Artifact?
---@return string? message
---@return strata.errcode? code  "EAMBIGUOUS": there are several; "ENOENT": there is no such artifact; "EUNSUPPORTED": it is an image; those of reading, of a registry
function strata.open_artifact(what, opts) end

--- Writes several images into one archive or layout; layers that they share are stored once. Images that all came
--- from one store go back into it, and all else that it has stays; with a format they are written alone. In a layout,
--- images for several platforms under one name become an index of that name; in a registry, and with the option
--- `index`, all of them become one, with the attestations about those that are not edited. The same image twice
--- throws, and so does a name or a platform that only one of the images can have.
---
--- doc/indexes.md tells what becomes of several platforms under one name.
---```lua
---local base = assert(strata.open "base.tar")
---assert(strata.save({ base, img }, "both.tar", { format = "docker" }))  -- layers that they share are in it once
---```
---@param images strata.Image[]
---@param what string|file*  a path, "-" for standard output, or an open Lua file
---@param opts? strata.SaveImagesOptions|strata.PushOptions  the latter where `what` is a reference
---@return strata.SaveResult?
---@return string[]|string|nil lost  what the format cannot hold, nil for nothing; or the message
---@return strata.errcode? code  "EINVAL": an image cannot go there; "EEXIST": something other than a layout is there; "ESTALE": the layout was changed by somebody else; "EISDIR": a directory wants `format = "oci"`; those of reading, of writing, of a registry
function strata.save(images, what, opts) end

--- Copies an image, or an index with its images, attestations and artifacts, from any place to any other; nothing of it
--- changes. With ref, digest or platform one image is copied, and nothing else of where it is; of a layout, ref and
--- digest may mean an index in it, which is copied whole.
---```lua
---assert(strata.copy("app.tar", "copy", { format = "oci", compression = "zstd" }))
---print(assert(strata.open "copy").layers[1].compression)  --> zstd
---```
---@param from string|file*  a path, a reference "docker://host/name:tag", "-", or an open Lua file
---@param to string|file*
---@param opts? strata.CopyOptions|strata.CopyPushOptions  the latter where `to` is a reference
---@return strata.SaveResult?
---@return string[]|string|nil lost  what the format cannot hold, nil for nothing; or the message
---@return strata.errcode? code  "ENOENT": there is no such image; "EINVAL": one image or index would go onto what it is in, where all else would go; those of reading, of writing, of a registry
function strata.copy(from, to, opts) end

--- Compares two images: what containers see of their files, their configs and histories, and which layers they share.
--- A layer that both have is never read for content, and those of a common base are not even scanned where the layers
--- above them have the same paths. `equal` says whether nothing differs; tostring() gives a line for each difference.
---
--- Files are those that containers see, by `view`. Variables are compared by their names. Two configs that have the
--- same values and are written in another way get one row, whose `change` is "spelling". Names, tags, annotations and
--- compressions are not compared. Edits that wait are carried out first.
---
--- `semantic = true` passes over what a rebuild changes by itself: times, names of owners (runtimes go by their
--- numbers), the mode of symlinks, layers, and of the config `created`, the dates and `empty_layer` of the history, and
--- what builders note of their own work (`container`, `container_config`, `Hostname`, `Image`, `moby.buildkit.*`).
---
--- Where the layers above a common base have the same paths, as in two builds of one Dockerfile, the base is not even
--- scanned, nor fetched from a registry. Of files of one size that are in different layers the contents are read.
---```lua
---local diff = assert(strata.diff("app.tar", "app-2.tar", { semantic = true, exclude = "var/cache" }))
---for _, row in ipairs(diff.files) do
---  if row.change == "changed" then print(row.path, table.concat(row.fields, " "), row.a.layer) end  --> etc/app.conf  content  3
---end
---print(diff.equal)  --> false
---```
---@param a strata.Image|string  or a path, or a reference "docker://host/name:tag"
---@param b strata.Image|string
---@param opts? strata.DiffOptions
---@return strata.Diff?
---@return string? message
---@return strata.errcode? code  "ENOENT", "EAMBIGUOUS" of an image that is opened; those of reading, of a registry
function strata.diff(a, b, opts) end

--- What strata.diff gives as text for people, or as a page of HTML. Names and values of the images are escaped.
---```lua
---local diff = assert(strata.diff("app.tar", "app-2.tar"))
---local page = io.open("diff.html", "w")
---page:write(strata.diff_report(diff, { format = "html" }))
---page:close()
---```
---@param diff strata.Diff
---@param opts? strata.DiffReportOptions
---@return string
function strata.diff_report(diff, opts) end

--- A client of registries with settings of its own, for the option `registry`. Without it all calls share one.
---```lua
---local registry = assert(strata.registry { parallel = 8, retries = 2 })
---local there = assert(strata.open("docker://registry.example/team/app:1", { registry = registry }))
---print(there.tags[1])  --> …/app:1
---```
---@param opts? strata.RegistryOptions
---@return strata.Registry?
---@return string? message
---@return strata.errcode? code  "EUNSUPPORTED": strata was built without libcurl; "EFORMAT", "EACCES": a file of credentials or certificates
function strata.registry(opts) end

--- The blobs of a layout in a directory that no index, manifest, or manifest about one of these names. They are removed
--- when that is asked for. A document that cannot be read could name any of them: then it fails. A save of strata into
--- the same layout at the same time loses nothing; other programs must not write to it meanwhile.
---
--- doc/indexes.md tells which blobs are kept.
---```lua
---print(#assert(strata.gc "layout").blobs)  --> 0
---assert(strata.gc("layout", { remove = true }))
---```
---@param layout string  the path of a directory
---@param opts? strata.GcOptions
---@return strata.GarbageReport?
---@return string? message
---@return strata.errcode? code  "EUNSUPPORTED": it is no directory of a layout; "ENOENT": it is not there; "EFORMAT": a document cannot be read; "ESTALE": the layout changed meanwhile; those of reading
function strata.gc(layout, opts) end

--- What readers differ about in a tar file, plain or compressed with gzip or zstd.
---```lua
---print(#assert(strata.check_tar "site.tar"))  --> 0
---```
---@param path string
---@param opts? strata.CheckOptions
---@return strata.Report?
---@return string? message
---@return strata.errcode? code  those of reading
function strata.check_tar(path, opts) end

--- A function that tells whether paths choose a path, by themselves or as a directory that it is in: what img:remove
--- would remove. Anything but paths, globs and patterns throws.
---```lua
---local is_chosen = strata.matcher { "usr/share/doc", "**/*.pyc" }
---print(is_chosen "usr/share/doc/app/copyright", is_chosen "opt/app/run")  --> true  false
---```
---@param paths strata.Paths  e.g. {"usr/share/doc", "**/*.pyc"}
---@return fun(path: string): boolean
function strata.matcher(paths) end

--- A progress function that draws a bar on a terminal, and writes a line now and then elsewhere.
---```lua
---assert(img:save("app-new.tar", { progress = strata.progress() }))
---```
---@param out? file*  default: standard error
---@return strata.Progress
function strata.progress(out) end

--- Has a function called now and then while any call of this Lua state goes on: as work starts, about twenty times a
--- second while threads or a registry are waited for, and in loops over entries; also by calls whose functions have no
--- option `progress` of yours. It is for what a host has to do meanwhile, such as telling others that it is alive. An
--- error that it throws ends the call, which throws it, and nothing is published. Anything but a function throws.
---```lua
---local deadline = os.time() + 600
---local before = strata.on_wait(function()
---  if os.time() > deadline then error("it takes too long", 0) end
---end)
---assert(img:save "app-new.tar")
---strata.on_wait(before)
---```
---@param fn? fun()  nil: none
---@return fun()? before  the one that there was
function strata.on_wait(fn) end

--- The versions of strata and of what it is built on: strata, lua, cjson, openssl, gzip, zstd. strata._VERSION is that
--- of strata alone.
---```lua
---print(strata.versions().strata == strata._VERSION:match "%S+$")  --> true
---```
---@return table<string, string>
function strata.versions() end

--- What pairs() is for an object, strata.limits or a table: names and values, in the order of the names. The pairs()
--- of Lua 5.1 and LuaJIT asks no object. Anything else throws.
---```lua
---for name, value in strata.pairs(img.platform) do print(name, value) end  --> architecture  amd64…
---```
---@param value any
---@return function # for a loop
---@return any state
function strata.pairs(value) end

--- What can be done with a value of strata, as text for a REPL: a line for each field and function of an object, and
--- all about a function, or about what has a name: help(img, "squash"), help(strata.open), help "config", help
--- "limits". Names are also those of options and classes of them, and codes: help "expect", help "RegistryHostOptions",
--- help "ESTALE".
---```lua
---print(strata.help(img, "squash"))  --> strata.Image: squash(first [, last [, opts]])…
---print(strata.help "ESTALE")  --> strata.errcode: ESTALE …
---```
---@param value? any  an object, a function, a name, or "limits"
---@param name? string  of a method or a field of the object
---@return string
function strata.help(value, name) end

--- Marks a table as a JSON array, which matters when it is empty.
---```lua
---config.Cmd = strata.array {}
---print(config:get "/config/Cmd" and #config.Cmd)  --> 0
---```
---@param t? table
---@return table t
function strata.array(t) end

--- Marks a table as a JSON object, which matters when it is empty.
---```lua
---config:set("/config/Healthcheck", strata.object {})
---print(config:text():find('"Healthcheck":{}', 1, true) ~= nil)  --> true
---```
---@param t? table
---@return table t
function strata.object(t) end

return strata
