"""The storage specification's listings and first example, as they stand there."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import re
import subprocess
import sys
import types
import typing
from abc import ABC
from functools import partial
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import pandas as pd
import psycopg
import pytest
from psycopg import sql

import framework.interfaces
from calculators.aaa import AAACalculator
from framework import DataFactory
from framework.testing import assert_same
from scrapers.finviz import FinvizScraper
from scrapers.finviz_replica import FinvizReplica

INTERFACES = """
# All data sources implement this interface
class IDataSource(ABC):
    def get_data(self, source: str) -> pd.DataFrame: ...
    def list_sources(self) -> List[str]: ...
    def health_check(self) -> bool: ...

# All data savers implement this interface
class IDataSaver(ABC):
    def save_data(self, data: pd.DataFrame, destination: str) -> bool: ...
    def save_with_backup(self, data: pd.DataFrame, destination: str) -> bool: ...
    def health_check(self) -> bool: ...

# All backup services implement this interface
class IDataBackup(ABC):
    def backup_data(self, source: str) -> Tuple[bool, Optional[str]]: ...
    def backup_all(self) -> List[Tuple[str, str]]: ...
    def health_check(self) -> bool: ...

# All calculators implement this interface
class ICalculator(ABC):
    def run_complete_calculation(self, data_source: IDataSource,
                               data_saver: IDataSaver,
                               backup_service: IDataBackup,
                               sources: Optional[List[str]] = None) -> List[Any]: ...
    def health_check(self) -> bool: ...

# All scrapers implement this interface
class IScraper(ABC):
    def scrape_data(self, data_saver: IDataSaver) -> bool: ...
    def scrape_single_source(self, source_name: str, data_saver: IDataSaver) -> bool: ...
    def get_available_sources(self) -> List[str]: ...
    def health_check(self) -> bool: ...
"""

FACTORY = """
# Create any component type dynamically
data_factory = DataFactory(config=config, logger=logger)

# Choose implementation at runtime
csv_source = data_factory.create_data_source("csv")
postgres_saver = data_factory.create_data_saver("postgres")
arctic_backup = data_factory.create_data_backup("arctic")
calculator = AAACalculator(config, logger)

# Factory supports all component types
source_types = data_factory.list_data_sources()      # ['csv', 'postgres', 'arctic', 'temp']
saver_types = data_factory.list_data_savers()        # ['csv', 'postgres', 'arctic', 'temp']
backup_types = data_factory.list_data_backup()       # ['csv', 'postgres', 'arctic']
"""

EXAMPLE_1 = """
# Example 1: Web scraping → Temp storage → Calculation → PostgreSQL
scraper = FinvizScraper(config, logger)
temp_saver = factory.create_data_saver("temp")
calculator = AAACalculator(config, logger)
postgres_saver = factory.create_data_saver("postgres")
postgres_backup = factory.create_data_backup("postgres")

# Execute complete pipeline
scraper.scrape_data(temp_saver)
calculator.run_complete_calculation(
    data_source=temp_source,
    data_saver=postgres_saver,
    backup_service=postgres_backup
)
"""

EXAMPLE_2 = """
# Example 2: Direct CSV to ArcticDB processing
csv_source = factory.create_data_source("csv")
arctic_saver = factory.create_data_saver("arctic")
data = csv_source.get_data("input_data.csv")
arctic_saver.save_data(data, "processed_data")
"""

EXAMPLE_3 = """
# Example 3: Multi-storage backup strategy
savers = [
    factory.create_data_saver("csv"),
    factory.create_data_saver("postgres"),
    factory.create_data_saver("arctic")
]
for saver in savers:
    saver.save_data(important_data, "backup_copy")
"""

NAMES = ["IDataSource", "IDataSaver", "IDataBackup", "ICalculator", "IScraper"]
logger = logging.getLogger("millpond.specs")


class Config:
    """A plain object such as the specification's."""

    DB_SERVER: str | None = "localhost"
    DB_NAME = "my_project"
    DB_USER = "postgres"
    DB_PASSWORD = "password"
    DB_PORT = 5432
    ARCTIC_HOST = "localhost"
    ARCTIC_LIBRARY = "my_project_data"

    def __init__(self, folder: Path) -> None:
        self.FS_DATA = str(folder / "data")
        self.FS_TEMP = str(folder / "temp")
        self.FS_BACKUP = str(folder / "backup")


HAS_ARCTIC = importlib.util.find_spec("arcticdb") is not None and pd.__version__ < "3"


