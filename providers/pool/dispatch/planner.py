"""The endpoints of a pool, and which of them a request may go to: `plan` with its memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...embeddings import Asked
from ...errors import NoProvider, UnknownModel
from ...messages import Request
from ..admission.gate import Gate
from .endpoint import MOST_MODELS, Member
from .job import Job, Requester
from .plan import Plan, make_plan, needs, unknown_endpoint


class Planner:
    """Plans requests over the endpoints that are there.

    Args:
        fallbacks: see `Pool`.
    """

    def __init__(self, fallbacks: Mapping[str, Sequence[str]]) -> None:
        self.members: dict[str, Member] = {}
        """The endpoints by name; who changes them calls `Queue.changed`."""
        self.epoch = 0
        """How often the endpoints have changed; a job's plan is good for one epoch."""
        self._fallbacks = fallbacks
        self._plans: dict[tuple[str, frozenset[str], str], Plan] = {}

    def called(self, name: str) -> list[Member]:
        """Return the endpoints of a name: one, a group's, or none."""
        return [member for member in self.members.values() if member.endpoint.called(name)]

    def unknown(self, name: str) -> str:
        """Return what is said of a name that no endpoint and no group has."""
        return unknown_endpoint(name, [member.endpoint for member in self.members.values()])

    def changed(self) -> None:
        """The endpoints, or what is kept of their models, are not what they were: all plans are void."""
        self._plans.clear()
        self.epoch += 1

    def plan(self, request: Asked, requester: Requester) -> tuple[Plan, frozenset[str]]:
        """Return the plan of a new request, and what it needs.

        Raises:
            UnknownModel: no endpoint serves its model.
            NoProvider: those that do cannot do what it needs.
        """
        only = requester.endpoint
        wanted = needs(request)
        plan = self._plans.get((request.model, wanted, only))
        if plan is None:
            if len(self._plans) >= MOST_MODELS:
                self._plans.clear()
            plan = make_plan(tuple(self.members.values()), request.model, wanted, self._fallbacks, only=only)
            self._plans[request.model, wanted, only] = plan
        return plan, wanted

    def renew(self, job: Job) -> None:
        """Plan a job anew, over the endpoints of today without those that it excludes.

        Raises:
            UnknownModel, NoProvider: none is left.
        """
        members = tuple(self.members.values())
        job.plan = make_plan(members, job.request.model, job.wanted, self._fallbacks, job.excluded, job.only)
        job.epoch = self.epoch

    def exclude(self, job: Job, gate: Gate, error: Exception) -> None:
        """Plan a job anew without a model of an endpoint that cannot serve it.

        Raises:
            NoProvider: none is left; or ``error`` itself, if nobody else was asked.
        """
        job.excluded = (*job.excluded, gate)
        try:
            self.renew(job)
        except (NoProvider, UnknownModel):  # or the last that served the model is gone since it was asked
            if len(job.causes) == 1:
                raise error from None  # nobody else was asked: the error itself says it best
            raise no_provider(job, "none can do it") from error

    def serving(self, request: Request) -> tuple[str, ...]:
        """Return the names of the endpoints that serve a request as it is; of several in a group, the group's.

        Raises:
            UnknownModel, NoProvider: there is none.
        """
        plan = make_plan(tuple(self.members.values()), request.model, needs(request), {})
        return tuple(dict.fromkeys(member.endpoint.group or member.endpoint.name for member in plan.members()))


def no_provider(job: Job, why: str) -> NoProvider:
    """Return the error for a request that nobody answered, with the last error of each endpoint."""
    causes = dict(job.causes)
    for tier in job.plan.tiers:
        for gate in tier.gates:
            name = tier.cause_of(gate)
            # Why an actor could not start says more than that it was gone when it was asked.
            if (name not in causes or not gate.endpoint.up) and gate.cause is not None:
                causes[name] = gate.cause
    model = job.request.model or "default"
    return NoProvider(
        f"no provider answered for model {model!r}: {why}" + (f" ({listed(causes)})" if causes else ""), causes=causes
    )


def listed(causes: Mapping[str, BaseException]) -> str:
    """Return in words why each endpoint failed."""
    return "; ".join(f"{name}: {type(error).__name__}: {error}" for name, error in causes.items())
