"""A plan: steps in their order, and the edges that say what may run side by side."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from framework.engine.faults import Faults
from framework.steps import Step

_MARKS = frozenset('"#`<>&;\\')


@dataclass(frozen=True, slots=True)
class Node:
    """A step at its place.

    Attributes
    ----------
    step : Step
    where : str
        Where it was said, for messages.
    after : tuple of int
        The places of the steps that must be done before it.
    """

    step: Step
    where: str
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps and their edges.

    Attributes
    ----------
    name : str
    nodes : tuple of Node
        In the order in which they run one after the other.
    sources : frozenset of str
        Names that are there before anything runs.
    last_use : mapping
        Of each name of data, the place of the last step that may read it.
    loose : bool
        Whether a step that neither reads what another makes nor names it may run though that one did not.
    """

    name: str
    nodes: tuple[Node, ...]
    sources: frozenset[str] = frozenset()
    last_use: dict[str, int] = field(default_factory=dict)
    loose: bool = False

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def written(self) -> dict[str, int]:
        """The names that steps write, each with the step's place."""
        return {name: place for place, node in enumerate(self.nodes) for name in node.step.outputs}

    def to_json(self) -> str:
        """Steps with their inputs, outputs and what they wait for, as JSON."""
        steps = [
            {
                "step": node.step.name,
                "inputs": list(node.step.inputs),
                "outputs": list(node.step.outputs),
                "after": [self.nodes[place].step.name for place in node.after],
                "where": node.where,
            }
            for node in self.nodes
        ]
        return json.dumps({"plan": self.name, "steps": steps}, indent=2, ensure_ascii=False)

    def to_mermaid(self) -> str:
        """A flow chart as Mermaid draws it: steps as boxes, data as rounded ones."""
        written = self.written
        data = sorted({name for node in self.nodes for name in (*node.step.inputs, *node.step.outputs)})
        ids = {name: f"d{number}" for number, name in enumerate(data)}
        lines = ["flowchart LR"]
        lines += [f"    {ids[name]}([{_quoted(name)}])" for name in data]
        for place, node in enumerate(self.nodes):
            lines.append(f"    s{place}[{_quoted(node.step.name)}]")
            lines += [f"    {ids[name]} --> s{place}" for name in node.step.inputs]
            lines += [f"    s{place} --> {ids[name]}" for name in node.step.outputs]
            by_data = {written[name] for name in node.step.inputs if name in written}
            lines += [f"    s{before} -.-> s{place}" for before in node.after if before not in by_data]
        return "\n".join(lines)

    def to_text(self) -> str:
        """One step a line, with what it reads and writes."""
        width = max((len(node.step.name) for node in self.nodes), default=0)
        lines = []
        for place, node in enumerate(self.nodes, 1):
            read = ", ".join(f"{name}" for name in node.step.inputs) or "-"
            written = ", ".join(node.step.outputs) or "-"
            lines.append(f"{place:>3}  {node.step.name:<{width}}  {read} -> {written}{self._waits(node)}")
        return "\n".join(lines)

    def _waits(self, node: Node) -> str:
        if node.step.is_barrier and len(self.nodes) > 1:
            return "   (says nothing of its data: runs alone, at its place)"
        return f"   after {', '.join(str(place + 1) for place in node.after)}" if node.after else ""


def _quoted(text: str) -> str:
    """Text as a label: what Mermaid would read as more than text is written by its number."""
    return '"' + "".join(f"#{ord(each)};" if each in _MARKS else each for each in " ".join(text.split())) + '"'


