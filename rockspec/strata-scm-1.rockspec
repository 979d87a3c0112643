rockspec_format = "3.0"
package = "strata"
version = "scm-1"
source = {
	url = "git+file://.", -- `luarocks make` in a checkout; nothing is fetched
}
description = {
	summary = "Surgery on container images: open, look inside, filter, rewrite, save",
	detailed = [[
strata opens image files (docker save archives), filters and rewrites their layers
and their config, and saves them again, with no daemon and no registry. What is not
touched stays byte for byte as it was.]],
	license = "MIT",
	labels = { "container", "docker", "oci", "tar" },
}
supported_platforms = { "linux" }
dependencies = {
	"lua >= 5.1, < 5.5",
	"lua-cjson",
}
external_dependencies = {
	CRYPTO = { header = "openssl/evp.h", library = "crypto" },
	ZLIB = { header = "zlib.h", library = "z" },
	ZSTD = { header = "zstd.h", library = "zstd" },
	ISAL = { header = "isa-l/igzip_lib.h", library = "isal" },
	ARCHIVE = { header = "archive.h", library = "archive" },
	CURL = { library = "curl" },
}

-- Names without extension. `make lint` compares them with the tree;
-- `lua5.4 .ci/rockspec.lua rockspec/strata-scm-1.rockspec --write` lists the Lua modules anew.
local core = [[
	apply/apply apply/content apply/dir apply/entry apply/layer_set apply/links apply/meta
	apply/modes apply/overlay apply/overlay_plan apply/own apply/remove apply/report
	apply/target apply/whiteout apply/whiteout_late apply/xattr base/buf base/digest base/err
	base/grow codec/codec codec/deflate_isal codec/deflate_zlib codec/gzip_decode
	codec/gzip_encode codec/segment codec/zstd_decode codec/zstd_encode fs/dir fs/file
	fs/host_tree fs/output fs/resolve fs/stdio job/job job/pool job/task json/edit json/find
	json/scan json/string json/style layer/assembly layer/blob_reader layer/blob_writer
	layer/index layer/index_find layer/index_read layer/path layer/plan layer/plan_write layer/checkpoint
	tar/decode tar/header tar/parse tar/patch tar/pax tar/sparse tar/whiteout tar/write
	tar/xattr tree/compare tree/merge tree/nodes tree/overlay tree/walk
]]
local binding = [[
	apply assembly binding digest dir entry entry_get entry_set file host host_tree index job
	checkpoint json limits module object push_deflate push_digest push_inflate push_tar stdio tar tree
	xattr
]]
local archive = [[
	contents decompress dictionary module source tar_reader
]]
local http = [[
	client exchange guard lua_exchange lua_pipe module pipe transfer
]]
local facade = [[
	artifact check/attributes check/blobs check/config_types check/documents check/entries
	check/findings check/init check/report check/stack check/tar check/unpacking config
	dialect/archive_edits dialect/choose dialect/detect dialect/docker/edit
	dialect/docker/edit_index dialect/docker/edit_layers dialect/docker/edit_v1_json
	dialect/docker/hybrid dialect/docker/parents dialect/docker/read dialect/docker/write_legacy
	dialect/docker_v1/document dialect/docker_v1/gojson dialect/docker_v1/read dialect/new_archive
	dialect/new_layout dialect/oci/candidates dialect/oci/catalog dialect/oci/changes
	dialect/oci/companions dialect/oci/descriptor dialect/oci/directory dialect/oci/edit
	dialect/oci/garbage dialect/oci/image dialect/oci/index_annotations dialect/oci/index_edits
	dialect/oci/names dialect/oci/transfer diff/documents diff/files diff/init diff/layers
	diff/report diff/sides diff/words document/annotations document/config_schema document/inspect
	document/manifest document/media_types document/platform document/reference document/scrub
	document/time edit/annotations edit/append edit/dedup edit/entries edit/export edit/init
	edit/layer_list edit/merge_tar edit/normalize/documents edit/normalize/entries
	edit/normalize/init edit/normalize/order edit/parts edit/purge edit/rebase/config
	edit/rebase/history edit/rebase/init edit/rechunk/init edit/rechunk/packages edit/remove
	edit/scrub edit/split edit/squash history image index init jobs layer layer/edit_entries
	layer/entry layer/extract layer/fetch layer/growing_tree layer/metadata
	layer/needless_whiteouts layer/new/from_archive layer/new/from_difference
	layer/new/from_directory layer/new/from_files layer/new/init layer/new/mapping
	layer/new/tar_writer layer/save layer/standalone layer/stranded_links layer/transaction
	meta/append meta/archive meta/artifact meta/check meta/common meta/config meta/diff meta/entry
	meta/extract meta/history meta/image meta/index meta/jobs meta/layer meta/operations
	meta/options meta/platform meta/policy meta/registry meta/resty meta/resty_gate meta/root_entry
	meta/root_file meta/rootfs meta/save meta/strata meta/stream meta/tar_stream meta/waste policy
	registry/auth registry/blobs registry/chunks registry/client registry/credential_files
	registry/credential_helper registry/credentials registry/errors registry/flow registry/headers
	registry/hosts registry/init registry/manifests registry/places registry/push
	registry/referrers registry/session registry/tags registry/uploads registry/url
	repair/documents repair/entries repair/init repair/same repair/tar resty rootfs save/artifact
	save/elsewhere save/image save/init save/layer save/lost save/registry save/registry_index
	save/result save/target store/archive store/directory store/file_list store/open store/output
	store/remote stream stream/classify stream/finish stream/hasher stream/image stream/input
	stream/layer stream/output stream/spool stream/tar tree/above tree/chosen_paths tree/digests
	tree/draw tree/efficiency tree/entry tree/entry_json tree/file tree/glob tree/layer_listing
	tree/merge tree/packages tree/path_history util/address util/argument util/base64 util/choice
	util/digests util/fail util/frozen util/glob util/help util/help_text util/job util/json
	util/limits util/misuse util/mode util/object util/option_table util/options util/path
	util/printed util/progress util/protect util/spelling waste
]]

