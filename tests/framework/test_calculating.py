"""What every calculator shares, with stores of a user's own that have the abstract methods and nothing more."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from framework.calculating import Calculator, Covers
from framework.errors import (
    DatasetNotFoundError,
    ParameterError,
    StepError,
    StorageError,
    UnavailableError,
    known_names,
)
from framework.interfaces import ICalculator, IDataBackup, IDataSaver, IDataSource
from framework.results import Result

Tables = dict[str, pd.DataFrame]


class Shelf(IDataSource, IDataSaver):
    """Tables in a dictionary, and a diary of what was done to them."""

    def __init__(self, tables: Tables | None = None) -> None:
        self.tables = dict(tables or {})
        self.diary: list[tuple[str, str]] = []

    def get_data(self, source: str) -> pd.DataFrame:
        self.diary.append(("get", source))
        if source not in self.tables:
            raise DatasetNotFoundError(f"There is no {source!r}.", cure=known_names(source, self.tables))
        return self.tables[source]

    def list_sources(self) -> list[str]:
        return sorted(self.tables)

    def save_data(self, data: pd.DataFrame, destination: str) -> bool:
        self.diary.append(("save", destination))
        self.tables[destination] = data
        return True

    def save_with_backup(self, data: pd.DataFrame, destination: str) -> bool:
        self.diary.append(("save with backup", destination))
        self.tables[destination] = data
        return True

    def health_check(self) -> bool:
        return True


class Copies(IDataBackup):
    """Copies of a shelf's tables."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.copies: list[tuple[str, pd.DataFrame]] = []

    def backup_data(self, source: str) -> tuple[bool, str | None]:
        self.shelf.diary.append(("backup", source))
        if source not in self.shelf.tables:
            return False, None
        self.copies.append((source, self.shelf.tables[source]))
        return True, f"copy-{len(self.copies)}"

    def backup_all(self) -> list[tuple[str, str]]:
        return [(name, str(self.backup_data(name)[1])) for name in self.shelf.list_sources()]

    def health_check(self) -> bool:
        return True


class CoveringCopies(Copies):
    """Copies that can say whose they are."""

    def covers(self, store: object) -> bool:
        return store is self.shelf


class Doubled(Calculator):
    """A calculator is its formula only."""

    name, reads, saves = "doubled", "RAW - ", "DOUBLED_"

    def calculate(self, frame: pd.DataFrame) -> pd.DataFrame:
        if (frame["x"] < 0).any():
            raise ValueError("x is below 0")
        return pd.concat([frame, frame]) * 2


def table(*values: float) -> pd.DataFrame:
    return pd.DataFrame({"x": values})


def raw() -> Shelf:
    return Shelf({"RAW - a": table(1), "RAW - bad": table(-1), "RAW - c": table(3, 4), "other": table(9)})


def test_each_source_is_read_calculated_and_saved() -> None:
    """`RAW - c` becomes `DOUBLED_c`, and the Result says from how many rows came how many, and where they are."""
    source, saver = raw(), Shelf()
    (result,) = Doubled().run_complete_calculation(source, saver, None, ["c"])
    assert result
    assert saver.tables["DOUBLED_c"]["x"].tolist() == [6, 8, 6, 8]
    assert (result.name, result.metrics, result.artifacts) == (
        "c",
        {"rows_in": 2, "rows_out": 4},
        {"DOUBLED_c": "DOUBLED_c"},
    )


def test_none_means_all_under_the_prefix() -> None:
    """Other tables are not touched; a failing one in the middle stops none, and the list is in their order."""
    source, saver = raw(), Shelf()
    results = Doubled().run_complete_calculation(source, saver, None)
    assert [(r.name, bool(r)) for r in results] == [("a", True), ("bad", False), ("c", True)]
    assert saver.list_sources() == ["DOUBLED_a", "DOUBLED_c"]
    assert ("get", "other") not in source.diary
    assert "ValueError: x is below 0" in results[1].errors
    assert isinstance(results[1].error, ValueError)


@pytest.mark.parametrize("sources", [["c", "a"], ["RAW - c", "a"], ("RAW - c", "RAW - a"), iter(["c", "RAW - a"])])
def test_names_may_be_bare_or_whole(sources: Any) -> None:
    """With or without the prefix, in any list, the answers come in the order of the names."""
    saver = Shelf()
    results = Doubled().run_complete_calculation(raw(), saver, None, sources)
    assert [r.name for r in results] == ["c", "a"]
    assert saver.diary == [("save with backup", "DOUBLED_c"), ("save with backup", "DOUBLED_a")]


def test_only_one_prefix_is_taken_off() -> None:
    """A table whose bare name begins with the prefix again is found when all are asked for."""
    shelf, saver = Shelf({"RAW - RAW - x": table(1)}), Shelf()
    assert all(Doubled().run_complete_calculation(shelf, saver, None))
    assert saver.list_sources() == ["DOUBLED_RAW - x"]


