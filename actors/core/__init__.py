"""The actor runtime: mailboxes, references, supervision, systems. It knows nothing of language models."""
