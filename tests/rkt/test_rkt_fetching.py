"""Asking a real server on this host for an image: what is sent, what is taken, and what lying servers get."""

import bz2
import gzip
import lzma
import os
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from orlop import incoming
from orlop.apply import apply, undo
from orlop.errors import Cancelled, FetchFailed, Unsupported
from orlop.intent import Import, PutRemote
from orlop.journal import Journal
from orlop.plan import Plan
from orlop.progress import Silent, Stoppable
from orlop.rkt.cachecontrol import LONGEST, max_age
from orlop.rkt.catalogue import RemoteRow
from orlop.rkt.compression import Limits
from orlop.rkt.door import RktStore
from orlop.rkt.fetching import fetch
from orlop.rkt.transfer import Bounds
from orlop.samples.rkt import NOW, Aci, AciRoot
from orlop.store import Fetched
from tests.rkt.conftest import aci
from tests.rkt.loopback import Answer, Handler, Server, file, redirect, serving
from tests.rkt.rkt_stores import everything, opened, settled, unpacked

AT = NOW + 3_600_000_000_000
NEW = aci("example.com/app", {"version": "2"}, extra=[("rootfs/data", bytes(range(250)) * 80, b"0")])
QUICK = Bounds(connect=2, idle=2, answer=2, total=5)


@pytest.fixture
def served() -> Iterator[Callable[[Mapping[str, Answer]], Server]]:
    """Starts servers that end with the test."""
    running: list[Any] = []

    def start(answers: Mapping[str, Answer], context: ssl.SSLContext | None = None) -> Server:
        manager = serving(answers, context)
        server = manager.__enter__()
        running.append(manager)
        return server

    yield start
    for manager in reversed(running):
        manager.__exit__(None, None, None)


