"""`millpond prepare`: what it ends with, what it answers, and what it makes, each time in a process of its own."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pandas as pd
import pytest

from framework import DataFactory, as_settings
from framework.prepare import SchemaRegistry
from framework.prepare.configuration import Asked
from framework.prepare.preprocessing_config import CHOICES
from framework.prepare.validation_config import ValidationConfig
from framework.testing import assert_same
from framework.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
STAGES = ["ingestion", "validation", "compatibility", "preprocessing", "feature_engineering", "quality"]
PLANS = ("free", "basic", "premium", "enterprise")
HEADER = "customer_id,last_activity_date,account_created_date,total_value,support_tickets,feature_usage_count,plan_type"
CHURN = ("--blueprint", "customer_churn")

SLOW = """
import time
from framework.prepare import Blueprint, Feature, Field

PROVIDES = {"kind": "blueprint", "name": "slow", "object": "BLUEPRINT"}


def make(frame, as_of, learnt):
    open("begun", "w").close()
    time.sleep(60)


BLUEPRINT = Blueprint(
    "slow", "slow", (Field("customer_id", "identifier"),), (Feature("n", ("customer_id",)),), ("customer_id",), make
)
"""


def customers(rows: int = 40) -> list[str]:
    """Lines of a file of customers."""
    return [
        f"C{n:03d},2026-0{1 + n % 6}-{10 + n % 18},2024-{1 + n % 12:02d}-05,{10 + 7.5 * n},"
        f"{n % 5},{n * 3 % 101},{PLANS[n % 4]}"
        for n in range(rows)
    ]


class Shell:
    """A workspace with a file of customers, and the command run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        others = ("DB_", "FS_", "LEDGER_", "MILLPOND", "LOCK_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        self.env = {**kept, "PYTHONPATH": str(ROOT)}
        (folder / "millpond.yaml").touch()
        self.write("customers.csv")

    def write(self, name: str, *, header: str = HEADER, lines: Sequence[str] | None = None) -> None:
        (self.folder / name).write_text("\n".join([header, *(customers() if lines is None else lines)]) + "\n")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "framework", "prepare", *arguments]

    def __call__(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """What became of it; it must end with `code`."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Its answer: one document on standard output."""
        return json.loads(self(*arguments, "--json", code=code).stdout)

    @property
    def found(self) -> Workspace:
        return Workspace(self.folder)

    def saved(self, name: str) -> pd.DataFrame:
        return DataFactory(as_settings(workspace=self.folder)).create_store("parquet").get_data(name)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


# --------------------------------------------------------------------------- prepared


def test_a_file_is_prepared_saved_and_told_in_json(shell: Shell) -> None:
    """The answer is the state; what it names is there, and the run is on record."""
    told = shell.json("customers.csv", *CHURN, "--out", "parquet:train", "--as-of", "2026-07-01")
    assert (told["status"], told["validation"]["score"]["value"]) == ("COMPLETED", 100.0)
    assert len(told["feature_engineering"]["features_created"]) == 9
    assert told["feature_engineering"]["as_of"].startswith("2026-07-01")
    assert set(told["files"]) == {"recipe", "card", "report", "dataset"}
    assert all(Path(path).is_file() for name, path in told["files"].items() if name != "dataset")
    assert len(shell.saved("train")) == 40
    row, steps = shell.found.ran("last")
    assert (row.run_id, row.kind, row.exit_code) == (told["id"], "prepare", 0)
    assert [step.name for step in steps] == [*STAGES, "store"]


def test_lines_tell_it_where_nobody_looks(shell: Shell) -> None:
    """A name and a value with a tab between them; words for a person are on standard error."""
    done = shell("customers.csv", *CHURN, "--no-report")
    told = dict(line.split("\t") for line in done.stdout.splitlines())
    assert told["state"] == "completed"
    assert told["score"] == "100.00 of 100"
    assert (told["rows"], told["features"]) == ("40", "9")
    assert "report" not in told
    assert "as_of was not given" in done.stderr


def test_a_terminal_shows_each_stage(shell: Shell) -> None:
    """As it begins, and that it is over."""
    ours, its = pty.openpty()
    running = subprocess.Popen(
        shell.command("customers.csv", *CHURN, "--out", "parquet:train"),
        cwd=shell.folder,
        env={**shell.env, "TERM": "xterm", "COLUMNS": "100"},
        stdin=its,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    shown = b""
    with suppress(OSError):  # the end, on Linux
        while piece := os.read(ours, 1 << 16):
            shown += piece
    os.close(ours)
    assert running.wait() == 0
    words = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    for place, stage in enumerate([*STAGES, "store"], start=1):
        assert re.search(rf"{place}/7\s+{stage}\s[^\r\n]*success", words), stage
    assert "100.00 of 100" in words


def test_a_recipe_gives_the_same_columns_of_other_rows(shell: Shell) -> None:
    """By its file or its folder; the row's numbers are those that it had among all."""
    told = shell.json("customers.csv", *CHURN, "--out", "parquet:train", "--no-report")
    recipe = Path(told["files"]["recipe"])
    shell.write("new.csv", lines=customers()[10:15])
    again = shell.json("new.csv", "--recipe", str(recipe.parent), "--out", "parquet:new", "--no-report")
    assert again["blueprint"] == "customer_churn"
    assert_same(shell.saved("new"), shell.saved("train").iloc[10:15].reset_index(drop=True))
    done = shell("new.csv", "--recipe", str(recipe), "-b", "revenue_projection", code=20)
    assert "of the blueprint 'customer_churn'" in done.stderr


# --------------------------------------------------------------------------- refused


def test_data_that_is_refused_ends_with_20_and_tells_the_state(shell: Shell) -> None:
    """The reasons in words and in JSON, the score with what it lost, and a report to look at."""
    shell.write("twice.csv", lines=[*customers(), customers()[3]])
    done = shell("twice.csv", *CHURN, "--json", code=20)
    told, error = json.loads(done.stdout), json.loads(done.stderr.splitlines()[-1])
    assert (told["status"], error["error"], error["exit_code"]) == ("FAILED", "DataQualityError", 20)
    assert "customer_id" in error["message"]
    assert error["message"] in told["errors"][0]
    reason = told["validation"]["score"]["reasons"][0]
    assert (reason["part"], reason["field"]) == ("uniqueness", "customer_id")
    assert reason["points"] == pytest.approx(30 / 41)
    assert Path(told["files"]["report"]).is_file()
    assert shell.found.ran("last")[0].state == "FAILED"


def test_a_stage_that_fails_ends_with_30(shell: Shell) -> None:
    """A day before all rows leaves none."""
    done = shell("customers.csv", *CHURN, "--as-of", "2001-01-01", "--no-report", code=30)
    assert "No row is left" in done.stderr
    assert "state\tfailed" in done.stdout


def test_a_column_of_another_name_is_mapped(shell: Shell) -> None:
    """Without a word it is refused and the lacking field is named; --map says which it is."""
    shell.write("other.csv", header=HEADER.replace("customer_id", "kunde").replace("total_value", "Total Value"))
    assert "customer_id" in shell("other.csv", *CHURN, "--no-report", code=20).stderr
    told = shell.json("other.csv", *CHURN, "--map", "customer_id=kunde", "--no-report")
    assert told["compatibility"]["how"]["customer_id"] == "mapped"
    assert told["compatibility"]["how"]["total_value"] == "loose"


def test_a_threshold_puts_up_with_what_is_usually_refused(shell: Shell) -> None:
    """Three of forty values missing are too many at 95 percent, and not at 90."""
    lines = [re.sub(r"(,[^,]*,[^,]*),[\d.]+,", r"\1,,", line) if n < 3 else line for n, line in enumerate(customers())]
    shell.write("gaps.csv", lines=lines)
    assert "total_value" in shell("gaps.csv", *CHURN, "--no-report", code=20).stderr
    told = shell.json("gaps.csv", *CHURN, "--threshold", "completeness=0.9", "--missing", "median", "--no-report")
    assert told["preprocessing"]["imputed"]["total_value"] == 3
    assert told["validation"]["score"]["value"] == pytest.approx(100 - 10 * 3 / 40)


def test_broken_rows_are_refused_or_put_aside(shell: Shell) -> None:
    """With the line; what is put aside is told and kept."""
    shell.write("ragged.csv", lines=[*customers(), "C900,2026-01-01"])
    assert "line 42" in shell("ragged.csv", *CHURN, code=20).stderr
    told = shell.json("ragged.csv", *CHURN, "--bad-rows", "quarantine", "--no-report")
    assert told["ingestion"]["rows_refused"] == 1
    assert pd.read_parquet(told["files"]["rejected"])["_line"].tolist() == [42]


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "for nothing": ((), "customer_churn | price_optimization | revenue_projection"),
    "too large": ((*CHURN, "--max-size", "1kB"), "1,000 are the most"),
    "no size": ((*CHURN, "--max-size", "much"), "'much' is no size"),
    "no threshold": ((*CHURN, "--threshold", "complete=0.9"), "completeness"),
    "no number": ((*CHURN, "--threshold", "score=good"), "no number"),
    "no pair": ((*CHURN, "--map", "customer_id"), "NAME=VALUE"),
    "no store": ((*CHURN, "--out", "train"), "store:name"),
}


def test_what_cannot_be_meant_ends_with_20_and_names_what_there_is(shell: Shell) -> None:
    """Whatever is wrong with the command, nothing is saved."""
    with ThreadPoolExecutor(2) as pool:
        done = pool.map(lambda each: shell("customers.csv", *each[0], code=20).stderr, WRONG.values())
        for name, words in zip(WRONG, done, strict=True):
            assert WRONG[name][1] in words, name
    assert {row.state for row in shell.found.runs()} <= {"FAILED"}
    assert not list(shell.folder.rglob("*.parquet"))


# --------------------------------------------------------------------------- stopped


@pytest.mark.timeout(60)
def test_ctrl_c_ends_with_50_and_is_on_record(shell: Shell) -> None:
    """In the midst of a stage, of a blueprint that lies in the workspace."""
    own = shell.folder / "implementations" / "blueprints" / "slow.py"
    own.parent.mkdir(parents=True)
    own.write_text(SLOW)
    running = subprocess.Popen(
        shell.command("customers.csv", "-b", "slow", "--out", "parquet:t"),
        cwd=shell.folder,
        env=shell.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (shell.folder / "begun").exists():
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    assert running.wait() == 50
    assert shell.found.ran("last")[0].state == "CANCELLED"
    assert not (shell.folder / "data" / "t.parquet").exists()


# --------------------------------------------------------------------------- as it is written down


def test_the_reference_names_all_that_can_be_said(shell: Shell) -> None:
    """Each option of the command and of a call, each setting with its choices, each field and feature."""
    page = (ROOT / "docs" / "reference" / "prepare.md").read_text(encoding="utf-8")
    told = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL))
    words = {word for each in told for word in re.findall(r"[\w-]+", each)}
    options = set(re.findall(r"--[a-z][a-z-]+", shell("--help").stdout)) - {"--verbose", "--quiet", "--help"}
    choices = {choice for each in CHOICES.values() for choice in each}
    plans = [SchemaRegistry().blueprint(name) for name in SchemaRegistry().list_schemas()]
    made = {each.name for plan in plans for each in (*plan.fields, *plan.features)}
    settings = {each.name for each in fields(ValidationConfig)}
    for known in (options, get_type_hints(Asked), CHOICES, choices, made, settings):
        assert set(known) <= words, set(known) - words
    for feature in (each for plan in plans for each in plan.features):
        assert f"| `{feature.name}` | {feature.formula} |" in page, feature.name
