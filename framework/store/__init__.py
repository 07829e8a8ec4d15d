"""What every store shares: the contract, told once. A store adds how it reads, writes and locks.

`get_data` gives the frame that was saved. `save_data` commits or raises and leaves what was there; it never answers
False. A name that does not exist is an error that names what exists; a second writer waits, then LockedError.
"""

from framework.store.options import StoreOptions
from framework.store.reading import Where
from framework.store.records import MOST_SAVE_IDS, Export, Keeps, Save, exported
from framework.store.saving import Store

__all__ = [
    "MOST_SAVE_IDS",
    "Export",
    "Keeps",
    "Save",
    "Store",
    "StoreOptions",
    "Where",
    "exported",
]
