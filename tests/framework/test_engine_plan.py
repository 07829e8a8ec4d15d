"""Plans: what waits for what, what is refused, and how it is drawn."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import CaseError, Step
from framework.engine.faults import Faults
from framework.engine.plan import Plan, plan_of


def step(name: str, reads: Iterable[str] = (), writes: Iterable[str] = ()) -> tuple[Step, str]:
    return Step(name, lambda: None, inputs=tuple(reads), outputs=tuple(writes)), f"case.yaml:{name}"


def plan(*steps: tuple[Step, str], sources: Iterable[str] = ("raw",)) -> Plan:
    return plan_of("case", steps, sources=set(sources))


def after(made: Plan) -> list[tuple[int, ...]]:
    return [node.after for node in made.nodes]


def test_a_step_waits_for_what_makes_its_inputs() -> None:
    """And for nothing else: two readers of one source may run side by side."""
    made = plan(step("a", ["raw"], ["x"]), step("b", ["raw"], ["y"]), step("c", ["x", "y"], ["z"]), step("d", ["x"]))
    assert after(made) == [(), (), (0, 1), (0,)]
    assert made.last_use == {"raw": 1, "x": 3, "y": 2, "z": 2}
    assert made.written == {"x": 0, "y": 1, "z": 2}


def test_a_step_that_says_nothing_of_its_data_is_a_barrier() -> None:
    """All before it comes before, and all after it after; data is kept until the last of them."""
    made = plan(
        step("a", ["raw"], ["x"]), step("b", ["raw"]), step("bar"), step("c", ["x"]), step("d", ["raw"]), step("e")
    )
    assert after(made) == [(), (), (0, 1), (0, 2), (2,), (3, 4)]
    assert made.last_use["x"] == 5
    assert after(plan(step("a"), step("b"), step("c"))) == [(), (0,), (1,)]


def test_a_barrier_may_make_any_name() -> None:
    """What is read behind it need not be declared; what is read before it must."""
    assert len(plan(step("bar"), step("a", ["anything"]))) == 2
    with pytest.raises(CaseError, match="reads 'anything', which nothing makes"):
        plan(step("a", ["anything"]), step("bar"))


REFUSED = {
    "an input that nothing makes": (
        [step("a", ["rav"])],
        "case.yaml:a: 'a' reads 'rav', which nothing makes. Did you mean 'raw'? Known: raw.",
    ),
    "an input that only a later step makes": (
        [step("a", ["x"]), step("b", ["raw"], ["x"])],
        "case.yaml:a: 'a' reads 'x', which only 'b' (case.yaml:b) makes, which comes later. Move it behind 'b'.",
    ),
    "a source that a later step writes": (
        [step("a", ["raw"]), step("b", [], ["raw"])],
        "case.yaml:a: 'a' reads 'raw', which only 'b' (case.yaml:b) makes, which comes later.",
    ),
    "behind a barrier, what a later step makes": (
        [step("bar"), step("a", ["x"]), step("b", ["raw"], ["x"])],
        "'a' reads 'x', which only 'b' (case.yaml:b) makes",
    ),
    "its own output": (
        [step("a", ["x"], ["x"])],
        "case.yaml:a: 'a' reads 'x', which it makes itself. Let it write under another name.",
    ),
    "two writers of one output": (
        [step("a", ["raw"], ["x"]), step("b", ["raw"], ["x"])],
        "case.yaml:b: 'b' writes 'x', which 'a' writes (case.yaml:a).",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_run_in_the_files_order_is_refused(name: str) -> None:
    """Never reordered: told, with both places and the cure."""
    steps, told = REFUSED[name]
    with pytest.raises(CaseError) as caught:
        plan(*steps)
    assert told in str(caught.value)
    assert caught.value.exit_code == 20


def test_all_faults_of_a_plan_are_told_together() -> None:
    """One CaseError that holds them all."""
    with pytest.raises(CaseError, match="case has 3 faults; nothing was run") as caught:
        plan(step("a", ["n1", "n2"], ["x"]), step("b", ["raw"], ["x"]))
    assert [fault.where for fault in caught.value.faults] == ["case.yaml:a", "case.yaml:a", "case.yaml:b"]


# --------------------------------------------------------------------------- at size


@pytest.mark.timeout(20)
def test_ten_thousand_steps_are_planned_and_drawn() -> None:
    """A chain, a fan, and one in which nothing fits: time grows with their number, not with its square."""
    many = range(10_000)
    chain = plan(*[step(f"s{n}", [f"d{n}"], [f"d{n + 1}"]) for n in many], sources=["d0"])
    assert chain.nodes[-1].after == (9_998,)
    fan = plan(*[step(f"s{n}", ["raw"], [f"d{n}"]) for n in many], step("end", [f"d{n}" for n in many]))
    assert len(fan.nodes[-1].after) == 10_000
    assert chain.to_mermaid().count("\n") == 40_001
    assert len(json.loads(fan.to_json())["steps"]) == 10_001
    assert len(chain.to_text().splitlines()) == 10_000
    faults = Faults()
    plan_of("bad", [step(f"s{n}", [f"missing{n}"]) for n in many], sources={"raw"}, known=set(), faults=faults)
    assert len(faults.found) == 10_000


# --------------------------------------------------------------------------- drawn

LABEL = r'"(?:[^"#<>`&;\\]|#\d+;)*"'
LINES = re.compile(
    rf"flowchart LR|    d\d+\(\[{LABEL}\]\)|    s\d+\[{LABEL}\]|    d\d+ --> s\d+|    s\d+ --> d\d+|    s\d+ -\.-> s\d+"
)


def unquoted(label: str) -> str:
    return re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=6, unique_by=lambda name: " ".join(name.split())))
def test_any_name_gives_a_chart_that_is_read_as_it_was_meant(names: list[str]) -> None:
    """Each line is of the few forms that the chart needs, and each label gives the name back."""
    made = plan(*[step(name, ["raw"], [f"out {name}"]) for name in names], step("bar"), step("end", ["raw"]))
    lines = made.to_mermaid().split("\n")
    assert [line for line in lines if not LINES.fullmatch(line)] == []
    labels = re.findall(r'^    s\d+\["(.*)"\]$', "\n".join(lines), re.MULTILINE)
    assert [unquoted(label) for label in labels] == [" ".join(name.split()) for name in [*names, "bar", "end"]]


def test_the_chart_shows_data_and_barriers() -> None:
    """Boxes for steps, rounded ones for data, dotted lines for what waits without data."""
    made = plan(step("a", ["raw"], ["x"]), step("bar"), step('b "2"', ["x"]))
    assert made.to_mermaid().split("\n") == [
        "flowchart LR",
        '    d0(["raw"])',
        '    d1(["x"])',
        '    s0["a"]',
        "    d0 --> s0",
        "    s0 --> d1",
        '    s1["bar"]',
        "    s0 -.-> s1",
        '    s2["b #34;2#34;"]',
        "    d1 --> s2",
        "    s1 -.-> s2",
    ]


def test_the_text_shows_what_each_reads_writes_and_waits_for() -> None:
    """One step a line."""
    made = plan(step("a", ["raw"], ["x"]), step("bar"), step("long name", ["x", "raw"], ["y"]))
    assert made.to_text().split("\n") == [
        "  1  a          raw -> x",
        "  2  bar        - -> -   (says nothing of its data: runs alone, at its place)",
        "  3  long name  x, raw -> y   after 1, 2",
    ]


def test_the_json_says_it_all() -> None:
    """Steps by name, with what they wait for and where they are said."""
    told: dict[str, Any] = json.loads(plan(step("a", ["raw"], ["x"]), step("b", ["x"])).to_json())
    assert told["plan"] == "case"
    assert told["steps"][1] == {"step": "b", "inputs": ["x"], "outputs": [], "after": ["a"], "where": "case.yaml:b"}