-- Adds the paths of named C files to a list.
local function sources(list, directory, names)
	for name in names:gmatch("%S+") do
		list[#list + 1] = directory .. name .. ".c"
	end
	return list
end

local modules = {}
for name in facade:gmatch("%S+") do
	local path = "lua/strata/" .. name .. ".lua"
	modules[path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")] = path
end
modules["strata.core"] = {
	sources = sources(sources({}, "src/core/", core), "src/lua/", binding),
	defines = { "_GNU_SOURCE", "STRATA_WITH_ISAL" },
	libraries = { "crypto", "z", "zstd", "isal", "pthread" },
	incdirs = { "src", "$(CRYPTO_INCDIR)", "$(ZLIB_INCDIR)", "$(ZSTD_INCDIR)", "$(ISAL_INCDIR)" },
	libdirs = { "$(CRYPTO_LIBDIR)", "$(ZLIB_LIBDIR)", "$(ZSTD_LIBDIR)", "$(ISAL_LIBDIR)" },
}
modules["strata.archive"] = {
	sources = sources(
		{ "src/lua/binding.c", "src/core/base/err.c", "src/core/base/buf.c", "src/core/base/digest.c" },
		"src/archive/",
		archive
	),
	defines = { "_GNU_SOURCE" },
	libraries = { "archive", "crypto" },
	incdirs = { "src", "$(ARCHIVE_INCDIR)", "$(CRYPTO_INCDIR)" },
	libdirs = { "$(ARCHIVE_LIBDIR)", "$(CRYPTO_LIBDIR)" },
}
modules["strata.http"] = {
	sources = sources(
		{ "src/lua/binding.c", "src/core/base/err.c", "src/core/base/buf.c", "src/core/base/digest.c" },
		"src/http/",
		http
	),
	defines = { "_GNU_SOURCE" },
	libraries = { "curl", "crypto", "pthread" },
	incdirs = { "src", "$(CRYPTO_INCDIR)" },
	libdirs = { "$(CURL_LIBDIR)", "$(CRYPTO_LIBDIR)" },
}

build = {
	type = "builtin",
	modules = modules,
}
