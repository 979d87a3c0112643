/* Fresh headers, and what other readers make of fresh and patched ones. */
#include <time.h>

#include "tar/tar_changes.h"

/* ---- fresh headers ----------------------------------------------------- */

static void a_fresh_header_reads_as_asked(void)
{
	static char room[4][5000];
	uint64_t seed = 123456789;

	for (int i = 0; i < 5000; i++) {
		struct strata_tar_header zero = {0};
		struct strata_tar_changes c = random_changes(&zero, &seed, room);
		struct strata_tar_header h = c.to;
		struct strata_buf out = {0};
		struct strata_buf again = {0};
		struct strata_err err = {0};
		struct reading r;

		h.typeflag = "01234567Z"[chance(&seed, 9)];
		if (strata_tar_header_only(h.typeflag))
			h.size = 0;
		h.stored = h.size;
		while (strchr("03467", h.typeflag) && h.path_len && h.path[h.path_len - 1] == '/')
			h.path_len--;
		h.pax = chance(&seed, 2) ? "6 B=2\n6 A=1\n6 B=3\n10 path=x\n" : "";
		h.pax_len = strlen(h.pax);
		CHECK(strata_tar_write(&h, &out, &err) == 0);
		CHECK(strata_tar_write(&h, &again, &err) == 0);
		CHECK(out.len == again.len && memcmp(out.data, again.data, out.len) == 0);
		r = read_span(out.data, out.len);
		if (!CHECK(r.n == 1 && same_header(&h, &r.entries[0].h))) {
			show("want", &h);
			if (r.n)
				show("got", &r.entries[0].h);
			printf("  %s %s\n", err.msg, r.err.msg);
		} else if (h.pax_len) {
			CHECK(memcmp(r.entries[0].h.pax, "6 A=1\n6 B=3\n", 12) == 0);
		}
		free_reading(&r);
		strata_buf_free(&out);
		strata_buf_free(&again);
	}
}

static void a_fresh_header_is_ustar_where_that_will_do(void)
{
	struct strata_tar_header h = {.path = "usr/bin/env",
	                              .path_len = 11,
	                              .mode = 0755,
	                              .size = 5,
	                              .mtime = 1,
	                              .typeflag = '0'};
	static const char want[] = "0000755\0"
	                           "0000000\0"
	                           "0000000\0"
	                           "00000000005\0"
	                           "00000000001\0";
	struct strata_buf out = {0};
	struct strata_err err;

	CHECK(strata_tar_write(&h, &out, &err) == 0);
	CHECK(out.len == 512 && memcmp(out.data + 100, want, 48) == 0);
	CHECK(memcmp(out.data + 257, USTAR, 8) == 0);
	CHECK(memcmp(out.data + 329,
	             "0000000\0"
	             "0000000",
	             16) == 0);
	out.len = 0;
	h.path = "\xc3\xa4";
	h.path_len = 2; /* as Go does: a record, and in the field what is ASCII of it */
	CHECK(strata_tar_write(&h, &out, &err) == 0);
	CHECK(out.len == 512 * 3 && memcmp(out.data + 512, "11 path=\xc3\xa4\n", 12) == 0 &&
	      out.data[1024] == 0);
	out.len = 0;
	h.typeflag = 'L';
	CHECK(strata_tar_write(&h, &out, &err) < 0 && out.len == 0);
	h.typeflag = '0'; /* a directory for GNU tar, a file for Go */
	h.path = "name/";
	h.path_len = 5;
	CHECK(strata_tar_write(&h, &out, &err) < 0 && out.len == 0);
	strata_buf_free(&out);
}

/* ---- peers ------------------------------------------------------------- */

static char type_letter(char typeflag)
{
	switch (typeflag) {
	case '1':
		return 'h';
	case '2':
		return 'l';
	case '3':
		return 'c';
	case '4':
		return 'b';
	case '5':
		return 'd';
	case '6':
		return 'p';
	default:
		return '-';
	}
}

static size_t without_slash(const char *path, size_t len)
{
	while (len > 1 && path[len - 1] == '/')
		len--;
	return len;
}

/* The entries as the Python script below prints them. */
static void print_entries(const struct reading *r, struct strata_buf *out)
{
	static char line[20000];

	for (size_t i = 0; i < r->n; i++) {
		const struct strata_tar_header *h = &r->entries[i].h;
		bool device = h->typeflag == '3' || h->typeflag == '4';
		bool link = h->typeflag == '1' || h->typeflag == '2';

		snprintf(line, sizeof(line), "%c|%.*s|%s|%o|%llu|%llu|%s|%s|%lld|%lld|%u,%u\n",
		         type_letter(h->typeflag), (int)without_slash(h->path, h->path_len),
		         h->path, link ? h->linkpath : "", h->mode & 07777,
		         (unsigned long long)h->uid, (unsigned long long)h->gid, h->uname, h->gname,
		         (long long)h->size, (long long)h->mtime, device ? h->devmajor : 0,
		         device ? h->devminor : 0);
		add(out, line, strlen(line));
	}
}

