"""The commands on what surrounds an image: mappings, remotes, why."""

import argparse
import os
from collections.abc import Iterable, Iterator
from typing import TypeVar

from orlop import times
from orlop.errors import NotFound, Unsupported
from orlop.records import Absent, Facet, Mapping, Remote, Upload, Why
from orlop.store import Store
from orlop.text import masked, visible
from orlop_tui import format
from orlop_tui.cli import exits, objects, opening
from orlop_tui.cli.output import Output
from orlop_tui.format import Column

_T = TypeVar("_T")


def mappings(arguments: argparse.Namespace) -> int:
    """List the V2 digest mappings of a store."""
    return _facet(arguments, Facet.MAPPINGS)


def remotes(arguments: argparse.Namespace) -> int:
    """List where the images of a store are known remotely."""
    return _facet(arguments, Facet.REMOTES)


def uploads(arguments: argparse.Namespace) -> int:
    """List the uploads in progress of a registry."""
    return _facet(arguments, Facet.UPLOADS)


def _facet(arguments: argparse.Namespace, facet: Facet) -> int:
    output = Output(json=arguments.json, full=arguments.no_trunc)
    with opening.every(arguments.path, arguments.driver) as stores:
        image = getattr(arguments, "image", None)
        found = [(store, records) for store in stores for records in _records(store, facet, image)]
        absent = [records for _, records in found if isinstance(records, Absent)]
        if len(absent) == len(found) and absent and image is None:
            raise Unsupported(f"this store has no {facet}", path=arguments.path, why=absent[0].because)
        for store, records in found:
            if len(stores) > 1:
                output.line(visible(store.identity.label))
            for mapping in of_kind(Mapping, records):
                output.record(objects.mapping(mapping, store.identity.scope))
            for remote in of_kind(Remote, records):
                output.record(objects.remote(remote, store.identity.scope))
            for upload in of_kind(Upload, records):
                output.record(objects.upload(upload))
            _PRINT[facet](output, records, heading=False)
        return exits.DONE


def _records(store: Store, facet: Facet, image: str | None) -> Iterator[object]:
    if image is None:
        yield store.facet(facet, None)
        return
    _, key = opening.find([store], image)
    yield store.facet(facet, key._replace(name=None))


def print_mappings(output: Output, records: object, *, heading: bool = True) -> None:
    """A table of V2 digest mappings, or why there are none."""
    found = of_kind(Mapping, records)
    if heading:
        output.line("\nV2 digest mappings")
    if not found:
        output.line(f"  {_none(records, 'no layer of this is known to a registry by digest')}")
        return
    output.table(
        [
            Column(title="DIFF ID"),
            Column(title="BLOB DIGEST"),
            Column(title="SOURCE", gives=True),
            Column(title="HMAC"),
            Column(title="IMAGES", right=True),
            Column(title="STATE", gives=True),
        ],
        (
            [
                output.identity(one.diff_id),
                output.identity(one.digest) if one.digest else "-",
                visible(one.source) or "-",
                "yes" if one.authenticated else "-",
                str(len(one.images)),
                f"stale: {output.sentence(one.reason)}" if one.stale else "agrees",
            ]
            for one in found
        ),
        indent=2 if heading else 0,
    )


def print_remotes(output: Output, records: object, *, heading: bool = True) -> None:
    """A table of remote records, or why there are none."""
    found = of_kind(Remote, records)
    if heading:
        output.line("\nKnown remotely")
    if not found:
        output.line(f"  {_none(records, 'no remote record')}")
        return
    dated = any(one.expires is not None or one.downloaded is not None for one in found)
    troubled = any(one.trouble for one in found)
    columns = [Column(title="REFERENCE", gives=True), Column(title="IMAGE ID"), Column(title="KIND")]
    columns += [Column(title=title) for title in ("ETAG", "DOWNLOADED", "EXPIRES", "FRESH") if dated]
    columns += [Column(title="TROUBLE", gives=True)] if troubled else []
    output.table(
        columns,
        (
            [
                output.name(masked("", one.url or one.reference)),
                _target(output, one),
                visible(one.kind),
                *(_freshness(one) if dated else ()),
                *([output.sentence(one.trouble)] if troubled else []),
            ]
            for one in found
        ),
        indent=2 if heading else 0,
    )


