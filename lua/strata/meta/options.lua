---@meta _

--- Written by doc/option_types.lua from lua/strata/util/option_table.lua.

--- What calls share that may take long: threads, and a function for progress.
---@class strata.WorkOptions
---@field threads? integer  at most. Default: one per CPU
---@field progress? strata.Progress  called now and then with what is done by then

--- Which image of several is meant.
---@class strata.ChoiceOptions
---@field ref? string  tag or ID of the image
---@field platform? string  "linux/arm64/v8"
---@field digest? string  of the image's manifest

--- How a file is read.
---@class strata.SourceOptions
---@field prefer? "docker"|"oci"  when manifest.json and index.json of an archive disagree
---@field temp_dir? string  a directory for temporary files. Default: $TMPDIR, or /tmp
---@field limits? strata.Limits  instead of those of strata.limits, or of the image

--- How all images of a file are opened. The progress is that of inflating a compressed archive.
---@class strata.IndexOptions: strata.SourceOptions, strata.WorkOptions
---@field registry? strata.Registry  the client of registries. Default: one that all calls share
---@field strict? boolean  refuse what readers differ about: see img:check. Default: false

--- Which image of a file is meant, and how it is read.
---@class strata.OpenOptions: strata.ChoiceOptions, strata.IndexOptions
---@field manifest? string  of a reference by digest: the bytes with that digest. They are not fetched, and the registry need not have them yet

--- Which images of an index are meant.
---@class strata.SelectorOptions
---@field platform? string  "linux/arm64/v8"

--- Manifests of an index: those that all of the given fields fit.
---@class strata.ManifestOptions: strata.ChoiceOptions
---@field kind? "image"|"attestation"|"artifact"|"index"

--- Where an image is added.
---@class strata.IndexAddOptions
---@field index? string  the name or the digest of the index that gets it. Default: the only one
---@field replace? boolean  an image for the same platform, or an entry of the same name, makes way. Default: false
---@field attestations? "keep"|"drop"|"refuse"  about the image, of where it came from; refuse: to leave one behind. Default: keep

--- What a removal from an index takes along.
---@class strata.IndexRemoveOptions
---@field optional? boolean  a choice that matches nothing is no error. Default: false
---@field attestations? "keep"|"drop"|"refuse"  about the removed manifests, in the same index; refuse: to remove an image that has one. Default: drop

--- What is done with blobs that nothing names.
---@class strata.GcOptions
---@field remove? boolean  they are removed, and not only listed. Default: false
---@field limits? strata.Limits  instead of those of strata.limits, or of the image

--- The index whose annotation is set or removed.
---@class strata.IndexAnnotationOptions
---@field digest? string  of one that the index leads to, as img.index tells it. Default: the index itself

--- What an image without layers begins with.
---@class strata.NewOptions
---@field platform? string  default: "linux/amd64"
---@field created? string  a time of RFC 3339. Default: "1970-01-01T00:00:00Z"

--- How much of a tree is drawn.
---@class strata.TreeOptions
---@field path? string  the directory to begin at. Default: "/"
---@field depth? integer  levels to draw. Default: 64
---@field width? integer  names of one directory to draw. Default: all
---@field layers? boolean  say which layer each comes from. Default: false
---@field sizes? boolean  say how many bytes of files are below each directory. Default: false

--- How the tree of an image is drawn.
---@class strata.ImageTreeOptions: strata.TreeOptions
---@field view? "runtime"|"spec"  what containers see by default, or the letter of the specification (one layer unpacked over the other). Default: "runtime"

--- How much of an image is merged.
---@class strata.RootfsOptions
---@field upto? integer  the number of the last layer that counts. Default: the topmost
---@field view? "runtime"|"spec"  what containers see by default, or the letter of the specification (one layer unpacked over the other). Default: "runtime"

--- What the JSON of an entry has besides.
---@class strata.EntryJsonOptions
---@field digest? boolean  the SHA-256 of a file, which is read. Default: false