def test_a_name_given_twice_is_calculated_once() -> None:
    """Both places of the answer hold its Result, so that names and answers still pair up."""
    saver = Shelf()
    results = Doubled().run_complete_calculation(raw(), saver, None, ["a", "c", "RAW - a"])
    assert [r.name for r in results] == ["a", "c", "a"]
    assert saver.diary.count(("save with backup", "DOUBLED_a")) == 1


def test_an_unknown_source_fails_alone() -> None:
    """Its Result holds the source's own typed error, and the next source goes on."""
    saver = Shelf()
    unknown, known = Doubled().run_complete_calculation(raw(), saver, None, ["b", "a"])
    assert isinstance(unknown.error, DatasetNotFoundError)
    assert unknown.exit_code == 20
    assert known
    with pytest.raises(DatasetNotFoundError, match="RAW - b"):
        unknown.raise_if_failed()


@pytest.mark.parametrize("sources", ["a", b"a", 7, ["a", None], [3]])
def test_what_is_no_list_of_names_is_refused(sources: Any) -> None:
    """A bare string would be read letter by letter; nothing is read or saved."""
    source, saver = raw(), Shelf()
    with pytest.raises(ParameterError):
        Doubled().run_complete_calculation(source, saver, None, sources)
    assert source.diary == saver.diary == []


