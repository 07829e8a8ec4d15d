"""One open handle for each place in a process, shared by all stores; a forked child opens its own.

LMDB opened twice in one process corrupts memory, and what a parent opened must be neither used nor closed by its child.
"""

from __future__ import annotations

import ctypes
import gc
import os
import socket
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from framework.errors import FormatError, SettingError, UnavailableError

from .places import Place

SECONDS = 5.0  # that a server may take to answer

_lock = threading.RLock()
_open: dict[str, _Handle] = {}
_inside = threading.local()


@dataclass
class _Handle:
    uri: str
    arctic: Any
    libraries: dict[str, Any] = field(default_factory=dict)
    users: weakref.WeakSet[Any] = field(default_factory=weakref.WeakSet)
    busy: int = 0


@contextmanager
def opened(place: Place, name: str, user: Any, *, make: bool = False) -> Iterator[Any]:
    """The library of that name, open until the end; None when there is none and none is to be made."""
    if not make and not place.there:
        yield None
        return
    with _lock:
        handle = _handle(place)
        handle.users.add(user)
        handle.busy += 1
    try:
        yield _library(handle, name, make=make)
    finally:
        handle.busy -= 1
        _close_unused(place.key)


def _handle(place: Place) -> _Handle:
    if place.key not in _open:
        reach(place)
        _prepare()
        from arcticdb import Arctic

        _open[place.key] = _Handle(place.uri, Arctic(place.uri))
    handle = _open[place.key]
    if handle.uri != place.uri and "map_size" in place.uri:
        raise SettingError(
            f"{place.shown} is open in this process with another map_size.", cure="close() the store that opened it."
        )
    return handle


def reach(place: Place) -> None:
    """UnavailableError at once when a server does not answer: the library would try again for half a minute."""
    if place.server is not None:
        try:
            socket.create_connection(place.server, SECONDS).close()
        except OSError as error:
            raise UnavailableError(
                f"{place.shown} does not answer: {error}.", cure="Check ARCTIC_URI and the network."
            ) from error


def _library(handle: _Handle, name: str, *, make: bool) -> Any:
    with _lock:
        if name not in handle.libraries:
            if not make and not handle.arctic.has_library(name):
                return None
            handle.libraries[name] = handle.arctic.get_library(name, create_if_missing=make)
        return handle.libraries[name]


def release(place: Place, user: Any) -> None:
    """Close the handle, if nobody else has it, now or when its last use ends."""
    with _lock:
        if place.key in _open:
            _open[place.key].users.discard(user)
            _close_unused(place.key)


def _close_unused(key: str) -> None:
    with _lock:
        handle = _open.get(key)
        if handle is None or handle.users or handle.busy:
            return
        left = [weakref.ref(each) for each in (handle.arctic, *handle.libraries.values())]
        handle.libraries.clear()
        del _open[key], handle.arctic
        if any(ref() is not None for ref in left):  # it must be closed before it is opened anew
            gc.collect()


@contextmanager
def strictly() -> Iterator[None]:
    """In here nothing that is pickled is read: it could run any code."""
    _inside.strict = getattr(_inside, "strict", 0) + 1
    try:
        yield
    finally:
        _inside.strict -= 1


def _prepare() -> None:
    """Settings of the library that hold for the process; made once."""
    if getattr(_prepare, "done", False):
        return
    from arcticdb.config import set_log_level
    from arcticdb.version_store._normalization import Pickler
    from arcticdb_ext import set_config_int

    set_config_int("VersionMap.ReloadInterval", 0)  # so that each read sees what other processes wrote
    if not any(key.startswith("ARCTICDB_") and key.lower().endswith("loglevel") for key in os.environ):
        set_log_level("CRITICAL")  # it says on stderr what we raise, and what it says is not redacted
    unguarded = Pickler.read

    def read(data: Any) -> Any:
        if getattr(_inside, "strict", 0):
            raise FormatError("It holds pickled Python objects, which are not read: they could run any code.")
        return unguarded(data)

    Pickler.read = staticmethod(read)
    _prepare.done = True  # type: ignore[attr-defined]


def _in_a_child() -> None:
    global _lock
    _lock = threading.RLock()
    for handle in _open.values():
        for each in (handle.arctic, *handle.libraries.values()):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(each))  # for ever: closing it would free the parent's locks
    _open.clear()


os.register_at_fork(after_in_child=_in_a_child)
