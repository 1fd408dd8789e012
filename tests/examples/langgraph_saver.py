"""LangGraph: a graph whose threads are kept in a journal. It waits for a person, and a later run goes on from there."""

import asyncio
import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from callboard import CheckpointConflict, JournalSaver, MemoryJournal


class State(TypedDict):
    log: Annotated[list[str], operator.add]


def draft(state: State) -> dict[str, list[str]]:
    return {"log": ["draft"]}


def review(state: State) -> dict[str, list[str]]:
    return {"log": [f"review: {interrupt('good?')}"]}


def graph_with(saver: JournalSaver) -> Any:
    graph = StateGraph(State)
    graph.add_node("draft", draft)
    graph.add_node("review", review)
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "review")
    graph.add_edge("review", END)
    return graph.compile(checkpointer=saver)


def main() -> None:
    journal = MemoryJournal()  # or SqliteJournal("threads.db", JsonCodec()), for later processes
    graph = graph_with(JournalSaver(journal))
    config: Any = {"configurable": {"thread_id": "text 7"}}
    print(graph.invoke({"log": ["start"]}, config)["__interrupt__"][0].value)

    graph = graph_with(JournalSaver(journal))  # as in another process
    asked = graph.get_state(config)
    print(graph.invoke(Command(resume="yes"), config)["log"])

    graph.invoke(None, asked.config)  # on purpose: a new branch from there
    print(graph.invoke(Command(resume="no"), config)["log"])
    asyncio.run(twice(graph))


async def twice(graph: Any) -> None:
    """Two runs at once on one thread: it does not fork, one of them is told."""
    config: Any = {"configurable": {"thread_id": "text 8"}}
    runs = [graph.ainvoke({"log": [name]}, config) for name in ("Ada", "Ben")]
    outcomes = await asyncio.gather(*runs, return_exceptions=True)
    print(len([outcome for outcome in outcomes if isinstance(outcome, CheckpointConflict)]), "refused")


if __name__ == "__main__":
    main()
