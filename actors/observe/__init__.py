"""What a service tells of itself while it works: spans, metrics, logs and alerts. It knows no event of layers above."""
