"""What an agency does now, for those who look on. See README.md."""
