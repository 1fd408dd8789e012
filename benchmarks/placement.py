"""``python -m benchmarks.placement --nodes N --conversations N``; see `campaigns.placement`."""

import sys

from .campaigns.placement import main

if __name__ == "__main__":
    sys.exit(main())
