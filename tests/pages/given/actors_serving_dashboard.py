"""What the example of the page about the dashboard takes for granted."""

from callboard import Agency, Agent

agency = Agency(Agent("Helper"))
