"""The environments of the peers: one each, so that their requirements do not meet.

    python benchmarks/peers.py [NAME ...]

A peer that cannot be installed is said to be absent, and the rows that need it leave it out.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".venv-bench"
OURS = "millpond"


def required() -> dict[str, list[str]]:
    """Peer to what is installed for it."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / "benchmarks" / "peers.txt").read_text().splitlines())
    pairs = (line.split(":", 1) for line in lines if line)
    return {name.strip(): packages.split() for name, packages in pairs}


def python_of(peer: str) -> Path:
    """The peer's interpreter; ours is the one that runs this."""
    return Path(sys.executable) if peer == OURS else HOME / peer / "bin" / "python"


def command_of(peer: str) -> Path:
    """The command of the peer's own name."""
    return python_of(peer).with_name(peer)


def present(peer: str) -> bool:
    """Whether it is installed, in the versions that are asked for."""
    return peer == OURS or (_stamp(peer).is_file() and _stamp(peer).read_text() == _wanted(peer))


def _stamp(peer: str) -> Path:
    return HOME / peer / "installed.txt"


def _wanted(peer: str) -> str:
    return " ".join(required()[peer])


def install(peer: str) -> bool:
    """Make its environment; False when that fails, with the reason on stderr."""
    folder = HOME / peer
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python_of(peer)), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *required()[peer]],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            print(f"{peer} is absent: {' '.join(last)}", file=sys.stderr)
            return False
    _stamp(peer).write_text(_wanted(peer))
    return True


def main() -> None:
    for peer in sys.argv[1:] or required():
        if not present(peer):
            print(f"installing {peer} into {HOME.name}/{peer} ...", file=sys.stderr)
            install(peer)


if __name__ == "__main__":
    main()
