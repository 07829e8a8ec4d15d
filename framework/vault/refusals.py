"""What a place behind an address says when it refuses, as one of our own errors."""

from __future__ import annotations

from framework.errors import (
    BaseFrameworkException,
    MissingExtraError,
    SettingError,
    StorageError,
    UnavailableError,
    nearest,
)
from framework.redact import redact

# by their names, for the packages that they come from may not be installed
_NO_ENTRY = {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"}
_NO_ENTRY |= {"ClientAuthenticationError", "AuthenticationException", "ProfileNotFound"}
_NO_ANSWER = {"EndpointConnectionError", "HTTPClientError", "ClientConnectionError", "ServiceRequestError"}
_NO_ANSWER |= {"SSHException", "gaierror", "ConnectionError", "TimeoutError"}


def refusal(error: Exception, *, shown: str, protocol: str, what: str) -> BaseFrameworkException:
    """The typed error, with the cure; its text is free of secrets, and nothing raw is chained to it."""
    if isinstance(error, BaseFrameworkException):
        return error
    kinds = {kind.__name__ for kind in type(error).__mro__}
    said = redact(str(error)).strip().rstrip(".") or type(error).__name__
    if isinstance(error, ImportError):
        return _missing(protocol, said)
    if isinstance(error, ValueError) and "rotocol not known" in said:
        return _unknown(protocol)
    if isinstance(error, PermissionError) or kinds & _NO_ENTRY:
        cure = "Give this user leave to it; keys come from the environment (AWS_ACCESS_KEY_ID, ...) or BACKUP_OPTIONS."
        return StorageError(f"{shown} refuses access ({what}): {said}.", cure=cure, resource=shown)
    if kinds & _NO_ANSWER:
        cure = "Is the address right, and the network up?"
        return UnavailableError(f"{shown} cannot be reached ({what}): {said}.", cure=cure, resource=shown)
    if isinstance(error, FileNotFoundError):
        cure = "Make the bucket or folder, or correct FS_BACKUP."
        return StorageError(f"{shown} is not there ({what}): {said}.", cure=cure, resource=shown)
    return StorageError(f"{shown} failed ({what}): {type(error).__name__}: {said}.", resource=shown)


def _missing(protocol: str, said: str) -> MissingExtraError:
    extra = protocol in ("s3", "s3a") or "fsspec" in said
    cure = 'pip install "millpond[s3]"' if extra else f"{said}."
    return MissingExtraError(f"Backups in {protocol}:// need a package that is not installed.", cure=cure)


def _unknown(protocol: str) -> SettingError:
    from fsspec.registry import known_implementations

    close = nearest(protocol, known_implementations)
    known = ", ".join(name for name in ("s3", "gs", "abfs", "sftp", "file") if name in known_implementations)
    return SettingError(
        f"FS_BACKUP: fsspec knows no protocol {protocol!r}.",
        cure=(f"Did you mean {close!r}? " if close else "") + f"Known: {known} and more.",
        resource="FS_BACKUP",
    )
