"""What can be done on a dashboard, each thing written down before it is done. See the README above."""
