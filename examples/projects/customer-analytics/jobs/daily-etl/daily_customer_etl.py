"""The daily load from Python: the same mods as in daily_customer_etl.yaml, with a report of what was refused."""

from __future__ import annotations

import sys

from framework import get_params, run_mod, set_global_config, setup_logger
from framework.mods.artifacts import read_frame

day = get_params().get("day", "2024-08-12")
set_global_config({"base_path": f"data/{day}", "log_level": "INFO"})
logger = setup_logger(__name__)

csv_result = run_mod("csv_reader", {"input_path": "customers.csv"})
if csv_result["status"] == "error":
    sys.exit(csv_result["exit_code"])

clean_result = run_mod("data_cleaner", {"input_artifact": csv_result["artifacts"]["output_data"]})
if clean_result["status"] == "error":
    sys.exit(clean_result["exit_code"])

good_result = run_mod("validator", {"input_artifact": clean_result["artifacts"]["output_data"]})
if good_result["status"] == "error":
    sys.exit(good_result["exit_code"])

load_result = run_mod("database_writer", {"input_artifact": good_result["artifacts"]["output_data"]})
if load_result["status"] == "error":
    sys.exit(load_result["exit_code"])

refused = read_frame(good_result["artifacts"]["rejected"])
logger.info("loaded", extra={"rows": load_result["metrics"]["rows_output"], "refused": len(refused)})
print(refused[["_rule", "customer_id", "email", "plan", "monthly_spend"]].to_string(index=False))
sys.exit(good_result["exit_code"])
