"""What the shell is told when Tab is pressed: stores and datasets, without waking or waiting for a server."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from framework.attempt import attempt

if TYPE_CHECKING:
    from framework.workspace import Workspace

VARIABLE = "_MILLPOND_COMPLETE"
_SPECIAL = re.compile(r"([^\w./:@%+=,~-])")  # what bash would not take for part of a word


def stores(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of stores that begin so."""
    return _answer(ctx, lambda workspace: [name for name in workspace.names() if name.startswith(incomplete)])


def datasets(ctx: typer.Context, incomplete: str) -> list[str]:
    """`store:` while the store is typed, then its datasets; nothing for a path, which is the shell's to complete."""

    def find(workspace: Workspace) -> list[str]:
        found = [name for name in workspace.names() if f"{name}:".startswith(incomplete) or _is_in(name, incomplete)]
        if len(found) != 1:
            return [f"{name}:" for name in found]
        inside = workspace.at_hand(found[0])
        return [name for name in inside if name.startswith(incomplete)] or (
            [f"{found[0]}:"] if ":" not in incomplete else []
        )

    return _answer(ctx, find)


def scrapers(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of scrapers that begin so."""
    return _answer(ctx, lambda workspace: [n for n in workspace.factory.list_scrapers() if n.startswith(incomplete)])


def calculators(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of calculators that begin so."""
    return _answer(ctx, lambda workspace: [n for n in workspace.factory.list_calculators() if n.startswith(incomplete)])


def blueprints(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of blueprints that begin so."""
    from framework import registry

    return _answer(ctx, lambda workspace: [n for n in registry.named("blueprint") if n.startswith(incomplete)])


def _is_in(store: str, incomplete: str) -> bool:
    return incomplete.startswith(f"{store}:")


def _answer(ctx: typer.Context, find: Callable[[Workspace], list[str]]) -> list[str]:
    """Nothing when it cannot be known: whoever presses Tab is not told of errors."""
    logging.getLogger("millpond").addHandler(logging.NullHandler())
    logging.getLogger("millpond").propagate = False

    def answer() -> list[str]:
        from framework.workspace import Workspace

        return find(Workspace(ctx.find_root().params.get("workspace")))

    return attempt("completion", answer).value or []


def is_asked() -> bool:
    """Whether it is the shell that calls, to complete a line."""
    return VARIABLE in os.environ


def complete(answer: Callable[[], Any]) -> int:
    """Let the parser answer the shell; bash takes `store:name` for three words, which are put together for it."""
    in_bash = os.environ[VARIABLE] == "complete_bash"
    joined = _join_words() if in_bash else 0
    out = io.StringIO()
    code: Any = 0
    with contextlib.redirect_stdout(out):
        try:
            answer()
        except SystemExit as ended:
            code = ended.code
    for line in out.getvalue().splitlines():
        print(_SPECIAL.sub(r"\\\1", line)[joined:] if in_bash else line)
    return int(code or 0)


def _join_words() -> int:
    """Mend bash's words in the environment; how many characters of each answer it has already."""
    text = os.environ.get("COMP_WORDS", "")
    words, at = text.split("\n" if "\n" in text else None), int(os.environ.get("COMP_CWORD") or 0)
    mended: list[str] = []
    place = 0
    had = 0
    words += [""] * (at + 1 - len(words))
    for number, word in enumerate(words):
        glued = bool(mended) and (word == ":" or (number > 0 and words[number - 1] == ":" and number <= at))
        if glued:
            mended[-1] += word
        else:
            mended.append(word)
        if number == at:
            place = len(mended) - 1
            had = mended[-1].rfind(":") + 1 if glued else 0
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = "\n".join(mended), str(place)
    return had
