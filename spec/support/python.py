"""Runs Python scripts for the specs, one after the other in one process: to start Python, and where pages are dear to
fork it, takes longer than most of what they do.

    python.py FIFO

A request comes through the FIFO: a line with a length, then so many bytes of JSON in which each character
stands for a byte: {"name", "script", "words" with NULs between, "input"}. The answer goes to standard
output: a line with the exit status and the lengths of what the script wrote to standard output and to
standard error, then both. A line before the first answer says that the FIFO is open.

A script has names of its own, and sys.argv, stdin, stdout and stderr. What else it changes in the process, and the
descriptors that it opens by number, it puts back itself.
"""
import io
import json
import os
import sys
import traceback

compiled = {}


def status_of(script, name):
    """Runs a script, returns its exit status."""
    try:
        if script not in compiled:
            compiled[script] = compile(script.encode("latin-1").decode("utf-8"), name, "exec")
        exec(compiled[script], {"__name__": "__main__"})
        return 0
    except SystemExit as why:
        if why.code is None or isinstance(why.code, int):
            return why.code or 0
        print(why.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1


def text(data=b""):
    return io.TextIOWrapper(io.BytesIO(data), "utf-8", "surrogateescape", write_through=True)


def answer(request):
    words = request["words"].encode("latin-1").decode("utf-8", "surrogateescape")
    sys.argv = [request["name"]] + words.split("\0")
    sys.stdin, sys.stdout, sys.stderr = text(request.get("input", "").encode("latin-1")), text(), text()
    status = status_of(request["script"], request["name"])
    written = [file.buffer.getvalue() for file in (sys.stdout, sys.stderr)]
    return b"%d %d %d\n" % (status, len(written[0]), len(written[1])) + written[0] + written[1]


def main(path):
    # Scripts have their own standard output: this one is the server's.
    with open(path, "rb") as requests, os.fdopen(os.dup(1), "wb") as answers:
        answers.write(b"open\n")
        answers.flush()
        for line in iter(requests.readline, b""):
            answers.write(answer(json.loads(requests.read(int(line)).decode("latin-1"))))
            answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
