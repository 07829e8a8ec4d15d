"""Importing a workspace's own modules: those of this workspace, and as their files stand now."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from framework.attempt import attempt
from framework.errors import BaseFrameworkException, PluginException

SOURCES = "src"
OURS = ("framework", "implementations", "scrapers", "calculators")  # a workspace's own add to these
_put: set[str] = set()  # folders of workspaces that we have put on the path
_stamps: dict[str, tuple[int, int]] = {}  # of each file of a workspace, when its module was imported


def imported(name: str, where: str, root: Path | None) -> Any:
    """The module of that name.

    Parameters
    ----------
    where : str
        What is told as the place at fault.
    root : Path or None
        The workspace that it is a part of; None for an installed one.

    Raises
    ------
    PluginException
        It cannot be imported; says why.
    """
    if root is not None:
        make_way(root, name)
    try:
        done = attempt(name, lambda: importlib.import_module(name))
    except SystemExit as error:
        raise PluginException(
            f"{where} ends the program when it is imported.",
            cure="Put what is run as a program under `if __name__ == '__main__':`.",
            resource=name,
        ) from error
    if root is not None:
        _remember(root)
    if done.error is not None:
        raise _refused(where, name, done.error) from done.error
    return done.value


def _refused(where: str, name: str, error: Exception) -> PluginException:
    if isinstance(error, BaseFrameworkException):
        told, cure = error.message, error.cure
    else:
        missing = (error.name or "").split(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        told = f"{type(error).__name__}: {error}"
        cure = f"Install what it needs: pip install {missing}" if missing and missing != name.split(".")[0] else None
    return PluginException(f"{where} cannot be imported: {told.rstrip('.')}.", cure=cure, resource=name)


def make_way(root: Path, name: str) -> None:
    """Let `name` be found under `root`, also where another workspace, or an older file, had that name before."""
    roots = [str(folder) for folder in (root / SOURCES, root) if folder.is_dir()]
    top = name.split(".")[0]
    if not _is_ours(root, top):
        _put_first(roots, move=False)
        return
    known = [each for each in list(sys.modules) if each.split(".")[0] == top]
    if any(_lies_elsewhere(sys.modules[each], root) for each in known) or _changed(root):
        for each in known:
            _forget(each)
        for each in [each for each, module in list(sys.modules.items()) if _file(module) in _changed(root)]:
            _forget(each)
        _put_first(roots, move=True)
        importlib.invalidate_caches()
    else:
        _put_first(roots, move=False)
    if top not in sys.modules and not _is_found_in(root, top):
        _put_first(roots, move=True)
        if not _is_found_in(root, top):  # a folder without __init__.py, behind an installed package of that name
            sys.modules[top] = _package(top, [str(folder / top) for folder in (root, root / SOURCES)])


def _package(name: str, places: list[str]) -> ModuleType:
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [place for place in places if os.path.isdir(place)]
    return importlib.util.module_from_spec(spec)


def _is_found_in(root: Path, top: str) -> bool:
    """Whether it is this workspace that the path gives for a name, not a package that is installed."""
    folders = {str(root), str(root / SOURCES)} & set(sys.path)
    spec = importlib.util.find_spec(top) if folders else None
    places = [spec.origin] if spec and spec.origin else list((spec and spec.submodule_search_locations) or ())
    home = os.path.realpath(root) + os.sep
    return any(os.path.realpath(str(place)).startswith(home) for place in places)


def _is_ours(root: Path, top: str) -> bool:
    """Whether the workspace has a module of that name that may take the place of another."""
    if top in OURS or top in sys.stdlib_module_names:
        return False
    return any((base / top).is_dir() or (base / f"{top}.py").is_file() for base in (root, root / SOURCES))


def _put_first(folders: list[str], *, move: bool) -> None:
    """Let modules be found in these folders first, and no longer in those of another workspace."""
    for other in _put.difference(folders):
        if other in sys.path:
            sys.path.remove(other)
    _put.intersection_update(folders)
    for folder in folders:
        if folder in sys.path and not move:
            continue
        while folder in sys.path:
            sys.path.remove(folder)
        sys.path.insert(0, folder)
        _put.add(folder)


def _forget(name: str) -> None:
    module = sys.modules.pop(name, None)
    cached = getattr(module, "__cached__", None)
    if cached and _file(module) in _stamps and _stamp(_file(module)) != _stamps[_file(module)]:
        with suppress(OSError):  # compiled code is told from its source by whole seconds
            os.unlink(cached)
    _stamps.pop(_file(module), None)


def _lies_elsewhere(module: Any, root: Path) -> bool:
    try:
        places = [_file(module)] if _file(module) else [str(each) for each in getattr(module, "__path__", [])]
    except KeyError:  # a part of a package that is gone
        return True
    home = os.path.realpath(root) + os.sep
    return not any(os.path.realpath(place).startswith(home) for place in places)


def _file(module: Any) -> str:
    return str(getattr(module, "__file__", None) or "")


def _remember(root: Path) -> None:
    inside = f"{root}{os.sep}"
    for module in list(sys.modules.values()):
        file = _file(module)
        if file.startswith(inside) and file not in _stamps and (stamp := _stamp(file)):
            _stamps[file] = stamp


def _changed(root: Path) -> set[str]:
    """The workspace's files that are not what they were when they were imported."""
    inside = f"{root}{os.sep}"
    return {file for file, stamp in _stamps.items() if file.startswith(inside) and _stamp(file) != stamp}


def _stamp(file: str) -> tuple[int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
