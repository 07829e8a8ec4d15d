"""Handlers of files: what reads and writes one kind of file, chosen by name or by a file's extension."""

from framework.formats.handlers.handler import (
    DataHandler,
    HandlerEntry,
    Handlers,
    entries_in,
    fingerprint_of,
    handler,
    load_checked,
    options_of,
    save_atomically,
)

__all__ = [
    "DataHandler",
    "HandlerEntry",
    "Handlers",
    "entries_in",
    "fingerprint_of",
    "handler",
    "load_checked",
    "options_of",
    "save_atomically",
]
