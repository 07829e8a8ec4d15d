"""What is wrong with a dataset: one issue for each rule and column, with a few rows that show it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from framework.redact import MASK, redact

if TYPE_CHECKING:
    import pandas as pd

Severity = Literal["critical", "high", "medium", "low"]
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low")
WIDEST = 60  # characters of an example
_SECRET = re.compile(r"passw|secret|token|api_?key|credential|private_?key|\bpin\b|\bcvv?\b|\bssn\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Issue:
    """One rule that one column breaks.

    Attributes
    ----------
    rule : str
        missing_field, rows, identifier, unique, completeness, type, range, pattern, allowed, outliers_iqr,
        outliers_zscore; a business rule by its name; `schema:` and the check of a schema that was added.
    column : str
        Of the data; of a rule over several columns, all of them.
    severity : {"critical", "high", "medium", "low"}
    count : int
        How many rows.
    share : float
        Of the rows, or of the values that are there.
    message : str
    examples : list of dict
        `{"row": 0-based place, "value": text}`; a value is cut short, and one of a secret column masked.
    """

    rule: str
    column: str
    severity: Severity
    count: int
    share: float
    message: str
    examples: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def ordered(issues: Iterable[Issue]) -> list[Issue]:
    """The severest first; of one severity, those of more rows."""
    return sorted(issues, key=lambda issue: (SEVERITIES.index(issue.severity), -issue.count, issue.rule, issue.column))


def pairs(issues: Iterable[Issue], severity: Severity) -> int:
    """How many distinct rules and columns have an issue of that severity."""
    return len({(issue.rule, issue.column) for issue in issues if issue.severity == severity})


def examples(values: pd.Series | None, places: Iterable[int], column: str) -> list[dict[str, Any]]:
    """The rows at those places, as an issue shows them."""
    return [
        {"row": int(place)} if values is None else {"row": int(place), "value": shown(values.iloc[int(place)], column)}
        for place in places
    ]


def shown(cell: object, column: str) -> str:
    """A value as it may be shown."""
    if _SECRET.search(column):
        return MASK
    text = redact(str(cell))
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def number(count: int, what: str) -> str:
    """A count in words: `1 row`, `2,000 rows`."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")