@pytest.mark.parametrize("sources", [None, []])
def test_nothing_to_do_is_an_empty_list_and_a_warning(sources: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A job that found no input says so in the log."""
    with caplog.at_level(logging.WARNING):
        assert Doubled().run_complete_calculation(Shelf({"other": table(1)}), Shelf(), None, sources) == []
    assert "nothing to calculate" in caplog.text


def test_a_source_that_cannot_list_is_an_error() -> None:
    """A server that is down is not the same as nothing to do."""

    class Down(Shelf):
        def list_sources(self) -> list[str]:
            raise UnavailableError("The server is down.")

    with pytest.raises(UnavailableError):
        Doubled().run_complete_calculation(Down(), Shelf(), None)


def test_its_own_output_in_the_same_store_is_not_its_input() -> None:
    """With the prefixes "" and "DOUBLED_", a second run does not double the first one's tables."""

    class All(Doubled):
        reads = ""

    shelf = Shelf({"a": table(1)})
    for _ in range(2):
        assert [r.name for r in All().run_complete_calculation(shelf, shelf, None)] == ["a"]
    assert shelf.list_sources() == ["DOUBLED_a", "a"]


def test_without_a_backup_service_the_saver_backs_up_itself() -> None:
    """One call of the saver's, so that its one lock holds over backup and save."""
    saver = Shelf()
    Doubled().run_complete_calculation(raw(), saver, None, ["a"])
    assert saver.diary == [("save with backup", "DOUBLED_a")]


def test_a_service_over_the_savers_own_store_leaves_it_to_the_saver() -> None:
    """The same when the service says that it covers that very store."""
    saver = Shelf()
    assert all(Doubled().run_complete_calculation(raw(), saver, CoveringCopies(saver), ["a"]))
    assert saver.diary == [("save with backup", "DOUBLED_a")]


@pytest.mark.parametrize("kind", [Copies, CoveringCopies])
def test_any_other_service_is_asked_before_each_save(kind: type[Copies]) -> None:
    """One that cannot say, or that covers another store: backup of the destination, then the save; its id is told."""
    saver = Shelf({"DOUBLED_a": table(0)})
    service = kind(saver if kind is Copies else Shelf({"DOUBLED_a": table(0)}))
    first, second = Doubled().run_complete_calculation(raw(), saver, service, ["a", "c"])
    diary = saver.diary if kind is Copies else sorted(saver.diary + service.shelf.diary, key=lambda e: (e[1], e[0]))
    assert diary == [
        ("backup", "DOUBLED_a"),
        ("save", "DOUBLED_a"),
        ("backup", "DOUBLED_c"),
        ("save", "DOUBLED_c"),
    ]
    assert [(name, frame["x"].tolist()) for name, frame in service.copies] == [("DOUBLED_a", [0])]
    assert first.artifacts == {"DOUBLED_a": "DOUBLED_a", "backup": "copy-1"}
    assert second, "nothing of that name yet is no reason not to save"
    assert second.artifacts == {"DOUBLED_c": "DOUBLED_c"}


@pytest.mark.parametrize("way", ["raises", "refuses"])
def test_no_backup_no_save(way: str) -> None:
    """A service that fails for one source keeps that one's old data as it is, and only that one's."""

    class Flaky(Copies):
        def backup_data(self, source: str) -> tuple[bool, str | None]:
            if source != "DOUBLED_a":
                return super().backup_data(source)
            if way == "refuses":
                return False, "disk full"
            raise StorageError("The disk is full.")

    old = table(0)
    saver = Shelf({"DOUBLED_a": old})
    failed, saved = Doubled().run_complete_calculation(raw(), saver, Flaky(saver), ["a", "c"])
    assert isinstance(failed.error, StorageError)
    assert "full" in failed.errors[0]
    assert failed.artifacts == {}
    assert saver.tables["DOUBLED_a"] is old
    assert saved


@pytest.mark.parametrize("service", [lambda saver: None, Copies], ids=["saver's own", "service"])
def test_a_saver_that_answers_false_has_failed(service: Callable[[Shelf], IDataBackup | None]) -> None:
    """The contract says that it raises; a user's saver that says False instead is not taken for a success."""

    class Sulky(Shelf):
        def save_data(self, data: pd.DataFrame, destination: str) -> bool:
            return False

        save_with_backup = save_data

    saver = Sulky()
    (result,) = Doubled().run_complete_calculation(raw(), saver, service(saver), ["a"])
    assert not result
    assert isinstance(result.error, StorageError)
    assert "DOUBLED_a" in result.errors[0]


def test_a_formula_that_forgets_to_return_is_told_so() -> None:
    """Nothing is saved, and the message names the method."""

    class Forgetful(Doubled):
        def calculate(self, frame: pd.DataFrame) -> pd.DataFrame:
            return None  # type: ignore[return-value]

    saver = Shelf()
    (result,) = Forgetful().run_complete_calculation(raw(), saver, None, ["a"])
    assert isinstance(result.error, StepError)
    assert "Forgetful.calculate answered NoneType" in result.errors[0]
    assert saver.diary == []


def test_a_source_that_answers_no_frame_is_told_so() -> None:
    """The source is named, not the formula that would have stumbled over it."""
    source = Shelf({"RAW - a": [1, 2]})  # type: ignore[dict-item]
    (result,) = Doubled().run_complete_calculation(source, Shelf(), None, ["a"])
    assert "Shelf.get_data('RAW - a') answered list" in result.errors[0]


def test_progress_is_told_of_each_result_as_it_comes() -> None:
    """One call per source, failed ones too, each with its metrics, before the next one starts."""
    source, told = raw(), list[tuple[str, bool, dict[str, Any], int]]()

    def tell(result: Result) -> None:
        told.append((result.name, bool(result), result.metrics, len(source.diary)))

    Doubled().run_complete_calculation(source, Shelf(), None, on_done=tell)
    assert told == [
        ("a", True, {"rows_in": 1, "rows_out": 2}, 1),
        ("bad", False, {}, 2),
        ("c", True, {"rows_in": 2, "rows_out": 4}, 3),
    ]


def test_an_interrupt_stops_the_run() -> None:
    """Ctrl-C is nobody's failing source."""

    class Interrupted(Doubled):
        def calculate(self, frame: pd.DataFrame) -> pd.DataFrame:
            raise KeyboardInterrupt

    saver = Shelf()
    with pytest.raises(KeyboardInterrupt):
        Interrupted().run_complete_calculation(raw(), saver, None)
    assert saver.diary == []


def test_config_and_logger_are_kept_or_made(caplog: pytest.LogCaptureFixture) -> None:
    """Both may be None; what is given is used."""
    config, logger = object(), logging.getLogger("mine")
    given, bare = Doubled(config, logger), Doubled(None, None)
    assert (given.config, given.logger) == (config, logger)
    assert (bare.config, bare.logger.name) == (None, "millpond.doubled")
    with caplog.at_level(logging.INFO):
        given.run_complete_calculation(raw(), Shelf(), None, ["c"])
    assert any(r.name == "mine" and "'RAW - c' (2 rows) to 'DOUBLED_c' (4 rows)" in r.message for r in caplog.records)


def test_health_is_what_check_says(caplog: pytest.LogCaptureFixture) -> None:
    """True by default; a check that raises is False with the reason in the log, and never an error."""

    class Unwell(Doubled):
        def check(self) -> None:
            raise RuntimeError("the table of rates is of 1999")

    assert Doubled().health_check() is True
    with caplog.at_level(logging.WARNING):
        assert Unwell().health_check() is False
    assert "the table of rates is of 1999" in caplog.text


@pytest.mark.parametrize("lacking", ["name", "reads", "saves"])
def test_a_class_without_its_names_is_refused(lacking: str) -> None:
    """At construction, with the line to write."""
    names = {"name": "n", "reads": "R", "saves": "S"}
    del names[lacking]
    nameless = type("Nameless", (Calculator,), {**names, "calculate": lambda self, frame: frame})
    with pytest.raises(ParameterError, match=f'Write `{lacking} = "..."` in the class'):
        nameless()


def test_a_calculator_may_not_save_over_what_it_reads() -> None:
    """Equal prefixes would rate the ratings."""

    class Circular(Doubled):
        saves = Doubled.reads

    with pytest.raises(ParameterError, match="saves over what it reads"):
        Circular()


def test_the_base_adds_no_demands_to_the_interfaces() -> None:
    """A calculator is an ICalculator, and a backup service need not be able to say what it covers."""
    assert isinstance(Doubled(), ICalculator)
    assert not isinstance(Copies(Shelf()), Covers)
    assert isinstance(CoveringCopies(Shelf()), Covers)
