"""Sample stores for the demo, for tests and for pictures: deterministic, real, with known faults.

`make` writes the whole Docker sample, `make_registry` and `make_rkt` those of the
other kinds; `DataRoot`, `RegistryRoot` and `AciRoot` make small, precise stores of one's own.
"""

from orlop.samples.company import BIDI_NAME, ESCAPED_NAME, MISSING_IMAGE, Sample, make
from orlop.samples.company_registry import RegistrySample, make_registry
from orlop.samples.company_rkt import AciSample, make_rkt
from orlop.samples.docker import DataRoot, Image, Layer, Step
from orlop.samples.registry import RegistryRoot
from orlop.samples.rkt import AciRoot
from orlop.samples.trees import Files, Symlink

__all__ = [
    "BIDI_NAME",
    "ESCAPED_NAME",
    "MISSING_IMAGE",
    "AciRoot",
    "AciSample",
    "DataRoot",
    "Files",
    "Image",
    "Layer",
    "RegistryRoot",
    "RegistrySample",
    "Sample",
    "Step",
    "Symlink",
    "make",
    "make_registry",
    "make_rkt",
]
