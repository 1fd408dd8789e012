"""The calls that wait for a person: who may decide, until when, and what the person says."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias

from .....tools import Tool
from .....tools.errors import InvalidArguments
from .....tools.from_schema import SchemaSignature
from .....tools.scopes import ADMIN, OWNER, may_use
from ....core.base.errors import CoreError
from ...caller import Caller
from ...errors import DefinitionError, NotAllowed, UnfitArguments, UnknownAgent, UnknownApproval
from ...events import ApprovalRequested
from ...turns.records import ApprovalAsked, Decision
from ...turns.rules import Limits, check_limits

APPROVE: Final = "approvals"
"""The scope of a caller who may decide what others asked for."""

WEEK: Final = 7 * 86_400.0

ToolOf: TypeAlias = Callable[[str, str], "Tool | None"]
"""Finds the tool of an agent, by the agent's name and its own; None where it is not here."""


def nobodys(agent: str, tool: str) -> None:
    """Where no tool is at hand."""


class Approvals:
    """What waits for a person in this process.

    Args:
        send: sends a message to the actor of an agent.
        tool_of: finds the tool of an agent, by their names.
        expire: seconds after which nobody can approve a call any more; None for never.

    Attributes:
        decisions: what was decided and has not been recorded yet, by approval id: the message may be lost in a crash.
        posts: the posts by which such decisions came, by approval id.
        posting: decisions on their way into the journal, about calls that wait in other processes.
    """

    def __init__(
        self, send: Callable[[str, Any], object], tool_of: ToolOf = nobodys, expire: float | None = WEEK
    ) -> None:
        self._send = send
        self.tool_of = tool_of
        self._expire = expire
        self._waiting: dict[str, ApprovalRequested] = {}
        self.decisions: dict[str, Decision] = {}
        self.posts: dict[str, int] = {}
        self.posting: set[asyncio.Task[None]] = set()

    def __contains__(self, approval: str) -> bool:
        """Whether a call waits here under that id, or what was decided about it is not recorded yet."""
        return approval in self._waiting or approval in self.decisions

    @property
    def waiting(self) -> tuple[ApprovalRequested, ...]:
        """The calls that wait, in the order in which they were asked for."""
        return tuple(request for request in self._waiting.values() if request.approval not in self.decisions)

    def new(
        self,
        call_id: str,
        now: float,
        approvers: frozenset[str] = frozenset(),
        owner: Caller | None = None,
        why: str = "",
        tool: Tool | None = None,
    ) -> ApprovalAsked:
        """An approval that is asked for; its id cannot be guessed.

        Args:
            call_id: the call.
            now: seconds since 1970.
            approvers: the scopes of those who may decide it, where the tool says so.
            owner: the agent's.
            why: for which reason, where there is one besides the rules.
            tool: which is called, where it is known.
        """
        expires = None if self._expire is None else now + self._expire
        owned = owner if OWNER in approvers else None
        schema = "" if tool is None else json.dumps(tool.spec.parameters)
        return ApprovalAsked(call_id, secrets.token_hex(16), expires, approvers, owned, why, schema, now)

    def ask(self, request: ApprovalRequested) -> Decision | None:
        """Have a person asked; returns what was decided before a crash, if it was."""
        self._waiting[request.approval] = request
        return self.decisions.get(request.approval)

    def forget(self, request: ApprovalRequested) -> None:
        """Nobody needs to decide it any more."""
        self._waiting.pop(request.approval, None)

    def forget_those_of(self, agent: str, conversation: str) -> None:
        """The conversation is not gone on with here."""
        for request in list(self._waiting.values()):
            if (request.agent, request.conversation) == (agent, conversation):
                del self._waiting[request.approval]

    def recorded(self, approval: str) -> int | None:
        """A decision is in the journal, or concerns nobody any more; returns the post by which it came, if one did."""
        self.decisions.pop(approval, None)
        self._waiting.pop(approval, None)
        return self.posts.pop(approval, None)

    def decide(
        self,
        approval: ApprovalRequested | str,
        approved: bool,
        arguments: str | None = None,
        reason: str = "",
        by: Caller | None = None,
        limits: Limits | None = None,
    ) -> None:
        """What a person says to a call that waits.

        Args:
            approval: the event, or its ``approval`` id.
            approved: whether the call may run.
            arguments: JSON text in place of what the model wrote.
            reason: told to the model.
            by: who decides; None for the application itself.
            limits: what a run is given that waits for more.

        Raises:
            UnknownApproval: nothing waits under that id.
            NotAllowed: it belongs to somebody else.
            DefinitionError: the arguments are no text, or no JSON object; limits for a call, or none for a run that
                waits for more.
            UnfitArguments: they do not fit the tool.
        """
        key = key_of(approval)
        known = self._waiting.get(key) if key is not None else None
        if known is None or key in self.decisions:
            state = (
                "was decided already" if key in self.decisions else "does not wait: decided, expired, or never asked"
            )
            raise UnknownApproval(f"the approval {key!r:.80} {state}; {len(self.waiting)} wait")
        self.decisions[known.approval] = decision = decision_about(
            known, approved, arguments, reason, by, limits, self.tool_of
        )
        with suppress(CoreError, UnknownAgent):  # the next incarnation finds it here
            self._send(known.agent, decision)


