"""The ledger: what ran, with which parameters and code, on which data, with what result.

SQLite of the standard library by default, any SQLAlchemy address else. The runner alone writes. A run's row is there
from its start, and a lock is held while it runs: one without an end whose lock is free reads FAILED, reason `crashed`.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from framework.engine.ledger_tables import COLUMNS, FORMAT, WAIT, Tables, open_tables
from framework.engine.records import Record
from framework.errors import DataException, LockedError, UnknownNameError, known_names
from framework.files import lock_for, locked
from framework.logs import without_secrets
from framework.redact import redact

HOST = socket.gethostname()
FLUSH = 0.2  # seconds that a step's row may wait for others to be written with it
LOOK_BACK = 50  # runs of a case in which the last success of a step is looked for
DONE = ("COMPLETED", "SKIPPED")
SUCCEEDED = "COMPLETED"  # the state of a run
PENDING, IN_PROGRESS = "PENDING", "IN_PROGRESS"  # states of a run that is not over
CRASHED = "crashed"  # the reason of a run whose process is gone


@dataclass(slots=True)
class StepRow:
    """One step of a run, as it is kept."""

    run_id: str
    place: int
    name: str
    state: str
    outcome: str
    started_at: float
    seconds: float
    version: str = ""
    code: str = ""
    params: str = "{}"
    inputs: list[Record] = field(default_factory=list)
    outputs: list[Record] = field(default_factory=list)
    attempts: int = 1
    memory: int | None = None
    warnings: list[str] = field(default_factory=list)
    error: str | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)  # what it told of itself: `Told.as_dict`

    @property
    def was_needless(self) -> bool:
        """Whether it did not run, for its condition did not hold."""
        return self.state == "SKIPPED" and not self.metrics and not self.outputs

    def values(self) -> tuple[Any, ...]:
        """In the order of the table's columns."""
        return (
            self.run_id,
            self.place,
            self.name,
            self.state,
            self.outcome,
            self.started_at,
            self.seconds,
            self.version,
            self.code,
            self.params,
            json.dumps([record.as_list() for record in self.inputs]) if self.inputs else "[]",
            json.dumps([record.as_list() for record in self.outputs]) if self.outputs else "[]",
            self.attempts,
            self.memory,
            json.dumps(without_secrets(self.warnings)) if self.warnings else "[]",
            None if self.error is None else redact(self.error),
            json.dumps(without_secrets(self.metrics)) if self.metrics else "{}",
        )

    @classmethod
    def of(cls, row: Sequence[Any]) -> StepRow:
        """What `values` gave."""
        made = dict(zip(COLUMNS["steps"], row, strict=True))
        for name in ("inputs", "outputs"):
            made[name] = [Record.of_list(each) for each in json.loads(made[name])] if made[name] != "[]" else []
        made["warnings"] = json.loads(made["warnings"]) if made["warnings"] != "[]" else []
        made["metrics"] = json.loads(made["metrics"]) if made["metrics"] != "{}" else {}
        return cls(**made)


def _shown(value: Any) -> Any:
    return redact(value) if isinstance(value, str) else value


@dataclass(slots=True)
class RunRow:
    """One run, as it is kept.

    Attributes
    ----------
    key : str
        What it is a run of: the case's folder.
    plan : mapping
        All that is needed to run it again: steps, parameters and their origins, data.
    state : str
        PENDING, IN_PROGRESS, COMPLETED, FAILED, CANCELLED; FAILED with reason `crashed` for one whose process died.
    """

    run_id: str
    kind: str
    name: str
    key: str
    started_at: float
    state: str = IN_PROGRESS
    outcome: str = ""
    exit_code: int | None = None
    ended_at: float | None = None
    reason: str | None = None
    pid: int = 0
    host: str = ""
    user: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    log_file: str | None = None
    replay_of: str | None = None
    format: int = FORMAT

    def values(self) -> tuple[Any, ...]:
        """In the order of the table's columns."""
        made = [getattr(self, name) for name in COLUMNS["runs"]]
        return tuple(json.dumps(without_secrets(each)) if isinstance(each, Mapping) else _shown(each) for each in made)

    @classmethod
    def of(cls, row: Sequence[Any]) -> RunRow:
        """What `values` gave."""
        made = dict(zip(COLUMNS["runs"], row, strict=True))
        made["versions"], made["plan"] = json.loads(made["versions"]), json.loads(made["plan"])
        return cls(**made)

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return None if self.ended_at is None else self.ended_at - self.started_at


