"""From nothing to help, to an import, to a first store. Byte-compiled files in a warm cache, as from cron."""

from __future__ import annotations

from rows import OURS, Case, Goal, Row, within

FIRST_STORE = "from framework import DataFactory; DataFactory().create_data_source('csv')"


def _help(peer: str) -> Case:
    return Case(peer, peer, command=(peer, "--help"))


def _import(who: str, peer: str, code: str) -> Case:
    return Case(who, peer, command=("python", "-c", code))


ROWS = (
    Row(
        "startup_help",
        "--help",
        (_help(OURS), *map(_help, ("kedro", "dlt", "dagster", "prefect"))),
        (Goal(0.2, (), "<= 0.2 s"),),
        rounds=9,
    ),
    Row(
        "startup_import",
        "import of the face",
        (
            _import(OURS, OURS, "import framework"),
            _import("bare python", OURS, "pass"),
            _import("pandas", "pandas2", "import pandas"),
            _import("dlt", "dlt", "import dlt"),
            _import("dagster", "dagster", "import dagster"),
            _import("hamilton", "hamilton", "import hamilton.driver"),
            _import("prefect", "prefect", "from prefect import flow, task"),
        ),
        (Goal(0.06, (), "<= 0.06 s"),),
        rounds=9,
    ),
    Row(
        "startup_store",
        "first create_data_source('csv')",
        (
            _import(OURS, OURS, FIRST_STORE),
            _import("import pandas, pyarrow", OURS, "import pandas, pyarrow"),
        ),
        (within(1.25, "import pandas, pyarrow"),),
        rounds=9,
    ),
    Row(
        "startup_run_mod",
        "run-mod csv_reader on 10 rows",
        (
            Case(OURS, OURS, command=(OURS, "run-mod", "csv_reader", "--set", "input_path=../ten.csv")),
            _import("import pandas, pyarrow", OURS, "import pandas, pyarrow"),
        ),
        (within(1.5, "import pandas, pyarrow"),),
        rounds=9,
    ),
)
