"""The month's close from Python: reconcile each of its days, and close only when every difference is known of.

python bank.py millpond run-script jobs/monthly-close/monthly_close.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from framework import Workspace, get_params, setup_logger

month = get_params().get("month", "2024-08")
logger = setup_logger(__name__)
workspace = Workspace()

worst, differing = 0, 0
for book in sorted(Path("data/books").glob(f"{month}-*.csv")):
    result = workspace.run_job("jobs/daily-reconciliation/daily_recon.yaml", {"globals.day": book.stem})
    worst = max(worst, result.exit_code)
    if not result:
        sys.exit(result.exit_code)
    verdict = next(child for child in result.children if child.name == "verdict")
    differing += sum(verdict.metrics["rules"].values())

closed = workspace.run_job("jobs/monthly-close/monthly_close.yaml", {"globals.month": month})
logger.info("closed", extra={"month": month, "differences": differing})
print(f"{month}: {differing} differences, see reports/differences_{month}-*.csv")
sys.exit(worst or closed.exit_code)
