"""A run again, with exactly what it read and was set to; what it makes is compared and thrown away."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.engine.case import Case, Use
from framework.engine.entries import Entry
from framework.engine.faults import Faults
from framework.engine.flow import HIDDEN, Flow, Loom
from framework.engine.ledger import RunRow, StepRow
from framework.engine.parameters import Value
from framework.errors import ConfigurationException
from framework.files import make_folder
from framework.vault.contents import Contents


@dataclass(frozen=True, slots=True)
class Compared:
    """One output then and now."""

    step: str
    output: str
    then: str | None
    now: str | None

    @property
    def same(self) -> bool:
        """Whether both are known and equal."""
        return self.then is not None and self.then == self.now


def keep_inputs(flow: Flow, contents: Contents, scratch: Path) -> dict[str, Any]:
    """Keep all that the flow reads and does not make: by name, what fetches it again."""
    kept: dict[str, Any] = {}
    for name, entry in _read(flow):
        if entry.store is not None:
            store = flow.hub.store(entry)
            dataset = store.canonical(str(entry.dataset))
            if store.exists(dataset):
                make_folder(scratch)
                file = scratch / "data.parquet"
                frame = store.get_data(dataset)
                flow.hub.handlers.make(name="parquet").save(frame, file)
                kept[name] = {**contents.keep(file), "table": True}
                file.unlink()
        elif entry.path is not None and entry.path.exists():
            kept[name] = contents.keep(entry.path)
    return kept


def _read(flow: Flow) -> Iterable[tuple[str, Entry]]:
    written = set(flow.plan.written)
    says_nothing = any(not node.step.inputs for node in flow.plan.nodes)
    anything = says_nothing or any(use.what.asks for use in flow.uses)  # whoever has the hub may read anything
    read = {name for node in flow.plan.nodes for name in node.step.inputs}
    for name, entry in flow.case.entries.items():
        if name not in written and (name in read or anything):
            yield name, entry


def again(loom: Loom, run: RunRow, contents: Contents, folder: Path) -> Flow:
    """The flow of that run once more: its inputs as they were, its outputs in `folder`.

    Raises
    ------
    ConfigurationException
        Its inputs were not kept.
    """
    told = run.plan
    if "kept" not in told:
        raise ConfigurationException(
            f"What the run {run.run_id} read was not kept, so that it cannot be replayed.",
            cure="Write `replayable: true` into the case, or run it with --keep-inputs.",
            resource=run.run_id,
        )
    entries = {name: _moved(name, said, told["kept"], contents, folder) for name, said in told["entries"].items()}
    faults = Faults()
    uses = tuple(use for step in told["steps"] for use in _use(loom, run, step, faults))
    faults.check(f"the run {run.run_id}")
    return loom.ready(Case(folder, str(told["name"]), entries, uses), uses)


def _moved(name: str, said: Mapping[str, Any], kept: Mapping[str, Any], contents: Contents, folder: Path) -> Entry:
    """The entry with its place below `folder`, and what was kept of it put there."""
    options, must_exist, handler = said.get("handler_args", {}), said.get("must_exist"), said.get("handler")
    if "store" in said:
        path, handler = folder / ".tables" / f"{len(name)}_{_plain(name)}.parquet", "parquet"
    elif Path(said["path"]).is_absolute() or ".." in Path(said["path"]).parts:
        path = folder / ".elsewhere" / _plain(name) / Path(said["path"]).name
    else:
        path = folder / said["path"]
    if name in kept:
        make_folder(path.parent)
        contents.fetch(kept[name], path)
    return Entry(name, path, None, None, handler, options, must_exist, "the record", str(said.get("path", path.name)))


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def _use(loom: Loom, run: RunRow, step: Mapping[str, Any], faults: Faults) -> list[Use]:
    with faults.noted(f"the run {run.run_id}"):
        found = loom.catalog.find(step["plugin"])
        what = loom.catalog.load(found)
        params = {n: Value(v, run.run_id) for n, v in step["params"].items() if not _is_hidden(v)}
        hidden = [name for name, value in step["params"].items() if _is_hidden(value)]
        if hidden:
            now = loom.params_of(str(run.plan["case"]), step["name"])
            params |= {name: now[name] for name in hidden if name in now}
        inputs, outputs = tuple(step["inputs"]), tuple(step["outputs"])
        where = f"the run {run.run_id}"
        return [Use(step["name"], found, what, params, {}, inputs, outputs, step["retries"], step["timeout"], where)]
    return []


def _is_hidden(value: Any) -> bool:
    """Whether a secret in it was masked; it is then taken from the case as it is now."""
    return HIDDEN in json.dumps(value)


def compared(then: Sequence[StepRow], now: Sequence[StepRow]) -> list[Compared]:
    """Each output of the earlier run beside that of the later, in the order of the steps."""
    made = {(row.name, record.name): record.fingerprint for row in now for record in row.outputs}
    return [
        Compared(row.name, record.name, record.fingerprint, made.get((row.name, record.name)))
        for row in then
        for record in row.outputs
    ]
