"""The last look: whether what came out is what a model may be given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.errors import DataQualityError
from framework.prepare.blueprint import Blueprint
from framework.prepare.issues import Issue, ordered
from framework.prepare.scoring import Measure, Score, mean, percent, score_of
from framework.prepare.validation_config import THRESHOLDS

if TYPE_CHECKING:
    import pandas as pd

MANY = 0.05  # of the rows; a feature that lacks more is a medium issue


@dataclass(frozen=True, slots=True)
class FinalQuality:
    """What the prepared dataset is worth.

    Attributes
    ----------
    rows, columns : int
    score : Score
        By the formula of validation, over the required fields that came out; 100 where none did.
    completeness, uniqueness, validity : Measure
        Completeness is of values that are there, validity of numbers that are finite; of every column.
    issues : list of Issue
    failures : list of str
        Why it may not be used.
    seconds : float
    """

    rows: int
    columns: int
    score: Score
    completeness: Measure
    uniqueness: Measure
    validity: Measure
    issues: list[Issue] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.failures

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "passed": self.passed}

    def raise_if_failed(self) -> FinalQuality:
        """Itself, if it passed; DataQualityError with all issues otherwise."""
        if self.passed:
            return self
        worst = [issue.message for issue in self.issues[:3]]
        raise DataQualityError(
            f"What came out is not good enough: {'; '.join(self.failures)}. {' '.join(worst)}",
            self.issues,
            cure="Correct the data, or choose another missing_value_strategy.",
            operation="quality",
            result=self,
        )


def final_quality(
    frame: pd.DataFrame,
    blueprint: Blueprint,
    *,
    features: Sequence[str] = (),
    target: str | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> FinalQuality:
    """Judge a prepared dataset.

    Critical: no rows, an identifier that is missing or repeated, a number that is not finite. High: a required field
    with missing values. Medium: a feature that is missing in more than 5 % of the rows. Low: one that is missing in
    fewer, and a column with one value only. Critical issues, and a score below its threshold, fail.

    Parameters
    ----------
    frame : DataFrame
    blueprint : Blueprint
    features : sequence of str
        Those that were made.
    target : str, optional
    thresholds : mapping, optional
        `score` is looked at; the blueprint's unless given.
    """
    complete = {str(name): float(frame[name].notna().mean()) if len(frame) else 0.0 for name in frame}
    infinite = {str(name): _infinite(frame[name]) for name in frame}
    valid = {name: 1.0 - count / max(len(frame), 1) for name, count in infinite.items()}
    keys = [name for name in blueprint.identifier if name in frame.columns]
    unique, repeated = _unique(frame, keys, whole=len(keys) == len(blueprint.identifier))
    required = [name for name in blueprint.required if name in complete]
    score = score_of(required, tuple(keys), completeness=complete, uniqueness=unique, validity=valid)
    issues = ordered(
        [
            *_of_rows(frame, keys, repeated),
            *_of_numbers(infinite, len(frame)),
            *_of_gaps(frame, complete, required, features, keys),
            *_of_constants(frame, target),
        ]
    )
    least = {**THRESHOLDS, **blueprint.thresholds, **(thresholds or {})}["score"]
    critical = sum(issue.severity == "critical" for issue in issues)
    failures = [f"{critical} critical issue{'s' if critical > 1 else ''}"] if critical else []
    if score.value < least:
        failures.append(f"a score of {score.value:.2f}, below {least:g}")
    return FinalQuality(
        rows=len(frame),
        columns=len(frame.columns),
        score=score,
        completeness=Measure(mean(complete, required), complete),
        uniqueness=Measure(unique, {", ".join(keys): unique} if keys else {}),
        validity=Measure(mean(valid, required), valid),
        issues=issues,
        failures=failures,
    )


def _infinite(column: pd.Series) -> int:
    if column.dtype.kind not in "fc":
        return 0
    return int(np.isinf(column.to_numpy()).sum())


def _unique(frame: pd.DataFrame, keys: list[str], *, whole: bool) -> tuple[float, int]:
    """The share of rows whose identifier no earlier row has, and how many have; a part of an identifier may repeat."""
    if not keys or not whole or not len(frame):
        return 1.0, 0
    repeated = int(frame.duplicated(subset=keys).sum())
    return 1.0 - repeated / len(frame), repeated


def _of_rows(frame: pd.DataFrame, keys: list[str], repeated: int) -> Iterator[Issue]:
    if not len(frame):
        yield Issue("rows", "", "critical", 0, 0.0, "There are no rows.")
        return
    if repeated:
        words = f"{repeated:,} rows repeat the identifier of an earlier one."
        yield Issue("unique", ", ".join(keys), "critical", repeated, repeated / len(frame), words)
    for name in keys:
        missing = int(frame[name].isna().sum())
        if missing:
            words = f"{name!r} is missing in {missing:,} rows."
            yield Issue("identifier", name, "critical", missing, missing / len(frame), words)


def _of_numbers(infinite: Mapping[str, int], rows: int) -> Iterator[Issue]:
    for name, count in infinite.items():
        if count:
            words = f"{name!r} is infinite in {count:,} rows."
            yield Issue("finite", name, "critical", count, count / rows, words)


def _of_gaps(
    frame: pd.DataFrame, complete: Mapping[str, float], required: list[str], features: Sequence[str], keys: list[str]
) -> Iterator[Issue]:
    for name, share in complete.items():
        lacking = 1.0 - share
        if not len(frame) or lacking <= 0 or name in keys:
            continue
        many = "medium" if lacking > MANY else "low"
        severity: Any = "high" if name in required and name not in features else many
        count = int(frame[name].isna().sum())
        yield Issue(
            "missing", name, severity, count, lacking, f"{name!r} is missing in {percent(lacking)} of the rows."
        )


def _of_constants(frame: pd.DataFrame, target: str | None) -> Iterator[Issue]:
    for name in frame:
        column = frame[name]
        if len(frame) < 2 or column.isna().all():
            continue
        first = column.iloc[0]
        if bool((column == first).all()):
            severity: Any = "medium" if name == target else "low"
            words = f"{str(name)!r} has one value in all rows: a model learns nothing of it."
            yield Issue("constant", str(name), severity, len(frame), 1.0, words)
