"""Who is in an agency, and who may reach whom. Data only; nothing here runs.

Adding an agent costs the same among ten as among ten thousand: flows are kept by sender, and an agent is made ready for
work when it first runs. What is wrong with it is said when it is added, all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from threading import Lock
from typing import Any, TypeAlias, cast

from ....tools.scopes import EVERYBODY
from ..agent import Agent
from ..caller import Caller
from ..errors import DefinitionError, HandoffRefused, PromptError, UnknownAgent
from ..guardrails.labels import LabelPolicy
from ..handoffs.call import refusal
from ..handoffs.offer import HandoffTool
from ..handoffs.policy import EVERYONE, OPEN, HandoffPolicy
from ..handoffs.target import ModelTarget, Responder, Target
from ..turns.rules import NOTHING
from .derived import derived_from, is_derived, offered_by
from .offers import check_offers, stage_names
from .prepared import NO_TARGETS, PreparedAgent
from .subagents import is_sub_agent

Flow: TypeAlias = "tuple[Target | str, Target | str]"


def check_flows(flows: object) -> None:
    """Raises `DefinitionError` where they are no collection of pairs."""
    if not isinstance(flows, Iterable) or (isinstance(flows, str) and flows != EVERYONE):
        raise DefinitionError(f"flows are pairs (sender, target), or '*', not {flows!r:.80}")


def _check_policies(policy: object, label_policy: object) -> None:
    if not isinstance(policy, HandoffPolicy):
        raise DefinitionError(f"handoff_policy is a HandoffPolicy, not {type(policy).__name__}")
    if label_policy is not None and not isinstance(label_policy, LabelPolicy):
        raise DefinitionError(f"label_policy is a LabelPolicy, or None, not {type(label_policy).__name__}")


class Directory:
    """The agents of an agency and the flows between them.

    Agents are added and changed from any thread, and either wholly or not at all; what is looked up here may be looked
    up meanwhile.

    Args:
        agents: the first one is the entry point. Agents that they hand off to are added.
        flows: pairs of agents or names; ``"*"`` stands for everyone.
        shared: instructions that all have.
        policy: what may not be handed off, whatever else says so.
        label_policy: what labelled text may cause with agents that have no such policy of their own.

    Raises:
        DefinitionError: no agents, two of one name, a flow or handoff that names nobody, or a policy that is none.

    Attributes:
        agents: by name, the entry point first, as they are now.
        hidden: names of those that are no members: what `handoff` alone leads to, and stages that are functions.
        entry: the name of the entry point.
    """

    def __init__(
        self,
        agents: Iterable[Agent | Responder],
        flows: Iterable[Flow] | str,
        shared: str,
        policy: HandoffPolicy = OPEN,
        label_policy: LabelPolicy | None = None,
    ) -> None:
        check_flows(flows)
        _check_policies(policy, label_policy)
        self._policy = policy
        self.label_policy = label_policy
        self._revoked: set[tuple[str, str]] = set()
        self.agents: dict[str, Agent] = {}
        self.hidden: set[str] = set()
        self._given: dict[str, Target] = {}  # as they were given, where that is something else
        self._numbers: dict[str, int] = {}
        self._flows: list[tuple[str, str]] = []
        self._targets: dict[str, set[str]] = {}  # of the flows, by sender
        self._to_everyone: set[str] = set()  # the senders that may reach everyone
        self._prepared: dict[str, PreparedAgent] = {}
        self._shared = shared
        self._lock = Lock()
        given = list(agents)
        if not given:
            raise DefinitionError("an agency needs at least one agent")
        seen: set[int] = set()
        for agent in given:
            if id(agent) in seen:
                raise _two(agent.name)
            seen.add(id(agent))
        self._add(given, flows)
        self.entry = given[0].name

    @property
    def flows(self) -> tuple[tuple[str, str], ...]:
        """Pairs of names, in the order given."""
        return tuple(self._flows)

    def name_of(self, agent: Agent | str | None) -> str:
        """The name of an agent that is here; of the entry point for None.

        Raises:
            UnknownAgent: nobody here has that name.
            DefinitionError: it is neither an agent nor a name.
        """
        if agent is not None and not isinstance(agent, Agent | str):
            raise DefinitionError(f"an agent is an Agent or its name, not {agent!r:.80}")
        name = self.entry if agent is None else agent if isinstance(agent, str) else agent.name
        if name not in self.agents or name in self.hidden:
            raise UnknownAgent(f"no agent is called {name!r:.80}; there are {_listed(self.members)}")
        return name

    @property
    def members(self) -> dict[str, Agent]:
        """The agents that may be asked, and that flows lead to, by name."""
        if not self.hidden:
            return self.agents
        return {name: agent for name, agent in list(self.agents.items()) if name not in self.hidden}

    # -- what follows from it ------------------------------------------------------------------------------------------

    def prepared(self, name: str) -> PreparedAgent:
        """An agent that is here, ready for work.

        Raises:
            KeyError: it is not here.
        """
        made = self._prepared.get(name)
        if made is None:
            with self._lock:  # so that it is not made of what is being changed
                made = self._prepared[name] = self._made_ready(self.agents[name])
        return made

    def _made_ready(self, agent: Agent) -> PreparedAgent:
        reachable = self._reachable(agent)
        names = {name for name, _ in reachable}
        for item in offered_by(agent):
            names.update(stage_names(item))
        targets = {name: self.agents[name] for name in names if name in self.agents}
        guarded = {name: target for name, target in targets.items() if target.scope != EVERYBODY}
        skills = any(skill.scope != EVERYBODY for skill in agent.all_skills)
        along = self.along_flows(agent.name) if skills else NOTHING
        permits = partial(self.permits, agent.name)
        return PreparedAgent(agent, reachable, self._shared, permits, guarded or NO_TARGETS, along)

    def may_ask(self, name: str, caller: Caller) -> bool:
        """Whether a caller has the scope for an agent; one that is not here says so by itself."""
        agent = self.agents.get(name)
        return agent is None or agent.scope == EVERYBODY or agent.may_be_asked_by(caller)

    def reachable(self, name: str) -> list[tuple[str, str]]:
        """Names and descriptions of those that an agent may delegate to along flows and plain handoffs, in the agency's
        order."""
        return self._reachable(self.agents[name])

    def along_flows(self, name: str) -> frozenset[str]:
        """Whom the flows alone lead an agent to."""
        if name in self.hidden:
            return frozenset()
        named = {*self._targets.get(name, ()), *self._targets.get(EVERYONE, ())}
        return frozenset(list(self.members) if EVERYONE in named else named) - {name}

    def _reachable(self, sender: Agent) -> list[tuple[str, str]]:
        named = {_name(item) for item in sender.all_handoffs if not isinstance(item, HandoffTool)}
        named |= self.along_flows(sender.name)
        named.discard(sender.name)
        agents = self.agents
        named = {name for name in named if self.permits(sender.name, name)}
        return [(name, agents[name].description) for name in sorted(named, key=self._numbers.__getitem__)]

    def permits(self, sender: str, target: str) -> bool:
        """Whether nothing forbids a handoff that flows or handoffs allow."""
        return (sender, target) not in self._revoked and self._policy.allows(sender, target)

    def check_permitted(self, sender: str, target: str, caller: Caller) -> None:
        """Look whether a handoff is forbidden at this moment, also to whom it was offered before.

        Raises:
            HandoffRefused: it is; or the caller may not ask the target.
        """
        if not self.permits(sender, target) or not self.may_ask(target, caller):
            there = self._targets_of(sender, caller) if sender in self.agents else ()
            raise HandoffRefused(refusal(sender, target, there))

    def host_of(self, name: str) -> str:
        """On which host an agent is, in lower case; empty for one that is here."""
        host: str = getattr(getattr(self.agents.get(name), "responder", None), "host", "")
        return host

    def may_reach(self, sender: str, target: str) -> bool:
        """Whether an agent may hand off to another one, or to a pipeline, at this moment.

        Raises:
            UnknownAgent: one of them is not here.
        """
        self._check_pair(sender, target)
        return target in self._targets_of(sender)

    def _targets_of(self, sender: str, caller: Caller | None = None) -> list[str]:
        made = self.prepared(sender)
        made = made if caller is None else made.offered_to(caller)
        return list(dict.fromkeys((*made.reachable, *(offered.target for offered in made.handoffs.values()))))

    # -- changing it ---------------------------------------------------------------------------------------------------

    def add(self, agent: Agent | Responder, flows: Iterable[Flow]) -> list[str]:
        """Take in one more agent, and those it hands off to. Returns the names that are new.

        Raises:
            DefinitionError: the name is taken, or a flow names nobody.
        """
        with self._lock:
            if getattr(agent, "name", None) in self.agents:
                raise _two(agent.name)
            return self._add([agent], flows)

    def change(self, name: str, changed: Callable[[Agent], Agent]) -> list[str]:
        """Put an agent in the place of one that is here, and take in those it hands off to.

        Args:
            name: whose place.
            changed: makes the new one of the one there is.

        Returns:
            the names that are new.

        Raises:
            DefinitionError: what it makes cannot be.
        """
        with self._lock:
            agent = self.agents[name]
            if isinstance(agent, AnsweringAgent):
                raise DefinitionError(f"{name} answers by itself, and has no tools, hooks, handoffs or skills")
            return self._add([changed(agent)], (), replacing=agent)

    def add_sub_agent(self, agent: Agent) -> None:
        """Know an agent that a prompt function offers: it can be handed work by its name, and is no member.

        Raises:
            PromptError: another agent has that name.
        """
        with self._lock:
            known = self.agents.get(agent.name)
            if known is not None and not is_sub_agent(known):
                raise PromptError(
                    f"a sub-agent is called {agent.name!r} in the agency, as another agent there: rename one of them"
                )
            if known is None:
                self.hidden.add(agent.name)
                self._numbers.setdefault(agent.name, len(self._numbers))
                self.agents[agent.name] = agent

    def made_ready(self, agent: Agent) -> PreparedAgent:
        """An agent that has nobody to hand off to, and is not kept here, ready for work."""
        return PreparedAgent(agent, (), self._shared)

    def allow(self, sender: str, target: str) -> None:
        """Let an agent hand off to another one, from the next handoff on.

        Raises:
            UnknownAgent: one of them is not here.
            DefinitionError: the policy forbids it.
        """
        self._check_pair(sender, target)
        if not self._policy.allows(sender, target):
            raise DefinitionError(f"the handoff policy does not allow {sender} to hand off to {target}")
        with self._lock:
            self._revoked.discard((sender, target))
            self._prepared.pop(sender, None)
        if not self.may_reach(sender, target):
            with self._lock:
                self._add((), ((sender, target),))

    def revoke(self, sender: str, target: str) -> None:
        """Let an agent not hand off to another one any more, by a flow or by a handoff of its own.

        Raises:
            UnknownAgent: one of them is not here.
        """
        self._check_pair(sender, target)
        with self._lock:
            self._revoked.add((sender, target))
            self._prepared.pop(sender, None)

    def _check_pair(self, sender: str, target: str) -> None:
        if sender not in self.agents:
            raise UnknownAgent(f"no agent is called {sender!r:.80}; there are {_listed(self.members)}")
        declared = [item.target for item in offered_by(self.agents[sender])]
        if target not in self.agents and target not in declared:
            raise UnknownAgent(f"{sender} has nobody to hand off to who is called {target!r:.80}")

    def _add(self, given: Iterable[Target], flows: Iterable[Flow] | str, replacing: Agent | None = None) -> list[str]:
        """Look at everything first, so that nothing is half done."""
        pairs = _pairs(flows)
        ends = [end for pair in pairs for end in pair if not isinstance(end, str)]
        new, hidden = self._new([*given, *ends], replacing)
        named = [(_name(source), _name(target)) for source, target in pairs]
        for source, target in named:
            for end in (source, target):
                if end != EVERYONE and end not in self.agents and end not in new:
                    there = _listed({**self.agents, **new})
                    raise UnknownAgent(f"the flow ({source:.80}, {target:.80}) names nobody here; there are {there}")
        senders = {source for source, _ in named}
        for agent in new.values():
            self._check(agent, new, sends=bool(senders & {agent.name, EVERYONE}))
        for name in list(self.agents) if EVERYONE in senders else senders.difference(new):
            check_offers(self.agents[name], sends=True)
        for name, aside in hidden.items():
            (self.hidden.add if aside else self.hidden.discard)(name)
        self._keep(new, named, replacing)
        return [name for name in new if replacing is None or name != replacing.name]

    def _new(self, given: Iterable[Target], replacing: Agent | None) -> tuple[dict[str, Agent], dict[str, bool]]:
        """Those of the agents, and of whom they hand off to, who are not here yet; and which are hidden now, or not."""
        new: dict[str, Agent] = {}
        hidden: dict[str, bool] = {}
        pending: list[tuple[Target, bool]] = [(one, False) for one in given][::-1]
        while pending:
            target, aside = pending.pop()
            known = new.get(target.name) or self.agents.get(target.name) if hasattr(target, "name") else None
            if (known is not None and _is(known, target, self._given)) or (
                replacing is not None and target is replacing
            ):
                if known is not None and not aside:
                    hidden[known.name] = False
                continue
            agent = as_agent(target)
            agent.check_made()
            host = getattr(target, "host", "")
            if not self._policy.allows_host(host):
                raise DefinitionError(f"{agent.name} is at {host:.80}, where the handoff policy allows nobody")
            made_anew = is_derived(agent) and known is not None and is_derived(known)
            if known is not None and known is not replacing and not made_anew:
                raise _two(agent.name)
            new[agent.name] = agent
            if aside:
                hidden[agent.name] = True
            pending.extend((made, True) for made in derived_from(agent) if made.name not in new)
            for item in reversed(agent.all_handoffs):
                if isinstance(item, HandoffTool):
                    offered = [one for one in (*reversed(item.stages), item.agent) if one is not None]
                    pending.extend(
                        (one, not isinstance(one, Agent)) for one in offered if not isinstance(one, ModelTarget)
                    )
                elif not isinstance(item, str):
                    pending.append((item, False))
        return new, hidden

    def _check(self, agent: Agent, new: dict[str, Agent], *, sends: bool) -> None:
        flows = agent.name in self._targets or EVERYONE in self._targets
        check_offers(agent, sends=sends or flows or any(not isinstance(one, HandoffTool) for one in agent.all_handoffs))
        for item in (*offered_by(agent), *(one for one in agent.all_handoffs if not isinstance(one, HandoffTool))):
            if isinstance(item, HandoffTool) and (item.stages or item.chooses is not None):
                continue
            name = item.target if isinstance(item, HandoffTool) else _name(item)
            if name not in self.agents and name not in new:
                there = _listed({**self.agents, **new})
                raise UnknownAgent(f"{agent.name} hands off to {name!r:.80}, who is not there; there are {there}")

    def _keep(self, new: dict[str, Agent], flows: Iterable[tuple[str, str]], replacing: Agent | None) -> None:
        outdated: set[str] = set()
        for source, target in flows:
            self._flows.append((source, target))
            self._targets.setdefault(source, set()).add(target)
            outdated.add(source)
            if target == EVERYONE:
                self._to_everyone.add(source)
        if len(new) > (replacing is not None):  # somebody is there who was not
            outdated |= self._to_everyone
        for name, agent in new.items():
            self._numbers.setdefault(name, len(self._numbers))
            self.agents[name] = agent
            outdated.add(name)
        if replacing is not None:
            self._given.setdefault(replacing.name, replacing)
            outdated.add(replacing.name)
        if EVERYONE in outdated:
            self._prepared.clear()
        for name in outdated:
            self._prepared.pop(name, None)


class AnsweringAgent(Agent):
    """What stands in an agency for a target that answers by itself, and is no `Agent`.

    Args:
        responder: the target.
    """

    def __init__(self, responder: Responder) -> None:
        said = {name: getattr(responder, name) for name in ("scope", "owner") if hasattr(responder, name)}
        super().__init__(responder.name, description=responder.description, **said)
        self.responder = responder
        self.answer = responder.answer


def as_agent(target: Target) -> Agent:
    """A target as an agent.

    Raises:
        DefinitionError: it is none, and does not answer by itself.
    """
    if isinstance(target, Agent):
        return target
    if isinstance(target, type):
        name = target.__name__
        raise DefinitionError(f"{name} is a class, and no agent: write {name}(…), which makes one")
    if not callable(getattr(target, "answer", None)):
        called = getattr(target, "name", target)
        raise DefinitionError(
            f"{called!r:.80} is not an Agent; hand off to an agent, a Pipeline of agents, or what has `answer`"
        )
    return AnsweringAgent(cast("Responder", target))


def _is(known: Agent, target: Target, given: Mapping[str, Target]) -> bool:
    return known is target or getattr(known, "responder", None) == target or given.get(known.name) is target


def _pairs(flows: Iterable[Flow] | str) -> list[tuple[Any, Any]]:
    pairs: list[tuple[Any, Any]] = []
    for pair in [(EVERYONE, EVERYONE)] if flows == EVERYONE else flows:
        ends: tuple[Any, ...] = () if isinstance(pair, str) or not isinstance(pair, Iterable) else tuple(pair)
        if len(ends) != 2:
            raise DefinitionError(f"flow {pair!r:.80} is not a pair (sender, target)")
        pairs.append((ends[0], ends[1]))
    return pairs


def _name(end: Target | str) -> str:
    return end if isinstance(end, str) else end.name


def _two(name: str) -> DefinitionError:
    return DefinitionError(f"two agents are called {name!r}; names are unique in an agency")


def _listed(agents: Iterable[str]) -> str:
    return ", ".join(list(agents))
