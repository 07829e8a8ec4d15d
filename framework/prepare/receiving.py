"""Streams that are awaited: an upload is put into a file before it is read, as far as it may be large."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import IO, Any, ParamSpec, TypeVar

from framework.attempt import attempt
from framework.errors import IngestionException, StorageError

P = ParamSpec("P")
T = TypeVar("T")
PIECE = 1 << 20  # bytes that are written at once


def apart(call: Callable[P, T], *args: P.args, **given: P.kwargs) -> asyncio.Future[T]:
    """The call in a thread: a future that no cancelling of all tasks cancels."""
    work = partial(copy_context().run, call, *args, **given)
    return asyncio.get_running_loop().run_in_executor(None, work)


async def whole(work: asyncio.Future[T]) -> T:
    """What it answers, however often the one who waits is cancelled."""
    while not work.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(work)
    return work.result()


def is_async(stream: Any) -> bool:
    """Whether it must be awaited."""
    return inspect.iscoroutinefunction(getattr(stream, "read", None)) or hasattr(stream, "__aiter__")


async def received(stream: Any, held: IO[bytes], name: str, *, chunk: int, most: int) -> Any:
    """Put what a stream gives into a file, no more than may be: the file, or what says why the stream broke off.

    Parameters
    ----------
    chunk : int
        Bytes of one read.
    most : int
        Bytes; one piece more is taken, so that whoever reads finds that there are too many.
    """
    pieces = _pieces(stream, chunk)
    size, waiting = 0, bytearray()
    while size <= most:
        piece = (await asyncio.gather(anext(pieces, b""), return_exceptions=True))[0]
        if isinstance(piece, BaseException) and not isinstance(piece, Exception):
            raise piece
        if not isinstance(piece, bytes | bytearray | memoryview):
            return _Broken(name, piece)
        size += len(piece)
        waiting += piece
        if waiting and (len(waiting) >= PIECE or not len(piece) or size > most):
            done = await apart(attempt, name, partial(held.write, bytes(waiting)))
            if done.error is not None:
                return _Broken(name, done.error, of_ours=True)
            waiting.clear()
        if not len(piece):
            break
    held.seek(0)
    return held


async def _pieces(stream: Any, size: int) -> AsyncIterator[Any]:
    """What it gives; nothing but bytes of no length ends a reader."""
    if not hasattr(stream, "read"):
        async for piece in stream:
            if isinstance(piece, bytes) and not piece:
                await asyncio.sleep(0)  # one that gives nothing for ever holds up nobody else
            else:
                yield piece
        return
    while True:
        piece = stream.read(size)
        if inspect.isawaitable(piece):
            piece = await piece
        if isinstance(piece, bytes | bytearray | memoryview) and not len(piece):
            return
        yield piece


class _Broken:
    """Stands for a stream that broke off: whoever reads it is told why."""

    def __init__(self, name: str, why: object, *, of_ours: bool = False) -> None:
        self._name, self._why, self._of_ours = name, why, of_ours

    def read(self, size: int = -1) -> bytes:
        why = self._why
        if self._of_ours:
            raise StorageError(f"{self._name} could not be put aside: {why}.", cure="Make room where TMPDIR points.")
        words = (
            f"{type(why).__name__}: {why}" if isinstance(why, Exception) else f"it gave {type(why).__name__}, no bytes"
        )
        broken = IngestionException(f"{self._name} broke off: {words}.", cure="Send it again.", resource=self._name)
        raise broken from (why if isinstance(why, Exception) else None)
