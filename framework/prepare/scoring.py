"""The score of a dataset's quality, and what cost it how many points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

WEIGHTS = {"completeness": 40.0, "uniqueness": 30.0, "validity": 30.0}  # points


@dataclass(frozen=True, slots=True)
class Measure:
    """One share of what is good, over all and of each field.

    Attributes
    ----------
    overall : float
        Between 0 and 1: the mean over the required fields; of uniqueness, that of the identifier.
    fields : dict
        By the blueprint's names; of optional fields too, which the score does not look at.
    """

    overall: float
    fields: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reason:
    """Points that a field cost.

    Attributes
    ----------
    part : {"completeness", "uniqueness", "validity"}
    field : str
    points : float
    why : str
    """

    part: str
    field: str
    points: float
    why: str


@dataclass(frozen=True, slots=True)
class Score:
    """The score, 0 to 100, and what it lost: `value` and the points of all `reasons` are 100 together.

    Attributes
    ----------
    value : float
    reasons : list of Reason
        The dearest first.
    formula : str
    """

    value: float
    reasons: list[Reason]
    formula: str = (
        "100 x (0.40 completeness + 0.30 uniqueness + 0.30 validity); completeness and validity are means over the "
        "required fields, uniqueness is the share of rows whose identifier no earlier row has"
    )


def score_of(
    required: list[str],
    identifier: tuple[str, ...],
    *,
    completeness: Mapping[str, float],
    uniqueness: float,
    validity: Mapping[str, float],
) -> Score:
    r"""The score of a dataset.

    .. math:: 100 \times (0.40\,c + 0.30\,u + 0.30\,v)

    c is the mean, over the required fields, of the share of rows that have a value; v that of the share of values
    that break no rule of their field (type, range, pattern, allowed), 1 where there is no value; u the share of rows
    with an identifier that no earlier row has. A required field that is not there counts 0 in c and in v.
    Rules over several fields, outliers and optional fields cost nothing here: their issues say what is wrong.

    Parameters
    ----------
    required, identifier : names of fields
    completeness, validity : mapping
        By field, 0 to 1.
    uniqueness : float
    """
    reasons: list[Reason] = []
    for part, shares, words in (
        ("completeness", completeness, "of its rows have no value"),
        ("validity", validity, "of its values break a rule"),
    ):
        for name in required:
            lost = 1.0 - shares.get(name, 0.0)
            why = f"{percent(lost)} {words}" if name in shares else "it is not there"
            reasons.append(Reason(part, name, WEIGHTS[part] / len(required) * lost, why))
    why = f"{percent(1.0 - uniqueness)} of the rows repeat the identifier of an earlier one, or have none"
    reasons.append(Reason("uniqueness", ", ".join(identifier), WEIGHTS["uniqueness"] * (1.0 - uniqueness), why))
    dear = sorted((reason for reason in reasons if reason.points > 0), key=lambda reason: -reason.points)
    return Score(max(0.0, 100.0 - sum(reason.points for reason in dear)), dear)


def mean(shares: Mapping[str, float], names: list[str]) -> float:
    """Over those names; one that has no share counts 0, and none at all are whole."""
    return sum(shares.get(name, 0.0) for name in names) / len(names) if names else 1.0


def percent(share: float) -> str:
    """A share in words, never rounded to nothing or to all."""
    shown = 100.0 * share
    if 0 < shown < 0.01:
        return "less than 0.01 %"
    if 99.99 < shown < 100:
        return "more than 99.99 %"
    return f"{shown:.2f}".rstrip("0").rstrip(".") + " %"
