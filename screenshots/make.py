#!/usr/bin/env python3
"""Take the pictures in this folder: the real screens over the sample stores.

    python screenshots/make.py [NAME[-SIZE]…]

Every view at 120 by 40 as SVG, the list at the other sizes too, and as PNG what
is looked at where SVG is not shown. Needs Orlop and its dependencies, and for PNG
``rsvg-convert`` (Debian: librsvg2-bin) and a monospaced font with box drawing
(Debian: fonts-dejavu-core). The clock stands still at two hours after the sample
engine stopped, so that the same code gives the same pictures. Without names every
picture is taken anew.
"""

import asyncio
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from textual.pilot import Pilot

from orlop import samples, times
from orlop.samples.docker import NOW
from orlop_tui.app import OrlopApp
from orlop_tui.gateway import Gateway
from orlop_tui.settings import Settings

HERE = Path(__file__).resolve().parent
SIZES = {"80x24": (80, 24), "120x40": (120, 40), "200x50": (200, 50)}
CLOCK = times.parse(NOW) + 2 * 3600 * 1_000_000_000
USUAL = "120x40"
AT_EVERY_SIZE = {"list"}
LIGHT = {"list", "problems", "delete", "space", "registry-list", "rkt-list"}
"""What is also taken in a light theme."""
AS_PNG = {"list-120x40", "delete-120x40", "space-120x40", "registry-list-120x40", "rkt-remotes-120x40"}
FONT = "DejaVu Sans Mono"

Steps = Callable[[Pilot[None]], Awaitable[None]]


async def settled(pilot: Pilot[None]) -> None:
    """Wait until threads have answered and everything is drawn."""
    await pilot.pause(0.6)
    await pilot.app.workers.wait_for_complete()
    await pilot.pause(0.3)


def keys(*groups: str | tuple[str, ...]) -> Steps:
    """A picture after these keys; those of one group are pressed without waiting in between."""

    async def steps(pilot: Pilot[None]) -> None:
        for group in groups:
            await pilot.press(*((group,) if isinstance(group, str) else group))
            await settled(pilot)

    return steps


def filtered(text: str) -> tuple[str | tuple[str, ...], ...]:
    """The keys that leave only the rows with a text."""
    return ("slash", tuple(text), "enter")


WEB = filtered("acme/web:2026.08")


def upon(name: str) -> tuple[str | tuple[str, ...], ...]:
    """The keys that put the cursor on a row."""
    return ("number_sign", tuple(name), "enter")


PICTURES: dict[str, Steps] = {
    "list": keys("number_sign", tuple("ghcr.io/acme/batch:rc3"), "enter"),
    "detail": keys(*WEB, "enter"),
    "mappings": keys(*WEB, "2"),
    "remotes": keys(*WEB, "3"),
    "problems": keys("p", "4"),
    "delete": keys(*filtered("acme/web:2026.06"), "d"),
    "help": keys("question_mark"),
    "actions": keys("x", tuple("mark")),
    "space": keys("i"),
    "verify": keys("V"),
    "jobs": keys("V", "w", "L"),
    "lens": keys(*WEB, "u"),
    "raw": keys(*WEB, "r", "1"),
    "sharing": keys(*WEB, "M"),
    "compare": keys(*filtered("acme/web"), "space", "j", "space", "C"),
    "clean": keys("c"),
    "journal": keys(*filtered("acme/web:2026.06"), "d", "D", "J"),
    "registry-list": keys(*upon("team/web:2.1")),
    "registry-detail": keys(*upon("team/web:2.1"), "enter"),
    "registry-uploads": keys(*upon("team/api:2.0"), "5"),
    "registry-clean": keys("c", "n", "enter"),
    "registry-space": keys("i"),
    "rkt-list": keys(*upon("example.com/etcd:3.3.2")),
    "rkt-remotes": keys(*upon("example.com/etcd:3.3.2"), "3", "a", "enter"),
    "rkt-fetch": keys(*upon("example.com/etcd:3.2.0"), "F"),
}

MAKERS: dict[str, Callable[[str], str]] = {
    "docker": lambda folder: samples.make(folder).path,
    "registry": lambda folder: samples.make_registry(folder).path,
    "rkt": lambda folder: samples.make_rkt(folder).path,
}
"""A picture whose name begins with none of these is of a Docker store."""


async def take(name: str, size: str, path: str, theme: str) -> str:
    """One picture as SVG."""
    app = OrlopApp(Gateway([path]), [path], unlocked=True, title="demo", settings=Settings(theme=theme))
    async with app.run_test(size=SIZES[size], notifications=True) as pilot:
        await settled(pilot)
        await PICTURES[name](pilot)
        return app.export_screenshot(title="orlop")


