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
from .core.garbage import service_gc
from .core.ref import ActorRef, ask
from .core.routers import Broadcast, Resize, Routees, Router, by_key
from .core.scope import Scope, current_scope, scope
from .core.signals import NotMainThread, stop_on_signals
from .core.spec import Backoff, ChildSpec
from .core.stream import Stream
from .core.supervisor import DynamicSupervisor, Supervisor
from .core.system import System, current_system
from .core.topics import Publish, Subscribe, Topics, Unsubscribe

__all__ = [
    "Actor",
    "ActorCrashed",
    "ActorDead",
    "ActorRef",
    "AskCycle",
    "AskTimeout",
    "Backoff",
    "BlockingCall",
    "Broadcast",
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
    "NotMainThread",
    "Outcome",
    "Publish",
    "ReplyAlreadySet",
    "Resize",
    "RestartLimit",
    "Routees",
    "Router",
    "Scope",
    "SpecError",
    "StartFailed",
    "Stream",
    "Subscribe",
    "Supervision",
    "Supervisor",
    "System",
    "SystemClosed",
    "Terminated",
    "Topics",
    "Unsubscribe",
    "ask",
    "by_key",
    "current_scope",
    "current_system",
    "scope",
    "service_gc",
    "stop_on_signals",
    "wait",
]
