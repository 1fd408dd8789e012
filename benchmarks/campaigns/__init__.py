"""Long campaigns: a service that is made to fail for minutes, and what must hold of it all the same.

``soak`` is one process over three faulty providers whose actors are killed every few seconds; ``kills`` is a worker
process that is killed (SIGKILL) or paused (SIGSTOP) and started again until its work is done. What the runs have to do
is written in their own text (`plans`), so that the model is a pure function of its request and each run, each tool call
and each completion has a key by which it is found again in every book.
"""
