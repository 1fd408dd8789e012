"""What runs are to telemetry: their events as spans and figures."""
