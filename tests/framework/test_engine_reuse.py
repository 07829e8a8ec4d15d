"""Resume: what stands, what runs again and why, and that the outcome is that of a clean run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from framework.engine import Runner
from framework.engine.hub import DataHub
from framework.engine.ledger import Ledger, RunRow
from framework.engine.plan import Plan, plan_of
from framework.engine.reuse import Reuse, Verdict
from framework.results import Outcome, Result
from framework.steps import Step


@dataclass
class Bench:
    """A folder with data and a ledger, in which plans run one after the other."""

    folder: Path
    places: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    codes: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def hub(self) -> DataHub:
        hub = DataHub(self.folder)
        hub.add_data_sources(self.places)
        return hub

    def plan(self, steps: list[Step]) -> Plan:
        written = {name for step in steps for name in step.outputs}
        return plan_of("case", [(step, step.name) for step in steps], sources=set(self.places) - written)

    def judged(self, plan: Plan, hub: DataHub) -> Reuse:
        ledger = Ledger(str(self.folder / "ledger"), self.folder / "runs")
        rows = ledger.last_steps("case", [node.step.name for node in plan.nodes])
        ledger.close()
        return Reuse(plan, hub, rows, self.code(plan))

    def code(self, plan: Plan) -> dict[int, str]:
        return {place: self.codes.get(node.step.name, "") for place, node in enumerate(plan.nodes)}

    def explain(self, steps: list[Step]) -> list[Verdict]:
        return self.judged(self.plan(steps), self.hub()).verdicts

    def run(self, steps: list[Step], *, resume: bool = True, workers: int = 1, executor: str = "threads") -> Result:
        plan, hub = self.plan(steps), self.hub()
        reuse = self.judged(plan, hub) if resume else None
        self.count += 1
        self.calls.clear()
        ledger = Ledger(str(self.folder / "ledger"), self.folder / "runs")
        row = RunRow(f"run_{self.count}", "case", "case", "case", time.time())
        with ledger.run(row) as writer:
            runner = Runner(workers=workers, executor=executor)
            result = runner.run(plan, hub, writer=writer, reuse=reuse, codes=self.code(plan))
            row.state = result.outcome.state
        ledger.close()
        return result

    def ran(self, steps: list[Step], **how: Any) -> list[str]:
        """The names of the steps that a resumed run runs."""
        result = self.run(steps, **how).raise_if_failed()
        return [child.name for child in result.children if child.outcome is not Outcome.SKIPPED]

    def why(self, steps: list[Step], name: str) -> str:
        return next(verdict.why for verdict in self.explain(steps) if verdict.step == name)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    for name in ("source", "a", "b"):
        made.places[name] = {"path": f"{name}.json"}
    (tmp_path / "source.json").write_text('{"v": 1}')
    return made


def added(bench: Bench, name: str, reads: str, writes: str, **more: Any) -> Step:
    """A step that adds its parameter to what it reads."""
    amount = more.get("params", {}).get("amount", 1)

    def call(**data: Any) -> Any:
        bench.calls.append(name)
        return {"v": data[reads]["v"] + amount}

    return Step(name, call, inputs=(reads,), outputs=(writes,), takes=(reads,), **more)


def two(bench: Bench) -> list[Step]:
    return [added(bench, "one", "source", "a"), added(bench, "two", "a", "b")]


def test_nothing_runs_when_nothing_has_changed(bench: Bench) -> None:
    """The first run does all, the second and the third nothing, and each row says so."""
    assert bench.ran(two(bench)) == ["one", "two"]
    assert bench.ran(two(bench)) == []
    assert bench.ran(two(bench)) == []
    assert [verdict.what for verdict in bench.explain(two(bench))] == ["reuse", "reuse"]


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


CHANGES: dict[str, tuple[Callable[[Bench], None], list[str], str]] = {
    "source content": (lambda b: rewrite(b, "source", '{"v": 9}'), ["one", "two"], "its input 'source' has changed"),
    "output changed": (lambda b: rewrite(b, "a", '{"v": 7}'), ["one"], "its output 'a' is not what was recorded"),
    "output gone": (lambda b: (b.folder / "b.json").unlink(), ["two"], "its output 'b' is not what was recorded"),
    "source touched": (lambda b: touch(b.folder / "source.json"), [], ""),
    "output touched": (lambda b: touch(b.folder / "a.json"), [], ""),
    "source as before": (lambda b: rewrite(b, "source", '{"v": 1}'), [], ""),
    "code": (lambda b: b.codes.update(one="new"), ["one"], "its code has changed"),
    "other options": (
        lambda b: b.places["source"].update(handler="json", handler_args={"max_bytes": 1000}),
        ["one"],
        "its input 'source' has changed",
    ),
    "other output options": (
        lambda b: b.places["b"].update(handler="json", handler_args={"indent": 4}),
        ["two"],
        "its output 'b' is not what was recorded",
    ),
    "other place": (lambda b: moved(b, "source"), ["one"], "its input 'source' has changed"),
}


def rewrite(bench: Bench, name: str, text: str) -> None:
    (bench.folder / f"{name}.json").write_text(text)


def moved(bench: Bench, name: str) -> None:
    (bench.folder / f"{name}.json").rename(bench.folder / "elsewhere.json")
    bench.places[name] = {"path": "elsewhere.json"}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_runs_what_it_concerns_and_explain_says_why(bench: Bench, what: str) -> None:
    """Changed content, code or place run again; a touched file does not, nor what stays the same."""
    change, expected, why = CHANGES[what]
    bench.run(two(bench))
    change(bench)
    if expected:
        assert why == bench.why(two(bench), expected[0])
    else:
        assert all(verdict.stands for verdict in bench.explain(two(bench)))
    assert bench.ran(two(bench)) == expected
    assert bench.ran(two(bench)) == []


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ({"version": "2"}, "its version was 1 and is 2"),
        ({"params": {"amount": 2}}, "its parameter 'amount' is new"),
    ],
    ids=["version", "parameter"],
)
def test_another_version_or_parameter_runs_again(bench: Bench, steps: dict[str, Any], why: str) -> None:
    """What the author or the case says of the step itself counts."""
    bench.run(two(bench))
    changed = [added(bench, "one", "source", "a", **steps), two(bench)[1]]
    assert bench.why(changed, "one") == why
    assert bench.ran(changed)[0] == "one"
    assert bench.ran(changed) == []
    assert "one" in bench.ran(two(bench))


@pytest.mark.parametrize(("then", "now"), [(1, True), (1, 1.0), (0, False), ("1", 1), (None, "None")])
def test_values_that_python_holds_equal_are_not_the_same_parameter(bench: Bench, then: Any, now: Any) -> None:
    """1, 1.0 and true are three values, for what a step makes of them differs."""
    bench.run([replace(two(bench)[0], params={"x": then})])
    assert bench.ran([replace(two(bench)[0], params={"x": then})]) == []
    assert bench.ran([replace(two(bench)[0], params={"x": now})]) == ["one"]


def test_a_step_that_comes_out_the_same_lets_what_follows_stand(bench: Bench) -> None:
    """Early cut-off: other code, the same output; explain says that the next may run, and it does not."""
    bench.run(two(bench))
    bench.codes["one"] = "new"
    assert [verdict.what for verdict in bench.explain(two(bench))] == ["run", "may run"]
    assert bench.ran(two(bench)) == ["one"]


def test_what_is_in_memory_alone_is_made_again_only_where_it_is_needed(bench: Bench) -> None:
    """A step whose output is kept nowhere stands while nothing that runs reads it."""
    del bench.places["a"]
    bench.run(two(bench))
    assert [verdict.what for verdict in bench.explain(two(bench))] == ["not needed", "reuse"]
    assert bench.ran(two(bench)) == []
    (bench.folder / "b.json").unlink()
    assert bench.why(two(bench), "one") == "its output 'a' was in memory alone, and is needed"
    assert bench.ran(two(bench)) == ["one", "two"]
    assert bench.ran(two(bench)) == []


def test_a_chain_in_memory_is_cut_off_where_it_comes_out_the_same(bench: Bench) -> None:
    """A source that changed and gives the same: the last step stands, or has all that it needs."""
    del bench.places["a"], bench.places["b"]
    bench.places["c"] = {"path": "c.json"}

    def whole(**data: Any) -> Any:
        return {"v": data["source"]["v"] // 10}

    steps = [
        Step("one", whole, inputs=("source",), outputs=("a",), takes=("source",)),
        added(bench, "two", "a", "b"),
        added(bench, "three", "b", "c"),
    ]
    bench.run(steps)
    rewrite(bench, "source", '{"v": 2}')
    assert "three" not in bench.ran(steps)
    rewrite(bench, "source", '{"v": 30}')
    assert bench.ran(steps) == ["one", "two", "three"]
    assert json.loads((bench.folder / "c.json").read_text()) == {"v": 5}


def test_what_may_run_has_its_data_in_memory_when_it_does(bench: Bench) -> None:
    """The step between comes out the same, and the last must run for its output is gone."""
    del bench.places["a"]
    bench.places["c"] = {"path": "c.json"}
    del bench.places["b"]
    steps = [
        Step("one", lambda source: {"v": source["v"] // 10}, inputs=("source",), outputs=("a",), takes=("source",)),
        added(bench, "two", "a", "b"),
        added(bench, "three", "b", "c"),
    ]
    bench.run(steps)
    rewrite(bench, "source", '{"v": 3}')
    (bench.folder / "c.json").unlink()
    assert bench.ran(steps) == ["one", "two", "three"]
    assert json.loads((bench.folder / "c.json").read_text()) == {"v": 2}


def test_all_that_reads_what_comes_out_otherwise_runs_again(bench: Bench) -> None:
    """A step that throws dice is needed again: no output is left that stands on the number of before."""
    del bench.places["a"]
    bench.places |= {"c": {"path": "c.json"}}
    thrown = iter(range(10, 99))
    steps = [
        Step("more", lambda: {"v": 5}, outputs=("kept",)),
        Step("dice", lambda: {"v": next(thrown)}, outputs=("a",)),
        Step("two", lambda a, kept: [a, kept], inputs=("a", "kept"), outputs=("b",), takes=("a", "kept")),
        Step("three", lambda a: a, inputs=("a",), outputs=("c",), takes=("a",)),
    ]
    bench.run(steps)
    assert bench.ran(steps) == []
    (bench.folder / "c.json").unlink()
    assert [verdict.what for verdict in bench.explain(steps)] == ["run", "run", "may run", "run"]
    assert bench.ran(steps) == ["more", "dice", "two", "three"]
    assert json.loads((bench.folder / "b.json").read_text())[0] == json.loads((bench.folder / "c.json").read_text())


def test_a_step_that_says_nothing_of_its_data_runs_always_and_what_follows_is_looked_at_after_it(bench: Bench) -> None:
    """A barrier may write anything: what comes after it is judged by what it left."""
    text = ['{"v": 1}']

    def write() -> None:
        rewrite(bench, "source", text[0])

    steps = [Step("any", write), *two(bench)]
    assert bench.ran(steps) == ["any", "one", "two"]
    assert bench.ran(steps) == ["any"]
    text[0] = '{"v": 5}'
    assert [verdict.what for verdict in bench.explain(steps)] == ["run", "may run", "may run"]
    assert bench.ran(steps) == ["any", "one", "two"]
    assert json.loads((bench.folder / "b.json").read_text()) == {"v": 7}


def test_what_a_step_read_without_saying_so_counts(bench: Bench) -> None:
    """The hub notes it: a change of it, or a step that makes it anew, runs the step again."""
    hubs: list[DataHub] = []

    def quietly() -> Any:
        return {"v": hubs[-1].get("a")["v"] * 10}

    class Noting(Bench):
        def hub(self) -> DataHub:
            hubs.append(super().hub())
            return hubs[-1]

    noting = Noting(bench.folder, bench.places)
    steps = [added(noting, "one", "source", "a"), Step("two", quietly, outputs=("b",))]
    assert noting.ran(steps) == ["one", "two"]
    assert noting.ran(steps) == []
    rewrite(noting, "source", '{"v": 5}')
    assert noting.ran(steps) == ["one", "two"]
    assert json.loads((bench.folder / "b.json").read_text()) == {"v": 60}


def test_what_cannot_be_known_again_runs_again(bench: Bench) -> None:
    """Data without a fingerprint, and an output that was not made the last time."""
    del bench.places["a"]
    steps = [
        Step("one", lambda: object(), outputs=("a",)),
        Step("two", lambda a: {"v": 1}, inputs=("a",), outputs=("b",), takes=("a",)),
    ]
    bench.run(steps)
    assert bench.why(steps, "one") == "nothing is known of its output 'a'"
    assert bench.ran(steps) == ["one", "two"]


def test_an_input_that_need_not_be_there_and_is_not_changes_nothing(bench: Bench) -> None:
    """None is what it is while there is none, and data when there is."""
    bench.places["source"] = {"path": "source.json", "must_exist": False}
    (bench.folder / "source.json").unlink()
    steps = [
        Step("one", lambda source: {"v": source}, inputs=("source",), outputs=("a",), takes=("source",)),
    ]
    assert bench.ran(steps) == ["one"]
    assert bench.ran(steps) == []
    rewrite(bench, "source", "3")
    assert bench.ran(steps) == ["one"]
    assert json.loads((bench.folder / "a.json").read_text()) == {"v": 3}
    (bench.folder / "source.json").unlink()
    assert bench.ran(steps) == ["one"]


def test_a_source_that_changes_while_it_is_read_is_not_taken_for_known(bench: Bench) -> None:
    """What was loaded is not what lies there: the next run looks again."""
    first = two(bench)[0]

    class Busy(DataHub):
        def record(self, name: str) -> Any:
            if name == "source" and not os.path.exists(self.case_path / "done"):
                (self.case_path / "done").touch()
                rewrite(bench, "source", '{"v": 77}')
            return super().record(name)

    hub = Busy(bench.folder)
    hub.add_data_sources(bench.places)
    bench.hub = lambda: hub  # type: ignore[method-assign]
    bench.run([first], resume=False)
    del bench.hub  # type: ignore[method-assign]
    assert json.loads((bench.folder / "a.json").read_text()) == {"v": 2}
    assert bench.ran([first]) == ["one"]
    assert json.loads((bench.folder / "a.json").read_text()) == {"v": 78}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_thousand_steps_in_a_row_stand_or_run(tmp_path: Path, workers: int) -> None:
    """However long the chain: each step once, in threads as one after the other."""
    bench = Bench(tmp_path)
    bench.places["d0"] = {"path": "d0.json"}
    (tmp_path / "d0.json").write_text('{"v": 0}')
    steps = [added(bench, f"s{place}", f"d{place}", f"d{place + 1}") for place in range(1000)]
    result = bench.run(steps, workers=workers)
    assert result
    assert len(bench.calls) == 1000
    assert bench.ran(steps, workers=workers) == []


def test_a_step_offered_by_one_that_stands_runs_once(bench: Bench) -> None:
    """Side by side with resume: what follows on a step that stands is begun one time."""
    bench.run(two(bench))
    (bench.folder / "b.json").unlink()
    assert bench.ran(two(bench), workers=2) == ["two"]
    assert bench.calls == ["two"]


# --------------------------------------------------------------------------- any plan, any change


@dataclass(frozen=True)
class Part:
    """One step of a random plan; what it reads it adds up, and much of it comes out the same."""

    reads: tuple[str, ...]
    quietly: tuple[str, ...]
    in_memory: bool
    barrier: bool
    amount: int = 0
    code: int = 0
    version: int = 1


NAMES = ("s0", "s1")


@st.composite
def plans(draw: st.DrawFn) -> list[Part]:
    parts: list[Part] = []
    for place in range(draw(st.integers(1, 6))):
        before = [*NAMES, *(f"d{each}" for each in range(place))]
        on_disk = [*NAMES, *(f"d{each}" for each in range(place) if not parts[each].in_memory)]
        reads = draw(st.lists(st.sampled_from(before), unique=True, max_size=3))
        quietly = draw(st.lists(st.sampled_from(on_disk), unique=True, max_size=1))
        barrier = draw(st.integers(0, 9)) == 0
        parts.append(Part(tuple(reads), tuple(quietly), draw(st.booleans()), barrier))
    return parts


def kinds(count: int) -> st.SearchStrategy[tuple[str, int, int]]:
    what = ["amount", "code", "version", "source", "touch", "tamper", "remove", "fail", "nothing", "swap"]
    return st.tuples(st.sampled_from(what), st.integers(0, count - 1), st.integers(0, 9))


class World:
    """A random plan in a folder."""

    def __init__(self, folder: Path, parts: list[Part]) -> None:
        self.parts, self.bench = parts, Bench(folder)
        self.fails: set[int] = set()
        for name in NAMES:
            self.bench.places[name] = {"path": f"{name}.json"}
        for place, part in enumerate(parts):
            if not part.in_memory:
                self.bench.places[f"d{place}"] = {"path": f"d{place}.json"}

    def sources(self, values: Mapping[str, int]) -> None:
        for name, value in values.items():
            (self.bench.folder / f"{name}.json").write_text(json.dumps({"v": value}))

    def steps(self) -> list[Step]:
        made = []
        self.bench.codes = {f"step{place}": str(part.code) for place, part in enumerate(self.parts)}
        for place, part in enumerate(self.parts):
            call = self.call(place, part)
            name, params = f"step{place}", {"amount": part.amount}
            if part.barrier:
                made.append(Step(name, call, str(part.version), params))
            else:
                reads = part.reads
                made.append(Step(name, call, str(part.version), params, reads, (f"d{place}",), reads))
        return made

    def call(self, place: int, part: Part) -> Callable[..., Any]:
        def call(**data: Any) -> Any:
            if place in self.fails:
                raise ValueError("told to")
            hub = self.hub
            read = {**{name: hub.get(name) for name in (*part.quietly, *(part.reads if part.barrier else ()))}, **data}
            total = sum(each["v"] for each in read.values()) + part.amount + part.code + part.version
            for each in read.values():
                each["v"] = -1  # nobody else sees that
            value = {"v": total // 3}
            if part.barrier:
                hub.register(f"d{place}", value)
                return None
            return value

        return call

    def run(self, **how: Any) -> Result:
        bench = self.bench
        plain = Bench.hub

        def hub(self_: Bench) -> DataHub:
            self.hub = plain(self_)
            return self.hub

        bench.hub = hub.__get__(bench)  # type: ignore[method-assign]
        return bench.run(self.steps(), **how)

    def explain(self) -> list[Verdict]:
        return self.bench.explain(self.steps())

    def outputs(self) -> dict[str, Any]:
        return {path.name: json.loads(path.read_text()) for path in sorted(self.bench.folder.glob("*.json"))}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Makes empty folders."""
    return lambda: tmp_path_factory.mktemp("plan")


