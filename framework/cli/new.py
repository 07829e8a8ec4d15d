"""`millpond init`: the files of a new workspace, and what to do next."""

from __future__ import annotations

import shlex
from pathlib import Path

from framework.cli import show
from framework.cli.demo import command_line
from framework.errors import SettingError, StorageError
from framework.files import make_folder, storage_errors
from framework.settings import FIELDS, SECRETS

MEANS = {
    "DB_SERVER": "your PostgreSQL's host; without it, the embedded one",
    "DB_NAME": "its database",
    "DB_USER": "who logs in",
    "DB_PASSWORD": "their password",
    "DB_PORT": "its port",
    "DB_URL": "in place of the five: postgresql://user@host:port/name",
    "DB_SCHEMA": "the schema in which tables lie",
    "FS_DATA": "csv and parquet, and Millpond's own folder .millpond",
    "FS_TEMP": "what is shared between runs and never backed up",
    "FS_BACKUP": "backups; another disk is a good place",
    "BACKUP_KEEP": "how many backups of each dataset are kept",
    "BACKUP_OPTIONS": "for an address in FS_BACKUP: names and values",
    "ARCTIC_HOST": "localhost, or nothing, is a folder under FS_DATA",
    "ARCTIC_LIBRARY": "the library in which datasets lie",
    "ARCTIC_URI": "where else it lies: s3://..., lmdb://...",
    "LEDGER_URL": "where runs are recorded: an address; or a file of ours",
    "LEDGER_KEEP": "how many runs are kept on record",
    "LEDGER_DAYS": "and for how many days",
    "RUNS_DAYS": "days for which files of mods and jobs stay in runs/",
    "PREPARED_DAYS": "days for which older files stay in prepared/",
    "ON_FAILURE": "a command or address told of each failed run",
    "FINVIZ_BASE_URL": "the site that the finviz scraper reads",
    "LOCK_TIMEOUT": "seconds that a writer waits for another (then exit 50)",
}
HEAD = """\
# A Millpond workspace. Relative folders start here.
#
# A line that is commented out shows a default. Higher places win: .env, the environment, what a
# service passes. `millpond config show` prints each value and the place that it came from.
#
# ${NAME} stands for the variable NAME of the environment or of .env: the place for passwords.

settings:
"""
STORES = """
# Stores of your own, beside csv, parquet, temp and postgres. Their names are used like any other:
# millpond ls crm; DataFactory().create_data_source("crm").

stores:
  # exports:                     # files that another program wrote
  #   type: csv
  #   delimiter: ";"
  #   encoding: cp1252
  # crm:                         # another server; CRM_PASSWORD=... stands in .env
  #   type: postgres
  #   url: postgresql://reader:${CRM_PASSWORD}@crm.example.com:5432/crm
  #   schema: sales
"""
IGNORED = ("data/", "temp/", "backup/", "logs/", ".env")


def make_workspace(folder: Path, *, as_json: bool) -> None:
    """Write millpond.yaml, and .gitignore where there is none; nothing is ever overwritten.

    Raises
    ------
    SettingError
        There is a millpond.yaml already.
    """
    folder = folder.expanduser()
    path = folder / "millpond.yaml"
    if folder.exists() and not folder.is_dir():
        raise SettingError(f"{folder} is a file.", cure="Name a folder.", resource=str(folder))
    with storage_errors(str(folder)):
        make_folder(folder.absolute())
    if not _write(path, template()):
        raise SettingError(
            f"{path} is there already; it was left as it is.",
            cure="Edit it, or name another folder: millpond init FOLDER.",
            resource=str(path),
        )
    made = [{"made": str(path), "what": "every setting, with its default"}]
    if _write(folder / ".gitignore", "\n".join(IGNORED) + "\n"):
        made.append({"made": str(folder / ".gitignore"), "what": "keeps data, backups and .env out of git"})
    proposed = _proposed(folder)
    if as_json:
        show.document({"made": [row["made"] for row in made], "next": [line for line, _ in proposed]})
        return
    show.rows(made, as_json=False)
    if not show.is_for_a_person():
        return
    print("\nTry next:")
    for line, why in proposed:
        print(f"\n  # {why}\n  {line}")


def template() -> str:
    """The text of a new millpond.yaml: every setting that there is."""
    lines = []
    for name, field in FIELDS.items():
        if name in SECRETS:
            value = f"${{{name}}}"
        else:
            value = "" if field.default is None else str(field.default)
        means = MEANS.get(name, field.description or "")
        lines.append(f"  # {f'{name}: {value}':<36} # {means}".rstrip())
    return HEAD + "\n".join(lines) + "\n" + STORES


def _write(path: Path, text: str) -> bool:
    """False when there is one already."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StorageError(f"{path} cannot be written: {error.strerror}.", resource=str(path)) from error
    return True


def _proposed(folder: Path) -> list[tuple[str, str]]:
    command = command_line(elsewhere=folder.resolve() != Path.cwd())
    go = [] if folder.resolve() == Path.cwd() else [(f"cd {shlex.quote(str(folder))}", "go there")]
    return [
        *go,
        (f"{command} stores", "what stores there are, and what they need"),
        (f"{command} demo", "the whole way once: scrape, rate, store, back up, verify"),
        (f"{command} copy ./prices.csv postgres:prices", "put a file of yours into the database"),
    ]
