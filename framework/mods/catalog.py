"""Which mods there are, found by reading files; only the one that is used is imported."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from framework.attempt import attempt
from framework.errors import ConfigurationException, PluginException, UnknownNameError, known_names
from framework.mods.mod import Mod
from framework.steps.importing import imported
from framework.steps.source import Unreadable, parsed

SHIPPED = "implementations.mods"
FOLDER = "mods"
GROUP = "millpond.mods"
KINDS = ("sources", "transformers", "preparation", "sinks", "solos")
_SAID = re.compile(
    r"^METADATA\b[^\n]*(?:\n(?:[^\S\n]|\))[^\n]*)*", re.MULTILINE
)  # the statement alone, as it is mostly laid out


@dataclass(frozen=True, slots=True)
class FoundMod:
    """A mod as its file shows it.

    Attributes
    ----------
    kind : str
        The folder that it lies in: sources, transformers, preparation, sinks, solos, or another.
    """

    name: str
    module: str
    path: Path | None
    where: str
    kind: str = ""
    version: str = ""
    summary: str = ""
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class Mods:
    """The mods of a workspace: Millpond's, those in its `mods/`, and those of installed distributions.

    Parameters
    ----------
    root : Path
        The workspace.
    """

    root: Path
    unreadable: list[Unreadable] = field(default_factory=list)
    _found: list[FoundMod] | None = None
    _loaded: dict[str, Mod] = field(default_factory=dict)

    @property
    def found(self) -> list[FoundMod]:
        """All of them, by kind and name."""
        if self._found is None:
            every = [*_shipped(self.unreadable), *self._own(), *_installed(self.unreadable)]
            rank = {kind: place for place, kind in enumerate(KINDS)}
            self._found = sorted(every, key=lambda each: (rank.get(each.kind, len(rank)), each.name, each.module))
        return self._found

    def _own(self) -> Iterator[FoundMod]:
        yield from _below(self.root / FOLDER, FOLDER, self.unreadable, self.root)

    def names(self) -> list[str]:
        """Their names, sorted."""
        return sorted({each.name for each in self.found})

    def find(self, name: str) -> FoundMod:
        """The mod of that METADATA.name, of `kind:name`, or of that dotted module.

        Raises
        ------
        UnknownNameError
        ConfigurationException
            There are two.
        """
        kind, _, plain = name.rpartition(":")
        matches = [each for each in self.found if each.name == plain and kind in ("", each.kind)]
        if not matches:
            matches = [each for each in self.found if each.module == name]
        if len(matches) > 1:
            dotted = " or ".join(each.module for each in matches)
            raise ConfigurationException(
                f"Two mods are called {name!r}: {' and '.join(each.where for each in matches)}.",
                cure=f"Name it as {dotted}.",
                resource=name,
            )
        if matches:
            return matches[0]
        if "." in name:
            return FoundMod(name.rpartition(".")[2], name, None, name)
        broken = "".join(f" {each.where} cannot be read: {each.why}." for each in self.unreadable)
        raise UnknownNameError(
            f"There is no mod {name!r}.{broken}", cure=known_names(name, self.names()), resource=name
        )

    def load(self, name: str) -> Mod:
        """The mod of that name; its module is run now.

        Raises
        ------
        UnknownNameError, ConfigurationException
        PluginException
            It cannot be imported, or lacks what makes a mod.
        """
        if name not in self._loaded:
            self._loaded[name] = self._load(self.find(name))
        return self._loaded[name]

    def _load(self, found: FoundMod) -> Mod:
        if found.path is None and not _can_be_found(self.root, found.module):
            raise UnknownNameError(
                f"There is no mod {found.module!r}, and no module of that name.",
                cure=known_names(found.module.rpartition(".")[2], self.names()),
                resource=found.module,
            )
        inside = found.path is None or found.path.is_relative_to(self.root)
        shipped = found.module.startswith(SHIPPED)
        module = imported(found.module, found.where, self.root if inside and not shipped else None)
        mod = Mod.of(module, found.where)
        if found.path is not None and mod.name != found.name:
            raise PluginException(f"{found.where}: METADATA says {found.name!r} when read, and {mod.name!r} when run.")
        return mod


def _can_be_found(root: Path, module: str) -> bool:
    """Whether a module of that name could be imported."""
    place = root.joinpath(*module.split("."))
    if place.with_suffix(".py").is_file() or (place / "__init__.py").is_file():
        return True
    if not all(part.isidentifier() for part in module.split(".")):
        return False
    found = attempt(module, lambda: importlib.util.find_spec(module))
    return found.value is not None


# --------------------------------------------------------------------------- reading files


def _shipped(unreadable: list[Unreadable]) -> Iterator[FoundMod]:
    spec = importlib.util.find_spec(SHIPPED)
    folders = (spec.submodule_search_locations if spec else None) or ()
    first: dict[str, FoundMod] = {}
    for folder in dict.fromkeys(Path(each).resolve() for each in folders):  # the path may name one twice
        for found in _below(folder, SHIPPED, unreadable, None):
            first.setdefault(found.module, found)  # as an import has it, where two installations are on the path
    yield from first.values()


def _installed(unreadable: list[Unreadable]) -> Iterator[FoundMod]:
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        found = attempt(point.value, partial(importlib.util.find_spec, point.module))
        if found.value is not None and found.value.origin:
            yield from _in_file(Path(found.value.origin), point.module, "", unreadable, point.module)
        else:
            unreadable.append(Unreadable(point.value, str(found.error or "there is no such module")))


def _below(folder: Path, package: str, unreadable: list[Unreadable], root: Path | None) -> Iterator[FoundMod]:
    for path in sorted(folder.rglob("*.py")) if folder.is_dir() else ():
        *inside, name = path.relative_to(folder).with_suffix("").parts
        if name == "__init__" or not all(part.isidentifier() for part in (*inside, name)):
            continue
        module = ".".join([package, *inside, name])
        shown = str(path.relative_to(root)) if root is not None else module
        yield from _in_file(path, module, inside[0] if inside else "", unreadable, shown)


def _in_file(path: Path, module: str, kind: str, unreadable: list[Unreadable], shown: str) -> Iterator[FoundMod]:
    text = attempt(shown, lambda: path.read_text(encoding="utf-8"))
    found = _SAID.search(text.value or "")
    if found is None:
        return
    statement = attempt(shown, lambda: ast.parse(found[0])).value  # a tenth of the time that the whole file takes
    said = None if statement is None else _metadata(statement)
    if said is None:
        tree = parsed(path)
        if isinstance(tree, Unreadable):
            unreadable.append(Unreadable(f"{shown}:{tree.where}", tree.why))
            return
        said = _metadata(tree)
    if said is None or not isinstance(said.get("name"), str):
        unreadable.append(Unreadable(shown, "METADATA is read without running the file: write its name in quotes"))
        return
    tags = tuple(map(str, said.get("tags") or ()))
    version, summary = str(said.get("version") or ""), str(said.get("description") or "")
    yield FoundMod(said["name"], module, path, shown, kind, version, summary, tags)


def _metadata(tree: ast.Module) -> Mapping[str, Any] | None:
    """What METADATA says, as far as it can be read without running it."""
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if not any(isinstance(each, ast.Name) and each.id == "METADATA" for each in targets):
            continue
        call = getattr(node, "value", None)
        if isinstance(call, ast.Call):
            said = {word.arg: word.value for word in call.keywords if word.arg}
            return {name: attempt(name, partial(ast.literal_eval, value)).value for name, value in said.items()}
    return None