def _freshness(remote: Remote) -> tuple[str, str, str, str]:
    return (
        visible(remote.etag) if remote.etag else "-",
        "-" if remote.downloaded is None else format.moment(remote.downloaded),
        "-" if remote.expires is None else format.moment(remote.expires),
        {True: "fresh", False: "expired", None: "-"}[remote.fresh],
    )


def print_uploads(output: Output, records: object, *, heading: bool = True) -> None:
    """A table of uploads in progress, or why there are none."""
    found = of_kind(Upload, records)
    if heading:
        output.line("\nUploads in progress")
    if not found:
        output.line(f"  {_none(records, 'no upload is in progress')}")
        return
    now = times.now()
    troubled = any(one.problem for one in found)
    columns = [
        Column(title="REPOSITORY", gives=True),
        Column(title="UPLOAD"),
        Column(title="STARTED", right=True),
        Column(title="WRITTEN", right=True),
        Column(title="BYTES", right=True),
        *([Column(title="PROBLEM", gives=True)] if troubled else []),
    ]
    output.table(
        columns,
        (
            [
                visible(one.repository),
                visible(one.id),
                format.age(one.started, now),
                format.age(one.changed, now),
                format.size(one.bytes),
                *([output.sentence(one.problem)] if troubled else []),
            ]
            for one in found
        ),
        indent=2 if heading else 0,
    )


_PRINT = {Facet.MAPPINGS: print_mappings, Facet.REMOTES: print_remotes, Facet.UPLOADS: print_uploads}


def _target(output: Output, remote: Remote) -> str:
    if remote.image is None:
        return "-"
    return output.identity(remote.image) + ("" if remote.image_known else " (not in this store)")


def _none(records: object, otherwise: str) -> str:
    return visible(records.because) if isinstance(records, Absent) else otherwise


def of_kind(kind: type[_T], records: object) -> list[_T]:
    """The records of one kind; none where they are absent."""
    return [one for one in records if isinstance(one, kind)] if isinstance(records, tuple) else []


# --- why --------------------------------------------------------------------------


def why(arguments: argparse.Namespace) -> int:
    """Print what a digest, id, name or folder is, and what keeps it."""
    output = Output(json=arguments.json, full=True)
    with opening.every(arguments.path, arguments.driver) as stores:
        answers = list(_answers(stores, _subject(arguments.subject, stores)))
        for store, answer in answers:
            output.record(objects.why(answer, store.identity.scope))
            if len(stores) > 1:
                output.line(visible(store.identity.label))
            _print_why(output, answer)
        return exits.DONE


def _subject(subject: str, stores: Iterable[Store]) -> str:
    """What a person asks about; a path from the working folder into a store is made absolute."""
    if os.sep not in subject or os.path.isabs(subject):
        return subject
    path = os.path.abspath(subject)
    within = any(f"{path}/".startswith(f"{store.identity.path}/") for store in stores)
    return path if within and os.path.lexists(path) else subject


def _answers(stores: Iterable[Store], subject: str) -> Iterator[tuple[Store, Why]]:
    """What each store knows.

    Raises:
        NotFound: none knows anything.
    """
    missing: NotFound | None = None
    known = False
    for store in stores:
        try:
            answer = store.why(subject)
        except NotFound as error:
            missing = error
            continue
        known = True
        yield store, answer
    if missing is not None and not known:
        raise missing


def _print_why(output: Output, answer: Why) -> None:
    output.line(visible(answer.subject))
    output.labelled(("" if index else "is", visible(text)) for index, text in enumerate(answer.is_a))
    output.labelled((visible(name), visible(text)) for name, text in answer.related.items())
    for number, chain in enumerate(answer.kept_by, 1):
        output.line(f"kept by, chain {number} of {len(answer.kept_by)}:")
        for depth, link in enumerate(chain):
            where = f"  {visible(link.path)}" if link.path else ""
            output.line(f"  {'  ' * depth}{visible(link.what)}{where}")
    if not answer.kept_by and answer.judged:
        output.line("nothing keeps it")
    if answer.remark:
        output.line(visible(answer.remark))
