"""What the parts of one system share: the loop, its threads, deadlines, who is told what, coroutines in tasks."""
