"""What makes a mod: its metadata, its parameters, its name, and what is said of one that lacks something."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from framework import ModMetadata, ModResult
from framework.errors import (
    ConfigurationException,
    DatasetNotFoundError,
    ModError,
    PluginException,
    UnknownNameError,
)
from framework.mods.catalog import Mods

if TYPE_CHECKING:
    from tests.framework.conftest import Shop

HEAD = "from framework import BaseModParams, ModMetadata, ModResult\n"
WHOLE = (
    HEAD
    + """
METADATA = ModMetadata(name="{name}", version="1.0.0", description="d")
class Params(BaseModParams):
    _metadata: ModMetadata = METADATA
def run(params): return ModResult("{name}").success()
"""
)


def put(shop: Shop, text: str, name: str = "mine", folder: str = "mods") -> None:
    path = shop.root / folder / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def load(shop: Shop, name: str) -> Any:
    return Mods(shop.root).load(name)


# --------------------------------------------------------------------------- metadata


@pytest.mark.parametrize("version", ["1.0.0", "0.0.1", "1.2.3-rc.1", "1.0.0-0a+build.5", "10.20.30+x"])
def test_a_version_by_semver_is_taken(version: str) -> None:
    """As https://semver.org says it."""
    assert ModMetadata(name="m", version=version, description="d").version == version


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "1.0.0.0", "01.0.0", "1.0.0-01", "1.0.0-", "1.0.0\n", ""])
def test_a_version_of_another_kind_is_refused(version: str) -> None:
    """With one that could stand there."""
    with pytest.raises(ValidationError, match=r"such as 1\.0\.0"):
        ModMetadata(name="m", version=version, description="d")


def test_metadata_lacks_nothing_and_has_nothing_more() -> None:
    """All that is wrong with it is told at once."""
    with pytest.raises(ValidationError) as told:
        ModMetadata(name="no name", descripton="d")  # type: ignore[call-arg]
    assert {each["loc"][0] for each in told.value.errors()} == {"name", "version", "description", "descripton"}


LACKING = [
    ("x = 1\nMETADATA = ModMetadata(name='mine', version='1.0.0', description='d')", ["class Params", "function run"]),
    ("METADATA = dict(name='mine')\nclass Params: pass\nrun = 3", ["no ModMetadata", "not derived", "function run"]),
    (
        "METADATA = ModMetadata(name='mine', version='1.0.0', description='d')\n"
        "class Params(BaseModParams):\n    _metadata: ModMetadata = METADATA.model_copy(update={'version': '2.0.0'})\n"
        "def run(params): pass",
        ["_metadata of its Params is not its METADATA"],
    ),
]


@pytest.mark.parametrize(("text", "told"), LACKING, ids=["no params", "of other kinds", "other metadata"])
def test_a_module_that_is_no_mod_is_told_all_that_it_lacks(shop: Shop, text: str, told: list[str]) -> None:
    """And how one is made."""
    put(shop, HEAD + text)
    with pytest.raises(PluginException) as refused:
        load(shop, "mine")
    assert all(each in str(refused.value) for each in [*told, "millpond new-mod", "mods/mine.py"])


def test_metadata_that_is_refused_and_a_module_that_raises_say_which_file(shop: Shop) -> None:
    """With what was wrong, and what to install where a package is missing."""
    put(shop, HEAD + "METADATA = ModMetadata(name='mine', version='1', description='d')")
    with pytest.raises(PluginException, match=r"mods/mine\.py cannot be imported: (?s:.*)no version by semver"):
        load(shop, "mine")
    put(shop, HEAD + "import no_such_package\n" + WHOLE.format(name="other"), "other")
    with pytest.raises(PluginException, match="pip install no_such_package"):
        load(shop, "other")
    put(shop, WHOLE.format(name="ends") + "raise SystemExit(0)\n", "ends")
    with pytest.raises(PluginException, match="ends the program"):
        load(shop, "ends")


# --------------------------------------------------------------------------- names


