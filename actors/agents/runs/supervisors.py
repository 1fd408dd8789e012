"""The agent's actor: supervises one conversation actor per conversation; and the agency's, which supervises agents."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final, NamedTuple

from ...core.actor import Actor
from ...core.base.errors import ActorDead, CoreError, MailboxFull
from ...core.base.events import Outcome, suppress_dead_letter
from ...core.base.log import logger_of
from ...core.base.restart import Supervision
from ...core.base.spec import ChildSpec
from ...core.mail.future import Future
from ...core.refs.ref import ActorRef
from ...core.refs.watching import Terminated
from ...journal.errors import EventNotReadable, JournalClosed, JournalError
from ...journal.store import at_hand
from ..answer import Answer
from ..errors import AgentUnavailable, DefinitionError
from ..handoffs.handoff import Handoff
from ..team.subagents import is_sub_agent
from ..turns.outcome import unanswered
from ..turns.records import Cancel, Decision, GiveUp, RunRequest
from ..turns.state import ConversationState
from .conversation import Conversation
from .coordination.recovery import close_run, take_up_abandoned
from .execution.handoffs.delegation import labels_of_answer
from .reading.folding import read
from .runtime.messages import AddAgent, Idle, Posted, Release, Rewind, TakeUp
from .runtime.register import unavailable
from .runtime.runtime import AgencyRuntime
from .validation import handed_over

logger = logger_of()

LOOK_AGAIN: Final = 5.0
"""Seconds between two looks for conversations that nobody alive works on, and for those that have long been idle."""

IDLE: Final = 300.0
"""Seconds without work after which a conversation leaves memory; its journal stays."""

PRUNE: Final = 300.0
"""Seconds between two times that what need not be kept any longer is deleted, where the agency has a retention."""


class AgentActor(Actor):
    """Hands each message to its conversation, which it starts when it is new.

    A conversation bounds its own crashes (see `ending.MAX_CRASHES`), because one that keeps crashing must not
    take the agent's others with it; so the intensity here only stops what cannot even start.

    Args:
        runtime: what the agency's actors share.
        agent: the agent's name.
    """

    supervision: ClassVar[Supervision] = Supervision("one_for_one", intensity=1000, period=5.0)

    def __init__(self, runtime: AgencyRuntime, agent: str) -> None:
        super().__init__()
        self._runtime = runtime
        self._agent = agent
        self._releasing: dict[str, Future[None]] = {}

    def on_start(self) -> None:
        """Go on with the runs that somebody waits for: what was sent to an earlier incarnation is lost with it."""
        for entry in self._runtime.register.open(self._agent):
            if entry.carried is None:
                self.on_receive(entry.run)
        for post in self._runtime.posts:
            agent, _, conversation = post.stream.partition("/")
            if agent == self._agent:
                self.on_receive(Posted(conversation, post))

    def on_receive(self, message: Any) -> Any:
        """Pass a message to its conversation."""
        kind = type(message)
        if kind is _Released:
            return self._released(message)
        if kind is Handoff:
            return self._handed_over(message)
        if kind is _Unasked:
            if message.outcome.error is not None:
                logger.warning("a handoff that was told to %s failed: %s", self._agent, message.outcome.error)
            return None
        if not hasattr(message, "conversation"):
            return self._refused(message)
        if self._releasing and message.conversation in self._releasing:
            return self._until_released(message)
        known = self.find_child(message.conversation)
        if self._runtime.leaving and self._is_leaving(message.conversation) and (kind is RunRequest or kind is Posted):
            self.schedule(0.01, message)  # its name is free in the next moment
            return None
        if known is None:
            if kind is RunRequest:
                if self._runtime.register.is_open(message.id):
                    known = self._open(message.conversation, self._runtime.keeps(message))
            elif kind is TakeUp or kind is Posted:
                if kind is Posted and type(message.post.event) is GiveUp:
                    self._runtime.journal.discard(message.post.id)
                    return None
                if self._waits_for_asker(message.conversation):
                    return None
                known = self._open(
                    message.conversation, f"{self._agent}/{message.conversation}" not in self._runtime.unkept
                )
            elif kind is Rewind:
                known = self._open(message.conversation, True)
            elif kind is Release:
                return self._begin_release(None, message)
            if known is None:
                return None
        if kind is Release:
            return self._begin_release(known, message)
        if kind is TakeUp:
            return None
        if kind is Rewind:
            return self.forward(known, message)
        try:
            known.tell(message)
        except ActorDead:
            if kind is RunRequest or kind is Posted:  # it let go of itself this moment; its name is free in the next
                self.schedule(0.01, message)
        except MailboxFull as error:
            if kind is RunRequest:
                self._runtime.register.settle(unanswered(message, unavailable(self._agent, error)))
        return None

    def _handed_over(self, handoff: Handoff) -> Any:
        """A task of an actor of somebody's own: it is answered, or told by name why not."""
        work = _answered(self._runtime, self._agent, handoff)
        if self._cell.current is not None:
            return self.reply_with(work)
        self.pipe(work, _Unasked)  # it was told, and nobody waits for the answer
        return None

    def _refused(self, message: object) -> Any:
        """Nothing that an agent takes."""
        wish = "a Handoff(sender, target, task); `await agency.run(question, agent=…)` asks"
        error = DefinitionError(f"the actor of {self._agent} takes {wish}, not {type(message).__name__}")
        if self._cell.current is not None:
            return self.reply_with(_raised(error))
        logger.warning("%s", error)
        return None

    def _is_leaving(self, conversation: str) -> bool:
        """Whether the actor of a conversation is about to stop: what it is sent now it would not handle any more."""
        leaving = self._runtime.leaving
        for name in list(leaving):
            agent, _, left = name.partition("/")
            if agent == self._agent and self.find_child(left) is None:
                leaving.discard(name)
        return f"{self._agent}/{conversation}" in leaving

    def _begin_release(self, known: ActorRef[Any] | None, message: Release) -> Any:
        conversation = message.conversation
        done = self._releasing[conversation] = Future()
        # Not as the answer itself: it goes on where whoever asked for it gives up.
        self.pipe(self._release(known, message), lambda outcome: _Released(conversation, outcome))
        return self.reply_with(_once(done))

    def _released(self, message: _Released) -> None:
        done = self._releasing.pop(message.conversation)
        if message.outcome.error is None:
            done.set(None)
        else:
            done.set_exception(message.outcome.error)

    def _until_released(self, message: Any) -> Any:
        """What comes for a conversation that is being released is for the one that begins behind it."""
        if type(message) is Release:
            return self.reply_with(_once(self._releasing[message.conversation]))
        if type(message) is Cancel or type(message) is Idle or type(message) is Decision:
            return None  # of what is released
        if type(message) is Rewind:
            return "moved"
        self.schedule(0.01, message)
        return None

    async def _release(self, conversation: ActorRef[Any] | None, message: Release) -> None:
        """Have a conversation end, also if it crashes on being told, and those that it was transferred to."""
        while conversation is not None and conversation.is_alive():
            try:
                await conversation.ask(message)
                break
            except CoreError:
                continue
            except Exception as error:
                logger.warning("%s crashed on being released", conversation.path, exc_info=error)
        if conversation is not None:
            await conversation.terminated()
        await self._forget(message.conversation)

    async def _forget(self, conversation: str) -> None:
        """Delete a conversation, and those that it was transferred to."""
        runtime = self._runtime
        name = f"{self._agent}/{conversation}"
        state = runtime.unkept.pop(name, None)
        if state is None:
            try:
                state = (await read(runtime.journal, name)).state
            except EventNotReadable as error:
                logger.warning("%s is deleted unread; what it was handed over to stays: %s", name, error)
                state = ConversationState(self._agent, conversation)
        if state.owner is not None and state.owner[0] in runtime.agents:
            try:
                await runtime.agents[state.owner[0]].ask(Release(state.owner[1]))
            except Exception as error:
                logger.warning("%s/%s was not released", *state.owner, exc_info=error)
        await at_hand(runtime.journal.delete(name))

    def _waits_for_asker(self, conversation: str) -> bool:
        """Whether a sub-agent's conversation is gone on with only once it is asked again: it is not known before by
        which prompt function. What was said to it is in the journal, and it looks there."""
        runtime = self._runtime
        return is_sub_agent(runtime.directory.agents[self._agent]) and runtime.register.get(conversation) is None

    def _open(self, conversation: str, kept: bool) -> ActorRef[Any]:
        made = (self._runtime, self._agent, conversation, kept)
        return self.spawn(ChildSpec(Conversation, made, name=conversation, restart="transient"))


