/*
 * What the tests of patching and writing share: single spans, random changes,
 * what they have to lead to, and one entry in every format.
 */
#ifndef STRATA_TAR_CHANGES_H
#define STRATA_TAR_CHANGES_H

#include "tar/tar_support.h"

#define ALL_FIELDS                                                                  \
	(STRATA_TAR_PATH | STRATA_TAR_LINKPATH | STRATA_TAR_MODE | STRATA_TAR_UID | \
	 STRATA_TAR_GID | STRATA_TAR_UNAME | STRATA_TAR_GNAME | STRATA_TAR_MTIME |  \
	 STRATA_TAR_SIZE | STRATA_TAR_TYPE | STRATA_TAR_DEVICE | STRATA_TAR_ATIME | \
	 STRATA_TAR_CTIME)

/* Reads one span as an archive of its own; its payload is not there. */
static inline struct reading read_span(const char *raw, size_t len)
{
	struct strata_err err = {0};
	struct strata_tar_parser *p =
	        strata_tar_parser_new(&(struct strata_tar_limits){.max_path = 1 << 20}, &err);
	struct reading r = {0};
	enum strata_tar_event event;
	const char *data;
	size_t data_len;

	if (strata_tar_step(p, &raw, &len, &event, &data, &data_len, &r.err) == 0 &&
	    event == STRATA_TAR_ENTRY && len == 0)
		keep_entry(&r, p);
	strata_tar_parser_free(p);
	return r;
}

static inline void show(const char *what, const struct strata_tar_header *h)
{
	printf("  %s: type %d '%.*s' -> '%.*s' %.*s/%.*s %o %llu/%llu size %lld/%lld mtime "
	       "%lld.%09u atime %d %lld.%09u ctime %d %lld.%09u dev %u,%u format %d findings %x\n",
	       what, h->typeflag, (int)h->path_len, h->path, (int)h->linkpath_len, h->linkpath,
	       (int)h->uname_len, h->uname, (int)h->gname_len, h->gname, h->mode,
	       (unsigned long long)h->uid, (unsigned long long)h->gid, (long long)h->size,
	       (long long)h->stored, (long long)h->mtime, h->mtime_nsec, h->atime.there,
	       (long long)h->atime.seconds, h->atime.nsec, h->ctime.there,
	       (long long)h->ctime.seconds, h->ctime.nsec, h->devmajor, h->devminor, h->format,
	       h->findings);
}

static inline const char *random_path(uint64_t *seed, char *room, bool ascii)
{
	static const size_t lengths[] = {1,   8,   31,  32,  33,  99,  100,  101, 155,
	                                 156, 200, 255, 256, 257, 300, 1000, 4000};
	size_t len = lengths[chance(seed, sizeof(lengths) / sizeof(lengths[0]))];
	size_t every = 1 + (size_t)chance(seed, 120);

	for (size_t i = 0; i < len; i++)
		room[i] = i % every == every - 1 ? '/' : (char)('a' + chance(seed, 26));
	if (!ascii && len > 1)
		room[len / 2] = '\xe9';
	room[len] = '\0';
	return room;
}

