"""What the examples of the page about callers take for granted: a chain without Ethereum's packages."""

import sys
from types import ModuleType

from tests.serving.facilitator import Scheme

chain = sys.modules["x402.mechanisms.evm.exact"] = ModuleType("x402.mechanisms.evm.exact")
vars(chain)["ExactEvmServerScheme"] = Scheme
