"""What our examples of the page take for granted: a model that says the same to both libraries."""

from tests.pages import shop

model = shop.model()
