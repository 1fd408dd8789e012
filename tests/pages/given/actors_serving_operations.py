"""What the example of the page about operations takes for granted."""

import os

os.environ["WEBHOOK_SECRET"] = "whsec_" + "a" * 32
