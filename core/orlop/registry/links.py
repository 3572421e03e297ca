"""Links: small files that hold a digest and nothing else, not even a newline.

distribution reads them without trimming (``registry/storage/linkedblobstore.go``,
``blobstore.go``): one byte too many and the registry, its garbage collection too,
answers with an error.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar, overload

from orlop.digest import Digest
from orlop.errors import Malformed, NotFound, TooLarge
from orlop.registry.blobs import BlobStore, names_in
from orlop.registry.driver import Driver, DriverStat
from orlop.registry.layout import LINK, algorithms, digest_of

_T = TypeVar("_T")

_LIMIT = 1024  # the longest digest has 135 bytes; more is said to be wrong without being read


@overload
def read_link(driver: Driver, path: str) -> Digest: ...


@overload
def read_link(driver: Driver, path: str, parse: Callable[[str], _T]) -> _T: ...


def read_link(driver: Driver, path: str, parse: Callable[[str], object] = Digest.parse_any) -> object:
    """The digest in a link.

    Args:
        driver: where it lies.
        path: the file.
        parse: what digests are there, where they are others than a registry's from 2.0 on; raises `Malformed`.

    Raises:
        NotFound: there is no such file.
        Malformed: it holds anything but exactly one digest.
        WrongKind, NoPermission, StorageFailure
    """
    try:
        content = driver.get(path, _LIMIT)
    except TooLarge as error:
        raise Malformed(f"{error.size} bytes, where a link holds one digest", path=path) from error
    if not content:
        raise Malformed("the link is empty", path=path, engine="invalid checksum digest format")
    try:
        return parse(content.decode("ascii"))
    except UnicodeDecodeError as error:
        raise Malformed(
            "the link does not hold a digest", path=path, engine="invalid checksum digest format"
        ) from error
    except Malformed as error:
        why = "the link ends in a newline" if content.endswith(b"\n") else "the link does not hold a digest"
        raise Malformed(f"{why}: {error.why}", path=path, engine="invalid checksum digest format") from error


def follow_link(blobs: BlobStore, path: str) -> tuple[Digest, DriverStat]:
    """The digest in a link, and what is known of its blob's file.

    Raises:
        NotFound: there is no such link.
        Malformed: it is damaged, or leads to no blob.
        WrongKind, NoPermission, StorageFailure
    """
    digest = read_link(blobs.driver, path)
    try:
        return digest, blobs.stat(digest)
    except NotFound as error:
        raise Malformed(
            f"the blob {digest} does not exist", path=path, engine="unknown blob", do="push it again, or import it"
        ) from error


def write_link(driver: Driver, path: str, digest: str) -> None:
    """Make a link, or let it mean another digest; atomic and durable.

    Raises:
        WrongKind: a folder has its name.
        NoPermission, ReadOnly, NoSpace, StorageFailure
    """
    driver.put(path, digest.encode("ascii"))


def write_layer_links(blobs: BlobStore, repository: str, canonical: str, asked: str) -> None:
    """Let a repository serve a blob under its own digest, and then under the one that was asked for.

    Each link is atomic; a blob must be there before it is linked.

    Raises:
        WrongKind, NoPermission, ReadOnly, NoSpace, StorageFailure
    """
    for name in dict.fromkeys((canonical, asked)):
        write_link(blobs.driver, blobs.layout.layer_link(repository, name), canonical)


def linked_digests(driver: Driver, folder: str) -> Iterator[Digest]:
    """Every digest that a folder of links has a link of, in order of their text; the links are not read.

    Names that make no digest, and folders without a link, are passed over.

    Raises:
        NoPermission, StorageFailure
    """
    for algorithm in algorithms(names_in(driver, folder)):
        for name in names_in(driver, f"{folder}/{algorithm}"):
            digest = digest_of(algorithm, name)
            if digest is not None and LINK in names_in(driver, f"{folder}/{algorithm}/{name}"):
                yield digest
