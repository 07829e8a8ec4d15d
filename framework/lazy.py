"""Modules that are imported when something of them is first asked for: pandas takes a third of a second."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Lazy:
    """Stands for a module; each name of it is looked up once."""

    def __init__(self, module: str) -> None:
        self.__dict__["_module"] = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(import_module(self._module), name)
        self.__dict__[name] = value
        return value


pd = Lazy("pandas")
