"""Sample stores for the demo, for tests and for pictures: deterministic, real, with known faults.

`make` writes the whole sample; `DataRoot` makes small, precise stores of one's own.
"""

from orlop.samples.company import BIDI_NAME, ESCAPED_NAME, MISSING_IMAGE, Sample, make
from orlop.samples.docker import DataRoot, Image, Layer, Step
from orlop.samples.trees import Files, Symlink

__all__ = [
    "BIDI_NAME",
    "ESCAPED_NAME",
    "MISSING_IMAGE",
    "DataRoot",
    "Files",
    "Image",
    "Layer",
    "Sample",
    "Step",
    "Symlink",
    "make",
]
