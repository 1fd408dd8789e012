"""The pool: several providers behind one actor that loses no request."""

from .batch import Batching
from .breaker import BreakerPolicy
from .cache import Cache, MemoryCache, SqliteCache
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
from .cost import FREE, Budget, Price
from .endpoint import Endpoint
from .environment import pool_from_environment
from .hedge import Hedge
from .job import Who
from .ledger import Bought
from .limiter import Limits
from .pool import Pool
from .retry import RetryPolicy
from .routing import Cheapest, LeastLoaded, Priority, Routing, Weighted
from .stats import EndpointCounts, EndpointHealth, Health, PoolCounts, Stats

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
