"""A migration from pykka: a gallery that has pictures resized, before, half way, and after. All three run."""

import asyncio
from dataclasses import dataclass

import pykka

from callboard import Actor, ActorCrashed, ActorRef, AskTimeout, ChildSpec, Returns, System, handles


# Before: a thread for each actor. An ask blocks the thread, and an actor that has crashed stays dead.
class OldResizer(pykka.ThreadingActor):
    def on_receive(self, message: str) -> str:
        return f"small {message}"


class OldGallery(pykka.ThreadingActor):
    def __init__(self, resizer: "pykka.ActorRef[OldResizer]") -> None:
        super().__init__()
        self.resizer = resizer
        self.pictures: list[str] = []

    def on_receive(self, message: str) -> int:
        self.pictures.append(self.resizer.ask(message, block=True))
        return len(self.pictures)


# The first step: another base class, and where an actor asks another one, `async` and `await`. All on one thread.
class Resizer(Actor):
    def on_receive(self, message: str) -> str:
        return f"small {message}"


class Gallery(Actor):
    def __init__(self, resizer: ActorRef[Resizer]) -> None:
        super().__init__()
        self.resizer = resizer
        self.pictures: list[str] = []

    async def on_receive(self, message: str) -> int:
        self.pictures.append(await self.resizer.ask(message))
        return len(self.pictures)


# The last: messages have types, answers come in time or not at all, and what crashes is started again.
@dataclass(frozen=True)
class Resize(Returns[str]):
    picture: str


class SupervisedResizer(Actor):
    @handles(Resize)
    async def resize(self, message: Resize) -> str:
        if message.picture == "endless.png":
            await asyncio.sleep(3600)
        if message.picture == "broken.png":
            raise SystemExit("a C library gave up")  # with pykka this stops all actors
        return f"small {message.picture}"


async def after() -> None:
    async with System("gallery") as system:
        resizer = system.supervise(ChildSpec(SupervisedResizer, name="resizer"))
        for picture in ("cat.png", "broken.png", "dog.png", "endless.png"):
            try:
                print("after:", await resizer.ask(Resize(picture), timeout=0.2))
            except (ActorCrashed, AskTimeout) as error:
                print("after:", type(error).__name__)


if __name__ == "__main__":
    old = OldGallery.start(OldResizer.start())
    print("before:", old.ask("cat.png"), old.ask("dog.png"), old.proxy().pictures.get())
    new = Gallery.start(Resizer.start())  # beside them: actors of both kinds ask each other
    print("first step:", new.ask("cat.png", block=True), new.ask("dog.png").get(), new.proxy().pictures.get())
    pykka.ActorRegistry.stop_all()
    asyncio.run(after())
