"""The commands that look at images: ls, show."""

import argparse
from collections.abc import Iterator, Sequence

from orlop import times
from orlop.records import Detail, Facet, Mapping, Remote, Row, Snapshot
from orlop.text import visible
from orlop_tui import format
from orlop_tui.cli import exits, facets, objects, opening
from orlop_tui.cli.config import config_lines
from orlop_tui.cli.output import Output
from orlop_tui.format import Column

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
        rows = [(snapshot.identity.scope, row) for snapshot in snapshots for row in snapshot.rows]
        _print_rows(output, rows, unreadable=opening.unreadable(stores))
        return exits.FAILED if opening.notes(output, stores) else exits.DONE


def summary(snapshot: Snapshot) -> str:
    """One safe line on a store: what and where it is, its images and bytes, its engine."""
    identity = snapshot.identity
    return (
        f"{visible(identity.label)}  {visible(identity.path)}  {format.count(snapshot.images, 'image')}, "
        f"{format.size(snapshot.total_size)} {format.BYTES_OF.get(identity.kind, 'in all')}; "
        f"{format.ENGINE_WORDS[snapshot.engine]}"
    )


def _print_rows(output: Output, rows: Sequence[tuple[str, Row]], *, unreadable: bool) -> None:
    """A line a row, with its driver where there are several, and its reason where one is not sound."""
    if not rows:
        empty = "the store is empty: it holds no image and no tag"
        output.line("no image and no tag could be read" if unreadable else empty)
        return
    now = times.now()
    drivers = len({scope for scope, _ in rows}) > 1
    used = any(row.last_used is not None for _, row in rows)
    reasons = output.width is None and any(row.reason for _, row in rows)
    columns = [
        Column(title="NAME", gives=True),
        Column(title="IMAGE ID"),
        Column(title="CREATED", right=True),
        *([Column(title="USED", right=True)] if used else []),
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
                output.name(format.listed_name(row)),
                output.identity(row.key.id) or "-",
                format.age(row.created, now),
                *([format.age(row.last_used, now)] if used else []),
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
                "mappings": [objects.mapping(one, "") for one in facets.of_kind(Mapping, mappings)],
                "remotes": [objects.remote(one, "") for one in facets.of_kind(Remote, remotes)],
            }
        )
        _print_detail(output, found, rows, reveal=arguments.reveal)
        facets.print_mappings(output, mappings)
        facets.print_remotes(output, remotes)
        return exits.DONE


def _print_detail(output: Output, found: Detail, rows: Sequence[Row], *, reveal: bool) -> None:
    output.labelled(_facts(found, rows), indent=0)
    if found.problems:
        output.line("\nProblems")
        output.lines(f"  - {visible(problem)}" for problem in found.problems)
    config = format.masked_config(found.config, reveal=reveal)
    lines = config_lines(config)
    if lines:
        output.line("\nConfig, as the engine reads it")
        output.lines(f"  {line}" for line in lines)
    _print_sections(output, found, reveal=reveal)
    _print_layers(output, found)
    _print_history(output, found, reveal=reveal)


def _print_sections(output: Output, found: Detail, *, reveal: bool) -> None:
    """What only some kinds of stores know of an image, each part under its title."""
    for section in found.sections:
        output.line(f"\n{visible(section.title)}")
        output.labelled(format.fact_line(fact, full=output.full, reveal=reveal) for fact in section.facts)


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
        yield "Own", f"{format.both_sizes(row.own_size)}: what no other image uses"
    yield from _many("Files", [_document(one.title, one.path, one.raw) for one in found.documents])
    if found.config_path:
        yield "Config", _document("", found.config_path, found.config_raw)
    if found.parent is not None:
        yield "Parent", visible(found.parent) + ("" if found.parent_known else "  (not in this store)")
    yield from _many("Children", [visible(child) for child in found.children])
    yield from _many("Used by", [_container(one.name, one.id, one.running, one.path) for one in found.containers])
    yield from _many(
        "Metadata", [f"{visible(one.name)}: {visible(one.text)}  {visible(one.path)}" for one in found.metadata]
    )


def _document(title: str, path: str, raw: bytes | None) -> str:
    size = f"  ({format.exact_size(len(raw))})" if raw is not None else "  (cannot be read)"
    return f"{visible(title)}{': ' if title else ''}{visible(path)}{size}"


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
    blobs = any(layer.digest for layer in found.layers)
    verified = any(layer.verified_at is not None for layer in found.layers)
    now = times.now()
    columns = [
        Column(title="#", right=True),
        Column(title="DIFF ID"),
        Column(title="BLOB DIGEST" if blobs else "CHAIN ID"),
        Column(title="SIZE", right=True),
        Column(title="ALSO IN", right=True),
        Column(title="MEDIA TYPE" if blobs else "DATA", gives=True),
        *([Column(title="VERIFIED")] if verified else []),
        *([Column(title="PROBLEM", gives=True)] if problems else []),
    ]
    output.table(
        columns,
        (
            [
                str(number),
                output.identity(layer.diff_id) or "-",
                output.identity(layer.digest if blobs else layer.chain_id) or "-",
                format.size(layer.size),
                format.count(len(layer.shared_with), "image") if layer.shared_with else "-",
                visible((layer.media_type if blobs else layer.data_path) or "-"),
                *([_verified(layer.verified_at, now)] if verified else []),
                *([visible(layer.problem)] if problems else []),
            ]
            for number, layer in enumerate(found.layers, 1)
        ),
        indent=2,
    )


def _verified(at: int | None, now: int) -> str:
    return "-" if at is None else f"{format.age(at, now)} ago"


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