def runnable(code: str) -> str:
    """The listing as it stands; where ArcticDB cannot be had (no extra, or pandas 3), less the lines that name it."""
    if HAS_ARCTIC:
        return code
    kept = [line for line in code.splitlines() if "arctic" not in line or "types =" in line]
    return "\n".join(kept)


@pytest.fixture
def config_with_server(tmp_path: Path, postgres_url: str, postgres_schema: str) -> Config:
    config = Config(tmp_path)
    config.DB_SERVER, config.DB_URL, config.DB_SCHEMA = None, postgres_url, postgres_schema
    return config


def spelled(hint: Any) -> Any:
    """A type hint in one form, however it is written."""
    if get_origin(hint) in (Union, types.UnionType):
        return frozenset(spelled(arg) for arg in get_args(hint))
    if get_origin(hint) is not None:
        return (get_origin(hint), *(spelled(arg) for arg in get_args(hint)))
    return getattr(hint, "__name__", str(hint))


@pytest.mark.parametrize("name", NAMES)
def test_the_abstract_methods_are_exactly_those_listed(name: str) -> None:
    """No more and no fewer: a class that has them can be made."""
    methods = {method for method in vars(listed_interfaces()[name]) if not method.startswith("_")}
    ours = getattr(framework.interfaces, name)
    assert ours.__abstractmethods__ == methods
    assert type("Own", (ours,), {method: lambda self: None for method in methods})() is not None


@pytest.mark.parametrize("name", NAMES)
def test_the_signatures_are_those_listed(name: str) -> None:
    """Names, order, defaults and types of parameters, and what is answered."""
    theirs, ours = listed_interfaces()[name], getattr(framework.interfaces, name)
    for method in ours.__abstractmethods__:
        wanted, got = getattr(theirs, method), getattr(ours, method)
        assert [(p.name, p.default, p.kind) for p in inspect.signature(got).parameters.values()] == [
            (p.name, p.default, p.kind) for p in inspect.signature(wanted).parameters.values()
        ]
        names = {**vars(framework.interfaces), "pd": pd}
        hints = {key: spelled(hint) for key, hint in typing.get_type_hints(got, names).items()}
        assert hints == {key: spelled(hint) for key, hint in typing.get_type_hints(wanted).items()}, method


def listed_interfaces() -> dict[str, Any]:
    """The specification's listing, executed."""
    namespace: dict[str, Any] = {"ABC": ABC, "pd": pd}
    exec("from typing import Any, List, Optional, Tuple\n" + INTERFACES, namespace)
    return namespace


def test_the_factory_makes_components_by_name_without_a_server(tmp_path: Path) -> None:
    """The listing runs although no server answers: components are made, and connect when they are used."""
    config = Config(tmp_path)
    config.DB_PORT = 1
    namespace: dict[str, Any] = {
        "config": config,
        "logger": logger,
        "DataFactory": DataFactory,
        "AAACalculator": AAACalculator,
    }
    exec(runnable(FACTORY), namespace)
    for kind in ("source", "saver", "backup"):
        comment = re.search(rf"^{kind}_types = .*# (\[.*\])$", FACTORY, re.MULTILINE)
        assert comment is not None
        wanted, got = re.findall(r"'(\w+)'", comment[1]), namespace[f"{kind}_types"]
        assert got[: len(wanted)] == wanted
        assert ("temp" in got) == ("temp" in wanted)
    assert namespace["csv_source"].health_check() is True
    assert namespace["postgres_saver"].health_check() is False
    assert not (tmp_path / "data").exists()


def test_example_1_scrapes_rates_and_stores(config_with_server: Config, postgres_url: str) -> None:
    """Its rows, read back by SQL alone, are the ratings of what the site had."""
    config = config_with_server
    with FinvizReplica(layout="2025", refusals=1) as site:
        config.FINVIZ_BASE_URL = site.base_url
        factory = DataFactory(config=config, logger=logger)
        temp = factory.create_data_source("temp")
        namespace = {
            "config": config,
            "logger": logger,
            "factory": factory,
            "temp_source": temp,
            "FinvizScraper": partial(FinvizScraper, delay=0.0),  # the site is ours: it need not be spared
            "AAACalculator": AAACalculator,
        }
        exec(EXAMPLE_1, namespace)
    sources = [name.removeprefix("AAA - ") for name in temp.list_sources()]
    assert len(sources) == 18
    calculator = AAACalculator(None, logger)
    with psycopg.connect(postgres_url) as connection:
        for source in sources:
            wanted = calculator.calculate(temp.get_data(f"AAA - {source}"))
            table = sql.Identifier(config.DB_SCHEMA, f"AAA_{source}")
            cursor = connection.execute(sql.SQL("SELECT * FROM {}").format(table))
            assert [column.name for column in cursor.description] == list(wanted.columns)
            assert_same_cells(cursor.fetchall(), wanted)
    stored = namespace["postgres_saver"].get_data("AAA_all")
    assert_same(stored, calculator.calculate(temp.get_data("AAA - all")))
    assert len(stored) == len(site.stocks)


