"""What may go wrong: faults as data, and what makes them happen."""
