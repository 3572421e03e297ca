"""Pack recorded vectors (JSON lists) for this folder: ``python tests/vectors/pack.py FILE.json… -o FOLDER``."""

import argparse
import json
import lzma
import sys
from pathlib import Path


def packed(text: str) -> bytes:
    """One record a line, xz; the same bytes for the same records."""
    lines = [json.dumps(record, ensure_ascii=True, separators=(",", ":")) for record in json.loads(text)]
    return lzma.compress("".join(line + "\n" for line in lines).encode(), preset=9 | lzma.PRESET_EXTREME)


def main(arguments: list[str]) -> int:
    """Write ``<name>.jsonl.xz`` for each ``<name>.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    for file in options.files:
        (options.output / f"{file.stem}.jsonl.xz").write_bytes(packed(file.read_text("utf-8")))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
