"""A provider on loopback: real HTTP, the vendors' wire protocols, their limits, and their faults on demand.

```python
async with SimulatedProvider(latency=0.05, fault=cut(after=3), failure_rate=0.3) as server:
    client = AsyncOpenAI(api_key="any", base_url=server.base_url)
```

It answers by the offline model's rules unless it is given an answer. It is for tests and benchmarks of services that
talk to language models; it is no model.
"""

from ..latency import Latency
from .faults import (
    Fault,
    cut,
    error,
    hang,
    html,
    malformed,
    parse_fault,
    rate_limited,
    reset,
    stream_error,
    trickle,
    unauthorized,
)
from .limits import ServerQuota
from .server import SimulatedProvider, serve_forever
from .state import ServerStats

__all__ = [
    "Fault",
    "Latency",
    "ServerQuota",
    "ServerStats",
    "SimulatedProvider",
    "cut",
    "error",
    "hang",
    "html",
    "malformed",
    "parse_fault",
    "rate_limited",
    "reset",
    "serve_forever",
    "stream_error",
    "trickle",
    "unauthorized",
]
