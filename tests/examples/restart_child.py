"""Restart a healthy child: it reads its settings again, the messages that wait are kept, and nothing has failed."""

import asyncio

from callboard import Actor, ChildSpec, Supervisor, System

settings = {"greeting": "Hello"}


class Greeter(Actor[str]):
    def __init__(self) -> None:
        super().__init__()
        self.greeting = settings["greeting"]

    def on_receive(self, name: str) -> str:
        return f"{self.greeting} {name}"

    def on_stop(self) -> None:
        print(f"{self.greeting} stops")


async def main() -> None:
    async with System() as system:
        top = system.supervise(ChildSpec(Supervisor, ([ChildSpec(Greeter, name="greeter")],), name="top"))
        await top.started()
        greeter = system.find("top/greeter")
        assert greeter is not None
        print(await greeter.ask("Ada"))
        settings["greeting"] = "Good morning"
        await top.call(Supervisor.restart_child, "greeter")
        print(await greeter.ask("Ada"))  # the same ref
        await system.stop()


if __name__ == "__main__":
    asyncio.run(main())
