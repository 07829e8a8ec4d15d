"""From checked rows to columns for a model: types, missing values, caps, features, encodings, scales, in this order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from framework.prepare.blueprint import Blueprint
from framework.prepare.learning import Learning
from framework.prepare.preprocessing_config import CHOICES, checked_config
from framework.prepare.recipe import Recipe
from framework.prepare.rows import nothing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CHOICES", "DataPreprocessingService", "PreprocessingResult", "checked_config"]


@dataclass(slots=True)
class PreprocessingResult:
    """What preprocessing did, and why.

    Attributes
    ----------
    as_of : str
    rows_in, rows_out : int
    choices : list of dict
        {column, what, why} of every choice that was made.
    imputed : dict
        How many values stand in for missing ones, by column.
    capped : dict
        {column: {below, above}}.
    encoded : dict
        {column: method}.
    scaled : list of str
    columns : dict
        {name: type} of what came out, in order.
    features_created : list of str
    features_absent : list of dict
        {feature, lacking}: the fields without which it could not be made.
    features_missing : list of dict
        {feature, rows, why}: features that lack a value in some rows.
    dropped : list of dict
        {column, why}: columns that did not come out.
    refused : list of dict
        {why, count, rows}.
    bytes_before, bytes_after : int
        Of the columns that came out, as they came and as they are.
    bytes_features : int
        Of the features, which were not there before.
    notes, warnings : list of str
    seconds : float
    """

    as_of: str = ""
    rows_in: int = 0
    rows_out: int = 0
    choices: list[dict[str, Any]] = field(default_factory=list)
    imputed: dict[str, int] = field(default_factory=dict)
    capped: dict[str, dict[str, int]] = field(default_factory=dict)
    encoded: dict[str, str] = field(default_factory=dict)
    scaled: list[str] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    features_created: list[str] = field(default_factory=list)
    features_absent: list[dict[str, Any]] = field(default_factory=list)
    features_missing: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, str]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    bytes_before: int = 0
    bytes_after: int = 0
    bytes_features: int = 0
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return asdict(self)


class DataPreprocessingService:
    """Makes columns for a model of checked rows, and the recipe by which other rows get the same.

    Parameters
    ----------
    config : mapping, optional
        See `checked_config`.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self.config = checked_config(config)

    def fit(
        self,
        frame: pd.DataFrame,
        blueprint: Blueprint,
        *,
        as_of: Any = None,
        target: str | None = None,
        keep_dates: bool = False,
        keep_extra: bool = False,
        check: Callable[[], None] = nothing,
    ) -> tuple[pd.DataFrame, pd.DataFrame, Recipe, PreprocessingResult]:
        """Learn of these rows and prepare them.

        Parameters
        ----------
        frame : pandas.DataFrame
            Its columns have the names of the blueprint's fields.
        blueprint : Blueprint
        as_of : str, date or datetime, optional
            No feature sees a row after it; later rows are refused and counted. The latest date in the frame unless
            given, which is warned of.
        target : str, optional
            What a model is to foretell; the blueprint's unless given. It comes last and as it is; a row without it is
            refused.
        keep_dates : bool
            Whether dates come out too.
        keep_extra : bool
            Whether columns that the blueprint does not name come out too.
        check : callable
            Called between pieces of work; raises to stop.

        Returns
        -------
        tuple
            (frame, features as they are before scaling, recipe, result). The frame is what the recipe's `transform`
            makes of the same rows, bit by bit, but for target-encoded columns, which are cross-fitted here.

        Raises
        ------
        CompatibilityException
            A required field or the target is missing.
        ParameterError
            Target encoding without a target, a target of texts, settings that the blueprint does not have.
        ProcessingException
            A value cannot be read as its kind, a column or every row is empty, a date lies after `as_of`.
        """
        started = time.perf_counter()
        result = PreprocessingResult()
        learning = Learning(self.config, blueprint, result, target=target, keep_dates=keep_dates, check=check)
        learning.choose_inputs(frame, keep_extra=keep_extra)
        learning.admit(frame, as_of)
        learning.impute()
        learning.make_features()
        made = learning.finish(frame)
        result.seconds = time.perf_counter() - started
        return made, learning.raw, learning.recipe, result
