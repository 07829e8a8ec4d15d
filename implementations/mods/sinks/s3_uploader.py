"""A file to S3, or to any other place that fsspec knows: sent as a stream, then read again and compared."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from pydantic import Field, field_validator

from framework.attempt import attempt
from framework.errors import DatasetExistsError, IntegrityError, MissingExtraError, StorageError
from framework.files import replacing
from framework.mods.base import BaseModParams, InputArtifact, ModMetadata
from framework.mods.result import ModResult
from framework.mods.run import current_run
from framework.redact import redacted, register_secret
from framework.registry import missing_extra
from framework.steps.models import masked

METADATA = ModMetadata(
    name="s3_uploader",
    version="1.0.0",
    description="Uploads a file to S3 or any address that fsspec knows, and verifies what arrived",
    author="Millpond",
    tags=["sink", "s3", "upload", "file"],
    artifacts={"consumes": ["input_artifact"]},
)
EXAMPLE = {"input_artifact": "report.csv", "url": "memory://reports/2024/"}
EXAMPLE_FILES = {"report.csv": "id,name\n1,Ada\n2,Ben\n"}
BLOCK = 1 << 22  # bytes that are at hand at a time
SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "FSSPEC_S3_SECRET", "FSSPEC_S3_TOKEN")
LOCAL = ("file", "local")


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_artifact: InputArtifact = Field(description="the file; in a job, that of the mod before unless given")
    url: str = Field(description="where to, such as s3://bucket/folder/ or s3://bucket/name.parquet")
    overwrite: bool = Field(True, description="put it in the place of one that is there; else that is an error")
    verify: bool = Field(True, description="read what arrived and compare its checksum; else only its size")
    storage_options: dict[str, Any] = Field(
        default_factory=dict, description="what fsspec passes on, such as key, secret, endpoint_url; never shown"
    )

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if not url.partition("://")[2].strip("/"):
            raise ValueError("write the protocol and the place, such as s3://bucket/folder/")
        return url


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    source = Path(params.input_artifact)
    url = params.url + source.name if params.url.endswith("/") else params.url
    _hide(params.storage_options)
    register_secret(url if "@" in url else None)
    done = attempt(METADATA.name, partial(_upload, source, url, params))
    if done.error is not None:
        raise _told(done.error, url, params)
    size, digest = cast(tuple[int, str], done.value)
    here.logger.info("uploaded %s, %d bytes, to %s", source.name, size, redacted(url))
    result.add_metric("files", 1)
    result.add_metric("bytes_output", size)
    result.add_metric("sha256", digest)
    result.add_metric("url", redacted(url))
    return result.success()


def _hide(options: Mapping[str, Any]) -> None:
    """What is secret among the options and in the environment is seen nowhere from now on."""
    for name in SECRET_VARIABLES:
        register_secret(os.environ.get(name))
    masked(options, None)


def _upload(source: Path, url: str, params: Params) -> tuple[int, str]:
    """Send it and look at what arrived: its size and SHA-256."""
    from fsspec.core import url_to_fs

    fs, path = url_to_fs(url, **_bounded(url, params.storage_options))
    if not params.overwrite and fs.exists(path):
        raise DatasetExistsError(
            f"{redacted(url)} is there already.", cure="Say overwrite: true, or name another.", resource=redacted(url)
        )
    local = url.partition("://")[0] in LOCAL
    sent = _copy(source, Path(path)) if local else _send(fs, source, path)
    _check(fs, path, sent, redacted(url), read=params.verify)
    return sent


def _bounded(url: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options, with an end to the patience where one can be set."""
    options = dict(given)
    if url.startswith(("s3://", "s3a://")):
        patience = {"connect_timeout": 5, "read_timeout": 60, "retries": {"max_attempts": 2}}
        options["config_kwargs"] = {**patience, **options.get("config_kwargs", {})}
    return options


def _send(fs: Any, source: Path, path: str) -> tuple[int, str]:
    """Send it in blocks; on S3 and the like nothing is under that name before the last is there."""
    target = fs.open(path, "wb")
    try:
        with open(source, "rb") as file:
            sent = _passed(file, target)
    except BaseException:
        with suppress(OSError, AttributeError, NotImplementedError):
            target.discard()
        target.closed = True  # else what is there of it would be sent after all
        raise
    target.close()
    return sent


def _copy(source: Path, target: Path) -> tuple[int, str]:
    with open(source, "rb") as file, replacing(target) as sink:
        return _passed(file, sink)


def _passed(file: BinaryIO, target: Any) -> tuple[int, str]:
    """Pass all of a file on: its size and SHA-256."""
    seen, size = hashlib.sha256(), 0
    while block := file.read(BLOCK):
        target.write(block)
        seen.update(block)
        size += len(block)
    return size, seen.hexdigest()


def _check(fs: Any, path: str, sent: tuple[int, str], shown: str, *, read: bool) -> None:
    """IntegrityError unless what is there is what was sent."""
    fs.invalidate_cache()
    size, digest = int(fs.info(path)["size"]), sent[1]
    if read and size == sent[0]:
        seen = hashlib.sha256()
        with fs.open(path, "rb", cache_type="readahead") as file:
            while block := file.read(BLOCK):
                seen.update(block)
        digest = seen.hexdigest()
    if (size, digest) != sent:
        raise IntegrityError(
            f"{shown} is not what was sent: {size} bytes there, {sent[0]} sent.",
            cure="Run it again; if it stays so, another writes there at the same time.",
            resource=shown,
        )


def _told(error: Exception, url: str, params: Params) -> Exception:
    """Whatever went wrong, as one of our own errors, without a secret in it."""
    from framework.vault.refusals import refusal

    if isinstance(error, ModuleNotFoundError):
        return missing_extra("mod 's3_uploader'", "s3", error.name)
    told = refusal(error, shown=redacted(url), protocol=url.partition("://")[0], what="upload")
    if isinstance(told, MissingExtraError) or type(told) is not StorageError or told is error:
        return told
    return StorageError(
        told.message, cure="Check the address, and the keys in storage_options.", resource=redacted(url)
    )
