"""How many examples a property is tried with."""

from hypothesis import settings


def examples(share: float) -> int:
    """That share of what the profile in use gives every property: few, or with ``--hypothesis-profile=many`` many."""
    in_use = settings.get_profile(settings.get_current_profile_name())
    return max(1, round(in_use.max_examples * share))
