/*
 * Streams that are read ahead by the helpers of a pool: the same bytes, digests
 * and errors as with one thread, within their buffers, and nothing left behind
 * when nobody wants the rest. Oracles are the data that went in and the stream
 * without a pool.
 */
#include <pthread.h>
#include <time.h>

#include "codec/codec_support.h"
#include "core/apply/apply.h"
#include "core/fs/file.h"
#include "core/layer/blob_reader.h"

#define HELPERS_MAX 4
#define WANTED (STRATA_DIGEST_STORED | STRATA_DIGEST_PLAIN | STRATA_READ_AHEAD)

/* ---- pools --------------------------------------------------------------- */

struct team {
	struct strata_work work;
	atomic_bool cancel;
	atomic_ullong progress;
	pthread_t threads[HELPERS_MAX];
	unsigned helpers;
};

static void *help(void *pool)
{
	strata_pool_work(pool);
	return NULL;
}

static void short_while(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static bool is_helped(struct strata_pool *pool)
{
	bool helped;

	strata_pool_lock(pool);
	helped = strata_pool_has_workers(pool);
	strata_pool_unlock(pool);
	return helped;
}

/* Without helpers there is no pool. */
static void team_begin(struct team *t, unsigned helpers)
{
	struct strata_err err;

	*t = (struct team){.helpers = helpers};
	t->work.cancel = &t->cancel;
	t->work.progress = &t->progress;
	if (helpers == 0)
		return;
	t->work.pool = strata_pool_new(helpers + 1, &err);
	if (t->work.pool == NULL)
		abort();
	for (unsigned i = 0; i < helpers; i++)
		if (pthread_create(&t->threads[i], NULL, help, t->work.pool) != 0)
			abort();
	while (!is_helped(t->work.pool))
		short_while();
}

static void team_end(struct team *t)
{
	if (t->helpers == 0)
		return;
	strata_pool_stop(t->work.pool);
	for (unsigned i = 0; i < t->helpers; i++)
		pthread_join(t->threads[i], NULL);
	strata_pool_free(t->work.pool);
}

/* ---- blobs --------------------------------------------------------------- */

static const enum strata_compression compressions[] = {STRATA_NONE, STRATA_GZIP, STRATA_ZSTD};

#define COMPRESSIONS (sizeof(compressions) / sizeof(compressions[0]))

static void encode(enum strata_compression c, const struct strata_buf *data, struct strata_buf *out)
{
	struct strata_err err;

	out->len = 0;
	if (c == STRATA_NONE)
		append(out, data->data, data->len);
	else
		encode_with(strata_encoder_new(c, -1, &err), data,
		            (struct pieces){ROOM_MAX, 0, ROOM_MAX}, out);
}

static struct strata_blob blob_of(enum strata_compression c, const struct strata_buf *stored)
{
	struct strata_err err;
	struct strata_file *f = strata_file_temp(NULL, NULL, &err);

	if (f == NULL || strata_file_write(f, 0, stored->data, stored->len, &err) < 0)
		abort();
	return (struct strata_blob){.file = f, .size = stored->len, .compression = c};
}

static void make_blob(enum strata_compression c, const struct strata_buf *data,
                      struct strata_buf *stored, struct strata_blob *blob)
{
	encode(c, data, stored);
	*blob = blob_of(c, stored);
}

/* What reading a stream to its end gives. */
struct outcome {
	struct strata_buf bytes;
	bool even; /* all chunks but the last are whole */
	char stored[STRATA_DIGEST_MAX];
	char plain[STRATA_DIGEST_MAX];
	struct strata_err err; /* code "": none */
};

static void read_stream(const struct strata_blob *blob, const struct strata_work *work,
                        struct outcome *o)
{
	struct strata_blob_reader s = {0};
	size_t len = STRATA_CHUNK, before;
	const char *bytes;

	*o = (struct outcome){.even = true};
	if (strata_blob_reader_open(&s, blob, WANTED, NULL, work, &o->err) < 0)
		abort();
	do {
		before = len;
		if (strata_blob_reader_next(&s, &bytes, &len, &o->err) < 0)
			break;
		o->even = o->even && (before == STRATA_CHUNK || len == 0);
		append(&o->bytes, bytes, len);
	} while (len > 0);
	if (o->err.code[0] == '\0' &&
	    strata_blob_reader_digests(&s, o->stored, o->plain, &o->err) < 0)
		abort();
	strata_blob_reader_close(&s);
}

static bool is_digest_of(const char *digest, const struct strata_buf *data)
{
	char expected[STRATA_DIGEST_MAX];
	struct strata_err err;

	return strata_sha256(data->data, data->len, expected, &err) == 0 &&
	       strcmp(digest, expected) == 0;
}

/* ---- what comes out ------------------------------------------------------ */

static void check_whole(enum strata_compression c, const struct strata_buf *data)
{
	struct strata_buf stored = {0};
	struct strata_blob blob;

	make_blob(c, data, &stored, &blob);
	for (unsigned helpers = 0; helpers <= HELPERS_MAX; helpers++) {
		struct outcome o;
		struct team t;

		team_begin(&t, helpers);
		read_stream(&blob, &t.work, &o);
		team_end(&t);
		CHECK(o.err.code[0] == '\0');
		CHECK(same(&o.bytes, data) && o.even);
		CHECK(is_digest_of(o.stored, &stored));
		CHECK(is_digest_of(o.plain, data));
		CHECK(t.progress == stored.len);
		strata_buf_free(&o.bytes);
	}
	strata_file_unref(blob.file);
	strata_buf_free(&stored);
}

static void the_bytes_do_not_depend_on_the_helpers(void)
{
	static const size_t sizes[] = {0,
	                               1,
	                               STRATA_CHUNK - 1,
	                               STRATA_CHUNK,
	                               STRATA_CHUNK + 1,
	                               9 * STRATA_CHUNK,
	                               6 * MIB + 4711};
	struct strata_buf data = {0};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t c = 0; c < COMPRESSIONS; c++) {
			random_state = i + 1;
			data.len = 0;
			append_mixed(&data, sizes[i]);
			check_whole(compressions[c], &data);
		}
	data.len = 0;
	append_noise(&data, 4 * MIB); /* as long compressed as it is */
	for (size_t c = 0; c < COMPRESSIONS; c++)
		check_whole(compressions[c], &data);
	strata_buf_free(&data);
}

