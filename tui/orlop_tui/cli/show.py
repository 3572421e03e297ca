"""The commands that look: ls, show, mappings, remotes, why."""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from orlop import times
from orlop.errors import NotFound, Unsupported
from orlop.records import Absent, Detail, Facet, Mapping, Remote, Row, Snapshot, Why
from orlop.store import Store
from orlop.text import visible
from orlop_tui import format
from orlop_tui.cli import exits, objects, opening
from orlop_tui.cli.config import config_lines
from orlop_tui.cli.output import Output
from orlop_tui.format import Column

_T = TypeVar("_T")

# --- ls ------------------------------------------------------------------------


def ls(arguments: argparse.Namespace) -> int:
    """List every image of a store, the ones that its engine hides included."""
    output = Output(json=arguments.json, full=arguments.no_trunc)
    with opening.every(arguments.path, arguments.driver) as stores:
        snapshots = [store.rows() for store in stores]
        for snapshot in snapshots:
            for image in objects.images(snapshot.rows, snapshot.identity.scope):
                output.record(image)
        if output.terminal:
            output.lines(summary(snapshot) for snapshot in snapshots)
        _print_rows(output, [(snapshot.identity.scope, row) for snapshot in snapshots for row in snapshot.rows])
        return exits.FAILED if opening.notes(output, stores) else exits.DONE


def summary(snapshot: Snapshot) -> str:
    """One safe line on a store: what and where it is, its images and bytes, its engine."""
    identity = snapshot.identity
    return (
        f"{visible(identity.label)}  {visible(identity.path)}  {format.count(snapshot.images, 'image')}, "
        f"{format.size(snapshot.total_size)} of layers; {format.ENGINE_WORDS[snapshot.engine]}"
    )


def _print_rows(output: Output, rows: Sequence[tuple[str, Row]]) -> None:
    """A line a row, with its driver where there are several, and its reason where one is not sound."""
    if not rows:
        output.line("the store is empty: it holds no image and no tag")
        return
    now = times.now()
    drivers = len({scope for scope, _ in rows}) > 1
    reasons = output.width is None and any(row.reason for _, row in rows)
    columns = [
        Column(title="NAME", gives=True),
        Column(title="IMAGE ID"),
        Column(title="CREATED", right=True),
        Column(title="SIZE", right=True),
        Column(title="OWN", right=True),
        Column(title="STATE"),
        *([Column(title="DRIVER")] if drivers else []),
        *([Column(title="WHY", gives=True)] if reasons else []),
    ]
    output.table(
        columns,
        (
            [
                format.NO_NAME if row.key.name is None else output.name(row.key.name),
                output.identity(row.key.id),
                format.age(row.created, now),
                format.size(row.size),
                format.size(row.own_size),
                format.state_word(row),
                *([visible(scope)] if drivers else []),
                *([output.sentence(row.reason)] if reasons else []),
            ]
            for scope, row in rows
        ),
    )
    if not reasons:
        _print_reasons(output, [row for _, row in rows])


def _print_reasons(output: Output, rows: Sequence[Row]) -> None:
    """Below a table that has no room for it: why each image is not sound."""
    unsound: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.reason:
            unsound.setdefault((format.state_word(row), row.reason), []).append(
                output.identity(row.key.id) if row.key.name is None else output.name(row.key.name)
            )
    if unsound:
        output.line("\nNot sound (`orlop check` says more)")
    output.labelled(
        (state, f"{', '.join(names)}: {output.sentence(reason)}") for (state, reason), names in unsound.items()
    )


# --- show ----------------------------------------------------------------------


def show(arguments: argparse.Namespace) -> int:
    """Print one image whole."""
    output = Output(json=arguments.json, full=arguments.no_trunc)
    with opening.every(arguments.path, arguments.driver) as stores:
        store, key = opening.find(stores, arguments.image)
        found = store.detail(key._replace(name=None))
        rows = [row for row in store.rows().rows if (row.key.scope, row.key.id) == (found.key.scope, found.key.id)]
        mappings = store.facet(Facet.MAPPINGS, found.key)
        remotes = store.facet(Facet.REMOTES, found.key)
        output.record(
            {
                **(
                    objects.image(rows, store.identity.scope)
                    if rows
                    else {"type": "image", "id": found.key.id, "names": list(found.names)}
                ),
                **objects.detail(found, reveal=arguments.reveal),
                "mappings": [objects.mapping(one, "") for one in _of(Mapping, mappings)],
                "remotes": [objects.remote(one, "") for one in _of(Remote, remotes)],
            }
        )
        _print_detail(output, found, rows, reveal=arguments.reveal)
        _print_mappings(output, mappings)
        _print_remotes(output, remotes)
        return exits.DONE


