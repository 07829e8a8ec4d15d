"""What a function returned, as its sinks take it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Number
from pathlib import PurePath
from typing import Any, get_origin

from framework.attempt import attempt
from framework.errors import StepError
from framework.steps.markers import parts_of

_WIDER: dict[type, tuple[type, ...]] = {  # what a handler takes for the type as well
    int: (Number,),
    float: (Number,),
    complex: (Number,),
    PurePath: (PurePath, str),
    bytes: (bytes, bytearray, memoryview),
}


def sorted_out(
    value: Any,
    names: Sequence[str],
    by_field: Mapping[str, str],
    kind_of: Callable[[str], Any],
    *,
    more: Iterable[str] = (),
    step: str,
) -> Mapping[str, Any]:
    """What was returned, by the names of the data; nothing for None.

    Parameters
    ----------
    names : sequence of str
        The data that the step makes, in the order in which a tuple holds it.
    by_field : mapping
        The fields of the config that stand for them.
    kind_of : callable
        The declared type of one.
    more : iterable of str
        Other names that a mapping may hold.

    Raises
    ------
    StepError
        It cannot be told what is what.
    """
    if value is None:
        return {}
    known = {**{name: name for name in (*more, *names)}, **by_field}
    if len(names) == 1 and not _is_by_name(value, known, kind_of(names[0])):
        return {names[0]: value}
    if isinstance(value, Mapping):
        unknown = [key for key in value if key not in known]
        if not unknown:
            return {known[key]: each for key, each in value.items()}
        raise StepError(
            f"{step!r} returned {unknown[0]!r}, which is none of its sinks.",
            cure=f"They are: {', '.join(names)}.",
            resource=step,
        )
    if inspect.isgenerator(value) or not isinstance(value, (tuple, list)) or len(value) != len(names):
        count = f"{len(value)} values" if isinstance(value, (tuple, list)) else type(value).__name__
        raise StepError(
            f"{step!r} returned {count} for {len(names)} sinks.",
            cure=f"Return a mapping with {', '.join(names)}, or as many values in that order.",
            resource=step,
        )
    return dict(zip(names, value, strict=True))


def _is_by_name(value: Any, known: Mapping[str, str], kind: Any) -> bool:
    """Whether a value for one sink is a mapping of that sink, not its data."""
    by_name = isinstance(value, Mapping) and bool(value) and all(isinstance(key, str) and key in known for key in value)
    return by_name and kind is not Any and not fits(value, kind)


def checked(value: Any, kind: Any, name: str, *, field: str, step: str) -> None:
    """StepError for data that is not of the type that its sink declares."""
    if fits(value, kind):
        return
    declared = " or ".join(_called(part) for part in parts_of(kind) if part is not type(None))
    raise StepError(
        f"{step!r} returned a {type(value).__name__} for {name!r}, which is declared as {declared}.",
        cure=f"Return that, or change the type of the field {field!r}.",
        resource=name,
    )


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a type, as far as that can be seen from outside; an iterator may be anything in pieces."""
    return hasattr(value, "__next__") or any(_is_a(value, part) for part in parts_of(kind))


def _is_a(value: Any, part: Any) -> bool:
    kind = get_origin(part) or part
    if not isinstance(kind, type):
        return True
    plain = next((base for base in kind.__mro__ if base.__module__.partition(".")[0] == "pandas"), kind)
    wider = next((more for base, more in _WIDER.items() if issubclass(plain, base)), (plain,))
    fit = attempt(plain.__name__, lambda: isinstance(value, wider))
    return fit.value is not False  # a protocol cannot always be asked


def _called(part: Any) -> str:
    return part.__name__ if isinstance(part, type) else str(part)
