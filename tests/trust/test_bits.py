"""One bit flipped in what is kept: the same frame, or an error; never another frame."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.scenes import make, stamped
from harness.tally import Tally

from framework.errors import BaseFrameworkException
from framework.testing.elsewhere import Recipe
from framework.testing.same import first_difference


def flipped(path: Path, chance: random.Random, *, begin: int = 0) -> bytes:
    """Flip a random bit as a disk would, that is without touching the file's times; the bytes before."""
    before, told = path.read_bytes(), path.stat()
    place = chance.randrange(begin, len(before))
    after = bytearray(before)
    after[place] ^= 1 << chance.randrange(8)
    with path.open("r+b") as file:
        file.write(after)
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))
    return before


def put_back(path: Path, before: bytes, told: os.stat_result) -> None:
    with path.open("r+b") as file:
        file.write(before)
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))


def footer_of(path: Path) -> int:
    """Where the footer of a Parquet file begins."""
    content = path.read_bytes()
    return len(content) - 8 - int.from_bytes(content[-8:-4], "little")


def flip(recipe: Recipe, tally: Tally, flips: int, *, begin: Callable[[Path], int] = lambda _: 0) -> None:
    """Flip bits of the data file, each alone, and read it: the same, or one of our errors."""
    chance, store, wanted = random.Random(tally.seed), make(recipe), stamped(7, 600)
    store.save_data(wanted, "d")
    path = store.path("d")
    told, seen, first = path.stat(), Counter[str](), begin(path)
    for _ in range(flips):
        before = flipped(path, chance, begin=first)
        try:
            difference = first_difference(wanted, store.get_data("d"))
        except BaseFrameworkException as error:
            seen[type(error).__name__] += 1
        else:
            seen["the same" if difference is None else "changed"] += 1
            if difference:
                tally.wrong("torn", f"read as another frame: {difference}")
        put_back(path, before, told)
        tally.trials += 1
    tally.counts.update(seen)
    assert first_difference(wanted, store.get_data("d")) is None
    tally.close()


def flip_backups(recipe: Recipe, tally: Tally, flips: int) -> None:
    """Flip bits of a backup's files: verifying says so, and restoring refuses it."""
    chance, store = random.Random(tally.seed), make(recipe)
    store.save_data(stamped(7, 600), "d")
    _, backup_id = store.vault.backup_data("d")
    home = next(path.parent for path in Path(recipe.place).rglob("manifest.json"))
    files = sorted(path for path in home.iterdir() if path.is_file())
    for trial in range(flips):
        path = files[trial % len(files)]
        told, before = path.stat(), flipped(path, chance)
        for use in (store.vault.verify_backup, lambda key: store.vault.restore_data("d", key)):
            try:
                use(backup_id)
            except BaseFrameworkException as error:
                tally.counts[type(error).__name__] += 1
            else:
                tally.wrong("torn", f"not noticed in {path.name}")
        put_back(path, before, told)
        tally.trials += 1
    assert store.vault.verify_backup(backup_id) is True
    tally.close()


@pytest.mark.parametrize("kind", ["csv", "parquet", "temp"])
def test_a_flipped_bit_changes_no_frame(
    recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str
) -> None:
    """A file of which one bit was flipped gives the frame that was saved, or an error."""
    flip(recipe(kind), tally("a bit flipped in the data", kind), 200)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet", "temp"])
def test_many_flipped_bits_change_no_frame(
    recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str
) -> None:
    """The same, five times as often."""
    flip(recipe(kind), tally("a bit flipped in the data", kind), 1000)


@pytest.mark.parametrize("kind", ["parquet"])
def test_a_flipped_bit_of_a_footer_changes_nothing(
    recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str
) -> None:
    """The same of the footer alone, where few bits give another frame: a letter of a label, a column's type."""
    flip(recipe(kind), tally("a bit flipped in a footer", kind), 1000, begin=footer_of)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_flipped_bit_of_a_backup_is_found(
    recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str
) -> None:
    """A backup of which one bit was flipped is neither verified nor restored."""
    flip_backups(recipe(kind), tally("a bit flipped in a backup", kind), 200)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_many_flipped_bits_of_backups_are_found(
    recipe: Callable[[str], Recipe], tally: Callable[..., Tally], kind: str
) -> None:
    """The same, five times as often."""
    flip_backups(recipe(kind), tally("a bit flipped in a backup", kind), 1000)
