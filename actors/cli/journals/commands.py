"""What ``callboard show`` and ``callboard replay`` take."""

from __future__ import annotations

from ..parts.printed import say


def show(journal: str, conversation: str | None = None, /, *, agent: str | None = None, json: bool = False) -> int:
    """Show the conversations that a journal keeps, or one of them with its steps and what they cost. Also of a journal
    that is in use: nothing is owned and nothing is written.

    Args:
        journal: its file, or the postgresql:// address of its database.
        conversation: the id of one. By default: a line for each.
        agent: whose.
        json: print JSON: one conversation as one object, the list as one object a line.
    """
    import asyncio

    from .show import show

    asyncio.run(show(journal, conversation, agent, json, say))
    return 0


def replay(
    journal: str, conversation: str, /, *, agent: str | None = None, to: int | None = None, step: bool = False
) -> int:
    """Go through a conversation's events again, one by one, as they are recorded; nothing is carried out.

    Args:
        journal: its file, or the postgresql:// address of its database.
        conversation: its id.
        agent: whose.
        to: stop after this step and the results of its calls; 0 before the first. Steps are counted as they were then.
        step: wait for Enter after each event, at a terminal.
    """
    import asyncio

    from .show import debug

    asyncio.run(debug(journal, conversation, agent, to, step, say))
    return 0
