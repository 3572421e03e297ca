"""Which class stands for which recorded component; ``-<commit>`` behind a component's name is its variant."""

from tests.vectors import metadata, names
from tests.vectors.adapter import Component
from tests.vectors.images import IMAGE_BACKEND, IMAGE_STORE
from tests.vectors.images_v1 import IMAGE_V1
from tests.vectors.registry_layers import REGISTRY
from tests.vectors.rkt_store import RKT_STORE, RKT_STORE_ON_SQLITE

TABLE: dict[str, Component] = {
    "imagefs": IMAGE_BACKEND,
    "imagestore": IMAGE_STORE,
    "imagev1": IMAGE_V1,
    "metadata_services": metadata.METADATA_SERVICES,
    "metastore": metadata.METASTORE,
    "registry": REGISTRY,
    "refstore": names.REFERENCE_STORE,
    "rkt": RKT_STORE,
    "rkt on SQLite": RKT_STORE_ON_SQLITE,
    "tagstore": names.TAG_STORE,
}


def component(name: str) -> Component | None:
    """The row of a recorded component, or None where there is none."""
    return TABLE.get(name) or TABLE.get(name.partition("-")[0])


def rows(name: str) -> tuple[str, ...]:
    """The names of all rows that a recorded component is performed with."""
    return (name, *(row for row in TABLE if row.startswith(f"{name} on ")))