/*
 * A type of NUL and a name with a slash at its end: behind an extension header tarfile takes that
 * for a directory or, since its fix of CVE-2025-13462, for a file. The others say directory.
 */
static const char tarfile_script[] =
        "import math, os, sys, tarfile\n"
        "kinds = {b'1': 'h', b'2': 'l', b'3': 'c', b'4': 'b', b'5': 'd', b'6': 'p'}\n"
        "for m in tarfile.open(sys.argv[1], 'r:', encoding='utf-8', errors='surrogateescape'):\n"
        "    kind = kinds.get(m.type, '-')\n"
        "    if m.type == tarfile.AREGTYPE and m.name.endswith('/'):\n"
        "        kind, m.name = 'd', m.name.rstrip('/')\n"
        "    size = m.size if kind == '-' else 0\n"
        "    device = (m.devmajor, m.devminor) if kind in 'cb' else (0, 0)\n"
        "    line = '%s|%s|%s|%o|%d|%d|%s|%s|%d|%d|%d,%d' % ((kind, m.name, m.linkname if kind\n"
        "        in 'hl' else '', m.mode & 0o7777, m.uid, m.gid, m.uname, m.gname, size,\n"
        "        math.floor(float(m.pax_headers.get('mtime', m.mtime)))) + device)\n"
        "    sys.stdout.buffer.write(os.fsencode(line) + b'\\n')\n";

static const char libarchive_script[] =
        "import ctypes, ctypes.util, os, sys\n"
        "lib = ctypes.CDLL(ctypes.util.find_library('archive') or 'libarchive.so.13')\n"
        "for name in 'pathname hardlink symlink uname gname'.split():\n"
        "    getattr(lib, 'archive_entry_' + name).restype = ctypes.c_char_p\n"
        "for name in 'size uid gid mtime'.split():\n"
        "    getattr(lib, 'archive_entry_' + name).restype = ctypes.c_int64\n"
        "lib.archive_read_new.restype = ctypes.c_void_p\n"
        "a = ctypes.c_void_p(lib.archive_read_new())\n"
        "lib.archive_read_support_format_tar(a)\n"
        "assert lib.archive_read_open_filename(a, sys.argv[1].encode(), 10240) == 0\n"
        "e = ctypes.c_void_p()\n"
        "kinds = {0o100000: '-', 0o120000: 'l', 0o040000: 'd', 0o020000: 'c', 0o060000: 'b',\n"
        "         0o010000: 'p', 0: '-'}\n"
        "while True:\n"
        "    status = lib.archive_read_next_header(a, ctypes.byref(e))\n"
        "    if status == 1: break\n"
        "    assert status == 0, status\n"
        "    get = lambda name: getattr(lib, 'archive_entry_' + name)(e)\n"
        "    kind = kinds[get('filetype')]\n"
        "    link = get('hardlink')\n"
        "    if link is not None: kind = 'h'\n"
        "    else: link = get('symlink') or b''\n"
        "    path = get('pathname')\n"
        "    if len(path) > 1: path = path.rstrip(b'/')\n"
        "    device = (get('rdevmajor'), get('rdevminor')) if kind in 'cb' else (0, 0)\n"
        "    line = b'%s|%s|%s|%o|%d|%d|%s|%s|%d|%d|%d,%d' % ((kind.encode(), path, link,\n"
        "        get('mode') & 0o7777, get('uid'), get('gid'), get('uname') or b'',\n"
        "        get('gname') or b'', get('size') if kind == '-' else 0, get('mtime')) + device)\n"
        "    sys.stdout.buffer.write(line + b'\\n')\n";

/* The same for GNU tar: a listing, with its runs of spaces made one. */
static void print_listing(const struct reading *r, struct strata_buf *out)
{
	static char line[20000];

	for (size_t i = 0; i < r->n; i++) {
		const struct strata_tar_header *h = &r->entries[i].h;
		char letter = type_letter(h->typeflag);
		char size[64];
		char date[64];
		char perms[11] = "-rwxrwxrwx";
		time_t when = (time_t)h->mtime;
		struct tm tm;

		perms[0] = letter;
		for (int bit = 0; bit < 9; bit++)
			if (!(h->mode >> (8 - bit) & 1))
				perms[1 + bit] = '-';
		gmtime_r(&when, &tm);
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
		if (letter == 'c' || letter == 'b')
			snprintf(size, sizeof(size), "%u,%u", h->devmajor, h->devminor);
		else
			snprintf(size, sizeof(size), "%lld", (long long)h->size);
		snprintf(line, sizeof(line), "%s %llu/%llu %s %s %s%s%s\n", perms,
		         (unsigned long long)h->uid, (unsigned long long)h->gid, size, date,
		         h->path,
		         letter == 'h'   ? " link to "
		         : letter == 'l' ? " -> "
		                         : "",
		         letter == 'h' || letter == 'l' ? h->linkpath : "");
		add(out, line, strlen(line));
	}
}

