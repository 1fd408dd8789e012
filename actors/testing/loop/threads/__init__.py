"""Threads of a run: one runs at a time, locks never block it, and the schedule says where they are interrupted."""
