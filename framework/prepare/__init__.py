"""Preparing data for a model: ingestion, validation, compatibility, preprocessing, features, quality."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.prepare.blueprint import Blueprint, Feature, Field, Plot, Rule
    from framework.prepare.configuration import PipelineConfig
    from framework.prepare.ingestion import DataIngestionService
    from framework.prepare.orchestrator import PipelineOrchestrator
    from framework.prepare.pipeline import DataPipeline
    from framework.prepare.preprocessing import DataPreprocessingService
    from framework.prepare.recipe import Recipe
    from framework.prepare.schemas import SchemaRegistry
    from framework.prepare.skimming import skim
    from framework.prepare.states import PipelineState, PipelineStatus
    from framework.prepare.validation import DataValidationService

_HOMES = {
    "Blueprint": "blueprint",
    "DataIngestionService": "ingestion",
    "DataPipeline": "pipeline",
    "DataPreprocessingService": "preprocessing",
    "DataValidationService": "validation",
    "Feature": "blueprint",
    "Field": "blueprint",
    "PipelineConfig": "configuration",
    "PipelineOrchestrator": "orchestrator",
    "PipelineState": "states",
    "PipelineStatus": "states",
    "Plot": "blueprint",
    "Recipe": "recipe",
    "Rule": "blueprint",
    "SchemaRegistry": "schemas",
    "skim": "skimming",
}

__all__ = [
    "Blueprint",
    "DataIngestionService",
    "DataPipeline",
    "DataPreprocessingService",
    "DataValidationService",
    "Feature",
    "Field",
    "PipelineConfig",
    "PipelineOrchestrator",
    "PipelineState",
    "PipelineStatus",
    "Plot",
    "Recipe",
    "Rule",
    "SchemaRegistry",
    "skim",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
