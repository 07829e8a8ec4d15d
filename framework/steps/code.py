"""Which code a step is: a hash over its file and over what it imports from the workspace."""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

SOURCES = "src"
Import = tuple[int, tuple[str, ...], bool]  # how many dots, the name, whether it stands for all that is in it
_seen: dict[str, tuple[tuple[int, int], str, tuple[Import, ...]]] = {}  # path: stamp, hash, what it imports


def code_version(path: Path | None, root: Path, *, more: str = "") -> str:
    """The hash of a file and of the files under `root` that it imports, at any depth; `more` for no file.

    A change of any function in them is a change of the code: that is more than need be, and never less. What is
    imported by a name that is made while the program runs is not seen. Where a file cannot be read, the answer is
    never the same twice, so that nothing is taken for unchanged.
    """
    if path is None:
        return more
    home = os.path.realpath(root)
    todo, done = [os.path.realpath(path)], {}
    while todo:
        file = todo.pop()
        if file in done:
            continue
        digest, imports = _read(file)
        if not digest:
            return f"unknown-{os.urandom(4).hex()}"
        done[file] = digest
        todo += _packages_of(file, home)
        for dots, parts, whole in imports:
            todo += _files_of(file, dots, parts, home, whole=whole)
    every = hashlib.sha256(more.encode())
    for name, file in sorted((_name(file, home), file) for file in done):
        every.update(f"{name}\0{done[file]}\0".encode(errors="surrogateescape"))
    return every.hexdigest()[:16]


def _name(file: str, home: str) -> str:
    return os.path.relpath(file, home) if file.startswith(home + os.sep) else os.path.basename(file)


def _read(file: str) -> tuple[str, tuple[Import, ...]]:
    """The hash of one file, and what it imports; an empty hash for one that cannot be read."""
    try:
        status = os.stat(file)
        stamp = (status.st_mtime_ns, status.st_size)
        known = _seen.get(file)
        if known is None or known[0] != stamp:
            with open(file, "rb") as source:
                text = source.read()
            known = _seen[file] = (stamp, hashlib.sha256(text).hexdigest(), tuple(_imports(text)))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return "", ()
    return known[1], known[2]


def _imports(text: bytes) -> Iterator[Import]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield 0, tuple(name.name.split(".")), False
        elif isinstance(node, ast.ImportFrom):
            base = tuple(node.module.split(".")) if node.module else ()
            for name in node.names:
                whole = name.name == "*"
                yield node.level, base if whole else (*base, name.name), whole


def _packages_of(file: str, home: str) -> Iterator[str]:
    """The `__init__.py` of the packages that a file of the workspace lies in: importing it runs them first."""
    folder = os.path.dirname(file)
    while folder.startswith(home + os.sep):
        init = os.path.join(folder, "__init__.py")
        if os.path.isfile(init):
            yield init
        folder = os.path.dirname(folder)


def _files_of(file: str, dots: int, parts: tuple[str, ...], home: str, *, whole: bool) -> Iterator[str]:
    """The files that an import runs, as far as they lie in the workspace or beside the file."""
    bases = [home, os.path.join(home, SOURCES)]
    if dots:
        bases = [os.path.abspath(os.path.join(os.path.dirname(file), *[".."] * (dots - 1)))]
    for base in bases:
        place = base
        if dots:
            yield from _there(os.path.join(place, "__init__.py"))
        for part in parts:
            place = os.path.join(place, part)
            yield from _there(f"{place}.py")
            yield from _there(os.path.join(place, "__init__.py"))
        if whole and os.path.isdir(place) and (dots or parts):
            yield from (os.path.join(place, name) for name in sorted(os.listdir(place)) if name.endswith(".py"))


def _there(file: str) -> Iterator[str]:
    if os.path.isfile(file):
        yield os.path.realpath(file)
