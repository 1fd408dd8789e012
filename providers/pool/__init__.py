"""The pool: several providers behind one actor that loses no request."""

from .accounts.cost import FREE, Budget, Price
from .accounts.ledger import Bought
from .accounts.stats import EndpointCounts, EndpointHealth, Health, PoolCounts, Stats
from .admission.breaker import BreakerPolicy
from .admission.limiter import Limits
from .admission.retry import RetryPolicy
from .admission.routing import Cheapest, LeastLoaded, Priority, Routing, Weighted
from .control import (
    SCOPE_KEY,
    AddEndpoint,
    FanOut,
    GetHealth,
    GetStats,
    Probe,
    RemoveEndpoint,
    RotateKey,
    SetBudget,
    Submit,
    SwitchProvider,
)
from .dispatch.endpoint import Endpoint
from .dispatch.hedge import Hedge
from .dispatch.job import Who
from .environment import pool_from_environment
from .front.batch import Batching
from .front.cache import Cache, MemoryCache, SqliteCache
from .pool import Pool

__all__ = [
    "FREE",
    "SCOPE_KEY",
    "AddEndpoint",
    "Batching",
    "Bought",
    "BreakerPolicy",
    "Budget",
    "Cache",
    "Cheapest",
    "Endpoint",
    "EndpointCounts",
    "EndpointHealth",
    "FanOut",
    "GetHealth",
    "GetStats",
    "Health",
    "Hedge",
    "LeastLoaded",
    "Limits",
    "MemoryCache",
    "Pool",
    "PoolCounts",
    "Price",
    "Priority",
    "Probe",
    "RemoveEndpoint",
    "RetryPolicy",
    "RotateKey",
    "Routing",
    "SetBudget",
    "SqliteCache",
    "Stats",
    "Submit",
    "SwitchProvider",
    "Weighted",
    "Who",
    "pool_from_environment",
]
