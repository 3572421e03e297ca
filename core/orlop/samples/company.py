"""The store of a small company's build host, with a handful of faults planted in it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from orlop.digest import Digest
from orlop.docker import layout
from orlop.samples.docker import DataRoot, Image, Step
from orlop.samples.trees import Files, Symlink

ESCAPED_NAME = "redis\x1b]52;c;b3Jsb3A=\x07:7"
"""A tag that would write to the clipboard of a careless terminal."""

BIDI_NAME = "ghcr.io/acme/web:\u202egpj.exe"
"""A tag that a careless terminal shows backwards."""

MISSING_IMAGE = Digest.of(b"config of nginx 1.25, which a script removed")
"""The image that a tag of the sample leads to, and that is not there."""

_GONE_LAYER = Digest.of(b"layer of nginx 1.25, which went with it")
_UNTAGGED = ("untagged", "moved")
_TWICE_TAGGED = ("alpine", "built", "nginx", "parent-lost", "web")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A store that was made, and what a check must say of it."""

    path: str
    """Absolute path of the data root."""
    driver: str
    expected: tuple[tuple[str, str], ...]
    """(rule, path relative to the root) of all that a check of structure finds, information included; sorted."""
    images: Mapping[str, str]
    """Short name → image id: ``debian alpine postgres redis nginx python node registry prometheus base web web-old
    web-oldest moved api-1.9.0 api-1.10.0 batch corrupt parent-lost edge digest-only no-layers built built-1 built-2
    built-3 untagged``; with damage also ``missing``, which is not there."""
    layers: Mapping[str, str]
    """Short name → chain id: ``debian``, ``alpine``, ``parent-lost``, and with damage ``orphan``."""
    containers: Mapping[str, str]
    """Name → container id."""


def make(folder: str, *, driver: str = "overlay2", damage: bool = True) -> Sample:
    """Write the sample store into an empty folder; the same bytes each time.

    Args:
        folder: empty, or still to be made.
        driver: ``overlay2`` or ``vfs``.
        damage: False leaves out every fault: an engine starts on it and serves every image.

    Raises:
        AlreadyExists: the folder is not empty.
        ValueError: another driver.
        OSError: the file system refuses.
    """
    root = DataRoot.create(folder, driver=driver)
    images = _images(root)
    layers = {
        "debian": images["debian"].layers[0].chain_id,
        "alpine": images["alpine"].layers[0].chain_id,
        "parent-lost": images["parent-lost"].layers[2].chain_id,
    }
    containers = {"acme-web-1": root.container("acme-web-1", images["web-old"], image_name="ghcr.io/acme/web:2026.07")}
    _mappings(root, images)
    expected = [("DK20", layout.config(driver, images[name].id)) for name in _UNTAGGED + _TWICE_TAGGED]
    expected += _stale(root)
    if damage:
        expected += _plant(root, images, layers)
    root.settle()
    return Sample(
        path=root.path,
        driver=driver,
        expected=tuple(sorted(expected)),
        images={name: image.id for name, image in images.items()} | ({"missing": MISSING_IMAGE} if damage else {}),
        layers=layers,
        containers=containers,
    )


def _text(name: str, size: int) -> bytes:
    """A file of `size` bytes that no other name gives; the rest of it zeros, so that its checksum is quick."""
    head = f"{name}\n".encode() * 3
    return head + bytes(max(0, size - len(head)))


