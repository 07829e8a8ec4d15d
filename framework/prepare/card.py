"""The data card: what a prepared dataset is, what became of its rows and columns, and how good it was, as JSON.

A card may be handed on with its dataset: it tells of columns, never of a row. No value of an identifier, no example
and no text of few rows is in it; what a blueprint says of one identifier is told without it.
"""

from __future__ import annotations

import getpass
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from framework.attempt import attempt
from framework.logs import without_secrets
from framework.prepare.blueprint import Blueprint
from framework.prepare.card_columns import Done, columns_told
from framework.prepare.issues import SEVERITIES, Issue
from framework.prepare.scoring import WEIGHTS
from framework.prepare.validation_config import ValidationConfig

if TYPE_CHECKING:
    import pandas as pd

    from framework.prepare.recipe import Recipe
    from framework.prepare.states import PipelineState

FORMAT = "millpond-card"
VERSION = 1
CROSS_FITTED = (
    "The target-encoded columns are cross-fitted: each row of this dataset has a value learnt of other rows alone. "
    "The recipe's transform of these same rows gives other values in them; of new rows it gives the right ones."
)


def data_card(
    state: PipelineState,
    recipe: Recipe,
    frame: pd.DataFrame,
    blueprint: Blueprint,
    *,
    thresholds: Mapping[str, float] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What the dataset is, JSON-able and without a secret or a value of an identifier.

    Parameters
    ----------
    state : PipelineState
        After its last stage.
    recipe : Recipe
    frame : pandas.DataFrame
        As it came out.
    blueprint : Blueprint
    thresholds : mapping, optional
        By which it was judged; the blueprint's unless given.
    settings : mapping, optional
        Of the pipeline, beside those of preprocessing, which the recipe has.

    Returns
    -------
    dict
        format, version, fingerprint, dataset, made, source, rows, columns, absent, incomplete, dropped, quality,
        choices, settings, cross_fitted, notes, warnings.
    """
    work = Done.of(state.preprocessing)
    crossed = [name for name, each in recipe.encodings.items() if each["method"] == "target" and work.is_fit]
    card = {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": _fingerprint(frame),
        "dataset": _dataset(state, recipe, frame, blueprint),
        "made": _made(state, recipe),
        "source": _source(state),
        "rows": rows_told(state),
        "columns": columns_told(recipe, work, frame, blueprint),
        "absent": _absent(recipe, work, blueprint),
        "incomplete": _incomplete(recipe, work, frame, blueprint),
        "dropped": work.dropped,
        "quality": _quality(state, blueprint, thresholds),
        "choices": work.choices,
        "settings": {**_settings(recipe), **dict(settings or {})},
        "cross_fitted": crossed,
        "notes": [*work.notes, *([CROSS_FITTED] if crossed else [])],
        "warnings": warnings_told(state),
    }
    told: dict[str, Any] = without_secrets(_plain(card))
    return told


def _plain(value: Any) -> Any:
    """As JSON has it: numbers of numpy as Python's, none that is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if hasattr(value, "dtype") and hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def source_name(source: str) -> str:
    """The name of a file without its folder, in whichever way the folder is written."""
    return PureWindowsPath(PurePosixPath(source).name).name or source


def _fingerprint(frame: pd.DataFrame) -> str:
    from framework.schema import encode, fingerprint

    return fingerprint(*encode(frame, lossy=True))


def _dataset(state: PipelineState, recipe: Recipe, frame: pd.DataFrame, blueprint: Blueprint) -> dict[str, Any]:
    work = Done.of(state.preprocessing)
    return {
        "blueprint": blueprint.name,
        "description": blueprint.description,
        "source": source_name(state.source),
        "as_of": recipe.as_of,
        "rows": len(frame),
        "columns": len(frame.columns),
        "identifier": list(blueprint.identifier),
        "time": blueprint.time,
        "target": recipe.target,
        "bytes": {"before": work.bytes_before, "after": work.bytes_after, "features": work.bytes_features},
    }


def _made(state: PipelineState, recipe: Recipe) -> dict[str, Any]:
    return {
        "run": state.id,
        "by": attempt("user", getpass.getuser).value or "",
        "started_at": moment_told(state.started_at),
        "ended_at": moment_told(state.ended_at or time.time()),
        "seconds": {name: round(taken, 4) for name, taken in state.seconds.items()},
        "versions": recipe.versions,
    }


def moment_told(seconds: float | None) -> str | None:
    """Seconds of the epoch as ISO 8601, in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _source(state: PipelineState) -> dict[str, Any] | None:
    read = state.ingestion
    if read is None:
        return None
    names = ("bytes", "encoding", "encoding_confidence", "dialect", "compression", "rows", "rows_refused")
    told = {name: getattr(read, name) for name in names}
    columns = [{name: each[name] for name in ("name", "type", "nulls") if name in each} for each in read.columns]
    return {"file": source_name(read.file), **told, "columns": columns}


def rows_told(state: PipelineState) -> dict[str, Any]:
    """How many rows were read, refused and came out, and why; None where it did not get so far."""
    read, work = state.ingestion, Done.of(state.preprocessing)
    refused = [{"why": each["why"], "count": each["count"]} for each in work.refused]
    taken_in = work.rows_in or (read.rows if read is not None else None)
    out = work.rows_out or None
    left = (taken_in or 0) - sum(each["count"] for each in refused)
    return {
        "read": taken_in,
        "refused_in_file": 0 if read is None else read.rows_refused,
        "refused_in_file_why": [] if read is None else _counted(why for _, why in read.refused),
        "refused": refused,
        "brought_together": max(left - out, 0) if out else 0,
        "out": out,
        "notes": list(work.notes),
    }


def _counted(whys: Any) -> list[dict[str, Any]]:
    return [{"why": why, "count": count} for why, count in Counter(whys).most_common(20)]


def _absent(recipe: Recipe, work: Done, blueprint: Blueprint) -> list[dict[str, Any]]:
    """Features that were not made, and what they lack."""
    there = {each.name for each in recipe.inputs}
    said = {each["feature"]: each["lacking"] for each in work.features_absent}
    return [
        {
            "feature": each.name,
            "lacking": list(said.get(each.name, [need for need in each.needs if need not in there])),
            "formula": each.formula,
            "unit": each.unit,
        }
        for each in blueprint.features
        if each.name not in recipe.features
    ]


def _incomplete(recipe: Recipe, work: Done, frame: pd.DataFrame, blueprint: Blueprint) -> list[dict[str, Any]]:
    """Features that lack a value in some rows, and why: a reason that names an identifier without it, counted."""
    gaps = {name: int(frame[name].isna().sum()) for name in recipe.features if name in frame}
    gaps = {name: count for name, count in gaps.items() if count}
    named = _identifiers(frame, blueprint) if gaps else set()
    made = []
    for name, rows in gaps.items():
        reasons = Counter(_without_names(str(why), named) for why in recipe.learnt.get("why", {}).get(name, []))
        counted = [f"{why} ({count:,} times)" if count > 1 else why for why, count in reasons.most_common(5)]
        made.append({"feature": name, "rows": rows, "why": counted if work.is_fit else list(reasons)[:5]})
    return made


def _identifiers(frame: pd.DataFrame, blueprint: Blueprint) -> set[str]:
    kinds = {each.name for each in blueprint.fields if each.kind == "identifier"} | set(blueprint.identifier)
    return {str(value) for name in kinds if name in frame for value in frame[name].dropna().unique()}


def _without_names(why: str, named: set[str]) -> str:
    """The reason without the identifier before its colon, and without one among its words."""
    at = why.find(": ")
    while at >= 0:
        if why[:at] in named:
            return _without_words(why[at + 2 :], named)
        at = why.find(": ", at + 1)
    return _without_words(why, named)


def _without_words(why: str, named: set[str]) -> str:
    """A short number is left: it is rather a count than an identifier."""
    words = [word for word in why.split() if not (word.isdigit() and len(word) < 4)]
    hit = {word for word in words if word.strip(".,;:()'\"") in named}
    return " ".join("…" if word in hit else word for word in why.split())


def warnings_told(state: PipelineState) -> list[str]:
    """What was warned of, each once: what names an identifier or a text of the data is told without it."""
    work = Done.of(state.preprocessing)
    found = [*state.warnings, *work.warnings]
    for stage in (state.ingestion, state.compatibility):
        found += [] if stage is None else stage.warnings
    features = tuple(f"{each['feature']} is missing in " for each in work.features_missing)
    unseen = tuple(f"{name} has " for name in work.unseen)
    kept = [
        each
        for each in dict.fromkeys(found)
        if not each.startswith(features) and not (each.startswith(unseen) and "has not seen" in each)
    ]
    return kept + [
        f"{name} has {sum(seen.values()):,} values that the recipe has not seen" for name, seen in work.unseen.items()
    ]


def _quality(state: PipelineState, blueprint: Blueprint, thresholds: Mapping[str, float] | None) -> dict[str, Any]:
    judged = state.validation
    made: dict[str, Any] = {"thresholds": dict(thresholds or ValidationConfig().thresholds(blueprint))}
    made["final"] = None if state.quality is None else _final(state.quality)
    if judged is None:
        return made
    made["issues"] = _by_severity(judged.issues)
    made |= {"passed": judged.passed, "failures": judged.failures, "score": None}
    if judged.score is not None:
        made |= {"score": judged.score.value, "formula": judged.score.formula, "parts": parts_told(judged)}
    return made


def _by_severity(issues: Sequence[Issue]) -> dict[str, list[dict[str, Any]]]:
    """Without their examples, which are values of rows."""
    told = ("rule", "column", "count", "share", "message")
    return {
        severity: [{name: getattr(each, name) for name in told} for each in issues if each.severity == severity]
        for severity in SEVERITIES
    }


def _final(quality: Any) -> dict[str, Any]:
    """What the last look found."""
    shares = {name: getattr(quality, name).overall for name in WEIGHTS}
    found = {"score": quality.score.value, "passed": quality.passed, "failures": quality.failures}
    return {**found, **shares, "issues": _by_severity(quality.issues)}


def parts_told(judged: Any) -> list[dict[str, Any]]:
    """The three parts of the score: the share, the points it may give and gives, and what cost how many."""
    made = []
    for name, weight in WEIGHTS.items():
        lost = [each for each in judged.score.reasons if each.part == name]
        measure = getattr(judged, name)
        reasons = [{"field": each.field, "points": each.points, "why": each.why} for each in lost]
        made.append(
            {
                "part": name,
                "share": None if measure is None else measure.overall,
                "fields": {} if measure is None else dict(measure.fields),
                "points": weight - sum(each.points for each in lost),
                "most": weight,
                "lost": reasons,
            }
        )
    return made


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {**recipe.config, "as_of": recipe.as_of, "target": recipe.target, "keep_dates": recipe.keep_dates}
