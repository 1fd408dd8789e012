"""A journal over a database that blocks: what SQLite's and PostgreSQL's share.

One thread writes, and takes all that is waiting into one transaction; another one reads. Event loops never wait.
"""

from .journal import ThreadedJournal

__all__ = ["ThreadedJournal"]
