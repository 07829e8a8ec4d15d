"""The states that a power loss may leave: what an operation asks of the file system is recorded, and then each legal
outcome of losing power at each moment is laid out in a folder.

The model is a journal's: an operation on a name (make, rename, remove) is whole or not there, and is sure to be there
only once one of its folders was synced; those on different names may be kept or lost in any combination, those on one
name in their order. The bytes of a file are sure to be there only once the file was synced; until then any of them may
be missing, be zeros, or be there. The recording stands where the system does, at Python's own calls of it: an audit
hook for names, `os.fsync` for syncs; so it knows nothing of ours and works for any store.
"""

from __future__ import annotations

import itertools
import os
import random
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from framework.testing.elsewhere import Recipe
from harness.scenes import done, make

Event = tuple[Any, ...]
Layout = dict[str, bytes | None]  # path to bytes, None for a folder
MOST_AT_ONCE = 10  # names in the air for which all combinations are laid out; above that a sample


# --------------------------------------------------------------------------- recording


class Recorder:
    """What this process asks of the files under a folder; it cannot be taken off again, so it is for a child."""

    def __init__(self, root: Path) -> None:
        self.root = str(root.resolve())
        self.events: list[Event] = []
        self.on = False
        self._unsynced: set[str] = set()
        self._fsync = os.fsync
        os.fsync = os.fdatasync = self._synced  # type: ignore[assignment]
        sys.addaudithook(self._heard)

    def _heard(self, event: str, details: tuple[Any, ...]) -> None:
        if not self.on or event not in HEARD:
            return
        self.on = False
        try:
            HEARD[event](self, *details)
        finally:
            self.on = True

    def _note(self, *event: Any) -> None:
        """The event, before it happens, with the bytes of all files that were written to and not synced since."""
        contents = {path: Path(path).read_bytes() for path in sorted(self._unsynced) if Path(path).is_file()}
        self.events.append((contents, *event))

    def _inside(self, path: Any, folder: int = -1) -> str | None:
        """The path if it is under the root."""
        text = os.fsdecode(path) if not isinstance(path, int) else os.readlink(f"/proc/self/fd/{path}")
        if folder >= 0:
            text = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), text)
        text = os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(text))), os.path.basename(text))
        return text if text.startswith(self.root + os.sep) else None

    def open(self, path: Any, mode: Any, flags: int) -> None:
        if isinstance(path, int) or (inside := self._inside(path)) is None:
            return
        if flags & (os.O_WRONLY | os.O_RDWR) and not flags & os.O_DIRECTORY:
            if not os.path.exists(inside):
                self._note("make", inside)
            elif flags & os.O_TRUNC:
                self._note("empty", inside)
            self._unsynced.add(inside)

    def rename(self, source: Any, target: Any, from_folder: int, to_folder: int) -> None:
        old, new = self._inside(source, from_folder), self._inside(target, to_folder)
        if old and new and os.path.lexists(old):
            self._note("rename", old, new)
            self._unsynced = {new + p[len(old) :] if (p + "/").startswith(old + "/") else p for p in self._unsynced}

    def remove(self, path: Any, folder: int) -> None:
        inside = self._inside(path, folder)
        if inside and os.path.lexists(inside):
            self._note("remove", inside)
            self._unsynced.discard(inside)

    def mkdir(self, path: Any, mode: int, folder: int) -> None:
        inside = self._inside(path, folder)
        if inside and not os.path.lexists(inside):
            self._note("mkdir", inside)

    def rmdir(self, path: Any, folder: int) -> None:
        inside = self._inside(path, folder)
        if inside and os.path.isdir(inside) and not os.listdir(inside):
            self._note("remove", inside)

    def _synced(self, descriptor: Any) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        on, self.on = self.on, False
        if on:
            path = os.readlink(f"/proc/self/fd/{number}")
            folder = stat.S_ISDIR(os.fstat(number).st_mode)
            if path == self.root or path.startswith(self.root + os.sep):
                self._note("sync folder" if folder else "sync", path)
                self._unsynced.discard(path)
        self._fsync(number)
        self.on = on

    def end(self) -> list[Event]:
        self.on = False
        self._note("end")
        return [_relative(event, self.root) for event in self.events]


