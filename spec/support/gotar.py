"""A tar reader with the semantics of Go's archive/tar, and mutated tars to try readers on.

Written for the specs from what Go does, apart from the reader under test. It lists entries and says
where Go would stop with an error; contents are skipped.

  gotar.py list FILE ...               what Go sees in each
  gotar.py seeds DIR                   writes tars of Python's making; prints their paths
  gotar.py mutate DIR SEED N FILE ...  writes N mutants of each and prints what Go sees in them

Names are printed as hexadecimal: they are bytes, and JSON is not.
"""

import gzip
import io
import json
import os
import random
import sys
import tarfile

BLOCK = 512
ZERO = bytes(BLOCK)
INT64 = 1 << 63
MAX_SPECIAL = 1 << 20


class HeaderError(Exception):
    pass


class UnexpectedEOF(Exception):
    pass


# ---- fields ---------------------------------------------------------------------------------------


def text(field):
    return field.split(b"\0", 1)[0]


def octal(field):
    digits = text(field.strip(b" \0"))
    if not field.strip(b" \0"):
        return 0
    if not digits or any(c not in b"01234567" for c in digits):
        raise HeaderError("octal")
    value = int(digits, 8)
    if value >= 1 << 64:
        raise HeaderError("octal range")
    return value - (1 << 64) if value >= INT64 else value


def numeric(field):
    if field and field[0] & 0x80:
        invert = 0xFF if field[0] & 0x40 else 0
        value = 0
        for i, c in enumerate(field):
            c ^= invert
            if i == 0:
                c &= 0x7F
            if value >> 56:
                raise HeaderError("base-256")
            value = value << 8 | c
        if value >> 63:
            raise HeaderError("base-256")
        return ~value if invert else value
    return octal(field)


def checksums(block):
    body = block[:148] + b" " * 8 + block[156:]
    return sum(body), sum(c - 256 if c > 127 else c for c in body)


def format_of(block):
    try:
        given = octal(block[148:156])
    except HeaderError:
        return None
    if given not in checksums(block):
        return None
    magic, version = block[257:263], block[263:265]
    if magic == b"ustar\0":
        return "star" if block[508:512] == b"tar\0" else "ustar"
    if magic == b"ustar " and version == b" \0":
        return "gnu"
    return "v7"


def decimal(value):
    """strconv.ParseInt(value, 10, 64)"""
    digits = value[1:] if value[:1] in (b"+", b"-") else value
    if not digits or any(c not in b"0123456789" for c in digits):
        raise HeaderError("decimal")
    number = -int(digits) if value[:1] == b"-" else int(digits)
    if not -INT64 <= number < INT64:
        raise HeaderError("decimal range")
    return number


def pax_time(value):
    seconds, dot, fraction = value.partition(b".")
    decimal(seconds)
    if any(c not in b"0123456789" for c in fraction):
        raise HeaderError("time")


# ---- PAX records ----------------------------------------------------------------------------------


def pax_records(body):
    records, pairs = {}, []
    while body:
        length, space, rest = body.partition(b" ")
        if not space:
            raise HeaderError("record without a space")
        n = decimal(length)
        if n < 5 or n > len(body):
            raise HeaderError("record length")
        n -= len(length) + 1
        if n <= 0 or rest[n - 1 : n] != b"\n":
            raise HeaderError("record end")
        key, equals, value = rest[: n - 1].partition(b"=")
        if not equals or not key or b"\0" in key:
            raise HeaderError("record key")
        if key in (b"path", b"linkpath", b"uname", b"gname") and b"\0" in value:
            raise HeaderError("NUL in a record")
        body = rest[n:]
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            wanted = b"GNU.sparse.numbytes" if len(pairs) % 2 else b"GNU.sparse.offset"
            if key != wanted or b"," in value:
                raise HeaderError("sparse pairs")
            pairs.append(value)
        else:
            records[key] = value
    if pairs:
        records[b"GNU.sparse.map"] = b",".join(pairs)
    return records


