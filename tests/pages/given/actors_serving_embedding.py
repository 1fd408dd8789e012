"""What the examples of the page about embedding take for granted: a model with a script."""

from tests.pages import shop

model = shop.model()
