"""A bank on this machine, for trying things out: serves data/bank.json as an API while a command runs.

python bank.py COMMAND ...

The command finds the bank's address in BANK_URL and the token that it wants in BANK_TOKEN. GET /transactions answers
with a day's (`day=`), a page at a time (`page=`, from 1, and `per_page=`).
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

STATEMENTS = Path(__file__).parent / "data" / "bank.json"


class Bank(ThreadingHTTPServer):
    """The bank, at a port that is free."""

    daemon_threads = True

    def __init__(self, statements: list[dict[str, str]], token: str) -> None:
        super().__init__(("127.0.0.1", 0), Counter)
        self.statements, self.token = statements, token


class Counter(BaseHTTPRequestHandler):
    """Answers one customer."""

    server: Bank

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self.answer(401, {"error": "who are you?"})
        elif parts.path != "/transactions":
            self.answer(404, {"error": "there are /transactions"})
        else:
            page, size = int(asked.get("page", 1)), min(int(asked.get("per_page", 50)), 100)
            found = [each for each in self.server.statements if asked.get("day") in (None, each["day"])]
            self.answer(200, {"page": page, "transactions": found[(page - 1) * size : page * size]})

    def answer(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Its customers write their own logs."""


def main() -> int:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if not STATEMENTS.exists():
        sys.exit(f"There is no {STATEMENTS}: run python make_data.py first.")
    bank = Bank(json.loads(STATEMENTS.read_text()), secrets.token_hex(16))
    threading.Thread(target=bank.serve_forever, daemon=True).start()
    there = {"BANK_URL": f"http://127.0.0.1:{bank.server_port}", "BANK_TOKEN": bank.token}
    try:
        return subprocess.run(sys.argv[1:], env={**os.environ, **there}, check=False).returncode
    finally:
        bank.shutdown()


if __name__ == "__main__":
    sys.exit(main())
