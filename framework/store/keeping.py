"""What a vault asks of every store: a copy of a dataset, and its way back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from framework.errors import DataException, FidelityError, OptionError
from framework.store.hooks import Hooks
from framework.store.records import Export, Save, exported

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.schema import FrameSchema


class Keeping(Hooks):
    """A store's tables as a backup has them."""

    def export(self, name: str, folder: Path, *, unread: bool = False) -> Export:
        """Put one snapshot of the dataset into `folder`, as Parquet with its schema, and say what it holds.

        It has been read again as a frame. With `unread`, what cannot be is kept all the same, in a store that keeps
        files as the bytes that it is.
        """
        from framework.formats.parquet import read_parquet, write_parquet
        from framework.schema import ALL

        path = folder / "data.parquet"
        for _ in range(3):  # until nobody saves meanwhile
            version, before = self.describe(name).version, self._save_ids(name)
            write_parquet(path, *self._read(name, ALL))
            after = self._save_ids(name)
            if before == after:
                break
        ids = tuple(each for each in before if each in after)  # these saves are in the rows, whoever saved meanwhile
        try:
            return exported("parquet", *read_parquet(path), version, ids)
        except FidelityError as error:
            if not unread:
                raise self._no_backup(name, error) from error.__cause__
            return Export("parquet", None, "", "", version, ids)

    def _no_backup(self, name: str, error: DataException) -> DataException:
        """The error by which a dataset cannot be read, as the one by which it cannot be backed up."""
        error.message = f"No backup of {self.name}:{name} was made, for it cannot be read: {error.message}"
        error.cure = error.cure or f"Delete it, or restore an older backup: millpond restore {self.name}:{name}."
        return error

    def adopt(self, name: str, folder: Path, media: str, save_ids: tuple[str, ...] = ()) -> None:
        """Commit what `export` put into `folder`, with those ids on record; called with the writer's lock held."""
        self._write(name, *self.kept(name, folder, media), Save(held=save_ids))

    def kept(self, name: str, folder: Path, media: str) -> tuple[pa.Table, FrameSchema]:
        """The rows that `export` put into `folder`; OptionError when they are in a file that this store cannot read."""
        from framework.formats.parquet import read_parquet

        if media not in ("parquet", ".parquet"):
            raise OptionError(
                f"The backup of {name!r} is a {media} file, which the {self.kind} store {self.name} cannot read.",
                cure=f"It was made by another kind of store: create that one with name={self.name!r}, and restore "
                f"into='{self.name}:{name}'.",
            )
        return read_parquet(folder / "data.parquet")
