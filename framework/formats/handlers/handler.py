"""Handlers: what reads and writes one kind of file, chosen by name or by a file's extension.

A built-in one is a file of this folder that says in a literal `PROVIDES` what it is; another distribution adds to
them by an entry point; a workspace by a class under `@handler`, found by reading its file. Listing imports none.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from framework.errors import (
    ConfigurationException,
    MissingExtraError,
    OptionError,
    UnknownNameError,
    known_names,
)
from framework.formats.handlers.content import fingerprint_of
from framework.formats.handlers.listing import HandlerEntry, built_in, checked_words, entries_in
from framework.formats.handlers.reading import load_checked
from framework.formats.handlers.writing import save_atomically
from framework.registry import missing_extra

__all__ = [
    "DataHandler",
    "HandlerEntry",
    "Handlers",
    "entries_in",
    "fingerprint_of",
    "handler",
    "load_checked",
    "loaded",
    "options_of",
    "save_atomically",
]

T = TypeVar("T")


class DataHandler:
    """Reads and writes one kind of file. A class of yours needs `load` and `save`, and need not derive from this one.

    Attributes
    ----------
    handles_directories : bool
        Whether what it reads and writes is a folder; it is then asked to load one that is not there yet.
    """

    handles_directories: ClassVar[bool] = False

    def __init__(self, **options: Any) -> None:
        for option in options:
            known = [each.name for each in options_of(type(self))]
            raise OptionError(
                f"The handler {_name(type(self))!r} has no option {option!r}.",
                cure=known_names(option, known) if known else "It has none.",
                resource=option,
            )

    def load(self, path: Path) -> Any:
        """What the file holds.

        Raises
        ------
        FormatError
            Its content is not what the format demands; `line` says where, if it has lines.
        """
        raise _lacks(type(self), "load(self, path)")

    def save(self, data: Any, path: Path) -> None:
        """Write it to that path, plainly: `save_atomically` sees to it that a reader finds the old or the new.

        Raises
        ------
        FidelityError
            The format cannot hold the data such that `load` gives it back.
        """
        raise _lacks(type(self), "save(self, data, path)")


def handler(*, name: str, extensions: Sequence[str] = (), aliases: Sequence[str] = ()) -> Callable[[type[T]], type[T]]:
    """Mark a class as the handler of that name.

    Parameters
    ----------
    name : str
        As a case's `handler:` says it.
    extensions : sequence of str, optional
        Of the files that it is chosen for where no handler is named: `[".geojson"]`.
    aliases : sequence of str, optional
        Other names.
    """
    words = checked_words(name, extensions, aliases, f"@handler(name={name!r})")

    def marked(cls: type[T]) -> type[T]:
        cls.handler_name, cls.extensions, cls.aliases = words  # type: ignore[attr-defined]
        return cls

    return marked


def options_of(cls: type) -> tuple[inspect.Parameter, ...]:
    """The options that a handler's class declares, with their types and defaults."""
    if cls.__init__ is object.__init__:  # type: ignore[misc]
        return ()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    given = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    return tuple(each for each in given if each.kind in named)


class Handlers:
    """The handlers that one run knows.

    Parameters
    ----------
    extra : iterable of type or HandlerEntry, optional
        Classes under `@handler`, or what `entries_in` found, beside the built-in ones.
    """

    def __init__(self, extra: Iterable[type | HandlerEntry] = ()) -> None:
        self._entries = list(built_in())
        for each in extra:
            self.add(each)

    def add(self, each: type | HandlerEntry) -> None:
        """One more; the same one again is nothing new."""
        entry = each if isinstance(each, HandlerEntry) else _entry_of(each)
        if entry.place not in [known.place for known in self._entries]:
            self._entries.append(entry)

    def entries(self) -> tuple[HandlerEntry, ...]:
        """All of them by name, none imported."""
        return tuple(sorted(self._entries, key=lambda entry: (entry.name, entry.place)))

    def find(self, *, name: str | None = None, path: Path | str | None = None) -> HandlerEntry:
        """The handler of that name; without one, of the longest extension that the path ends in.

        Raises
        ------
        UnknownNameError
            Names those that exist, and the nearest.
        ConfigurationException
            Two could be meant; names both.
        """
        if name is not None:
            return self._named(name)
        if path is None:
            raise OptionError("A handler is chosen by its name or by a path.")
        return self._fitting(path)

    def make(
        self, *, name: str | None = None, path: Path | str | None = None, options: Mapping[str, Any] = {}
    ) -> DataHandler:
        """The handler that `find` finds, with these options.

        Raises
        ------
        UnknownNameError, ConfigurationException
            As `find`.
        OptionError
            An option that it does not have, or with a value that it cannot use.
        MissingExtraError
            It needs a package that is not installed; says how to install it.
        """
        entry = self.find(name=name, path=path)
        cls = loaded(entry)
        if not issubclass(cls, DataHandler):
            _check_options(entry, cls, options)
            return _Own(cls(**options), entry)
        if cls.__init__ is not DataHandler.__init__:
            _check_options(entry, cls, options)
        return cls(**options)

    def _named(self, name: str) -> HandlerEntry:
        found = [entry for entry in self._entries if name == entry.name or name in entry.aliases]
        if not found:
            raise UnknownNameError(
                f"There is no handler {name!r}.",
                cure=known_names(str(name), {entry.name for entry in self._entries}),
                resource=str(name),
            )
        return _one(found, f"the name {name!r}", "Rename one of them.")

    def _fitting(self, path: Path | str) -> HandlerEntry:
        text = os.fspath(path)
        file = os.path.basename(text).lower()
        fits = [(len(end), entry) for entry in self._entries for end in entry.extensions if file.endswith(end)]
        if fits:
            longest = max(length for length, _ in fits)
            found = [entry for length, entry in fits if length == longest]
            return _one(found, f"the extension of {os.path.basename(text)}", "Say which with handler:.")
        if text.endswith(("/", os.sep)) or os.path.isdir(text):
            return self._named("dir")
        known = {end for entry in self._entries for end in entry.extensions}
        extension = os.path.splitext(file)[1]
        if extension:
            said = f"No handler is known for the extension {extension!r} of {os.path.basename(text)}."
        else:
            said = f"{os.path.basename(text)!r} has no extension that says how to read it."
        raise UnknownNameError(
            said,
            cure=f"Name one with handler:, 'dir' for a folder. {known_names(extension, known, most=99)}",
            resource=text,
        )


