"""The options of a store, and the error for one that is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from framework.errors import OptionError, known_names


class StoreOptions(BaseModel):
    """The options that every store takes.

    Attributes
    ----------
    time_column : str, optional
        What `start` and `end` apply to when the frame has no DatetimeIndex.
    lock_timeout : float, optional
        Seconds that a writer waits for another; the setting LOCK_TIMEOUT unless given.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    time_column: str | None = None
    lock_timeout: float | None = Field(default=None, ge=0, allow_inf_nan=False)


def checked_options(model: type[StoreOptions], options: Mapping[str, Any], kind: str) -> StoreOptions:
    """The options as the model has them; OptionError naming the unknown or unfit one."""
    try:
        return model(**options)
    except ValidationError as error:
        fault = error.errors()[0]
        option = ".".join(map(str, fault["loc"]))
        if fault["type"] == "extra_forbidden":
            raise OptionError(
                f"The {kind} store has no option {option!r}.", cure=known_names(option, model.model_fields)
            ) from None
        raise OptionError(f"Option {option!r} of the {kind} store: {fault['msg']}.") from None
