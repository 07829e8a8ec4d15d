"""A lock that its holder cannot let go of: whatever interrupts it, and wherever, somebody else gets it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from framework import files

OTHER = "from framework.files import lock_for, locked; from pathlib import Path; import sys\n"
OTHER += "with locked(lock_for(Path(sys.argv[1])), timeout=0.0, what='it'): print('got it')"


def interrupting(place: int) -> Callable[..., Any]:
    """A tracer that raises KeyboardInterrupt at that line, counted over all that the lock's own code runs."""
    seen = 0

    def line(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal seen
        if event == "line":
            seen += 1
            if seen == place:
                raise KeyboardInterrupt
        return line

    def call(frame: FrameType, event: str, argument: object) -> Any:
        ours = frame.f_code.co_filename == files.__file__
        return line if ours and frame.f_code.co_name in ("locked", "acquire", "release") else None

    return call


def interrupted_at(path: Path, place: int) -> bool:
    """Whether there was such a line to be interrupted at."""
    lock = files.lock_for(path)
    sys.settrace(interrupting(place))
    try:
        with files.locked(lock, timeout=1.0, what="it"):
            pass
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


def test_an_interrupt_at_any_line_leaves_the_lock_free(tmp_path: Path) -> None:
    """A step that is stopped while it takes or frees a lock does not keep others out until its process ends."""
    place = 1
    while interrupted_at(tmp_path / "lock", place):
        place += 1
        with files.locked(files.lock_for(tmp_path / "lock"), timeout=0.0, what="it"):
            pass
    assert place > 8
    done = subprocess.run([sys.executable, "-c", OTHER, str(tmp_path / "lock")], capture_output=True, text=True)
    assert done.stdout == "got it\n"
