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

-- Names without directory and extension. `make lint` compares them with the tree;
-- `lua5.4 .ci/rockspec.lua rockspec/strata-scm-1.rockspec --write` lists the Lua modules anew.
local core = [[
	apply apply_content apply_copy apply_dir apply_entry apply_meta apply_overlay
	apply_remove apply_seen apply_union apply_whiteout apply_xattr beneath buf codec
	codec_gzip_decode codec_gzip_encode codec_gzip_isal codec_gzip_zlib codec_zstd
	codec_zstd_encode compose content crew digest dir disk edit err file index inflate job
	journal json_edit json_find json_scan json_string json_style lookup pack path publish
	rewrite sink spool stale stream tar_decode tar_header tar_parse tar_patch tar_pax
	tar_sparse tar_write task tree tree_apply tree_walk
]]
local binding = [[
	binding entry_get entry_set limits lua_apply lua_compose lua_digest lua_dir lua_disk
	lua_entry lua_file lua_host lua_index lua_job lua_json lua_object lua_spool
	lua_stream_deflate lua_stream_digest lua_stream_inflate lua_stream_tar lua_tar lua_tree
	module xattr
]]
local archive = [[archive contents decompress tar_reader]]
local facade = [[
	check/base64 check/documents check/entries check/init check/report check/tar config
	dialect/archive_edits dialect/choose dialect/detect dialect/docker/edit
	dialect/docker/edit_index dialect/docker/edit_v1_json dialect/docker/hybrid
	dialect/docker/read dialect/docker/write_legacy dialect/docker_v1/document
	dialect/docker_v1/gojson dialect/docker_v1/read dialect/new_archive dialect/new_layout
	dialect/oci/candidates dialect/oci/catalog dialect/oci/changes dialect/oci/directory
	dialect/oci/edit dialect/oci/names document/config_schema document/manifest
	document/media_types document/platform document/reference edit/append edit/dedup
	edit/layer_list edit/merge_tar edit/methods edit/purge edit/rebase/config
	edit/rebase/history edit/rebase/init history image index init inspect jobs layer
	layer/extract layer/metadata layer/needless_whiteouts layer/new/from_archive
	layer/new/from_difference layer/new/from_directory layer/new/from_files layer/new/init
	layer/new/mapping layer/new/tar_writer layer/standalone layer/stranded_links meta/append
	meta/archive meta/check meta/common meta/config meta/entry meta/extract meta/history
	meta/image meta/index meta/jobs meta/layer meta/limits meta/open meta/operations
	meta/platform meta/policy meta/resty meta/resty_gate meta/root_entry meta/root_file
	meta/rootfs meta/save meta/strata meta/stream meta/tar_stream meta/waste policy resty rootfs
	save/image save/init save/layer save/result store/archive store/directory store/file_list
	store/open store/output stream stream/classify stream/finish stream/hasher stream/image
	stream/input stream/layer stream/output stream/spool stream/tar tree/draw tree/entry
	tree/file tree/glob tree/layer_listing tree/merge tree/path_history util/digests util/glob
	util/help util/job util/json util/limits util/object util/options util/progress waste
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
	incdirs = { "$(CRYPTO_INCDIR)", "$(ZLIB_INCDIR)", "$(ZSTD_INCDIR)", "$(ISAL_INCDIR)" },
	libdirs = { "$(CRYPTO_LIBDIR)", "$(ZLIB_LIBDIR)", "$(ZSTD_LIBDIR)", "$(ISAL_LIBDIR)" },
}
modules["strata.archive"] = {
	sources = sources(
		{ "src/lua/binding.c", "src/core/err.c", "src/core/buf.c", "src/core/digest.c" },
		"src/archive/",
		archive
	),
	defines = { "_GNU_SOURCE" },
	libraries = { "archive", "crypto" },
	incdirs = { "$(ARCHIVE_INCDIR)", "$(CRYPTO_INCDIR)" },
	libdirs = { "$(ARCHIVE_LIBDIR)", "$(CRYPTO_LIBDIR)" },
}

build = {
	type = "builtin",
	modules = modules,
}
