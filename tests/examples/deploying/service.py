"""A service of two agents, as it is deployed: its conversations are in a database that its workers share."""

import os

from callboard import Agency, Agent, serve

reader = Agent("Reader", "You read what you are given.", description="Reads.")
writer = Agent("Writer", "You write what you are asked for.", description="Writes.", handoffs=[reader])
app = serve(Agency(writer, journal=os.environ.get("JOURNAL", "conversations.db")), drain=20)