--- How files are hashed.
---@class strata.DigestOptions: strata.WorkOptions
---@field optional? boolean  what matches nothing is no error. Default: false

--- How far a check goes.
---@class strata.CheckOptions
---@field severity? "error"|"warning"|"note"  the least that is told. Default: "warning"; "note" with privileged
---@field second_reader? boolean  false: no comparison with libarchive's reading. Default: true
---@field privileged? boolean  also note devices and files with set-id bits. Default: false
---@field temp_dir? string  a directory for temporary files. Default: $TMPDIR, or /tmp
---@field limits? strata.Limits  instead of those of strata.limits, or of the image

--- The rules of a policy.
---@class strata.Policy
---@field setid? strata.Paths|false  where set-id files may be; false: anywhere. Default: nowhere
---@field capabilities? strata.Paths|false  the same for files with capabilities. Default: anywhere
---@field devices? strata.Paths|false  the same for device nodes. Default: nowhere
---@field secrets? strata.PolicySecrets
---@field root_user? boolean  true: the image may run as root. Default: false
---@field lowest_efficiency? number  the least that the efficiency of img:waste may be
---@field highest_wasted_bytes? integer  the most that the total of img:waste may be
---@field max_size? integer  bytes of the files of all layers
---@field max_layers? integer
---@field denied_paths? strata.Paths  what may not be there; symlinks on the way to it are followed
---@field denied_packages? string[]  names, or globs of names, of packages that may not be installed
---@field base? strata.Image|string|string[]  an image whose layers have to be the lowest ones, or the chain_id of its topmost one; of several one is enough
---@field check? "error"|"warning"|"note"|false  what img:check finds of this severity, or worse, breaks the policy. Default: false

--- Where a policy looks for secrets, and what is one.
---@class strata.PolicySecrets
---@field paths? strata.Paths  also of files that upper layers hide
---@field env? string[]  Lua patterns of "NAME=value" of variables, labels and annotations
---@field history? string[]  Lua patterns of created_by

--- What the layer is made of differs from what goes into it: place, owner, mode, time, and what is left out.
---@class strata.MappingOptions
---@field to? string  directory that everything goes into
---@field owner? strata.Owners|strata.OwnerFunction  new users and groups
---@field mode? strata.Modes|strata.ModeFunction  new modes, as numbers or as "0755"
---@field exclude? strata.Which  what is left out; a function gets the path, and strata.SourceStat
---@field mtime? number  of all entries, in seconds; they lose atime and ctime
---@field clamp_mtime? number  the latest that an entry may have; all lose atime and ctime
---@field exact_mtime? boolean  keeps fractions of seconds, which else are cut off. Default: false

--- New users and groups.
---@class strata.Owners
---@field uid? strata.IdMap
---@field gid? strata.IdMap

--- The sources of a layer that strata.layer and img:append share.
---@class strata.NewLayerOptions: strata.MappingOptions, strata.WorkOptions
---@field dir? string  a directory, whose content goes into the layer
---@field files? table<string, string|strata.FileEntry>  by path: the content, or all of the entry
---@field tar? string  a path: plain, gzip, zstd, bzip2, xz or lz4; taken as it is, byte by byte, unless mapped
---@field archive? string  a path: deb, rpm, cpio, zip, iso, tar ..., also compressed; 7z, xar, rar: see limits
---@field compression? "none"|"gzip"|"zstd"  of the tar that is written; a tar that is taken keeps its own. Default: as the layer below, in an image with a manifest; none otherwise
---@field level? integer  gzip 0 to 9, zstd 1 to 19
---@field temp_dir? string  a directory for temporary files. Default: $TMPDIR, or /tmp
---@field limits? strata.Limits  instead of those of strata.limits, or of the image

--- A layer by itself: one source (dir; lower and upper; overlay_upper; files; tar; archive), and how it is taken.
---@class strata.LayerOptions: strata.NewLayerOptions
---@field lower? string  a directory, and
---@field upper? string  another one, which the layer makes of it
---@field content? boolean  lower and upper: files that look the same are compared. Default: false
---@field overlay_upper? string  the upper directory of an overlay mount

