"""Files from S3, or wherever fsspec reads, to this machine: streamed, held against size and checksum, whole or not."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import Field, field_validator, model_validator

from framework.attempt import attempt
from framework.errors import (
    BaseFrameworkException,
    DatasetNotFoundError,
    IntegrityError,
    MissingExtraError,
    ParameterError,
    StorageError,
    UnavailableError,
    nearest,
)
from framework.files import replacing, storage_errors, under
from framework.mods.base import BaseModParams, ModMetadata
from framework.mods.result import ModResult
from framework.mods.run import ModRun, current_run
from framework.redact import redact, register_secret
from framework.registry import missing_extra

METADATA = ModMetadata(
    name="s3_downloader",
    version="1.0.0",
    description="Downloads files from S3 or any address that fsspec reads, and checks them",
    author="Millpond",
    tags=["source", "s3", "file"],
    artifacts={"makes": ["output_data"]},
)
EXAMPLE = {"url": "file://incoming/day_*.csv"}
EXAMPLE_FILES = {"incoming/day_1.csv": "id,amount\n1,9.5\n", "incoming/day_2.csv": "id,amount\n2,12\n"}
BLOCK = 1 << 22  # bytes
SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "FSSPEC_S3_SECRET", "FSSPEC_S3_TOKEN")
HIDDEN = re.compile(r"pass|secret|token|key|credential|sas|connection_string", re.IGNORECASE)
DIGESTS = ("md5", "sha1", "sha256", "sha512")
MD5 = re.compile(r"[0-9a-f]{32}")
# by their names, for the packages that they come from may not be installed
NO_ENTRY = {"PermissionError", "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"}
NO_ENTRY |= {"TokenRetrievalError", "ClientAuthenticationError", "AuthenticationException", "ProfileNotFound"}
NO_ANSWER = {"EndpointConnectionError", "HTTPClientError", "ClientConnectionError", "ServiceRequestError"}
NO_ANSWER |= {"SSHException", "gaierror", "ConnectionError", "TimeoutError"}

T = TypeVar("T")


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    url: str = Field(min_length=1, description="such as s3://bucket/day.csv, or a pattern: s3://bucket/day_*.csv")
    storage_options: dict[str, Any] = Field(
        default_factory=dict, description="what fsspec passes on: key, secret, endpoint_url and the like"
    )
    checksum: str | None = Field(None, description="what the file must have, as sha256:9f86d0...; or md5, sha1, sha512")
    size: int | None = Field(None, ge=0, description="bytes that the file must have")
    max_bytes: int | None = Field(None, gt=0, description="the most that all files together may have")
    output_path: str | None = Field(
        None, description="the file, or for a pattern the folder; in the run's folder unless given"
    )

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        if "://" not in url:
            raise ValueError(f"{redact(url)!r} is no address: write it as s3://bucket/name or file://folder/name")
        if url.endswith("/"):
            raise ValueError(f"{redact(url)!r} is a folder: say which of its files, such as {redact(url)}*.csv")
        return url

    @field_validator("checksum")
    @classmethod
    def _is_a_checksum(cls, text: str | None) -> str | None:
        if text is None:
            return None
        kind, _, digest = text.lower().partition(":")
        if kind not in DIGESTS or not re.fullmatch(rf"[0-9a-f]{{{2 * hashlib.new(kind).digest_size}}}", digest):
            raise ValueError(f"a checksum is its kind, a colon and hex digits; kinds: {', '.join(DIGESTS)}")
        return f"{kind}:{digest}"

    @model_validator(mode="after")
    def _is_of_one_file(self) -> Params:
        if is_pattern(self.url) and (self.checksum is not None or self.size is not None):
            raise ValueError("checksum and size are of one file, and url is a pattern")
        return self


def is_pattern(url: str) -> bool:
    """Whether it may stand for several files."""
    marks = "*" if url.startswith(("http:", "https:")) else "*?["  # where ? begins the query
    return any(mark in url for mark in marks)


@dataclass(slots=True)
class _Remote:
    """A file system of fsspec, which raises our errors alone.

    Attributes
    ----------
    path : str
        What the address names in it.
    """

    shown: str
    protocol: str
    files: Any = None
    path: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def open(self, url: str) -> None:
        """Look at the address; nothing is connected to yet by most."""
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise missing_extra(f"mod {METADATA.name!r}", "s3", error.name) from error
        self.files, self.path = self.do("opening", lambda: url_to_fs(url, **self.options))

    def do(self, what: str, call: Callable[[], T]) -> T:
        """What the call answers; whatever it raises, as our own."""
        done = attempt(what, call)
        if done.error is not None:
            raise self._refusal(done.error, what) from None
        return cast(T, done.value)

    def _refusal(self, error: Exception, what: str) -> BaseFrameworkException:
        if isinstance(error, BaseFrameworkException):
            return error
        kinds = {kind.__name__ for kind in type(error).__mro__}
        said = redact(str(error)).strip().rstrip(".") or type(error).__name__
        if isinstance(error, ImportError):
            cure = 'pip install "millpond[s3]"' if self.protocol in ("s3", "s3a") else f"{said}."
            return MissingExtraError(f"{self.protocol}:// needs a package that is not installed.", cure=cure)
        if isinstance(error, ValueError) and "rotocol not known" in said:
            return self._unknown()
        if isinstance(error, FileNotFoundError):
            return DatasetNotFoundError(f"There is no file {self.shown}.", cure="Correct the url.", resource=self.shown)
        if kinds & NO_ENTRY:
            cure = "Keys come from storage_options or the environment (AWS_ACCESS_KEY_ID, ...)."
            return StorageError(f"{self.shown} refuses access ({what}): {said}.", cure=cure, resource=self.shown)
        if kinds & NO_ANSWER:
            cure = "Is the address right, and the network up?"
            return UnavailableError(f"{self.shown} cannot be reached ({what}): {said}.", cure=cure, resource=self.shown)
        return StorageError(f"{self.shown} failed ({what}): {type(error).__name__}: {said}.", resource=self.shown)

    def _unknown(self) -> ParameterError:
        from fsspec.registry import known_implementations

        close = nearest(self.protocol, known_implementations)
        known = ", ".join(
            name for name in ("s3", "gs", "abfs", "sftp", "https", "file") if name in known_implementations
        )
        guess = f"Did you mean {close!r}? " if close else ""
        return ParameterError(
            f"fsspec knows no protocol {self.protocol!r}.", cure=f"{guess}Known: {known} and more.", resource="url"
        )


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    remote = _opened(params, here)
    found = _found(remote, params)
    places = _places(found, params, here, remote)
    total = 0
    for (path, info), place in zip(found.items(), places, strict=True):
        total += _fetch(remote, path, info, place, params, before=total)
        here.logger.info("downloaded %s", place.name)
    one = not is_pattern(params.url)
    result.add_metric("files", len(found))
    result.add_metric("bytes", total)
    result.add_artifact("output_data", places[0] if one else _folder(params, here))
    return result.success()


def _opened(params: Params, here: ModRun) -> _Remote:
    """The file system; what its options hide is hidden from now on."""
    for text in (*_hidden(params.storage_options), *(here.variables.get(name) for name in SECRETS)):
        register_secret(text)
    register_secret(params.url if "@" in params.url.partition("://")[2].partition("/")[0] else None)
    protocol, _, rest = params.url.partition("://")
    url = f"{protocol}://{here.at(rest)}" if protocol in ("file", "local") else params.url
    options = dict(params.storage_options)
    if protocol in ("s3", "s3a"):  # an end to its patience
        patience = {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 3}}
        options["config_kwargs"] = {**patience, **options.get("config_kwargs", {})}
    remote = _Remote(redact(params.url), protocol, options=options)
    remote.open(url)
    return remote


def _hidden(options: Any) -> list[str]:
    """The texts in the options under names that secrets have."""
    found = []
    for name, value in options.items():
        if isinstance(value, Mapping):
            found += _hidden(value)
        elif isinstance(value, str) and HIDDEN.search(str(name)):
            found.append(value)
    return found


def _found(remote: _Remote, params: Params) -> dict[str, Mapping[str, Any]]:
    """The files, and what the place tells of each."""
    remote.do("listing", remote.files.invalidate_cache)
    if not is_pattern(params.url):
        info = remote.do("looking at it", lambda: remote.files.info(remote.path))
        found = {remote.path: info}
    else:
        found = remote.do("listing", lambda: remote.files.glob(remote.path, detail=True))
        found = {path: info for path, info in sorted(found.items()) if info.get("type") != "directory"}
    if not found:
        raise DatasetNotFoundError(f"No file is named {remote.shown}.", cure="Correct the url.", resource=remote.shown)
    if next(iter(found.values())).get("type") == "directory":
        raise ParameterError(f"{remote.shown} is a folder.", cure=f"Say which of its files: {remote.shown}/*.csv")
    total = sum(int(info.get("size") or 0) for info in found.values())
    if params.max_bytes is not None and total > params.max_bytes:
        raise StorageError(
            f"{remote.shown} has {total:,} bytes, and max_bytes is {params.max_bytes:,}; nothing was downloaded.",
            cure="Raise max_bytes, or name fewer files.",
        )
    return found


def _folder(params: Params, here: ModRun) -> Path:
    return here.output(params.output_path, name="files")


def _places(found: Mapping[str, Any], params: Params, here: ModRun, remote: _Remote) -> list[Path]:
    """Where each file goes: below the folder that the pattern's plain part names."""
    if not is_pattern(params.url):
        name = remote.path.rstrip("/").rpartition("/")[2]
        return [here.output(params.output_path, name=name)]
    plain = re.split(r"[*?\[]", remote.path, maxsplit=1)[0].rpartition("/")[0]
    folder = _folder(params, here)
    relative = [path[len(plain) :].strip("/") if path.startswith(plain) else os.path.basename(path) for path in found]
    places = [under(folder, name) for name in relative]
    if len(set(places)) < len(places):
        raise StorageError(f"Two files of {remote.shown} would lie in one place.", cure="Name them one by one.")
    return places


