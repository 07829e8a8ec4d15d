"""Handlers: each built-in format through the suite, how one is chosen, and saves that are old or new."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework.errors import (
    ConfigurationException,
    FidelityError,
    FormatError,
    IntegrityError,
    MissingExtraError,
    OptionError,
    UnknownNameError,
)
from framework.formats.handlers import (
    DataHandler,
    Handlers,
    entries_in,
    fingerprint_of,
    handler,
    load_checked,
    options_of,
    save_atomically,
    writing,
)
from framework.formats.handlers.bytes import BytesHandler
from framework.formats.handlers.csv import CsvHandler
from framework.formats.handlers.dir import DirHandler
from framework.formats.handlers.excel import ExcelHandler
from framework.formats.handlers.image import ImageHandler
from framework.formats.handlers.json import JsonHandler
from framework.formats.handlers.jsonl import JsonlHandler
from framework.formats.handlers.npy import NpyHandler
from framework.formats.handlers.npz import NpzHandler
from framework.formats.handlers.parquet import ParquetHandler
from framework.formats.handlers.text import TextHandler
from framework.formats.handlers.video import VideoHandler
from framework.formats.handlers.yaml import YamlHandler
from framework.testing.frames import frames
from framework.testing.handlers import HandlerConformance, most_bytes, state_of
from framework.testing.same import assert_same

TEXTS = ["plain", 'a "quoted", one\nand more', "", None, " edge ", "=1+1", "NA", "ÄÖ\u2028"]
VALUE = {"a": [1, 2.5, True, None, "yes", "1e5", "0o17", "12:30", "~", "é\u2028", "line\nline\n"], "b": {"c": []}}


def randoms(top: int, shape: tuple[int, ...]) -> Any:
    """The same ones each time."""
    return np.random.default_rng(4).integers(0, top, shape)


def table(rows: int = 8) -> pd.DataFrame:
    """A frame of what every text format holds, with labels as they are read back under any pandas."""
    frame = pd.DataFrame(
        {
            "n": np.arange(rows) - 3,
            "x": [0.1 + 0.2, 1.0, -0.0, np.nan, 1e300, -2.5e-300, 1e16, 7.0] * (rows // 8),
            "t": pd.Series(TEXTS * (rows // 8), dtype=object),
            "b": np.arange(rows) % 3 == 0,
            "m": pd.array([1, None, 3, 4, 5, 6, 7, 2**53] * (rows // 8), dtype="Int64"),
        }
    )
    return frame.set_axis(frame.columns.astype(object), axis=1)


class OfFrames(HandlerConformance):
    """What the handlers of frames have in common."""

    def examples(self) -> list[Any]:
        return [table(), table().head(2), table(800)]

    def refused(self) -> list[Any]:
        return [object(), pd.DataFrame({"z": [object()]}), "text"]


class OfSpelledFrames(OfFrames):
    """Of those that spell their values out."""

    def refused(self) -> list[Any]:
        good = table()
        return [
            *super().refused(),
            good.set_index("t"),
            good.iloc[2:],
            good.rename(columns={"n": 1}),
            good.rename_axis(columns="side"),
            pd.DataFrame([[1, 2]], columns=["a", "a"]),
            pd.DataFrame({"d": pd.to_timedelta([1], unit="s")}),
            pd.DataFrame({"d": [b"bytes"]}),
            pd.DataFrame({"x": [float("inf")]}),
            pd.DataFrame({"z": pd.to_datetime(["2024-01-01"]).tz_localize("Europe/Paris")}),
        ]


class TestCsv(OfSpelledFrames):
    handler, name = CsvHandler, "data.csv"

    def refused(self) -> list[Any]:
        clear = [pd.DataFrame({"id": texts}) for texts in (["1", "2"], ["007", "1"][1:], ["2024-01-01"], ["true"])]
        return [*super().refused(), *clear, pd.DataFrame({"t": ["a\0b"]})]

    def broken(self) -> list[bytes]:
        return [b"", b"a,b\n1\n", b'a\n"open\n', b"a,a\n1,2\n", b"a\n\xff\n", b"a;b\n1;2\n"]


class TestCsvInGerman(OfSpelledFrames):
    handler, name = CsvHandler, "data.csv"
    options = {"delimiter": ";", "decimal": ",", "encoding": "utf-16"}  # noqa: RUF012


class TestCsvPacked(OfSpelledFrames):
    handler, name, trials = CsvHandler, "data.csv.gz", 60


class TestParquet(OfFrames):
    handler, name = ParquetHandler, "data.parquet"

    def examples(self) -> list[Any]:
        other = table().set_index("t").astype({"b": "category", "n": "int8"})
        return [*super().examples(), other, pd.DataFrame({0: pd.to_timedelta([1, 2])}), table(800)]

    def broken(self) -> list[bytes]:
        return [b"", b"PAR1", b"not parquet at all, but as long as it were one"]


class TestJson(HandlerConformance):
    handler, name = JsonHandler, "data.json"

    def examples(self) -> list[Any]:
        return [VALUE, [1], "text", None, 1.5, {"": {}}, [VALUE] * 50]

    def refused(self) -> list[Any]:
        own: list[Any] = []
        own.append(own)
        return [object(), float("nan"), {1: 2}, own, {"a": b"x"}, "\ud800", [1j], {"a": {1, 2}}]

    def broken(self) -> list[bytes]:
        deep = b"[" * 100_000
        return [b"", b"{", b'{"a": 1, "a": 2}', b"[NaN]", b"[1e999]", b"\xff", b"[" + b"1" * 5000 + b"]", deep]


class TestJsonOfFrames(OfSpelledFrames):
    handler, name = JsonHandler, "data.json.gz"
    options = {"frame": True}  # noqa: RUF012
    trials = 60

    def refused(self) -> list[Any]:
        return [each for each in super().refused() if not isinstance(each, str)]

    def broken(self) -> list[bytes]:
        return [b"", b"no gzip"]


class TestJsonl(OfSpelledFrames):
    handler, name = JsonlHandler, "data.jsonl"

    def broken(self) -> list[bytes]:
        return [b"{}\n{", b"1\n", b'{"a": 1, "a": 2}\n', b"{}\n\xff\n", b'{"a": NaN}\n']


class TestJsonlOfRecords(HandlerConformance):
    handler, name = JsonlHandler, "data.jsonl.gz"
    options = {"frame": False}  # noqa: RUF012
    trials = 60

    def examples(self) -> list[Any]:
        return [[VALUE, {}, {"a": 1}], [], [{"n": n, "deep": VALUE} for n in range(500)]]

    def refused(self) -> list[Any]:
        return [1, "text", {"a": 1}, [1], [{"a": object()}]]


class TestYaml(HandlerConformance):
    handler, name = YamlHandler, "data.yaml"

    def examples(self) -> list[Any]:
        shared = [1, 2]
        return [VALUE, {"one": shared, "two": shared}, ["text", None, -1.5e-7, 10**30], "only text", [VALUE] * 30]

    def refused(self) -> list[Any]:
        own: dict[str, Any] = {}
        own["own"] = own
        return [object(), {1: 2}, own, {"a": {1}}, b"x", list(range(20_000)), "\ud800"]

    def broken(self) -> list[bytes]:
        bomb = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
            b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(9)
        )
        return [
            b"a: 1\na: 2\n",
            b"!!python/object:os.system x",
            bomb,
            b"a" * (2 << 20),
            b"\xff",
            b"a: [",
            b"---\n---\n",
        ]


class TestText(HandlerConformance):
    handler, name = TextHandler, "notes.txt"

    def examples(self) -> list[Any]:
        return ["plain", "", "lines\r\nof\rall\nkinds", "\ufeffmarked", "long\n" * 1000]

    def refused(self) -> list[Any]:
        return [object(), b"bytes", None, "\ud800"]

    def broken(self) -> list[bytes]:
        return [b"\xff\xfe", "ä".encode("latin-1")]


class TestBytes(HandlerConformance):
    handler, name = BytesHandler, "data.bin"

    def examples(self) -> list[Any]:
        return [b"some", b"", bytes(range(256)) * 10]

    def refused(self) -> list[Any]:
        return ["text", None, [1]]


class TestNpy(HandlerConformance):
    handler, name = NpyHandler, "data.npy"

    def examples(self) -> list[Any]:
        return [
            np.arange(6, dtype="float32").reshape(2, 3),
            np.asfortranarray(np.arange(6).reshape(2, 3)),
            np.array(5),
            np.empty((0, 3)),
            np.array(["a", "bc"]),
            np.array([(1, "a")], dtype=[("x", "i4"), ("é", "U3")]),
            np.array(["2024-01-01"], dtype="datetime64[D]"),
            randoms(99, (100, 10)),
        ]

    def refused(self) -> list[Any]:
        return [[1], np.array([object()]), pd.DataFrame({"a": [1]}), np.ma.array([1], mask=[True])]

    def broken(self) -> list[bytes]:
        claim = b"\x93NUMPY\x01\x00\x3e\x00{'descr':'<f8','fortran_order':False,'shape':(999999999999,)}\n"
        return [b"", b"\x93NUMPY\x01\x00", claim, b"no array"]


class TestNpz(HandlerConformance):
    handler, name = NpzHandler, "data.npz"

    def examples(self) -> list[Any]:
        return [{"file": np.arange(3), "b/c": np.eye(2)}, {}, {"x": randoms(1 << 40, (2000,))}]

    def same(self, saved: Any, loaded: Any) -> bool:
        each = super().same
        return list(saved) == list(loaded) and all(each(saved[name], loaded[name]) for name in saved)

    def refused(self) -> list[Any]:
        return [np.arange(3), {"a": [1]}, {1: np.arange(3)}, {"a": np.array([object()])}]

    def broken(self) -> list[bytes]:
        return [b"", b"PK\x03\x04"]


class TestExcel(OfFrames):
    handler, name, trials = ExcelHandler, "data.xlsx", 60

    def examples(self) -> list[Any]:
        frame = table().assign(
            t=pd.Series([text or "x" for text in TEXTS], dtype=object), when=pd.Timestamp("2024-02-03 04:05:06.5")
        )
        return [
            frame.astype({"when": "datetime64[us]"}),
            frame[["t"]],
            frame[["n", "b"]].loc[[0] * 300].reset_index(drop=True),
        ]

    def refused(self) -> list[Any]:
        return [
            *super().refused(),
            table().set_index("n"),
            pd.DataFrame({"x": [2**60]}),
            pd.DataFrame({"x": ["a\x00"]}),
            pd.DataFrame({"x": ["a" * 40_000]}),
            pd.DataFrame({"x": [float("inf")]}),
            pd.DataFrame({"x": pd.to_datetime(["2024-01-01 00:00:00.123456"])}),
            pd.DataFrame({"x": pd.to_datetime(["2024-01-01"]).tz_localize("UTC")}),
            pd.DataFrame(),
        ]

    def broken(self) -> list[bytes]:
        return [b"", b"PK\x03\x04", b"no zip"]


class TestImage(HandlerConformance):
    handler, name = ImageHandler, "picture.png"

    def examples(self) -> list[Any]:
        shapes = [(3, 5, 3), (3, 5, 1), (2, 2, 2), (4, 1, 4), (64, 48, 3)]
        return [randoms(256, shape).astype("uint8") for shape in shapes]

    def refused(self) -> list[Any]:
        return [object(), np.zeros((2, 2)), np.zeros((0, 2), "u1"), np.zeros((2, 2, 5), "u1"), np.zeros(3, "u1")]

    def broken(self) -> list[bytes]:
        return [b"", b"\x89PNG\r\n\x1a\n", b"no picture"]


class TestVideo(HandlerConformance):
    handler, name, trials = VideoHandler, "film.mp4", 60
    options = {"fps": 12.5}  # noqa: RUF012

    def examples(self) -> list[Any]:
        return [shades(5, (16, 16)), shades(3, (15, 21)), [noise() for _ in range(10)]]

    def same(self, saved: Any, loaded: Any) -> bool:
        """As many frames, of the same mean within what the codec rounds, padded to even sides."""
        found = list(loaded)
        height, width, _ = saved[0].shape
        sized = all(frame.shape == (height + height % 2, width + width % 2, 3) for frame in found)
        near = all(abs(float(a.mean()) - float(b.mean())) < 4 for a, b in zip(saved, found, strict=True))
        return sized and near and loaded.fps == Fraction(25, 2)

    def refused(self) -> list[Any]:
        two = [*shades(1, (16, 16)), *shades(1, (16, 18))]
        return [object(), [], [np.zeros((16, 16, 3))], two, ["frame"], [np.zeros((16, 16, 4), "u1")]]

    def broken(self) -> list[bytes]:
        return [b"", b"no video", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"]


def shades(count: int, size: tuple[int, int]) -> list[Any]:
    """Frames that get lighter."""
    return [np.full((*size, 3), 20 * number, dtype="uint8") for number in range(count)]


def noise() -> Any:
    return randoms(256, (64, 64, 3)).astype("uint8")


class TestDir(HandlerConformance):
    handler, name, named = DirHandler, "frames", True

    def examples(self) -> list[Any]:
        return [{"a.png": b"a", "sub/b.png": b"b"}, {"a.png": b"other"}, {"c": bytes(range(256)) * 10}]

    def same(self, saved: Any, loaded: Any) -> bool:
        return {name: content for name, content in state_of(loaded).items() if content is not None} == saved

    def refused(self) -> list[Any]:
        return [
            object(),
            {"../up": b""},
            {"/abs": b""},
            {"": b""},
            {"a//b": b""},
            {"a": "text"},
            Path("/no/such/folder"),
        ]


# --------------------------------------------------------------------------- choosing


@handler(name="geo", extensions=["geojson", ".GEO.json"], aliases=["places"])
class Geo:
    """Places on a map."""

    def load(self, path: Path) -> Any:
        return json.loads(path.read_text())

    def save(self, data: Any, path: Path) -> None:
        path.write_text(json.dumps(data))


class TestYourOwn(HandlerConformance):
    """A class that derives from nothing of ours: what it raises passes, all else holds."""

    handler, name = Geo, "places.geojson"

    def examples(self) -> list[Any]:
        return [{"type": "Point"}, [1, 2], ["long"] * 100]

    def refused(self) -> list[Any]:
        return []

    def test_damage_is_never_another_error(self, path: Path) -> None:
        """Its own errors are its own: a ValueError stays one."""
        path.write_text("{")
        with pytest.raises(ValueError, match="Expecting"):
            load_checked(self.make(), path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.csv", "csv"),
        ("a.CSV", "csv"),
        ("a.csv.gz", "csv"),
        ("a.b.json", "json"),
        ("a.geo.json", "geo"),
        ("deep/a.geojson", "geo"),
        ("frames/", "dir"),
        ("a.yml", "yaml"),
        ("a.xlsx", "excel"),
    ],
)
def test_the_longest_extension_chooses(path: str, name: str) -> None:
    """A path says which handler, whatever the case of its letters."""
    assert Handlers([Geo]).find(path=path).name == name


def test_a_folder_that_is_there_is_a_dir(tmp_path: Path) -> None:
    """A path with no extension that is a folder needs no handler; one that is not there needs one."""
    assert Handlers().find(path=tmp_path).name == "dir"
    with pytest.raises(UnknownNameError, match="handler"):
        Handlers().find(path=tmp_path / "later")


def test_an_unknown_name_or_extension_names_the_nearest() -> None:
    """A slip is an error that says what was meant, and what exists."""
    with pytest.raises(UnknownNameError, match=r"'parquet'.*Known: bytes, csv"):
        Handlers().find(name="parqet")
    with pytest.raises(UnknownNameError, match=r"\.parqet.*Did you mean '\.parquet'"):
        Handlers().find(path="a.parqet")
    with pytest.raises(OptionError):
        Handlers().find()


def test_a_name_wins_over_an_extension() -> None:
    """Who names a handler gets that one."""
    assert Handlers([Geo]).find(name="places", path="a.csv").name == "geo"


def test_two_of_one_name_are_an_error_that_names_both(tmp_path: Path) -> None:
    """Never the last one wins; the same class twice is one."""
    twin = tmp_path / "twin.py"
    twin.write_text('@handler(name="geo")\nclass Other: ...\n')
    handlers = Handlers([Geo, *entries_in(twin, "plugins.twin")])
    with pytest.raises(ConfigurationException, match=rf"test_handlers\.py and .*{twin}"):
        handlers.find(name="geo")
    assert Handlers([Geo, Geo]).find(name="geo").object == "Geo"


def test_two_of_one_extension_want_a_name() -> None:
    """Where both could be meant neither is taken, unless it is named."""

    @handler(name="mine", extensions=[".csv"])
    class Mine(Geo): ...

    handlers = Handlers([Mine])
    with pytest.raises(ConfigurationException, match=r"(?s)csv.*mine.*Say which with handler:"):
        handlers.find(path="a.csv")
    assert handlers.find(path="a.csv", name="mine").object.endswith("Mine")
    assert handlers.find(path="a.csv.gz").name == "csv"


def test_a_missing_package_is_an_error_with_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a handler needs is looked for when it is made, before anything runs."""
    from dataclasses import replace

    entry = replace(Handlers().find(name="excel"), name="sheets", module="elsewhere", requires=("no_such_package",))
    with pytest.raises(MissingExtraError, match=r'no_such_package.*pip install "millpond\[excel\]"'):
        Handlers([entry]).make(name="sheets")


