"""The pool: several providers behind one actor that loses no request."""

from .accounts.cost import FREE, Price
from .accounts.ledger import Bought
from .accounts.limits import Budget, Exhausted
from .accounts.stats import (
    BudgetStats,
    EndpointCounts,
    EndpointHealth,
    Health,
    LimitUse,
    ModelHealth,
    PoolCounts,
    PoolStats,
)
from .admission.breaker import BreakerPolicy
from .admission.hedge import Hedge
from .admission.limiter import Quota
from .admission.retry import RetryPolicy
from .admission.routing import Cheapest, LeastLoaded, Priority, Routing, Weighted
from .control import (
    REQUESTER,
    AddEndpoint,
    CheckBudgets,
    DrainEndpoint,
    FanOut,
    GetHealth,
    GetServing,
    GetStats,
    Probe,
    RaiseBudget,
    RemoveEndpoint,
    ResumeEndpoint,
    RotateKey,
    SetBudget,
    Submit,
    SwitchProvider,
)
from .dispatch.endpoint import Endpoint
from .dispatch.job import Requester
from .dispatch.usage import CallRecord
from .environment import pool_from_environment
from .front.batch import Batching
from .front.cache import Cache, MemoryCache, SqliteCache
from .pool import Pool

__all__ = [
    "FREE",
    "REQUESTER",
    "AddEndpoint",
    "Batching",
    "Bought",
    "BreakerPolicy",
    "Budget",
    "BudgetStats",
    "Cache",
    "CallRecord",
    "Cheapest",
    "CheckBudgets",
    "DrainEndpoint",
    "Endpoint",
    "EndpointCounts",
    "EndpointHealth",
    "Exhausted",
    "FanOut",
    "GetHealth",
    "GetServing",
    "GetStats",
    "Health",
    "Hedge",
    "LeastLoaded",
    "LimitUse",
    "MemoryCache",
    "ModelHealth",
    "Pool",
    "PoolCounts",
    "PoolStats",
    "Price",
    "Priority",
    "Probe",
    "Quota",
    "RaiseBudget",
    "RemoveEndpoint",
    "Requester",
    "ResumeEndpoint",
    "RetryPolicy",
    "RotateKey",
    "Routing",
    "SetBudget",
    "SqliteCache",
    "Submit",
    "SwitchProvider",
    "Weighted",
    "pool_from_environment",
]
