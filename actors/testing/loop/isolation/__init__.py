"""What a run has instead of the real: time and chance of its own; threads, sockets and changes of files are refused."""
