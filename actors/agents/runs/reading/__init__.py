"""What the journal says of runs: read, folded and followed, with nothing held of them."""
