"""The panes of what is recorded beside the images: digest mappings, remote records, uploads."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from orlop.records import Absent, Key, Remote, Upload
from orlop.records import Mapping as MappingRecord
from orlop.text import masked, visible
from orlop_tui import format as words
from orlop_tui.widgets.lines import Line, Role, beside, fit, fold, labelled, line, span, titled
from orlop_tui.widgets.shown import Pane, Shown, ToMapping, ToRemote, ToUpload, no_row, unread

_MOST = 2000
"""Records of a whole store that a pane lists; the commands list them all."""

_WIDE_MAPPINGS = 116
"""Columns from which a whole digest has room beside the diff id and the source."""


# --- 2 digests --------------------------------------------------------------------


def digests(shown: Shown, width: int) -> Iterator[Line]:
    """The digests that the image's layers have, uncompressed and as blobs, and where the blobs are known."""
    records = shown.mappings
    if shown.row is None:
        yield no_row()
        return
    if records is None or isinstance(records, Absent):
        yield from unread(records, shown, width)
        return
    mappings = [record for record in records if isinstance(record, MappingRecord)]
    whole = width >= _WIDE_MAPPINGS
    layers = shown.detail.layers if shown.detail else ()
    number = {layer.digest or layer.diff_id: str(i) for i, layer in enumerate(layers, 1)}
    docker = shown.words.has_reverse
    title = fit("REGISTRY DIGEST" if docker else "BLOB DIGEST", _digest_cells(whole))
    yield line(span(f"  #  DIFF ID       {title}  {'SOURCE REPOSITORY' if docker else 'LINKED BY'}", Role.LABEL))
    mapped = {mapping.diff_id for mapping in mappings} | {mapping.digest for mapping in mappings}
    for (diff_id, digest), group in groupby(mappings, lambda mapping: (mapping.diff_id, mapping.digest)):
        place = number.get(digest) or number.get(diff_id, "-")
        if docker:
            for mapping in group:
                yield from _mapping(mapping, place, width, whole, docker)
        else:
            yield from _linked(list(group), place, shown.row.key.scope, width, whole)
        if 80 <= width < _WIDE_MAPPINGS:
            yield from beside("blob", digest, width, 1, Role.FAINT)
    for layer in layers:
        if docker and layer.diff_id not in mapped:
            head = fit(number[layer.diff_id], 3, right=True) + f"  {words.short(layer.diff_id)}  none"
            yield line(span(head, Role.FAINT), span("             no V2 record", Role.FAINT), copy=layer.diff_id)
    if not mappings and not layers:
        yield line(span("     it has no layers of its own", Role.FAINT))


def _digest_cells(whole: bool) -> int:
    return 71 if whole else 15


def _mapping(mapping: MappingRecord, number: str, width: int, whole: bool, docker: bool) -> Iterator[Line]:
    digest = fit(visible(mapping.digest) if whole else words.short(mapping.digest), _digest_cells(whole))
    diff_id = fit(words.short(mapping.diff_id) or "unknown", 12)
    head = f"{fit(number, 3, right=True)}  {diff_id}  {digest}  "
    source = visible(mapping.source) or ("(reverse record only)" if docker else "no repository")
    stale = ("STALE " if docker else "BROKEN ") if mapping.stale else ""
    room = max(8, width - len(head) - len(stale))
    last = span(fit(source, room, middle=True))
    yield line(span(head), span(stale, Role.WARN), last, target=ToMapping(mapping), copy=mapping.digest)
    if mapping.reverse is not None and mapping.reverse != mapping.diff_id:
        yield from beside("back to", mapping.reverse, width, 1, Role.WARN)
    elif mapping.reverse is None and docker:
        yield from beside("back to", "no reverse record", width, 1, Role.FAINT)
    if mapping.stale:
        yield from beside("stale" if docker else "broken", mapping.reason, width, 1, Role.WARN)


def _linked(mappings: Sequence[MappingRecord], number: str, scope: str, width: int, whole: bool) -> Iterator[Line]:
    """A blob on one line, however many repositories link it: the row's own first, and how many others do."""
    first = next((mapping for mapping in mappings if mapping.source == scope), mappings[0])
    more = f" +{len(mappings) - 1}" if len(mappings) > 1 else ""
    yield from _mapping(replace(first, source=f"{first.source}{more}"), number, width, whole, False)


# --- 3 remote records --------------------------------------------------------------


def remotes(shown: Shown, width: int) -> Iterator[Line]:
    """Where the image is known outside this store, and elsewhere in it; or all such records of the store."""
    if shown.is_whole(Pane.REMOTE):
        yield from _all_remotes(shown, width)
        return
    if shown.row is None:
        yield no_row()
        return
    records = shown.remotes
    if records is None or isinstance(records, Absent):
        yield from unread(records, shown, width)
        return
    found = [record for record in records if isinstance(record, Remote)]
    if not found:
        yield from titled([span("no remote record leads to this image", Role.FAINT)], "a: all of the store's", width)
    for remote in found:
        if remote.kind != _ELSEWHERE:
            yield from _remote(remote, shown, width)
    label = "Also in"
    for remote in found:
        if remote.kind == _ELSEWHERE:
            yield from _elsewhere(label, remote, width)
            label = ""


_ELSEWHERE = "same registry"
_CACHE = "pull-through cache"