def plain(svg: str) -> str:
    """The same picture with a font that is on every machine, and names that do not change."""
    svg = re.sub(r"@font-face\s*{[^}]*}", "", svg)
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    svg = svg.replace("font-size: 20px", "font-size: 20.266px")  # a cell is 12.2 wide, this font's is 0.602 em
    svg = svg.replace("<svg ", '<svg xml:space="preserve" ', 1)  # else leading blanks are dropped
    return "\n".join(line.rstrip() for line in svg.replace("Fira Code", FONT).splitlines() if line.strip()) + "\n"


def save(name: str, size: str, svg: str) -> None:
    """Write NAME-SIZE.svg, and NAME-SIZE.png where it is wanted."""
    file = HERE / f"{name}-{size}.svg"
    file.write_text(plain(svg), encoding="utf-8")
    if file.stem not in AS_PNG:
        return
    width = SIZES[size][0] * 8
    command = ["rsvg-convert", "--width", str(width), "--keep-aspect-ratio", "--background-color", "white", str(file)]
    drawn = subprocess.run(command, check=True, capture_output=True).stdout
    file.with_suffix(".png").write_bytes(with_palette(drawn))


# --- smaller pictures ------------------------------------------------------


def with_palette(png: bytes) -> bytes:
    """An RGB picture with at most 256 colours, which are enough for text: a fifth of the bytes."""
    width, height, rows = decoded(png)
    for bits in (5, 4, 3):
        shifted = [bytes(value >> 8 - bits << 8 - bits for value in row) for row in rows]
        colours: dict[bytes, int] = {}
        lines = [indexes(row, width, colours) for row in shifted]
        if len(colours) <= 256:
            break
    top = (1 << bits) - 1
    palette = b"".join(bytes((value >> 8 - bits) * 255 // top for value in colour) for colour in colours)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + line for line in lines), 9)
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", body), (b"IEND", b""))
    return png[:8] + b"".join(chunk(kind, data) for kind, data in chunks)


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def indexes(row: bytes, width: int, colours: dict[bytes, int]) -> bytes:
    """One row as palette indexes; new colours join the palette, those beyond the 256th only to be counted."""
    found = (colours.setdefault(row[3 * x : 3 * x + 3], len(colours)) for x in range(width))
    return bytes(index & 0xFF for index in found)


def decoded(png: bytes) -> tuple[int, int, list[bytes]]:
    """Width, height and the rows of an 8-bit RGB picture (PNG specification, 9: filtering)."""
    at, body, width, height = 8, b"", 0, 0
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        data = png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", data[:10])
            assert (depth, colour) == (8, 2), "rsvg-convert gave another kind of picture"
        elif kind == b"IDAT":
            body += data
        at += 12 + length
    raw = zlib.decompress(body)
    step = 3 * width + 1
    rows = [bytes(3 * width)]
    for start in range(0, len(raw), step):
        rows.append(unfiltered(raw[start], raw[start + 1 : start + step], rows[-1]))
    return width, height, rows[1:]


def unfiltered(kind: int, line: bytes, above: bytes) -> bytes:
    """One row as it was before it was filtered."""
    if kind == 0:
        return line
    row = bytearray(line)
    for x in range(len(row)):
        left = row[x - 3] if x >= 3 else 0
        corner = above[x - 3] if x >= 3 else 0
        row[x] = row[x] + predicted(kind, left, above[x], corner) & 0xFF
    return bytes(row)


def predicted(kind: int, left: int, up: int, corner: int) -> int:
    """What each of PNG's five filters expects of a byte."""
    if kind < 4:
        return (0, left, up, (left + up) // 2)[kind]
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))


async def main(names: list[str]) -> int:
    """Take the named pictures, or all of them."""
    if shutil.which("rsvg-convert") is None:
        print("rsvg-convert is missing (Debian: apt-get install librsvg2-bin)", file=sys.stderr)
        return 3
    time.time_ns = lambda: CLOCK
    time.time = lambda: CLOCK / 1e9
    for name in PICTURES:
        for size in SIZES if name in AT_EVERY_SIZE else [USUAL]:
            if names and name not in names and f"{name}-{size}" not in names:
                continue
            with tempfile.TemporaryDirectory(prefix="orlop-pictures-") as folder:
                os.environ |= {"XDG_CACHE_HOME": f"{folder}/cache", "XDG_STATE_HOME": f"{folder}/state"}
                kind = name.partition("-")[0] if name.partition("-")[0] in MAKERS else "docker"
                path = MAKERS[kind](f"{folder}/{kind}")
                save(name, size, (await take(name, size, path, "")).replace(folder, "/var/lib"))
                print(f"{name}-{size}")
                if name in LIGHT and size == USUAL:
                    light = await take(name, size, path, "textual-light")
                    save(f"{name}-light", size, light.replace(folder, "/var/lib"))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
