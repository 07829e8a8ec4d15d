"""How a file's records are written: delimiter, quote, header or none, found over a sample of whole records."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final, Literal

from framework.errors import IngestionException
from framework.formats.records import LONGEST

MARKS: Final = (",", ";", "\t", "|")
SHOWN: Final = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
ROWS = 500  # of the sample that are looked at for what stands in its columns
AGAIN = 1 << 22  # characters that are looked at once more after quotes that are not right
LABEL = 18  # digits, beyond which a whole number is neither a year nor counted
CLEAR = 0.1  # by how much more of the cells must be numbers or times for one of two delimiters that both fit
NUMBER = re.compile(r"[-+]?([0-9][0-9.,]*|[.,][0-9]+)([eE][-+]?[0-9]+)?%?")
WHOLE = re.compile(r"[-+]?[0-9]+")
TIME = re.compile(r"[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}([T ].*)?|[0-9]{1,2}([-/.])[0-9]{1,2}\2[0-9]{2,4}( .*)?")
FLAGS = {"true", "false"}
SAID = re.compile(r'"?sep=([^\w\r\n])"?[^\S\r\n]*[\r\n]', re.IGNORECASE)  # for Excel, before the header
CONTROL = re.compile(r"[\x01-\x08\x0e-\x1f\x7f]")
NOTHING = {"na", "n/a", "nan", "null", "none", "-"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How records are written.

    Attributes
    ----------
    line : int
        Of the first record.
    names : list of str
        The columns: as the header has them, or column_1 and so on.
    rows : list of list of str
        Those of the sample.
    """

    delimiter: str
    quote: Literal['"', "'"]
    header: bool
    line: int
    names: list[str]
    rows: list[list[str]]

    @property
    def single(self) -> bool:
        """Whether there is one column, in which a blank line is a row."""
        return len(self.names) == 1


@dataclass(frozen=True)
class _Parse:
    """What a sample is by one delimiter and quote: its records that are not blank, each with its line."""

    mark: str
    quote: Literal['"', "'"]
    records: list[tuple[int, list[str]]]
    broken: list[int]  # lines whose quotes are not right

    @property
    def first(self) -> list[str]:
        return self.records[0][1]

    @property
    def width(self) -> int:
        return len(self.first) if self.records else 0

    @cached_property
    def share(self) -> float:
        """Of the records, those as wide as the first."""
        fitting = sum(len(record) == self.width for _, record in self.records)
        return fitting / (len(self.records) + len(self.broken))

    @cached_property
    def typed(self) -> float:
        """Of the cells, numbers, times and the like."""
        cells = [cell for _, record in self.records[:ROWS] for cell in record if cell]
        return sum(map(is_typed, cells)) / len(cells) if cells else 0.0


def find(sample: str, name: str, *, whole: bool, delimiter: str | None = None, header: bool | None = None) -> Dialect:
    """The dialect of a file that begins with that sample.

    Parameters
    ----------
    whole : bool
        Whether the sample is the whole file; else its last record is left out, which may be cut.
    delimiter : str, optional
    header : bool, optional

    Raises
    ------
    IngestionException
        There is nothing in it, or two delimiters fit, or none does, or it cannot be said whether there is a header.
    """
    marks = [delimiter] if delimiter else [mark for mark in MARKS if mark in sample]
    parses = [_parsed(sample, mark, '"', whole=whole) for mark in marks or [","]]
    said_mark = SAID.match(sample)
    if said_mark:
        cure = f"Take the line out, and pass delimiter={said_mark[1]!r}."
        raise _refuse(name, 1, f"{said_mark[0].strip()!r} is no header", cure)
    if not any(parse.records for parse in parses):
        broken = next((parse.broken for parse in parses if parse.broken), None)
        if broken:
            raise _refuse(name, broken[0], "a quote is opened and never closed", "Close it.")
        if not whole:
            raise _refuse(name, 1, "the first record has no end that could be found", "Is a quote left open?")
        raise IngestionException(f"{name} is empty: it has no header and no row.", line=1, resource=name)
    if "'" in sample and '"' not in sample:
        parses = [_better_quoted(parse, sample, whole=whole) for parse in parses]
    chosen = parses[0] if delimiter else _chosen(parses, name)
    if chosen.records and any(CONTROL.search(cell) for cell in chosen.first):
        raise _refuse(name, chosen.records[0][0], "it holds characters that no text has", "Is it CSV? Save it as such.")
    if not chosen.records or (chosen.broken and chosen.broken[0] < chosen.records[0][0]):
        raise _refuse(name, chosen.broken[0], "the quotes of the first record are not right", "Mend the line.")
    said = _has_header(chosen) if header is None else header
    if said is None:
        raise _refuse(
            name,
            chosen.records[0][0],
            f"it cannot be told whether {_short(chosen.first)} is a header or a row",
            "Pass header=True or header=False.",
        )
    names = chosen.first if said else [f"column_{place + 1}" for place in range(chosen.width)]
    line = chosen.records[0][0]
    return Dialect(chosen.mark, chosen.quote, said, line, names, [record for _, record in chosen.records[said:]])


