"""A bar for each step of a run, on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.results import Result
    from framework.steps import Step


class Steps:
    """Bars of the steps under way, and a line for each that is done; nothing where nobody looks.

    Parameters
    ----------
    count : int
        Steps that there are; 0 shows nothing.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._done = 0
        self._bars: dict[str, Any] = {}
        self._shown: Any = None

    def __enter__(self) -> Steps:
        if self.count and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            self._shown = Progress(
                SpinnerColumn(finished_text=" "),
                TextColumn("{task.fields[place]}"),
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[state]}"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
            )
            self._shown.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._shown is not None:
            self._shown.stop()

    def start(self, step: Step | str) -> None:
        """A step begins, or what has that name."""
        if self._shown is not None:
            name = step if isinstance(step, str) else step.name
            place = f"{self._done + len(self._under_way()) + 1}/{self.count}"
            self._bars[name] = self._shown.add_task(name, total=None, place=place, state="running")

    def done(self, result: Result) -> None:
        """A step is over."""
        self._done += 1
        if self._shown is None:
            return
        if result.name not in self._bars:
            place = f"{self._done}/{self.count}"
            self._bars[result.name] = self._shown.add_task(result.name, total=None, place=place, state="")
        colour = "green" if result.outcome.ok else "red"
        word = f"[{colour}]{result.outcome.name.lower()}[/]"
        self._shown.update(self._bars[result.name], total=1, completed=1, state=word)

    def _under_way(self) -> list[Any]:
        return [bar for bar in self._bars.values() if not self._shown.tasks[bar].finished]
