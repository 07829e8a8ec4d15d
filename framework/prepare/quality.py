"""The last look: whether what came out is what a model may be given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import DataQualityError
from framework.prepare.blueprint import Blueprint
from framework.prepare.checks import Mask, arrow_of, blanks
from framework.prepare.columns import no_repeated_names
from framework.prepare.issues import Issue, number, ordered
from framework.prepare.repeats import repeated
from framework.prepare.scoring import Measure, Score, mean, percent, score_of
from framework.prepare.validation_config import THRESHOLDS

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

MANY = 0.05  # of the rows; a feature that lacks more is a medium issue
HEAD = 1024  # rows, by which nearly every column is seen to have several values
PLAIN = "biufcmM"  # kinds of numpy's types
WITHOUT_NUMBERS = ("string", "empty", "boolean", "bytes", "date", "datetime", "datetime64")  # as pandas calls objects


@dataclass(frozen=True, slots=True)
class FinalQuality:
    """What the prepared dataset is worth.

    Attributes
    ----------
    rows, columns : int
    score : Score
        By the formula of validation, over the required fields that came out; a part of the identifier that did not
        counts 0, and where no field came out all of them do.
    completeness, uniqueness, validity : Measure
        Completeness is of values that are there, validity of numbers that are finite; of every column.
    issues : list of Issue
    failures : list of str
        Why it may not be used.
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
    thresholds: Mapping[str, float | None] | None = None,
) -> FinalQuality:
    """Judge a prepared dataset.

    Critical: no rows, none of the required fields, an identifier that did not come out, is missing or repeated, a
    required field without any value, a number that is not finite. High: a required field that did not come out, or has
    missing values. Medium: a feature that is missing in more than 5 % of the rows. Low: one that is missing in fewer,
    and a column with one value only. Critical issues, and a score below its threshold, fail. Dates go into features,
    and texts into columns that begin with their name, so neither has to come out as it is.

    Parameters
    ----------
    frame : DataFrame
    blueprint : Blueprint
    features : sequence of str
        Those that were made.
    target : str, optional
        What rows to be foretold need not have.
    thresholds : mapping, optional
        `score` is looked at; the blueprint's unless given, and where it is None.

    Raises
    ------
    CompatibilityException
        Two columns have one name, or one has a name that is no text.
    """
    no_repeated_names(frame)
    looked = {name: _Looked.of(frame[name]) for name in frame.columns}
    keys = [name for name in blueprint.identifier if name in looked]
    unique, again = _unique(frame, blueprint.identifier, looked)
    lost = _lost(blueprint, looked, target)
    nothing = bool(lost) and len(lost) == len(_expected(blueprint, target))
    away = lost if nothing else [name for name in lost if name in blueprint.identifier]
    required = [name for name in blueprint.required if name in looked or name in away]
    own = [name for name in blueprint.required if name not in features]
    complete = {name: each.complete for name, each in looked.items()}
    valid = {name: each.valid for name, each in looked.items()}
    score = score_of(required, blueprint.identifier, completeness=complete, uniqueness=unique, validity=valid)
    issues = ordered(
        [
            *_of_fields(blueprint, lost, nothing=nothing, rows=len(frame)),
            *_of_rows(looked, keys, again, rows=len(frame)),
            *_of_numbers(looked),
            *(
                _of_gap(name, each, required=name in own)
                for name, each in looked.items()
                if each.lacking and name not in keys
            ),
            *_of_constants(looked, target),
        ]
    )
    least = _least(blueprint, thresholds or {})
    critical = sum(issue.severity == "critical" for issue in issues)
    failures = [number(critical, "critical issue")] if critical else []
    if score.value < least:
        failures.append(f"a score of {score.value:.2f}, below {least:g}")
    return FinalQuality(
        rows=len(frame),
        columns=len(frame.columns),
        score=score,
        completeness=Measure(mean(complete, required), complete),
        uniqueness=Measure(unique, {", ".join(blueprint.identifier): unique} if blueprint.identifier else {}),
        validity=Measure(mean(valid, required), valid),
        issues=issues,
        failures=failures,
    )


def _least(blueprint: Blueprint, thresholds: Mapping[str, float | None]) -> float:
    """The score below which it fails: None says nothing."""
    said = (each.get("score") for each in (thresholds, blueprint.thresholds))
    return next((least for least in said if least is not None), THRESHOLDS["score"])


# --------------------------------------------------------------------------- what came out


def _expected(blueprint: Blueprint, target: str | None) -> list[str]:
    """The required fields that come out: a date does where rows are told apart by it."""
    return [
        each.name
        for each in blueprint.fields
        if each.name in blueprint.identifier
        or (each.required and each.keep and each.kind != "datetime" and each.name != target)
    ]


def _lost(blueprint: Blueprint, there: Mapping[str, Any], target: str | None) -> list[str]:
    """Those that did not; a text may have come out as a column for each of its values."""
    texts = {each.name for each in blueprint.fields if each.kind in ("category", "text")}
    return [
        name
        for name in _expected(blueprint, target)
        if name not in there and not (name in texts and any(other.startswith(f"{name}_") for other in there))
    ]


