# `make` alone lists what can be done. Everything that is built stands in build/.

BUILD      := build
PREFIX     ?= /usr/local
CFLAGS     ?= -O2 -g
PKG_CONFIG := pkg-config
LUA        := lua5.4
IMAGE      :=

MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.SUFFIXES:

help:
	@echo 'make TARGET [VARIABLE=value ...]'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
	while IFS='|' read -r target text; do printf '  %-11s %s\n' "$$target" "$$text"; done
	@echo
	@echo '  IMAGE=FILE      the image that demo works on'
	@echo '  SECONDS=N       how long fuzz runs each target ($(SECONDS))'
	@echo '  PREFIX, DESTDIR where install puts things ($(PREFIX)); LUA_LIBDIR and LUA_SHAREDIR for the modules alone'
	@echo '  LUA_VERSIONS    the Lua versions to build for ($(or $(LUA_VERSIONS),none found))'
	@echo '  LUA_INCDIR      the headers of one Lua, where pkg-config does not know it; LUAJIT_DIR those of OpenResty'
	@echo '  V=1             show the commands'
	@echo '  WITHOUT_ISAL=1  do without ISA-L where it is installed, and WITHOUT_LIBDEFLATE=1 without libdeflate'

# What the machine has

exists = $(shell $(PKG_CONFIG) --exists '$(1)' 2>/dev/null && echo yes)
pkg    = $(shell $(PKG_CONFIG) $(1) 2>/dev/null)

# Lua's package in pkg-config is named differently by each distribution. "lua" counts for the version that it is,
# and LuaJIT for 5.1. LUA_INCDIR or LUA_CFLAGS name one Lua, whose header tells its version.
LUAJIT_DIR ?= /usr/local/openresty/luajit
ifneq ($(strip $(LUA_INCDIR)$(LUA_CFLAGS)),)
LUA_CFLAGS ?= -I$(LUA_INCDIR)
LUA_VERSIONS := $(shell echo LUA_VERSION_NUM | $(CC) $(LUA_CFLAGS) -include lua.h -E -P - 2>/dev/null | \
	sed -n '$$s/^\([0-9]\)0\([0-9]\)$$/\1.\2/p')
lua_cflags = $(LUA_CFLAGS)
else
lua_package = $(or $(shell for name in lua$1 lua-$1 lua$(subst .,,$1) lua; do \
	case $$($(PKG_CONFIG) --modversion $$name 2>/dev/null) in ($1|$1.*) echo $$name; break;; esac; done), \
	$(if $(filter 5.1,$1),$(if $(call exists,luajit),luajit)))
LUAJIT_INCDIR := $(firstword $(wildcard $(LUAJIT_DIR)/include/luajit-2*))
$(foreach v,5.1 5.2 5.3 5.4,$(eval LUA_PACKAGE_$v := $(call lua_package,$v)))
LUA_VERSIONS := $(strip $(foreach v,5.1 5.2 5.3 5.4,$(if $(or $(LUA_PACKAGE_$v),$(and $(filter 5.1,$v),$(LUAJIT_INCDIR))),$v)))
lua_cflags = $(if $(LUA_PACKAGE_$1),$(call pkg,--cflags $(LUA_PACKAGE_$1)),$(if $(filter 5.1,$1),$(addprefix -I,$(LUAJIT_INCDIR))))
LUA_LIBS = $(call pkg,--libs $(LUA_PACKAGE_$(LATEST)))
endif

CORE_PKGS    := libcrypto zlib libzstd
ARCHIVE_PKGS := libarchive libcrypto
HTTP_PKGS    := $(if $(call exists,libcurl >= 7.87.0),libcurl libcrypto) # none: no strata.http
ifndef WITHOUT_ISAL
ifneq ($(call exists,libisal),)
CORE_PKGS += libisal
DEFINES   += -DSTRATA_WITH_ISAL
endif
endif
ifndef WITHOUT_LIBDEFLATE
ifneq ($(call exists,libdeflate),)
CORE_PKGS += libdeflate
DEFINES   += -DSTRATA_WITH_LIBDEFLATE
endif
endif
VERSION := $(shell sed -n 's/^\#define STRATA_VERSION "\(.*\)"/\1/p' src/lua/module.c)
ifeq ($(origin VERSION),command line)
DEFINES += -DSTRATA_VERSION='"$(VERSION)"'
endif

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla \
	-Wformat=2 -Wcast-qual -Wpointer-arith -Wwrite-strings -Wimplicit-fallthrough \
	-Wconversion -Wsign-conversion -Wdouble-promotion -Wnull-dereference -Wcast-align \
	-Wredundant-decls -Wold-style-definition