def test_a_mod_is_found_by_its_name_its_kind_and_its_module(shop: Shop) -> None:
    """In the workspace's own folder as in ours; nothing is imported to find it."""
    put(shop, WHOLE.format(name="mine") + "print('imported')\n", "file", "mods/solos")
    mods = Mods(shop.root)
    assert {"mine", "source", "csv_reader"} <= set(mods.names())
    assert "mods.solos.file" not in sys.modules
    for name in ("mine", "solos:mine", "mods.solos.file"):
        assert mods.load(name).name == "mine"
    assert mods.load("implementations.mods.sources.csv_reader").name == "csv_reader"


def test_two_of_one_name_are_told_apart_and_neither_wins(shop: Shop) -> None:
    """By kind where that differs, else by module."""
    put(shop, WHOLE.format(name="csv_reader"), "reader", "mods/solos")
    with pytest.raises(ConfigurationException, match=r"Two mods.*mods\.solos\.reader"):
        load(shop, "csv_reader")
    assert load(shop, "solos:csv_reader").module.__name__ == "mods.solos.reader"
    assert load(shop, "sources:csv_reader").module.__name__ == "implementations.mods.sources.csv_reader"


@pytest.mark.parametrize("name", ["csv_raeder", "mods.solos.csv_reader", "os.path.nothing", "", "a:b", "..", "json"])
def test_a_name_of_no_mod_is_unknown(shop: Shop, name: str) -> None:
    """With the nearest; a module that is none of ours is not run for it."""
    with pytest.raises((UnknownNameError, PluginException)) as refused:
        load(shop, name)
    if "raeder" in name:
        assert "Did you mean 'csv_reader'?" in str(refused.value)


def test_a_dotted_module_need_not_lie_in_a_folder_of_mods(shop: Shop) -> None:
    """It is looked for in the workspace, and among what is installed."""
    put(shop, WHOLE.format(name="far"), "far", "etl/parts")
    assert load(shop, "etl.parts.far").name == "far"
    with pytest.raises(PluginException, match=r"json\.tool is no mod"):
        load(shop, "json.tool")


