"""Errors: the tree as drawn, messages with their cure, what they survive."""

from __future__ import annotations

import pickle
import re

import pytest

from framework import errors
from framework.errors import (
    BaseFrameworkException,
    DatasetNotFoundError,
    FormatError,
    MissingExtraError,
    PartialFailure,
    StorageError,
    UnknownNameError,
    known_names,
    nearest,
)
from framework.results import Result

DRAWN = re.findall(r"^([│├└─ ]*)(\w+(?:Exception|Error|Failure))\b", errors.__doc__ or "", re.MULTILINE)
KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, BaseFrameworkException)
}


def test_every_error_is_drawn_once_and_under_its_parent() -> None:
    """The tree at the top of the file is the tree."""
    names = [name for _, name in DRAWN]
    assert sorted(names) == sorted(KINDS)
    parents: list[tuple[int, str]] = []
    for branch, name in DRAWN:
        depth = len(branch)
        while parents and parents[-1][0] >= depth:
            parents.pop()
        if parents:
            assert KINDS[parents[-1][1]] in KINDS[name].__bases__, name
        parents.append((depth, name))


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.__name__)
def test_an_error_says_what_was_wrong_and_the_cure_and_survives_a_process_border(
    kind: type[BaseFrameworkException],
) -> None:
    """Text, context and type are the same after pickling, as between the processes of one run."""
    error = kind("No such thing.", cure="Make one.", resource="csv:x", operation="get")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own, within this test
    assert type(copy) is kind
    assert str(copy) == str(error) == "No such thing. Make one."
    assert copy.context == error.context
    assert copy.context["resource"] == "csv:x"


def test_errors_for_names_and_files_are_also_the_errors_that_python_has() -> None:
    """Who catches KeyError or FileNotFoundError catches ours."""
    assert issubclass(DatasetNotFoundError, KeyError)
    assert issubclass(DatasetNotFoundError, FileNotFoundError)
    assert issubclass(UnknownNameError, KeyError)
    assert issubclass(MissingExtraError, ImportError)
    assert issubclass(StorageError, OSError)
    assert FormatError("x", line=3).line == 3


def test_the_nearest_name_is_proposed_and_a_strange_one_is_not() -> None:
    """A typing error finds its name whatever the case; nonsense finds none."""
    assert nearest("AAA - Energie", ["AAA - energy", "AAA - utilities"]) == "AAA - energy"
    assert nearest("xyz", ["energy"]) is None
    assert known_names("prces", ["prices", "orders"]) == "Did you mean 'prices'? Known: orders, prices."
    assert known_names("x", []) == "There are none yet."
    assert known_names("x", [f"n{i:02d}" for i in range(20)]).endswith("n11 and 8 more.")


def test_a_partial_failure_holds_its_report() -> None:
    """All that was tried is in it, in order."""
    report = [Result("a"), Result("b").fail(ValueError("no"))]
    assert PartialFailure("some failed", report).report == report
