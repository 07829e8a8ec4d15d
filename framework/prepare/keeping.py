"""The files of a preparation: recipe, report, card and rejected rows, in a folder of its own."""

from __future__ import annotations

import json
import re
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from framework.errors import OptionError
from framework.files import is_name, make_folder, replace_bytes, storage_errors
from framework.prepare.configuration import Request

PREPARED = "prepared"
FILES = {"recipe": "recipe.json", "report": "report.html", "card": "card.json"}


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
        if said is not None and not is_name(said):
            raise OptionError(f"{said!r} is no name of a dataset.", cure="Use letters, digits, '.', '-' and '_'.")
        stem = Path(request.name).name.split(".")[0]
        name = said or (out.partition(":")[2] if out else re.sub(r"[^\w-]+", "_", stem).strip("_")) or "dataset"
        plain = re.sub(r"[^\w.-]+", "_", name).strip(".")[:80] or "dataset"
        return cls(plain, workspace / PREPARED / plain)

    def run(self, run_id: str) -> Kept:
        """Of one run."""
        return replace(self, folder=self.folder / run_id)

    def made(self) -> Path:
        """The folder, which is there then."""
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
                replace_bytes(path, text.encode("utf-8", "replace"))
                written[name] = str(path)
        return written

    def forget_old(self, days: float) -> int:
        """Remove the folders of earlier preparations of this dataset that are older; how many. The newest stays."""
        before, gone = time.time() - days * 86400, 0
        with storage_errors(str(self.folder.parent)):
            for folder in self.folder.parent.iterdir():
                if folder != self.folder and folder.is_dir() and folder.stat().st_mtime < before:
                    shutil.rmtree(folder, ignore_errors=True)
                    gone += 1
        return gone
