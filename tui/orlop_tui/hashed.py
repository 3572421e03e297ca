"""What was hashed of a store before, from the user's cache folder: the one for commands and screens."""

import functools
from typing import TYPE_CHECKING

from orlop.records import StoreId

if TYPE_CHECKING:
    from orlop.verified import VerifiedCache


@functools.cache
def verified(identity: StoreId) -> "VerifiedCache":
    """What was hashed of a store before; the same object for the same store."""
    from platformdirs import user_cache_path

    from orlop.verified import VerifiedCache

    return VerifiedCache(str(user_cache_path("orlop") / "verified"), identity.token)