def _distribution(name: str, version: str, size: int) -> Files:
    """The root file system of a small Linux distribution."""
    return {
        "bin/sh": _text(f"{name} {version} sh", size // 8),
        "bin/ls": Symlink("sh"),
        "etc/os-release": f'ID={name}\nVERSION_ID="{version}"\n'.encode(),
        "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n",
        "lib/libc.so.6": _text(f"{name} {version} libc", size // 2),
        "tmp": None,
        "usr/bin/env": _text(f"{name} {version} env", size // 16),
        "usr/share/zoneinfo": _text(f"{name} {version} zones", size // 4),
        "var/log": None,
    }


def _program(name: str, version: str, size: int, folder: str = "usr/local/bin") -> Files:
    """A program with its licence."""
    return {
        f"{folder}/{name}": _text(f"{name} {version}", size),
        f"usr/share/doc/{name}/copyright": f"{name} {version}\n".encode(),
    }


def _add(command: str, files: Files) -> Step:
    return Step(created_by=f"RUN /bin/sh -c {command} # buildkit", files=files, comment="buildkit.dockerfile.v0")


def _set(line: str) -> Step:
    return Step(created_by=line, comment="buildkit.dockerfile.v0")


def _digest_name(repository: str, image: Image) -> str:
    """The digest reference that pulling or pushing an image leaves."""
    return f"{repository}@{Digest.of(b'manifest of ' + image.config)}"


def _images(root: DataRoot) -> dict[str, Image]:
    images: dict[str, Image] = {}
    _bases(root, images)
    _on_debian(root, images)
    _on_alpine(root, images)
    _pulled(root, images)
    _web(root, images)
    _services(root, images)
    _rare(root, images)
    _built(root, images)
    return images


def _bases(root: DataRoot, images: dict[str, Image]) -> None:
    """The two distributions that all else stands on, and what stands on neither."""
    debian = root.image(
        Step(created_by="# debian.sh --arch 'amd64' out/ 'bookworm'", files=_distribution("debian", "12", 247_000)),
        names=["debian:12-slim"],
        created="2026-07-21T00:00:00Z",
        config={"Cmd": ["bash"]},
    )
    alpine = root.image(
        Step(
            created_by="ADD alpine-minirootfs-3.20.2-x86_64.tar.gz / # buildkit",
            files=_distribution("alpine", "3.20", 26_000),
        ),
        _set('CMD ["/bin/sh"]'),
        names=["alpine:3.20", "alpine:latest"],
        created="2026-07-22T14:26:43.3Z",
    )
    images.update(debian=debian, alpine=alpine)
    images["prometheus"] = root.image(
        Step(
            created_by="COPY prometheus /bin/prometheus # buildkit",
            files={"bin/prometheus": _text("prometheus 2.53.0", 437_000)},
        ),
        _set("USER nobody"),
        names=["prom/prometheus:v2.53.0"],
        created="2026-06-16T12:01:44Z",
        config={"User": "nobody", "Entrypoint": ["/bin/prometheus"], "Cmd": None},
    )


def _on_debian(root: DataRoot, images: dict[str, Image]) -> None:
    images["postgres"] = root.image(
        _add("groupadd -r postgres --gid=999", {"etc/group": b"postgres:x:999:\n"}),
        _add("apt-get install -y postgresql-16", _program("postgres", "16.4", 1_170_000, "usr/lib/postgresql/16/bin")),
        Step(
            created_by="COPY docker-entrypoint.sh /usr/local/bin/ # buildkit",
            files={"usr/local/bin/docker-entrypoint.sh": _text("postgres entry", 4_700)},
        ),
        _set("EXPOSE map[5432/tcp:{}]"),
        _set('CMD ["postgres"]'),
        on=images["debian"],
        names=["postgres:16"],
        created="2026-08-13T01:36:15.7Z",
        config={
            "Cmd": ["postgres"],
            "ExposedPorts": {"5432/tcp": {}},
            "Env": ["PATH=/usr/lib/postgresql/16/bin:/bin", "PGDATA=/var/lib/postgresql/data", "PG_VERSION=16.4"],
        },
    )
    images["nginx"] = root.image(
        _set("LABEL maintainer=NGINX Docker Maintainers <docker-maint@nginx.com>"),
        _add("apt-get install -y nginx=1.27.2", _program("nginx", "1.27.2", 373_000, "usr/sbin")),
        Step(
            created_by="COPY 10-listen-on-ipv6-by-default.sh /docker-entrypoint.d # buildkit",
            files={"docker-entrypoint.d/10-listen.sh": _text("nginx entry", 2_100)},
        ),
        _set('CMD ["nginx" "-g" "daemon off;"]'),
        on=images["debian"],
        names=["nginx:1.27.2", "nginx:latest"],
        created="2026-08-12T19:03:51.1Z",
        config={
            "Cmd": ["nginx", "-g", "daemon off;"],
            "Labels": {"maintainer": "NGINX Docker Maintainers <docker-maint@nginx.com>"},
        },
    )
    images["python"] = root.image(
        _add(
            "apt-get install -y ca-certificates", {"etc/ssl/certs/ca-certificates.crt": _text("certificates", 70_000)}
        ),
        _add("make install python", _program("python3.12", "3.12.5", 577_000)),
        _set('CMD ["python3"]'),
        on=images["debian"],
        names=["python:3.12-slim"],
        created="2026-08-07T17:21:09Z",
        config={"Cmd": ["python3"]},
    )


def _on_alpine(root: DataRoot, images: dict[str, Image]) -> None:
    images["redis"] = root.image(
        _add("apk add redis", _program("redis-server", "7.4.0", 137_000)),
        Step(
            created_by="COPY docker-entrypoint.sh /usr/local/bin/ # buildkit",
            files={"usr/local/bin/docker-entrypoint.sh": _text("redis entry", 700)},
        ),
        _set('CMD ["redis-server"]'),
        on=images["alpine"],
        names=["redis:7"],
        created="2026-07-29T18:12:33Z",
        config={"Cmd": ["redis-server"], "ExposedPorts": {"6379/tcp": {}}},
    )
    images["node"] = root.image(
        _add("apk add node", _program("node", "22.6.0", 497_000)),
        _add("yarn", _program("yarn", "1.22.22", 18_000, "opt/yarn/bin")),
        on=images["alpine"],
        names=["node:22-alpine"],
        created="2026-08-08T09:41:27Z",
        config={"Cmd": ["node"]},
    )
    images["registry"] = root.image(
        _add("apk add ca-certificates", {"etc/ssl/certs/ca-certificates.crt": _text("alpine certificates", 66_000)}),
        Step(
            created_by="COPY ./registry/registry /bin/registry # buildkit",
            files={"bin/registry": _text("registry 2.8.3", 57_000)},
        ),
        on=images["alpine"],
        names=["registry:2"],
        created="2025-10-02T18:41:02Z",
        config={"Entrypoint": ["/entrypoint.sh"], "Cmd": ["/etc/docker/registry/config.yml"]},
    )


def _pulled(root: DataRoot, images: dict[str, Image]) -> None:
    """The digest references that pulling left."""
    for name, repository in (
        ("debian", "debian"),
        ("alpine", "alpine"),
        ("postgres", "postgres"),
        ("redis", "redis"),
        ("nginx", "nginx"),
        ("prometheus", "prom/prometheus"),
    ):
        root.tag(_digest_name(repository, images[name]), images[name].id)


def _web(root: DataRoot, images: dict[str, Image]) -> None:
    """The company's own base, and four builds of its site; the tag of one moved on."""
    base = root.image(
        _add("apt-get install -y ca-certificates tini", _program("tini", "0.19.0", 8_000, "usr/bin")),
        _set("LABEL org.opencontainers.image.vendor=ACME"),
        on=images["debian"],
        names=["ghcr.io/acme/base:12"],
        created="2026-07-25T06:10:00Z",
        author="platform@acme.example",
        config={"Entrypoint": ["/usr/bin/tini", "--"], "Labels": {"org.opencontainers.image.vendor": "ACME"}},
    )
    images["base"] = base
    assets = _add(
        "npm run build", {"srv/www/assets.js": _text("assets", 87_000), "srv/www/index.html": b"<!doctype html>\n"}
    )
    for version, name, created in (
        ("2026.06", "web-oldest", "2026-06-30T10:14:07.1Z"),
        ("2026.07", "web-old", "2026-07-29T10:14:07.12Z"),
        ("2026.08-rc1", "moved", "2026-08-21T16:40:11.9Z"),
        ("2026.08", "web", "2026-08-29T10:14:07.123456789Z"),
    ):
        names = [] if name == "moved" else [f"ghcr.io/acme/web:{version}"]
        if name == "web":
            names += ["ghcr.io/acme/web:stable", "localhost:5000/web:2026.08"]
        images[name] = root.image(
            _set("WORKDIR /srv"),
            assets,
            Step(
                created_by=f"COPY --chown=1000 dist/{version} /srv/ # buildkit",
                files={"srv/bin/web": _text(f"web {version}", 400_000), "srv/version": version.encode()},
            ),
            _set('CMD ["/srv/bin/web"]'),
            on=base,
            names=names,
            created=created,
            author="release@acme.example",
            config={
                "WorkingDir": "/srv",
                "Cmd": ["/srv/bin/web"],
                "ExposedPorts": {"8080/tcp": {}},
                "Env": ["PATH=/usr/bin:/bin", f"WEB_VERSION={version}", "SESSION_SECRET=not-in-an-image-please"],
                "Labels": {"org.opencontainers.image.vendor": "ACME", "org.opencontainers.image.version": version},
            },
        )
    root.tag(_digest_name("ghcr.io/acme/web", images["web"]), images["web"].id)


def _services(root: DataRoot, images: dict[str, Image]) -> None:
    """What runs behind the site; two of these will be damaged."""
    wheels = _add(
        "pip install -r requirements.txt", {"usr/lib/python3/site-packages/flask.py": _text("wheels", 213_000)}
    )
    for version in ("1.9.0", "1.10.0"):
        images[f"api-{version}"] = root.image(
            wheels,
            Step(created_by="COPY api /srv/api # buildkit", files={"srv/api/main.py": _text(f"api {version}", 10_000)}),
            on=images["python"],
            names=[f"ghcr.io/acme/api:{version}"],
            created="2026-08-24T08:00:00Z" if version == "1.10.0" else "2026-07-02T08:00:00Z",
            config={
                "Cmd": ["python3", "-m", "api"],
                "Env": ["PATH=/usr/bin:/bin", "API_TOKEN=hunter2", "API_PORT=8000"],
            },
        )
    images["batch"] = root.image(
        Step(created_by="COPY batch /srv/batch # buildkit", files={"srv/bin/batch": _text("batch", 297_000)}),
        on=images["base"],
        names=["ghcr.io/acme/batch:rc2"],
        created="2026-02-11T12:00:00Z",
        config={"Cmd": ["/srv/bin/batch"]},
    )
    images["corrupt"] = root.image(
        _set("ENV BATCH_WORKERS=8"),
        on=images["batch"],
        names=["ghcr.io/acme/batch:rc3"],
        created="2026-02-12T12:00:00Z",
        config={"Env": ["PATH=/usr/bin:/bin", "BATCH_WORKERS=8"]},
    )
    images["parent-lost"] = root.image(
        _add("apt-get install -y openjdk-17-jre-headless", {"usr/lib/jvm/java": _text("java", 683_000)}),
        Step(created_by="COPY ledger.jar /srv/ # buildkit", files={"srv/ledger.jar": _text("ledger", 157_000)}),
        on=images["base"],
        names=["ghcr.io/acme/ledger:4.2", "ghcr.io/acme/ledger:latest"],
        created="2026-05-04T09:30:00Z",
        config={"Cmd": ["java", "-jar", "/srv/ledger.jar"]},
    )


def _rare(root: DataRoot, images: dict[str, Image]) -> None:
    """Another platform, a name that is only a digest, no layers at all, no name at all."""
    images["edge"] = root.image(
        Step(created_by="COPY edge /edge # buildkit", files={"edge": _text("edge arm64", 31_000)}),
        names=["ghcr.io/acme/edge:3-arm64"],
        created="2026-08-19T15:22:00Z",
        config={"Cmd": ["/edge"]},
        extra={"architecture": "arm64", "variant": "v8"},
    )
    images["digest-only"] = root.image(
        _add("true", _program("busybox", "1.36.1", 15_000, "bin")),
        created="2026-01-18T23:59:59Z",
    )
    root.tag(_digest_name("localhost:5000/mirror/busybox", images["digest-only"]), images["digest-only"].id)
    images["no-layers"] = root.image(
        _set("LABEL policy=base-images-2026"),
        names=["ghcr.io/acme/policy:2026"],
        created="2026-01-02T00:00:00Z",
        config={"Cmd": None, "Labels": {"policy": "base-images-2026"}},
    )
    images["untagged"] = root.image(
        Step(created_by="COPY experiment /srv/ # buildkit", files={"srv/experiment": _text("experiment", 111_000)}),
        on=images["node"],
        created="2026-03-30T21:15:00Z",
    )


def _built(root: DataRoot, images: dict[str, Image]) -> None:
    """What `docker build` leaves: the image with its names, and an untagged parent for each step before."""
    steps = root.build(
        Step(created_by="/bin/sh -c #(nop)  ENV GOFLAGS=-trimpath"),
        Step(
            created_by="/bin/sh -c apt-get install -y golang make git",
            files=_program("go", "1.22.5", 967_000, "usr/local/go/bin"),
        ),
        Step(
            created_by="/bin/sh -c #(nop) COPY dir:1f2e in /tools ", files={"tools/bin/build": _text("build", 22_000)}
        ),
        Step(created_by='/bin/sh -c #(nop)  CMD ["/tools/bin/build"]'),
        on=images["debian"],
        names=["localhost:5000/tools/build:latest", "localhost:5000/tools/build:2026.08"],
        created="2026-08-27T07:07:07.7Z",
    )
    images["built"] = steps[-1]
    for number, step in enumerate(steps[:-1], 1):
        images[f"built-{number}"] = step


def _mappings(root: DataRoot, images: dict[str, Image]) -> None:
    """Which registry knows which layer."""
    for name, repository in (
        ("debian", "docker.io/library/debian"),
        ("alpine", "docker.io/library/alpine"),
        ("postgres", "docker.io/library/postgres"),
        ("redis", "docker.io/library/redis"),
        ("nginx", "docker.io/library/nginx"),
        ("python", "docker.io/library/python"),
        ("prometheus", "docker.io/prom/prometheus"),
    ):
        for layer in images[name].layers:
            root.mapping(layer, repository)
    for name, repository in (("base", "ghcr.io/acme/base"), ("web", "ghcr.io/acme/web"), ("web", "localhost:5000/web")):
        for layer in images[name].layers:
            root.mapping(layer, repository, pushed=True)
    root.mapping(images["web"].layers[0], "ghcr.io/acme/web")


def _stale(root: DataRoot) -> list[tuple[str, str]]:
    """Mappings that deletes leave behind: a healthy engine has them."""
    root.mapping(_GONE_LAYER, "docker.io/library/nginx")  # what was 1.25
    return [("DK16", layout.v2_list(root.driver, _GONE_LAYER))]


def _plant(root: DataRoot, images: Mapping[str, Image], layers: dict[str, str]) -> list[tuple[str, str]]:
    """The faults; each is what the rule of that number looks for."""
    driver = root.driver
    tags = layout.tag_file(driver)
    root.tag("nginx:1.25", MISSING_IMAGE)
    root.tag(ESCAPED_NAME, images["redis"].id)
    root.tag(BIDI_NAME, images["web"].id)
    disputed = root.mapping(images["registry"].layers[-1], "quay.io/acme/registry")
    root.reverse(disputed, images["alpine"].layers[0].diff_id)
    corrupt = layout.config(driver, images["corrupt"].id)
    root.write(corrupt, b"", 0o600)
    lost = layout.layer(driver, layers["parent-lost"])
    os.unlink(root.at(f"{lost}/parent"))
    debian = images["debian"].layers[0]
    orphan = root.layer({"opt/scratch": _text("left by a script", 171_000)}, on=debian)
    layers["orphan"] = orphan.chain_id
    transaction = f"{layout.transactions(driver)}/write-set-204417233"
    root.make(transaction, 0o700)
    root.write(f"{transaction}/diff", debian.diff_id.encode())
    temporary = f"{layout.configs(driver)}/.tmp-{images['api-1.9.0'].id[7:]}619003"
    root.write(temporary, b"{", 0o600)
    return [
        ("DK02", tags),
        ("DK03", corrupt),
        ("DK05", f"{lost}/parent"),
        ("DK12", layout.layer(driver, orphan.chain_id)),
        ("DK15", temporary),
        ("DK15", transaction),
        ("DK16", layout.v2_list(driver, images["registry"].layers[-1].diff_id)),
        ("DK22", tags),  # the name with an escape sequence
        ("DK22", tags),  # the name that runs backwards
    ]
