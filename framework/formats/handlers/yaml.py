"""YAML: plain data, read by the project's one reader."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from framework.errors import FidelityError, FormatError
from framework.formats.handlers.handler import DataHandler, handler
from framework.formats.handlers.values import plain_value
from framework.yaml import parse_yaml, read_yaml

PROVIDES = {
    "kind": "handler",
    "name": "yaml",
    "object": "YamlHandler",
    "extensions": [".yaml", ".yml"],
    "summary": "Plain data as YAML, for settings rather than for tables",
}


@handler(name="yaml", extensions=[".yaml", ".yml"])
class YamlHandler(DataHandler):
    """Dictionaries, lists, texts and numbers, within the limits of `framework.yaml`."""

    def load(self, path: Path) -> Any:
        return read_yaml(path).value

    def save(self, data: Any, path: Path) -> None:
        value = plain_value(data, "YAML", nan=True)
        text = _dumped(value)
        try:
            back = parse_yaml(text, name=path.name).value
        except FormatError as error:
            raise FidelityError(f"The data cannot be read back from YAML: {error}", cure="Save it as json.") from error
        if not _same(value, back):
            raise FidelityError("The data is not read back from YAML as it is.", cure="Save it as json.")
        path.write_bytes(text.encode())


def _dumped(value: Any) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """No anchors, and quotes around each text that might be a number to some reader."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, data: str) -> Any:
        plain = not data or data[0].isalpha() or "\n" in data
        return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=None if plain else '"')

    Dumper.add_representer(str, text)
    try:
        return yaml.dump(value, Dumper=Dumper, allow_unicode=True, sort_keys=False)
    except RecursionError:
        raise FidelityError("The data is nested too deep for YAML.", cure="Save it as json.") from None


def _same(one: Any, other: Any) -> bool:
    """Equal in type too: 1 is neither 1.0 nor True; NaN is NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other) or (isinstance(one, float) and math.isnan(one) and math.isnan(other))