--- A layer of an image: one source (layer; dir; files; tar; archive), how it is taken, and its row of the history.
---@class strata.AppendOptions: strata.NewLayerOptions
---@field layer? strata.Layer  of an image, or one without an image; keeps its bytes
---@field at? integer  its number afterwards. Default: on top
---@field created_by? string  default: "strata append"
---@field created? string  a time of RFC 3339. Default: the config's
---@field comment? string
---@field author? string

--- One entry of the option `files`, where its content alone does not say all.
---@class strata.FileEntry
---@field type? "file"|"dir"|"symlink"|"hardlink"|"char"|"block"|"fifo"  default: file, or symlink with a linkpath
---@field content? string
---@field mode? integer|string  of directories 0755. Default: 0644
---@field uid? integer  default: 0
---@field gid? integer  default: 0
---@field uname? string
---@field gname? string
---@field mtime? number  seconds. Default: 0
---@field linkpath? string
---@field major? integer
---@field minor? integer

--- What strata.assert wants of a file.
---@class strata.WantedFile
---@field type? "file"|"dir"|"symlink"|"hardlink"|"char"|"block"|"fifo"  with "symlink" it is not followed
---@field mode? integer|string
---@field uid? integer
---@field gid? integer
---@field size? integer  bytes
---@field content? string  all of it
---@field matches? string  a Lua pattern that the content has
---@field digest? string  the SHA-256 of the content
---@field linkpath? string  where a symlink leads to, as it says; it is not followed

--- Which layers become one.
---@class strata.SquashOptions: strata.WorkOptions
---@field above strata.Image|integer  the base, or its number of layers
---@field view? "runtime"|"spec"  what containers see by default, or the letter of the specification (one layer unpacked over the other). Default: "runtime"

--- How large the parts of a divided layer may be.
---@class strata.SplitSize
---@field size? integer  bytes of plain tar that a part has at most, unless one file is larger

--- Which layers become which chunks.
---@class strata.RechunkOptions: strata.WorkOptions
---@field chunks? integer  at most; the topmost has what belongs to nothing. Default: 16
---@field by? "package"|"directory"|fun(entry: strata.Entry): string?  what lies together: files of a package, or of a directory; a function gives a name, nil for the topmost chunk. Default: "package"
---@field above? strata.Image|integer  the base, or its number of layers, which stay. Default: 0
---@field view? "runtime"|"spec"  what containers see by default, or the letter of the specification (one layer unpacked over the other). Default: "runtime"

--- How all layers become one.
---@class strata.FlattenOptions: strata.WorkOptions
---@field view? "runtime"|"spec"  what containers see by default, or the letter of the specification (one layer unpacked over the other). Default: "runtime"

--- What counts as visible, and how much is told.
---@class strata.WasteOptions: strata.WorkOptions
---@field view? "runtime"|"spec"  what containers see by default, or the letter of the specification (one layer unpacked over the other). Default: "runtime"
---@field why? boolean  false: no contents are compared, and the files have no `why` and `by`. Default: true

--- What of two images is compared.
---@class strata.DiffOptions: strata.WorkOptions
---@field semantic? boolean  what a rebuild changes by itself is passed over: times, names of owners, which layer something is in, the order of entries. Default: false
---@field exclude? strata.Paths  paths that are not compared, with all below them
---@field view? "runtime"|"spec"  what containers see by default, or the letter of the specification (one layer unpacked over the other). Default: "runtime"
---@field open? strata.OpenOptions  how images are opened that are given by path or reference

--- How a diff is told to people.
---@class strata.DiffReportOptions
---@field format? "text"|"html"  lines, or a page that needs nothing else. Default: "text"
---@field color? boolean  of the text, for a terminal. Default: false

--- How an image gets another base.
---@class strata.RebaseOptions: strata.WorkOptions
---@field config? "keep"|"inherit"  inherit: what is unchanged from the old base comes from the new. Default: keep
---@field force? boolean  the new base may be for another platform. Default: false

