/*
 * Fuzz targets: one file each, linked with libFuzzer, AddressSanitizer and UBSan.
 *
 *	make fuzz SECONDS=60	builds and runs all of them, each that long
 *	make fuzz-replay	runs over the seeds and what was found before, no more
 *	fuzz/run TARGET ...	the same for some; fuzz/run -h tells the rest
 *
 * A target is a function of its input: no input may crash it, hang it, leak, or
 * fail a CHECK. What an input has to satisfy is said in each file's first lines.
 *
 *	TARGET.c, TARGET.dict		the target, and words that its inputs are made of
 *	seeds.lua			makes the first inputs, at build time
 *	regressions/TARGET/		inputs that failed once; new ones are put there
 *	build/fuzz/corpus/TARGET/	what reached new code, kept from run to run
 *
 * This header has what the targets share. It stands in for spec/c/check.h, so
 * that the helpers of the C tests can be used: a CHECK that fails ends the run.
 */
#ifndef STRATA_FUZZ_H
#define STRATA_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRATA_CHECK_H
#define CHECK(condition) fuzz_check((condition), #condition, __FILE__, __LINE__)

static inline bool fuzz_check(bool ok, const char *text, const char *file, int line)
{
	if (!ok) {
		fprintf(stderr, "%s:%d: %s\n", file, line, text);
		abort();
	}
	return true;
}

/* Of no use here: helpers of the C tests name it. */
static inline int check_sum(const char *program)
{
	(void)program;
	return 0;
}

/* ---- what libFuzzer calls, and what it offers --------------------------- */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* ---- a plan ------------------------------------------------------------- */

/* Decisions taken from bytes of the input; zeros when there are no more. */
struct plan {
	const uint8_t *at;
	size_t left;
};

/* Takes the first n bytes of the input for the plan. */
static inline struct plan plan_take(const uint8_t **data, size_t *size, size_t n)
{
	struct plan p = {*data, n < *size ? n : *size};

	*data += p.left;
	*size -= p.left;
	return p;
}

static inline unsigned plan_byte(struct plan *p)
{
	if (p->left == 0)
		return 0;
	p->left--;
	return *p->at++;
}

/* A number below n. */
static inline size_t plan_below(struct plan *p, size_t n)
{
	size_t value = plan_byte(p);

	if (n > 256)
		value = value << 8 | plan_byte(p);
	return n ? value % n : 0;
}

/* A seed for the C tests' chance(); never 0, which repeats itself. */
static inline uint64_t plan_seed(struct plan *p)
{
	uint64_t seed = 0;

	for (int i = 0; i < 8; i++)
		seed = seed << 8 | plan_byte(p);
	return seed ? seed : 1;
}

#endif