@suppress_dead_letter
class _Unasked(NamedTuple):
    """A handoff that was told has been answered, or could not be."""

    outcome: Outcome[Answer]


@suppress_dead_letter
class _Released(NamedTuple):
    """A conversation has been released, or could not be."""

    conversation: str
    outcome: Outcome[None]


async def _answered(runtime: AgencyRuntime, agent: str, handoff: Handoff) -> Answer:
    run = handed_over(runtime, agent, handoff)
    entry = runtime.register.submit(run)
    try:
        answer = await entry.reply
        asking = runtime.register.get(run.parent)
        if asking is not None and asking.session is not None:
            asking.session.labels.heard |= labels_of_answer(answer)
        return answer
    except asyncio.CancelledError:
        # Not waited for, as a caller of `run` does: the actor may be going down, and it is what has to hear of it.
        entry.renew()
        runtime.register.cancel(run.id, "whoever asked has given up")
        raise
    finally:
        entry.reply.when_done(lambda _: runtime.delivered(entry))


async def _raised(error: Exception) -> None:
    raise error


async def _once(done: Future[None]) -> None:
    await asyncio.shield(done)


@suppress_dead_letter
class LookAgain(NamedTuple):
    """Look for conversations that nobody alive works on, and for those that have long been idle.

    Args:
        at_once: whether there is a reason to look now; otherwise `AgencyRuntime.look_every` counts.
    """

    at_once: bool = False


