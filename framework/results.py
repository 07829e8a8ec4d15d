"""What a run answers: an Outcome in words, and a Result that says it all."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from framework.errors import BaseFrameworkException, ModError, PartialFailure, StepError


class Outcome(Enum):
    """How something ended. Each member carries its own words: result status, run state, exit code."""

    SUCCESS = ("success", "COMPLETED", 0)
    WARNING = ("warning", "COMPLETED", 10)
    ERROR = ("error", "FAILED", 30)
    TIMEOUT = ("error", "FAILED", 40)
    CANCELLED = ("error", "CANCELLED", 50)
    SKIPPED = ("success", "SKIPPED", 0)

    def __init__(self, status: str, state: str, exit_code: int) -> None:
        self.status = status
        self.state = state
        self.exit_code = exit_code

    @property
    def ok(self) -> bool:
        return self.status != "error"


def exit_code_of(error: BaseException) -> int:
    """The exit code that an error stands for."""
    if isinstance(error, PartialFailure) and error.report:
        locked_out = all(result.exit_code == Outcome.CANCELLED.exit_code for result in error.report)
        return Outcome.CANCELLED.exit_code if locked_out else error.exit_code  # nothing was run
    if isinstance(error, BaseFrameworkException):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return Outcome.CANCELLED.exit_code
    return Outcome.ERROR.exit_code


@dataclass(slots=True)
class Result:
    """What one step or run did; JSON-able, with children of the same type. True when it did not fail.

    It holds references to data (`artifacts`: name to `store:dataset` or a path), never frames.
    """

    name: str
    outcome: Outcome = Outcome.SUCCESS
    exit_code: int = 0
    execution_time: float = 0.0
    metrics: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    globals: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    logs: dict[str, Any] = field(default_factory=dict)
    children: list[Result] = field(default_factory=list)
    started_at: float = field(default_factory=time.time)
    run_id: str = ""
    error: BaseException | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.run_id = self.run_id or f"{self.name}_{uuid.uuid4().hex[:8]}"
        self.exit_code = self.exit_code or self.outcome.exit_code

    def __bool__(self) -> bool:
        return self.outcome.ok

    @property
    def status(self) -> str:
        return self.outcome.status

    def fail(self, error: BaseException) -> Result:
        """Record that it failed of `error`."""
        code = exit_code_of(error)
        late = isinstance(error, TimeoutError) or code == Outcome.TIMEOUT.exit_code
        self.outcome = Outcome.TIMEOUT if late else Outcome.ERROR
        self.exit_code = self.outcome.exit_code if late else code
        self.errors += error.errors if isinstance(error, ModError) else [f"{type(error).__name__}: {error}"]
        self.error = error
        return self

    def raise_if_failed(self) -> Result:
        """Raise the error that it failed of; itself otherwise."""
        if self:
            return self
        if self.error is not None:
            raise self.error
        raise StepError("; ".join(self.errors) or f"{self.name} failed", resource=self.name)

    def as_dict(self) -> dict[str, Any]:
        """The standard dictionary; every key is always there."""
        answer: dict[str, Any] = {
            "status": self.status,
            "execution_time": self.execution_time,
            "metrics": dict(self.metrics),
            "artifacts": dict(self.artifacts),
            "globals": dict(self.globals),
            "warnings": list(self.warnings),
            "errors": list(self.errors),
            "exit_code": self.exit_code,
            "logs": {"log_file": None, "session_id": None, **self.logs, "run_id": self.run_id},
        }
        if self.children:
            answer["children"] = [{"name": child.name, **child.as_dict()} for child in self.children]
        return answer


def raise_if_any_failed(report: Iterable[Result], what: str) -> None:
    """PartialFailure with the whole report if any of it failed."""
    results = list(report)
    failed = [result for result in results if not result]
    if failed:
        first = "; ".join(f"{result.name}: {'; '.join(result.errors)}" for result in failed[:3])
        more = f" (and {len(failed) - 3} more)" if len(failed) > 3 else ""
        raise PartialFailure(f"{what}: {len(failed)} of {len(results)} failed. {first}{more}", results, resource=what)
