"""Data that a step declares in its config model: `Annotated[T, DataSource(name="prices")]`, and DataSink alike."""

from __future__ import annotations

import types
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, cast, get_args, get_origin

from framework.steps.models import complete

if TYPE_CHECKING:
    from pydantic import BaseModel

_MOST = 256  # models whose markers are remembered


@dataclass(frozen=True, slots=True)
class DataSource:
    """Data that is read: the field holds it when the step is called.

    Parameters
    ----------
    name : str
        What the case calls it.
    handler_args : mapping, optional
        Options of its handler; the case's own win.
    must_exist : bool
        Whether it is an error when there is none; otherwise the field is None.
    """

    name: str
    handler_args: Mapping[str, Any] | None = field(default=None, hash=False)  # Optional[...] hashes what it holds
    must_exist: bool = True


@dataclass(frozen=True, slots=True)
class DataSink:
    """Data that is written: what the step returns goes there.

    Where the sink is a folder, the field holds an empty one to write into, which takes its place afterwards.
    """

    name: str
    handler_args: Mapping[str, Any] | None = field(default=None, hash=False)  # Optional[...] hashes what it holds


Marker = TypeVar("Marker", DataSource, DataSink)


def markers(model: type[BaseModel], kind: type[Marker]) -> Mapping[str, Marker]:
    """The fields of a model that are marked so, in their order; PluginException for types that are not known."""
    return cast("Mapping[str, Marker]", _markers(model, cast("Hashable", kind)))


@lru_cache(_MOST)
def _markers(model: type[BaseModel], kind: Any) -> Mapping[str, Any]:
    found = {}
    for name, info in complete(model).model_fields.items():
        marker = next((each for each in (*info.metadata, *_within(info.annotation)) if isinstance(each, kind)), None)
        if marker is not None:
            found[name] = marker
    return types.MappingProxyType(found)


def _within(annotation: Any) -> Iterator[Any]:
    """What stands beside the types of which a field may be one: `Annotated[T, ...] | None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        for part in get_args(annotation):
            if get_origin(part) is Annotated:
                yield from get_args(part)[1:]


def parts_of(annotation: Any) -> tuple[Any, ...]:
    """The types of which a value may be one, without what stands beside them."""
    if get_origin(annotation) is Annotated:
        return parts_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(inner for part in get_args(annotation) for inner in parts_of(part))
    return (annotation,)
