"""The conformance suite that every store must pass."""

from __future__ import annotations

from framework.testing.appending import Appending
from framework.testing.reading import Reading
from framework.testing.round_trips import RoundTrips
from framework.testing.saving import Saving
from framework.testing.sharing import Sharing
from framework.testing.upserts import UpsertConformance


class StoreConformance(RoundTrips, Saving, Appending, UpsertConformance, Reading, Sharing):
    """Inherit it in a test class, fill in the hooks of `StoreSuite`, and pytest runs the whole suite.

    Examples
    --------
    >>> class TestMyStore(StoreConformance):
    ...     kind = "mine"
    ...
    ...     def raw_read(self, store, name): ...
    ...     def raw_write(self, store, name, rows): ...
    ...     def raw_state(self, store): ...
    """
