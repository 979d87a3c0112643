/*
 * Errors of the core.
 *
 * A function that can fail takes `struct strata_err *err` last, returns -1 (or
 * NULL) on failure and fills *err; on success *err is left alone. An error is
 * a plain value on the caller's stack: nothing is allocated, nothing is freed.
 *
 * `code` is short, stable and meant for programs: "EFORMAT", "EDIGEST",
 * "ELIMIT", "EUNSUPPORTED", "ECANCELED", or the name of an errno ("ENOENT").
 * `msg` stands alone: it says what went wrong with which file, entry, offset.
 * Bytes that came from input are quoted with strata_quote() before they get
 * into a message, so that a message never carries terminal escapes.
 */
#ifndef STRATA_ERR_H
#define STRATA_ERR_H

#include <stddef.h>

struct strata_err {
	char code[16];
	char msg[1024];
};

/* Fills err and returns -1, so that callers can `return strata_fail(...)`. */
int strata_fail(struct strata_err *err, const char *code, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

/* The same for an errno value: code is its name, ": strerror" is appended. */
int strata_fail_errno(struct strata_err *err, int errnum, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

/* Out of memory: code "ENOMEM". Returns -1. */
int strata_fail_nomem(struct strata_err *err);

/* Puts "context: " before the message that is there. Returns -1. */
int strata_err_wrap(struct strata_err *err, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__ /* it does not look into other files, where they always return -1 */
#define strata_fail(...) (strata_fail(__VA_ARGS__), -1)
#define strata_fail_errno(...) (strata_fail_errno(__VA_ARGS__), -1)
#define strata_fail_nomem(err) (strata_fail_nomem(err), -1)
#define strata_err_wrap(...) (strata_err_wrap(__VA_ARGS__), -1)
#endif

/*
 * Writes bytes[0..len) to out as a quoted, printable, NUL-terminated string
 * ('a\x1bb'); what does not fit is cut and ends in "...". Returns out.
 */
char *strata_quote(char *out, size_t out_size, const char *bytes, size_t len);

#endif
