"""RG01: layers and configs whose bytes cannot be what their name says, as far as that shows without hashing layers."""

from collections.abc import Iterator

from orlop.finding import Severity
from orlop.registry import place
from orlop.registry.checkfinding import BLOB_UNKNOWN, Findings, Found, needing
from orlop.registry.checkmanifests import unreadable
from orlop.registry.model import Model, State

_CONFIG_BAD = (State.ALTERED, State.UNREADABLE)
"""What a config is bad by, apart from its blob; one that parses as something else was pushed so."""


def verification_failed(digest: str) -> str:
    """What a client says of a blob whose bytes are others; the registry itself says nothing."""
    return f"filesystem layer verification failed for digest {digest}"


def blobs(model: Model, findings: Findings) -> Iterator[Found]:
    """Blobs that are empty, no files, altered or cannot be read, each once for all who need it."""
    fine = (State.GOOD, State.MISSING)
    bad = {digest: (blob.state, blob.why) for digest, blob in model.blobs.items() if blob.state not in fine}
    for digest, config in model.configs.items():
        if config.state in _CONFIG_BAD and digest in model.blobs:
            bad.setdefault(digest, (config.state, config.why))
    for digest in [digest for digest in bad if digest in findings.mentioned]:
        del bad[digest]  # a manifest: RG02 and RG03
    users = needing(model, bad)
    for digest, (state, why) in sorted(bad.items()):
        severity = None if users[digest] else Severity.LATENT
        if state is State.UNREADABLE:
            severity = unreadable(why)
        detail = f"{digest} cannot be used: {why or state.value}"
        if not users[digest]:
            detail += "; no manifest needs it now, and pushing it again will change nothing"
        yield findings.make(
            "RG01",
            place.blob_data(model.base, digest),
            detail,
            at=users[digest],
            says=BLOB_UNKNOWN if state is State.WRONG_KIND else verification_failed(digest),
            severity=severity,
            title="blob-empty" if state is State.EMPTY else "",
            size=model.blobs[digest].size,
        )
