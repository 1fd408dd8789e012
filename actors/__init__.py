"""Actors on asyncio: the core's public names. Agents and what is above them come from ``callboard`` itself."""

from .core.actor import Actor
from .core.children import Supervision
from .core.errors import (
    ActorCrashed,
    ActorDead,
    AskCycle,
    AskTimeout,
    BlockingCall,
    CallboardError,
    CoreError,
    MailboxFull,
    NotAStream,
    ReplyAlreadySet,
    RestartLimit,
    SpecError,
    StartFailed,
    SystemClosed,
)
from .core.events import DeadLetter, Event, Node, Outcome, Terminated
from .core.future import Future, wait
from .core.ref import ActorRef, ask
from .core.scope import Scope, current_scope, scope
from .core.spec import Backoff, ChildSpec
from .core.stream import Stream
from .core.supervisor import DynamicSupervisor, Supervisor
from .core.system import System, current_system
from .core.typed import Returns, handles

__all__ = [
    "Actor",
    "ActorCrashed",
    "ActorDead",
    "ActorRef",
    "AskCycle",
    "AskTimeout",
    "Backoff",
    "BlockingCall",
    "CallboardError",
    "ChildSpec",
    "CoreError",
    "DeadLetter",
    "DynamicSupervisor",
    "Event",
    "Future",
    "MailboxFull",
    "Node",
    "NotAStream",
    "Outcome",
    "ReplyAlreadySet",
    "RestartLimit",
    "Returns",
    "Scope",
    "SpecError",
    "StartFailed",
    "Stream",
    "Supervision",
    "Supervisor",
    "System",
    "SystemClosed",
    "Terminated",
    "ask",
    "current_scope",
    "current_system",
    "handles",
    "scope",
    "wait",
]