def test_listing_imports_nothing_heavy() -> None:
    """What the command's help needs costs no pandas."""
    code = """
        import sys
        from framework.formats.handlers import Handlers, entries_in
        assert len(Handlers().entries()) > 12
        heavy = {"pandas", "pyarrow", "numpy", "openpyxl", "PIL", "av", "yaml", "pydantic"} & set(sys.modules)
        assert not heavy, heavy
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_each_built_in_one_says_the_same_in_both_places() -> None:
    """What the file's literal says is what the class is marked with."""
    for entry in Handlers().entries():
        cls = Handlers().make(name=entry.name).__class__
        assert (cls.handler_name, cls.extensions, cls.aliases) == (entry.name, entry.extensions, entry.aliases)
        assert entry.summary
        assert options_of(cls) == tuple(sorted(options_of(cls), key=lambda each: each.kind))


def test_a_user_class_is_found_without_being_run(tmp_path: Path) -> None:
    """A file of handlers is read, whatever running it would do."""
    path = tmp_path / "mine.py"
    path.write_text(
        "import millpond as m\nfrom framework import handler as h\nraise SystemExit\n"
        '@h(name="a", extensions=[".A"], aliases=("b",))\nclass One:\n    """First.\n\n    More."""\n'
        '@m.handler(name="c")\nclass Two: ...\n'
        "@other\nclass Three: ...\n"
    )
    one, two = entries_in(path, "plugins.mine")
    assert (one.name, one.extensions, one.aliases, one.summary) == ("a", (".a",), ("b",), "First.")
    assert (two.name, two.object, two.module) == ("c", "Two", "plugins.mine")


