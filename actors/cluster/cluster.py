"""What users hold: a cluster, and agencies in it."""

from __future__ import annotations

import socket
from typing import Any

from ..agents.agent import Agent
from ..agents.handoffs.target import Responder
from ..journal.store import Journal
from .agency import ClusterAgency
from .transport import Transport


class Cluster:
    """Programs on several machines that share a journal, and the work.

    Args:
        transport: what carries messages between them.
        journal: shared by all: an address ``postgresql://…``, or a journal.
        node: what this program is called, for people; by default after its machine.
    """

    def __init__(self, *, transport: Transport, journal: Journal | str, node: str | None = None) -> None:
        self._transport = transport
        self._journal = journal
        self._node = node or socket.gethostname()

    def agency(self, *agents: Agent[Any, Any] | Responder, **options: Any) -> ClusterAgency:
        """An agency whose runs are made on all nodes that have one of the same name.

        Args:
            agents, options: as for `Agency`, but without ``journal``.
        """
        made = ClusterAgency(*agents, journal=self._journal, **options)
        made._transport = self._transport
        made._node_name = self._node
        made._version = "0"
        return made
