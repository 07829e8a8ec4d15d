"""Makes the purchases of a shop, invented, with faults planted in them: data/purchases.txt and planted.json.

python make_data.py [--until 2024-07-31] [--customers 900]

A line is a purchase: the customer, the day, how many pieces, the dollars. A later day adds lines and changes none.
"""

from __future__ import annotations

import argparse
import json
from datetime import date, timedelta
from pathlib import Path
from random import Random

FIRST, LAST = date(2023, 1, 1), date(2024, 12, 31)  # in between, customers come
EARLIEST, FEWEST = date(2024, 1, 1), 100  # that can be asked for
HEADER = " customer_id      date pieces  dollars"
LEAVES, DAYS_BETWEEN = 0.15, 45  # after each purchase
CENTS = [777, 1177, 1200, 1499, 1699]
FAULTS = {"not four words": 4, "no such day": 3, "no number of pieces": 2, "no amount": 3}  # of lines
RETURNED = 3  # customers whose returns are more than they ever bought


def purchases(count: int, until: date, *, planted: dict[str, int] | None = None) -> str:
    """All lines up to a day, by customer, with that many lines of each fault; without faults unless they are given."""
    lines = [each for number in range(1, count + 1) for each in bought(number, count, until)]
    if planted:
        customers = iter(Random(count).sample(range(1, count // 4), sum(planted.values()) + RETURNED))
        for fault, times in planted.items():
            for customer in (f" {next(customers):05d}" for _ in range(times)):
                place = next(place for place, line in enumerate(lines) if line.startswith(customer))
                lines[place] = broken(lines[place], fault)
        lines += [f" {next(customers):05d} {EARLIEST:%Y%m%d}     -1 -4999.00" for _ in range(RETURNED)]
    return "\r\n".join([HEADER, *lines]) + "\r\n"


def bought(number: int, count: int, until: date) -> list[str]:
    """The purchases of a customer, some of nothing, some two on a day."""
    chance, lines = Random(number), []
    day = FIRST + (LAST - FIRST) * (number - 1) // count
    while day <= until:
        pieces = chance.choice([1, 1, 1, 2, 2, 3, 5])
        cents = 0 if chance.random() < 0.02 else pieces * chance.choice(CENTS)
        lines.append(f" {number:05d} {day:%Y%m%d} {pieces:6d} {cents // 100:5d}.{cents % 100:02d}")
        if chance.random() < LEAVES:
            break
        day += timedelta(days=int(chance.expovariate(1 / DAYS_BETWEEN)))
    return lines


def broken(line: str, fault: str) -> str:
    customer, day, pieces, dollars = line.split()
    wrong = {
        "not four words": (customer, day, dollars),
        "no such day": (customer, f"{day[:4]}0231", pieces, dollars),
        "no number of pieces": (customer, day, "one", dollars),
        "no amount": (customer, day, pieces, "N/A"),
    }
    return " " + " ".join(wrong[fault])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--until", type=date.fromisoformat, default=date(2024, 7, 31))
    parser.add_argument("--customers", type=int, default=900)
    asked = parser.parse_args()
    if asked.until < EARLIEST or asked.customers < FEWEST:
        parser.error(f"the faults find room from {EARLIEST} and {FEWEST} customers on")
    data = Path(__file__).parent / "data"
    data.mkdir(exist_ok=True)
    text = purchases(asked.customers, asked.until, planted=FAULTS)
    (data / "purchases.txt").write_text(text, encoding="utf-8", newline="")
    (data / "planted.json").write_text(json.dumps({"lines": FAULTS, "returned": RETURNED}, indent=2) + "\n")
    lines = text.count("\n") - 1
    print(f"{lines} purchases until {asked.until} in {data / 'purchases.txt'}, {sum(FAULTS.values())} of them broken")


if __name__ == "__main__":
    main()
