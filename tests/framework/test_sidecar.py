"""The record beside a file: two slots, of which the one that readers need is never written to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from framework.errors import IntegrityError
from framework.files import replace_bytes, sha256
from framework.sidecar import Record, find, opened, put, remove_record, stat_of


def record_of(path: Path, *, schema: str = "{}", version: int = 1) -> Record:
    """What a save puts on record of a file."""
    return Record(
        **stat_of(path),
        sha256=sha256(path),
        schema=schema,
        rows=1,
        saved_at="2024-01-02T03:04:05+00:00",
        version=version,
        delimiter=",",
        encoding="utf-8",
        multiline=False,
    )


def saved(folder: Path, version: int, *, schema: str = "{}") -> None:
    """Another file in the place of the one that lies there, with its record."""
    data, made = folder / "d.csv", folder / "made"
    made.write_bytes(f"n\n{version}\n".encode())
    put(folder / "d.json", record_of(made, schema=schema, version=version), data)
    made.rename(data)


def version_in(folder: Path) -> int | None:
    with opened(folder / "d.csv", folder / "d.json") as (_, record):
        return None if record is None else record.version


def slots_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.json"))}


def test_the_old_and_the_new_file_both_have_a_record(tmp_path: Path) -> None:
    """Before the rename and after it, however often: what lies there is known."""
    for version in range(1, 7):
        if version > 1:
            made = tmp_path / "made"
            made.write_bytes(b"n\nx\n")
            put(tmp_path / "d.json", record_of(made, version=99), tmp_path / "d.csv")
            assert version_in(tmp_path) == version - 1
        saved(tmp_path, version)
        assert version_in(tmp_path) == version
    assert list(slots_in(tmp_path)) == ["d.2.json", "d.json"]


def test_the_slot_of_the_file_that_lies_there_is_not_written_to(tmp_path: Path) -> None:
    """A save changes one slot, and not that one."""
    saved(tmp_path, 1)
    for version in range(2, 6):
        before = slots_in(tmp_path)
        saved(tmp_path, version)
        kept = [name for name, content in slots_in(tmp_path).items() if content == before.get(name)]
        assert kept == (["d.json"] if version % 2 == 0 else ["d.2.json"])


def test_a_slot_is_written_where_it_lies_once_its_name_is_sure(tmp_path: Path) -> None:
    """Its maker may have died before he synced the folder: who finds it does, and says so; the next need not."""
    inodes = []
    for version in range(1, 6):
        saved(tmp_path, version)
        inodes.append((tmp_path / "d.json").stat().st_ino)
        assert (b'"sure": true' in (tmp_path / "d.json").read_bytes()) == (version > 2)
    assert len(set(inodes)) == 1
    saved(tmp_path, 6, schema='"' + "x" * 5000 + '"')
    saved(tmp_path, 7, schema='"' + "x" * 5000 + '"')  # which does not fit where the other lay
    assert (tmp_path / "d.json").stat().st_ino != inodes[0]
    assert b'"sure": false' in (tmp_path / "d.json").read_bytes()
    assert version_in(tmp_path) == 7


def test_a_damaged_slot_is_an_error_only_when_it_may_be_the_one(tmp_path: Path) -> None:
    """Beside a record of the file that lies there it is nothing, and the next save puts it right."""
    for version in (1, 2, 3):
        saved(tmp_path, version)
    (tmp_path / "d.2.json").write_bytes(b"torn")
    assert version_in(tmp_path) == 3
    (tmp_path / "d.csv").write_bytes(b"n\nof others\n")
    with pytest.raises(IntegrityError, match=r"delete .*d\.2\.json"):
        version_in(tmp_path)
    (tmp_path / "d.2.json").unlink()
    assert version_in(tmp_path) is None
    saved(tmp_path, 4)
    saved(tmp_path, 5)
    assert version_in(tmp_path) == 5


def test_a_copy_is_known_by_its_bytes(tmp_path: Path) -> None:
    """Another inode and time, the same bytes: the same record; other bytes of the same length: none."""
    saved(tmp_path, 1)
    content = (tmp_path / "d.csv").read_bytes()
    replace_bytes(tmp_path / "d.csv", content)
    assert version_in(tmp_path) == 1
    replace_bytes(tmp_path / "d.csv", content.replace(b"1", b"2"))
    with open(tmp_path / "d.csv", "rb") as file:
        assert find(tmp_path / "d.json", file) is None


def test_a_record_comes_back_whole_and_goes_whole(tmp_path: Path) -> None:
    """Every part of it; and both slots are removed."""
    (tmp_path / "d.csv").write_bytes(b"n\n")
    told = replace(
        record_of(tmp_path / "d.csv"),
        save_ids=("a", "b"),
        blocks=(1, 2),
        instead=(("d.csv.gz", 1, 2, 3),),
        multiline=True,
    )
    put(tmp_path / "d.json", told, tmp_path / "d.csv")
    with open(tmp_path / "d.csv", "rb") as file:
        assert find(tmp_path / "d.json", file) == told
    saved(tmp_path, 2)
    remove_record(tmp_path / "d.json")
    remove_record(tmp_path / "d.json")
    assert slots_in(tmp_path) == {}