/* Chunk upon chunk of input gives no output. */
static void many_empty_members_are_read_through(void)
{
	struct strata_buf data = {0}, stored = {0};
	struct strata_blob blob;

	append_noise(&data, 100 * KIB);
	zlib_member(&stored, data.data, 1000, 6, true);
	while (stored.len < 20 * STRATA_CHUNK)
		zlib_member(&stored, NULL, 0, 6, true);
	zlib_member(&stored, data.data + 1000, data.len - 1000, 6, true);
	blob = blob_of(STRATA_GZIP, &stored);
	for (unsigned helpers = 0; helpers <= 2; helpers++) {
		struct outcome o;
		struct team t;

		team_begin(&t, helpers);
		read_stream(&blob, &t.work, &o);
		team_end(&t);
		CHECK(o.err.code[0] == '\0' && same(&o.bytes, &data));
		CHECK(is_digest_of(o.stored, &stored));
		strata_buf_free(&o.bytes);
	}
	strata_file_unref(blob.file);
	strata_buf_free(&data);
	strata_buf_free(&stored);
}

/* ---- how far ahead ------------------------------------------------------- */

/* What has been read once no more is. */
static uint64_t settled(struct team *t)
{
	uint64_t before, now = t->progress;
	int still = 0;

	while (still < 100) {
		before = now;
		short_while();
		now = t->progress;
		still = now == before ? still + 1 : 0;
	}
	return now;
}