# ---- the reader -----------------------------------------------------------------------------------


class Header:
    pass


class Reader:
    def __init__(self, data):
        self.data, self.at, self.left, self.pad = data, 0, 0, 0
        self.blocks = []  # where header blocks stand

    def block(self):
        part = self.data[self.at : self.at + BLOCK]
        self.at += len(part)
        if not part:
            raise EOFError
        if len(part) < BLOCK:
            raise UnexpectedEOF
        return part

    def body(self, n):
        part = self.data[self.at : self.at + n]
        self.at += len(part)
        self.left -= len(part)
        if len(part) < n:
            raise UnexpectedEOF
        return part

    def take_header(self):
        start = self.at
        raw = self.block()
        if raw == ZERO:
            if self.block() == ZERO:
                raise EOFError
            raise HeaderError("zero block, then more")
        kind = format_of(raw)
        if kind is None:
            raise HeaderError("checksum")
        self.blocks.append(start)
        h = Header()
        h.raw, h.type, h.name, h.link = raw, raw[156:157], text(raw[:100]), text(raw[157:257])
        h.size = numeric(raw[124:136])
        for first, last in ((100, 108), (108, 116), (116, 124), (136, 148)):
            numeric(raw[first:last])
        prefix = b""
        if kind != "v7":
            numeric(raw[329:337])
            numeric(raw[337:345])
            if kind == "ustar":
                prefix = text(raw[345:500])
            elif kind == "star":
                prefix = text(raw[345:476])
                numeric(raw[476:488])
                numeric(raw[488:500])
            else:
                prefix = self.gnu_prefix(raw)
        if prefix:
            h.name = prefix + b"/" + h.name
        h.records = {}
        return h

    @staticmethod
    def gnu_prefix(raw):
        try:
            for field in (raw[345:357], raw[357:369]):
                if field[0]:
                    numeric(field)
        except HeaderError:
            prefix = text(raw[345:500])
            return prefix if all(c < 0x80 for c in prefix) else b""
        return b""

    def set_body(self, h):
        size = 0 if h.type in (b"1", b"2", b"3", b"4", b"5", b"6") else h.size
        if size < 0:
            raise HeaderError("negative size")
        self.left, self.pad = size, -size % BLOCK

    def next(self):
        records, long_name, long_link = {}, b"", b""
        while True:
            if len(self.data) - self.at < self.left:
                raise UnexpectedEOF
            self.at += self.left
            if len(self.data) - self.at < self.pad:
                raise EOFError
            self.at += self.pad
            self.left = self.pad = 0
            h = self.take_header()
            self.set_body(h)
            if h.type in b"xgLK" and h.type:
                if h.size > MAX_SPECIAL:
                    raise HeaderError("special file too long")
                body = self.body(h.size)
                if h.type == b"L":
                    long_name = text(body)
                elif h.type == b"K":
                    long_link = text(body)
                else:
                    found = pax_records(body)
                    if h.type == b"g":
                        self.merge(h, found, check_only=True)
                        return h
                    records = found
                continue
            self.merge(h, records)
            h.name, h.link = long_name or h.name, long_link or h.link
            if h.type == b"\0":
                h.type = b"5" if h.name.endswith(b"/") else b"0"
            self.set_body(h)
            self.sparse(h)
            return h

    @staticmethod
    def merge(h, records, check_only=False):
        h.records = records
        for key, value in records.items():
            if not value:
                continue
            try:
                if key == b"path" and not check_only:
                    h.name = value
                elif key == b"linkpath" and not check_only:
                    h.link = value
                elif key in (b"uid", b"gid"):
                    decimal(value)
                elif key in (b"atime", b"mtime", b"ctime"):
                    pax_time(value)
                elif key == b"size":
                    size = decimal(value)
                    if not check_only:
                        h.size = size
            except HeaderError:
                if not check_only:
                    raise

    # ---- sparse files ------------------------------------------------------------------------------

    def sparse(self, h):
        pairs = self.old_map(h) if h.type == b"S" else self.pax_map(h)
        if pairs is None:
            return
        if h.type in (b"1", b"2", b"3", b"4", b"5", b"6") or h.size < 0:
            raise HeaderError("sparse map without content")
        end = 0
        for offset, length in pairs:
            if offset < 0 or length < 0 or offset + length >= INT64 or offset + length > h.size or end > offset:
                raise HeaderError("sparse map")
            end = offset + length

    def old_map(self, h):
        if format_of(h.raw) != "gnu":
            raise HeaderError("sparse without GNU magic")
        h.size = numeric(h.raw[483:495])
        pairs, fields, count, more = [], h.raw[386:482], 4, h.raw[482]
        while True:
            for i in range(count):
                pair = fields[24 * i : 24 * i + 24]
                if pair[0] == 0:
                    break
                pairs.append((numeric(pair[:12]), numeric(pair[12:])))
            if not more:
                return pairs
            part = self.data[self.at : self.at + BLOCK]
            self.at += len(part)
            if len(part) < BLOCK:
                raise UnexpectedEOF
            fields, count, more = part[:504], 21, part[504]

    def pax_map(self, h):
        r = h.records
        version = r.get(b"GNU.sparse.major", b""), r.get(b"GNU.sparse.minor", b"")
        in_body = version == (b"1", b"0")
        if not in_body and version not in ((b"0", b"0"), (b"0", b"1")):
            if any(version) or not r.get(b"GNU.sparse.map"):
                return None
        h.name = r.get(b"GNU.sparse.name") or h.name
        size = r.get(b"GNU.sparse.size") or r.get(b"GNU.sparse.realsize")
        if size:
            h.size = decimal(size)
        if in_body:
            return self.map_in_body()
        count = decimal(r.get(b"GNU.sparse.numblocks", b""))
        numbers = r.get(b"GNU.sparse.map", b"").split(b",")
        if numbers == [b""]:
            numbers = []
        if count < 0 or len(numbers) != 2 * count:
            raise HeaderError("sparse map length")
        numbers = [decimal(n) for n in numbers]
        return list(zip(numbers[::2], numbers[1::2]))

    def map_in_body(self):
        buffer, newlines = b"", 0

        def lines(n):
            nonlocal buffer, newlines
            while newlines < n:
                if self.left < BLOCK:
                    raise UnexpectedEOF
                part = self.body(BLOCK)
                buffer += part
                newlines += part.count(b"\n")

        def token():
            nonlocal buffer, newlines
            newlines -= 1
            line, _, buffer = buffer.partition(b"\n")
            return decimal(line)

        lines(1)
        count = token()
        if count < 0 or count > 1 << 20:
            raise HeaderError("sparse map length")
        lines(2 * count)
        return [(token(), token()) for _ in range(count)]


