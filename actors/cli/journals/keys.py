"""``callboard keys``: the keys by which people and services ask an agency that is served."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cyclopts import App

from ...core.base.errors import CallboardError
from ..parts.printed import plain, print_json, say

if TYPE_CHECKING:
    from ...serving.who.keys import ApiKey, ApiKeys

keys = App(
    name="keys",
    help="The keys by which an agency that is served is asked. JOURNAL is a file, or postgresql://user@host/database.",
)


class NoSuchTime(CallboardError):
    """A time in which a key could not be used."""


@keys.command
def add(
    journal: str,
    /,
    *,
    user: str,
    tenant: str = "",
    scope: tuple[str, ...] = (),
    expires: timedelta | None = None,
    name: str = "",
    json: bool = False,
) -> int:
    """Make a key, and print it: this once, as only its hash is kept.

    Args:
        journal: where keys are kept: usually the agency's journal; made if need be.
        user: who asks with it.
        tenant: the customer the user belongs to.
        scope: what the user may do with it; several times for several scopes.
        expires: for how long it is good, such as 90d or 12h. By default for ever.
        name: of the key: small letters, digits and '-'. By default a random one.
        json: print the key and its name as JSON.
    """
    import asyncio

    if expires is not None and expires <= timedelta():
        raise NoSuchTime(f"--expires {expires.total_seconds():g} s has passed already; give a time such as 90d")

    async def made() -> str:
        async with _opened(journal, made=True) as kept:
            until = None if expires is None else time.time() + expires.total_seconds()
            return await kept.add(user=user, tenant=tenant, scopes=scope, expires_at=until, name=name)

    key = asyncio.run(made())
    called = key.split("_")[1]
    if json:
        print_json({"key": key, "name": called})
    else:
        say(key)
        sys.stderr.write(f"callboard: key {called} was made; nobody can be shown it again\n")
    return 0


@keys.command(name="list")
def show(journal: str, /, *, user: str | None = None, tenant: str | None = None, json: bool = False) -> int:
    """List the keys, those that expired or were revoked among them; never the keys themselves.

    Args:
        journal: where they are kept.
        user: only this user's.
        tenant: only this customer's.
        json: print them as JSON.
    """
    import asyncio

    async def found() -> tuple[ApiKey, ...]:
        async with _opened(journal) as kept:
            return await kept.list(user=user, tenant=tenant)

    listed = asyncio.run(found())
    if json:
        print_json([_shown(key) for key in listed])
    else:
        for key in listed:
            say(plain(_line(key)))
        if not listed:
            say("there are no keys")
    return 0


@keys.command
def revoke(journal: str, name: str, /, *, json: bool = False) -> int:
    """Have a key open nothing any more, from the next request on. Programs may go on serving.

    Args:
        journal: where it is kept.
        name: the key's, see callboard keys list.
        json: print what came of it as JSON.
    """
    import asyncio

    async def revoked() -> None:
        async with _opened(journal) as kept:
            await kept.revoke(name)

    asyncio.run(revoked())
    if json:
        print_json({"name": name, "revoked": True})
    else:
        say(f"revoked {name}")
    return 0


@asynccontextmanager
async def _opened(address: str, *, made: bool = False) -> AsyncIterator[ApiKeys]:
    import asyncio

    from ....tools.errors import MissingExtra
    from .stores import store

    try:
        from ...serving.who.keys import ApiKeys
    except ImportError as error:
        raise MissingExtra("serve", "callboard keys") from error
    if not made:
        store(address).require(address)
    kept = ApiKeys(address)
    try:
        yield kept
    finally:
        await asyncio.to_thread(kept.close)


def _line(key: ApiKey) -> str:
    caller = key.caller
    whose = f"{caller.user}{f' of {caller.tenant}' * bool(caller.tenant)}"
    scopes = f"scopes {', '.join(sorted(caller.scopes))}" if caller.scopes else "no scopes"
    return f"{key.name}  {whose}  {scopes}  {_state(key)}"


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at is None:
        return "for ever"
    return f"{'until' if key.valid(time.time()) else 'expired'} {_day(key.expires_at)}"


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S %Z}"


def _shown(key: ApiKey) -> dict[str, object]:
    caller = key.caller
    return {
        "name": key.name,
        "user": caller.user,
        "tenant": caller.tenant,
        "scopes": sorted(caller.scopes),
        "made_at": key.made_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
