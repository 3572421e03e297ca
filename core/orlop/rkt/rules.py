"""The rules of an ACI store: what each finding means, what rkt does, what a person can do.

rkt's behaviour and words are those of 1.30.0.
"""

from collections.abc import Mapping

from orlop.finding import Repair, Rule, Severity

_UNDO = "Every change by Orlop can be taken back with `orlop undo PATH` until the quarantine is emptied."

_RULES = (
    Rule(
        id="RK01",
        title="database-unreadable",
        severity=Severity.BLOCKS,
        repair=Repair.REBUILD,
        meaning="db/ql.db (or db/orlop.sqlite3), which holds the rows of images and the remote records, is missing, "
        "cut, or contradicts itself, or a write-ahead log beside it holds a commit that was cut off.",
        causes="A power cut or a full disk during a commit, a failing disk, or rkt killed in a transaction.",
        engine="`cannot open store: Error, off: 0x80, EOF`, and no command of rkt works. With a log: `(file-001) non "
        "empty WAL file … exists`, once: that very failure deletes the log, and what it held is lost. An empty or "
        "missing file counts as a new store: every image is out of the list, and its files stay for ever.",
        do="Start no rkt on it before it is put right. `orlop repair PATH` applies a log that is complete, and else "
        "makes the rows anew from the archives and manifests with `--guess`; remote records, last uses and the flag "
        "of the latest cannot be made anew. " + _UNDO,
    ),
    Rule(
        id="RK02",
        title="blob-hash-mismatch",
        severity=Severity.UNUSABLE,
        repair=Repair.QUARANTINE,
        meaning="The bytes of an image's archive do not hash to its key, or there are none.",
        causes="A failing disk, a power cut, or an edit by hand.",
        engine="Nothing, until the image is rendered, which fails late or gives wrong files: `rkt image verify` "
        "compares the rendered tree only, and never the archive.",
        do="`orlop rm PATH IMAGE`, then fetch it again: while it is there, rkt takes it from the store. " + _UNDO,
    ),
    Rule(
        id="RK03",
        title="blob-without-row",
        severity=Severity.SPACE,
        repair=Repair.REBUILD,
        meaning="An archive that no row of the database leads to.",
        causes="rkt writes the archive first and the row last, and removes the row first and the archive last: "
        "it was killed between the two, or the removal failed.",
        engine="It is in no list and nothing removes it: `image gc` goes by rows.",
        do="`orlop repair PATH` gives it a row again where it hashes to its key, and `orlop clean PATH` removes it "
        "where it does not. " + _UNDO,
    ),
    Rule(
        id="RK04",
        title="row-without-blob",
        severity=Severity.UNUSABLE,
        repair=Repair.REMOVE,
        meaning="A row leads to an archive that is not there.",
        causes="Someone removed files below blob/ to free space, or the copy of a store was partial.",
        engine="`rkt image list` shows it; running, exporting and fetching by name fail: "
        "`open …: no such file or directory`.",
        do="`orlop rm PATH IMAGE` takes the row away with its remote records; then fetch it again. " + _UNDO,
    ),
    Rule(
        id="RK05",
        title="manifest-wrong",
        severity=Severity.UNUSABLE,
        repair=Repair.REBUILD,
        meaning="An image's stored manifest is missing, does not parse, is not the one in its archive, or has another "
        "name than its row.",
        causes="rkt writes it in place: a power cut or a full disk leaves it cut or empty.",
        engine="Every lookup of the image's name fails, also for the other images of that name: rkt reads all their "
        "manifests to choose one. A missing one is left out of `rkt image list` silently.",
        do="`orlop repair PATH` writes it again from the archive, if that hashes to the key. " + _UNDO,
    ),
    Rule(
        id="RK06",
        title="remote-to-missing-image",
        severity=Severity.LATENT,
        repair=Repair.REMOVE,
        meaning="A remote record leads to a key that has no row.",
        causes="A database that was changed by hand or made from parts; rkt removes both in one transaction.",
        engine="A fetch from that URL that is answered with `not modified` fails: "
        "`ACI info not found with blob key …`.",
        do="`orlop remotes PATH` lists it; dropping the record makes the next fetch a whole one. " + _UNDO,
    ),
    Rule(
        id="RK07",
        title="remote-expired",
        severity=Severity.INFORMATION,
        repair=None,
        meaning="A remote record is past its max age, or has none, or no ETag to ask with.",
        causes="Time, or a server that sends neither Cache-Control nor ETag.",
        engine="The next fetch asks the server again; without an ETag it loads the whole image.",
        do="Nothing is wrong. `orlop fetch PATH URL` asks the server now.",
    ),
    Rule(
        id="RK08",
        title="tree-hash-mismatch",
        severity=Severity.UNUSABLE,
        repair=Repair.REMOVE,
        meaning="The files of a rendered tree do not hash to what its file hash says.",
        causes="A failing disk, or something that wrote below tree/.",
        engine="`wrong tree hash: …, expected: …`; `rkt image verify` renders it anew.",
        do="When no pod stands on it, remove it: rkt renders it again from the archive. " + _UNDO,
    ),
    Rule(
        id="RK09",
        title="tree-incomplete",
        severity=Severity.UNUSABLE,
        repair=Repair.REMOVE,
        meaning="A rendered tree lacks its file rendered, image or hash. Where no pod stands on it and rendered is "
        "missing, it only takes space (S4).",
        causes="rkt was killed while it rendered or removed the tree.",
        engine="Without rendered it renders the tree anew; without the others: "
        "`error setting up stage0: open …: no such file or directory`.",
        do="Remove it when no pod stands on it: rkt renders it again from the archive. " + _UNDO,
    ),
    Rule(
        id="RK10",
        title="tree-unreferenced",
        severity=Severity.SPACE,
        repair=Repair.REMOVE,
        meaning="A rendered tree that no pod stands on.",
        causes="The pods were removed, or its image was: rkt keeps the tree then.",
        engine="`rkt image gc` removes it; `rkt image rm` does not.",
        do="`orlop clean PATH` removes it; rkt renders it again when a pod needs it. " + _UNDO,
    ),
    Rule(
        id="RK11",
        title="image-with-missing-dependency",
        severity=Severity.LATENT,
        repair=None,
        meaning="An image's manifest names an image below it that the store does not have.",
        causes="The other image was removed: rkt does not look who needs it.",
        engine="The image cannot be rendered, unless it is already: "
        '`cannot find aci satisfying name: "…" and labels: … in the local store`.',
        do="Fetch the image it names, or the image itself anew, which fetches what it needs.",
    ),
    Rule(
        id="RK12",
        title="size-column-wrong",
        severity=Severity.LATENT,
        repair=Repair.REBUILD,
        meaning="The size in an image's row is not that of its archive; or (S5) the size of its rendered tree is not "
        "what the tree has.",
        causes="A file that was cut or replaced, or a row from another store. The size of a tree also differs "
        "after a copy to another file system.",
        engine="`rkt image list` prints the number as a fact.",
        do="Check the content: an archive that hashes to its key is whole, and then only the number is wrong. "
        "`orlop repair PATH` puts it right. " + _UNDO,
    ),
    Rule(
        id="RK13",
        title="debris",
        severity=Severity.SPACE,
        repair=Repair.REMOVE,
        meaning="A leftover: a file in tmp/, a manifest of no image, (S5) locks of keys that are gone, or a name "
        "that is no part of the store.",
        causes="A refused or interrupted fetch leaves its file in tmp/; locks are never removed.",
        engine="Nothing is said; they stay for ever.",
        do="`orlop clean PATH` removes temporary files. While rkt runs they are normal: look again when it has ended. "
        + _UNDO,
    ),
    Rule(
        id="RK14",
        title="image-in-use-by-pod",
        severity=Severity.INFORMATION,
        repair=None,
        meaning="A pod that runs, or is prepared, has an app of this image.",
        causes="No fault.",
        engine="`rkt image rm` removes the image all the same; `rkt image gc` spares those of running pods.",
        do="`rkt list` shows the pods. Stop and remove them before the image goes.",
    ),
)

RULES: Mapping[str, Rule] = {rule.id: rule for rule in _RULES}
