"""Where a library is, what of its address may be shown, and which symbol a dataset is."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from framework.errors import SettingError
from framework.redact import register_secret
from framework.settings import Settings

SHOWN = ("region", "port", "path_prefix", "blobendpoint", "container", "ssl", "use_virtual_addressing")
ESCAPED = "millpond~"
PLAIN = re.compile(r"[ -~]{1,200}")
UNSUPPORTED = "*&<>"
LONGEST_SYMBOL = 250


@dataclass(frozen=True, slots=True)
class Place:
    """An address that ArcticDB opens.

    Attributes
    ----------
    uri : str
        With its credentials.
    folder : Path or None
        Of LMDB files; None for an object store.
    shown : str
        What it is without its credentials.
    locks : Path
        The folder of our locks.
    """

    uri: str
    folder: Path | None
    shown: str
    locks: Path

    @property
    def key(self) -> str:
        """What tells it from other places in this process."""
        return str(self.folder or self.uri)

    @property
    def server(self) -> tuple[str, int] | None:
        """Host and port of a server of S3's kind."""
        found = re.match(r"s3(s?)://([^:/?]+):", self.uri)
        port = re.search(r"[?&]port=(\d+)", self.uri)
        return (found[2], int(port[1]) if port else 443 if found[1] else 80) if found else None

    @property
    def there(self) -> bool:
        """Whether there is anything to open: opening LMDB would make it."""
        return self.folder is None or (self.folder / "_arctic_cfg" / "data.mdb").exists()


def place_of(settings: Settings, uri: str | None, map_size: str | None) -> Place:
    """The place that an option or the settings name."""
    uri = uri or settings.ARCTIC_URI
    if uri is None and settings.ARCTIC_HOST not in (None, "localhost"):
        raise SettingError(
            f"ARCTIC_HOST is {settings.ARCTIC_HOST!r}, and ArcticDB needs to know what is there.",
            cure=f"Set ARCTIC_URI, for example s3://{settings.ARCTIC_HOST}:<bucket>?access=<key>&secret=<key>.",
        )
    uri = uri or f"lmdb://{settings.own_folder / 'arctic'}"
    if not uri.startswith("lmdb://"):
        shown = _without_secrets(uri)
        mine = hashlib.sha256(shown.encode()).hexdigest()[:16]
        return Place(uri, None, shown, settings.own_folder / "arctic.locks" / mine)
    path, _, query = uri.removeprefix("lmdb://").partition("?")
    folder = Path(os.path.realpath(settings.workspace / path))
    query = f"map_size={map_size}" if map_size else query
    full = f"lmdb://{folder}?{query}" if query else f"lmdb://{folder}"
    return Place(full, folder, f"lmdb://{folder}", folder.with_name(f"{folder.name}.locks"))


def _without_secrets(uri: str) -> str:
    """The address without what may be a credential, each of which is from now on masked everywhere."""
    parts = []
    register_secret(uri)
    for part in re.split(r"(?<!:)(?<!/)[?;&]", uri):
        key, equals, value = part.partition("=")
        if not equals or key.rpartition("/")[2].lower() in SHOWN:
            parts.append(part)
        else:
            register_secret(value)
    return re.sub(r"//[^/@]*@", "//", "&".join(parts))


# --------------------------------------------------------------------------- names


def symbol_of(name: str) -> str:
    """The symbol that keeps a dataset: its name, or what stands for one that ArcticDB does not take."""
    if PLAIN.fullmatch(name) and not set(UNSUPPORTED) & set(name) and not name.startswith(ESCAPED):
        return name
    spelled = ESCAPED + quote(name, safe="").replace("%", "=")
    return spelled if len(spelled) <= LONGEST_SYMBOL else f"{ESCAPED}#{digest(name)}"


def name_of(symbol: str) -> str | None:
    """The dataset that a symbol keeps; None when only its record tells."""
    if not symbol.startswith(ESCAPED):
        return symbol
    name = unquote(symbol.removeprefix(ESCAPED).replace("=", "%"))
    return name if symbol_of(name) == symbol else None


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
