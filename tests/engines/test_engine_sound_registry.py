"""No false alarm: whatever state a healthy registry leaves, or is in, a check of every byte finds no damage in it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.engines.conftest import environment
from tests.engines.corpus import Corpus
from tests.engines.registry_judge import ACCEPT, skopeo
from tests.engines.stalling import Stalling

if TYPE_CHECKING:
    from tests.engines.registry_judge import Service
    from tests.engines.registry_maker import MadeRegistry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

Figure = Callable[[str], None]


def killed(service: "Service") -> None:
    """End the registry as a power cut would."""
    os.kill(service.pid, signal.SIGKILL)
    service.stop()


@contextlib.contextmanager
def half_sent(service: "Service", method: str, target: str, content: bytes) -> Iterator[None]:
    """A request of which the registry got half."""
    with socket.create_connection(("127.0.0.1", service.port)) as wire:
        head = f"{method} {target} HTTP/1.1\r\nHost: {service.host}\r\nContent-Length: {len(content)}\r\n\r\n"
        wire.sendall(head.encode() + content[: len(content) // 2])
        time.sleep(0.3)
        yield


@pytest.fixture
def corpus(service: "Service", figure: Figure) -> Iterator[Corpus]:
    made = Corpus(service.root)
    yield made
    figure(f"no false alarm, registry: {made}")


def test_pushes_of_every_form(service: "Service", made_registry: "MadeRegistry", corpus: Corpus) -> None:
    corpus.sound("as it was made: images, an index, artifacts, uploads, deletions")
    base = made_registry.digest("library/base:1.0")
    service.schema1 = True
    with service.running():
        corpus.sound("the registry runs")
        source = made_registry.source.folder
        for form in ("v2s1", "v2s2", "oci"):
            service.push(source, "later", f"forms/{form}:1", "--format", form)
        service.push(source, "multi", "forms/multi:1", "--all", "--format", "v2s2")
        corpus.sound("the same image in every form of manifest")
        address = f"docker://{service.host}"
        both = ("--src-tls-verify=false", "--dest-tls-verify=false")
        skopeo("copy", "-q", *both, f"{address}/library/base:1.0", f"{address}/mounted/base:1")
        layer = made_registry.needs("library/base:1.0")[1]
        mounted = service.ask("POST", f"mounted/only/blobs/uploads/?mount={layer}&from=library/base", b"")
        assert mounted.status == 201
        corpus.sound("blobs were mounted from another repository")
        assert service.ask("DELETE", f"library/base/manifests/{base}").status == 202
        again = service.ask("GET", "team/app/manifests/v1", Accept=ACCEPT).body
        service.put("team/app", "another", again, json.loads(again)["mediaType"])
        corpus.sound("a manifest was deleted, and another one tagged again")
        assert service.collect("--dry-run").returncode == 0
    assert service.collect().returncode == 0
    corpus.sound("after garbage collection")
    with service.running():
        service.push(source, "base", "library/base:1.0")
        corpus.sound("what was deleted was pushed again")


def test_what_was_cut_off(service: "Service", made_registry: "MadeRegistry", corpus: Corpus) -> None:
    content = os.urandom(1 << 20)
    manifest = made_registry.manifest(made_registry.digest("library/base:1.0"))
    for state in ("begun", "under way"):
        with service.running():
            begun = service.ask("POST", "half/upload/blobs/uploads/", b"").headers["location"]
            target = begun.partition(service.host)[2]
            if state == "begun":
                corpus.sound("an upload was begun")
                killed(service)
            else:
                with half_sent(service, "PATCH", target, content):
                    corpus.sound("half a layer was sent")
                    killed(service)
        corpus.sound(f"the registry was killed while an upload was {state}")
    with service.running():
        with half_sent(service, "PUT", "/v2/library/base/manifests/half", manifest):
            corpus.sound("half a manifest was sent")
        corpus.sound("whoever sent half a manifest went away")
        options = ("copy", "-q", "--dest-tls-verify=false", f"oci:{made_registry.source.folder}:solo")
        with subprocess.Popen(
            ["skopeo", "--insecure-policy", *options, f"docker://{service.host}/half/push:1"], env=environment()
        ) as push:
            time.sleep(0.05)
            killed(service)
            push.wait()
    corpus.sound("the registry was killed amid a push")
    config = str(service.config)
    with subprocess.Popen(
        ["docker-registry", "garbage-collect", config], env=environment(), stdout=-3, stderr=-3
    ) as collecting:
        time.sleep(0.05)
        collecting.kill()
    corpus.sound("garbage collection was killed")
    with service.running():
        corpus.sound("the registry runs again")


def test_a_pull_through_cache(
    made_registry: "MadeRegistry",
    made_cache: "MadeRegistry",
    services: Callable[..., "Service"],
    figure: Figure,
) -> None:
    upstream, cache = services(), services(made_cache.root)
    corpus = Corpus(cache.root)
    corpus.sound("a cache as it was made")
    with upstream.running():
        service = upstream
        large = service.upload("library/base", os.urandom(4 << 20))
        with Stalling(upstream.host) as slow:
            cache.upstream = slow.host
            with cache.running():
                corpus.sound("a cache runs")
                skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{cache.host}/team/app:v2")
                corpus.sound("a manifest was fetched, and nothing that it needs")
                with socket.create_connection(("127.0.0.1", cache.port)) as wire:
                    wire.sendall(f"GET /v2/library/base/blobs/{large} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                    assert slow.stalled.wait(30)
                    time.sleep(0.2)
                    corpus.sound("half a blob was fetched")
                    killed(cache)
    corpus.sound("a cache was killed amid a fetch")
    figure(f"no false alarm, pull-through cache: {corpus}")