static void helpers_read_ahead_as_far_as_the_buffers_go(void)
{
	const uint64_t ring = (uint64_t)STRATA_BLOB_READER_CHUNKS * STRATA_CHUNK;
	struct strata_buf data = {0}, stored = {0};
	struct strata_blob_reader s = {0};
	struct strata_blob blob;
	struct strata_err err;
	const char *bytes;
	struct team t;
	size_t len;

	append_noise(&data, 20 * STRATA_CHUNK);
	make_blob(STRATA_NONE, &data, &stored, &blob);
	team_begin(&t, 1);
	CHECK(strata_blob_reader_open(&s, &blob, WANTED, NULL, &t.work, &err) == 0);
	CHECK(settled(&t) == ring);
	CHECK(strata_blob_reader_next(&s, &bytes, &len, &err) == 0 && len == STRATA_CHUNK);
	CHECK(settled(&t) == ring); /* that one is in use */
	CHECK(strata_blob_reader_next(&s, &bytes, &len, &err) == 0 && len == STRATA_CHUNK);
	CHECK(memcmp(bytes, data.data + STRATA_CHUNK, len) == 0);
	CHECK(settled(&t) == ring + STRATA_CHUNK);
	CHECK(!strata_blob_reader_drained(&s));
	while (len > 0 && strata_blob_reader_next(&s, &bytes, &len, &err) == 0)
		;
	CHECK(len == 0 && strata_blob_reader_drained(&s));
	strata_blob_reader_close(&s);
	team_end(&t);
	strata_file_unref(blob.file);
	strata_buf_free(&data);
	strata_buf_free(&stored);
}

static void a_short_stream_is_drained_before_it_is_taken(void)
{
	struct strata_buf data = {0}, stored = {0};
	struct strata_blob_reader s = {0};
	struct strata_blob blob;
	struct strata_err err;
	struct team t;

	append_noise(&data, 3 * STRATA_CHUNK);
	make_blob(STRATA_GZIP, &data, &stored, &blob);
	team_begin(&t, 1);
	CHECK(strata_blob_reader_open(&s, &blob, WANTED, NULL, &t.work, &err) == 0);
	for (int i = 0; i < 10000 && !strata_blob_reader_drained(&s); i++)
		short_while();
	CHECK(strata_blob_reader_drained(&s));
	strata_blob_reader_close(&s);
	team_end(&t);
	strata_file_unref(blob.file);
	strata_buf_free(&data);
	strata_buf_free(&stored);
}

/* ---- ending early -------------------------------------------------------- */

static void whoever_stops_early_leaves_nothing_behind(void)
{
	struct strata_buf data = {0}, stored = {0};
	struct strata_blob blob;
	struct strata_err err;
	const char *bytes;
	size_t len;

	random_state = 3;
	append_mixed(&data, 8 * MIB);
	for (size_t c = 0; c < COMPRESSIONS; c++) {
		make_blob(compressions[c], &data, &stored, &blob);
		for (int taken = 0; taken < 20; taken++) {
			struct strata_blob_reader s = {0};
			struct team t;
			uint64_t read;

			team_begin(&t, (unsigned)taken % (HELPERS_MAX + 1));
			CHECK(strata_blob_reader_open(&s, &blob, WANTED, NULL, &t.work, &err) == 0);
			for (int i = 0; i < taken; i++)
				CHECK(strata_blob_reader_next(&s, &bytes, &len, &err) == 0);
			strata_blob_reader_close(&s);
			read = t.progress;
			team_end(&t);
			CHECK(t.progress == read);
		}
		strata_file_unref(blob.file);
	}
	strata_buf_free(&data);
	strata_buf_free(&stored);
}

static void canceling_is_told_at_once(void)
{
	struct strata_buf data = {0}, stored = {0};
	struct strata_blob blob;
	struct strata_err err;
	const char *bytes;
	size_t len;

	random_state = 5;
	append_mixed(&data, 8 * MIB);
	make_blob(STRATA_GZIP, &data, &stored, &blob);
	for (unsigned helpers = 0; helpers <= HELPERS_MAX; helpers++) {
		struct strata_blob_reader s = {0};
		struct team t;

		team_begin(&t, helpers);
		CHECK(strata_blob_reader_open(&s, &blob, WANTED, NULL, &t.work, &err) == 0);
		CHECK(strata_blob_reader_next(&s, &bytes, &len, &err) == 0);
		atomic_store(&t.cancel, true);
		for (int i = 0; i < 2; i++) {
			err.code[0] = '\0';
			CHECK(strata_blob_reader_next(&s, &bytes, &len, &err) == -1);
			CHECK(strcmp(err.code, "ECANCELED") == 0);
		}
		strata_blob_reader_close(&s);
		team_end(&t);
		CHECK(t.progress < stored.len);
	}
	strata_file_unref(blob.file);
	strata_buf_free(&data);
	strata_buf_free(&stored);
}

