"""The mods of a job: each with its parameters, what it reads of others, and how it is run."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from framework.engine.faults import Faults
from framework.engine.parameters import Layers, Value, mapping_at
from framework.engine.plan import plan_of
from framework.engine.references import Later, MadeBy, later_in
from framework.engine.uses import LONGEST, are_texts
from framework.engine.when import When
from framework.mods.catalog import Mods
from framework.mods.mod import OUTPUT, Mod
from framework.steps import Step
from framework.yaml import Document, Route

CONTROLS = ("needs", "when", "retries", "timeout", "on_error")
ARTIFACT = "input_artifact"
SINK, SOLO = "sink", "solo"
_NAME = re.compile(r"\w[\w .:-]*")  # it names a folder too
Artifact = tuple[str, str]  # the name of a mod in the job, and of what it makes


@dataclass(frozen=True, slots=True)
class ModUse:
    """A mod as a job uses it.

    Attributes
    ----------
    name : str
        Of this use.
    params : mapping
        Its parameters with where each was said, as far as they are known before anything runs.
    own : mapping
        Its own block, as it was written.
    reads : tuple of (mod, artifact)
        What of other mods it is given.
    needs : tuple of str
        Mods that must have been done, whatever they make.
    asks : tuple of str
        Mods whose results its condition looks at.
    despite : tuple of str
        Those of them of which it looks at how they ended, so that it is asked also where they failed.
    """

    name: str
    mod: Mod
    params: Mapping[str, Value]
    own: Mapping[str, Value]
    where: str
    reads: tuple[Artifact, ...] = ()
    needs: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    despite: tuple[str, ...] = ()
    when: When | None = None
    retries: int = 0
    timeout: float | None = None
    goes_on: bool = False

    @property
    def is_sink(self) -> bool:
        """Whether it keeps data somewhere."""
        return SINK in self.mod.metadata.tags

    @property
    def makes_data(self) -> bool:
        """Whether there is something for the mod after it: as it says itself; else unless it ends the way."""
        said = self.mod.metadata.artifacts.makes
        return OUTPUT in said if said else {SINK, SOLO}.isdisjoint(self.mod.metadata.tags)

    def step(self, uses: Collection[ModUse]) -> Step:
        """What it is to a plan of these uses; what it does is not in it yet."""
        here = {each.name for each in uses}
        read = {key for each in uses for name, key in each.reads if name == self.name}
        makes = self.mod.metadata.artifacts.makes
        return Step(
            name=self.name,
            call=self.mod.call,
            version=self.mod.metadata.version,
            inputs=tuple(f"{name}.{key}" for name, key in self.reads),
            outputs=tuple(f"{self.name}.{key}" for key in dict.fromkeys([*makes, *sorted(read)])),
            source=self.mod.path,
            retries=self.retries,
            timeout=self.timeout,
            after=tuple(dict.fromkeys(name for name in (*self.needs, *self.asks) if name in here)),
            despite=tuple(name for name in self.despite if name not in self.needs),
            goes_on=self.goes_on,
        )


@dataclass(slots=True)
class ModUses:
    """Reads the mods of a job, and how each is run."""

    mods: Mods
    document: Document
    layers: Layers
    faults: Faults
    names: list[str]
    chosen: set[str]
    done: list[ModUse] = field(default_factory=list)

    def read(self) -> list[ModUse]:
        blocks = mapping_at(self.document, ("mods",), self.faults)
        controls = mapping_at(self.document, ("steps",), self.faults)
        for name in controls:
            if name not in blocks:
                where = self.document.where(("steps", name))
                self.faults.unknown(where, f"steps: the job has no mod {name!r}.", name, self.names)
        for name in self.chosen - set(blocks):
            self.faults.unknown(f"mod {name}", f"the job has no mod {name!r}.", name, self.names)
        for name, block in blocks.items():
            use = self._use(name, {} if block is None else block)
            if use is not None:
                self.done.append(use)
        self._check_edges()
        return [use for use in self.done if not self.chosen or use.name in self.chosen]

    def _check_edges(self) -> None:
        """That what is read is made, and before."""
        there = {use.name for use in self.done}
        lost = {f"{name}.{key}" for use in self.done for name, key in use.reads if name not in there}
        for use in self.done:
            for name, key in use.reads:
                made = next((each.mod.metadata.artifacts.makes for each in self.done if each.name == name), ())
                if made and key not in made:
                    self.faults.unknown(use.where, f"{name!r} makes no artifact {key!r}, which is read.", key, made)
        plan_of("job", [(use.step(self.done), use.where) for use in self.done], sources=lost, faults=self.faults)

    def _use(self, name: str, block: Any) -> ModUse | None:
        route: Route = ("mods", name)
        where = self.document.where(route)
        if not isinstance(block, dict):
            self.faults.add(where, f"the block of {name!r} is not a mapping.", "Write `parameter: value` under it.")
            return None
        if not _NAME.fullmatch(name):
            self.faults.add(
                where, f"{name!r} is no name of a mod in a job.", "Use letters, digits, '_', '-', '.', ':'."
            )
        controls = self._controls(name)
        mod = None
        with self.faults.noted(self.document.where((*route, "mod")) if "mod" in block else where):
            mod = self.mods.load(str(block.get("mod") or name))
        if mod is None:
            return None
        before = self.faults.count  # what is wrong with how it is run keeps nobody from looking at its parameters
        own = {key: Value(value, self.document.where((*route, key))) for key, value in block.items() if key != "mod"}
        params = self.layers.of([*dict.fromkeys([name, mod.name])], mod.known_params(), own, spellings=mod.spellings())
        self._borrow(mod, params)
        reads = [
            (each.mod, each.key)
            for value in params.values()
            for each in later_in(value.value)
            if each.kind == "artifacts"
        ]
        reads += self._given(name, mod, params, reads, controls["needs"], where)
        later = [key for key, value in params.items() if next(later_in(value.value), None) is not None]
        values = {key: value.value for key, value in params.items() if key not in later}
        mod.shown(values)  # from here on its secrets are masked, in what is told of faults as well
        if self.faults.count == before:
            self._check(name, mod, params, values, later, where)
        others = {each.mod for value in params.values() for each in later_in(value.value)}
        needs = tuple(dict.fromkeys([*controls["needs"], *sorted(others)]))
        return ModUse(name, mod, params, own, where, tuple(dict.fromkeys(reads)), **{**controls, "needs": needs})

    def _check(
        self, name: str, mod: Mod, params: Mapping[str, Value], values: Mapping[str, Any], later: list[str], where: str
    ) -> None:
        for fault, why in mod.faults(values, later):
            first = fault.split(".")[0]
            origin = params[first].origin if first in params else where
            if why:
                self.faults.add(origin, f"{name!r}: {fault + ': ' if fault else ''}{_sentence(why)}")
            else:
                self.faults.unknown(origin, f"{name!r} has no parameter {fault!r}.", fault, mod.known_params())

    def _borrow(self, mod: Mod, params: dict[str, Value]) -> None:
        """Parameters that nothing says, and that another mod's defaults say for it."""
        for param, other in getattr(mod.module, "BORROWS", {}).items():
            if param not in params:
                there = self.layers.of([other], (), {})
                if param in there:
                    params[param] = there[param]

    def _given(
        self, name: str, mod: Mod, params: dict[str, Value], reads: list[Artifact], needs: Sequence[str], where: str
    ) -> list[Artifact]:
        """An `input_artifact` that nothing says: what the mod before it makes."""
        info = mod.model.model_fields.get(ARTIFACT)
        if info is None or not info.is_required() or ARTIFACT in params or reads:
            return []
        makers = [use for use in self.done if use.makes_data]
        named = [use for use in makers if use.name in needs] if needs else makers[-1:]
        if len(named) == 1:
            params[ARTIFACT] = Value(
                Later((MadeBy(named[0].name, "artifacts", OUTPUT),)), f"{named[0].name}, before it"
            )
            return [(named[0].name, OUTPUT)]
        if self.names == [name]:
            return []  # a mod by itself: its own model says that it lacks it
        said = "no mod before it makes one" if not named else f"it needs {', '.join(use.name for use in named)}"
        cure = "Write input_artifact: ${mods.NAME.artifacts.output_data}."
        self.faults.add(where, f"{name!r} has no {ARTIFACT}: {said}.", cure)
        params[ARTIFACT] = Value("", where)
        return []

    def _controls(self, name: str) -> dict[str, Any]:
        route: Route = ("steps", name)
        written = (
            mapping_at(self.document, route, self.faults)
            if mapping_at(self.document, ("steps",), self.faults).get(name)
            else {}
        )
        for key in written:
            if key not in CONTROLS:
                self.faults.unknown(self.document.where((*route, key)), f"a step has no key {key!r}.", key, CONTROLS)
        when = self._when(written, route)
        asks = [
            each
            for text in (when.references if when else ())
            for each in later_in(self._referred(text, (*route, "when")))
        ]
        return {
            "needs": self._needs(written, route),
            "when": when,
            "asks": tuple(dict.fromkeys(each.mod for each in asks)),
            "despite": tuple(dict.fromkeys(each.mod for each in asks if each.kind in ("status", "exit_code"))),
            "retries": int(number_at(self.document, (*route, "retries"), self.faults, 0, most=100, whole=True) or 0),
            "timeout": number_at(self.document, (*route, "timeout"), self.faults, None),
            "goes_on": self._goes_on(written, route),
        }

    def _referred(self, text: str, route: Route) -> Any:
        return self.layers.references.resolved(Value(text, self.document.where(route)))

    def _needs(self, written: Mapping[str, Any], route: Route) -> tuple[str, ...]:
        value = written.get("needs")
        value = [] if value is None else [value] if isinstance(value, str) else value
        where = self.document.where((*route, "needs"))
        if not are_texts(value):
            self.faults.add(where, "needs is not a list of names.", "needs: [first, second]")
            return ()
        for name in value:
            if name not in self.names:
                self.faults.unknown(where, f"needs: the job has no mod {name!r}.", name, self.names)
        return tuple(dict.fromkeys(name for name in value if name in self.names))

    def _when(self, written: Mapping[str, Any], route: Route) -> When | None:
        value = written.get("when")
        if value is None:
            return None
        with self.faults.noted(self.document.where((*route, "when"))):
            return When.of(value if isinstance(value, str) else str(value).lower())
        return None

    def _goes_on(self, written: Mapping[str, Any], route: Route) -> bool:
        value = written.get("on_error", "stop")
        if value not in ("stop", "continue"):
            self.faults.add(
                self.document.where((*route, "on_error")), f"on_error is {value!r}.", "Write stop or continue."
            )
        return bool(value == "continue")


def number_at(
    document: Document,
    route: Route,
    faults: Faults,
    default: Any,
    *,
    least: float = 0,
    most: float = LONGEST,
    whole: bool = False,
) -> Any:
    """The number at a route; a fault for anything else."""
    value: Any = document.value
    for key in route:
        value = value.get(key) if isinstance(value, dict) else None
    if value is None:
        return default
    kinds = (int,) if whole else (int, float)
    if isinstance(value, kinds) and not isinstance(value, bool) and least <= value <= most and (whole or value > 0):
        return value
    words = f"a whole number from {least:g} to {most:g}" if whole and most < LONGEST else "a number above 0"
    faults.add(document.where(route), f"{route[-1]} is {value!r}.", f"Write {words}.")
    return default


def _sentence(text: str) -> str:
    return text[:1].lower() + text[1:] + ("" if text.endswith(".") else ".")
