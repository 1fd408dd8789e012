"""Plans that models keep: a list of steps for one, a graph of tasks for several who share the work."""
