"""A frame's logical schema: what it is apart from how a store keeps it.

`encode(frame)` gives an Arrow table with a FrameSchema beside it, `decode(table, schema)` the frame again: values,
missing kinds, dtypes, index, labels and order. Whatever cannot be given back exactly is refused by `encode`.
"""

from framework.schema.fields import Field, fit
from framework.schema.fingerprint import fingerprint
from framework.schema.frames import FrameSchema, decode, encode, only_rows, plain
from framework.schema.joining import append, joined
from framework.schema.natural import natural

__all__ = [
    "Field",
    "FrameSchema",
    "append",
    "decode",
    "encode",
    "fingerprint",
    "fit",
    "joined",
    "natural",
    "only_rows",
    "plain",
]