def _refuse(name: str, line: int, why: str, cure: str) -> IngestionException:
    return IngestionException(f"{name}, line {line}: {why}.", cure=cure, line=line, resource=name)


def _short(record: Sequence[str]) -> str:
    shown = ", ".join(repr(cell[:20]) for cell in record[:4])
    return f"{shown}, ..." if len(record) > 4 else shown


def _parsed(sample: str, mark: str, quote: Literal['"', "'"], *, whole: bool) -> _Parse:
    """The records; after quotes that are not right it goes on at the next line."""
    csv.field_size_limit(LONGEST)
    lines = _lines(sample)
    found: list[tuple[int, list[str]]] = []
    broken: list[int] = []
    begin = at = again = 0

    def rest() -> Iterator[str]:
        nonlocal at
        while at < len(lines):
            at += 1
            yield lines[at - 1]

    while begin < len(lines):
        try:
            for record in csv.reader(rest(), delimiter=mark, quotechar=quote, strict=True):
                found.append((begin + 1, record))
                begin = at
        except csv.Error as error:
            cut = not whole and "end of data" in str(error)
            if cut and len(lines) - begin < len(lines) / 2:
                return _of(mark, quote, found, broken)
            broken.append(begin + 1)
            again += sum(map(len, lines[begin:at]))
            if again > AGAIN:  # each line may open one to the end of the sample
                break
            begin = at = begin + 1
    if not whole and found:
        found.pop()
    return _of(mark, quote, found, broken)


def _of(mark: str, quote: Literal['"', "'"], found: list[tuple[int, list[str]]], broken: list[int]) -> _Parse:
    return _Parse(mark, quote, [(line, record) for line, record in found if record], broken)


def _lines(text: str) -> list[str]:
    """The lines with their ends; `splitlines` knows ends that CSV does not."""
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", text)


def _better_quoted(parse: _Parse, sample: str, *, whole: bool) -> _Parse:
    """By single quotes where the records then fit, or where all words stand in them."""
    words = [cell for _, record in parse.records for cell in record if cell and not is_typed(cell)]
    if not any(cell[0] == "'" for cell in words):
        return parse
    inside = [cell for cell in words if len(cell) > 1 and cell[0] == cell[-1] == "'"]
    other = _parsed(sample, parse.mark, "'", whole=whole)
    fits = not other.broken and other.share == 1
    return other if fits and (parse.share < 1 or len(inside) > len(words) / 2) else parse


# --------------------------------------------------------------------------- delimiter


