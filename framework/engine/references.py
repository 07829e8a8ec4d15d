"""`${...}` in the texts of a case or a job: globals, variables, secrets, results; put in once, their types kept.

`${globals.rate}` or `${rate}` stands for a global, `${env:HOME}`, or `${HOME}` where there is no such global, for a
variable of the environment or of `.env`; `${secret:NAME}` for a secret, which is masked wherever it would be shown. In
a job `${mods.csv_reader.artifacts.output_data}` stands for what that mod made, and so do `globals`, `metrics`, `status`
and `exit_code`. `$${` is a plain `${`. What is put in is not looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from framework.engine.faults import Faults
from framework.redact import register_secret

LONGEST = 1 << 20  # characters of one text, once all is put in
DEEPEST = 50  # globals that stand for globals
_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}?")
_NAME = re.compile(r"(?:(globals)\.|(env|secret):)?([A-Za-z_][A-Za-z0-9_]*)")
_MADE = re.compile(r"mods\.([^.{}]+)\.(?:(artifacts|globals|metrics)\.([^.{}]+)|(status|exit_code))")
SECRETS = ("/run/secrets", "secrets")  # folders where a secret may be a file of its name; the second one's own

Made = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Value:
    """A value and the place that says it."""

    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class MadeBy:
    """What `${mods.NAME.KIND.KEY}` refers to."""

    mod: str
    kind: str
    key: str = ""

    def __str__(self) -> str:
        return f"${{mods.{self.mod}.{self.kind}{'.' if self.key else ''}{self.key}}}"


@dataclass(frozen=True, slots=True)
class Later:
    """A value that is known once the mods that it refers to have run."""

    of: tuple[MadeBy, ...]


def later_in(value: Any) -> Iterator[MadeBy]:
    """What a value refers to that is not there yet."""
    if isinstance(value, Later):
        yield from value.of
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from later_in(each)


def secret_of(name: str, variables: Mapping[str, str], root: Path | None) -> str | None:
    """A secret: of the environment, else of the file that `NAME_FILE` names, else of a file of its name."""
    if name in variables:
        return variables[name]
    named = variables.get(f"{name}_FILE")
    folders = [Path(SECRETS[0]), *([root / SECRETS[1]] if root is not None else [])]
    for path in [Path(named)] if named else [folder / name for folder in folders]:
        with suppress(OSError, UnicodeDecodeError):
            return path.read_text(encoding="utf-8").rstrip("\r\n")
    return None


@dataclass(slots=True)
class References:
    """What references stand for.

    Parameters
    ----------
    globals : mapping
        As they are said.
    variables : mapping
        The environment, and what `.env` adds to it.
    root : Path, optional
        Where `secrets/` may be.
    mods : collection of str, optional
        The names of the mods of a job; elsewhere there is nothing that is made.
    made : mapping, optional
        What those that have run made; before a run what refers to them is `Later`.
    """

    globals: Mapping[str, Value]
    variables: Mapping[str, str]
    faults: Faults
    root: Path | None = None
    mods: Collection[str] | None = None
    made: Made | None = None
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

    def _put_in(self, text: str, where: str, way: tuple[str, ...]) -> Any:
        parts: list[str] = []
        later: list[MadeBy] = []
        end = length = 0
        for match in _REFERENCE.finditer(text):
            referred = self._referred(match, where, way)
            if isinstance(referred, Later):
                later += referred.of
                continue
            parts += [text[end : match.start()], _text(referred)]
            end = match.end()
            length += len(parts[-2]) + len(parts[-1])
            if length > LONGEST:
                self.faults.add(where, f"with what its references stand for this is over {LONGEST:,} characters.")
                return ""
        return Later(tuple(later)) if later else "".join([*parts, text[end:]])

    def _referred(self, match: re.Match[str], where: str, way: tuple[str, ...]) -> Any:
        if match[0] == "$${":
            return "${"
        made = _MADE.fullmatch(match[1] or "") if self.mods is not None else None
        if made is not None and match[0].endswith("}"):
            return self._made(MadeBy(made[1].strip(), made[2] or made[4], made[3] or ""), where)
        named = _NAME.fullmatch(match[1] or "")
        if named is None or not match[0].endswith("}"):
            self.faults.add(
                where,
                f"{match[0][:60]!r} is no reference.",
                f"Write {_PLAIN}{_AND_MADE if self.mods is not None else ''}; for a plain ${{ write $${{.",
            )
            return match[0]
        kind, name = named[1] or named[2], named[3]
        if kind == "secret":
            return self._secret(name, where)
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

    def _secret(self, name: str, where: str) -> str:
        value = secret_of(name, self.variables, self.root)
        if value is None:
            self.faults.add(
                where,
                f"${{secret:{name}}} stands for nothing: there is no {name} in the environment, and no file of it.",
                f"Set {name}, or {name}_FILE to a file that holds it, or put it into secrets/{name}.",
            )
            return ""
        register_secret(value)
        return value

    def _made(self, what: MadeBy, where: str) -> Any:
        assert self.mods is not None
        if what.mod not in self.mods:
            self.faults.unknown(where, f"{what} stands for nothing: the job has no {what.mod}.", what.mod, self.mods)
            return ""
        if self.made is None:
            return Later((what,))
        there = self.made.get(what.mod, {}).get(what.kind)
        if what.key and isinstance(there, Mapping) and what.key in there:
            return there[what.key]
        if what.key or there is None:
            known = list(there) if isinstance(there, Mapping) else []
            self.faults.unknown(where, f"{what} stands for nothing: {what.mod} told no such thing.", what.key, known)
            return ""
        return there

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


_PLAIN = "${globals.NAME}, ${NAME}, ${env:NAME}, ${secret:NAME}"
_AND_MADE = ", ${mods.NAME.artifacts.KEY} (or globals, metrics), ${mods.NAME.status}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