static void nothing_is_read_ahead_of_what_is_canceled(void)
{
	char digest[STRATA_DIGEST_MAX], diff_id[STRATA_DIGEST_MAX];
	struct strata_buf data = {0}, stored = {0};
	struct strata_blob blob;
	struct strata_err err;

	random_state = 6;
	append_mixed(&data, MIB);
	for (size_t c = 0; c < 3; c++) {
		struct strata_blob_reader s = {0};
		struct team t;

		make_blob(compressions[c], &data, &stored, &blob);
		team_begin(&t, 2);
		atomic_store(&t.cancel, true);
		CHECK(strata_blob_reader_open(&s, &blob, WANTED, NULL, &t.work, &err) == 0);
		CHECK(strata_blob_reader_digests(&s, digest, diff_id, &err) == -1 &&
		      strcmp(err.code, "ECANCELED") == 0);
		strata_blob_reader_close(&s);
		team_end(&t);
		CHECK(t.progress == 0);
		strata_file_unref(blob.file);
	}
	strata_buf_free(&data);
	strata_buf_free(&stored);
}

/* Two at once, as one layer's end and the next one's begin; one is left in the middle. */
static void streams_of_one_pool_do_not_mix(void)
{
	struct strata_buf data[2] = {{0}}, stored = {0}, out = {0};
	struct strata_blob blobs[2];
	struct strata_err err;
	const char *bytes;
	size_t len;

	for (int i = 0; i < 2; i++) {
		random_state = (unsigned)i + 7;
		append_mixed(&data[i], 5 * MIB);
		make_blob(STRATA_GZIP, &data[i], &stored, &blobs[i]);
	}
	for (unsigned helpers = 0; helpers <= HELPERS_MAX; helpers++) {
		struct strata_blob_reader s[2] = {{0}, {0}};
		struct team t;

		team_begin(&t, helpers);
		for (int i = 0; i < 2; i++)
			CHECK(strata_blob_reader_open(&s[i], &blobs[i], WANTED, NULL, &t.work,
			                              &err) == 0);
		for (int i = 0; i < 5; i++)
			CHECK(strata_blob_reader_next(&s[0], &bytes, &len, &err) == 0);
		CHECK(memcmp(bytes, data[0].data + 4 * STRATA_CHUNK, len) == 0);
		out.len = 0;
		do {
			CHECK(strata_blob_reader_next(&s[1], &bytes, &len, &err) == 0);
			append(&out, bytes, len);
		} while (len > 0);
		CHECK(same(&out, &data[1]));
		strata_blob_reader_close(&s[0]);
		strata_blob_reader_close(&s[1]);
		team_end(&t);
	}
	for (int i = 0; i < 2; i++) {
		strata_file_unref(blobs[i].file);
		strata_buf_free(&data[i]);
	}
	strata_buf_free(&stored);
	strata_buf_free(&out);
}

/* ---- errors -------------------------------------------------------------- */

/* Fails with the same message behind the same bytes with any number of helpers. */
static void fails_alike(const struct strata_blob *blob, const char *code)
{
	struct outcome first;

	read_stream(blob, NULL, &first);
	CHECK(strcmp(first.err.code, code) == 0);
	for (int again = 0; again < 8; again++) {
		struct outcome o;
		struct team t;

		team_begin(&t, 1 + (unsigned)again % HELPERS_MAX);
		read_stream(blob, &t.work, &o);
		team_end(&t);
		CHECK(same(&o.bytes, &first.bytes));
		CHECK(strcmp(o.err.code, code) == 0 && strcmp(o.err.msg, first.err.msg) == 0);
		strata_buf_free(&o.bytes);
	}
	strata_buf_free(&first.bytes);
}

