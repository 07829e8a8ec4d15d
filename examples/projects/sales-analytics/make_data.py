"""Makes the deals, the people and the leads of a year, invented: data/*.csv.

python make_data.py [--deals 800] [--leads 200]
"""

from __future__ import annotations

import argparse
import csv
import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

PEOPLE = {"anna": "North", "bruno": "North", "chiara": "South", "david": "South", "emma": "Overseas"}
GOES_ON = {"North": 0.62, "South": 0.55, "Overseas": 0.48}  # from a stage to the next
STAGES = 5  # lead, qualified, proposal, negotiation, won


def deal(number: int, chance: random.Random) -> dict[str, Any]:
    """One deal: how far it got, and when it ended."""
    owner = chance.choice(list(PEOPLE))
    reached = 1
    while reached < STAGES and chance.random() < GOES_ON[PEOPLE[owner]]:
        reached += 1
    created = date(2024, 1, 1) + timedelta(days=chance.randrange(330))
    return {
        "deal": f"D{number:05}",
        "owner": owner,
        "created": created,
        "closed": min(created + timedelta(days=chance.randrange(5, 60)), date(2024, 12, 31)),
        "reached": reached,
        "amount": f"{chance.lognormvariate(8.5, 0.7):.2f}",
    }


def lead(number: int, chance: random.Random) -> dict[str, Any]:
    """Somebody who may buy."""
    return {
        "lead": f"L{number:04}",
        "company": f"Company {number}",
        "source": chance.choice(["web", "event", "referral"]),
        "employees": int(chance.lognormvariate(4, 1.5)) + 1,
        "visits": chance.randrange(15),
        "last_seen": date(2024, 12, 31) - timedelta(days=chance.randrange(90)),
    }


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deals", type=int, default=800)
    parser.add_argument("--leads", type=int, default=200)
    asked = parser.parse_args()
    data, chance = Path(__file__).parent / "data", random.Random(2024)
    data.mkdir(exist_ok=True)
    write(data / "deals.csv", [deal(number, chance) for number in range(1, asked.deals + 1)])
    write(data / "people.csv", [{"person": person, "region": region} for person, region in PEOPLE.items()])
    write(data / "leads.csv", [lead(number, chance) for number in range(1, asked.leads + 1)])
    print(f"{asked.deals} deals and {asked.leads} leads in {data}")


if __name__ == "__main__":
    main()
