"""An ACI store that another program writes to is read without a false alarm."""

import threading
from io import BytesIO
from pathlib import Path

import pytest

from orlop.errors import OrlopError
from orlop.progress import Silent
from orlop.rkt.model import CatalogueState
from orlop.rkt.store import AciStore
from tests.rkt.conftest import aci
from tests.rkt.rkt_stores import opened

CHANGES = 10


@pytest.mark.parametrize("catalogue", ["ql", "sqlite"])
def test_nothing_seems_damaged_while_images_come_and_go(tmp_path: Path, catalogue: str) -> None:
    cas = str(tmp_path / "cas")
    images = [aci(f"example.com/app-{number}", {"version": str(number)}) for number in range(4)]
    done = threading.Event()
    failed: list[OrlopError] = []

    with AciStore.create(cas, catalogue) as library:
        kept = library.write_aci(BytesIO(aci("example.com/kept")))

        def writing() -> None:
            try:
                for number in range(CHANGES):
                    library.remove_aci(library.write_aci(BytesIO(images[number % 4])))
            except OrlopError as error:
                failed.append(error)
            finally:
                done.set()

        writer = threading.Thread(target=writing)
        writer.start()
        looks = 0
        with opened(cas) as store:
            while not done.is_set() or not looks:
                looks += 1
                store.refresh(None)
                assert store.model.catalogue.state in (CatalogueState.GOOD, CatalogueState.PENDING)
                found = list(store.check(None, content=False, progress=Silent()))
                assert [finding for finding in found if finding.severity.is_damage] == []
                assert kept in store.model.images
            writer.join()
            assert not failed
            store.refresh(None)
            assert set(store.model.images) == {kept}
            assert store.model.catalogue.state is CatalogueState.GOOD