static void an_error_comes_behind_the_bytes_before_it(void)
{
	struct strata_buf data = {0}, stored = {0};
	struct strata_blob blob;
	struct strata_err err;

	random_state = 11;
	append_mixed(&data, 8 * MIB);
	encode(STRATA_GZIP, &data, &stored);
	stored.data[stored.len / 2] ^= 0x55;
	stored.data[stored.len - 3] ^= 0x55; /* at the latest the length does not match */
	blob = blob_of(STRATA_GZIP, &stored);
	fails_alike(&blob, "EFORMAT");
	strata_file_unref(blob.file);

	/* Truncated, which is found at the very end; and a file that ends before its blob does. */
	for (size_t c = 0; c < COMPRESSIONS; c++) {
		make_blob(compressions[c], &data, &stored, &blob);
		blob.size -= 100;
		if (compressions[c] != STRATA_NONE)
			fails_alike(&blob, "EFORMAT");
		blob.size += 100 + 3 * (uint64_t)STRATA_CHUNK;
		fails_alike(&blob, "EFORMAT");
		strata_file_unref(blob.file);
	}
	strata_buf_free(&data);
	strata_buf_free(&stored);

	/* That is no stream at all. */
	if (strata_buf_fill(&stored, 'x', 3 * MIB, &err) < 0)
		abort();
	blob = blob_of(STRATA_GZIP, &stored);
	fails_alike(&blob, "EFORMAT");
	strata_file_unref(blob.file);
	strata_buf_free(&stored);
}

/* ---- layers -------------------------------------------------------------- */

