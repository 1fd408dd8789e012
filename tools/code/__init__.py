"""Programs that a model wrote: the functions that they may call, their check, and the sandbox they run in."""
