"""What is said, and what waits for a person, in pieces that a browser can hold. See the README above."""
