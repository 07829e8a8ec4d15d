"""The steps of a case: each entry of its list, with the step it names and what that is set to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from framework.attempt import attempt
from framework.engine.entries import Entry
from framework.engine.faults import Faults
from framework.engine.parameters import Layers, Value
from framework.steps.base_plugin import ClassPlugin
from framework.steps.discovery import Catalog, Found
from framework.steps.markers import DataSink, DataSource
from framework.steps.plugin import Plugin
from framework.yaml import Document, Route

STEP_KEYS = ("plugin", "name", "enabled", "config", "inputs", "outputs", "retries", "timeout")
LONGEST = 1e9  # seconds of a timeout


@dataclass(frozen=True, slots=True)
class Use:
    """A step as a case uses it.

    Attributes
    ----------
    name : str
        Of this use: the step's own, with a number where it is used again.
    found : Found
    what : Plugin or ClassPlugin
        The step itself, loaded.
    params : mapping
        Its parameters, each with where it was said.
    defaults : mapping
        Those that nothing says.
    """

    name: str
    found: Found
    what: Plugin | ClassPlugin
    params: Mapping[str, Value]
    defaults: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    retries: int
    timeout: float | None
    where: str

    @property
    def sources(self) -> Mapping[str, DataSource]:
        return self.what.sources

    @property
    def reads_outputs(self) -> bool:
        """Whether what the case calls its outputs is what it reads."""
        return self.what.reads_outputs

    @property
    def sinks(self) -> Mapping[str, DataSink]:
        return self.what.sinks


@dataclass(slots=True)
class Uses:
    """Reads the steps of a case.

    Parameters
    ----------
    section : {"pipeline", "generate_data"}
    entries : mapping
        The data of the case, by name.
    """

    catalog: Catalog
    document: Document
    section: str
    layers: Layers
    entries: Mapping[str, Entry]
    faults: Faults
    names: dict[str, int] = field(default_factory=dict)  # and how often each was used

    def read(self) -> Iterator[Use]:
        """The steps that are switched on and can be loaded, in the file's order."""
        steps = self.document.value.get(self.section)
        if not isinstance(steps, list) or not steps:
            where = self.document.where((self.section,))
            self.faults.add(where, f"{self.section} is not a list of steps.", "Write `- plugin: NAME` lines under it.")
            return
        for place, said in enumerate(steps):
            use = self._use({"plugin": said} if isinstance(said, str) else said, (self.section, place))
            if use is not None:
                yield use

    def _use(self, said: Any, route: Route) -> Use | None:
        where = self.document.where(route)
        if not isinstance(said, dict) or not isinstance(said.get("plugin"), str) or not said["plugin"].strip():
            self.faults.add(where, "a step says no plugin.", "Write `- plugin: NAME`.")
            return None
        controls = {key: value for key, value in said.items() if key != "config"}
        said = {**said, **self.layers.references.resolved(Value(controls, where))}
        for key in said:
            if key not in STEP_KEYS:
                self.faults.unknown(self._where(route, key), f"a step has no key {key!r}.", key, STEP_KEYS)
        title = of_type(said, "name", str, "text", self.document, self.faults, route) or said["plugin"]
        name = self._free(title)
        enabled = of_type(said, "enabled", bool, "true or false", self.document, self.faults, route)
        if enabled is False:
            return None
        loaded = self._loaded(said["plugin"], route)
        inputs, outputs = self._listed(said, "inputs", route), self._listed(said, "outputs", route)
        retries, timeout = self._retries(said, route), self._timeout(said, route)
        if loaded is None:
            return None
        found, what = loaded
        params = self._params(said, route, (name, found.name), what)
        return Use(name, found, what, params, _defaults(what, params), inputs, outputs, retries, timeout, where)

    def _where(self, route: Route, *keys: str) -> str:
        return self.document.where((*route, *keys))

    def _free(self, title: str) -> str:
        """A name that no step before has: the step's own, with a number where it is used again."""
        number = self.names.get(title, 0) + 1
        name = title if number == 1 else f"{title} #{number}"
        while name in self.names:
            number += 1
            name = f"{title} #{number}"
        self.names[title] = number
        self.names.setdefault(name, 1)
        return name

    def _loaded(self, name: str, route: Route) -> tuple[Found, Plugin | ClassPlugin] | None:
        with self.faults.noted(self._where(route, "plugin")):
            found = self.catalog.find(name)
            what = self.catalog.load(found)
            return found, what
        return None

    def _params(
        self, said: Mapping[str, Any], route: Route, names: tuple[str, str], what: Plugin | ClassPlugin
    ) -> Mapping[str, Value]:
        block = said.get("config") or {}
        if not isinstance(block, dict):
            self.faults.add(self._where(route, "config"), "config is not a mapping.", "Write `name: value` under it.")
            block = {}
        own = {key: Value(value, self._where(route, "config", key)) for key, value in block.items()}
        known = [name for name in what.known_params() if what.model is not None or name not in self.entries]
        before = self.faults.places()
        params = self.layers.of(list(dict.fromkeys(names)), known, own, spellings=what.spellings())
        unresolved = self.faults.places() - before
        values = {key: each.value for key, each in params.items()}
        what.shown(values)  # from here on its secrets are masked, in what is told of faults as well
        for name, why in what.faults(values):
            first = name.split(".")[0]
            origin = params[first].origin if first in params else self._where(route)
            if origin in unresolved:
                continue  # what a reference should have been is told already
            if why:
                self.faults.add(origin, f"{names[0]!r}: {name + ': ' if name else ''}{_sentence(why)}")
            else:
                self.faults.unknown(origin, f"{names[0]!r} has no parameter {name!r}.", name, known)
        return params

    def _listed(self, said: Mapping[str, Any], key: str, route: Route) -> tuple[str, ...]:
        value = said.get(key)
        value = [] if value is None else [value] if isinstance(value, str) else value
        if are_texts(value):
            return tuple(dict.fromkeys(value))
        self.faults.add(self._where(route, key), f"{key} is not a list of names.", f"{key}: [first, second]")
        return ()

    def _retries(self, said: Mapping[str, Any], route: Route) -> int:
        value = said.get("retries")
        value = 0 if value is None else value
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100:
            return value
        self.faults.add(self._where(route, "retries"), f"retries is {value!r}.", "Write a whole number from 0 to 100.")
        return 0

    def _timeout(self, said: Mapping[str, Any], route: Route) -> float | None:
        value = said.get("timeout")
        if value is None:
            return None
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < LONGEST:
            return float(value)
        self.faults.add(self._where(route, "timeout"), f"timeout is {value!r}.", "Write seconds, more than 0.")
        return None


def of_type(
    said: Mapping[str, Any], key: str, kind: Any, words: str, document: Document, faults: Faults, route: Route = ()
) -> Any:
    """The value of a key; None, with a fault, if it is of another type."""
    value = said.get(key)
    if value is None or isinstance(value, kind):
        return value
    faults.add(document.where((*route, key)), f"{key} is {value!r}.", f"Write {words}.")
    return None


def are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name.strip() for name in value)


def _defaults(what: Plugin | ClassPlugin, params: Mapping[str, Value]) -> dict[str, Any]:
    """Parameters that nothing says, as their model has them."""
    if what.model is None:
        return {}
    fields = {name: what.model.model_fields[name] for name in what.known_params() if name not in params}
    told = {name: attempt(name, partial(info.get_default, call_default_factory=True)) for name, info in fields.items()}
    return {name: told[name].value for name, info in fields.items() if not info.is_required() and told[name]}


def _sentence(text: str) -> str:
    return text[:1].lower() + text[1:] + ("" if text.endswith(".") else ".")
