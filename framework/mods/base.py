"""What every mod has: its metadata, and the model of its parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

# https://semver.org, version 2.0.0
SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)


class ModArtifacts(BaseModel):
    """What a mod says of the files that pass through it, for the graph of a job.

    Attributes
    ----------
    consumes : list of str
        Parameters that hold the path of another mod's artifact.
    makes : list of str
        Names of the artifacts that it makes.
    optional : list of str
        Those of them that it leaves out where there is nothing to put into them, as rejected rows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    consumes: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _makes_what_is_optional(self) -> ModArtifacts:
        other = [name for name in self.optional if name not in self.makes]
        if other:
            raise ValueError(f"{other[0]!r} is optional, and not among what it makes")
        return self


class ModMetadata(BaseModel):
    """What a mod is.

    Attributes
    ----------
    name : str
    version : str
        By Semantic Versioning 2.0.0, such as 1.0.0.
    description : str
    author : str, optional
    tags : list of str
    artifacts : ModArtifacts
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(..., min_length=1, description="Mod name")
    version: str = Field(..., description="Mod version (semver)")
    description: str = Field(..., min_length=1, description="Mod description")
    author: str | None = Field(None, description="Mod author")
    tags: list[str] = Field(default_factory=list, description="Mod tags")
    artifacts: ModArtifacts = Field(default_factory=ModArtifacts, description="What it consumes and makes")

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
            raise ValueError("a mod's name is letters, digits, '_' and '-', and begins with a letter")
        return name

    @field_validator("version")
    @classmethod
    def _is_semver(cls, version: str) -> str:
        if not SEMVER.fullmatch(version):
            raise ValueError(f"{version!r} is no version by semver.org: write three numbers, such as 1.0.0")
        return version


class BaseModParams(BaseModel):
    """The parameters of a mod; what it does not declare is an error.

    A subclass may say `_metadata: ModMetadata = METADATA`, which must then be the mod's own.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", hide_input_in_errors=True)

    _metadata: Any = PrivateAttr(default=None)


class _Holds:
    """Marks a parameter whose text is a path."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __repr__(self) -> str:
        return self.what


IS_FILE, IS_ARTIFACT = _Holds("a file that is read"), _Holds("an artifact of another mod")
IS_MADE = _Holds("a file that is made")
InputPath = Annotated[str, IS_FILE]
InputArtifact = Annotated[str, IS_ARTIFACT]
OutputPath = Annotated[str, IS_MADE]
# what these names hold without a mark
BY_NAME = {"input_path": IS_FILE, "input_artifact": IS_ARTIFACT, "output_path": IS_MADE}


def paths_of(model: type[BaseModel], mark: _Holds) -> list[str]:
    """The parameters that hold such paths: one, a list of them, or a mapping to them."""
    found = []
    for name, info in model.model_fields.items():
        marked = mark in info.metadata or any(
            mark in getattr(each, "__metadata__", ()) for each in _parts(info.annotation)
        )
        if marked or BY_NAME.get(name) is mark:
            found.append(name)
    return found


def _parts(kind: Any) -> Iterator[Any]:
    yield kind
    for part in get_args(kind):
        yield from _parts(part)
