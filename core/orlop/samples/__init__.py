"""Sample stores for the demo, for tests and for pictures: deterministic, real, with known faults.

`make` writes the whole Docker sample, `make_registry` and `make_rkt` those of the
other kinds; `DataRoot`, `RegistryRoot` and `AciRoot` make small, precise stores of one's own.
"""

import os
from typing import TypeAlias

from orlop.samples.company import BIDI_NAME, ESCAPED_NAME, MISSING_IMAGE, Sample, make
from orlop.samples.company_registry import RegistrySample, make_registry
from orlop.samples.company_rkt import AciSample, make_rkt
from orlop.samples.docker import DataRoot, Image, Layer, Step
from orlop.samples.registry import RegistryRoot
from orlop.samples.rkt import AciRoot
from orlop.samples.trees import Files, Symlink

AnySample: TypeAlias = Sample | RegistrySample | AciSample


def make_all(folder: str, *, damage: bool = True) -> tuple[AnySample, ...]:
    """Write a sample of every kind, each into a folder of its kind's name; the same bytes each time.

    Raises:
        AlreadyExists: one of those folders is not empty.
        OSError: the file system refuses.
    """
    return (
        make(os.path.join(folder, "docker"), damage=damage),
        make_registry(os.path.join(folder, "registry"), damage=damage),
        make_rkt(os.path.join(folder, "rkt"), damage=damage),
    )


__all__ = [
    "BIDI_NAME",
    "ESCAPED_NAME",
    "MISSING_IMAGE",
    "AciRoot",
    "AciSample",
    "AnySample",
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
    "make_all",
    "make_registry",
    "make_rkt",
]