def _chosen(parses: list[_Parse], name: str) -> _Parse:
    wide = [parse for parse in parses if parse.width > 1]
    if not wide:
        return _one_column(parses, name)
    fitting = [parse for parse in wide if parse.share == 1]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        return _of_several(fitting, name)
    ranked = sorted(wide, key=lambda parse: parse.share, reverse=True)
    best = ranked[0]
    line, width = next(((line, len(record)) for line, record in best.records if len(record) != best.width), (0, 0))
    if best.broken and best.broken[0] < (line or best.broken[0] + 1):
        line = 0  # the quotes are the first fault
    if best.share < 0.5 or (len(ranked) > 1 and ranked[1].share > best.share - CLEAR):
        why = f"{width} fields, and the first record has {best.width}" if line else "its quotes are not right"
        raise _refuse(
            name,
            line or best.broken[0],
            why,
            "Is the header in another line? Take out what is before it, or pass delimiter=.",
        )
    return best  # whose other rows are bad


def _one_column(parses: list[_Parse], name: str) -> _Parse:
    """A table of one column, unless the rows after the first are of several."""
    for parse in parses:
        rows = parse.records[1:]
        widths = {len(record) for _, record in rows}
        if len(widths) == 1 and widths != {1}:
            why = f"{widths.pop()} fields between {SHOWN[parse.mark]}, and line {parse.records[0][0]} has one"
            raise _refuse(name, rows[0][0], why, "Is the first line a title? Take it out.")
    comma = next((parse for parse in parses if parse.mark == ","), None)
    if comma is None:
        first = parses[0]
        return _Parse(
            ",", first.quote, [(line, [first.mark.join(record)]) for line, record in first.records], first.broken
        )
    return comma


def _of_several(fitting: list[_Parse], name: str) -> _Parse:
    best, second = sorted(fitting, key=lambda parse: parse.typed, reverse=True)[:2]
    inner = any(other.mark in cell and not NUMBER.fullmatch(cell) for other in fitting for cell in best.first)
    if best.typed - second.typed < CLEAR or inner:
        marks = " and ".join(SHOWN[parse.mark] for parse in (best, second))
        raise _refuse(name, best.records[0][0], f"{marks} both part its records evenly", "Pass delimiter=.")
    return best


# --------------------------------------------------------------------------- header


def is_typed(cell: str) -> bool:
    """Whether a cell is a number, a time or a truth value rather than a word."""
    text = cell.strip()
    return bool(NUMBER.fullmatch(text) or TIME.fullmatch(text)) or text.lower() in FLAGS


def _has_header(parse: _Parse) -> bool | None:
    """Whether the first record is a header; None where it cannot be told."""
    first, rows = parse.first, [record for _, record in parse.records[1 : ROWS + 1]]
    filled = [place for place, cell in enumerate(first) if cell.strip()]
    typed = [place for place in filled if is_typed(first[place])]
    if not typed:
        return True
    below = {place: [row[place] for row in rows if len(row) > place and row[place].strip()] for place in filled}
    words = [place for place in filled if place not in typed and first[place].strip().lower() not in NOTHING]
    named = any(below[place] and all(map(is_typed, below[place])) for place in words)
    surely_cells = any(not WHOLE.fullmatch(first[place].strip()) for place in typed)
    if named:
        return None if surely_cells else True
    if surely_cells:
        return False
    if words and not rows:
        return None
    return None if _like_labels([first[place] for place in typed], [below[place] for place in typed]) else False


def _like_labels(cells: list[str], below: list[list[str]]) -> bool:
    """Whether whole numbers in the first record may be years, or counted up, over rows of another kind."""
    if max(map(len, cells)) > LABEL:
        return False
    numbers = [int(cell) for cell in cells]
    counted = len(numbers) > 1 and all(after - before == 1 for before, after in pairwise(numbers))
    years = all(1900 <= number <= 2100 for number in numbers)
    inner = [cell.strip() for column in below for cell in column]
    if not inner:
        return years
    whole = all(WHOLE.fullmatch(cell) for cell in inner)
    if years:
        return not whole or not all(len(cell) <= LABEL and 1900 <= int(cell) <= 2100 for cell in inner)
    return counted and not whole
