"""Which steps a workspace has, found by reading its files, of which none is run until a step of it is used."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from framework import registry
from framework.errors import ConfigurationException, PluginException, UnknownNameError, known_names
from framework.steps.base_plugin import BasePlugin, ClassPlugin, InitialDataReader
from framework.steps.importing import imported, make_way
from framework.steps.plugin import OURS, Plugin
from framework.steps.source import Found, Source, Unreadable, classes_of, found_in, parsed, summary_of

__all__ = ["Catalog", "Found", "Unreadable"]

FOLDERS = ("modules", "plugins")
SOURCES = "src"
_log = logging.getLogger("millpond.steps")
_told: set[tuple[str, str]] = set()  # what cannot be read is told once


@dataclass(slots=True)
class Catalog:
    """The steps of a workspace.

    Parameters
    ----------
    root : Path
        Where its modules begin.
    modules : sequence of str
        Names of modules, and folders, beside the workspace's own `modules/` and `plugins/`.
    """

    root: Path
    modules: Sequence[str] = ()
    files: dict[Path, str] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    _by_name: dict[str, list[Found]] = field(default_factory=dict, init=False, repr=False)
    _loaded: dict[Found, Plugin | ClassPlugin] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.found = [*_built_in(), *_provided()]
        sources = dict(self._read())
        self.files = {path: source.module for path, source in sources.items()}
        classes = classes_of(source.tree for source in sources.values())
        for source in sources.values():
            self.found += found_in(source, classes, self.unreadable)
        for each in self.found:
            for name in {each.name, f"{each.module}.{each.object}"}:
                self._by_name.setdefault(name, []).append(each)
        for broken in self.unreadable:
            if (broken.where, broken.why) not in _told:
                _told.add((broken.where, broken.why))
                _log.warning("%s: %s; its steps are not known", broken.where, broken.why)

    def _read(self) -> Iterator[tuple[Path, Source]]:
        """The files that can be read, in their order, each once."""
        for path, module in dict(_files(self.root, self.modules)).items():
            shown = str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)
            if not all(part.isidentifier() for part in module.split(".")):
                self.unreadable.append(Unreadable(f"{shown}:1", "no module can have that name; rename the file"))
                continue
            tree = parsed(path)
            if isinstance(tree, Unreadable):
                self.unreadable.append(Unreadable(f"{shown}:{tree.where}", tree.why))
            else:
                yield path, Source(tree, path, module, shown)

    def names(self) -> list[str]:
        """All steps, sorted."""
        return sorted({each.name for each in self.found})

    def find(self, name: str) -> Found:
        """The step of that name, or of that dotted path.

        Raises
        ------
        UnknownNameError
        ConfigurationException
            There are two.
        """
        matches = self._by_name.get(name, [])
        if len(matches) > 1:
            dotted = [f"{each.module}.{each.object}" for each in matches]
            cure = "Rename one of them."
            if len(set(dotted)) == len(dotted):
                cure = f"Rename one of them, or name it as {' or '.join(dotted)}."
            raise ConfigurationException(
                f"Two steps are called {name!r}: {' and '.join(each.where for each in matches)}.",
                cure=cure,
                resource=name,
            )
        if matches:
            return matches[0]
        broken = "".join(f" {each.where} cannot be read: {each.why}." for each in self.unreadable)
        raise UnknownNameError(
            f"There is no step {name!r}.{broken}", cure=known_names(name, self.names()), resource=name
        )

    def load(self, found: Found) -> Plugin | ClassPlugin:
        """The step itself; its module is run now.

        Raises
        ------
        PluginException
            Its module cannot be imported, or no step can be made of what it holds.
        """
        if found not in self._loaded:
            self._loaded[found] = self._load(found)
        return self._loaded[found]

    def _load(self, found: Found) -> Plugin | ClassPlugin:
        root = self.root if found.path is not None else None
        value: Any = imported(found.module, found.where, root)
        for part in found.object.split("."):
            value = getattr(value, part, None)
        value = getattr(value, OURS, value)
        if isinstance(value, type) and issubclass(value, BasePlugin):
            value = ClassPlugin(value)
        if not isinstance(value, (Plugin, ClassPlugin)):
            raise PluginException(f"{found.where}: {found.object} is no step once its module is imported.")
        value.check()
        return value

    def make_way(self, name: str) -> None:
        """Let a module of the workspace be found, also where another workspace had one of that name in this process."""
        make_way(self.root, name)


def _built_in() -> Iterator[Found]:
    kind = InitialDataReader
    summary = summary_of(kind.__doc__)
    yield Found(kind.__name__, "class", "framework", kind.__module__, kind.__name__, summary=summary)


def _provided() -> Iterator[Found]:
    for entry in registry.entries():
        if entry.kind == "plugin":
            yield Found(entry.name, "function", entry.module, entry.module, entry.object, summary=entry.summary)


# --------------------------------------------------------------------------- files


def _files(root: Path, modules: Iterable[str]) -> Iterator[tuple[Path, str]]:
    """The files to look at, each with the name by which it is imported."""
    for folder in FOLDERS:
        yield from _below(root / folder, folder)
    for name in modules:
        yield from _named(root, name)


def _below(folder: Path, package: str) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*.py")) if folder.is_dir() else ():
        *inside, name = path.relative_to(folder).with_suffix("").parts
        if "__pycache__" not in inside and all(part.isidentifier() for part in inside):  # .venv, node-modules
            yield path, ".".join([package, *inside, *([] if name == "__init__" else [name])])


def _named(root: Path, name: str) -> Iterator[tuple[Path, str]]:
    """The files of a folder of the workspace, or of a module that can be imported, which is not done."""
    if "/" in name:
        folder = root / name
        parts = folder.resolve().relative_to(root.resolve()).parts if _within(folder, root) else ()
        if not folder.is_dir() or not parts:
            raise ConfigurationException(
                f"plugin_modules names {name!r}, which is no folder of the workspace.",
                cure="Name a folder below it, or a module that can be imported.",
                resource=name,
            )
        yield from _below(folder, ".".join(parts[1:] if parts[0] == SOURCES and len(parts) > 1 else parts))
        return
    path = _find_module(root, name)
    if path is None:
        raise ConfigurationException(
            f"plugin_modules names {name!r}, which is neither a folder of the workspace nor a module.",
            cure=f"It is looked for in {root}, {root / SOURCES} and among the installed packages.",
            resource=name,
        )
    if path.is_dir():
        yield from _below(path, name)
    else:
        yield path, name


def _within(folder: Path, root: Path) -> bool:
    return folder.resolve().is_relative_to(root.resolve())


def _find_module(root: Path, name: str) -> Path | None:
    """The file of a module or the folder of a package."""
    if not name or not all(part.isidentifier() for part in name.split(".")):
        return None
    for base in (root, root / SOURCES):
        place = base.joinpath(*name.split("."))
        if place.with_suffix(".py").is_file():
            return place.with_suffix(".py")
        if place.is_dir():
            return place
    first, *rest = name.split(".")
    top = importlib.util.find_spec(first)
    if top is None:
        return None
    if not top.submodule_search_locations:
        return Path(top.origin) if top.origin and not rest else None
    for folder in top.submodule_search_locations:
        place = Path(folder).joinpath(*rest)
        if rest and place.with_suffix(".py").is_file():
            return place.with_suffix(".py")
        if place.is_dir():
            return place
    return None
