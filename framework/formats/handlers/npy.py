"""One numpy array; nothing pickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from framework.errors import FidelityError
from framework.formats.handlers.arrays import check_array, read_array
from framework.formats.handlers.handler import DataHandler, handler

PROVIDES = {
    "kind": "handler",
    "name": "npy",
    "object": "NpyHandler",
    "extensions": [".npy"],
    "summary": "One numpy array; never a pickled one",
}


@handler(name="npy", extensions=[".npy"])
class NpyHandler(DataHandler):
    """A numpy array of any dtype but object."""

    def load(self, path: Path) -> Any:
        with open(path, "rb") as file:
            return read_array(file, path.stat().st_size, path.name)

    def save(self, data: Any, path: Path) -> None:
        import numpy as np

        if isinstance(data, np.generic):
            data = np.asarray(data)
        if not isinstance(data, np.ndarray):
            raise FidelityError(
                f"The npy handler saves a numpy array, not {type(data).__name__}.",
                cure="For several arrays: npz. For a DataFrame: parquet.",
            )
        check_array(data, "npy")
        with open(path, "wb") as file:
            np.lib.format.write_array(_Sink(file), data, allow_pickle=False)


class _Sink:
    """A file that numpy writes into as into any other; its own way says of a full disk only that it failed."""

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write
