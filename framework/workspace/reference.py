"""REFERENCE.md: every step, handler, store, scraper and calculator, with what each can be set to and where it lives."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework import registry
from framework.attempt import attempt

if TYPE_CHECKING:
    from framework.formats.handlers.handler import HandlerEntry, Handlers
    from framework.steps.discovery import Catalog, Found

FILE = "REFERENCE.md"
HEAD = "# Reference\n\n<!-- made by `millpond docs`; do not edit -->\n"
KINDS = {"store": "Stores", "scraper": "Scrapers", "calculator": "Calculators"}
GIVEN = ("self", "config", "logger", "settings", "name", "vault")  # by the factory, not by the user
Setting = tuple[str, str, str, str]


def reference(catalog: Catalog, handlers: Handlers, root: Path) -> str:
    """The whole text; the same for the same workspace."""
    parts = [HEAD, _section("Steps", [_step(catalog, found, root) for found in _sorted(catalog.found)])]
    parts.append(_section("Handlers", [_handler(entry, root) for entry in handlers.entries()]))
    for kind, title in KINDS.items():
        parts.append(_section(title, [_component(e) for e in registry.entries() if e.kind == kind]))
    return "\n".join(parts)


def _sorted(found: Iterable[Found]) -> list[Found]:
    return sorted(found, key=lambda each: (each.name.casefold(), each.module, each.object))


def _section(title: str, entries: Sequence[str]) -> str:
    return "\n".join([f"## {title}\n", *(entries or ["There are none.\n"])])


# --------------------------------------------------------------------------- steps


def _step(catalog: Catalog, found: Found, root: Path) -> str:
    from framework.steps.plugin import Plugin

    tried = attempt(found.name, lambda: catalog.load(found))
    lines = [f"### {found.name}\n", f"{found.summary}\n" if found.summary else ""]
    facts = [("version", found.version), ("tags", ", ".join(found.tags)), ("form", found.form)]
    facts.append(("lives in", _lives_in(found.path, found.module, found.object, root)))
    if tried.value is None:
        facts.append(("cannot be imported", str(tried.error)))
    lines.append(_facts(facts))
    if isinstance(tried.value, Plugin):
        lines += [_data("inputs", tried.value.sources), _data("outputs", tried.value.sinks)]
    if tried.value is not None:
        lines.append(_table(_settings_of_step(tried.value)))
    return "\n".join(line for line in lines if line)


def _data(word: str, markers: Any) -> str:
    if not markers:
        return ""
    named = [
        f"`{marker.name}`" + ("" if getattr(marker, "must_exist", True) else " (optional)")
        for marker in markers.values()
    ]
    return f"- {word}: {', '.join(named)}\n"


def _settings_of_step(what: Any) -> list[Setting]:
    model = what.model
    if model is None:
        return []
    return [
        _setting_of_field(name, model.model_fields[name]) for name in what.known_params() if name in model.model_fields
    ]


def _setting_of_field(name: str, field: Any) -> Setting:
    default = "required" if field.is_required() else _code(field.get_default(call_default_factory=True))
    return name, _type(field.annotation), default, field.description or ""


# --------------------------------------------------------------------------- handlers and components


def _handler(entry: HandlerEntry, root: Path) -> str:
    from framework.formats.handlers.handler import loaded, options_of

    facts = [
        ("files", ", ".join(f"`{end}`" for end in entry.extensions)),
        ("also called", ", ".join(entry.aliases)),
        ("needs", f"`millpond[{entry.extra}]`" if entry.extra else ""),
        ("lives in", _lives_in(Path(entry.file) if entry.file else None, entry.module, entry.object, root)),
    ]
    tried = attempt(entry.name, lambda: options_of(loaded(entry)))
    settings = [_setting_of_parameter(each) for each in tried.value or ()]
    lines = [f"### {entry.name}\n", f"{entry.summary}\n" if entry.summary else "", _facts(facts), _table(settings)]
    return "\n".join(line for line in lines if line)


def _component(entry: registry.Entry) -> str:
    facts = [
        ("roles", ", ".join(entry.roles)),
        ("needs", f"`millpond[{entry.extra}]`" if entry.extra else ""),
        ("lives in", f"`{entry.module}.{entry.object}`"),
    ]
    tried = attempt(entry.name, entry.load)
    lines = [f"### {entry.name}\n", f"{entry.summary}\n", _facts(facts), _table(list(_options(tried.value)))]
    return "\n".join(line for line in lines if line)


def _options(cls: Any) -> Iterator[Setting]:
    model = getattr(cls, "Options", None)
    if model is not None:
        described = _described(model)
        for name, field in model.model_fields.items():
            name_, kind, default, told = _setting_of_field(name, field)
            yield name_, kind, default, told or described.get(name, "")
    elif cls is not None:
        for parameter in inspect.signature(cls).parameters.values():
            if parameter.name not in GIVEN and parameter.kind in (
                parameter.KEYWORD_ONLY,
                parameter.POSITIONAL_OR_KEYWORD,
            ):
                yield _setting_of_parameter(parameter)


def _described(model: Any) -> dict[str, str]:
    """What the docstrings of a model and its bases say of each attribute, in one line."""
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        text = inspect.cleandoc(cls.__dict__.get("__doc__") or "").partition("Attributes\n----------\n")[2]
        for match in re.finditer(r"^(\w+) : .*\n((?:[ ]{4}.*\n?|\n)+)", text + "\n", re.MULTILINE):
            found[match[1]] = " ".join(match[2].split())
    return found


def _setting_of_parameter(parameter: inspect.Parameter) -> Setting:
    default = "required" if parameter.default is inspect.Parameter.empty else _code(parameter.default)
    return parameter.name, _type(parameter.annotation), default, ""


# --------------------------------------------------------------------------- text


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return "".join(f"- {word}: {told}\n" for word, told in facts if told)


def _table(settings: Sequence[Setting]) -> str:
    if not settings:
        return ""
    head = ["| parameter | type | default | |", "|---|---|---|---|"]
    rows = [f"| `{name}` | {_cell(kind)} | {default} | {_cell(told)} |" for name, kind, default, told in settings]
    return "\n".join([*head, *rows, ""])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(value: Any) -> str:
    shown = repr(value)
    return "" if " at 0x" in shown or "PydanticUndefined" in shown else f"`{_cell(shown)}`"


def _type(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty or annotation is None:
        return ""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:typing|collections\.abc|pathlib|datetime|pydantic\.types|builtins)\.", "", text).replace(
        "NoneType", "None"
    )


def _lives_in(path: Path | None, module: str, name: str, root: Path) -> str:
    if path is not None and path.is_relative_to(root) and "site-packages" not in path.parts:
        return f"`{path.relative_to(root).as_posix()}`, `{name}`"
    return f"`{module}.{name}`"
