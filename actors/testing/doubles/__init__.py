"""What stands where a test has nothing real: models, probes, drawn workloads."""
