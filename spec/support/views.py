"""Tells what is in many directories at once: views.py <JOBS >ANSWERS, both JSON in which a character stands for a byte.

A job has a `path`, and what is to be done first: `tar` is unpacked there by GNU tar, `lowerdir` mounted there by the
kernel's overlayfs. The answer to each is path -> attributes, or `error`.
"""
import ctypes
import json
import os
import stat
import subprocess
import sys

TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink", stat.S_IFCHR: "char",
         stat.S_IFBLK: "block", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}
LIBC = ctypes.CDLL(None, use_errno=True)
READ_ONLY = 1


def chars(data):
    return data.decode("latin-1")


def attributes(path):
    found = {}
    for name in os.listxattr(path, follow_symlinks=False):
        if name != "security.selinux" and not name.startswith(("trusted.overlay.", "user.overlay.")):
            found[chars(os.fsencode(name))] = chars(os.getxattr(path, name, follow_symlinks=False))
    return found


def describe(path, st):
    kind = TYPES[stat.S_IFMT(st.st_mode)]
    row = {"type": kind, "mode": stat.S_IMODE(st.st_mode), "uid": st.st_uid, "gid": st.st_gid,
           "mtime": int(st.st_mtime), "xattrs": attributes(path)}
    if kind == "symlink":
        row["target"] = chars(os.readlink(path))
    elif kind == "file":
        with open(path, "rb") as file:
            row["content"] = chars(file.read())
    elif kind in ("char", "block"):
        row["device"] = "%d:%d" % (os.major(st.st_rdev), os.minor(st.st_rdev))
    return row


def walk(root):
    rows, inodes, todo = {}, {}, [(root, ".")]
    while todo:
        path, name = todo.pop()
        st = os.lstat(path)
        row = rows[name] = describe(path, st)
        if row["type"] == "dir":
            prefix = "" if name == "." else name + "/"
            todo.extend((os.path.join(path, child), prefix + chars(child)) for child in os.listdir(path))
        else:
            names = inodes.setdefault((st.st_dev, st.st_ino), [])
            names.append(name)
            row["links"] = names
    for row in rows.values():
        if "links" in row:
            row["links"] = " ".join(sorted(row["links"]))
    return rows


def view(job):
    path = job["path"].encode("latin-1")
    if "tar" in job:
        os.mkdir(path)
        unpack = ["tar", "--extract", "--preserve-permissions", "--numeric-owner", "--xattrs", "--xattrs-include=*",
                  "--directory", path, "--file", job["tar"].encode("latin-1")]
        subprocess.run(unpack, check=True, stderr=subprocess.PIPE)
    if "lowerdir" not in job:
        return walk(path)
    os.mkdir(path)
    os.mkdir(path + b".empty")
    options = b"lowerdir=" + job["lowerdir"].encode("latin-1") + b":" + path + b".empty"
    if LIBC.mount(b"overlay", path, b"overlay", READ_ONLY, options) != 0:
        raise OSError(ctypes.get_errno(), "overlayfs cannot be mounted")
    try:
        return walk(path)
    finally:
        LIBC.umount2(path, 0)


def main():
    answers = []
    for job in json.loads(sys.stdin.buffer.read().decode("latin-1")):
        try:
            answers.append({"rows": view(job)})
        except subprocess.CalledProcessError as why:
            answers.append({"error": why.stderr.decode("latin-1")})
        except OSError as why:
            answers.append({"error": str(why), "unmountable": "lowerdir" in job})
    sys.stdout.buffer.write(json.dumps(answers, ensure_ascii=False).encode("latin-1"))


main()