def _fetch(remote: _Remote, path: str, info: Mapping[str, Any], place: Path, params: Params, *, before: int = 0) -> int:
    """Bring one file here, whole and checked, or leave what was there: its bytes. `before` came of other files."""
    etag = str(info.get("ETag") or "").strip('"').lower()
    wanted = {"md5": etag} if MD5.fullmatch(etag) and remote.protocol in ("s3", "s3a") and _is_plain(info) else {}
    if params.checksum is not None:
        kind, _, digest = params.checksum.partition(":")
        wanted[kind] = digest
    sums = {kind: hashlib.new(kind, usedforsecurity=False) for kind in wanted}
    size = 0
    with storage_errors(str(place)), replacing(place) as sink:
        source = remote.do("reading", lambda: remote.files.open(path, "rb", block_size=BLOCK))
        try:
            while block := remote.do("reading", lambda: source.read(BLOCK)):
                size += len(block)
                _check_bound(remote, params, before + size)  # the place may not have told how large it is
                sink.write(block)
                for each in sums.values():
                    each.update(block)
        finally:
            attempt("closing", source.close)
        _check(remote, info, params, size, {kind: (each.hexdigest(), wanted[kind]) for kind, each in sums.items()})
    return size


def _check_bound(remote: _Remote, params: Params, came: int) -> None:
    if params.max_bytes is not None and came > params.max_bytes:
        raise StorageError(
            f"{remote.shown} has more than {params.max_bytes:,} bytes, which is max_bytes; what was cut is not kept.",
            cure="Raise max_bytes, or name fewer files.",
        )


def _is_plain(info: Mapping[str, Any]) -> bool:
    """Whether an ETag is the MD5 of the content: not where S3 holds it encrypted with a key of its own."""
    return not any(info.get(name) not in (None, "", "AES256") for name in ("ServerSideEncryption", "SSEKMSKeyId"))


def _check(
    remote: _Remote, info: Mapping[str, Any], params: Params, size: int, sums: Mapping[str, tuple[str, str]]
) -> None:
    """IntegrityError unless it is as long as it is said to be, and has the checksums."""
    for told, what in ((info.get("size"), "the place says"), (params.size, "size says")):
        if told is not None and int(told) != size:
            raise IntegrityError(
                f"{remote.shown}: {size:,} bytes came, and {what} {int(told):,}.",
                cure="Try again: it changed or was cut.",
            )
    for kind, (has, wanted) in sums.items():
        if has != wanted:
            raise IntegrityError(
                f"{remote.shown}: its {kind} is {has}, not {wanted}.",
                cure="It is damaged, or another file than was meant.",
            )
