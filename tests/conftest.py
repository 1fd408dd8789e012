"""For all our tests: pytester, the plugin under test, and a Hypothesis profile that no busy machine can make fail."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester", "callboard.actors.testing.plugin"]

# Its parent is Hypothesis' profile for CI where the environment says CI=true: the examples are then the same each time.
settings.register_profile(
    "callboard", settings.default, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("callboard")
