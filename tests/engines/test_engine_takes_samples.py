"""The sample store is a real one: the engine starts on it and serves every image that is not planted damage."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orlop import kinds, samples
from orlop.progress import Silent

if TYPE_CHECKING:
    from tests.engines.conftest import Engine

pytestmark = pytest.mark.engine


def test_the_engine_serves_every_image_of_the_undamaged_sample(engine: "Engine", tmp_path: Path) -> None:
    sample = samples.make(str(tmp_path / "sample"), driver=engine.driver, damage=False)
    engine.data = Path(sample.path)
    with engine.running():
        listed = engine.listed()
        assert set(listed) == set(sample.images.values())
        assert "ghcr.io/acme/web:2026.08" in listed[sample.images["web"]]
        assert set(engine.saved()) == set(listed)  # each is rebuilt and compared with its diff ids
        assert engine.docker("ps", "-a", "--format", "{{.Names}}") == "acme-web-1"
        assert "/var/log/app.log" in engine.docker("diff", "acme-web-1")


def test_the_engine_hides_just_what_the_check_says_it_will(engine: "Engine", tmp_path: Path) -> None:
    sample = samples.make(str(tmp_path / "sample"), driver=engine.driver)
    store = kinds.open(sample.path)
    words = {
        finding.engine_says for finding in store.check(None, content=False, progress=Silent()) if finding.rule == "DK03"
    }
    store.close()
    engine.data = Path(sample.path)
    with engine.running():
        hidden = set(sample.images.values()) - set(engine.listed())
        assert hidden == {sample.images["corrupt"], sample.images["missing"]}
        said = engine.messages()
        assert words
        assert all(text in said for text in words)
