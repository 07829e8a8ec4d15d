"""Scores open leads by simple points, from Python, and writes the best ones to call first.

python jobs/lead-scoring/lead_scoring.py
millpond run-script jobs/lead-scoring/lead_scoring.py --params MINE.yaml      # calls: 20
"""

from __future__ import annotations

import sys

from framework import get_params, run_mod, set_global_config, setup_logger

QUERY = """
SELECT lead, company, source, employees, visits, last_seen::DATE AS last_seen,
       CASE WHEN employees >= 500 THEN 40 WHEN employees >= 50 THEN 25 ELSE 10 END
       + least(visits, 10) * 3
       + CASE source WHEN 'referral' THEN 20 WHEN 'event' THEN 10 ELSE 0 END
       - least(date_diff('day', last_seen, max(last_seen) OVER ()), 30) AS score
FROM input ORDER BY score DESC, lead LIMIT {calls}
"""

set_global_config({"base_path": "data", "log_level": "INFO"})
logger = setup_logger(__name__)
calls = int(get_params().get("calls", 20))

result = run_mod("csv_reader", {"input_path": "leads.csv"})
if result["status"] != "error":
    leads = result["artifacts"]["output_data"]
    result = run_mod("sql", {"input_artifact": leads, "query": QUERY.format(calls=calls)})
if result["status"] != "error":
    first = result["artifacts"]["output_data"]
    result = run_mod("csv_writer", {"input_artifact": first, "output_path": "reports/leads_to_call.csv"})
if result["status"] != "error":
    logger.info("scored", extra={"leads_to_call": result["metrics"]["rows_output"]})
sys.exit(result["exit_code"])
