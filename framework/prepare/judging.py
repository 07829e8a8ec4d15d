"""From what was found in a column to its issues: the severity of each, in words, with rows that show it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.attempt import attempt
from framework.errors import StepError
from framework.prepare.anomalies import Outliers, by_iqr, by_zscore, in_order
from framework.prepare.blueprint import Field, Rule
from framework.prepare.checks import FLAGS, Checked, check_column, plain, times_of
from framework.prepare.issues import Issue, Severity, examples, number
from framework.prepare.repeats import repeated
from framework.prepare.scoring import percent
from framework.prepare.validation_config import ValidationConfig

if TYPE_CHECKING:
    import pandas as pd
    from pandera.pandas import DataFrameSchema
else:
    from framework.lazy import pd


@dataclass(slots=True)
class Judged:
    """One column, judged.

    Attributes
    ----------
    column : str
    completeness, validity : float
    issues : list of Issue
    missing : mask
    values : Arrow array, optional
        Of an identifier.
    typed : Series, optional
        Of its field's type, what is of another one missing: where a rule of the blueprint asks.
    """

    column: str
    completeness: float
    validity: float
    missing: Any
    issues: list[Issue] = field(default_factory=list)
    values: Any = None
    typed: Any = None


def judge_column(
    values: pd.Series,
    field: Field,
    *,
    config: ValidationConfig,
    thresholds: dict[str, float],
    identifier: bool,
    typed: bool,
) -> Judged:
    """Judge one column by its field."""
    column = str(values.name)
    checked = check_column(values, field, column=column, types=config.schema_validation, rules=config.quality_checks)
    judged = Judged(column, checked.completeness, checked.validity, checked.missing)
    if config.quality_checks:
        named = identifier or (field.kind == "identifier" and field.required)
        judged.issues += _of_gaps(checked, thresholds["completeness"], config.examples, identifier=named)
    judged.issues += _of_values(checked, values, thresholds["validity"], config.examples)
    if config.statistical_validation and checked.numbers is not None and not identifier:
        judged.issues += _of_outliers(checked, values, config)
    judged.values = checked.values if identifier else None
    judged.typed = as_typed(values, checked) if typed else None
    return judged


def _of_gaps(checked: Checked, least: float, most: int, *, identifier: bool) -> Iterator[Issue]:
    gone = checked.rows - checked.there
    low = checked.completeness < least
    if not gone or not (identifier or low):
        return
    rule = "identifier" if identifier else "completeness"
    empty = checked.field.required and not checked.there  # as good as a field that is not there
    severity: Severity = "critical" if identifier or checked.field.critical or empty else "low"
    share = gone / checked.rows
    words = f"{checked.column}: {number(gone, 'row')} of {checked.rows:,} ({percent(share)}) "
    words += f"{'has' if gone == 1 else 'have'} no value"
    words += "; every row needs one." if identifier else f"; {percent(1 - least)} may lack it."
    places = np.flatnonzero(checked.missing)[:most]
    yield Issue(rule, checked.column, severity, gone, share, words, examples(None, places, ""))


def _of_values(checked: Checked, values: pd.Series, least: float, most: int) -> Iterator[Issue]:
    """A rule is high where it alone, or as the worst of several, brings the validity below what is asked."""
    counts = {rule: int(np.count_nonzero(mask)) for rule, mask in checked.broken.items()}
    worst = max(counts, key=lambda rule: counts[rule], default=None)
    for rule, mask in checked.broken.items():
        share = counts[rule] / checked.there
        low = 1.0 - share < least or (rule == worst and checked.validity < least)
        words = f"{checked.column}: {number(counts[rule], 'value')} of {checked.there:,} ({percent(share)})"
        found = examples(values, np.flatnonzero(mask)[:most], checked.column)
        severity: Severity = "high" if low else "low"
        told = f"{words} {_broken(rule, checked.field, one=counts[rule] == 1)}."
        yield Issue(rule, checked.column, severity, counts[rule], share, told, found)


def _broken(rule: str, field: Field, *, one: bool) -> str:
    """What values that break a rule do."""
    if rule == "type":
        return f"{'is' if one else 'are'} not what a field of the kind {field.kind!r} holds"
    if rule == "range":
        low = f"from {field.minimum:g}" if field.minimum is not None else ""
        high = f"to {field.maximum:g}" if field.maximum is not None else ""
        return f"{'lies' if one else 'lie'} outside of what is allowed, {f'{low} {high}'.strip()}"
    if rule == "pattern":
        return f"{'does' if one else 'do'} not match {field.pattern}"
    allowed = field.allowed or ()
    listed = ", ".join(allowed[:8]) + (f" and {len(allowed) - 8} more" if len(allowed) > 8 else "")
    return f"{'is' if one else 'are'} none of {listed}"


def _of_outliers(checked: Checked, values: pd.Series, config: ValidationConfig) -> Iterator[Issue]:
    ordered = in_order(checked.numbers)
    for rule, found, words in (
        ("outliers_iqr", by_iqr(ordered, config.iqr_factor), f"{config.iqr_factor:g} interquartile ranges off the box"),
        ("outliers_zscore", by_zscore(ordered, config.zscore), f"{config.zscore:g} standard deviations off the mean"),
    ):
        if found.count:
            severity: Severity = "medium" if found.share > config.outlier_share else "low"
            told = f"{checked.column}: {number(found.count, 'value')} ({percent(found.share)}) more than {words}, "
            told += f"outside of {found.lower:.6g} to {found.upper:.6g}."
            rows = examples(values, _beyond(checked.numbers, found)[: config.examples], checked.column)
            yield Issue(rule, checked.column, severity, found.count, found.share, told, rows)


def _beyond(numbers: Any, found: Outliers) -> Any:
    return np.flatnonzero((numbers < found.lower) | (numbers > found.upper))


def as_typed(values: pd.Series, checked: Checked) -> pd.Series:
    """The column as its field's type; what is missing or of another type is null."""
    kind, dtype = checked.field.kind, values.dtype
    if kind in ("number", "integer"):
        fine = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
        found = values if fine and "type" not in checked.broken else pd.Series(checked.numbers)
    elif kind == "datetime":
        found = pd.Series(times_of(checked))
    elif kind == "flag" and not pd.api.types.is_bool_dtype(dtype):
        found = pd.Series([FLAGS.get(plain(_whole(cell))) for cell in values], dtype="boolean")
    else:
        gone = checked.missing | checked.broken.get("type", np.zeros(checked.rows, dtype=bool))
        if values.dtype == object and pd.api.types.infer_dtype(values).startswith("mixed"):
            values = pd.Series(checked.values.to_pylist(), dtype=object)  # one type, or each as it would be written
        found = values.mask(gone) if gone.any() else values
    return found.reset_index(drop=True)


