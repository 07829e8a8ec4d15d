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
    after : tuple of str
        Names of steps that must be done before it, whatever data they make.
    despite : tuple of str
        Those of them that may have failed, or been skipped.
    goes_on : bool
        Whether what does not depend on it runs when it fails.
    when : callable, optional
        Asked before it runs: why it need not, or None.
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
    after: tuple[str, ...] = ()
    despite: tuple[str, ...] = ()
    goes_on: bool = False
    when: Callable[[], str | None] | None = None

    @property
    def is_barrier(self) -> bool:
        """Whether nothing is known of its data, so that all before it comes before, and all after it after."""
        return not self.inputs and not self.outputs and not self.after


@dataclass(frozen=True, slots=True)
class Made:
    """What a step made, where it is more than its one output.

    Attributes
    ----------
    outputs : mapping
        Data by name; None for one that was not made, which leaves what was there.
    warnings : list of str
    told : Told, optional
        What else it says of what it did.
    """

    outputs: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    told: Told | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What a step says of what it did, beside its data; all of it JSON-able.

    Attributes
    ----------
    outcome : str
        The name of an Outcome; empty where that is not said.
    metrics, artifacts, globals : mapping
        Numbers; paths of files that it made; values for the steps that come after it.
    cursors : mapping
        How far it has read its sources; kept once all that depends on it is saved.
    """

    outcome: str = "SUCCESS"
    metrics: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    globals: Mapping[str, Any] = field(default_factory=dict)
    cursors: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """What of it there is, as it is kept."""
        all_of_it = {name: dict(getattr(self, name)) for name in ("metrics", "artifacts", "globals", "cursors")}
        return {name: value for name, value in all_of_it.items() if value}