@pytest.mark.parametrize(
    "source",
    ["@handler(name=NAME)\nclass A: ...", "@handler()\nclass A: ...", '@handler("a")\nclass A: ...', "handler = ("],
    ids=["no literal", "no name", "no keyword", "no Python"],
)
def test_what_cannot_be_known_without_running_it_is_an_error(tmp_path: Path, source: str) -> None:
    """The error names the file and the line."""
    path = tmp_path / "mine.py"
    path.write_text(source)
    with pytest.raises(ConfigurationException, match=rf"{path}:1"):
        entries_in(path, "mine")


def test_a_class_without_load_or_mark_is_refused() -> None:
    """A handler that lacks something says so when it is made."""
    with pytest.raises(ConfigurationException, match="not marked"):
        Handlers([type("Bare", (), {})])

    @handler(name="half")
    class Half:
        def load(self, path: Path) -> None: ...

    with pytest.raises(ConfigurationException, match=r"'half' has no save\(\)"):
        Handlers([Half]).make(name="half")
    with pytest.raises(ConfigurationException, match="extensions is a list"):
        handler(name="a", extensions=".a")


def test_options_of_a_user_class_are_checked() -> None:
    """One that takes none says so; one that takes some gets them."""
    with pytest.raises(OptionError, match="'geo' has no option 'x'"):
        Handlers([Geo]).make(name="geo", options={"x": 1})

    @handler(name="scaled")
    class Scaled(Geo):
        def __init__(self, scale: float = 1.0) -> None:
            self.scale = scale

    assert Handlers([Scaled]).make(name="scaled", options={"scale": 2.0}).inner.scale == 2.0  # type: ignore[attr-defined]
    with pytest.raises(OptionError, match="Did you mean 'scale'"):
        Handlers([Scaled]).make(name="scaled", options={"scal": 2.0})