def _whole(cell: object) -> str:
    """`1` of 1.0 too."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


@dataclass(frozen=True, slots=True)
class Keys:
    """How unique the identifiers are: the share of rows with one that no earlier row has, and the issue."""

    unique: float
    issues: list[Issue]


def judge_keys(keys: list[Judged], least: float, most: int, *, summed: bool) -> Keys:
    """Judge the identifier, of one column or several; `summed`: rows of one key become one, so that none is amiss."""
    known = ~np.logical_or.reduce([key.missing for key in keys])
    there = int(np.count_nonzero(known))
    places = repeated([key.values for key in keys], known)
    unique = (there - len(places)) / len(known) if len(known) else 0.0
    if not len(places):
        return Keys(unique, [])
    column, share = ", ".join(key.column for key in keys), len(places) / there
    words = f"{column}: {number(len(places), 'row')} of {there:,} ({percent(share)}) "
    words += f"{'repeats' if len(places) == 1 else 'repeat'} an earlier one"
    words += "; rows of one identifier are brought together." if summed else "."
    severity: Severity = "critical" if not summed and 1.0 - share < least else "low"
    return Keys(
        unique, [Issue("unique", column, severity, len(places), share, words, examples(None, places[:most], ""))]
    )


def judge_rule(rule: Rule, typed: pd.DataFrame, columns: list[str], most: int) -> Iterator[Issue]:
    """Judge one rule of a blueprint; a missing value keeps it.

    Raises
    ------
    StepError
        The rule itself raised, or did not answer for each row.
    """
    tried = attempt(rule.name, lambda: _kept(rule.check(typed)))
    if tried.error is not None or tried.value is None or len(tried.value) != len(typed):
        told = f"{type(tried.error).__name__}: {tried.error}" if tried.error else "it did not answer for each row"
        cure = "It takes a frame and answers True, False or missing for each row."
        raise StepError(f"The rule {rule.name!r} failed: {told}.", cure=cure, resource=rule.name) from tried.error
    broken = ~tried.value
    for name in rule.needs:
        broken &= typed[name].notna().to_numpy()
    count = int(np.count_nonzero(broken))
    if count:
        column, share = ", ".join(columns), count / len(typed)
        words = f"{column}: {number(count, 'row')} of {len(typed):,} ({percent(share)}): {rule.message or rule.name}"
        rows = examples(None, np.flatnonzero(broken)[:most], "")
        yield Issue(rule.name, column, rule.severity, count, share, f"{words.rstrip('.')}.", rows)


def _kept(answer: Any) -> Any:
    """Which rows keep a rule; one that it does not answer for does."""
    found = pd.Series(answer)
    return found.to_numpy() if found.dtype == bool else found.astype("boolean").fillna(True).to_numpy(dtype=bool)


def judge_schema(schema: DataFrameSchema, frame: pd.DataFrame, least: float, most: int) -> Iterator[Issue]:
    """Judge a frame by a schema of the user's own: a check is high that fewer rows keep than the validity asked."""
    from pandera.errors import SchemaErrors

    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
    else:
        return
    for (check, column), found in cases.groupby(["check", cases["column"].fillna("").astype(str)], sort=False):
        rows = found["index"].dropna().drop_duplicates()
        count = len(rows) if len(rows) else len(frame)
        share = count / len(frame) if len(frame) else 1.0
        severity: Severity = "high" if 1.0 - share < least else "low"
        words = f"{column or 'The data'}: {number(count, 'row')} of {len(frame):,} ({percent(share)}) "
        words += f"{'fails' if count == 1 else 'fail'} {check}."
        values = frame.get(column)
        shown = examples(values, rows[:most], column)
        yield Issue(f"schema:{check}", column, severity, count, share, words, shown)
