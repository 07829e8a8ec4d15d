"""The command: parse, one call to the Workspace, show."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `millpond` with these arguments (the process's own unless given) and exit with its code."""
    from framework.cli.run import run

    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


__all__ = ["main"]
