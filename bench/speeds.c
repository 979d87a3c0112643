/*
 * How fast the libraries are on some bytes, for one core of many that are busy:
 * bench/speeds SAMPLE DIRECTORY
 *
 * SAMPLE holds bytes of tars, DIRECTORY is where the benchmark writes. Prints a line for each pass
 * that strata's work consists of: its name, and bytes of plain tar per second of CPU time, or
 * empty files, the median of some rounds. Each other processor does passes meanwhile, as it does
 * when strata works: they share caches, memory and often the core itself, and a second of CPU time
 * brings less than on an idle machine.
 */
#define ZLIB_CONST
#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#ifdef STRATA_WITH_ISAL
#include <isa-l.h>
#endif

#include "core/codec/segment.h"

#define ROUNDS 3
#define PIECE ((size_t)256 << 10)

/* How often the sample is written: a few megabytes would always get the same pages of memory. */
#define WRITES 8

struct sample {
	const char *path;
	const char *directory;
	unsigned char *bytes;
	size_t len;
	unsigned char *gzip; /* the sample by zlib's level 6 */
	size_t gzip_len;
};

static void die(const char *what)
{
	fprintf(stderr, "speeds: %s\n", what);
	exit(1);
}

static void check(bool ok, const char *what)
{
	if (!ok)
		die(what);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- the passes ----------------------------------------------------------- */

static void read_all(const struct sample *s)
{
	static unsigned char piece[PIECE];
	int fd = open(s->path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	check(fd >= 0, "the sample cannot be opened");
	while ((n = read(fd, piece, sizeof(piece))) > 0)
		;
	check(n == 0, "the sample cannot be read");
	close(fd);
}

static void write_all(const struct sample *s)
{
	int fd = open(s->directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

	check(fd >= 0, "the directory takes no unnamed file");
	for (int i = 0; i < WRITES; i++) {
		for (size_t at = 0; at < s->len; at += PIECE) {
			size_t n = s->len - at < PIECE ? s->len - at : PIECE;

			check(write(fd, s->bytes + at, n) == (ssize_t)n, "the directory is full");
		}
	}
	close(fd);
}

static void hash_all(const struct sample *s)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	check(EVP_Digest(s->bytes, s->len, digest, NULL, EVP_sha256(), NULL) == 1, "no SHA-256");
}

static void inflate_all(const struct sample *s)
{
	static unsigned char out[PIECE];
	size_t produced = 0;
#ifdef STRATA_WITH_ISAL
	static struct inflate_state z;

	isal_inflate_init(&z);
	z.crc_flag = ISAL_GZIP;
	z.next_in = s->gzip;
	z.avail_in = (uint32_t)s->gzip_len;
	while (z.block_state != ISAL_BLOCK_FINISH) {
		z.next_out = out;
		z.avail_out = sizeof(out);
		check(isal_inflate(&z) == ISAL_DECOMP_OK, "ISA-L cannot inflate");
		produced += sizeof(out) - z.avail_out;
	}
#else
	z_stream z = {0};
	int rc = inflateInit2(&z, 31);

	z.next_in = s->gzip;
	z.avail_in = (uInt)s->gzip_len;
	while (rc == Z_OK) {
		z.next_out = out;
		z.avail_out = sizeof(out);
		rc = inflate(&z, Z_NO_FLUSH);
		produced += sizeof(out) - z.avail_out;
	}
	inflateEnd(&z);
#endif
	check(produced == s->len, "inflating gives other bytes");
}

/* A call of the library for each segment, and one for its checksum, at the default level. */
static void encode_all(const struct sample *s, enum strata_compression c)
{
	struct strata_segment_codec codec;
	struct strata_err err = {"", ""};
	unsigned char *out;
	void *encoder;

	check(strata_segment_codec_init(&codec, c, -1, &err) == 0, err.msg);
	encoder = codec.ops->open(&codec, &err);
	out = malloc(codec.room);
	check(encoder != NULL && out != NULL, "out of memory");
	for (size_t at = 0; at < s->len; at += codec.segment) {
		size_t n = s->len - at < codec.segment ? s->len - at : codec.segment, out_len;
		uint32_t crc;

		check(codec.ops->segment(&codec, encoder, s->bytes + at, n, out, &out_len, &crc,
		                         &err) == 0,
		      err.msg);
	}
	codec.ops->close(&codec, encoder);
	free(out);
}

static void deflate_all(const struct sample *s)
{
	encode_all(s, STRATA_GZIP);
}

static void zstd_all(const struct sample *s)
{
	encode_all(s, STRATA_ZSTD);
}

#define MAX_FILES 4096
#define FILES_IN_DIRECTORY 64

/* One for 4 KiB of the sample, in whole directories, so that small samples take little time. */
static int files_of(const struct sample *s)
{
	size_t directories = s->len / 4096 / FILES_IN_DIRECTORY + 1;
	size_t most = MAX_FILES / FILES_IN_DIRECTORY;

	return (int)(directories < most ? directories : most) * FILES_IN_DIRECTORY;
}

/* The calls that no program can do without which gives a file its owner, mode and time. */
static void create_files(int tree, int files)
{
	static const struct timespec times[2] = {{1, 0}, {1, 0}};
	char name[16];
	int directory = -1;

	for (int i = 0; i < files; i++) {
		int fd;

		snprintf(name, sizeof(name), "%d", i);
		if (i % FILES_IN_DIRECTORY == 0) {
			if (directory >= 0)
				close(directory);
			check(mkdirat(tree, name, 0700) == 0, "the directory takes no other");
			directory = openat(tree, name, O_DIRECTORY | O_CLOEXEC);
		}
		fd = openat(directory, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		check(fd >= 0 && fchown(fd, geteuid(), getegid()) == 0 && fchmod(fd, 0644) == 0 &&
		              futimens(fd, times) == 0,
		      "the directory takes no file");
		close(fd);
	}
	close(directory);
}

static void remove_files(int tree, int files)
{
	char name[32];

	for (int i = 0; i < files; i++) {
		snprintf(name, sizeof(name), "%d/%d", i - i % FILES_IN_DIRECTORY, i);
		unlinkat(tree, name, 0);
		if (i % FILES_IN_DIRECTORY == FILES_IN_DIRECTORY - 1) {
			*strchr(name, '/') = '\0';
			unlinkat(tree, name, AT_REMOVEDIR);
		}
	}
}

/* ---- measuring -------------------------------------------------------------- */

static void load(struct sample *s)
{
	struct stat st;
	int fd = open(s->path, O_RDONLY | O_CLOEXEC);
	z_stream z = {0};

	check(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size < 1 << 30,
	      "the sample is missing, empty or too large");
	s->len = (size_t)st.st_size;
	s->bytes = malloc(s->len);
	check(s->bytes != NULL, "out of memory");
	for (size_t at = 0; at < s->len;) {
		ssize_t n = read(fd, s->bytes + at, s->len - at);

		check(n > 0, "the sample cannot be read");
		at += (size_t)n;
	}
	close(fd);
	check(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK, "out of memory");
	s->gzip_len = deflateBound(&z, s->len);
	s->gzip = malloc(s->gzip_len);
	check(s->gzip != NULL, "out of memory");
	z.next_in = s->bytes;
	z.avail_in = (uInt)s->len;
	z.next_out = s->gzip;
	z.avail_out = (uInt)s->gzip_len;
	check(deflate(&z, Z_FINISH) == Z_STREAM_END, "zlib cannot deflate");
	s->gzip_len -= z.avail_out;
	deflateEnd(&z);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double took[ROUNDS])
{
	qsort(took, ROUNDS, sizeof(took[0]), compare);
	return took[ROUNDS / 2] > 0 ? took[ROUNDS / 2] : 1e-9;
}

/* Files per second. */
static double create_speed(const struct sample *s)
{
	int files = files_of(s);
	char path[4096];
	double took[ROUNDS];
	int tree;

	snprintf(path, sizeof(path), "%s/speeds.XXXXXX", s->directory);
	check(mkdtemp(path) != NULL, "the directory takes no other");
	tree = open(path, O_DIRECTORY | O_CLOEXEC);
	check(tree >= 0, "a directory cannot be opened");
	for (int round = 0; round < ROUNDS; round++) {
		double start = seconds();

		create_files(tree, files);
		took[round] = seconds() - start;
		remove_files(tree, files);
	}
	close(tree);
	rmdir(path);
	return files / median(took);
}

static const struct {
	const char *name;
	void (*run)(const struct sample *s);
	int times; /* that it goes over the sample */
} passes[] = {{"read", read_all, 1},       {"write", write_all, WRITES}, {"sha256", hash_all, 1},
              {"inflate", inflate_all, 1}, {"deflate", deflate_all, 1},  {"zstd", zstd_all, 1}};

#define PASSES (sizeof(passes) / sizeof(passes[0]))

/* Has another process go through the passes until it is killed, or this one ends. */
static pid_t start_neighbour(const struct sample *s, size_t first)
{
	pid_t pid = fork();

	check(pid >= 0, "there can be no other process");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = first;; i++)
		passes[i % PASSES].run(s);
}

static void print_speeds(const struct sample *s)
{
	for (size_t i = 0; i < PASSES; i++) {
		double took[ROUNDS];

		for (int round = 0; round < ROUNDS; round++) {
			double start = seconds();

			passes[i].run(s);
			took[round] = seconds() - start;
		}
		printf("%s %.0f\n", passes[i].name,
		       (double)s->len * passes[i].times / median(took));
	}
	printf("create %.0f\n", create_speed(s));
}

int main(int argc, char **argv)
{
	struct sample s = {0};
	long others = sysconf(_SC_NPROCESSORS_ONLN) - 1;
	pid_t *neighbours = others > 0 ? calloc((size_t)others, sizeof(*neighbours)) : NULL;

	if (argc != 3)
		die("speeds SAMPLE DIRECTORY");
	check(others <= 0 || neighbours != NULL, "out of memory");
	s.path = argv[1];
	s.directory = argv[2];
	load(&s);
	for (long i = 0; i < others; i++)
		neighbours[i] = start_neighbour(&s, (size_t)i);
	print_speeds(&s);
	for (long i = 0; i < others; i++) {
		kill(neighbours[i], SIGKILL);
		waitpid(neighbours[i], NULL, 0);
	}
	free(neighbours);
	free(s.bytes);
	free(s.gzip);
	return 0;
}
