"""The request context: what a tool, a hook or another actor may know of the run it works for; and what a tool may know
of its call.

The request context travels in the baggage of the actor core's send context, so it crosses mailboxes: an actor that a
tool asks sees the same context as the tool.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeAlias, TypeVar, cast

from ...providers.checks import AMOUNT
from ...providers.messages import UNLABELLED, Labels, Message, Usage
from ...tools.context import CallContext, OnCall, OnProgress
from ...tools.errors import NoCredential
from ...tools.secrets import Secrets
from ..core.base.foreign import is_ours
from ..core.base.send_context import active
from ..core.refs.ref import ActorRef
from .caller import NOBODY, Caller
from .errors import DefinitionError

if TYPE_CHECKING:
    import typing_extensions

    Deps = typing_extensions.TypeVar("Deps", default=Any)
else:  # defaults come with Python 3.13, and only type checkers need this one
    Deps = TypeVar("Deps")

KEY = "callboard.request"
MODEL = "callboard.model"
"""Under this key of the baggage stands the actor that answers the agency's requests."""
REPLAY = "callboard.replay"
"""This key stands in the baggage of what a replay calls."""
SPEND = "callboard.spend"
"""Under this key of the baggage stands the list of what was bought beside the run's completions."""


class UsageRecord(NamedTuple):
    """What one completion used."""

    agent: str
    model: str
    provider: str
    usage: Usage
    cost: float | None


class RequestContext(NamedTuple):
    """Who is asking for what.

    Args:
        request: the id of the run the caller started.
        run: the id of the run this is part of.
        agent: the agent at work.
        conversation: its conversation's id.
        chain: the agents from the first asked to this one.
        caller: who asks.
        metadata: what else the caller passed along.
        usage: a record of each completion of this run so far.
    """

    request: str
    run: str
    agent: str
    conversation: str
    chain: tuple[str, ...]
    caller: Caller
    metadata: Mapping[str, Any]
    usage: list[UsageRecord]

    @property
    def user(self) -> str:
        """Whom the request is for, as the caller said."""
        return self.caller.user


def request_context() -> RequestContext | None:
    """The context of the run that this code works for, or None outside of one."""
    sent = active.get()
    context = sent.baggage.get(KEY) if sent is not None else None
    return context if isinstance(context, RequestContext) else None


def model_at_work() -> ActorRef[Any] | None:
    """The actor that answers requests in the agency that this code works for, or None outside of one."""
    sent = active.get()
    return sent.baggage.get(MODEL) if sent is not None else None


def is_replay() -> bool:
    """Whether this code is called for a replay, which asks no model and costs nothing."""
    sent = active.get()
    return sent is not None and REPLAY in sent.baggage


def spend(usage: Usage, cost: float, reason: str) -> None:
    """Add what was bought beside the run's completions, as by a guardrail that asks a model, to the account of the run
    that this code works for; outside of one to nobody's.

    Args:
        usage: tokens.
        cost: US dollars.
        reason: for what, in a few words; kept in the journal.
    """
    sent = active.get()
    account = sent.baggage.get(SPEND) if sent is not None else None
    if account is not None:
        account.append((usage, cost, reason))


OnUsage: TypeAlias = "Callable[[ToolContext[Any], float, str, Mapping[str, Any]], object]"

_CALLS: Final = uuid.UUID("61664387-7a4a-4905-a299-169abd73bbb1")
"""The namespace of the keys of calls (RFC 9562, 5.5): it stays, as a key outlives the version that made it."""

NO_DEPS: Final = object()
"""In place of what a tool depends on, where nothing was given."""