def plan_of(
    name: str,
    steps: Iterable[tuple[Step, str]],
    *,
    sources: Collection[str],
    known: Collection[str] = (),
    faults: Faults | None = None,
    loose: bool = False,
) -> Plan:
    """The plan of steps in their order, each with where it was said.

    Parameters
    ----------
    sources : collection of str
        Names of data that are there before.
    known : collection of str
        Names that have a place but may have nothing in it yet; for messages.
    faults : Faults, optional
        Where faults go; CaseError unless given.
    loose : bool
        See `Plan`.

    Raises
    ------
    CaseError
        An input that nothing makes, or that only a later step makes; two writers of one output.
    """
    mine = Faults() if faults is None else faults
    pairs = list(steps)
    made_at: dict[str, int] = {}
    for place, (step, where) in enumerate(pairs):
        for output in step.outputs:
            if output in made_at:
                other = pairs[made_at[output]]
                mine.add(where, f"{step.name!r} writes {output!r}, which {other[0].name!r} writes ({other[1]}).")
            made_at.setdefault(output, place)
    nodes = _nodes(pairs, made_at, frozenset(sources), {*sources, *known, *made_at}, mine)
    if faults is None:
        mine.check(name)
    return Plan(name, tuple(nodes), frozenset(sources), _last_use(pairs), loose)


def _nodes(
    pairs: Sequence[tuple[Step, str]],
    made_at: dict[str, int],
    sources: frozenset[str],
    known: Collection[str],
    faults: Faults,
) -> list[Node]:
    nodes: list[Node] = []
    named: dict[str, int] = {}
    barrier: int | None = None
    since: list[int] = []  # the steps since the last barrier
    readers: dict[str, list[int]] = {}
    for place, (step, where) in enumerate(pairs):
        after: set[int] = set()
        if step.is_barrier:
            after = set(since) or ({barrier} if barrier is not None else set())
            barrier, since = place, []
        else:
            after = set() if barrier is None else {barrier}
            for name in step.inputs:
                maker = made_at.get(name)
                if maker is not None and maker < place:
                    after.add(maker)
                elif maker is not None or (name not in sources and barrier is None):
                    _missing(step, name, where, maker, pairs, known, faults)  # a barrier before it may make any name
                readers.setdefault(name, []).append(place)
            for name in step.outputs:  # who reads what was there before must have read it
                after.update(reader for reader in readers.get(name, ()) if reader != place)
            after.update(_before(step, where, named, pairs, faults))
            since.append(place)
        named[step.name] = place
        nodes.append(Node(step, where, tuple(sorted(after))))
    return nodes


def _before(
    step: Step, where: str, named: Mapping[str, int], pairs: Sequence[tuple[Step, str]], faults: Faults
) -> Iterator[int]:
    """The places of the steps that it says come before it."""
    for name in step.after:
        if name in named:
            yield named[name]
        elif any(each.name == name for each, _ in pairs):
            said = f"{step.name!r} needs {name!r}, which comes later."
            faults.add(where, said if name != step.name else f"{name!r} needs itself.", f"Move it behind {name!r}.")
        else:
            faults.unknown(where, f"{step.name!r} needs {name!r}, which is no step.", name, [s.name for s, _ in pairs])


def _missing(
    step: Step,
    name: str,
    where: str,
    maker: int | None,
    pairs: Sequence[tuple[Step, str]],
    known: Collection[str],
    faults: Faults,
) -> None:
    """An input that is not there when its step runs."""
    if maker is None:
        said = f"{step.name!r} reads {name!r}, which nothing makes."
        faults.unknown(where, said, name, (each for each in known if each != name))
    elif pairs[maker][0] is step:
        said = f"{step.name!r} reads {name!r}, which it makes itself."
        faults.add(where, said, "Let it write under another name.")
    else:
        later, place = pairs[maker]
        said = f"{step.name!r} reads {name!r}, which only {later.name!r} ({place}) makes, which comes later."
        faults.add(where, said, f"Move it behind {later.name!r}.")


def _last_use(pairs: Sequence[tuple[Step, str]]) -> dict[str, int]:
    last: dict[str, int] = {}
    for place, (step, _) in enumerate(pairs):
        for name in (*step.inputs, *step.outputs):
            last[name] = place
    barriers = [place for place, (step, _) in enumerate(pairs) if step.is_barrier]
    return {name: max(place, *barriers) if barriers else place for name, place in last.items()}