/* Runs of spaces to one, and no fractions of seconds. */
static void normalise_listing(struct strata_buf *b)
{
	size_t kept = 0;
	size_t column = 0;
	bool fraction = false;

	for (size_t i = 0; i < b->len; i++) {
		char c = b->data[i];

		if (c == ' ' && kept && b->data[kept - 1] == ' ')
			continue;
		column = c == '\n' ? 0 : column + (c == ' ');
		if (column == 4 && c == '.')
			fraction = true;
		if (c == ' ' || c == '\n')
			fraction = false;
		if (!fraction)
			b->data[kept++] = c;
	}
	b->len = kept;
}

static void check_lines(const char *peer, const struct strata_buf *want,
                        const struct strata_buf *got)
{
	size_t a = 0;
	size_t b = 0;

	if (CHECK(want->len && want->len == got->len &&
	          memcmp(want->data, got->data, got->len) == 0))
		return;
	for (int shown = 0; shown < 5 && a < want->len && b < got->len;) {
		size_t x = (size_t)((char *)memchr(want->data + a, '\n', want->len - a) -
		                    (want->data + a));
		size_t y = (size_t)((char *)memchr(got->data + b, '\n', got->len - b) -
		                    (got->data + b));

		if (!same_text(want->data + a, x, got->data + b, y)) {
			shown++;
			printf("  we read %.*s\n  %s %.*s\n", (int)x, want->data + a, peer, (int)y,
			       got->data + b);
		}
		a += x + 1;
		b += y + 1;
	}
}

/* Reads the archive with every peer and compares with what we read. */
static void compare_with_peers(const struct strata_buf *archive)
{
	static const struct {
		const char *name;
		const char *needs;
		const char *script; /* of Python, or NULL for GNU tar's listing */
	} peers[] = {
	        {"tarfile reads", "python3", tarfile_script},
	        {"libarchive reads", "python3", libarchive_script},
	        {"GNU tar reads", "tar", NULL},
	};
	char path[] = "/tmp/strata-tar-XXXXXX";
	int fd = mkstemp(path);
	struct reading r = read_buf(archive);

	CHECK(!r.err.code[0] && r.n > 0);
	if (fd < 0 || write(fd, archive->data, archive->len) != (ssize_t)archive->len ||
	    close(fd) < 0)
		must(-1);
	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		static char command[8192];
		struct strata_buf want = {0};
		struct strata_buf got = {0};

		if (!have_tool(peers[i].needs))
			continue;
		if (peers[i].script) {
			print_entries(&r, &want);
			snprintf(command, sizeof(command),
			         "LC_ALL=C.UTF-8 python3 - %s <<'END'\n%sEND\n", path,
			         peers[i].script);
		} else {
			print_listing(&r, &want);
			snprintf(command, sizeof(command),
			         "LC_ALL=C TZ=UTC tar --numeric-owner --full-time "
			         "--quoting-style=literal --warning=no-unknown-keyword -tvf %s",
			         path);
		}
		CHECK(output_of(command, &got));
		if (!peers[i].script)
			normalise_listing(&got);
		check_lines(peers[i].name, &want, &got);
		strata_buf_free(&want);
		strata_buf_free(&got);
	}
	unlink(path);
	free_reading(&r);
}

/* Texts of a few lengths that are the same in every reader. */
static char words[5][400];

static void fill_words(void)
{
	static const size_t lengths[] = {3, 40, 100, 150, 300};

	for (size_t i = 0; i < 5; i++)
		for (size_t at = 0; at < lengths[i]; at++)
			words[i][at] = at % 30 == 28 ? '/' : (char)('a' + (at + i) % 26);
}

static void add_with_payload(struct strata_buf *archive, const struct strata_buf *span)
{
	struct reading r = read_span(span->data, span->len);
	struct strata_err err;

	add(archive, span->data, span->len);
	if (CHECK(r.n == 1)) {
		uint64_t n = (uint64_t)r.entries[0].h.stored;

		must(strata_buf_fill(archive, 'p', (size_t)n, &err));
		must(strata_buf_fill(archive, 0, (size_t)strata_tar_padding(n), &err));
	}
	free_reading(&r);
}

