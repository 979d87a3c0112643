"""Makes the directories of an overlay mount out of plain layer tars: overlay.py DIRECTORY LAYER ...

Prints the lowerdir= string. Parents that a layer does not tell of get the attributes of the layers below.
"""
import os
import shutil
import subprocess
import sys
import tarfile

OPAQUE = ".wh..wh..opq"


def add_parents(layers, path):
    """Copies what is missing of the way to path into the last of the layers."""
    parts = path.split("/")[:-1]
    for n in range(1, len(parts) + 1):
        parent = "/".join(parts[:n])
        if os.path.lexists(os.path.join(layers[-1], parent)):
            continue
        os.mkdir(os.path.join(layers[-1], parent))
        for lower in reversed(layers[:-1]):
            found = os.path.join(lower, parent)
            if os.path.isdir(found) and not os.path.islink(found):
                info = os.stat(found)
                os.chown(os.path.join(layers[-1], parent), info.st_uid, info.st_gid)
                os.chmod(os.path.join(layers[-1], parent), info.st_mode & 0o7777)
                shutil.copystat(found, os.path.join(layers[-1], parent))
                break


def whiteout(layers, name):
    directory, _, base = name.rpartition("/")
    add_parents(layers, name)
    if base == OPAQUE:
        os.setxattr(os.path.join(layers[-1], directory), "trusted.overlay.opaque", b"y")
        return
    path = os.path.join(layers[-1], directory, base[4:])
    if not os.path.lexists(path):
        os.mknod(path, 0o20000, os.makedev(0, 0))
    elif os.path.isdir(path) and not os.path.islink(path):
        os.setxattr(path, "trusted.overlay.opaque", b"y")


def main(top, tars):
    layers = []
    for number, path in enumerate(tars):
        layers.append(os.path.join(top, "layer%d" % number))
        os.mkdir(layers[-1], 0o755)
        extract = ["tar", "--extract", "--preserve-permissions", "--numeric-owner", "--exclude=.wh.*"]
        subprocess.run(extract + ["--file=" + path, "--directory=" + layers[-1]], check=True)
        times = {}
        for directory, _, _ in os.walk(layers[-1]):
            times[directory] = os.stat(directory)
        with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as tar:
            for name in tar.getnames():
                name = os.path.normpath(name)
                if os.path.basename(name).startswith(".wh."):
                    whiteout(layers, name)
        for directory, info in times.items():
            os.utime(directory, ns=(info.st_atime_ns, info.st_mtime_ns))
    layers.insert(0, os.path.join(top, "empty"))
    os.mkdir(layers[0], 0o755)
    print(":".join(reversed(layers)))


main(sys.argv[1], sys.argv[2:])
