"""How long the garbage collector has a service stand still: measure it first, then call `service_gc`."""

import gc
import time

from callboard import service_gc

pauses: list[float] = []
began = 0.0


def told(phase: str, info: dict[str, int]) -> None:
    """Keep how long each collection took."""
    global began
    if phase == "start":
        began = time.perf_counter()
    else:
        pauses.append(time.perf_counter() - began)


def work() -> tuple[int, float]:
    """Make objects that stay, as conversations do; return how many collections that took, and how many seconds."""
    gc.collect()
    pauses.clear()
    gc.callbacks.append(told)
    kept = [[number] for number in range(200_000)]
    gc.callbacks.remove(told)
    del kept
    return len(pauses), sum(pauses)


before = work()
with service_gc():
    after = work()
print("fewer collections:", after[0] < before[0])
print("less time in them:", after[1] < before[1])
