"""`when:` of a job's step: what it understands, what it says of the rest, and that nothing is evaluated."""

from __future__ import annotations

import re
from typing import Any

import pytest

from framework.engine.when import When
from framework.errors import ParameterError

KNOWN: dict[str, Any] = {
    "${n}": 3,
    "${x}": 0.5,
    "${s}": "prod",
    "${t}": True,
    "${f}": False,
    "${none}": None,
    "${date}": "2026-01-31",
}
HOLDS = [
    "${n} == 3",
    "${n} != 4",
    "${n}<4",
    "${n} <= 3 and ${n} >= 3",
    "${x} > 0.25",
    "${n} > -1",
    "${s} == prod",
    '${s} == "prod"',
    "${s} in [dev, prod]",
    "${n} in [1, 2, 3]",
    "${none} == null",
    "${t}",
    "not ${f}",
    "not ${s} == dev",
    "not not ${t}",
    "${f} or ${t}",
    "${t} or ${f} and ${f}",  # `and` binds closer
    "not (${t} and ${f})",
    "(${f} or ${t}) and (${n} == 3)",
    '${date} == "2026-01-31"',
    '${s} != "a and b or (c)"',
]


@pytest.mark.parametrize("text", HOLDS)
def test_what_holds(text: str) -> None:
    """By comparison, `in`, `and`, `or`, `not`, brackets."""
    assert When.of(text).met(KNOWN.__getitem__) is True
    assert When.of(f"not ({text})").met(KNOWN.__getitem__) is False


UNREAD = [
    "",
    "   ",
    "${n}  ==",
    "== 3",
    "3 == ${n}",
    "${n} = 3",
    "${n} == 3 4",
    "${n} == ${x}",
    "(${n} == 3",
    "${n} == 3)",
    "${n} and",
    "__import__('os').system('true')",
    "${n} == 3; 1",
    "${n}.__class__",
    "not",
    "${n} in 3",
    "${n} is 3",
    "${n",
    "(" * 60 + "${n}" + ")" * 60,
    "${n} == [1, 2",
]


@pytest.mark.parametrize("text", UNREAD, ids=range(len(UNREAD)))
def test_what_is_no_condition_is_told_with_what_one_is(text: str) -> None:
    """All that is not of the grammar, code above all."""
    with pytest.raises(ParameterError, match=r"condition|`in` takes a list"):
        When.of(text)


@pytest.mark.parametrize("text", ["${n} < abc", "${s} > 1", "${none} < 1", "${n}", "${s} and ${t}"])
def test_what_cannot_be_compared_is_an_error_that_shows_it(text: str) -> None:
    """Not false: a number and a text are a mistake of the job."""
    with pytest.raises(ParameterError, match=re.escape(text.split()[0])):
        When.of(text).met(KNOWN.__getitem__)


@pytest.mark.timeout(20)
def test_a_long_text_takes_no_long_time() -> None:
    """Neither one that is read nor one that is not."""
    assert When.of(" and ".join(["${t}"] * 5000)).met(KNOWN.__getitem__)
    with pytest.raises(ParameterError):
        When.of("${n} == " + "'" * 20_001)


def test_its_references_are_those_outside_quotes() -> None:
    """By which the plan has its edges."""
    assert When.of('${a} == "${b}" and not ${c}').references == ["${a}", "${c}"]
