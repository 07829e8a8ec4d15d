"""What a store that is a folder of files must pass beside the rest."""

from __future__ import annotations

import os
import resource
import signal
import stat
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest

from framework.errors import BaseFrameworkException, DatasetNameError, FormatError, StorageError
from framework.testing import elsewhere
from framework.testing.same import assert_same
from framework.testing.stores import StoreConformance
from framework.testing.suite import OTHER, PLAIN, told

PATHS = [
    "..",
    "../x",
    "a/../b",
    "/etc/passwd",
    "a//b",
    "a/",
    ".hidden",
    "a/.b",
    "a\\b",
    "a\nb",
    "a*",
    "~/x?",
    "x" * 300,
]


class FolderConformance(StoreConformance):
    """For stores that keep one file per dataset.

    Attributes
    ----------
    suffix : str
        What each file's name ends in.
    """

    suffix: ClassVar[str]

    def raw_state(self, store: Any) -> dict[str, bytes]:
        """Every file in the folder but the locks, with its bytes."""
        files = (path for path in sorted(store.folder.rglob("*")) if path.is_file())
        return {str(path): path.read_bytes() for path in files if path.suffix != ".lock"}

    @pytest.mark.parametrize("name", PATHS, ids=lambda name: repr(name)[:20])
    def test_a_name_is_no_path(self, store: Any, name: str) -> None:
        """What could lead out of the folder, or hide, or pass for a pattern, names no dataset."""
        with self.unchanged(store):
            for call in (store.get_data, lambda name: store.save_data(PLAIN, name), store.delete_data, store.describe):
                with pytest.raises(DatasetNameError):
                    call(name)

    def test_the_suffix_may_be_said(self, store: Any) -> None:
        """`x` and `x` with the suffix are one dataset."""
        store.save_data(PLAIN, f"d{self.suffix}")
        assert store.list_sources() == ["d"]
        store.save_data(OTHER, "d", mode="append")
        assert len(store.get_data(f"d{self.suffix}")) == 4
        store.save_data(OTHER, f"d{self.suffix}{self.suffix}")
        assert store.list_sources() == ["d", f"d{self.suffix}{self.suffix}"]
        assert_same(OTHER, store.get_data(f"d{self.suffix}{self.suffix}"))
        store.delete_data(f"d{self.suffix}")
        assert store.list_sources() == [f"d{self.suffix}{self.suffix}"]

    def test_a_link_is_not_followed(self, store: Any, tmp_path: Path) -> None:
        """A link in the folder is neither listed, read, written through nor deleted through."""
        store.save_data(PLAIN, "kept")
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / f"secret{self.suffix}").write_bytes((store.folder / f"kept{self.suffix}").read_bytes())
        (store.folder / f"link{self.suffix}").symlink_to(outside / f"secret{self.suffix}")
        (store.folder / "folder").symlink_to(outside)
        before = (outside / f"secret{self.suffix}").read_bytes()
        assert store.list_sources() == ["kept"]
        for name in ("link", "folder/secret"):
            for call in (store.get_data, lambda name: store.save_data(OTHER, name), store.delete_data, store.describe):
                with pytest.raises(DatasetNameError, match="link"):
                    call(name)
        assert (outside / f"secret{self.suffix}").read_bytes() == before
        assert len(list(outside.iterdir())) == 1

    def test_the_folder_itself_may_be_reached_through_a_link(self, tmp_path: Path) -> None:
        """A place that is a link to another disk works."""
        (tmp_path / "disk").mkdir()
        (tmp_path / "place").symlink_to(tmp_path / "disk")
        store = self.make_store(tmp_path / "place")
        store.save_data(PLAIN, "d")
        assert_same(PLAIN, store.get_data("d"))
        assert store.list_sources() == ["d"]

    def test_only_files_that_can_be_read_are_listed(self, store: Any) -> None:
        """Hidden files, folders, pipes and names that no dataset has are passed over."""
        store.save_data(PLAIN, "kept")
        for name in (f".hidden{self.suffix}", f"a*b{self.suffix}", self.suffix, "other.txt"):
            (store.folder / name).write_bytes(b"x")
        (store.folder / f"folder{self.suffix}").mkdir()
        os.mkfifo(store.folder / f"pipe{self.suffix}")
        assert store.list_sources() == ["kept"]

    def test_a_full_disk_leaves_the_old_data(self, tmp_path: Path) -> None:
        """A save that the disk has no room for raises StorageError with the cure; the old bytes stay."""
        store = self.make_store(tmp_path)
        store.save_data(PLAIN, "kept")
        before = self.raw_state(store)
        for mode in ("replace", "append"):
            with self.process(_save_with_little_room, self.recipe(tmp_path), "kept", mode) as (_, pipe):
                kind, words = told(pipe)
            assert kind == "StorageError", words
            assert "Free some space" in words
            assert self.raw_state(store) == before

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
    def test_a_folder_without_leave_is_an_error(self, store: Any) -> None:
        """Without leave to write, a save raises StorageError; reading goes on, and health says no."""
        store.save_data(PLAIN, "kept")
        store.folder.chmod(0o500)
        try:
            with pytest.raises(StorageError):
                store.save_data(OTHER, "new")
            assert_same(PLAIN, store.get_data("kept"))
            assert store.health_check() is False
        finally:
            store.folder.chmod(0o700)

    def test_a_place_that_is_no_folder_is_an_error(self, tmp_path: Path) -> None:
        """A file where the folder should be: StorageError on use, health says no, nothing raises there."""
        store: Any = self.make_store(tmp_path)
        store.folder.parent.mkdir(parents=True, exist_ok=True)
        store.folder.write_text("a file")
        with pytest.raises(StorageError):
            store.save_data(PLAIN, "d")
        assert store.health_check() is False
        assert store.folder.read_text() == "a file"

    def test_a_file_where_a_segment_should_be_is_an_error(self, store: Any) -> None:
        """`d` with its suffix is a file; a dataset below it is refused, and the file stays."""
        with self.unchanged(store), pytest.raises(StorageError):
            store.save_data(PLAIN, f"kept{self.suffix}/below")

    def test_the_umask_holds_and_a_mode_is_kept(self, store: Any) -> None:
        """A new file is as private as the umask says; one that was made private stays so."""
        old = os.umask(0o027)
        try:
            store.save_data(PLAIN, "d")
            path = store.folder / f"d{self.suffix}"
            assert stat.S_IMODE(path.stat().st_mode) == 0o640
            path.chmod(0o600)
            store.save_data(OTHER, "d")
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        finally:
            os.umask(old)

    def test_what_a_dead_writer_left_is_swept(self, store: Any) -> None:
        """A temporary file beside a dataset is not listed, and the next save of that dataset removes it."""
        store.save_data(PLAIN, "d")
        left = store.folder / f".d{self.suffix}.0a1b2c3d.tmp"
        others = store.folder / f".e{self.suffix}.0a1b2c3d.tmp"
        left.write_bytes(b"half")
        others.write_bytes(b"half")
        assert store.list_sources() == ["d"]
        store.save_data(OTHER, "d")
        assert not left.exists()
        assert others.exists()  # it may be another writer's, who lives

    def test_a_file_that_is_none_of_its_kind_is_an_error(self, store: Any) -> None:
        """Bytes that no such file has are refused in words, reading and appending; they can be replaced and deleted."""
        for bytes_ in (b"\x00\xff\xfe rubbish", b""):
            store.save_data(PLAIN, "d")
            (store.folder / f"d{self.suffix}").write_bytes(bytes_)
            for call in (store.get_data, store.describe, lambda name: store.save_data(OTHER, name, mode="append")):
                with pytest.raises(FormatError, match="d"):
                    call("d")
            store.save_data(PLAIN, "d")
            assert_same(PLAIN, store.get_data("d"))
            (store.folder / f"d{self.suffix}").write_bytes(bytes_)
            assert store.delete_data("d") is True


def _save_with_little_room(pipe: Any, recipe: elsewhere.Recipe, name: str, mode: Any) -> None:
    """Save more than this process may write, and tell the error."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = elsewhere.make(recipe)
    rows = 40_000
    frame = pd.DataFrame({"n": range(rows), "x": [row * 0.37 for row in range(rows)], "t": ["a"] * rows})
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
    try:
        store.save_data(frame.astype({"t": object}), name, mode=mode)
    except BaseFrameworkException as error:
        pipe.send((type(error).__name__, str(error)))
    else:
        pipe.send(("saved", "there was room"))
