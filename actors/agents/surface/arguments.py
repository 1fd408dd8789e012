"""What an agency is given, looked at before anything is made of it."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

from ....providers.checks import FLAG, NAME
from ...core.base.errors import BlockingCall, SpecError
from ...core.base.spec import ChildSpec, check_name
from ...core.refs.ref import ActorRef
from ...core.system import System
from ...journal.store import Retention
from ..errors import DefinitionError
from ..handoffs.limits import HandoffLimits
from ..wishes import define


def check_run_sync(raises: object) -> None:
    """Raises `DefinitionError` where ``raises`` is not True or False, and `BlockingCall` on an event loop's thread."""
    define("run_sync", raises=(raises, FLAG))
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise BlockingCall("run_sync would block the event loop: await run() instead")


def check_name_of_agency(name: object) -> None:
    """Raises `DefinitionError` where an actor cannot be called so."""
    try:
        if not NAME.fits(name):
            raise SpecError("it is empty, or no text")
        check_name(str(name))
    except SpecError as error:
        raise DefinitionError(f"an agency's name is that of its actor, not {name!r:.80}: {error}") from None


def check_credentials(given: object) -> None:
    """Raises `DefinitionError` where they are no function; what else they are, a mapping of secrets perhaps, is not
    shown."""
    if given is not None and not callable(given):
        raise DefinitionError(f"credentials are a function of a Caller and a name, not a {type(given).__name__}")


def check_arguments(
    model: object,
    pool: object,
    config: object,
    on_usage: object,
    system: object,
    journal: object,
    handoff_limits: object,
    approvals_expire: object,
    retention: object,
) -> None:
    """Raises `DefinitionError` where something is not what `Agency` takes."""
    if pool is not None and not isinstance(pool, ActorRef | ChildSpec):
        raise DefinitionError(f"pool is an actor, or a ChildSpec to start one from, not {pool!r:.80}")
    if model is not None and not isinstance(model, ActorRef | ChildSpec | str):
        told = f"model is an actor, a ChildSpec to start one from, or a model's name, not {model!r:.80}"
        if callable(model):
            told += (
                "; a function that stands for a model is ChildSpec(FunctionModel, (function,)), of callboard.testing"
            )
        raise DefinitionError(told)
    if model is not None and pool is not None:
        raise DefinitionError("model and pool are two names of one argument: give one of them")
    if config is not None:
        if pool is not None or model is not None:
            raise DefinitionError("config says which models there are; give it, or a model or pool, not both")
        if not isinstance(config, str | Path) and not hasattr(config, "model_for"):
            raise DefinitionError(f"config is a path, or what load_config read, not {config!r:.80}")
    if on_usage is not None:
        if isinstance(model, ActorRef | ChildSpec) or pool is not None:
            raise DefinitionError("on_usage is told by the pool that an agency makes; give it to your own: Pool.spec")
        from ....providers.pool.dispatch.usage import can_be_told  # not at the top: it loads the pool

        if not can_be_told(on_usage):
            raise DefinitionError(f"on_usage is a plain function of a CallRecord, not {on_usage!r:.80}")
    if system is not None and not isinstance(system, System):
        raise DefinitionError(f"system is a System, not {system!r:.80}")
    if isinstance(journal, str) and "://" in journal and not journal.startswith(("postgres://", "postgresql://")):
        raise DefinitionError(f"journal is a path or postgresql://…, not an address of {journal.partition(':')[0]}")
    if journal is not None and not isinstance(journal, str | Path) and not hasattr(journal, "headers"):
        raise DefinitionError(
            f"journal is a path, an address postgresql://…, or a Journal, not a {type(journal).__name__}"
        )
    if handoff_limits is not None and not isinstance(handoff_limits, HandoffLimits):
        raise DefinitionError(f"handoff_limits are HandoffLimits, not {handoff_limits!r:.80}")
    if retention is not None:
        if not isinstance(retention, Retention):
            raise DefinitionError(f"retention is a Retention(finished=…, ephemeral=…), not {retention!r:.80}")
        _check_seconds("Retention.finished", retention.finished)
        _check_seconds("Retention.ephemeral", retention.ephemeral)
    _check_seconds("approvals_expire", approvals_expire)
    if approvals_expire == math.inf:
        raise DefinitionError("approvals_expire is seconds, or None for never, not inf")


def _check_seconds(name: str, given: object) -> None:
    if given is None:
        return
    if isinstance(given, bool) or not isinstance(given, int | float) or math.isnan(given) or given < 0:
        raise DefinitionError(f"{name} is seconds, not below 0, or None, not {given!r:.80}")