# What only one compiler knows, or only on some machines.
supported = $(shell $(CC) -Werror $(1) -x c -fsyntax-only /dev/null 2>/dev/null && echo '$(1)')
WARNINGS += $(foreach w,-Wlogical-op -Wduplicated-cond -Wduplicated-branches,$(call supported,$w))

HARDENING := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong \
	$(foreach h,-fstack-clash-protection -fcf-protection,$(call supported,$h))
HARDENING_LINK := -Wl,-z,relro,-z,now,-z,noexecstack

PKGS         := $(CORE_PKGS) $(ARCHIVE_PKGS) $(HTTP_PKGS)
PKG_CFLAGS   := $(call pkg,--cflags $(PKGS))
CORE_LIBS    := $(call pkg,--libs $(CORE_PKGS))
ARCHIVE_LIBS := $(call pkg,--libs $(ARCHIVE_PKGS))
HTTP_LIBS    := $(call pkg,--libs $(HTTP_PKGS))
ALL_CFLAGS   = -std=c11 -D_GNU_SOURCE -Isrc -fPIC -fvisibility=hidden -pthread $(WARNINGS) $(HARDENING) $(DEFINES) \
	$(PKG_CFLAGS) $(CPPFLAGS) $(CFLAGS)
SAY          = $(if $(V),,$(if $(QUIET),@,@echo '  $@' && ))
COMPILE      = $(CC) $(ALL_CFLAGS) -MMD -MP
LINK_MODULE  = $(CC) $(ALL_CFLAGS) $(HARDENING_LINK) $(LDFLAGS) -shared -Wl,--version-script=src/strata.map

# What there is to build. The core knows no Lua: it is compiled once and linked into each module.
# Lua's own symbols come from the program that loads the module, so nothing links liblua.

CORE_OBJS    := $(patsubst src/%.c,$(BUILD)/%.o,$(wildcard src/core/*/*.c))
LUA_SRCS     := $(wildcard src/lua/*.c)
ARCHIVE_SRCS := $(wildcard src/archive/*.c)
HTTP_SRCS    := $(if $(HTTP_PKGS),$(wildcard src/http/*.c))
HTTP_BINDING := $(filter %/module.c src/http/lua_%.c,$(HTTP_SRCS))
HTTP_OBJS    := $(patsubst src/%.c,$(BUILD)/%.o,$(filter-out $(HTTP_BINDING),$(HTTP_SRCS)))
CTEST_SRCS   := $(wildcard spec/c/*/*_test.c)
ifeq ($(HTTP_SRCS),)
CTEST_SRCS   := $(filter-out spec/c/http/%,$(CTEST_SRCS))
endif
CTESTS       := $(patsubst %.c,$(BUILD)/c/%,$(notdir $(CTEST_SRCS)))
MODULES      := $(foreach v,$(LUA_VERSIONS),$(BUILD)/lua$v/strata/core.so $(BUILD)/lua$v/strata/terminal.so \
	$(if $(ARCHIVE_SRCS),$(BUILD)/lua$v/strata/archive.so) \
	$(if $(HTTP_SRCS),$(BUILD)/lua$v/strata/http.so))

build: $(BUILD)/flags $(MODULES) ## compile the modules for every Lua version found

# Changes when a flag does, so that everything is compiled again; checks what is needed first.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@set --; for program in $(firstword $(CC)) $(PKG_CONFIG); do \
		command -v $$program >/dev/null || set -- "$$@" $$program; done; \
	for package in $(PKGS); do $(PKG_CONFIG) --exists $$package 2>/dev/null || set -- "$$@" "$$package.pc"; done; \
	[ -n "$(LUA_VERSIONS)" ] || set -- "$$@" 'the headers of a Lua from 5.1 to 5.4'; \
	[ $$# -eq 0 ] || { printf 'missing: %s\n' "$$@"; \
	echo 'make deps installs what is missing (Debian), or says what to install (elsewhere).'; exit 1; } >&2
	@echo '$(subst ','\'',$(COMPILE) $(LDFLAGS) $(CORE_LIBS) $(ARCHIVE_LIBS) $(HTTP_LIBS))' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(BUILD)/core/%.o: src/core/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)$(COMPILE) -c -o $@ $<

