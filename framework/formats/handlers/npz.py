"""Several numpy arrays by name; nothing pickled."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework.errors import FidelityError, FormatError
from framework.formats.compression import MOST_UNPACKED
from framework.formats.handlers.archives import opened_zip
from framework.formats.handlers.arrays import check_array, read_array
from framework.formats.handlers.handler import DataHandler, handler
from framework.formats.handlers.streams import option

PROVIDES = {
    "kind": "handler",
    "name": "npz",
    "object": "NpzHandler",
    "extensions": [".npz"],
    "summary": "Several numpy arrays by name; never pickled ones",
}
EPOCH = (1980, 1, 1, 0, 0, 0)  # so that equal arrays make equal files


@handler(name="npz", extensions=[".npz"])
class NpzHandler(DataHandler):
    """A mapping of names to numpy arrays.

    Parameters
    ----------
    compress : bool
    max_bytes : int
        How much the file may hold when it is unpacked.
    """

    def __init__(self, *, compress: bool = True, max_bytes: int = MOST_UNPACKED, **unknown: Any) -> None:
        super().__init__(**unknown)
        self.compress = option("npz", "compress", compress, bool, "true or false")
        self.max_bytes = option("npz", "max_bytes", max_bytes, int, "a number of bytes")

    def load(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        with opened_zip(path, "an npz file", most=self.max_bytes) as archive:
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if name in found:
                    raise FormatError(f"{path.name} has two arrays {name!r}.", resource=str(path))
                with archive.open(info) as file:
                    found[name] = read_array(file, info.file_size, f"{path.name}, array {name!r}")
        return found

    def save(self, data: Any, path: Path) -> None:
        import numpy as np

        if not isinstance(data, Mapping):
            raise FidelityError(
                f"The npz handler saves a mapping of names to arrays, not {type(data).__name__}.",
                cure="For one array: npy.",
            )
        for name, array in data.items():
            if not isinstance(name, str) or not name or "\0" in name or name.endswith(".npy"):
                raise FidelityError(f"{name!r} is not the name of an array in an npz file.", cure="Use other text.")
            if not isinstance(array, np.ndarray | np.generic):
                raise FidelityError(f"{name!r} is {type(array).__name__}, and the npz handler saves arrays.")
            check_array(np.asanyarray(array), f"npz, {name!r}")
        packing = zipfile.ZIP_DEFLATED if self.compress else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in data.items():
                info = zipfile.ZipInfo(f"{name}.npy", EPOCH)
                info.compress_type = packing
                with archive.open(info, "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
