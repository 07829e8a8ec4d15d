"""`when:` of a job's step: a reference, an operator, a literal; `and`, `or`, `not` and brackets. Nothing is evaluated
but these.

    ${mods.clean.metrics.rows_output} > 0 and not ${globals.dry_run}
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from framework.engine.parameters import parse_value
from framework.errors import ParameterError

Resolve = Callable[[str], Any]
DEEPEST = 50

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<ref>\$\{[^{}]*\})
    | (?P<op>==|!=|<=|>=|<|>)
    | (?P<bracket>[()])
    | (?P<list>\[[^\[\]]*\])
    | (?P<text>"[^"]*"|'[^']*')
    | (?P<word>[^\s()<>=!\[\]"'$]+)
    )""",
    re.VERBOSE,
)
_COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda value, among: value in among,
}
CURE = "Write ${mods.NAME.metrics.KEY} > 0, with ==, !=, <, <=, >, >=, in, and, or, not, brackets."


@dataclass(frozen=True, slots=True)
class When:
    """A condition that was understood.

    Attributes
    ----------
    text : str
        As it was written.
    """

    text: str
    _test: Callable[[Resolve], bool]

    @classmethod
    def of(cls, text: str) -> When:
        """The condition that a text says; ParameterError for what is none."""
        return cls(text, _Parser(text).parse())

    @property
    def references(self) -> list[str]:
        """The `${...}` in it."""
        return [match["ref"] for match in _tokens(self.text) if match["ref"]]

    def met(self, resolve: Resolve) -> bool:
        """Whether it holds; ParameterError where what is compared cannot be."""
        return self._test(resolve)


def _tokens(text: str) -> Iterator[re.Match[str]]:
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None or match.end() == place:
            raise _unread(text, text[place:].strip()[:20])
        yield match
        place = match.end()


def _unread(text: str, at: str) -> ParameterError:
    return ParameterError(f"{text!r} is no condition: it is not understood at {at!r}.", cure=CURE)


class _Parser:
    """One text to one test."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_tokens(text))
        self.place = self.depth = 0

    def parse(self) -> Callable[[Resolve], bool]:
        test = self._either()
        if self.place < len(self.tokens):
            raise _unread(self.text, self._now)
        return test

    @property
    def _now(self) -> str:
        return self.tokens[self.place][0].strip() if self.place < len(self.tokens) else ""

    def _takes(self, *words: str) -> str | None:
        if self.place < len(self.tokens) and self._now in words:
            self.place += 1
            return self.tokens[self.place - 1][0].strip()
        return None

    def _either(self) -> Callable[[Resolve], bool]:
        parts = [self._both()]
        while self._takes("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda resolve: any(part(resolve) for part in parts)

    def _both(self) -> Callable[[Resolve], bool]:
        parts = [self._one()]
        while self._takes("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda resolve: all(part(resolve) for part in parts)

    def _one(self) -> Callable[[Resolve], bool]:
        self.depth += 1
        if self.depth > DEEPEST:
            raise _unread(self.text, self._now)
        try:
            if self._takes("not"):
                inner = self._one()
                return lambda resolve: not inner(resolve)
            if self._takes("("):
                inner = self._either()
                if not self._takes(")"):
                    raise _unread(self.text, self._now or "its end")
                return inner
            return self._compared()
        finally:
            self.depth -= 1

    def _compared(self) -> Callable[[Resolve], bool]:
        reference = self._reference()
        op = self._takes(*_COMPARED)
        if op is None:
            return lambda resolve: _is_true(resolve(reference), reference)
        literal = self._literal()
        if op == "in" and not isinstance(literal, list):
            raise ParameterError(f"{self.text!r}: `in` takes a list.", cure="Write in [a, b].")
        return lambda resolve: _held(op, resolve(reference), literal, reference)

    def _reference(self) -> str:
        if self.place >= len(self.tokens) or not self.tokens[self.place]["ref"]:
            raise _unread(self.text, self._now or "its end")
        self.place += 1
        return self.tokens[self.place - 1]["ref"]

    def _literal(self) -> Any:
        token = self.tokens[self.place] if self.place < len(self.tokens) else None
        if token is None or token["ref"] or token["op"] or token["bracket"]:
            raise _unread(self.text, self._now or "its end")
        self.place += 1
        return parse_value(token[0].strip(), "when")


def _is_true(value: Any, reference: str) -> bool:
    if isinstance(value, bool):
        return value
    raise ParameterError(f"{reference} is {value!r}, neither true nor false.", cure="Compare it: == or > with a value.")


def _held(op: str, value: Any, literal: Any, reference: str) -> bool:
    try:
        return bool(_COMPARED[op](value, literal))
    except TypeError as error:
        said = f"{reference} is {value!r}, which cannot be compared by {op} with {literal!r}."
        raise ParameterError(said, cure="Compare numbers with numbers and texts with texts.") from error
