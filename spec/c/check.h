/*
 * What the C tests share: CHECK, and a sum in the last line. A test is a
 * function without arguments; it fails when one of its checks does.
 */
#ifndef STRATA_CHECK_H
#define STRATA_CHECK_H

#include <stdbool.h>
#include <stdio.h>

static struct {
	const char *test;
	bool failing;
	unsigned passed;
	unsigned failed;
} check_state;

#define CHECK(condition) check_true((condition), #condition, __FILE__, __LINE__)

static inline bool check_true(bool ok, const char *text, const char *file, int line)
{
	if (!ok && !check_state.failing)
		printf("not ok: %s\n", check_state.test);
	if (!ok) {
		check_state.failing = true;
		printf("  %s:%d: %s\n", file, line, text);
	}
	return ok;
}

#define RUN(test) check_run(#test, test)

static inline void check_run(const char *name, void (*test)(void))
{
	check_state.test = name;
	check_state.failing = false;
	test();
	if (check_state.failing) {
		printf("failed: %s\n", name);
		check_state.failed++;
	} else {
		check_state.passed++;
	}
}

/* Prints the sum; to be returned from main. */
static inline int check_sum(const char *program)
{
	printf("%s: %u passed, %u failed\n", program, check_state.passed, check_state.failed);
	return check_state.failed == 0 && check_state.passed > 0 ? 0 : 1;
}

#endif
