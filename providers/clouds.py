"""What clouds that resell models need to know beside a key: plain data, checked when it is made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TypeAlias

from ..actors.core.base.errors import SpecError

# Each of them goes into an address: nothing in it may lead elsewhere.
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_SEGMENT = re.compile(r"[^\s/?#%]+")
_REGION = re.compile(r"[a-z]+(-[a-z0-9]+)+")
_LOCATION = re.compile(r"[a-z]+(-[a-z0-9]+)*")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9.:-]*")


@dataclass(frozen=True, slots=True)
class Azure:
    """Azure OpenAI: https://learn.microsoft.com/azure/ai-foundry/openai/reference

    Args:
        api_version: a date, such as ``2024-10-21``.
        deployment: the one that serves every model; empty where deployments are called as their models.

    Raises:
        SpecError: a field is missing or wrong.
    """

    api_version: str
    deployment: str = ""

    def __post_init__(self) -> None:
        _check("api_version", self.api_version, _DATE, "a date such as 2024-10-21")
        if self.deployment:
            _check("deployment", self.deployment, _SEGMENT, "a deployment's name")


@dataclass(frozen=True, slots=True)
class Bedrock:
    """Amazon Bedrock: https://docs.aws.amazon.com/bedrock/latest/userguide

    Args:
        region: such as ``us-east-1``.
        profile: a profile of Amazon's own configuration files; empty for what Amazon's SDK finds by itself.

    Raises:
        SpecError: a field is missing or wrong.
    """

    region: str
    profile: str = ""

    def __post_init__(self) -> None:
        _check("region", self.region, _REGION, "a region such as us-east-1")


@dataclass(frozen=True, slots=True)
class Vertex:
    """Google's Vertex AI: https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude

    Args:
        project: the project's identifier.
        location: such as ``us-east5``, or ``global``.

    Raises:
        SpecError: a field is missing or wrong.
    """

    project: str
    location: str

    def __post_init__(self) -> None:
        _check("project", self.project, _PROJECT, "a project's identifier such as my-project-1")
        _check("location", self.location, _LOCATION, "a location such as us-east5 or global")


Cloud: TypeAlias = Azure | Bedrock | Vertex
CLOUDS: Mapping[str, type[Azure] | type[Bedrock] | type[Vertex]] = {
    "azure": Azure,
    "bedrock": Bedrock,
    "vertex": Vertex,
}
"""The data of each kind of provider that needs some."""


def cloud_of(kind: str, settings: Mapping[str, str]) -> Cloud | None:
    """The data of a kind of provider from its fields by name; None for a kind that needs none.

    Raises:
        SpecError: a field is missing, wrong, or of another kind.
    """
    made = CLOUDS.get(kind)
    known = [item.name for item in fields(made)] if made is not None else []
    for name in settings:
        if name not in known:
            users = " or ".join(other for other, one in CLOUDS.items() if name in {item.name for item in fields(one)})
            raise SpecError(f"{name} is not for {kind}" + (f": only {users} takes it" if users else ""))
    if made is None:
        return None
    return made(**{name: settings.get(name, "") for name in known})


def _check(name: str, value: object, pattern: re.Pattern[str], wish: str) -> None:
    if not isinstance(value, str):
        raise SpecError(f"{name} is {type(value).__name__}: expected {wish}")
    if not value:
        raise SpecError(f"{name} is missing: expected {wish}")
    if not pattern.fullmatch(value):
        raise SpecError(f"{name} is {value!r}: expected {wish}")
