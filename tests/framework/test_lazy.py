"""What is heavy is imported when it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
READ = """
import logging, sys
from pathlib import Path
from framework.mods.catalog import Mods
from framework.mods.run import ModRun
root = Path(sys.argv[1])
run = ModRun("r", "csv_reader", root / "runs", root, logging.getLogger("millpond.test"))
made = Mods(root).load("csv_reader").call({"input_path": "c.csv"}, run)
print(made.told.metrics["rows_output"], "pandas" in sys.modules)
"""


def test_a_small_file_is_read_by_a_mod_without_pandas(tmp_path: Path) -> None:
    """A third of a second of every cron job hangs on it."""
    (tmp_path / "c.csv").write_text("id,x,when\n007,1.5,2026-01-01\n008,,2026-01-02\n")
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["2", "False"]