def _of(kind: type[_T], records: object) -> list[_T]:
    return [one for one in records if isinstance(one, kind)] if isinstance(records, tuple) else []


def _print_detail(output: Output, found: Detail, rows: Sequence[Row], *, reveal: bool) -> None:
    output.labelled(_facts(found, rows), indent=0)
    if found.problems:
        output.line("\nProblems")
        output.lines(f"  - {visible(problem)}" for problem in found.problems)
    config = found.config if reveal else format.masked_config(found.config)
    lines = config_lines(config)
    if lines:
        output.line("\nConfig, as the engine reads it")
        output.lines(f"  {line}" for line in lines)
    _print_layers(output, found)
    _print_history(output, found, reveal=reveal)


def _facts(found: Detail, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """The facts of an image, a label and a safe text each."""
    now = times.now()
    row = next(iter(rows), found.row)
    yield "Image", visible(found.key.id)
    yield from _many("Names", [visible(name) for name in found.names] or [format.NO_NAME])
    if row is not None:
        yield "State", format.state_sentence(row, now)
        flags = objects.flags(rows)
        if flags:
            yield "Flags", ", ".join(flags)
        made = f"{format.moment(row.created)} ({format.age(row.created, now)} ago)"
        yield "Created", made if row.created is not None else format.UNKNOWN
        yield "Platform", visible(row.platform) or format.UNKNOWN
        yield "Size", format.both_sizes(row.size)
        yield "Own", f"{format.both_sizes(row.own_size)}: layers that no other image uses"
    raw = f"  ({format.exact_size(len(found.config_raw))})" if found.config_raw is not None else ""
    yield "Config", f"{visible(found.config_path)}{raw}"
    if found.parent is not None:
        yield "Parent", visible(found.parent) + ("" if found.parent_known else "  (not in this store)")
    yield from _many("Children", [visible(child) for child in found.children])
    yield from _many("Used by", [_container(one.name, one.id, one.running, one.path) for one in found.containers])
    yield from _many(
        "Metadata", [f"{visible(one.name)}: {visible(one.text)}  {visible(one.path)}" for one in found.metadata]
    )


def _many(label: str, texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    for index, text in enumerate(texts):
        yield "" if index else label, text


def _container(name: str, identity: str, running: bool | None, path: str) -> str:
    state = {True: "recorded as running", False: "not running", None: "state unreadable"}[running]
    return f"container {visible(name) or format.short(identity)}, {state}  {visible(path)}"


def _print_layers(output: Output, found: Detail) -> None:
    if not found.layers:
        return
    output.line("\nLayers, bottom first")
    problems = any(layer.problem for layer in found.layers)
    columns = [
        Column(title="#", right=True),
        Column(title="DIFF ID"),
        Column(title="CHAIN ID"),
        Column(title="SIZE", right=True),
        Column(title="ALSO IN", right=True),
        Column(title="DATA", gives=True),
        *([Column(title="PROBLEM", gives=True)] if problems else []),
    ]
    output.table(
        columns,
        (
            [
                str(number),
                output.identity(layer.diff_id),
                output.identity(layer.chain_id),
                format.size(layer.size),
                format.count(len(layer.shared_with), "image") if layer.shared_with else "-",
                visible(layer.data_path) if layer.data_path else "-",
                *([visible(layer.problem)] if problems else []),
            ]
            for number, layer in enumerate(found.layers, 1)
        ),
        indent=2,
    )


def _print_history(output: Output, found: Detail, *, reveal: bool) -> None:
    if not found.history:
        return
    output.line("\nHistory, oldest first")
    now = times.now()
    output.table(
        [
            Column(title="LAYER", right=True),
            Column(title="CREATED", right=True),
            Column(title="SIZE", right=True),
            Column(title="BY", gives=True),
        ],
        (
            [
                "-" if entry.layer is None else str(entry.layer + 1),
                format.age(entry.created, now),
                _layer_size(found, entry.layer),
                " ".join(_said(entry.created_by, entry.comment, reveal=reveal)) or "-",
            ]
            for entry in found.history
        ),
        indent=2,
    )


def _layer_size(found: Detail, index: int | None) -> str:
    if index is None or index >= len(found.layers):
        return "-"
    return format.size(found.layers[index].size)


def _said(command: str, comment: str, *, reveal: bool) -> Iterator[str]:
    if command:
        yield visible(command if reveal else format.masked_command(command))
    if comment:
        yield f"# {visible(comment)}"


# --- mappings, remotes ------------------------------------------------------------


def mappings(arguments: argparse.Namespace) -> int:
    """List the V2 digest mappings of a store."""
    return _facet(arguments, Facet.MAPPINGS)


def remotes(arguments: argparse.Namespace) -> int:
    """List where the images of a store are known remotely."""
    return _facet(arguments, Facet.REMOTES)


def _facet(arguments: argparse.Namespace, facet: Facet) -> int:
    output = Output(json=arguments.json, full=arguments.no_trunc)
    with opening.every(arguments.path, arguments.driver) as stores:
        found = [(store, records) for store in stores for records in _records(store, facet, arguments.image)]
        absent = [records for _, records in found if isinstance(records, Absent)]
        if len(absent) == len(found) and absent and arguments.image is None:
            raise Unsupported(f"this store has no {facet}", path=arguments.path, why=absent[0].because)
        for store, records in found:
            if len(stores) > 1:
                output.line(visible(store.identity.label))
            for mapping in _of(Mapping, records):
                output.record(objects.mapping(mapping, store.identity.scope))
            for remote in _of(Remote, records):
                output.record(objects.remote(remote, store.identity.scope))
            (_print_mappings if facet is Facet.MAPPINGS else _print_remotes)(output, records, heading=False)
        return exits.DONE


def _records(store: Store, facet: Facet, image: str | None) -> Iterator[object]:
    if image is None:
        yield store.facet(facet, None)
        return
    _, key = opening.find([store], image)
    yield store.facet(facet, key._replace(name=None))


def _print_mappings(output: Output, records: object, *, heading: bool = True) -> None:
    found = _of(Mapping, records)
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
                f"stale: {output.sentence(one.reason)}" if one.stale else "ok",
            ]
            for one in found
        ),
        indent=2 if heading else 0,
    )