/* A random change; room is for its texts. */
static inline struct strata_tar_changes random_changes(const struct strata_tar_header *old,
                                                       uint64_t *seed, char room[4][5000])
{
	static const int64_t times[] = {
	        0,         1,         -1,          1700000000, 077777777777, 0100000000000,
	        INT64_MAX, INT64_MIN, -62135596800};
	static const uint64_t ids[] = {0, 1000, 07777777, 010000000, 4294967294u};
	static const int64_t sizes[] = {0, 1, 12345, 077777777777, 0100000000000, INT64_MAX / 2};
	static const uint32_t modes[] = {0, 0755, 04755, 0100644, 07777777};
	static const uint32_t devices[] = {0, 8, 07777777, 010000000, UINT32_MAX};
	static const char types[] = {'\0', '0', '1', '2', '3', '4', '5', '6', '7', 'Z'};
	struct strata_tar_changes c = {.mask = (uint32_t)chance(seed, ALL_FIELDS + 1)};
	struct strata_tar_header *to = &c.to;

	if (chance(seed, 2))
		c.mask &= (uint32_t)chance(seed, ALL_FIELDS + 1);
	c.mask &= ALL_FIELDS; /* which has no STRATA_TAR_RECORDS between its bits */
#define ONE_OF(list) list[chance(seed, sizeof(list) / sizeof(list[0]))]
	to->path = random_path(seed, room[0], chance(seed, 4));
	to->linkpath = random_path(seed, room[1], chance(seed, 4));
	to->uname = random_path(seed, room[2], chance(seed, 4));
	to->gname = random_path(seed, room[3], chance(seed, 4));
	to->path_len = chance(seed, 20) ? strlen(to->path) : 0;
	to->linkpath_len = chance(seed, 5) ? strlen(to->linkpath) : 0;
	to->uname_len = chance(seed, 5) ? strlen(to->uname) : 0;
	to->gname_len = chance(seed, 5) ? strlen(to->gname) : 0;
	to->mode = ONE_OF(modes);
	to->uid = ONE_OF(ids);
	to->gid = ONE_OF(ids);
	to->mtime = ONE_OF(times);
	to->mtime_nsec = chance(seed, 3) ? 0 : (uint32_t)chance(seed, 1000000000);
	for (int i = 0; i < 2; i++) {
		struct strata_tar_time *t = i ? &to->ctime : &to->atime;

		t->there = chance(seed, 3);
		t->seconds = ONE_OF(times);
		t->nsec = chance(seed, 3) ? 0 : (uint32_t)chance(seed, 1000000000);
	}
	to->size = ONE_OF(sizes);
	to->typeflag = ONE_OF(types);
	to->devmajor = ONE_OF(devices);
	to->devminor = ONE_OF(devices);
#undef ONE_OF
	if (!(c.mask & STRATA_TAR_TYPE))
		to->typeflag = old->typeflag;
	/* What the contract does not allow. */
	if (strata_tar_header_only(to->typeflag))
		to->size = 0;
	else if (to->typeflag != old->typeflag && (old->sparse || old->typeflag == 'S'))
		c.mask |= STRATA_TAR_SIZE;
	return c;
}

