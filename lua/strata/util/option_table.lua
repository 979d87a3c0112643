--- The options of every public call, and the tables that options hold: each is declared here and nowhere else.
--
-- strata.util.options checks what a caller gives against these classes, strata.help tells them, and `make types` writes
-- lua/strata/meta/options.lua from them.

---@class strata.Option
---@field [1] string  its name
---@field [2] string  its type, in the words of LuaCATS
---@field [3] string?  what it does; the number or phrase in `default` follows
---@field default? string
---@field required? boolean
---@field secret? boolean  messages do not show it
---@field min? number
---@field max? number
---@field is? string  a rule that a string has to keep besides: a key of options.rules
---@field source? boolean  it says what a new layer is made of
---@field only? string  the only source of a new layer that it makes sense with
---@field never? table<string, true>  sources of a new layer that it makes no sense with
---@field any? boolean  it makes sense also with a layer that is taken as it is

---@class strata.OptionClass
---@field [1] string  its name, without "strata."
---@field [2] string  what it is about
---@field extends? string[]  classes whose options belong to it, too
---@field noun? string  what messages call an option of it
---@field [integer] strata.Option  from 3 on

-- Options that several classes have, which do not share anything else.
local PACKED = { "compression", '"none"|"gzip"|"zstd"', "of the tar that is written", default = "none" }
local LEVEL = { "level", "integer", "gzip 0 to 9, zstd 1 to 19", min = 0, max = 19 }
local TEMP_DIR = { "temp_dir", "string", "a directory for temporary files", default = "$TMPDIR, or /tmp" }
local VIEW = {
  "view", '"runtime"|"spec"',
  "what containers see by default, or the letter of the specification (one layer unpacked over the other)",
  default = '"runtime"',
}

local OPTIONAL = { "optional", "boolean", "what matches nothing is no error", default = "false" }
local KEEP_PARTIAL = { "keep_partial", "boolean", "what a failed extract into a fresh directory has made stays there",
                       default = "false" }
local UNPRIVILEGED = { "unprivileged", "boolean", "owners, devices, xattrs that cannot be set are no failure",
                       default = "unless run by root" }
local ROOTLESS = { "rootless", "boolean", "owners that cannot be set are recorded as user.rootlesscontainers",
                   default = "false" }
local LIMITS = { "limits", "strata.Limits", "instead of those of strata.limits, or of the image" }
local ATTESTATIONS = {
  "attestations", '"keep"|"drop"|"refuse"',
  "of the images that are saved; refuse: to leave one behind, or with an image that has changed", default = "keep",
}
local REGISTRY = { "registry", "strata.Registry", "the client of registries", default = "one that all calls share" }
local FILE = { "file", "string", "a path in the image", required = true }
local MAX_ID = 4294967294

