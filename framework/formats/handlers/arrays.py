"""Numpy's own file format, with the size that the header claims held against what is there before it is believed."""

from __future__ import annotations

import ast
import math
import struct
from typing import Any, BinaryIO

from framework.errors import FidelityError, FormatError

LONGEST_HEADER = 10_000  # bytes; what numpy too takes for harmless


def check_array(array: Any, what: str) -> None:
    """FidelityError for an array that could only be pickled, or that would lose its mask."""
    import numpy as np

    if array.dtype.hasobject:
        raise FidelityError(
            f"An array of Python objects cannot be saved as {what}: that would be a pickle.",
            cure="Give it a dtype such as float64 or <U10.",
        )
    if isinstance(array, np.ma.MaskedArray):
        raise FidelityError(f"A masked array would lose its mask as {what}.", cure="Save data and mask as two arrays.")


def read_array(file: Any, size: int, name: str) -> Any:
    """The array of which `size` bytes, header and all, are left in the file.

    Raises
    ------
    FormatError
        Not an array, a pickled one, or one that is not as long as its header says.
    """
    import numpy as np

    try:
        shape, fortran, dtype, begin = _header(file)
    except (ValueError, EOFError, SyntaxError, KeyError, TypeError) as error:
        raise FormatError(f"{name} is no numpy array: {error or 'it is cut'}.", resource=name) from error
    if dtype.hasobject:
        raise FormatError(
            f"{name} holds pickled Python objects, which are never loaded: they could run anything.",
            cure="Have whoever made it save plain arrays.",
            resource=name,
        )
    count = math.prod(shape)
    if begin + count * dtype.itemsize != size:
        raise FormatError(
            f"{name} has {size - begin:,} bytes of values, and its header says {count * dtype.itemsize:,}.",
            cure="Fetch or make it again: it was cut.",
            resource=name,
        )
    content = (
        np.frombuffer(bytearray(_exactly(file, size - begin, name)), dtype=dtype, count=count)
        if (dtype.itemsize and count)
        else np.empty(count, dtype)
    )
    return content.reshape(shape[::-1]).T if fortran else content.reshape(shape)


def _header(file: BinaryIO) -> tuple[tuple[int, ...], bool, Any, int]:
    import numpy as np

    version = np.lib.format.read_magic(file)
    length = struct.unpack("<H" if version == (1, 0) else "<I", _few(file, 2 if version == (1, 0) else 4))[0]
    if length > LONGEST_HEADER:
        raise ValueError(f"its header takes {length:,} bytes")
    told = ast.literal_eval(_few(file, length).decode("latin-1" if version < (3, 0) else "utf-8"))
    shape = told["shape"]
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"its shape is {shape!r}")
    return shape, bool(told["fortran_order"]), np.lib.format.descr_to_dtype(told["descr"]), file.tell()


def _few(file: BinaryIO, size: int) -> bytes:
    content = file.read(size)
    if len(content) != size:
        raise EOFError
    return content


def _exactly(file: BinaryIO, size: int, name: str) -> bytes:
    content = file.read(size)
    if len(content) != size:
        raise FormatError(f"{name} is cut: {len(content):,} of {size:,} bytes are there.", resource=name)
    return content
