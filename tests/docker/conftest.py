"""What tests of a Docker store share: a small data root, and plans made for it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from orlop.docker.join import read
from orlop.docker.model import Model
from orlop.docker.plans import plan
from orlop.fs import Root
from orlop.intent import Intent, Remove
from orlop.plan import Plan, Refusal
from orlop.progress import Silent
from orlop.records import Key, StoreId
from orlop.samples import DataRoot


@dataclass
class Planning:
    """A data root on disk, read anew for every question."""

    data: DataRoot

    def model(self) -> Model:
        with Root.open(self.data.path) as root:
            return read(root, self.data.driver, progress=Silent())

    def ask(self, intent: Intent) -> Plan | Refusal:
        with Root.open(self.data.path) as root:
            model = read(root, self.data.driver, progress=Silent())
            identity = StoreId(kind="docker", scope=model.driver, path=root.path, token="token")
            return plan(root, model, identity, intent)

    def plan(self, intent: Intent) -> Plan:
        made = self.ask(intent)
        assert isinstance(made, Plan), made
        return made

    def refusal(self, intent: Intent) -> Refusal:
        made = self.ask(intent)
        assert isinstance(made, Refusal), made
        return made

    def rows(self, *names: str) -> Remove:
        """The removal of named rows, by their names as listed."""
        references = self.model().tags.references
        return Remove(keys=tuple(Key("", references[name].image, name) for name in names))


@pytest.fixture(params=["overlay2", "vfs"])
def planning(request: pytest.FixtureRequest, tmp_path: Path) -> Planning:
    """An empty data root, once for each driver."""
    return Planning(DataRoot.create(str(tmp_path / "docker"), driver=request.param))


@pytest.fixture
def data_root(tmp_path: Path) -> Callable[[str], Planning]:
    """Makes an empty data root of a driver."""
    return lambda driver: Planning(DataRoot.create(str(tmp_path / driver), driver=driver))
