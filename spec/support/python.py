"""Runs Python scripts for the specs, each in a fork of one process that stays: to start Python takes
longer than most of what they do.

    python.py FIFO

A request comes through the FIFO: a line with a length, then so many bytes of JSON in which each character
stands for a byte: {"name", "script", "words" with NULs between, "input"}. The answer goes to standard
output: a line with the exit status and the lengths of what the script wrote to standard output and to
standard error, then both. A line before the first answer says that the FIFO is open.
"""
import gzip
import hashlib
import io
import json
import os
import posixpath
import random
import stat
import sys
import tarfile
import traceback

compiled = {}


def run(request):
    """In the child: never returns."""
    status = 1
    try:
        words = request["words"].encode("latin-1").decode("utf-8", "surrogateescape")
        sys.argv = [request["name"]] + words.split("\0")
        exec(compiled[request["script"]], {"__name__": "__main__"})
        status = 0
    except SystemExit as why:
        status = why.code if isinstance(why.code, int) else 1 if why.code else 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def fork(request, files):
    if request["script"] not in compiled:
        source = request["script"].encode("latin-1").decode("utf-8")
        compiled[request["script"]] = compile(source, request["name"], "exec")
    child = os.fork()
    if child == 0:
        for descriptor, file in enumerate(files):
            os.dup2(file, descriptor)
        run(request)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def answer(request):
    files = [os.memfd_create(name) for name in ("input", "output", "errors")]
    with os.fdopen(os.dup(files[0]), "wb") as file:
        file.write(request.get("input", "").encode("latin-1"))
    os.lseek(files[0], 0, os.SEEK_SET)
    status = fork(request, files)
    texts = []
    for file in files[1:]:
        os.lseek(file, 0, os.SEEK_SET)
        with os.fdopen(os.dup(file), "rb") as copy:
            texts.append(copy.read())
    for file in files:
        os.close(file)
    return b"%d %d %d\n" % (status, len(texts[0]), len(texts[1])) + texts[0] + texts[1]


def main(path):
    # Forks have their own standard output: this one is the server's.
    with open(path, "rb") as requests, os.fdopen(os.dup(1), "wb") as answers:
        answers.write(b"open\n")
        answers.flush()
        for line in iter(requests.readline, b""):
            answers.write(answer(json.loads(requests.read(int(line)).decode("latin-1"))))
            answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
