"""DataFactory: names resolved late, typed options, no connection before use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from framework import DataFactory, OptionError, UnknownNameError, Vault
from framework.interfaces import ICalculator, IDataBackup, IDataSaver, IDataSource, IScraper


@pytest.fixture
def factory(tmp_path: Path) -> DataFactory:
    return DataFactory(
        {"FS_DATA": str(tmp_path / "d"), "FS_TEMP": str(tmp_path / "t"), "FS_BACKUP": str(tmp_path / "b")}
    )


def test_the_lists_begin_with_the_names_that_users_know(factory: DataFactory) -> None:
    """temp is never backed up."""
    assert factory.list_data_sources() == ["csv", "postgres", "arctic", "temp", "parquet", "sqlite"]
    assert factory.list_data_savers() == ["csv", "postgres", "arctic", "temp", "parquet", "sqlite"]
    assert factory.list_data_backup() == ["csv", "postgres", "arctic", "parquet", "sqlite"]


@pytest.mark.parametrize("kind", ["csv", "postgres", "temp", "parquet", "sqlite"])
def test_a_component_is_made_by_its_name_and_makes_nothing_yet(factory: DataFactory, kind: str, tmp_path: Path) -> None:
    """No folder, no connection, no server: those come with the first use."""
    assert isinstance(factory.create_data_source(kind), IDataSource)
    assert isinstance(factory.create_data_saver(kind), IDataSaver)
    if kind != "temp":
        assert isinstance(factory.create_data_backup(kind), IDataBackup)
    assert list(tmp_path.iterdir()) == []


def test_scrapers_and_calculators_are_made_by_name(factory: DataFactory) -> None:
    """As stores are."""
    assert isinstance(factory.create_scraper("finviz"), IScraper)
    assert isinstance(factory.create_calculator("aaa", strategy="value"), ICalculator)
    assert factory.list_scrapers() == ["finviz", "table"]
    assert factory.list_calculators() == ["aaa"]


def test_an_unknown_type_answers_with_those_that_are_known(factory: DataFactory) -> None:
    """With the nearest one first."""
    with pytest.raises(UnknownNameError, match=r"no store 'postgre' that is a saver\. Did you mean 'postgres'\?"):
        factory.create_data_saver("postgre")
    with pytest.raises(UnknownNameError, match="no store 'temp' that is a backup"):
        factory.create_data_backup("temp")


def test_an_unknown_or_unfit_option_is_an_error_that_names_it(factory: DataFactory) -> None:
    """A typing error does not surface three libraries away."""
    with pytest.raises(OptionError, match=r"no option 'delimeter'\. Did you mean 'delimiter'\?"):
        factory.create_data_source("csv", delimeter=";")
    with pytest.raises(OptionError, match="'delimiter' of the csv store"):
        factory.create_data_source("csv", delimiter="ab")


def test_a_secret_in_an_option_is_not_shown(factory: DataFactory) -> None:
    """Neither by the store nor by the error for another option."""
    store = factory.create_data_source("postgres", url="postgresql://u:canary-77@h/d")
    assert "canary-77" not in repr(store)
    assert "canary-77" not in repr(vars(store))
    with pytest.raises(OptionError) as caught:
        factory.create_data_source("postgres", url="postgresql://u:canary-77@h/d", scheme="x")
    assert "canary-77" not in str(caught.value)


def test_saver_and_backup_of_one_name_are_one_place(factory: DataFactory) -> None:
    """What one made, the other knows; and the vault says that it covers the saver."""
    saver, backup = factory.create_data_saver("parquet"), factory.create_data_backup("parquet")
    saver.save_data(pd.DataFrame({"a": [1]}), "x")
    done, backup_id = backup.backup_data("x")
    assert done
    assert isinstance(backup, Vault)
    assert backup.covers(saver)
    assert not backup.covers(factory.create_data_saver("csv"))
    assert backup.verify_backup(str(backup_id))


def test_a_configured_instance_is_used_by_its_own_name(tmp_path: Path) -> None:
    """`stores:` of millpond.yaml: a type with options, under a name of the user's."""
    (tmp_path / "millpond.yaml").write_text("stores:\n  archive: {type: csv, delimiter: ';'}\n")
    code = (
        "import pandas as pd; from framework import DataFactory; f = DataFactory();"
        "f.create_data_saver('archive').save_data(pd.DataFrame({'a': [1], 'b': [2]}), 'x');"
        "done, key = f.create_data_backup('archive').backup_data('x');"
        "print(f.create_data_source('archive').get_data('x').shape, done)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(1, 2) True"
    assert (tmp_path / "data" / "x.csv").read_text().startswith("a;b\n")
    assert (tmp_path / "backup" / "archive").is_dir()


def test_a_missing_package_answers_with_the_pip_line(tmp_path: Path) -> None:
    """A store that is listed though its extra is absent says how to get it."""
    code = (
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('psycopg', 'pgpq', 'adbc_driver_manager', 'adbc_driver_postgresql'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
        "from framework import DataFactory, MissingExtraError\n"
        "assert 'postgres' in DataFactory().list_data_sources()\n"
        "try:\n    DataFactory().create_data_source('postgres')\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert 'pip install "millpond[postgres]"' in done.stdout
