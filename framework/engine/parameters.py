"""What a step is set to: the layers, lowest first, and where each value was said.

step default < config/global.yaml < project_defaults.yaml < the case's globals < the step's own block < the environment
(`MILLPOND__<STEP>__<PARAM>`) < `--set STEP.PARAM=VALUE`.

In one file `globals:` fill any declared parameter of that name, and what stands under `plugins:` for the step wins
over them. What is said for one use of a step wins over what the same layer says for the step as such.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from framework.engine.faults import Faults
from framework.engine.references import Made, References, Value
from framework.errors import FormatError
from framework.yaml import Document, Route, parse_yaml

__all__ = ["PREFIX", "Layers", "Setting", "Value", "in_capitals", "mapping_at", "parse_value", "read_settings"]

PREFIX = "MILLPOND__"
GLOBALS = "globals."  # before the name of a global of a job that is set
_NULLS = ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True, slots=True)
class Setting:
    """`--set STEP.PARAM=VALUE`, taken apart: a step's name may hold points, and a value may lie in another."""

    target: str
    value: Any

    @property
    def origin(self) -> str:
        return f"--set {self.target}"

    def route(self, step: str) -> tuple[str, ...]:
        """The parameter of that step that it sets, and what lies in it; empty if it is another step's."""
        rest = self.target.removeprefix(f"{step}.")
        return tuple(part.strip() for part in rest.split(".")) if rest != self.target and rest.strip() else ()


def read_settings(texts: Iterable[str | tuple[str, Any]], faults: Faults) -> list[Setting]:
    """What `--set` says; the value is read as YAML reads a value, so that 0.3 is a number. A pair is taken as it is."""
    found = []
    for said in texts:
        target, equals, written = said.partition("=") if isinstance(said, str) else (said[0], "=", "")
        target = str(target).strip()
        if not (equals and "." in target.strip(".")):
            faults.add(f"--set {target}", "this is not STEP.PARAM=VALUE.", 'As in --set "My step.rate=0.3".')
            continue
        with faults.noted(f"--set {target}"):
            value = parse_value(written, f"--set {target}") if isinstance(said, str) else said[1]
            found.append(Setting(target, value))
    return found


def parse_value(text: str, name: str) -> Any:
    """Text from outside a file, as YAML reads a single value, or a list or mapping in brackets.

    What is none of these is the text itself: `#fff`, `a: b`, `*x`. FormatError for a bracket or quote that stays open.
    """
    plain = text.strip()
    if plain in _NULLS:
        return None
    if plain[0] in "[{\"'":
        return parse_yaml(plain, name=name).value
    try:
        value = parse_yaml(plain, name=name).value
    except FormatError:
        return text
    return value if isinstance(value, (bool, int, float)) and not re.search(r"\s", plain) else text


def in_capitals(name: str) -> str:
    """A name as it stands in the name of a variable: `Frame Renderer` is FRAME_RENDERER."""
    return re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")


