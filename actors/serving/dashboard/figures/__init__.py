"""The figures of each view of a dashboard, as they are sent. Pure: what was read is given."""
