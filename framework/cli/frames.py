"""A frame on a terminal: as many columns as fit, and the names of those that do not."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def show_frame(frame: pd.DataFrame) -> None:
    """Print the frame in the width of the terminal, or whole as tab-separated lines."""
    import pandas as pd

    if not sys.stdout.isatty():
        print(frame.to_csv(sep="\t", index=frame.index.name is not None or frame.index.nlevels > 1), end="")
        return
    width = shutil.get_terminal_size().columns
    with pd.option_context("display.width", width, "display.max_columns", 0, "display.max_rows", 60):
        print(frame)
    print(f"{len(frame)} rows, {len(frame.columns)} columns")
