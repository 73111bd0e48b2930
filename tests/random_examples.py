"""How many random examples a test tries: all in `make test-all`, a quarter in `make test`."""

from hypothesis import settings

MANY, FEW = 100, 25


def tries(count: int) -> settings:
    """Return settings for `count` examples, fewer where the profile in force says so."""
    return settings(max_examples=count * settings.default.max_examples // MANY, deadline=None)
