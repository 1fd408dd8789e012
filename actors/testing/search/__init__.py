"""The search for a schedule that fails: running, making small, reporting, replaying."""