def decision_about(
    asked: ApprovalRequested,
    approved: bool,
    arguments: str | None,
    reason: str,
    by: Caller | None,
    limits: Limits | None,
    tool_of: ToolOf,
) -> Decision:
    """What a person says to a call that waits; for the arguments and errors see `Approvals.decide`."""
    check_decision(arguments, reason)
    check_may_decide(by, asked.caller, asked)
    if has_expired(asked.expires_at):
        raise UnknownApproval(f"the approval {asked.approval!r} has expired: it counts as denied")
    check_limits_of(asked, approved, arguments, limits)
    _check_arguments(asked, arguments, tool_of)
    return Decision(asked.conversation, asked.approval, approved, arguments, reason, limits)


def _check_arguments(asked: ApprovalRequested, arguments: str | None, tool_of: ToolOf) -> None:
    """Raises `UnfitArguments` where the tool would refuse them: the decision would be used up, and nothing done. Where
    the tool is not here, its schema says so as far as it can."""
    if arguments is None:
        return
    tool = tool_of(asked.agent, asked.tool)
    try:
        if tool is not None:
            tool.check(arguments)
        elif asked.schema:
            SchemaSignature(_nothing, json.loads(asked.schema), "", lambda: None).bind(asked.tool, arguments)
    except InvalidArguments as error:
        raise UnfitArguments(str(error)) from None


def _nothing(arguments: object) -> None:
    """What a tool does that is only checked."""


def key_of(approval: object) -> str | None:
    """The id of an approval that is given as the event or as the id; None for anything else."""
    key = approval if isinstance(approval, str) else getattr(approval, "approval", None)
    return key if isinstance(key, str) else None


def has_expired(expires_at: float | None) -> bool:
    """Whether nobody can approve it any more, by this machine's clock."""
    return expires_at is not None and time.time() >= expires_at


def check_may_decide(by: Caller | None, caller: Caller, asked: ApprovalAsked | ApprovalRequested) -> None:
    """Raises `NotAllowed` where somebody may not decide what another asked for."""
    if by is None or may_decide(by, caller, asked.approvers, asked.owner):
        return
    name = _named(by) if by.user else "whoever has not said who they are"
    if by.tenant != caller.tenant:  # who asked is none of their business
        raise NotAllowed(f"{name} may not decide this: it is another tenant's")
    takes = f"it takes the scope {' or '.join(sorted(asked.approvers or (APPROVE, ADMIN)))}"
    raise NotAllowed(f"{name} may not decide what {_named(caller) or 'another'} asked for; {takes}")


def _named(caller: Caller) -> str:
    return f"{caller.user} of {caller.tenant}" if caller.tenant else caller.user


def may_decide(
    by: Caller, caller: Caller, approvers: frozenset[str] = frozenset(), owner: Caller | None = None
) -> bool:
    """Whether somebody may decide what another of their tenant asked for.

    Args:
        by: who decides.
        caller: who asked for the run.
        approvers: the scopes of which they need one; with none it is their own, or they have the scope for it.
        owner: the agent's.
    """
    if by.tenant != caller.tenant:
        return False
    if approvers:
        return may_use(by.holds(owner), approvers)
    return by.may(APPROVE) or by.may(ADMIN) or by.is_same(caller)


def in_words(asked: ApprovalRequested) -> str:
    """Return who is to approve what, until when; without the call's arguments."""
    what = f"the approval of {asked.tool}" if asked.tool else "an approval of more than its limits"
    if asked.approvers:
        whose = f"somebody with the scope {' or '.join(sorted(asked.approvers))}"
    else:
        whose = _named(asked.caller) or "the application"
    until = "" if asked.expires_at is None else f"; it expires in {max(0.0, asked.expires_at - time.time()):,.0f} s"
    return f"{what} by {whose} (run {asked.run}{until})"


def check_limits_of(asked: ApprovalRequested, approved: bool, arguments: str | None, limits: Limits | None) -> None:
    """Raises `DefinitionError` where limits are given for a call, or none that are enough for a run that wants more."""
    if limits is not None:
        check_limits(limits)
        if asked.tool:
            raise DefinitionError(f"a call of {asked.tool} waits; limits are for a run that waits for more")
    if approved and not asked.tool:
        told = json.loads(asked.arguments)
        limit, used = told["limit"], told["used"]
        given = getattr(limits, limit, None)
        if given is None or given <= used:
            raise DefinitionError(f"the run waits for more {limit}: approve(…, limits=Limits({limit}=…)), above {used}")
    if arguments is not None and not asked.tool:
        raise DefinitionError("a run that waits for more has no arguments to change")


def check_decision(arguments: str | None, reason: str) -> None:
    """Raises `DefinitionError` where a decision is given what it cannot be made of."""
    if not isinstance(reason, str):
        raise DefinitionError(f"the reason is a text, not {type(reason).__name__}")
    if arguments is None:
        return
    try:
        fits = isinstance(json.loads(arguments, parse_constant=_no_number), dict)
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise DefinitionError("the arguments of an approved call are the text of a JSON object")


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
