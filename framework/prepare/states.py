"""How far a preparation is, and what each of its stages did: JSON-able, and on record in the ledger."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class PipelineStatus(StrEnum):
    """How far it is."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class StageResult(Protocol):
    """What a stage says of what it did."""

    def as_dict(self) -> dict[str, Any]: ...


STAGES = ("ingestion", "validation", "compatibility", "preprocessing", "feature_engineering", "quality")


@dataclass(slots=True)
class PipelineState:
    """One preparation.

    Attributes
    ----------
    id : str
        The run's, in the ledger and in each line of the log.
    status : PipelineStatus
    ingestion, validation, compatibility, preprocessing, feature_engineering, quality : object, optional
        What each stage did, once it is over.
    errors : list of str
    warnings : list of str
    seconds : mapping
        Of each stage.
    files : mapping
        Where the recipe, the report, the card and the dataset are.
    """

    source: str
    blueprint: str
    id: str = field(default_factory=lambda: f"prepare_{uuid.uuid4().hex[:8]}")
    status: PipelineStatus = PipelineStatus.PENDING
    started_at: float = field(default_factory=time.time)
    ended_at: float | None = None
    stage: str | None = None
    ingestion: Any = None
    validation: Any = None
    compatibility: Any = None
    preprocessing: Any = None
    feature_engineering: Any = None
    quality: Any = None
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    features_raw: Any = field(default=None, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """All of it but the data, as JSON knows it."""
        plain = (
            "source",
            "blueprint",
            "id",
            "started_at",
            "ended_at",
            "stage",
            "errors",
            "warnings",
            "seconds",
            "files",
        )
        told: dict[str, Any] = {name: getattr(self, name) for name in plain}
        told["status"] = str(self.status)
        for name in STAGES:
            result = getattr(self, name)
            told[name] = None if result is None else result.as_dict()
        return told


@dataclass(frozen=True, slots=True)
class FeatureEngineering:
    """Which features were made.

    Attributes
    ----------
    features_created : list of str
    features_absent : list of mapping
        Each with the fields that it lacks.
    """

    features_created: list[str] = field(default_factory=list)
    features_absent: list[dict[str, Any]] = field(default_factory=list)
    as_of: str | None = None
    rows_after_as_of: int = 0

    def as_dict(self) -> dict[str, Any]:
        return {
            name: getattr(self, name) for name in ("features_created", "features_absent", "as_of", "rows_after_as_of")
        }
