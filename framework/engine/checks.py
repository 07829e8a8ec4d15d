"""What can be known of a case's data before anything runs: where it lies, who makes it, whether it is there."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from framework.engine.case import Case, Use
from framework.engine.entries import Entry
from framework.engine.faults import Faults
from framework.engine.hub import DataHub
from framework.errors import known_names
from framework.files import is_name
from framework.steps import Step
from framework.steps.markers import DataSink, DataSource
from framework.steps.plugin import SERVICES

Pairs = Sequence[tuple[Step, Use]]


def written(use: Use) -> Iterator[str]:
    yield from (sink.name for sink in use.sinks.values())
    if not use.reads_outputs:
        yield from use.outputs


def declared(case: Case) -> dict[str, Entry]:
    """The case's data with what its steps' own markers say of it; what the case says wins."""
    entries = dict(case.entries)
    wanted: dict[str, bool] = {}
    for use in case.uses:
        marked: list[DataSource | DataSink] = [*use.sources.values(), *use.sinks.values()]
        for marker in marked:
            entry = entries.get(marker.name)
            if entry is not None and entry.store is None and marker.handler_args:
                options = dict(marker.handler_args)
                named = options.pop("name", None)
                options = {**options, **entry.options}
                entries[marker.name] = replace(entry, handler=entry.handler or named, options=options)
        for source in use.sources.values():
            wanted[source.name] = wanted.get(source.name, False) or source.must_exist
    for name, must in wanted.items():
        if not must and name in entries and entries[name].must_exist is None:
            entries[name] = replace(entries[name], must_exist=False)
    return entries


def optional(uses: Iterable[Use], entries: Mapping[str, Entry], written: Collection[str]) -> set[str]:
    """Data that need not be there, and that the case does not name."""
    sources = [marker for use in uses for marker in use.sources.values()]
    wanted = {marker.name for marker in sources if marker.must_exist}
    return {
        marker.name
        for marker in sources
        if marker.name not in wanted and marker.name not in entries and marker.name not in written
    }


def check_names(pairs: Pairs, known: Collection[str], faults: Faults) -> Iterator[str]:
    """Parameters of functions that stand for nothing; their names."""
    for step, use in pairs:
        marked = {source.name for source in use.sources.values()}
        for name in step.takes:
            if name not in known and name not in marked:
                said = f"{step.name!r} takes {name!r}, which is neither a service, nor a parameter, nor data."
                faults.unknown(use.where, said, name, {*known, *SERVICES, *use.what.known_params()} - {name})
                yield name


def check_entries(entries: Mapping[str, Entry], makers: Mapping[str, str], hub: DataHub, faults: Faults) -> None:
    """A handler or a store that there is not, an option that it does not have, two pieces of data in one place."""
    places: dict[str, Entry] = {}
    for entry in sorted(entries.values(), key=lambda each: each.name not in makers):  # what is written comes first
        with faults.noted(entry.where):
            if entry.store is not None:
                hub.store(entry)
            else:
                hub.handlers.make(name=entry.handler, path=entry.path, options=entry.options)
        place = entry.ref if entry.path is None else os.path.realpath(entry.path)
        other = places.setdefault(place, entry)
        if other is not entry and other.name in makers:
            said = (
                f"{entry.name!r} lies where {other.name!r} ({other.where}) lies, which {makers[other.name]!r} writes."
            )
            faults.add(entry.where, said, "Give it another place, or call both by one name.")
    for entry in entries.values():
        if entry.path is None:
            continue
        for parent in map(str, Path(os.path.realpath(entry.path)).parents):
            holder = places.get(parent)
            if holder is not None and holder.name in makers:
                said = f"{entry.name!r} lies in the folder {holder.name!r}, which {makers[holder.name]!r} replaces."
                faults.add(entry.where, said, "Give it a place beside that folder.")


def check_source(entry: Entry, hub: DataHub, maker: str | None, case: Case, faults: Faults) -> None:
    """Data that must be there before anything runs, and is not."""
    if entry.must_exist is False:
        return
    with faults.noted(entry.where):
        if entry.store is not None:
            store = hub.store(entry)
            dataset = store.canonical(str(entry.dataset))
            if not store.exists(dataset):
                unknown = store.unknown(dataset)
                faults.add(entry.where, unknown.message, unknown.cure)
            return
        assert entry.path is not None
        handler = hub.handlers.make(name=entry.handler, path=entry.path, options=entry.options)
        if (handler.handles_directories and maker is None) or entry.path.exists():
            return
        name = case.folder.name
        if maker is not None:
            cure = f"{maker!r} makes it: millpond pipeline --case {name}, or millpond plugin {maker!r} --case {name}."
            faults.add(entry.where, f"{entry.name!r} is not there yet: no {entry.ref}.", cure)
        else:
            made = f" If it is made up: millpond generate-data --case {name}." if case.generates else ""
            faults.add(entry.where, f"{entry.name!r} is not there: no {entry.ref}.", f"{_near(entry.path)}{made}")


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f"There is no folder {path.parent.name}."
    names = [name for name in os.listdir(path.parent) if is_name(name)]
    return known_names(path.name, names)


def check_reads(pairs: Pairs, entries: Mapping[str, Entry], case: Case, hub: DataHub, faults: Faults) -> set[str]:
    """What is read and is not there: its names, for the plan need not tell them again."""
    makers = {name: use.name for use in case.uses for name in written(use)}
    made = {name for step, _ in pairs for name in step.outputs}
    told: set[str] = set()
    for name in sorted({name for step, _ in pairs for name in step.inputs} & entries.keys() - made):
        check_source(entries[name], hub, makers.get(name), case, faults)
    for step, use in pairs:
        for name in step.inputs:
            if name in makers and name not in made and name not in entries:
                said = f"{step.name!r} reads {name!r}, which {makers[name]!r} makes and no file keeps."
                faults.add(use.where, said, f"Run from that step on: --from {makers[name]!r}.")
                told.add(name)
    return told
