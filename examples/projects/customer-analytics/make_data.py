"""Makes the file of a day, invented, with faults planted in it: data/<day>/customers.csv and planted.json.

python make_data.py [--day 2024-08-12] [--rows 500]
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from datetime import date, timedelta
from pathlib import Path

FIRST = date(2024, 8, 12)
COLUMNS = ["customer_id", "name", "email", "country", "signup_date", "plan", "monthly_spend"]
PLANS = {"free": (0, 0), "basic": (9, 30), "premium": (30, 120), "enterprise": (200, 900)}
NAMES = ["Ada", "Ben", "Cleo", "Elif", "Fatou", "Goran", "Hana", "Iris", "Jonas", "Kofi", "Mia", "Omar", "Rosa", "Sven"]
COUNTRIES = ["CH", "DE", "FR", "GB", "IT", "SE"]
FAULTS = {"id twice": 2, "no email": 5, "broken email": 4, "unknown plan": 2, "negative spend": 3}
DUPLICATES, PADDED, TOO_SHORT = 12, 6, 4


def customer(number: int, on: date) -> list[str]:
    """One customer as on that day: who it is stays, what is spent changes."""
    who, now = random.Random(number), random.Random(f"{number} {on}")
    name = f"{who.choice(NAMES)} {chr(65 + number % 26)}."
    plan = who.choice(list(PLANS))
    since = FIRST - timedelta(days=who.randrange(700))
    spend = now.uniform(*PLANS[plan])
    email = f"{name.split()[0].lower()}{number}@example.com"
    return [f"C{number:05}", name, email, who.choice(COUNTRIES), since.isoformat(), plan, f"{spend:.2f}"]


def with_faults(rows: list[list[str]], chance: random.Random) -> list[list[str]]:
    """The rows with faults in some of them, no two in the same."""
    left = iter(chance.sample(range(len(rows)), len(rows)))
    made = [list(row) for row in rows]

    def plant(times: int, column: str, fault: str) -> None:
        for row in (made[next(left)] for _ in range(times)):
            row[COLUMNS.index(column)] = fault.format(row[COLUMNS.index(column)])

    plant(FAULTS["no email"], "email", "")
    plant(FAULTS["broken email"], "email", "write to me")
    plant(FAULTS["unknown plan"], "plan", "gold")
    plant(FAULTS["negative spend"], "monthly_spend", "-1{}")
    plant(PADDED, "name", "  {} ")
    plant(TOO_SHORT, "name", "X")
    repeated = [list(made[next(left)]) for _ in range(DUPLICATES)]
    other = [[*made[next(left)][:-1], "1.00"] for _ in range(FAULTS["id twice"])]
    return [*made, *repeated, *other]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--day", type=date.fromisoformat, default=FIRST)
    parser.add_argument("--rows", type=int, default=500)
    asked = parser.parse_args()
    there = asked.rows + 20 * max(0, (asked.day - FIRST).days)  # every day twenty more
    rows = with_faults([customer(number, asked.day) for number in range(1, there + 1)], random.Random(str(asked.day)))
    folder = Path(__file__).parent / "data" / str(asked.day)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "customers.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="|", lineterminator="\n").writerows([COLUMNS, *rows])
    planted = {"customers": there, "duplicates": DUPLICATES, "padded": PADDED, "too short": TOO_SHORT, "rules": FAULTS}
    (folder / "planted.json").write_text(json.dumps(planted, indent=2) + "\n")
    print(f"{len(rows)} rows in {folder / 'customers.csv'}, {sum(FAULTS.values())} of them to be refused")


if __name__ == "__main__":
    main()
