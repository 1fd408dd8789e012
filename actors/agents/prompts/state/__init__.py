"""What a prompt function remembers."""