--- What becomes the same in images that were built at other times, and on other machines.
---@class strata.NormalizeOptions: strata.WorkOptions
---@field epoch? integer|string  later times become it: seconds since 1970, or a time of RFC 3339. Default: $SOURCE_DATE_EPOCH
---@field above? strata.Image|integer  the base, or its number of layers, which stay with their rows of the history. Default: 0
---@field owner? strata.Owners|strata.OwnerFunction  new users and groups
---@field numeric_owner? boolean  names of users and groups go: unpackers go by the numbers. Default: false
---@field xattrs? string[]|false  names of extended attributes that stay, as "user.*"; false: none. Default: all stay
---@field sort? boolean  entries are put in the order of their paths. Default: false

--- How repeated entries are folded.
---@class strata.FoldOptions: strata.WorkOptions
---@field prune? boolean  layers without entries are removed then. Default: false

--- How paths are removed.
---@class strata.RemoveOptions: strata.WorkOptions
---@field optional? boolean  what matches nothing is no error. Default: false

--- What is purged besides paths.
---@class strata.PurgeOptions: strata.RemoveOptions
---@field history? string  Lua pattern: what matches becomes "***" in created_by and comment
---@field env? string  Lua pattern: variables whose "NAME=value" matches are removed
---@field labels? string  Lua pattern: labels and annotations whose "name=value" matches are removed
---@field prove? string|string[]  bytes that must be nowhere in the end: not in a layer, not in a document

--- How findings are mended.
---@class strata.RepairOptions: strata.WorkOptions
---@field optional? boolean  what is named and cannot be mended is left, and told in the report. Default: false
---@field temp_dir? string  a directory for temporary files. Default: $TMPDIR, or /tmp

--- How the merged file system is written.
---@class strata.ExportOptions: strata.WorkOptions
---@field compression? "none"|"gzip"|"zstd"  of the tar that is written. Default: none
---@field level? integer  gzip 0 to 9, zstd 1 to 19
---@field view? "runtime"|"spec"  what containers see by default, or the letter of the specification (one layer unpacked over the other). Default: "runtime"

--- How much of a root file system is written, and how.
---@class strata.RootExportOptions: strata.WorkOptions
---@field which? strata.Which  what goes into the tar; a function gets a strata.RootEntry. Default: all
---@field optional? boolean  what matches nothing is no error. Default: false
---@field compression? "none"|"gzip"|"zstd"  of the tar that is written. Default: none
---@field level? integer  gzip 0 to 9, zstd 1 to 19

--- How images are written.
---@class strata.SaveOptions: strata.WorkOptions
---@field format? "docker"|"docker-legacy"|"oci"|"oci-archive"  default: as it came
---@field compression? "keep"|"gzip"|"zstd"|"none"  of the layers; keep: untouched ones keep their bytes. Default: keep
---@field level? integer  gzip 0 to 9, zstd 1 to 19
---@field reproducible? boolean  compressed bytes do not depend on the machine: gzip by zlib. Default: false
---@field attestations? "keep"|"drop"|"refuse"  of the images that are saved; refuse: to leave one behind, or with an image that has changed. Default: keep
---@field verify? boolean  false: what is copied is not hashed. Default: true
---@field sparse? boolean  into a layout directory: layers that a registry has as they are stay there, and are only named. Default: false

--- How several images are written.
---@class strata.SaveImagesOptions: strata.SaveOptions
---@field index? string  all images become one index of this name, with the attestations about them; needs a layout

--- How an image, or an index, goes to a registry.
---@class strata.PushOptions: strata.SaveOptions
---@field registry? strata.Registry  the client of registries. Default: one that all calls share
---@field tags? string[]  further tags
---@field expect? string|false  the digest that the tag has to have, of an index its own, false for none, unless it has the result already; else ESTALE
---@field exists? "auto"|"check"|"never"  whether a registry is asked if it has a blob before that is sent: auto for large ones. Default: auto
---@field referrers? boolean  an index goes with signatures and the like that are about it. Default: false

