"""Files that are cut, that lie, that would run something or fill the memory: a typed error, and nothing else."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework.errors import (
    DatasetNotFoundError,
    FormatError,
    IntegrityError,
    OptionError,
    StorageError,
    UnknownNameError,
)
from framework.formats.handlers import Handlers, load_checked, save_atomically
from framework.formats.handlers.csv import CsvHandler
from framework.formats.handlers.excel import ExcelHandler
from framework.formats.handlers.image import ImageHandler
from framework.formats.handlers.json import JsonHandler
from framework.formats.handlers.npy import NpyHandler
from framework.formats.handlers.npz import NpzHandler
from framework.formats.handlers.text import TextHandler
from framework.formats.handlers.video import VideoHandler
from framework.formats.handlers.yaml import YamlHandler
from framework.testing.handlers import state_of

FRAME = pd.DataFrame({"n": range(500), "t": [f"text {n}" for n in range(500)]}).astype({"t": object})
PICTURE = np.random.default_rng(4).integers(0, 256, (32, 32, 3)).astype("uint8")
WHOLE: dict[str, tuple[Any, dict[str, Any]]] = {
    "a.parquet": (FRAME, {}),
    "a.npy": (np.arange(500), {}),
    "a.npz": ({"a": np.arange(500)}, {}),
    "a.xlsx": (FRAME, {}),
    "a.png": (PICTURE, {}),
    "a.mp4": ([PICTURE] * 5, {"fps": 5}),
    "a.json": ([1, 2, 3], {}),
    "a.csv.gz": (FRAME, {}),
}
END = {"a.mp4": 150, "a.png": 5}  # bytes after the last that counts: who made the film, a mark that the picture ends


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_that_was_cut_is_refused_wherever_it_was_cut(tmp_path: Path, name: str) -> None:
    """Half a download is never taken for data."""
    data, options = WHOLE[name]
    handler, path = Handlers().make(path=name, options=options), tmp_path / name
    save_atomically(handler, data, path)
    whole = path.read_bytes().rstrip(b"\n")
    last = len(whole) - END.get(name, 1)
    for end in sorted({0, 1, len(whole) // 7, len(whole) // 2, last * 9 // 10, last}):
        path.write_bytes(whole[:end])
        with pytest.raises((FormatError, IntegrityError)):
            for _ in load_checked(handler, path):
                pass
        assert path.read_bytes() == whole[:end]


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_a_pickled_array_is_refused_and_not_run(tmp_path: Path) -> None:
    """Neither an object array, nor a bare pickle under that name, nor one among others does anything."""
    mark = tmp_path / "mark"
    trapped = np.empty(1, dtype=object)
    trapped[0] = Trap(mark)
    np.save(tmp_path / "object.npy", trapped)
    (tmp_path / "bare.npy").write_bytes(pickle.dumps(Trap(mark)))
    np.savez(tmp_path / "some.npz", good=np.arange(3), bad=trapped)
    (tmp_path / "bare.npz").write_bytes(pickle.dumps(Trap(mark)))
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(FormatError):
            load_checked(Handlers().make(path=path), path)
    with pytest.raises(FormatError, match="never loaded"):
        load_checked(NpyHandler(), tmp_path / "object.npy")
    assert not mark.exists()


def test_yaml_tags_make_nothing(tmp_path: Path) -> None:
    """A tag that would make an object is refused."""
    mark = tmp_path / "mark"
    (tmp_path / "a.yaml").write_text(f'!!python/object/apply:pathlib.Path.touch [!!python/name:pathlib.Path "{mark}"]')
    with pytest.raises(FormatError, match="tag"):
        load_checked(YamlHandler(), tmp_path / "a.yaml")
    assert not mark.exists()


# --------------------------------------------------------------------------- bombs


@pytest.mark.timeout(30)
def test_a_gzip_bomb_stops_at_its_limit(tmp_path: Path) -> None:
    """A few thousand bytes that stand for many are read up to max_bytes, and no further."""
    bomb = gzip.compress(b" " * (64 << 20), 9)
    for handler, name in ((JsonHandler, "a.json.gz"), (CsvHandler, "a.csv.gz"), (TextHandler, "a.txt.gz")):
        (tmp_path / name).write_bytes(bomb)
        with pytest.raises(FormatError, match="more than 1,000,000 bytes"):
            load_checked(handler(max_bytes=1_000_000), tmp_path / name)


@pytest.mark.timeout(30)
def test_a_zip_bomb_is_refused_unopened(tmp_path: Path) -> None:
    """What a workbook or a set of arrays would unpack to is looked at first."""
    for name in ("a.xlsx", "a.npz"):
        with (
            zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("xl/worksheets/sheet1.xml", "w") as member,
        ):
            for _ in range(300):
                member.write(b" " * (1 << 20))
    with pytest.raises(FormatError, match=r"314,572,800 bytes when it is unpacked.*max_bytes"):
        load_checked(ExcelHandler(), tmp_path / "a.xlsx")
    with pytest.raises(FormatError, match="when it is unpacked"):
        load_checked(NpzHandler(max_bytes=1 << 20), tmp_path / "a.npz")


def test_a_zip_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    """The size that the list of members claims is the most that is read of them."""
    path = tmp_path / "a.npz"
    NpzHandler().save({"a": np.zeros(100_000)}, path)
    with zipfile.ZipFile(path) as archive:
        size = archive.infolist()[0].file_size
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", size), struct.pack("<I", 200)))
    with pytest.raises(FormatError):
        load_checked(NpzHandler(), path)


def of_sheet(path: Path, sheet: str) -> None:
    """A workbook whose sheet's XML is replaced."""
    ExcelHandler().save(FRAME.head(3), path)
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    members["xl/worksheets/sheet1.xml"] = sheet.encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


