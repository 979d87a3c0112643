# Runs a program on a terminal of its own and types: standard input has {argv, env, rows, columns, steps} as JSON,
# where a step is {send, wait, pause}: bytes to type, after so many seconds, and the regular expression that what comes
# back then ends with. Prints {answers, status} as JSON: what came back before the first step, after each of them, and after the last.
import fcntl, json, os, pty, re, select, signal, struct, sys, termios, time

PROMPT = r"(^|\n)>>? $"
request = json.load(sys.stdin)
pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(request["env"])
    os.execvp(request["argv"][0], request["argv"])
size = struct.pack("HHHH", request["rows"], request["columns"], 0, 0)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)


def read(wait, seconds=120):
    text, ending = b"", time.time() + seconds
    while wait is None or not re.search(wait.encode(), text.replace(b"\r", b"")):
        if time.time() > ending:
            os.kill(pid, signal.SIGKILL)
            sys.exit("waited in vain for %r, after %r" % (wait, text))
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                part = os.read(terminal, 65536)
            except OSError:
                part = b""
            if not part:
                break
            text += part
    return text


answers = [read(request.get("wait", PROMPT))]
for step in request["steps"]:
    time.sleep(step.get("pause", 0))
    os.write(terminal, step["send"].encode())
    answers.append(read(step.get("wait", PROMPT)))
os.write(terminal, request.get("ending", "\4").encode())
answers.append(read(None))
for _ in range(1200):
    ended, status = os.waitpid(pid, os.WNOHANG)
    if ended:
        break
    time.sleep(0.05)
else:
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
status = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
json.dump({"answers": [a.decode("utf-8", "replace").replace("\r", "") for a in answers], "status": status}, sys.stdout)
os.close(terminal)
