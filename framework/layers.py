"""Where settings are said: millpond.yaml, .env, the environment, an object passed, the call's options.

Each reader answers with what its place says, and each value remembers that place. What the values must be is not
known here.
"""

from __future__ import annotations

import io
import logging
import os
import re
import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from framework.errors import FormatError, SettingError, StorageError, known_names

if TYPE_CHECKING:
    from framework.yaml import Document

MARKERS = ("millpond.yaml", "project_defaults.yaml", "config/global.yaml")
"""A folder that has one of these is a workspace."""

LEVELS = 3
_TOP_KEYS = ("settings", "stores")
_log = logging.getLogger("millpond.settings")
_warned: set[Path] = set()


class Layer(IntEnum):
    """Which place wins: the highest."""

    DEFAULT = 0
    FILE = 1
    DOTENV = 2
    ENVIRONMENT = 3
    PASSED = 4
    OPTION = 5


@dataclass(frozen=True, slots=True)
class Said:
    """A value and the place that says it."""

    value: Any = field(repr=False)
    origin: str
    layer: Layer


@dataclass(frozen=True, slots=True)
class Names:
    """The settings there are, and which of them are secrets."""

    known: Collection[str]
    secret: Collection[str]

    def said(self, name: str, value: Any, origin: str, layer: Layer) -> Said:
        hidden = SecretStr(value) if name in self.secret and isinstance(value, str) else value
        return Said(hidden, origin, layer)


@dataclass(frozen=True, slots=True)
class Stores:
    """The configured instances and where each of their values is said."""

    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    origins: Mapping[tuple[str | int, ...], str] = field(default_factory=dict, repr=False)

    def over(self, lower: Stores) -> Stores:
        """Both; an instance that is in both is this one's alone."""
        kept = {route: origin for route, origin in lower.origins.items() if route[0] not in self.values}
        return Stores({**lower.values, **self.values}, {**kept, **self.origins})


def find_workspace(script: Path | None = None) -> tuple[Path, str]:
    """The workspace's folder, and in words how it was found.

    Looks for a marker in the current folder and the two above it, then the same from the folder of `script`;
    without one, the current folder it is.
    """
    here = Path.cwd()
    starts = [here] if script is None else [here, Path(script).resolve().parent]
    for start in starts:
        for folder in [start, *start.parents][:LEVELS]:
            for marker in MARKERS:
                if os.path.isfile(folder / marker):  # False, too, where one may not look
                    return folder, f"has {marker}"
    return here, "current folder"


def named_workspace(folder: str | os.PathLike[str]) -> Path:
    """The folder that was named as the workspace, absolute; SettingError if there is none."""
    path = Path(folder).expanduser().absolute()
    if not path.is_dir():
        raise SettingError(f"The workspace {path} is not a folder.", cure="Make it, or name another.")
    return path


def from_environment(names: Names) -> dict[str, Said]:
    """What environment variables of the settings' names say."""
    present = [name for name in names.known if name in os.environ]
    return {name: names.said(name, os.environ[name], "environment", Layer.ENVIRONMENT) for name in present}


def from_dotenv(path: Path, names: Names) -> tuple[dict[str, Said], dict[str, str]]:
    """What `.env` says of the settings, and all its variables; the process's environment stays as it is."""
    if not os.path.isfile(path):
        return {}, {}
    from dotenv.parser import parse_stream

    variables: dict[str, str] = {}
    said: dict[str, Said] = {}
    for binding in parse_stream(io.StringIO(_text_of(path))):
        written = binding.original
        line = written.line + written.string[: len(written.string) - len(written.string.lstrip())].count("\n")
        if binding.error:
            raise SettingError(f"{path}:{line} is not NAME=value.", cure="Correct it.", resource=str(path))
        if binding.key is None or binding.value is None:
            continue
        variables[binding.key] = binding.value
        if binding.key in names.known:
            said[binding.key] = names.said(binding.key, binding.value, f"{path}:{line}", Layer.DOTENV)
    return said, variables


def _text_of(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SettingError(f"{path} is not UTF-8.", cure="Save it in the encoding UTF-8.") from None
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror}.", resource=str(path)) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and path not in _warned:
        _warned.add(path)
        _log.warning("%s can be read by other users of this machine; chmod 600 keeps its secrets", path)
    return text