$(BUILD)/http/%.o: src/http/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)$(COMPILE) -c -o $@ $<

vpath %_test.c $(sort $(dir $(CTEST_SRCS)))

$(BUILD)/c/%: %.c $(CORE_OBJS) $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)$(COMPILE) -Ispec -Ispec/c -MF $@.d -MT $@ $(LDFLAGS) -o $@ $< $(CORE_OBJS) $(CORE_LIBS) $(LDLIBS)

# Tests of src/http, whose names begin so.
$(BUILD)/c/http_%: private CORE_OBJS += $(HTTP_OBJS)
$(BUILD)/c/http_%: private CORE_LIBS += $(HTTP_LIBS)
$(patsubst %.c,$(BUILD)/c/%,$(notdir $(filter spec/c/http/%,$(CTEST_SRCS)))): $(HTTP_OBJS)

# Tests that embed Lua; what they load finds Lua's symbols in them.
LATEST := $(lastword $(LUA_VERSIONS))
$(BUILD)/c/%_lua_test: private CORE_OBJS :=
$(BUILD)/c/%_lua_test: private CORE_LIBS := $(LUA_LIBS) -rdynamic
$(BUILD)/c/%_lua_test: private ALL_CFLAGS += $(call lua_cflags,$(LATEST))

# $(call for_lua,VERSION): 5.1 is also what LuaJIT loads.
define for_lua
$(BUILD)/lua$1/obj/%.o: src/%.c $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(SAY)$$(COMPILE) $(call lua_cflags,$1) -c -o $$@ $$<

$(BUILD)/lua$1/strata/core.so: $(LUA_SRCS:src/%.c=$(BUILD)/lua$1/obj/%.o) $(CORE_OBJS) src/strata.map
	@mkdir -p $$(@D)
	$$(SAY)$$(LINK_MODULE) -o $$@ $$(filter %.o,$$^) $(CORE_LIBS) $$(LDLIBS)

$(BUILD)/lua$1/strata/archive.so: $(ARCHIVE_SRCS:src/%.c=$(BUILD)/lua$1/obj/%.o) \
		$(BUILD)/lua$1/obj/lua/binding.o $(addprefix $(BUILD)/core/base/,err.o buf.o digest.o) src/strata.map
	@mkdir -p $$(@D)
	$$(SAY)$$(LINK_MODULE) -o $$@ $$(filter %.o,$$^) $(ARCHIVE_LIBS) $$(LDLIBS)

$(BUILD)/lua$1/strata/terminal.so: $(BUILD)/lua$1/obj/terminal/module.o src/strata.map
	@mkdir -p $$(@D)
	$$(SAY)$$(LINK_MODULE) -o $$@ $$(filter %.o,$$^) $$(LDLIBS)

# Stays loaded: a thread of libcurl that resolves a name may outlive the client that began it.
$(BUILD)/lua$1/strata/http.so: $(HTTP_BINDING:src/%.c=$(BUILD)/lua$1/obj/%.o) $(HTTP_OBJS) \
		$(BUILD)/lua$1/obj/lua/binding.o $(addprefix $(BUILD)/core/base/,err.o buf.o digest.o) src/strata.map
	@mkdir -p $$(@D)
	$$(SAY)$$(LINK_MODULE) -Wl,-z,nodelete -o $$@ $$(filter %.o,$$^) $(HTTP_LIBS) $$(LDLIBS)
