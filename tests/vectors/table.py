"""Which class stands for which recorded component; ``-<commit>`` behind a component's name is its variant."""

from tests.vectors.adapter import Component

TABLE: dict[str, Component] = {}


def component(name: str) -> Component | None:
    """The row of a recorded component, or None where there is none."""
    return TABLE.get(name) or TABLE.get(name.partition("-")[0])