def from_file(path: Path, names: Names, variables: Mapping[str, str]) -> tuple[dict[str, Said], Stores]:
    """What millpond.yaml says under `settings:` and `stores:`, with `${NAME}` replaced."""
    if not os.path.isfile(path):
        return {}, Stores()
    from framework.yaml import read_yaml, substituted

    try:
        document = read_yaml(path)
    except (FormatError, StorageError) as error:
        raise SettingError(error.message, cure=error.cure, resource=str(path)) from error
    _check_keys(_section(document, ()), document, (), _TOP_KEYS, elsewhere=names.known)
    _check_keys(_section(document, ("settings",)), document, ("settings",), names.known)
    for name in _section(document, ("stores",)):
        _section(document, ("stores", name))
    document = substituted(document, variables)
    said = {
        name: names.said(name, value, document.where(("settings", name)), Layer.FILE)
        for name, value in _section(document, ("settings",)).items()
    }
    routes = [route[1:] for route in document.lines if len(route) > 1 and route[0] == "stores"]
    origins = {route: document.where(("stores", *route)) for route in routes}
    return said, Stores(_section(document, ("stores",)), origins)


def _section(document: Document, route: tuple[str, ...]) -> dict[str, Any]:
    """The mapping at `route`; empty if nothing is there."""
    value = document.value
    for key in route:
        value = value.get(key) if value else None
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    what = ".".join(route) or "the file"
    raise SettingError(
        f"{document.where(route)}: {what} is not a mapping.", cure="Write lines of `name: value` under it."
    )


def _check_keys(
    keys: Iterable[str],
    document: Document,
    route: tuple[str, ...],
    known: Iterable[str],
    *,
    elsewhere: Collection[str] = (),
) -> None:
    for key in keys:
        if key in known:
            continue
        cure = f"It belongs under `settings:`, as in `settings: {{{key}: ...}}`." if key in elsewhere else None
        raise SettingError(
            f"{document.where((*route, key))}: there is no {'setting' if route else 'key'} {key!r}.",
            cure=cure or known_names(key, known, most=20),
            resource=key,
        )


def from_object(config: object, names: Names) -> tuple[dict[str, Said], Stores]:
    """What a mapping says under the settings' names, or any other object in attributes of those names."""
    if isinstance(config, (str, bytes, int, float, list, tuple, set)):
        raise SettingError(
            f"A {type(config).__name__} was passed as the configuration.",
            cure="Pass a Settings, a mapping, or an object with attributes such as FS_DATA.",
        )
    if isinstance(config, Mapping):
        origin = "passed mapping"
        found = {name: config[name] for name in names.known if name in config}
        stores = stores_in(config.get("stores"), origin)
    else:
        owner = config if isinstance(config, (type, ModuleType)) else type(config)
        origin = f"passed object ({owner.__name__})"
        missing = object()
        pairs = {name: getattr(config, name, missing) for name in names.known}
        found = {name: value for name, value in pairs.items() if value is not missing}
        stores = Stores()
    return {name: names.said(name, value, origin, Layer.PASSED) for name, value in found.items()}, stores


def from_options(options: Mapping[str, Any], names: Names) -> dict[str, Said]:
    """What the call itself says; a name that is no setting is an error."""
    for name in options:
        if name not in names.known:
            raise SettingError(f"There is no setting {name!r}.", cure=known_names(name, names.known, most=20))
    return {name: names.said(name, value, "option", Layer.OPTION) for name, value in options.items()}


def stores_in(value: Any, origin: str) -> Stores:
    """Configured instances that were passed, not read."""
    if value is None:
        return Stores()
    if not isinstance(value, Mapping):
        raise SettingError(f"stores ({origin}) is not a mapping.", cure="Give names with a mapping each.")
    for name, instance in value.items():
        if not (isinstance(name, str) and isinstance(instance, Mapping)):
            raise SettingError(f"stores ({origin}): {name!r} is not a name with a mapping.")
    return Stores({name: dict(instance) for name, instance in value.items()}, {(name,): origin for name in value})


_SECRET_KEY = re.compile(r"pass|pwd|secret|token|api_?key|credential|(^|_)key$", re.IGNORECASE)


def secrets_in(stores: Stores) -> list[str]:
    """Text in the instances that must not be shown: what stands under telling keys, and addresses with a password."""
    found: list[str] = []

    def walk(key: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, item in value.items():
                walk(str(name), item)
        elif isinstance(value, (list, tuple)):
            for item in value:
                walk(key, item)
        elif isinstance(value, str) and (_SECRET_KEY.search(key) or re.search(r"://[^/\s]*:[^/\s]*@", value)):
            found.append(value)

    walk("", stores.values)
    return found
