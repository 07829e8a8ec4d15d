"""The form of a recipe's JSON: whatever is not as a recipe writes it is named before anything is made of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from framework.attempt import attempt
from framework.errors import FormatError
from framework.prepare.blueprint import Blueprint
from framework.prepare.columns import FAMILIES, OF_KIND
from framework.prepare.preprocessing_config import checked_config
from framework.prepare.rows import moment

FORMAT = "millpond-recipe"
VERSION = 1
KEYS: dict[str, type | tuple[type, ...]] = {
    "config": dict, "as_of": str, "target": (str, type(None)), "keep_dates": bool, "inputs": list, "ignored": list,
    "values": dict, "caps": dict, "features": list, "formulas": dict, "learnt": dict, "encodings": dict,
    "scales": dict, "columns": dict, "versions": dict,
}  # fmt: skip
ROLES = ("field", "extra", "target", "left out")
SHAPE = {"name": str, "kind": str, "family": str, "role": str}


def read(text: str | bytes) -> dict[str, Any]:
    """The parts of a recipe.

    Raises
    ------
    FormatError
        It is no recipe, of another version, or a part of it is not as a recipe writes it.
    """
    try:
        found = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"The recipe is not JSON: {error}.", cure="Learn it anew, or restore the file.") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise FormatError("This is no recipe: its format is not millpond-recipe.", cure="Give a recipe.json.")
    if found.get("version") != VERSION:
        raise FormatError(
            f"The recipe has the format version {found.get('version')!r}; this Millpond reads {VERSION}.",
            cure="Install the Millpond that wrote it, or learn it anew.",
        )
    wrong = [name for name, kind in {**KEYS, "blueprint": str}.items() if not isinstance(found.get(name, ...), kind)]
    wrong = wrong or list(dict.fromkeys(_faults(found)))
    if wrong:
        raise FormatError(
            f"The recipe lacks or has wrongly: {', '.join(wrong)}.", cure="Learn it anew, or restore the file."
        )
    return found


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def suits(found: Mapping[str, Any], blueprint: Blueprint) -> None:
    """Whether the blueprint still is the one that the recipe was learnt by.

    Raises
    ------
    FormatError
        It is another, or its fields or features are others than they were; the message names them.
    """
    if blueprint.name != found["blueprint"]:
        raise FormatError(
            f"The recipe is of the blueprint {found['blueprint']!r}, not of {blueprint.name!r}.", cure="Give that one."
        )
    for what, names in _changes(found, blueprint):
        if names:
            raise FormatError(
                f"The blueprint {blueprint.name} {what} {', '.join(names)}, since the recipe was learnt.",
                cure="Learn the recipe anew, or install what it was learnt by.",
                resource=blueprint.name,
            )


def _changes(found: Mapping[str, Any], blueprint: Blueprint) -> Iterator[tuple[str, list[str]]]:
    formulas = {each.name: each.formula for each in blueprint.features}
    kinds = {each.name: each.kind for each in blueprint.fields}
    fields = [each for each in found["inputs"] if each["role"] == "field" or each["name"] in kinds]
    there = {each["name"] for each in found["inputs"]}
    yield "no longer makes", sorted(set(found["features"]) - set(formulas))
    yield "makes in another way", [name for name in found["features"] if found["formulas"][name] != formulas[name]]
    yield "no longer has the field", [each["name"] for each in fields if each["name"] not in kinds]
    yield "has as another kind", [each["name"] for each in fields if kinds[each["name"]] != each["kind"]]
    yield "now requires", [name for name in blueprint.required if name not in there]


def _faults(found: Mapping[str, Any]) -> Iterator[str]:
    """The parts that are not as a recipe writes them, each by its name and where in it."""
    if not _fine(lambda: checked_config(found["config"]) == found["config"]):
        yield "config"
    if not _fine(lambda: moment(found["as_of"]) is not None):
        yield "as_of"
    if not all(_is_input(each) for each in found["inputs"]) or not _distinct(each["name"] for each in found["inputs"]):
        yield "inputs"
        return
    for name in ("ignored", "features"):
        if not all(isinstance(each, str) for each in found[name]) or not _distinct(found[name]):
            yield name
            return
    for name in ("columns", "versions", "formulas"):
        if not all(isinstance(each, str) for each in found[name].values()):
            yield name
    if set(found["formulas"]) != set(found["features"]):
        yield "formulas"
    if [each["name"] for each in found["inputs"] if each["role"] == "target"] != [found["target"]] * bool(
        found["target"] is not None
    ):
        yield "target"
    yield from _of_columns(found)


def _of_columns(found: Mapping[str, Any]) -> Iterator[str]:
    """What was learnt of single columns."""
    kinds = {each["name"]: OF_KIND[each["kind"]] for each in found["inputs"] if each["role"] in ("field", "extra")}
    for name, value in found["values"].items():
        wanted = {"text": str, "number": float, "flag": float}.get(kinds.get(name, ""))
        if not (isinstance(value, str) if wanted is str else wanted is float and _is_number(value)):
            yield f"values ({name})"
    for name, fences in found["caps"].items():
        if kinds.get(name) != "number" or not _are_two(fences) or fences[0] > fences[1]:
            yield f"caps ({name})"
    for name, learnt in found["encodings"].items():
        if kinds.get(name) != "text" or not _is_encoding(name, learnt):
            yield f"encodings ({name})"
            return
    coded = {name for name, each in found["encodings"].items() if each["method"] == "target"}
    numbers = {name for name, kind in kinds.items() if kind == "number"} | coded | set(found["features"])
    for name, scale in found["scales"].items():
        by_nothing = (
            found["config"].get("scaling_method") in ("robust", "standard") and _are_two(scale) and not scale[1]
        )
        if name not in numbers or not _are_two(scale) or by_nothing:
            yield f"scales ({name})"
    yield from (f"columns ({name})" for name in set(found["columns"]) - _made(found, kinds))


def _made(found: Mapping[str, Any], kinds: Mapping[str, str]) -> set[str]:
    """The columns that may come out."""
    made = {name for name, kind in kinds.items() if kind != "text"} | set(found["features"])
    for name, learnt in found["encodings"].items():
        made |= set(learnt["columns"]) if learnt["method"] == "onehot" else {name}
    return made


def _is_input(each: Any) -> bool:
    return (
        isinstance(each, dict)
        and {name: type(value) for name, value in each.items()} == SHAPE
        and each["kind"] in OF_KIND
        and each["family"] in {*FAMILIES.values(), "text"}
        and each["role"] in ROLES
    )


def _is_encoding(name: str, learnt: Any) -> bool:
    if not isinstance(learnt, dict) or learnt.get("column") != name or not _texts(learnt.get("values")):
        return False
    count = len(learnt["values"])
    if learnt.get("method") == "onehot":
        return _texts(learnt.get("columns")) and len(learnt["columns"]) == count
    if learnt.get("method") == "target":
        means = learnt.get("means")
        return _is_number(learnt.get("mean")) and isinstance(means, list) and len(means) == count and _numbers(means)
    return learnt.get("method") == "label"


def _texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(each, str) for each in values) and _distinct(values)


def _distinct(values: Iterable[str]) -> bool:
    listed = list(values)
    return len(set(listed)) == len(listed)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _numbers(values: Iterable[Any]) -> bool:
    return all(_is_number(each) for each in values)


def _are_two(values: Any) -> bool:
    return isinstance(values, list) and len(values) == 2 and _numbers(values)


def _fine(judge: Callable[[], bool]) -> bool:
    tried = attempt("recipe", judge)
    return tried.error is None and bool(tried.value)
