"""Reading jobs: where each parameter comes from, what refers to what, and all that is wrong, at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from framework.engine.references import Later
from framework.errors import CaseError
from framework.redact import redact

if TYPE_CHECKING:
    from tests.framework.conftest import Shop


def params(shop: Shop, text: str, mod: str, settings: Any = (), **how: Any) -> dict[str, tuple[Any, str]]:
    job = shop.workspace.job(shop.write(text), settings, **how)
    return {name: (said.value, said.origin) for name, said in job.use(mod).params.items()}


def faults(shop: Shop, text: str, settings: Any = (), **how: Any) -> list[str]:
    with pytest.raises(CaseError) as refused:
        shop.workspace.job(shop.write(text), settings, **how)
    assert refused.value.exit_code == 20
    return [str(each) for each in refused.value.faults]


# --------------------------------------------------------------------------- layers

DEFAULTS = """project_name: customer_analytics
mod_defaults:
  csv_reader:
    encoding: latin-1
    base_path: /data/customer_analytics
    decimal: ","
"""
JOB = """globals:
  base_path: /data/2024-08-12
  log_level: DEBUG
  encoding: utf-8
  date: "%d.%m.%Y"

mods:
  csv_reader:
    input_path: customers.csv
    delimiter: "|"
    nulls: [NA]
    date_format: ${globals.date}
"""
GOLDEN = {
    "encoding": ("utf-8", "jobs/etl.yaml:4"),
    "base_path": ("/data/2024-08-12", "jobs/etl.yaml:2"),
    "decimal": (",", "project_defaults.yaml:6"),
    "input_path": ("customers.csv", "jobs/etl.yaml:9"),
    "delimiter": (";", "environment MILLPOND__CSV_READER__DELIMITER"),
    "nulls": (["-"], "--set csv_reader.nulls"),
    "date_format": ("%Y", "jobs/etl.yaml:12"),
    "columns": (["a"], "--set csv_reader.columns"),
}


def test_each_layer_wins_over_those_below_it_and_says_so(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project's defaults, the job's globals, the block, the environment, the command line."""
    shop.write("globals: {base_path: /never, encoding: never}\n", "config/global.yaml")
    shop.write(DEFAULTS, "project_defaults.yaml")
    monkeypatch.setenv("MILLPOND__CSV_READER__DELIMITER", ";")
    monkeypatch.setenv("MILLPOND__CSV_READER__NULLS", "[never]")
    settings = ["csv_reader.nulls=[-]", "csv_reader.columns=[a]", "globals.date=%Y"]
    assert params(shop, JOB, "csv_reader", settings) == GOLDEN


def test_a_global_that_is_set_says_where_it_was_set(shop: Shop) -> None:
    """It fills the parameters of its name, and an own block wins over it."""
    text = "globals: {base_path: /a}\nmods: {source: {}, b: {mod: source, base_path: /b}}\n"
    job = shop.workspace.job(shop.write(text), ["globals.base_path=/c"])
    assert job.globals == {"base_path": "/c"}
    said = job.use("source").params["base_path"]
    assert (said.value, said.origin) == ("/c", "--set globals.base_path")
    assert job.use("b").params["base_path"].value == "/b"


def test_mod_names_the_implementation_and_its_defaults_hold_for_every_use(shop: Shop) -> None:
    """What is said for the use wins over what is said for the mod."""
    shop.write("mod_defaults: {source: {rows: 7}, middle: {warns: true}}\n", "project_defaults.yaml")
    text = "mods: {first: {mod: source}, second: {mod: mods.source}}\n"
    assert params(shop, text, "first")["rows"] == (7, "project_defaults.yaml:1")
    assert params(shop, text, "second", {"second": {"rows": 8}})["rows"] == (8, "--set second.rows")


def test_selected_mods_keep_the_order_of_the_file(shop: Shop) -> None:
    """And the defaults of those that do not run are no fault."""
    shop.write("mod_defaults: {b: {rows: 7}}\n", "project_defaults.yaml")
    text = "mods: {a: {mod: source}, b: {mod: source}, c: {mod: source}}\n"
    job = shop.workspace.job(shop.write(text), mods=["c", "a"])
    assert [use.name for use in job.uses] == ["a", "c"]


# --------------------------------------------------------------------------- faults

