/*
 * A file, or a range of one, that libarchive reads. It is read by position
 * through a descriptor of its own, so neither the position of the caller's
 * descriptor nor its closing matters. All zero bytes is a closed source.
 */
#ifndef STRATA_ARCHIVE_SOURCE_H
#define STRATA_ARCHIVE_SOURCE_H

#include <archive.h>
#include <stdbool.h>
#include <stdint.h>

#include "lua/binding.h"

struct strata_source {
	struct archive *archive; /* NULL: closed */
	unsigned users;          /* functions of Lua that have what libarchive owns */
	bool closing;            /* by the last of them */
	char *bytes;             /* the last ones that were read */
	int fd_plus_one;         /* 0: none */
	int64_t at;              /* of the next byte to read */
	int64_t end;
};

/*
 * Opens a regular file, by its path or by a descriptor, and makes s->archive,
 * which is to be told its formats before archive_read_open1. Messages begin
 * with `what`. After a failure the caller closes the source.
 */
int strata_source_path(struct strata_source *s, const char *path, const char *what,
                       struct strata_err *err);
int strata_source_descriptor(struct strata_source *s, int fd, const char *what,
                             struct strata_err *err);

/* Closes it, now or when nobody uses it any more. */
void strata_source_close(struct strata_source *s);

/* Closes it in any case: for finalisers, whose object nobody has. */
void strata_source_free(struct strata_source *s);

/*
 * Between these two calls Lua may make objects, and run finalisers that close the source, while
 * libarchive's memory is read. After an error of Lua between them only strata_source_free closes
 * it.
 */
void strata_source_use(struct strata_source *s);
void strata_source_release(struct strata_source *s);

/* The descriptor of the strata.File at `arg`, an object of another module. Throws for anything
 * else. */
int strata_source_check_file(lua_State *L, int arg);

/* The number in a field of the options at `arg`, which may be absent. Throws when it is negative.
 */
uint64_t strata_source_limit(lua_State *L, int arg, const char *field, lua_Number otherwise);

/* libarchive's error: of the system if it is one that reading gives, else EFORMAT. Returns -1. */
int strata_archive_fail(struct archive *a, struct strata_err *err);

/* libarchive's message with everything replaced that a terminal would obey. */
void strata_archive_message(char *out, size_t size, struct archive *a);

#endif
