"""Actors on asyncio: the core's public names. Agents and what is above them come from ``callboard`` itself."""