@dataclass(slots=True)
class Layers:
    """All layers but the steps' own defaults.

    Parameters
    ----------
    files : sequence of Document
        config/global.yaml and project_defaults.yaml, lowest first; `plugins:` and `globals:` of them count.
    case : Document, optional
    settings : sequence of Setting
    environ, variables : mapping
        The environment, and what `.env` adds to it for `${...}`.
    table : str
        Under which key the files of the project say what steps are set to.
    root, mods : optional
        See `References`.
    """

    files: Sequence[Document]
    case: Document | None
    settings: Sequence[Setting]
    environ: Mapping[str, str]
    variables: Mapping[str, str]
    faults: Faults
    table: str = "plugins"
    root: Path | None = None
    mods: Collection[str] | None = None
    references: References = field(init=False)
    _globals: list[dict[str, Value]] = field(init=False)
    _said: list[tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        documents = [*self.files, *([self.case] if self.case else [])]
        self._globals = [
            {name: Value(value, each.where(("globals", name))) for name, value in self._at(each, ("globals",))}
            for each in documents
        ]
        if self.mods is not None and self.case:
            over = {
                each.target.removeprefix(GLOBALS): each for each in self.settings if each.target.startswith(GLOBALS)
            }
            self._globals[-1] |= {name: Value(each.value, each.origin) for name, each in over.items()}
        merged = {name: said for layer in self._globals for name, said in layer.items()}
        self.references = References(merged, self.variables, self.faults, self.root, self.mods)
        for name in merged:
            self.references.of_global(name)
        self._said = [(name, text) for name, text in self.environ.items() if name.startswith(PREFIX)]

    def at_run(self, made: Made, handed: Mapping[str, Value], faults: Faults) -> Layers:
        """The same once some mods have run.

        Parameters
        ----------
        made : mapping
            What they made.
        handed : mapping
            Globals that they handed on, which win over those of the job.
        """
        other = copy(self)
        other.faults = faults
        other._globals = [*self._globals[:-1], {**(self._globals[-1] if self._globals else {}), **handed}]
        merged = {name: said for layer in other._globals for name, said in layer.items()}
        other.references = References(merged, self.variables, faults, self.root, self.mods, made)
        return other

    def _at(self, document: Document, route: Route) -> Iterator[tuple[str, Any]]:
        yield from mapping_at(document, route, self.faults).items()

    def of(
        self,
        names: Sequence[str],
        known: Collection[str],
        own: Mapping[str, Value],
        *,
        spellings: Mapping[str, str] = {},
    ) -> dict[str, Value]:
        """The parameters of one step.

        Parameters
        ----------
        names : sequence of str
            What it is called: the name of this use, then that of the step as such.
        known : collection of str
            Its parameters, as far as it says so: globals fill those, and variables are looked up for them.
        own : mapping
            Its own block in the case.
        spellings : mapping
            Other names of its parameters.
        """
        general_first = [*reversed(names)]
        found: dict[str, Value] = {}

        def over(layer: Iterable[tuple[str, Value]]) -> None:
            for name, said in layer:
                found[spellings.get(name, name)] = Value(self.references.resolved(said), said.origin)

        for document, shared in zip(self.files, self._globals, strict=False):
            over(self._filled(shared, known, spellings))
            for step in general_first:
                route = (self.table, step)
                over((key, Value(value, document.where((*route, key)))) for key, value in self._at(document, route))
        if self.case:
            over(self._filled(self._globals[-1], known, spellings))
        over(own.items())
        over(self._from_environment(general_first, {*known, *found}))
        for step in general_first:
            for setting in self.settings:
                self._set(setting, setting.route(step), found, spellings)
        return found

    @staticmethod
    def _filled(
        shared: Mapping[str, Value], known: Collection[str], spellings: Mapping[str, str]
    ) -> Iterator[tuple[str, Value]]:
        return ((name, said) for name, said in shared.items() if spellings.get(name, name) in known)

    def _from_environment(self, names: Iterable[str], known: Iterable[str]) -> Iterator[tuple[str, Value]]:
        if not self._said:
            return
        spelled = {in_capitals(name): name for name in known}
        for step in names:
            prefix = f"{PREFIX}{in_capitals(step)}__"
            for variable, text in self._said:
                if variable.startswith(prefix):
                    name = spelled.get(variable[len(prefix) :], variable[len(prefix) :].lower())
                    with self.faults.noted(f"environment {variable}"):
                        yield name, Value(parse_value(text, variable), f"environment {variable}")

    def _set(
        self, setting: Setting, route: tuple[str, ...], found: dict[str, Value], spellings: Mapping[str, str]
    ) -> None:
        """Put a value of the command line in its place, which may lie in a value that a lower layer says."""
        if not route:
            return
        name = spellings.get(route[0], route[0])
        value = self.references.resolved(Value(setting.value, setting.origin))
        base = found[name].value if name in found else None
        found[name] = Value(_within(base, route[1:], value), setting.origin)


def _within(base: Any, route: tuple[str, ...], value: Any) -> Any:
    """The value with another put in its place in it."""
    if not route:
        return value
    known = base if isinstance(base, dict) else {}
    return {**known, route[0]: _within(known.get(route[0]), route[1:], value)}


def mapping_at(document: Document, route: Route, faults: Faults) -> dict[str, Any]:
    """The mapping at `route`; empty if nothing is there, and with a fault if it is something else."""
    value: Any = document.value
    for depth, key in enumerate(route):
        if value is None:
            return {}
        if not isinstance(value, dict):
            return _no_mapping(document, route[:depth], faults)
        value = value.get(key)
    if value is None:
        return {}
    return value if isinstance(value, dict) else _no_mapping(document, route, faults)


def _no_mapping(document: Document, route: Route, faults: Faults) -> dict[str, Any]:
    said = ".".join(map(str, route)) or "the file"
    faults.add(document.where(route), f"{said} is not a mapping.", "Write `name: value` under it.")
    return {}
