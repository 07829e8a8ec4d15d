"""Whether what a job needs is there: stores, addresses, room on the disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from framework import registry
from framework.attempt import attempt
from framework.errors import MissingExtraError, StorageError, UnavailableError
from framework.mods.base import BaseModParams, ModMetadata
from framework.mods.result import ModResult
from framework.mods.run import ModRun, current_run
from framework.redact import redact, redacted

METADATA = ModMetadata(
    name="health_check",
    version="1.0.0",
    description="Checks stores, addresses and disk space: 0 when all are up, 10 when some are down, 30 when all are",
    author="Millpond",
    tags=["solo", "health", "monitoring"],
)
EXAMPLE = {"stores": ["csv", "parquet"], "min_free_mb": 1}
EXAMPLE_FILES: dict[str, str] = {}
MB = 1 << 20


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    stores: list[str] | None = Field(None, description="all that are installed, unless stores or addresses are given")
    urls: list[str] = Field(default_factory=list, description="http(s) addresses that must answer below 400")
    disk_path: str = Field(".", description="where there must be room, from the workspace on")
    min_free_mb: float | None = Field(None, ge=0, description="how much room")
    vital: list[str] = Field(default_factory=list, description="stores, addresses, or disk, without which all is down")
    timeout: float = Field(5.0, gt=0, le=120, description="seconds that an address may take")
    max_seconds: float | None = Field(None, gt=0, description="an address that takes longer is degraded")

    @field_validator("urls")
    @classmethod
    def _are_http(cls, urls: list[str]) -> list[str]:
        wrong = [
            redacted(url) for url in urls if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc
        ]
        if wrong:
            raise ValueError(f"an address begins with http:// or https://, unlike {', '.join(wrong)}")
        return urls


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of one thing: up, degraded or down, and why."""

    name: str
    state: str
    why: str = ""


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    checks = [*_stores(params, here), *(_address(url, params) for url in params.urls), *_disk(params, here)]
    unknown = sorted(set(map(redacted, params.vital)) - {each.name for each in checks})
    checks += [Check(name, "down", "it is vital, and not among what is checked") for name in unknown]
    state = _together(checks, set(map(redacted, params.vital)))
    result.add_metric("state", state)
    result.add_metric("checks", {each.name: each.state for each in checks})
    for each in checks:
        if each.state != "up":
            (result.add_error if state == "down" else result.add_warning)(f"{each.name} is {each.state}: {each.why}")
    here.logger.info("%s: %d checks", state, len(checks))
    return {"up": result.success, "degraded": result.warning, "down": result.error}[state]()


def _together(checks: list[Check], vital: set[str]) -> str:
    """Down when nothing works or something vital does not; degraded when something else does not."""
    states = {each.state for each in checks}
    if states == {"down"} or any(each.state == "down" and each.name in vital for each in checks):
        return "down"
    return "up" if states <= {"up"} else "degraded"


def _stores(params: Params, here: ModRun) -> Iterator[Check]:
    if params.stores is not None:
        yield from (_store(name, here) for name in params.stores)
        return
    if params.urls or params.min_free_mb is not None or here.open_store is None:
        return
    configured = [] if here.settings is None else list(here.settings.stores)
    for name in [*registry.named("store", "source"), *configured]:
        made = attempt(name, partial(here.store, name))
        if not isinstance(made.error, MissingExtraError):
            yield _store(name, here)


def _store(name: str, here: ModRun) -> Check:
    made = attempt(name, lambda: here.store(name).why_unusable())
    why = made.error or made.value
    return Check(name, "up") if why is None else Check(name, "down", redact(str(why)))


def _address(url: str, params: Params) -> Check:
    """Whether an address answers; one request, whose body is not read."""
    shown, started = redacted(url), time.monotonic()
    asked = attempt(shown, partial(_status, url, params.timeout))
    took = time.monotonic() - started
    if asked.error is not None:
        return Check(shown, "down", redact(str(asked.error)))
    if params.max_seconds is not None and took > params.max_seconds:
        return Check(shown, "degraded", f"it took {took:.2f} s, more than {params.max_seconds:g}")
    return Check(shown, "up")


def _status(url: str, timeout: float) -> int:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(url, headers={"User-Agent": "millpond"}), timeout=timeout) as answer:
            return int(answer.status)
    except HTTPError as error:
        raise UnavailableError(f"it answered {error.code} {error.reason}") from None
    except OSError as error:
        raise UnavailableError(f"it does not answer: {getattr(error, 'reason', None) or error}") from None


def _disk(params: Params, here: ModRun) -> Iterator[Check]:
    if params.min_free_mb is None:
        return
    room = attempt("disk", partial(_free, here.at(params.disk_path)))
    if room.value is None:
        yield Check("disk", "down", str(room.error))
    elif room.value < params.min_free_mb * MB:
        yield Check("disk", "down", f"{room.value // MB} MB are free, fewer than {params.min_free_mb:g}")
    else:
        yield Check("disk", "up")


def _free(path: Path) -> int:
    if not path.exists():
        raise StorageError(f"there is no {path}")
    return shutil.disk_usage(path).free
