"""The conversations of an agency: read, forked, rewound, replayed, released, erased."""

from __future__ import annotations

from collections.abc import Mapping

from ...journal.store import Journal
from ..agent import Agent
from ..caller import NOBODY, Caller
from ..conversations import changing, reading, rerun
from ..conversations.view import ConversationSummary, ConversationView, ReplayReport
from ..errors import DefinitionError, UnknownConversation
from ..runs.runtime.closing import ends_with_agency
from ..runs.runtime.messages import Release
from ..runs.validation import check_id, check_type
from ..turns.outcome import no_scope
from ..turns.questions import Question, as_messages
from .part import Part


class Conversations(Part):
    """The part of an agency that looks after what is kept of conversations."""

    @ends_with_agency
    async def release(
        self, conversation: str, *, agent: Agent | str | None = None, caller: Caller | None = None
    ) -> None:
        """Forget a conversation and all that belongs to it. A run of it under way is cancelled.

        Args:
            conversation: its id.
            agent: whose; the first agent's by default.
            caller: who wants it; None for the application itself, which may.

        Raises:
            NotAllowed: it is another's.
        """
        check_type(conversation, str, "the id of a conversation", "a text")
        name = self._at_work(agent)
        await self._check_whose(name, conversation, caller)
        await self._runtime.ask_until_answered(Release(conversation), name)

    @ends_with_agency
    async def conversation(
        self, conversation: str, *, agent: Agent | str | None = None, caller: Caller | None = None
    ) -> ConversationView:
        """A conversation as its journal has it now, whoever works on it, in this process or another one.

        Args:
            conversation: its id.
            agent: whose; the first agent's by default. One that is not in the team any more may be named, too.
            caller: who wants it; None for the application itself, which may.

        Raises:
            UnknownConversation: there is none, or nothing of it is kept yet.
            NotAllowed: it is another's.
            JournalError: it cannot be read.
        """
        check_id(conversation, "conversation", UnknownConversation)
        kept, name = self._kept, self._named(agent)
        await self._check_whose(name, conversation, caller)
        return await reading.read_conversation(kept, name, conversation)

    @ends_with_agency
    async def conversations(
        self,
        *,
        agent: Agent | str | None = None,
        user: str | None = None,
        tenant: str | None = None,
        unfinished: bool | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[ConversationSummary]:
        """The conversations that are kept, ordered by `ConversationSummary.name`, without reading them. Left out are
        runs without a conversation, and what agents have among themselves.

        Args:
            agent: whose; None for all.
            user, tenant: of the caller who began it; None for all.
            unfinished: whether a run is waiting or under way; None for both.
            after: only those whose name comes behind this one: the last of the page before.
            limit: how many at most.
        """
        for name, given in (("user", user), ("tenant", tenant)):
            check_type(given, str | None, name, "a text, or None")
        check_type(unfinished, bool | None, "unfinished", "True, False or None")
        check_type(after, str, "after", "the name of a conversation")
        return await reading.list_conversations(
            self._kept,
            agent=None if agent is None else self._named(agent),
            user=user,
            tenant=tenant,
            unfinished=unfinished,
            after=after,
            limit=limit,
        )

    @ends_with_agency
    async def begin(
        self,
        messages: Question | tuple[()] = (),
        *,
        to: str | None = None,
        agent: Agent | str | None = None,
        caller: Caller | None = None,
        metadata: Mapping[str, str] | None = None,
        over: int = 0,
    ) -> str:
        """Begin a conversation in which nobody is asked anything yet. `run` begins one by itself.

        Args:
            messages: what was said before.
            to: its id; one of our making by default.
            agent: whose; the first agent's by default.
            caller: whom it belongs to.
            metadata: what else is to be known of it, see `ConversationView.metadata`.
            over: the version of the conversation of this id, begun likewise, in whose place it comes; 0 for none.

        Returns:
            its id.

        Raises:
            ConversationBusy: that has another version by now: somebody was asked in it, or has begun it over, too.
            DefinitionError: ``to`` is taken or cannot be an id, or an argument is of the wrong shape or type.
            NotAllowed: the caller has no scope for the agent.
        """
        name = self._at_work(agent)
        check_type(caller, Caller | None, "caller", "a Caller, or None")
        whose = caller or NOBODY
        if not self._directory.may_ask(name, whose):
            raise no_scope(name, self._directory.agents[name].scope)
        if to is not None:
            check_id(to, "conversation")
        said = as_messages(messages) if messages else ()
        known = dict(metadata or {})
        if not all(isinstance(one, str) for one in (*known, *known.values())):
            raise DefinitionError("metadata is a mapping of texts to texts")
        check_type(over, int, "over", "the version of a conversation")
        if over:
            await self._check_whose(name, str(to), caller)
        return await changing.begin(self._runtime, name, to or self._runtime.new_id(), said, whose, known, over)

    @ends_with_agency
    async def fork(
        self,
        conversation: str,
        *,
        at: int | None = None,
        to: str | None = None,
        agent: Agent | str | None = None,
        caller: Caller | None = None,
    ) -> str:
        """Begin another conversation with the history of one, up to a step of it. That one stays as it is.

        Of one that was transferred the new one belongs to the agent that had made the step.

        Args:
            conversation: its id.
            at: the number of the last step to take over, with the results of its calls, see `Step`; 0 for
                none of it; None for all there is.
            to: the id of the new one; one of our making by default.
            agent: whose; the first agent's by default.
            caller: who wants it; None for the application itself, which may.

        Returns:
            the id of the new conversation, of the same agent and with the same user and tenant.

        Raises:
            UnknownConversation: there is none.
            NotAllowed: it is another's.
            DefinitionError: there is no such step, or ``to`` is taken or cannot be an id.
        """
        name = self._at_work(agent)
        check_id(conversation, "conversation", UnknownConversation)
        if to is not None:
            check_id(to, "conversation")
        await self._check_whose(name, conversation, caller)
        return await changing.fork(self._runtime, name, conversation, at, to or self._runtime.new_id())

    @ends_with_agency
    async def rewind(
        self, conversation: str, *, to: int, agent: Agent | str | None = None, caller: Caller | None = None
    ) -> None:
        """Have a conversation go on from an earlier step: what came after it is gone from the history. It stays in the
        journal, and what was paid for it in the view's cost.

        Args:
            conversation: its id.
            to: the number of the last step that stays, see `Step`; 0 for none.
            agent: whose; the first agent's by default.
            caller: who wants it; None for the application itself, which may.

        Raises:
            UnknownConversation: there is none.
            NotAllowed: it is another's.
            ConversationBusy: a run is under way or waiting, or another process does not let go of the conversation.
            DefinitionError: there is no such step, or the conversation was transferred after it.
        """
        name = self._at_work(agent)
        check_id(conversation, "conversation", UnknownConversation)
        check_type(to, int, "to", "the number of a step")
        await self._check_whose(name, conversation, caller)
        await changing.rewind(self._runtime, name, conversation, to)

    @ends_with_agency
    async def erase(self, *, user: str, tenant: str | None = None) -> int:
        """Delete every conversation that a user has begun, with what agents did for it, from memory and the journal.
        Runs under way end in `RunCancelled`.

        Args:
            user: the caller's user.
            tenant: only where it was this tenant's user; None for all.

        Returns:
            how many conversations were deleted, those that agents had among themselves included.
        """
        self._at_work(None)
        if not isinstance(user, str) or not user:
            raise DefinitionError(f"user is a text that names one, not {user!r:.80}")
        check_type(tenant, str | None, "tenant", "a text, or None")
        return await changing.erase(self._runtime, user, tenant)

    @ends_with_agency
    async def replay(
        self, conversation: str, *, run: str | None = None, agent: Agent | str | None = None
    ) -> ReplayReport:
        """Go through a conversation's recorded runs again with the agents as they are now: recorded completions and
        results stand for model, tools and other agents. Nothing is bought, no tool runs, nothing is written.

        Hooks and instructions are called for real: they are what is looked at. What a journal does not keep cannot be
        compared. Time does not pass. Of the limits the smaller of the run's own and the agent's own of today count.

        Args:
            conversation: its id.
            run: only this run.
            agent: whose; the first agent's by default.

        Raises:
            UnknownConversation: there is none.
            UnknownRun: the conversation has no such run.
        """
        check_id(conversation, "conversation", UnknownConversation)
        check_type(run, str | None, "run", "the id of a run, or None")
        lineage = await reading.read_lineage(self._kept, self._named(agent), conversation)
        return await rerun.rerun(self._runtime, lineage, run)

    @property
    def _kept(self) -> Journal:
        """The journal, once there is one to read."""
        self._at_work(None)
        return self._runtime.journal

    def _named(self, agent: Agent | str | None) -> str:
        """The name of an agent, which need not be there any more."""
        check_type(agent, Agent | str | None, "agent", "an Agent, its name, or None")
        return self._directory.entry if agent is None else agent if isinstance(agent, str) else agent.name
