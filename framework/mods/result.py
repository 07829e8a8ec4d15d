"""ModResult: how a mod says what it did."""

from __future__ import annotations

import time
import uuid
from typing import Any

from framework.mods.run import is_running
from framework.results import Outcome, Result

CODES = {outcome.exit_code: outcome for outcome in (Outcome.ERROR, Outcome.TIMEOUT, Outcome.CANCELLED)}


class ModResult:
    """Collects what a mod did, and gives the standard dictionary.

    Parameters
    ----------
    mod_name : str
    """

    def __init__(self, mod_name: str) -> None:
        run = is_running()
        self.mod_name = mod_name
        self.start_time = time.time()
        self.run_id = run.run_id if run is not None else f"{mod_name}_{uuid.uuid4().hex[:8]}"
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self.metrics: dict[str, Any] = {}
        self.artifacts: dict[str, str] = {}
        self.globals: dict[str, Any] = {}

    def add_warning(self, message: str) -> None:
        """Something that the reader should know, though it worked."""
        self.warnings.append(str(message))

    def add_error(self, message: str) -> None:
        """Something that went wrong."""
        self.errors.append(str(message))

    def add_metric(self, key: str, value: Any) -> None:
        """A number or text about what was done, such as rows_processed."""
        self.metrics[key] = value

    def add_artifact(self, key: str, path: Any) -> None:
        """The path of a file that was made."""
        self.artifacts[key] = str(path)

    def add_global(self, key: str, value: Any) -> None:
        """A value for the mods that come after it."""
        self.globals[key] = value

    def success(self) -> dict[str, Any]:
        """It worked."""
        return self._build_result(Outcome.SUCCESS, 0)

    def warning(self) -> dict[str, Any]:
        """It worked, with warnings."""
        return self._build_result(Outcome.WARNING, Outcome.WARNING.exit_code)

    def error(self, exit_code: int = 30) -> dict[str, Any]:
        """It failed: 20 for its parameters or input, 30 while it ran, 40 for time, 50 when it was stopped."""
        return self._build_result(CODES.get(exit_code, Outcome.ERROR), exit_code)

    def _build_result(self, outcome: Outcome, exit_code: int) -> dict[str, Any]:
        run = is_running()
        logs = {"log_file": run.log_file, "session_id": run.session_id} if run is not None else {}
        return Result(
            self.mod_name,
            outcome,
            exit_code,
            time.time() - self.start_time,
            dict(self.metrics),
            dict(self.artifacts),
            dict(self.globals),
            list(self.warnings),
            list(self.errors),
            logs,
            run_id=self.run_id,
        ).as_dict()
