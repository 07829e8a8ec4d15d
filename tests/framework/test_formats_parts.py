"""Which folders are one table in parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.formats.parts import parts_of

SUFFIXES = (".csv", ".csv.gz")


def made(place: Path, *files: str) -> Path:
    for file in files:
        path = place / "t" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return place / "t"


@pytest.mark.parametrize(
    "files",
    [
        ["part-00000-0b1c.csv", "part-00001-0b1c.csv"],
        ["part-00000-0b1c-c000.csv.gz", "_SUCCESS", "._SUCCESS.crc", ".part-00000-0b1c-c000.csv.gz.crc"],
        ["part.0.csv", "part.1.csv"],
        ["data_0.csv"],
        ["00000000.csv", "00000001.csv"],
        ["anything.csv", "else.csv", "_SUCCESS"],
        ["anything.csv", "_metadata"],
        ["year=2024/anything.csv", "year=2025/month=1/../other.csv"],
    ],
    ids=str,
)
def test_a_folder_of_parts(tmp_path: Path, files: list[str]) -> None:
    """By a mark, by folders that name a column, by names that only parts have."""
    assert parts_of(made(tmp_path, *files), SUFFIXES)


@pytest.mark.parametrize(
    "files",
    [
        ["prices.csv", "volumes.csv"],
        ["part-00000.csv", "prices.csv"],
        ["part-00000.csv", "notes.txt"],
        ["part-00000.csv", "deeper/part-00000.csv"],
        ["_SUCCESS"],
        ["year=2024/a.csv", "b.csv"],
        ["year=2024/a.csv", "month=1/a.csv"],
        ["partial.csv", "parts.csv"],
    ],
    ids=str,
)
def test_a_folder_of_tables_of_their_own(tmp_path: Path, files: list[str]) -> None:
    """Whatever else lies there, what only seems to be a part is a table."""
    assert parts_of(made(tmp_path, *files), SUFFIXES) == []


def test_what_folders_say_is_read(tmp_path: Path) -> None:
    """Columns in the order of the folders, written as addresses write them; a word for what is missing."""
    folder = made(tmp_path, "a=1/b=x%20y/p.csv", "a=2/b=__HIVE_DEFAULT_PARTITION__/p.csv")
    assert [part.values for part in parts_of(folder, SUFFIXES)] == [{"a": "1", "b": "x y"}, {"a": "2", "b": None}]


def test_a_link_is_no_part(tmp_path: Path) -> None:
    """Nothing outside is read."""
    folder = made(tmp_path, "part-0.csv")
    (tmp_path / "secret.csv").touch()
    (folder / "part-1.csv").symlink_to(tmp_path / "secret.csv")
    assert parts_of(folder, SUFFIXES) == []
