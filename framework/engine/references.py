"""`${...}` in the texts of a case: globals and variables of the environment, put in once, their types kept.

`${globals.rate}` or `${rate}` stands for a global, `${env:HOME}`, or `${HOME}` where there is no such global, for a
variable of the environment or of `.env`; `$${` is a plain `${`. What is put in is not looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from framework.engine.faults import Faults

LONGEST = 1 << 20  # characters of one text, once all is put in
DEEPEST = 50  # globals that stand for globals
_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}?")
_NAME = re.compile(r"(?:(globals)\.|(env):)?([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Value:
    """A value and the place that says it."""

    value: Any
    origin: str


@dataclass(slots=True)
class References:
    """What references stand for.

    Parameters
    ----------
    globals : mapping
        As they are said.
    variables : mapping
        The environment, and what `.env` adds to it.
    """

    globals: Mapping[str, Value]
    variables: Mapping[str, str]
    faults: Faults
    _done: dict[str, Any] = field(default_factory=dict)

    def resolved(self, said: Value) -> Any:
        """The value with what its references stand for; what stands for nothing is a fault of its place."""
        return self._walk(said.value, said.origin, ())

    def of_global(self, name: str) -> Any:
        """What a global is."""
        return self._of(name, ())

    def _walk(self, value: Any, where: str, way: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            return {key: self._walk(item, where, way) for key, item in value.items()}
        if isinstance(value, list):
            return [self._walk(item, where, way) for item in value]
        if not isinstance(value, str) or "${" not in value:
            return value
        whole = _REFERENCE.fullmatch(value)
        if whole is not None and whole[0] != "$${":
            return self._referred(whole, where, way)
        return self._put_in(value, where, way)

    def _put_in(self, text: str, where: str, way: tuple[str, ...]) -> str:
        parts: list[str] = []
        end = length = 0
        for match in _REFERENCE.finditer(text):
            parts += [text[end : match.start()], _text(self._referred(match, where, way))]
            end = match.end()
            length += len(parts[-2]) + len(parts[-1])
            if length > LONGEST:
                self.faults.add(where, f"with what its references stand for this is over {LONGEST:,} characters.")
                return ""
        return "".join([*parts, text[end:]])

    def _referred(self, match: re.Match[str], where: str, way: tuple[str, ...]) -> Any:
        if match[0] == "$${":
            return "${"
        named = _NAME.fullmatch(match[1] or "")
        if named is None or not match[0].endswith("}"):
            self.faults.add(
                where,
                f"{match[0][:60]!r} is no reference.",
                "Write ${globals.NAME}, ${NAME} or ${env:NAME}; for a plain ${ write $${.",
            )
            return match[0]
        kind, name = named[1] or named[2], named[3]
        if kind != "env" and name in self.globals:
            return self._single(name, where, way)
        if kind != "globals" and name in self.variables:
            return self.variables[name]
        looked = {"globals": "among the globals", "env": "in the environment or in .env"}
        places = looked.get(kind or "", "among the globals, in the environment or in .env")
        said = f"{match[0]} stands for nothing: there is no {name} {places}."
        if kind == "env":
            self.faults.add(where, said, "Set it, or write $${ for a plain ${.")
        else:
            self.faults.unknown(where, said, name, self.globals)
        return match[0]

    def _single(self, name: str, where: str, way: tuple[str, ...]) -> Any:
        if name in way or len(way) >= DEEPEST:
            shown = " -> ".join([*way[-3:], name])
            said = f"${{{name}}} stands for itself" if name in way else "globals stand for globals without end"
            self.faults.add(where, f"{said}: {shown}.", "Write the value itself into one of them.")
            return None
        value = self._of(name, way)
        if isinstance(value, (dict, list)):
            self.faults.add(where, f"${{{name}}} is a {type(value).__name__}; only a single value can be referred to.")
            return None
        return value

    def _of(self, name: str, way: tuple[str, ...]) -> Any:
        if name not in self._done:
            said = self.globals[name]
            self._done[name] = self._walk(said.value, said.origin, (*way, name))
        return self._done[name]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