class _Own(DataHandler):
    """A user's object with `load` and `save`, which derives from nothing of ours."""

    def __init__(self, inner: Any, entry: HandlerEntry) -> None:
        super().__init__()
        self.inner, self.handler_name = inner, entry.name
        self.handles_directories = bool(getattr(inner, "handles_directories", False))  # type: ignore[misc]

    def load(self, path: Path) -> Any:
        return self.inner.load(path)

    def save(self, data: Any, path: Path) -> None:
        self.inner.save(data, path)


def _name(cls: type) -> str:
    return getattr(cls, "handler_name", cls.__name__)


def _lacks(cls: type, what: str) -> ConfigurationException:
    return ConfigurationException(f"The handler {_name(cls)!r} has no {what}.", cure=f"Give {cls.__qualname__} one.")


def _entry_of(cls: type) -> HandlerEntry:
    if "handler_name" not in vars(cls):
        raise ConfigurationException(
            f"{cls.__qualname__} is not marked as a handler.", cure='Put @handler(name="...") above it.'
        )
    summary = (inspect.getdoc(cls) or "").partition("\n")[0]
    marked: Any = cls
    return HandlerEntry(
        marked.handler_name,
        marked.aliases,
        marked.extensions,
        cls.__module__,
        cls.__qualname__,
        summary,
        file=getattr(inspect.getmodule(cls), "__file__", None),
        cls=cls,
    )


def _one(found: list[HandlerEntry], what: str, cure: str) -> HandlerEntry:
    if len({entry.place for entry in found}) > 1:
        both = " and ".join(entry.shown for entry in found)
        raise ConfigurationException(f"Two handlers have {what}: {both}.", cure=cure)
    return found[0]


def loaded(entry: HandlerEntry) -> type:
    """The class, with what it needs installed and `load` and `save` in it."""
    for package in entry.requires:
        if importlib.util.find_spec(package) is None:
            raise missing_extra(f"handler {entry.name!r}", entry.extra or "all", package)
    cls = entry.cls or _imported(entry)
    for method in ("load", "save"):
        if not callable(getattr(cls, method, None)):
            raise _lacks(cls, f"{method}()")
    return cls


def _imported(entry: HandlerEntry) -> type:
    try:
        found: Any = importlib.import_module(entry.module)
    except ModuleNotFoundError as error:
        if error.name == entry.module:
            raise
        raise MissingExtraError(
            f"The handler {entry.shown} needs the package {error.name}, which is not installed.",
            cure=f"Install it with: pip install {error.name}",
            resource=entry.name,
        ) from error
    for part in entry.object.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


def _check_options(entry: HandlerEntry, cls: type, options: Mapping[str, Any]) -> None:
    """OptionError for one that the class does not take; a class that takes any looks at them itself."""
    known = [] if cls.__init__ is object.__init__ else inspect.signature(cls).parameters.values()  # type: ignore[misc]
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in known):
        return
    names = [each.name for each in known]
    for option in options:
        if option not in names:
            raise OptionError(
                f"The handler {entry.name!r} has no option {option!r}.",
                cure=known_names(option, names) if names else "It has none.",
                resource=option,
            )
