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
    NotMainThread,
    ReplyAlreadySet,
    RestartLimit,
    SpecError,
    StartFailed,
    StreamExpected,
    SystemClosed,
)
from .core.base.events import DeadLetter, Event, Node, Outcome
from .core.base.metrics import ActorMetrics, Histogram, Metrics
from .core.base.restart import Backoff, Restart, Strategy, Supervision
from .core.base.send_context import SendContext, current_send_context, send_context
from .core.base.spec import ChildSpec, Mailbox, Overflow
from .core.base.typed import Returns, handles
from .core.current import current_system
from .core.garbage import service_gc
from .core.mail.future import Future, wait
from .core.processing.intercepting import Delivery, Handled, Interceptor
from .core.processing.jobs import Job
from .core.processing.metering import Meter
from .core.processing.timers import ReceiveTimeout, Timer
from .core.refs.bridge import ask
from .core.refs.ref import ActorRef
from .core.refs.stream import Stream
from .core.refs.watching import Terminated
from .core.routers import Broadcast, Resize, Routees, Router, by_key
from .core.signals import stop_on_signals
from .core.supervisor import DynamicSupervisor, Supervisor
from .core.system import System
from .core.topics import Publish, Subscribe, Topics, Unsubscribe

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
    "Broadcast",
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
    "Job",
    "Mailbox",
    "MailboxFull",
    "Meter",
    "Metrics",
    "Node",
    "NotAStream",
    "NotMainThread",
    "Outcome",
    "Overflow",
    "Publish",
    "ReceiveTimeout",
    "ReplyAlreadySet",
    "Resize",
    "Restart",
    "RestartLimit",
    "Returns",
    "Routees",
    "Router",
    "SendContext",
    "SpecError",
    "StartFailed",
    "Strategy",
    "Stream",
    "StreamExpected",
    "Subscribe",
    "Supervision",
    "Supervisor",
    "System",
    "SystemClosed",
    "Terminated",
    "Timer",
    "Topics",
    "Unsubscribe",
    "ask",
    "by_key",
    "current_send_context",
    "current_system",
    "handles",
    "send_context",
    "service_gc",
    "stop_on_signals",
    "wait",
]
