"""Makes the books and the bank's statements of some days, invented, that differ in some places: data/.

python make_data.py [--days 3] [--entries 250]
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from datetime import date, timedelta
from pathlib import Path

FIRST = date(2024, 8, 12)
ACCOUNTS = ["0042", "1000", "1020", "2000", "3400"]
PLANTED = {"not at the bank": 3, "not in the books": 2, "amounts differ": 4}


def day_of(day: date, entries: int) -> tuple[list[dict[str, str]], list[dict[str, str]], dict[str, list[str]]]:
    """The books, the bank's statement, and the references on which they differ."""
    chance = random.Random(str(day))
    books = [
        {
            "reference": f"R{day:%m%d}{number:04}",
            "day": str(day),
            "account": chance.choice(ACCOUNTS),
            "amount": f"{chance.uniform(-900, 1000):.2f}",
        }
        for number in range(entries)
    ]
    bank = [dict(entry) for entry in books]
    left = iter(chance.sample(range(entries), sum(PLANTED.values())))
    chosen = {finding: [books[next(left)]["reference"] for _ in range(times)] for finding, times in PLANTED.items()}
    for entry in bank:
        if entry["reference"] in chosen["amounts differ"]:
            entry["amount"] = f"{float(entry['amount']) + 0.01:.2f}"
    bank = [entry for entry in bank if entry["reference"] not in chosen["not at the bank"]]
    books = [entry for entry in books if entry["reference"] not in chosen["not in the books"]]
    chance.shuffle(bank)
    return books, bank, chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--entries", type=int, default=250)
    asked = parser.parse_args()
    data = Path(__file__).parent / "data"
    (data / "books").mkdir(parents=True, exist_ok=True)
    statements: list[dict[str, str]] = []
    planted = {}
    for day in (FIRST + timedelta(days=number) for number in range(asked.days)):
        books, bank, planted[str(day)] = day_of(day, asked.entries)
        statements += bank
        with open(data / "books" / f"{day}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(books[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(books)
    (data / "bank.json").write_text(json.dumps(statements, indent=1) + "\n")
    (data / "planted.json").write_text(json.dumps(planted, indent=2) + "\n")
    print(f"{asked.days} days in {data}, {sum(PLANTED.values())} differences in each")


if __name__ == "__main__":
    main()
