"""``python -m benchmarks.cluster_faults SCENE …``; see `campaigns.cluster_faults`."""

import sys

from .campaigns.cluster_faults import main

if __name__ == "__main__":
    sys.exit(main())
