"""What the examples of the page about telemetry take for granted: its collector is one that takes nothing."""

import logging as logging
import os

from callboard import Agent

os.environ |= {"OPS_KEY": "Bearer key", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
front = Agent("Helper")
