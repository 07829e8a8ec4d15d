"""Two scheduled runs of one dataset overlap: one runs, the other waits or says that it is locked."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from harness.nursery import Child, Nursery
from harness.scenes import make
from harness.tally import Tally

import framework
from calculators.aaa import METRICS
from framework.testing.elsewhere import Recipe


def command(pipe: Any, place: str, arguments: list[str], patience: float) -> None:
    """In a child: the command line, as cron would call it; tell its exit code."""
    os.chdir(place)
    os.environ["LOCK_TIMEOUT"] = str(patience)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    sys.argv = ["millpond", *arguments]
    from framework.cli import main

    pipe.send("ready")
    pipe.recv()
    code = 0
    try:
        code = main() or 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    pipe.send(code)


def calculation(place: Path) -> list[str]:
    """A dataset to calculate from, and the arguments of the command that does."""
    store = make(Recipe("csv", str(place), {}, {}))
    store.save_data(pd.DataFrame({name: [1.0, 2.0, 3.0] for name in METRICS}), "AAA - input")
    return ["calc", "aaa", "input", "--from", "csv", "--to", "parquet"]


def overlap(nursery: Nursery, place: Path, tally: Tally, pairs: int) -> None:
    """Start two at the same moment, again and again; with patience both run, without it one may be told to go."""
    chance, ended = random.Random(tally.seed), Counter[int]()
    arguments = calculation(place)
    for pair in range(pairs):
        patience = 30.0 if pair % 2 else 0.0
        with (
            nursery.child(command, str(place), arguments, patience) as first,
            nursery.child(command, str(place), arguments, patience) as second,
        ):
            both = (first, second)
            codes = _started_together(both, chance)
        tally.trials += 1
        ended.update(codes)
        if 0 not in codes or set(codes) - {0, 50} or (patience and codes != [0, 0]):
            tally.wrong("stuck", f"pair {pair}, patience {patience}: exit codes {codes}")
    tally.notes["exit codes"] = {str(code): count for code, count in sorted(ended.items())}
    tally.close()


def _started_together(both: tuple[Child, Child], chance: random.Random) -> list[int]:
    for child in both:
        assert child.told() == "ready"
    both[0].pipe.send("go")
    time.sleep(chance.uniform(0, 0.01))
    both[1].pipe.send("go")
    return [child.told() for child in both]


@pytest.mark.timeout(120)
def test_of_two_crons_one_runs_and_the_other_waits_or_is_told(
    nursery: Nursery, place: Path, tally: Callable[..., Tally]
) -> None:
    """Two runs of one calculation end with 0, or the second with 50; none fails, and none is stuck."""
    overlap(nursery, place, tally("two crons overlap", "parquet"), 40)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_of_many_pairs_of_crons_one_runs_and_the_other_waits_or_is_told(
    nursery: Nursery, place: Path, tally: Callable[..., Tally]
) -> None:
    """The same, 200 times."""
    overlap(nursery, place, tally("two crons overlap", "parquet"), 200)


def test_a_held_dataset_ends_a_cron_with_50(place: Path) -> None:
    """A whole process of its own that finds its dataset held says so with exit code 50, and changes nothing."""
    arguments = calculation(place)
    store = make(Recipe("parquet", str(place), {}, {}))
    environment = {**os.environ, "LOCK_TIMEOUT": "0", "PYTHONPATH": str(Path(framework.__file__).parents[1])}
    run = [sys.executable, "-m", "framework", *arguments]
    assert subprocess.run(run, cwd=place, env=environment, capture_output=True, check=False).returncode == 0
    (name,) = store.list_sources()
    before = store.get_data(name)
    with store.locked(name):
        ended = subprocess.run(run, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, store.get_data(name).equals(before)) == (50, True), ended.stderr
