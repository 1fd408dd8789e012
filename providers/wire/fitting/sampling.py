"""Which sampling models of OpenAI take, and how many stop sequences a vendor does.

Source: https://platform.openai.com/docs/guides/latest-model: models that reason refuse it, those that need not while
they do.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from ...messages import Request
from . import efforts
from .models import bare_name

_REASONERS = re.compile(r"o\d|gpt-5")
_USUAL = {"temperature": 1, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0, "stop": ()}
"""What may be left out without a word; all other names in a request are no sampling."""


def given(request: Request, names: Iterable[str]) -> dict[str, Any]:
    """The fields of a request that are set, by their names."""
    found = {name: getattr(request, name) for name in names}
    return {name: value for name, value in found.items() if value is not None and value != ()}


def fitted(
    request: Request,
    model: str,
    names: Iterable[str],
    notes: list[str],
    *,
    effort: str | None,
    drops: Collection[str] = (),
    stops: int = 0,
) -> dict[str, Any]:
    """The fields of a request that its model takes, by their names.

    Args:
        request: what is asked.
        model: the vendor's name of the model.
        names: fields of the request that the protocol has; those that are not set are left out.
        notes: takes what had to be changed.
        effort: the reasoning effort that is sent.
        drops: those of the names that the vendor does not know.
        stops: how many stop sequences the vendor takes; 0 for any number.
    """
    taken = given(request, (name for name in names if name not in drops))
    if not _USUAL.keys().isdisjoint(taken) and _refuses(model, effort):
        lost = [name for name in taken if name in _USUAL and taken[name] != _USUAL[name]]
        taken = {name: value for name, value in taken.items() if name not in _USUAL}
        if lost:
            notes.append(f"the model takes no sampling while it reasons: {', '.join(lost)} left out")
    if "stop" in taken:
        taken["stop"] = fitted_stop(taken["stop"], stops, notes)
    return taken


def fitted_stop(stop: tuple[str, ...], most: int, notes: list[str]) -> list[str]:
    """As many stop sequences as a vendor takes, of 0 all."""
    if most and len(stop) > most:
        notes.append(f"the vendor takes {most} stop sequences: the first {most} of {len(stop)} were sent")
        return list(stop[:most])
    return list(stop)


def _refuses(model: str, effort: str | None) -> bool:
    levels = efforts.levels(model)
    if not levels or not _REASONERS.match(bare_name(model)):
        return False
    return "none" not in levels or effort not in (None, "none")
