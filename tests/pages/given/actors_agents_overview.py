"""What the example of the page about overviews takes for granted."""

from callboard import Agent

agent = Agent("Helper")