def check_resumes(parts: list[Part], changes: list[list[tuple[str, int, int]]], new: Callable[[], Path]) -> None:
    """After each lot of changes a resumed run leaves what a clean one does."""
    world, values = World(new(), parts), dict.fromkeys(NAMES, 1)
    world.sources(values)
    first = world.run()
    assert first, first.errors
    for number, lot in enumerate(changes):
        world.fails = set()
        for what, place, value in lot:
            changed(world, values, what, place, value)
        verdicts = {verdict.step: verdict for verdict in world.explain()}
        workers = 1 if any(part.quietly for part in world.parts) else 1 + number % 2
        result = world.run(workers=workers)
        for child in result.children:
            if child.outcome is not Outcome.CANCELLED and verdicts[child.name].what != "may run":
                assert verdicts[child.name].stands == (child.outcome is Outcome.SKIPPED), (child, verdicts[child.name])
            event(f"{verdicts[child.name].what}: {child.outcome.name.lower()}")
        if world.fails:
            continue
        assert result, result.errors
        clean = World(new(), world.parts)
        clean.sources(values)
        assert clean.run(resume=False)
        assert world.outputs() == clean.outputs()


def changed(world: World, values: dict[str, int], what: str, place: int, value: int) -> None:
    place %= len(world.parts)
    folder, part = world.bench.folder, world.parts[place]
    output = folder / f"d{place}.json"
    if what in ("amount", "code", "version"):
        world.parts[place] = replace(part, **{what: value})
    elif what == "source":
        name = NAMES[place % 2]
        values[name] = value
        world.sources({name: value})
    elif what == "swap":
        for name in NAMES:
            os.rename(folder / f"{name}.json", folder / f"{name}.aside")
        for name, other in zip(NAMES, reversed(NAMES), strict=True):
            os.rename(folder / f"{name}.aside", folder / f"{other}.json")
        values["s0"], values["s1"] = values["s1"], values["s0"]
    elif what == "fail":
        world.fails.add(place)
    elif output.exists() and what == "touch":
        os.utime(output)
    elif output.exists() and what == "tamper":
        output.write_text(json.dumps({"v": value}))
    elif output.exists() and what == "remove":
        output.unlink()


lots = plans().flatmap(lambda parts: st.tuples(st.just(parts), st.lists(st.lists(kinds(6), max_size=2), max_size=4)))
quick = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


@given(lots)
@quick
def test_a_resumed_run_leaves_what_a_clean_one_does(
    folders: Callable[[], Path], case: tuple[list[Part], list[list[tuple[str, int, int]]]]
) -> None:
    """Whatever the plan and whatever changes, fails or is tampered with; and explain has said what would run."""
    check_resumes(list(case[0]), case[1], folders)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@given(lots)
@settings(quick, max_examples=5000)
def test_many_resumed_runs_leave_what_clean_ones_do(
    folders: Callable[[], Path], case: tuple[list[Part], list[list[tuple[str, int, int]]]]
) -> None:
    """The same, many times as often."""
    check_resumes(list(case[0]), case[1], folders)
