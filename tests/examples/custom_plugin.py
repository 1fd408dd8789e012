"""A plugin of one's own: a method that every prompt function given it may call, with state, a tool and an effect."""

import asyncio

from callboard import Agency, Agent, ChildSpec, Prompt, Request, ToolCall
from callboard.testing import FunctionModel


class Notes(Prompt):
    """Prompts with a notebook."""

    def notebook(self, most: int = 3) -> list[str]:
        """Offer ``take_note``, show the notes in the system prompt, and keep the newest ones.

        Args:
            most: how many are kept.
        """
        notes, set_notes = self.state("notes", [], list[str])
        self.define_data("notes", notes)

        async def take_note(text: str) -> str:
            """Write something down."""
            set_notes(lambda before: [*before, text])
            return "noted"

        def forget() -> None:
            if len(notes) > most:
                set_notes(notes[-most:])

        self.tool(take_note, risk="safe", idempotent=True)
        self.effect(forget, [notes])
        return notes


def reader(prompt: Notes) -> None:
    notes = prompt.notebook(most=2)
    prompt.system("task", f"You read, and have {len(notes)} notes.")
    prompt.user("Read on.")


def model(request: Request) -> str | ToolCall:
    """Stands for a vendor's model: it writes down what it reads, and then says what it is shown."""
    read = [message for message in request.messages if message.role == "tool"]
    if len(read) < 4:
        return ToolCall(f"call-{len(read)}", "take_note", f'{{"text": "page {len(read) + 1}"}}')
    return request.messages[0].text


async def main() -> None:
    agent = Agent("Reader", prompt=reader, plugins=Notes)
    async with Agency(agent, model=ChildSpec(FunctionModel, (model,), name="model")) as agency:
        print((await agency.run(())).text)


if __name__ == "__main__":
    asyncio.run(main())
