"""Skills: what an agent can be taught as one thing."""
