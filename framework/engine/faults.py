"""What is wrong with a case: all of it, each with its place and the cure, before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from framework.errors import BaseFrameworkException, CaseError, FormatError, known_names

MOST_CURES = 100  # beyond so many faults nobody reads, and a nearest name takes time


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    Attributes
    ----------
    where : str
        `file:line`, or what else said it.
    """

    where: str
    message: str
    cure: str | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" + (f" {self.cure}" if self.cure else "")


@dataclass(slots=True)
class Faults:
    """Faults as they are found."""

    _found: dict[Fault, None] = field(default_factory=dict)

    @property
    def found(self) -> list[Fault]:
        """All of them, as they came."""
        return list(self._found)

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self._found)

    def add(self, where: str, message: str, cure: str | None = None) -> None:
        self._found.setdefault(Fault(where, message, cure))

    def unknown(self, where: str, message: str, name: str, known: Iterable[str]) -> None:
        """Something of a name that there is not: with the nearest, and those that there are."""
        self.add(where, message, known_names(name, known) if self.count < MOST_CURES else None)

    @contextmanager
    def noted(self, where: str) -> Iterator[None]:
        """Take an error of what is done inside for a fault of that place, or of the line that it tells itself."""
        try:
            yield
        except BaseFrameworkException as error:
            message = error.message
            if isinstance(error, FormatError) and error.resource and error.line:
                told = re.match(rf"{re.escape(error.resource)}:\d+: ", message)
                if told:
                    where, message = f"{where.rpartition(':')[0] or where}:{error.line}", message[told.end() :]
            self.add(where, message, error.cure)

    def places(self) -> set[str]:
        """Where they are."""
        return {fault.where for fault in self._found}

    def check(self, what: str) -> None:
        """CaseError with all of them, if there are any."""
        if not self._found:
            return
        faults = sorted(self._found, key=_place)
        lines = "\n".join(f"  {fault}" for fault in faults)
        count = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise CaseError(f"{what} has {count}; nothing was run:\n{lines}", faults, resource=what)


def _place(fault: Fault) -> tuple[str, int]:
    file, _, line = fault.where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (fault.where, 0)
