"""What agents publish: who they are, what they can do, and the HTTP routes of their skills."""
