"""A job that reads what is new, cleans and loads it is killed anywhere: run again, no row is lost, and none twice."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from harness import jobs
from harness.deaths import KINDS, OUTSIDE, SINK
from harness.jobs import WAYS, Shop, Way, opened
from harness.nursery import Child, Nursery
from harness.tally import Tally

import framework
from framework import Workspace

KILLED = "SIGKILL of a job, then run again"
BETWEEN = "SIGKILL between two steps of a job"
TOGETHER = "two runs of a job at once"
SEEDS, SHARE = 200, 10
ONE_PLACE = 6  # seeds that follow each other in one workspace, so that jobs begin anew and go on
MOST_TRIES = 3  # runs that nobody kills, of which one must succeed
Point = tuple[str, str]  # "told" or "gate", and of which mod, or which gate
Pair = tuple[Point, Point | None]
IDS = [f"{way.source}-{way.sink}-{way.mode}" for way in WAYS]


@pytest.fixture(scope="module")
def workers() -> Iterator[Nursery]:
    """A warm process that has run a job."""
    warm = Nursery([jobs.warm])
    yield warm
    warm.close()


@pytest.fixture
def shops(request: pytest.FixtureRequest, place: Path) -> Callable[[Way], Shop]:
    """Makes a workspace with a job of that way, in a folder and a schema of its own."""
    made = Counter[str]()

    def make(way: Way, *, gates: bool = True) -> Shop:
        made["all"] += 1
        folder, name = place / f"shop_{made['all']}", ""
        url = ""
        if way.sink == "postgres":
            url = request.getfixturevalue("postgres_url")
            name = f"{request.getfixturevalue('postgres_schema')}_{made['all']}"
        return Shop(folder, way, gates=gates, url=url, schema=name)

    return make


@dataclass
class Killer:
    """Runs the job of a workspace in processes of their own, and ends them.

    Attributes
    ----------
    lengths : dict
        How much a run did that was over, by what is counted, and whether it went on with another.
    died_in : Counter
        In which mod they were when they died.
    """

    nursery: Nursery
    chance: random.Random
    lengths: dict[tuple[str, bool], float] = field(default_factory=dict)
    died_in: Counter[str] = field(default_factory=Counter)

    def measure(self, shop: Shop) -> None:
        """Learn how long a run takes."""
        for kind in (*KINDS, "seconds"):
            shop.grow(self.chance)
            began = time.monotonic()
            said = self.said(shop, None if kind == "seconds" else (kind, None), {})
            length = time.monotonic() - began if kind == "seconds" else said[-1][3]
            self.lengths |= {(kind, False): length, (kind, True): length}

    def said(self, shop: Shop, doom: jobs.Doom | None, options: dict[str, bool], delay: float | None = None) -> Any:
        with self.nursery.child(jobs.run, str(shop.place), doom, options) as child:
            said = [child.told()]
            if delay is not None:
                time.sleep(delay)
                child.kill()
            return said + child.rest()

    def kills(self, shop: Shop, *, again: bool, resume: bool) -> bool:
        """Whether a run died, at a moment of one of these kinds."""
        options = {"resume": resume}
        kind = self.chance.choice((*KINDS, "loads", "seconds", "point"))
        if kind == "point":
            return self.kills_at(shop, self.chance.choice(points(shop.way)), options)
        at = self.chance.uniform(0, self.lengths[kind, again])
        if kind == "seconds":
            said = self.said(shop, None, options, at)
        else:
            said = self.said(shop, (kind, int(at) + 1), options)
        if said[-1][0] == "over":
            if kind != "seconds":
                self.lengths[kind, again] = max(said[-1][3], 1)
            return False
        self.died_in["anywhere" if kind == "seconds" else said[-1][1]] += 1
        return True

    def kills_at(self, shop: Shop, point: Point, options: dict[str, bool]) -> bool:
        """Whether a run died at that place between two steps; one that stood is not passed."""
        kind, name = point
        mark = shop.place / f"dies_at_{name}"
        if kind == "gate":
            mark.touch()
        said = self.said(shop, point if kind == "told" else None, options)
        mark.unlink(missing_ok=True)
        died = said[-1][0] != "over"
        self.died_in[" ".join(point)] += died
        return died

    def succeeds(self, shop: Shop, *, resume: bool) -> list[str]:
        """Run it until it succeeds, and once more for what has come since; what was wrong if it does not."""
        for resumes in (resume, False):
            wrong: list[str] = []
            for _ in range(MOST_TRIES):
                _, code, errors, _ = self.said(shop, None, {"resume": resumes})[-1]
                if code in (0, 10):
                    break
                wrong += errors
                if resumes and "has not run yet" in str(errors):  # killed before it was on record
                    resumes = False
            else:
                return wrong
        return []


def compare(shop: Shop, tally: Tally, what: str) -> bool:
    """Whether the table is what the source is; what differs is counted."""
    wanted, found = shop.wanted(), shop.found()
    ids = Counter(row[0] for row in found.elements())
    twice = [number for number, times in ids.items() if times > 1]
    gone = [row for row in wanted if not found[row]]
    strange = [row for row in found if row not in wanted and row[0] not in shop.there]
    told = f"{what}, {len(found)} of {len(wanted)} rows"
    if twice:
        tally.wrong("duplicated", f"{told}: ids {twice[:5]}")
    if gone:
        tally.wrong("lost", f"{told}: {gone[:3]}")
    if strange:
        tally.wrong("torn", f"{told}: {strange[:3]}")
    return not (twice or gone or strange)


def trial(killer: Killer, shop: Shop, tally: Tally, what: str) -> bool:
    """The source grows, the job dies once or several times, and is run again; whether the table is the source."""
    chance = killer.chance
    shop.grow(chance)
    again = False
    for _ in range(chance.choice((1, 1, 2, 3))):
        died = killer.kills(shop, again=again, resume=again and chance.random() < 0.5)
        tally.counts["died" if died else "was over"] += 1
        again = again or died
        if chance.random() < 0.6:
            shop.grow(chance)
    return settled(killer, shop, tally, what, resume=again and chance.random() < 0.5)


def settled(killer: Killer, shop: Shop, tally: Tally, what: str, *, resume: bool) -> bool:
    """Run again until all is well; whether it is."""
    tally.trials += 1
    wrong = killer.succeeds(shop, resume=resume)
    if wrong:
        tally.wrong("stuck", f"{what}: {wrong[0]}")
        return False
    return compare(shop, tally, what)


def deaths(make: Callable[..., Shop], killer: Killer, tally: Tally, ways: list[Way], seeds: int) -> None:
    """As many seeds, in workspaces of these ways in turn; one in which something went wrong is left."""
    left = list(range(seeds))
    for place in range(seeds):
        way = ways[place % len(ways)]
        with opened(make(way, gates=place // len(ways) % 3 != 2)) as shop:
            if not killer.lengths:
                killer.measure(shop)
            for _ in range(min(ONE_PLACE, len(left))):
                seed = left.pop(0)
                killer.chance.seed(f"{tally.seed} {seed}")
                if not trial(killer, shop, tally, f"{way}, seed {seed}"):
                    break
            assert "IN_PROGRESS" not in {row.state for row in Workspace(shop.place).runs(limit=None)}
        if not left:
            break
    tally.notes["died in"] = dict(sorted(killer.died_in.items()))
    tally.close()


# --------------------------------------------------------------------------- anywhere


@pytest.mark.timeout(240)
@pytest.mark.parametrize("sink", ["sqlite", "postgres"])
def test_a_job_that_was_killed_and_is_run_again_loses_no_row_and_has_none_twice(
    workers: Nursery, shops: Callable[..., Shop], tally: Callable[..., Tally], sink: str
) -> None:
    """A share of the seeds, over all ways: the table is the source, also where rows came between."""
    ways = [way for way in WAYS if way.sink == sink]
    killer = Killer(workers, random.Random(0))
    deaths(shops, killer, tally(KILLED, f"{sink}, all ways"), ways, SEEDS // SHARE // 2)
    assert killer.died_in[OUTSIDE]
    assert killer.died_in[SINK]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", WAYS, ids=IDS)
def test_a_job_that_was_killed_with_each_of_many_seeds_loses_no_row_and_has_none_twice(
    workers: Nursery, shops: Callable[..., Shop], tally: Callable[..., Tally], way: Way
) -> None:
    """All seeds, of each way."""
    deaths(shops, Killer(workers, random.Random(0)), tally(KILLED, str(way)), [way], SEEDS)


# --------------------------------------------------------------------------- between two steps


def points(way: Way) -> list[Point]:
    """Every place between two steps, in their order: when one is over and not on record yet, and when it is."""
    mods = (way.source, "data_cleaner", "database_writer")
    made = [point for number, mod in enumerate(mods, 1) for point in (("told", mod), ("gate", f"gate_{number}"))]
    return [*made, ("told", "gate_3")]


def between(make: Callable[..., Shop], killer: Killer, tally: Tally, way: Way, pairs: list[Pair]) -> None:
    """Die at one place, and at another in the run that goes on; then run it, with rows that came; again and again."""
    killer.chance.seed(f"{tally.seed} {way}")
    shops = 0
    while pairs:
        shops += 1
        with opened(make(way)) as shop:
            for _ in range(min(ONE_PLACE, len(pairs))):
                first, second = pairs.pop()
                shop.grow(killer.chance)
                assert killer.kills_at(shop, first, {})
                shop.grow(killer.chance)
                resume = killer.chance.random() < 0.5
                if second is not None:
                    tally.counts["died twice"] += killer.kills_at(shop, second, {"resume": resume})
                    shop.grow(killer.chance)
                if not settled(killer, shop, tally, f"{way}, {first}, then {second}", resume=resume):
                    break
    tally.notes["died in"] = dict(sorted(killer.died_in.items()))
    tally.close()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("way", WAYS[::3], ids=IDS[::3])
def test_a_job_that_was_killed_between_two_steps_goes_on(
    workers: Nursery, shops: Callable[..., Shop], tally: Callable[..., Tally], way: Way
) -> None:
    """Once at each place; and where the rows are committed and the cursor has not moved, again as it goes on."""
    killer, there = Killer(workers, random.Random(0)), points(way)
    pairs: list[Pair] = [(point, None) for point in there]
    pairs += [(("gate", "gate_3"), ("told", way.source)), (("told", "database_writer"), ("told", "data_cleaner"))]
    between(shops, killer, tally(BETWEEN, str(way)), way, pairs)
    assert set(killer.died_in) == {" ".join(point) for point in there}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", WAYS, ids=IDS)
def test_a_job_that_was_killed_between_each_two_steps_and_once_more_goes_on(
    workers: Nursery, shops: Callable[..., Shop], tally: Callable[..., Tally], way: Way
) -> None:
    """Every pair of places."""
    there = points(way)
    pairs: list[Pair] = [(first, second) for first in there for second in (None, *there)]
    between(shops, Killer(workers, random.Random(0)), tally(BETWEEN, str(way)), way, pairs)


# --------------------------------------------------------------------------- what it read is gone


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_a_job_whose_last_run_has_read_what_is_gone_says_so_and_changes_nothing(
    workers: Nursery, shops: Callable[..., Shop], mode: str
) -> None:
    """Its rows may be in the table, and new ones have come: read again as if they were not, some were lost or twice."""
    killer = Killer(workers, random.Random(1))
    with opened(shops(Way("database_reader", "sqlite", mode))) as shop:
        shop.grow(killer.chance)
        assert not killer.succeeds(shop, resume=False)
        for point in (("gate", "gate_1"), ("gate", "gate_3")):
            shop.grow(killer.chance)
            assert killer.kills_at(shop, point, {})
            before = shop.found()
            shutil.rmtree(shop.place / "runs")
            shop.grow(killer.chance)
            for options in ({}, {"resume": True}):
                _, code, errors, _ = killer.said(shop, None, options)[-1]
                assert (code, shop.found()) == (20, before), errors
                assert "--fresh" in str(errors)
            # nothing of it had been kept, or its keys tell it apart: it is read again
            if mode == "upsert" or point == ("gate", "gate_1"):
                assert killer.said(shop, None, {"fresh": True})[-1][1] == 0
                assert shop.found() == shop.wanted()


# --------------------------------------------------------------------------- two at once


def command(place: Path) -> tuple[int, dict[str, Any]]:
    """The job by a command of its own, as cron would start it: its exit code, and the result that it told last."""
    environment = {**os.environ, "PYTHONPATH": str(Path(framework.__file__).parents[1])}
    words = [sys.executable, "-m", "framework", "run-job", jobs.JOB]
    ended = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return ended.returncode, json.loads(ended.stderr.splitlines()[-1])


@pytest.mark.timeout(120)
def test_a_job_that_runs_refuses_another_with_50_until_it_is_killed(
    workers: Nursery, shops: Callable[..., Shop]
) -> None:
    """The other changes nothing; and once the first is dead, the next goes on with it at once."""
    with opened(shops(Way("database_reader", "sqlite", "append"))) as shop:
        shop.grow(random.Random(1))
        (shop.place / "waits_at_gate_2").touch()
        with workers.child(jobs.run, str(shop.place), None, {}) as first:
            while not (shop.place / "is_at_gate_2").exists():
                time.sleep(0.005)
            code, told = command(shop.place)
            assert (code, told["exit_code"], (shop.place / "runs").exists()) == (50, 50, True)
            assert len(list((shop.place / "runs").iterdir())) == 1
            first.kill()
            first.rest()
        (shop.place / "waits_at_gate_2").unlink()
        assert command(shop.place)[0] == 0
        assert shop.found() == shop.wanted()


def overlap(make: Callable[..., Shop], killer: Killer, tally: Tally, way: Way, pairs: int) -> None:
    """Two start together, often after one that was killed: each runs or ends with 50, and the table is the source."""
    chance, ended = killer.chance, Counter[str]()
    chance.seed(f"{tally.seed} {way} together")
    with opened(make(way, gates=False)) as shop:
        killer.measure(shop)
        for pair in range(pairs):
            shop.grow(chance)
            if pair % 2:
                tally.counts["died before"] += killer.kills(shop, again=False, resume=False)
                shop.grow(chance)
            with begun(killer, shop) as one:
                time.sleep(chance.uniform(0, killer.lengths["seconds", False]))
                with begun(killer, shop) as other:
                    said = [one.rest()[-1], other.rest()[-1]]
            codes = [each[1] for each in said]
            ended.update(map(str, codes))
            if set(codes) - {0, 10, 50} or set(codes) == {50}:
                tally.wrong("stuck", f"pair {pair}: {said}")
            if not settled(killer, shop, tally, f"{way}, pair {pair}", resume=False):
                break
    tally.notes["exit codes"] = dict(sorted(ended.items()))
    tally.close()


def begun(killer: Killer, shop: Shop) -> AbstractContextManager[Child]:
    return killer.nursery.child(jobs.run, str(shop.place), None, {})


@pytest.mark.timeout(120)
def test_of_two_runs_of_a_job_that_start_together_one_may_be_refused_and_no_row_is_twice(
    workers: Nursery, shops: Callable[..., Shop], tally: Callable[..., Tally]
) -> None:
    """A few pairs, of a job that appends."""
    way = Way("database_reader", "sqlite", "append")
    overlap(shops, Killer(workers, random.Random(0)), tally(TOGETHER, str(way)), way, 6)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("sink", ["sqlite", "postgres"])
def test_of_many_runs_of_a_job_that_start_together_some_are_refused_and_no_row_is_twice(
    workers: Nursery, shops: Callable[..., Shop], tally: Callable[..., Tally], sink: str
) -> None:
    """The same, 100 times."""
    way = Way("database_reader", sink, "append")
    overlap(shops, Killer(workers, random.Random(0)), tally(TOGETHER, str(way)), way, 100)
