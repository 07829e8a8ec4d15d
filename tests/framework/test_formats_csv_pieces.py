"""CSV of others is read in pieces by several threads: what comes out does not depend on how many there are."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from framework.errors import FormatError
from framework.formats.ahead import Turn, in_order
from framework.formats.csv_foreign import Foreign, Source, Spelling
from framework.schema import ALL, FrameSchema

TINY, LARGE = 40, 1 << 21  # bytes of a piece
PLAIN = (
    *("1", "12", "-3", "0", "1.5", "0.25", "-0.0", "3.10", "0.1234567890123456", "1718.281828459045"),
    *("2024-01-02", "2024-01-02 03:04:05", "2024-01-02T03:04:05.123456789", "2024-01-02T03:04:05Z", "true", "False"),
    *("a", "C001", "", "NA"),
)
NASTY = (
    *("007", "+1", "1E5", "1e5", "2.5e-3", "0x1F", "-0", "-00", "1e400", "1e-400", "1.0e999", "5e-324", "1_000"),
    *(" 1", "1 ", '" 1"', '"1"', '""', "12345678901234567890", "9007199254740993", "9223372036854775808"),
    *("0.1000000000000000055", "123456789012345.5", ".5", "5.", "-.5", "00.5", "1.2.3", "--1", "-", "NA", "NaN"),
    *("nan", "inf", "-inf", "Infinity", "null", "NULL", "TRUE", "True", "true", "false", "x", "é", '"a,b"', '"a\nb"'),
    *("2024-01-02", "2024-02-30", "2024-01-02T03:04", "2024-01-02T03:04:05Z", "2024-01-02T03:04:05+02:00"),
    *("2024-01-02 03:04:05.1234567", "0001-01-01", "2024-01-02 ", "20240102", "01/02/2024", "12:30", ""),
)


def foreign(data: bytes, piece: int, spelling: Spelling | None = None) -> Foreign:
    def begin() -> Any:
        rest = bytearray(data)

        def read(size: int) -> bytes:
            block = bytes(rest[:size])
            del rest[:size]
            return block

        return read

    return Foreign([Source("d.csv", begin)], spelling or Spelling(), piece=piece)


def told(data: bytes, piece: int) -> tuple[pa.Table, FrameSchema]:
    return foreign(data, piece).read(ALL)


def chunks(data: bytes, piece: int) -> tuple[pa.Table, FrameSchema]:
    schema, pieces = foreign(data, piece).scan(ALL)
    none = pa.table({each.name: pa.array([], each.arrow_type) for each in schema.fields})  # a header alone has no piece
    return pa.concat_tables([none, *pieces]), schema


def same(one: pa.Table, other: pa.Table) -> bool:
    """Whether they are alike to the bit: -0.0 is not 0.0."""
    return one.schema == other.schema and one.combine_chunks().to_pydict().__repr__() == repr(
        other.combine_chunks().to_pydict()
    )


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Columns of like cells, some of which are nasty, mostly in a late row."""
    columns = []
    rows = draw(st.integers(1, 40))
    for _ in range(draw(st.integers(1, 4))):
        cells = [draw(st.sampled_from(PLAIN))] * rows
        for cell in draw(st.lists(st.sampled_from(NASTY), max_size=3)):
            cells[draw(st.one_of(st.just(rows - 1), st.integers(0, rows - 1)))] = cell
        columns.append(cells)
    end = draw(st.sampled_from(["\n", "\r\n"]))
    lines = [",".join(f"c{place}" for place in range(len(columns))), *map(",".join, zip(*columns, strict=True))]
    return (end.join(lines) + draw(st.sampled_from(["", end]))).encode()


@example(b"t\n2024-01-02T03:04:05Z\n" + b"NA\n" * 40)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(files())
def test_in_small_pieces_and_all_at_once_a_file_is_the_same_table(data: bytes) -> None:
    """Types, nulls and every value, whatever is found in a late row, by threads or without; read in chunks, too."""
    whole, schema = told(data, LARGE)
    for read in (told, chunks):
        table, found = read(data, TINY)
        assert found == schema
        assert same(table, whole)


@pytest.mark.parametrize("piece", [TINY, LARGE])
@pytest.mark.parametrize("row", [0, 1, 500, 999])
def test_the_cell_that_does_not_fit_is_named_with_its_line_in_whichever_piece(row: int, piece: int) -> None:
    """Blank lines and lines in quotes are counted."""
    cells = ["1"] * 1000
    cells[row] = "x"
    data = "n,t\n\n" + "".join(f'{cell},"two\nlines"\n\n' for cell in cells)
    with pytest.raises(FormatError, match="'x' in column 'n' is not int64") as caught:
        foreign(data.encode(), piece, Spelling(dtype={"n": "int64"})).read(ALL)
    assert caught.value.line == 3 + 3 * row


@pytest.mark.timeout(60)
@pytest.mark.parametrize("row", [3, 400, 998])
def test_of_two_faults_the_one_that_comes_first_is_told(row: int) -> None:
    """Pieces that are read ahead do not hide what is before them."""
    lines = [b"1,2"] * 1000
    lines[row], lines[-1] = b"1,2,3", b"1,\xff"
    with pytest.raises(FormatError, match="3 fields") as caught:
        foreign(b"a,b\n" + b"\n".join(lines), TINY).read(ALL)
    assert caught.value.line == row + 2


@pytest.mark.timeout(60)
def test_results_come_in_the_order_of_the_jobs() -> None:
    """However long each takes."""

    def job(number: int) -> int:
        time.sleep(0.01 * (number % 3 == 0))
        return number

    assert list(in_order(partial(job, number) for number in range(20))) == list(range(20))


@pytest.mark.timeout(60)
def test_few_jobs_are_begun_ahead_and_none_after_the_reader_has_gone() -> None:
    """Memory does not grow with the number of jobs."""
    begun: list[int] = []

    def jobs() -> Iterator[Any]:
        for number in range(100):
            begun.append(number)
            yield partial(int, number)

    results = in_order(jobs())
    assert next(results) == 0
    assert len(begun) <= 10
    results.close()
    count = len(begun)
    time.sleep(0.05)
    assert len(begun) == count


@pytest.mark.timeout(60)
def test_each_thing_is_done_in_turn_even_after_a_failure() -> None:
    """The next piece never comes before the one that failed, and waits for none for ever."""
    done: list[tuple[int, int]] = []

    def work(number: int, turn: Turn) -> None:
        with turn:
            for thing in range(3):
                with turn.at(thing):
                    if (number, thing) == (5, 1):
                        raise ValueError(number)
                    time.sleep(0.001 * (number % 2 == 0))
                    done.append((thing, number))

    turns: list[Turn] = []
    for _ in range(12):
        turns.append(Turn(3, turns[-1] if turns else None))
    threads = [threading.Thread(target=_quietly, args=(work, number, turn)) for number, turn in enumerate(turns)]
    for thread in reversed(threads):
        thread.start()
    for thread in threads:
        thread.join()
    for thing in range(3):
        order = [number for at, number in done if at == thing]
        assert order == [number for number in range(12) if number != 5 or thing == 0]


def _quietly(work: Any, *arguments: Any) -> None:
    try:
        work(*arguments)
    except ValueError:
        return


def test_a_file_of_one_piece_is_read_without_a_thread(tmp_path: Path) -> None:
    """A small file costs none."""
    seen = set()
    for _ in in_order([lambda: seen.add(threading.get_ident())]):
        pass
    assert seen == {threading.get_ident()}
