"""How endpoints and their models do, as a snapshot."""

from __future__ import annotations

from ..accounts.stats import EndpointHealth, LimitUse, ModelHealth, State
from ..admission.breaker import Breaker
from ..admission.gate import Gate
from ..admission.limiter import ONE_REQUEST, Limiter
from .endpoint import Member

DRAINED = "drained: nothing is sent there until it is resumed"

_BEST_FIRST: tuple[State, ...] = ("closed", "ramping", "half-open", "open", "disabled")


def health_of(member: Member, now: float) -> EndpointHealth:
    """Return how an endpoint does."""
    gates = list(member.gates.values())
    models = tuple(_of_model(gate, now) for gate in gates)
    state, reason = _state(member.gate.breaker), ""
    if not (member.gate.present and member.gate.up):
        state = "stopped"
    elif member.gate.drained:
        state = "drained"
    if state != "closed":
        reason = DRAINED if state == "drained" else member.gate.breaker.disabled or _text(member.last_error)
    elif models:
        best = min(models, key=lambda each: _BEST_FIRST.index(each.state))
        state, reason = best.state, best.reason
    recent = [ok for gate in gates for ok in gate.recent]
    calls = sum(gate.latencies.count for gate in gates)
    return EndpointHealth(
        name=member.endpoint.name,
        state=state,
        available=any(each.available for each in models) if models else state == "closed",
        error_rate=recent.count(False) / len(recent) if recent else 0.0,
        latency=sum(gate.latencies.average * gate.latencies.count for gate in gates) / calls if calls else 0.0,
        latency_p95=max((each.latency_p95 for each in models), default=0.0),
        in_flight=sum(each.in_flight for each in models),
        reason=reason,
        models=models,
        limits=_limits(member.gate.limiter, now),
    )


def _of_model(gate: Gate, now: float) -> ModelHealth:
    state = _state(gate.breaker)
    return ModelHealth(
        model=gate.model,
        state=state,
        available=gate.ready(ONE_REQUEST, now) or (gate.dormant and not gate.down(now)),
        error_rate=gate.recent.count(False) / len(gate.recent) if gate.recent else 0.0,
        latency=gate.latencies.average,
        latency_p95=gate.latencies.quantile(0.95),
        in_flight=gate.in_flight,
        reason="" if state == "closed" else gate.breaker.disabled or _text(gate.last_error),
        limits=_limits(gate.limiter, now),
    )


def _limits(limiter: Limiter, now: float) -> tuple[LimitUse, ...]:
    return tuple(LimitUse(*use) for use in limiter.used(now))


def _state(breaker: Breaker) -> State:
    if breaker.disabled:
        return "disabled"
    return "ramping" if breaker.ramping else breaker.state  # type: ignore[return-value]


def _text(error: BaseException | None) -> str:
    return "" if error is None else f"{type(error).__name__}: {error}"
