"""How a run gets on record: its row as it begins, and as it ends whatever happens."""

from __future__ import annotations

import getpass
import os
import platform
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from framework._version import __version__
from framework.attempt import attempt
from framework.engine.ledger import Ledger, RunRow, Writer
from framework.engine.trying import Stopped
from framework.results import Outcome, Result
from framework.settings import Settings

CANCELLED = Outcome.CANCELLED
BROKEN_OFF = (KeyboardInterrupt, SystemExit, Stopped)  # what ends a run that has not failed
LONGEST = 60  # bytes of the word that an id begins with


def ledger_of(settings: Settings) -> Ledger:
    """What ran in a workspace."""
    return Ledger(
        settings.ledger_address,
        settings.own_folder / "runs",
        keep_runs=settings.LEDGER_KEEP,
        keep_days=settings.LEDGER_DAYS,
    )


def run_row(
    kind: str,
    name: str,
    key: str,
    plan: Mapping[str, Any],
    *,
    log_file: Path | None = None,
    replay_of: str | None = None,
) -> RunRow:
    """A run that begins now, as it will be on record."""
    word = re.sub(r"\W+", "_", Path(key).name if os.sep in key else name).strip("_") or "run"
    word = word.encode()[:LONGEST].decode(errors="ignore")  # it is in the name of a file
    return RunRow(
        run_id=f"{word}_{uuid.uuid4().hex[:8]}",
        kind=kind,
        name=name,
        key=key,
        started_at=time.time(),
        user=attempt("user", getpass.getuser).value or "",
        versions={"millpond": __version__, "python": platform.python_version()},
        plan=plan,
        log_file=str(log_file) if log_file else None,
        replay_of=replay_of,
    )


def finish(row: RunRow, result: Result) -> None:
    """Write into the row how its run ended."""
    result.run_id = row.run_id
    row.state, row.outcome, row.exit_code = result.outcome.state, result.outcome.name, result.exit_code
    row.reason = result.errors[0] if result.errors else None


@contextmanager
def on_record(ledger: Ledger, row: RunRow) -> Iterator[Writer]:
    """While it runs: a run that is broken off reads CANCELLED, and one that an error ends FAILED."""
    with closing(ledger), ledger.run(row) as writer:
        try:
            yield writer
        except BaseException as error:
            finish(row, Result(row.name, run_id=row.run_id).fail(error))
            if isinstance(error, BROKEN_OFF):
                row.state, row.outcome, row.reason = CANCELLED.state, CANCELLED.name, "broken off"
                row.exit_code = CANCELLED.exit_code
            raise