/* What the patched header has to read as. */
static inline struct strata_tar_header expected_header(const struct strata_tar_header *old,
                                                       const struct strata_tar_changes *c)
{
	struct strata_tar_header e = *old;

#define TAKE(bit, field)                \
	if (c->mask & STRATA_TAR_##bit) \
	e.field = c->to.field
	TAKE(PATH, path);
	TAKE(PATH, path_len);
	TAKE(LINKPATH, linkpath);
	TAKE(LINKPATH, linkpath_len);
	TAKE(UNAME, uname);
	TAKE(UNAME, uname_len);
	TAKE(GNAME, gname);
	TAKE(GNAME, gname_len);
	TAKE(MODE, mode);
	TAKE(UID, uid);
	TAKE(GID, gid);
	TAKE(MTIME, mtime);
	TAKE(MTIME, mtime_nsec);
	TAKE(ATIME, atime);
	TAKE(CTIME, ctime);
	TAKE(SIZE, size);
	TAKE(TYPE, typeflag);
	TAKE(DEVICE, devmajor);
	TAKE(DEVICE, devminor);
#undef TAKE
	if (old->sparse && (c->mask & STRATA_TAR_SIZE)) {
		e.sparse = false;
		if (e.typeflag == 'S')
			e.typeflag = '0';
	}
	if (e.typeflag != old->typeflag) {
		bool was_link = old->typeflag == '1' || old->typeflag == '2';
		bool is_link = e.typeflag == '1' || e.typeflag == '2';

		if (was_link && !is_link && !(c->mask & STRATA_TAR_LINKPATH))
			e.linkpath_len = 0;
		if (strata_tar_header_only(e.typeflag)) {
			e.size = 0;
			e.sparse = false;
		}
	}
	if (!e.sparse)
		e.stored = e.size;
	/* NUL and a slash would be a directory. */
	if (e.typeflag == 0 && e.path_len && e.path[e.path_len - 1] == '/')
		e.typeflag = '0';
	return e;
}

/* Records that no field answers to stay as they are, in their order. */
static inline bool same_other_records(const struct strata_tar_header *a,
                                      const struct strata_tar_header *b)
{
	static const char *const fields[] = {"path", "linkpath", "uname", "gname", "uid",
	                                     "gid",  "size",     "mtime", "atime", "ctime"};
	struct strata_buf kept[2] = {{0}};
	bool same;

	for (int side = 0; side < 2; side++) {
		const char *records = side ? b->pax : a->pax;
		size_t len = side ? b->pax_len : a->pax_len;
		struct strata_pax_record r;
		struct strata_err err;

		for (const char *at = records; strata_pax_next(&records, &len, &r, &err) > 0;
		     at = records) {
			bool skip = r.key_len >= 11 && memcmp(r.key, "GNU.sparse.", 11) == 0;

			for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
				skip |= same_text(r.key, r.key_len, fields[i], strlen(fields[i]));
			if (!skip)
				add(&kept[side], at, (size_t)(records - at));
		}
	}
	same = kept[0].len == kept[1].len &&
	       (!kept[0].len || memcmp(kept[0].data, kept[1].data, kept[0].len) == 0);
	strata_buf_free(&kept[0]);
	strata_buf_free(&kept[1]);
	return same;
}

/* One entry in every format and with every kind of extension header. */
static inline void build_formats(struct strata_buf *b)
{
	static const char *const magics[] = {V7, USTAR, GNU};
	char long_name[151];
	struct strata_buf records = {0};
	size_t at;

	memset(long_name, 'l', 150);
	long_name[150] = '\0';
	for (size_t i = 0; i < 3; i++) {
		static const char types[] = {'\0', '0', '1', '2', '3', '5'};

		for (size_t t = 0; t < sizeof(types); t++) {
			at = header(b, magics[i], types[t], types[t] == '5' ? "dir/" : "name", 0);
			if (types[t] == '1')
				poke(b, at, 157, "target", 6);
		}
		at = header(b, magics[i], '2', "link", 0);
		poke(b, at, 157, "target", 6);
		header(b, magics[i], '\0', "olddir/", 0);
		extension(b, 'L', long_name, 151);
		extension(b, 'K', long_name, 151);
		header(b, magics[i], '2', "cut", 0);
		pax(b, "SCHILY.xattr.user.a", "value");
		header(b, magics[i], '0', "attr", 0);
		record(&records, "path", long_name, 150);
		record(&records, "mtime", "1.25", 4);
		record(&records, "ctime", "-2.5", 4);
		record(&records, "uid", "3000000", 7);
		record(&records, "size", "0", 1);
		record(&records, "uname", "somebody", 8);
		record(&records, "LIBARCHIVE.creationtime", "5", 1);
		extension(b, 'x', records.data, records.len);
		strata_buf_free(&records);
		at = header(b, magics[i], '0', "cut", 0);
		poke(b, at, 100, "100644 \0  1750 \0", 16); /* other spellings */
		pax(b, "path", "shadowed");
		extension(b, 'L', "shadowed too", 13);
		pax(b, "linkpath", "elsewhere");
		extension(b, 'L', "", 1);
		header(b, magics[i], '2', "name", 0);
	}
	at = header(b, USTAR, '0', "name", 0);
	poke(b, at, 345, "a/prefix", 8);
	at = header(b, USTAR, '0', "star", 0);
	poke(b, at, 508, "tar", 4);
	at = header(b, GNU, '0', "one", 0);
	poke(b, at, 345, "pre", 3);
	at = header(b, GNU, '0', "timed", 0);
	poke(b, at, 345,
	     "12345670123\0"
	     "12345670123",
	     24);
	at = header(b, GNU, '0', "changed", 0);
	poke(b, at, 357, "12345670123", 11);
	pax(b, "atime", "7.5");
	at = header(b, GNU, '0', "timed twice", 0);
	poke(b, at, 345, "12345670123", 11);
	at = header(b, USTAR, '0', "xstar", 0);
	poke(b, at, 476, "12345670123 12345670123 ", 24);
	poke(b, at, 508, "tar", 4);
	at = header(b, GNU, '0', "base256", 0);
	poke(b, at, 108, "\x80\0\0\0\0\x2d\xc6\xc0\x80\0\0\0\0\x2d\xc6\xc0", 16);
	at = header(b, GNU, 'S', "sparse", 0);
	poke(b, at, 483, "00000001000", 12);
	at = header(b, GNU, 'S', "prefixed", 2);
	poke(b, at, 345, "pre", 3);
	poke(b, at, 386,
	     "00000000010\0"
	     "00000000002",
	     24);
	poke(b, at, 483, "00000001000", 12);
	add_padded(b, "ab", 2);
	record(&records, "GNU.sparse.size", "10000", 5);
	record(&records, "GNU.sparse.numblocks", "0", 1);
	record(&records, "GNU.sparse.name", "real", 4);
	record(&records, "comment", "stays", 5);
	record(&records, "GNU.sparse.major", "0", 1);
	record(&records, "GNU.sparse.minor", "1", 1);
	extension(b, 'x', records.data, records.len);
	strata_buf_free(&records);
	header(b, USTAR, '0', "GNUSparseFile.0/real", 0);
	end(b);
}

#endif
