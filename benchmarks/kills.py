"""``python -m benchmarks.kills --store sqlite|postgres --kills N …``; see `campaigns.kills`."""

import sys

from .campaigns.kills import main

if __name__ == "__main__":
    sys.exit(main())