def read(data):
    reader, rows, error = Reader(data), [], None
    try:
        while True:
            h = reader.next()
            rows.append({"type": h.type.decode("latin-1"), "name": h.name.hex(), "link": h.link.hex(), "size": h.size})
    except EOFError:
        pass
    except (HeaderError, UnexpectedEOF) as problem:
        error = type(problem).__name__ + ": " + str(problem)
    return rows, error, reader.blocks


def plain(path):
    with open(path, "rb") as file:
        data = file.read()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def what_go_sees(data):
    rows, error, _ = read(data)
    found = {"entries": rows}
    if error:
        found["error"] = error
    return found


# ---- mutants --------------------------------------------------------------------------------------

VALUES = {
    (0, 100): [b"../../etc/x", b"a/../../x", b"/etc/x", b"./", b"", b"d/.wh.x", b"n" * 100, b"dir/", b"a\0b", b"a\x1b[2J"],
    (100, 8): [b"9999999\0", b"-000001\0", b"0104755\0", b"\x80" + b"\xff" * 7, b"\xff" * 8],
    (108, 8): [b"\xff" * 8, b"\x80\0\0\0\xff\xff\xff\xff", b"\x80\0\0\1\0\0\0\0", b"7777777\0", b" 7 \0 \0  "],
    (124, 12): [b"-0000000003\0", b"\xff" * 12, b"\x80" + b"\0" * 10 + b"\1", b"0" * 12, b"00000001000\0", b"\x80" + b"\xff" * 11,
                b"77777777777\0", b"          1 ", b"1 2        \0", b"\0" * 12],
    (136, 12): [b"\xff" * 12, b"77777777777\0", b"garbage     ", b"\0" * 12],
    (156, 1): [bytes([c]) for c in b"\0\x001234567SVMDNxgLKXAZ9a"],
    (157, 100): [b"../../../etc/shadow", b"/etc/shadow", b"", b"l" * 100],
    (257, 8): [b"ustar\x0000", b"ustar  \0", b"\0" * 8, b"ustar\0  ", b"ustar000", b"USTAR\x0000"],
    (329, 8): [b"\x80\0\0\1\0\0\0\0", b"\xff" * 8, b"7777777\0", b"x"],
    (345, 155): [b"prefix", b"", b"\x80prefix", b"p" * 155, b"../.."],
    (508, 4): [b"tar\0"],
    (482, 1): [b"\1"],
    (483, 12): [b"00000001000\0", b"\xff" * 12, b"77777777777\0"],
}