SPREADSHEET = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


@pytest.mark.timeout(30)
def test_a_workbook_with_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    """Entities that name each other stand for nothing that would fill the memory."""
    named = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    cell = '<row r="1"><c r="A1" t="inlineStr"><is><t>&e11;</t></is></c></row>'
    bomb = f'<!DOCTYPE x [<!ENTITY e0 "lol">{named}]><worksheet {SPREADSHEET}><sheetData>{cell}</sheetData></worksheet>'
    of_sheet(tmp_path / "a.xlsx", bomb)
    with pytest.raises(FormatError):
        load_checked(ExcelHandler(), tmp_path / "a.xlsx")


@pytest.mark.timeout(30)
def test_a_sheet_that_claims_to_be_vast_is_as_large_as_it_is(tmp_path: Path) -> None:
    """The size that a sheet says of itself is not believed."""
    row = '<row r="{0}"><c r="A{0}" t="inlineStr"><is><t>{1}</t></is></c></row>'
    rows = row.format(1, "head") + row.format(2, "cell")
    of_sheet(
        tmp_path / "a.xlsx",
        f'<worksheet {SPREADSHEET}><dimension ref="A1:XFD1048576"/><sheetData>{rows}</sheetData></worksheet>',
    )
    assert load_checked(ExcelHandler(), tmp_path / "a.xlsx").to_dict("list") == {"head": ["cell"]}


@pytest.mark.timeout(30)
def test_a_picture_that_claims_to_be_vast_is_refused(tmp_path: Path) -> None:
    """The sides are looked at before a pixel is made."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    for side in (60_000, 12_000):
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
        with pytest.raises(FormatError, match="pixels"):
            load_checked(ImageHandler(max_pixels=100_000_000), tmp_path / "a.png")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("shape", ["(10**18,)", "(2**62,4)", "(-1,)", "(1.5,)", "'x'", "((),)"], ids=str)
def test_an_array_whose_header_lies_is_refused(tmp_path: Path, shape: str) -> None:
    """Nothing is set aside for values that are not there."""
    shape = shape.replace("10**18", str(10**18)).replace("2**62", str(2**62))
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".encode().ljust(117) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + bytes(80))
    with pytest.raises(FormatError):
        load_checked(NpyHandler(), tmp_path / "a.npy")


@pytest.mark.timeout(30)
def test_yaml_and_json_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    """Aliases count as what they stand for, two megabytes are too many, a hundred thousand levels too deep."""
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    bomb += "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    (tmp_path / "bomb.yaml").write_text(bomb)
    (tmp_path / "long.yaml").write_text("- some text\n" * 200_000)
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "wide.json").write_text('{"a":' * 100_000)
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(FormatError):
            load_checked(Handlers().make(path=path), path)


# --------------------------------------------------------------------------- what is not a file


def test_a_playlist_under_a_videos_name_opens_nothing_else(tmp_path: Path) -> None:
    """A video is decoded as what its extension says, never as a list of other files or addresses."""
    VideoHandler(fps=5).save([PICTURE] * 5, tmp_path / "real.mp4")
    lists = [
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/real.mp4\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {tmp_path}/real.mp4\n",
    ]
    for text in lists:
        for name in ("a.mp4", "a.mkv"):
            (tmp_path / name).write_text(text)
            with pytest.raises(FormatError):
                load_checked(VideoHandler(), tmp_path / name)


@pytest.mark.timeout(30)
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """A load of a pipe, or of a link to itself, ends with an error."""
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(FormatError, match="plain file"):
        load_checked(CsvHandler(), tmp_path / "a.csv")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    with pytest.raises((StorageError, DatasetNotFoundError)):
        load_checked(CsvHandler(), tmp_path / "loop.csv")


def test_a_missing_folder_on_the_way_is_named(tmp_path: Path) -> None:
    """The error says which part of the path is not there."""
    with pytest.raises(DatasetNotFoundError, match="has no 'raw_dta'"):
        load_checked(CsvHandler(), tmp_path / "raw_dta" / "deep" / "a.csv")


@contextmanager
def nobody() -> Iterator[None]:
    """Root is let through everywhere, so meanwhile we are another user if we are root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_no_permission_is_an_error_of_ours() -> None:
    """To read, to write, and to look; what is there stays."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        path = folder / "a.txt"
        path.write_text("old")
        path.chmod(0)
        before = {path.name: b"old"}
        folder.chmod(0o555)
        with nobody():
            with pytest.raises(StorageError, match="denied"):
                load_checked(TextHandler(), path)
            with pytest.raises(StorageError, match="denied"):
                save_atomically(TextHandler(), "new", path)
        folder.chmod(0o755)
        path.chmod(0o644)
        assert state_of(folder) == before


def test_what_no_handler_is_known_for_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    """An unknown extension, an unknown name, an option that is none."""
    with pytest.raises(UnknownNameError, match=r"\.docx"):
        Handlers().make(path=tmp_path / "a.docx")
    with pytest.raises(UnknownNameError, match="Did you mean 'csv'"):
        Handlers().make(name="cvs", path=tmp_path / "a.csv")
    with pytest.raises(OptionError, match="Did you mean 'delimiter'"):
        Handlers().make(path="a.csv", options={"delimeter": ";"})
    assert list(tmp_path.iterdir()) == []