WRONG = """job_nam: x
globals: {anything: goes}
mods:
  source:
    rowz: 3
    rows: many
  sorce: {}
  middle: {warns: maybe, input_artifact: "${mods.sourc.artifacts.output_data}"}
  ../up: {mod: source}
  sink: nothing
  plain: {batch: "${globals.nothing}", shows: "${env:NO_SUCH}", asks: "${secret:NO_SUCH}"}
steps:
  surce: {}
  source: {retires: 2, retries: -1, timeout: 0, on_error: ignore, needs: [plane]}
  plain: {when: "1 == 1", needs: 3}
"""
TOLD = [
    "jobs/etl.yaml:1: there is no key 'job_nam' in a job. Did you mean 'job_name'?",
    "jobs/etl.yaml:5: 'source' has no parameter 'rowz'. Did you mean 'rows'?",
    "jobs/etl.yaml:6: 'source': rows: input should be a valid integer",
    "jobs/etl.yaml:7: There is no mod 'sorce'. Did you mean 'source'?",
    "jobs/etl.yaml:8: ${mods.sourc.artifacts.output_data} stands for nothing: the job has no sourc. Did you mean",
    "jobs/etl.yaml:9: '../up' is no name of a mod in a job.",
    "jobs/etl.yaml:10: the block of 'sink' is not a mapping.",
    "jobs/etl.yaml:11: ${globals.nothing} stands for nothing",
    "jobs/etl.yaml:11: ${env:NO_SUCH} stands for nothing",
    "jobs/etl.yaml:11: ${secret:NO_SUCH} stands for nothing",
    "jobs/etl.yaml:13: steps: the job has no mod 'surce'. Did you mean 'source'?",
    "jobs/etl.yaml:14: a step has no key 'retires'. Did you mean 'retries'?",
    "jobs/etl.yaml:14: retries is -1. Write a whole number from 0 to 100.",
    "jobs/etl.yaml:14: timeout is 0. Write a number above 0.",
    "jobs/etl.yaml:14: on_error is 'ignore'. Write stop or continue.",
    "jobs/etl.yaml:14: needs: the job has no mod 'plane'. Did you mean 'plain'?",
    "jobs/etl.yaml:15: '1 == 1' is no condition",
    "jobs/etl.yaml:15: needs is not a list of names.",
    "--set plian.batch: the job has no mod 'plian'. Did you mean 'plain'?",
    "--set batch: this is not STEP.PARAM=VALUE.",
    "environment MILLPOND__PLAN__BATCH: there is no mod PLAN. Did you mean 'PLAIN'?",
    "project_defaults.yaml:1: there is no mod 'cvs_reader'. Did you mean 'csv_reader'?",
]


def test_all_that_is_wrong_is_told_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its file, line and the nearest right name."""
    shop.write("mod_defaults: {cvs_reader: {delimiter: x}}\n", "project_defaults.yaml")
    monkeypatch.setenv("MILLPOND__PLAN__BATCH", "1")
    told = faults(shop, WRONG, ["plian.batch=1", "batch=1"])
    for expected in TOLD:
        assert [each for each in told if each.startswith(expected)], (expected, told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a job has no mods"),
        ("mods: {}", "a job has no mods"),
        ("mods: [source]", "mods is not a mapping"),
        ("mods: {source: {}}\nsteps: [source]", "steps is not a mapping"),
        ("mods: {source: {}}\nlock: 3", "lock is 3"),
        ("mods: {source: {}}\nparallel: 1.5", "parallel is 1.5"),
        ("mods: {source: {}}\ntimeout: soon", "timeout is 'soon'"),
        ("mods: {source: {}}\nglobals: 3", "globals is not a mapping"),
        ("mods: {source: }\n\tx", "jobs/etl.yaml:2: "),
    ],
)
def test_a_file_that_is_no_job_is_told_where(shop: Shop, text: str, told: str) -> None:
    """Whatever stands in it."""
    assert any(told in each and each.startswith("jobs/etl.yaml:") for each in faults(shop, text))


# --------------------------------------------------------------------------- edges


def test_an_input_that_nothing_says_is_what_the_mod_before_makes(shop: Shop) -> None:
    """Of two before it that of the last, or of the one that it needs; a sink and a solo make none."""
    text = "mods: {source: {}, plain: {}, other: {mod: source}, middle: {}, sink: {}, end: {mod: sink}}\n"
    job = shop.workspace.job(shop.write(text))
    assert [use.reads for use in job.uses[3:]] == [(("other", "output_data"),), *[(("middle", "output_data"),)] * 2]
    job = shop.workspace.job(shop.write(text + "steps: {middle: {needs: source}}\n"))
    assert job.use("middle").reads == (("source", "output_data"),)
    said = job.use("middle").params["input_artifact"]
    assert (isinstance(said.value, Later), said.origin) == (True, "source, before it")


def test_an_input_of_none_or_of_several_is_a_fault(shop: Shop) -> None:
    """It says what to write."""
    cure = "Write input_artifact: ${mods.NAME.artifacts.output_data}."
    (told,) = faults(shop, "mods: {middle: {}, source: {}}\n")
    assert told == f"jobs/etl.yaml:1: 'middle' has no input_artifact: no mod before it makes one. {cure}"
    text = "mods: {a: {mod: source}, b: {mod: source}, middle: {}}\nsteps: {middle: {needs: [a, b]}}\n"
    (told,) = faults(shop, text)
    assert told == f"jobs/etl.yaml:1: 'middle' has no input_artifact: it needs a, b. {cure}"


def test_a_reference_to_what_a_mod_makes_is_an_edge(shop: Shop) -> None:
    """To an artifact as data, to the rest as what must be done before."""
    text = "mods: {a: {mod: source}, b: {mod: source}, middle: {input_artifact: '${mods.a.artifacts.output_data}'},\n"
    text += "  plain: {batch: 'n${mods.b.metrics.rows_output}-${mods.a.exit_code}'}}\n"
    job = shop.workspace.job(shop.write(text))
    assert job.use("middle").reads == (("a", "output_data"),)
    assert set(job.use("plain").needs) == {"a", "b"}
    assert shop.workspace.run_job(job).children[3].metrics["batch"] == "n2-0"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "{source: {}, sink: {input_artifact: '${mods.source.artifacts.output_dat}'}}",
            "makes no artifact 'output_dat'",
        ),
        ("{sink: {input_artifact: '${mods.source.artifacts.output_data}'}, source: {}}", "comes later"),
        ("{source: {}, sink: {input_artifact: '${mods.sink.artifacts.output_data}'}}", "itself"),
        ("{source: {}, plain: {batch: '${mods.source.artifact.x}'}}", "is no reference"),
    ],
)
def test_an_edge_that_cannot_be_is_a_fault(shop: Shop, text: str, told: str) -> None:
    """Found before anything runs, with what else is wrong."""
    found = faults(shop, f"mods: {text}\nsteps: {{source: {{retries: -1}}}}\n")
    assert any(told in each for each in found), found
    assert any("retries is -1" in each for each in found)


BORROWING = """
from framework import BaseModParams, ModMetadata, ModResult
METADATA = ModMetadata(name="writer", version="1.0.0", description="d")
BORROWS = {"connection": "database_reader"}
class Params(BaseModParams):
    connection: str = "none"
