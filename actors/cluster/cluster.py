"""What users hold: a cluster, and agencies in it."""

from __future__ import annotations

import re
import socket
from functools import partial
from pathlib import Path
from typing import Any, Final

from ..agents.agent import Agent
from ..agents.errors import DefinitionError
from ..agents.handoffs.target import Responder
from ..agents.turns.encoding.codec import RunCodec
from ..journal.memory import MemoryJournal
from ..journal.store import Journal
from .agency import ClusterAgency
from .ray.transport import RayTransport
from .transport import Transport

ADDRESSES: Final = ("auto", "local")
"""Of Ray, besides a host and a port."""

LEASE: Final = 3.0
"""Seconds after which what a node had is gone on with elsewhere, where nothing was heard of it meanwhile."""


class Cluster:
    """Programs on several machines that share a journal, and the work. A program joins by starting an agency of it, and
    leaves by stopping that.

    Args:
        address: of Ray's head, as ``ray.init`` takes it: ``auto`` for the one that runs on this machine or is set in
            ``RAY_ADDRESS``, ``local`` for one of this program's own; None for no Ray: this program then makes
            all that it is asked for itself, as an `Agency` does.
        journal: what all nodes share: the address ``postgresql://…`` of a database, or a journal.
        namespace: of the cluster within Ray; several clusters may share Ray.
        node: what this program is called, for people; by default the name of its machine.
        lease: seconds after which what this program had is gone on with elsewhere, where it shows no sign of life.
        transport: what carries messages between nodes in place of Ray, such as `Network.transport`, for tests.

    Raises:
        DefinitionError: an argument is of the wrong shape or type.
        CutOff: Ray is not installed.
    """

    def __init__(
        self,
        address: str | None = "auto",
        *,
        journal: Journal | str,
        namespace: str = "callboard",
        node: str | None = None,
        lease: float = LEASE,
        transport: Transport | None = None,
    ) -> None:
        node = socket.gethostname() if node is None else node
        for name, value in (("namespace", namespace), ("node", node)):
            if not isinstance(value, str) or not value or not value.isprintable():
                raise DefinitionError(f"Cluster: {name} is a text of one line, not {value!r:.80}")
        if not isinstance(address, str | None) or address == "":
            raise DefinitionError(f"Cluster: address is one of Ray, or None for no Ray, not {address!r:.80}")
        if address is not None and "://" in address:
            raise DefinitionError(
                f"Cluster: address is {address!r:.80}; what is wanted is HEAD:6379, and `ray start` on this machine:"
                " Ray's client is on another one"
            )
        if address is not None and address not in ADDRESSES and not re.fullmatch(r"[^\s/]+:[0-9]{1,5}", address):
            raise DefinitionError(f"Cluster: address is {address!r:.80}; it is auto, local, or such as 10.0.0.1:6379")
        if isinstance(lease, bool) or not isinstance(lease, int | float) or not 0.5 <= lease <= 600.0:
            raise DefinitionError(f"Cluster: lease is {lease!r:.80}; it must be 0.5 to 600 seconds")
        if isinstance(journal, str | Path) and not str(journal).startswith(("postgres://", "postgresql://")):
            raise DefinitionError("Cluster: journal is no address of PostgreSQL, which machines share: postgresql://…")
        if not isinstance(journal, str) and not isinstance(getattr(journal, "worker", None), str):
            raise DefinitionError(
                f"Cluster: journal is an address postgresql://…, or a journal, not a {type(journal).__name__}"
            )
        if transport is not None and not callable(getattr(transport, "send", None)):
            raise DefinitionError(f"Cluster: transport is such as Network().transport(), not {transport!r:.80}")
        if transport is None and address is not None and isinstance(journal, MemoryJournal):
            raise DefinitionError("Cluster: journal is in memory, which no other machine sees; give it postgresql://…")
        if transport is None and address is not None:
            transport = RayTransport(address, namespace)
        self._transport = transport
        self._journal = journal
        self._node = node
        self._lease = float(lease)
        self._agency: ClusterAgency | None = None

    def agency(self, *agents: Agent[Any, Any] | Responder, **options: Any) -> ClusterAgency:
        """An agency whose runs are made where their conversations live: on any node that has an agency of its name
        with the agent that is asked. There is one for each `Cluster` at a time.

        Args:
            agents, options: as for `Agency`, but without ``journal``.

        Raises:
            DefinitionError: as `Agency`.
        """
        if "journal" in options:
            raise DefinitionError("agency: the journal is the cluster's: Cluster(journal=…)")
        made = ClusterAgency(*agents, journal=self._journal, **options)
        made.joins(self._transport, self._node, self._lease, partial(open_shared, lease=self._lease), self._enter)
        return made

    def _enter(self, agency: ClusterAgency) -> None:
        """It starts: there may be one at a time, as the way to the others is one node's."""
        known = self._agency
        if known is not None and known is not agency and known.system is not None and not known.stopping:
            raise DefinitionError(
                "this cluster has an agency: another one is another node, and has a Cluster of its own"
            )
        self._agency = agency


def open_shared(address: str | Path, lease: float) -> Journal:
    """The journal at an address, with a lease of so many seconds.

    Raises:
        JournalUnavailable: it cannot be opened.
    """
    from ..journal.postgres import PostgresJournal

    return PostgresJournal(str(address), RunCodec(), lease=lease)
