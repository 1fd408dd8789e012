"""Instructions from Markdown files."""