def _all_remotes(shown: Shown, width: int) -> Iterator[Line]:
    records = shown.all_remotes
    if records is None or isinstance(records, Absent):
        yield from unread(records, shown, width)
        return
    found = sorted((record for record in records if isinstance(record, Remote)), key=lambda record: not record.trouble)
    lost = sum(bool(record.trouble) for record in found)
    said = f"{words.count(len(found), 'remote record')} in the whole store"
    head = [span(said, Role.LABEL)]
    if lost:
        head.append(span(f", {lost} with a fault first", Role.WARN))
    yield from titled(head, "a: only this row's" if shown.row is not None else "", width)
    for remote in found[:_MOST]:
        yield from _remote(remote, shown, width)
    if len(found) > _MOST:
        yield line(span(f"and {len(found) - _MOST} more: `orlop remotes` lists them all", Role.FAINT))


def _remote(remote: Remote, shown: Shown, width: int) -> Iterator[Line]:
    first, *rest = labelled("Remote", masked("", remote.reference), width)
    yield Line(first.spans, ToRemote(remote), first.copy)
    yield from rest
    if remote.trouble:
        yield from labelled("Fault", remote.trouble, width, role=Role.WARN)
    elif remote.image is not None and not remote.image_known:
        yield from labelled("", "the image that it leads to is not in this store", width, role=Role.WARN)
    url = remote.url if remote.url != remote.reference else None
    for label, text in (("URL", url), ("Signed", remote.signature_url), ("ETag", remote.etag)):
        if text:
            yield from labelled(label, masked("", text), width)
    if (said := freshness(remote, shown.now)) is not None:
        label = "Expires" if remote.kind == _CACHE else "Max age"
        yield from labelled(label, said, width, role=Role.PLAIN if remote.fresh else Role.WARN)
    if remote.downloaded is not None:
        when = f"{words.moment(remote.downloaded)}  {words.age(remote.downloaded, shown.now)} ago"
        yield from labelled("Fetched", when, width)
    if remote.image is not None and (shown.row is None or remote.image != shown.row.key.id):
        yield from labelled("Image", remote.image, width)
    yield from labelled("", f"{remote.kind}  {remote.path}".strip(), width, role=Role.FAINT)


def freshness(remote: Remote, now: int) -> str | None:
    """Whether what a record leads to may be used unasked, and since or until when; None where it does not age."""
    if remote.fresh is None:
        return None
    age = f"{words.age(0, remote.max_age * 1_000_000_000)}: " if remote.max_age else ""
    if remote.expires is None:
        return f"{age or 'none: '}each fetch asks again"
    at = words.moment(remote.expires)
    if remote.expires > now:
        return f"{age}fresh for {words.age(now, remote.expires)} more, until {at}"
    return f"{age}expired {words.age(remote.expires, now)} ago ({at}); {_AFTER[remote.kind == _CACHE]}"


_AFTER = {True: "its registry drops it", False: "the next fetch asks again"}


def _elsewhere(label: str, remote: Remote, width: int) -> Iterator[Line]:
    first, *rest = labelled(label, masked("", remote.reference), width)
    yield Line(first.spans, ToRemote(remote), first.copy)
    yield from rest
    if remote.trouble:
        yield from labelled("", remote.trouble, width, role=Role.WARN)


def row_of(remote: Remote, key: Key | None) -> Key | None:
    """The row that a remote record leads to; None where it leads to none.

    Args:
        remote: the record.
        key: the row that was shown with it.
    """
    if remote.image is None or not remote.image_known:
        return None
    if remote.kind == _ELSEWHERE:
        repository, at, _ = remote.reference.partition("@")
        return Key(repository if at else remote.reference.rpartition(":")[0], remote.image, remote.reference)
    scope = remote.reference.partition("@")[0] if key is not None and key.scope else ""
    return Key(scope, remote.image, None)


# --- 5 uploads ---------------------------------------------------------------------


def uploads(shown: Shown, width: int) -> Iterator[Line]:
    """What clients began to send and have not finished: of the row's repository, or of the whole store."""
    records = shown.uploads
    if records is None or isinstance(records, Absent):
        yield from unread(records, shown, width)
        return
    everything = [record for record in records if isinstance(record, Upload)]
    scope = shown.row.key.scope if shown.row is not None else ""
    own = [upload for upload in everything if upload.repository == scope]
    is_whole = shown.is_whole(Pane.UPLOADS)
    found = everything if is_whole else own
    where = "the whole store" if is_whole else visible(scope)
    said = f"{words.count(len(found), 'upload')} in {where}"
    if found:
        said += f", {words.size(sum(upload.bytes for upload in found))}"
    if is_whole:
        hint = f"a: only {visible(scope)}'s {len(own)}" if shown.row is not None else ""
    else:
        hint = f"a: {len(everything) - len(own)} more in the whole store"
    yield from titled([span(fit(said, min(width, len(said))), Role.LABEL)], hint, width)
    yield from _listed(found, shown.now, width)


def _listed(found: Sequence[Upload], now: int, width: int) -> Iterator[Line]:
    for upload in found[:_MOST]:
        head = fit(words.size(upload.bytes), 8, right=True) + "  "
        name = fit(visible(f"{upload.repository}/{upload.id}"), max(8, width - len(head)), middle=True)
        yield line(span(head), span(name), target=ToUpload(upload), copy=f"{upload.repository}/{upload.id}")
        begun = "at an unknown time" if upload.started is None else f"{words.age(upload.started, now)} ago"
        text = f"begun {begun}, last written {words.age(upload.changed, now)} ago"
        for part in fold(text, width - len(head)):
            yield line(span(" " * len(head)), span(part, Role.FAINT))
        if upload.problem:
            yield from beside("problem", upload.problem, width, len(head), Role.WARN)
    if len(found) > _MOST:
        yield line(span(f"and {len(found) - _MOST} more: `orlop uploads` lists them all", Role.FAINT))
