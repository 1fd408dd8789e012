"""What our examples of the page take for granted: a model that says the same to both, and one that is down."""

from callboard import ChildSpec
from callboard.providers.errors import ProviderOverloaded
from callboard.testing import FunctionModel
from tests.pages import shop

model = shop.model()
down = ChildSpec(FunctionModel, (lambda _: ProviderOverloaded("down"),), name="down")
