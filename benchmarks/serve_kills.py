"""``python -m benchmarks.serve_kills --store sqlite|postgres --kills N …``; see `campaigns.serve_kills`."""

import sys

from .campaigns.serve_kills import main

if __name__ == "__main__":
    sys.exit(main())
