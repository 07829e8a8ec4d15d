"""Step: from here on nobody asks what form the author wrote it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """One unit of work.

    Attributes
    ----------
    name : str
        Shown in results and logs.
    call : callable
        Does the work; called with the data of `takes` by name. Answers with what it made: a mapping of `outputs`, the
        value itself where there is one output, or Made.
    version : str
    params : mapping
        What it was set to; recorded, never passed.
    inputs, outputs : tuple of str
        References to the data that it reads and writes (`store:dataset` where that is known).
    takes : tuple of str
        Those of its inputs that it is called with; the others it asks the hub for, or they only say what comes first.
    source : Path, optional
        The file that its author wrote.
    retries : int
        How often it is tried again after an error.
    timeout : float, optional
        Seconds that one try may take.
    """

    name: str
    call: Callable[..., Any]
    version: str = "1"
    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    source: Path | None = None
    retries: int = 0
    timeout: float | None = None

    @property
    def is_barrier(self) -> bool:
        """Whether nothing is known of its data, so that all before it comes before, and all after it after."""
        return not self.inputs and not self.outputs


@dataclass(frozen=True, slots=True)
class Made:
    """What a step made, where it is more than its one output.

    Attributes
    ----------
    outputs : mapping
        Data by name; None for one that was not made, which leaves what was there.
    warnings : list of str
    """

    outputs: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
