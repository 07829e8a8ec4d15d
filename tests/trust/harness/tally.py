"""Counts of what went wrong, and the line that each experiment leaves for the report."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = "MILLPOND_TRUST_RESULTS"
WRONGS = ("torn", "lost", "duplicated", "stuck")
PACKAGES = ("pandas", "pyarrow", "filelock", "psycopg", "arcticdb")


class Tally:
    """One experiment on one store.

    Parameters
    ----------
    experiment : str
        Its name in the report.
    store : str
    seed : int
    trials : int
        How many are wanted; `trials` counts those that were made.
    """

    def __init__(self, experiment: str, store: str, *, seed: int, test: str) -> None:
        self.experiment = experiment
        self.store = store
        self.seed = seed
        self.test = test
        self.trials = 0
        self.counts: Counter[str] = Counter()
        self.notes: dict[str, Any] = {}
        self.examples: list[str] = []
        self._began = time.monotonic()

    def wrong(self, what: str, why: str) -> None:
        """Count one torn, lost, duplicated or stuck; the first ones are shown."""
        assert what in WRONGS, what
        self.counts[what] += 1
        if len(self.examples) < 8:
            self.examples.append(f"{what}: {why}")

    def close(self) -> None:
        """Print the counts, leave the line for the report, and fail unless nothing went wrong."""
        line = self.line()
        print("\n" + json.dumps({key: value for key, value in line.items() if key != "versions"}))
        target = os.environ.get(RESULTS)
        if target:
            with Path(target).open("a", encoding="utf-8") as sink:
                sink.write(json.dumps(line) + "\n")
        assert self.trials, "nothing was tried"
        assert not any(self.counts[what] for what in WRONGS), "\n".join([str(dict(self.counts)), *self.examples])

    def line(self) -> dict[str, Any]:
        """The record of this experiment."""
        return {
            "experiment": self.experiment,
            "store": self.store,
            "trials": self.trials,
            "seed": self.seed,
            **{what: self.counts[what] for what in WRONGS},
            **{key: count for key, count in sorted(self.counts.items()) if key not in WRONGS},
            **self.notes,
            "seconds": round(time.monotonic() - self._began, 1),
            "test": self.test,
            "root": os.geteuid() == 0,
            "versions": versions(),
        }


def versions() -> dict[str, str]:
    """What the counts were had with."""
    found = {"python": platform.python_version(), "system": f"{sys.platform} {platform.release()}"}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
