"""strace on one child: which system calls an operation makes, and what becomes of it when one of them goes wrong."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from framework.testing.elsewhere import Recipe
from harness.nursery import Child, ChildFailedError, Nursery
from harness.scenes import done, make

NAMING = "openat,rename,renameat,renameat2,mkdir,mkdirat"
WRITING = "write,pwrite64,fsync,fdatasync"
REMOVING = "unlink,unlinkat,rmdir"
OTHERS = "writev,ftruncate,link,linkat,chmod,fchmod,fchmodat,utimensat,flock,copy_file_range,sendfile"
CALLS = {
    "SIGKILL": f"{NAMING},{WRITING},{REMOVING},{OTHERS}",
    "EIO": f"{NAMING},{WRITING},{REMOVING},read,flock",
    "ENOSPC": f"{NAMING},{WRITING}",
    "swallowed": "write",  # it says that a byte was written, and none was: a disk that lies
}
CALL = re.compile(r"^(?:\d+ +)?(\w+)\(")


def gated(pipe: Any, recipe: Recipe, operation: str, value: int) -> None:
    """In a child: make the store, wait for a signal, which takes no call that is counted, do it, tell."""
    store = make(recipe)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    pipe.send("ready")
    signal.sigwait({signal.SIGUSR1})
    pipe.send(done(store, operation, value))


def why_not() -> str | None:
    """Why strace cannot be used here; None when it can."""
    if shutil.which("strace") is None:
        return "strace is not installed: apt-get install strace"
    tried = subprocess.run(
        ["strace", "-qq", "-o", "/dev/null", "-e", "inject=fsync:error=EIO", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.strip().splitlines()[:1]}"


@contextmanager
def traced(child: Child, *options: str) -> Iterator[IO[str]]:
    """strace attached to the child, its output in a file; gone, with what it wrote, on leaving."""
    with tempfile.NamedTemporaryFile("r", prefix="millpond-strace-") as output:
        tracer = subprocess.Popen(
            ["strace", "-f", "-p", str(child.pid), "-o", output.name, *options],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            _attached(tracer, child)
            yield output
        finally:
            child.kill()
            tracer.kill()  # at once: it has been seen to wait for ever for the threads of a process that it killed
            tracer.communicate(timeout=30)


def _attached(tracer: subprocess.Popen[str], child: Child) -> None:
    status = Path(f"/proc/{child.pid}/status")
    deadline = time.monotonic() + 20
    while "TracerPid:\t0\n" in status.read_text():
        if time.monotonic() > deadline or tracer.poll() is not None:
            raise ChildFailedError("strace did not attach")
        time.sleep(0.001)
    assert tracer.stderr is not None
    while "attached" not in tracer.stderr.readline():
        if tracer.poll() is not None:
            raise ChildFailedError("strace ended")


def calls_of(nursery: Nursery, recipe: Recipe, operation: str, value: int, names: str) -> Counter[str]:
    """How often an operation that is left alone makes each of these calls."""
    known = ",".join(f"?{name}" for name in names.split(","))
    with nursery.child(gated, recipe, operation, value) as child:
        assert child.told() == "ready"
        with traced(child, "-e", f"trace={known}") as output:
            _go(child)
            word, why = child.told()
            assert word == "done", why
            child.rest()
            time.sleep(0.02)
            found = [CALL.match(line) for line in Path(output.name).read_text().splitlines()]
    return Counter(match[1] for match in found if match)


def hurt(
    nursery: Nursery, recipe: Recipe, operation: str, value: int, *, call: str, nth: int, how: str
) -> tuple[str, Any]:
    """Do it while the nth such call goes wrong: `("done", ...)`, `("refused", why)` or `("died", None)`."""
    with nursery.child(gated, recipe, operation, value) as child:
        assert child.told() == "ready"
        with traced(child, "-e", f"trace=?{call}", "-e", f"inject=?{call}:{how}:when={nth}"):
            _go(child)
            said = child.rest()
    if said and said[0][0] == "raised":
        return ("died", None) if _was_the_pipe(said[0][1]) else ("raised", said[0][1])
    return said[0] if said else ("died", None)


def _was_the_pipe(trace: str) -> bool:
    """Whether what went wrong was only telling us the end."""
    return "pipe.send" in trace and "done(store" in trace and "in done" not in trace


def _go(child: Child) -> None:
    os.kill(child.pid, signal.SIGUSR1)