class Ledger:
    """What ran.

    Parameters
    ----------
    url : str
        A path of a SQLite file, or any SQLAlchemy address.
    folder : Path
        Where the locks of running runs lie.
    keep_runs, keep_days : int
        Beyond these, ended runs are forgotten, oldest first, when another ends.
    wait : float
        Seconds for another process to finish its write.
    logger : logging.Logger, optional
    """

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        keep_runs: int = 1000,
        keep_days: float = 365,
        wait: float = WAIT,
        logger: logging.Logger | None = None,
    ) -> None:
        self.url = url
        self.folder = folder
        self.keep_runs, self.keep_days = keep_runs, keep_days
        self.wait = wait
        self.logger = logger or logging.getLogger("millpond.ledger")
        self._tables: Tables | None = None
        self._pid = 0

    @property
    def tables(self) -> Tables:
        """The open tables; opened anew in a process that was forked."""
        if self._tables is None or self._pid != os.getpid():
            self._tables, self._pid = open_tables(self.url, wait=self.wait), os.getpid()
        return self._tables

    def close(self) -> None:
        """Let go of what is open."""
        if self._tables is not None and self._pid == os.getpid():
            self._tables.close()
        self._tables = None

    # ------------------------------------------------------------------ writing

    def queue(self, rows: Iterable[RunRow]) -> None:
        """Keep runs that will begin later, as PENDING."""
        kept = list(rows)
        for row in kept:
            row.state, row.pid, row.host = PENDING, os.getpid(), HOST
        self.tables.insert("runs", [row.values() for row in kept])

    def end(self, row: RunRow, state: str, reason: str) -> None:
        """Keep how a run ended that was queued and never began."""
        row.state, row.outcome, row.reason, row.ended_at = state, state, reason, time.time()
        ending = {name: getattr(row, name) for name in ("state", "outcome", "reason", "ended_at")}
        self.tables.update_run(row.run_id, ending)

    @contextmanager
    def run(self, row: RunRow) -> Iterator[Writer]:
        """Keep a run: its row is there at once, and its lock is held until it has ended. One that was queued begins.

        Raises
        ------
        StorageError, LockedError, IntegrityError
            At the beginning: nothing was run. At the end: the run is over, what it made is saved, and not recorded; if
            it failed, that is what is raised, and this a WARNING.
        """
        row.pid, row.host = os.getpid(), HOST
        with locked(lock_for(self._lock_file(row.run_id)), timeout=0.0, what=f"run {row.run_id}"):
            if row.state == PENDING:
                row.state, row.started_at = IN_PROGRESS, time.time()
                self.tables.update_run(row.run_id, {"state": row.state, "started_at": row.started_at})
            else:
                self.tables.insert("runs", [row.values()])
            writer = Writer(self.tables, row)
            try:
                yield writer
            except BaseException:
                self._ended(writer, failed=True)
                raise
            self._ended(writer, failed=row.state != "COMPLETED")
        with suppress(OSError):
            self._lock_file(row.run_id).unlink()

    def _ended(self, writer: Writer, *, failed: bool) -> None:
        row = writer.row
        row.ended_at = time.time() if row.ended_at is None else row.ended_at
        ending = ("state", "outcome", "exit_code", "ended_at", "reason", "log_file")
        try:
            writer.flush()
            self.tables.update_run(row.run_id, {name: _shown(getattr(row, name)) for name in ending})
            self.prune(keep_runs=self.keep_runs, keep_days=self.keep_days)
        except DataException as error:
            error.message = (
                f"The run {row.run_id} is over, and what it made is saved, but not recorded. {error.message}"
            )
            if not failed:
                raise
            self.logger.warning("%s", error)

    def prune(self, *, keep_runs: int, keep_days: float) -> int:
        """Forget runs beyond these bounds that are over, oldest first; how many."""
        beyond = map(RunRow.of, self.tables.beyond(keep_runs, time.time() - keep_days * 86400))
        gone = [row.run_id for row in beyond if row.ended_at is not None or self._judged(row).reason == CRASHED]
        if gone:
            self.tables.forget(gone)
        for run_id in gone:
            with suppress(OSError):
                self._lock_file(run_id).unlink()
        return len(gone)

    def _lock_file(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.lock"

    # ------------------------------------------------------------------ reading

    def runs(self, *, limit: int | None = None, key: str | None = None) -> list[RunRow]:
        """Runs, newest first."""
        return [self._judged(RunRow.of(row)) for row in self.tables.runs(limit=limit, key=key)]

    def find(self, run_id: str) -> RunRow:
        """The run of that id, of a beginning of it that no other has, or the `last` one; UnknownNameError."""
        rows = self.tables.runs(limit=1) if run_id == "last" else self.tables.runs_like(run_id)
        if len(rows) == 1:
            return self._judged(RunRow.of(rows[0]))
        exact = [row for row in rows if row[0] == run_id]
        if exact:
            return self._judged(RunRow.of(exact[0]))
        if rows:
            raise UnknownNameError(
                f"{len(rows)} runs begin with {run_id!r}.", cure=known_names(run_id, [row[0] for row in rows])
            )
        ids = [row[0] for row in self.tables.runs(limit=12)]
        raise UnknownNameError(f"There is no run {run_id!r}.", cure=known_names(run_id, ids), resource=run_id)

    def steps(self, run_id: str) -> list[StepRow]:
        """The steps of a run, in their order."""
        return [StepRow.of(row) for row in self.tables.steps(run_id)]

    def last_steps(self, key: str, names: Iterable[str], *, of_success: bool = False) -> dict[str, StepRow]:
        """Of each of these steps of a case the newest row, of its last runs, that says it was done.

        Parameters
        ----------
        of_success : bool
            Only of runs that succeeded, and not where its condition did not hold.
        """
        wanted, found = set(names), {}
        run_ids = self.tables.run_ids(key, LOOK_BACK)
        if of_success:
            run_ids = [
                row[0] for row in self.tables.runs(limit=LOOK_BACK, key=key) if RunRow.of(row).state == SUCCEEDED
            ]
        for run_id in run_ids:
            for row in self.tables.steps(run_id) if wanted else ():
                done = row[3] in DONE and not (of_success and StepRow.of(row).was_needless)
                if row[2] in wanted and done:
                    found[row[2]] = StepRow.of(row)
            wanted -= set(found)
        return found

    def cursors(self, key: str) -> dict[str, Any]:
        """How far each source of that key has been read, as of when all that depends on it was saved."""
        return {source: json.loads(value) for _, source, value, *_ in self.tables.state(key)}

    def move_cursors(self, moved: Iterable[tuple[str, str, Any]], run_id: str) -> None:
        """Keep how far sources have been read: key, source and value of each, all of them or none."""
        rows = [(key, source, json.dumps(value), time.time(), run_id) for key, source, value in moved]
        if rows:
            self.tables.put_state(rows)

    def _judged(self, row: RunRow) -> RunRow:
        """The row, as FAILED when its process is gone."""
        if row.state not in (PENDING, IN_PROGRESS) or row.host != HOST or not self._is_free(row):
            return row
        there = next((each for each in self.tables.runs_like(row.run_id) if each[0] == row.run_id), None)
        again = row if there is None else RunRow.of(there)
        if again.state in (PENDING, IN_PROGRESS):  # it has not ended between the two looks
            again.state, again.outcome, again.reason, again.exit_code = "FAILED", "ERROR", CRASHED, None
        return again

    def _is_free(self, row: RunRow) -> bool:
        """Whether nobody holds the run's lock; where there is none here, for it is another workspace's, its process."""
        path = self._lock_file(row.run_id)
        if not os.path.exists(path):
            return not _lives(row.pid)
        try:
            with locked(lock_for(path), timeout=0.0, what=f"run {row.run_id}"):
                return True
        except LockedError:
            return False


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


class Writer:
    """What a run writes while it goes on: its steps, a few at a time.

    A ledger that refuses does not stop the run: what waits is written at its end, or the refusal raised then. But what
    a source has read must be known before anything of it is kept: such a step is written at once, or the run stops.
    """

    def __init__(self, tables: Tables, row: RunRow) -> None:
        self.row = row
        self._tables = tables
        self._waiting: list[tuple[Any, ...]] = []
        self._written = time.monotonic()
        self._refused = False

    def step(self, row: StepRow) -> None:
        """Keep a step that is over; a step that took long is written at once."""
        self._waiting.append(row.values())
        if row.metrics.get("cursors"):
            self.flush()
        elif not self._refused and (row.seconds > FLUSH or time.monotonic() - self._written > FLUSH):
            try:
                self.flush()
            except DataException:
                self._refused = True

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._tables.insert("steps", self._waiting)
            self._waiting = []
        self._written = time.monotonic()


def differences(one: Iterable[StepRow], other: Iterable[StepRow]) -> list[dict[str, Any]]:
    """What differs between the steps of two runs: each step with what of it differs."""
    mine, theirs = {row.name: row for row in one}, {row.name: row for row in other}
    found = []
    for name in dict.fromkeys([*mine, *theirs]):
        first, second = mine.get(name), theirs.get(name)
        if first is None or second is None:
            found.append({"step": name, "what": "step", "one": first and "there", "other": second and "there"})
            continue
        for what in ("version", "code", "state"):
            if getattr(first, what) != getattr(second, what):
                found.append({"step": name, "what": what, "one": getattr(first, what), "other": getattr(second, what)})
        found += [{"step": name, **each} for each in _param_differences(first.params, second.params)]
        for what in ("inputs", "outputs"):
            found += [{"step": name, **each} for each in _record_differences(what, first, second)]
    return found


def _param_differences(one: str, other: str) -> Iterator[dict[str, Any]]:
    first, second = json.loads(one), json.loads(other)
    for name in dict.fromkeys([*first, *second]):
        mine, theirs = first.get(name), second.get(name)
        if (mine or [None])[0] != (theirs or [None])[0] or (mine is None) != (theirs is None):
            yield {"what": f"parameter {name}", "one": mine and mine[0], "other": theirs and theirs[0]}


def _record_differences(what: str, one: StepRow, other: StepRow) -> Iterator[dict[str, Any]]:
    first = {record.name: record for record in getattr(one, what)}
    second = {record.name: record for record in getattr(other, what)}
    for name in dict.fromkeys([*first, *second]):
        mine, theirs = first.get(name), second.get(name)
        if (mine and mine.fingerprint) != (theirs and theirs.fingerprint) or None in (mine, theirs):
            shown = f"{what[:-1]} {name}"
            yield {"what": shown, "one": mine and mine.fingerprint, "other": theirs and theirs.fingerprint}


def params_text(params: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    """Parameters as they are recorded: each with its value, without secrets, and where it was said."""
    if not params:
        return "{}"
    return json.dumps({name: [without_secrets(value), origins.get(name, "")] for name, value in params.items()})
