"""Simulation testing of message flows: schedules, faults, virtual time, replay."""
