"""The rules of a Docker store: what each finding means, what the engine does, what a person can do.

Engine behaviour and words are those of 20.10.24, tried by damaging stores and
starting the engine on them, unless another version is named.
"""

from collections.abc import Mapping

from orlop.finding import Repair, Rule, Severity

_UNDO = "Every change by Orlop can be taken back with `orlop undo PATH` until the quarantine is emptied."

_RULES = (
    Rule(
        id="DK01",
        title="tag-file-unreadable",
        severity=Severity.BLOCKS,
        repair=Repair.LOSSY,
        meaning="image/<driver>/repositories.json, which holds every tag, is empty, cut, or no JSON of its shape.",
        causes="A power cut or a full disk while the file was rewritten, or an editor.",
        engine="The engine does not start: `Couldn't create reference store repository: EOF` for an empty file, "
        "`unexpected EOF` for a cut one; on a file that holds `null` it panics.",
        do="`orlop repair PATH DK01 --guess` writes a file that the engine takes, with the names that the damaged "
        "one and containers' records still tell; the others are lost, and their images untagged. " + _UNDO,
    ),
    Rule(
        id="DK02",
        title="tag-to-missing-image",
        severity=Severity.LATENT,
        repair=Repair.REMOVE,
        meaning="A tag or digest reference names an image id that has no config in the store.",
        causes="A removal that was cut off between its steps, or a config that someone deleted.",
        engine="The tag is in no list, and removing it answers `No such image`: it stays for ever.",
        do="`orlop untag PATH NAME`, or for all of them `orlop repair PATH DK02`, drops the entry. "
        "Pulling the name again cures it as well. " + _UNDO,
    ),
    Rule(
        id="DK03",
        title="config-digest-mismatch",
        severity=Severity.UNUSABLE,
        repair=Repair.QUARANTINE,
        meaning="An image's config is empty, altered, unreadable or not what the engine can parse. "
        "Its file name is the sha256 that its bytes must have.",
        causes="A power cut (zero bytes), a failing disk, or an edit by hand.",
        engine="At start it logs `invalid image sha256:…, failed to verify: sha256:…` and leaves the image out of "
        "every list; the tag stays in the file and `docker rmi` says `No such image`.",
        do="`orlop repair PATH DK03` moves the config aside, and a pull or load then brings back every name that the "
        "image had; `orlop rm PATH NAME` takes the names too. " + _UNDO,
    ),
    Rule(
        id="DK04",
        title="layer-record-incomplete",
        severity=Severity.UNUSABLE,
        repair=Repair.REBUILD,
        meaning="A layer record lacks one of its files diff, size, cache-id, parent, or one is empty or garbage.",
        causes="A power cut or a full disk while a layer was registered.",
        engine="At debug level only: `failed to get diff id for …: invalid checksum digest format`. From 18.09 the "
        "images on the layer are skipped, before that the engine does not start. A pull says `Image is up to date`, "
        "a load fails with `rename … file exists`: the image is stuck.",
        do="`orlop repair PATH` writes the file again where configs, the record's name and the layer's content prove "
        "what it held; else it moves the record aside with all that keeps a pull away. " + _UNDO,
    ),
    Rule(
        id="DK05",
        title="layer-parent-lost",
        severity=Severity.UNUSABLE,
        repair=Repair.REBUILD,
        meaning="A layer record's diff and parent do not give the chain id that its folder is named by: "
        "the file parent is gone, or names another layer.",
        causes="A file lost in a crash or a partial copy of the data root.",
        engine="Nothing is said. The layer is taken for a base layer, so the layers below it lose their protection: "
        "removing another image that shares them deletes layers that are still needed.",
        do="`orlop repair PATH` writes the file again: the record's name proves it. Until then remove nothing that "
        "shares these layers, with Orlop or with the engine. " + _UNDO,
    ),
    Rule(
        id="DK06",
        title="layer-size-wrong",
        severity=Severity.LATENT,
        repair=Repair.REBUILD,
        meaning="The size in a layer record is not the sum of the file sizes in its tar-split record.",
        causes="A file from another record, or an edit by hand.",
        engine="`docker images` and `docker system df` print the number as a fact.",
        do="Nothing breaks. `orlop repair PATH` writes the right number. " + _UNDO,
    ),
    Rule(
        id="DK07",
        title="layer-data-missing",
        severity=Severity.UNUSABLE,
        repair=Repair.QUARANTINE,
        meaning="The driver's folder that a layer record's cache-id names is not there.",
        causes="Someone removed folders below overlay2/ or vfs/ to free space, or the copy of a data root was partial.",
        engine="`docker inspect` is content; create and save fail with `stat …: no such file or directory`. "
        "Pull and load report success and do not help.",
        do="`orlop repair PATH DK07` moves the record and the configs of all images on it aside, so that a pull brings "
        "them again; where a folder that nothing names proves to be the layer's, it is named again. " + _UNDO,
    ),
    Rule(
        id="DK08",
        title="layer-content-mismatch",
        severity=Severity.UNUSABLE,
        repair=Repair.QUARANTINE,
        meaning="Files of a layer are not what they were when the layer was stored: other bytes, another size, "
        "missing, or something else in their place. The layer's archive, rebuilt from them, does not hash to its "
        "diff id; each file has a checksum of its own, which tells the wrong ones. With the driver vfs also the copies "
        "of lower layers' files are compared. As S5: layers that this user may not read, or of a driver whose "
        "folders are no plain files.",
        causes="A power cut (files of zero bytes), a full or failing disk, a program or a person that wrote below "
        "overlay2/ or vfs/.",
        engine="At run nothing is said: a container sees the wrong bytes. Save and push stop with "
        '`file integrity checksum failed for "…"`. A pull says `Image is up to date` and mends nothing.',
        do="`orlop repair PATH DK08 --content` moves the layer and the configs of all images on it aside, so that a "
        "pull brings them again; containers on it see the same wrong files, and keep it there. Look at the kernel's "
        "log: where one file rotted, others may follow. " + _UNDO,
    ),
    Rule(
        id="DK09",
        title="tar-split-missing",
        severity=Severity.LATENT,
        repair=Repair.QUARANTINE,
        meaning="tar-split.json.gz, the recipe to rebuild a layer's exact archive, is missing or cannot be used: it "
        "cannot be read, names files outside of the layer, or does not give the layer's diff id although every file "
        "is what it says.",
        causes="A power cut, a layer that was made before Engine 1.8, or a file from another record.",
        engine="The image runs. Saving it, and a push that cannot mount the layer, fail: "
        "`open …/tar-split.json.gz: no such file or directory`, `unexpected EOF`.",
        do="Keep the image if it only has to run. `orlop repair PATH DK09` takes the recipe from the same layer "
        "elsewhere in the store, or moves the layer aside for a pull. " + _UNDO,
    ),
    Rule(
        id="DK10",
        title="overlay-link-broken",
        severity=Severity.UNUSABLE,
        repair=Repair.REBUILD,
        meaning="overlay2 mounts a layer by short names: overlay2/<cache id>/link holds the layer's own, "
        "overlay2/l/<name> is a link to the layer's files, and the file lower lists the names of all layers below, "
        "nearest first. One of them is missing, empty, or leads elsewhere.",
        causes="A power cut: the engine does not flush these files to disk before 24.0. Or a copy of the data root "
        "that left links out.",
        engine="Creating or starting a container fails: `readlink …/overlay2/l: invalid argument`, "
        "`failed to mount overlay: no such file or directory`; or it starts on the wrong layers. "
        "Removing a layer whose link is empty made engines before 18.03 delete the whole folder overlay2/l.",
        do="Nothing of the content is lost: `orlop repair PATH` writes name, link and list as the chain of layer "
        "records has them. " + _UNDO,
    ),
    Rule(
        id="DK11",
        title="orphan-layer-data",
        severity=Severity.SPACE,
        repair=Repair.REMOVE,
        meaning="A folder of the storage driver that no layer record, no container, no mount of any process and none "
        "of BuildKit's records names. As S5: one of which that cannot be told, because a record is damaged or cannot "
        "be read.",
        causes="A pull, load or build that was killed while the layer was unpacked, or a removal that was cut off.",
        engine="It is in no list, `docker system df` does not count it, and `docker system prune -a` does not free it.",
        do="`orlop clean PATH` moves it to the quarantine, `orlop purge PATH` then frees the space. " + _UNDO,
    ),
    Rule(
        id="DK12",
        title="orphan-layer-record",
        severity=Severity.SPACE,
        repair=Repair.REMOVE,
        meaning="A layer record that no image's config and no container's mount needs.",
        causes="A pull, load or build that was killed after the layer was registered. Or no fault at all: "
        "BuildKit's cache may still use the layer, which only its own database tells.",
        engine="It is in no list, `docker system df` does not count it, and `docker system prune -a` does not free it.",
        do="`orlop clean PATH` moves it to the quarantine, with its data. Pulling an image that holds the layer "
        "makes use of it again; `docker builder prune` gives back what the build cache holds. " + _UNDO,
    ),
    Rule(
        id="DK13",
        title="orphan-mount-record",
        severity=Severity.SPACE,
        repair=Repair.REMOVE,
        meaning="A folder below layerdb/mounts for a container that is not below containers/.",
        causes="A container's removal that was cut off, or its folder deleted by hand.",
        engine="Nothing is said; the record pins its layers for ever.",
        do="`orlop clean PATH` moves it to the quarantine, with what the container wrote. " + _UNDO,
    ),
    Rule(
        id="DK14",
        title="image-needs-missing-layer",
        severity=Severity.UNUSABLE,
        repair=Repair.QUARANTINE,
        meaning="An image's config lists a layer that has no record in layerdb.",
        causes="A removal or pull that was cut off, or a partial copy of the data root.",
        engine="From 18.09: `layer does not exist, not restoring image …`, and the image is in no list; "
        "before that the engine does not start.",
        do="`orlop repair PATH DK14` moves its config and the records that stand on the missing one aside, so that a "
        "pull brings it again; `orlop rm PATH NAME` takes the names too. " + _UNDO,
    ),
    Rule(
        id="DK15",
        title="debris",
        severity=Severity.SPACE,
        repair=Repair.REMOVE,
        meaning="A leftover of an interrupted operation: a temporary file, a layer transaction below layerdb/tmp, "
        "a layer on its way out (`-removing`), metadata of an image that is gone, or a foreign name.",
        causes="The engine was killed, or the machine went down.",
        engine="From 20.10 `-removing` folders go when the engine stops; everything else stays for ever.",
        do="`orlop clean PATH` moves all but foreign names to the quarantine; `orlop repair PATH DK15` those too. "
        "While an engine runs such names are normal: look again when it is stopped. " + _UNDO,
    ),
    Rule(
        id="DK16",
        title="distribution-cache-stale",
        severity=Severity.INFORMATION,
        repair=Repair.REMOVE,
        meaning="A V2 mapping of a layer that is gone, two directions that disagree, or (S4) a mapping file "
        "that cannot be read.",
        causes="Engines never remove a reverse record, and keep the lists of removed images: a healthy store has such.",
        engine="It uploads or downloads more than it needs to; an unreadable list counts as empty and is overwritten.",
        do="It is only a cache: `orlop unmap PATH --stale` removes what is stale, and so does `orlop clean PATH`. "
        + _UNDO,
    ),
    Rule(
        id="DK17",
        title="parent-link-broken",
        severity=Severity.LATENT,
        repair=Repair.REMOVE,
        meaning="An image's metadata key parent names an image that is not in the store, or no image at all.",
        causes="The parent was removed by hand, or its config is lost.",
        engine="It ignores the key; the build cache does not find the image by its parent.",
        do="Nothing breaks. `orlop repair PATH DK17` drops the key. " + _UNDO,
    ),
    Rule(
        id="DK18",
        title="hidden-store",
        severity=Severity.INFORMATION,
        repair=None,
        meaning="The data root holds a further image store: another storage driver's, or containerd's.",
        causes="The engine's storage driver or image store was switched; the old images stay on disk.",
        engine="It shows the images of one store and says nothing of the others.",
        do="Open the other driver's store with `orlop ls ROOT/image/DRIVER`; `docker info` says which one is in use.",
    ),
    Rule(
        id="DK19",
        title="root-still-bind-mounted",
        severity=Severity.INFORMATION,
        repair=None,
        meaning="The data root is mounted on itself, and no engine holds its lock.",
        causes="The engine was killed or failed to start.",
        engine="The next start mounts it once more. The folder cannot be renamed or removed while it is mounted.",
        do="`umount ROOT` when no engine runs.",
    ),
    Rule(
        id="DK20",
        title="untagged-image",
        severity=Severity.INFORMATION,
        repair=Repair.REMOVE,
        meaning="An image without a name that no other image names as its parent; or one image under several tags "
        "of one repository.",
        causes="A tag moved to a newer image, a pull by id, a build without a name.",
        engine="It lists the image as <none>, and `docker image prune` removes it.",
        do="`orlop rm PATH ID` removes it, `orlop clean PATH --untagged` all that nothing else needs. " + _UNDO,
    ),
    Rule(
        id="DK21",
        title="container-record-broken",
        severity=Severity.LATENT,
        repair=None,
        meaning="A container's config.v2.json or its mount record cannot be read or has lost its parent, "
        "or the layer it stands on is gone.",
        causes="A power cut, or a removal by hand.",
        engine="It leaves the container out of every list: `failed to load container …`. Where only the mount's parent "
        "is missing it says nothing, by its source (layer/filestore.go), and the layers below lose a protection.",
        do="Keep the folder if its files matter: the writable layer is in the driver's folder that mount-id names.",
    ),
    Rule(
        id="DK22",
        title="name-unusable",
        severity=Severity.LATENT,
        repair=Repair.REMOVE,
        meaning="An entry of repositories.json that the engine cannot look up: it does not parse as a name, is not in "
        "its short spelling, or stands under another repository.",
        causes="A file written by another program, or by an attacker.",
        engine="It keeps the entry for ever, cannot remove it, and may list the whole repository as empty.",
        do="`orlop repair PATH DK22` drops all of them, `orlop untag PATH NAME` one; `orlop ls --json` gives the exact "
        "spelling. " + _UNDO,
    ),
)

RULES: Mapping[str, Rule] = {rule.id: rule for rule in _RULES}
