"""What can go wrong between nodes.

ClusterError
├── NodeUnreachable    a frame did not get through; whether it arrived is not known
├── NodeGone           a node has ended, or is cut off; what was under way there may have been done or not
├── NodeUnknown        no node has this name
├── CutOff             this node itself is cut off from the others
├── MessageNotPortable a message cannot be sent to another node as it is
└── RemoteFailure      what an actor on another node raised, where the exception itself cannot travel
"""

from __future__ import annotations

from ..core.base.errors import ActorDead, CoreError


class ClusterError(CoreError):
    """Base class of what goes wrong between nodes."""


class NodeUnreachable(ClusterError):
    """A frame did not get through to a node. It may have arrived all the same: nobody knows."""


class NodeGone(ClusterError, ActorDead):
    """A node has ended, or has been cut off for longer than its lease.

    What was asked of it may have been done or not.
    """


class NodeUnknown(ClusterError):
    """No node that is alive has this name or id."""


class CutOff(ClusterError):
    """This node itself cannot reach the others, or has lost its lease; it takes part again by itself."""


class MessageNotPortable(ClusterError, TypeError):
    """A message, an answer or an error cannot be written for another node, or not be read there."""


class RemoteFailure(ClusterError):
    """What an actor on another node raised, where the exception itself cannot travel."""
