"""A document that is longer than the model takes: only the chunks are shown that have to do with the question, and
without a strategy the vendor's refusal ends nothing but old messages. Offline as it stands."""

import asyncio

from callboard import Agency, Agent, ChildSpec, ChunkLong, ContextTooLong, Request, Window
from callboard.testing import FunctionModel

CHAPTERS = [f"# Chapter {number}\n\nNothing of note happens in chapter {number}. " * 10 for number in range(1, 40)]
CHAPTERS[22] += "The harbour master of Vík is called Jónsdóttir."
BOOK = "\n\n".join(CHAPTERS)


def model(request: Request) -> str:
    """Stands for a vendor's model that takes 2,000 tokens."""
    told = "\n".join(message.text for message in request.messages)
    if len(told) > 8_000:
        raise ContextTooLong(f"prompt is too long: {len(told) // 4} tokens > 2000 maximum")
    known = "Jónsdóttir" if "Jónsdóttir" in told else "I do not know."
    return f"{known} ({told.count('# Chapter') // 10} chapters seen)"


async def main() -> None:
    reader = Agent("Reader", "You read.", context=Window() | ChunkLong(longest=1_200))
    talker = Agent("Talker", "You talk.")
    async with Agency(reader, talker, model=ChildSpec(FunctionModel, (model,), name="model")) as agency:
        answer = await agency.run(f"{BOOK}\n\nWhat is the harbour master of Vík called?")
        print(answer.text)
        for question in ("Hello!", *CHAPTERS[:20], "And now?"):
            answer = await agency.run(question, agent="Talker", conversation="chat")
        print(answer.text, len(answer.messages), "messages")


if __name__ == "__main__":
    asyncio.run(main())
