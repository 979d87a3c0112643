rockspec_format = "3.0"
package = "strata"
version = "scm-1"
source = {
	url = "git+https://github.com/strata-lua/strata",
	branch = "main",
}
description = {
	summary = "Surgery on container images: open, look inside, edit, rebase, check, save",
	detailed = [[
strata opens container images, from files of docker save, OCI layouts and registries, edits their layers and their
config, and saves them again, without a daemon and without unpacking. What is not touched stays byte for byte as it was.

Built by GNU make, a C11 compiler and pkg-config. OpenSSL, zlib, libzstd and libarchive are needed; ISA-L is used for
gzip where pkg-config finds it, and libcurl 7.87 or later for registries.]],
	homepage = "https://github.com/strata-lua/strata",
	issues_url = "https://github.com/strata-lua/strata/issues",
	license = "MIT",
	labels = { "container", "docker", "oci", "tar" },
}
supported_platforms = { "linux" }
dependencies = {
	"lua >= 5.1, < 5.5",
	"lua-cjson",
	"argparse", -- for the command alone
}
external_dependencies = {
	CRYPTO = { header = "openssl/evp.h", library = "crypto" },
	ZLIB = { header = "zlib.h", library = "z" },
	ZSTD = { header = "zstd.h", library = "zstd" },
	ARCHIVE = { header = "archive.h", library = "archive" },
}

-- The Makefile knows the sources, and finds the libraries that are optional.
build = {
	type = "make",
	build_target = "build",
	variables = {
		CFLAGS = "$(CFLAGS)",
		LUA_INCDIR = "$(LUA_INCDIR)",
	},
	install_variables = {
		PREFIX = "$(PREFIX)",
		LUA_LIBDIR = "$(LIBDIR)",
		LUA_SHAREDIR = "$(LUADIR)",
		LUA = "$(LUA)",
		STAGED = "yes",
	},
}
