"""SIGKILL at a random moment of a case, then a resumed run: what is there is what a clean run leaves."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from harness.tally import Tally

from framework import Workspace
from framework.workspace.flows import How

PLUGINS = """
import time
import numpy as np
import pandas as pd
from framework import plugin

def noise(seed, rows=2000):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"n": np.arange(rows), "x": rng.normal(size=rows)})

@plugin(name="draw")
def draw(data_hub, seed: int = 0):
    data_hub.register("table", noise(seed))
    time.sleep(0.004)

@plugin(name="shape")
def shape(data_hub, table):
    table["y"] = table["x"].cumsum()
    data_hub.register("shaped", table)
    data_hub.register("passing", {"sum": float(table["y"].sum())})
    time.sleep(0.004)

@plugin(name="store")
def store(data_hub, shaped):
    data_hub.register("stored", shaped[shaped.x > 0].reset_index(drop=True))

@plugin(name="paint")
def paint(data_hub, shaped):
    folder = data_hub.staged("frames")
    for number in range(12):
        (folder / f"{number}.png").write_bytes(shaped.x.to_numpy()[number::12].tobytes())
        time.sleep(0.001)
    data_hub.register("frames", folder)

@plugin(name="report")
def report(data_hub, stored, frames, passing):
    size = sum(path.stat().st_size for path in frames.iterdir())
    data_hub.register("report", {"rows": len(stored), "bytes": size, **passing})
"""
CASE = """
data_sources:
  table: {path: made/table.csv}
  shaped: {path: made/shaped.parquet}
  stored: {store: parquet, dataset: demo/stored}
  frames: {path: made/frames, handler: dir}
  report: {path: made/report.json}
pipeline:
  - {plugin: draw, outputs: [table]}
  - {plugin: shape, inputs: [table], outputs: [shaped, passing]}
  - {plugin: store, inputs: [shaped], outputs: [stored]}
  - {plugin: paint, inputs: [shaped], outputs: [frames]}
  - {plugin: report, inputs: [stored, frames, passing], outputs: [report]}
"""


def workspace(folder: Path) -> Path:
    """A case of five steps: a csv, a parquet, a table of a store, a folder, and one that sums them up."""
    (folder / "plugins").mkdir(parents=True)
    (folder / "plugins" / "steps.py").write_text(PLUGINS)
    (folder / "cases" / "demo").mkdir(parents=True)
    (folder / "cases" / "demo" / "case.yaml").write_text(CASE)
    (folder / "millpond.yaml").write_text("{}\n")
    return folder


def run(place: Path, seed: int, how: How) -> Any:
    return Workspace(place).run("demo", {"draw.seed": seed}, how=how)


def contents(place: Path) -> dict[str, Any]:
    """All that is there but for the ledger, its locks and caches: bytes of files, and of the store what it gives."""
    made = place / "cases" / "demo" / "made"
    found: dict[str, Any] = {
        str(path.relative_to(made)): path.read_bytes() for path in sorted(made.rglob("*")) if path.is_file()
    }
    found["shaped.parquet"] = pd.read_parquet(made / "shaped.parquet").to_csv()  # its file tells when it was written
    found["store"] = Workspace(place).store("parquet").get_data("demo/stored").to_csv()
    data = place / "data"
    names = [path for path in data.rglob("*") if path.is_file() and ".millpond" not in path.parts]
    return {**found, **{str(path.relative_to(data)): "is there" for path in names}}


def lasts(place: Path, how: How) -> float:
    """Seconds that a run takes that nobody kills, the shortest of three."""
    times = []
    run(place, 1, How()).raise_if_failed()  # all is imported
    for _ in range(3):
        began = time.monotonic()
        os.waitpid(begun(place, 1, how), 0)
        times.append(time.monotonic() - began)
    return min(times)


def begun(place: Path, seed: int, how: How) -> int:
    """A process that runs the case."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = run(place, seed, how).exit_code
        finally:
            os._exit(code)
    return child


def killed(place: Path, seed: int, how: How, delay: float) -> bool:
    """Whether a run in a process of its own was killed before it was over."""
    child = begun(place, seed, how)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


WAYS = {"serial": How(), "threads": How(parallel=2), "processes": How(parallel=2, executor="processes")}


def deaths(place: Path, tally: Tally, trials: int, how: How) -> None:
    """Kill a run, resume it, look at what is there; each trial has another seed, so that all of it is made anew."""
    chance = random.Random(tally.seed)
    running, clean = workspace(place / "running"), workspace(place / "clean")
    longest = lasts(running, how)
    resume = How(resume=True, parallel=how.parallel, executor=how.executor)
    stood = 0
    while tally.counts["died"] < trials and tally.trials < 4 * trials:
        trial = tally.trials
        seed, what = 2 + trial // 2, f"trial {trial}"  # the second of two finds much of it done
        died = killed(running, seed, resume if trial % 4 == 3 else how, chance.uniform(0, longest))
        tally.trials += 1
        tally.counts["died" if died else "was over"] += 1
        result = run(running, seed, resume)
        if not result:
            tally.wrong("stuck", f"{what}: {result.errors}")
            continue
        stood += sum(child.outcome.name == "SKIPPED" for child in result.children)
        run(clean, seed, How()).raise_if_failed()
        expected, found = contents(clean), contents(running)
        for name in sorted(expected.keys() | found.keys()):
            if name not in expected:
                tally.wrong("stuck", f"{what}: left over: {name}")
            elif found.get(name) != expected[name]:
                tally.wrong("lost" if name not in found else "torn", f"{what}: {name}")
    tally.notes["steps that stood"] = stood
    crashed = [row for row in Workspace(running).runs(limit=None) if row.reason == "crashed"]
    in_progress = [row for row in Workspace(running).runs(limit=None) if row.state == "IN_PROGRESS"]
    tally.notes["runs on record as crashed"] = len(crashed)
    shutil.rmtree(clean)
    assert not in_progress
    assert tally.counts["died"] == trials
    assert len(crashed) <= tally.counts["died"]
    tally.close()


@pytest.mark.timeout(240)
def test_a_killed_case_is_resumed_to_what_a_clean_run_leaves(place: Path, tally: Callable[..., Tally]) -> None:
    """Twenty moments: outputs equal those of a clean run each time, and nothing is left beside them."""
    deaths(place, tally("SIGKILL of a running case, then --resume", "serial"), 20, WAYS["serial"])


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", WAYS)
def test_many_killed_cases_are_resumed_to_what_clean_runs_leave(
    place: Path, tally: Callable[..., Tally], way: str
) -> None:
    """A hundred moments, in each executor."""
    deaths(place, tally("SIGKILL of a running case, then --resume", way), 100, WAYS[way])