def _unique(frame: pd.DataFrame, identifier: tuple[str, ...], looked: Mapping[str, _Looked]) -> tuple[float, int]:
    """The share of rows with an identifier that no earlier row has, and how many repeat one."""
    if not identifier or not len(frame):
        return 1.0, 0
    if not all(name in looked for name in identifier):
        return 0.0, 0
    known = ~np.logical_or.reduce([looked[name].missing for name in identifier])
    again = len(repeated([_values(frame[name]) for name in identifier], known)) if known.any() else 0
    return (int(np.count_nonzero(known)) - again) / len(frame), again


# --------------------------------------------------------------------------- one column


@dataclass(frozen=True, slots=True)
class _Looked:
    """What is seen of one column.

    Attributes
    ----------
    missing : mask
        Null, NaN, or text of nothing but white space.
    infinite : int
        How many of its numbers are.
    constant : bool
        Whether all rows have a value, and it is one.
    """

    missing: Mask
    infinite: int
    constant: bool

    @classmethod
    def of(cls, column: pd.Series) -> _Looked:
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype(object)
        missing = np.asarray(column.isna(), dtype=bool)
        if getattr(column.dtype, "kind", "O") not in PLAIN:
            missing = missing | blanks(column)
        several = len(column) < 2 or bool(missing.any())
        constant = not several and all(_alike(part) for part in (column.iloc[:HEAD], column))
        return cls(missing, _infinite(column), constant)

    @property
    def rows(self) -> int:
        return len(self.missing)

    @property
    def lacking(self) -> int:
        return int(np.count_nonzero(self.missing))

    @property
    def complete(self) -> float:
        return 1.0 - self.lacking / self.rows if self.rows else 0.0

    @property
    def valid(self) -> float:
        return 1.0 - self.infinite / max(self.rows, 1)


def _infinite(column: pd.Series) -> int:
    """How many numbers are infinite, whatever holds them."""
    kind = getattr(column.dtype, "kind", "O")
    if kind in "fc":
        cells = column.to_numpy() if isinstance(column.dtype, np.dtype) else column.to_numpy("float64", na_value=np.nan)
        return int(np.count_nonzero(np.isinf(cells)))
    if kind != "O" or pd.api.types.infer_dtype(column, skipna=True) in WITHOUT_NUMBERS:
        return 0
    return sum(_is_infinite(cell) for cell in column)


def _is_infinite(cell: object) -> bool:
    if isinstance(cell, Decimal):
        return cell.is_infinite()
    return isinstance(cell, (float, complex, np.inexact)) and bool(np.isinf(cell))


def _alike(column: pd.Series) -> bool:
    """Whether all its values, of which none is missing, are one; lists and the like are as they look."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in PLAIN:
        values = column.to_numpy()
        return bool((values == values[0]).all())
    array = _values(column)
    if pa.types.is_nested(array.type):
        return len({str(cell) for cell in array.to_pylist()}) == 1
    return len(pc.unique(array)) == 1


def _values(column: pd.Series) -> pa.Array:
    """The column as Arrow compares it: periods and intervals as what they are kept as."""
    array = arrow_of(column)
    return array.storage if isinstance(array, pa.ExtensionArray) else array


# --------------------------------------------------------------------------- what is wrong


def _of_fields(blueprint: Blueprint, lost: list[str], *, nothing: bool, rows: int) -> Iterator[Issue]:
    if nothing:
        words = f"None of the fields that {blueprint.name} needs came out: {', '.join(lost)}."
        yield Issue("missing_field", ", ".join(lost), "critical", rows, 1.0, words)
        return
    for name in lost:
        if name in blueprint.identifier:
            words = f"{name!r}, which rows are told apart by, did not come out."
            yield Issue("missing_field", name, "critical", rows, 1.0, words)
        else:
            yield Issue("missing_field", name, "high", rows, 1.0, f"{name!r} is required, and did not come out.")


def _of_rows(looked: Mapping[str, _Looked], keys: list[str], again: int, *, rows: int) -> Iterator[Issue]:
    if not rows:
        yield Issue("rows", "", "critical", 0, 0.0, "There are no rows.")
        return
    if again:
        words = f"{number(again, 'row')} {'repeats' if again == 1 else 'repeat'} the identifier of an earlier one."
        yield Issue("unique", ", ".join(keys), "critical", again, again / rows, words)
    for name in keys:
        missing = looked[name].lacking
        if missing:
            words = f"{name!r} is missing in {number(missing, 'row')}."
            yield Issue("identifier", name, "critical", missing, missing / rows, words)


def _of_numbers(looked: Mapping[str, _Looked]) -> Iterator[Issue]:
    for name, each in looked.items():
        if each.infinite:
            words = f"{name!r} is infinite in {number(each.infinite, 'row')}."
            yield Issue("finite", name, "critical", each.infinite, each.infinite / each.rows, words)


def _of_gap(name: str, each: _Looked, *, required: bool) -> Issue:
    share = each.lacking / each.rows
    words = f"{name!r} is missing in {percent(share)} of the rows."
    severity: Any = "high" if required else "medium" if share > MANY else "low"
    if required and each.lacking == each.rows:
        severity, words = "critical", f"{name!r} has no value in any row."
    return Issue("missing", name, severity, each.lacking, share, words)


def _of_constants(looked: Mapping[str, _Looked], target: str | None) -> Iterator[Issue]:
    for name, each in looked.items():
        if each.constant:
            severity: Any = "medium" if name == target else "low"
            words = f"{name!r} has one value in all rows: a model learns nothing of it."
            yield Issue("constant", name, severity, each.rows, 1.0, words)
