"""Sign-ups by week, from Python: what is in the database, asked by SQL, as a CSV file."""

from __future__ import annotations

import sys

from framework import run_mod

QUERY = """
SELECT date_trunc('week', signup_date)::DATE AS week, count(*) AS customers,
       round(sum(monthly_spend), 2) AS monthly_spend
FROM input GROUP BY week ORDER BY week
"""

result = run_mod("store_reader", {"dataset": "postgres:customers", "columns": ["signup_date", "monthly_spend"]})
if result["status"] != "error":
    result = run_mod("sql", {"input_artifact": result["artifacts"]["output_data"], "query": QUERY})
if result["status"] != "error":
    weeks = result["artifacts"]["output_data"]
    result = run_mod("csv_writer", {"input_artifact": weeks, "output_path": "reports/signups_by_week.csv"})
sys.exit(result["exit_code"])
