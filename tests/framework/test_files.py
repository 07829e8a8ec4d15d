"""Files that are old or new and never between."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from framework.checksums import CHUNK
from framework.errors import DatasetNameError, DatasetNotFoundError, IntegrityError, LockedError, StorageError
from framework.files import (
    check_name,
    is_name,
    lock_for,
    locked,
    make_folder,
    remove_leftovers,
    replace_bytes,
    replacing,
    sha256,
    storage_errors,
    under,
)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["a", "A b", "a/b/c", "x.y-z_1", "ü", "日本", "-", "x" * 200, "é" * 100])
def test_a_good_name_is_itself(name: str) -> None:
    """A name that is allowed comes back unchanged."""
    assert check_name(name) == name
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "/", "/a", "a/", "a//b", ".", "..", "a/..", ".a", "a/.b", "a\\b", "a\0", "a\n", "a*", "a:b"),
        *("x" * 201, "日" * 70, "\ud800", "a\u202e", "a|b", '"', "$HOME", "~"),
    ],
    ids=ascii,
)
def test_a_bad_name_is_refused_in_words(name: str) -> None:
    """What is wrong with it, and what to use."""
    assert not is_name(name)
    with pytest.raises(DatasetNameError, match="Use letters") as caught:
        check_name(name)
    assert len(str(caught.value)) < 400
    assert caught.value.exit_code == 20


def test_a_path_under_a_root_stays_there(tmp_path: Path) -> None:
    """A link on the way, or as the file itself, is refused; the root may be one."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    (tmp_path / "root" / "file").symlink_to(tmp_path / "other")
    (tmp_path / "link").symlink_to(tmp_path / "root")
    assert under(tmp_path / "link", "a/b") == tmp_path / "root" / "a" / "b"
    for name in ("out/x", "file"):
        with pytest.raises(DatasetNameError, match="link"):
            under(tmp_path / "root", name)


# --------------------------------------------------------------------------- replacing


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """New bytes, no other file, missing folders made."""
    path = tmp_path / "a" / "b" / "f"
    replace_bytes(path, b"one")
    replace_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert names_in(path.parent) == ["f"]


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    """Whatever is raised while writing or verifying, KeyboardInterrupt too, the old bytes stay and nothing else."""
    path = tmp_path / "f"
    path.write_bytes(b"old")
    for error in (ValueError, KeyboardInterrupt, OSError):
        with pytest.raises(error):
            _write_and_raise(path, error)
        with pytest.raises(error), replacing(path, verify=_raiser(error)) as sink:
            sink.write(b"new")
    assert (path.read_bytes(), names_in(tmp_path)) == (b"old", ["f"])


def _write_and_raise(path: Path, error: type[BaseException]) -> None:
    with replacing(path) as sink:
        sink.write(b"new")
        raise error


def _raiser(error: type[BaseException]):  # type: ignore[no-untyped-def]
    def verify(beside: Path) -> None:
        assert beside.read_bytes() == b"new"
        raise error

    return verify


def test_bytes_that_are_not_those_written_are_noticed(tmp_path: Path) -> None:
    """What lies on the disk is read again before the rename."""
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with pytest.raises(IntegrityError):
        _write_and_change(path)
    assert (path.read_bytes(), names_in(tmp_path)) == (b"old", ["f"])


def _write_and_change(path: Path) -> None:
    with replacing(path) as sink:
        sink.write(b"new")
        (beside,) = path.parent.glob(".f.*.tmp")
        beside.write_bytes(b"neW")


def test_writes_of_any_size_are_hashed_and_counted(tmp_path: Path) -> None:
    """Empty, large and non-byte buffers all arrive."""
    path, parts = tmp_path / "f", [b"", b"a" * 3_000_000, bytearray(b"bc"), memoryview(b"def")]
    with replacing(path) as sink:
        assert [sink.write(part) for part in parts] == [0, 3_000_000, 2, 3]  # type: ignore[arg-type]
        assert sink.tell() == 3_000_005
    assert path.read_bytes() == b"".join(bytes(part) for part in parts)
    assert sha256(path) == sink.sha256
    assert sink.blocks == tuple(zlib.crc32(block) for block in _blocks(path))


def _blocks(path: Path) -> list[bytes]:
    whole = path.read_bytes()
    return [whole[start : start + CHUNK] for start in range(0, len(whole), CHUNK)]


def test_a_mode_is_kept_and_the_umask_holds(tmp_path: Path) -> None:
    """A new file obeys the umask; one that was made private stays private."""
    old = os.umask(0o077)
    try:
        replace_bytes(tmp_path / "f", b"1")
        assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o600
    finally:
        os.umask(old)
    (tmp_path / "f").chmod(0o400)
    replace_bytes(tmp_path / "f", b"2")
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o400