def with_checksum(block):
    return block[:148] + b"%06o\0 " % checksums(block)[0] + block[156:]


def put(data, at, block):
    return data[:at] + block + data[at + len(block) :]


def set_field(data, rnd, at):
    (first, size), values = rnd.choice(sorted(VALUES.items()))
    value = rnd.choice(values)[:size]
    block = data[at : at + BLOCK]
    return put(data, at, with_checksum(put(block, first, value + bytes(size - len(value)))))


def flip_bit(data, rnd, at):
    block = bytearray(data[at : at + BLOCK])
    block[rnd.randrange(BLOCK - 12)] ^= 1 << rnd.randrange(8)
    return put(data, at, with_checksum(bytes(block)))


def swap_blocks(data, rnd, at):
    other = rnd.randrange(0, len(data) // BLOCK) * BLOCK
    one, two = data[at : at + BLOCK], data[other : other + BLOCK]
    return put(put(data, at, two), other, one)


def repeat_block(data, rnd, at):
    return data[:at] + data[at : at + BLOCK] + data[at:]


def drop_block(data, rnd, at):
    return data[:at] + data[at + BLOCK :]


def zero_block(data, rnd, at):
    return data[:at] + ZERO * rnd.choice((1, 1, 2)) + data[at:]


def flip_body(data, rnd, at):
    where = min(at + BLOCK + rnd.randrange(64), len(data) - 1)
    return put(data, where, bytes([data[where] ^ 1 << rnd.randrange(8)]))


def break_checksum(data, rnd, at):
    return put(data, at + 148, b"0777777\0")


def cut_off(data, rnd, at):
    return data[: rnd.choice((at, at + BLOCK, at + BLOCK + 100, at + 100, rnd.randrange(len(data) + 1)))]


def add_tail(data, rnd, at):
    return data + data[at : at + 3 * BLOCK]


def extension(typeflag, body, gnu=False):
    block = bytearray(BLOCK)
    block[:9] = b"extension"
    block[100:108] = b"0000644\0"
    block[124:136] = b"%011o\0" % len(body)
    block[156:157] = typeflag
    block[257:265] = b"ustar  \0" if gnu else b"ustar\x0000"
    return with_checksum(bytes(block)) + body + bytes(-len(body) % BLOCK)


def record(key, value):
    n = len(key) + len(value) + 3
    while len(str(n)) + len(key) + len(value) + 3 != n:
        n = len(str(n)) + len(key) + len(value) + 3
    return b"%d %s=%s\n" % (n, key, value)


RECORDS = [(b"path", b"pax/name"), (b"path", b"pax/other"), (b"path", b"a\0b"), (b"path", b""), (b"path", b"../up"), (b"size", b"0"),
           (b"size", b"512"), (b"size", b"1024"), (b"size", b"+5"), (b"size", b"-1"), (b"size", b"9" * 30), (b"linkpath", b"target"),
           (b"uid", b"4294967296"), (b"mtime", b"1.5"), (b"mtime", b"x"), (b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
           (b"GNU.sparse.name", b"sparse"), (b"GNU.sparse.map", b"0,1"), (b"GNU.sparse.realsize", b"100"),
           (b"SCHILY.xattr.user.a", b"\0b"), (b"comment", b"x" * 600)]


def add_extension(data, rnd, at):
    kind = rnd.choice(b"xxxxgLK")
    if kind in b"xg":
        body = b"".join(record(*rnd.choice(RECORDS)) for _ in range(rnd.randrange(1, 4)))
        if rnd.random() < 0.1:
            body = body[:-1]
    else:
        body = rnd.choice((b"gnu/long\0", b"gnu/long", b"", b"a\0b\0", b"../gnu\0", b"gnu/dir/\0"))
    return data[:at] + extension(bytes([kind]), body, kind in b"LK") + data[at:]


WAYS = [set_field] * 6 + [add_extension] * 4 + [flip_bit] * 3 + [swap_blocks, repeat_block, drop_block, zero_block, flip_body,
                                                                 break_checksum, cut_off, add_tail]


def mutant(data, rnd):
    how = []
    for _ in range(rnd.choice((1, 1, 1, 2, 3))):
        blocks = read(data)[2]
        if not blocks:
            break
        way = rnd.choice(WAYS)
        how.append(way.__name__)
        data = way(data, rnd, rnd.choice(blocks))
    return data, how


def mutate(directory, seed, count, paths):
    found = []
    for path in paths:
        base = plain(path)
        if len(base) > 1 << 17:
            continue
        for i in range(count):
            data, how = mutant(base, random.Random("%s %s %d" % (seed, os.path.basename(path), i)))
            out = os.path.join(directory, "%d.tar" % len(found))
            with open(out, "wb") as file:
                file.write(data)
            one = what_go_sees(data)
            one.update(path=out, how="%s %d: %s" % (os.path.basename(path), i, ", ".join(how)))
            found.append(one)
    return found


# ---- seeds ----------------------------------------------------------------------------------------


def write_seeds(directory):
    paths = []
    for name, kind in (("ustar", tarfile.USTAR_FORMAT), ("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)):
        path = os.path.join(directory, name + "-seed.tar")
        with tarfile.open(path, "w", format=kind) as tar:
            long = "long" * 12 + "/" + "name" * 20
            rows = [("d/", b"5", b"", ""), ("d/file", b"0", b"x" * 700, ""), ("d/empty", b"0", b"", ""), ("d/link", b"2", b"", "file"),
                    ("d/hard", b"1", b"", "d/file"), ("null", b"3", b"", ""), ("pipe", b"6", b"", ""), (long, b"0", b"y" * 512, ""),
                    ("d/.wh.gone", b"0", b"", ""), ("last", b"0", b"z", "")]
            if kind != tarfile.USTAR_FORMAT:
                rows.insert(8, ("symlink", b"2", b"", "to/" * 50))
            for entry, typeflag, data, link in rows:
                info = tarfile.TarInfo(entry)
                info.type, info.size, info.linkname, info.mtime = typeflag, len(data), link, 1
                tar.addfile(info, io.BytesIO(data))
        paths.append(path)
    return paths


def main(words):
    if words[0] == "list":
        result = [what_go_sees(plain(path)) for path in words[1:]]
    elif words[0] == "seeds":
        result = write_seeds(words[1])
    else:
        result = mutate(words[1], words[2], int(words[3]), words[4:])
    json.dump(result, sys.stdout)


main(sys.argv[1:])