def run(params):
    result = ModResult("writer")
    result.add_metric("connection", params.connection)
    return result.success()
"""


def test_a_mod_borrows_what_another_is_set_to(shop: Shop) -> None:
    """With its origin; its own wins."""
    shop.write(BORROWING, "mods/writer.py")
    shop.write("mod_defaults: {database_reader: {connection: 'sqlite:///a'}}\n", "project_defaults.yaml")
    assert params(shop, "mods: {writer: {}}\n", "writer") == {"connection": ("sqlite:///a", "project_defaults.yaml:1")}
    assert params(shop, "mods: {writer: {connection: b}}\n", "writer")["connection"] == ("b", "jobs/etl.yaml:1")


# --------------------------------------------------------------------------- secrets


@pytest.mark.parametrize("place", ["environment", "named file", "folder"])
def test_a_secret_is_found_and_shown_nowhere(
    shop: Shop, place: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In the environment, in the file that NAME_FILE names, in secrets/: neither log, ledger nor result has it."""
    secret = f"hush-{place.replace(' ', '-')}-4711"
    file = shop.write(secret + "\n", "secrets/SHOP_KEY" if place == "folder" else "elsewhere")
    if place == "environment":
        monkeypatch.setenv("SHOP_KEY", secret)
    elif place == "named file":
        monkeypatch.setenv("SHOP_KEY_FILE", str(file))
    text = "mods: {plain: {shows: 'key ${secret:SHOP_KEY}', batch: '${secret:SHOP_KEY}', fails: true}}\n"
    with shop.workspace.session("etl") as log:
        result = shop.run(text)
    assert secret in capfd.readouterr().out  # standard output is the user's own
    assert result.exit_code == 30
    row, steps = shop.workspace.ran()
    shown = [log.read_text(), json.dumps(row.plan), *(f"{step.params} {step.error}" for step in steps), str(row.reason)]
    assert secret in result.errors[0]  # in memory it is what it is
    assert [secret in each for each in [*shown, redact(result.errors[0])]] == [False] * len(shown) + [False]
    assert all("***" in each for each in shown)
    for path in (shop.root / "data" / ".millpond").rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


def test_a_parameter_of_a_secret_type_is_masked_whoever_says_it(shop: Shop) -> None:
    """Also in what is told of its faults."""
    text = "mods: {plain: {secret: correct-horse, shows: correct-horse, sleeps: correct-horse}}\n"
    assert not any("correct-horse" in each for each in faults(shop, text))
    shop.run("mods: {plain: {secret: correct-horse-9, shows: correct-horse-9, fails: true}}\n")
    row, steps = shop.workspace.ran()
    assert "correct-horse" not in json.dumps(row.plan) + steps[0].params + str(steps[0].error) + str(row.reason)
