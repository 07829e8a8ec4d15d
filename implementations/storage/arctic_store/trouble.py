"""What ArcticDB says, in our words and without a credential."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from framework.errors import BaseFrameworkException, FormatError, StorageError, UnavailableError
from framework.files import storage_errors
from framework.redact import redact

NOT_ANSWERED = re.compile(r"network|connect|curl|timeout|timed out|resolve|S3_RETRY|UnexpectedS3", re.IGNORECASE)
FULL = re.compile(r"no space left|ENOSPC|quota", re.IGNORECASE)
PICKLED = re.compile(r"pickled", re.IGNORECASE)
NO_TABLE = re.compile(r"NUMPY_ARRAY|msg_pack_frame|recursively normalized", re.IGNORECASE)


class StaleError(StorageError):
    """The version that a write began from is not the latest.

    LMDB's readers do not see what a writer committed that died before it told them; the next to write does.
    """


@contextmanager
def errors_of(what: str, gone: Callable[[], Exception] | None = None) -> Iterator[None]:
    """Turn the library's exceptions into ours; one about what is not there into `gone()`."""
    try:
        with storage_errors(what):
            yield
    except BaseFrameworkException:
        raise
    except RuntimeError as error:  # ArcticDB's all derive from it
        raised = _ours(error, what, gone)
        if raised is None:
            raise
    else:
        return
    raise raised  # out here, so that the library's own words are not shown with it


def _ours(error: RuntimeError, what: str, gone: Callable[[], Exception] | None) -> Exception | None:
    from arcticdb.exceptions import LmdbMapFullError, NoDataFoundException

    told = redact(str(error)).strip().splitlines()[0][:300] if str(error) else type(error).__name__
    if isinstance(error, NoDataFoundException) and gone is not None:
        return gone()
    if isinstance(error, LmdbMapFullError):
        return StorageError(
            f"{what}: the LMDB files have reached their map size; what was there is untouched.",
            cure="Give the store a larger one, map_size='200GB', in every process that uses it.",
            resource=what,
        )
    if "E_NON_INCREASING_INDEX_VERSION" in told:
        return StaleError(f"{what}: somebody else wrote it at the same time.", cure="Try again.", resource=what)
    if PICKLED.search(told):
        return FormatError(f"{what} holds pickled Python objects, which are not read: they could run any code.")
    if NO_TABLE.search(told):
        return FormatError(f"{what} holds no table: {told}", resource=what)
    if NOT_ANSWERED.search(told):
        return UnavailableError(f"{what}: {told}", cure="Check ARCTIC_URI and the network.", resource=what)
    if FULL.search(told):
        return StorageError(f"{what}: {told}", cure="Free some space and try again; what was there is untouched.")
    return StorageError(f"{what}: ArcticDB says: {told}", resource=what) if _is_theirs(error) else None


def _is_theirs(error: RuntimeError) -> bool:
    return type(error) is RuntimeError or type(error).__module__.startswith("arcticdb")