class ToolContext(CallContext, Generic[Deps]):
    """What a tool may know of its call and of the run that it works for, and what it may say of them.

    A tool gets one where the first parameter of its function is annotated so (``context: ToolContext[Database]``); the
    model sees nothing of it. Tests make one themselves: ``await look_up.run({"id": 1}, context=ToolContext(deps=…))``.

    Args:
        call_id, tool, on_progress, on_call, began_at: see `CallContext`.
        deps: what the tool depends on: a database, a client, settings.
        messages: the conversation before the step that the call belongs to; valid for every vendor.
        caller: who asks.
        step: which completion of the run made the call, counted from 1.
        last_tool: whose result came last before this step, in this run; empty if none did.
        agent: the name of the agent at work.
        conversation, run: the ids of its conversation and of its run.
        started_at: when the run was asked for, in seconds since 1970; the same after a restart.
        streaming: whether the run's text is wanted as it comes.
        on_usage: called with the context, and what `track_usage` was told.
        credentials: gives `credential` a secret by its name; may be async.
        labels: of all that the model was told when it made the call; see `LabelPolicy`.
    """

    __slots__ = (
        "_credentials",
        "_deps",
        "_messages",
        "_on_usage",
        "agent",
        "caller",
        "conversation",
        "labels",
        "last_tool",
        "run",
        "started_at",
        "step",
        "streaming",
    )

    def __init__(
        self,
        call_id: str = "",
        tool: str = "",
        *,
        deps: Deps = cast("Deps", NO_DEPS),  # noqa: B008
        messages: Sequence[Message] = (),
        caller: Caller = NOBODY,
        step: int = 1,
        last_tool: str = "",
        agent: str = "",
        conversation: str = "",
        run: str = "",
        started_at: float = 0.0,
        streaming: bool = False,
        on_progress: OnProgress | None = None,
        on_call: OnCall | None = None,
        began_at: float = 0.0,
        on_usage: OnUsage | None = None,
        credentials: Callable[[str], Any] | None = None,
        labels: Labels = UNLABELLED,
    ) -> None:
        super().__init__(call_id, tool, on_progress=on_progress, on_call=on_call, began_at=began_at)
        self._deps = deps
        self._messages = messages
        self.caller = caller
        self.step = step
        self.last_tool = last_tool
        self.agent = agent
        self.conversation = conversation
        self.run = run
        self.started_at = started_at
        self.streaming = streaming
        self._on_usage = on_usage
        self._credentials = credentials
        self.labels = labels

    @property
    def deps(self) -> Deps:
        """What the tool depends on.

        Raises:
            DefinitionError: nothing was given.
        """
        if self._deps is NO_DEPS:
            raise DefinitionError(
                f"the tool {self.tool!r} asks for its deps, and there are none: give them to the Agency, or to run"
            )
        return self._deps

    @property
    def idempotency_key(self) -> str:
        """A UUID, as text, for what the call does outside: a payment, a letter, a row.

        No other call has it, of whichever run and conversation, whatever ids its vendor gives to calls; and it stays
        the same where the call is made again, after a crash or in another process (``@tool(idempotent=True)``). It is
        made of the run's id, the step and the call's id.
        """
        return str(uuid.uuid5(_CALLS, json.dumps([self.run, self.step, self.call_id])))

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation before the step that the call belongs to; valid for every vendor."""
        return tuple(self._messages)

    async def credential(self, name: str) -> str:
        """A secret of the caller's, such as a key for a service: what ``Agency(credentials=…)`` gives for it.

        It is for the tool alone. Where it turns up in what the tool returns, raises, logs by raising, or says of its
        progress and of what it has spent, ``[credential <name>]`` stands in its place.

        Args:
            name: which one.

        Raises:
            NoCredential: there is none of that name for the caller, or it could not be had.
            DefinitionError: the name is no text.
        """
        if not isinstance(name, str) or not name:
            raise DefinitionError(f"the name of a credential is a text, not {name!r:.80}")
        if self._credentials is None:
            raise NoCredential(f"there is no credential {name!r}: give the agency credentials=…")
        task = asyncio.current_task()
        try:
            given = self._credentials(name)
            secret = await given if inspect.isawaitable(given) else given
        except BaseException as error:  # its text may say more than is good
            if is_ours(error, task):
                raise
            raise NoCredential(f"the credential {name!r} could not be had: {type(error).__name__}") from error
        if secret is not None and not isinstance(secret, str):
            raise NoCredential(f"the credential {name!r} is no text, but a {type(secret).__name__}")
        if secret is None or not secret.strip():
            raise NoCredential(f"there is no credential {name!r} for this caller")
        if self.secrets is None:
            self.secrets = Secrets()
        self.secrets.add(name, secret)
        return secret

    def track_usage(self, amount: float, reason: str = "", metadata: Mapping[str, Any] | None = None) -> None:
        """Add what the tool has spent to the run's cost; from any thread.

        It counts against the limits of the run and of those that wait for it, which are looked at before the next
        completion, and is in the answer's ``cost``. Each time counts once, also over crashes and restarts; what is
        told after the run has its answer counts for nobody.

        Args:
            amount: US dollars, not below 0.
            reason: for what, in a few words; kept in the journal.
            metadata: plain data that belongs to it; kept in the journal.

        Raises:
            DefinitionError: an argument is of the wrong type, or the metadata no plain data.
        """
        if not AMOUNT.fits(amount):
            raise DefinitionError(f"amount is US dollars, not below 0, not {amount!r:.80}")
        if not isinstance(reason, str):
            raise DefinitionError(f"reason is a text, not a {type(reason).__name__}")
        try:
            kept = json.dumps(dict(metadata or {}), allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise DefinitionError(f"metadata of {self.tool!r} are plain data, as JSON knows it: {error}") from None
        if self.secrets:
            reason, kept = self.secrets.blot(reason), self.secrets.blot(kept)
        if self._on_usage is not None:
            self._on_usage(self, float(amount), reason, json.loads(kept))
