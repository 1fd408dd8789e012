"""Connections: how a URL becomes one, what is set on each, and which faults are the server's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..errors import JournalUnavailable

if TYPE_CHECKING:
    from psycopg import Connection

INSTALL: Final = "PostgreSQL needs an optional dependency: pip install 'callboard[postgres]'"

_DEFAULTS: Final = {
    "application_name": "callboard",
    "connect_timeout": "5",
    # A server that cannot be reached any more is noticed within half a minute, not after the two hours of the system.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}

_SETTINGS: Final = """
SELECT set_config('default_transaction_isolation', 'read committed', false),
    set_config('idle_in_transaction_session_timeout', '10s', false),
    set_config('statement_timeout', '0', false),
    set_config('lock_timeout', '0', false)
"""

_BATCHS_OWN: Final = ("22", "23", "54")
"""SQLSTATE classes of what a batch itself has caused: data, constraints, limits of the program."""


def parameters(url: str) -> dict[str, Any]:
    """What libpq is told.

    Raises:
        JournalUnavailable: there is no driver, or this is no URL. The URL is not repeated: it may hold a password.
    """
    try:
        import psycopg_pool  # noqa: F401 -- used later, missed now
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise JournalUnavailable(INSTALL) from error
    try:
        given = conninfo_to_dict(url)
    except (ProgrammingError, UnicodeError):
        pass
    else:
        return {**_DEFAULTS, **given}
    raise JournalUnavailable("this is no URL of PostgreSQL's: postgresql://user:password@host:5432/database")


def shown(given: dict[str, Any]) -> str:
    """Where a connection leads to, without secrets."""
    user, host, port = (given.get(name) for name in ("user", "host", "port"))
    place = f"{user}@" * bool(user) + (str(host) if host else "") + f":{port}" * bool(port)
    return f"postgresql://{place}/{given.get('dbname') or ''}"


def connect(given: dict[str, Any]) -> Connection[Any]:
    """A connection in which each statement is a transaction of its own."""
    import psycopg

    connection = psycopg.connect(autocommit=True, prepare_threshold=None, **given)
    try:
        configure(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def configure(connection: Connection[Any]) -> None:
    """Set what the journal relies on, whatever the database's or the user's defaults are."""
    connection.execute(_SETTINGS)


def is_transient(error: Exception) -> bool:
    """Whether a fault is the server's or the connection's, so that the same may succeed later."""
    import psycopg

    if not isinstance(error, psycopg.Error):
        return isinstance(error, OSError)
    return not is_batchs_own(error)


def is_batchs_own(error: Exception) -> bool:
    """Whether something in the batch cannot be written."""
    import psycopg

    if isinstance(error, UnicodeError):
        return True
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate
    return isinstance(error, psycopg.DataError) if state is None else state[:2] in _BATCHS_OWN
