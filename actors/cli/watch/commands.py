"""What the commands take that look at running programs."""

from __future__ import annotations

from ..parts.printed import say


def tree(process: int | None = None, /) -> int:
    """Show the actors of the teams that run now: started by this user with ``callboard run``, ``chat`` or ``serve``, or
    in a `watchable` block.

    Args:
        process: the number of one process. By default: all of them.
    """
    from .tree import read_trees

    for found in read_trees(process):
        say(found)
    return 0


def top(process: int | None = None, /, *, interval: float = 1.0, once: bool = False) -> int:
    """Show what a running team does, as it goes on: runs, what waits for a person, providers, the tree of actors. It is
    a team started by this user with ``callboard run``, ``chat`` or ``serve``, or an agency in a `watchable` block. q or
    Ctrl-C ends it.

    Args:
        process: the number of its process; not needed where there is only one.
        interval: seconds between two looks.
        once: show it once; so it is where stdout is no terminal.
    """
    from .tree import top

    return top(process, interval, once, say)


def dashboard(process: int | None = None, /, *, port: int = 0) -> int:
    """Show what a running team does in a browser on this machine, and stop it, help it on and answer it there. It is
    a team started by this user with ``callboard run``, ``chat`` or ``serve``, or an agency in a block of
    ``watchable(agency, dashboard=True)``.

    Args:
        process: the number of its process; not needed where there is only one.
        port: where to listen, on this machine only; 0 for any that is free.
    """
    from .dashboard import dashboard

    return dashboard(process, port, say)