endef
$(foreach v,$(LUA_VERSIONS),$(eval $(call for_lua,$v)))

-include $(wildcard $(addprefix $(BUILD)/,core/*/*.d http/*.d c/*.d bin/*.d lua*/obj/*/*.d))

# Trying it out

RUN_LUA = LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' LUA_CPATH='./$(BUILD)/lua5.4/?.so;;' $(LUA)

demo: ## install what is missing, build for one Lua, operate on an image
	@.ci/deps build $(if $(IMAGE),,demo)
	@$(MAKE) one-lua

JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(or $(shell nproc),2))

# With what demo has installed.
one-lua:
	@echo 'building for Lua $(LATEST), which takes about half a minute'
	@$(MAKE) $(JOBS) build QUIET=1 LUA_VERSIONS=$(LATEST)
	@LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' LUA_CPATH='./$(BUILD)/lua$(LATEST)/?.so;;' \
		$(firstword $(shell command -v lua$(LATEST) lua luajit)) examples/demo.lua $(IMAGE)
	@printf '\n=== %s\n\n' 'what to type next'
	@printf '  %-46s %s\n' \
		'bin/strata tree $(BUILD)/demo/after.tar' 'the command; bin/strata --help lists what it does' \
		'bin/strata repl $(BUILD)/demo/after.tar' 'Lua, with the image as img' \
		'make check' 'four minutes of tests' \
		'make install' 'the module and the command, into $(PREFIX) (as root)'

check: ## build for one Lua, run the C tests and the specs that need nothing else: four minutes
	@.ci/deps build check
	@$(MAKE) one-check

one-check:
	@$(MAKE) $(JOBS) build ctests QUIET=1 LUA_VERSIONS=$(LATEST)
	@STRATA_QUICK=1 STRATA_BUILD=$(BUILD) spec/run c lua$(LATEST)

test: deps-test ## install all that specs compare with (docker, chromium ...: 1.6 GB), build, run the specs
	@$(MAKE) spec

spec: build ctests ## build and run the specs, installing nothing
	@STRATA_BUILD=$(BUILD) spec/run

ctest: ctests ## build and run the C tests
	@STRATA_BUILD=$(BUILD) spec/run c

ctests: $(CTESTS) $(if $(filter 5.4,$(LUA_VERSIONS)),$(BUILD)/faults.so)

# Preloaded into lua5.4 by specs: what strata asks the C library for fails on demand.
$(BUILD)/faults.so: spec/support/faults.c spec/support/place.h $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)$(CC) -std=c11 -D_GNU_SOURCE -O2 -g -fPIC -fvisibility=hidden -fno-builtin -pthread $(WARNINGS) \
		$(call pkg,--cflags lua5.4) -shared -o $@ $<

sweep: build ctests ## the specs of spec/faults with every call failing once, and 500 kills
	@STRATA_SWEEP=full STRATA_BUILD=$(BUILD) $(BUILD)/c/alloc_lua_test
	@STRATA_SWEEP=full STRATA_KILLS=$(or $(STRATA_KILLS),500) LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' \
		LUA_CPATH='./$(BUILD)/lua5.4/?.so;;' lua5.4 "$$(command -v busted)" spec/faults

SANITIZE_SUITES := c lua5.4 luajit
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer

# The interpreters are not instrumented, so they load the run-time library first. Modules stay
# loaded to the end, so that a leak's report can name its functions.
sanitize: ## C tests and specs under AddressSanitizer and UBSan
	@$(MAKE) build ctests BUILD=$(BUILD)/sanitize HARDENING= CFLAGS='-O1 -g $(SANITIZE)' LDFLAGS=-Wl,-z,nodelete
	@$(CC) -shared -fPIC -o $(BUILD)/sanitize/unpreload.so spec/support/unpreload.c
	@STRATA_BUILD=$(BUILD)/sanitize \
	STRATA_PRELOAD="$$($(CC) -print-file-name=libasan.so):./$(BUILD)/sanitize/unpreload.so" \
	ASAN_OPTIONS=$(ASAN_OPTIONS):detect_stack_use_after_return=1:allocator_may_return_null=1 \
	UBSAN_OPTIONS=print_stacktrace=1 spec/run $(SANITIZE_SUITES)

# What works with threads, under ThreadSanitizer. Libraries are not instrumented: races inside of them stay
# unseen, those of what they are given are seen.
TSAN_TESTS ?= states_lua_test blob_reader_test pipeline_test codec_encode_test codec_zstd_encode_test stdio_test host_tree_test \
	http_exchange_test http_pipe_test exchange_spec \
	job_spec jobs_spec save_spec save_formats_spec extract_spec extract_target_spec squash_spec stream_image_spec

tsan: ## TSAN_TESTS, C tests and specs, under ThreadSanitizer
	@$(MAKE) build ctests BUILD=$(BUILD)/tsan HARDENING= LUA_VERSIONS=5.4 \
		CFLAGS='-O1 -g -fsanitize=thread' LDFLAGS=-Wl,-z,nodelete
	@$(CC) -shared -fPIC -o $(BUILD)/tsan/unpreload.so spec/support/unpreload.c
	@STRATA_BUILD=$(BUILD)/tsan STRATA_ONLY='$(strip $(TSAN_TESTS))' \
	STRATA_PRELOAD="$$($(CC) -print-file-name=libtsan.so):./$(BUILD)/tsan/unpreload.so" \
	TSAN_OPTIONS="$(TSAN_OPTIONS) exitcode=66 suppressions=$$PWD/spec/support/tsan.supp" \
	spec/run c lua5.4

# What reads bytes that somebody else made and some that go through all the rest; but nothing that takes long, or
# needs a seccomp filter.
VALGRIND_TESTS ?= codec_zstd_test core_test host_tree_test guard_test http_.*_test inflate_test json_test json_edit_test \
	resolve_in_root_test stdio_test tar_test tar_limits_test tar_patch_test tar_pax_test tar_write_test \
	open_spec save_spec filter_spec extract_spec json_spec config_spec job_spec stream_tar_spec [0-9]+-.*_spec
VALGRIND := valgrind --quiet --error-exitcode=99 --leak-check=full --fair-sched=yes --keep-debuginfo=yes \
	--child-silent-after-fork=yes

# Its reports go to files: beside them it tells of system calls that it does not know.
valgrind: build ctests ## VALGRIND_TESTS, C tests and specs, under valgrind's memcheck
	@rm -rf $(BUILD)/valgrind && mkdir -p $(BUILD)/valgrind
	@STRATA_BUILD=$(BUILD) STRATA_ONLY='$(strip $(VALGRIND_TESTS))' \
	STRATA_WRAPPER='$(VALGRIND) --log-file=$(BUILD)/valgrind/%p.log' spec/run c lua5.4 || \
	{ grep -h '^==' $(BUILD)/valgrind/*.log; exit 1; }

# Fuzzing: the library once more, with clang, sanitizers and libFuzzer's counters. An archive lets each
# target link what it uses. Lua and lua-cjson are the system's.

SECONDS     := 60
FUZZ_BUILD  := $(BUILD)/fuzz
FUZZ_FLAGS  := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ_ENV     = STRATA_BUILD=$(BUILD) STRATA_FUZZERS=$(FUZZ_BUILD)
MAKE_FUZZERS = $(MAKE) fuzzers BUILD=$(FUZZ_BUILD) CC=clang LUA_VERSIONS=5.4 CFLAGS='-O1 -g $(FUZZ_FLAGS)'
FUZZERS     := $(patsubst fuzz/%.c,$(BUILD)/bin/%,$(wildcard fuzz/*.c))
FUZZ_OBJS   := $(CORE_OBJS) $(patsubst src/%.c,$(BUILD)/lua5.4/obj/%.o,$(LUA_SRCS) $(ARCHIVE_SRCS))

fuzz: build ## fuzz every target for SECONDS=n (SEED=n: the same inputs each time), keep what fails in fuzz/regressions
	+@$(MAKE_FUZZERS)
	@$(FUZZ_ENV) fuzz/run -s $(SECONDS) -S $(or $(SEED),0)

fuzz-replay: build ## run the fuzz targets over seeds and regressions
	+@$(MAKE_FUZZERS)
	@$(FUZZ_ENV) fuzz/run -r

fuzzers: $(FUZZERS)

RANDOM_SPECS := .*random_spec literal_spec runtime_spec runtime_extract_spec above_spec fold_spec url_spec

random: build $(BUILD)/c/splice_test ## the specs of random input with seeds that no run had: STACKS of each
	@STRATA_SPLICES=$(or $(STACKS),2000) $(BUILD)/c/splice_test
	@STRATA_BUILD=$(BUILD) STRATA_SEED=$${STRATA_SEED:-$$(($$(date +%s) % 1000000 * 1000))} \
		STRATA_STACKS=$(or $(STACKS),2000) STRATA_EDITS=$(or $(EDITS),200) STRATA_ONLY='$(RANDOM_SPECS)' spec/run lua5.4

runtimes: build ## ask Docker, containerd, podman and umoci about all images on which they differ, and STACKS random ones
	@STRATA_BUILD=$(BUILD) STRATA_SEED=$${STRATA_SEED:-$$(($$(date +%s) % 1000000 * 1000))} STRATA_ALL=1 \
		STRATA_STACKS=$(or $(STACKS),200) STRATA_ONLY='runtimes_field_spec runtimes_random_spec' spec/run interop

$(BUILD)/libstrata.a: $(FUZZ_OBJS)
	$(SAY)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/bin/%: fuzz/%.c $(BUILD)/libstrata.a $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)$(COMPILE) -Ispec -Ispec/c $(call pkg,--cflags lua5.4) -fsanitize=fuzzer -MF $@.d -MT $@ -o $@ $< $(BUILD)/libstrata.a \
	-Wl,--as-needed $(CORE_LIBS) $(ARCHIVE_LIBS) $(call pkg,--libs lua5.4) $(LDLIBS)

# Counts are written when a program ends, also one that runs as somebody else. What is not
# reached stands in spec/uncovered.tsv with its reason, or else it fails. Buffers and arrays ask for memory
# each time something is added, so that the sweeps of spec/faults can refuse it everywhere.
SUITES := lua5.4

coverage: ## coverage of src/core by c and SUITES; fails for what spec/uncovered.tsv does not excuse
	@$(MAKE) build ctests BUILD=$(BUILD)/coverage HARDENING= LUA_VERSIONS=5.4 \
		CFLAGS='-O0 -g --coverage -fprofile-update=atomic -DSTRATA_ALWAYS_ASKS'
	@find $(BUILD)/coverage -name '*.gcda' -delete
	@STRATA_BUILD=$(BUILD)/coverage spec/run c
	@chmod -R a+rwX $(BUILD)/coverage
	@STRATA_BUILD=$(BUILD)/coverage STRATA_SEED=$${STRATA_SEED:-1} STRATA_SWEEP=ways spec/run $(SUITES)
	@gcovr --root . --object-directory $(BUILD)/coverage --filter src/core/ --exclude-unreachable-branches \
		--json $(BUILD)/coverage/coverage.json --html-details $(BUILD)/coverage/index.html \
		--txt $(BUILD)/coverage/coverage.txt --print-summary $(BUILD)/coverage/core
	@cat $(BUILD)/coverage/coverage.txt
	@lua5.4 .ci/uncovered.lua $(BUILD)/coverage/coverage.json spec/uncovered.tsv

# The build that lint makes and looks at. Clang's warnings do not depend on how it optimises; GCC's do.
LINTED := $(BUILD)/lint

lint: ## every check that runs nothing: compilers, luacheck, clang-format ...
	@$(MAKE) build ctests BUILD=$(LINTED) CFLAGS='$(filter-out -Werror,$(CFLAGS)) -Werror'
	@! command -v clang >/dev/null || \
	$(MAKE) build ctests BUILD=$(BUILD)/lint-clang CC=clang HARDENING= CFLAGS='-O0 -Werror' LUA_VERSIONS='$(EXTREMES)'
	@$(MAKE) musl arm64
	@$(MAKE) tidy
	@STRATA_BUILD=$(LINTED) .ci/lint

# Sources compile with other C libraries and for other processors: objects only, as those machines' libraries are not
# here. The headers of the libraries that strata uses are the same everywhere, and are reached by links, so that
# headers of this machine's C library stay out of sight. Those of the kernel are of this machine's processor.
musl: ## compile, not link, with musl-gcc and warnings as errors; a part of lint
	+@$(FOREIGN) CC=musl-gcc CPPFLAGS='-isystem $(BUILD)/headers -isystem $(BUILD)/headers/kernel'

arm64: ## the same for 64-bit ARM with aarch64-linux-gnu-gcc
	+@$(FOREIGN) CC=aarch64-linux-gnu-gcc CPPFLAGS='-isystem $(BUILD)/headers'

# pkg-config leaves out those directories that it takes for the compiler's own.
FOREIGN = PKG_CONFIG_SYSTEM_INCLUDE_PATH=$(subst $(eval) ,:,$(HOST_INCLUDE)) \
	$(MAKE) objects BUILD=$(BUILD)/$@ CFLAGS='-O1 -Werror'

.PHONY: musl arm64 objects
musl arm64: $(BUILD)/headers

HEADERS := openssl zlib.h zconf.h zstd.h zstd_errors.h archive.h archive_entry.h isa-l isa-l.h libdeflate.h curl lua5.*-deb-multiarch.h
HOST_INCLUDE = $(addprefix /usr/include/,$(shell $(CC) -print-multiarch)) /usr/include

$(BUILD)/headers: Makefile
	@rm -rf $@.new && mkdir -p $@.new/kernel
	@ln -s $(wildcard $(foreach d,$(HOST_INCLUDE),$(addprefix $d/,linux asm asm-generic))) $@.new/kernel
	@for found in $(wildcard $(foreach d,$(HOST_INCLUDE),$(addprefix $d/,$(HEADERS)))); do \
		if [ -d "$$found" ]; then mkdir -p "$@.new/$${found##*/}" && ln -sf "$$found"/* "$@.new/$${found##*/}"; \
		else ln -sf "$$found" $@.new; fi; done
	@mv $@.new $@

# Those Luas whose headers differ most.
EXTREMES = $(sort $(firstword $(LUA_VERSIONS)) $(LATEST))

objects: $(CORE_OBJS) $(HTTP_OBJS) $(foreach v,$(EXTREMES), \
	$(patsubst src/%.c,$(BUILD)/lua$v/obj/%.o,$(LUA_SRCS) $(ARCHIVE_SRCS) $(HTTP_BINDING)))

# Each source once more only when it, a header or what is checked has changed.
TIDIED := $(patsubst src/%.c,$(BUILD)/tidy/%.ok,$(filter-out $(if $(HTTP_SRCS),,src/http/%), \
	$(wildcard src/*/*.c src/core/*/*.c)))

tidy: $(TIDIED) ## clang-tidy; a part of lint

$(BUILD)/tidy/%.ok: src/%.c .clang-tidy $(wildcard src/*/*.h src/core/*/*.h) $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)clang-tidy --quiet $< -- -std=c11 -D_GNU_SOURCE -Isrc -pthread $(DEFINES) \
		$(call pkg,--cflags $(PKGS) lua5.1) 2>$@.log || { cat $@.log; exit 1; }
	@touch $@

bench: build $(BUILD)/bench/speeds ## measure beside the peers on one image, and beside what the libraries need
	@SPEEDS=$(BUILD)/bench/speeds $(RUN_LUA) bench/run.lua $(IMAGE)

$(BUILD)/bench/speeds: bench/speeds.c $(CORE_OBJS) $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)$(COMPILE) -o $@ $< $(CORE_OBJS) $(CORE_LIBS)

