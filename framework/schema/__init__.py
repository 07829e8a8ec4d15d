"""A frame's logical schema: what it is apart from how a store keeps it.

`encode(frame)` gives an Arrow table with a FrameSchema beside it, `decode(table, schema)` the frame again: values,
missing kinds, dtypes, index, labels and order. Whatever cannot be given back exactly is refused by `encode`.
"""

from framework.schema.conditions import Condition, Test
from framework.schema.fields import Field, fit
from framework.schema.fingerprint import fingerprint, fingerprint_of
from framework.schema.frames import FrameSchema, decode, encode, only_rows, plain
from framework.schema.joining import Held, Old, append, joined, lacking_filled
from framework.schema.missing import Cursor, counted
from framework.schema.natural import natural
from framework.schema.pieces import frames
from framework.schema.selection import ALL, Selection, expression
from framework.schema.upserting import check_keys_there, keys_of, upsert

__all__ = [
    "ALL",
    "Condition",
    "Cursor",
    "Field",
    "FrameSchema",
    "Held",
    "Old",
    "Selection",
    "Test",
    "append",
    "check_keys_there",
    "counted",
    "decode",
    "encode",
    "expression",
    "fingerprint",
    "fingerprint_of",
    "fit",
    "frames",
    "joined",
    "keys_of",
    "lacking_filled",
    "natural",
    "only_rows",
    "plain",
    "upsert",
]