# --------------------------------------------------------------------------- formats


def test_csv_widens_and_says_so_of_nothing(tmp_path: Path) -> None:
    """Narrow dtypes and categories come back wider, with the same values."""
    narrow = pd.DataFrame(
        {"i": pd.array([1, 2], "int8"), "f": pd.array([0.1, 2], "float32"), "c": pd.Categorical(list("ab"))}
    )
    save_atomically(CsvHandler(), narrow, tmp_path / "a.csv")
    wide = narrow.astype({"i": "int64", "f": "float64"}).assign(c=pd.Series(["a", "b"], dtype=object))
    assert_same(CsvHandler().load(tmp_path / "a.csv"), wide.set_axis(wide.columns.astype(object), axis=1))


def test_csv_is_plain_for_others(tmp_path: Path) -> None:
    """Quotes stand only where they must, so that any program reads it."""
    frame = pd.DataFrame(
        {"n": [1], "x": [1.0], "t": ["a,b"], "when": pd.to_datetime(["2024-01-02 03:04:05"]), "b": [True]}
    )
    CsvHandler().save(frame, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == 'n,x,t,when,b\n1,1.0,"a,b",2024-01-02 03:04:05,true\n'


def test_csv_with_a_loss_is_asked_for(tmp_path: Path) -> None:
    """What is refused is saved with lossy, its index in front."""
    frame = pd.DataFrame({"id": ["1", "2"]}, index=pd.Index([7, 8], name="k"))
    with pytest.raises(FidelityError, match="reset_index"):
        CsvHandler().save(frame, tmp_path / "a.csv")
    CsvHandler(lossy=True).save(frame, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "k,id\n7,1\n8,2\n"
    CsvHandler(dtype={"id": "str"}).save(frame.reset_index(drop=True), tmp_path / "b.csv")  # which is then read so


def test_the_line_of_what_is_wrong_is_named(tmp_path: Path) -> None:
    """Of JSON too, where the key stands that is there twice."""
    path = tmp_path / "a.json"
    path.write_text('{\n "x": {"a": 1},\n "a": "\\"a\\": {",\n "b": [\n  {"k": 1,\n   "k": 2}]}')
    with pytest.raises(FormatError, match="line 6: the key 'k'") as caught:
        JsonHandler().load(path)
    assert caught.value.line == 6
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n\n{"a": 1e999}\n')
    with pytest.raises(FormatError, match="line 3"):
        JsonlHandler().load(tmp_path / "a.jsonl")


def test_jsonl_is_written_as_it_comes(tmp_path: Path) -> None:
    """Records of a generator are written one by one, and their faults leave what was there."""
    path = tmp_path / "a.jsonl"
    save_atomically(JsonlHandler(), ({"n": n} for n in range(3)), path)
    assert JsonlHandler().load(path)["n"].tolist() == [0, 1, 2]

    def failing() -> Any:
        yield {"n": 9}
        raise RuntimeError("the site went away")

    with pytest.raises(RuntimeError):
        save_atomically(JsonlHandler(), failing(), path)
    assert state_of(tmp_path) == {"a.jsonl": b'{"n": 0}\n{"n": 1}\n{"n": 2}\n'}


def test_excel_keeps_text_that_looks_like_a_formula(tmp_path: Path) -> None:
    """=1+1 in a text column is text in the file, not a formula."""
    import openpyxl

    path = tmp_path / "a.xlsx"
    ExcelHandler().save(pd.DataFrame({"t": ["=1+1", "#N/A", "2024-01-01"], "n": [1, 2, 3]}), path)
    sheet = openpyxl.load_workbook(path).active
    assert [cell.data_type for cell in sheet["A"]] == ["s"] * 4
    assert [cell.data_type for cell in sheet["B"]][1:] == ["n"] * 3


def test_excel_of_others(tmp_path: Path) -> None:
    """Sheets are named; a formula without a value, an error and a nameless column are refused; #N/A is missing."""
    import openpyxl

    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    first, second = book.active, book.create_sheet("prices")
    for row in (["k", "v", 2024], ["a", 1, 1], ["b", "#N/A", 2.5], [None, None, None]):
        second.append(row)
    first.append(["f"])
    first.append(["=1+1"])
    book.save(path)
    back = ExcelHandler(sheet="prices").load(path)
    wanted = pd.DataFrame(
        {"k": pd.Series(["a", "b"], dtype=object), "v": pd.array([1, None], "Int64"), "2024": [1, 2.5]}
    )
    assert_same(back, wanted.set_axis(wanted.columns.astype(object), axis=1))
    with pytest.raises(FormatError, match="row 2: a formula"):
        ExcelHandler().load(path)
    with pytest.raises(FormatError, match="Did you mean 'prices'"):
        ExcelHandler(sheet="price").load(path)


def test_picture_kinds_that_eight_bits_do_not_tell_are_refused(tmp_path: Path) -> None:
    """Sixteen bits and several frames are an error, unless a loss is accepted; a palette is told by RGB."""
    from PIL import Image

    Image.fromarray(np.arange(4, dtype="uint16").reshape(2, 2) * 9999).save(tmp_path / "deep.png")
    grey = [Image.new("L", (4, 4), shade) for shade in (0, 99)]
    grey[0].save(tmp_path / "moving.gif", save_all=True, append_images=grey[1:])
    Image.new("RGB", (4, 4), "red").convert("P").save(tmp_path / "palette.png")
    for name in ("deep.png", "moving.gif"):
        with pytest.raises(FormatError):
            ImageHandler().load(tmp_path / name)
        assert ImageHandler(lossy=True).load(tmp_path / name).shape[2] == 3
    assert (ImageHandler().load(tmp_path / "palette.png") == [255, 0, 0]).all()


def test_a_video_of_a_folder_of_pictures_plays_in_their_order(tmp_path: Path) -> None:
    """frame_2 comes before frame_10, and the frames' rate is what was said."""
    pictures = {}
    for number in (2, 10, 1):
        ImageHandler().save(np.full((16, 16, 3), number * 20, "u1"), tmp_path / "one.png")
        pictures[f"frame_{number}.png"] = (tmp_path / "one.png").read_bytes()
    DirHandler().save(pictures, tmp_path / "frames")
    save_atomically(VideoHandler(fps="30000/1001"), tmp_path / "frames", tmp_path / "film.mp4")
    film = VideoHandler().load(tmp_path / "film.mp4")
    assert film.fps == Fraction(30000, 1001)
    assert [round(float(frame.mean()), -1) for frame in film] == [20, 40, 200]
    with pytest.raises(OptionError, match="needs fps"):
        VideoHandler().save(tmp_path / "frames", tmp_path / "other.mp4")
    save_atomically(VideoHandler(), film, tmp_path / "again.mp4")  # which says its own rate
    assert VideoHandler().load(tmp_path / "again.mp4").fps == film.fps


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("csv", {"delimiter": "ab"}),
        ("csv", {"decimal": ","}),
        ("csv", {"encoding": "rot13"}),
        ("csv", {"lossy": "yes"}),
        ("csv", {"nulls": "NA"}),
        ("csv", {"dtype": "str"}),
        ("json", {"indent": True}),
        ("parquet", {"compression": "zip"}),
        ("image", {"quality": 0}),
        ("video", {"fps": 0}),
        ("video", {"fps": "fast"}),
        ("excel", {"sheet": 1}),
        ("npz", {"max_bytes": "1GB"}),
        ("text", {"encoding": "utf-99"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, *value.items())),
)
def test_an_option_of_a_wrong_value_is_refused(name: str, options: dict[str, Any]) -> None:
    """Before anything is read, with what it should be."""
    with pytest.raises(OptionError, match=next(iter(options))):
        Handlers().make(name=name, options=options)


@pytest.mark.parametrize("name", ["a.csv", "a.json"])
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(frame=frames(), lossy=st.booleans())
def test_any_frame_is_refused_or_kept(
    tmp_path_factory: pytest.TempPathFactory, name: str, frame: Any, lossy: bool
) -> None:
    """Of any dtype, index and labels: FidelityError, or a file whose frame is kept by it from then on."""
    path = tmp_path_factory.mktemp("any") / name
    maker = Handlers().make(path=name, options={"lossy": lossy, **({"frame": True} if name == "a.json" else {})})
    try:
        save_atomically(maker, frame, path)
    except FidelityError:
        assert os.listdir(path.parent) == []
        return
    if not lossy:
        kept = load_checked(maker, path)
        save_atomically(maker, kept, path)
        assert_same(load_checked(maker, path), kept)


# --------------------------------------------------------------------------- old or new


class Halfway(DataHandler):
    """Writes half and fails; a folder of it for `folders`."""

    def __init__(self, *, folders: bool = False) -> None:
        self.handles_directories = folders  # type: ignore[misc]

    def save(self, data: Any, path: Path) -> None:
        if self.handles_directories:
            path.mkdir()
            path = path / "half"
        path.write_bytes(b"half")
        raise data


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, FidelityError], ids=lambda error: error.__name__)
@pytest.mark.parametrize("folders", [False, True], ids=["file", "folder"])
def test_a_save_that_fails_leaves_what_was_there(tmp_path: Path, error: type[BaseException], folders: bool) -> None:
    """Whatever it fails of, old content stays and nothing lies beside it."""
    path = tmp_path / "kept"
    save_atomically(DirHandler() if folders else BytesHandler(), {"a": b"old"} if folders else b"old", path)
    before = state_of(tmp_path)
    with pytest.raises(error):
        save_atomically(Halfway(folders=folders), error("no"), path)
    assert state_of(tmp_path) == before


