"""Which handlers there are, by reading their files: nothing is imported."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from framework import registry
from framework.errors import ConfigurationException

Words = tuple[str, tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class HandlerEntry:
    """One handler, as its file tells it.

    Attributes
    ----------
    module, object : str
        Where its class is.
    extra : str or None
        The extra of ours that installs what it needs.
    requires : tuple of str
        The packages that it needs.
    file : str or None
        The file that it was found in.
    """

    name: str
    aliases: tuple[str, ...]
    extensions: tuple[str, ...]
    module: str
    object: str
    summary: str = ""
    extra: str | None = None
    requires: tuple[str, ...] = ()
    file: str | None = field(default=None, compare=False)
    cls: type | None = field(default=None, compare=False, repr=False)

    @property
    def place(self) -> tuple[str, str]:
        """What tells one class from another."""
        return self.module, self.object

    @property
    def shown(self) -> str:
        """As a message names it."""
        return f"{self.name!r} in {self.file or f'{self.module}.{self.object}'}"


@cache
def built_in() -> tuple[HandlerEntry, ...]:
    """Those of this folder, and those that other distributions offer."""
    return (*_in_folder(), *_in_distributions())


def _in_folder() -> Iterator[HandlerEntry]:
    for path in sorted(Path(__file__).parent.glob("*.py")):
        provided = registry.read_provides(path)
        if provided is not None:
            yield _entry(provided, f"{__package__}.{path.stem}", path)


def _in_distributions() -> Iterator[HandlerEntry]:
    for entry in registry.entries():
        if entry.kind == "handler":
            spec = importlib.util.find_spec(entry.module)
            assert spec is not None
            assert spec.origin is not None  # the registry has just read it
            provided = registry.read_provides(Path(spec.origin))
            yield _entry(provided or {}, entry.module, Path(spec.origin))


def _entry(provided: dict[str, Any], module: str, path: Path) -> HandlerEntry:
    name, extensions, aliases = checked_words(
        provided["name"], provided.get("extensions", ()), provided.get("aliases", ()), f"PROVIDES of {module}"
    )
    return HandlerEntry(
        name,
        aliases,
        extensions,
        module,
        provided["object"],
        provided.get("summary", ""),
        provided.get("extra"),
        tuple(provided.get("requires", ())),
        str(path),
    )


def checked_words(name: object, extensions: object, aliases: object, where: str) -> Words:
    """Name, extensions and aliases as they are kept: extensions small and with their dot."""
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationException(f"{where}: a handler's name is text, not {name!r}.")
    lists = []
    for word, given in (("extensions", extensions), ("aliases", aliases)):
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise ConfigurationException(f"{where}: {word} is a list of texts.", cure=f"Write [{given!r}].")
        texts = tuple(given)
        if not all(isinstance(text, str) and text.strip(". ") for text in texts):
            raise ConfigurationException(f"{where}: {word} is a list of texts, not {list(texts)!r}.")
        lists.append(texts)
    dotted = tuple("." + end.lower().lstrip(".") for end in lists[0])
    return name, dotted, lists[1]


# --------------------------------------------------------------------------- a user's file


def entries_in(path: Path, module: str) -> list[HandlerEntry]:
    """The classes under `@handler(...)` of a source file.

    Parameters
    ----------
    module : str
        The name under which the file is imported when a handler of it is used.

    Raises
    ------
    ConfigurationException
        The file is not Python, or says of a handler what cannot be known without running it.
    """
    body = _parsed(path)
    names = {"handler"} | {
        each.asname or each.name
        for node in body
        if isinstance(node, ast.ImportFrom)
        for each in node.names
        if each.name == "handler"
    }
    found = []
    for node in body:
        for mark in node.decorator_list if isinstance(node, ast.ClassDef) else ():
            if isinstance(mark, ast.Call) and _called(mark.func) in names:
                assert isinstance(node, ast.ClassDef)
                found.append(_marked(node, mark, path, module))
    return found


def _parsed(path: Path) -> Sequence[ast.stmt]:
    try:
        source = path.read_text(encoding="utf-8")
        return ast.parse(source, filename=str(path)).body if "handler" in source else []
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise ConfigurationException(
            f"{path}{f':{line}' if line else ''} is not Python that can be read: {error}.", resource=str(path)
        ) from error


def _called(function: ast.expr) -> str | None:
    """The last part of what is called: `handler` of `millpond.handler(...)`."""
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)


def _marked(node: ast.ClassDef, mark: ast.Call, path: Path, module: str) -> HandlerEntry:
    where = f"{path}:{mark.lineno}"
    try:
        said = {each.arg: ast.literal_eval(each.value) for each in mark.keywords}
    except ValueError:
        raise ConfigurationException(
            f"{where}: @handler of {node.name} says something that is not a literal.",
            cure='Write texts and lists of texts: @handler(name="geo", extensions=[".geojson"]).',
            resource=str(path),
        ) from None
    strange = set(said) - {"name", "extensions", "aliases"}
    if mark.args or strange or "name" not in said:
        raise ConfigurationException(
            f"{where}: @handler of {node.name} takes name=, extensions= and aliases=.",
            cure='Write @handler(name="...").',
            resource=str(path),
        )
    name, extensions, aliases = checked_words(said["name"], said.get("extensions", ()), said.get("aliases", ()), where)
    summary = (ast.get_docstring(node) or "").partition("\n")[0]
    return HandlerEntry(name, aliases, extensions, module, node.name, summary, file=str(path))