/* A file, or what has a checksum that is not its own. */
static void append_entry(struct strata_buf *tar, const char *name, const struct strata_buf *content,
                         bool damaged)
{
	size_t size = content != NULL ? content->len : 0;
	struct strata_err err;
	char h[512] = {0};
	unsigned sum = damaged;

	snprintf(h, 100, "%s", name);
	memcpy(h + 100, "0000644\0000000000\0000000000", 24);
	snprintf(h + 124, 12, "%011zo", size);
	memcpy(h + 136, "00000000000\0        0", 21);
	memcpy(h + 257, "ustar\00000", 8);
	for (size_t i = 0; i < sizeof(h); i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", sum);
	append(tar, h, sizeof(h));
	if (size > 0)
		append(tar, content->data, size);
	if (strata_buf_fill(tar, 0, -size % 512, &err) < 0)
		abort();
}

/* Layers of which the nth is as told, the first from 1; what is behind it is damaged, too. */
struct trouble {
	size_t layer;
	enum { DAMAGED_ENTRY, DAMAGED_STREAM, WRONG_DIGEST, UNKNOWN_STREAM } kind;
	const char *code;
};

#define LAYERS 3

static void make_layer(const struct trouble *trouble, size_t layer, struct strata_blob *blob)
{
	struct strata_buf tar = {0}, content = {0}, stored = {0};
	struct strata_err err;

	random_state = layer;
	append_mixed(&content, 700 * KIB);
	append_entry(&tar, "file", &content, false);
	append_entry(&tar, "last", NULL, trouble->layer == layer && trouble->kind == DAMAGED_ENTRY);
	if (strata_buf_fill(&tar, 0, 1024, &err) < 0)
		abort();
	encode(STRATA_GZIP, &tar, &stored);
	if (layer > trouble->layer || (layer == trouble->layer && trouble->kind == DAMAGED_STREAM))
		stored.data[layer > trouble->layer ? 10 : stored.len - 5] ^= 0x55;
	*blob = blob_of(layer == trouble->layer && trouble->kind == UNKNOWN_STREAM ? STRATA_XZ
	                                                                           : STRATA_GZIP,
	                &stored);
	strata_buf_free(&tar);
	strata_buf_free(&content);
	strata_buf_free(&stored);
}

static struct strata_err apply_layers(const struct strata_blob blobs[LAYERS],
                                      const struct trouble *trouble, const char *dir,
                                      const struct strata_work *work)
{
	struct strata_apply_options options = {.unprivileged = true};
	struct strata_err err = {"", ""};
	struct strata_apply *a = strata_apply_new(dir, &options, &err);

	if (a == NULL)
		abort();
	for (size_t i = 0; i < LAYERS; i++) {
		bool wrong = trouble->layer == i + 1 && trouble->kind == WRONG_DIGEST;
		char label[20];

		snprintf(label, sizeof(label), "layer %zu", i + 1);
		if (strata_apply_add(a, label, &blobs[i], "", wrong ? "sha256:00" : "", NULL,
		                     &err) < 0)
			abort();
	}
	CHECK(strata_apply_run(a, work, &err) == (err.code[0] == '\0' ? 0 : -1));
	strata_apply_unref(a);
	return err;
}

/* Also when a layer behind it has been read already, and could not be. */
static void the_first_trouble_of_the_layers_is_told(void)
{
	static const struct trouble troubles[] = {
	        {LAYERS + 1, DAMAGED_ENTRY, ""},     {1, DAMAGED_ENTRY, "EFORMAT"},
	        {1, DAMAGED_STREAM, "EFORMAT"},      {1, WRONG_DIGEST, "EDIGEST"},
	        {1, UNKNOWN_STREAM, "EUNSUPPORTED"}, {2, DAMAGED_ENTRY, "EFORMAT"},
	        {2, DAMAGED_STREAM, "EFORMAT"},      {2, WRONG_DIGEST, "EDIGEST"},
	        {2, UNKNOWN_STREAM, "EUNSUPPORTED"}, {3, DAMAGED_STREAM, "EFORMAT"},
	};
	char parent[] = "/tmp/strata-stream.XXXXXX", dir[40], label[20], gone[80];

	if (mkdtemp(parent) == NULL)
		abort();
	snprintf(dir, sizeof(dir), "%s/target", parent);
	for (size_t i = 0; i < sizeof(troubles) / sizeof(troubles[0]); i++) {
		const struct trouble *trouble = &troubles[i];
		struct strata_blob blobs[LAYERS];
		struct strata_err first = {"", ""}, err;

		snprintf(label, sizeof(label), "layer %zu: ", trouble->layer);
		for (size_t l = 0; l < LAYERS; l++)
			make_layer(trouble, l + 1, &blobs[l]);
		for (unsigned run = 0; run < 10; run++) {
			struct team t;

			team_begin(&t, run % (HELPERS_MAX + 1));
			err = apply_layers(blobs, trouble, dir, &t.work);
			team_end(&t);
			if (run == 0)
				first = err;
			if (!CHECK(strcmp(err.code, trouble->code) == 0))
				printf("  %s: %s\n", err.code, err.msg);
			CHECK(strcmp(err.msg, first.msg) == 0);
			if (trouble->code[0] != '\0') {
				CHECK(strncmp(err.msg, label, strlen(label)) == 0);
				CHECK(access(dir, F_OK) < 0);
				continue;
			}
			snprintf(gone, sizeof(gone), "%s/file", dir);
			CHECK(unlink(gone) == 0);
			snprintf(gone, sizeof(gone), "%s/last", dir);
			CHECK(unlink(gone) == 0 && rmdir(dir) == 0);
		}
		for (size_t l = 0; l < LAYERS; l++)
			strata_file_unref(blobs[l].file);
	}
	CHECK(rmdir(parent) == 0);
}

int main(void)
{
	codec_begin();
	RUN(the_bytes_do_not_depend_on_the_helpers);
	RUN(many_empty_members_are_read_through);
	RUN(helpers_read_ahead_as_far_as_the_buffers_go);
	RUN(a_short_stream_is_drained_before_it_is_taken);
	RUN(whoever_stops_early_leaves_nothing_behind);
	RUN(canceling_is_told_at_once);
	RUN(nothing_is_read_ahead_of_what_is_canceled);
	RUN(streams_of_one_pool_do_not_mix);
	RUN(an_error_comes_behind_the_bytes_before_it);
	RUN(the_first_trouble_of_the_layers_is_told);
	return codec_end("stream");
}
