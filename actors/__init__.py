"""Actors on asyncio: the core's public names. Agents and what is above them come from ``callboard`` itself."""

from .core.actor import Actor
from .core.base.errors import (
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
    StreamExpected,
    SystemClosed,
)
from .core.base.events import DeadLetter, Event, Node, Outcome
from .core.base.metrics import ActorMetrics, Histogram, Metrics
from .core.base.restart import Backoff, Supervision
from .core.base.scope import Scope, current_scope, scope
from .core.base.spec import ChildSpec, Mailbox
from .core.base.typed import Returns, handles
from .core.current import current_system
from .core.mail.future import Future, wait
from .core.processing.intercepting import Delivery, Handled, Interceptor
from .core.processing.metering import Meter
from .core.processing.timers import ReceiveTimeout
from .core.refs.bridge import ask
from .core.refs.ref import ActorRef
from .core.refs.stream import Stream
from .core.refs.watching import Terminated
from .core.supervisor import DynamicSupervisor, Supervisor
from .core.system import System

__all__ = [
    "Actor",
    "ActorCrashed",
    "ActorDead",
    "ActorMetrics",
    "ActorRef",
    "AskCycle",
    "AskTimeout",
    "Backoff",
    "BlockingCall",
    "CallboardError",
    "ChildSpec",
    "CoreError",
    "DeadLetter",
    "Delivery",
    "DynamicSupervisor",
    "Event",
    "Future",
    "Handled",
    "Histogram",
    "Interceptor",
    "Mailbox",
    "MailboxFull",
    "Meter",
    "Metrics",
    "Node",
    "NotAStream",
    "Outcome",
    "ReceiveTimeout",
    "ReplyAlreadySet",
    "RestartLimit",
    "Returns",
    "Scope",
    "SpecError",
    "StartFailed",
    "Stream",
    "StreamExpected",
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
