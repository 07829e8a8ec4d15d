"""What goes on record beside a version's rows: our schema, how its fields are held, what was saved when."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from framework.errors import FidelityError, FormatError

if TYPE_CHECKING:  # so that a store can be made without loading pandas
    from framework.schema import FrameSchema

    from .columns import Held

KEY = "millpond"
SHORT = 1 << 16  # characters of a record that is remembered: it is read with each read
MOST = 15 << 20  # bytes; ArcticDB takes 16 MiB


@dataclass(frozen=True, slots=True)
class Record:
    """What a save leaves.

    Attributes
    ----------
    name : str
        The dataset's.
    nulls : dict
        How many cells of a field are missing, by its name; those without one are left out.
    kept : tuple of int
        ArcticDB's versions before this one that we wrote and have not pruned.
    ours : bool
        Whether all versions are; those of others are not pruned.
    pieces : int
        How often rows were appended since all were written.
    """

    name: str
    schema: FrameSchema
    held: tuple[Held, ...]
    rows: int
    version: int
    saved_at: datetime
    save_ids: tuple[str, ...] = ()
    nulls: dict[str, int] = field(default_factory=dict)
    kept: tuple[int, ...] = ()
    ours: bool = True
    pieces: int = 0

    def dumps(self) -> dict[str, str]:
        """As metadata; FidelityError for more than ArcticDB takes."""
        data = {slot: getattr(self, slot) for slot in self.__slots__}
        data |= {"schema": self.schema.dumps(), "saved_at": self.saved_at.isoformat()}
        body = json.dumps(data | {"held": [list(asdict(each).values()) for each in self.held]})
        if len(body) > MOST:
            raise FidelityError(
                f"What is to be told of {self.name!r} beside its rows takes {len(body)} bytes, and {MOST} is the most.",
                cure="It has very many categories or columns: save categories as plain text.",
            )
        return {KEY: json.dumps([zlib.crc32(body.encode()), body])}


def record_of(metadata: Any) -> Record | None:
    """The record in a version's metadata; None where others wrote it, FormatError for a damaged one."""
    if not isinstance(metadata, dict) or KEY not in metadata:
        return None
    text = metadata[KEY]
    return _cached(text) if isinstance(text, str) and len(text) < SHORT else _parsed(text)


@lru_cache(maxsize=64)
def _cached(text: str) -> Record:
    return _parsed(text)


def _parsed(text: Any) -> Record:
    from framework.schema import FrameSchema

    from .columns import Held

    try:
        crc, body = json.loads(text)
        if crc != zlib.crc32(body.encode()):
            raise ValueError("its checksum is another")
        data = json.loads(body)
        schema = FrameSchema.loads(data.pop("schema"))
        held = tuple(Held(*each) for each in data.pop("held"))
        saved_at = datetime.fromisoformat(data.pop("saved_at"))
        lists = {key: tuple(data.pop(key)) for key in ("save_ids", "kept")}
        return Record(schema=schema, held=held, saved_at=saved_at, **lists, **data)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"What is on record of a version is damaged: {error!r}.") from error
