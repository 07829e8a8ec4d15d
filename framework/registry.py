"""Names to implementations, known without importing any.

The folders are the list: each file of `implementations/storage`, `scrapers`, `calculators` and the like says in a
literal `PROVIDES` at its top what it is. Another distribution adds to it by an entry point of the group `millpond`,
whose value is `module:object`, and whose module has a `PROVIDES` too. A service's own `scrapers/` folder adds to ours.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from framework.errors import ConfigurationException, MissingExtraError, UnknownNameError, known_names

FOLDERS = (
    "implementations.storage",
    "implementations.demos",
    "implementations.blueprints",
    "implementations.steps",
    "scrapers",
    "calculators",
)
GROUP = "millpond"
ORDER = ("csv", "postgres", "arctic", "temp", "parquet")  # the order in which stores are shown; others follow


@dataclass(frozen=True, slots=True)
class Entry:
    """One implementation, as its `PROVIDES` tells it."""

    kind: str
    name: str
    module: str
    object: str
    extra: str | None = None
    summary: str = ""
    roles: tuple[str, ...] = ()

    def load(self) -> Any:
        """The class; MissingExtraError with the pip line when a package that it needs is not installed."""
        try:
            return getattr(importlib.import_module(self.module), self.object)
        except ModuleNotFoundError as error:
            if self.extra is None or (error.name or "").split(".")[0] in OURS:
                raise
            raise missing_extra(f"{self.kind} {self.name!r}", self.extra, error.name) from error


OURS = ("framework", "implementations", "scrapers", "calculators")


def missing_extra(what: str, extra: str, package: str | None) -> MissingExtraError:
    """The error for a package that is not installed, with the pip line that installs it."""
    return MissingExtraError(
        f"The {what} needs the package {package or '?'}, which is not installed.",
        cure=f'Install it with: pip install "millpond[{extra}]"',
        resource=what,
    )


@cache
def entries() -> tuple[Entry, ...]:
    """All implementations, stores in their order first."""
    found: dict[tuple[str, str], Entry] = {}
    for entry in [*_in_folders(), *_in_distributions()]:
        other = found.setdefault((entry.kind, entry.name), entry)
        if (other.module, other.object) != (entry.module, entry.object):
            raise ConfigurationException(
                f"Two implementations are the {entry.kind} {entry.name!r}: {other.module} and {entry.module}.",
                cure="Rename one of them.",
            )
    rank = {name: place for place, name in enumerate(ORDER)}
    return tuple(sorted(found.values(), key=lambda e: (e.kind, rank.get(e.name, len(rank)), e.name)))


def named(kind: str, role: str | None = None) -> list[str]:
    """Names of that kind, with that role, in the order in which they are shown."""
    return [entry.name for entry in entries() if entry.kind == kind and (role is None or role in entry.roles)]


def find(kind: str, name: str, role: str | None = None) -> Entry:
    """The implementation of that name; UnknownNameError names those that exist and the nearest."""
    for entry in entries():
        if entry.kind == kind and entry.name == name and (role is None or role in entry.roles):
            return entry
    raise UnknownNameError(
        f"There is no {kind} {name!r}" + (f" that is a {role}." if role else "."),
        cure=known_names(str(name), named(kind, role)),
        resource=str(name),
    )


def _in_folders() -> Iterator[Entry]:
    for package in FOLDERS:
        spec = importlib.util.find_spec(package)
        for folder in spec.submodule_search_locations or () if spec else ():
            for path in sorted([*Path(folder).glob("*.py"), *Path(folder).glob("*/__init__.py")]):
                provided = read_provides(path)
                if provided is not None:
                    yield _entry(provided, f"{package}.{path.parent.name if path.stem == '__init__' else path.stem}")


def _in_distributions() -> Iterator[Entry]:
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        spec = importlib.util.find_spec(point.module)
        provided = read_provides(Path(spec.origin)) if spec and spec.origin else None
        if provided is None:
            raise ConfigurationException(
                f"The entry point {point.name!r} names {point.module}, which has no PROVIDES.",
                cure="Put the literal PROVIDES = {...} at the top of that module.",
            )
        yield _entry(provided, point.module)


def _entry(provided: dict[str, Any], module: str) -> Entry:
    lacking = {"kind", "name", "object"} - set(provided)
    if lacking:
        raise ConfigurationException(
            f"PROVIDES of {module} lacks {', '.join(sorted(lacking))}.", cure="It names kind, name and object."
        )
    return Entry(
        kind=provided["kind"],
        name=provided["name"],
        module=module,
        object=provided["object"],
        extra=provided.get("extra"),
        summary=provided.get("summary", ""),
        roles=tuple(provided.get("roles", ())),
    )


def read_provides(path: Path) -> dict[str, Any] | None:
    """The literal `PROVIDES` of a file, read without running it; None if it has none."""
    source = path.read_text(encoding="utf-8")
    if "PROVIDES" not in source:
        return None
    try:
        body = ast.parse(source, filename=str(path)).body
    except SyntaxError as error:
        raise ConfigurationException(f"{path.name} cannot be read: line {error.lineno}, {error.msg}.") from error
    for node in body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "PROVIDES" for t in node.targets):
            try:
                return dict(ast.literal_eval(node.value))
            except ValueError as error:
                raise ConfigurationException(f"PROVIDES of {path.name} is not a literal: {error}.") from error
    return None
