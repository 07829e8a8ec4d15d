"""What of a dataset is judged, and how strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from framework.errors import OptionError, known_names
from framework.prepare.blueprint import Blueprint

THRESHOLDS = {"completeness": 0.95, "uniqueness": 1.0, "validity": 0.98, "score": 80.0}
SWITCHES = ("schema_validation", "quality_checks", "statistical_validation")


@dataclass(frozen=True, slots=True)
class ValidationConfig:
    """What is judged, and how strictly.

    Attributes
    ----------
    schema_validation : bool
        That the required fields are there, of their types; and the schema that was added.
    quality_checks : bool
        Completeness, uniqueness, ranges, patterns, allowed values, the blueprint's rules; and the score.
    statistical_validation : bool
        Outliers.
    completeness, uniqueness, validity, score : float, optional
        Thresholds; the blueprint's unless given, else 0.95, 1.0, 0.98 and 80.
    outlier_share : float
        Outliers of more than this are a medium issue.
    iqr_factor, zscore : float
        From where a value is an outlier.
    max_high : int
        How many high issues are put up with.
    examples : int
        How many rows an issue shows at most.
    """

    schema_validation: bool = True
    quality_checks: bool = True
    statistical_validation: bool = True
    completeness: float | None = None
    uniqueness: float | None = None
    validity: float | None = None
    score: float | None = None
    outlier_share: float = 0.05
    iqr_factor: float = 1.5
    zscore: float = 3.0
    max_high: int = 5
    examples: int = 3

    @classmethod
    def of(cls, given: Mapping[str, Any] | ValidationConfig | None, **thresholds: float) -> ValidationConfig:
        """The configuration that a mapping says; OptionError for a key or value that is none."""
        if isinstance(given, ValidationConfig):
            return replace(given, **checked_options({**thresholds}))
        return cls(**checked_options({**(given or {}), **thresholds}))

    def thresholds(self, blueprint: Blueprint) -> dict[str, float]:
        """What was configured over what the blueprint says over what is usual."""
        own = {name: value for name in THRESHOLDS if (value := getattr(self, name)) is not None}
        return {**THRESHOLDS, **checked_options(dict(blueprint.thresholds)), **own}


def checked_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options, if each is one and has a value that it may have."""
    known = [each.name for each in fields(ValidationConfig)]
    for name, value in options.items():
        if name not in known:
            raise OptionError(f"Validation has no option {name!r}.", cure=known_names(str(name), known), resource=name)
        wanted = _wanted(name, value)
        if wanted:
            raise OptionError(f"{name} is {wanted}, not {value!r}.", resource=name)
    return options


def _wanted(name: str, value: Any) -> str | None:
    """What the option takes, if this is not it."""
    if name in SWITCHES:
        return None if isinstance(value, bool) else "true or false"
    if value is None and name in THRESHOLDS:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value != value:
        return "a number"
    if name in ("max_high", "examples"):
        return None if isinstance(value, int) and value >= 0 else "a whole number from 0 on"
    if name in ("iqr_factor", "zscore"):
        return None if value > 0 else "a number over 0"
    most = 100 if name == "score" else 1
    return None if 0 <= value <= most else f"a number from 0 to {most}"
