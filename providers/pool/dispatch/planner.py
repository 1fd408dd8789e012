"""The endpoints of a pool, and which of them a request may go to: `plan` with its memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...embeddings import Asked
from ...errors import NoProvider, ProviderError, UnknownModel
from ...messages import Request
from ...registry.resolve import Registry
from ..admission.gate import Gate
from .endpoint import MOST_MODELS, Member
from .job import Job, Requester
from .plan import Plan, lists, make_plan, needs, owner_of, serving, unknown_endpoint


class Planner:
    """Plans requests over the endpoints that are there.

    Args:
        fallbacks, registry: see `Pool`.
    """

    def __init__(self, fallbacks: Mapping[str, Sequence[str]], registry: Registry | None = None) -> None:
        self.members: dict[str, Member] = {}
        """The endpoints by name; who changes them calls `Queue.changed`."""
        self.epoch = 0
        """How often the endpoints have changed; a job's plan is good for one epoch."""
        self._said_fallbacks = fallbacks
        self._fallbacks: Mapping[str, Sequence[str]] | None = None
        self._registry = registry
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
        self._fallbacks = None
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
            plan = self._made(request.model, wanted, only)
            self._plans[request.model, wanted, only] = plan
        return plan, wanted

    def renew(self, job: Job) -> None:
        """Plan a job anew, over the endpoints of today without those that it excludes.

        Raises:
            UnknownModel, NoProvider: none is left.
        """
        job.plan = self._made(job.request.model, job.wanted, job.only, job.excluded)
        job.epoch = self.epoch

    def _made(self, model: str, wanted: frozenset[str], only: str, excluded: Sequence[Gate] = ()) -> Plan:
        if self._fallbacks is None:
            self._fallbacks = self._meant_fallbacks()
        return make_plan(
            tuple(self.members.values()), self._meant(model, only), wanted, self._fallbacks, excluded, only
        )

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
        plan = make_plan(tuple(self.members.values()), self._meant(request.model, ""), needs(request), {})
        return tuple(dict.fromkeys(member.endpoint.group or member.endpoint.name for member in plan.members()))

    def _meant(self, model: str, only: str) -> str:
        """Return the name that endpoints know a model by: an alias is what it stands for; what endpoints have they know
        by the name as it stands, each of them; of anything else the registry says whose it is.

        Raises:
            UnknownModel, AuthenticationFailed: it says that the name leads nowhere, or what it takes to use it.
        """
        registry = self._registry
        if registry is None or not model:
            return model
        members = tuple(self.members.values())
        model = registry.unaliased(model)
        if lists(members, model) or self._has_joined(members, model):
            return model
        try:
            target = registry.resolve(model)
        except UnknownModel:
            if only and self.called(only):
                return f"{only}:{model}"
            raise
        if not self.called(target.provider) and not serving(members, str(target)):
            raise UnknownModel(
                f"the model {model!r} is one of {target.provider}, which is no endpoint of this pool; it is where one "
                "of its models is named as the pool is made"
            )
        return str(target)

    def _meant_fallbacks(self) -> Mapping[str, Sequence[str]]:
        """Return the lesser models by model, each by the name that endpoints know it by."""

        def meant(model: str) -> str:
            try:
                return model if model.endswith(":*") else self._meant(model, "")
            except ProviderError:  # its endpoint may be gone, or may yet come
                return model

        return {meant(model): [meant(one) for one in lesser] for model, lesser in self._said_fallbacks.items()}

    def _has_joined(self, members: Sequence[Member], model: str) -> bool:
        """Return whether a name is that of an endpoint which the registry does not know, with a model's behind it."""
        owner = owner_of(members, model)
        return bool(owner) and self._registry is not None and owner not in self._registry.providers


def no_provider(job: Job, why: str, waited_until: float | None = None) -> NoProvider:
    """Return the error for a request that nobody answered, with the last error of each endpoint.

    Args:
        job: the request.
        why: it comes to nothing now.
        waited_until: the time, if it has waited for an endpoint that is free: then it is told what was not.
    """
    causes = dict(job.causes)
    if waited_until is not None:
        gates = [gate for tier in job.plan.gates for gate in tier]
        lacks = {gate.name: lacks for gate in gates if (lacks := gate.lacks(job.need, waited_until))}
        why = "; ".join([why, *(f"{name}: {what}" for name, what in lacks.items())])
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