HEARD = {
    "open": Recorder.open,
    "os.rename": Recorder.rename,
    "os.remove": Recorder.remove,
    "os.mkdir": Recorder.mkdir,
    "os.rmdir": Recorder.rmdir,
}


def _relative(event: Event, root: str) -> Event:
    contents, kind, *paths = event
    short = {os.path.relpath(path, root): data for path, data in contents.items()}
    return (short, kind, *(os.path.relpath(path, root) for path in paths))


def recorded(pipe: Any, recipe: Recipe, operation: str, value: int) -> None:
    """In a child: do it, and tell what it asked of the file system."""
    store = make(recipe)
    recorder = Recorder(Path(recipe.place))
    recorder.on = True
    word, why = done(store, operation, value)
    events = recorder.end()
    pipe.send((word, why, events))


def layout_of(root: Path) -> Layout:
    """All that lies under a folder, taken to be on the disk."""
    found: Layout = {}
    for path in sorted(root.rglob("*")):
        found[path.relative_to(root).as_posix()] = None if path.is_dir() else path.read_bytes()
    return found


# --------------------------------------------------------------------------- what may be left


@dataclass(eq=False)
class Node:
    """A file or folder, whatever it is called: the bytes that are on the disk, and those that were written."""

    folder: bool
    safe: bytes = b""
    written: bytes | None = None

    def variants(self) -> list[bytes]:
        """What may be read after a power loss; the first is all that was written."""
        if self.written is None or self.written == self.safe:
            return [self.safe]
        new = self.written
        half = len(new) // 2
        made = [new, self.safe, b"", new[:half], new[:-1], b"\0" * len(new), b"\0" * half + new[half:]]
        return list(dict.fromkeys(made))


@dataclass
class Pending:
    """A change of names that no sync of its folders has made sure of."""

    changes: tuple[tuple[str, Node | None], ...]  # name to what it means then, in order
    folders: frozenset[str]


@dataclass
class Disk:
    """Names and bytes as they are for those who look now, and as they are sure to be on the disk."""

    names: dict[str, Node]
    safe: dict[str, Node]
    pending: list[Pending] = field(default_factory=list)

    @classmethod
    def holding(cls, layout: Layout) -> Disk:
        names = {path: Node(folder=data is None, safe=data or b"") for path, data in layout.items()}
        return cls(dict(names), dict(names))

    def take(self, event: Event) -> None:
        """Let an event happen."""
        contents, kind, *paths = event
        for path, data in contents.items():
            if path in self.names:
                self.names[path].written = data
        if kind in ("make", "mkdir"):
            self._change((paths[0], Node(folder=kind == "mkdir")))
        elif kind == "remove":
            self._change((paths[0], None))
        elif kind == "rename":
            self._rename(*paths)
        elif kind == "empty":
            self.names[paths[0]].written = b""
        elif kind == "sync":
            node = self.names[paths[0]]
            node.safe = node.safe if node.written is None else node.written
            node.written = None
        elif kind == "sync folder":
            self._make_sure("" if paths[0] == "." else paths[0])

    def _rename(self, old: str, new: str) -> None:
        moved = [path for path in self.names if path == old or path.startswith(old + "/")]
        changes: list[tuple[str, Node | None]] = []
        for path in moved:
            changes += [(new + path[len(old) :], self.names[path]), (path, None)]
        for pending in self.pending:  # what is in the air inside a folder moves along
            pending.changes = tuple((_moved(p, old, new), node) for p, node in pending.changes)
            pending.folders = frozenset(_moved(p, old, new) for p in pending.folders)
        self._change(*changes)

    def _change(self, *changes: tuple[str, Node | None]) -> None:
        tops = sorted(path for path, _ in changes)
        folders = frozenset(os.path.dirname(path) for path in tops if os.path.dirname(path) not in tops)
        self.pending.append(Pending(changes, folders))
        _apply(self.names, changes)

    def _make_sure(self, folder: str) -> None:
        for pending in [each for each in self.pending if folder in each.folders]:
            _apply(self.safe, pending.changes)
            self.pending.remove(pending)

    def states(self, chance: random.Random, most: int) -> Iterator[Layout]:
        """What may be found after a power loss now: all of it, or a sample of `most`."""
        choices = _subsets(self.pending, chance)
        for chosen in choices[:most]:
            names = dict(self.safe)
            for pending in chosen:
                _apply(names, pending.changes)
            names = {path: node for path, node in names.items() if _has_parents(path, names)}
            torn = [node for node in dict.fromkeys(names.values()) if len(node.variants()) > 1]
            options = [range(len(node.variants())) for node in torn]
            combinations = list(itertools.islice(itertools.product(*options), 2000))
            if len(combinations) > 40:
                combinations = [combinations[0], *chance.sample(combinations[1:], 39)]
            for picked in combinations:
                bytes_of = {node: node.variants()[which] for node, which in zip(torn, picked, strict=True)}
                yield {
                    path: None if node.folder else bytes_of.get(node, node.variants()[0])
                    for path, node in names.items()
                }