class Sample:
    """A store with an image and its record, and what to ask with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.root = AciRoot.create(str(folder / "rkt"))
        self.old: Aci = self.root.image("example.com/app", version="1", files={"a": b"a"})
        self.keys = folder / "trustedkeys"

    def settle(self) -> RktStore:
        self.path = settled(self.root)
        return self.open()

    def open(self) -> RktStore:
        from orlop.fs import Root

        return RktStore(Root.open(self.path))


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return Sample(tmp_path)


def asked(store: RktStore, url: str, **more: Any) -> Fetched:
    more = {"bounds": QUICK, "trusted_keys": (), "progress": Silent(), **more}
    return fetch(store.root, store.model, url, at=AT, **more)


def nothing_waits(store: RktStore) -> bool:
    return incoming.waiting(store.root) == () and not store.root.exists(".orlop/incoming")


# --- a new image ----------------------------------------------------------------


def test_a_new_image_is_taken_in_with_its_record(sample: Sample, served: Any) -> None:
    server = served({"/app.aci": file(NEW, ETag='"2"', Cache_Control="public, max-age=60")})
    url = f"{server.url}/app.aci"
    store = sample.settle()
    seen: list[tuple[str, int, int]] = []

    class Watching:
        def step(self, what: str, done: int, total: int) -> None:
            seen.append((what, done, total))

    found = asked(store, url, progress=Watching())
    assert isinstance(found.intent, Import)
    assert found.intent.remote == PutRemote(url=url, image="", etag='"2"', max_age=60, downloaded=AT)
    assert seen[-1] == ("download", len(NEW), len(NEW))
    plan = store.plan(found.intent)
    assert isinstance(plan, Plan)
    before = everything(store.root.path)
    apply(store, plan, Journal.of(store.root))
    [remote] = store.model.remotes.values()
    image = store.model.images[remote.key]
    assert remote == RemoteRow(url=url, signature_url="", etag='"2"', key=image.key, max_age=60, downloaded=AT)
    assert image.row is not None
    assert (image.row.name, image.row.imported, image.row.latest) == ("example.com/app", AT, False)
    assert (Path(sample.path) / f"blob/sha512/{image.key[7:9]}/{image.key}").read_bytes() == NEW
    undo(store, Journal.of(store.root))
    assert store.model.remotes == {}
    after = everything(store.root.path)
    assert {path: entry[-2:] for path, entry in after.items() if not path.startswith(".orlop")} == {
        path: entry[-2:] for path, entry in before.items() if not path.startswith(".orlop")
    }
    store.close()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (NEW, {}),
        (gzip.compress(NEW), {}),
        (bz2.compress(NEW), {}),
        (lzma.compress(NEW), {}),
        (gzip.compress(NEW), {"Content_Encoding": "gzip"}),
        (gzip.compress(gzip.compress(NEW)), {"Content_Encoding": "x-gzip"}),
        (gzip.compress(lzma.compress(NEW)), {"Content_Encoding": "gzip"}),
        (NEW, {"Content_Encoding": "identity"}),
    ],
    ids=["plain", "gzip", "bzip2", "xz", "labelled gzip", "gzip twice", "xz in gzip", "identity"],
)
def test_however_it_is_compressed_it_is_the_same_image(
    sample: Sample, served: Any, body: bytes, headers: dict[str, str]
) -> None:
    server = served({"/app.aci": file(body, **headers)})
    store = sample.settle()
    found = asked(store, f"{server.url}/app.aci")
    assert isinstance(found.intent, Import)
    assert store.root.read(incoming.path_of(found.intent.staged, "image")) == NEW
    assert server.seen[0][1]["Accept-Encoding"] == "identity"
    store.close()


def test_an_answer_without_a_length_and_one_in_chunks_are_taken(sample: Sample, served: Any) -> None:
    def open_ended(handler: Handler) -> None:
        handler.close_connection = True
        handler.send(200, NEW, Content_Length="")

    def chunked(handler: Handler) -> None:
        handler.send(200, Transfer_Encoding="chunked", Content_Length="")
        for at in range(0, len(NEW), 1000):
            part = NEW[at : at + 1000]
            handler.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    server = served({"/open.aci": open_ended, "/chunked.aci": chunked})
    store = sample.settle()
    for name in ("open", "chunked"):
        found = asked(store, f"{server.url}/{name}.aci")
        assert isinstance(found.intent, Import)
        assert store.root.read(incoming.path_of(found.intent.staged, "image")) == NEW
    store.close()


# --- a record that is there -------------------------------------------------------


def test_an_unchanged_image_only_renews_its_record(sample: Sample, served: Any) -> None:
    server = served({"/app.aci": lambda handler: handler.send(304, ETag='"1"', Cache_Control="max-age=90")})
    url = f"{server.url}/app.aci"
    sample.root.remote(url, sample.old, etag='"1"', max_age=60)
    store = sample.settle()
    found = asked(store, url)
    assert server.seen == [("/app.aci", server.seen[0][1])]
    assert server.seen[0][1]["If-None-Match"] == '"1"'
    assert found.intent == PutRemote(
        url=url, image=sample.old.key, signature_url=f"{url}.asc", etag='"1"', max_age=90, downloaded=AT
    )
    assert "nothing changed" in found.remarks[0]
    assert nothing_waits(store)
    plan = store.plan(found.intent)
    assert isinstance(plan, Plan)
    apply(store, plan, Journal.of(store.root))
    assert store.model.remotes[url].downloaded == AT
    assert store.model.images[sample.old.key].row is not None
    store.close()


def test_a_record_that_says_nothing_new_keeps_its_age_and_its_etag(sample: Sample, served: Any) -> None:
    server = served({"/app.aci": lambda handler: handler.send(304)})
    url = f"{server.url}/app.aci"
    sample.root.remote(url, sample.old, etag='"1"', max_age=60)
    store = sample.settle()
    found = asked(store, url)
    assert isinstance(found.intent, PutRemote)
    assert (found.intent.etag, found.intent.max_age) == ('"1"', 60)
    store.close()


def test_a_fresh_record_is_not_asked_again_unless_it_is_said(sample: Sample, served: Any) -> None:
    server = served({"/app.aci": lambda handler: handler.send(304)})
    url = f"{server.url}/app.aci"
    sample.root.remote(url, sample.old, etag='"1"', max_age=7200, downloaded=NOW)
    store = sample.settle()
    found = asked(store, url)
    assert server.seen == []
    assert "fresh until" in found.remarks[0]
    plan = store.plan(found.intent)
    assert isinstance(plan, Plan)
    assert plan.steps == ()
    asked(store, url, again=True)
    assert len(server.seen) == 1
    store.close()


def test_an_image_that_is_gone_is_asked_for_whole(sample: Sample, served: Any) -> None:
    server = served({"/app.aci": file(NEW)})
    url = f"{server.url}/app.aci"
    sample.root.remote(url, sample.old, etag='"1"', max_age=7200, downloaded=NOW)
    os.unlink(sample.root.at(f"blob/sha512/{sample.old.key[7:9]}/{sample.old.key}"))
    store = sample.settle()
    found = asked(store, url)
    assert "If-None-Match" not in server.seen[0][1]
    assert isinstance(found.intent, Import)
    store.close()


def test_a_record_moves_to_the_new_image_and_the_old_one_stays(sample: Sample, served: Any) -> None:
    server = served({"/app.aci": file(NEW, ETag='"2"')})
    url = f"{server.url}/app.aci"
    sample.root.remote(url, sample.old, etag='"1"')
    store = sample.settle()
    found = asked(store, url)
    plan = store.plan(found.intent)
    assert isinstance(plan, Plan)
    assert any(reason.verb == "keep" and "only the record moves" in reason.because for reason in plan.reasons)
    apply(store, plan, Journal.of(store.root))
    assert store.model.remotes[url].key != sample.old.key
    assert store.model.images[sample.old.key].row is not None
    store.close()


def test_the_same_image_under_a_new_etag_changes_the_record_only(sample: Sample, served: Any) -> None:
    body = Path(sample.root.at(f"blob/sha512/{sample.old.key[7:9]}/{sample.old.key}")).read_bytes()
    server = served({"/app.aci": file(gzip.compress(body), ETag='"2"')})
    url = f"{server.url}/app.aci"
    sample.root.remote(url, sample.old, etag='"1"')
    store = sample.settle()
    found = asked(store, url)
    assert "of the same image" in found.remarks[0]
    plan = store.plan(found.intent)
    assert isinstance(plan, Plan)
    assert [step.path for step in plan.steps] == ["db/ql.db"]
    store.close()


# --- servers that lie, break off, or do not end -------------------------------------


def cut(handler: Handler) -> None:
    handler.send(200, NEW[:-2000], Content_Length=str(len(NEW)))
    handler.close_connection = True


def cut_in_a_chunk(handler: Handler) -> None:
    handler.send(200, Transfer_Encoding="chunked", Content_Length="")
    handler.wfile.write(f"{len(NEW):x}\r\n".encode() + NEW[:3000])
    handler.close_connection = True


def no_chunks(handler: Handler) -> None:
    handler.send(200, b"this is no chunk\r\n" * 9, Transfer_Encoding="chunked", Content_Length="")
    handler.close_connection = True


def short(handler: Handler) -> None:
    handler.send(200, NEW, Content_Length="5000")
    handler.close_connection = True


def silent(handler: Handler) -> None:
    handler.send(200, NEW[:2000], Content_Length=str(len(NEW)))
    handler.hang()


def no_answer(handler: Handler) -> None:
    handler.hang()


def drip_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    drip(handler)


def drip_body(handler: Handler) -> None:
    handler.send(200, Content_Length="1000000")
    drip(handler)


def drip(handler: Handler) -> None:
    while not handler.server.stopping.wait(0.02):
        handler.wfile.write(b"a")
        handler.wfile.flush()


def garbage(handler: Handler) -> None:
    handler.wfile.write(b"\x00\xff no http at all \x1b[2J\r\n\r\n")
    handler.close_connection = True


def gone(handler: Handler) -> None:
    handler.close_connection = True


HASTY = Bounds(connect=1, idle=0.15, answer=0.3, total=0.6)

LIARS: dict[str, tuple[Answer, str]] = {
    "truncated": (cut, f"broke off.*{len(NEW) - 2000}|broke off"),
    "truncated in a chunk": (cut_in_a_chunk, "broke off"),
    "no chunks": (no_chunks, "broke off"),
    "a length that is too short": (short, "no image.*unexpected end"),
    "silence": (silent, "too slow.*nothing for too long"),
    "no answer at all": (no_answer, "too slow"),
    "headers byte by byte": (drip_headers, "too slow.*0.3 seconds"),
    "a body byte by byte": (drip_body, "too slow.*0.6 seconds"),
    "no http": (garbage, "broke off, or sent no answer"),
    "hung up": (gone, "broke off, or sent no answer"),
    "a page": (file(b"<html>" * 999), "no image.*neither a tar"),
    "nothing": (file(b""), "no image"),
    "missing": (lambda handler: handler.send(404), "404 Not Found"),
    "forbidden": (lambda handler: handler.send(403), "403 Forbidden"),
    "an odd status": (lambda handler: handler.send(799), "answered 799"),
    "a part": (lambda handler: handler.send(206, NEW), "206"),
    "unasked 304": (lambda handler: handler.send(304), "304"),
    "an unknown encoding": (file(NEW, Content_Encoding="br"), "encoded in its own way"),
    "encoded by no gzip": (file(b"\x1f\x8b" + bytes(9000), Content_Encoding="gzip"), "no image"),
    "a redirect to nowhere": (lambda handler: handler.send(302), "leads nowhere"),
    "a redirect to a file": (redirect("file:///etc/passwd"), "no http or https URL"),
    "a redirect to itself": (redirect("/app.aci"), "more than 10 redirects"),
}


@pytest.mark.parametrize("liar", LIARS.values(), ids=LIARS)
def test_a_bad_server_gets_a_refusal_and_leaves_nothing(sample: Sample, served: Any, liar: tuple[Answer, str]) -> None:
    answer, words = liar
    server = served({"/app.aci": answer})
    store = sample.settle()
    begun = time.monotonic()
    with pytest.raises(FetchFailed, match=words) as failure:
        asked(store, f"{server.url}/app.aci", bounds=HASTY)
    assert time.monotonic() - begun < 3
    assert failure.value.path == f"{server.url}/app.aci"
    assert failure.value.do
    assert nothing_waits(store)
    store.close()


def test_more_than_may_come_is_refused(sample: Sample, served: Any) -> None:
    server = served({"/app.aci": file(NEW)})
    store = sample.settle()
    with pytest.raises(FetchFailed, match="sends too much"):
        asked(store, f"{server.url}/app.aci", bounds=Bounds(size=4000))
    assert nothing_waits(store)
    store.close()


def test_a_bomb_is_refused_through_both_compressions(sample: Sample, served: Any) -> None:
    bomb = gzip.compress(gzip.compress(aci(extra=[("rootfs/zeros", bytes(30 << 20), b"0")])))
    server = served({"/app.aci": file(bomb, Content_Encoding="gzip")})
    store = sample.settle()
    with pytest.raises(FetchFailed, match="decompression bomb"):
        asked(store, f"{server.url}/app.aci", limits=Limits(free=1 << 20))
    assert nothing_waits(store)
    store.close()


def test_where_nobody_listens_is_said(sample: Sample) -> None:
    with serving({}) as server:
        url = f"{server.url}/app.aci"
    store = sample.settle()
    with pytest.raises(FetchFailed, match=r"cannot be reached.*Connection refused"):
        asked(store, url)
    store.close()


@pytest.mark.parametrize("url", ["ftp://h/x", "/etc/passwd", "http://", "http://h:99999/", "http://h/a b", "h", ""])
def test_what_is_no_web_address_is_refused(sample: Sample, url: str) -> None:
    store = sample.settle()
    with pytest.raises(FetchFailed):
        asked(store, url)
    store.close()


def test_a_person_can_stop_it(sample: Sample, served: Any) -> None:
    server = served({"/app.aci": file(NEW)})
    store = sample.settle()
    stopped = Stoppable()
    stopped.stopped = True
    with pytest.raises(Cancelled):
        asked(store, f"{server.url}/app.aci", progress=stopped)
    assert nothing_waits(store)
    store.close()


def test_a_store_of_an_older_rkt_is_not_fetched_for(tmp_path: Path, served: Any) -> None:
    server = served({"/app.aci": file(NEW)})
    with opened(unpacked("rkt-store-dbv4", tmp_path)) as store, pytest.raises(Unsupported):
        asked(store, f"{server.url}/app.aci")
    assert server.seen == []


# --- redirects and secrets -------------------------------------------------------------


def test_redirects_are_followed_and_named(sample: Sample, served: Any) -> None:
    there = served({"/real?sig=hidden": file(NEW)})
    here = served({"/app.aci": redirect("/next", 301), "/next": redirect(f"{there.url}/real?sig=hidden", 307)})
    store = sample.settle()
    found = asked(store, f"{here.url}/app.aci")
    assert isinstance(found.intent, Import)
    assert f"the server led to {there.url}/real?…" in found.remarks
    assert found.intent.remote is not None
    assert found.intent.remote.url == f"{here.url}/app.aci"
    store.close()


def test_a_password_goes_to_its_own_server_only_and_into_no_record(sample: Sample, served: Any) -> None:
    there = served({"/real": file(NEW)})
    here = served({"/app.aci": redirect("/next"), "/next": redirect(f"{there.url}/real")})
    store = sample.settle()
    found = asked(store, here.url.replace("://", "://me:s3%20cret@") + "/app.aci")
    assert [headers.get("Authorization") for path, headers in here.seen[:2]] == ["Basic bWU6czMgY3JldA=="] * 2
    assert [headers.get("Authorization") for _, headers in there.seen] == [None]
    assert isinstance(found.intent, Import)
    assert found.intent.remote is not None
    assert found.intent.remote.url == f"{here.url}/app.aci"
    assert "s3" not in " ".join(found.remarks)
    assert any("not kept" in remark for remark in found.remarks)
    store.close()


def test_a_password_is_in_no_error(sample: Sample, served: Any) -> None:
    server = served({})
    store = sample.settle()
    with pytest.raises(FetchFailed) as failure:
        asked(store, server.url.replace("://", "://me:s3cret@") + "/app.aci?token=hidden")
    error = failure.value
    assert "s3cret" not in f"{error} {error.do} {error.path} {error.__cause__!r}"
    assert "hidden" not in f"{error} {error.do} {error.path}"
    store.close()


def test_an_etag_that_would_forge_headers_is_not_sent(sample: Sample, served: Any) -> None:
    server = served({"/app.aci": file(NEW)})
    url = f"{server.url}/app.aci"
    sample.root.remote(url, sample.old, etag='"1"\r\nX-Forged: yes')
    store = sample.settle()
    asked(store, url)
    assert not {"If-None-Match", "X-Forged"} & server.seen[0][1].keys()
    store.close()


# --- TLS ---------------------------------------------------------------------------------


@pytest.fixture
def secure(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server proves itself with, and what believes it."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=here \
        -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}"
    try:
        subprocess.run(command.split(), check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))


def test_https_is_believed_only_with_a_certificate_and_never_left_for_http(
    sample: Sample, served: Any, secure: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    context, believing = secure
    plain = served({"/app.aci": file(NEW)})
    server = served({"/app.aci": file(NEW), "/down.aci": redirect(f"{plain.url}/app.aci")}, context)
    store = sample.settle()
    assert isinstance(asked(store, f"{server.url}/app.aci", context=believing).intent, Import)
    with pytest.raises(FetchFailed, match=r"cannot prove who it is.*self.signed"):
        asked(store, f"{server.url}/app.aci")
    with pytest.raises(FetchFailed, match="leads away from https"):
        asked(store, f"{server.url}/down.aci", context=believing)
    assert plain.seen == []
    store.close()


# --- Cache-Control -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 0),
        ("max-age=60", 60),
        ("MAX-AGE=60", 60),
        ('max-age="60"', 60),
        ("public,max-age=60,must-revalidate", 60),
        ("public max-age=60", 0),
        ("max-age=60, no-cache", 0),
        ("no-store", 0),
        ('no-cache="Set-Cookie", max-age=60', 0),
        ("max-age=60, max-age=30", 30),
        ('x="a, max-age=9", max-age=60', 60),
        (r'x="a\", no-store", max-age=60', 60),
        ("max-age=-1", 0),
        ("max-age=1e9", 0),
        ("max-age", 0),
        ("max-age=", 0),
        ("max-age=٣", 0),
        (f"max-age={10**19}", LONGEST),
        ("s-maxage=60", 0),
        (", ,max-age=60,,", 60),
        ('max-age=60, "', 0),
        ("x=" + '"' * 9999, 0),
    ],
)
def test_an_age_is_read_as_the_standard_says(header: str, seconds: int) -> None:
    assert max_age(header) == seconds


def test_reading_an_age_takes_no_longer_than_its_length(record_property: Callable[[str, object], None]) -> None:
    begun = time.perf_counter()
    for hostile in ("a=" * 30_000, '"' * 60_000, "a," * 30_000, " " * 60_000, 'a="' + "\\" * 60_000):
        max_age(hostile)
    record_property("seconds", time.perf_counter() - begun)
    assert time.perf_counter() - begun < 1