def test_leftovers_are_removed_of_that_file_only(tmp_path: Path) -> None:
    """Temporary files of the same name go; others', and names with marks of patterns, stay."""
    for name in (".f.0123abcd.tmp", ".g.0123abcd.tmp", ".f.tmp", ".f[a].0123abcd.tmp", ".ff.0123abcd.tmp"):
        (tmp_path / name).write_bytes(b"x")
    remove_leftovers(tmp_path / "f")
    assert names_in(tmp_path) == [".f.tmp", ".f[a].0123abcd.tmp", ".ff.0123abcd.tmp", ".g.0123abcd.tmp"]
    remove_leftovers(tmp_path / "f[a]")
    assert ".f[a].0123abcd.tmp" not in names_in(tmp_path)


FILL = """
import signal, sys
from pathlib import Path
from framework.files import replacing
with replacing(Path(sys.argv[1])) as sink:
    sink.write(b"n" * 100_000)
    print("half", flush=True)
    signal.pause()
"""


def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path: Path) -> None:
    """SIGKILL in the middle: old bytes, and the next writer sweeps what it left."""
    path = tmp_path / "f"
    path.write_bytes(b"old")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", FILL, path], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.kill()
    assert path.read_bytes() == b"old"
    assert len(names_in(tmp_path)) == 2
    replace_bytes(path, b"new")
    assert (path.read_bytes(), names_in(tmp_path)) == (b"new", ["f"])


def test_a_full_disk_is_an_error_with_its_cure(tmp_path: Path) -> None:
    """When the system takes no more bytes: StorageError that says so, the old file, no other."""
    path = tmp_path / "f"
    path.write_bytes(b"old")
    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with (
            pytest.raises(StorageError, match=r"the dataset.*Free some space") as caught,
            storage_errors("the dataset"),
        ):
            replace_bytes(path, b"n" * 20_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert caught.value.errno == errno.EFBIG
    assert (path.read_bytes(), names_in(tmp_path)) == (b"old", ["f"])


def test_errors_of_ours_pass_unchanged() -> None:
    """What is typed already is not wrapped again, though some of it is an OSError too."""
    with pytest.raises(DatasetNotFoundError), storage_errors("x"):
        raise DatasetNotFoundError("no")
    with pytest.raises(StorageError, match="x: No such file"), storage_errors("x"):
        open("/no/such/file")  # noqa: SIM115


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    """Parents too; one that is there is left alone; a file in the way is an error."""
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(OSError):
        make_folder(tmp_path / "f" / "g")


# --------------------------------------------------------------------------- the lock

HOLD = """
import sys
from pathlib import Path
from framework.files import lock_for, locked
with locked(lock_for(Path(sys.argv[1])), timeout=5, what="d"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_one_process_own_and_freed_by_its_death(tmp_path: Path) -> None:
    """Another process's lock is waited for, then LockedError; when its holder is killed it is free at once."""
    path = tmp_path / "locks" / "d.lock"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        began = time.monotonic()
        with (
            pytest.raises(LockedError, match=r"'d'.*0\.2 s.*LOCK_TIMEOUT"),
            locked(lock_for(path), timeout=0.2, what="d"),
        ):
            pass
        assert 0.19 <= time.monotonic() - began < 3
        process.kill()
    with locked(lock_for(path), timeout=1, what="d"):
        pass


FORK = """
import os, sys, time
from pathlib import Path
from framework.files import lock_for, locked
lock = lock_for(Path(sys.argv[1]))
with locked(lock, timeout=5, what="d"):
    if os.fork() == 0:
        lock.release()
        print("left", flush=True)
        time.sleep(60)
        os._exit(0)
    sys.stdin.read()
"""


@pytest.mark.timeout(60)
def test_a_child_has_no_part_in_its_parents_lock(tmp_path: Path) -> None:
    """A child that is forked meanwhile cannot free the lock, nor does it keep it when the parent is killed."""
    path = tmp_path / "d.lock"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", FORK, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"left\n"
            assert not lock_for(path).acquire()
            process.kill()
            process.wait()
            with locked(lock_for(path), timeout=1, what="d"):
                pass
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_a_lock_whose_file_was_removed_is_none(tmp_path: Path) -> None:
    """Who removes the file frees the name: the next lock is on a new file, and has one holder again."""
    path = tmp_path / "d.lock"
    with locked(lock_for(path), timeout=1, what="d"):
        path.unlink()
        with locked(lock_for(path), timeout=1, what="d"):
            assert not lock_for(path).acquire()


def test_a_lock_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """A file where the folder of locks should be is a StorageError."""
    (tmp_path / "locks").write_bytes(b"")
    with pytest.raises(StorageError, match="lock"):
        lock_for(tmp_path / "locks" / "d.lock")
    (tmp_path / "folder.lock").mkdir()
    with pytest.raises(StorageError, match="lock"), locked(lock_for(tmp_path / "folder.lock"), timeout=0.1, what="d"):
        pass
