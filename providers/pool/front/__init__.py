"""What may happen to a request before it is dispatched: cached, joined with equal ones, batched, sent to several."""
