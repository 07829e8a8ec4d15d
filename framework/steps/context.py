"""What a step is given beside its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from logging import Logger
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Hub(Protocol):
    """The run's data, by name."""

    def get(self, name: str) -> Any: ...
    def register(self, name: str, data: Any) -> None: ...
    def names(self) -> list[str]: ...
    def staged(self, name: str) -> Path | None: ...


@dataclass(frozen=True, slots=True)
class Context:
    """What surrounds a step while it runs.

    Attributes
    ----------
    data_hub : DataHub
    logger : logging.Logger
    project_root, case_path : pathlib.Path
        The workspace, and the folder of the case; one folder where there is no case.
    config : object
        What the step is set to: its model, or a mapping.
    """

    data_hub: Hub
    logger: Logger
    project_root: Path
    case_path: Path
    config: Any = None


@dataclass(frozen=True, slots=True)
class Wiring:
    """How a case sets a step, and what names of data it knows.

    Attributes
    ----------
    name : str
        What this use of the step is called.
    params : mapping
        Values, of all layers.
    inputs, outputs : tuple of str
        What the case declares beside what the step itself does.
    known : collection of str
        Names of data that a parameter of that name stands for.
    context : Context
    """

    name: str
    context: Context
    params: Mapping[str, Any]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    known: frozenset[str] = frozenset()
