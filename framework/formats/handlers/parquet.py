"""Parquet: a DataFrame with its schema in the footer, exactly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import FidelityError
from framework.formats.handlers.handler import DataHandler, handler
from framework.formats.handlers.streams import option, refuse_option

if TYPE_CHECKING:
    import pandas as pd

PROVIDES = {
    "kind": "handler",
    "name": "parquet",
    "object": "ParquetHandler",
    "extensions": [".parquet", ".pq"],
    "summary": "A DataFrame as it is: dtypes, index, labels",
}
CODECS = ("snappy", "zstd", "gzip", "lz4", "none")


@handler(name="parquet", extensions=[".parquet", ".pq"])
class ParquetHandler(DataHandler):
    """A DataFrame as Parquet.

    Parameters
    ----------
    compression : {"snappy", "zstd", "gzip", "lz4", "none"}
    lossy : bool
        Keep as text what can only be kept so.
    """

    def __init__(self, *, compression: str = "snappy", lossy: bool = False, **unknown: Any) -> None:
        super().__init__(**unknown)
        if compression not in CODECS:
            raise refuse_option("parquet", "compression", compression, f"one of {', '.join(CODECS)}")
        self.compression = compression
        self.lossy = option("parquet", "lossy", lossy, bool, "true or false")

    def load(self, path: Path) -> pd.DataFrame:
        from framework.formats.parquet import read_parquet
        from framework.schema import decode

        return decode(*read_parquet(path))

    def save(self, data: Any, path: Path) -> None:
        import pandas as pd

        from framework.formats.parquet import write_parquet
        from framework.schema import encode

        if not isinstance(data, pd.DataFrame):
            raise FidelityError(
                f"The parquet handler saves a DataFrame, not {type(data).__name__}.",
                cure="For a Series: to_frame(). For other things: json, yaml or npy.",
            )
        write_parquet(path, *encode(data, lossy=self.lossy), compression=self.compression)
