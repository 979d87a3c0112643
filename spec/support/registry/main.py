"""The faulty registry of the specs, driven by spec/support/registry.lua.

    main.py FIFO

This process stays and forks one for each registry, since to start Python takes longer than most specs. A command
comes through the FIFO: a line "REGISTRY LENGTH LENGTH", so many bytes of JSON in which each character stands for a
byte, then so many bytes as they are. The answer goes to standard output in the same form. Registry 0 is this
process. All end when the process that started it does, or when the FIFO has no writer any more.
"""
import json
import os
import select
import signal
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import control  # noqa: E402


def read_frame(file):
    line = file.readline()
    if not line:
        return None
    number, length, raw = (int(word) for word in line.split())
    return number, json.loads(file.read(length).decode("latin-1")), file.read(raw)


def write_frame(file, number, value, raw=b""):
    # Unlike ASCII, this keeps header values with any byte as they are.
    text = json.dumps(value, ensure_ascii=False).encode("latin-1", "replace")
    file.write(b"%d %d %d\n" % (number, len(text), len(raw)) + text + raw)
    file.flush()


def serve(file):
    """In a child: never returns."""
    registry = None
    while True:
        frame = read_frame(file)
        if frame is None:
            os._exit(0)
        number, command, raw = frame
        try:
            if registry is None:
                registry = control.Registry(command["settings"])
            value, raw = registry.do(command, raw)
        except Exception as why:
            value, raw = {"error": "%s: %r" % (type(why).__name__, why)}, b""
        write_frame(file, number, value, raw)


def fork(others):
    here, there = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        here.close()
        for _, other, file in others.values():
            file.close()
            other.close()
        os.closerange(3, there.fileno())
        os.closerange(there.fileno() + 1, 256)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):  # the answers of this process must not hang on a registry
            os.dup2(null, descriptor)
        serve(there.makefile("rwb"))
    there.close()
    return pid, here, here.makefile("rwb")


def stop(child):
    pid, connection, file = child
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    file.close()
    connection.close()


def main(path):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.closerange(3, 256)  # pipes of others, who would wait for their end
    children = {}
    with open(path, "rb") as commands, os.fdopen(os.dup(1), "wb") as answers:
        answers.write(b"open\n")
        answers.flush()
        parent = os.getppid()
        while True:
            while not select.select([commands], [], [], 1)[0]:  # no command, none of which is half read
                if os.getppid() != parent:
                    return
            frame = read_frame(commands)
            if frame is None or frame[1]["command"] == "quit":
                break
            number, command, raw = frame
            if command["command"] == "stop":
                stop(children.pop(number))
                write_frame(answers, number, {})
                continue
            if number not in children:
                children[number] = fork(children)
            file = children[number][2]
            write_frame(file, number, command, raw)
            _, value, raw = read_frame(file)
            write_frame(answers, number, value, raw)
        for child in children.values():
            stop(child)


if __name__ == "__main__":
    main(sys.argv[1])
