"""Many machines: where conversations live, and how actors on different nodes talk to each other."""
