"""The one YAML reader: bounded, line marks kept, nothing but plain data, and no value altered by guessing.

PyYAML turns the text into events; the tree is built here, so that a limit stops the reading at the event that passes
it and an alias costs what it stands for. No object is ever constructed from a tag.

What a plain (unquoted) scalar means is the core schema of YAML 1.2, narrowed so that no value loses its spelling:

- `null`, `~` and nothing are None; `true` and `false` are bool; `12`, `1_000`, `0x1F`, `0o17` are int;
  `1.5`, `2e-3`, `.inf` are float.
- Times, dates, `12:30`, leading zeros (`007`), and `1E5` stay text.
- `yes`, `no`, `on`, `off` mean a bool to some readers and text to others: as a value they are an error that says what
  to write, as a key they are text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from framework.errors import FormatError, SettingError, StorageError

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_NODES = 10_000

Route = tuple[str | int, ...]
"""Keys and positions from the top of a document to one of its values: `("stores", "crm", "url")`."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STANDARD = "tag:yaml.org,2002:"
_NULL = re.compile(r"|~|null|Null|NULL")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*(?:_[0-9]+)*)")
_INT = re.compile(rf"{_DECIMAL.pattern}|[-+]?0(?:x[0-9a-fA-F]+|o[0-7]+|b[01]+)")
_FLOAT = re.compile(
    r"[-+]?(?:(?:0|[1-9][0-9]*)?\.[0-9]+|(?:0|[1-9][0-9]*)\.?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_BARE_EXPONENT = re.compile(r"[-+]?[0-9]+[eE][0-9]+")  # 1E5 is as likely to be an article's number
_DOUBTFUL = re.compile(r"(?i:yes|no|on|off)")
# Thousands of %TAG lines take libyaml quadratic time, and no tag that they could name is accepted anyway.
_TAG_DIRECTIVE = re.compile(r"(?:^|[\r\x85\u2028\u2029])%TAG", re.MULTILINE)
_VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_NAME = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document.

    Attributes
    ----------
    value : None, bool, int, float, str, list or dict
        Plain data; every key of every dict is text. None for an empty document.
    name : str
        The file, as messages name it.
    """

    value: Any
    name: str
    lines: Mapping[Route, int] = field(repr=False)

    def line(self, route: Route = ()) -> int:
        """The line, from 1, where the value at `route` is written; of its nearest parent if there is no such value."""
        while route and route not in self.lines:
            route = route[:-1]
        return self.lines.get(route, 1)

    def where(self, route: Route = ()) -> str:
        """`file:line` of the value at `route`."""
        return f"{self.name}:{self.line(route)}"


def read_yaml(path: str | Path) -> Document:
    """Read one document from a UTF-8 file.

    Raises
    ------
    FormatError
        The content is not YAML as described above, or passes a limit; `line` says where.
    StorageError
        There is no such file, or it cannot be read.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise StorageError(f"{path} is not a file.", resource=str(path))
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{path} cannot be read: {error.strerror}.", resource=str(path)) from error
    return parse_yaml(content, name=str(path))


def parse_yaml(text: str | bytes, *, name: str = "<text>") -> Document:
    """Read one document from text, or from bytes in UTF-8; raises FormatError.

    Parameters
    ----------
    text : str or bytes
    name : str
        What messages call the document.
    """
    text = _checked_text(text, name)
    root = _Tree(name).read(text)
    lines: dict[Route, int] = {(): root.line if root else 1}
    value = _Builder(name, lines).build(root, ()) if root else None
    return Document(value, name, lines)


def substituted(document: Document, variables: Mapping[str, str]) -> Document:
    """The document with `${NAME}` and `${env:NAME}` in its text values replaced, once; `$${` stands for a plain `${`.

    Keys are left alone, what was put in is not looked at again, and a value that held a variable stays text.

    Raises
    ------
    SettingError
        A variable that is not in `variables`, or something else between the braces; says the file and line.
    """

    def walk(value: Any, route: Route) -> Any:
        if isinstance(value, dict):
            return {key: walk(item, (*route, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item, (*route, place)) for place, item in enumerate(value)]
        if isinstance(value, str) and "${" in value:
            return _VARIABLE.sub(lambda match: _variable(match, variables, document.where(route)), value)
        return value

    return Document(walk(document.value, ()), document.name, document.lines)


def _variable(match: re.Match[str], variables: Mapping[str, str], where: str) -> str:
    if match[0] == "$${":
        return "${"
    named = _NAME.fullmatch(match[1])
    if named is None or not match[0].endswith("}"):
        raise SettingError(
            f"{where}: what stands after `${{` is not a variable's name and `}}`.",
            cure="Write ${NAME} or ${env:NAME}; for a plain ${ write $${.",
            resource=where,
        )
    if named[1] not in variables:
        raise SettingError(
            f"{where}: the variable {named[1]} is not set.",
            cure="Set it in the environment or in .env; for a plain ${ write $${.",
            resource=where,
        )
    return variables[named[1]]


def _fail(name: str, line: int, problem: str, cure: str | None = None) -> FormatError:
    return FormatError(f"{name}:{line}: {problem}.", line=line, cure=cure, resource=name, operation="read")


def _checked_text(text: str | bytes, name: str) -> str:
    """Size, encoding and characters, before a parser sees it."""
    try:
        size = len(text.encode() if isinstance(text, str) else text)
        if size > MAX_BYTES:
            raise _fail(name, 1, f"more than {MAX_BYTES:,} bytes", "Keep data in data files and settings short.")
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise _fail(name, line, "not UTF-8", "Save the file in the encoding UTF-8.") from None
    except UnicodeEncodeError as error:
        line = error.object[: error.start].count("\n") + 1
        raise _fail(name, line, "half of a surrogate pair", "Save the text in the encoding UTF-8.") from None
    if strange := yaml.reader.Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, strange.start()) + 1
        raise _fail(name, line, f"the control character U+{ord(strange[0]):04X}", "Write it as an escape in quotes.")
    if directive := _TAG_DIRECTIVE.search(text):
        raise _fail(name, text.count("\n", 0, directive.end()) + 1, "a %TAG directive", "Remove it.")
    return text


@dataclass(slots=True)
class _Node:
    kind: Literal["scalar", "list", "mapping"]
    tag: str | None
    line: int
    text: str = ""
    plain: bool = False
    children: list[_Node] = field(default_factory=list)
    size: int = 0  # nodes in it once aliases are expanded; 0 while it is still open
    height: int = 1


class _Tree:
    """Events to a tree in which an alias is the node it names, stopping at the first limit that is passed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.anchors: dict[str, _Node] = {}
        self.open: list[tuple[_Node, int]] = []  # with the count of nodes before it
        self.root: _Node | None = None
        self.count = 0
        self.documents = 0

    def read(self, text: str) -> _Node | None:
        for event in self._events(text):
            line = event.start_mark.line + 1
            if isinstance(event, yaml.DocumentStartEvent):
                self._document(line)
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event, line)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._start(event, line)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._end()
            elif isinstance(event, yaml.AliasEvent):
                self._alias(str(event.anchor), line)
        return self.root

    def _events(self, text: str) -> Iterator[Any]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            problem = " ".join(part for part in (error.context, error.problem) if part)
            raise _fail(self.name, mark.line + 1 if mark else 1, problem) from None
        except yaml.YAMLError as error:
            raise _fail(self.name, 1, f"not YAML ({type(error).__name__})") from None

    def _document(self, line: int) -> None:
        self.documents += 1
        if self.documents > 1:
            raise _fail(self.name, line, "a second document", "Keep one document in a file; remove the `---`.")

    def _scalar(self, event: Any, line: int) -> None:
        node = _Node("scalar", event.tag, line, event.value, plain=bool(event.implicit[0]), size=1)
        self._remember(event.anchor, node)
        self._count(1, 1, line)
        self._attach(node)

    def _start(self, event: Any, line: int) -> None:
        node = _Node("mapping" if isinstance(event, yaml.MappingStartEvent) else "list", event.tag, line)
        self._remember(event.anchor, node)
        self.open.append((node, self.count))
        self._count(1, 0, line)

    def _end(self) -> None:
        node, before = self.open.pop()
        node.size = self.count - before
        node.height = 1 + max((child.height for child in node.children), default=0)
        self._attach(node)

    def _alias(self, anchor: str, line: int) -> None:
        node = self.anchors.get(anchor)
        if node is None:
            raise _fail(self.name, line, f"no anchor &{anchor} comes before the alias *{anchor}")
        if not node.size:
            raise _fail(self.name, line, f"*{anchor} stands inside the value that it names")
        self._count(node.size, node.height, line)
        self._attach(node)

    def _remember(self, anchor: str | None, node: _Node) -> None:
        if anchor is not None:
            self.anchors[anchor] = node

    def _count(self, nodes: int, height: int, line: int) -> None:
        self.count += nodes
        if self.count > MAX_NODES:
            raise _fail(self.name, line, f"more than {MAX_NODES:,} values, each alias counted as what it stands for")
        if len(self.open) + height > MAX_DEPTH:
            raise _fail(self.name, line, f"nested deeper than {MAX_DEPTH} levels")

    def _attach(self, node: _Node) -> None:
        if self.open:
            self.open[-1][0].children.append(node)
        else:
            self.root = node


class _Builder:
    """The tree to plain data. Recursion is safe: the tree's depth is bounded."""

    def __init__(self, name: str, lines: dict[Route, int]) -> None:
        self.name = name
        self.lines = lines

    def build(self, node: _Node, route: Route) -> Any:
        if node.kind == "scalar":
            return self._scalar(node)
        self._check_tag(node, {"list": "seq", "mapping": "map"}[node.kind])
        if node.kind == "mapping":
            return self._mapping(node, route)
        for place, child in enumerate(node.children):
            self.lines[*route, place] = child.line
        return [self.build(child, (*route, place)) for place, child in enumerate(node.children)]

    def _mapping(self, node: _Node, route: Route) -> dict[str, Any]:
        answer = {}
        for key, (line, child) in self._entries(node).items():
            self.lines[*route, key] = line
            answer[key] = self.build(child, (*route, key))
        return answer

    def _entries(self, node: _Node) -> dict[str, tuple[int, _Node]]:
        """Key to its line and value; what `<<` merges in comes first and gives way."""
        own: dict[str, tuple[int, _Node]] = {}
        merged: dict[str, tuple[int, _Node]] = {}
        for key_node, child in zip(node.children[::2], node.children[1::2], strict=True):
            if key_node.kind == "scalar" and key_node.text == "<<" and key_node.plain:
                merged = {**self._merged(child), **merged}
                continue
            key = self._key(key_node)
            if key in own:
                first = own[key][0]
                raise _fail(self.name, key_node.line, f"{key!r} is set twice, first in line {first}", "Keep one.")
            own[key] = (key_node.line, child)
        return {**merged, **own}

    def _merged(self, node: _Node) -> dict[str, tuple[int, _Node]]:
        if node.kind == "mapping":
            return self._entries(node)
        if node.kind == "list" and all(child.kind == "mapping" for child in node.children):
            merged: dict[str, tuple[int, _Node]] = {}
            for child in node.children:
                merged = {**self._entries(child), **merged}
            return merged
        raise _fail(self.name, node.line, "`<<` takes a mapping or a list of mappings")

    def _key(self, node: _Node) -> str:
        if node.kind == "scalar":
            if node.plain and _DOUBTFUL.fullmatch(node.text):
                return node.text  # a key is text, so here there is no doubt
            value = self._scalar(node)
            if isinstance(value, str):
                return value
        raise _fail(self.name, node.line, "a key that is not text", "Put the key in quotes.")

    def _scalar(self, node: _Node) -> Any:
        if node.tag is None:
            return self._plain(node) if node.plain else node.text
        if node.tag in ("!", f"{_STANDARD}str"):
            return node.text
        self._check_tag(node, "null", "bool", "int", "float")
        return self._read(node, node.tag.removeprefix(_STANDARD))

    def _plain(self, node: _Node) -> Any:
        if _DOUBTFUL.fullmatch(node.text):
            cure = f'Write true or false; for the word itself, put it in quotes: "{node.text}".'
            raise _fail(self.name, node.line, f"{node.text} is a bool to some readers and text to others", cure)
        for kind, pattern, _ in _SCALARS:
            if pattern.fullmatch(node.text):
                return node.text if kind == "float" and _BARE_EXPONENT.fullmatch(node.text) else self._read(node, kind)
        return node.text

    def _read(self, node: _Node, kind: str) -> Any:
        try:
            for each, pattern, read in _SCALARS:
                if each == kind and pattern.fullmatch(node.text):
                    return read(node.text)
        except ValueError:
            pass  # Python reads no whole number of thousands of digits
        cure = "Correct it, or put it in quotes and leave the tag out."
        raise _fail(self.name, node.line, f"a value that cannot be read as {kind}", cure)

    def _check_tag(self, node: _Node, *allowed: str) -> None:
        if node.tag in (None, "!") or (node.tag or "").removeprefix(_STANDARD) in allowed:
            return
        shown = (node.tag or "").replace(_STANDARD, "!!")[:60]
        raise _fail(
            self.name, node.line, f"the tag {shown!r} is not accepted here", "Only plain data is read: remove it."
        )


def _int(text: str) -> int:
    return int(text) if _DECIMAL.fullmatch(text) else int(text, 0)


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: tuple[tuple[str, re.Pattern[str], Callable[[str], Any]], ...] = (
    ("null", _NULL, lambda text: None),
    ("bool", _BOOL, lambda text: text.lower() == "true"),
    ("int", _INT, _int),
    ("float", _FLOAT, _float),
)
