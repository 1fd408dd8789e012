"""What the examples of the page about journals take for granted: a graph that says nothing new."""

from langgraph.graph import START, MessagesState, StateGraph

builder = StateGraph(MessagesState)
builder.add_node("model", lambda state: {"messages": []})
builder.add_edge(START, "model")
