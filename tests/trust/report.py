"""docs/trust.md from the lines that the experiments left.

MILLPOND_TRUST_RESULTS=results.jsonl python -m pytest tests/trust
python tests/trust/mutations.py results.jsonl
python tests/trust/report.py results.jsonl docs/trust.md
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

WRONGS = ("torn", "lost", "duplicated", "stuck")
SHOWN_ELSEWHERE = {*WRONGS, "experiment", "store", "trials", "seed", "seconds", "test", "root", "versions"}

PROMISES = {
    "SIGKILL at a random moment": (
        "A process is killed at a random moment of a replace, append, upsert, save with backup, restore, "
        "backup, delete or rename. The dataset is what it was or what it was to be, by the store and by the "
        "raw library; listed backups are whole; the next save works at once and sweeps what was left."
    ),
    "SIGKILL at a system call": "The same, dying at a given system call of each of these operations (strace).",
    "EIO at a system call": "Each system call, one at a time, fails as on a broken disk: old or new, a typed error.",
    "ENOSPC at a system call": "Each system call, one at a time, fails as on a full disk.",
    "swallowed at a system call": "Each write, one at a time, says that it wrote and did not: it is noticed in time.",
    "full disk (tmpfs)": (
        "A file system with room for a random part of what is written: the old data, no temporary file, a "
        "typed error, and with room again the next save works."
    ),
    "limit on a file's size": "The same by RLIMIT_FSIZE, for which nobody has to be root.",
    "power lost": (
        "What an operation asks of the file system is recorded; every state that a power loss may leave "
        "(synced names and bytes are there, of others any part may be) is laid out and opened: old or new, "
        "and new once acknowledged."
    ),
    "2 processes at once": (
        "Two processes append, replace and upsert while a third reads: each acknowledged row is stored once, "
        "each refusal is a LockedError, no reader sees a mixture."
    ),
    "8 processes at once": "The same with eight.",
    "holder of the lock killed": "Who waits for the lock of a killed process has it within a second.",
    "two crons overlap": (
        "Two `millpond calc` of one dataset start together: both run one after the other, or the second ends "
        "with exit code 50."
    ),
    "SIGKILL of a job, then run again": (
        "A job that reads what is new of a source that grows, cleans it and loads it into a table is killed, up to "
        "three times in a row: at a random moment, at a random call of ours, at a random statement or system call, "
        "in the middle of the sink's transaction, between two steps. Rows come meanwhile. Run again, with and "
        "without --resume, the table is the source: no row is lost, and none is there twice."
    ),
    "SIGKILL between two steps of a job": (
        "The same at every place between two steps, before and after the step is on record, and where the rows are "
        "committed and the cursor has not moved; and at every such place once more in the run that goes on."
    ),
    "two runs of a job at once": (
        "Two start together, every second time after one that was killed: each runs, or ends with exit code 50, and "
        "the table is the source."
    ),
    "sessions ended": "An administrator ends the sessions (`pg_terminate_backend`) in the middle of an operation.",
    "server crashed": "The server is stopped as by a crash (`immediate`) in the middle of an operation, and started.",
    "restart between calls": "The server is restarted between two calls of one store: no call fails.",
    "answer to the commit cut": (
        "The line is lost when a COMMIT was sent: OutcomeUnknownError; the same `save_id` tried again adds "
        "nothing if it had happened, and adds the rows if not."
    ),
    "a bit flipped in the data": "One bit of a data file is flipped, its times left: the same frame or an error.",
    "a bit flipped in a footer": "The same of a Parquet file's footer alone, in which the labels and types stand.",
    "a bit flipped in a backup": "One bit of a backup is flipped: neither verified nor restored.",
}

HEAD = """# Trust: what was tried, how often, and what went wrong

This page is written by `tests/trust/report.py` from the lines that the experiments left; nothing in it was typed.
*Torn*: neither the old nor the new state. *Lost*: acknowledged and gone, or new data without the backup that it was
promised with. *Duplicated*: there twice. *Stuck*: the next one was kept out, something was left behind, or an error was
not one of ours. Each must be 0.

```text
make trust          # all of it, at full size
python -m pytest tests/trust -m "not slow" -s   # a share of it, which also runs with the other tests
```

MILLPOND_TRUST_SEED repeats a run; a single row is repeated with
`MILLPOND_TRUST_SEED=<seed> python -m pytest <test> -k <store> -s`.
Kills and crowds work in memory (`/dev/shm`) where there is one: what dies there is a process, and what its death leaves
does not depend on the disk. What a disk may lose is *power lost*.
"""


def read(source: Path) -> list[dict[str, Any]]:
    """The lines, of each experiment on each store the last one of most trials."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for text in source.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        key = (line["experiment"], line["store"])
        if key not in best or line["trials"] >= best[key]["trials"]:
            best[key] = line
    return list(best.values())


def render(lines: list[dict[str, Any]]) -> str:
    """The page."""
    tried = [line for line in lines if line["experiment"] != "mutation"]
    parts = [HEAD, "## What was tried\n"]
    for experiment in dict.fromkeys([*PROMISES, *(line["experiment"] for line in tried)]):
        rows = [line for line in tried if line["experiment"] == experiment]
        if rows:
            parts.append(_section(experiment, rows))
    mutations = [line for line in lines if line["experiment"] == "mutation"]
    if mutations:
        parts.append(_mutations(mutations))
    parts.append(_versions(tried))
    return "\n".join(parts)


def _section(experiment: str, rows: list[dict[str, Any]]) -> str:
    head = f"### {experiment}\n\n{PROMISES.get(experiment, '')}\n\n`{rows[0]['test']}`\n\n"
    table = "| store | trials | torn | lost | duplicated | stuck | besides | seed | seconds |\n"
    table += "|---|---:|---:|---:|---:|---:|---|---|---:|\n"
    for row in rows:
        counts = " | ".join(f"{row[what]:,}" for what in WRONGS)
        besides = "; ".join(f"{key}: {_told(value)}" for key, value in row.items() if key not in SHOWN_ELSEWHERE)
        table += f"| {row['store']} | {row['trials']:,} | {counts} | {besides} | {row['seed']} | {row['seconds']} |\n"
    return head + table


def _told(value: Any) -> str:
    return ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else str(value)


def _mutations(rows: list[dict[str, Any]]) -> str:
    head = (
        "## Seen to fail\n\nAn experiment that cannot fail proves nothing. Each protection below was taken out of "
        "a copy of the code, and an experiment ran on that copy (`python tests/trust/mutations.py`).\n\n"
        "| taken out | file | what caught it | first words |\n|---|---|---|---|\n"
    )
    return head + "".join(f"| {row['store']} | `{row['file']}` | {row['caught']} | {row['words']} |\n" for row in rows)


def _versions(rows: list[dict[str, Any]]) -> str:
    told = dict.fromkeys(json.dumps(row["versions"]) for row in rows)
    words = [", ".join(f"{name} {version}" for name, version in json.loads(each).items()) for each in told]
    users = sorted({"root" if row["root"] else "an ordinary user" for row in rows})
    return "## With what\n\n" + "\n".join(f"- {each}" for each in words) + f"\n- as {' and as '.join(users)}\n"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    Path(sys.argv[2]).write_text(render(read(Path(sys.argv[1]))), encoding="utf-8")