@suppress_dead_letter
class Prune(NamedTuple):
    """Delete what need not be kept any longer."""


class AgencyActor(Actor):
    """Supervises the agents of an agency.

    Args:
        runtime: what they share; it is told where each is.
    """

    supervision: ClassVar[Supervision] = Supervision("one_for_one", intensity=10, period=5.0)

    def __init__(self, runtime: AgencyRuntime) -> None:
        super().__init__()
        self._runtime = runtime
        self._looking = False
        self._once_more = False
        self._look_at = float("-inf")

    def on_start(self) -> None:
        """Start an actor for each agent."""
        for agent in list(self._runtime.directory.agents):
            self._start(agent)
        if self._runtime.shared or self._runtime.retention is not None:
            self.schedule_every(LOOK_AGAIN, LookAgain())
        if self._runtime.retention is not None:
            self._prune()
            self.schedule_every(PRUNE, Prune())

    def on_receive(self, message: Any) -> Any:
        """Start a further agent, or end the open runs of one that is gone for good."""
        if isinstance(message, AddAgent):
            if message.agent not in self._cell.children.names:  # it may be asked again, after a crash
                self._start(message.agent)
        elif isinstance(message, Terminated):
            name = message.ref.name
            if self._runtime.agents.get(name) is message.ref:
                return self._ended(name, message)
        elif isinstance(message, LookAgain):
            self._let_idle_ones_go()
            self._runtime.tell_of_posts()
            if self._runtime.shared and (message.at_once or self._runtime.time() >= self._look_at):
                self._look()
        elif isinstance(message, _Looked):
            self._looking = False
            if self._once_more:
                self._look()
            if message.outcome.error is not None:
                logger.warning("the journal could not be looked through", exc_info=message.outcome.error)
        elif isinstance(message, Prune):
            self._prune()
        return None

    def _look(self) -> None:
        """Take up what nobody alive works on; once more, where that is being done and may have missed something."""
        self._once_more = self._looking
        if not self._looking:
            self._looking = True
            self._look_at = self._runtime.time() + self._runtime.look_every - LOOK_AGAIN / 2
            self.pipe(take_up_abandoned(self._runtime), _Looked)

    def _prune(self) -> None:
        retention = self._runtime.retention
        assert retention is not None
        try:
            pending = self._runtime.journal.prune(retention)
        except JournalError as error:
            logger.warning("the journal could not be pruned", exc_info=error)
            return
        if isinstance(pending, Future):
            pending.when_done(_pruned)

    def _ended(self, agent: str, message: Terminated) -> None:
        runtime = self._runtime
        runtime.gone.add(agent)
        for entry in runtime.register.open(agent):
            error = AgentUnavailable(f"agent {agent} has failed for good: {message.reason}")
            if entry.accepted and runtime.keeps(entry.run):
                self.pipe(close_run(runtime, entry.run, error), lambda outcome: None)
            else:
                if entry.accepted:
                    runtime.found_failed(entry.run, error)
                runtime.register.settle(unanswered(entry.run, error))

    def _let_idle_ones_go(self) -> None:
        idle, now = self._runtime.idle, self._runtime.time()
        for name, since in list(idle.items()):
            if now - since < IDLE:
                break
            del idle[name]
            agent, _, conversation = name.partition("/")
            ref = self._runtime.agents.get(agent)
            if ref is not None:
                self._runtime.tell(ref, Idle(conversation))

    def _start(self, agent: str) -> None:
        ref: ActorRef[Any] = self.spawn(ChildSpec(AgentActor, (self._runtime, agent), name=agent))
        self._runtime.agents[agent] = ref
        self._runtime.gone.discard(agent)
        self.watch(ref)


def _pruned(pending: Future[int]) -> None:
    error = pending.exception()
    if error is not None and not isinstance(error, JournalClosed):
        logger.warning("the journal could not be pruned", exc_info=error)


@suppress_dead_letter
class _Looked(NamedTuple):
    """The journal has been looked through."""

    outcome: Any
