"""The files of a preparation: recipe, report, card and rejected rows, in a folder of its own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from framework.errors import OptionError
from framework.files import check_name, make_folder, replace_bytes, storage_errors
from framework.prepare.configuration import Request

PREPARED = "prepared"
FILES = {"recipe": "recipe.json", "report": "report.html", "card": "card.json"}
REJECTED = "rejected.parquet"
KNOWN = frozenset({*FILES.values(), REJECTED})
RUN_ID = re.compile(r"_[0-9a-f]{8}$")
LONGEST = 80  # bytes of a folder's name, but for what tells it from others


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the files of a preparation are: `<workspace>/prepared/<dataset>/<run_id>/`.

    Attributes
    ----------
    dataset : str
        What the dataset is called.
    folder : Path
        Of all its preparations, or of one of them.
    """

    dataset: str
    folder: Path

    @classmethod
    def of(cls, request: Request, workspace: Path) -> Kept:
        """Of what is asked for: called as it was said, as in `out`, or as the file."""
        out, said = request.asked.get("out"), request.asked.get("dataset")
        if out is not None and not all(out.partition(":")):
            raise OptionError(f"{out!r} names no dataset.", cure="Write store:name, such as parquet:churn_train.")
        named = said or (out.partition(":")[2] if out else None)
        if named is not None:
            check_name(named)
        name = named or Path(request.name).name.split(".")[0].strip() or "dataset"
        plain = re.sub(r"[^\w.\- ]+", "_", name).strip(". ").encode()[:LONGEST].decode(errors="ignore") or "dataset"
        if plain != name:  # two names never share a folder
            plain += "-" + hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
        return cls(plain, workspace / PREPARED / plain)

    def run(self, run_id: str) -> Kept:
        """Of one run."""
        return replace(self, folder=self.folder / run_id)

    def made(self) -> Path:
        """The folder, which is there then."""
        with storage_errors(str(self.folder)):
            make_folder(self.folder)
        return self.folder

    def write(
        self, *, recipe: str | None = None, report: str | None = None, card: dict[str, Any] | None = None
    ) -> dict[str, str]:
        """Write what is given, each whole or not at all: the path of each."""
        texts = {"recipe": recipe, "report": report}
        if card is not None:
            texts["card"] = json.dumps(card, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        written = {}
        for name, text in texts.items():
            if text is not None:
                path = self.made() / FILES[name]
                with storage_errors(str(path)):
                    replace_bytes(path, text.encode("utf-8", "replace"))
                written[name] = str(path)
        return written


def forget_old(workspace: Path, days: float) -> int:
    """Remove the folders of preparations of which nothing was used for so many days: how many.

    Only folders that hold what a preparation writes and nothing else; no link is followed.
    """
    before, gone = time.time() - days * 86400, 0
    for dataset in _folders(workspace / PREPARED):
        for folder in _folders(dataset):
            with os.scandir(folder) as entries:
                inside = list(entries)
            ours = RUN_ID.search(folder.name) and all(entry.name in KNOWN for entry in inside)
            if ours and max(folder.lstat().st_mtime, *(entry.stat().st_mtime for entry in inside), 0.0) < before:
                shutil.rmtree(folder, ignore_errors=True)
                gone += 1
        if gone:
            with suppress(OSError):  # unless another is left in it
                dataset.rmdir()
    return gone


def used(folder: Path) -> None:
    """A recipe in that folder was used now, and is not old."""
    with suppress(OSError):
        os.utime(folder)


def _folders(place: Path) -> list[Path]:
    if place.is_symlink() or not place.is_dir():
        return []
    with os.scandir(place) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
