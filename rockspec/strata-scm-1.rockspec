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
}

-- Names without extension. `make lint` compares them with the tree.
local core = [[
	apply/apply apply/content apply/dir apply/entry apply/layer_set apply/meta apply/overlay
	apply/overlay_copy apply/overlay_lookup apply/remove apply/whiteout apply/xattr base/buf
	base/digest base/err codec/codec codec/deflate_isal codec/deflate_zlib codec/gzip_decode
	codec/gzip_encode codec/inflate codec/segment codec/zstd_decode codec/zstd_encode fs/dir
	fs/file fs/host_tree fs/output fs/resolve fs/stdio fs/temp_names fs/undo job/job job/pool
	job/task json/edit json/find json/scan json/string json/style layer/assemble
	layer/blob_reader layer/blob_writer layer/index layer/index_find layer/index_read
	layer/path layer/plan layer/plan_write tar/decode tar/header tar/parse tar/patch tar/pax
	tar/sparse tar/write tree/merge tree/nodes tree/walk
]]
local binding = [[
	apply assemble binding digest dir entry entry_get entry_set file host host_tree index job
	json limits module object push_deflate push_digest push_inflate push_tar stdio tar tree
	xattr
]]
local archive = [[contents decompress module tar_reader]]
local facade = [[
	append check choose composing config contents detached difference digests directory disk
	extract files fold fold_apply glob help history image index inspect jobs json layer
	layer_source layer_tar layer_tree layers limits links listing manifest mapping media
	members object operations options platform policy product progress provenance purge rebase
	rebase_config rebase_history rendition resty result root_entry root_file rootfs save
	schema source stream tags target tree union waste whiteout work check/base64
	check/documents check/entries check/report check/tar dialect/assemble dialect/docker
	dialect/docker_edit dialect/docker_legacy dialect/docker_v1 dialect/edits dialect/gojson
	dialect/hybrid dialect/layout dialect/oci dialect/oci_changes dialect/oci_edit
	dialect/oci_names dialect/oci_save dialect/oci_source dialect/tarball dialect/v1
	dialect/v1_image meta/append meta/archive meta/check meta/common meta/config meta/entry
	meta/extract meta/history meta/image meta/index meta/jobs meta/layer meta/limits
	meta/open meta/operations meta/platform meta/policy meta/resty meta/resty_gate
	meta/root_entry meta/root_file meta/rootfs meta/save meta/strata meta/stream
	meta/tar_stream meta/waste stream/ending stream/hasher stream/image stream/input
	stream/layer stream/members stream/output stream/spool stream/tar
]]

-- Adds the paths of named C files to a list.
local function sources(list, directory, names)
	for name in names:gmatch("%S+") do
		list[#list + 1] = directory .. name .. ".c"
	end
	return list
end

local modules = { ["strata"] = "lua/strata/init.lua" }
for name in facade:gmatch("%S+") do
	modules["strata." .. name:gsub("/", ".")] = "lua/strata/" .. name .. ".lua"
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

build = {
	type = "builtin",
	modules = modules,
}
