"""LangGraph's checkpoints in a journal of ours. Needs the extra ``langgraph``."""

try:
    from .saver import JournalSaver
except ModuleNotFoundError as error:
    raise ImportError("JournalSaver needs an optional dependency: pip install 'callboard[langgraph]'") from error

__all__ = ["JournalSaver"]
