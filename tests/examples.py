"""How many examples a property is tried with."""

from hypothesis import settings


def examples(share: float) -> int:
    """That share of what the profile in use gives every property: few, or with ``--hypothesis-profile=many`` many."""
    return max(1, round(settings.default.max_examples * share))