/* The changes that are made to every entry, numbered. False: no such number. */
static bool change_number(size_t i, struct strata_tar_changes *c)
{
	static const int64_t times[] = {0, 1700000000, 077777777777, -100, 0100000000000};
	static const uint64_t ids[] = {0, 07777777, 010000000, 4294967294u};
	struct strata_tar_header *to = &c->to;

	*c = (struct strata_tar_changes){.mask = 0};
	if (i < 5) {
		c->mask = STRATA_TAR_PATH | STRATA_TAR_LINKPATH;
		to->path = words[i];
		to->path_len = strlen(words[i]);
		to->linkpath = words[4 - i];
		to->linkpath_len = strlen(words[4 - i]);
	} else if (i < 10) {
		c->mask = STRATA_TAR_MTIME | (i % 2 ? STRATA_TAR_PATH : 0);
		to->mtime = times[i - 5];
		to->mtime_nsec = i == 9 ? 250000000 : 0; /* GNU tar and bsdtar err below 0 */
		to->path = words[i - 5];
		to->path_len = strlen(words[i - 5]);
	} else if (i < 14) {
		c->mask = STRATA_TAR_UID | STRATA_TAR_GID | STRATA_TAR_UNAME | STRATA_TAR_GNAME;
		to->uid = ids[i - 10];
		to->gid = ids[13 - i];
		to->uname = words[i % 2];
		to->uname_len = strlen(words[i % 2]);
		to->gname = "";
	} else if (i < 20) {
		c->mask = STRATA_TAR_TYPE | STRATA_TAR_SIZE | STRATA_TAR_LINKPATH |
		          STRATA_TAR_DEVICE | STRATA_TAR_MODE | STRATA_TAR_PATH;
		to->typeflag = "012345"[i - 14];
		to->size = i == 14 ? 1000 : 0;
		to->linkpath = i == 15 || i == 16 ? words[4] : "";
		to->linkpath_len = strlen(to->linkpath);
		to->devmajor = i == 17 || i == 18 ? 8 : 0;
		to->devminor = i == 17 || i == 18 ? 010000000 : 0;
		to->path = i == 19 ? "dir/" : "other";
		to->path_len = strlen(to->path);
		to->mode = 0640;
	} else if (i == 20) {
		c->mask = STRATA_TAR_RECORDS | STRATA_TAR_PATH;
		c->records = "30 SCHILY.xattr.user.key=text\n";
		c->records_len = 30;
		to->path = words[4];
		to->path_len = strlen(words[4]);
	}
	return i <= 20;
}

/* Entries that readers disagree about before anything is changed. */
static bool is_disputed(const struct strata_tar_header *h)
{
	return (h->findings & (STRATA_TAR_GNU_PREFIX | STRATA_TAR_REPEATED_EXTENSION)) ||
	       h->typeflag == 'g' || h->sparse || h->format == STRATA_TAR_STAR ||
	       /* tarfile joins the atime */
	       (h->format == STRATA_TAR_GNU && h->atime.there);
}

static void patched_headers_are_read_alike_by_peers(void)
{
	struct strata_buf formats = {0};
	struct strata_buf archive = {0};
	struct reading r;

	fill_words();
	build_formats(&formats);
	r = read_buf(&formats);
	for (size_t i = 0; i < r.n; i++) {
		struct strata_tar_changes c;

		if (is_disputed(&r.entries[i].h))
			continue;
		for (size_t n = 0; change_number(n, &c); n++) {
			struct strata_buf out = {0};
			struct strata_err err;

			CHECK(strata_tar_patch(r.entries[i].raw, r.entries[i].raw_len, &c, &out,
			                       &err) == 0);
			add_with_payload(&archive, &out);
			strata_buf_free(&out);
		}
	}
	end(&archive);
	compare_with_peers(&archive);
	free_reading(&r);
	strata_buf_free(&formats);
	strata_buf_free(&archive);
}

static void fresh_headers_are_read_alike_by_peers(void)
{
	struct strata_buf archive = {0};
	struct strata_tar_changes c;

	fill_words();
	for (size_t n = 0; change_number(n, &c); n++) {
		struct strata_tar_header h = c.to;
		struct strata_buf out = {0};
		struct strata_err err;

		if (!h.path_len)
			h.path = "file\xc3\xa4";
		h.path_len = strlen(h.path);
		h.typeflag = h.typeflag ? h.typeflag : '0';
		h.pax = c.records;
		h.pax_len = c.records_len;
		CHECK(strata_tar_write(&h, &out, &err) == 0);
		add_with_payload(&archive, &out);
		strata_buf_free(&out);
	}
	end(&archive);
	compare_with_peers(&archive);
	strata_buf_free(&archive);
}

int main(void)
{
	RUN(a_fresh_header_reads_as_asked);
	RUN(a_fresh_header_is_ustar_where_that_will_do);
	RUN(patched_headers_are_read_alike_by_peers);
	RUN(fresh_headers_are_read_alike_by_peers);
	return check_sum("tar_write");
}
