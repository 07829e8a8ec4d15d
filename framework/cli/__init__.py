"""The command: parse, one call to the Workspace, show."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `millpond` with these arguments (the process's own unless given) and exit with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["--version"]:
        from framework._version import __version__

        print(f"millpond {__version__}")
        return
    from framework.cli.run import run

    sys.exit(run(given))


__all__ = ["main"]