bench-registry: build ## measure beside skopeo on two registries of this machine
	@$(RUN_LUA) bench/registry.lua

bench-nginx: build ## latency and memory of nginx while it operates on images, and judges pushes
	@$(RUN_LUA) bench/latency.lua
	@$(RUN_LUA) bench/gate.lua

bench-fleet: build ## jobs a second of examples/fleet with a registry and a Redis of this machine
	@$(RUN_LUA) bench/fleet.lua

types: build ## lua/strata/meta/options.lua, strata.help's texts and doc/reference.md anew
	@$(RUN_LUA) doc/option_types.lua >$(BUILD)/options.lua
	@mv $(BUILD)/options.lua lua/strata/meta/options.lua
	@$(RUN_LUA) doc/help_text.lua >$(BUILD)/help_text.lua
	@mv $(BUILD)/help_text.lua lua/strata/util/help_text.lua
	@$(RUN_LUA) doc/reference.lua >$(BUILD)/reference.md
	@mv $(BUILD)/reference.md doc/reference.md

# Made of what the parser of the command knows, which needs lua-argparse.
COMMAND_SRCS := doc/command_model.lua $(wildcard lua/strata/command/*.lua lua/strata/command/*/*.lua)

man: $(BUILD)/strata.1 ## the man page of the command

