"""``python -m benchmarks.soak [--minutes 20] [--share 0.5] [--seed N] [--journal PATH]``; see `campaigns.soak`."""

import sys

from .campaigns.soak import main

if __name__ == "__main__":
    sys.exit(main())
