"""The conformance suite of a handler: what it saves it loads, what is damaged it says, and what was there stays."""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest

from framework.errors import BaseFrameworkException, DatasetNotFoundError, FormatError, OptionError, StorageError
from framework.formats.handlers import DataHandler, Handlers, load_checked, options_of, save_atomically
from framework.testing.same import first_difference


class HandlerConformance:
    """Inherit it in a test class, fill in the hooks, and pytest runs the whole suite.

    Attributes
    ----------
    handler : type
        The class under `@handler`.
    name : str
        Of the file, with the extension that it is chosen by.
    options : dict
        Options that it is made with.
    named : bool
        Whether it is chosen by `handler:` alone, for it has no extension.
    trials : int
        How many damaged files it is asked to load.

    Examples
    --------
    >>> class TestGeo(HandlerConformance):
    ...     handler = GeoHandler
    ...     name = "places.geojson"
    ...
    ...     def examples(self):
    ...         return [{"type": "Point", "coordinates": [1.5, 2.0]}]
    """

    handler: ClassVar[type]
    name: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}
    named: ClassVar[bool] = False
    trials: ClassVar[int] = 150

    # ------------------------------------------------------------------ hooks

    def examples(self) -> list[Any]:
        """Two or more things that it saves, no two the same; the largest last."""
        raise NotImplementedError

    def refused(self) -> list[Any]:
        """Things that it cannot hold, and says so."""
        return [object()]

    def broken(self) -> list[bytes]:
        """Contents of files that it cannot load, and says so."""
        return []

    def same(self, saved: Any, loaded: Any) -> bool:
        """Whether what was loaded is what was saved."""
        if hasattr(saved, "columns"):
            return first_difference(saved, loaded) is None
        if hasattr(saved, "dtype"):
            return bool(saved.dtype == loaded.dtype and saved.shape == loaded.shape and (saved == loaded).all())
        return type(saved) is type(loaded) and bool(saved == loaded)

    # ------------------------------------------------------------------ what the suite makes of them

    def make(self) -> DataHandler:
        """The handler, as a run makes it."""
        handlers = Handlers([self.handler])
        given: Any = self.handler
        if self.named:
            return handlers.make(name=given.handler_name, options=self.options)
        return handlers.make(path=self.name, options=self.options)

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        folder = tmp_path / "a case, mit Ümlaut"
        folder.mkdir()
        return folder / self.name

    @contextmanager
    def unchanged(self, path: Path) -> Iterator[None]:
        """Something is there before, and all in its folder is byte for byte as it was after."""
        save_atomically(self.make(), self.examples()[0], path)
        before = state_of(path.parent)
        yield
        assert state_of(path.parent) == before, "something was changed, or left behind"

    # ------------------------------------------------------------------ round trips

    def test_what_is_saved_is_loaded(self, path: Path) -> None:
        """Each example comes back, in the place of the one before, and nothing lies beside it."""
        for place, _ in enumerate(self.examples()):
            save_atomically(self.make(), self.examples()[place], path)
            assert self.same(self.examples()[place], load_checked(self.make(), path)), f"example {place}"
            assert os.listdir(path.parent) == [path.name]

    def test_loading_changes_nothing(self, path: Path) -> None:
        """A file is as it was after it was loaded twice, and both are the same."""
        with self.unchanged(path):
            for _ in range(2):
                assert self.same(self.examples()[0], load_checked(self.make(), path))

    def test_a_plain_save_is_loaded_too(self, path: Path) -> None:
        """`save` and `load` alone do it: a step's test needs no more."""
        self.make().save(self.examples()[0], path)
        assert self.same(self.examples()[0], self.make().load(path))

    # ------------------------------------------------------------------ refusals

    def test_what_it_cannot_hold_is_refused(self, path: Path) -> None:
        """A typed error, what was there as it was, and nothing left beside it."""
        for data in self.refused():
            with self.unchanged(path), pytest.raises(BaseFrameworkException):
                save_atomically(self.make(), data, path)

    def test_a_refused_first_save_leaves_nothing(self, path: Path) -> None:
        """Where nothing was, nothing is."""
        for data in self.refused():
            with pytest.raises(BaseFrameworkException):
                save_atomically(self.make(), data, path)
            assert os.listdir(path.parent) == []

    def test_an_option_that_it_does_not_have_is_named(self) -> None:
        """A slip in an option is an error before anything runs, and names the nearest."""
        known = [option.name for option in options_of(self.handler)]
        slip = known[0] + "x" if known else "no_such_option"
        with pytest.raises(OptionError, match=known[0] if known else slip):
            Handlers([self.handler]).make(
                name=getattr(self.handler, "handler_name", None), options={**self.options, slip: 1}
            )

    def test_what_is_not_there(self, path: Path) -> None:
        """A file that is missing is an error that names the nearest; None when it need not be there."""
        if self.make().handles_directories:
            load_checked(self.make(), path, must_exist=False)  # it makes the folder, or answers with nothing
            return
        assert load_checked(self.make(), path, must_exist=False) is None
        (path.parent / f"{path.stem}s{path.suffix}").touch()
        with pytest.raises(DatasetNotFoundError, match="Did you mean") as caught:
            load_checked(self.make(), path)
        assert isinstance(caught.value, FileNotFoundError)

    def test_a_file_and_a_folder_are_not_taken_for_each_other(self, path: Path) -> None:
        """Neither to load nor to save, and what is there stays."""
        if self.make().handles_directories:
            path.write_bytes(b"kept")
        else:
            path.mkdir()
            (path / "kept").touch()
        before = state_of(path.parent)
        with pytest.raises(FormatError, match="folder"):
            load_checked(self.make(), path)
        with pytest.raises(FormatError, match="folder"):
            save_atomically(self.make(), self.examples()[0], path)
        assert state_of(path.parent) == before

    # ------------------------------------------------------------------ damage

    def test_what_it_cannot_load_is_said(self, path: Path) -> None:
        """A FormatError or another of ours, and the file stays as it is."""
        for content in self.broken():
            path.write_bytes(content)
            with pytest.raises(BaseFrameworkException):
                _all_of(load_checked(self.make(), path))
            assert path.read_bytes() == content

    def test_damage_is_never_another_error(self, path: Path) -> None:
        """A file that is empty, cut, or has bytes changed is loaded or refused; no library's own error comes."""
        chance = random.Random(4)
        save_atomically(self.make(), self.examples()[-1], path)
        for damaged in _damaged(path, chance, self.trials):
            path.write_bytes(damaged)
            with suppress(BaseFrameworkException):
                _all_of(load_checked(self.make(), path))

    # ------------------------------------------------------------------ a full disk

    def test_a_full_disk_leaves_what_was_there(self, path: Path) -> None:
        """Whatever number of bytes still fits: an error of ours, the old content, nothing beside it."""
        save_atomically(self.make(), self.examples()[-1], path)
        size = max((len(content) for content in state_of(path).values() if content), default=0)
        for part in (0.0, 0.3, 0.9):
            with self.unchanged(path), pytest.raises(StorageError), most_bytes(int(size * part)):
                save_atomically(self.make(), self.examples()[-1], path)


def state_of(place: Path) -> dict[str, bytes | None]:
    """All that lies there, by name: the bytes of a file, None for a folder."""
    if place.is_file():
        return {place.name: place.read_bytes()}
    return {
        str(path.relative_to(place)): path.read_bytes() if path.is_file() else None for path in sorted(place.rglob("*"))
    }


@contextmanager
def most_bytes(size: int) -> Iterator[None]:
    """Meanwhile no file of this process may grow beyond that size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _all_of(loaded: Any) -> None:
    """Go through what is read only when it is asked for."""
    if not isinstance(loaded, str | bytes | dict | Path) and hasattr(loaded, "__iter__"):
        for _ in loaded:
            pass


def _damaged(path: Path, chance: random.Random, trials: int) -> Iterator[bytes]:
    """The file's content, damaged in so many ways; none for a folder, whose files are not the handler's."""
    if path.is_dir():
        return
    whole = path.read_bytes()
    yield b""
    for _ in range(trials // 3):
        yield whole[: chance.randrange(len(whole))]
        changed = bytearray(whole)
        for _ in range(1 + chance.randrange(3)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        yield bytes(changed)
        at = chance.randrange(len(whole))
        yield whole[:at] + chance.randbytes(chance.randrange(20)) + whole[at:]
