"""Whether data is good enough for its blueprint: what is wrong, how badly, and the score with its reasons."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from framework.errors import (
    ColumnNotFoundError,
    CompatibilityException,
    DataQualityError,
    UnknownNameError,
    known_names,
)
from framework.prepare.blueprint import Blueprint
from framework.prepare.compatibility import compatibility
from framework.prepare.issues import Issue, ordered, pairs
from framework.prepare.judging import Judged, judge_column, judge_keys, judge_rule, judge_schema
from framework.prepare.schemas import SchemaRegistry
from framework.prepare.scoring import Measure, Score, mean, score_of
from framework.prepare.validation_config import ValidationConfig

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

__all__ = ["DataValidationService", "ValidationConfig", "ValidationResult"]

WORKERS = min(os.cpu_count() or 1, 4)  # Arrow leaves the interpreter free while it works
MOST_SHOWN = 3  # issues that an error's text names


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """What was found.

    Attributes
    ----------
    blueprint : str
    rows : int
    issues : list of Issue
        The severest first.
    completeness, uniqueness, validity : Measure, optional
        None where the quality was not checked; as is the score.
    score : Score, optional
    passed : bool
    failures : list of str
        Why it did not pass.
    warnings : list of str
        What is high or medium and was put up with.
    seconds : float
    """

    blueprint: str
    rows: int
    issues: list[Issue]
    completeness: Measure | None
    uniqueness: Measure | None
    validity: Measure | None
    score: Score | None
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.failures

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "passed": self.passed}

    def raise_if_failed(self) -> ValidationResult:
        """Itself, if it passed.

        Raises
        ------
        DataQualityError
            With all issues; its text names the severest.
        """
        if self.passed:
            return self
        worst = [issue.message for issue in self.issues[:MOST_SHOWN]]
        lost = self.score.reasons[0] if self.score and self.score.reasons else None
        cure = f"Most is lost by the {lost.part} of {lost.field}: {lost.points:.1f} points." if lost else None
        raise DataQualityError(
            f"The data is not good enough for {self.blueprint!r}: {'; '.join(self.failures)}. {' '.join(worst)}",
            self.issues,
            cure=cure,
            resource=self.blueprint,
            operation="validation",
            result=self,
        )


class DataValidationService:
    """Judges data by its blueprint.

    Parameters
    ----------
    config : mapping or ValidationConfig, optional
        The three switches and the rest of `ValidationConfig`.
    thresholds : mapping, optional
        completeness, uniqueness, validity, score; over those of `config`.
    schemas : SchemaRegistry, optional
        Where blueprints are found by name, and which schemas were added.

    Examples
    --------
    >>> result = DataValidationService({"statistical_validation": False}).validate(frame, "customer_churn")
    >>> result.score.value, [reason.field for reason in result.score.reasons]
    """

    def __init__(
        self,
        config: Mapping[str, Any] | ValidationConfig | None = None,
        *,
        thresholds: Mapping[str, float] | None = None,
        schemas: SchemaRegistry | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.config = ValidationConfig.of(config, **(thresholds or {}))
        self.schemas = schemas or SchemaRegistry()
        self.logger = logger or logging.getLogger("millpond.prepare")

    def validate(
        self,
        frame: pd.DataFrame,
        blueprint: Blueprint | str,
        fields: Mapping[str, str] | None = None,
        *,
        check: Callable[[], None] = lambda: None,
    ) -> ValidationResult:
        """Judge a frame; it is not changed.

        Critical issues stop, and more than `max_high` high ones; the score must reach its threshold. Issues are
        counted by their rule and column. Critical: a required field that is not there, an identifier that is missing
        or repeated, a critical field below its completeness. High: a rule of a field whose validity is below its
        threshold. Medium: outliers of more than `outlier_share`. A rule of the blueprint has the severity that it
        says. Low: the rest.

        Parameters
        ----------
        frame : DataFrame
        blueprint : Blueprint or str
        fields : mapping, optional
            The column of each field that is there; those that `compatibility` finds unless given.
        check : callable
            Called between columns; what it raises stops the work.

        Returns
        -------
        ValidationResult
            With `score.value`, 0 to 100: see `scoring.score_of` for the formula.
        """
        started = time.perf_counter()
        plan = blueprint if isinstance(blueprint, Blueprint) else self.schemas.blueprint(blueprint)
        work = _Work(self.config, plan, frame, _columns(frame, plan, fields), self.schemas)
        issues = ordered(work.issues(check))
        measures = work.measures() if self.config.quality_checks else {}
        score = work.score() if self.config.quality_checks else None
        failures = _failures(issues, score, self.config, work.thresholds["score"])
        self._log(issues, plan.name)
        return ValidationResult(
            blueprint=plan.name,
            rows=len(frame),
            issues=issues,
            completeness=measures.get("completeness"),
            uniqueness=measures.get("uniqueness"),
            validity=measures.get("validity"),
            score=score,
            failures=failures,
            warnings=[issue.message for issue in issues if issue.severity in ("high", "medium")],
            seconds=time.perf_counter() - started,
        )

    def _log(self, issues: list[Issue], blueprint: str) -> None:
        """Words and counts; no value of the data."""
        for issue in issues:
            level = logging.WARNING if issue.severity in ("critical", "high") else logging.INFO
            told = {"blueprint": blueprint, "rule": issue.rule, "column": issue.column, "severity": issue.severity}
            self.logger.log(level, "%s", issue.message, extra={**told, "count": issue.count})


def _columns(frame: pd.DataFrame, blueprint: Blueprint, fields: Mapping[str, str] | None) -> dict[str, str]:
    """The column of each field, each of them there, once."""
    if fields is None:
        found = compatibility(frame.columns, blueprint)
        if [fault for fault in found.faults if not fault.startswith("Required")]:
            found.raise_if_failed()
        return found.fields
    known = [each.name for each in blueprint.fields]
    for name, column in fields.items():
        if name not in known:
            raise UnknownNameError(f"{blueprint.name!r} has no field {name!r}.", cure=known_names(name, known))
        there = int((frame.columns == column).sum())
        if there == 0:
            names = [str(each) for each in frame.columns]
            raise ColumnNotFoundError(f"There is no column {column!r}.", cure=known_names(str(column), names))
        if there > 1:
            raise CompatibilityException(f"{there} columns are called {column!r}.", cure="Give each a name of its own.")
    return {name: fields[name] for name in known if name in fields}


def _failures(issues: list[Issue], score: Score | None, config: ValidationConfig, least: float) -> list[str]:
    critical, high = pairs(issues, "critical"), pairs(issues, "high")
    found = []
    if critical:
        found.append(f"{critical} critical issue{'s' if critical > 1 else ''}")
    if high > config.max_high:
        found.append(f"{high} high issues, where {config.max_high} are put up with")
    if score is not None and score.value < least:
        found.append(f"a score of {score.value:.2f}, below {least:g}")
    return found


class _Work:
    """One frame being judged."""

    def __init__(
        self,
        config: ValidationConfig,
        blueprint: Blueprint,
        frame: pd.DataFrame,
        columns: dict[str, str],
        schemas: SchemaRegistry,
    ) -> None:
        self.config = config
        self.blueprint = blueprint
        self.frame = frame
        self.columns = columns
        self.added = schemas.added(blueprint.name)
        self.thresholds = config.thresholds(blueprint)
        self.judged: dict[str, Judged] = {}
        self.uniqueness = 1.0

    def issues(self, check: Callable[[], None]) -> Iterator[Issue]:
        if not len(self.frame):
            yield Issue("rows", "", "critical", 0, 0.0, "There are no rows.")
        yield from self._missing_fields()
        yield from self._of_columns(check)
        if self.config.quality_checks:
            check()
            yield from self._of_keys()
            yield from self._of_rules(check)
        if self.config.schema_validation and self.added is not None:
            check()
            yield from judge_schema(self.added, self._named(), self.thresholds["validity"], self.config.examples)

    def _missing_fields(self) -> Iterator[Issue]:
        for name in self.blueprint.required if self.config.schema_validation else ():
            if name not in self.columns:
                words = f"The required field {name!r} is not there."
                yield Issue("missing_field", name, "critical", len(self.frame), 1.0, words)

    def _of_columns(self, check: Callable[[], None]) -> Iterator[Issue]:
        needed = {name for rule in self.blueprint.rules for name in rule.needs}
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="millpond-validate")
        try:
            tasks = {
                name: pool.submit(
                    judge_column,
                    self.frame[column],
                    self.blueprint.field(name),
                    config=self.config,
                    thresholds=self.thresholds,
                    identifier=name in self.blueprint.identifier,
                    typed=name in needed,
                )
                for name, column in self._objects_first()
            }
            for name in self.columns:
                check()
                self.judged[name] = tasks[name].result()
                yield from self.judged[name].issues
        finally:
            pool.shutdown(cancel_futures=True)

    def _objects_first(self) -> list[tuple[str, str]]:
        """Fields and columns; those of objects, at which one thread looks at a time, with others beside them."""
        return sorted(self.columns.items(), key=lambda pair: self.frame[pair[1]].dtype != object)

    def _of_keys(self) -> Iterator[Issue]:
        keys = [self.judged[name] for name in self.blueprint.identifier if name in self.judged]
        if not keys:
            self.uniqueness = 0.0 if self.blueprint.identifier else 1.0
            return
        whole = len(keys) == len(self.blueprint.identifier)
        summed = self.blueprint.rows is not None
        found = judge_keys(keys, self.thresholds["uniqueness"], self.config.examples, summed=summed or not whole)
        self.uniqueness = 1.0 if summed else found.unique if whole else 0.0
        yield from found.issues if whole else ()

    def _of_rules(self, check: Callable[[], None]) -> Iterator[Issue]:
        for rule in self.blueprint.rules:
            if all(name in self.columns for name in rule.needs):
                check()
                typed = pd.DataFrame({name: self.judged[name].typed for name in rule.needs}, copy=False)
                columns = [self.columns[name] for name in rule.needs]
                yield from judge_rule(rule, typed, columns, self.config.examples)

    def _named(self) -> pd.DataFrame:
        """The data as it is, by the blueprint's names."""
        found = {name: self.frame[column] for name, column in self.columns.items()}
        return pd.DataFrame(found, copy=False).reset_index(drop=True)

    def measures(self) -> dict[str, Measure]:
        complete = {name: each.completeness for name, each in self.judged.items()}
        valid = {name: each.validity for name, each in self.judged.items()}
        required, named = self.blueprint.required, self.blueprint.identifier
        return {
            "completeness": Measure(mean(complete, required), complete),
            "uniqueness": Measure(self.uniqueness, {", ".join(named): self.uniqueness} if named else {}),
            "validity": Measure(mean(valid, required), valid),
        }

    def score(self) -> Score:
        return score_of(
            self.blueprint.required,
            self.blueprint.identifier,
            completeness={name: each.completeness for name, each in self.judged.items()},
            uniqueness=self.uniqueness,
            validity={name: each.validity for name, each in self.judged.items()},
        )
