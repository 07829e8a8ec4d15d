"""What preprocessing may be told, and what each choice is unless told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.errors import ParameterError, known_names

CHOICES: dict[str, tuple[str, ...]] = {
    "missing_value_strategy": ("auto", "drop", "mean", "median", "mode"),
    "outlier_method": ("iqr", "zscore", "none"),
    "encoding_strategy": ("auto", "onehot", "label", "target"),
    "scaling_method": ("robust", "standard", "minmax", "none"),
}


def checked_config(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """The configuration with its defaults: the first choice of each.

    Parameters
    ----------
    config : mapping, optional
        missing_value_strategy, outlier_method, encoding_strategy, scaling_method; and feature_settings, a mapping that
        takes the place of what the blueprint learns, such as {"plans": {"free": 0, "pro": 2}}.

    Raises
    ------
    ParameterError
        An unknown key or choice; the message names those that there are.
    """
    given = dict(config or {})
    for key in given:
        if key not in (*CHOICES, "feature_settings"):
            raise ParameterError(
                f"There is no preprocessing setting {key!r}.",
                cure=known_names(str(key), [*CHOICES, "feature_settings"]),
            )
    made: dict[str, Any] = {}
    for key, choices in CHOICES.items():
        made[key] = given.get(key, choices[0])
        if made[key] not in choices:
            raise ParameterError(f"{key} is {made[key]!r}.", cure=f"Choose one of {', '.join(choices)}.")
    made["feature_settings"] = given.get("feature_settings", {})
    if not isinstance(made["feature_settings"], Mapping):
        raise ParameterError("feature_settings is not a mapping.", cure='Write {"plans": {"free": 0}}.')
    made["feature_settings"] = dict(made["feature_settings"])
    return made
