"""The newest backup: which one is meant when none is named, and after which the next one is dated."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from framework.attempt import Attempt, attempt
from framework.vault.manifest import Manifest, manifest_at, moment_of
from framework.vault.places import Place

SKEW = timedelta(seconds=1)  # by which a clock may lie behind the newest backup without a word


@dataclass(frozen=True, slots=True)
class Choice:
    """The newest backup, and what there is to say of the others.

    Attributes
    ----------
    newest : Manifest or None
        Of the origin; of another, as after a move, if that has none. Never one that a restore made of what it
        replaced, nor one of bytes that could not be read.
    unreadable : Attempt or None
        One that is newer still, and whose manifest cannot be read.
    aside : tuple of str
        Ids of those that are taken only by name.
    """

    newest: Manifest | None
    unreadable: Attempt[Manifest] | None
    aside: tuple[str, ...]

    @classmethod
    def of(cls, tried: Sequence[Attempt[Manifest]], origin: str) -> Choice:
        """Among what came of reading the manifests, by the backups' ids in their order."""
        found = [done.value for done in tried if done.value is not None]
        aside = [manifest for manifest in found if manifest.before_restore or manifest.rows is None]
        meant = [manifest for manifest in found if manifest not in aside]
        own = [manifest for manifest in meant if manifest.place == origin]
        newest = max(own or meant, key=lambda manifest: manifest.backup_id, default=None)
        since = newest.backup_id if newest else ""
        broken = [done for done in tried if done.error is not None and done.name > since and not _is_stray(done)]
        return cls(newest, broken[-1] if broken else None, tuple(manifest.backup_id for manifest in aside))


def _is_stray(tried: Attempt[Manifest]) -> bool:
    """Whether it has no manifest, and a name that no backup has which lost its own."""
    made = moment_of(tried.name)
    return isinstance(tried.error, FileNotFoundError) and (made is None or made > datetime.now(UTC))


def after_the_newest(place: Place, home: str, logger: logging.Logger) -> datetime:
    """This moment, but after the newest backup's, should the clock have been set back."""
    now = datetime.now(UTC)
    for key in reversed(place.ids(home)):
        made = moment_of(key)
        if made is None:
            continue
        if made < now:
            break
        written = Attempt(key, place.manifest(home, key), None, 0.0)
        if attempt(key, partial(manifest_at, home, written)):  # what is no backup says nothing of the time
            if made - now > SKEW:
                logger.warning("the clock says %s, and the backup %s is newer: set it right", now, key)
            return made + timedelta(microseconds=1)
    return now
