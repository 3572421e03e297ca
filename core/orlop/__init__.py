"""Orlop: open, check and change container image stores on disk, without their engine.

The store door is `orlop.kinds.open`: it never writes. A store is changed only by
`orlop.apply.apply` with a plan that the store itself made.
"""

__version__ = "0.1.0"