def assert_same_cells(rows: list[tuple[Any, ...]], frame: pd.DataFrame) -> None:
    """Rows as the driver gives them against a frame: equal to the last bit, missing where it is missing."""
    assert len(rows) == len(frame)
    for place, name in enumerate(frame.columns):
        wanted = [None if missing else value for value, missing in zip(frame[name], frame[name].isna(), strict=True)]
        assert [row[place] for row in rows] == wanted, name


def test_example_1_run_again_backs_up_what_it_replaces(config_with_server: Config) -> None:
    """The second calculation keeps the first one's tables, and the backup gives them back the same."""
    factory = DataFactory(config=config_with_server, logger=logger)
    with FinvizReplica() as site:
        config_with_server.FINVIZ_BASE_URL = site.base_url
        scraper = FinvizScraper(config_with_server, logger, delay=0.0)
        scraper.scrape_single_source("energy", factory.create_data_saver("temp"))
    part = {
        "data_source": factory.create_data_source("temp"),
        "data_saver": factory.create_data_saver("postgres"),
        "backup_service": factory.create_data_backup("postgres"),
    }
    AAACalculator(None, logger).run_complete_calculation(**part)
    first = part["data_saver"].get_data("AAA_energy")
    AAACalculator(None, logger, strategy="momentum").run_complete_calculation(**part)
    (record,) = part["backup_service"].list_backups("AAA_energy")
    assert not part["data_saver"].get_data("AAA_energy").equals(first)
    part["backup_service"].restore_data("AAA_energy", record.backup_id)
    assert_same(part["data_saver"].get_data("AAA_energy"), first)


@pytest.mark.skipif(not HAS_ARCTIC, reason="ArcticDB is not installed, or has no support for this pandas")
def test_example_2_moves_a_csv_to_arctic(config_with_server: Config) -> None:
    """What lay in a CSV is in ArcticDB, as the raw library reads it; a fresh store gives the very frame."""
    Path(config_with_server.FS_DATA).mkdir()
    (Path(config_with_server.FS_DATA) / "input_data.csv").write_text(
        "id,value,day\n007,0.1,2026-01-05\nNA,,2026-01-06\n"
    )
    namespace: dict[str, Any] = {"factory": DataFactory(config=config_with_server, logger=logger)}
    exec(EXAMPLE_2, namespace)
    assert namespace["data"]["id"].tolist() == ["007", "NA"]
    namespace["arctic_saver"].close()
    place = f"lmdb://{config_with_server.FS_DATA}/.millpond/arctic"
    script = (
        "import sys, arcticdb\n"
        "[library] = [arcticdb.Arctic(sys.argv[1])[name] for name in arcticdb.Arctic(sys.argv[1]).list_libraries()]\n"
        "frame = library.read('processed_data').data\n"
        "print(frame['id'].tolist(), frame['value'].tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", script, place], capture_output=True, text=True)
    assert done.stdout.strip() == "['007', 'NA'] [0.1, nan]", done.stderr
    assert_same(
        DataFactory(config_with_server).create_data_source("arctic").get_data("processed_data"), namespace["data"]
    )


def test_example_3_saves_the_same_rows_in_every_store(config_with_server: Config, postgres_url: str) -> None:
    """Its loop leaves equal frames wherever it saved."""
    factory = DataFactory(config=config_with_server, logger=logger)
    data = pd.DataFrame({"id": ["007", "NA"], "value": [0.1, float("nan")]})
    namespace: dict[str, Any] = {"factory": factory, "important_data": data}
    exec(runnable(EXAMPLE_3), namespace)
    assert len(namespace["savers"]) == 2 + HAS_ARCTIC
    for saver in namespace["savers"]:
        assert_same(saver.get_data("backup_copy"), data)
    raw = (Path(config_with_server.FS_DATA) / "backup_copy.csv").read_text()
    assert raw == 'id,value\n"007",0.1\n"NA",\n'
    with psycopg.connect(postgres_url) as connection:
        table = sql.Identifier(config_with_server.DB_SCHEMA, "backup_copy")
        rows = connection.execute(sql.SQL("SELECT id, value FROM {}").format(table)).fetchall()
    assert rows == [("007", 0.1), ("NA", None)]