def _apply(names: dict[str, Node], changes: Sequence[tuple[str, Node | None]]) -> None:
    for path, node in changes:
        if node is None:
            names.pop(path, None)
        else:
            names[path] = node


def _moved(path: str, old: str, new: str) -> str:
    return new + path[len(old) :] if path.startswith(old + "/") else path


def _has_parents(path: str, names: dict[str, Node]) -> bool:
    parent = os.path.dirname(path)
    return not parent or (parent in names and names[parent].folder and _has_parents(parent, names))


def _subsets(pending: list[Pending], chance: random.Random) -> list[list[Pending]]:
    """The changes that may have reached the disk together: of those on one name, a later one brings the earlier."""
    if len(pending) <= MOST_AT_ONCE:
        masks: list[tuple[bool, ...]] = list(itertools.product((True, False), repeat=len(pending)))
        chance.shuffle(masks)
    else:
        masks = [tuple(chance.random() < share for _ in pending) for share in (0.2, 0.5, 0.8) for _ in range(300)]
        masks += [(True,) * len(pending), (False,) * len(pending)]
    found: dict[tuple[bool, ...], list[Pending]] = {}
    for mask in masks:
        kept = list(mask)
        for late in range(len(pending) - 1, -1, -1):
            if kept[late]:
                touched = {path for path, _ in pending[late].changes}
                for early in range(late):
                    kept[early] = kept[early] or bool(touched & {path for path, _ in pending[early].changes})
        found[tuple(kept)] = [each for each, keep in zip(pending, kept, strict=True) if keep]
    return list(found.values())


def losses(layout: Layout, events: list[Event], *, seed: int, most: int = 5000) -> Iterator[tuple[str, Layout]]:
    """Each state that losing power may leave, once, and the event that was about to happen (`end`: it was over)."""
    chance, disk = random.Random(seed), Disk.holding(layout)
    seen: set[int] = set()
    share = max(most // max(len(events), 1), 20)
    for event in events:
        contents, kind, *paths = event
        for path, data in contents.items():
            if path in disk.names:
                disk.names[path].written = data
        for state in disk.states(chance, share):
            key = hash((kind == "end", tuple(sorted((path, data) for path, data in state.items()))).__repr__())
            if key not in seen and len(seen) < most:
                seen.add(key)
                yield " ".join((kind, *paths)), state
        disk.take(event)


def lay_out(state: Layout, root: Path) -> None:
    """Make the folder hold just that."""
    for path, data in sorted(state.items()):
        target = root / path
        if data is None:
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
