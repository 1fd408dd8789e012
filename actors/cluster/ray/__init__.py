"""Frames over Ray: a gateway beside each program, which is an actor of Ray's, and the program's way to it."""
