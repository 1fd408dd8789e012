"""A service that ends when it is told to: first its actors, in order, then what the program always did on SIGTERM."""

import asyncio
import os
import signal

from callboard import Actor, System, stop_on_signals


class Worker(Actor):
    async def on_stop(self) -> None:
        print("the worker has stopped")


async def main() -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: print("the program's own handler"))
    async with System() as system:
        system.spawn(Worker)
        with stop_on_signals(system, timeout=10.0):
            print("serving")
            os.kill(os.getpid(), signal.SIGTERM)  # as `kill`, Docker or Kubernetes would
            await system.wait()


asyncio.run(main())
print("end")