def test_an_installed_distribution_adds_mods_and_a_broken_one_hides_none(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the entry point millpond.mods."""
    site = shop.root / "site"
    put(shop, WHOLE.format(name="installed"), "their_mod", "site")
    for name, value in (("good", "their_mod"), ("broken", "gone.package.mod")):
        put(shop, "", "x", f"site/{name}-1.dist-info")
        (site / f"{name}-1.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: 1\n")
        (site / f"{name}-1.dist-info" / "entry_points.txt").write_text(f"[millpond.mods]\n{name} = {value}\n")
    monkeypatch.syspath_prepend(site)
    mods = Mods(shop.root)
    assert mods.load("installed").module.__name__ == "their_mod"
    assert [each.where for each in mods.unreadable] == ["gone.package.mod"]


def test_a_file_that_is_not_python_is_named_where_a_mod_is_not_found(shop: Shop) -> None:
    """It may be the one; the others are there."""
    put(shop, "METADATA = (\n", "half")
    with pytest.raises(UnknownNameError, match=r"mods/half\.py:1"):
        load(shop, "halb")
    assert load(shop, "plain").name == "plain"


# --------------------------------------------------------------------------- calling


def test_what_a_mod_tells_is_what_json_keeps(shop: Shop) -> None:
    """Numbers of numpy are numbers, what is no number is null, a date is its text: the same now and when resumed."""
    put(
        shop,
        WHOLE.format(name="mine").replace(
            'return ModResult("mine").success()',
            """
    import datetime, numpy as np
    result = ModResult("mine")
    for key, value in {"n": np.int64(3), "x": np.float64(0.5), "b": np.bool_(True), "nan": float("nan"),
                       "day": datetime.date(2026, 1, 2), "all": (1, {"k": np.float32(0.25)})}.items():
        result.add_metric(key, value)
    result.add_global("n", np.int64(3))
    return result.success()""",
        ),
    )
    result = shop.run("mods: {mine: {}}\n").children[0].as_dict()
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    del result["metrics"]["memory_used_mb"]
    expected = {"n": 3, "x": 0.5, "b": True, "nan": None, "day": "2026-01-02", "all": [1, {"k": 0.25}]}
    assert (result["metrics"], result["globals"]) == (expected, {"n": 3})
    assert type(result["metrics"]["n"]) is int


def test_an_artifact_that_is_not_there_is_told_and_matters_to_who_reads_it(shop: Shop) -> None:
    """Its mod has succeeded; a mod that is given it has bad input."""
    text = WHOLE.format(name="mine").replace(
        'return ModResult("mine").success()',
        'result = ModResult("mine"); result.add_artifact("output_data", "gone.parquet"); return result.success()',
    )
    put(shop, text)
    result = shop.run("mods: {mine: {}}\n")
    assert (result.exit_code, result.children[0].metrics["output_data_exists"]) == (0, False)
    result = shop.run("mods: {mine: {}, middle: {}}\n")
    assert result.exit_code == 20
    assert "gone.parquet" in result.errors[0]


def test_relative_inputs_begin_at_the_base_path_and_must_be_there(shop: Shop) -> None:
    """Before anything runs; the cure tells whether the folder is there."""
    (shop.root / "data").mkdir()
    (shop.root / "data/in.csv").write_text("a\n1\n")
    run = shop.workspace.run_mod
    assert run("csv_reader", {"input_path": "in.csv", "base_path": "data"}).exit_code == 0
    for values, word in (
        ({"input_path": "on.csv", "base_path": "data"}, "base_path"),
        ({"input_path": "x/y"}, "folder"),
    ):
        result = run("csv_reader", values)
        assert (result.exit_code, type(result.error)) == (20, DatasetNotFoundError)
        assert "File not found: " in result.errors[0]
        assert word in result.errors[0]


@pytest.mark.parametrize(("answer", "told"), [("nothing", "NoneType"), ("odd", "'fine'")])
def test_an_answer_that_is_no_result_is_an_error_of_the_run(shop: Shop, answer: str, told: str) -> None:
    """30, and says how one is built."""
    result = shop.workspace.run_mod("plain", {"answer": answer})
    assert (result.exit_code, type(result.error)) == (30, ModError)
    assert told in result.errors[0]
    assert "ModResult" in result.errors[0]


def test_params_take_what_they_declare_and_nothing_else(shop: Shop) -> None:
    """All faults at once."""
    with pytest.raises(ConfigurationException) as refused:
        shop.workspace.run_mod("source", {"rows": "many", "incrmental": True})
    assert "rows" in str(refused.value)
    assert "Did you mean 'incremental'?" in str(refused.value)


def test_a_result_built_by_hand_has_every_key() -> None:
    """In and out of a run; the code follows the status alone."""
    result = ModResult("mine")
    result.add_warning("odd")
    made = result.success()
    assert (made["status"], made["exit_code"], made["warnings"]) == ("success", 0, ["odd"])
    assert set(made) == {
        *("status", "execution_time", "metrics", "artifacts", "globals", "warnings", "errors", "exit_code", "logs")
    }
    assert set(made["logs"]) == {"log_file", "session_id", "run_id"}
    assert [result.warning()["exit_code"], result.error()["exit_code"], result.error(20)["exit_code"]] == [10, 30, 20]


def test_new_mod_writes_one_that_runs(shop: Shop) -> None:
    """On the example that it brings along; it overwrites nothing, and takes names alone."""
    from framework.mods.example import write_example

    (made,) = shop.workspace.new_mod("fresh", "sources")
    assert made == shop.root / "mods/sources/fresh.py"
    mod = load(shop, "fresh")
    write_example(mod, shop.root)
    result = shop.workspace.run_mod("fresh", mod.module.EXAMPLE)
    assert (result.exit_code, result.metrics["rows_output"]) == (0, 2)
    with pytest.raises(FileExistsError):
        shop.workspace.new_mod("fresh", "sources")
    for name, kind in (("Fresh Air", "sources"), ("../x", "sources"), ("x", "sauces")):
        with pytest.raises(ConfigurationException):
            shop.workspace.new_mod(name, kind)
