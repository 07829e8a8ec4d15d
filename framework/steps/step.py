"""Step: from here on nobody asks what form the author wrote it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """One unit of work.

    Attributes
    ----------
    name : str
        Shown in results and logs.
    call : callable
        Does the work; called with the inputs by name.
    version : str
    params : mapping
        What it was set to; recorded, never passed.
    inputs, outputs : tuple of str
        References to the data that it reads and writes (`store:dataset` where that is known).
    """

    name: str
    call: Callable[..., Any]
    version: str = "1"
    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
