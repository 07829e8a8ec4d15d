"""What a preparation is asked for: the pipeline's configuration, and what a single call says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict, get_type_hints

from framework.errors import OptionError, known_names
from framework.prepare.blueprint import Blueprint
from framework.prepare.preprocessing import checked_config
from framework.prepare.validation_config import THRESHOLDS, ValidationConfig


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """How a pipeline validates and preprocesses; what is not said is as usual.

    Parameters
    ----------
    validation_config : mapping
        The switches schema_validation, quality_checks, statistical_validation, and the rest of `ValidationConfig`.
    preprocessing_config : mapping
        missing_value_strategy, outlier_method, encoding_strategy, scaling_method, feature_settings: see
        `preprocessing.checked_config`. What a call says wins, key by key.
    quality_thresholds : mapping
        completeness, uniqueness, validity (0 to 1) and score (0 to 100).

    Raises
    ------
    OptionError, ParameterError
        A key or value that there is not; the message names those that there are.

    Examples
    --------
    >>> PipelineConfig(preprocessing_config={"scaling_method": "minmax"}, quality_thresholds={"completeness": 0.9})
    """

    validation_config: Mapping[str, Any] = field(default_factory=dict)
    preprocessing_config: Mapping[str, Any] = field(default_factory=dict)
    quality_thresholds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("validation_config", "preprocessing_config", "quality_thresholds"):
            if not isinstance(getattr(self, name), Mapping):
                raise OptionError(f"{name} is a {type(getattr(self, name)).__name__}.", cure="Pass a mapping.")
        known = list(THRESHOLDS)
        for name in self.quality_thresholds:
            if name not in known:
                raise OptionError(f"There is no quality threshold {name!r}.", cure=known_names(str(name), known))
        self.validation()
        self.preprocessing()

    def validation(self) -> ValidationConfig:
        """How data is judged."""
        return ValidationConfig.of({**self.validation_config, **self.quality_thresholds})

    def preprocessing(self, over: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """How data is preprocessed; `over` wins, key by key."""
        if not isinstance(over, Mapping | None):
            raise OptionError(f"preprocessing_config is a {type(over).__name__}.", cure="Pass a mapping.")
        return checked_config({**self.preprocessing_config, **(over or {})})

    def as_dict(self) -> dict[str, Any]:
        """As it is recorded."""
        return {
            "validation_config": dict(self.validation_config),
            "preprocessing_config": dict(self.preprocessing_config),
            "quality_thresholds": dict(self.quality_thresholds),
        }


class Asked(TypedDict, total=False):
    """What a call may say beside the file and its blueprint.

    Attributes
    ----------
    mapping : mapping
        {field of the blueprint: column of the file}.
    as_of : str or date
        No feature sees a row after it; the latest date in the file unless given, or the recipe's.
    target : str
        What a model is to foretell; the blueprint's unless given.
    keep_dates, keep_extra : bool
        Whether dates, and columns that the blueprint does not name, come out too.
    recipe : str or path
        Apply this one instead of learning another: a file, or the folder of a preparation.
    out : str
        `store:name`, where the dataset is saved.
    dataset : str
        What it is called; as in `out`, or as the file, unless given.
    report : bool
        Whether an HTML report is written; true unless given.
    allow_shrink : bool
        Whether `out` may become empty, or less than half of what it was.
    encoding, delimiter, decimal, date_format, header, on_bad_rows, max_rows
        As `DataIngestionService.ingest` has them.
    """

    mapping: Mapping[str, str] | None
    as_of: Any
    target: str | None
    keep_dates: bool
    keep_extra: bool
    recipe: str | Path | None
    out: str | None
    dataset: str | None
    report: bool
    allow_shrink: bool
    encoding: str | None
    delimiter: str | None
    decimal: str | None
    date_format: str | Mapping[str, str | None] | None
    header: bool | None
    on_bad_rows: Literal["refuse", "quarantine"]
    max_rows: int | None


READING = ("encoding", "delimiter", "decimal", "date_format", "header", "on_bad_rows", "max_rows")
SAID_BY_A_RECIPE = ("target", "keep_dates", "keep_extra")
YES_OR_NO = ("keep_dates", "keep_extra", "report", "allow_shrink")
TEXTS = ("target", "out", "dataset")
_ADDRESS = re.compile(r"[a-zA-Z][\w+.-]*:/")  # a path loses one of the two strokes


@dataclass(slots=True)
class Request:
    """One dataset to prepare.

    Attributes
    ----------
    source : path or binary stream
    name : str
        What the file is called.
    blueprint : str or Blueprint, optional
        Where a recipe is given, that recipe's.
    preprocessing : mapping, optional
        Over the pipeline's, key by key.
    asked : Asked
    content_length : int, optional
        How many bytes a stream was said to have.

    Raises
    ------
    OptionError
        What is asked for cannot be meant.
    """

    source: Any
    name: str
    blueprint: str | Blueprint | None = None
    preprocessing: Mapping[str, Any] | None = None
    asked: Asked = field(default_factory=Asked)
    content_length: int | None = None

    def __post_init__(self) -> None:
        known = list(get_type_hints(Asked))
        for name in self.asked:
            if name not in known:
                raise OptionError(f"A preparation has no option {name!r}.", cure=known_names(str(name), known))
        if not isinstance(self.name, str) or not self.name:
            raise OptionError(f"{self.name!r} is no name of a file.", cure="Pass text.")
        if not isinstance(self.blueprint, str | Blueprint | None):
            raise OptionError(
                f"blueprint_name is a {type(self.blueprint).__name__}.", cure="Pass a name or a Blueprint."
            )
        if not isinstance(self.preprocessing, Mapping | None):
            kind = type(self.preprocessing).__name__
            raise OptionError(f"preprocessing_config is a {kind}.", cure="Pass a mapping.")
        self._check_asked()
        self._check_recipe()
        for what in (self.name, self.asked.get("out")):
            if what is not None and (found := _ADDRESS.match(what)):
                raise OptionError(f"An address, {found[0]}..., is no file and no dataset.", cure="Give a path.")

    def _check_asked(self) -> None:
        for name, value in self.asked.items():
            if name in YES_OR_NO and not isinstance(value, bool):
                raise OptionError(f"{name}={value!r} is neither True nor False.", resource=name)
            if name in TEXTS and value is not None and not (isinstance(value, str) and value):
                raise OptionError(f"{name}={value!r} is no name.", cure="Pass text.", resource=name)
        mapping = self.asked.get("mapping")
        if not isinstance(mapping, Mapping | None) or not all(
            isinstance(each, str) for pair in (mapping or {}).items() for each in pair
        ):
            raise OptionError(f"mapping={mapping!r} is none.", cure="Pass {field: column}.", resource="mapping")

    def _check_recipe(self) -> None:
        recipe = self.asked.get("recipe")
        if recipe is None:
            if not self.blueprint:
                raise OptionError("It is not said for what.", cure="Name a blueprint, or give a recipe.")
            return
        if not isinstance(recipe, str | Path) or not str(recipe):
            raise OptionError(f"recipe={recipe!r} is no path.", cure="Give a recipe.json, or its folder.")
        said = [name for name in SAID_BY_A_RECIPE if self.asked.get(name)]
        if self.preprocessing:
            said.append("preprocessing_config")
        if said:
            raise OptionError(f"The recipe says {said[0]} itself.", cure="Leave it out, or learn another recipe.")

    @property
    def blueprint_name(self) -> str:
        return self.blueprint.name if isinstance(self.blueprint, Blueprint) else self.blueprint or ""

    def told(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Of what was asked, that of those names."""
        return {name: value for name, value in self.asked.items() if name in names}