def _print_remotes(output: Output, records: object, *, heading: bool = True) -> None:
    found = _of(Remote, records)
    if heading:
        output.line("\nKnown remotely")
    if not found:
        output.line(f"  {_none(records, 'no remote record')}")
        return
    output.table(
        [Column(title="REFERENCE", gives=True), Column(title="IMAGE ID"), Column(title="KIND")],
        (
            [
                output.name(one.reference),
                _target(output, one),
                visible(one.kind),
            ]
            for one in found
        ),
        indent=2 if heading else 0,
    )


def _target(output: Output, remote: Remote) -> str:
    if remote.image is None:
        return "-"
    return output.identity(remote.image) + ("" if remote.image_known else " (not in this store)")


def _none(records: object, otherwise: str) -> str:
    return visible(records.because) if isinstance(records, Absent) else otherwise


# --- why --------------------------------------------------------------------------


def why(arguments: argparse.Namespace) -> int:
    """Print what a digest, id, name or folder is, and what keeps it."""
    output = Output(json=arguments.json, full=True)
    with opening.every(arguments.path, arguments.driver) as stores:
        answers = list(_answers(stores, arguments.subject))
        for store, answer in answers:
            output.record(objects.why(answer, store.identity.scope))
            if len(stores) > 1:
                output.line(visible(store.identity.label))
            _print_why(output, answer)
        return exits.DONE


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
    output.labelled(_many("is", [visible(text) for text in answer.is_a]))
    output.labelled((visible(name), visible(text)) for name, text in answer.related.items())
    for number, chain in enumerate(answer.kept_by, 1):
        output.line(f"kept by, chain {number} of {len(answer.kept_by)}:")
        for depth, link in enumerate(chain):
            where = f"  {visible(link.path)}" if link.path else ""
            output.line(f"  {'  ' * depth}{visible(link.what)}{where}")
    if not answer.kept_by:
        output.line("nothing keeps it")
    if answer.remark:
        output.line(visible(answer.remark))
