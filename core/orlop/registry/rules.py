"""The rules of a registry's storage: what each finding means, what the engine does, what a person can do.

The engine is distribution's registry. What it does and says was tried with 2.8.2 by damaging
stores, serving them and running its garbage collection on them; where 3.x is named, its source was read.
"""

from collections.abc import Mapping

from orlop.finding import Repair, Rule, Severity

_UNDO = "Every change by Orlop can be taken back with `orlop undo PATH` until the quarantine is emptied."

_RULES = (
    Rule(
        id="RG01",
        title="blob-digest-mismatch",
        severity=Severity.UNUSABLE,
        repair=Repair.QUARANTINE,
        meaning="A layer or config is empty, altered, unreadable, or no file at all. "
        "Its folder is named by the digest that its bytes must have.",
        causes="A power cut (zero bytes), a full or failing disk, or an edit by hand.",
        engine="It never verifies what it reads: the bytes are served with status 200, and the client says "
        "`Digest did not match` or `filesystem layer verification failed`. Pushing the layer again reports success "
        "and changes nothing, because the blob exists. Garbage collection sees nothing.",
        do="`orlop repair PATH` moves the blob aside, so that a push of the same image puts the true bytes in its "
        "place; the finding names the images to push again. " + _UNDO,
    ),
    Rule(
        id="RG02",
        title="manifest-digest-mismatch",
        severity=Severity.UNUSABLE,
        repair=Repair.QUARANTINE,
        meaning="A manifest still parses, and its bytes do not have the digest that its folder is named by.",
        causes="An edit by hand, a tool that formats JSON anew, or a failing disk.",
        engine="It serves the bytes under the old digest and says nothing. A pull by tag may take them; "
        "garbage collection follows what they now name, and drops what the true manifest needs.",
        do="`orlop repair PATH` moves the manifest aside; then push the image again under the same tag. "
        "Do not run the engine's garbage collection before that. " + _UNDO,
    ),
    Rule(
        id="RG03",
        title="manifest-unreadable",
        severity=Severity.BLOCKS,
        repair=Repair.QUARANTINE,
        meaning="What a revision leads to is no manifest that the registry can read: it is empty, cut, "
        "of an unknown type, or larger than the 4 MiB that it reads.",
        causes="A power cut or a full disk, or a link that leads to a layer.",
        engine="Status 500 for the image. Garbage collection stops for the whole registry: "
        "`failed to mark: … failed to retrieve manifest for digest …: unexpected end of JSON input`. "
        "Deleting works; pushing the image again reports success and the pull still fails.",
        do="`orlop repair PATH` moves the manifest aside, which lets garbage collection run and a push replace it; "
        "`orlop rm PATH NAME` removes the image with its tags. " + _UNDO,
    ),
    Rule(
        id="RG04",
        title="manifest-missing",
        severity=Severity.UNUSABLE,
        repair=Repair.REMOVE,
        meaning="A repository knows a manifest whose blob is not there.",
        causes="A partial copy of the storage, files deleted by hand, or a garbage collection that ran beside a push.",
        engine="`manifest unknown`, status 404. Garbage collection passes over it without a word, takes the layers "
        "that only this image needs for garbage, and deletes them: a lost manifest becomes lost layers.",
        do="Push the image again before any garbage collection, the engine's or `orlop clean`: its layers may still "
        "be here. `orlop untag` and `orlop rm` drop what leads to it. " + _UNDO,
    ),
    Rule(
        id="RG05",
        title="blob-missing",
        severity=Severity.UNUSABLE,
        repair=Repair.QUARANTINE,
        meaning="A manifest needs a layer or config whose blob is not there.",
        causes="Garbage collection beside a push, a manifest that was lost for a while, or a partial copy.",
        engine="`blob unknown to registry`, status 404. Garbage collection counts the blob as marked and says nothing.",
        do="Push one of the images named here again, from anywhere: the registry takes the blob because it is missing, "
        "and all of them are whole. `orlop rm PATH NAME` gives an image up. " + _UNDO,
    ),
    Rule(
        id="RG06",
        title="index-child-missing",
        severity=Severity.UNUSABLE,
        repair=Repair.QUARANTINE,
        meaning="An index names a manifest that its repository does not know. Where the store shows no trace that it "
        "ever did, the index was pushed for some platforms only, and this is information.",
        causes="The engine's own `garbage-collect --delete-untagged` up to 2.8, which takes an index's manifests for "
        "untagged ones; or a removal by digest. Registries of 3.x take indexes of which parts are missing, "
        "and a pull-through cache has only what was asked for.",
        engine="The index is served; a client of that platform gets `manifest unknown`.",
        do="Where only the link is lost, `orlop repair PATH` makes it again. Else push the whole index again "
        "(`skopeo copy --all`). " + _UNDO,
    ),
    Rule(
        id="RG07",
        title="index-child-only-by-digest",
        severity=Severity.INFORMATION,
        repair=None,
        meaning="Manifests that are known only by being named in an index. This is how images of several platforms "
        "are kept, and no fault.",
        causes="A push of an image of several platforms.",
        engine="`registry garbage-collect --delete-untagged` of 2.7 and 2.8 deletes them, and the index stays without "
        "its images. Fixed in 3.0.",
        do="Nothing. To free space use `orlop clean PATH`, which follows indexes; never `--delete-untagged` of 2.x.",
    ),
    Rule(
        id="RG08",
        title="tag-link-invalid",
        severity=Severity.BLOCKS,
        repair=Repair.REBUILD,
        meaning="The file current/link of a tag is empty or holds anything but exactly one digest; "
        "a newline at its end is enough.",
        causes="Registries before 3.1 write links in place: a crash or a full disk leaves them empty. Or an editor.",
        engine="Status 500 for the tag, and for every deletion by digest in its repository. "
        "`garbage-collect --delete-untagged` stops for the whole registry: `failed to retrieve tags for digest …: "
        "invalid checksum digest format`. Pushing the tag again heals it.",
        do="`orlop repair PATH` writes the digest anew where the tag's history has exactly one that the repository "
        "knows, and asks before it takes the newest of several; `orlop untag PATH NAME` drops the tag. " + _UNDO,
    ),
    Rule(
        id="RG09",
        title="tag-link-missing",
        severity=Severity.UNUSABLE,
        repair=Repair.REBUILD,
        meaning="The folder of a tag is there, and the file that says what it means now is not.",
        causes="A crash in the middle of a push or an untag, or a removal by hand.",
        engine="The tag is listed and answers `manifest unknown`; it cannot be deleted over the API. "
        "`garbage-collect --delete-untagged` takes what it meant for untagged, and deletes it.",
        do="`orlop repair PATH` writes the digest from the tag's history where that has exactly one that the "
        "repository knows, and asks before it takes the newest of several; `orlop untag PATH NAME` drops the tag. "
        + _UNDO,
    ),
    Rule(
        id="RG10",
        title="tag-to-unknown-revision",
        severity=Severity.UNUSABLE,
        repair=Repair.REBUILD,
        meaning="A tag means a manifest that its repository does not know: the revision's link is not there.",
        causes="A deletion that was cut between its steps, or a garbage collection by digest.",
        engine="The tag is listed and answers `manifest unknown`. Garbage collection does not see the manifest and "
        "deletes its blob and its layers.",
        do="`orlop repair PATH` makes the link again where the manifest's blob is there and has its digest; "
        "else `orlop untag PATH NAME`, or push it again. " + _UNDO,
    ),
    Rule(
        id="RG11",
        title="revision-link-invalid",
        severity=Severity.BLOCKS,
        repair=Repair.REBUILD,
        meaning="The link of a revision is empty, or holds anything but the digest that its folders spell.",
        causes="Registries before 3.1 write links in place: a crash or a full disk leaves them empty. Or an editor.",
        engine="Status 500 for the image. Garbage collection stops for the whole registry, without naming the file: "
        "`failed to mark: … invalid checksum digest format`. A link to another manifest is followed: it is served.",
        do="`orlop repair PATH` writes the digest anew: the folder's name is the digest. " + _UNDO,
    ),
    Rule(
        id="RG12",
        title="layer-link-invalid",
        severity=Severity.UNUSABLE,
        repair=Repair.REBUILD,
        meaning="A repository's link to a layer or config is empty, wrong, or missing where its manifests need it; "
        "the blob itself is another matter.",
        causes="Registries before 3.1 write links in place: a crash or a full disk leaves them empty. "
        "Or a deletion of the blob over the API.",
        engine="An empty or garbled link: status 500, and neither a pull nor a push of that layer works until the file "
        "is gone. A missing one: `blob unknown to registry`, and a push heals it. "
        "2.x garbage collection ignores a repository without the folder _layers, and deletes all that only it needs.",
        do="`orlop repair PATH` writes the digest anew: the folder's name is the digest. " + _UNDO,
    ),
    Rule(
        id="RG13",
        title="revision-untagged",
        severity=Severity.SPACE,
        repair=Repair.REMOVE,
        meaning="A manifest that no tag means now, no index names, and that belongs to no other manifest.",
        causes="A tag moved on to a newer push, or an image was pushed by its digest.",
        engine="It keeps such manifests for ever, because someone may pull them by digest, and lists them nowhere.",
        do="Keep it if something pulls it by digest. `orlop clean PATH --untagged` or `orlop rm PATH DIGEST` removes "
        "it. " + _UNDO,
    ),
    Rule(
        id="RG14",
        title="orphan-blob",
        severity=Severity.SPACE,
        repair=Repair.REMOVE,
        meaning="A blob that no manifest of any repository needs. While it is younger than a day it may belong to a "
        "push under way, and this is information.",
        causes="Deleted images (deleting frees nothing by itself), pushes that were cut off.",
        engine="`registry garbage-collect` deletes it, without saying how many bytes that is.",
        do="`orlop clean PATH` shows and removes such blobs. " + _UNDO,
    ),
    Rule(
        id="RG15",
        title="orphan-layer-link",
        severity=Severity.SPACE,
        repair=Repair.REMOVE,
        meaning="Links of a repository to layers and configs that none of its manifests needs.",
        causes="Deleted images, pushes that were cut off, and every garbage collection by 2.x.",
        engine="2.x keeps them for ever; a link to a blob that is gone answers `blob unknown to registry`. "
        "3.x removes them with garbage collection.",
        do="They cost a file each and do no harm. `orlop clean PATH` removes them. " + _UNDO,
    ),
    Rule(
        id="RG16",
        title="empty-repository",
        severity=Severity.SPACE,
        repair=Repair.REMOVE,
        meaning="A repository without a tag, a manifest or an upload. Empty folders below blobs are reported "
        "as information: they are what garbage collection leaves.",
        causes="Its images were deleted; the registry removes no folder.",
        engine="It stays in the catalog, and its list of tags is null or 404.",
        do="`orlop rm PATH REPOSITORY` removes a repository, `orlop clean PATH` what is empty. " + _UNDO,
    ),
    Rule(
        id="RG17",
        title="abandoned-upload",
        severity=Severity.SPACE,
        repair=Repair.REMOVE,
        meaning="An upload that began more than seven days ago, or whose beginning cannot be read.",
        causes="A client went away. A full disk leaves uploads whose startedat is empty.",
        engine="The server's own purging removes uploads after 168 hours, where it is not switched off; it takes one "
        "without a readable startedat for one that begins in the far future, and keeps it for ever. "
        "Garbage collection does not look at uploads.",
        do="`orlop clean PATH --uploads` removes those that are old enough. " + _UNDO,
    ),
    Rule(
        id="RG18",
        title="foreign-entry",
        severity=Severity.INFORMATION,
        repair=Repair.QUARANTINE,
        meaning="Something that is no part of the layout. It is S1 where it stops garbage collection or deletions: "
        "a file named data below blobs whose folders spell no digest, a bad link below revisions, a repository whose "
        "name no reference can have, a file or an impossible name among the tags.",
        causes="Files copied, restored or unpacked in the wrong place, a backup tool's or an editor's own files; "
        "`link.<uuid>.tmp` is what a cut write of 3.1 leaves.",
        engine="Most are ignored. Garbage collection stops at the others: `unsupported digest algorithm`, "
        "`failed to parse repo name`, `failed to retrieve tags for digest`. What lies among the tags is listed as one.",
        do="`orlop repair PATH` moves aside what stops the engine. Look at the rest before you remove it. " + _UNDO,
    ),
    Rule(
        id="RG19",
        title="referrer-untagged",
        severity=Severity.INFORMATION,
        repair=None,
        meaning="Manifests without a tag that belong to another manifest by their subject: signatures, attestations, "
        "bills of materials.",
        causes="A signing or scanning tool pushed them; this is no fault.",
        engine="`registry garbage-collect --delete-untagged` deletes them: no version follows a subject.",
        do="Keep them. `orlop clean PATH` keeps what belongs to a manifest that stays.",
    ),
    Rule(
        id="RG20",
        title="layer-sharing",
        severity=Severity.INFORMATION,
        repair=None,
        meaning="How many bytes a repository needs, and how many of them nothing else in this registry needs: "
        "the most that its removal can free.",
        causes="Layers are kept once, however many repositories link them.",
        engine="It tells neither number.",
        do="`orlop ls PATH` shows the same for each image.",
    ),
    Rule(
        id="RG21",
        title="cache-schedule-unreadable",
        severity=Severity.BLOCKS,
        repair=Repair.LOSSY,
        meaning="scheduler-state.json, in which a pull-through cache keeps what expires and when, cannot be read.",
        causes="It is written in place every few seconds: a crash or a full disk leaves it empty or cut.",
        engine="The cache does not start: `panic: unexpected end of JSON input`.",
        do="`orlop repair PATH` moves the file aside: the cache starts, and what it holds by now never expires. "
        + _UNDO,
    ),
)

RULES: Mapping[str, Rule] = {rule.id: rule for rule in _RULES}
