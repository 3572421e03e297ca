"""A finding of a Docker store, with everything that hangs on the images that it affects."""

from collections.abc import Sequence

from orlop.docker.model import Model
from orlop.docker.rules import RULES
from orlop.finding import Finding, Severity


def finding(
    model: Model,
    rule: str,
    path: str,
    detail: str,
    *,
    images: Sequence[str] = (),
    names: Sequence[str] | None = None,
    says: str = "",
    severity: Severity | None = None,
    size: int | None = None,
    containers: Sequence[str] = (),
    title: str = "",
    subject: str = "",
) -> Finding:
    """A finding of a rule at a path, as `Finding` has its members.

    Args:
        model: gives the names and containers of the images.
        names: where they are not all the names of the images.
        containers: besides those that were made from the images.
        severity: where it is not the rule's.
        title: likewise.
        size: `Finding.bytes`.
    """
    about = RULES[rule]
    if names is None:
        names = [name for image in images for name in model.names_of.get(image, ())]
    users = [container for image in images for container in model.containers_of.get(image, ())]
    return Finding(
        rule=rule,
        title=title or about.title,
        severity=severity or about.severity,
        path=path,
        detail=detail,
        engine_says=says,
        repair=about.repair,
        images=tuple(images),
        names=tuple(names),
        containers=tuple(dict.fromkeys([*containers, *users])),
        subject=subject,
        bytes=size,
    )