--- How one layer is written.
---@class strata.LayerSaveOptions: strata.WorkOptions
---@field compression? "keep"|"none"|"gzip"|"zstd"  of the file; keep: as the layer is stored. Default: keep
---@field level? integer  gzip 0 to 9, zstd 1 to 19
---@field reproducible? boolean  compressed bytes do not depend on the machine: gzip by zlib. Default: false

--- What a save would be given, and where it would go.
---@class strata.PlanOptions: strata.PushOptions
---@field to? string  a reference, whose present manifest is asked for

--- How an index and all that it leads to is copied, or with ref, digest or platform one image.
---@class strata.CopyOptions: strata.ChoiceOptions, strata.SourceOptions, strata.SaveOptions
---@field registry? strata.Registry  the client of registries. Default: one that all calls share

--- How an index, or with ref, digest or platform one image, is copied to a registry.
---@class strata.CopyPushOptions: strata.ChoiceOptions, strata.SourceOptions, strata.PushOptions

--- A file of an artifact, or its config.
---@class strata.ArtifactFile
---@field content? string  this,
---@field path? string  or a file of the host
---@field media_type? string  default: "application/octet-stream"
---@field annotations? table<string, string>  of its descriptor

--- What an artifact is made of.
---@class strata.ArtifactOptions: strata.WorkOptions
---@field type string  what it is
---@field files? table<string, string|strata.ArtifactFile>  by name: the content, or all of the file
---@field subject? strata.Image|strata.Artifact|table  what it is about; a table, such as img.index, has media_type, digest and size
---@field annotations? table<string, string>  of the manifest
---@field config? strata.ArtifactFile  default: an empty object
---@field limits? strata.Limits  instead of those of strata.limits, or of the image

--- Which artifact is meant, and how it is read.
---@class strata.ArtifactOpenOptions: strata.SourceOptions, strata.WorkOptions
---@field registry? strata.Registry  the client of registries. Default: one that all calls share
---@field ref? string  its tag
---@field digest? string  of its manifest

--- How an artifact is written.
---@class strata.ArtifactSaveOptions: strata.WorkOptions
---@field registry? strata.Registry  the client of registries. Default: one that all calls share
---@field format? "oci"|"oci-archive"  default: as it is there; oci-archive

--- Which artifacts are listed.
---@class strata.ReferrersOptions
---@field type? string  only those of this type

--- Which artifacts are listed, and of which index.
---@class strata.IndexReferrersOptions: strata.ReferrersOptions
---@field digest? string  of an index of the layout, as img.index tells it. Default: the index of a registry

--- How one registry is spoken to.
---@class strata.RegistryHostOptions
---@field ca? string  a file of certificates that are trusted besides the system's
---@field cert? string  a file with the certificate of this client
---@field key? string  a file with its key
---@field insecure? boolean  certificates are not looked at. Default: false
---@field plain? boolean  true: http; false: https. Default: http for this machine, without certificates and insecure
---@field location? "relative"  of the address for an upload only path and query count: for broken proxies
---@field chunk_size? integer  bytes: larger blobs go up in chunks of it, for hosts that take no larger requests. Default: each in one request
---@field any_address? boolean  it may have a link-local address. Default: false

--- Another place that has what a registry has.
---@class strata.MirrorOptions
---@field host string  with the path before the names of repositories, if any: harbor.local/hub
---@field resolve? boolean  it is asked what tags lead to as well, and believed. Default: false
---@field namespace? boolean  it stands for several registries, and is told which one is meant: ?ns=. Default: false

--- Who asks a registry: username and password, or one of the others.
---@class strata.RegistryCredentials
---@field username? string  with a password
---@field password? string
---@field token? string  goes to the registry as it is
---@field identity? string  a refresh token, for token servers

