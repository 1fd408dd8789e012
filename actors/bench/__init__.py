"""Load for an agency or a server, and what it measures. See README.md."""