completions: $(BUILD)/completion/strata.bash $(BUILD)/completion/_strata ## what completes its words in bash and zsh

$(BUILD)/strata.1: doc/man.lua
$(BUILD)/completion/strata.bash $(BUILD)/completion/_strata: doc/completion.lua
$(BUILD)/strata.1 $(BUILD)/completion/strata.bash $(BUILD)/completion/_strata: $(COMMAND_SRCS) $(BUILD)/lua5.4/strata/core.so
	@mkdir -p $(@D)
	$(SAY)$(RUN_LUA) $(if $(filter %.1,$@),doc/man.lua,doc/completion.lua $(if $(filter %.bash,$@),bash,zsh)) >$@.new
	@mv $@.new $@

doc: ## README and doc/ as a site, in build/doc
	@$(LUA) doc/site.lua $(BUILD)/doc
	@echo '  $(BUILD)/doc/index.html'

deps: ## install what building needs, on Debian; elsewhere list it
	@.ci/deps build

deps-test: ## install what all of the specs and lint need, on Debian
	@.ci/deps build demo test

# Both may name $(v), the version of Lua. Modules are not stripped, which is for those who make packages. STAGED: the
# files go from there to other places, as those of packages and rocks do.
LUA_LIBDIR   ?= $(PREFIX)/lib/lua/$(v)
LUA_SHAREDIR ?= $(PREFIX)/share/lua/$(v)
STAGED       ?= $(DESTDIR)
INSTALLER = PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' STAGED='$(STAGED)' BUILD='$(BUILD)' \
	LUA='$(if $(filter command,$(firstword $(origin LUA))),$(LUA))' .ci/install $@ \
	$(foreach v,$(LUA_VERSIONS),$v '$(LUA_LIBDIR)' '$(LUA_SHAREDIR)')

install: build ## the modules, the command, the explorer and the documents
	@[ ! -e doc/man.lua ] || $(MAKE) man completions >$(BUILD)/man.log 2>&1 || \
	echo 'Without man page and completions, which Lua 5.4 makes with argparse (Debian: lua-argparse)'
	@$(INSTALLER)

uninstall: ## remove what install put there, told the same PREFIX and so on
	@$(INSTALLER)

.PHONY: uninstall rockspec deb
rockspec: ## that of the release anew, of rockspec/strata-scm-1.rockspec
	@sed 's/^version = .*/version = "$(VERSION)-1"/; s/branch = "main"/tag = "v$(VERSION)"/' rockspec/strata-scm-1.rockspec \
		>rockspec/strata-$(VERSION)-1.rockspec

deb: ## the Debian packages, in build/deb
	@STRATA_BUILD=$(BUILD) .ci/deb $(CHROOT)

clean: ## remove everything that was built
	rm -rf $(BUILD)

FORCE:
.PHONY: help build demo one-lua check one-check test spec ctest ctests sanitize tsan valgrind fuzz fuzz-replay fuzzers \
	coverage lint tidy bench bench-registry bench-nginx bench-fleet deps deps-test doc types man completions install clean random runtimes FORCE sweep
