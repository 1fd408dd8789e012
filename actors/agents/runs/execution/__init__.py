"""What a turn asks for, carried out: model calls, tools, handoffs, in the session of the run under way."""
