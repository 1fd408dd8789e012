"""``python -m benchmarks.cluster_kills --kills N --pauses N …``; see `campaigns.cluster_kills`."""

import sys

from .campaigns.cluster_kills import main

if __name__ == "__main__":
    sys.exit(main())
