"""One file as it stands: the steps that it shows, without running it."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_STEPS = ("BasePlugin", "InitialDataReader")
_known: dict[str, tuple[tuple[int, int], ast.Module]] = {}  # path: stamp, tree


@dataclass(frozen=True, slots=True)
class Found:
    """A step as its file shows it.

    Attributes
    ----------
    form : {"function", "class"}
    where : str
        `file:line`.
    module, object : str
        What to import.
    """

    name: str
    form: str
    where: str
    module: str
    object: str
    path: Path | None = None
    version: str = "1"
    tags: tuple[str, ...] = ()
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file, or a step in it, that cannot be read as it stands."""

    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read."""

    tree: ast.Module
    path: Path
    module: str
    shown: str


def parsed(path: Path) -> ast.Module | Unreadable:
    """The file's statements; else the line and why."""
    try:
        status = os.stat(path)
        stamp = (status.st_mtime_ns, status.st_size)
        known = _known.get(str(path))
        if known is None or known[0] != stamp:
            known = _known[str(path)] = (stamp, ast.parse(path.read_bytes(), filename=str(path)))
        return known[1]
    except SyntaxError as error:
        return Unreadable(str(error.lineno or 1), error.msg)
    except (OSError, ValueError, RecursionError) as error:
        return Unreadable("1", str(error))


def summary_of(text: str | None) -> str:
    """The first line of a docstring."""
    return (text or "").strip().split("\n")[0]


def classes_of(trees: Iterable[ast.Module]) -> set[str]:
    """The names of the classes that are steps, through whatever classes of the workspace they derive from it."""
    bases: dict[str, set[str]] = {}
    for tree in trees:
        for node in _statements(tree.body):
            if isinstance(node, ast.ClassDef):
                bases.setdefault(node.name, set()).update(_last(base) for base in node.bases)
    steps = set(_STEPS)
    while more := {name for name, of in bases.items() if name not in steps and of & steps}:
        steps |= more
    return steps - set(_STEPS)


def found_in(source: Source, classes: set[str], unreadable: list[Unreadable]) -> Iterator[Found]:
    """The steps of a file; what looks like one and cannot be read goes to `unreadable`."""
    body = list(_statements(source.tree.body))
    decorators = {"plugin"} | {
        name.asname or name.name
        for node in body
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "framework"
        for name in node.names
        if name.name == "plugin"
    }
    constants = dict(_constants(body))
    for node in body:
        where = f"{source.shown}:{getattr(node, 'lineno', 1)}"
        if isinstance(node, ast.ClassDef) and node.name in classes:
            version, summary = _class_version(node), summary_of(ast.get_docstring(node))
            yield Found(node.name, "class", where, source.module, node.name, source.path, version, (), summary)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for decorator in node.decorator_list:
                call = decorator if isinstance(decorator, ast.Call) else None
                if _last(call.func if call else decorator) not in decorators:
                    continue
                told = _told(call, constants) if call else {}
                if told.get("name", "") is None:
                    why = "the name of a step is read without running the file: write it as it is, in quotes"
                    unreadable.append(Unreadable(where, why))
                    continue
                name, summary = str(told.get("name") or node.name), summary_of(ast.get_docstring(node))
                version, tags = str(told.get("version") or "1"), tuple(told.get("tags") or ())
                yield Found(name, "function", where, source.module, node.name, source.path, version, tags, summary)


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """What a file does at its top, also under a condition there."""
    for node in body:
        yield node
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            handlers = [inner for each in getattr(node, "handlers", []) for inner in each.body]
            rest = [*getattr(node, "orelse", []), *getattr(node, "finalbody", [])]
            yield from _statements([*node.body, *handlers, *rest])


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):  # a generic base
        return _last(node.value)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _constants(body: Iterable[ast.stmt]) -> Iterator[tuple[str, Any]]:
    for node in body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and isinstance(getattr(node, "value", None), ast.Constant):
                yield target.id, node.value.value  # type: ignore[attr-defined]


def _told(call: ast.Call, constants: dict[str, Any]) -> dict[str, Any]:
    """What the decorator says, as far as it can be read without running it; None for the rest."""
    said: dict[str, ast.expr] = {"name": call.args[0]} if call.args else {}
    said |= {word.arg: word.value for word in call.keywords if word.arg in ("name", "version", "tags")}
    return {name: _literal(value, constants) for name, value in said.items() if not _is_none(value)}


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _literal(node: ast.expr, constants: dict[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _class_version(node: ast.ClassDef) -> str:
    return str(dict(_constants(node.body)).get("version", "1"))