--- The settings of a client of registries.
---@class strata.RegistryOptions
---@field credentials? table<string, strata.RegistryCredentials|false>|"docker"  by host or host/namespace; false: none there; "docker": those in the files of podman and Docker. Default: "docker", and none inside nginx
---@field helpers? boolean  credential helpers that these files name are run. Default: false
---@field hosts? table<string, strata.RegistryHostOptions>  settings by host
---@field mirrors? table<string, strata.MirrorOptions[]>  by host of a registry: where layers and manifests are read before they are read there
---@field parallel? integer  requests at the same time. Default: 4
---@field retries? integer  of what may pass: broken connections, 429, 5xx. Default: 4
---@field max_wait? number  seconds that a registry may ask to be left alone. Default: 120
---@field connect_timeout? number  seconds. Default: 10
---@field stall_timeout? number  seconds without a byte. Default: 60
---@field proxy? string  the URL of a proxy; an empty string for none. Default: that of the environment
---@field allow_hosts? string[]  hosts with private addresses that a registry may name
---@field trusted? string[]  hosts that uploads go to with the credentials of the registry
---@field trusted_realms? string[]  hosts of token servers that get the credentials of the registry
---@field foreign? boolean  layers that the registry has not are fetched from the URLs in the manifest. Default: false
---@field system? boolean  certificates of /etc and proxies of the environment are used. Default: true

--- How layers are applied to a directory. For overlayfs a hardlink to a file of a lower layer shares that file.
---@class strata.ExtractOptions: strata.WorkOptions
---@field mode? "flat"|"overlay"  one tree, or a directory per layer for overlayfs. Default: flat
---@field merge? boolean  the directory may have something in it. Default: false for an image, true for a layer
---@field keep_partial? boolean  what a failed extract into a fresh directory has made stays there. Default: false
---@field unprivileged? boolean  owners, devices, xattrs that cannot be set are no failure. Default: unless run by root
---@field rootless? boolean  owners that cannot be set are recorded as user.rootlesscontainers. Default: false
---@field xattrs? "trusted"|"user"  overlay: the namespace of its marks. Default: trusted for root
---@field view? "runtime"|"spec"  what containers see by default, or the letter of the specification (one layer unpacked over the other). Default: "runtime"
---@field limits? strata.Limits  instead of those of strata.limits, or of the image

--- How files of a root file system are written into a directory.
---@class strata.RootExtractOptions: strata.WorkOptions
---@field optional? boolean  what matches nothing is no error. Default: false
---@field merge? boolean  the directory may have something in it. Default: false
---@field keep_partial? boolean  what a failed extract into a fresh directory has made stays there. Default: false
---@field unprivileged? boolean  owners, devices, xattrs that cannot be set are no failure. Default: unless run by root
---@field rootless? boolean  owners that cannot be set are recorded as user.rootlesscontainers. Default: false
---@field limits? strata.Limits  instead of those of strata.limits, or of the image

--- What is done to an image while it passes through.
---@class strata.StreamImageOptions: strata.ChoiceOptions, strata.SourceOptions, strata.WorkOptions
---@field filter? fun(entry: strata.Entry, layer: strata.StreamLayer): boolean  false drops the entry
---@field rewrite? fun(entry: strata.Entry, layer: strata.StreamLayer)  assigns to its fields
---@field config? fun(config: strata.Config)  called once, when all layers have been seen
---@field tags? string[]  instead of those that the image has
---@field compression? "keep"|"none"|"gzip"|"zstd"  of the stream as a whole. Default: keep
---@field level? integer  gzip 0 to 9, zstd 1 to 19
---@field attestations? "keep"|"drop"|"refuse"  of the images that are saved; refuse: to leave one behind, or with an image that has changed. Default: keep
---@field wait? fun()  called again and again while threads work, instead of blocking; it may yield

--- How a tar is parsed.
---@class strata.StreamTarOptions
---@field data? boolean  false: no events for content. Default: true
---@field compression? "auto"|"none"|"gzip"|"zstd"  default: auto
---@field limits? strata.Limits  instead of those of strata.limits, or of the image

--- How long a job may take, and how much.
---@class strata.JobControl
---@field deadline? number  seconds of the monotonic clock after which it gives up: "ETIMEDOUT"
---@field shared? string  name of a shared dictionary of nginx
---@field key? string  once that has this key, the job gives up: "ECANCELED"
---@field progress? string  a key that gets what goes on, the bytes done and those in all: "writing 1024 4096"
---@field threads? integer  that the job may use. Default: one per CPU

