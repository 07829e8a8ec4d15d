"""What an engine adds to each step: a thousand steps that do nothing, one after another or all from one input.

Building the graph is not timed, nor is a first run, which imports what is imported late. Ours runs without and with a
ledger, in which every step is recorded; and again where nothing has changed. Nothing of what the others keep on their
own is switched on: Dagster's instance is in memory, Prefect's server is its own ephemeral one, Kedro has no record.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rows import OURS, Call, Case, Goal, Place, Row

STEPS = 1000
MANY = 10_000
FEW = 200  # for engines that take seconds


def noop(value: Any) -> Any:
    """The step."""
    return value


def _before(shape: str, number: int) -> str:
    """What a step reads."""
    return "d0" if shape == "fan" or number == 0 else f"d{number}"


# --------------------------------------------------------------------------- ours


def _plan(shape: str, steps: int) -> Any:
    from framework.engine.plan import plan_of
    from framework.steps import Step

    def step(number: int) -> Any:
        read = _before(shape, number)
        return Step(
            f"s{number}", lambda **given: given[read], inputs=(read,), outputs=(f"d{number + 1}",), takes=(read,)
        )

    return plan_of(shape, [(step(number), "here") for number in range(steps)], sources={"d0"})


def _ours(shape: str, place: Place, *, recorded: bool, steps: int = STEPS) -> Call:
    from framework.engine.hub import DataHub
    from framework.engine.ledger import Ledger, RunRow
    from framework.engine.runner import Runner

    logging.getLogger("millpond").setLevel(logging.WARNING)
    plan, folder = _plan(shape, steps), place.scratch("engine")
    ledger = Ledger(str(folder / f"{shape}_{steps}.sqlite"), folder / "runs")
    numbers = itertools.count(time.time_ns())

    def call() -> int:
        hub = DataHub(folder)
        hub.register("d0", {"a": 1, "b": [1, 2, 3]})
        if not recorded:
            result = Runner().run(plan, hub)
        else:
            with ledger.run(RunRow(f"r{next(numbers)}", "case", shape, shape, time.time())) as writer:
                result = Runner().run(plan, hub, writer=writer)
        assert result, result.errors
        return len(result.children)

    call()
    return call


def _resumed(place: Place) -> Call:
    """A thousand steps that have a file each, which are there from a run before."""
    from framework.engine.entries import Entry
    from framework.engine.hub import DataHub
    from framework.engine.ledger import Ledger, RunRow
    from framework.engine.reuse import Reuse
    from framework.engine.runner import Runner

    logging.getLogger("millpond").setLevel(logging.WARNING)
    plan, folder = _plan("chain", STEPS), place.scratch("engine", "resumed")
    entries = {f"d{number}": Entry(f"d{number}", folder / f"d{number}.json") for number in range(STEPS + 1)}
    names = [node.step.name for node in plan.nodes]
    ledger = Ledger(str(folder / "ledger.sqlite"), folder / "runs")
    numbers = itertools.count(time.time_ns())
    (folder / "d0.json").write_text('{"a": 1}')

    def call() -> int:
        hub = DataHub(folder)
        hub.add_data_sources(entries)
        reuse = Reuse(plan, hub, ledger.last_steps("resumed", names), {})
        with ledger.run(RunRow(f"r{next(numbers)}", "case", "resumed", "resumed", time.time())) as writer:
            result = Runner().run(plan, hub, writer=writer, reuse=reuse)
        return sum(child.outcome.name == "SKIPPED" for child in result.children)

    call()
    return call


# --------------------------------------------------------------------------- theirs


def _plain(shape: str, place: Place) -> Call:
    steps: list[Callable[[Any], Any]] = [lambda value: value for _ in range(STEPS)]

    def call() -> int:
        value: Any = {"a": 1}
        for step in steps:
            value = step(value) if shape == "chain" else (step(value), value)[1]
        return STEPS

    return call


def _kedro(shape: str, place: Place) -> Call:
    from kedro.io import DataCatalog, MemoryDataset
    from kedro.pipeline import node, pipeline
    from kedro.runner import SequentialRunner

    logging.disable(logging.CRITICAL)
    nodes = [node(noop, _before(shape, number), f"d{number + 1}", name=f"s{number}") for number in range(STEPS)]
    made = pipeline(nodes)

    def call() -> int:
        SequentialRunner().run(made, DataCatalog({"d0": MemoryDataset({"a": 1})}))
        return STEPS

    call()
    return call


def _hamilton(shape: str, place: Place) -> Call:
    import importlib

    from hamilton import driver, telemetry

    telemetry.disable_telemetry()
    folder = place.scratch("engine", "hamilton")
    lines = [
        f"def d{number + 1}({_before(shape, number)}: dict) -> dict:\n    return {_before(shape, number)}\n"
        for number in range(STEPS)
    ]
    (folder / f"steps_{shape}.py").write_text("\n".join(lines))
    sys.path.insert(0, str(folder))
    sys.setrecursionlimit(100_000)
    made = driver.Builder().with_modules(importlib.import_module(f"steps_{shape}")).build()
    wanted = [f"d{STEPS}"] if shape == "chain" else [f"d{number + 1}" for number in range(STEPS)]

    def call() -> int:
        made.execute(wanted, inputs={"d0": {"a": 1}})
        return STEPS

    call()
    return call


def _dagster(shape: str, place: Place) -> Call:
    import dagster

    @dagster.op(name="source")
    def source() -> Any:
        return {"a": 1}

    @dagster.op(name="noop")
    def step(value: Any) -> Any:
        return value

    @dagster.graph
    def work() -> None:
        value = source()
        for number in range(FEW):
            after = step.alias(f"s{number}")(value)
            value = after if shape == "chain" else value

    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    job = work.to_job(executor_def=dagster.in_process_executor, config=quiet)
    instance = dagster.DagsterInstance.ephemeral()

    def call() -> int:
        assert job.execute_in_process(instance=instance).success
        return FEW

    return call


def _prefect(shape: str, place: Place) -> Call:
    os.environ["PREFECT_LOGGING_LEVEL"] = "CRITICAL"
    os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "120"
    import prefect
    from prefect.cache_policies import NO_CACHE

    step = prefect.task(noop, name="noop", cache_policy=NO_CACHE)

    @prefect.flow
    def warm() -> Any:
        return step({"a": 1})

    @prefect.flow
    def work() -> None:
        value: Any = {"a": 1}
        for _ in range(FEW):
            after = step(value)
            value = after if shape == "chain" else value

    warm()  # starts its server

    def call() -> int:
        work()
        return FEW

    return call


def _row(shape: str, title: str) -> Row:
    others = (("plain calls", OURS, _plain), ("kedro", "kedro", _kedro), ("hamilton", "hamilton", _hamilton))
    slow = (("dagster", _dagster), ("prefect", _prefect))
    return Row(
        f"engine_{shape}",
        title,
        (
            Case(OURS, OURS, partial(_ours, shape, recorded=False), calls=3),
            *(Case(who, peer, partial(prepare, shape)) for who, peer, prepare in others),
            *(Case(who, who, partial(prepare, shape), part=FEW, turns=2) for who, prepare in slow),
        ),
        (Goal(25e-6 * STEPS, (), "<= 25 us a step"),),
        size=lambda rows: STEPS,
        rounds=3,
    )


def _alone(name: str, title: str, prepare: Callable[[Place], Call], steps: int, most: int) -> Row:
    """A row of ours by itself, held against so many microseconds a step."""
    goal = Goal(most * 1e-6 * steps, (), f"<= {most} us a step")
    return Row(name, title, (Case(OURS, OURS, prepare, calls=3),), (goal,), size=lambda rows: steps, rounds=3)


CHAIN, FAN = partial(_ours, "chain"), partial(_ours, "fan")
ROWS = (
    _row("chain", "1,000 no-op steps in a chain"),
    _row("fan", "1,000 no-op steps of one input"),
    _alone("engine_recorded_chain", "the chain, every step recorded", partial(CHAIN, recorded=True), STEPS, 100),
    _alone("engine_recorded_fan", "the fan, every step recorded", partial(FAN, recorded=True), STEPS, 100),
    _alone("engine_many", "10,000 no-op steps in a chain", partial(CHAIN, recorded=False, steps=MANY), MANY, 25),
    _alone(
        "engine_many_recorded", "10,000 steps, every one recorded", partial(CHAIN, recorded=True, steps=MANY), MANY, 100
    ),
    _alone("engine_resume", "1,000 steps with files, nothing changed", _resumed, STEPS, 50),
)