def test_a_handler_that_writes_nothing_is_said(tmp_path: Path) -> None:
    """A save without a file is no save."""

    class Nothing(DataHandler):
        def save(self, data: Any, path: Path) -> None: ...

    with pytest.raises(IntegrityError, match="wrote nothing"):
        save_atomically(Nothing(), 1, tmp_path / "a")


def test_a_save_keeps_the_mode_and_follows_a_link(tmp_path: Path) -> None:
    """Who may read the file may still; a link still leads there."""
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    save_atomically(TextHandler(), "old", real)
    real.chmod(0o640)
    link.symlink_to(real)
    save_atomically(TextHandler(), "new", link)
    assert real.read_text() == "new"
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_folder_that_is_its_own_data_stays(tmp_path: Path) -> None:
    """A step that wrote into the folder that it was given answers with its path, and that is all."""
    path = DirHandler().load(tmp_path / "frames")
    (path / "a").write_bytes(b"a")
    inode = (path / "a").stat().st_ino
    save_atomically(DirHandler(), path, tmp_path / "frames")
    assert (path / "a").stat().st_ino == inode


def test_a_folder_is_not_copied_into_itself(tmp_path: Path) -> None:
    """Nor are links to folders and pipes, which lead elsewhere or never end."""
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(FormatError, match="into itself"):
        save_atomically(DirHandler(), tmp_path, tmp_path / "sub")
    source = tmp_path / "source"
    source.mkdir()
    os.mkfifo(source / "pipe")
    with pytest.raises(FormatError, match="pipe"):
        save_atomically(DirHandler(), source, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_two_folders_are_swapped_at_once_or_by_two_renames(tmp_path: Path) -> None:
    """An old kernel gets there too: the new content at the path, the old one to be removed."""
    for at_once in (writing.exchange, lambda *_: False):
        with writing.staging(tmp_path / "frames") as folder:
            DirHandler().save({"a": b"old"}, tmp_path / "frames")
            DirHandler().save({"b": b"new"}, folder / "frames")
            writing.swap(folder / "frames", tmp_path / "frames", folder, at_once=at_once)
            old = folder / ("frames" if at_once is writing.exchange else writing.ASIDE)
            assert state_of(old) == {"a": b"old"}
        assert state_of(tmp_path) == {"frames": None, "frames/b": b"new"}
        shutil.rmtree(tmp_path / "frames")
    with pytest.raises(FileNotFoundError):
        writing.exchange(tmp_path / "nothing", tmp_path / "frames")


BETWEEN = """
import fcntl, os, sys, time
from pathlib import Path
path = Path(sys.argv[1])
folder = path.parent / ".frames.0123abcd.staging"
for place, content in ((folder / ".aside", "old"), (folder / "frames", "new")):
    place.mkdir(parents=True)
    (place / content).touch()
held = os.open(folder, os.O_RDONLY)
fcntl.flock(held, fcntl.LOCK_EX)
print("now", flush=True)
time.sleep(0.5)
os.rename(folder / "frames", path)
"""


@pytest.mark.timeout(30)
def test_a_reader_waits_for_a_writer_that_is_between_two_renames(tmp_path: Path) -> None:
    """It finds the new folder, and not an empty one of its own."""
    child = subprocess.Popen([sys.executable, "-c", BETWEEN, str(tmp_path / "frames")], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"now\n"
    assert os.listdir(load_checked(DirHandler(), tmp_path / "frames")) == ["new"]
    child.communicate()


@pytest.mark.parametrize("folders", [False, True], ids=["file", "folder"])
def test_many_writers_of_one_path_leave_one_whole_content(tmp_path: Path, folders: bool) -> None:
    """Each save is whole, the last one stays, and none takes another's staging folder for a leftover."""
    path, maker = tmp_path / "kept", DirHandler() if folders else BytesHandler()

    def save(number: int) -> None:
        content = bytes([number]) * 100
        save_atomically(maker, {"a": content, "b": content} if folders else content, path)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(save, range(64)))
    contents = {content for content in state_of(path).values() if content}
    assert len(contents) == 1
    assert len(set(contents.pop())) == 1
    assert os.listdir(tmp_path) == ["kept"]


def test_what_a_killed_writer_moved_aside_is_put_back(tmp_path: Path) -> None:
    """Between the two renames of an old kernel nothing is at the path: the next load or save finds it."""
    path = tmp_path / "frames"
    left = tmp_path / ".frames.0123abcd.staging"
    DirHandler().save({"a": b"old"}, left / ".aside")
    assert load_checked(DirHandler(), path) == path
    assert state_of(tmp_path) == {"frames": None, "frames/a": b"old"}


KILLED = """
import os, signal, sys, time
from pathlib import Path
from framework.formats.handlers import DataHandler, save_atomically

class Slow(DataHandler):
    handles_directories = sys.argv[2] == "folder"
    def save(self, data, path):
        if self.handles_directories:
            path.mkdir()
            path = path / "half"
        path.write_bytes(b"half")
        print("now", flush=True)
        time.sleep(60)

save_atomically(Slow(), None, Path(sys.argv[1]))
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_killed_writer_leaves_the_old_and_the_next_cleans_up(tmp_path: Path, kind: str) -> None:
    """What a live writer stages is left alone; what a dead one staged is removed."""
    path = tmp_path / "kept"
    maker, data = (DirHandler(), {"a": b"old"}) if kind == "folder" else (BytesHandler(), b"old")
    save_atomically(maker, data, path)
    before = state_of(path)
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(path), kind], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "now\n"
    save_atomically(maker, data, path)
    assert len(os.listdir(tmp_path)) == 2, "the live writer's folder was taken from it"
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert state_of(path) == before
    save_atomically(maker, data, path)
    assert os.listdir(tmp_path) == ["kept"]
    assert state_of(path) == before


def test_a_full_disk_while_a_folder_is_copied(tmp_path: Path) -> None:
    """The old folder is whole, and the copy is gone."""
    source = tmp_path / "source"
    DirHandler().save({"small": b"s", "big": b"b" * 5000}, source)
    save_atomically(DirHandler(), {"old": b"o"}, tmp_path / "kept")
    before = state_of(tmp_path)
    with pytest.raises(OSError, match="too large"), most_bytes(1000):
        save_atomically(DirHandler(), source, tmp_path / "kept")
    assert state_of(tmp_path) == before


# --------------------------------------------------------------------------- fingerprints


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    """Equal content, equal fingerprint; any other, another; None where nothing can be said."""
    DirHandler().save({"a": b"1", "s/b": b"2"}, tmp_path / "one")
    DirHandler().save({"s/b": b"2", "a": b"1"}, tmp_path / "two")
    for name, content in (
        ("x", {"a": b"1", "s/c": b"2"}),
        ("y", {"a": b"2", "s/b": b"2"}),
        ("z", {"a": b"1", "s": b"2"}),
    ):
        DirHandler().save(content, tmp_path / name)
    equal = [
        ({"a": 1, "b": [None]}, {"b": [None], "a": 1}),
        (table(), table().copy()),
        (table()["x"], table()["x"].copy()),
        (np.asfortranarray(np.eye(3)), np.eye(3)),
        (b"x", bytearray(b"x")),
        (tmp_path / "one", tmp_path / "two"),
        (tmp_path / "one" / "a", tmp_path / "two" / "a"),
    ]
    for one, two in equal:
        assert fingerprint_of(one) is not None
        assert fingerprint_of(one) == fingerprint_of(two)
    different = [
        *(1, 1.0, True, "1", None, [1], ["1"], [], {}, {"a": 1}, {"a": 1.0}, 0.0, -0.0, b"1", b""),
        *(
            np.int64(1),
            np.array([1]),
            np.array([[1]]),
            np.array([1.0]),
            np.array([1], "int32"),
            np.array([0]),
            np.array([0.0]),
        ),
        *(table(), table()["x"], table()[["x"]], table()["x"].rename("y"), table()["x"].rename(None)),
        *(tmp_path / name for name in ("one", "x", "y", "z")),
        *(tmp_path / "one" / "a", tmp_path / "one" / "s"),
    ]
    prints = [fingerprint_of(data) for data in different]
    assert None not in prints
    assert len(set(prints)) == len(prints)


def test_what_has_no_fingerprint_has_none(tmp_path: Path) -> None:
    """Nothing is guessed: a thing that cannot be told from all others is run again."""
    own: list[Any] = []
    own.append(own)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "linked").mkdir()
    (tmp_path / "plain").mkdir()
    (tmp_path / "linked" / "up").symlink_to(tmp_path / "plain")
    unknown = [(1,), {1: 2}, {"a": (1,)}, object(), own, iter([1]), np.array([object()]), 10**5000]
    unknown += [tmp_path / "missing", tmp_path / "pipe", tmp_path / "linked", pd.DataFrame({"a": [object()]})]
    assert [fingerprint_of(data) for data in unknown] == [None] * len(unknown)
