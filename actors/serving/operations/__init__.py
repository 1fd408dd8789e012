"""Operations: health, draining, workers; and runs, approvals and conversations over HTTP."""
