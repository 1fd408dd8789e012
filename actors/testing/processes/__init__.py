"""Processes inside a run: started, killed, started again on their journal; and what their stores do meanwhile."""
