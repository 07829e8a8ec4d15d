"""What is told of a mod: its parameters, and an example that runs as it stands on files that it brings along."""

from __future__ import annotations

import csv
import io
import sqlite3
import types
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from framework.files import make_folder, replace_bytes, storage_errors
from framework.mods.mod import Mod
from framework.registry import missing_extra
from framework.steps.models import keys_of

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

WORKSPACE = "millpond.yaml"
EXAMPLE, FILES = "EXAMPLE", "EXAMPLE_FILES"


def told(mod: Mod) -> dict[str, Any]:
    """A mod's metadata and its parameters."""
    metadata = mod.metadata
    return {
        "mod": metadata.name,
        "version": metadata.version,
        "what it does": metadata.description,
        "author": metadata.author,
        "tags": ", ".join(metadata.tags),
        "reads": ", ".join(mod.consumes),
        "makes": ", ".join(metadata.artifacts.makes),
        "module": mod.module.__name__,
        "parameters": [_parameter(keys_of(mod.model)[name], info) for name, info in mod.model.model_fields.items()],
    }


def _parameter(name: str, info: FieldInfo) -> dict[str, Any]:
    default = "needed" if info.is_required() else _shown(info.get_default(call_default_factory=True))
    return {"parameter": name, "type": kind_of(info.annotation), "default": default, "what": info.description or ""}


def _shown(value: Any) -> str:
    return "" if value is None else str(value)


def kind_of(annotation: Any) -> str:
    """A type in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(kind_of(part) for part in parts if part is not type(None))
    if origin is not None and str(origin).endswith("Literal"):
        return " | ".join(map(str, parts))
    if origin in (list, tuple, set):
        return f"list of {kind_of(parts[0])}" if parts else "list"
    if origin is dict:
        return "mapping"
    if hasattr(annotation, "__metadata__"):
        return kind_of(parts[0])
    return {
        "str": "text",
        "int": "whole number",
        "float": "number",
        "bool": "true or false",
        "SecretStr": "secret",
    }.get(getattr(annotation, "__name__", str(annotation)), getattr(annotation, "__name__", str(annotation)))


def example_of(mod: Mod) -> str:
    """A job of that mod alone, as YAML: what it brings along, else its parameters that must be said."""
    import yaml

    params = getattr(mod.module, EXAMPLE, None)
    if not isinstance(params, Mapping):
        params = {
            name: f"<{kind_of(info.annotation)}>" for name, info in mod.model.model_fields.items() if info.is_required()
        }
    return str(yaml.safe_dump({"mods": {mod.name: dict(params)}}, sort_keys=False, allow_unicode=True))


def write_example(mod: Mod, folder: Path) -> list[Path]:
    """Write a mod's example, and the files that it reads: `<mod>.yaml` is the job, in a workspace of its own.

    What is told as text becomes what its name says: CSV text a Parquet file or a workbook, SQL text a SQLite database.
    """
    made = [folder / f"{mod.name}.yaml"]
    with storage_errors(str(folder)):
        make_folder(folder)
        replace_bytes(made[0], example_of(mod).encode())
        if not (folder / WORKSPACE).exists():  # else its paths would begin in the one around it
            replace_bytes(folder / WORKSPACE, b"")
        for name, text in getattr(mod.module, FILES, {}).items():
            path = folder / name
            make_folder(path.parent)
            WRITERS.get(path.suffix, _as_text)(path, text)
            made.append(path)
    return made


def _as_text(path: Path, text: str) -> None:
    replace_bytes(path, text.encode())


def _as_parquet(path: Path, text: str) -> None:
    from framework.mods.artifacts import opened, write_tables

    beside = path.with_suffix(".csv")
    replace_bytes(beside, text.encode())
    try:
        with opened(beside) as (schema, pieces):
            write_tables(path, schema, pieces)
    finally:
        beside.unlink()


def _as_workbook(path: Path, text: str) -> None:
    try:
        import openpyxl
    except ModuleNotFoundError as error:
        raise missing_extra("example", "excel", error.name) from error
    book = openpyxl.Workbook()
    sheet: Any = book.active
    for row in csv.reader(io.StringIO(text)):
        sheet.append(row)
    book.save(path)


def _as_database(path: Path, text: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(text)


WRITERS = {".parquet": _as_parquet, ".xlsx": _as_workbook, ".db": _as_database}
