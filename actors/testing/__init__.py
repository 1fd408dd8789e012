"""Testing: models that follow a script."""