---@type strata.OptionClass[]
return {
  -- ---- work ---------------------------------------------------------------------------------------------
  {
    "WorkOptions", "Options of whatever only works, and may take long.",
    { "threads", "integer", "at most", default = "one per CPU", min = 0, max = 1024 },
    { "progress", "strata.Progress", "called now and then with what is done by then" },
  },
  -- ---- opening ------------------------------------------------------------------------------------------
  {
    "ChoiceOptions", "Which image of several is meant.",
    { "ref", "string", "tag or ID of the image" },
    { "platform", "string", '"linux/arm64/v8"', is = "platform" },
    { "digest", "string", "of the image's manifest" },
  },
  {
    "SourceOptions", "How a file is read.",
    { "prefer", '"docker"|"oci"', "when manifest.json and index.json of an archive disagree" },
    TEMP_DIR, LIMITS,
  },
  {
    "IndexOptions", "How all images of a file are opened. The progress is that of inflating a compressed archive.",
    extends = { "SourceOptions", "WorkOptions" }, REGISTRY,
    { "strict", "boolean", "refuse what readers differ about: see img:check", default = "false" },
  },
  { "OpenOptions", "Which image of a file is meant, and how it is read.",
    extends = { "ChoiceOptions", "IndexOptions" } },
  { "SelectorOptions", "Which images of an index are meant.",
    { "platform", "string", '"linux/arm64/v8"', is = "platform" } },
  { "ManifestOptions", "Which manifests of an index are meant: those that all of it fits.", noun = "field",
    extends = { "ChoiceOptions" },
    { "kind", '"image"|"attestation"|"artifact"|"index"' } },
  { "IndexAddOptions", "Where an image is added.",
    { "index", "string", "the name or the digest of the index that gets it", default = "the only one" },
    { "replace", "boolean", "an image for the same platform, or an entry of the same name, makes way",
      default = "false" },
    { "attestations", '"keep"|"drop"|"refuse"',
      "about the image, of where it came from; refuse: to leave one behind", default = "keep" } },
  { "IndexRemoveOptions", "What else goes.",
    { "optional", "boolean", "a choice that matches nothing is no error", default = "false" },
    { "attestations", '"keep"|"drop"|"refuse"',
      "about the removed manifests, in the same index; refuse: to remove an image that has one", default = "drop" } },
  { "GcOptions", "Of blobs that nothing names.",
    { "remove", "boolean", "they are removed, and not only listed", default = "false" }, LIMITS },
  { "IndexAnnotationOptions", "Which index has an annotation.",
    { "digest", "string", "of one that the index leads to, as img.index tells it", default = "the index itself" } },
  {
    "NewOptions", "Of an image without layers.",
    { "platform", "string", default = '"linux/amd64"', is = "platform" },
    { "created", "string", "a time of RFC 3339", default = '"1970-01-01T00:00:00Z"', is = "time" },
  },
  -- ---- looking ------------------------------------------------------------------------------------------
  {
    "TreeOptions", "What of a tree is drawn.",
    { "path", "string", "the directory to begin at", default = '"/"' },
    { "depth", "integer", "levels to draw", default = "64", min = 0 },
    { "width", "integer", "names of one directory to draw", default = "all", min = 0 },
    { "layers", "boolean", "say which layer each comes from", default = "false" },
  },
  { "ImageTreeOptions", "How the tree of an image is drawn.", extends = { "TreeOptions" }, VIEW },
  { "RootfsOptions", "How much of an image is merged.",
    { "upto", "integer", "the number of the last layer that counts", default = "the topmost", min = 0 },
    VIEW,
  },
  { "EntryJsonOptions", "What else is told of an entry.",
    { "digest", "boolean", "the SHA-256 of a file, which is read", default = "false" } },
  { "DigestOptions", "How files are hashed.", extends = { "WorkOptions" }, OPTIONAL },
  {
    "CheckOptions", "How far a check goes.",
    { "severity", '"error"|"warning"|"note"', "the least that is told",
      default = '"warning"; "note" with privileged' },
    { "second_reader", "boolean", "false: no comparison with libarchive's reading", default = "true" },
    { "privileged", "boolean", "also note devices and files with set-id bits", default = "false" },
    TEMP_DIR, LIMITS,
  },
  {
    "Policy", "The rules of a policy.", noun = "rule",
    { "setid", "strata.Paths|false", "where set-id files may be; false: anywhere", default = "nowhere" },
    { "capabilities", "strata.Paths|false", "the same for files with capabilities", default = "anywhere" },
    { "devices", "strata.Paths|false", "the same for device nodes", default = "nowhere" },
    { "secrets", "strata.PolicySecrets" },
    { "root_user", "boolean", "true: the image may run as root", default = "false" },
    { "lowest_efficiency", "number", "the least that the efficiency of img:waste may be", min = 0, max = 1 },
    { "highest_wasted_bytes", "integer", "the most that the total of img:waste may be", min = 0 },
    { "max_size", "integer", "bytes of the files of all layers", min = 0 },
    { "max_layers", "integer", min = 0 },
    { "denied_paths", "strata.Paths", "what may not be there; symlinks on the way to it are followed" },
    { "denied_packages", "string[]", "names, or globs of names, of packages that may not be installed" },
    { "base", "strata.Image|string|string[]",
      "an image whose layers have to be the lowest ones, or the chain_id of its topmost one; of several one is enough",
      is = "chain_id" },
    { "check", '"error"|"warning"|"note"|false', "what img:check finds of this severity, or worse, breaks the policy",
      default = "false" },
  },
  {
    "PolicySecrets", "What is a secret.", noun = "rule",
    { "paths", "strata.Paths", "also of files that upper layers hide" },
    { "env", "string[]", 'Lua patterns of "NAME=value" of variables, labels and annotations' },
    { "history", "string[]", "Lua patterns of created_by" },
  },
  -- ---- new layers ---------------------------------------------------------------------------------------
  {
    "MappingOptions",
    "What the layer is made of differs from what goes into it: place, owner, mode, time, and what is left out.",
    { "to", "string", "directory that everything goes into", is = "text" },
    { "owner", "strata.Owners|strata.OwnerFunction", "new users and groups" },
    { "mode", "strata.Modes|strata.ModeFunction", 'new modes, as numbers or as "0755"' },
    { "exclude", "strata.Which", "what is left out; a function gets the path, and strata.SourceStat",
      never = { files = true } },
    { "mtime", "number", "of all entries, in seconds; they lose atime and ctime" },
    { "clamp_mtime", "number", "the latest that an entry may have; all lose atime and ctime" },
    { "exact_mtime", "boolean", "keeps fractions of seconds, which else are cut off", default = "false",
      never = { files = true, tar = true } },
  },
  {
    "Owners", "New users and groups.", noun = "field",
    { "uid", "strata.IdMap" },
    { "gid", "strata.IdMap" },
  },
  {
    "NewLayerOptions", "What strata.layer and img:append share.", extends = { "MappingOptions", "WorkOptions" },
    { "dir", "string", "a directory, whose content goes into the layer", source = true },
    { "files", "table<string, string|strata.FileEntry>", "by path: the content, or all of the entry", source = true },
    { "tar", "string", "a path: plain, gzip, zstd, bzip2, xz or lz4; taken as it is, byte by byte, unless mapped",
      source = true },
    { "archive", "string", "a path: deb, rpm, cpio, zip, iso, tar ..., also compressed; 7z, xar, rar: see limits",
      source = true },
    { "compression", '"none"|"gzip"|"zstd"', "of the tar that is written; a tar that is taken keeps its own",
      default = "as the layer below, in an image with a manifest; none otherwise" },
    LEVEL, TEMP_DIR, LIMITS,
  },
  {
    "LayerOptions",
    "One source (dir; lower and upper; overlay_upper; files; tar; archive), and how it becomes a layer.",
    extends = { "NewLayerOptions" },
    { "lower", "string", "a directory, and", only = "upper" },
    { "upper", "string", "another one, which the layer makes of it", source = true },
    { "content", "boolean", "lower and upper: files that look the same are compared", default = "false",
      only = "upper" },
    { "overlay_upper", "string", "the upper directory of an overlay mount", source = true },
  },
  {
    "AppendOptions",
    "The same for img:append, where a layer can be taken as it is, and the history gets a row.",
    extends = { "NewLayerOptions" },
    { "layer", "strata.Layer", "of an image, or one without an image; keeps its bytes", source = true, any = true },
    { "at", "integer", "its number afterwards", default = "on top", min = 1, any = true },
    { "created_by", "string", default = '"strata append"', any = true },
    { "created", "string", "a time of RFC 3339", default = "the config's", any = true, is = "time" },
    { "comment", "string", any = true },
    { "author", "string", any = true },
  },
  {
    "FileEntry", "An entry of the option files.", noun = "field",
    { "type", '"file"|"dir"|"symlink"|"hardlink"|"char"|"block"|"fifo"', default = "file, or symlink with a linkpath" },
    { "content", "string" },
    { "mode", "integer|string", "of directories 0755", default = "0644", is = "mode", min = 0, max = 4095 },
    { "uid", "integer", default = "0", min = 0, max = MAX_ID },
    { "gid", "integer", default = "0", min = 0, max = MAX_ID },
    { "uname", "string", is = "text" },
    { "gname", "string", is = "text" },
    { "mtime", "number", "seconds", default = "0", min = -9e15, max = 9e15 },
    { "linkpath", "string", is = "text" },
    { "major", "integer", min = 0, max = 2097151 },
    { "minor", "integer", min = 0, max = 2097151 },
  },
  {
    "WantedFile", "What strata.assert wants of a file.", noun = "field",
    { "type", '"file"|"dir"|"symlink"|"hardlink"|"char"|"block"|"fifo"', 'with "symlink" it is not followed' },
    { "mode", "integer|string", is = "mode", min = 0, max = 4095 },
    { "uid", "integer", min = 0, max = MAX_ID },
    { "gid", "integer", min = 0, max = MAX_ID },
    { "size", "integer", "bytes" },
    { "content", "string", "all of it" },
    { "matches", "string", "a Lua pattern that the content has" },
    { "digest", "string", "the SHA-256 of the content", is = "digest" },
    { "linkpath", "string", "where a symlink leads to, as it says; it is not followed", is = "text" },
  },
  -- ---- operations ---------------------------------------------------------------------------------------
  { "SquashOptions", "Which layers become one.", extends = { "WorkOptions" },
    { "above", "strata.Image|integer", "the base, or its number of layers", required = true }, VIEW },
  {
    "SplitSize", "A layer is divided by size.",
    { "size", "integer", "bytes of plain tar that a part has at most, unless one file is larger", min = 1024 },
  },
  {
    "RechunkOptions", "Which layers become which chunks.", extends = { "WorkOptions" },
    { "chunks", "integer", "at most; the topmost has what belongs to nothing", default = "16", min = 2, max = 120 },
    { "by", '"package"|"directory"|fun(entry: strata.Entry): string?',
      "what lies together: files of a package, or of a directory; a function gives a name, nil for the topmost chunk",
      default = '"package"' },
    { "above", "strata.Image|integer", "the base, or its number of layers, which stay", default = "0", min = 0 },
    VIEW,
  },
  { "FlattenOptions", "How all layers become one.", extends = { "WorkOptions" }, VIEW },
  { "WasteOptions", "What counts as visible, and how much is told.", extends = { "WorkOptions" }, VIEW,
    { "why", "boolean", "false: no contents are compared, and the files have no `why` and `by`", default = "true" } },
  {
    "DiffOptions", "What of two images is compared.", extends = { "WorkOptions" },
    { "semantic", "boolean", "what a rebuild changes by itself is passed over: times, names of owners, which layer "
      .. "something is in, the order of entries", default = "false" },
    { "exclude", "strata.Paths", "paths that are not compared, with all below them" },
    VIEW,
    { "open", "strata.OpenOptions", "how images are opened that are given by path or reference" },
  },
  {
    "DiffReportOptions", "How a diff is told to people.",
    { "format", '"text"|"html"', "lines, or a page that needs nothing else", default = '"text"' },
    { "color", "boolean", "of the text, for a terminal", default = "false" },
  },
  {
    "RebaseOptions", "How an image gets another base.", extends = { "WorkOptions" },
    { "config", '"keep"|"inherit"', "inherit: what is unchanged from the old base comes from the new",
      default = "keep" },
    { "force", "boolean", "the new base may be for another platform", default = "false" },
  },
  {
    "NormalizeOptions", "What becomes the same in images that were built at other times, and on other machines.",
    extends = { "WorkOptions" },
    { "epoch", "integer|string", "later times become it: seconds since 1970, or a time of RFC 3339",
      default = "$SOURCE_DATE_EPOCH", min = 0, max = 253402300799, is = "time" },
    { "above", "strata.Image|integer", "the base, or its number of layers, which stay with their rows of the history",
      default = "0", min = 0 },
    { "owner", "strata.Owners|strata.OwnerFunction", "new users and groups" },
    { "numeric_owner", "boolean", "names of users and groups go: unpackers go by the numbers", default = "false" },
    { "xattrs", "string[]|false", 'names of extended attributes that stay, as "user.*"; false: none',
      default = "all stay" },
    { "sort", "boolean", "entries are put in the order of their paths", default = "false" },
  },
  { "FoldOptions", "How repeated entries are folded.", extends = { "WorkOptions" },
    { "prune", "boolean", "layers without entries are removed then", default = "false" } },
  {
    "RemoveOptions", "How paths are removed.", extends = { "WorkOptions" }, OPTIONAL,
  },
  {
    "PurgeOptions", "What else is purged.", extends = { "RemoveOptions" },
    { "history", "string", 'Lua pattern: what matches becomes "***" in created_by and comment' },
    { "env", "string", 'Lua pattern: variables whose "NAME=value" matches are removed' },
    { "labels", "string", 'Lua pattern: labels and annotations whose "name=value" matches are removed' },
    { "prove", "string|string[]", "bytes that must be nowhere in the end: not in a layer, not in a document",
      is = "bytes" },
  },
  {
    "RepairOptions", "How findings are mended.", extends = { "WorkOptions" },
    { "optional", "boolean", "what is named and cannot be mended is left, and told in the report", default = "false" },
    TEMP_DIR,
  },
  -- ---- writing ------------------------------------------------------------------------------------------
  { "ExportOptions", "How the merged file system is written.", extends = { "WorkOptions" }, PACKED, LEVEL,
    VIEW },
  { "RootExportOptions", "How much of a root file system is written, and how.", extends = { "WorkOptions" },
    { "which", "strata.Which", "what goes into the tar; a function gets a strata.RootEntry", default = "all" },
    OPTIONAL, PACKED, LEVEL },
  {
    "SaveOptions", "How images are written.", extends = { "WorkOptions" },
    { "format", '"docker"|"docker-legacy"|"oci"|"oci-archive"', default = "as it came" },
    { "compression", '"keep"|"gzip"|"zstd"|"none"', "of the layers; keep: untouched ones keep their bytes",
      default = "keep" },
    LEVEL,
    { "reproducible", "boolean", "compressed bytes do not depend on the machine: gzip by zlib", default = "false" },
    ATTESTATIONS,
    { "verify", "boolean", "false: what is copied is not hashed", default = "true" },
  },
  { "SaveImagesOptions", "How several images are written.", extends = { "SaveOptions" },
    { "index", "string", "all images become one index of this name, with the attestations about them; needs a layout",
      is = "reference" } },
  {
    "PushOptions", "How an image, or an index, goes to a registry.", extends = { "SaveOptions" },
    REGISTRY,
    { "tags", "string[]", "further tags" },
    { "expect", "string|false",
      "the digest that the tag has to have in the registry, of an index its own, false for none; else ESTALE",
      is = "digest" },
    { "exists", '"auto"|"check"|"never"',
      "whether a registry is asked if it has a blob before that is sent: auto for large ones", default = "auto" },
    { "referrers", "boolean", "an index goes with signatures and the like that are about it", default = "false" },
  },
  {
    "LayerSaveOptions", "How one layer is written.", extends = { "WorkOptions" },
    { "compression", '"keep"|"none"|"gzip"|"zstd"', "of the file; keep: as the layer is stored", default = "keep" },
    LEVEL,
    { "reproducible", "boolean", "compressed bytes do not depend on the machine: gzip by zlib", default = "false" },
  },
  { "PlanOptions", "What a save to a registry is asked that is not made.", extends = { "PushOptions" },
    { "to", "string", "a reference, whose present manifest is asked for" } },
  { "CopyOptions", "How an index and all that it leads to is copied, or with ref, digest or platform one image.",
    extends = { "ChoiceOptions", "SourceOptions", "SaveOptions" }, REGISTRY },
  { "CopyPushOptions", "The same to a registry.", extends = { "ChoiceOptions", "SourceOptions", "PushOptions" } },
  -- ---- artifacts ----------------------------------------------------------------------------------------
  {
    "ArtifactFile", "A file of an artifact, or its config.", noun = "field",
    { "content", "string", "this," },
    { "path", "string", "or a file of the host" },
    { "media_type", "string", default = '"application/octet-stream"', is = "media_type" },
    { "annotations", "table<string, string>", "of its descriptor" },
  },
  {
    "ArtifactOptions", "Of an artifact that is made.", extends = { "WorkOptions" },
    { "type", "string", "what it is", required = true, is = "media_type" },
    { "files", "table<string, string|strata.ArtifactFile>", "by name: the content, or all of the file" },
    { "subject", "strata.Image|strata.Artifact|table",
      "what it is about; a table, such as img.index, has media_type, digest and size" },
    { "annotations", "table<string, string>", "of the manifest" },
    { "config", "strata.ArtifactFile", default = "an empty object" },
    LIMITS,
  },
  { "ArtifactOpenOptions", "Which artifact is meant, and how it is read.", extends = { "SourceOptions", "WorkOptions" },
    REGISTRY,
    { "ref", "string", "its tag" },
    { "digest", "string", "of its manifest" } },
  { "ArtifactSaveOptions", "How an artifact is written.", extends = { "WorkOptions" }, REGISTRY,
    { "format", '"oci"|"oci-archive"', default = "as it is there; oci-archive" } },
  { "ReferrersOptions", "Which artifacts are listed.",
    { "type", "string", "only those of this type" } },
  { "IndexReferrersOptions", "Which artifacts are listed, and of which index.", extends = { "ReferrersOptions" },
    { "digest", "string", "of an index of the layout, as img.index tells it", default = "the index of a registry" } },
  -- ---- registries ---------------------------------------------------------------------------------------
  {
    "RegistryHostOptions", "How one registry is spoken to.",
    { "ca", "string", "a file of certificates that are trusted besides the system's" },
    { "cert", "string", "a file with the certificate of this client" },
    { "key", "string", "a file with its key" },
    { "insecure", "boolean", "certificates are not looked at", default = "false" },
    { "plain", "boolean", "true: http; false: https",
      default = "http for this machine, without ca, cert and insecure" },
    { "location", '"relative"', "of the address for an upload only path and query count: for broken proxies" },
    { "chunk_size", "integer", "bytes: larger blobs go up in chunks of it, for hosts that take no larger requests",
      default = "each in one request", min = 1 },
    { "any_address", "boolean", "it may have a link-local address", default = "false" },
  },
  {
    "MirrorOptions", "Another place that has what a registry has.",
    { "host", "string", "with the path before the names of repositories, if any: harbor.local/hub", required = true },
    { "resolve", "boolean", "it is asked what tags lead to as well, and believed", default = "false" },
    { "namespace", "boolean", "it stands for several registries, and is told which one is meant: ?ns=",
      default = "false" },
  },
  {
    "RegistryCredentials", "Who asks a registry: username and password, or one of the others.", noun = "field",
    { "username", "string", "with a password", secret = true },
    { "password", "string", secret = true },
    { "token", "string", "goes to the registry as it is", secret = true },
    { "identity", "string", "a refresh token, for token servers", secret = true },
  },
  {
    "RegistryOptions", "Of a client of registries.",
    { "credentials", 'table<string, strata.RegistryCredentials|false>|"docker"',
      'by host or host/namespace; false: none there; "docker": those in the files of podman and Docker',
      default = '"docker", and none inside nginx', secret = true },
    { "helpers", "boolean", "credential helpers that these files name are run", default = "false" },
    { "hosts", "table<string, strata.RegistryHostOptions>", "settings by host" },
    { "mirrors", "table<string, strata.MirrorOptions[]>",
      "by host of a registry: where layers and manifests are read before they are read there" },
    { "parallel", "integer", "requests at the same time", default = "4", min = 1, max = 64 },
    { "retries", "integer", "of what may pass: broken connections, 429, 5xx", default = "4", min = 0, max = 100 },
    { "max_wait", "number", "seconds that a registry may ask to be left alone", default = "120", min = 0, max = 86400 },
    { "connect_timeout", "number", "seconds", default = "10", min = 1, max = 3600 },
    { "stall_timeout", "number", "seconds without a byte", default = "60", min = 1, max = 86400 },
    { "proxy", "string", "the URL of a proxy; an empty string for none", default = "that of the environment" },
    { "allow_hosts", "string[]", "hosts with private addresses that a registry may name" },
    { "trusted", "string[]", "hosts that uploads go to with the credentials of the registry" },
    { "trusted_realms", "string[]", "hosts of token servers that get the credentials of the registry" },
    { "foreign", "boolean", "layers that the registry has not are fetched from the URLs in the manifest",
      default = "false" },
    { "system", "boolean", "certificates of /etc and proxies of the environment are used", default = "true" },
  },
  {
    "ExtractOptions",
    "How layers are applied to a directory. For overlayfs a hardlink to a file of a lower layer shares that file.",
    extends = { "WorkOptions" },
    { "mode", '"flat"|"overlay"', "one tree, or a directory per layer for overlayfs", default = "flat" },
    { "merge", "boolean", "the directory may have something in it", default = "false for an image, true for a layer" },
    KEEP_PARTIAL, UNPRIVILEGED, ROOTLESS,
    { "xattrs", '"trusted"|"user"', "overlay: the namespace of its marks", default = "trusted for root" },
    VIEW,
    LIMITS,
  },
  {
    "RootExtractOptions", "How files of a root file system are written into a directory.", extends = { "WorkOptions" },
    OPTIONAL, { "merge", "boolean", "the directory may have something in it", default = "false" },
    KEEP_PARTIAL, UNPRIVILEGED, ROOTLESS, LIMITS,
  },
  -- ---- streams ------------------------------------------------------------------------------------------
  {
    "StreamImageOptions", "What is done to an image that goes by.",
    extends = { "ChoiceOptions", "SourceOptions", "WorkOptions" },
    { "filter", "fun(entry: strata.Entry, layer: strata.StreamLayer): boolean", "false drops the entry" },
    { "rewrite", "fun(entry: strata.Entry, layer: strata.StreamLayer)", "assigns to its fields" },
    { "config", "fun(config: strata.Config)", "called once, when all layers have been seen" },
    { "tags", "string[]", "instead of those that the image has", is = "reference" },
    { "compression", '"keep"|"none"|"gzip"|"zstd"', "of the stream as a whole", default = "keep" },
    LEVEL, ATTESTATIONS,
    { "wait", "fun()", "called again and again while threads work, instead of blocking; it may yield" },
  },
  {
    "StreamTarOptions", "How a tar is parsed.",
    { "data", "boolean", "false: no events for content", default = "true" },
    { "compression", '"auto"|"none"|"gzip"|"zstd"', default = "auto" },
    LIMITS,
  },
  -- ---- jobs ---------------------------------------------------------------------------------------------
  {
    "JobControl", "How long a job may take, and how much.",
    { "deadline", "number", 'seconds of the monotonic clock after which it gives up: "ETIMEDOUT"' },
    { "shared", "string", "name of a shared dictionary of nginx" },
    { "key", "string", 'once that has this key, the job gives up: "ECANCELED"' },
    { "threads", "integer", "that the job may use", default = "one per CPU", min = 0, max = 1024 },
  },
  { "PathArguments", "What all jobs take.", { "path", "string", "of the image", required = true } },
  { "JobArguments", "Which image is meant.", extends = { "PathArguments" }, { "open", "strata.OpenOptions" },
    { "registry", "strata.RegistryOptions", "of the client, where path or to is a reference of a registry" } },
  { "LookArguments", "How an image is looked at.", extends = { "JobArguments" },
    { "keep", "boolean", "the image stays open for later jobs; false is for a file that is removed after this one",
      default = "true" } },
  {
    "PageArguments", "Which part of a list is wanted.", extends = { "LookArguments" },
    { "offset", "integer", "entries to pass over", default = "0" },
    { "limit", "integer", "at most 1000", default = "1000" },
  },
  { "EntriesArguments", "Which entries are wanted.", extends = { "PageArguments" },
    { "layer", "integer", required = true } },
  {
    "ListArguments", "Which directory is wanted.", extends = { "PageArguments" },
    { "dir", "string", default = '"/"' },
    { "layer", "integer", "of this layer alone, whiteouts included" },
  },
  { "ReadArguments", "Which file is wanted.", extends = { "LookArguments" },
    FILE, { "max", "integer", "bytes of content", default = "65536", min = 0 } },
  { "FetchArguments", "Which file is wanted, and where.", extends = { "LookArguments" },
    FILE, { "to", "string", "a path that nothing has yet", required = true } },
  {
    "SaveArguments", "Where an image goes, and how.", extends = { "JobArguments" },
    { "to", "string", "a path or a reference", required = true },
    { "save", "strata.PushOptions", "of a registry, or those of strata.SaveOptions" },
  },
  { "EditArguments", "What is done to an image, and where it goes.", extends = { "SaveArguments" },
    { "edit", "strata.EditTable" } },
  { "CheckArguments", "What is checked.", extends = { "LookArguments" }, { "policy", "strata.Policy" } },
  {
    "EditTable", "What is done to an image, in the order of the fields.",
    { "remove", "strata.Paths", "what goes, as img:remove" },
    { "optional", "boolean", "what matches nothing is no error", default = "false" },
    { "owner", "integer[][]", "pairs of an old and a new user, for groups as well" },
    { "env", "table<string, string|false>", "false: unset" },
    { "labels", "table<string, string|false>", "false: removed" },
    { "config", "table<string, any>", 'keys of the config, as config.User = "1000"; false deletes' },
    { "tags", "string[]", "instead of those that the image has" },
    { "flatten", "boolean" },
    { "normalize", "strata.NormalizeOptions", "last but for the module, as img:normalize" },
    { "module", "string", "name of a Lua module that returns function(img, args): it edits the image" },
    { "args", "table", "for that" },
  },
  {
    "RestyOptions", "What the gate is made with.",
    { "pool", "string", "of nginx's thread_pool directive", required = true },
    { "threads", "integer", "of that pool; each worker process has so many", required = true, min = 1 },
    { "job_threads", "integer", "that one job may use besides, to leave CPUs to requests", default = "1", min = 0,
      max = 1024 },
    { "queue", "integer", 'jobs that may wait in one worker process; more are refused: "EBUSY"', default = "32",
      min = 0 },
    { "wait", "number", 'seconds that a job may wait for a thread: "EBUSY"', default = "10", min = 0 },
    { "deadline", "number", 'seconds that a job may take, waiting included: "ETIMEDOUT"', default = "300", min = 0 },
    { "shared", "string", "name of a lua_shared_dict, by which jobs are canceled" },
    { "temp_dir", "string", "for the files of temp()", default = "/tmp" },
  },
  {
    "RunOptions", "How a job is run.",
    { "deadline", "number", "seconds", default = "that of the gate" },
    { "detached", "boolean", "goes on when the client has gone", default = "false" },
  },
}