--- What all jobs take.
---@class strata.PathArguments
---@field path string  of the image

--- Which image is meant.
---@class strata.JobArguments: strata.PathArguments
---@field open? strata.OpenOptions
---@field registry? strata.RegistryOptions  of the client, where path or to is a reference of a registry

--- How an image is looked at.
---@class strata.LookArguments: strata.JobArguments
---@field keep? boolean  the image stays open for later jobs; false is for a file that is removed after this one. Default: true

--- Which part of a list is wanted.
---@class strata.PageArguments: strata.LookArguments
---@field offset? integer  entries to pass over. Default: 0
---@field limit? integer  at most 1000. Default: 1000

--- Which entries are wanted.
---@class strata.EntriesArguments: strata.PageArguments
---@field layer integer

--- Which directory is wanted.
---@class strata.ListArguments: strata.PageArguments
---@field dir? string  default: "/"
---@field layer? integer  of this layer alone, whiteouts included
---@field upto? integer  of the first layers, with what the last of these does to each path
---@field hide? string[]  with `upto`, what is left out: "added", "changed", "removed", "repeated", "below"
---@field sort? "name"|"size"  the order. Default: name
---@field find? string  a name: `found` says which of all it is

--- Of what the largest files are wanted.
---@class strata.LargestArguments: strata.LookArguments
---@field count? integer  at most. Default: 100
---@field upto? integer  of the first layers alone

--- Which part of all paths is wanted.
---@class strata.PathsArguments: strata.LookArguments
---@field from? string  `next` of the part before
---@field limit? integer  lines at most. Default: 20000

--- Which file is wanted.
---@class strata.ReadArguments: strata.LookArguments
---@field file string  a path in the image
---@field max? integer  bytes of content. Default: 65536
---@field upto? integer  of the first layers alone

--- Which file is wanted, and where.
---@class strata.FetchArguments: strata.LookArguments
---@field file string  a path in the image
---@field to string  a path that nothing has yet
---@field upto? integer  of the first layers alone

--- Where an image goes, and how.
---@class strata.SaveArguments: strata.JobArguments
---@field to string  a path or a reference
---@field save? strata.PushOptions  of a registry, or those of strata.SaveOptions

--- What is done to an image, and where it goes.
---@class strata.EditArguments: strata.SaveArguments
---@field edit? strata.EditTable

--- Which images are compared, and how.
---@class strata.DiffArguments: strata.JobArguments
---@field other strata.JobArguments  the image that this one is compared with
---@field diff? strata.DiffOptions
---@field limit? integer  rows of each list; counts has the number of all. Default: all
---@field module? string  name of a Lua module that returns function(facts, args): its table is what the job gives, so that less has to be copied from one Lua state to another
---@field args? table  for that

--- What is checked.
---@class strata.CheckArguments: strata.LookArguments
---@field policy? strata.Policy

--- Which base an image gets.
---@class strata.EditBase: strata.RebaseOptions
---@field from string  the base that it has, a path or a reference
---@field onto string  the new one; of an index the image for the same platform

--- Which function is called.
---@class strata.CallArguments
---@field module string  name of a Lua module that returns function(args): what it gives is what the job gives, a table, or nil, message, code
---@field args? table  for that

--- What is done to an image, in the order of the fields.
---@class strata.EditTable
---@field rebase? strata.EditBase  another base, as img:rebase
---@field drop_waste? boolean|table[]  true: what no container sees goes, as img:drop_waste; of an array, each {path =, layer =}
---@field remove? strata.Paths  what goes, as img:remove
---@field optional? boolean  what matches nothing is no error. Default: false
---@field owner? integer[][]  pairs of an old and a new user, for groups as well
---@field env? table<string, string|false>  false: unset
---@field labels? table<string, string|false>  false: removed
---@field ports? table<string, boolean>  as "8080/tcp"; false: removed
---@field volumes? table<string, boolean>  false: removed
---@field config? table<string, any>  keys of the config, as config.User = "1000", or JSON Pointers, as for config:set; false deletes
---@field tags? string[]  instead of those that the image has
---@field repair? string[]|boolean  what is mended, as img:repair
---@field flatten? boolean
---@field normalize? strata.NormalizeOptions  last but for the module, as img:normalize
---@field module? string  name of a Lua module that returns function(img, args): it edits the image
---@field args? table  for that

