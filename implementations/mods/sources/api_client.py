"""Records of an HTTP API as an artifact: page by page to the end or not at all, at its pace, also only what is new."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urljoin, urlsplit, urlunsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from framework.errors import FetchError, FormatError, known_names
from framework.mods.artifacts import write_tables
from framework.mods.base import BaseModParams, ModMetadata
from framework.mods.cursors import Progress, rank_of_text
from framework.mods.records import Rows
from framework.mods.result import ModResult
from framework.mods.run import ModRun, current_run
from framework.mods.values import dumped, flattened, json_value, records_in
from framework.redact import redact, register_secret
from framework.registry import missing_extra

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.http.calling import Call, Caller, Credentials
    from framework.http.page import Page

METADATA = ModMetadata(
    name="api_client",
    version="1.0.0",
    description="Reads the records of an HTTP API, with paging, credentials and a pace",
    author="Millpond",
    tags=["source", "api", "http"],
    artifacts={"makes": ["output_data"]},
)
EXAMPLE = {
    "endpoint": "http://127.0.0.1:{port}/invoices",
    "auth_method": "none",
    "paging": "next_url",
    "records_path": "items",
    "rate_limit": 20,
}
EXAMPLE_SERVES = {
    "/invoices": {"items": [{"id": 1, "amount": 9.5}, {"id": 2, "amount": 120.0}], "next": "/invoices/more"},
    "/invoices/more": {"items": [{"id": 3, "amount": 7.25}], "next": None},
}
NEEDS = {
    "none": (),
    "bearer": ("token",),
    "basic": ("username", "password"),
    "api_key": ("api_key",),
    "oauth2": ("token_url", "client_id", "client_secret"),
}
NO_CONTENT = 204
MOST_SAID = 200  # characters of an answer that is none
SECRET_NAMES = ("auth", "key", "token", "secret", "pass", "cookie")


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    endpoint: str = Field(description="the URL of what is read")
    method: Literal["GET", "POST"] = Field("GET", description="POST sends body as JSON")
    params: dict[str, Any] = Field(default_factory=dict, description="what the query holds beside paging")
    headers: dict[str, str] = Field(default_factory=dict, description="what is sent along")
    body: dict[str, Any] | None = Field(None, description="of a POST")

    auth_method: Literal["none", "bearer", "basic", "oauth2", "api_key"] = Field("none", description="how it knows us")
    token: SecretStr | None = Field(None, description="for bearer")
    username: str | None = Field(None, description="for basic")
    password: SecretStr | None = Field(None, description="for basic")
    api_key: SecretStr | None = Field(None, description="for api_key")
    api_key_header: str = Field("X-API-Key", min_length=1, description="the header that holds api_key")
    token_url: str | None = Field(None, description="for oauth2 (client credentials)")
    client_id: str | None = Field(None, description="for oauth2")
    client_secret: SecretStr | None = Field(None, description="for oauth2")
    scope: str | None = Field(None, description="for oauth2")
    client_auth: Literal["basic", "body"] = Field("basic", description="for oauth2: where client_secret goes")

    records_path: str | None = Field(None, min_length=1, description="keys, joined by dots, of the records")
    flatten: bool = Field(False, description="make columns a.b of nested objects, which are else kept as JSON text")
    columns: list[str] | None = Field(None, min_length=1, description="only these")

    paging: Literal["none", "page", "offset", "cursor", "link", "next_url"] = Field(
        "none",
        description="page: a number that grows; offset: how many records came; cursor: a mark for the next page in the "
        "answer; link: its header Link; next_url: a URL in the answer",
    )
    page_param: str = Field("page", description="for page")
    first_page: int = Field(1, ge=0, description="for page")
    offset_param: str = Field("offset", description="for offset")
    size_param: str | None = Field(None, description="for page and offset: what says how many records a page has")
    page_size: int | None = Field(None, ge=1, description="the value of size_param")
    next_param: str = Field("cursor", description="for cursor: what it is sent as")
    next_path: str = Field("next", description="for cursor and next_url: keys, joined by dots, under which it is")
    paging_in: Literal["query", "body"] = Field("query", description="where page, offset or cursor go")
    end_status: list[int] = Field(default_factory=list, description="statuses that mean: beyond the last page")
    empty_is_end: bool = Field(
        False, description="take an answer without a body, or without records_path, for one without records"
    )
    max_pages: int = Field(10_000, ge=1, description="more pages are an error")

    cursor_field: str | None = Field(None, min_length=1, description="in the records: grows with what is new")
    cursor_param: str | None = Field(None, min_length=1, description="in the query: asks for what is new since")
    cursor_start: str | int | None = Field(None, description="the first time, since here")

    timeout: float = Field(30.0, gt=0, description="seconds for one answer")
    rate_limit: float | None = Field(None, gt=0, description="most requests a second")
    retries: int = Field(5, ge=0, le=100, description="further tries after 429, a 5xx or a broken connection")
    backoff: float = Field(1.0, ge=0, description="seconds of the first wait, which doubles; a longer Retry-After wins")
    longest_wait: float = Field(300.0, gt=0, description="a longer Retry-After is an error at once")
    max_bytes: int = Field(1 << 26, gt=0, description="most bytes of one answer")
    other_hosts: list[str] = Field(default_factory=list, description="further https://host that belong to it")
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")

    @field_validator("endpoint", "token_url")
    @classmethod
    def _is_a_url(cls, url: str | None) -> str | None:
        if url is not None and (not url.startswith(("http://", "https://")) or not urlsplit(url).hostname):
            raise ValueError("a URL begins with https:// and a host")
        if url is not None and "@" in urlsplit(url).netloc:
            raise ValueError("a URL holds no password: say auth_method: basic, username and password")
        return url

    @model_validator(mode="after")
    def _fits(self) -> Params:
        lacking = [name for name in NEEDS[self.auth_method] if not getattr(self, name)]
        if lacking:
            raise ValueError(f"auth_method {self.auth_method} needs {' and '.join(lacking)}")
        if (self.cursor_field is None) != (self.cursor_param is None):
            raise ValueError("cursor_field and cursor_param belong together: say both")
        if (self.size_param is None) != (self.page_size is None):
            raise ValueError("size_param and page_size belong together: say both")
        if self.method == "GET" and (self.body is not None or self.paging_in == "body"):
            raise ValueError("a GET has no body: say method: POST")
        return self


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    for name, value in params.headers.items():
        register_secret(value if any(part in name.lower() for part in SECRET_NAMES) else None)
    progress = _progress(params, here)
    pages = came = 0
    with _caller(params, here) as caller, Rows(here.folder, columns=params.columns) as rows:
        for records in _pages(params, caller, progress):
            pages += 1
            new = records if progress is None else [each for each in records if _is_new(each, progress)]
            came += len(new)
            rows.add(flattened(new, params.endpoint) if params.flatten else new)
        if progress is not None and not came:
            _declare(rows, here.cursor(_source(params)))
        schema, tables = rows.tables()
        target = here.output(params.output_path)
        written = write_tables(target, schema, tables)
        for note in [*(progress.notes if progress else ()), *rows.notes]:
            result.add_warning(note)
        result.add_metric("requests", caller.requests)
    known = progress.known if progress else 0
    if progress is not None and (kept := progress.kept()) is not None:
        here.move_cursor(_source(params), {**kept, "columns": _told_columns(schema)})
    here.logger.info("read %d records in %d pages", written, pages)
    result.add_metric("rows_processed", written + known)
    result.add_metric("rows_output", written)
    result.add_metric("rows_known", known)
    result.add_metric("pages", pages)
    result.add_artifact("output_data", target)
    return result.success()


# --------------------------------------------------------------------------- what is new


def _source(params: Params) -> str:
    """Under which name it is kept how far it was read."""
    return f"{params.endpoint.partition('?')[0]} {params.cursor_field}"


def _progress(params: Params, here: ModRun) -> Progress | None:
    if params.cursor_field is None:
        return None
    kept = here.cursor(_source(params))
    return Progress(params.cursor_field, kept, start=params.cursor_start, rank=rank_of_text, drops=True)


def _told_columns(schema: pa.Schema) -> str:
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def _declare(rows: Rows, kept: Mapping[str, Any] | None) -> None:
    """Where nothing is new, the columns of the last time: what comes after it finds those that it names."""
    if kept is None or "columns" not in kept:
        return
    import pyarrow as pa

    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(kept["columns"])))
    rows.kinds |= dict(zip(schema.names, schema.types, strict=True))
    rows.add_rows(schema.names, [])


def _is_new(record: Mapping[str, Any], progress: Progress) -> bool:
    value: Any = record
    for key in progress.column.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return progress.is_new(value, record)


# --------------------------------------------------------------------------- who asks


def _caller(params: Params, here: ModRun) -> Caller:
    try:
        from framework.http.calling import Caller
    except ImportError as error:
        raise missing_extra(f"mod {METADATA.name!r}", "scrape", error.name) from error
    return Caller(
        params.endpoint,
        others=params.other_hosts,
        credentials=_credentials(params, here),
        timeout=params.timeout,
        rate=params.rate_limit,
        retries=params.retries,
        backoff=params.backoff,
        longest_wait=params.longest_wait,
        max_bytes=params.max_bytes,
        verify=here.variables.get("REQUESTS_CA_BUNDLE") or True,
        logger=here.logger,
    )


def _credentials(params: Params, here: ModRun) -> Credentials | None:
    from framework.http.calling import ClientCredentials, Fixed

    if params.auth_method == "none":
        return None
    if params.auth_method == "oauth2":
        return ClientCredentials(lambda: _token(params, here))
    if params.auth_method == "basic":
        return Fixed({"Authorization": _basic(str(params.username), params.password)})
    if params.auth_method == "api_key":
        return Fixed({params.api_key_header: _told(params.api_key)})
    return Fixed({"Authorization": f"Bearer {_told(params.token)}"})


def _told(secret: SecretStr | None) -> str:
    text = secret.get_secret_value() if secret is not None else ""
    register_secret(text)
    return text


def _basic(user: str, password: SecretStr | None) -> str:
    both = f"{user}:{_told(password)}"
    register_secret(both)
    return f"Basic {base64.b64encode(both.encode()).decode()}"


def _token(params: Params, here: ModRun) -> Mapping[str, Any]:
    """What the server of tokens answers."""
    from framework.http.calling import Call, Caller

    form = {"grant_type": "client_credentials"} | ({"scope": params.scope} if params.scope else {})
    headers = {}
    if params.client_auth == "basic":
        headers["Authorization"] = _basic(str(params.client_id), params.client_secret)
    else:
        form |= {"client_id": str(params.client_id), "client_secret": _told(params.client_secret)}
    url = str(params.token_url)
    verify = here.variables.get("REQUESTS_CA_BUNDLE") or True
    with Caller(url, timeout=params.timeout, retries=params.retries, backoff=params.backoff, verify=verify) as caller:
        page = caller.call(Call(url, "POST", headers=headers, form=form))
    told = _value(page, "the token's server")
    return told if isinstance(told, dict) else {}


# --------------------------------------------------------------------------- pages


def _pages(params: Params, caller: Caller, progress: Progress | None) -> Iterator[list[Mapping[str, Any]]]:
    """The records of each page, up to the last one."""
    call = _first(params, progress)
    asked: set[str] = set()
    seen: set[bytes] = set()
    place = params.first_page if params.paging == "page" else 0
    for number in range(params.max_pages):
        page = caller.call(call, expected=params.end_status if number else ())
        if number and page.status in params.end_status:
            return
        value, records = _read(page, params, call.shown, number + 1)
        if params.paging in ("page", "offset"):
            if not records:
                return
            _check_repeats(records, seen, call.shown)
            place += 1 if params.paging == "page" else len(records)
        yield records
        following = _next(params, call, page, value, place)
        if following is None:
            return
        mark = dumped([following.url, dict(following.params), following.body])
        if mark in asked:
            raise FetchError(f"{call.shown}: page {number + 1} leads to one that was read already.", cure=HOW)
        asked.add(mark)
        call = following
    raise FetchError(
        f"{call.shown} has more than {params.max_pages:,} pages; nothing was kept of them.",
        cure="Raise max_pages if that is right, or ask for larger pages.",
    )


HOW = "Does the API page as paging says? Look at its parameters too."
KEPT = "Nothing was kept."
ALLOW = "Try again later; if the API ends its pages so, say empty_is_end: true."


def _first(params: Params, progress: Progress | None) -> Call:
    from framework.http.calling import Call

    query = dict(params.params)
    if progress is not None and progress.since is not None:
        query[str(params.cursor_param)] = progress.since
    call = Call(params.endpoint, params.method, query, params.headers, params.body)
    sent: dict[str, Any] = {params.size_param: params.page_size} if params.size_param else {}
    if params.paging == "page":
        sent[params.page_param] = params.first_page
    if params.paging == "offset":
        sent[params.offset_param] = 0
    return _with(call, sent, params)


def _with(call: Call, sent: Mapping[str, Any], params: Params) -> Call:
    from dataclasses import replace

    if params.paging_in == "body":
        return replace(call, body={**(call.body or {}), **sent})
    return replace(call, params={**call.params, **sent})


def _value(page: Page, shown: str) -> Any:
    if not page.content.strip():
        return None
    try:
        text = page.content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FormatError(f"{shown} answered what is not UTF-8.", resource=shown) from None
    return json_value(text, f"the answer of {shown}")


def _read(page: Page, params: Params, shown: str, number: int) -> tuple[Any, list[Mapping[str, Any]]]:
    """What a page holds, and its records: none only where it says so, for a server in trouble says less."""
    if page.status == NO_CONTENT or (params.empty_is_end and not page.content.strip()):
        return None, []
    if not page.content.strip():
        raise FetchError(f"{shown}: page {number} has no body. {KEPT}", cure=ALLOW, resource=shown)
    value = _value(page, shown)
    path = params.records_path
    if value is None and path is None:
        return value, []
    if path is not None and not _has(value, path):
        if params.empty_is_end and isinstance(value, Mapping):
            return value, []
        if number > 1:
            said = redact(dumped(value))
            said = said if len(said) <= MOST_SAID else f"{said[:MOST_SAID]}..."
            raise FetchError(f"{shown}: page {number} has no {path!r}: {said}. {KEPT}", cure=ALLOW, resource=shown)
    return value, _records(value, params, shown)


def _records(value: Any, params: Params, shown: str) -> list[Mapping[str, Any]]:
    if params.records_path is None and isinstance(value, dict) and params.paging != "none":
        lists = [key for key, each in value.items() if isinstance(each, list)]
        raise FormatError(
            f"{shown} answers an object, and not a list of records.",
            cure=f"Say records_path. {known_names('', lists)}" if lists else "Say records_path.",
            resource=shown,
        )
    return records_in(value, params.records_path, shown)


def _at(value: Any, path: str) -> Any:
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _has(value: Any, path: str) -> bool:
    """Whether the path is there, be it with null."""
    above, _, last = path.rpartition(".")
    holder = _at(value, above) if above else value
    return isinstance(holder, Mapping) and last in holder


def _check_repeats(records: list[Mapping[str, Any]], seen: set[bytes], shown: str) -> None:
    mark = blake2b(dumped(records).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    if mark in seen:
        raise FetchError(f"{shown} gives the same records on two pages.", cure=HOW, resource=shown)
    seen.add(mark)


def _next(params: Params, call: Call, page: Page, value: Any, place: int) -> Call | None:
    """The request for the page behind this one; None when it is the last."""
    if params.paging in ("page", "offset"):
        return _with(call, {params.page_param if params.paging == "page" else params.offset_param: place}, params)
    if params.paging == "cursor":
        mark = _at(value, params.next_path)
        return None if mark in (None, "", False) else _with(call, {params.next_param: mark}, params)
    if params.paging in ("link", "next_url"):
        url = _linked(page) if params.paging == "link" else _at(value, params.next_path)
        if url is not None and not isinstance(url, str):
            raise FormatError(f"{call.shown}: {params.next_path} holds {dumped(url)[:60]}, which is no URL.", cure=HOW)
        return _led(call, page.url, url) if url else None
    return None


def _linked(page: Page) -> str | None:
    """What the header Link calls next (RFC 8288)."""
    from requests.utils import parse_header_links

    links = parse_header_links(page.headers.get("Link", ""))
    return next((each["url"] for each in links if "next" in each.get("rel", "").lower().split()), None)


def _led(call: Call, base: str, url: str) -> Call:
    """The request for a URL that the API gave, which holds the query already."""
    from dataclasses import replace

    there, mine = urlsplit(urljoin(base, url)), urlsplit(base)
    if (there.scheme, mine.scheme) == ("http", "https") and there.netloc == mine.netloc:  # a server behind a proxy
        there = there._replace(scheme="https")
    if "@" in there.netloc:
        raise FetchError(f"{redact(call.shown)} leads to a URL with a password.", cure=HOW)
    return replace(call, url=urlunsplit(there), params={})
