"""Any public table: a CSV or JSON file at an address, saved with the types that its values have.

    TableScraper(url="https://example.org/rates.csv")
    TableScraper(sources={"rates": {"url": "https://example.org/api", "path": "data.items"}})

A CSV is read as the csv store reads one that others wrote. Of a JSON document the list of objects at `path` is taken: a
row each, an object inside it as columns `outer.inner`, a list inside it as its JSON text.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from framework.errors import OptionError, PageError, SettingError, known_names
from framework.http import Page, PoliteClient
from framework.interfaces import IDataSaver
from framework.scraping import ADDED, Scraper, typed_column
from framework.settings import as_settings

if TYPE_CHECKING:
    import pandas as pd

PROVIDES = {
    "kind": "scraper",
    "name": "table",
    "object": "TableScraper",
    "extra": "scrape",
    "summary": "a CSV or JSON file at an address",
}

FILE = "sources.yaml"
LARGEST = 64 * 2**20
EXACT = 2**53  # beyond it a float is no whole number any more


class TableSource(BaseModel):
    """One table.

    Attributes
    ----------
    url : str
    format : {"csv", "json"}, optional
        What the server or the address's suffix says, unless given.
    path : str
        Where in a JSON document the list is: keys and positions between dots.
    delimiter, encoding : str
        Of a CSV; the encoding is the server's unless given.
    """

    model_config = ConfigDict(extra="forbid")

    url: str
    format: Literal["csv", "json"] | None = None
    path: str = ""
    delimiter: str = ","
    encoding: str | None = None


class TableScraper(Scraper):
    """Saves tables under their names.

    Parameters
    ----------
    config : object, optional
        Settings; of the workspace's folder `sources.yaml` is read when neither `url` nor `sources` is given.
    logger : logging.Logger, optional
    url : str, optional
        Of a single table, which is called `name`, or as its file is without the suffix.
    name : str, optional
    format, path, delimiter, encoding
        Of that table; see `TableSource`.
    sources : mapping or path, optional
        Several: name to what `TableSource` takes; or a YAML file with that.
    delay, max_bytes, respect_robots
        See `framework.http.PoliteClient`. A host that an address names may be a local one.
    workers, progress
        See `framework.scraping.Scraper`.
    """

    name: ClassVar[str] = "table"

    def __init__(
        self,
        config: object | None = None,
        logger: logging.Logger | None = None,
        *,
        url: str | None = None,
        name: str | None = None,
        format: str | None = None,
        path: str = "",
        delimiter: str = ",",
        encoding: str | None = None,
        sources: Mapping[str, Any] | str | None = None,
        delay: float = 1.0,
        max_bytes: int = LARGEST,
        respect_robots: bool = True,
        workers: int = 4,
        progress: bool | None = None,
    ) -> None:
        super().__init__(config, logger, workers=workers, progress=progress)
        given: Any = sources
        if url is not None:
            one = {"url": url, "format": format, "path": path, "delimiter": delimiter, "encoding": encoding}
            given = {name or _stem(url): one}
        elif not isinstance(sources, Mapping):
            given = _from_file(as_settings(config).workspace / (sources or FILE))
        self.tables = {str(name): _checked(str(name), table) for name, table in given.items()}
        self.client = PoliteClient(
            delay=delay,
            max_bytes=max_bytes,
            respect_robots=respect_robots,
            allow_hosts=[urlsplit(table.url).netloc.rpartition("@")[2] for table in self.tables.values()],
            logger=self.logger,
        )

    def get_available_sources(self) -> list[str]:
        return list(self.tables)

    def scrape_data(self, data_saver: IDataSaver, *, sources: Sequence[str] | None = None) -> bool:
        """As every scraper, but without a table of all: they have nothing in common."""
        return super().scrape_data(data_saver, sources=self.get_available_sources() if sources is None else sources)

    def fetch(self, source: str) -> pd.DataFrame:
        """The table at an address; a column that we add is renamed where the table has one, too."""
        table = self.tables[source]
        page = self.client.get(table.url)
        frame = read_json(page.text, table.path) if _is_json(page, table) else _read_csv(page, table, source)
        self.tell_rows(len(frame))
        return frame.rename(columns={name: f"{name}_there" for name in ADDED})

    def probe(self) -> None:
        for url in sorted({table.url for table in self.tables.values()})[:1]:
            self.client.probe(url)


def read_json(text: str, path: str = "") -> pd.DataFrame:
    """The list of objects at `path` of a JSON document; what an object lacks is missing.

    Whole numbers are Int64, others float64, truth values boolean; what is of several kinds, or too large, is text.

    Raises
    ------
    PageError
        It is no JSON, or something else is there.
    """
    import pandas as pd

    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PageError(f"This is no JSON: {error}. It begins {text[:60]!r}.", cure="Is it format=csv?") from None
    for key in path.split(".") if path else ():
        found = _inside(found, key, path)
    if not isinstance(found, list):
        inside = f" with the keys {', '.join(map(repr, list(found)[:12]))}" if isinstance(found, dict) else ""
        raise PageError(
            f"At {path or 'the top'!r} is {_kind(found)}{inside}, not a list.", cure="Set path= to where the list is."
        )
    rows = []
    for place, item in enumerate(found):
        if not isinstance(item, dict):
            raise PageError(f"Item {place} of the list at {path or 'the top'!r} is {_kind(item)}, not an object.")
        cells = list(_cells(item))
        if len({name for name, _ in cells}) < len(cells):
            raise PageError(f"Item {place} of the list at {path or 'the top'!r} has two fields of one name.")
        rows.append(dict(cells))
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: _typed([row.get(name) for row in rows]) for name in names}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(rows)))


def _inside(value: Any, key: str, path: str) -> Any:
    if isinstance(value, dict) and key in value:
        return value[key]
    if isinstance(value, list) and key.isdigit() and int(key) < len(value):
        return value[int(key)]
    known = list(value) if isinstance(value, dict) else map(str, range(len(value) if isinstance(value, list) else 0))
    raise PageError(f"There is no {key!r} on the way to {path!r}.", cure=known_names(key, known))


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


def _cells(item: Mapping[str, Any], outer: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in item.items():
        if isinstance(value, dict) and value:
            yield from _cells(value, f"{outer}{name}.")
        else:
            yield f"{outer}{name}", value


def _typed(values: Sequence[Any]) -> pd.Series[Any]:
    import pandas as pd

    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds == {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return typed_column(values, "count")
    whole = [value for value in values if type(value) is int]
    if kinds in ({float}, {int, float}) and all(abs(value) <= EXACT for value in whole):
        return typed_column(values, "measure")
    return typed_column(
        [value if value is None or isinstance(value, str) else json.dumps(value) for value in values], "text"
    )


def _is_json(page: Page, table: TableSource) -> bool:
    if table.format is not None:
        return table.format == "json"
    return "json" in page.headers.get("Content-Type", "") or urlsplit(table.url).path.endswith(".json")


def _read_csv(page: Page, table: TableSource, name: str) -> pd.DataFrame:
    from framework.formats.compression import codec_of
    from framework.formats.csv_foreign import Foreign, Spelling, source_of
    from framework.schema import ALL, decode

    if page.content.lstrip()[:1] == b"<":
        raise PageError(f"{name}: this is a page of HTML, not a CSV.", cure="Give the address of the file itself.")
    file = Path(urlsplit(table.url).path).name
    if table.encoding or codec_of(file):
        content, encoding = page.content, table.encoding or "utf-8"
    else:
        content, encoding = page.text.encode(), "utf-8"
    spelling = Spelling(delimiter=table.delimiter, encoding=encoding)
    return decode(*Foreign([source_of(io.BytesIO(content), file, most=LARGEST * 8)], spelling).read(ALL))


def _stem(url: str) -> str:
    return Path(unquote(urlsplit(url).path)).stem or urlsplit(url).hostname or "table"


def _from_file(path: Path) -> dict[str, Any]:
    from os import environ

    from framework.yaml import read_yaml, substituted

    if not path.is_file():
        raise OptionError(
            "The table scraper is told neither url= nor sources=, and there is no file of them.",
            cure=f"Say --set url=https://..., or write {path}.",
            resource=str(path),
        )
    found = substituted(read_yaml(path), environ).value
    if not isinstance(found, dict) or not found:
        raise SettingError(f"{path} holds no sources.", cure="Write lines such as `rates: {url: https://...}`.")
    return found


def _checked(name: str, given: Any) -> TableSource:
    try:
        return TableSource.model_validate({"url": given} if isinstance(given, str) else given)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, fault["loc"])) or "it"
        cure = known_names(where, TableSource.model_fields) if fault["type"] == "extra_forbidden" else None
        raise OptionError(f"The source {name!r}: {where}: {fault['msg']}.", cure=cure, resource=name) from None