--- The threads behind the gate, and how long and how many jobs may wait for them.
---@class strata.RestyOptions
---@field pool string  of nginx's thread_pool directive
---@field threads integer  of that pool; each worker process has so many
---@field job_threads? integer  that one job may use besides, to leave CPUs to requests. Default: 1
---@field queue? integer  jobs that may wait in one worker process; more are refused: "EBUSY". Default: 32
---@field wait? number  seconds that a job may wait for a thread: "EBUSY". Default: 10
---@field deadline? number  seconds that a job may take, waiting included: "ETIMEDOUT". Default: 300
---@field shared? string  name of a lua_shared_dict, by which jobs are canceled
---@field temp_dir? string  for the files of temp(). Default: /tmp

--- How a job is run.
---@class strata.RunOptions
---@field deadline? number  seconds. Default: that of the gate
---@field detached? boolean  goes on when the client has gone. Default: false
---@field progress? string  a name for the job, by which progress() tells how far it is

--- How much of an image is taken before it is refused with "ELIMIT"; math.huge: all.
---@class strata.Limits
---@field manifests? integer  manifests and indexes that an index leads to. Default: 10000 manifests
---@field index_depth? integer  indexes inside indexes. Default: 8 levels
---@field layers? integer  layers of one image. Default: 4096 layers
---@field links? integer  members of an archive that link to each other. Default: 8 links
---@field entries? integer  entries of one tar. Default: 10000000 entries
---@field archive_members? integer  members of an archive that holds images. Default: 100000 members
---@field path? integer  a path, or the target of a link. Default: 4096 bytes
---@field extension? integer  one extension header (four before an entry), the text of a sparse map. Default: 1048576 bytes
---@field records? integer  PAX records of one entry, its xattrs among them. Default: 65536 records
---@field sparse? integer  the map of one sparse file. Default: 65536 extents
---@field file? integer  the content of one entry, holes included. Default: 17592186044416 bytes
---@field bytes? integer  what one layer, or a whole archive, inflates to. Default: 1099511627776 bytes
---@field ratio? integer  what is inflated to what is stored, beyond the first 256 MiB. Default: 2000 times
---@field members? integer  gzip members, or zstd frames, of one stream. Default: 10000000 members
---@field empty_blocks? integer  deflate blocks of gzip that give no byte, beyond one for 512 bytes of output. Default: 1000000 blocks
---@field zstd_window? integer  the window of zstd, rounded down to a power of two. Default: 134217728 bytes
---@field dictionary? integer  the dictionary of xz and lzma, and of what decodes 7z, xar, rar and some zip files. Default: 67108864 bytes
---@field spool? integer  an image that comes through a pipe; of a stream the layers that have to wait. Default: 1099511627776 bytes
---@field held? integer  of a stream all that is no layer and has to wait. Default: 67108864 bytes
---@field read? integer  what read() gives when it is not told how much. Default: 67108864 bytes
---@field steps? integer  components of symlinks' targets that merging the layers walks. Default: 20000000 steps
---@field depth? integer  directories inside each other that are extracted. Default: 256 levels
---@field removals? integer  files that whiteouts have extract look at for removal. Default: 20000000 files
---@field json? strata.JsonLimits

--- How large one JSON document of an image may be.
---@class strata.JsonLimits
---@field max_bytes? integer  documents are read whole. Default: 4194304 bytes
---@field max_depth? integer  arrays and objects inside each other. Default: 64 levels
---@field max_values? integer  values of one document. Default: 1000000 values
